"""Tiers compared by how long members stay: naively, and from a landmark day on.

The naive comparison counts a member from the day of joining in the tier they had in the end. Whoever reached a
high tier had to stay long enough to reach it: the days before are immortal time, and they make any tier that takes
time look as if it kept members, even when it does nothing (Anderson, Cain and Gelber 1983). The landmark
comparison takes the members who are still there at the end of tenure day `day`, by the tier they have *then*, and
compares how long they stay from there on. It answers a narrower question, and is fair. Neither says that lifting a
member into a tier would make them stay: that takes an experiment.

The tier is the simplest one that is reached late: to have done something so many times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.data.source import as_table
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import number, people, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.survival.cells import cells, day_counts
from helpers.stats.survival.compare import mean_difference
from helpers.stats.survival.durations import exit_durations
from helpers.stats.survival.restricted_mean import common_horizon
from helpers.study import Study

REACHED, NOT_REACHED = "reached", "not reached"
NAIVE, LANDMARKED = "naive", "landmarked"


@dataclass(frozen=True, repr=False)
class TierComparison(Result):
    """How much longer those with the tier stay than those without it, naively and fairly.

    Attributes
    ----------
    seeming, fair : Estimate
        Days stayed longer of the first `horizon` by final tier from the start, and by the tier on the landmark day
        among those still there; up to the landmark everybody of the second is there by choice. n is everybody
        compared. Unknown without an exit of those still there.
    horizon : int
        Days looked at.
    day : int
        Landmark: end of this tenure day.
    actions : int
        Counted actions that make the tier.
    exits : int
        Exits of those still there.
    """

    seeming: Estimate
    fair: Estimate
    horizon: int
    day: int
    actions: int
    exits: int

    @property
    def sentence(self) -> str:
        """Both differences, and which to believe."""
        if not (self.fair.known and self.seeming.known):
            text = (
                "Whether members stay longer who did something that counts {k} times by day {day}: too little data "
                "({exits} exits among {there} members still there)."
            )
            counts = {"exits": self.exits, "there": self.fair.n}
            told = {name: people(n, self.study.k_min) for name, n in counts.items()}
            return say(text, k=self.actions, day=self.day, **told)
        text = (
            "Members who sooner or later did something that counts {k} times seem to stay {naive} longer of the "
            "first {horizon:,} days than the others; but it takes staying to get there. Compared by whether they had "
            "done so by day {day}, among those still there then, the difference is {fair}: {verdict}."
        )
        return say(
            text, day=self.day, k=self.actions, horizon=self.horizon,
            naive=with_interval(self.seeming), fair=with_interval(self.fair),
            verdict=say("a difference remains") if self.clear else say("no clear difference remains"),
        )  # fmt: skip

    @property
    def clear(self) -> bool:
        """Whether a difference remains when compared fairly."""
        return self.fair.low > 0 or self.fair.high < 0

    def findings(self) -> Iterator[Finding]:
        """Yield how much longer the tier stays, compared without immortal time: a gap and not a change."""
        text = "being active early tells little"
        if self.clear:
            text = "members active early stay {days} days longer"
        yield finding(
            self.fair,
            id="retention.tier_gap",
            metric=say("days that members of the upper tier on day {day} stay longer", day=self.day),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say("a tier is a sign of staying, not its cause"),
            direction="up is good",
            systems=("S004",),
            headline=say(text, days=number(self.fair.value, 0)),
        )


def compare_tiers(study: Study, *, actions: int = 10, day: int = 30) -> TierComparison:
    """Compare members who did something so many times with the others, naively and from a landmark day on.

    Parameters
    ----------
    study : Study
        With activity; those who joined since the log began are compared.
    actions : int
        Counted actions that make the tier.
    day : int
        Landmark: end of this tenure day.
    """
    newcomers = exit_durations(study.newcomers.population, as_of=study.as_of)
    return tiers_of(study, reached_days(study, newcomers, actions), actions, day)


def reached_days(study: Study, durations: ibis.Table, actions: int) -> ibis.Table:
    """Add reached_day, the tenure day of the n-th counted action; missing for members who never had so many."""
    rows = study.counted
    days = rows.group_by("member_id", "day").agg(n=rows.count())
    so_far = days.n.sum().over(ibis.cumulative_window(group_by="member_id", order_by="day"))
    days = days.mutate(so_far=so_far).filter(ibis._.so_far >= actions)
    nth = days.group_by("member_id").agg(nth_day=days.day.min())
    found = durations.left_join(nth, "member_id").drop("member_id_right")
    reached = found.nth_day.delta(found.joined_day, unit="day")
    # An action before joining counts on the day of joining; "greatest" would make a day of what never came.
    return found.mutate(reached_day=ibis.cases((reached < 0, 0), else_=reached).cast("int64")).drop("nth_day")


def tiers_of(study: Study, durations: ibis.Table | pd.DataFrame, actions: int, day: int) -> TierComparison:
    """Compare tiers of durations with reached_day, the tenure day on which a member first had the tier."""
    table = as_table(durations)
    tiers = {NAIVE: table.reached_day <= table.tenure_days, LANDMARKED: table.reached_day <= day}
    named = {name: had.fill_null(False).ifelse(REACHED, NOT_REACHED) for name, had in tiers.items()}
    table = table.mutate(**named)
    counted = {
        NAIVE: cells(table, NAIVE),
        LANDMARKED: cells(table.filter(table.tenure_days > day), LANDMARKED),
    }
    watched = min(common_horizon(day_counts(frame, name)) for name, frame in counted.items())
    horizon, exits = max(day + 1, watched), int(counted[LANDMARKED]["events"].sum())

    def gap(name: str) -> Estimate:
        n, level = int(counted[name]["n"].sum()), study.confidence
        found = mean_difference(counted[name], name, REACHED, NOT_REACHED, horizon=horizon, confidence=level)
        return found._replace(n=n) if exits else unknown(n, "days", level)

    return TierComparison(study, gap(NAIVE), gap(LANDMARKED), horizon, day, actions, exits)
