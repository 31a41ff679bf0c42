"""On which day after joining members are lost."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from helpers.playbook.result import Result
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, proportion, unknown
from helpers.study import Study
from helpers.study.days import day_number, number_of

LAST_DAY, SILENCE_DAYS = 30, 30
"""The last day to look at, and how long after it a return still counts."""
WATCHED = LAST_DAY + SILENCE_DAYS


@dataclass(frozen=True, repr=False)
class Losses(Result):
    """How many members are lost on each day.

    Attributes
    ----------
    table : pandas.DataFrame
        day, lost.
    members : int
        Members watched long enough.
    """

    table: pd.DataFrame
    members: int

    @property
    def largest(self) -> tuple[int | None, Estimate]:
        """The day with the largest loss (the earliest of equal ones) and its share.

        No day when nobody was lost, or too few to be told of.
        """
        lost = self.table["lost"].to_numpy()
        if not self.members or lost.max() < max(self.study.k_min, 1):
            return None, unknown(self.members, "share", self.study.confidence)
        return int(lost.argmax()), proportion(int(lost.max()), self.members, self.study.confidence)

    @property
    def smallest(self) -> int:
        """The members watched."""
        return self.members

    @property
    def sentence(self) -> str:
        """The day of the largest loss."""
        (day, share), days = self.largest, {"d": LAST_DAY, "w": WATCHED}
        if not self.members:
            text = "Too little data: nobody has been a member for {w} days by {day}."
            return say(text, day=self.study.as_of, **days)
        if day is None:
            text = "Of {n:,} members fewer than {k} were last active on any one of the first {d} days after joining."
            return say(text, k=max(self.study.k_min, 1), n=self.members, **days)
        text = (
            "The day that loses most is day {day} after joining: {share} of members were active then, and not again "
            "within {w} days of joining."
        )
        return say(text, day=day, share=with_interval(share), **days)


def losses(study: Study) -> Losses:
    """Return on which day after joining members were active for the last time, with equal time to come back for all.

    A member is lost on day d when d is their last active day among the first :data:`WATCHED` days after joining (day
    0 when there is none at all). Every member counted joined since the log began and has been watched for that long,
    so that no day looks worse because its members had less time to return. Members who left count as lost on their
    last active day.
    """
    people = study.population
    people = people.select("member_id", joined=day_number(people.joined_day))
    begin, latest = number_of(study.began or study.as_of), number_of(study.as_of) - WATCHED
    people = people.filter(people.joined >= begin, people.joined <= latest)
    active = people.inner_join(study.spells, "member_id")
    active = active.mutate(day=active["at"] - active.joined)
    ends = active.filter(active.day.between(0, WATCHED)).group_by("member_id").agg(day=lambda t: t.day.max())
    each = people.left_join(ends, "member_id").select(day=lambda t: t.day.fill_null(0))
    cells = each.group_by("day").agg(lost=each.count()).to_pandas().astype("int64").set_index("day")["lost"]
    members, lost = int(cells.sum()), cells.reindex(range(LAST_DAY + 1), fill_value=0).to_numpy()
    return Losses(study, pd.DataFrame({"day": range(LAST_DAY + 1), "lost": lost}), members)
