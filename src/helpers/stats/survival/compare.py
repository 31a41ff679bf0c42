"""Do segments differ in how long members stay: log-rank tests, and differences of restricted means, from cells.

The k-sample log-rank test (Mantel 1966; Peto and Peto 1972) compares exits with those expected if all segments had
the same hazard on every day; the variance is the hypergeometric one, ties included. Late entry needs nothing special.

A p-value says whether, not how much; the difference of restricted means says how many days members of one segment
stay longer within the first `horizon`, whether or not hazards are proportional. Its interval holds with few exits
too: :mod:`helpers.stats.survival.restricted_mean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import Estimate, unknown
from helpers.stats.survival.cells import day_counts
from helpers.stats.survival.restricted_mean import restricted_means

FloatArray = NDArray[np.float64]
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class LogRank:
    """A test of equal survival in all segments.

    Attributes
    ----------
    chi_square, p_value : float
        Missing when there is too little data: fewer than two segments at risk together, or no exit.
    degrees_of_freedom : int
        Segments compared minus one.
    segments, n : int
        Segments, and members in them.
    """

    chi_square: float
    degrees_of_freedom: int
    p_value: float
    segments: int
    n: int


def logrank(cells: pd.DataFrame, by: str) -> LogRank:
    """Test whether segments stay equally long; segments never at risk together with others do not count.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the columns of `by`.
    by : str
        Segment column.
    """
    counts = day_counts(cells, by)
    n, d = counts.at_risk, counts.events
    total, exits = n.sum(axis=0), d.sum(axis=0)
    size = len(n), int(counts.members.sum())
    some = (exits > 0) & (total > 1)
    share, exits, total = n[:, some] / total[some], exits[some], total[some]
    excess = (d[:, some] - exits * share).sum(axis=1)
    scaled = exits * (total - exits) / (total - 1) * share
    # The rows of the variance add up to nothing, so one direction is nothing but rounding.
    values, vectors = np.linalg.eigh(np.diag(scaled.sum(axis=1)) - scaled @ share.T)
    real = values > RANK_TOLERANCE * values.max(initial=0.0)
    if not real.any():
        return LogRank(np.nan, max(len(n) - 1, 0), np.nan, *size)
    chi_square = float(((vectors.T @ excess)[real] ** 2 / values[real]).sum())
    return LogRank(chi_square, int(real.sum()), float(stats.chi2.sf(chi_square, real.sum())), *size)


def mean_difference(
    cells: pd.DataFrame, by: str, segment: str, reference: str, *, horizon: int, confidence: float = 0.95
) -> Estimate:
    """Return how many days longer a segment stays than a reference, within the first `horizon` days.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the column `by`.
    by : str
        Segment column.
    segment, reference : str
        Segments to compare; unknown where nobody is in one of them, or there is too little data.
    horizon : int
        Days.
    confidence : float
        Level of the interval.
    """
    counts = day_counts(cells, by)
    if not {segment, reference} <= set(counts.labels):
        return unknown(0, "days", confidence)
    row, base = (counts.labels.index(label) for label in (segment, reference))
    means, n = restricted_means(counts, horizon), int(counts.members[[row, base]].sum())
    difference = float(means.mean[row] - means.mean[base])
    if not np.isfinite(difference):
        return unknown(n, "days", confidence)
    low, high = means.difference_limits(row, base, confidence)
    return Estimate(difference, low, high, n, "days", "restricted mean", confidence)
