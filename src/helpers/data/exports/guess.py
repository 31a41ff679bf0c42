"""What the columns of an unknown export mean, by what they are called and by what they hold; see `words.yml`."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

import duckdb
import yaml

from helpers.data.exports.expressions import DECIMAL_COMMA
from helpers.data.exports.files import LOST_DIGITS, RawFile, UnreadableFileError
from helpers.data.exports.recognise import alike
from helpers.data.schema import CONTACT
from helpers.data.tables import TABLES
from helpers.data.views import identifier

# Rows of each file that are looked at, and the share of the cells that tells what a column holds.
LOOKED_AT, MOST = 2000, 0.9
# Columns up to which a log of who and when is taken for one without a column of what.
FEW = 3
NOTHING = {"", "-", "--", "—", "——", "/", "null", "NULL", "N/A", "n/a", "None"}
COMMA, POINT = r"\d,\d{1,2}\D*$|\d[. ]\d{3},", r"\d[.]\d{1,2}\D*$|\d,\d{3}[.]"
ONE_AMOUNT = (
    "? {} orders have several rows with one amount. Is it that of the order (first) or of each row (sum)?"
)
# Columns of money in the order in which they tell what was paid, and those outside the contract that are numbers.
AMOUNTS = ("total", "gross", "minor", "unit_price")
HELPING = (*AMOUNTS, "shipping", "quantity")
TIMES = ("zoned", "local", "s", "ms", "us", "format")


@dataclass(frozen=True)
class Column:
    """A column of an export as its first rows show it.

    Attributes
    ----------
    name : str
    kind : str
        ``zoned``, ``local`` (times without a zone), ``s``, ``ms``, ``us`` (since 1970), ``format`` (other times),
        ``number``, ``lost`` (digits, in a spreadsheet), ``masked``, ``name`` (of people), ``text`` or ``empty``.
    texts : tuple of str
        Its cells, row by row; an empty text where there is nothing.
    strays : tuple of str
        Texts that are not of its kind, such as the word for a total.
    formats : tuple of str
        Every way in which its times may be written.
    """

    name: str
    kind: str
    texts: tuple[str, ...]
    strays: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def given(self) -> list[str]:
        """The cells that hold something."""
        return [text for text in self.texts if text]

    @property
    def is_local(self) -> bool:
        """Whether it holds times that need a zone."""
        return self.kind == "local" or (self.kind == "format" and "%z" not in self.formats[0])


@lru_cache
def words() -> dict[str, Any]:
    """Return what is known of names and texts, in the languages of exports."""
    return yaml.load((files("helpers.data.exports") / "words.yml").read_text("utf-8"), yaml.BaseLoader)


def look(raws: Sequence[RawFile], names: Sequence[str]) -> dict[str, Column]:
    """Return what the columns of some files of one form hold, by their first rows, or raise UnreadableFileError."""
    rows: list[tuple[Any, ...]] = []
    with duckdb.connect() as con:
        for raw in raws:
            query = f"SELECT {', '.join(map(identifier, names))} FROM ({raw.query}) LIMIT {LOOKED_AT}"
            try:
                rows += con.execute(query).fetchall()
            except duckdb.Error as error:
                said = " ".join(str(error).split("\n")[:2])
                raise UnreadableFileError(f"{raw.name} has a row that cannot be followed: {said}") from None
    rows = list(dict.fromkeys(rows))  # overlapping exports repeat rows
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: _column(name, cells) for name, cells in zip(names, columns, strict=True)}


def _column(name: str, cells: Iterable[Any]) -> Column:
    stripped = (str(cell or "").strip(" \t\u3000\"'=`") for cell in cells)
    texts = tuple("" if text in NOTHING else text for text in stripped)
    given = [text for text in texts if text]
    if any(re.fullmatch(LOST_DIGITS, text) for text in given):
        return Column(name, "lost", texts)
    for kind, pattern in words()["kinds"].items() if given else ():
        formats = _formats([text for text in given if re.search(r"\d", text)]) if kind == "format" else ()
        strays = [text for text in given if not re.fullmatch(r".*\d.*" if formats else pattern, text)]
        # One or two words below a few times are totals; another text among a few numbers is a text.
        few = min(2, (len(given) - 1) // 2) if kind in TIMES else 0
        if len(strays) <= max((1 - MOST) * len(given), few):
            return Column(name, kind, texts, tuple(dict.fromkeys(strays)), formats)
    return Column(name, "text" if given else "empty", texts)


def _formats(given: Sequence[str]) -> tuple[str, ...]:
    """Return the ways of writing times that all of some texts fit."""

    def fits(text: str, form: str) -> bool:
        try:
            return bool(dt.datetime.strptime(text, form))
        except (ValueError, re.error):  # hours twice in one form are an error of its pattern
            return False

    forms = map("".join, product(words()["days"], words()["clocks"]))
    return tuple(form for form in forms if given and all(fits(text, form) for text in given))


@lru_cache(1 << 14)
def _plain(name: str) -> str:
    """Return a name as words are compared with it: without its unit, blanks, hyphens and the like."""
    return re.sub(r"(?<=.)[\s_](usd|eur|cny|rmb|gbp|jpy|utc)$|[\s_\-./#:°ºª]+|\([^()]*\)", "", alike(name))


@lru_cache(1 << 14)
def _tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in any order: ``Cliente ID`` is ``id cliente``."""
    return tuple(sorted(re.split(r"[\s_\-./#:°ºª]+", alike(name))))


@lru_cache
def _forms(listed: str) -> frozenset[str]:
    return frozenset(map(_plain, words()[listed]))


def _hits(table: str, looked: Mapping[str, Column]) -> dict[str, Column]:
    """Return which column of a file is which of a table: the best names first, each column once."""
    ranked = []
    for target, names in words()["tables"][table]["columns"].items():
        for column in [each for each in looked.values() if _holds(table, target, each)]:
            name, who = _plain(column.name), target == "member_id"
            weak = who and is_weak(column)
            # How many new members there are is no member.
            count = who and column.kind == "number" and not re.search("id|号|nr", name)
            for order, word in enumerate(map(_plain, names)):
                begins = name.startswith(word) and len(word) > (7 if word.isascii() else 3)
                ends = name.endswith(word) and len(word) > (3 if word.isascii() else 1) and not count
                exact = name == word or _tokens(column.name) == _tokens(names[order])
                if exact or begins or ends:
                    ranked.append((not exact, weak, order, -len(word), target, column))
    found: dict[str, Column] = {}
    for *_, target, column in sorted(ranked, key=lambda each: each[:4]):
        if target not in found and column not in found.values():
            found[target] = column
    return found


def is_weak(column: Column) -> bool:
    """Whether a column tells nobody apart for certain: masks, and names that people share or change."""
    return column.kind in ("masked", "name") or _plain(column.name) in _forms("shared_names")


def is_personal(column: Column) -> bool:
    """Whether a column holds addresses or phones, by its name in any language or by what it holds."""
    named = CONTACT.search(column.name) or re.search(words()["personal"], column.name.casefold())
    return bool(named) or 2 * sum("@" in text for text in column.given) > len(column.given)


def signs(columns: Iterable[Column]) -> tuple[bool, bool]:
    """Return whether the numbers of a file have a decimal comma, as in 1.234,56, and whether a decimal point."""
    numbers = [text for each in columns if each.kind == "number" for text in each.given]
    comma, point = (any(re.search(sign, text) for text in numbers) for sign in (COMMA, POINT))
    return comma and not point, point


def number(column: Column, comma: bool, point: bool) -> dict[str, str]:
    """Return how a column of numbers is read whose signs are no decimal points; nothing for any other."""
    written = [text for text in column.given if re.search("[.,]", text)] if column.kind == "number" else []
    either = [text for text in written if re.fullmatch(r"[1-9]\d{0,2}([.]\d{3})+", text)]
    if comma and written:
        return {"column": column.name, "format": DECIMAL_COMMA}
    if either and not point:
        asked = f"? Is {either[0]} above a thousand? Then answer {DECIMAL_COMMA}; if not, delete this format."
        return {"column": column.name, "format": asked}
    return {}


def _holds(table: str, target: str, column: Column) -> bool:
    """Whether a column holds what a column of the contract, or one that helps to read it, does."""
    types = {each.name: each.type for name in ("content_daily", table) for each in TABLES[name].columns}
    type_ = "float" if target in HELPING else types.get(target, "string")
    if type_ in ("timestamp", "date"):
        return column.kind in TIMES
    if type_ in ("float", "integer"):
        return column.kind in ("number", "empty")
    return column.kind not in TIMES or column.kind in ("s", "ms", "us")


def table(looked: Mapping[str, Column]) -> tuple[str, dict[str, Column]]:
    """Return what an unknown export was taken for: a table, and its columns; without these, what is lacking."""
    tried = {table: _hits(table, looked) for table in words()["tables"]}
    times = [each for each in looked.values() if each.kind in TIMES]
    lacks = {}
    for table, hits in tried.items():
        needs = [set(each) for each in words()["tables"][table]["needs"]]
        if table in ("events", "orders") and len(times) == 1:
            hits.setdefault("ts" if table == "events" else "paid_at", times[0])
        lacks[table] = [" or ".join(sorted(each)) for each in needs if not each & hits.keys()]
        if not lacks[table] and _is_likely(table, tried, looked):
            return table, hits
    near = min(lacks, key=lambda table: (len(lacks[table]) or 9, -len(tried[table])))
    return f"not known; nearest to {near}, without a column for {' and for '.join(lacks[near])}", {}


def _is_likely(table: str, tried: Mapping[str, dict[str, Column]], looked: Mapping[str, Column]) -> bool:
    """Whether a table that a file has the columns for is what its rows are."""
    member = tried[table].get("member_id")
    alone = member is not None and len(set(member.given)) == len(member.given) > 0
    if table == "orders":
        listed = alone and "joined_at" in tried["members"]  # members with what they spent in all
        return "order_id" in tried[table] or not ("event" in tried["events"] or listed)
    if table == "touchpoints":
        return "event" not in tried["events"]
    if table == "metric_daily":
        columns = [tried[table][role].texts for role in ("date", "scope_id") if role in tried[table]]
        rows = [row for row in zip(*columns, strict=True) if row[0]]
        once = len(set(rows)) == len(rows) and not any(":" in row[0] for row in rows)
        return once and any(each.kind == "number" for each in looked.values())
    return alone if table == "members" else True


def texts(table: str, hits: Mapping[str, Column], looked: Mapping[str, Column]) -> dict[str, str]:
    """Return what stands in the source of a table for each of its names, as YAML."""
    said: dict[str, Any] = {}
    written = signs(looked.values())
    for role, column in hits.items():
        said[f"{role}.name"] = column.name
        if not is_personal(column):  # contact data may become an id of its own only
            said[f"{role}.key"] = column.name
        how: dict[str, Any] = {"column": column.name, **number(column, *written)}
        if role == "currency" and any(text.islower() for text in column.given):
            how["values"] = {text: text.upper() for text in sorted(set(column.given))}
        if role.endswith("_id") and is_personal(column):
            how["hash"] = "true"
        if role in ("discount", "refund", "shipping") and not all(column.texts):
            how["empty"] = "0"
        if column.kind in ("s", "ms", "us") and not role.endswith("_id"):
            how["unit"] = column.kind
        if column.kind == "format":
            either = f"? Which is it, as in {column.given[0]}: {' or '.join(column.formats)}?"
            how["format"] = column.formats[0] if len(column.formats) == 1 else either
        said[role] = how if len(how) > 1 else column.name
        if column.kind in TIMES and 0 < len(column.strays) <= 3:
            said["strays"] = {column.name: list(column.strays)}
    if len(looked) <= FEW:
        said["checkin"] = "checkin"
    numbers = {
        name: each for name, each in looked.items() if each.kind == "number" and each not in hits.values()
    }
    said["metrics"] = {name: number(each, *written) or name for name, each in numbers.items()}
    said |= (_lines(hits) | _status(hits)) if table == "orders" else {}
    return {role: flow(text) for role, text in said.items()}


def _lines(hits: Mapping[str, Column]) -> dict[str, Any]:
    """Return how several rows of one order are one."""
    order, amount = hits.get("order_id"), next(hits[role] for role in AMOUNTS if role in hits)
    amounts, said = dict[str, list[str]](), dict[str, Any]()
    numbers = order.texts if order and order.kind != "lost" else ()
    for number, money in zip(numbers, amount.texts, strict=False):
        amounts.setdefault(number, []).append(money)
    several = [each for number, each in amounts.items() if number and len(each) > 1]
    if any("" in each for each in several):
        said["blank_total"] = amount.name
    if several := [each for each in several if sum(map(bool, each)) > 1]:
        same = all(len(set(filter(None, each))) == 1 for each in several) and "quantity" not in hits
        said["same_key"] = ONE_AMOUNT.format(len(several)) if same else "sum"
    return said


def _status(hits: Mapping[str, Column]) -> dict[str, Any]:
    """Return which orders were not paid, as far as the words of their status are known."""
    said: dict[str, Any] = {}
    counts = Counter(hits["status"].given if "status" in hits else ())
    listed = ("unpaid", "paid", "refunded")
    kinds = {kind: [text for text in counts if _plain(text) in _forms(kind)] for kind in listed}
    if set(counts) - set().union(*kinds.values()):
        shown = ", ".join(f"{text} ({count:,})" for text, count in counts.most_common(12))
        said["unpaid"] = f"? Which of these were not paid, as a list [a, b]: {shown}?"
    elif counts:
        said |= {"unpaid": kinds["unpaid"]} if kinds["unpaid"] else {}
        said["counted"] = kinds["paid"] + kinds["refunded"]
    if kinds["refunded"] and "refund" not in hits:
        said["refund_asked"] = (
            f"? Which column says how much was given back where it says {kinds['refunded'][0]}?"
        )
    return said


def currency(columns: Sequence[Column]) -> str:
    """Return the currency that names or signs of amounts tell; empty when they tell none, or several."""
    signs, names = words()["currencies"], " ".join(each.name for each in columns)
    texts = "".join(text for each in columns if each.kind == "number" for text in each.given)
    named = re.findall(r"\(([A-Z]{3})\)|(?i:[ _](usd|eur|cny|gbp|jpy)\b)", names)
    shown = {signs[sign] for sign in signs if sign in texts or f"({sign})" in names}
    found = {"".join(pair).upper() for pair in named} or shown
    return found.pop() if len(found) == 1 else ""


def flow(value: Any) -> str:
    """Return a value on one line of YAML, a question always in single quotes."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
