"""Small things every method needs of days and tables: what a day is, what counts, when to compute a table once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal

import ibis
import ibis.expr.operations as ops
import pandas as pd

from helpers.data.dialect import stored
from helpers.data.source import as_table
from helpers.errors import BadData, BadParameters
from helpers.sentences import say

Count = Literal["interaction", "order", "all"]
# The level of members whose column is empty: they count, under a name of their own.
NOT_STATED = "not stated"

COUNTS = {"interaction": ("interaction",), "order": ("order",), "all": ("interaction", "order")}


def as_day(value: dt.date | str, name: str = "as_of") -> dt.date:
    """Return a calendar day given as date or as text such as ``"2026-06-30"``."""
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadParameters(
            say('{name} == {value!r}, must be a day such as "2026-06-30".', name=name, value=value)
        ) from None


def require_columns(table: ibis.Table | pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Raise ``BadData`` naming every column of `names` that the table called `what` does not have."""
    if absent := [name for name in dict.fromkeys(names) if name not in table.columns]:
        there = ", ".join(map(str, table.columns))
        raise BadData(
            say(
                "{what}: column {absent} missing; there is {there}.",
                what=what,
                absent=", ".join(absent),
                there=there,
            )
        )


def require_unique(table: ibis.Table, column: str, what: str) -> None:
    """Raise ``BadData`` when a value of `column` is null or stands in several rows of the table called `what`."""
    counts = table.group_by(column).aggregate(rows=table.count())
    repeated = counts.filter((counts["rows"] > 1) | counts[column].isnull())
    if found := int(repeated.count().execute()):
        raise BadData(
            say(
                "{what}: one row per {column} is needed, but {found:,} have several rows or none.",
                what=what,
                column=column,
                found=found,
            )
        )


def materialise(table: ibis.Table) -> ibis.Table:
    """Return the table computed once inside its engine (a temporary table), so that no scan is repeated.

    A table that is only a selection from stored rows is returned as it is.
    """
    heavy = (ops.Aggregate, ops.JoinChain, ops.Set, ops.WindowFunction, ops.Distinct)
    return stored(table) if table.op().find(heavy) else table


def with_days(table: ibis.Table | pd.DataFrame, *columns: str) -> ibis.Table:
    """Return the table with calendar days as dates: pandas has no dates, so its frames bring instants at midnight."""
    found = as_table(table)
    return found.mutate(**{name: found[name].cast("date") for name in columns})
