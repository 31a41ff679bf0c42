"""Is a difference between two estimates more than chance?

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
  difference is within noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

MOST_ERRORS = 38.0  # beyond this a p-value is zero in double precision
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
    to: Callable[[float], float]
    back: Callable[[float], float]


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -700.0), 700.0)))


_SCALES = {
    "identity": _Scale(lambda x: x, lambda x: x),
    "log": _Scale(math.log, lambda x: math.exp(min(x, 700.0))),
    "logit": _Scale(lambda x: math.log(x / (1 - x)), _logistic),
    "arcsine": _Scale(
        lambda x: math.asin(math.sqrt(x)), lambda x: math.sin(min(max(x, 0.0), math.pi / 2)) ** 2
    ),
}


def difference(before: Interval, after: Interval) -> Difference:
    """Return the difference of two independent estimates of the same quantity.

    Parameters
    ----------
    before, after : Interval
        Finite numbers in one unit; their levels may differ. The result has the level of `after`.
    """
    name = _scale(before, after)
    scale = _SCALES[name]
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
        scale=name,
        confidence=after.confidence,
    )


def within_margin(before: Interval, one: Difference) -> bool:
    """Tell whether a difference is small for certain: its interval within :data:`MARGIN` of the value before."""
    margin = MARGIN * abs(before.value)
    return -margin < one.low and one.high < margin


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _scale(before: Interval, after: Interval) -> str:
    """Return the scale on which both intervals are the most symmetric about their estimates."""
    pair = (before, after)
    shares = all(one.unit == "share" and one.low >= 0 and one.high <= 1 for one in pair)
    if any(one.value in (one.low, one.high) for one in pair):
        return "arcsine" if shares else "identity"
    candidates = ["identity"]
    if all(one.low > 0 and one.unit != "share" for one in pair):
        candidates.append("log")
    if shares and all(one.low > 0 and one.high < 1 for one in pair):
        candidates.append("logit")
    return min(candidates, key=lambda name: sum(_skew(one, _SCALES[name]) for one in pair))


def _skew(one: Interval, scale: _Scale) -> float:
    below, above = _sides(one, scale)
    return abs(math.log(above / below)) if below > 0 and above > 0 else math.inf


def _sides(one: Interval, scale: _Scale) -> tuple[float, float]:
    """Return how far the limits lie below and above the estimate, on a scale."""
    centre = scale.to(one.value)
    return centre - scale.to(one.low), scale.to(one.high) - centre


def _limits(one: Interval, scale: _Scale, z: float) -> tuple[float, float]:
    """Return limits of `z` standard errors from the published ones."""
    stretch, centre = z / _quantile(one.confidence), scale.to(one.value)
    below, above = _sides(one, scale)
    low = scale.back(centre - stretch * below) if below else one.value
    high = scale.back(centre + stretch * above) if above else one.value
    return low, high


def _facing(before: Interval, after: Interval, scale: _Scale, z: float) -> tuple[float, float]:
    """Return the distances from the estimates to those limits of `z` standard errors that face each other."""
    (l0, u0), (l1, u1) = _limits(before, scale, z), _limits(after, scale, z)
    if after.value > before.value:
        return after.value - l1, u0 - before.value
    return u1 - after.value, before.value - l0


def _errors(before: Interval, after: Interval, scale: _Scale) -> float:
    """Return how many standard errors each side must be stretched for the interval to reach zero."""
    size = abs(after.value - before.value)

    def beyond(z: float) -> float:
        return math.hypot(*_facing(before, after, scale, z)) - size

    if not size:
        return 0.0
    if beyond(1.0) == -size:
        return math.inf
    if beyond(MOST_ERRORS) <= 0:
        return MOST_ERRORS
    from scipy.optimize import (
        brentq,
    )  # a fifth of a second, which a report without an earlier one need not wait

    return float(brentq(beyond, 0.0, MOST_ERRORS, xtol=1e-12))
