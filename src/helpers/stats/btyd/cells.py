"""From orders to buy-till-you-die histories: one row per member, then one row per distinct history.

Definitions
-----------
A transaction is a member's calendar day (in `report_tz`) with at least one counted action: several orders on
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
from functools import reduce

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table, local_date
from helpers.errors import BadData
from helpers.study.frames import COUNTS, Count, as_day
from helpers.study.values import VALUE_DECIMALS

KEYS = ["x", "t_x", "T"]
UNIT_NAMES = {1.0: "days", 7.0: "weeks"}


@dataclass(frozen=True)
class Cells:
    """Distinct buying histories with how many members share each.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per distinct history: x (int), t_x, T (float, `unit`), members (int); ordered by them.
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

    @property
    def members(self) -> int:
        """How many members the cells hold."""
        return int(self.table["members"].sum())

    @property
    def unit(self) -> str:
        """Name of the unit of time."""
        return UNIT_NAMES.get(self.unit_days, f"periods of {self.unit_days:g} days")

    @property
    def sentence(self) -> str:
        """How many members, how many of them repeat, how far the compression goes."""
        if not self.members:
            return f"There are no transactions up to {self.as_of}: too little data."
        repeaters = int(self.table.loc[self.table["x"] > 0, "members"].sum())
        return (
            f"{self.members:,} members bought by {self.as_of}, {repeaters:,} of them more than once; their "
            f"histories take {len(self.table):,} different forms."
        )


def transactions(
    orders: ibis.Table | pd.DataFrame, *, report_tz: str = "Asia/Shanghai", count: Count = "order"
) -> ibis.Table:
    """Return one row per member and calendar day with a counted action.

    Parameters
    ----------
    orders : ibis.Table or pandas.DataFrame
        The orders table (member_id, paid_at, gross, and discount and refund where there are any), or the
        activity table (member_id, day, kind, value), which knows its own days.
    report_tz : str
        Time zone of calendar days; not used for activity.
    count : {"order", "interaction", "all"}
        What counts as a transaction in an activity table.

    Returns
    -------
    ibis.Table
        member_id, day (date), value (net: gross - discount - refund, or the weighted value of the activity;
        sum over the day).

    Raises
    ------
    BadData
        When a column is missing or orders are in more than one currency.
    """
    table = as_table(orders)
    if {"day", "value"} <= set(table.columns):
        check_scalar(count, "count", in_=COUNTS)
        rows = table.filter(table.kind.isin(COUNTS[count])) if "kind" in table.columns else table
        rows = rows.select("member_id", "day", "value")
    else:
        rows = _net_orders(table, report_tz)
    # The casts give an empty frame the types that its columns cannot show.
    typed = rows.select(
        member_id=rows.member_id.cast("string"), day=rows.day.cast("date"), value=rows.value.cast("float64")
    )
    return typed.group_by("member_id", "day").agg(value=typed.value.sum())


def _net_orders(orders: ibis.Table, report_tz: str) -> ibis.Table:
    absent = [c for c in ("member_id", "paid_at", "gross") if c not in orders.columns]
    if absent:
        raise BadData(f"orders: column {', '.join(absent)} missing; there is {', '.join(orders.columns)}.")
    if "currency" in orders.columns:
        found = sorted(orders.select("currency").distinct().to_pandas()["currency"].dropna())
        if len(found) > 1:
            raise BadData(
                f"orders.currency: {len(found)} currencies ({', '.join(found[:3])}) cannot be added."
            )
    minus = [orders[c].cast("float64").fill_null(0.0) for c in ("discount", "refund") if c in orders.columns]
    net = reduce(lambda a, b: a - b, minus, orders.gross.cast("float64"))
    rows = orders.select("member_id", day=local_date(orders.paid_at, report_tz), value=net)
    return rows.filter(rows.member_id.notnull() & rows.day.notnull())


def members(
    orders: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    unit_days: float = 7.0,
    count: Count = "order",
) -> ibis.Table:
    """Return the buying history of every member with a transaction up to `as_of`.

    Parameters
    ----------
    orders, report_tz, count
        As in :func:`transactions`.
    as_of : date or str
        Last day of observation.
    unit_days : float
        Days in a unit of time.

    Returns
    -------
    ibis.Table
        member_id; x (int); t_x, T (float, units of time); recency_days (int, days since the last
        transaction); value (float, sum of all transactions); mean_repeat_value (float, missing for x = 0).
    """
    return histories(transactions(orders, report_tz=report_tz, count=count), as_day(as_of), unit_days)


def histories(days: ibis.Table, day: dt.date, unit_days: float) -> ibis.Table:
    """Return the history of every member as of `day`, from member-days; columns as in :func:`members`."""
    check_scalar(unit_days, "unit_days", type_=(int, float), gt=0)
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
    rounded = found.value.cast("float64").round(VALUE_DECIMALS).cast("float64")
    mean = ((found.value - found.first_value) / repeats.nullif(0)).cast("float64").round(VALUE_DECIMALS)
    return found.select(
        "member_id",
        x=repeats,
        t_x=found.last_day.delta(found.first_day, unit="day").cast("float64") / float(unit_days),
        T=ibis.date(day).delta(found.first_day, unit="day").cast("float64") / float(unit_days),
        recency_days=ibis.date(day).delta(found.last_day, unit="day").cast("int64"),
        value=rounded,
        mean_repeat_value=mean.cast("float64"),
    )


def cells(
    orders: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    unit_days: float = 7.0,
    count: Count = "order",
) -> Cells:
    """Compress orders to cells (x, t_x, T, members) inside the engine; arguments as in :func:`members`."""
    day = as_day(as_of)
    rows = transactions(orders, report_tz=report_tz, count=count)
    found = histories(rows, day, unit_days)
    table = found.group_by(KEYS).agg(members=found.count()).to_pandas()
    table = table.astype({"x": "int64", "t_x": "float64", "T": "float64", "members": "int64"})
    return Cells(table.sort_values(KEYS, ignore_index=True), day, float(unit_days), rows)


def spend_cells(members: ibis.Table | pd.DataFrame) -> pd.DataFrame:
    """Return how many members with repeats share (x, mean_repeat_value).

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        One row per member with x and mean_repeat_value, as returned by :func:`members`.

    Returns
    -------
    pandas.DataFrame
        x, mean_repeat_value, members; ordered by the first two.
    """
    table = as_table(members)
    again = table.filter(table.x > 0)
    keys = ["x", "mean_repeat_value"]
    found = again.group_by(keys).agg(members=again.count()).to_pandas()
    return found.sort_values(keys, ignore_index=True)


def check_histories(frame: pd.DataFrame, table: str = "cells") -> pd.DataFrame:
    """Return x, t_x, T, members as numbers, after checking that they can be buying histories.

    Raises
    ------
    BadData
        When a column is missing, or for a row that no member can have: the message counts them and shows one.
    """
    absent = [c for c in KEYS if c not in frame.columns]
    if absent:
        raise BadData(
            f"{table}: column {', '.join(absent)} missing; there is {', '.join(map(str, frame.columns))}."
        )
    clean = frame[KEYS].astype("float64").reset_index(drop=True)
    count = frame["members"] if "members" in frame.columns else np.ones(len(frame))
    clean["members"] = np.asarray(count, float)
    x, t_x, age = (clean[c] for c in KEYS)
    rules = {
        "missing or infinite": ~np.isfinite(clean).all(axis=1),
        "x must be a whole number of at least 0": (x < 0) | (x % 1 != 0),
        "0 <= t_x <= T must hold": (t_x < 0) | (t_x > age),
        "t_x must be 0 without a repeat and above 0 with one": (x > 0) != (t_x > 0),
        "members must be above 0": clean["members"] <= 0,
    }
    for rule, broken in rules.items():
        if broken.any():
            example = clean[broken].iloc[0].to_dict()
            raise BadData(f"{table}: {int(broken.sum())} of {len(clean)} rows: {rule}; such as {example}.")
    return clean


def observed_days(rows: ibis.Table, as_of: dt.date) -> int:
    """Return the days from the first transaction of all to `as_of`; 0 when there is none."""
    first = rows.filter(rows.day <= ibis.date(as_of)).day.min().to_pandas()
    return 0 if pd.isna(first) else max((as_of - pd.Timestamp(first).date()).days, 0)
