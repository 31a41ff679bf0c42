"""Who the members are: without staff and bots, and who of them is there on a day."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd

from helpers.data.clock import until
from helpers.data.source import Dataset, as_table, local_date
from helpers.study.frames import COUNTS, as_day


def population(dataset: Dataset, *, as_of: dt.date | str, report_tz: str = "Asia/Shanghai") -> ibis.Table:
    """Return who was a member by `as_of`, without staff and bots, as one lazy table.

    Returns
    -------
    ibis.Table
        member_id; joined_day (date); left_day (date, missing while a member as of `as_of`); and every further column
        of the members table, which also holds those who left.
    """
    members, day = dataset.members, as_day(as_of)
    left = ibis.null("date")
    if "left_at" in members.columns:
        gone = until(members.left_at, day, report_tz)
        left = ibis.cases((gone, local_date(members.left_at, report_tz)), else_=left)
    there = ~excluded(members) & until(members.joined_at, day, report_tz)
    return members.filter(there).mutate(joined_day=local_date(members.joined_at, report_tz), left_day=left)


def first_seen(rows: ibis.Table) -> ibis.Table:
    """Return a population of everyone with activity: joined on the first day of it, and never left."""
    rows = rows.filter(rows.kind.isin(COUNTS["all"])) if "kind" in rows.columns else rows
    found = rows.group_by("member_id").agg(joined_day=rows.day.min())
    return found.mutate(left_day=ibis.null("date"))


def present_members(population: ibis.Table | pd.DataFrame, *, as_of: dt.date | str) -> ibis.Table:
    """Return the members who had joined by the end of a day and had not left by then."""
    members, day = as_table(population), ibis.date(as_day(as_of))
    return members.filter(members.joined_day <= day, members.left_day.isnull() | (members.left_day > day))


def flag(members: ibis.Table, name: str) -> ibis.ir.BooleanValue:
    """Return a flag of members; what is missing or unknown is false."""
    return members[name].fill_null(False) if name in members.columns else ibis.literal(False)


def excluded(members: ibis.Table) -> ibis.ir.BooleanValue:
    """Return whether a member is staff or a bot, who are left out of every method."""
    return flag(members, "is_staff") | flag(members, "is_bot")
