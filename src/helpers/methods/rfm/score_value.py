"""What a score is worth: mean outcome by score, how well it ranks and adds up, and what it does not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.study.enough import RESAMPLED, RESAMPLED_WITH_VALUE

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreValue:
    """Mean outcome by score.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per score: score, n, mean (observed), expected (pooled with its neighbours where the order was
        broken), low, high (normal interval of the pooled mean, not below 0 when no outcome is).
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, score: ArrayLike, outcome: ArrayLike, confidence: float = 0.95) -> ScoreValue:
        """Average outcomes by score; isotonic regression (Barlow et al. 1972) keeps the order."""
        values = pd.DataFrame({"score": np.asarray(score, float), "outcome": np.asarray(outcome, float)})
        by_score = values.groupby("score")["outcome"]
        table = by_score.agg(n="size", mean="mean", square=lambda v: float((v**2).mean())).reset_index()
        fitted = IsotonicRegression().fit_transform(table["score"], table["mean"], sample_weight=table["n"])
        block = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
        pooled = (
            table.assign(square=table["square"] * table["n"]).groupby(block)[["n", "square"]].transform("sum")
        )
        variance = np.maximum(pooled["square"] / pooled["n"] - fitted**2, 0.0)
        half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance / pooled["n"])
        floor = 0.0 if (values["outcome"] >= 0).all() else -np.inf
        table = table.drop(columns="square").assign(expected=fitted)
        return cls(table.assign(low=np.maximum(fitted - half, floor), high=fitted + half))

    def expected(self, score: ArrayLike) -> NDArray[np.float64]:
        """Return expected, low and high, shape (members, 3); a score never seen is worth the next lower one."""
        known = self.table["score"].to_numpy()
        at = np.searchsorted(known, np.asarray(score, float), side="right") - 1
        return self.table[["expected", "low", "high"]].to_numpy()[np.maximum(at, 0)]


def rank_correlation(values: FloatArray, outcome: FloatArray, confidence: float) -> dict[str, float]:
    """Return spearman, spearman_low and spearman_high; nothing when all values are equal.

    Bonett and Wright (2000): the variance of Fisher's z for ranks.
    """
    if not np.ptp(values) > 0:
        return {}
    rank = float(stats.spearmanr(values, outcome).statistic)
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt((1 + rank**2 / 2) / (values.size - 3))
    ends = np.tanh(np.arctanh(np.clip(rank, -1 + 1e-12, 1 - 1e-12)) + np.array([-half, half]))
    return {"spearman": rank, "spearman_low": float(ends[0]), "spearman_high": float(ends[1])}


def calibration(values: FloatArray, outcome: FloatArray, confidence: float) -> dict[str, float]:
    """Return predicted_total, calibration (predicted over actual total) and its bounds; nothing for a total of 0.

    Delta method for the logarithm of a ratio of two sums over the same members.
    """
    if not values.sum() > 0:
        return {}
    ratio = float(values.sum() / outcome.sum())
    spread = values / values.mean() - outcome / outcome.mean()
    factor = float(np.exp(stats.norm.ppf(0.5 + confidence / 2) * spread.std() / np.sqrt(values.size)))
    bounds = {"calibration_low": ratio / factor, "calibration_high": ratio * factor}
    return {"predicted_total": float(values.sum()), "calibration": ratio, **bounds}


def newcomers(
    values: FloatArray, n: int, *, unit: str, confidence: float = 0.95, draws: int = 1000, seed: int = 0
) -> Estimate:
    """Return the mean value of `n` members of whom only some, with `values`, had any.

    The percentile bootstrap over all `n` members draws those without value as one, which is exact. Not known
    with fewer than 20 members or fewer than 5 with a value above 0.
    """
    if n < RESAMPLED or (values > 0).sum() < RESAMPLED_WITH_VALUE:
        return unknown(n, unit, confidence)
    rng = np.random.default_rng(seed)
    ordered = np.sort(values)
    sizes = rng.binomial(n, ordered.size / n, draws)
    means = np.array([ordered[rng.integers(0, ordered.size, size)].sum() / n for size in sizes])
    low, high = percentile_interval(means, confidence)
    return Estimate(float(ordered.sum()) / n, low, high, n, unit, "member bootstrap", confidence)
