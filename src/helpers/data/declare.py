"""Words in which the tables of the contract are declared.

Common columns (``source``, ``ingested_at``, and ``is_complete`` for daily aggregates) are added to
each table, because every export has an origin and a moment, and daily figures are revised late.
"""

from __future__ import annotations

from typing import Any

from helpers.data.schema import Column, ColumnType, Invariant, Table


def column(name: str, type_: ColumnType, meaning: str, **facts: Any) -> Column:
    """Declare a column of any type."""
    return Column(name=name, type=type_, meaning=meaning, **facts)


def key(name: str, meaning: str, **facts: Any) -> Column:
    """Declare a required text that is part of the key or names what the row is about."""
    return Column(name=name, type="string", required=True, meaning=meaning, **facts)


def text(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare an optional text."""
    return Column(name=name, type="string", meaning=meaning, **facts)


def category(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a category; an open vocabulary unless `allowed` closes it."""
    return Column(name=name, type="category", meaning=meaning, **facts)


def time(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare an instant."""
    return Column(name=name, type="timestamp", unit="UTC", meaning=meaning, **facts)


def day(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a calendar day."""
    return Column(name=name, type="date", unit="day in the report's time zone", meaning=meaning, **facts)


def count(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a whole number of at least 0."""
    return Column(name=name, type="integer", unit="count", meaning=meaning, minimum=0, **facts)


def money(name: str, meaning: str = "", minimum: float | None = 0, **facts: Any) -> Column:
    """Declare an amount in the currency of the row; at least 0 unless `minimum` is None."""
    return Column(name=name, type="float", unit="currency", meaning=meaning, minimum=minimum, **facts)


def number(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a number."""
    return Column(name=name, type="float", meaning=meaning, **facts)


def share(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a number between 0 and 1."""
    return Column(name=name, type="float", unit="share", meaning=meaning, minimum=0, maximum=1, **facts)


def flag(name: str, meaning: str = "", **facts: Any) -> Column:
    """Declare a boolean."""
    return Column(name=name, type="boolean", meaning=meaning, **facts)


def not_above(lower: str, upper: str, slack: float = 0) -> Invariant:
    """Declare that `lower` <= `upper`; `slack` forgives the last binary digit of a sum of money."""
    return Invariant(f"{lower} <= {upper}", (upper, lower), lambda t: t[lower] <= t[upper] + slack)


def not_before(later: str, earlier: str) -> Invariant:
    """Declare that `later` is not before `earlier`."""
    return Invariant(f"{later} >= {earlier}", (earlier, later), lambda t: t[later] >= t[earlier])


CURRENCY = category("currency", "ISO 4217 code; one per table")
COMMON = (
    category("source", "System the row was exported from"),
    time("ingested_at", "When the row was exported"),
)
COMPLETE = flag("is_complete", "False while the platform may still revise the day")
MEMBER = key("member_id", "Member", privacy="P1")
MEMBER_IF_KNOWN = text("member_id", "Member, when known", privacy="P1")
HALF_CENT = 0.005


def table(
    name: str, grain: str, needed_by: str, key: tuple[str, ...], *columns: Column, **facts: Any
) -> Table:
    """Declare a table; money columns are those whose unit is currency."""
    present = {column.name for column in columns}
    columns += tuple(column for column in COMMON if column.name not in present)
    money = tuple(column.name for column in columns if column.unit == "currency")
    return Table(name, grain, columns, key, tuple(needed_by.split()), money=money, **facts)
