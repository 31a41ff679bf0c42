"""Is a difference between two findings more than chance?

The difference of two independent estimates gets the interval of Zou and Donner (2008), "Construction of confidence
limits about effect measures: a general approach", Statistics in Medicine 27, 1693-1702 (MOVER, square-and-add): with
estimates v0, v1 and limits (l0, u0), (l1, u1) of one level,

    low  = v1 - v0 - sqrt((v1 - l1)^2 + (u0 - v0)^2)
    high = v1 - v0 + sqrt((u1 - v1)^2 + (v0 - l0)^2).

It keeps the asymmetry of each interval and needs nothing but the limits, so it serves Wilson, bootstrap and every
other interval alike; with Wilson limits it is Newcombe's hybrid score interval.

A test at another level than that of the published limits needs limits of that level. They are had by stretching each
side of the interval, with the standard normal quantile, on the scale where the limits are the most symmetric about
the estimate: as it is, log (positive numbers), logit (shares), or arcsine of the root (shares of 0 or 1). The p-value
is the level at which the interval of the difference begins to hold zero, and so agrees with that interval.

Several findings are tested at once; Holm (1979) keeps the chance of even one false signal below 1 - confidence,
whatever the dependence between the findings.

Two versions of a series usually share members, which makes their estimates positively correlated. With correlation
rho the limits are (Zou 2007, "Toward using confidence intervals to compare correlations", Psychological Methods 12,
399-413)

    v1 - v0 -+ sqrt(a^2 + b^2 - 2 rho a b)

where a and b are the two distances under the root above. The width shrinks as rho grows, for equal sides by the
factor sqrt(1 - rho). What a version records does not tell rho: the days that two windows share bound it neither from
above (a member has habits that outlast a window) nor from below (a count of newcomers shares nobody). So rho is taken
as zero, which is careful about signals and says little about stability:

- a signal (adjusted p below 1 - confidence) stands whatever rho >= 0 is;
- a difference whose whole interval stays within :data:`MARGIN` of the value before is small, and stands too,
  because the true interval lies within this one (two one-sided tests: Schuirmann 1987, Journal of Pharmacokinetics
  and Biopharmaceutics 15, 657-680, each at half of 1 - confidence);
- for every other difference the test cannot tell, unless no member is in both versions: then rho is zero, and the
  difference is within noise. :func:`tipping` says from which rho on it would be a signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

MOST_ERRORS = 38.0  # beyond this a p-value is zero in double precision
STEPS, PRECISION = 60, 1e-12
MARGIN = 0.1  # a change of less than this part of the value before is small


class Interval(NamedTuple):
    """An estimate with its limits.

    Attributes
    ----------
    value, low, high : float
        Estimate and limits.
    confidence : float
        Level of the limits.
    unit : str
        ``"share"`` for what lies between 0 and 1 by nature (a difference of shares may be negative).
    """

    value: float
    low: float
    high: float
    confidence: float
    unit: str


class Difference(NamedTuple):
    """The difference of two estimates.

    Attributes
    ----------
    value, low, high : float
        After minus before with its interval, in the unit of the estimates.
    errors : float
        Size in standard errors, with sign: the normal quantile of the p-value; infinite when both are exact.
    p : float
        Two-sided p-value of no difference.
    scale : str
        ``identity``, ``log``, ``logit`` or ``arcsine``: where the limits were taken to be symmetric.
    confidence : float
        Level of the interval.
    """

    value: float
    low: float
    high: float
    errors: float
    p: float
    scale: str
    confidence: float


class _Scale(NamedTuple):
    name: str
    to: Callable[[float], float]
    back: Callable[[float], float]
    valid: Callable[[Interval], bool]


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -700.0), 700.0)))


_IDENTITY = _Scale("identity", lambda x: x, lambda x: x, lambda _: True)
_LOG = _Scale(
    "log", math.log, lambda x: math.exp(min(x, 700.0)), lambda one: one.low > 0 and one.unit != "share"
)
_LOGIT = _Scale(
    "logit",
    lambda x: math.log(x / (1 - x)),
    _logistic,
    lambda one: one.unit == "share" and one.low > 0 and one.high < 1,
)
_ARCSINE = _Scale(
    "arcsine",
    lambda x: math.asin(math.sqrt(x)),
    lambda x: math.sin(min(max(x, 0.0), math.pi / 2)) ** 2,
    lambda one: one.unit == "share" and one.low >= 0 and one.high <= 1,
)


def difference(before: Interval, after: Interval) -> Difference:
    """Return the difference of two independent estimates of the same quantity.

    Parameters
    ----------
    before, after : Interval
        Finite numbers in one unit; their levels may differ. The result has the level of `after`.
    """
    scale = _scale(before, after)
    delta = after.value - before.value
    z = _quantile(after.confidence)
    (l0, u0), (l1, u1) = _limits(before, scale, z), _limits(after, scale, z)
    errors = _errors(before, after, scale)
    return Difference(
        value=delta,
        low=delta - math.hypot(after.value - l1, u0 - before.value),
        high=delta + math.hypot(u1 - after.value, before.value - l0),
        errors=math.copysign(errors, delta) if delta else 0.0,
        p=math.erfc(errors / math.sqrt(2)),
        scale=scale.name,
        confidence=after.confidence,
    )


def within_margin(before: Interval, one: Difference) -> bool:
    """Tell whether a difference is small for certain: its interval within :data:`MARGIN` of the value before."""
    margin = MARGIN * abs(before.value)
    return -margin < one.low and one.high < margin


def tipping(before: Interval, after: Interval, tested: int) -> float:
    """Return the correlation of the two estimates from which on their difference is a signal; above 1 when none is.

    Parameters
    ----------
    before, after : Interval
        As for :func:`difference`.
    tested : int
        Findings looked at together, allowed for by Bonferroni's bound, which is at least as careful as Holm's.

    Notes
    -----
    The correlation at which the interval of Zou (2007) at the adjusted level touches zero: with a and b the distances
    from the estimates to those limits that face each other, (a^2 + b^2 - difference^2) / (2 a b).
    """
    delta = after.value - before.value
    z = NormalDist().inv_cdf(1 - (1 - after.confidence) / (2 * max(tested, 1)))
    scale = _scale(before, after)
    (l0, u0), (l1, u1) = _limits(before, scale, z), _limits(after, scale, z)
    a, b = (after.value - l1, u0 - before.value) if delta > 0 else (u1 - after.value, before.value - l0)
    return (a**2 + b**2 - delta**2) / (2 * a * b) if a * b > 0 else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being several, in the order given.

    Those below ``1 - confidence`` are signals; the chance that any of them is false is at most that
    (Holm 1979, "A simple sequentially rejective multiple test procedure").
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, worst = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(1.0, worst)
    return adjusted


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _scale(before: Interval, after: Interval) -> _Scale:
    """Return the scale on which both intervals are the most symmetric about their estimates."""
    pair = (before, after)
    open_ended = any(one.value in (one.low, one.high) for one in pair)
    if open_ended:
        return _ARCSINE if all(map(_ARCSINE.valid, pair)) else _IDENTITY
    candidates = [scale for scale in (_IDENTITY, _LOG, _LOGIT) if all(map(scale.valid, pair))]
    return min(candidates, key=lambda scale: sum(_skew(one, scale) for one in pair))


def _skew(one: Interval, scale: _Scale) -> float:
    centre = scale.to(one.value)
    below, above = centre - scale.to(one.low), scale.to(one.high) - centre
    return abs(math.log(above / below)) if below > 0 and above > 0 else math.inf


def _limits(one: Interval, scale: _Scale, z: float) -> tuple[float, float]:
    """Return limits of `z` standard errors from the published ones."""
    stretch, centre = z / _quantile(one.confidence), scale.to(one.value)
    below, above = centre - scale.to(one.low), scale.to(one.high) - centre
    low = scale.back(centre - stretch * below) if below else one.value
    high = scale.back(centre + stretch * above) if above else one.value
    return low, high


def _errors(before: Interval, after: Interval, scale: _Scale) -> float:
    """Return how many standard errors each side must be stretched for the interval to reach zero."""
    delta = after.value - before.value
    if not delta:
        return 0.0

    def reach(z: float) -> float:
        (l0, u0), (l1, u1) = _limits(before, scale, z), _limits(after, scale, z)
        if delta > 0:
            return math.hypot(after.value - l1, u0 - before.value)
        return math.hypot(u1 - after.value, before.value - l0)

    if not reach(1.0):
        return math.inf
    size, z, low, high = abs(delta), 1.0, 0.0, MOST_ERRORS
    for _ in range(STEPS):  # the reach grows with z, nearly in proportion; bisection where that guess fails
        reached = reach(z)
        if abs(reached - size) <= PRECISION * size:
            break
        low, high = (z, high) if reached < size else (low, z)
        guess = z * size / reached
        z = guess if low < guess < high else (low + high) / 2
    return z
