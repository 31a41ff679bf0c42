"""Predictions of value against what came: level, ranking, and gain over the member's own past.

Three questions, three measures:

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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from helpers.sentences import number, percent, say
from helpers.stats.estimate import percentile_interval

FloatArray = NDArray[np.float64]

SURVIVAL = "stay-and-spend forecast"
MODEL = "BG/NBD × Gamma-Gamma model"
PAST = "past value"
FEWEST_SPLITS = 3
FEWEST_JUDGED = 20
FLOOR = 0.05  # smallest prediction that the deviance knows, as a share of the mean prediction
ASSUMED_SPREAD = 0.3
"""Spread of the log ratio of windows that is assumed before three of them could be judged: about 30 per cent."""
LEVEL = ["predicted", "realised", "ratio", "low", "high", "largest_gap", "gap_by_chance"]
GAIN = ["top_tenth", "top_low", "top_high", "deviance", "gain", "gain_low", "gain_high"]
TABLE = ["model", "n", *LEVEL, *GAIN]
DECILES = ["model", "decile", "n", "predicted_share", "realised_share", "low", "high"]


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
        means = judged["predicted"].to_numpy(float)
        seen = means > 0
        pearson = (judged["realised"].to_numpy(float)[seen] - means[seen]) ** 2 / means[seen]
        return cls(
            mean=float(ratios.mean()) if k else np.nan,
            deviation=float(ratios.std(ddof=1)) if k >= FEWEST_SPLITS else ASSUMED_SPREAD,
            windows=k,
            dispersion=float(pearson.mean()) if seen.any() else np.nan,
            confidence=confidence,
        )

    def _t(self) -> float:
        return float(stats.t.ppf(0.5 + self.confidence / 2, max(self.windows, FEWEST_SPLITS) - 1))

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Typical ratio of realised to predicted, with its t interval over windows."""
        half = self._t() * self.deviation / np.sqrt(max(self.windows, 1))
        low, value, high = np.exp([self.mean - half, self.mean, self.mean + half])
        return float(value), float(low), float(high)

    @property
    def provisional(self) -> bool:
        """Whether predictions were off in one direction, or too few windows could be judged to tell."""
        _, low, high = self.ratio
        return not (self.windows >= FEWEST_SPLITS and low <= 1 <= high)

    def factors(self, expected: FloatArray) -> tuple[float, float]:
        """Return the factors that turn the predicted sum of some members into the bounds of what will come.

        The next window errs as past ones did (Student's t, with the error of their mean), and what these members
        bring varies by chance, with variance `dispersion` times prediction.
        """
        total = float(np.sum(expected))
        chance = self.dispersion / total if total > 0 else 0.0
        half = self._t() * np.sqrt(self.deviation**2 * (1 + 1 / max(self.windows, 1)) + chance)
        return float(np.exp(min(self.mean, 0.0) - half)), float(np.exp(max(self.mean, 0.0) + half))

    @property
    def sentence(self) -> str:
        """The typical ratio over windows, and whether predictions are provisional."""
        if not np.isfinite(self.mean):
            return say("No window of value could be judged.")
        value, low, high = (percent(each, 0) for each in self.ratio)
        said = say(
            "Over {k} such windows, {value} of what the {model} said came ({low} to {high}, by the spread between "
            "windows).",
            k=self.windows, model=SURVIVAL, value=value, low=low, high=high,
        )  # fmt: skip
        if self.windows < FEWEST_SPLITS:
            said += " " + say("Provisional: {k} windows are needed, so a spread is assumed.", k=FEWEST_SPLITS)
        elif self.provisional:
            said += " " + say("Provisional: predictions were off in one direction.")
        return said


def against_past(row: Mapping[Any, Any], model: str) -> str:
    """Say whether a model erred less than each member's own past value; empty where it could not be judged.

    Parameters
    ----------
    row : mapping
        A row of the table of :func:`judge`: n, gain, gain_low, gain_high, ratio, low, high.
    model : str
        Its model.
    """
    if pd.isna(row["gain_low"]):
        return ""
    verdict = say("the difference is not clear")
    if row["gain_low"] > 0:
        verdict = say("the {model} wins", model=model)
    elif row["gain_high"] < 0:
        verdict = say("past value wins")
    text = (
        "Compared on {n} members with each one's own past value, the {model} erred {gain} (from {low} to {high}, "
        "Poisson deviance): {verdict}."
    )
    gains = {
        name: _less(float(row[f"gain{end}"]))
        for name, end in (("gain", ""), ("low", "_low"), ("high", "_high"))
    }
    said = say(text, n=number(int(row["n"])), model=model, verdict=verdict, **gains)
    if model == MODEL:
        shares = {name: percent(float(row[name]), 0) for name in ("ratio", "low", "high")}
        said += " " + say(
            "It speaks of buyers only; {ratio} of what it said came ({low} to {high}).", **shares
        )
    return said


def _less(gain: float) -> str:
    """Return a share of the error taken away in words: ``0.14 -> '14.0 % less'``, ``-0.04 -> '4.0 % more'``."""
    size = percent(abs(gain))
    return say("{size} less", size=size) if gain >= 0 else say("{size} more", size=size)


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
        Table and deciles, as in :class:`helpers.stats.forecast.member_value.MemberValue`.
    """
    rows, parts = [], []
    for model in (SURVIVAL, MODEL, PAST):
        seen = predicted[model].notna().to_numpy()
        n, row = int(seen.sum()), dict[str, Any](dict.fromkeys(TABLE, np.nan))
        row |= {"model": model, "n": n}
        if n >= FEWEST_JUDGED:
            here, past = (predicted.loc[seen, name].to_numpy(float) for name in (model, PAST))
            # The same seed for all: models that speak of the same members meet the same resamples.
            rng = np.random.default_rng(seed)
            weights = rng.multinomial(n, np.full(n, 1 / n), draws).astype(float)
            row |= _level(here, realised[seen], weights, confidence)
            row |= _ranking(here, realised[seen], weights, confidence)
            row |= _gain(here, past, realised[seen], weights, confidence)
            frame, row["gap_by_chance"] = _deciles(here, realised[seen], weights, confidence)
            row["largest_gap"] = 100 * float((frame["realised_share"] - frame["predicted_share"]).abs().max())
            parts.append(frame.assign(model=model))
        rows.append(row)
    found = pd.concat(parts, ignore_index=True)[DECILES] if parts else pd.DataFrame(columns=DECILES)
    return pd.DataFrame(rows)[TABLE], found


def _ratio_bounds(above: FloatArray, below: FloatArray, confidence: float) -> tuple[float, float]:
    ratios = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return percentile_interval(ratios[np.isfinite(ratios)], confidence)


def _level(values: FloatArray, came: FloatArray, weights: FloatArray, confidence: float) -> dict[str, float]:
    total, realised = float(values.sum()), float(came.sum())
    low, high = _ratio_bounds(weights @ came, weights @ values, confidence)
    ratio = realised / total if total > 0 else np.nan
    return {"predicted": total, "realised": realised, "ratio": ratio, "low": low, "high": high}


def top_tenth(values: FloatArray) -> FloatArray:
    """Return how far each member belongs to the tenth of highest values; those tied at the border in proportion."""
    size = len(values) / 10
    border = np.sort(values)[::-1][int(np.ceil(size)) - 1]
    above, tied = values > border, values == border
    return above + tied * (size - above.sum()) / tied.sum()


def _ranking(
    values: FloatArray, came: FloatArray, weights: FloatArray, confidence: float
) -> dict[str, float]:
    top = top_tenth(values) * came
    low, high = _ratio_bounds(weights @ top, weights @ came, confidence)
    share = float(top.sum() / came.sum()) if came.sum() > 0 else np.nan
    return {"top_tenth": share, "top_low": low, "top_high": high}


def poisson_deviance(values: FloatArray, came: FloatArray) -> FloatArray:
    """Return each member's Poisson deviance; predictions are floored at a twentieth of their mean."""
    means = np.maximum(values, FLOOR * max(float(values.mean()), 1e-12))
    # A refund can make a sum negative; the deviance is defined from 0 on, as the fit is.
    seen = np.maximum(came, 0.0)
    return np.asarray(2 * (special.xlogy(seen, seen / means) - seen + means), float)


def _gain(
    values: FloatArray, past: FloatArray, came: FloatArray, weights: FloatArray, confidence: float
) -> dict[str, float]:
    mine, theirs = poisson_deviance(values, came), poisson_deviance(past, came)
    low, high = _ratio_bounds(weights @ (theirs - mine), weights @ theirs, confidence)
    gain = float(1 - mine.sum() / theirs.sum()) if theirs.sum() > 0 else np.nan
    return {"deviance": float(mine.mean()), "gain": gain, "gain_low": low, "gain_high": high}


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
    said = values @ here / values.sum() if values.sum() else np.full(10, np.nan)
    drawn = (weights * realised) @ here / np.maximum(weights @ realised, 1e-12)[:, None]
    bounds = [percentile_interval(drawn[:, place], confidence) for place in range(10)]
    frame = pd.DataFrame(
        {
            "decile": np.arange(1, 11),
            "n": here.sum(axis=0),
            "predicted_share": said,
            "realised_share": came,
            "low": [low for low, _ in bounds],
            "high": [high for _, high in bounds],
        }
    )
    return frame, 100 * float(np.quantile(np.abs(drawn - came).max(axis=1), 0.95))
