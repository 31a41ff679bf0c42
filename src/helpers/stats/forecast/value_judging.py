"""How predicted value did on windows it had not seen: level, ranking, both at once, and the spread over windows.

Three questions of a window, three measures:

- level: realised over predicted sum, with a bootstrap interval over members;
- ranking: share of the realised value that lies in the tenth of members predicted highest (a constant gets a tenth;
  members tied at the border count in proportion);
- both at once: the mean Poisson deviance (McCullagh and Nelder 1989, chapter 2), smallest in expectation at the true
  means whatever the distribution is, so a constant cannot win it by being right in sum. Predictions below
  a twentieth of their mean count as that much: one sale after a prediction of nothing would cost infinitely.

The gain is the share of the deviance of past value that a model takes away, with a bootstrap interval from the same
resamples of members (paired). How far the level of a whole window errs is another matter: members of a window share
its luck, so it takes several windows (:class:`RatioSpread`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from helpers.stats.concentration import in_top
from helpers.stats.estimate import half_width, percentile_interval
from helpers.stats.resample import ratio_interval, unit_weights
from helpers.study import enough

FloatArray = NDArray[np.float64]

SURVIVAL = "stay-and-spend forecast"
MODEL = "BG/NBD × Gamma-Gamma model"
PAST = "past value"
FLOOR = 0.05  # smallest prediction that the deviance knows, as a share of the mean prediction
ASSUMED_SPREAD = 0.3
"""Spread of the log ratio of windows that is assumed before three of them could be judged: about 30 per cent."""
THIRDS = 3
LEVEL = ["predicted", "realised", "ratio", "low", "high", "largest_gap", "gap_by_chance"]
GAIN = ["top_tenth", "top_low", "top_high", "deviance", "gain", "gain_low", "gain_high"]
TABLE = ["model", "n", *LEVEL, *GAIN]


@dataclass(frozen=True)
class RatioSpread:
    """How far the realised sum of a window lay from its prediction, over windows.

    Attributes
    ----------
    mean, deviation : float
        Mean and standard deviation of the log ratio of realised to predicted sums.
    windows : int
        Judged windows; with fewer than three the deviation is an assumption.
    dispersion : float
        Variance of a member's value as a multiple of its prediction (Pearson), in the unit of the value.
    confidence : float
        Level of the intervals.
    """

    mean: float
    deviation: float
    windows: int
    dispersion: float
    confidence: float

    @classmethod
    def of(cls, judged: pd.DataFrame, confidence: float) -> RatioSpread:
        """Measure from rows of split, predicted and realised, one for each member and window."""
        sums = judged.groupby("split")[["predicted", "realised"]].sum()
        sums = sums[(sums > 0).all(axis=1)]
        ratios, k = np.log((sums["realised"] / sums["predicted"]).to_numpy(float)), len(sums)
        seen = judged[judged["predicted"] > 0]
        pearson = (seen["realised"] - seen["predicted"]) ** 2 / seen["predicted"]
        return cls(
            mean=float(ratios.mean()) if k else np.nan,
            deviation=float(ratios.std(ddof=1)) if k >= enough.VALUE_WINDOWS else ASSUMED_SPREAD,
            windows=k,
            dispersion=float(pearson.mean()),
            confidence=confidence,
        )

    def _half(self, error: float) -> float:
        return float(half_width(error, self.confidence, max(self.windows, enough.VALUE_WINDOWS) - 1))

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Typical ratio of realised to predicted, with its t interval over windows."""
        half = self._half(self.deviation / np.sqrt(max(self.windows, 1)))
        value, low, high = np.exp([self.mean, self.mean - half, self.mean + half])
        return float(value), float(low), float(high)

    @property
    def provisional(self) -> bool:
        """Whether predictions were off in one direction, or too few windows could be judged to tell."""
        _, low, high = self.ratio
        return not (self.windows >= enough.VALUE_WINDOWS and low <= 1 <= high)

    def factors(self, total: float) -> tuple[float, float]:
        """Return the factors that turn the predicted sum of some members into the bounds of what will come.

        The next window errs as past ones did (Student's t, with the error of their mean), and what these members
        bring varies by chance, with variance `dispersion` times prediction.
        """
        chance = self.dispersion / total if total > 0 else 0.0
        half = self._half(np.sqrt(self.deviation**2 * (1 + 1 / max(self.windows, 1)) + chance))
        return float(np.exp(min(self.mean, 0.0) - half)), float(np.exp(max(self.mean, 0.0) + half))


def judge(
    predicted: pd.DataFrame, realised: FloatArray, confidence: float, draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare models on one window.

    Parameters
    ----------
    predicted : pandas.DataFrame
        One row per member, one column per model; NaN where a model says nothing. Each model is judged, and
        compared with past value, on the members it speaks of.
    realised : ndarray
        What each member brought.
    confidence, draws, seed
        Level and bootstrap of the intervals.

    Returns
    -------
    tuple of pandas.DataFrame
        Table and deciles, as in :class:`helpers.stats.forecast.value.ValueForecast`.
    """
    rows, parts = [], []
    for model in (SURVIVAL, MODEL, PAST):
        seen = predicted[model].notna().to_numpy()
        n, row = int(seen.sum()), {}
        if n >= enough.TO_JUDGE:
            here, past = (predicted.loc[seen, name].to_numpy(float) for name in (model, PAST))
            came = realised[seen]
            # The same seed for all: models that speak of the same members meet the same resamples.
            weights = unit_weights(n, draws, np.random.default_rng(seed))
            top, lost = in_top(here, 0.1) * came, poisson_deviance(past, came)
            saved = lost - poisson_deviance(here, came)
            row = {"predicted": here.sum(), "realised": came.sum(), "deviance": (lost - saved).mean()}
            for names, above, below in (
                (("ratio", "low", "high"), came, here),
                (("top_tenth", "top_low", "top_high"), top, came),
                (("gain", "gain_low", "gain_high"), saved, lost),
            ):
                row |= dict(zip(names, _ratio(above, below, weights, confidence), strict=True))
            frame, row["gap_by_chance"] = _deciles(here, came, weights, confidence)
            row["largest_gap"] = 100 * (frame["realised_share"] - frame["predicted_share"]).abs().max()
            parts.append(frame.assign(model=model))
        rows.append({"model": model, "n": n, **row})
    return pd.DataFrame(rows, columns=TABLE), pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _ratio(
    above: FloatArray, below: FloatArray, weights: FloatArray, confidence: float
) -> tuple[float, float, float]:
    """Return the ratio of two sums over members with its bootstrap interval; NaN where nothing is below."""
    ratio = float(above.sum() / below.sum()) if below.sum() > 0 else np.nan
    return ratio, *ratio_interval(weights @ above, weights @ below, confidence)


def poisson_deviance(values: FloatArray, came: FloatArray) -> FloatArray:
    """Return each member's Poisson deviance; predictions are floored at a twentieth of their mean."""
    means = np.maximum(values, FLOOR * max(float(values.mean()), 1e-12))
    # A refund can make a sum negative; the deviance is defined from 0 on, as the fit is.
    seen = np.maximum(came, 0.0)
    return np.asarray(2 * (special.xlogy(seen, seen / means) - seen + means), float)


def _deciles(
    values: FloatArray, realised: FloatArray, weights: FloatArray, confidence: float
) -> tuple[pd.DataFrame, float]:
    """Return predicted and realised shares by decile of predicted value (ties in order of the member), and chance.

    Chance is the 95th percentile of the largest difference between the shares of a resample and those that came.
    """
    decile = np.empty(len(values), dtype=int)
    decile[np.argsort(values, kind="stable")] = np.arange(len(values)) * 10 // len(values) + 1
    here = decile[:, None] == np.arange(1, 11)
    came = realised @ here / realised.sum() if realised.sum() else np.full(10, np.nan)
    drawn = (weights * realised) @ here / np.maximum(weights @ realised, 1e-12)[:, None]
    low, high = np.transpose([percentile_interval(share, confidence) for share in drawn.T])
    frame = pd.DataFrame({"decile": np.arange(1, 11), "n": here.sum(axis=0)})
    frame["predicted_share"] = values @ here / values.sum() if values.sum() else np.nan
    frame = frame.assign(realised_share=came, low=low, high=high)
    return frame, 100 * float(np.quantile(np.abs(drawn - came).max(axis=1), 0.95))


def thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the third of each value, 1 to 3; equal values in order of their place."""
    place = np.empty(len(values), dtype=np.int64)
    place[np.argsort(values, kind="stable")] = np.arange(len(values))
    return place * THIRDS // max(len(values), 1) + 1


def compare_outcomes(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compare the value of members who stayed active with that of those who fell silent, by third.

    The interval of the difference of means is clustered by member (a member active in four windows is not four
    members): linearised variance of a difference of two ratios (Cochran 1977, 6.3) with Student's t.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per window and member: member_id, third (of predicted value, see :func:`thirds`), silent (bool) and
        realised.
    confidence : float
        Level of the interval.

    Returns
    -------
    pandas.DataFrame
        third, n (rows), silent (rows), active_value, silent_value (means), value (their difference), low, high.
    """
    found = []
    for third in range(1, THIRDS + 1):
        here = rows[rows["third"] == third]
        silent, value = here["silent"].to_numpy(bool), here["realised"].to_numpy(float)
        row = {"third": third, "n": len(here), "silent": silent.sum()}
        row |= dict.fromkeys(("active_value", "silent_value", "value", "low", "high"), np.nan)
        fewest = min(here.loc[flag, "member_id"].nunique() for flag in (silent, ~silent))
        if fewest >= enough.SILENT_IN_THIRD:
            stayed, fell = value[~silent].mean(), value[silent].mean()
            # Each row's share in the error of the difference, summed within members.
            part = np.where(silent, (fell - value) / silent.sum(), (value - stayed) / (~silent).sum())
            sums = pd.Series(part).groupby(here["member_id"].to_numpy()).sum().to_numpy()
            error = np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2))
            half = half_width(error, confidence, fewest - 1)
            row |= {"active_value": stayed, "silent_value": fell, "value": stayed - fell}
            row |= {"low": stayed - fell - half, "high": stayed - fell + half}
        found.append(row)
    return pd.DataFrame(found)
