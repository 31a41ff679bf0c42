"""What the test changed: every metric of every variant, with intervals that hold at every look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.ab_test import plots, readings
from helpers.methods.ab_test.outcomes import Outcome, outcomes
from helpers.methods.ab_test.plan import texts_of
from helpers.methods.ab_test.results import PEOPLE, TEXTS, Design, Guarded, Trust, changed, doubtful
from helpers.playbook.finding import Finding
from helpers.sentences import number, percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, holm
from helpers.study import Study
from helpers.tables import Table

STATES = texts_of("guardrails.yml")
DIRECTIONS = {"up": "up is good", "down": "down is good"}


@dataclass(frozen=True, repr=False)
class Reading(Guarded):
    """The scorecard of a test.

    Attributes
    ----------
    outcomes : list of Outcome
        Every metric of every variant: primary, guardrails, then secondary.
    doubt : str
        What makes it provisional; empty when nothing does.
    """

    outcomes: list[Outcome] = field(repr=False)
    doubt: str

    def of(self, role: str, arm: int | None = None) -> list[Outcome]:
        """Return the outcomes of a role, of one variant or of all."""
        return [each for each in self.outcomes if each.role == role and arm in (None, each.arm)]

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm; of other units as many as there are may be told."""
        told = self.units in PEOPLE and not self.reason
        return min(min(each.now.n) for each in self.of("primary")) if told else None

    @property
    def sentence(self) -> str:
        """What the primary metric is in each arm, and by how much that differs."""
        return " ".join(self.told_of(each) for each in self.of("primary"))

    def told_of(self, one: Outcome) -> str:
        """Say the levels of both arms and their difference, in units of the metric and as a share."""
        (control, variant), now = one.now.levels, one.now
        a, b = (
            number(each.value, 3)
            if not each.unit and abs(each.value) < 1
            else quantity(each.value, each.unit)
            for each in (control, variant)
        )
        by, share, arm = changed(now.difference), with_bounds(now.relative), self.plan.arms[one.arm]
        words = {"a": a, "b": b, "by": by, "share": share, "arm": arm, "metric": one.metric.name}
        counts = {"m": now.n[0], "n": now.n[1], "k": len(one.cells.looks)}
        told = self.said(TEXTS["levels" if now.relative.known else "levels only"], **words, **counts)
        within = len(self.plan.allocation) > 1
        return say("{told} Compared within periods of the same split.", told=told) if within else told

    def figure(self) -> Chart | NoChart:
        """Draw the effect on the primary metric of the best variant at each look."""
        one = max(self.of("primary"), key=lambda each: np.nan_to_num(each.gain.value, nan=-np.inf))
        words = {"arm": self.plan.arms[one.arm], "effect": with_bounds(one.shown), "k": len(one.cells.looks)}
        title = self.said("Look {k} of {all}: {metric} changed by {effect}, {arm} against {control}", **words)
        if one.by_look["value"].isna().all():
            return NoChart(title, say(one.shown.method), name="effect_by_look")
        smallest = one.sign * self.plan.smallest_effect * one.scale
        note = self.said("Intervals at {level} over all looks; grey is what whoever ignores the looks would see.",
                         level=say("{n} %", n=number(100 * one.confidence)))  # fmt: skip
        if one.crossed is not None:
            day = one.cells.looks[one.crossed]
            note = say("{note} The dot was first beyond a bound on {day}.", note=note, day=day)
        return plots.effect_by_look(one.by_look, title, one.shown.unit, smallest, note)


@dataclass(frozen=True, repr=False)
class Beside(Guarded):
    """A record that stands beside the scorecard, and is shown when that is.

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


@dataclass(frozen=True, repr=False)
class Guardrails(Beside):
    """What must not be lost, and every other metric."""

    @property
    def sentence(self) -> str:
        """Each guardrail: safe, harmed, or cannot tell yet."""
        rails, states = self.reading.of("guardrail"), list(STATES)
        worst_first = sorted(rails, key=lambda each: states.index(each.gain.state), reverse=True)
        named = [self.told_of(each) for each in worst_first]
        return " ".join(named) or say("The plan names no guardrail: nobody looks at what it may cost.")

    def told_of(self, one: Outcome) -> str:
        """Say what is known of one guardrail."""
        margin = percent(one.metric.margin or 0.0, 0)
        return say(
            STATES[one.gain.state]["told"], metric=_named(one), change=with_bounds(one.shown), margin=margin
        )

    def figure(self) -> Chart | None:
        """Draw the relative change of every metric with the margin of each guardrail."""
        drawn = [each for each in self.reading.outcomes if each.now.relative.known]
        rows = [(_named(one), one.role, *one.now.relative[:3], _margin(one), _state(one)) for one in drawn]
        columns = ["metric", "role", "value", "low", "high", "margin", "state"]
        states = [each.gain.state for each in self.reading.of("guardrail")]
        title = say("Guardrails that are safe: {safe} of {all}", safe=states.count("safe"), all=len(states))
        title = title if states else self.said("Every metric of {experiment}")
        note = self.said("Intervals of the primary metric and of guardrails hold at every look.")
        return plots.metric_strip(pd.DataFrame(rows, columns=columns), title, note) if rows else None

    def tables(self) -> Iterator[Table]:
        """Yield every metric of every variant beside the control."""
        rows = [
            (_named(each), each.role, *(quantity(level.value, level.unit) for level in each.now.levels), *each.now.n,
             with_bounds(each.shown), each.now.p, _state(each)) for each in self.reading.outcomes
        ]  # fmt: skip
        columns = ["metric", "role", "control", "variant", "n_control", "n_variant", "change", "p", "verdict"]
        frame = pd.DataFrame(rows, columns=columns)
        variants = frame["role"] == "primary"
        frame.loc[variants, "p"] = holm(frame.loc[variants, "p"])
        text, told = "In {metric} more than {cap} a unit counts as {cap}.", self.reading.outcomes
        capped = {one.metric.name: one.cells.cap for one in told if one.cells.cap is not None}
        said = [
            say("p is that of this look alone, of the primary metric of several variants corrected by Holm.")
        ]
        note = " ".join(said + [say(text, metric=name, cap=number(cap)) for name, cap in capped.items()])
        yield Table("scorecard", frame, self.said("Every metric of {experiment}"), note=note)

    def read(self) -> Iterator[Finding]:
        """Yield the change of each guardrail; the worst of them speaks for all."""
        rails = self.reading.of("guardrail")
        worst = max(rails, key=lambda each: list(STATES).index(each.gain.state), default=None)
        for place, each in enumerate(rails, 1):
            clause = say(STATES[each.gain.state]["clause"], metric=each.metric.name) if each is worst else ""
            about = about_of(each) | {"id": f"ab_test.guardrail_{place}", "headline": clause}
            yield doubtful(
                self.stated(of_both(each), "guardrail", self.told_of(each), **about), self.reading.doubt
            )


def read(study: Study, planned: Design, trust: Trust) -> Reading:
    """Return every metric of every variant at the newest look.

    Nothing is asked of the tables when the checks forbid it, so that no effect can be seen anywhere.
    """
    plan = planned.plan
    if trust.reason:
        return Reading(study, plan, trust.reason, [], "")
    spans = readings.bounds_of if plan.missing == "bounds" else lambda *asked: ()
    cells = [(readings.moments_of(study, plan, each), *spans(study, plan, each)) for each in plan.metrics]
    return Reading(study, plan, "", outcomes(plan, cells), trust.doubt)


def guardrails(study: Study, reading: Reading) -> Guardrails:
    """Return what the test did to what must not be lost."""
    return Guardrails(study, reading.plan, reading.reason, reading)


def of_both(one: Outcome) -> Estimate:
    """Return what is shown of an outcome, with the units of both arms."""
    return one.shown._replace(n=int(sum(one.now.n)))


def _state(one: Outcome) -> str:
    """Return the verdict on one metric: as a guardrail, or by its interval."""
    if one.role == "guardrail":
        return say(one.gain.state)
    text = "better" if one.gain.low > 0 else "worse" if one.gain.high < 0 else "no clear change"
    return say(text)


def _named(one: Outcome) -> str:
    """Return the name of a metric, with the variant where there are several."""
    if len(one.plan.arms) == 2:
        return one.metric.name
    return say("{metric}, {arm}", metric=one.metric.name, arm=one.plan.arms[one.arm])


def about_of(one: Outcome) -> dict[str, str]:
    """Return what a finding of its change is about."""
    return {"named": _named(one), "direction": DIRECTIONS[one.metric.direction]}


def _margin(one: Outcome) -> float:
    """Return where the accepted loss ends, as the metric is counted; NaN for no guardrail."""
    return (one.metric.margin or np.nan) * -one.sign
