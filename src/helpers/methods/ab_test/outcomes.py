"""What a test says of each metric at its newest look, in numbers: moments in, effects out.

The intervals of primary metric and guardrails hold at every look (repeated intervals of the bounds of the plan), each
at alpha divided by the number of variants (Bonferroni). Secondary metrics decide nothing: they are read at this look
alone, with the false discovery rate held.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from helpers.methods.ab_test.decide import Gain
from helpers.methods.ab_test.effects import Contrast, Effect, FloatArray, effect
from helpers.methods.ab_test.plan import Metric, Plan
from helpers.methods.ab_test.readings import Cells
from helpers.methods.ab_test.sequential import Boundaries, Stopped, boundaries, fraction, stopped
from helpers.stats.estimate import Estimate


@dataclass(frozen=True)
class Outcome:
    """One metric of one variant against the control.

    Attributes
    ----------
    plan, metric, arm : Plan, Metric, int
        What is read; the place of the variant among the arms.
    role : {"primary", "guardrail", "secondary"}
        What it is for.
    cells : Cells
        Its moments.
    contrasts : Contrast
        Axis look: what is decided by, with covariates where the plan names some.
    extremes : tuple of Contrast
        The same with what is missing at its worst and at its best for the variant, where the plan asks for bounds.
    bounds : Boundaries
        At the looks taken.
    confidence : float
        Of its intervals.
    """

    plan: Plan
    metric: Metric
    arm: int
    role: str
    cells: Cells = field(repr=False)
    contrasts: Contrast = field(repr=False)
    extremes: tuple[Contrast, ...] = field(repr=False)
    bounds: Boundaries = field(repr=False)
    confidence: float

    @property
    def sign(self) -> int:
        """Where better lies: 1 is up, -1 down."""
        return 1 if self.metric.direction == "up" else -1

    @property
    def unit(self) -> str:
        """Unit of a difference."""
        return "share" if self.metric.kind != "mean" else "index"

    def at(self, look: int, *, naive: bool = False, found: Contrast | None = None) -> Effect:
        """Return the effect at a look, with the interval that holds at every look, or the naive one."""
        level = 1 - self.plan.alpha if naive else self.confidence
        one, alone = self.contrasts if found is None else found, naive or self.role == "secondary"

        def told(each: Contrast, bounds: FloatArray) -> Effect:
            bound = None if alone or not np.isfinite(bounds[look]) else float(bounds[look])
            return effect(each.at(look), self.metric.kind, level, self.unit, bound=bound)

        ends = [told(each, self.bounds.harm) for each in (*(self.extremes or (one, one)), one)]
        if self.plan.hybrid and np.isfinite(self.bounds.win[look]):
            ends[0 if self.sign > 0 else 1] = told(one, self.bounds.win)
        low, high, middle = ends
        difference = middle.difference._replace(low=low.difference.low, high=high.difference.high)
        relative = middle.relative._replace(low=low.relative.low, high=high.relative.high)
        return middle._replace(difference=difference, relative=relative)

    @cached_property
    def now(self) -> Effect:
        """The effect at the newest look."""
        return self.at(-1)

    @property
    def shown(self) -> Estimate:
        """What a reader is told: the relative effect, or the difference where that is not defined."""
        return self.now.relative if self.now.relative.known else self.now.difference

    @property
    def scale(self) -> float:
        """What turns a share of the control's level into the unit of what is shown."""
        return 1.0 if self.now.relative.known else abs(self.now.levels[0].value)

    @property
    def gain(self) -> Gain:
        """The effect as a decision sees it: up is good, and no win before the bounds of the plan allow one."""
        size = turned(self.shown, self.sign)
        low = size.low if np.isfinite(self.bounds.win[-1]) else -np.inf
        margin = None if self.metric.margin is None else self.metric.margin * self.scale
        return Gain(self.metric.name, size.value, low, size.high, margin)

    @property
    def crossed(self) -> int | None:
        """The first look at which a bound was reached, from 0; None when none was."""
        z = self.sign * self.contrasts.z
        reached = np.flatnonzero((z >= self.bounds.win) | (z <= -self.bounds.harm))
        return int(reached[0]) if len(reached) else None

    @cached_property
    def stop(self) -> Stopped | None:
        """Stage-wise p and median-unbiased difference, of a test that has stopped at the newest of several looks."""
        last, size = len(self.bounds.win) - 1, self.now.difference
        ended = self.crossed is None and self.cells.looks[-1] == self.plan.looks[-1]
        if last == 0 or self.extremes or not size.known or not (ended or self.crossed == last):
            return None
        found = stopped(self.bounds, last, turned(size, self.sign), self.now.error)
        return found._replace(estimate=turned(found.estimate, self.sign))

    @property
    def final(self) -> Estimate:
        """The difference, corrected for having stopped when a bound was reached."""
        return self.stop.estimate if self.stop else self.now.difference

    @cached_property
    def by_look(self) -> pd.DataFrame:
        """Effect at each look, in the unit of what is shown.

        Columns: look, n, value, low, high, naive_low, naive_high, and stop_low, stop_high: the effects beyond which
        the test stops.
        """
        relative, rows = self.now.relative.known, []
        for place, day in enumerate(self.cells.looks):
            both = self.at(place), self.at(place, naive=True)
            one, other = (each.relative if relative else each.difference for each in both)
            rows.append((day, int(self.contrasts.n[place].sum()), *one[:3], *other[1:3]))
        found = pd.DataFrame(rows, columns=["look", "n", "value", "low", "high", "naive_low", "naive_high"])
        for end in ("low", "high"):  # an interval that touches 0 belongs to an effect on the boundary
            stop = (1 + found[end]) / (1 + found["value"]) - 1 if relative else found[end] - found["value"]
            found[f"stop_{end}"] = stop
        return found


def turned(size: Estimate, sign: int) -> Estimate:
    """Return an estimate, with the other sign where that is -1."""
    low, high = (size.low, size.high) if sign > 0 else (-size.high, -size.low)
    return size._replace(value=sign * size.value, low=low, high=high)


def outcomes(plan: Plan, cells: Sequence[tuple[Cells, ...]]) -> list[Outcome]:
    """Return every metric of every variant, from the moments of the metrics of the plan, in its order.

    Behind the moments of a metric stand those with what is missing at its worst and at its best, if asked for.
    """
    roles = ["primary", *["guardrail"] * len(plan.guardrails), *["secondary"] * len(plan.secondary)]
    alpha, found = plan.alpha / (len(plan.arms) - 1), []
    for arm, (metric, role, own) in product(
        range(1, len(plan.arms)), zip(plan.metrics, roles, cells, strict=True)
    ):
        both, *ends = (each.contrasts(plan, metric.kind, each.moments.names, arm) for each in own)
        bounds = bounds_of(plan, both.n, own[0].looks, alpha)
        found.append(Outcome(plan, metric, arm, role, own[0], both, tuple(ends), bounds, 1 - alpha))
    besides = [each for each in found if each.role == "secondary"]
    level = level_of_claims([each.now.p for each in besides], plan.alpha)
    return [replace(each, confidence=level) if each.role == "secondary" else each for each in found]


def level_of_claims(p: Sequence[float], alpha: float) -> float:
    """Return the level of intervals of what is claimed among several, of which `alpha` is false on average.

    With R claimed of m by Benjamini and Hochberg (1995) it is ``1 - alpha R / m`` (Benjamini and Yekutieli 2005);
    with nothing claimed, that of the first that would be. A p that is not known does not count.
    """
    known = [each for each in p if np.isfinite(each)]
    found = (stats.false_discovery_control(known) <= alpha).sum() if known else 0
    return 1 - alpha * max(1, int(found)) / max(1, len(known))


def bounds_of(plan: Plan, n: np.ndarray, looks: Sequence[dt.date], alpha: float) -> Boundaries:
    """Return the bounds at the looks taken, from the units of two arms at each, shape (looks, 2)."""
    time = np.array([_days(plan, day) for day in looks]) / _days(plan, plan.end)
    known = fraction(n, foreseen(plan, n, looks))
    return boundaries(known, alpha, plan.spending, time=time, hybrid=plan.hybrid)


def foreseen(plan: Plan, n: np.ndarray, looks: Sequence[dt.date]) -> np.ndarray:
    """Return the units of two arms that are expected at the planned end: as many a day as until now."""
    return n[-1] * (_days(plan, plan.end) / _days(plan, min(looks[-1], plan.end)))


def _days(plan: Plan, day: dt.date) -> int:
    """Return on how many days outcomes have become complete, one at least."""
    return max((day - plan.start).days - plan.outcome_days, 0) + 1
