"""On which day after joining members are lost."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy import stats

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

    def largest(self, *, after: int = 0) -> tuple[int | None, Estimate]:
        """Return the day from `after` on with the largest loss (the earliest of equal ones) and its share.

        No day when nobody was lost, or too few to be told of.
        """
        lost = self.table["lost"].to_numpy()[after:]
        if not self.members or lost.max() < max(self.study.k_min, 1):
            return None, unknown(self.members, "share", self.study.confidence)
        return after + int(lost.argmax()), proportion(int(lost.max()), self.members, self.study.confidence)

    @property
    def smallest(self) -> int:
        """The members watched."""
        return self.members

    @property
    def sentence(self) -> str:
        """The day of the largest loss, and the largest one after the first day if it stands out."""
        day, share = self.largest()
        if not self.members:
            text = "Too little data: nobody has been a member for {n} days by {day}."
            return say(text, n=WATCHED, day=self.study.as_of)
        if day is None:
            text = (
                "On none of the first {d} days were {k} or more of {n:,} members active for the last time in {w} "
                "days after joining."
            )
            return say(text, d=LAST_DAY, k=max(self.study.k_min, 1), n=self.members, w=WATCHED)
        text = "The largest loss is on day {day}: {share} of members were not active again in {n} days after joining."
        said = say(text, day=day, share=with_interval(share), n=WATCHED)
        later, part = self.largest(after=1)
        if day == 0 and later is not None and self.stands_out:
            text = "After that it is day {day}: {share}, more than chance among equal days would make the largest."
            said += " " + say(text, day=later, share=with_interval(part))
        return said

    @property
    def stands_out(self) -> bool:
        """Whether the largest loss after day 0 is more than the largest of equal days would be.

        The losses on these days, were they equally likely on each, are multinomial; the number on the largest day is
        tested against its binomial share, Bonferroni over the days.
        """
        lost = self.table["lost"].to_numpy()[1:]
        if lost.size < 2 or not lost.sum():
            return False
        chance = float(stats.binom.sf(lost.max() - 1, lost.sum(), 1 / lost.size))
        return chance * lost.size < 1 - self.study.confidence


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
