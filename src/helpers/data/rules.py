"""The rules of the data contract as aggregate expressions, so that the engine counts the offenders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.schema import Column, Table
from helpers.data.violation import EXAMPLES, Violation

EARLIEST = dt.datetime(1992, 1, 1)
"""No community of this kind is older; a zero epoch or a spreadsheet's day 0 is an export defect."""

DAMAGED_ID = r"^[+-]?[0-9]+([.][0-9]+)?[eE][+][0-9]+$"
FLOAT_ID = r"^[0-9]+[.]0$"
ID_ADVICE = (
    "A spreadsheet or a float column has rounded these ids, and their last digits are lost. "
    "Export again with the column as text."
)


@dataclass(frozen=True)
class RowRule:
    """A rule about single rows: which rows break it, and what to say."""

    columns: tuple[str, ...]
    rule: str
    breaks: Callable[[ir.Table], Any]
    advice: str


def fits(column: Column, dtype: Any) -> bool:
    """Whether a column of the engine's type `dtype` can hold the contract's type without a guess."""
    tests: dict[str, Callable[[Any], bool]] = {
        "string": lambda d: d.is_string(),
        "category": lambda d: d.is_string(),
        "timestamp": lambda d: d.is_timestamp(),
        "date": lambda d: d.is_date() or (d.is_timestamp() and d.timezone is None),
        "integer": lambda d: d.is_numeric() and not d.is_boolean(),
        "float": lambda d: d.is_numeric() and not d.is_boolean(),
        "boolean": lambda d: d.is_boolean(),
        "json": lambda d: d.is_json() or d.is_string() or d.is_struct() or d.is_map(),
        "list": lambda d: d.is_array() or d.is_string(),
    }
    return tests[column.type](dtype)


def wrong_columns(spec: Table, table: ir.Table) -> list[Violation]:
    """Return missing columns and columns of a wrong type."""
    violations = []
    schema = table.schema()
    extra = [name for name in table.columns if name not in spec]
    for column in spec.columns:
        if column.name not in schema:
            if column.required:
                hint = did_you_mean(column.name, extra)
                advice = f"The table needs it: {column.meaning.lower()}.{hint}"
                violations.append(Violation(spec.name, column.name, "missing column", 0, (), advice))
        elif not fits(column, schema[column.name]):
            violations += _wrong_type(spec, table, column)
    return violations


def _wrong_type(spec: Table, table: ir.Table, column: Column) -> list[Violation]:
    """Report a wrong type, unless the column holds nothing at all and so has no type to be wrong."""
    value = table[column.name]
    count = int(value.count().execute())
    if count == 0 and not column.required:
        return []
    advice = f"It is {value.type()}, must be {column.type}. "
    advice += {
        "string": "Ids and names are text, so that no digit is lost: export or cast them as text.",
        "timestamp": "Store instants in UTC; numbers since 1970 must be declared, "
        f"epoch={{'{spec.name}.{column.name}': 's'}} (or 'ms', 'us').",
        "date": "Store a calendar day without a time zone.",
    }.get(column.type, f"Cast it to {column.type} before writing the file.")
    rows = examples(spec, table, value.notnull(), (column.name,))
    return [Violation(spec.name, column.name, "wrong type", count, rows, advice)]


def row_rules(spec: Table, table: ir.Table, usable: Collection[str], latest: dt.datetime) -> list[RowRule]:
    """Return the rules that apply to the columns at hand."""
    schema = table.schema()
    found: list[RowRule] = []
    for column in spec.columns:
        if column.name not in usable or not fits(column, schema[column.name]):
            continue
        dtype = schema[column.name]
        found += _null_rules(spec, column)
        if column.type in ("integer", "float"):
            found += _number_rules(column, dtype)
        elif column.type in ("timestamp", "date"):
            found += _time_rules(column, dtype, latest)
        elif column.is_id or (column.type == "string" and column.name in spec.key):
            found.append(_id_rule(column.name))
        if column.allowed:
            found.append(_allowed_rule(column))
    for invariant in spec.invariants:
        if set(invariant.needs) <= set(usable):
            advice = f"In every row {invariant.sentence} must hold; mend the export."
            breaks = _breaks(invariant.holds)
            found.append(RowRule(invariant.needs, "broken invariant", breaks, advice))
    return found


def _breaks(holds: Callable[[Any], Any]) -> Callable[[ir.Table], Any]:
    return lambda table: ~holds(table)


def _null_rules(spec: Table, column: Column) -> list[RowRule]:
    if not column.required:
        return []
    name = column.name
    if name in spec.key:
        return [RowRule((name,), "null key", lambda t: t[name].isnull(), "Each row needs its key.")]
    advice = "The column must hold a value in every row."
    return [RowRule((name,), "null required value", lambda t: t[name].isnull(), advice)]


def _number_rules(column: Column, dtype: Any) -> list[RowRule]:
    """Bounds, NaN and infinity, and fractions in a column of whole numbers."""
    name, low, high = column.name, column.minimum, column.maximum
    found = []
    limits = []
    if low is not None:
        limits.append(f"at least {low:g}")
    if high is not None:
        limits.append(f"at most {high:g}")

    def outside(table: ir.Table) -> Any:
        value = table[name]
        parts = []
        if low is not None:
            parts.append(value < low)
        if high is not None:
            parts.append(value > high)
        if dtype.is_floating():
            parts += [value.isnan(), value.isinf()]
        return ibis.or_(*parts)

    if limits or dtype.is_floating():
        advice = "It must be a finite number" + (", " + " and ".join(limits) if limits else "") + "."
        found.append(RowRule((name,), "impossible value", outside, advice))
    if column.type == "integer" and not dtype.is_integer():
        advice = "The column holds whole numbers."
        found.append(RowRule((name,), "not a whole number", lambda t: t[name] != t[name].floor(), advice))
    return found


def _time_rules(column: Column, dtype: Any, latest: dt.datetime) -> list[RowRule]:
    """Times before any community or after now, and days that carry a time of day."""
    name = column.name
    zoned = dtype.is_timestamp() and dtype.timezone is not None
    if column.type == "date":
        first, last = ibis.date(EARLIEST.date()), ibis.date(latest.date())
    else:
        first, last = (ibis.timestamp(t.isoformat() + "Z" * zoned) for t in (EARLIEST, latest))

    def value(table: ir.Table) -> Any:
        column_ = table[name]
        return column_.date() if column.type == "date" and dtype.is_timestamp() else column_

    advice = f"A time before {EARLIEST:%Y} is an export defect, such as a zero or a wrong epoch unit."
    found = [RowRule((name,), "impossible value", lambda t: value(t) < first, advice)]
    if not column.may_be_future:
        advice = f"Nothing can have happened after {latest:%Y-%m-%d %H:%M} UTC; check unit and time zone."
        found.append(RowRule((name,), "time in the future", lambda t: value(t) > last, advice))
    if column.type == "date" and dtype.is_timestamp():
        advice = "The column holds calendar days; a time of day must be in a timestamp column."
        breaks = lambda t: t[name] != t[name].truncate("D")  # noqa: E731
        found.append(RowRule((name,), "day with a time of day", breaks, advice))
    return found


def _id_rule(name: str) -> RowRule:
    """Ids that went through a number: ``1.23E+18`` or ``123.0``.

    The cheap substring test comes first, so that the regular expression runs on suspects only.
    """

    def breaks(table: ir.Table) -> Any:
        value = table[name]
        exponent = value.contains("E+") | value.contains("e+")
        return ibis.cases(
            (exponent, value.re_search(DAMAGED_ID)),
            (value.endswith(".0"), value.re_search(FLOAT_ID)),
            else_=False,
        )

    return RowRule((name,), "damaged id", breaks, ID_ADVICE)


def _allowed_rule(column: Column) -> RowRule:
    name, allowed = column.name, column.allowed
    advice = f"Allowed values: {', '.join(allowed)}."
    return RowRule((name,), "impossible value", lambda t: t[name].notin(allowed), advice)


def broken_rows(spec: Table, table: ir.Table, found: Sequence[RowRule]) -> list[Violation]:
    """Count all offenders of all row rules in one scan, then fetch examples of those that fail."""
    measures = {f"rule_{i}": table.count(where=rule.breaks(table)) for i, rule in enumerate(found)}
    mixed = _currency(spec, table)
    if mixed is not None:
        measures |= {"currency_low": table[mixed].min(), "currency_high": table[mixed].max()}
    if not measures:
        return []
    counts = table.aggregate(**measures).execute().iloc[0]
    violations = []
    for i, rule in enumerate(found):
        count = int(counts[f"rule_{i}"])
        if count:
            rows = examples(spec, table, rule.breaks(table), rule.columns)
            where = rule.columns[-1]
            violations.append(Violation(spec.name, where, rule.rule, count, rows, rule.advice))
    if mixed is not None and counts["currency_low"] != counts["currency_high"]:
        violations += _mixed_currencies(spec, table, mixed)
    return violations


def _currency(spec: Table, table: ir.Table) -> str | None:
    """Return the currency column when the table counts money in it."""
    there = "currency" in table.columns and table.schema()["currency"].is_string()
    return "currency" if there and spec.money else None


def _mixed_currencies(spec: Table, table: ir.Table, name: str) -> list[Violation]:
    counts = table.filter(table[name].notnull()).group_by(name).aggregate(rows=lambda t: t.count())
    frame = counts.order_by([ibis.desc("rows"), name]).execute()
    if len(frame) < 2:
        return []
    rows = tuple({name: row[name], "rows": int(row["rows"])} for _, row in frame.head(EXAMPLES).iterrows())
    advice = (
        f"Amounts in {', '.join(frame[name])} cannot be added. "
        "Convert them to one currency or split the table."
    )
    others = int(frame["rows"].sum() - frame["rows"].max())
    return [Violation(spec.name, name, "mixed currencies", others, rows, advice)]


def duplicate_keys(spec: Table, table: ir.Table) -> list[Violation]:
    """Return rows that share their key with an earlier row."""
    repeated = _repeated_keys(spec, table)
    if repeated is None:
        return []
    count = int(repeated.aggregate(extra=(repeated["rows"] - 1).sum()).execute()["extra"].fillna(0).iloc[0])
    if count == 0:
        return []
    key = _full_key(spec, table)
    worst = repeated.order_by([ibis.desc("rows"), *key]).limit(EXAMPLES).execute()
    rows = tuple(_plain(row) for row in worst.to_dict("records"))
    advice = f"Each row is {spec.grain}; remove the repeated rows at their source, keeping the right one."
    return [Violation(spec.name, ", ".join(key), "duplicate key", count, rows, advice)]


def count_duplicate_keys(spec: Table, table: ir.Table) -> int:
    """Return how many rows share their key with an earlier row; 0 in a table that was checked."""
    found = duplicate_keys(spec, table) if set(spec.key) <= set(table.columns) else []
    return found[0].count if found else 0


def _full_key(spec: Table, table: ir.Table) -> list[str]:
    """Return the columns of the key that the table has."""
    return [*spec.key, *(name for name in spec.key_when_present if name in table.columns)]


def _repeated_keys(spec: Table, table: ir.Table) -> ir.Table | None:
    """Return the keys that occur more than once with their number of rows, or None; one scan.

    Keys are first grouped by a 64-bit hash, which needs a fraction of the memory of the keys
    themselves; only rows whose hash repeats are compared by their real keys.
    """
    key = _full_key(spec, table)
    hashed = table.select(*key, key_hash=_hash(table, key))
    groups = hashed.group_by("key_hash").aggregate(rows=lambda t: t.count())
    groups = groups.filter(groups["rows"] > 1)
    if int(groups.count().execute()) == 0:
        return None
    suspects = hashed.semi_join(groups, "key_hash").group_by(key).aggregate(rows=lambda t: t.count())
    return suspects.filter((suspects["rows"] > 1) & suspects[spec.key[0]].notnull())


def _hash(table: ir.Table, key: Sequence[str]) -> Any:
    """Return a hash of the key; the text of several columns is joined by a separator."""
    if len(key) == 1:
        return table[key[0]].hash()
    parts = [table[name].cast("string").fill_null("") for name in key]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "\x1f" + part
    return joined.hash()


def examples(spec: Table, table: ir.Table, where: Any, columns: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Return three rows that satisfy `where`: their key and the columns concerned."""
    key = [name for name in spec.key if name in table.columns]
    shown = list(dict.fromkeys([*key, *columns]))
    frame = table.filter(where).select(shown)
    if key:
        frame = frame.order_by(key)
    hidden = {column.name for column in spec.columns if column.privacy == "P3"}
    records = frame.limit(EXAMPLES).execute().to_dict("records")
    return tuple(
        {name: "(withheld)" if name in hidden else value for name, value in _plain(row).items()}
        for row in records
    )


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a row with plain missing values."""
    missing = {name: None for name, value in row.items() if pd.api.types.is_scalar(value) and pd.isna(value)}
    return {str(name): value for name, value in (row | missing).items()}
