"""How long groups live: from the day a group came alive to the day it had fallen silent.

A group (a chat, a community with a group_id, or a platform) is *alive* on a day when at least `minimum_active`
different members did something that counts within the last `window_days` days, that day included. It comes alive
on the first such day, and has fallen silent on the first later day that is not: fewer than `minimum_active`
active members for `window_days` days. A group that wakes up again has still fallen silent once. The state of every
day is known when the day is over, so nothing looks ahead and `as_of` is the last day watched.

Life is counted from the founding, which is the day its first member joined (or was first active), but a group
is at risk only from the day it came alive, because before it could not fall silent (late entry). Groups that never
came alive are not in the curve; they are counted apart. Silence must last `window_days` to be seen, and those days
are part of the life.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import as_table
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import SurvivalCurves, survival
from helpers.study.days import checked, day_number, number_of
from helpers.study.frames import as_day, require_columns

MINIMUM_GROUPS = 10
"""With fewer groups a median life is an anecdote."""

TYPICAL_LIFE_DAYS = int(threshold("groups.life_days").value)
"""Half a year: the common claim is that communities live shorter than that."""


@dataclass(frozen=True)
class GroupLife:
    """Lives of groups.

    Attributes
    ----------
    groups : pandas.DataFrame
        One row per group that came alive: group, founded, alive_from, silent_from (dates; the last missing while
        alive), members (who were ever active), entry_day, tenure_days (int), exited (bool).
    curves : SurvivalCurves
        Survival of groups.
    never_alive : int
        Groups that never had enough active members.
    without_group : int
        Members without a group, who are not counted.
    minimum_active, window_days : int
        What alive means.
    as_of : datetime.date
        Last day watched.
    """

    groups: pd.DataFrame = field(repr=False)
    curves: SurvivalCurves
    never_alive: int
    without_group: int
    minimum_active: int
    window_days: int
    as_of: dt.date

    def readable(self, k_min: int = 10) -> pd.DataFrame:
        """Return the groups that may be shown: those with at least `k_min` members who were ever active.

        The member count of a group is no part of a published total, so that small groups are left out and counted
        by the difference to the sentence, without a second one.
        """
        return self.groups[self.groups["members"] >= k_min].reset_index(drop=True)

    @property
    def enough(self) -> bool:
        """Whether there are groups enough to speak of a typical life."""
        return len(self.groups) >= MINIMUM_GROUPS and self.curves.events > 0

    @property
    def median(self) -> Estimate:
        """Median life in days; missing with too few groups, infinite bounds where it was not reached."""
        found = self.curves.median()
        if self.enough:
            return found
        return found._replace(value=np.nan, low=np.nan, high=np.nan, method="too little data")

    @property
    def alive_half_a_year(self) -> Estimate:
        """Share of groups alive longer than the typical life that is claimed; known also where the median is not.

        `n` are the groups watched on some day until then; with fewer than ten it is missing.
        """
        days = TYPICAL_LIFE_DAYS - 1
        found = self.curves.still_here(days)
        return found if found.n >= MINIMUM_GROUPS else unknown(found.n, "share", found.confidence)

    @property
    def shorter_than_half_a_year(self) -> str:
        """Whether the claim that communities live shorter than half a year holds here.

        Returns
        -------
        str
            ``"holds"`` or ``"does not hold"`` when the whole interval of the median lies on one side of 183 days,
            ``"cannot tell"`` when it does not, ``"too little data"``.
        """
        if not self.enough:
            return "too little data"
        if self.median.high < TYPICAL_LIFE_DAYS:
            return "holds"
        return "does not hold" if self.median.low >= TYPICAL_LIFE_DAYS else "cannot tell"

    @property
    def sentence(self) -> str:
        """How many groups fell silent, the median life, and the claim of half a year."""
        total = len(self.groups)
        text = say(
            "{total:,} groups came alive by {as_of}, {silent:,} of them have fallen silent (fewer than {k} active "
            "members for {window} days); {never:,} never came alive.",
            total=total, as_of=self.as_of, silent=self.curves.events, k=self.minimum_active,
            window=self.window_days, never=self.never_alive,
        )  # fmt: skip
        if self.without_group:
            text += " " + say("{n:,} members are in no group and not counted.", n=self.without_group)
        if self.alive_half_a_year.known:
            share = with_interval(self.alive_half_a_year)
            text += " " + say("{share} live at least {days} days.", share=share, days=TYPICAL_LIFE_DAYS)
        if not self.enough:
            return text + " " + say("Too little data for a typical life.")
        bounds = [
            number(x) if np.isfinite(x) else say("longer than watched")
            for x in (self.median.value, self.median.low, self.median.high)
        ]
        verdict = {
            "holds": say("the claim that groups live less than half a year holds here"),
            "does not hold": say("the claim that groups live less than half a year does not hold here"),
            "cannot tell": say("whether groups live less than half a year cannot be told"),
        }[self.shorter_than_half_a_year]
        return text + " " + say(
            "Median life in days: {median} ({low} to {high}); {verdict}.",
            median=bounds[0], low=bounds[1], high=bounds[2], verdict=verdict,
        )  # fmt: skip


def group_life(
    member_days: ibis.Table | pd.DataFrame,
    members: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    group: str = "group_id",
    minimum_active: int = 3,
    window_days: int = 28,
    confidence: float = 0.95,
) -> GroupLife:
    """Return how long groups live.

    Parameters
    ----------
    member_days : ibis.Table or pandas.DataFrame
        member_id, day: days on which a member did something that counts.
    members : ibis.Table or pandas.DataFrame
        member_id, the column `group`, and joined_day where it is known, such as
        :func:`helpers.study.durations.member_stays` with ``columns=["group_id"]``.
    as_of : date or str
        Last complete day.
    group : str
        Column that names the group; members where it is missing are left out and counted.
    minimum_active, window_days : int
        A group is alive while at least so many members were active within so many days.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadData
        When a column is missing.
    """
    checked(minimum_active, "minimum_active", type_=int, ge=1)
    checked(window_days, "window_days", type_=int, ge=1)
    last, table = as_day(as_of), as_table(members)
    require_columns(table, ("member_id", group), "members")
    named = table.filter(table[group].notnull())
    members_of = named.select(member_id=named.member_id.cast("string"), group=named[group].cast("string"))
    days = _days_in_groups(as_table(member_days), members_of, last)
    founded = _founded(days, named, group, last)
    lives = _lives(_changes(days, window_days), founded, minimum_active, number_of(last))
    curves = survival(
        cells(lives[["tenure_days", "exited", "entry_day"]]), confidence=confidence, event="fell silent",
        unit="groups", safe_before_entry=True,
    )  # fmt: skip
    without = int(table.filter(table[group].isnull()).count().execute())
    return GroupLife(
        groups=_dated(lives),
        curves=curves,
        never_alive=len(founded) - len(lives),
        without_group=without,
        minimum_active=minimum_active,
        window_days=window_days,
        as_of=last,
    )


def _days_in_groups(days: ibis.Table, members_of: ibis.Table, last: dt.date) -> ibis.Table:
    """Return the distinct active days of members in groups: group, member_id, at (day number)."""
    require_columns(days, ("member_id", "day"), "member_days")
    typed = days.select(member_id=days.member_id.cast("string"), day=days.day.cast("date"))
    typed = typed.filter(typed.day <= ibis.date(last))
    found = typed.select("member_id", at=day_number(typed.day)).distinct()
    return found.inner_join(members_of, "member_id").select("group", "member_id", "at")


def _founded(days: ibis.Table, named: ibis.Table, group: str, last: dt.date) -> pd.DataFrame:
    """Return group, founded (day number), members (ever active), of every group with a member."""
    active = days.group_by("group").agg(first=days["at"].min(), members=days.member_id.nunique()).to_pandas()
    joined = named.select(
        group=named[group].cast("string"),
        joined=day_number(named.joined_day.cast("date"))
        if "joined_day" in named.columns
        else ibis.null("int64"),
    )
    joined = joined.filter(joined.joined.isnull() | (joined.joined <= number_of(last)))
    there = joined.group_by("group").agg(joined=joined.joined.min()).to_pandas()
    found = there.merge(active, on="group", how="outer").sort_values("group", ignore_index=True)
    founded = found[["joined", "first"]].astype("float64").min(axis=1)
    return found.assign(founded=founded, members=found["members"].fillna(0).astype("int64"))


def _changes(days: ibis.Table, window_days: int) -> pd.DataFrame:
    """Return by how much the number of active members of the last `window_days` changes: group, at, change."""
    order = ibis.window(group_by=["group", "member_id"], order_by="at")
    before, after = days["at"] - days["at"].lag(1).over(order), days["at"].lead(1).over(order) - days["at"]
    spells = days.mutate(before=before, after=after)
    begins = spells.filter(spells.before.isnull() | (spells.before >= window_days))
    ends = spells.filter(spells.after.isnull() | (spells.after >= window_days))
    steps = begins.select("group", "at", change=ibis.literal(1, "int64")).union(
        ends.select("group", at=ends["at"] + window_days, change=ibis.literal(-1, "int64"))
    )
    found = steps.group_by(["group", "at"]).agg(change=steps.change.sum()).to_pandas()
    return found.sort_values(["group", "at"], ignore_index=True)


def _lives(changes: pd.DataFrame, founded: pd.DataFrame, minimum: int, last: int) -> pd.DataFrame:
    """Return the lives of the groups that came alive, days as numbers."""
    changes = changes[changes["at"] <= last]
    alive = changes.groupby("group")["change"].cumsum() >= minimum
    begin = changes[alive].groupby("group")["at"].min().rename("alive").reset_index()
    later = changes[~alive].merge(begin, on="group")
    end = later[later["at"] > later["alive"]].groupby("group")["at"].min().rename("silent").reset_index()
    lives = founded.merge(begin, on="group").merge(end, on="group", how="left")
    exited = lives["silent"].notna()
    tenure = lives["silent"].fillna(last) - lives["founded"]
    return lives.assign(
        entry_day=(lives["alive"] - lives["founded"]).astype("int64"),
        tenure_days=tenure.astype("int64"),
        exited=exited.astype(bool),
    )


def _dated(lives: pd.DataFrame) -> pd.DataFrame:
    dates = {
        name: pd.to_datetime(lives[source].astype("float64"), unit="D")
        for name, source in {"founded": "founded", "alive_from": "alive", "silent_from": "silent"}.items()
    }
    rest = lives[["members", "entry_day", "tenure_days", "exited"]]
    return pd.concat([lives[["group"]], pd.DataFrame(dates), rest], axis=1)
