"""What a score is worth: mean outcome by score, pooled so that a higher score is never worth less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.isotonic import IsotonicRegression


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
