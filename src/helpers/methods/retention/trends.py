"""Whether weekly counts rise or fall, and how sure that is: a log-linear trend for each of many short series.

Model: a count of week t has the mean ``exposure_t exp(a + b x_t)``, where x runs from -1/2 in the first week to 1/2
in the last, so that ``exp(b)`` is the last week over the first. Fitted by maximum likelihood (Poisson). The variance
is the mean times the dispersion, estimated by Pearson's chi-squared over its degrees of freedom and never below one
(McCullagh and Nelder 1989, section 6.2.4): counts that jump more than Poisson ones widen the interval, and by chance
it never becomes narrower than theirs. Limits are those of Student's t with ``weeks - 2`` degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FEWEST_WEEKS = 6
"""Fewer weeks are no trend."""

FEWEST_COUNTS = 10
"""A series with a smaller sum, or counts in fewer than three weeks, says nothing about a trend."""

STEPS = 50
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Trends:
    """Ratios of the last week to the first, one per series; missing where there is too little data.

    Attributes
    ----------
    change, low, high : ndarray, shape (series,)
        Ratio and its interval.
    """

    change: FloatArray
    low: FloatArray
    high: FloatArray


def weekly_trends(counts: ArrayLike, exposure: ArrayLike | None = None, confidence: float = 0.95) -> Trends:
    """Return the trend of each series.

    Parameters
    ----------
    counts : array_like, shape (series, weeks)
        Counts of each week, in order.
    exposure : array_like, shape (series, weeks), optional
        What a count is out of, such as members present; weeks of a series without any are left out of it.
    confidence : float
        Level of the intervals.
    """
    y = np.atleast_2d(np.asarray(counts, float))
    out_of = np.ones_like(y) if exposure is None else np.asarray(exposure, float).reshape(y.shape)
    seen = out_of > 0
    freedom = seen.sum(axis=1) - 2
    enough = (freedom >= FEWEST_WEEKS - 2) & ((y * seen).sum(axis=1) >= FEWEST_COUNTS)
    enough &= ((y > 0) & seen).sum(axis=1) >= 3
    found = np.full((3, len(y)), np.nan)
    if enough.any():
        slope, error = _fit(y[enough], np.where(seen, out_of, 0.0)[enough], freedom[enough])
        step = stats.t.ppf(0.5 + confidence / 2, freedom[enough]) * error
        found[:, enough] = np.exp(np.clip([slope, slope - step, slope + step], -700, 700))
    return Trends(*found)


def _fit(y: FloatArray, exposure: FloatArray, freedom: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return slopes and their standard errors by Newton's method, for all series at once."""
    x = np.linspace(-0.5, 0.5, y.shape[1])
    y = np.where(exposure > 0, y, 0.0)
    level, slope = np.log(y.sum(axis=1) / exposure.sum(axis=1)), np.zeros(len(y))
    for _ in range(STEPS):
        mean, weights = _moments(x, exposure, level, slope)
        residual = y - mean
        centre = weights[1] / weights[0]
        curvature = weights[2] - weights[1] * centre
        # Steps of at most one keep a series with its counts at one end from overshooting.
        move = np.clip((residual * (x - centre[:, None])).sum(axis=1) / curvature, -1, 1)
        slope = slope + move
        level = np.log(y.sum(axis=1) / (exposure * np.exp(slope[:, None] * x)).sum(axis=1))
        if np.abs(move).max() < 1e-10:
            break
    mean, weights = _moments(x, exposure, level, slope)
    squared = np.divide((y - mean) ** 2, mean, out=np.zeros_like(mean), where=mean > 0)
    dispersion = np.maximum(squared.sum(axis=1) / freedom, 1.0)
    return slope, np.sqrt(dispersion / (weights[2] - weights[1] ** 2 / weights[0]))


def _moments(
    x: FloatArray, exposure: FloatArray, level: FloatArray, slope: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the means, and their sums weighted by 1, x and x squared: shape (3, series)."""
    mean = exposure * np.exp(level[:, None] + slope[:, None] * x)
    return mean, np.array([(mean * x**power).sum(axis=1) for power in range(3)])
