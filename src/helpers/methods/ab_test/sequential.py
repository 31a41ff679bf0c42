"""Looking at a test while it runs without false alarms: bounds, repeated intervals and estimates after stopping.

Information is counted in units of what the plan expects at its end (t = 1). Each tail of a two-sided test spends
alpha / 2 over the looks (Lan and DeMets 1983):

- O'Brien-Fleming: ``alpha(t) = 4 (1 - Phi(z[1 - alpha/4] / sqrt(t)))``,
- Pocock: ``alpha(t) = alpha ln(1 + (e - 1) t)``,
- fixed: everything at the last look,
- always-valid: the asymptotic confidence sequence of Waudby-Smith et al. (2024, Annals of Statistics 52), eq. 9, for
  which no end need be planned.

Bounds come by recursive numerical integration (Armitage, McPherson and Rowe 1969); p, estimate and interval after
stopping by the stage-wise order (Jennison and Turnbull 2000, chapter 8), with a drift put in by the likelihood ratio
``exp(drift s - drift^2 t / 2)`` of the sufficient statistic.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtr, roots_legendre

from helpers.stats.estimate import Estimate, FloatArray

# Error that a look spends at least, so that its bound and its interval stay finite.
LEAST = 1e-290
# Standard deviations beyond which a path is not followed.
REACH = 12.0
# Information that a look must add to count as one.
NO_NEWS = 1e-9
_legendre = lru_cache(64)(roots_legendre)


def fraction(n: ArrayLike, planned: ArrayLike) -> FloatArray:
    """Return the information fraction of two arms of sizes `n` when `planned` are planned, shapes (..., 2).

    The information of a difference is ``n0 n1 / (n0 + n1)``; other arms do not count.
    """
    arms, ends = np.asarray(n, float), np.asarray(planned, float)
    total, end = arms.sum(-1), ends.sum(-1)
    return np.divide(arms.prod(-1), total, out=np.zeros_like(total), where=total > 0) * end / ends.prod(-1)


class Boundaries(NamedTuple):
    """Normal deviates at which a test stops, one a look.

    Attributes
    ----------
    win, harm : ndarray, shape (looks,)
        The test stops when z reaches `win` or falls to ``-harm``; infinite where it may not. The same unless hybrid.
    fractions : ndarray, shape (looks,)
        Information at each look, 1 at the planned end.
    spent : ndarray, shape (looks,)
        Part of alpha spent up to each look, both tails together; all of it when always valid.
    """

    win: FloatArray
    harm: FloatArray
    fractions: FloatArray
    spent: FloatArray


def boundaries(
    fractions: ArrayLike, alpha: float, spending: str, *, time: ArrayLike | None = None, hybrid: bool = False
) -> Boundaries:
    """Return the bounds for the looks taken so far.

    Parameters
    ----------
    fractions : array_like, shape (looks,)
        Information at each look, not falling; may exceed 1 when more units came than planned. A look that brings
        nothing new has the bound of the look before. Once 1 is reached (in time, where that is given) everything is
        spent: the test is at its end, and the bounds of later looks are infinite.
    alpha : float
        Two-sided error over all looks.
    time : array_like, shape (looks,), optional
        Share of the planned days at each look, by which alpha is spent instead of by information (Lan and DeMets
        1989): what earlier looks spent then does not change when more or fewer units come than were expected, and
        information may be counted in any unit. The look at time 1 is the last, and spends what is left.
    spending : {"obrien-fleming", "pocock", "always-valid", "fixed"}
        How it is spent.
    hybrid : bool
        Whether only harm may stop the test early; a win is then judged once, at the end, at alpha / 2.
    """
    t = np.asarray(fractions, float)
    spent_at = t if time is None else np.asarray(time, float)
    spent = _spent(np.minimum(spent_at, 1.0), alpha, spending)
    always = spending == "always-valid"
    bound = always_valid(t, alpha) if always else _bounds(t, spent / 2, one_sided=hybrid)
    end = np.append(np.zeros(len(t) - 1, bool), spent_at[-1] >= 1)
    win = np.where(end, stats.norm.isf(alpha / 2), np.inf) if hybrid else bound
    return Boundaries(win, bound, t, spent)


def always_valid(fractions: ArrayLike, alpha: float) -> FloatArray:
    """Return the normal deviates of an asymptotic confidence sequence that is narrowest near the planned end.

    With ``rho^2 N* = -2 ln(alpha) + ln(1 - 2 ln(alpha))`` the width depends on the units by their share of N* alone.
    """
    v = np.asarray(fractions, float) * (np.log1p(-2 * np.log(alpha)) - 2 * np.log(alpha))
    with np.errstate(divide="ignore"):
        return np.sqrt(2 * (1 + 1 / v) * (np.log1p(v) / 2 - np.log(alpha)))


def _spent(t: FloatArray, alpha: float, spending: str) -> FloatArray:
    """Return the two-sided error spent up to each look."""
    if spending in ("fixed", "always-valid"):
        return np.where((t >= 1) | (spending != "fixed"), alpha, 0.0)
    with np.errstate(divide="ignore"):
        early = 4 * stats.norm.sf(stats.norm.isf(alpha / 4) / np.sqrt(t))
    found = early if spending == "obrien-fleming" else alpha * np.log1p(np.expm1(1) * t)
    return np.maximum(found, 2 * LEAST)


class _Step(NamedTuple):
    """Where the tests that still run stand before a look: places and masses of the path, and their information."""

    now: float
    place: FloatArray = np.zeros(1)
    mass: FloatArray = np.ones(1)
    before: float = 0.0

    def above(self, bound: float, drift: float = 0.0) -> float:
        """Return the probability to run until this look and to be at `bound` or above, a normal deviate."""
        added = self.now - self.before
        mass = self.mass * np.exp(drift * self.place - drift**2 * self.before / 2)
        distance = (bound * np.sqrt(self.now) - self.place - drift * added) / np.sqrt(added)
        return float(mass @ ndtr(-distance))

    def bound(self, tail: float) -> float:
        """Return the normal deviate that as many are above."""
        least = LEAST / 1e9
        return float(brentq(lambda z: np.log(max(self.above(z), least) / tail), -REACH, 40, xtol=1e-10))

    def onwards(self, low: float, high: float, then: float) -> _Step:
        """Return the step to information `then` of those that at this look are between two normal deviates."""
        added, ahead, scale = self.now - self.before, then - self.now, np.sqrt(self.now)
        low, high = max(low, -REACH) * scale, min(high, REACH) * scale
        # A Gaussian as wide as the smaller increment is resolved by three nodes in each standard deviation.
        finest = np.sqrt(min(added, ahead))
        nodes, weights = _legendre(int(np.clip(3 * (high - low) / finest + 32, 64, 2048)) // 32 * 32)
        place = (low + high) / 2 + (high - low) / 2 * nodes
        density = np.exp(-((place[:, None] - self.place) ** 2) / (2 * added)) @ self.mass
        mass = density * weights * (high - low) / np.sqrt(8 * np.pi * added)
        return _Step(then, place, mass, self.now)


def _bounds(t: FloatArray, spent: FloatArray, one_sided: bool) -> FloatArray:
    """Return the normal deviates whose upper tail spends what is to be spent."""
    bounds = np.full(t.shape, np.inf)
    step, paid = None, 0.0
    for look, now in enumerate(t):
        if now - (step.now if step else 0.0) <= NO_NEWS:
            bounds[look] = bounds[look - 1] if look else np.inf
            continue
        high = bounds[look - 1]
        step = step.onwards(-np.inf if one_sided else -high, high, now) if step else _Step(now)
        due, paid = spent[look] - paid, spent[look]
        if due > 0 or 0 < paid <= LEAST:
            bounds[look] = step.bound(max(due, LEAST))
    return bounds


def _path(bounds: Boundaries, look: int, sign: float) -> list[tuple[_Step, float]]:
    """Return the steps up to a look with their upper bounds; from below when `sign` is -1."""
    upper, lower = (bounds.win, bounds.harm) if sign > 0 else (bounds.harm, bounds.win)
    news = np.flatnonzero(np.diff(bounds.fractions[: look + 1], prepend=0.0) > NO_NEWS)
    steps = [_Step(bounds.fractions[news[0]])]
    for before, now in pairwise(news):
        steps.append(steps[-1].onwards(-lower[before], upper[before], bounds.fractions[now]))
    return list(zip(steps, upper[news], strict=True))


def crossing(bounds: Boundaries, drift: float) -> FloatArray:
    """Return the probability that a test first reaches its upper bound at each look that brings news.

    The drift is the mean of z at the planned end (information 1).
    """
    return np.array([step.above(bound, drift) for step, bound in _path(bounds, len(bounds.win) - 1, 1.0)])


class Stopped(NamedTuple):
    """What a test that has stopped says of its effect.

    Attributes
    ----------
    p : float
        Two-sided stage-wise p.
    estimate : Estimate
        Median-unbiased, with the stage-wise interval, in the unit of the difference.
    """

    p: float
    estimate: Estimate


def stopped(bounds: Boundaries, look: int, effect: Estimate, error: float) -> Stopped:
    """Return stage-wise p, median-unbiased estimate and interval of a test that stopped at a look, or ended there.

    Parameters
    ----------
    bounds : Boundaries
        Of all looks up to this one.
    look : int
        Place of the look at which it stopped, from 0.
    effect : Estimate
        At this look; ``value / error`` was compared with the bounds. Level, unit and n are taken over.
    error : float
        Its standard error.
    """
    z = effect.value / error
    sign = 1.0 if z >= 0 else -1.0
    path = _path(bounds, look, sign)
    last, tail = path[-1][0], (1 - effect.confidence) / 2

    def beyond(drift: float) -> float:
        return sum(step.above(bound, drift) for step, bound in path[:-1]) + last.above(abs(z), drift)

    def drift_at(level: float) -> float:
        reach = 8 / np.sqrt(last.now)
        low = high = abs(z) / np.sqrt(last.now)
        while beyond(low) > level:
            low -= reach
        while beyond(high) < level:
            high += reach
        return float(brentq(lambda drift: beyond(drift) - level, low, high, xtol=1e-9))

    scale, levels = sign * error * np.sqrt(last.now), (tail, 0.5, 1 - tail)[:: int(sign)]
    low, value, high = (float(scale * drift_at(level)) for level in levels)
    estimate = effect._replace(value=value, low=low, high=high, method="stage-wise")
    return Stopped(min(1.0, 2 * beyond(0.0)), estimate)
