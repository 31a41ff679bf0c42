"""What the columns of an unknown export mean, by what they are called and by what they hold; see `words.yml`."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

import duckdb
import yaml

from helpers.data.exports.expressions import DECIMAL_COMMA
from helpers.data.exports.files import LOST_DIGITS, RawFile, UnreadableFileError
from helpers.data.exports.recognise import Known, alike
from helpers.data.schema import CONTACT
from helpers.data.tables import TABLES
from helpers.sentences import say, word

# Rows of each file that are looked at, and the share of the cells that tells what a column holds.
LOOKED_AT, MOST = 2000, 0.9
# Columns up to which a log of who and when is taken for one without a column of what.
FEW = 3
# Words of a column that a question shows.
SOME = 12
EPOCHS = ("s", "ms", "us")
# What stands between the words of a name.
BETWEEN = r"[\s_\-./#:°ºª\u0307]+"


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
        Every way in which its times may be written; of numbers that with a comma, or the question whether it is.
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
    def is_time(self) -> bool:
        """Whether it holds days or times."""
        return self.kind in words()["holds"]["timestamp"]

    @property
    def is_local(self) -> bool:
        """Whether it holds times that need a zone."""
        return self.kind == "local" or (self.kind == "format" and "%z" not in self.formats[0])

    def value(self, **more: Any) -> Any:
        """Return it as a value of a mapping: its name, and what must be said besides."""
        if self.formats:
            several = says("format", self.given[0], " or ".join(self.formats))
            more["format"] = several if len(self.formats) > 1 else self.formats[0]
        return {"column": self.name, **more} if more else self.name


@lru_cache
def words() -> dict[str, Any]:
    """Return what is known of names and texts, in the languages of exports."""
    return yaml.load((files("helpers.data.exports") / "words.yml").read_text("utf-8"), yaml.BaseLoader)


def says(what: str, *about: Any) -> str:
    """Return a sentence or question of a draft."""
    text = str(words()["says"][what])
    return word(text.strip()).format(*about) + "\n" * text.endswith("\n")


def look(raws: Sequence[RawFile], names: Sequence[str]) -> dict[str, Column]:
    """Return what the columns of some files of one form hold, by their first rows, or raise UnreadableFileError."""
    rows: list[tuple[Any, ...]] = []
    with duckdb.connect() as con:
        for raw in raws:
            try:
                rows += con.execute(f"{raw.columns(names)} LIMIT {LOOKED_AT}").fetchall()
            except duckdb.Error as error:
                said = " ".join(str(error).split("\n")[:2])
                raise UnreadableFileError(
                    say("{raw} has a row that cannot be followed: {said}", raw=raw.name, said=said)
                ) from None
    rows = list(dict.fromkeys(rows))  # overlapping exports repeat rows
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    found = {name: _column(name, cells) for name, cells in zip(names, columns, strict=True)}
    return found | _with_comma(found)


def _with_comma(looked: Mapping[str, Column]) -> dict[str, Column]:
    """Return the columns of numbers of a file whose signs are no decimal points, as in 1.234,56, or may be none."""
    signs, numbers = words()["signs"], [each for each in looked.values() if each.kind == "number"]
    texts = [text for each in numbers for text in each.given]
    comma, point = (any(re.search(signs[sign], text) for text in texts) for sign in ("comma", "point"))
    found = {}
    for each in numbers if not point else ():
        either = [text for text in each.given if re.fullmatch(signs["either"], text)]
        if comma and re.search("[.,]", "".join(each.given)):
            found[each.name] = replace(each, formats=(DECIMAL_COMMA,))
        elif either:
            found[each.name] = replace(each, formats=(says("thousand", either[0]),))
    return found


def _column(name: str, cells: Iterable[Any]) -> Column:
    stripped = (str(cell or "").strip(" \t\u3000\"'=`") for cell in cells)
    texts = tuple("" if text in words()["nothing"] else text for text in stripped)
    given = [text for text in texts if text]
    if any(re.fullmatch(LOST_DIGITS, text) for text in given):
        return Column(name, "lost", texts)
    for kind, pattern in words()["kinds"].items() if given else ():
        formats = _formats([text for text in given if re.search(r"\d", text)]) if kind == "format" else ()
        strays = [text for text in given if not re.fullmatch(r".*\d.*" if formats else pattern, text)]
        # One or two words below a few times are totals; another text among a few numbers is a text.
        few = min(2, (len(given) - 1) // 2) if kind in words()["holds"]["timestamp"] else 0
        if len(strays) <= max((1 - MOST) * len(given), few):
            return Column(name, kind, texts, tuple(dict.fromkeys(strays)), formats)
    return Column(name, "text" if given else "empty", texts)


def _formats(given: Sequence[str]) -> tuple[str, ...]:
    """Return the ways of writing times that all of some texts fit."""

    def fits(form: str) -> bool:
        try:
            return bool([dt.datetime.strptime(text, form) for text in given])
        except (ValueError, re.error):  # hours twice in one form are an error of its pattern
            return False

    dated = all(re.fullmatch(words()["dated"], text) for text in given)
    return tuple(filter(fits, map("".join, product(words()["days"], words()["clocks"])))) if dated else ()


@lru_cache(1 << 14)
def _plain(name: str) -> str:
    """Return a name as words are compared with it: without its unit, blanks, hyphens and the like."""
    return re.sub(rf"(?<=.)[\s_](usd|eur|cny|rmb|gbp|jpy|chf|utc)$|{BETWEEN}|\([^()]*\)", "", alike(name))


@lru_cache(1 << 14)
def _tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in any order: ``Cliente ID`` is ``id cliente``."""
    return tuple(sorted(re.split(BETWEEN, alike(name))))


@lru_cache
def _forms(listed: str) -> frozenset[str]:
    return frozenset(map(_plain, words()[listed]))


def _hits(table: str, looked: Mapping[str, Column]) -> dict[str, Column]:
    """Return which column of a file is which of a table: the best names first, each column once."""
    ranked = []
    for target, names in words()["tables"][table]["columns"].items():
        for column in [each for each in looked.values() if _holds(table, target, each)]:
            name, who = _plain(column.name), target == "member_id"
            # How many new members there are is no member.
            count = who and column.kind == "number" and not re.search("id|号|nr", name)
            for order, known in enumerate(map(_plain, names)):
                begins = name.startswith(known) and len(known) > (7 if known.isascii() else 3)
                ends = name.endswith(known) and len(known) > (3 if known.isascii() else 1) and not count
                exact = name == known or _tokens(column.name) == _tokens(names[order])
                if exact or begins or ends:
                    rank = (not exact, who and is_weak(column), order, -len(known))
                    ranked.append((rank, target, column))
    found: dict[str, Column] = {}
    for _, target, column in sorted(ranked, key=lambda each: each[0]):
        if target not in found and column not in found.values():
            found[target] = column
    return found


def is_weak(column: Column) -> bool:
    """Whether a column tells nobody apart for certain: masks, and names that people share or change."""
    name, shared = _plain(column.name), _forms("shared_names")
    ends = name.endswith(tuple(word for word in shared if len(word.encode()) > 5))
    return column.kind in ("masked", "name") or name in shared or ends


def is_personal(column: Column) -> bool:
    """Whether a column holds addresses or phones, by its name in any language or by what it holds."""
    named = CONTACT.search(column.name) or re.search(words()["personal"], column.name.casefold())
    return bool(named) or 2 * sum("@" in text for text in column.given) > len(column.given)


def _holds(table: str, target: str, column: Column) -> bool:
    """Whether a column holds what a column of the contract, or one that helps to read it, does."""
    types = {each.name: each.type for name in ("content_daily", table) for each in TABLES[name].columns}
    type_ = "float" if target in words()["helping"] else types.get(target, "string")
    key = target in ("message_id", "event_id")  # without a gap, or the cells of a row are its key
    return column.kind in words()["holds"].get(type_, words()["holds"]["string"]) and all(column.texts) >= key


def taken(looked: Mapping[str, Column], number: int) -> tuple[Known, dict[str, Column], dict[str, str]]:
    """Return what an unknown export was taken for, its columns, and what stands in its source for each name.

    Raises
    ------
    UnreadableFileError
        When it is like no table; then the message says what is lacking.
    """
    tried = {table: _hits(table, looked) for table in words()["tables"]}
    times = [each for each in looked.values() if each.is_time]
    lacks = {}
    for table, hits in tried.items():
        spec = words()["tables"][table]
        if table in ("events", "orders") and len(times) == 1:
            hits.setdefault("ts" if table == "events" else "paid_at", times[0])
        lacks[table] = [" or ".join(sorted(each)) for each in spec["needs"] if not set(each) & hits.keys()]
        if not lacks[table] and _is_likely(table, tried, looked):
            export = Known(f"{table}_{number}", says("unknown", table), spec["source"], optional=None)
            hits |= _told(hits, looked) if table == "orders" else {}
            return export, hits, _texts(table, hits, looked)
    near = min(lacks, key=lambda table: (len(lacks[table]) or 9, -len(tried[table])))
    raise UnreadableFileError(says("nearest", near, " and for ".join(lacks[near])))


def _is_likely(table: str, tried: Mapping[str, dict[str, Column]], looked: Mapping[str, Column]) -> bool:
    """Whether a table that a file has the columns for is what its rows are."""
    member = tried["messages" if table == "content" else table].get("member_id")
    alone = member is not None and len(set(member.given)) == len(member.given) > 0
    if table == "orders":
        listed = alone and "joined_at" in tried["members"]  # members with what they spent in all
        return "order_id" in tried[table] or not ("event" in tried["events"] or listed)
    if table == "content":
        return not member or is_weak(member) or not {"plays", "impressions"}.isdisjoint(tried[table])
    if table == "touchpoints":
        return "event" not in tried["events"]
    if table == "metric_daily":
        columns = [tried[table][role].texts for role in ("date", "scope_id") if role in tried[table]]
        rows = [row for row in zip(*columns, strict=True) if row[0]]
        once = len(set(rows)) == len(rows) and not any(":" in row[0] for row in rows)
        counts = any(each.kind == "number" for each in looked.values())
        return once and counts and "order_id" not in tried["orders"]
    return alone if table == "members" else True


def _texts(table: str, hits: Mapping[str, Column], looked: Mapping[str, Column]) -> dict[str, str]:
    """Return what stands in the source of a table for each of its names, as YAML."""
    said: dict[str, Any] = {}
    for role, column in hits.items():
        said[f"{role}.name"] = column.name
        how: dict[str, Any] = {}
        if not is_personal(column):  # contact data may become an id of its own only
            said[f"{role}.key"] = column.name
        elif role.endswith("_id"):
            how["hash"] = "true"
        if role == "currency" and any(text.islower() for text in column.given):
            how["values"] = {text: text.upper() for text in sorted(set(column.given))}
        if role in ("discount", "refund", "shipping") and not all(column.texts):
            how["empty"] = "0"
        if column.kind in EPOCHS and not role.endswith("_id"):
            how["unit"] = column.kind
        said[role] = column.value(**how)
        if column.is_time and 0 < len(column.strays) <= 3:
            said["strays"] = {column.name: list(column.strays)}
    said |= {"checkin": "checkin"} if len(looked) <= FEW else {}
    others = [each for each in looked.values() if each.kind == "number" and each not in hits.values()]
    said["metrics"] = {each.name: each.value() for each in others}
    said |= (_lines(hits) | _status(hits)) if table == "orders" else {}
    if "kind" in hits and len(set(hits["kind"].texts)) > 1:
        said["not_counted"] = says("not_counted", _counted(hits["kind"]))
    return {role: flow(text) for role, text in said.items()}


def _lines(hits: Mapping[str, Column]) -> dict[str, Any]:
    """Return how several rows of one order are one."""
    order, amount = hits.get("order_id"), next(hits[role] for role in words()["amounts"] if role in hits)
    amounts, said = defaultdict[str, list[str]](list), dict[str, Any]()
    numbers = order.texts if order and order.kind != "lost" else ()
    for number, money in zip(numbers, amount.texts, strict=False):
        amounts[number].append(money)
    several = [each for number, each in amounts.items() if number and len(each) > 1]
    if any("" in each for each in several):
        said["blank_total"] = amount.name
    if several := [each for each in several if sum(map(bool, each)) > 1]:
        same = all(len(set(filter(None, each))) == 1 for each in several) and "quantity" not in hits
        said["same_key"] = says("one_amount", len(several)) if same else "sum"
    return said


def _above(hits: Mapping[str, Column], column: Column) -> set[str]:
    """Return what a column says where the amount is not negative, which would be what was given back."""
    amount = next(hits[role] for role in words()["amounts"] if role in hits)
    rows = zip(column.texts, amount.texts, strict=True)
    return {text for text, money in rows if text and re.fullmatch("[^-−(]+", money)}


def _told(hits: Mapping[str, Column], looked: Mapping[str, Column]) -> dict[str, Column]:
    """Return further columns whose cells say that an order was not paid, or was given back."""
    few = [each for each in looked.values() if each not in hits.values() and len(set(each.given)) <= SOME]
    known = _forms("unpaid") | _forms("refunded")
    told = [each for each in few if known & set(map(_plain, _above(hits, each)))]
    return dict(zip([role for role in ("status", "kind") if role not in hits], told, strict=False))


def _counted(column: Column) -> str:
    """Return the words of a column and how often each stands there."""
    return ", ".join(f"{text} ({count:,})" for text, count in Counter(column.given).most_common(SOME))


def _status(hits: Mapping[str, Column]) -> dict[str, Any]:
    """Return which orders were not paid, as far as the words of their status are known."""
    if "status" not in hits:
        return {}
    said, counts, above = dict[str, Any](), Counter(hits["status"].given), _above(hits, hits["status"])
    lists = map(_forms, ("unpaid", "paid", "refunded"))
    unpaid, paid, refunded = ([text for text in counts if _plain(text) in known] for known in lists)
    if set(counts) - {*unpaid, *paid, *refunded}:
        told = "refund" in hits or refunded or set(counts) - above
        said["unpaid"] = says("unpaid" if told else "unpaid_or_back", _counted(hits["status"]))
    elif counts:
        said |= {"counted": paid + refunded} | ({"unpaid": unpaid} if unpaid else {})
    if (back := [text for text in refunded if text in above]) and "refund" not in hits:
        said["refund_asked"] = says("refund", back[0])
    return said


def currency(columns: Sequence[Column]) -> str:
    """Return the currency that names or signs of amounts tell; empty when they tell none, or several."""
    names = " ".join(each.name for each in columns)
    texts = " ".join(text for each in columns if each.kind == "number" for text in each.given)
    found = {each.upper() for each in re.findall(words()["currency_codes"], names)}
    signs = words()["currencies"].items()
    found = found or {code for sign, code in signs if sign in texts or f"({sign})" in names}
    return found.pop() if len(found) == 1 else ""


def flow(value: Any) -> str:
    """Return a value on one line of YAML, a question always in single quotes."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
