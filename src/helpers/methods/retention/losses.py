"""On which day members are lost: the last day they were active, with equal time to come back for all.

A member is lost on day d when d is their last active day among the first ``days + silence_days`` days after joining
(day 0 when there is none at all). Every member counted has been watched for that long, so that no day looks
worse because its members had less time to return. Members who left count as lost on their last active day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, unknown, wilson
from helpers.study.days import (
    active_days_until,
    checked,
    checked_confidence,
    day_number,
    first_day,
    stays,
)
from helpers.study.frames import Count, as_day


@dataclass(frozen=True)
class Losses:
    """How many members are lost on each day.

    Attributes
    ----------
    table : pandas.DataFrame
        day, there (members not lost before), lost, share (of all members), low, high (Wilson), hazard (lost / there).
    members : int
        Members watched long enough.
    days, silence_days : int
        Last day looked at, and how long a member had to stay away afterwards.
    as_of : datetime.date
        Last day observed.
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame
    members: int
    days: int
    silence_days: int
    as_of: dt.date
    confidence: float

    def largest(self, *, after: int = 0) -> tuple[int | None, Estimate]:
        """Return the day from `after` on with the largest loss (the earliest of equal ones) and its share."""
        rows = self.table[self.table["day"] >= checked(after, "after", type_=int, ge=0, le=self.days)]
        if not self.members:
            return None, unknown(0, "share", self.confidence)
        row = rows.loc[rows["lost"].idxmax()]
        return int(row["day"]), estimate_of(row, self.members, "Wilson score", self.confidence)

    @property
    def sentence(self) -> str:
        """The day of the largest loss, and the largest one after the first day if it stands out."""
        day, share = self.largest()
        if day is None:
            return say(
                "Too little data: nobody has been a member for {n} days by {day}.",
                n=self.days + self.silence_days, day=self.as_of,
            )  # fmt: skip
        text = say(
            "The largest loss is on day {day}: {share} of members were not active again in the {n} days after "
            "joining.",
            day=day, share=with_interval(share), n=self.days + self.silence_days,
        )  # fmt: skip
        if day == 0 and self.stands_out():
            later, part = self.largest(after=1)
            text += " " + say(
                "After that it is day {day}: {share}, more than chance among equal days would make the largest.",
                day=later, share=with_interval(part),
            )  # fmt: skip
        return text

    def stands_out(self, *, after: int = 1) -> bool:
        """Whether the largest loss from day `after` on is more than the largest of equal days would be.

        The losses on these days, were they equally likely on each, are multinomial; the number on the largest day is
        tested against its binomial share, Bonferroni over the days.
        """
        lost = self.table.loc[self.table["day"] >= after, "lost"].to_numpy()
        if lost.size < 2 or not lost.sum():
            return False
        chance = float(stats.binom.sf(lost.max() - 1, lost.sum(), 1 / lost.size))
        return min(1.0, chance * lost.size) < 1 - self.confidence


def losses(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    days: int = 30,
    silence_days: int = 30,
    count: Count = "interaction",
    history_from: dt.date | str | None = None,
    confidence: float = 0.95,
) -> Losses:
    """Return on which day after joining members were active for the last time.

    Parameters
    ----------
    activity, population, as_of, count
        As in :func:`.days.spells`.
    days : int
        Last day to look at.
    silence_days : int
        How long after it a return still counts.
    history_from : date or str, optional
        First day the log covers; by default the day of its first row. Who joined earlier is left out.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    """
    checked(days, "days", type_=int, ge=0)
    checked(silence_days, "silence_days", type_=int, ge=1)
    checked_confidence(confidence)
    last, first = as_day(as_of), first_day(activity, history_from)
    latest = last - dt.timedelta(days=days + silence_days)
    people = stays(population)
    people = people.filter(
        people.joined_day >= ibis.date(first or last), people.joined_day <= ibis.date(latest)
    )
    people = people.select("member_id", joined=day_number(people.joined_day))
    active = active_days_until(activity, population, last, count).select("member_id", "at")
    offsets = people.inner_join(active, "member_id")
    offsets = offsets.mutate(day=offsets["at"] - offsets.joined)
    offsets = offsets.filter(offsets.day >= 0, offsets.day <= days + silence_days)
    ends = offsets.group_by("member_id").agg(day=offsets.day.max())
    each = (
        people.left_join(ends, "member_id")
        .select("member_id", "day")
        .mutate(day=lambda t: t.day.fill_null(0))
    )
    cells = each.group_by("day").agg(lost=each.count()).to_pandas().astype("int64").set_index("day")["lost"]
    return _tabled(cells, days, silence_days, last, confidence)


def _tabled(cells: pd.Series, days: int, silence_days: int, as_of: dt.date, confidence: float) -> Losses:
    members = int(cells.sum())
    lost = cells.reindex(range(days + 1), fill_value=0).to_numpy()
    there = members - np.concatenate([[0], lost.cumsum()[:-1]])
    low, high = wilson(lost, np.full(len(lost), members), confidence)
    share = lost / members if members else np.full(len(lost), np.nan)
    hazard = np.divide(lost, there, out=np.full(len(lost), np.nan), where=there > 0)
    table = pd.DataFrame(
        {"day": range(days + 1), "there": there, "lost": lost, "share": share, "low": low, "high": high}
    )
    return Losses(table.assign(hazard=hazard), members, days, silence_days, as_of, confidence)
