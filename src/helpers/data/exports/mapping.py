"""A mapping: which column of an export is which column of the contract, and what the export does not say.

A mapping is one YAML file, ``mapping.yml`` in the folder of the exports. Every word in it is text: ``2026-07-01``,
``no`` and ``010`` mean what they say. A whole one::

    export: shopify_orders              # the known export it was drafted from; said, not used
    view: buyer                         # whose money the orders hold: buyer (what was paid) or merchant
    zone: Asia/Shanghai                 # of times written without a zone; a source or a column may say its own
    sources:
      orders:                           # a name of yours, for messages and accounts
        files: ["orders_export*.csv"]   # below the folder; or, in a database,  table: public.orders
        part: "Table data.csv"          # which sheets or members of archives, where a file holds several
        exported_at: 2026-07-01         # a day or an instant; or {"may.csv": 2026-06-01, …}; or what names of files
                                        # hold, {file_name: "%Y%m%d"}, of which %s is the seconds since 1970
        leave_out:                      # reason: condition; the first that holds counts the row
          further line of an order: {Financial Status: empty}
          not paid: {Financial Status: [pending, authorized, voided, expired]}
        expect: {Financial Status: [paid, partially_paid, partially_refunded, refunded]}   # of rows that stay
        tables:
          orders:                       # a table of the contract, or a list of such mappings
            order_id: Name
            member_id: Email            # contact data: becomes a keyed hash, and may feed nothing but an id
            paid_at: Paid at
            gross: {sum: [Subtotal, Discount Amount]}
            discount: Discount Amount
            currency: {constant: USD}
            extra: {payment: Payment Method}         # columns outside the contract, for segments

A condition names columns and what they hold: one text, a list of texts, ``{not: [texts]}``, ``empty`` or ``given``.
With several columns all must hold.

A **value** is the name of a column, or a mapping with one of

==================================  =========================================================================
``column: Name``                    the column (the short form with room for what is said below)
``constant: CNY``                   the same in every row
``sum: [A, B]``, ``minus: [C]``     numbers added and taken away; missing where one of them is missing
``product: [A, B]``                 numbers multiplied
``least: [A, B]``                   the smaller number: A, capped at B; rows in which it was are counted and said
``rate: R, of: N``                  round(R × N), for a count of which only the share R is exported; ``per: 100``
                                    where R is written as 12.3 for 12.3 %; a share above 1 is refused
``first: [A, B]``                   the first that is given
``key: [A, B]``                     one id from several columns, a hash; ``numbered: true`` where equal rows of one
                                    file are several things
``exported: true``                  when the row was exported (its day, in a column of days)
``hours_since: Publish time``       from that time to the export, in whole hours
``in_name: "([^/]+)[.]csv"``        what a name holds in brackets: of the file below the folder, and of its part
==================================  =========================================================================

in which ``A`` may be a value itself, and any of

==============================  =============================================================================
``values: {退款成功: refund}``    what its words mean; another word is refused, or kept with ``others: keep``
``empty: 0``                    what an empty cell means
``when: {condition}``           only in rows where the condition holds, elsewhere missing
``assumed: true``               the value is no observation; its rows are counted and said
``zone: UTC``                   of its times without a zone; in a column of days, the day that an instant has there
``format: "%d/%m/%Y %H:%M"``    how its times are written, as strptime has it; a day without a year is the last before
                                the export; ``1.234,56`` of numbers with a comma
``unit: ms``                    of its numbers since 1970: s, ms or us
``hash: true``                  an id that becomes a keyed hash though its column does not look like contact data
``identity: douyin``            an id on that platform; `identities` says whose it is, where it does
==============================  =============================================================================

A **table** may say besides its columns

==============================  =============================================================================
``only: {condition}``           rows of the source that are rows of this table
``leave_out: {…}``              as that of the source, for this table alone
``same_key: first``             of rows with one key the first counts; or ``sum``: numbers are added, of the rest the
                                first given value holds. Without it the row of a later export replaces an earlier
                                one, equal rows of several files are one row, and any other repetition is refused.
``totals: lifetime``            counts are totals since publication: they become differences from export to export
``metrics: {plays: 播放量}``     of ``metric_daily``: one row for each metric; a metric is a value or
                                ``{numerator: A, denominator: B}``
``first_seen: true``            of ``members``: one row for each member, who joined at the first ``joined_at``; what
                                rests on it is provisional
==============================  =============================================================================

**Questions**: a text that begins with ``?`` stands for an answer, anywhere: ``zone: "? In which zone is the shop?"``.
A mapping with questions is no mistake; nothing is read with it until they are answered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from helpers.data.cells import EPOCH_MICROSECONDS
from helpers.data.clock import zone
from helpers.data.exports.files import clean
from helpers.data.schema import CONTACT, Table
from helpers.data.tables import TABLES
from helpers.errors import BadParameters
from helpers.located_yaml import InvalidFile, Reader, where
from helpers.sentences import say
from helpers.sentences import word as translated

# The words of which a value has exactly one, and words that go with one of them alone.
MADE_OF_SEVERAL = ("sum", "product", "rate", "least", "first", "key")
KINDS = ("column", "constant", *MADE_OF_SEVERAL, "exported", "hours_since", "in_name")
GOES_WITH = {"minus": "sum", "of": "rate", "per": "rate", "numbered": "key"}
# Words of one table alone.
ONLY_OF = {"metrics": "metric_daily", "first_seen": "members"}
# What may be said where it is one of a few words.
WORDS: dict[str, tuple[str, ...]] = {
    **{"view": ("buyer", "merchant"), "totals": ("lifetime",), "same_key": ("first", "sum")},
    **{"unit": tuple(EPOCH_MICROSECONDS), "per": ("1", "100", "10000"), "others": ("keep",)},
}


class Test(NamedTuple):
    """What a column must hold: one of `texts`, none of them, nothing at all, or anything."""

    column: str
    relation: Literal["in", "not in", "empty", "given"]
    texts: tuple[str, ...] = ()


# All of them must hold.
Condition = tuple[Test, ...]


@dataclass(frozen=True, kw_only=True)
class Value:
    """How a column of the contract comes about: one of `KINDS`, and the other words of the module."""

    column: str = ""
    constant: str = ""
    sum: tuple[Value, ...] = ()
    minus: tuple[Value, ...] = ()
    product: tuple[Value, ...] = ()
    least: tuple[Value, ...] = ()
    rate: Value | None = None
    of: Value | None = None
    per: str = "1"
    first: tuple[Value, ...] = ()
    key: tuple[Value, ...] = ()
    numbered: bool = False
    exported: bool = False
    hours_since: Value | None = None
    in_name: str = ""
    values: Map[str, str] = field(default_factory=dict)
    others: str = ""
    empty: str = ""
    when: Condition = ()
    assumed: bool = False
    zone: str = ""
    format: str = ""
    unit: str = ""
    hash: bool = False
    identity: str = ""

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def parts(self) -> tuple[Value, ...]:
        """The values that it is made of, in order."""
        alone = (part for part in (self.rate, self.of, self.hours_since) if part)
        return (*self.sum, *self.minus, *self.product, *self.least, *self.first, *self.key, *alone)

    @property
    def columns(self) -> set[str]:
        """Columns of the export that it reads."""
        own = {self.column} - {""} | {test.column for test in self.when}
        return own.union(*(part.columns for part in self.parts))

    @property
    def lacks_year(self) -> bool:
        """Whether its days are written without a year."""
        return "%d" in self.format and not re.search("%[yY]", self.format)

    @property
    def hashed(self) -> set[str]:
        """Columns of the export that become a keyed hash where they feed ids of people."""
        own = {self.column} if self.column and (self.hash or is_personal(self.column)) else set()
        return own.union(*(part.hashed for part in self.parts))


@dataclass(frozen=True, kw_only=True)
class Target:
    """One table of the contract as a source feeds it; a metric is a value, or a numerator and its denominator."""

    table: str
    columns: Map[str, Value]
    metrics: Map[str, tuple[Value, ...]] = field(default_factory=dict)
    only: Condition = ()
    leave_out: Map[str, Condition] = field(default_factory=dict)
    same_key: str = ""
    totals: str = ""
    first_seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Source:
    """Files of one export, or one table of a database, and the tables that they feed.

    Attributes
    ----------
    exported_at : mapping of str to str
        From a pattern of file names to a day or an instant; or ``file_name`` to the format of what the name holds.
    """

    name: str
    tables: tuple[Target, ...] = ()
    files: tuple[str, ...] = ()
    table: str = ""
    part: tuple[str, ...] = ()
    zone: str = ""
    exported_at: Map[str, str] = field(default_factory=dict)
    leave_out: Map[str, Condition] = field(default_factory=dict)
    expect: Condition = ()

    @property
    def columns(self) -> set[str]:
        """Columns of the export that it reads."""
        values = [value for each in self.tables for value in each.columns.values()]
        values += [value for each in self.tables for parts in each.metrics.values() for value in parts]
        conditions = [self.expect, *self.leave_out.values()]
        conditions += [tests for each in self.tables for tests in (each.only, *each.leave_out.values())]
        tested = {test.column for tests in conditions for test in tests}
        return tested.union(*(value.columns for value in values))


class Question(NamedTuple):
    """What a mapping leaves open: the line, where in the mapping, and what is asked."""

    line: int
    place: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A mapping that is right in itself; whether its columns are there, its files say.

    Attributes
    ----------
    path : Path
    text : str
        The file's content, for the run key and the manifest.
    sources : tuple of Source
    questions : tuple of Question
        Empty when it can be used.
    view : str
        Whose money the orders hold: ``buyer`` or ``merchant``; empty without orders.
    export : str
        The known export that it was drafted from.
    """

    path: Path
    text: str
    sources: tuple[Source, ...]
    questions: tuple[Question, ...] = ()
    view: str = ""
    export: str = ""
    zone: str = ""

    @classmethod
    def read(cls, path: Path) -> Mapping:
        """Read and validate a mapping, before any of its files is opened.

        Raises
        ------
        InvalidFile
            With every mistake, its line, and what may have been meant.
        BadParameters
            When there is no such file.
        """
        parser = _Parser(path)
        found = parser.whole()
        if parser.reader.mistakes:
            raise InvalidFile(path, parser.reader.mistakes)
        questions = tuple(_questions(parser.reader.root, ""))
        return cls(path=path, text=path.read_text(encoding="utf-8-sig"), questions=questions, **found)


def _questions(node: yaml.Node, place: str) -> Iterator[Question]:
    """Yield the texts of a mapping that begin with a question mark."""
    if isinstance(node, yaml.ScalarNode):
        if _asks(node.value):
            yield Question(
                where(node).line, place, translated(node.value).lstrip("? ") or say("not answered")
            )
        return
    for part in node.value:
        key, value = part if isinstance(part, tuple) else (None, part)
        yield from _questions(value, f"{place}.{key.value}".strip(".") if key else place)


def is_personal(name: str) -> bool:
    """Whether a column of an export holds contact data, by its name."""
    return CONTACT.search(re.sub(r"\W+|(?<=[a-z])(?=[A-Z])", "_", name)) is not None


def _asks(text: str) -> bool:
    return text.startswith("?")


def _moment(text: str) -> None:
    """Refuse what is neither a day nor an instant with its offset."""
    try:
        if dt.datetime.fromisoformat(text).tzinfo is None:
            dt.date.fromisoformat(text)
    except ValueError:
        says = "{text} must be a day such as 2026-07-01, or an instant such as 2026-07-01T08:00:00+08:00"
        raise ValueError(say(says, text=text)) from None


class _Parser:
    """Turns the nodes of one mapping into its records and collects the mistakes on the way."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader(path, "mapping")
        self.say = self.reader.say
        # How each field of a record is read: by its name where it has its own words, else by its type.
        self.ways: dict[str, Callable[[yaml.Node], Any]] = {
            "str": self.text,
            "bool": lambda node: self.one_of("true")(node) == "true",
            "tuple[str, ...]": self.texts,
            "Condition": self.condition,
            "Value | None": self.value,
            "tuple[Value, ...]": lambda node: tuple(map(self.value, self.reader.items(node, say("it")))),
            "tuple[Target, ...]": self.tables,
            "tuple[Source, ...]": self.sources,
            "Map[str, str]": partial(self.named, read=self.text),
            "Map[str, Condition]": partial(self.named, read=self.condition),
            "Map[str, tuple[Value, ...]]": partial(self.named, read=self.metric),
            "column": self.column,
            "zone": partial(self.checked, check=partial(zone, argument="zone")),
            "exported_at": self.exported,
            **{name: self.one_of(*known) for name, known in WORDS.items()},
        }

    def fields(self, record: type, *others: str) -> dict[str, Callable[[yaml.Node], Any]]:
        """Return how the fields of a record are read, but for some that are not written."""
        kinds = {each.name: str(each.type) for each in fields(record) if each.name not in others}
        ways = {name: self.ways.get(name) or self.ways.get(kind) for name, kind in kinds.items()}
        return {name: read for name, read in ways.items() if read}

    def words(self, node: yaml.Node, readers: Map[str, Any], what: str) -> dict[str, Any]:
        """Return what the words of a mapping say, each read in its way."""
        found = self.reader.mapping(node, readers, what)
        return {name: readers[name](entry.node) for name, entry in found.items()}

    def named(self, node: yaml.Node, read: Callable[[yaml.Node], Any] = lambda node: node) -> dict[str, Any]:
        """Return what stands under names that are the writer's own."""
        return {
            name: read(entry.node) for name, entry in self.reader.mapping(node, None, say("this")).items()
        }

    def text(self, node: yaml.Node) -> str:
        """Return a text, whatever YAML would make of it."""
        if isinstance(node, yaml.ScalarNode) and node.value:
            return str(node.value)
        self.say(where(node), say("here must be a text"))
        return "?"

    def texts(self, node: yaml.Node) -> tuple[str, ...]:
        """Return a text or a list of texts."""
        nodes = [node] if isinstance(node, yaml.ScalarNode) else self.reader.items(node, say("it"))
        return tuple(map(self.text, nodes))

    def column(self, node: yaml.Node) -> str:
        """Return the name of a column as files have it."""
        name = self.text(node)
        return name if _asks(name) else clean(name)

    def one_of(self, *known: str) -> Callable[[yaml.Node], str]:
        """Return a reader of words that are known."""

        def read(node: yaml.Node) -> str:
            if not _asks(word := self.text(node)) and word not in known:
                self.say(where(node), say("{word} must be one of {known}", word=word, known=", ".join(known)))
            return word

        return read

    def checked(self, node: yaml.Node, check: Callable[[str], Any]) -> str:
        """Return a text that passes a check, or is a question."""
        text = self.text(node)
        try:
            if not _asks(text):
                check(text)
        except (ValueError, BadParameters) as error:
            self.say(where(node), str(error))
        return text

    def exported(self, node: yaml.Node) -> dict[str, str]:
        """Return when files were exported, by the pattern of their names."""
        moment = partial(self.checked, check=_moment)
        if isinstance(node, yaml.ScalarNode):
            return {"*": moment(node)}
        return {k: (self.text if k == "file_name" else moment)(each) for k, each in self.named(node).items()}

    def condition(self, node: yaml.Node) -> Condition:
        """Return what some columns must hold."""
        return tuple(self.test(clean(name), each) for name, each in self.named(node).items())

    def test(self, column: str, node: yaml.Node) -> Test:
        """Return what one column must hold."""
        if isinstance(node, yaml.MappingNode):
            return Test(
                column, "not in", self.words(node, {"not": self.texts}, say("a condition")).get("not", ())
            )
        if isinstance(node, yaml.ScalarNode) and node.value in ("empty", "given"):
            return Test(column, "empty" if node.value == "empty" else "given")
        return Test(column, "in", self.texts(node))

    def whole(self) -> dict[str, Any]:
        """Return what the whole file says."""
        found = self.words(
            self.reader.root, self.fields(Mapping, "path", "text", "questions"), say("the mapping")
        )
        if "sources" not in found:
            self.say(where(self.reader.root), say("the mapping needs sources: which files feed which tables"))
        fed = {target.table for source in found.get("sources", ()) for target in source.tables}
        if "orders" in fed and "view" not in found:
            says = "orders hold money: say whose, view: buyer (what was paid) or view: merchant"
            self.say(where(self.reader.root), say(says))
        return found

    def sources(self, node: yaml.Node) -> tuple[Source, ...]:
        """Return the sources by the names that they have been given."""
        return tuple(self.source(name, each) for name, each in self.named(node).items())

    def source(self, name: str, node: yaml.Node) -> Source:
        """Return one source with the tables that it feeds."""
        found = self.words(node, self.fields(Source, "name"), say("source {name}", name=name))
        if ("files" in found) == ("table" in found) or "tables" not in found:
            says = "source {name} needs files, or the table of a database; and tables, which it feeds"
            self.say(where(node), say(says, name=name))
        if "exported_at" not in found and any(needs_export(each) for each in found.get("tables", ())):
            says = "source {name} needs exported_at: some of its tables depend on when it was exported"
            self.say(where(node), say(says, name=name))
        return Source(name=name, **found)

    def tables(self, node: yaml.Node) -> tuple[Target, ...]:
        """Return the tables that a source feeds, one of them perhaps several times."""
        targets = []
        for name, entry in self.reader.mapping(node, TABLES, "tables").items():
            several = isinstance(entry.node, yaml.SequenceNode)
            each = self.reader.items(entry.node, name) if several else [entry.node]
            targets += [self.target(TABLES[name], one) for one in each]
        return tuple(targets)

    def target(self, spec: Table, node: yaml.Node) -> Target:
        """Return one table as a source feeds it."""
        own = {"extra": partial(self.named, read=self.value), **self.fields(Target, "table", "columns")}
        found = self.words(node, own | dict.fromkeys(spec.names, self.value), spec.name)
        columns = {name: found.pop(name) for name in spec.names if name in found} | found.pop("extra", {})
        there = columns.keys() | ({"metric", "value"} if "metrics" in found else set())
        if lacks := [column.name for column in spec.columns if column.required and column.name not in there]:
            self.say(where(node), say("{spec} needs {lacks}", spec=spec.name, lacks=", ".join(lacks)))
        for word in found:
            if ONLY_OF.get(word, spec.name) != spec.name:
                self.say(
                    where(node), say("{word} is a word of {table} alone", word=word, table=ONLY_OF[word])
                )
        rates = [name for name, each in found.get("metrics", {}).items() if len(each) > 1]
        if rates and found.get("same_key") == "sum":
            says = "same_key: sum would add up rates: map numerator and denominator as metrics"
            self.say(where(node), say(says))
        for name, value in columns.items():
            personal = sorted(filter(is_personal, value.columns))
            if personal and (name not in spec or spec[name].privacy not in ("P1", "P3")):
                says = (
                    "{name}: {columns} is personal: it may become an id, such as member_id, and nothing else"
                )
                self.say(where(node), say(says, name=name, columns=", ".join(personal)))
        return Target(table=spec.name, columns=columns, **found)

    def metric(self, node: yaml.Node) -> tuple[Value, ...]:
        """Return a value, or a numerator and its denominator."""
        rate = ("numerator", "denominator")
        if isinstance(node, yaml.MappingNode) and {key.value for key, _ in node.value} & set(rate):
            found = self.words(node, dict.fromkeys(rate, self.value), say("a rate"))
            if len(found) == len(rate):
                return found["numerator"], found["denominator"]
            self.say(where(node), say("a rate needs numerator and denominator"))
        return (self.value(node),)

    def value(self, node: yaml.Node) -> Value:
        """Return how a column of the contract comes about."""
        if isinstance(node, yaml.ScalarNode):
            return Value(column=self.column(node))
        found = self.words(node, self.fields(Value), say("a value"))
        kinds = [kind for kind in KINDS if kind in found]
        strange = [word for word, kind in GOES_WITH.items() if word in found and kind not in kinds]
        if len(kinds) != 1 or strange or ("rate" in found) != ("of" in found):
            self.say(
                where(node),
                say("a value needs one of {kinds}, and to each what goes with it", kinds=", ".join(KINDS)),
            )
        return Value(**found) if kinds else Value(constant="?")


def needs_export(target: Target) -> bool:
    """Whether a table depends on when its source was exported."""
    values = target.columns.values()
    return bool(target.totals) or any(each.exported or each.hours_since or each.lacks_year for each in values)
