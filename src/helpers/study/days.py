"""Active days of members, and the spells between them: what all of retention is counted from.

An active day is a calendar day (in the time zone the activity was made with) on which a member did something that
counts. Days become whole numbers (days since 1970-01-01) before anything is subtracted, because engines differ
in date arithmetic but not in subtraction.

A spell begins on an active day and ends with the next one (the member is back), with the day the member left,
or is still open on the last day observed. Activity after the day somebody left does not count.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.data.source import as_table
from helpers.errors import BadParameters
from helpers.study.frames import COUNTS, Count, as_day, require_columns

EPOCH = dt.date(1970, 1, 1)


def checked(value: Any, name: str, **bounds: Any) -> Any:
    """Return `value` when it satisfies the bounds of :func:`helpers.checks.check_scalar`.

    Raises
    ------
    BadParameters
        When the type is wrong or a bound is violated.
    """
    try:
        return check_scalar(value, name, **bounds)
    except (TypeError, ValueError) as error:
        raise BadParameters(str(error)) from None


def checked_confidence(value: float) -> float:
    """Return a confidence level strictly between 0 and 1, or raise BadParameters."""
    try:
        return check_confidence(value)
    except (TypeError, ValueError) as error:
        raise BadParameters(str(error)) from None


def number_of(day: dt.date) -> int:
    """Return a day as the number of days since 1970-01-01."""
    return (day - EPOCH).days


def date_of(number: float) -> dt.date:
    """Return the day of a number of days since 1970-01-01."""
    return EPOCH + dt.timedelta(days=int(number))


def day_number(column: ibis.Value) -> ibis.Value:
    """Return a date column as days since 1970-01-01 (int64)."""
    return column.delta(ibis.date(EPOCH), unit="day").cast("int64")


def counted(activity: ibis.Table | pd.DataFrame, count: Count = "interaction") -> ibis.Table:
    """Return the rows of activity that count, their day as a date.

    Raises
    ------
    BadData
        When member_id or day is missing, or kind where something else than everything is counted.
    BadParameters
        When `count` is unknown.
    """
    checked(count, "count", in_=tuple(COUNTS))
    table = as_table(activity)
    needed = ["member_id", "day"] if count == "all" else ["member_id", "day", "kind"]
    require_columns(table, needed, "activity")
    # The casts give an empty frame the types that its columns cannot show.
    typed = {"member_id": table.member_id.cast("string"), "day": table.day.cast("date")}
    table = table.mutate(**typed)
    if "kind" not in table.columns:
        return table
    return table.filter(table.kind.cast("string").isin(COUNTS[count]))


def member_days(activity: ibis.Table | pd.DataFrame, *, count: Count = "interaction") -> ibis.Table:
    """Return the distinct active days of every member.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, kind, as made by :func:`helpers.study.activity.activity`.
    count : {"interaction", "order", "all"}
        What makes a day active.

    Returns
    -------
    ibis.Table
        member_id, day (date), one row per member and day.
    """
    return counted(activity, count).select("member_id", "day").distinct()


def purchase_days(activity: ibis.Table | pd.DataFrame, count: Count = "order") -> ibis.Table:
    """Return one row per member and calendar day with a counted action: member_id, day, value (sum over the day).

    Several orders on one day are one purchase. Parameters are those of :func:`counted`, with a column value.
    """
    rows = counted(activity, count)
    rows = rows.mutate(value=rows.value.cast("float64"))
    return rows.group_by("member_id", "day").agg(value=rows.value.sum())


def stays(population: ibis.Table | pd.DataFrame, columns: tuple[str, ...] = ()) -> ibis.Table:
    """Return member_id, joined_day, left_day and further columns of a population, days as dates.

    Raises
    ------
    BadData
        When a column is missing.
    """
    table = as_table(population)
    needed = ["member_id", "joined_day", "left_day", *columns]
    require_columns(table, needed, "population")
    return table.select(
        *columns,
        member_id=table.member_id.cast("string"),
        joined_day=table.joined_day.cast("date"),
        left_day=table.left_day.cast("date"),
    )


def with_columns(
    population: ibis.Table | pd.DataFrame, members: ibis.Table | pd.DataFrame, *columns: str
) -> ibis.Table:
    """Return the population with columns of the members table added, such as a segment or ``joined_at``."""
    table, other = as_table(population), as_table(members)
    require_columns(other, columns, "members")
    wanted = other.select("member_id", *columns)
    return table.left_join(wanted, "member_id").drop("member_id_right")


def first_day(activity: ibis.Table | pd.DataFrame, history_from: dt.date | str | None) -> dt.date | None:
    """Return the first day the log covers: as stated, else the day of the first row; None when empty."""
    if history_from is not None:
        return as_day(history_from, "history_from")
    table = as_table(activity)
    found = table.aggregate(first=table.day.cast("date").min()).to_pandas()["first"].iloc[0]
    return None if pd.isna(found) else pd.Timestamp(found).date()


def active_days_until(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None,
    as_of: dt.date,
    count: Count,
) -> ibis.Table:
    """Return member_id, at (day number of an active day), last (last day observed), left (bool).

    With a population, only its members, and nothing after the day they left.
    """
    days, end = member_days(activity, count=count), number_of(as_of)
    days = days.filter(days.day <= ibis.date(as_of))
    days = days.select("member_id", at=day_number(days.day))
    if population is None:
        return days.mutate(last=ibis.literal(end, "int64"), left=ibis.literal(False))
    stay = stays(population)
    gone = stay.left_day.notnull() & (stay.left_day <= ibis.date(as_of))
    stay = stay.select(
        "member_id",
        last=ibis.cases((gone, day_number(stay.left_day)), else_=ibis.literal(end, "int64")),
        left=gone.fill_null(False),
    )
    joined = days.inner_join(stay, "member_id")
    return joined.filter(joined.at <= joined["last"]).select("member_id", "at", "last", "left")


def spells(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None = None,
    *,
    as_of: dt.date | str,
    count: Count = "interaction",
) -> ibis.Table:
    """Return one row per active day: what came before it and what came after.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        As in :func:`member_days`.
    population : ibis.Table or pandas.DataFrame, optional
        member_id, joined_day, left_day. Without it nobody leaves.
    as_of : date or str
        Last day observed.
    count : {"interaction", "order", "all"}
        What makes a day active.

    Returns
    -------
    ibis.Table
        member_id; at (day number of the active day); before (days since the active day before it, missing for
        the first); after (days until the next active day, missing for the last); last (day number of the last
        day observed: `as_of` or the day of leaving); left (bool: the member left on it).
    """
    days = active_days_until(activity, population, as_day(as_of), count)
    order = ibis.window(group_by="member_id", order_by="at")
    return days.mutate(
        before=days["at"] - days["at"].lag(1).over(order), after=days["at"].lead(1).over(order) - days["at"]
    )
