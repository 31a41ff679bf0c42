"""Do segments differ in how long members stay: log-rank tests, and differences of restricted means, from cells.

The k-sample log-rank test (Mantel 1966; Peto and Peto 1972) compares exits with those expected if all segments had
the same hazard on every day; the variance is the hypergeometric one, ties included. Weights: ``log-rank`` 1,
``wilcoxon`` the number at risk (Gehan 1965, Breslow 1970; early days count more), ``tarone-ware`` its square root.
Pairs of segments are tested with the same days and Holm's (1979) correction. Late entry needs nothing special.

A p-value says whether, not how much; the difference of restricted means says how many days members of one segment
stay longer within the first `horizon`, whether or not hazards are proportional. Its interval holds with few exits
too: :mod:`helpers.stats.survival.restricted_mean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.sentences import number, say, with_interval
from helpers.stats.estimate import Estimate, holm, unknown
from helpers.stats.survival.cells import DayCounts, day_counts
from helpers.stats.survival.restricted_mean import common_horizon, restricted_means
from helpers.study.days import checked, checked_confidence

FloatArray = NDArray[np.float64]
RANK_TOLERANCE = 1e-9
WEIGHTINGS = ("log-rank", "wilcoxon", "tarone-ware")


class _Test(NamedTuple):
    chi_square: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True)
class LogRank:
    """A test of equal survival in all segments.

    Attributes
    ----------
    chi_square, p_value : float
        Missing when there is too little data: fewer than two segments at risk together, or no exit.
    degrees_of_freedom : int
        Segments compared minus one.
    weighting : str
        One of log-rank, wilcoxon, tarone-ware.
    table : pandas.DataFrame
        segment, n, observed, expected (exits; expected under equal hazards, unweighted).
    pairs : pandas.DataFrame
        first, second, chi_square, p_value, p_holm: every pair of segments, and with Holm's correction for all.
    confidence : float
        One minus the p-value below which the segments are said to differ.
    """

    chi_square: float
    degrees_of_freedom: int
    p_value: float
    weighting: str
    table: pd.DataFrame
    pairs: pd.DataFrame
    confidence: float = 0.95

    @property
    def sentence(self) -> str:
        """Whether the segments differ, and by which test."""
        n = int(self.table["n"].sum())
        if not np.isfinite(self.p_value):
            return say(
                "Too little data to compare the stay in {k} segments (n = {n:,}).", k=len(self.table), n=n
            )
        text = say(
            "The stay differs between the {k} segments" if self.p_value < 1 - self.confidence
            else "No clear difference in the stay between the {k} segments", k=len(self.table),
        )  # fmt: skip
        return text + say(
            " ({test} test, χ² = {chi} on {df}, p {p}, n = {n:,}).",
            test=self.weighting, chi=number(self.chi_square, 1), df=self.degrees_of_freedom,
            p=_p_value(self.p_value), n=n,
        )  # fmt: skip


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

    def estimate(self, segment: str | None = None) -> Estimate:
        """Return the difference of a segment; the first when not named."""
        labels = self.table["segment"].tolist()
        if not labels:
            return unknown(0, "days", self.confidence)
        name = labels[0] if segment is None else checked(segment, "segment", in_=labels)
        row = self.table.iloc[labels.index(name)]
        n = int(row["n"] + row["reference_n"])
        if not np.isfinite(row["difference"]):
            return unknown(n, "days", self.confidence)
        return Estimate(
            row["difference"], row["low"], row["high"], n, "days", "restricted mean", self.confidence
        )

    @property
    def sentence(self) -> str:
        """The largest difference, in days."""
        known = self.table[self.table["difference"].notna()]
        if known.empty:
            return say("Too little data to compare how long members stay.")
        row: Any = known.iloc[int(known["difference"].abs().to_numpy().argmax())]
        found = self.estimate(row["segment"])
        text = say(
            "Of the first {horizon:,} days, members of segment {segment} stay {mean} and those of {reference} "
            "{other}: a difference of {difference}",
            horizon=self.horizon, segment=row["segment"], mean=number(row["mean"]), reference=self.reference,
            other=number(row["reference_mean"]), difference=with_interval(found),
        )  # fmt: skip
        unclear = found.low <= 0 <= found.high
        return text + (say(", which may be chance.") if unclear else ".")


def logrank(
    cells: pd.DataFrame,
    by: str | Sequence[str],
    *,
    weighting: str = "log-rank",
    pairs: bool = True,
    confidence: float = 0.95,
) -> LogRank:
    """Test whether segments stay equally long.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the columns of `by`.
    by : str or sequence of str
        Segment columns.
    weighting : {"log-rank", "wilcoxon", "tarone-ware"}
        Weight of each day.
    pairs : bool
        Whether to test all pairs too.
    confidence : float
        One minus the p-value below which the segments are said to differ.
    """
    checked_confidence(confidence)
    checked(weighting, "weighting", in_=WEIGHTINGS)
    counts = day_counts(cells, by)
    test, labels = _test(counts, weighting), counts.labels
    table = pd.DataFrame(
        {
            "segment": labels,
            "n": counts.members.astype("int64"),
            "observed": counts.events.sum(axis=1).astype("int64"),
            "expected": _expected(counts),
        }
    )
    found = [
        (labels[a], labels[b], *_test(counts.rows([a, b]), weighting)[::2])
        for a, b in (combinations(range(len(labels)), 2) if pairs else ())
    ]
    frame = pd.DataFrame(found, columns=["first", "second", "chi_square", "p_value"])
    frame = frame.assign(p_holm=holm(frame["p_value"].to_numpy(float)))
    return LogRank(*test, weighting, table, frame, confidence)


def restricted_mean_difference(
    cells: pd.DataFrame,
    by: str | Sequence[str],
    *,
    reference: str | None = None,
    horizon: int | None = None,
    confidence: float = 0.95,
) -> MeanDifference:
    """Return how many days longer each segment stays than a reference, within the first `horizon` days.

    Parameters
    ----------
    cells : pandas.DataFrame
        Cells with the columns of `by`.
    by : str or sequence of str
        Segment columns.
    reference : str, optional
        Segment to compare with; default the largest.
    horizon : int, optional
        Days; default: the most for which all segments were watched.
    confidence : float
        Level of the intervals.
    """
    level, counts = checked_confidence(confidence), day_counts(cells, by)
    days = common_horizon(counts) if horizon is None else checked(horizon, "horizon", type_=int, ge=1)
    labels = counts.labels
    if reference is not None:
        checked(reference, "reference", in_=labels)
    order = ["segment", "reference", "horizon", "n", "reference_n", "mean", "reference_mean", "difference"]
    if not labels:
        return MeanDifference(pd.DataFrame(columns=[*order, "low", "high"]), "", int(days), level)
    base = int(np.argmax(counts.members)) if reference is None else labels.index(reference)
    means, n = restricted_means(counts, days), counts.members.astype("int64")
    low, high = means.difference_limits(base, level)
    frame = pd.DataFrame({"segment": labels, "n": n, "mean": means.mean, "low": low, "high": high}).assign(
        reference=labels[base], horizon=days, reference_n=int(n[base]), reference_mean=means.mean[base],
        difference=means.mean - means.mean[base],
    )  # fmt: skip
    table = frame.drop(index=base)[[*order, "low", "high"]].reset_index(drop=True)
    return MeanDifference(table, labels[base], int(days), level)


def _expected(counts: DayCounts) -> FloatArray:
    total = counts.at_risk.sum(axis=0)
    hazard = counts.events.sum(axis=0) / np.where(total > 0, total, 1)
    return (counts.at_risk * hazard).sum(axis=1)


def _test(counts: DayCounts, weighting: str) -> _Test:
    """Return the k-sample test; segments that are never at risk together with others do not count."""
    n, d = counts.at_risk, counts.events
    total, exits = n.sum(axis=0), d.sum(axis=0)
    some = (exits > 0) & (total > 1)
    n, d, total, exits = n[:, some], d[:, some], total[some], exits[some]
    weight = {"log-rank": np.ones(total.size), "wilcoxon": total, "tarone-ware": np.sqrt(total)}[weighting]
    share = n / total
    excess = ((d - exits * share) * weight).sum(axis=1)
    scale = weight**2 * exits * (total - exits) / (total - 1)
    variance = np.diag((scale * share).sum(axis=1)) - (scale * share) @ share.T
    values, vectors = np.linalg.eigh(variance)
    # The rows of the variance add up to nothing, so one direction is nothing but rounding.
    real = values > RANK_TOLERANCE * values.max(initial=0.0)
    rank = int(real.sum())
    if rank == 0:
        return _Test(np.nan, max(len(counts.labels) - 1, 0), np.nan)
    chi_square = float(((vectors.T @ excess)[real] ** 2 / values[real]).sum())
    return _Test(chi_square, rank, float(stats.chi2.sf(chi_square, rank)))


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
