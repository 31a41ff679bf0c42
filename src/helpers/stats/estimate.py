"""Intervals shared by all methods: an estimate never travels without its uncertainty.

Formulas
--------
Wilson (1927) score interval; Jeffreys interval from the Beta(x + 1/2, n - x + 1/2) posterior with the
edge rule of Brown, Cai and DasGupta (2001); Garwood (1936, Biometrika 28) exact interval of a Poisson rate,
``chi2(a/2; 2x) / 2`` to ``chi2(1 - a/2; 2x + 2) / 2`` events over the exposure; Newcombe (1998) hybrid score interval
for a difference of independent proportions (his method 10); percentile bootstrap (Efron 1979) with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from helpers.checks import check_confidence, check_scalar

FloatArray = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its interval, sample size and origin.

    Attributes
    ----------
    value : float
        Point estimate; NaN when there is too little data.
    low, high : float
        Bounds of the interval; NaN when there is too little data.
    n : int
        Sample size the estimate rests on (the denominator of a rate).
    unit : str
        Unit of `value`, such as ``"share"``, ``"CNY"`` or ``"ratio"``.
    method : str
        How the interval was made, such as ``"Wilson score"``.
    confidence : float
        Confidence level of the interval.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    method: str
    confidence: float

    @property
    def known(self) -> bool:
        """Whether there was enough data for a value and an interval."""
        return bool(np.isfinite([self.value, self.low, self.high]).all())


def unknown(n: int, unit: str, confidence: float, method: str = "too little data") -> Estimate:
    """Return the estimate that says there is too little data."""
    return Estimate(np.nan, np.nan, np.nan, n, unit, method, confidence)


def half_width(error: ArrayLike, confidence: float, degrees: ArrayLike | None = None) -> Any:
    """Return how far an interval reaches to each side of an estimate with this standard error, elementwise.

    By the normal distribution, or by Student's t with `degrees` of freedom.
    """
    level = 0.5 + check_confidence(confidence) / 2
    factor = stats.norm.ppf(level) if degrees is None else stats.t.ppf(level, degrees)
    return factor * np.asarray(error, float)[()]


def normal_estimate(
    value: float,
    error: float,
    n: int,
    unit: str,
    method: str,
    confidence: float,
    *,
    degrees: float | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return a value with the symmetric interval of its error, cut at `bounds`; unknown when either is NaN."""
    if not np.isfinite([value, error]).all():
        return unknown(n, unit, confidence)
    half = half_width(error, confidence, degrees)
    low, high = np.clip([value - half, value + half], *bounds)
    return Estimate(float(value), float(low), float(high), int(n), unit, method, confidence)


def wilson(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return the Wilson score bounds of ``successes / n``, elementwise; NaN where ``n`` is 0."""
    z = half_width(1.0, confidence)
    x, size = np.asarray(successes, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = x / size
        centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
        half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    # The bounds of none and of all are 0 and 1 to the last digit, which rounding would miss.
    low = np.where((x == 0) & (size > 0), 0.0, np.clip(centre - half, 0, 1))
    high = np.where((x == size) & (size > 0), 1.0, np.clip(centre + half, 0, 1))
    return low[()], high[()]  # numbers, not arrays without axes, for one share


def jeffreys(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return the Jeffreys bounds of ``successes / n``, elementwise; NaN where ``n`` is 0.

    The lower bound is 0 when nothing happened and the upper bound is 1 when everything did, without which
    the interval cannot cover a true share near the edge.
    """
    tail = (1 - check_confidence(confidence)) / 2
    x, size = np.asarray(successes, float), np.asarray(n, float)
    low = np.where(x == 0, 0.0, stats.beta.ppf(tail, x + 0.5, size - x + 0.5))
    high = np.where(x == size, 1.0, stats.beta.ppf(1 - tail, x + 0.5, size - x + 0.5))
    empty = size == 0
    return np.where(empty, np.nan, low)[()], np.where(empty, np.nan, high)[()]


def garwood(
    events: ArrayLike, exposure: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the exact Poisson bounds of the rate ``events / exposure``, elementwise; NaN where `exposure` is 0."""
    tail = (1 - check_confidence(confidence)) / 2
    x, t = np.asarray(events, float), np.asarray(exposure, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(x == 0, 0.0, stats.chi2.ppf(tail, 2 * x) / 2) / t
        high = stats.chi2.ppf(1 - tail, 2 * x + 2) / 2 / t
    return np.where(t > 0, low, np.nan)[()], np.where(t > 0, high, np.nan)[()]


def proportion(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Return a share with its Wilson score interval, or an unknown estimate when ``n`` is 0."""
    check_scalar(successes, "successes", ge=0, le=n)
    if n == 0:
        return unknown(0, "share", confidence)
    low, high = wilson(successes, n, confidence)
    return Estimate(successes / n, float(low), float(high), int(n), "share", "Wilson score", confidence)


def difference_of_proportions(x1: int, n1: int, x0: int, n0: int, confidence: float = 0.95) -> Estimate:
    """Return ``x1/n1 - x0/n0`` with Newcombe's hybrid score interval."""
    if not (n1 and n0):
        return unknown(int(n1 + n0), "share", confidence)
    p1, p0 = x1 / n1, x0 / n0
    (l1, u1), (l0, u0) = wilson(x1, n1, confidence), wilson(x0, n0, confidence)
    delta = p1 - p0
    low = delta - np.sqrt((p1 - l1) ** 2 + (u0 - p0) ** 2)
    high = delta + np.sqrt((u1 - p1) ** 2 + (p0 - l0) ** 2)
    return Estimate(
        delta, float(low), float(high), int(n1 + n0), "share", "Newcombe hybrid score", confidence
    )


def percentile_interval(draws: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the equal-tailed interval of finite `draws`; NaN bounds when fewer than 20 are finite."""
    finite = np.asarray(draws, float)
    finite = finite[np.isfinite(finite)]
    if finite.size < 20:
        return np.nan, np.nan
    tail = (1 - check_confidence(confidence)) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> FloatArray:
    """Return `draws` bootstrap values of a statistic of resampled row numbers.

    Parameters
    ----------
    statistic : callable
        Takes an integer array of row numbers, shape (n,), drawn with replacement; returns a float.
    n : int
        Number of independent units (members, not rows of members).
    confidence : float
        Checked only, so that a bad value fails here rather than at the interval.
    draws : int
        Number of resamples.
    seed : int
        Seed of the generator; the same seed gives the same draws.

    Returns
    -------
    ndarray of float, shape (draws,)
    """
    check_confidence(confidence)
    check_scalar(n, "n", ge=1)
    check_scalar(draws, "draws", ge=20)
    rng = np.random.default_rng(seed)
    return np.array([statistic(rng.integers(0, n, n)) for _ in range(draws)], float)
