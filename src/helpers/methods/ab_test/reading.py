"""What the test changed: every metric of every variant, with intervals that hold at every look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.ab_test import plots
from helpers.methods.ab_test.outcomes import Outcome, outcomes
from helpers.methods.ab_test.readings import moments_of
from helpers.methods.ab_test.results import Design, Guarded, Trust, units_of
from helpers.playbook.finding import Direction, Finding, finding
from helpers.playbook.result import Part
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.study import Study
from helpers.tables import Table

STATES = {
    "safe": "{metric} is safe: the whole interval of the change, {bounds}, lies above the loss that is accepted, {margin}.",
    "harmed": "{metric} is harmed: it changed by {bounds}, wholly for the worse.",
    "cannot tell yet": "{metric}: cannot tell yet. A change of {bounds} does not rule out a loss above {margin}.",
}

CLAUSES = {
    "safe": "{metric} is safe",
    "harmed": "{metric} is harmed",
    "cannot tell yet": "{metric} cannot be told yet",
}


@dataclass(frozen=True, repr=False)
class Reading(Guarded):
    """The scorecard of a test.

    Attributes
    ----------
    outcomes : list of Outcome
        Every metric of every variant: primary, guardrails, then secondary.
    """

    outcomes: list[Outcome] = field(repr=False)

    def of(self, role: str, arm: int | None = None) -> list[Outcome]:
        """Return the outcomes of a role, of one variant or of all."""
        return [each for each in self.outcomes if each.role == role and arm in (None, each.arm)]

    @property
    def look(self) -> int:
        """How many of the planned looks have been taken."""
        return len(self.outcomes[0].cells.looks)

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm; of other units as many as there are may be told."""
        if self.reason or self.plan.unit != "member":
            return None
        return min(min(each.now.n) for each in self.of("primary"))

    @property
    def sentence(self) -> str:
        """What the primary metric is in each arm, and by how much that differs."""
        return " ".join(effect_sentence(each, self.look) for each in self.of("primary"))

    def parts(self) -> Iterator[Part]:
        """Yield the effect by look; each guardrail in a sentence; the strip of all metrics; the scorecard."""
        if self.reason:
            yield self.reason
            return
        yield self.sentence
        yield self.figure()

    def figure(self) -> Chart | NoChart:
        """Draw the effect on the primary metric at each look."""
        one = max(self.of("primary"), key=lambda each: each.gain.value)
        title = say("{metric}: {effect} at look {k} of {all}", metric=one.metric.name, effect=with_bounds(one.shown),
                    k=self.look, all=len(self.plan.looks))  # fmt: skip
        note = say("{arm} against {control}; {n:,} {units}; intervals at {level}. Grey is what a reader who ignores "
                   "the looks would see.", arm=self.plan.arms[one.arm], control=self.plan.arms[0],
                   n=sum(one.now.n), units=say(units_of(self.plan)), level=percent(one.confidence))  # fmt: skip
        smallest = self.plan.smallest_effect * one.scale * (1 if one.metric.direction == "up" else -1)
        return plots.effect_by_look(one.by_look, title, one.shown.unit, smallest, note)

    @property
    def scorecard(self) -> Table:
        """Every metric of every variant beside the control."""
        rows = []
        for each in self.outcomes:
            control, variant = each.now.levels
            rows.append((each.metric.name, self.plan.arms[each.arm], each.role, quantity(control.value, control.unit),
                         quantity(variant.value, variant.unit), with_bounds(each.shown), state_of(each)))  # fmt: skip
        columns = ["metric", "variant", "role", "control", "with_it", "change", "verdict"]
        return Table(
            "scorecard", pd.DataFrame(rows, columns=columns), say("Every metric; {sizes}", sizes=self.sizes)
        )

    @property
    def sizes(self) -> str:
        """How many units each of the first two arms has, in words."""
        now, arms = self.outcomes[0].now.n, self.plan.arms
        text = "{m:,} {units} in {control}, {n:,} in {variant}"
        return say(text, m=now[0], n=now[1], control=arms[0], variant=arms[1], units=say(units_of(self.plan)))


@dataclass(frozen=True, repr=False)
class Guardrails(Guarded):
    """What must not be lost, and every other metric.

    Attributes
    ----------
    reading : Reading
        The scorecard.
    """

    reading: Reading = field(repr=False)

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm."""
        return self.reading.smallest

    @property
    def sentence(self) -> str:
        """Each guardrail: safe, harmed, or cannot tell yet."""
        named = [guardrail_sentence(each) for each in self.reading.of("guardrail")]
        return " ".join(named) or say(
            "The plan names no guardrail: nothing is known of what the change may cost."
        )

    def figure(self) -> Chart | NoChart | None:
        """Draw the relative change of every metric with the margin of each guardrail."""
        drawn = [each for each in self.reading.outcomes if each.now.relative.known]
        if not drawn:
            return None
        rows = [
            (_named(each), each.role, *each.now.relative[:3], _margin(each), state_of(each)) for each in drawn
        ]
        columns = ["metric", "role", "value", "low", "high", "margin", "state"]
        states = [each.gain.state for each in self.reading.of("guardrail")]
        title = say("{safe} of {all} guardrails are safe", safe=states.count("safe"), all=len(states))
        if not states:
            title = say("Change of every metric against control")
        note = say("Relative change; {arms}. Guardrails and the primary metric hold at every look.",
                   arms=self.reading.sizes)  # fmt: skip
        return plots.metric_strip(pd.DataFrame(rows, columns=columns), title, note)

    def tables(self) -> Iterator[Table]:
        """Yield the scorecard."""
        yield self.reading.scorecard

    def read(self) -> Iterator[Finding]:
        """Yield the change of each guardrail."""
        for place, each in enumerate(self.reading.of("guardrail"), 1):
            yield finding(
                each.shown._replace(n=sum(each.now.n)),
                id=f"ab_test.guardrail_{place}", metric=say("Change of {metric}", metric=_named(each)),
                scope=self.plan.experiment, sentence=guardrail_sentence(each), change=True,
                direction=direction_of(each), systems=("S058", "S061"), n_of=units_of(self.plan),
                headline=say(CLAUSES[each.gain.state], metric=each.metric.name), definition="guardrail",
                assumption=say("units do not influence one another"),
            )  # fmt: skip


def read(study: Study, planned: Design, trust: Trust) -> Reading:
    """Return every metric of every variant at the newest look.

    Nothing is asked of the tables when the checks forbid it, so that no effect can be seen anywhere.
    """
    plan = planned.plan
    if trust.reason:
        return Reading(study, plan, trust.reason, [])
    return Reading(study, plan, "", outcomes(plan, [moments_of(study, plan, each) for each in plan.metrics]))


def guardrails(study: Study, reading: Reading) -> Guardrails:
    """Return what the test did to what must not be lost."""
    return Guardrails(study, reading.plan, reading.reason, reading)


def effect_sentence(one: Outcome, look: int) -> str:
    """Say the levels of both arms and their difference, in units of the metric and as a share."""
    control, variant = one.now.levels
    text = "{metric}: {a} of {m:,} in {control}, {b} of {n:,} in {variant}. That is {by}{relative}, at look {k} of {all}."
    if one.metric.kind != "proportion":
        text = (
            "{metric}: {a} a unit among {m:,} in {control}, {b} among {n:,} in {variant}. That is {by}{relative}, at "
            "look {k} of {all}."
        )
    relative = say(", or {share}", share=with_bounds(one.now.relative)) if one.now.relative.known else ""
    words = {"control": one.plan.arms[0], "variant": one.plan.arms[one.arm], "metric": one.metric.name}
    levels = {"a": quantity(control.value, control.unit), "b": quantity(variant.value, variant.unit)}
    words |= {"by": with_bounds(one.now.difference), "relative": relative} | levels
    return say(text, m=one.now.n[0], n=one.now.n[1], k=look, all=len(one.plan.looks), **words)


def guardrail_sentence(one: Outcome) -> str:
    """Say what is known of a guardrail."""
    margin = percent(one.metric.margin, 0) if one.metric.margin else say("none")
    return say(STATES[one.gain.state], metric=one.metric.name, bounds=with_bounds(one.shown), margin=margin)


def state_of(one: Outcome) -> str:
    """Return the verdict on one metric: as a guardrail, or by its interval."""
    if one.role == "guardrail":
        return say(one.gain.state)
    gain = one.gain
    return say("better") if gain.low > 0 else say("worse") if gain.high < 0 else say("no clear change")


def direction_of(one: Outcome) -> Direction:
    """Return where better lies, as a finding says it."""
    return "up is good" if one.metric.direction == "up" else "down is good"


def _named(one: Outcome) -> str:
    """Return the name of a metric, with the variant where there are several."""
    if len(one.plan.arms) == 2:
        return one.metric.name
    return say("{metric}, {arm}", metric=one.metric.name, arm=one.plan.arms[one.arm])


def _margin(one: Outcome) -> float:
    """Return where the loss that is accepted ends, on the axis of the metric."""
    if one.metric.margin is None:
        return float("nan")
    return -one.metric.margin if one.metric.direction == "up" else one.metric.margin
