"""From activity to buy-till-you-die histories: one row per member, then one row per distinct history.

Definitions
-----------
A transaction is a member's calendar day with at least one counted action: several orders on
one day are one transaction whose value is their sum, as in Fader and Hardie's data and in lifetimes.

- x: repeat transactions, the number of transactions minus one.
- t_x: time from the first to the last transaction. Beware: RFM calls "recency" the time *since* the last
  transaction, which is T - t_x.
- T: time from the first transaction to the end of the day `as_of`.
- mean_repeat_value: mean value of the x repeat transactions; the first is left out, because x is what a
  model of repeat buying is weighted with.

Times are whole days divided by `unit_days` (7: weeks). Members with equal (x, t_x, T) are one cell with a
count, which is all that a likelihood needs. Everything is counted in the engine.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.data.source import as_table

KEYS = ["x", "t_x", "T"]


@dataclass(frozen=True)
class Cells:
    """Distinct buying histories with how many members share each.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per distinct history: x (int), t_x, T (float, units of `unit_days`), members (int); ordered by them.
    as_of : datetime.date
        Last day of observation.
    unit_days : float
        Days in a unit of time.
    transactions : ibis.Table
        The member-days behind the cells: member_id, day, value.
    """

    table: pd.DataFrame = field(repr=False)
    as_of: dt.date
    unit_days: float
    transactions: ibis.Table = field(repr=False)


def histories(days: ibis.Table, day: dt.date, unit_days: float = 7.0) -> ibis.Table:
    """Return the buying history of every member with a transaction up to `day`.

    Parameters
    ----------
    days : ibis.Table
        Member-days: member_id, day, value, as made by :func:`helpers.study.days.purchase_days`.
    day : date
        Last day of observation.
    unit_days : float
        Days in a unit of time.

    Returns
    -------
    ibis.Table
        member_id; x (int); t_x, T (float, units of time); recency_days (int, days since the last
        transaction); value (float, sum of all transactions); mean_repeat_value (float, missing for x = 0).
    """
    seen = days.filter(days.day <= ibis.date(day))
    found = seen.group_by("member_id").agg(
        first_day=seen.day.min(),
        last_day=seen.day.max(),
        days=seen.count(),
        value=seen.value.sum(),
        first_value=seen.value.argmin(seen.day),
    )
    repeats = (found.days - 1).cast("int64")
    # Rounding to a millionth makes the sums independent of the order in which an engine adds them up.
    mean = rounded((found.value - found.first_value) / repeats.nullif(0), VALUE_DECIMALS)
    return found.select(
        "member_id",
        x=repeats,
        t_x=found.last_day.delta(found.first_day, unit="day").cast("float64") / float(unit_days),
        T=ibis.date(day).delta(found.first_day, unit="day").cast("float64") / float(unit_days),
        recency_days=ibis.date(day).delta(found.last_day, unit="day").cast("int64"),
        value=rounded(found.value, VALUE_DECIMALS),
        mean_repeat_value=mean,
    )


def cells(days: ibis.Table, as_of: dt.date, unit_days: float = 7.0) -> Cells:
    """Compress member-days to cells (x, t_x, T, members) inside the engine; arguments as in :func:`histories`."""
    found = histories(days, as_of, unit_days)
    table = found.group_by(KEYS).agg(members=found.count()).to_pandas()
    table = table.astype({"x": "int64", "t_x": "float64", "T": "float64", "members": "int64"})
    return Cells(table.sort_values(KEYS, ignore_index=True), as_of, float(unit_days), days)


def spend_cells(histories: ibis.Table | pd.DataFrame) -> pd.DataFrame:
    """Return how many members with repeats share (x, mean_repeat_value): x, mean_repeat_value, members; ordered."""
    table = as_table(histories)
    again = table.filter(table.x > 0)
    keys = ["x", "mean_repeat_value"]
    found = again.group_by(keys).agg(members=again.count()).to_pandas()
    return found.sort_values(keys, ignore_index=True)


def observed_days(rows: ibis.Table, as_of: dt.date) -> int:
    """Return the days from the first transaction of all to `as_of`; 0 when there is none."""
    first = rows.filter(rows.day <= ibis.date(as_of)).day.min().to_pandas()
    return 0 if pd.isna(first) else max((as_of - pd.Timestamp(first).date()).days, 0)
