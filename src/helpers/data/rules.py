"""The rules of the data contract as aggregate expressions, so that the engine counts the offenders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.cells import ADVICE
from helpers.data.dialect import row_hash
from helpers.data.schema import Column, Table
from helpers.data.violation import EXAMPLES, Violation
from helpers.sentences import say, word

# No community of this kind is older; a zero epoch or a spreadsheet's day 0 is an export defect.
EARLIEST = dt.datetime(1992, 1, 1)

# What ids look like that went through a number: the rule, the pattern, and what to do.
IDS_OF_NUMBERS = (
    (
        "damaged id",
        r"^[+-]?([0-9]+([.][0-9]+)?[eE][+][0-9]+|[0-9]([.][0-9]+)?[eE][12][0-9]|[0-9]{16,}[.]0+)$",
        "A spreadsheet or a float column has rounded these ids, and their last digits are lost. "
        "Export again with the column as text.",
    ),
    (
        "id with a decimal point",
        r"^[+-]?[0-9]{1,15}[.]0+$",
        "A float column has written these ids. No digit is lost, but leading zeros may be, and other tables have the "
        "same ids without a point: export the column as text.",
    ),
)
# Length of the longest of these words.
SHORT = 6
NULL_WORDS = ("null", "(null)", "na", "n/a", "#n/a", "<na>", "nan", "nat", "nil", "none", "\\n", "-", "--")
NULL_ADVICE = "The word stands for a missing value and is no id: leave the cell empty, or give the id."

# A rule about one column: its name, which rows break it, and what to do.
OfColumn = tuple[str, Any, str]

# Types of an engine that can hold each type of the contract.
ENGINE_TYPES = {
    **dict.fromkeys(("string", "category"), ("string",)),
    **dict.fromkeys(("integer", "float"), ("numeric",)),
    **{name: (name,) for name in ("timestamp", "date", "boolean")},
    "json": ("json", "string", "struct", "map"),
    "list": ("array", "string"),
}


@dataclass(frozen=True)
class RowRule:
    """A rule about single rows: where it looks, which rows break it, and what to say."""

    columns: tuple[str, ...]
    rule: str
    breaks: Any
    advice: str


def fits(column: Column, dtype: Any) -> bool:
    """Whether a column of the engine's type `dtype` can hold the contract's type without a guess."""
    if column.type == "date" and dtype.is_timestamp():
        return dtype.timezone is None
    return any(getattr(dtype, f"is_{kind}")() for kind in ENGINE_TYPES[column.type])


def wrong_columns(spec: Table, table: ir.Table) -> list[Violation]:
    """Return missing columns and columns of a wrong type."""
    violations = []
    schema = table.schema()
    extra = [name for name in table.columns if name not in spec]
    for column in spec.columns:
        if column.name in schema:
            violations += [] if fits(column, schema[column.name]) else _wrong_type(spec, table, column)
        elif column.required:
            near, there = did_you_mean(column.name, extra), ", ".join(table.columns)
            text = "The table needs it: {meaning}.{near} There is {there}."
            advice = say(text, meaning=word(column.meaning).lower(), near=near, there=there)
            violations.append(Violation(spec.name, column.name, "missing column", 0, (), advice))
    return violations


def _wrong_type(spec: Table, table: ir.Table, column: Column) -> list[Violation]:
    """Report a wrong type, unless the column holds nothing at all and so has no type to be wrong."""
    value = table[column.name]
    count = int(value.count().execute())
    if count == 0 and not column.required:
        return []
    text = {
        "string": "Ids and names are text, so that no digit is lost: export or cast them as text.",
        "timestamp": (
            "Store instants in UTC; numbers since 1970 must be declared, epoch={{'{where}': 's'}} (or "
            "'ms', 'us')."
        ),
        "date": "Store a calendar day without a time zone.",
    }.get(column.type, "Cast it to {type} before writing the file.")
    text = f"It is {{found}}, must be {{type}}.\n{text}"
    advice = say(text, found=value.type(), type=column.type, where=f"{spec.name}.{column.name}")
    rows = examples(spec, table, value.notnull(), (column.name,))
    return [Violation(spec.name, column.name, "wrong type", count, rows, advice)]


def row_rules(spec: Table, table: ir.Table, usable: Collection[str], latest: dt.datetime) -> list[RowRule]:
    """Return the rules that apply to the columns at hand."""
    found: list[RowRule] = []
    for column in spec.columns:
        if column.name in usable and fits(column, table.schema()[column.name]):
            rules = _column_rules(column, table[column.name], latest)
            found += [RowRule((column.name,), *each) for each in rules]
    for invariant in spec.invariants:
        if set(invariant.needs) <= set(usable):
            advice = say("In every row {rule} must hold; mend the export.", rule=invariant.sentence)
            found.append(RowRule(invariant.needs, "broken invariant", ~invariant.holds(table), advice))
    return found


def _column_rules(column: Column, value: Any, latest: dt.datetime) -> Iterator[OfColumn]:
    if column.key:
        yield "null key", value.isnull(), say("Each row needs its key.")
    elif column.required:
        yield "null required value", value.isnull(), say("The column must hold a value in every row.")
    if column.type in ("integer", "float"):
        yield from _number_rules(column, value)
    elif column.type in ("timestamp", "date"):
        yield from _time_rules(column, value, latest)
    elif column.is_id or (column.type == "string" and column.key):
        # Cheap tests come first, so that the words and the patterns are tried on suspects only.
        short = value.length() <= SHORT
        numeric = short | value.contains(".") | value.contains("+")
        named = ibis.cases((short, value.lower().isin(NULL_WORDS)), else_=False)
        yield "null written as a word", named, say(NULL_ADVICE)
        for rule, pattern, advice in IDS_OF_NUMBERS:
            yield rule, ibis.cases((numeric, value.re_search(pattern)), else_=False), say(advice)
    if column.name == "currency":
        valid = value.re_search("^[A-Z]{3}$")
        yield "impossible value", ~valid, say("A currency is an ISO 4217 code such as CNY.")
    if column.allowed:
        yield (
            "impossible value",
            value.notin(column.allowed),
            say("Allowed values: {known}.", known=", ".join(column.allowed)),
        )


def _number_rules(column: Column, value: Any) -> Iterator[OfColumn]:
    """Bounds, NaN and infinity, and fractions in a column of whole numbers."""
    outside = [value.isnan(), value.isinf()] if value.type().is_floating() else []
    if column.minimum is not None:
        outside.append(value < column.minimum)
    if column.maximum is not None:
        outside.append(value > column.maximum)
    if outside:
        text = "It must be a finite number, {bounds}." if column.bounds else "It must be a finite number."
        advice = say(text, bounds=column.bounds)
        yield "impossible value", ibis.or_(*outside), advice
    if column.type == "integer" and not value.type().is_integer():
        yield "not a whole number", value != value.floor(), say("The column holds whole numbers.")


def _time_rules(column: Column, value: Any, latest: dt.datetime) -> Iterator[OfColumn]:
    """Times before any community or after now, and days that carry a time of day."""
    timed, said = value.type().is_timestamp(), "day with a time of day"
    zone = "Z" if timed and value.type().timezone is not None else ""
    if column.type == "date":
        if timed:
            yield said, value != value.truncate("D"), say(ADVICE[said])
            value = value.date()
        first, last = ibis.date(EARLIEST.date()), ibis.date(latest.date())
    else:
        first, last = (ibis.timestamp(f"{moment.isoformat()}{zone}") for moment in (EARLIEST, latest))
    text = "A time before {year} is an export defect, such as a zero or a wrong epoch unit."
    advice = say(text, year=EARLIEST.year)
    yield "impossible value", value < first, advice
    if not column.may_be_future:
        text = "Nothing can have happened after {latest} UTC; check unit and time zone."
        advice = say(text, latest=f"{latest:%Y-%m-%d %H:%M}")
        yield "time in the future", value > last, advice


def broken_rows(spec: Table, table: ir.Table, found: Sequence[RowRule]) -> list[Violation]:
    """Count all offenders of all row rules in one scan, then fetch examples of those that fail."""
    measures = {f"rule_{i}": table.count(where=rule.breaks) for i, rule in enumerate(found)}
    currency = spec.money and "currency" in table.columns and table["currency"].type().is_string()
    if currency:
        amounts = ibis.or_(*(table[name].notnull() for name in spec.money if name in table.columns), False)
        measures |= {"currency_low": table["currency"].min(), "currency_high": table["currency"].max()}
        measures["currency_none"] = table.count(where=table["currency"].isnull() & amounts)
    if not measures:
        return []
    counts = table.aggregate(**measures).execute().iloc[0]
    violations = []
    for i, rule in enumerate(found):
        if count := int(counts[f"rule_{i}"]):
            rows = examples(spec, table, rule.breaks, rule.columns)
            violations.append(Violation(spec.name, rule.columns[-1], rule.rule, count, rows, rule.advice))
    if currency and counts["currency_low"] != counts["currency_high"]:
        violations += _mixed_currencies(spec, table)
    elif currency and counts["currency_none"]:
        advice = say("Others are in {code}: say the currency of each amount.", code=counts["currency_low"])
        said, where = "amount without a currency", ("currency",)
        rows, count = examples(spec, table, table["currency"].isnull(), where), int(counts["currency_none"])
        violations.append(Violation(spec.name, "currency", said, count, rows, advice))
    return violations


def _mixed_currencies(spec: Table, table: ir.Table) -> list[Violation]:
    frame = table["currency"].value_counts(name="rows").execute().dropna()
    if len(frame) < 2:
        return []
    frame = frame.sort_values(["rows", "currency"], ascending=[False, True])
    text = "Amounts in {codes} cannot be added. Convert them to one currency or split the table."
    advice = say(text, codes=", ".join(frame["currency"]))
    rows, others = tuple(frame.head(EXAMPLES).to_dict("records")), int(frame["rows"].iloc[1:].sum())
    return [Violation(spec.name, "currency", "mixed currencies", others, rows, advice)]


def duplicate_keys(spec: Table, table: ir.Table) -> list[Violation]:
    """Return rows that share their key with an earlier row.

    Keys are first grouped by a 64-bit hash, which needs a fraction of the memory of the keys themselves; only rows
    whose hash repeats are compared by their real keys.
    """
    key = [*spec.key, *(name for name in spec.refined_by if name in table.columns)]
    hashed = table.select(*key, key_hash=row_hash(table, key))
    groups = hashed.group_by("key_hash").having(ibis._.count() > 1).aggregate()
    if int(groups.count().execute()) == 0:
        return []
    suspects = hashed.semi_join(groups, "key_hash").group_by(key).aggregate(rows=ibis._.count())
    repeated = suspects.filter((suspects["rows"] > 1) & suspects[key[0]].notnull())
    count = int((repeated["rows"] - 1).sum().fill_null(0).execute())
    if count == 0:
        return []
    worst = repeated.order_by([ibis.desc("rows"), *key]).limit(EXAMPLES).execute()
    text = "Each row is {grain}; remove the repeated rows at their source, keeping the right one."
    advice = say(text, grain=word(spec.grain))
    return [Violation(spec.name, ", ".join(key), "duplicate key", count, _records(worst), advice)]


def examples(spec: Table, table: ir.Table, where: Any, columns: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Return three rows that satisfy `where`: their key and the columns concerned."""
    key = [name for name in spec.key if name in table.columns]
    frame = table.filter(where).select(list(dict.fromkeys([*key, *columns])))
    frame = (frame.order_by(key) if key else frame).limit(EXAMPLES).execute()
    hidden = {name: say("(withheld)") for name in frame.columns if spec[name].privacy == "P3"}
    return _records(frame.assign(**hidden))


def _records(frame: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Return rows with plain missing values."""
    plain = frame.astype(object).where(frame.notna(), None)  # type: ignore[call-overload]
    return tuple(plain.to_dict("records"))
