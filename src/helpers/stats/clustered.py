"""Intervals of shares whose observations come in clusters, such as several starts of the same member.

A member who is counted several times is not several members. The share p = sum(x) / sum(n) over clusters has the
linearised variance of a ratio (Cochran 1977, 6.3), with x and n summed within each cluster:

    V = k / (k - 1) * sum((x - p n)^2) / sum(n)^2

and the interval is Wilson's with the effective sample size p (1 - p) / V, corrected for the degrees of freedom by
(z / t[k-1])^2 (Korn and Graubard 1998; with Wilson instead of Clopper-Pearson bounds as in Dean and Pagano 2015).
Where every cluster agrees (p is 0 or 1), the effective size is Kish's, (sum n)^2 / sum n^2: each cluster then
counts as one observation.

Measured coverage of nominal 95 % intervals, 4,000 simulations each, 1 to 12 starts per member, members' shares beta
with intra-cluster correlation .2, shares .05, .3 and .8: 30 members .922, .946, .939; 200 members .946, .947, .950.
Wilson's interval that takes starts for members covers .78 to .80; Wilson's with as many independent members .940,
.929, .963 and .967, .947, .953. With few members a rare share is a little too certain.

The five sums are all that leaves the engine.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from helpers.checks import check_confidence
from helpers.stats.estimate import Estimate, unknown, wilson

FloatArray = NDArray[np.float64]


def effective_size(
    share: ArrayLike, variance: ArrayLike, degrees: ArrayLike, confidence: float = 0.95
) -> FloatArray:
    """Return how many independent observations a share with this variance is worth, elementwise."""
    p, v, df = (np.asarray(part, float) for part in (share, variance, degrees))
    with np.errstate(invalid="ignore", divide="ignore"):
        size = p * (1 - p) / v * _freedom(df, confidence)
    return np.where((df >= 1) & (v > 0), size, np.nan)


def _freedom(degrees: FloatArray, confidence: float) -> FloatArray:
    """Return (z / t)^2, by which few clusters shrink an effective size."""
    level = 0.5 + check_confidence(confidence) / 2
    return (stats.norm.ppf(level) / stats.t.ppf(level, degrees)) ** 2


def clustered_interval(
    x: ArrayLike,
    n: ArrayLike,
    xx: ArrayLike,
    xn: ArrayLike,
    nn: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of ``x / n`` from sums over clusters, elementwise.

    Parameters
    ----------
    x, n : array_like
        Successes and trials.
    xx, xn, nn : array_like
        Sums over clusters of x*x, x*n and n*n.
    clusters : array_like
        How many clusters have a trial.
    confidence : float
        Level of the interval.

    Returns
    -------
    tuple of ndarray
        Lower and upper bounds; NaN with fewer than two clusters, of which nothing can be said.
    """
    sx, sn, sxx, sxn, snn, k = (np.asarray(part, float) for part in (x, n, xx, xn, nn, clusters))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sx / sn
        residual = np.clip(sxx - 2 * share * sxn + share**2 * snn, 0, None)
        variance = k / (k - 1) * residual / sn**2
        kish = sn**2 / snn
        size = effective_size(share, variance, k - 1, confidence)
    # Rounding must not make clusters that agree worth millions of observations.
    size = np.where(residual <= 1e-9 * np.maximum(sxx, 1.0), sn * _freedom(k - 1, confidence), size)
    size = np.where((sx == 0) | (sx == sn), kish, size)
    size = np.where(k >= 2, np.minimum(size, sn), np.nan)
    size = np.where(size > 0, size, np.nan)
    low, high = wilson(share * size, size, confidence)
    return np.minimum(low, share), np.maximum(high, share)


def clustered_frame(frame: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return the frame with share, low and high added, from its columns x, n, xx, xn, nn and clusters."""
    sums = [frame[name] for name in ("x", "n", "xx", "xn", "nn", "clusters")]
    low, high = clustered_interval(*sums, confidence=confidence)
    share = frame["x"] / frame["n"].where(frame["n"] > 0)
    return frame.assign(share=share.astype(float), low=low, high=high)


def estimate_of(
    row: pd.Series, n: int, method: str, confidence: float, *, value: str = "share", unit: str = "share"
) -> Estimate:
    """Return a row's value, low and high as an estimate; unknown where one of them is missing."""
    share, low, high = (float(row[name]) for name in (value, "low", "high"))
    if not np.isfinite([share, low, high]).all():
        return unknown(int(n), unit, confidence)
    return Estimate(share, low, high, int(n), unit, method, confidence)
