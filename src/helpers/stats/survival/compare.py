"""Do segments differ in how long members stay: log-rank tests, and differences of restricted means, from cells.

The k-sample log-rank test (Mantel 1966; Peto and Peto 1972) compares exits with those expected if all segments had
the same hazard on every day; the variance is the hypergeometric one, ties included. Late entry needs nothing special.

A p-value says whether, not how much; the difference of restricted means says how many days members of one segment
stay longer within the first `horizon`, whether or not hazards are proportional. Its interval holds with few exits
too: :mod:`helpers.stats.survival.restricted_mean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import Estimate, estimate_of, unknown
from helpers.stats.survival.cells import DayCounts, day_counts
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
    table : pandas.DataFrame
        segment, n, observed, expected (exits; expected under equal hazards).
    """

    chi_square: float
    degrees_of_freedom: int
    p_value: float
    table: pd.DataFrame


@dataclass(frozen=True)
class MeanDifference:
    """Difference of restricted means between segments and a reference segment.

    Attributes
    ----------
    table : pandas.DataFrame
        segment, reference, horizon, n, reference_n, mean, reference_mean, difference, low, high (days).
    reference : str
        The segment compared with.
    horizon : int
        Days looked at.
    confidence : float
        Level of each interval.
    """

    table: pd.DataFrame
    reference: str
    horizon: int
    confidence: float

    def estimate(self, segment: str) -> Estimate:
        """Return the difference of a segment; unknown where there is too little data."""
        rows = self.table[self.table["segment"] == segment]
        if rows.empty:
            return unknown(0, "days", self.confidence)
        row, how = rows.iloc[0], {"value": "difference", "unit": "days"}
        return estimate_of(row, row["n"] + row["reference_n"], "restricted mean", self.confidence, **how)


def logrank(cells: pd.DataFrame, by: str | Sequence[str]) -> LogRank:
    """Test whether segments stay equally long; segments never at risk together with others do not count.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the columns of `by`.
    by : str or sequence of str
        Segment columns.
    """
    counts = day_counts(cells, by)
    n, d = counts.at_risk, counts.events
    total, exits = n.sum(axis=0), d.sum(axis=0)
    expected = (n * (exits / np.where(total > 0, total, 1))).sum(axis=1)
    members, observed = (part.astype("int64") for part in (counts.members, d.sum(axis=1)))
    table = pd.DataFrame({"segment": counts.labels, "n": members, "observed": observed, "expected": expected})
    some = (exits > 0) & (total > 1)
    share, exits, total = n[:, some] / total[some], exits[some], total[some]
    excess = (d[:, some] - exits * share).sum(axis=1)
    scaled = exits * (total - exits) / (total - 1) * share
    # The rows of the variance add up to nothing, so one direction is nothing but rounding.
    values, vectors = np.linalg.eigh(np.diag(scaled.sum(axis=1)) - scaled @ share.T)
    real = values > RANK_TOLERANCE * values.max(initial=0.0)
    if not real.any():
        return LogRank(np.nan, max(len(table) - 1, 0), np.nan, table)
    chi_square = float(((vectors.T @ excess)[real] ** 2 / values[real]).sum())
    return LogRank(chi_square, int(real.sum()), float(stats.chi2.sf(chi_square, real.sum())), table)


def restricted_mean_difference(
    cells: pd.DataFrame,
    by: str | Sequence[str],
    *,
    reference: str,
    horizon: int,
    confidence: float = 0.95,
) -> MeanDifference:
    """Return how many days longer each segment stays than a reference, within the first `horizon` days.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the columns of `by`.
    by : str or sequence of str
        Segment columns.
    reference : str
        Segment to compare with; where nobody is in it, nothing is compared.
    horizon : int
        Days.
    confidence : float
        Level of the intervals.
    """
    counts: DayCounts = day_counts(cells, by)
    labels = counts.labels
    order = ["segment", "reference", "horizon", "n", "reference_n", "mean", "reference_mean", "difference"]
    if reference not in labels:
        return MeanDifference(pd.DataFrame(columns=[*order, "low", "high"]), reference, horizon, confidence)
    base = labels.index(reference)
    means, n = restricted_means(counts, horizon), counts.members.astype("int64")
    low, high = means.difference_limits(base, confidence)
    frame = pd.DataFrame({"segment": labels, "n": n, "mean": means.mean, "low": low, "high": high}).assign(
        reference=labels[base], horizon=horizon, reference_n=int(n[base]), reference_mean=means.mean[base],
        difference=means.mean - means.mean[base],
    )  # fmt: skip
    table = frame.drop(index=base)[[*order, "low", "high"]].reset_index(drop=True)
    return MeanDifference(table, labels[base], horizon, confidence)
