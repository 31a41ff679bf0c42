"""Members cut into episodes of one calendar period each, with what they met in the period before.

An episode is a member in a calendar month or week: from the first to the last tenure day in it, with whether the
member left on that last day. What may drive leaving (pushes, ads, own activity) is counted in the period before
and never in the same one: otherwise a member who is about to leave, and therefore does less and is sent less,
would make pushes look good. All of it is counted in the engine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS
from helpers.data.source import Dataset, local_date
from helpers.errors import BadParameters
from helpers.study.activity import population
from helpers.study.days import EPOCH, checked, day_number, number_of
from helpers.study.frames import as_day, materialise

PERIODS = ("week", "month")
# Own activity in the period before, by number of interactions in a month; a week has a quarter of it.
ACTIVITY_EDGES = {"month": (1, 11, 51), "week": (1, 4, 13)}
JUST_JOINED, JOINED_BEFORE = "joined in this period", "joined in the period before"
COUNTS_BEFORE = ("pushes_before", "opens_before", "ads_before", "interactions_before")
MONDAY = number_of(dt.date(1970, 1, 5))


@dataclass(frozen=True)
class Episodes:
    """Episodes of members.

    Attributes
    ----------
    table : ibis.Table
        member_id, period (number), entry_day, tenure_day (first and last day of tenure in the period), exited
        (bool), pushes_before, opens_before, ads_before, interactions_before (counts in the period before),
        activity_before (level), and the columns of members that were asked for.
    period : str
        ``"month"`` or ``"week"``.
    calendar : pandas.DataFrame
        Periods used: period, first, last (dates).
    counted : tuple of str
        Which of the counts the data have any row of.
    """

    table: ibis.Table
    period: str
    calendar: pd.DataFrame
    counted: tuple[str, ...]

    def cells(self, by: Sequence[str], *, members: bool = False) -> pd.DataFrame:
        """Return how many episodes are alike: `by`, entry_day, tenure_day, n, events, in a fixed order.

        With `members` every row is an episode with its member_id, for standard errors clustered by member.
        """
        keys = [*by, *(["member_id"] if members else []), "entry_day", "tenure_day"]
        found = self.table.group_by(keys).agg(
            n=self.table.count(), events=self.table.exited.cast("int64").sum()
        )
        return found.to_pandas().sort_values(keys, na_position="last", ignore_index=True)


def episodes(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    period: str = "month",
    columns: Sequence[str] = (),
    observed_from: dt.date | str | None = None,
    most: int = 30,
) -> Episodes:
    """Cut the stays of members into episodes.

    Parameters
    ----------
    dataset : Dataset
        With members and events; touchpoints when ads matter.
    as_of : date or str
        Last day observed.
    report_tz : str
        Time zone of calendar days.
    period : {"month", "week"}
        Length of an episode and of the look back. The first whole period on record is looked back at only,
        except for those who join in it.
    columns : sequence of str
        Columns of members to carry along.
    observed_from : date or str, optional
        First day on record; by default that of the first event.
    most : int
        Counts of pushes, opens and ads above it are taken as it, so that the number of patterns stays small.

    Raises
    ------
    MissingTable
        When members or events are missing.
    BadParameters
        When the period or a column is unknown.
    """
    dataset.require("members", "events")
    checked(period, "period", in_=PERIODS)
    checked(most, "most", type_=int, ge=1)
    for name in columns:
        if name not in dataset.members.columns:
            hint = did_you_mean(name, dataset.members.columns)
            raise BadParameters(f"table members has no column {name!r}.{hint}")
    end = as_day(as_of)
    counts = materialise(_counts(dataset, end, report_tz, period, most))
    first = as_day(observed_from, "observed_from") if observed_from else _first_day(dataset, report_tz)
    calendar = _calendar(first, end, period)
    stays = _stays(dataset, end, report_tz, columns)
    table = materialise(_episodes(stays, counts, calendar, period))
    present = (
        counts.aggregate(**{name: counts[name].max().fill_null(0) for name in COUNTS_BEFORE})
        .to_pandas()
        .iloc[0]
    )
    used = calendar.assign(**{name: [_date(day) for day in calendar[name]] for name in ("first", "last")})
    return Episodes(table, period, used, tuple(name for name in COUNTS_BEFORE if present[name] > 0))


def _date(number: int) -> dt.date:
    return EPOCH + dt.timedelta(days=int(number))


def _first_day(dataset: Dataset, report_tz: str) -> dt.date | None:
    found = local_date(dataset.events.ts, report_tz).min().execute()
    return None if pd.isna(found) else pd.Timestamp(found).date()


def _period_number(day: ibis.Value, period: str) -> ibis.Value:
    """Return the number of the calendar period of a date: months since year 0, or Mondays since 1970."""
    if period == "month":
        return day.year().cast("int64") * 12 + day.month().cast("int64") - 1
    return ((day_number(day) - MONDAY) / 7).floor().cast("int64")


def _calendar(first: dt.date | None, end: dt.date, period: str) -> pd.DataFrame:
    """Return the whole periods on record and the last one up to `end`: period, first, last (day numbers)."""
    rows = []
    if first is not None:
        day = first.replace(day=1) if period == "month" else first - dt.timedelta(days=first.weekday())
        while day <= end:
            after = (day + dt.timedelta(days=32)).replace(day=1) if period == "month" else day
            after = after if period == "month" else day + dt.timedelta(days=7)
            number = day.year * 12 + day.month - 1 if period == "month" else (number_of(day) - MONDAY) // 7
            if day >= first:
                rows.append((number, number_of(day), min(number_of(after) - 1, number_of(end))))
            day = after
    return pd.DataFrame(rows, columns=["period", "first", "last"]).astype("int64")


def _counts(dataset: Dataset, end: dt.date, report_tz: str, period: str, most: int) -> ibis.Table:
    """Return what each member met and did in each period: member_id, period, and the counts."""
    events = dataset.events
    events = events.filter(events.event.isin([*INTERACTIONS, "push_sent", "push_open"]))
    rows = [
        events.select(
            member_id=events.member_id.cast("string"),
            day=local_date(events.ts, report_tz),
            what=ibis.cases(
                (events.event == "push_sent", "pushes_before"),
                (events.event == "push_open", "opens_before"),
                else_="interactions_before",
            ),
        )
    ]
    if "touchpoints" in dataset:
        seen = dataset.touchpoints
        if "interaction" in seen.columns:
            seen = seen.filter(seen.interaction.isnull() | (seen.interaction == "impression"))
        day = local_date(seen.ts, report_tz)
        rows.append(
            seen.select(member_id=seen.member_id.cast("string"), day=day, what=ibis.literal("ads_before"))
        )
    every = ibis.union(*rows) if len(rows) > 1 else rows[0]
    every = every.filter(every.day <= ibis.date(end), every.member_id.notnull())
    every = every.mutate(period=_period_number(every.day, period))
    sums = {name: (every.what == name).cast("int64").sum() for name in COUNTS_BEFORE}
    found = every.group_by(["member_id", "period"]).agg(**sums)
    capped = {name: ibis.least(found[name], most) for name in COUNTS_BEFORE[:3]}
    return found.mutate(**capped)


def _stays(dataset: Dataset, end: dt.date, report_tz: str, columns: Sequence[str]) -> ibis.Table:
    """Return member_id, joined and until (day numbers), gone (bool) and columns of members."""
    people = population(dataset, as_of=end, report_tz=report_tz)
    last = ibis.cases(
        (people.left_day.notnull(), day_number(people.left_day)), else_=ibis.literal(number_of(end), "int64")
    )
    stays = people.select(
        member_id=people.member_id.cast("string"),
        joined=day_number(people.joined_day),
        until=last,
        gone=people.left_day.notnull(),
    )
    if not columns:
        return stays
    members = dataset.members
    wanted = members.select(key=members.member_id.cast("string"), **{name: members[name] for name in columns})
    return stays.left_join(wanted, stays.member_id == wanted.key).drop("key")


def _episodes(stays: ibis.Table, counts: ibis.Table, calendar: pd.DataFrame, period: str) -> ibis.Table:
    """Cut stays at the calendar and add what was counted in the period before."""
    days = ibis.memtable(calendar, schema={"period": "int64", "first": "int64", "last": "int64"})
    here = stays.inner_join(days, [stays.joined <= days["last"], stays.until >= days["first"]])
    start = -1 if calendar.empty else int(calendar["period"].iloc[0])
    # Nothing is known of the period before the first, except of those who were no members in it.
    here = here.filter((here.period > start) | (here.joined >= here["first"]))
    before = counts.mutate(period=counts.period + 1).rename(counted="period", counted_id="member_id")
    met = here.left_join(before, [here.member_id == before.counted_id, here.period == before.counted])
    met = met.drop("counted", "counted_id")
    met = met.mutate(**{name: met[name].fill_null(0) for name in COUNTS_BEFORE})
    just = met.joined >= met["first"]
    return met.mutate(
        entry_day=ibis.greatest(met.joined, met["first"]) - met.joined,
        tenure_day=ibis.least(met.until, met["last"]) - met.joined,
        exited=met.gone & (met.until <= met["last"]),
        activity_before=ibis.cases(
            (just, JUST_JOINED),
            (_partly(met, calendar), JOINED_BEFORE),
            *((met.interactions_before < edge, name) for edge, name in activity_levels(period)[:-1]),
            else_=activity_levels(period)[-1][1],
        ),
    ).drop("joined", "until", "gone", "first", "last")


def _partly(met: ibis.Table, calendar: pd.DataFrame) -> ibis.Value:
    """Return whether the member joined after the first day of the period before."""
    starts = dict(zip(calendar["period"], calendar["first"], strict=True))
    known = [
        (met.period == number, ibis.literal(starts[number - 1], "int64"))
        for number in starts
        if number - 1 in starts
    ]
    if not known:
        return ibis.literal(False)
    return met.joined > ibis.cases(*known, else_=ibis.literal(number_of(dt.date(9999, 1, 1)), "int64"))


def activity_levels(period: str) -> list[tuple[int, str]]:
    """Return (upper edge, name) of the levels of own activity: ``0``, ``1–10``, …"""
    edges = ACTIVITY_EDGES[period]
    names = ["0", *(f"{a}–{b - 1}" for a, b in pairwise(edges)), f"{edges[-1]}+"]
    return list(zip([*edges, edges[-1]], names, strict=True))
