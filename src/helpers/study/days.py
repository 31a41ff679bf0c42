"""Days as whole numbers (days since 1970-01-01): engines differ in date arithmetic, but not in subtraction."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.study.frames import COUNTS, Count

EPOCH = dt.date(1970, 1, 1)


def number_of(day: dt.date) -> int:
    """Return a day as the number of days since 1970-01-01."""
    return (day - EPOCH).days


def day_number(column: ibis.Value) -> ibis.Value:
    """Return a date column as days since 1970-01-01 (int64)."""
    return column.delta(ibis.date(EPOCH), unit="day").cast("int64")


def one_day(day: ibis.Value) -> dt.date | None:
    """Return the day that an aggregate of days says; None where it says none."""
    found = day.execute()
    return None if pd.isna(found) else pd.Timestamp(found).date()


def purchase_days(activity: ibis.Table | pd.DataFrame, count: Count = "order") -> ibis.Table:
    """Return one row per member and calendar day with a counted action: member_id, day, value (sum over the day).

    Several orders on one day are one purchase.
    """
    rows = as_table(activity)
    rows = rows.filter(rows.kind.cast("string").isin(COUNTS[count]))
    found = rows.group_by(member_id=rows.member_id.cast("string"), day=rows.day.cast("date"))
    return found.agg(value=rows.value.cast("float64").sum())
