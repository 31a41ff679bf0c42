"""How many units and days a test takes, and what it can find with the units it has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import pulled
from helpers.figures import Chart
from helpers.methods.ab_test import effects, outcomes, plots, power, readings, sequential
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.plan import Period, Plan
from helpers.methods.ab_test.results import PEOPLE, Design, OfTest, Trust
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, say
from helpers.stats.estimate import normal_estimate
from helpers.study import Study

# Days of traffic from which the days of a planned test are told.
PAST_DAYS = 56


@dataclass(frozen=True, repr=False)
class Sample(OfTest):
    """How many units the test takes.

    Attributes
    ----------
    base : Baseline or None
        Level and variance of the primary metric without the change, and what looks cost; None when not on record.
    error : float
        Standard error of the level of the control.
    now, final : int
        Units with a complete outcome (of the past, when the test is only planned), and as many as are expected at
        its end.
    traffic : pandas.Series
        Different members who were active by the end of each of the last days, where the test is only planned.
    reason : str
        Why it is not told; empty when it is.
    """

    base: power.Baseline | None
    error: float
    now: int
    final: int
    traffic: pd.Series = field(repr=False)
    reason: str

    @property
    def smallest(self) -> int | None:
        """Members whose level without the change it rests on."""
        return self.now if self.units in PEOPLE and self.base else None

    def finds(self, units: float, level: float | None = None) -> float:
        """Return the smallest lift that so many units find, at the level of the control or another one."""
        assert self.base is not None, "it is known"
        base = self.base if level is None else self.base._replace(mean=level)
        return power.detectable(base, units, _alpha(self.plan), self.plan.power)

    @property
    def needed(self) -> int:
        """Units in both arms that find the smallest effect worth having."""
        assert self.base is not None, "it is known"
        return power.needed(self.base, self.plan.smallest_effect, _alpha(self.plan), self.plan.power)

    @property
    def sentence(self) -> str:
        """Units and days that are needed, and what those of the test can find."""
        if self.base is None:
            text = "How many {units} it takes cannot be told: {metric} without the change are not on record."
            return self.reason or self.said(text)
        text = (
            "To find a gain of {smallest} in {metric} in {power} of such tests takes {needed:,} {units}. With the "
            "{final:,} that are expected by {end}, a gain of {lift} is found so often."
        )
        found = self.said(text, needed=self.needed, final=self.final, lift=self.lift)
        if self.traffic.empty:
            return found
        enough = self.traffic.index[self.traffic >= self.needed]
        text = "{found} Fewer were active in {past} days: plan for a larger gain, or take a metric that varies less."
        if len(enough):
            text = "{found} So many were active in {days} of the last {past} days."
        return say(text, found=found, past=PAST_DAYS, days=enough[0] if len(enough) else 0)

    @property
    def rule(self) -> int:
        """Exposures an arm that a rule of thumb asks for."""
        return int(threshold("ab_test.exposures").value)

    @property
    def lift(self) -> str:
        """The smallest gain that the units of the end find."""
        return percent(self.finds(max(self.final, 2)), 0)

    def parts(self) -> Iterator[Part]:
        """Yield what it takes, and why a fixed number of exposures is no plan."""
        yield self.sentence
        if self.base is not None:
            text = "The rule of thumb of {rule:,} {units} an arm finds a gain of {lift} here, and nothing smaller."
            yield self.said(text, rule=self.rule, lift=percent(self.finds(2 * self.rule), 0))
            yield self.figure()

    def figure(self) -> Chart:
        """Draw the smallest lift found against the units."""
        marks: dict[str, float] = {say("needed"): self.needed, say("rule of thumb"): 2 * self.rule}
        marks |= {say("at the end"): self.final} if self.final else {}
        grid = np.round(np.geomspace(min(marks.values()) / 4, max(marks.values()) * 2, 40))
        rows = pd.DataFrame({"units": grid, "lift": [self.finds(each) for each in grid]})
        title = self.said("{needed:,} {units} find a gain of {smallest} in {metric}", needed=self.needed)
        note = self.said("Found in {power} of such tests at alpha {alpha}; what the looks cost is counted.")
        return plots.detectable(rows, title, self.plan.smallest_effect, marks, note)

    def findings(self) -> Iterator[Finding]:
        """Yield what the test can find at its end."""
        if self.base is not None and self.final:
            level = self.base.mean, self.error, self.now, "share", "normal power", 1 - self.plan.alpha
            ends = normal_estimate(*level, bounds=(self.base.mean / 10, np.inf))
            text = "as planned the test finds a gain of {lift}, and {needed:,} {units} would find one of {smallest}"
            value, high, low = (self.finds(self.final, at) for at in ends[:3])
            clause = "" if self.traffic.empty else self.said(text, lift=self.lift, needed=self.needed)
            size = ends._replace(value=value, low=low, high=high)
            yield self.stated(size, "detectable", self.sentence, headline=clause)


def sample(study: Study, planned: Design, trust: Trust) -> Sample:
    """Return how many units the test takes: from the past when it is planned, from its control when it is read."""
    plan, empty = planned.plan, pd.Series(dtype=float)
    if planned.planning and plan.unit == "member" and plan.primary.table in ("orders", "events"):
        traffic, past = _traffic(study), _past(study, plan)
        days = (plan.end - plan.start).days + 1 - plan.outcome_days
        final = int(traffic[min(days, PAST_DAYS)])
        return _sample(study, plan, past, int(past.n), final, traffic)
    if trust.reason:
        return Sample(study, plan, None, np.nan, 0, 0, empty, "" if planned.planning else trust.reason)
    cells = readings.moments_of(study, plan, plan.primary)
    moments = cells.moments.merge(2).cumulate(1)
    n = np.swapaxes(moments.n[:2], 0, 1)
    final = int(outcomes.foreseen(plan, n, cells.looks).sum())
    now, cost, plain = int(n[-1].sum()), 1.0, cells.moments.plain
    if len(cells.clusters):
        # The variance of the difference between clusters by that of as many units on their own.
        apart = cells.contrasts(plan, plan.primary.kind, plain.names).at(-1)
        alone = effects.contrast(plain.merge(1), plan.primary.kind)
        cost = float(np.nan_to_num((apart.error / alone.error) ** 2, nan=1.0))
    return _sample(study, plan, moments.at((0, -1)), now, final, empty, cost)


def _sample(
    study: Study, plan: Plan, control: Moments, now: int, final: int, traffic: pd.Series, cost: float = 1.0
) -> Sample:
    base = _baseline(plan, control, cost)
    error = np.sqrt(base.variance / control.n) if base else np.nan
    return Sample(study, plan, base, float(error), now, final, traffic, "")


def _alpha(plan: Plan) -> float:
    return plan.alpha / (len(plan.arms) - 1)


def _baseline(plan: Plan, moments: Moments, cost: float) -> power.Baseline | None:
    """Return level and variance of one unit; a ratio as it is linearised (delta method)."""
    if moments.n < 2 or moments.mean[0] <= 0:
        return None
    mean, slope = float(moments.mean[0]), np.eye(len(moments.names))[0]
    if plan.primary.kind == "ratio":
        mean = float(moments.mean[0] / moments.mean[1])
        slope = (slope - mean * np.eye(len(slope))[1]) / moments.mean[1]
    steps = np.arange(1, len(plan.looks) + 1) / len(plan.looks)
    bounds = sequential.boundaries(steps, _alpha(plan), plan.spending, hybrid=plan.hybrid)
    cost *= power.inflation_of_looks(bounds, _alpha(plan), plan.power)
    control, variant = plan.allocation[-1].shares[:2]
    spread, share = float(slope @ moments.cross @ slope) / (moments.n - 1), variant / (control + variant)
    return power.Baseline(plan.primary.kind, mean, float(spread), share, cost)


def _past(study: Study, plan: Plan) -> Moments:
    """Return the primary metric of today's members over the last days of outcome, as if all were in the control."""
    day = study.as_of - dt.timedelta(days=plan.outcome_days)
    begun = ibis.timestamp(pd.Timestamp(day, tz=study.report_tz).tz_convert("UTC"))
    named = {"exp_id": ibis.literal(plan.experiment), "arm": ibis.literal(plan.arms[0])}
    people = study.present.select(unit_id="member_id", assigned_at=begun, **named)
    whole = (Period(start=day, shares=plan.allocation[0].shares),)
    then = {"start": day, "end": study.as_of, "looks": (study.as_of,), "allocation": whole}
    alone = plan.model_copy(update=then | {"design": "simple"})
    trial = replace(study, dataset=study.dataset.replace(assignments=people))
    return readings.moments_of(trial, alone, plan.primary).moments.merge(2).merge(1).at(0)


def _traffic(study: Study) -> pd.Series:
    """Return how many different members had been active by the end of each of the last days, numbered from 1."""
    began, days = study.as_of - dt.timedelta(days=PAST_DAYS - 1), study.member_days
    days = days.filter(days.day.between(ibis.date(began), ibis.date(study.as_of)))
    first = days.group_by("member_id").agg(day=days.day.min())
    found = pulled(first.group_by("day").agg(members=first.count())).sort_values("day")
    place = (found["day"] - pd.Timestamp(began)).dt.days + 1
    members = pd.Series(found["members"].to_numpy(), index=place)
    return members.reindex(range(1, PAST_DAYS + 1), fill_value=0).cumsum()
