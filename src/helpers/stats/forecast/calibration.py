"""How good predicted probabilities are, and the one way to mend them: discrimination, calibration, lift.

Rows of one member are not independent, so every interval clusters by member. Rows of one window are not either: an
interval here is about other members in the same windows.

Definitions
-----------
- AUC: chance that a row with the outcome has the higher prediction, ties half. Interval on the logit scale from the
  placement values of DeLong, DeLong and Clarke-Pearson (1988), summed by member (Obuchowski 1997).
- Decile calibration error: rows in ten groups of equal count by prediction (equal predictions stay together), mean of
  ``|observed - predicted|`` weighted by rows. It is above 0 even for a perfect model: `decile_error_if_perfect` is
  its mean under outcomes drawn from the predictions.
- Lift: rate among the top tenth by prediction over the rate of all.

Forward recalibration
---------------------
The predictions made before earlier windows, and what then happened, show how far the model is off as it is really
used. A curve ``a + b * log odds + bends at every 5 %`` is fitted to them by logistic regression (Cox 1958, with
a linear spline for what no line mends: groups among whom nothing tells members apart), recent windows counting more
(half as much every 6 windows) and with a prior of 100 rows each for a = 0 and b = 1 and of 20 rows for each bend to
be none, so that little evidence changes little. It corrects the level and over- or underconfidence. Level, slope and
bends are made independent of each other first, or the bends would carry the level past its prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse, special, stats

from helpers.stats.concentration import Ranking, lift_of
from helpers.stats.estimate import Estimate, clustered_interval, half_width, percentile_interval, unknown
from helpers.study import enough

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TENTHS = 10
SMALLEST = 1e-6  # a probability is held this far from 0 and 1 where its logarithm is taken
PERFECT_DRAWS = 200
DECIMALS = 10
HALF_LIFE = 6.0  # windows
PRIOR_ROWS = 100.0
PRIOR_ROWS_OF_BENDS = 20.0
STANDOFF = 0.5  # added to both counts of a window in which all or none had the outcome


def log_odds_of(probability: ArrayLike) -> FloatArray:
    """Return log odds, those of 0 and 1 held off from infinity."""
    found: FloatArray = special.logit(np.clip(np.asarray(probability, float), SMALLEST, 1 - SMALLEST))
    return found


def auc(y: ArrayLike, p: ArrayLike, member: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the area under the ROC curve with its interval; unknown when all outcomes are equal.

    Parameters
    ----------
    y, p, member : array_like, shape (rows,)
        Outcome 0 or 1, prediction, and whose row it is.
    """
    outcome, score = np.asarray(y, float), np.asarray(p, float)
    happened = outcome == 1
    n1, n0 = int(happened.sum()), int((~happened).sum())
    if not (n1 and n0):
        return unknown(outcome.size, "ratio", confidence)
    rank = stats.rankdata(score)
    place = np.empty(outcome.size)
    place[happened] = (rank[happened] - stats.rankdata(score[happened])) / n0
    place[~happened] = 1 - (rank[~happened] - stats.rankdata(score[~happened])) / n1
    value = float(place[happened].mean())
    influence = np.where(happened, (place - value) / n1, (place - value) / n0)
    codes, clusters = _codes(member)
    sums = np.bincount(codes, influence, clusters)
    error = np.sqrt(float(sums @ sums) * clusters / max(clusters - 1, 1))
    inside = float(np.clip(value, 0.5 / (n1 * n0), 1 - 0.5 / (n1 * n0)))
    half = half_width(error, confidence) / (inside * (1 - inside))
    # All pairs in order leaves no spread to measure: one more pair is the least that could go wrong.
    low, high = special.expit([special.logit(inside) - half, special.logit(inside) + half])
    low, high = min(float(low), value), max(float(high), value)
    return Estimate(value, low, high, outcome.size, "ratio", "DeLong, clustered", confidence)


def tenths(p: ArrayLike) -> IntArray:
    """Return the group of each row, 1 to 10: equal counts by prediction, equal predictions in the same group."""
    rank = stats.rankdata(np.asarray(p, float))
    return np.minimum(np.floor((rank - 0.5) * TENTHS / max(rank.size, 1)) + 1, TENTHS).astype(np.int64)


def by_group(
    group: ArrayLike, y: ArrayLike, p: ArrayLike, member: ArrayLike, confidence: float = 0.95
) -> pd.DataFrame:
    """Return predicted and observed rates of groups of rows, such as :func:`tenths`.

    The rows of a member in a group count together, as in :mod:`helpers.stats.estimate`.

    Returns
    -------
    pandas.DataFrame
        group, n, predicted, observed, low, high, difference (observed - predicted).
    """
    frame = pd.DataFrame({"group": np.asarray(group), "y": np.asarray(y, float), "p": np.asarray(p, float)})
    found = frame.groupby("group").agg(n=("y", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    each = frame.groupby(["group", _codes(member)[0]])["y"].agg(x="sum", n="size")
    sums = each.assign(xx=each["x"] ** 2, xn=each["x"] * each["n"], nn=each["n"] ** 2, clusters=1)
    bounds = clustered_interval(*sums.groupby("group").sum().to_numpy(float).T, confidence=confidence)
    found["low"], found["high"] = bounds
    return found.assign(difference=found["observed"] - found["predicted"]).reset_index()


def decile_error(y: ArrayLike, p: ArrayLike) -> float:
    """Return the expected calibration error over groups of equal count; NaN without rows."""
    outcome, prediction = np.asarray(y, float), np.asarray(p, float)
    if not outcome.size:
        return float("nan")
    return float(np.abs(np.bincount(tenths(prediction), outcome - prediction)).sum() / outcome.size)


def decile_error_if_perfect(p: ArrayLike, seed: int = 0) -> float:
    """Return the mean decile error when outcomes are drawn from the predictions, which is its noise floor."""
    prediction, rng = np.asarray(p, float), np.random.default_rng(seed)
    at = tenths(prediction)
    drawn = (rng.random(prediction.size) < prediction for _ in range(PERFECT_DRAWS))
    found = [np.abs(np.bincount(at, came - prediction)).sum() for came in drawn]
    return float(np.mean(found) / prediction.size)


def lift(
    y: ArrayLike,
    p: ArrayLike,
    member: ArrayLike,
    *,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """Return the rate among the top tenth by prediction over the rate of all, with a member bootstrap.

    Rows with equal predictions at the cut enter with the fraction that is still free.
    """
    outcome, score, top = np.asarray(y, float), np.asarray(p, float), 1 / TENTHS
    if outcome.size < enough.TO_RANK or not outcome.sum() > 0:
        return unknown(outcome.size, "ratio", confidence)
    ranking, (codes, clusters) = Ranking.of(score, 3 * top * score.size), _codes(member)
    # Rows of equal prediction and member are one cell, so that a resample of members is two small sums.
    group = np.repeat(np.arange(ranking.starts.size), np.diff(np.append(ranking.starts, score.size)))
    place, size = (group, codes[ranking.order]), (ranking.starts.size, clusters)
    rows, events = (
        sparse.csr_array((each, place), size) for each in (np.ones(score.size), outcome[ranking.order])
    )
    rng = np.random.default_rng(seed)
    weights = (_drawn(rng, clusters) for _ in range(draws))
    found = [lift_of(rows @ weight, events @ weight, top) for weight in weights]
    low, high = percentile_interval(found, confidence)
    value = ranking.lift(np.ones(outcome.size), outcome, top)
    return Estimate(value, low, high, outcome.size, "ratio", "member bootstrap", confidence)


def bootstrap_mean(values: ArrayLike, member: ArrayLike, *, draws: int, seed: int) -> FloatArray:
    """Return bootstrap means of the values of rows over resampled members, shape (draws,)."""
    codes, clusters = _codes(member)
    sums, sizes = np.bincount(codes, values, clusters), np.bincount(codes, minlength=clusters)
    rng = np.random.default_rng(seed)
    weights = (_drawn(rng, clusters) for _ in range(draws))
    return np.array([weight @ sums / max(float(weight @ sizes), 1.0) for weight in weights])


def _drawn(rng: np.random.Generator, members: int) -> FloatArray:
    """Return how often each member is drawn in one resample of all members with replacement."""
    return np.bincount(rng.integers(0, members, members), minlength=members).astype(float)


def _codes(member: ArrayLike) -> tuple[IntArray, int]:
    codes, levels = pd.factorize(np.asarray(member), sort=True)
    return codes.astype(np.int64), len(levels)


def window_shift(log_odds: FloatArray, outcome: FloatArray) -> float:
    """Return the number that, added to log odds, makes their mean probability the observed rate."""
    n, events = outcome.size, float(outcome.sum())
    extreme = STANDOFF if events in (0.0, float(n)) else 0.0
    rate = (events + extreme) / (n + 2 * extreme)

    def excess(shift: float) -> float:
        return float(special.expit(log_odds + shift).mean()) - rate

    return float(optimize.brentq(excess, -60.0, 60.0, xtol=1e-12))


class Recalibration(NamedTuple):
    """A curve from log odds to better log odds.

    Attributes
    ----------
    knots : tuple of float
        Log odds at which the curve bends.
    coefficients : tuple of float
        Intercept, slope, and one change of slope per knot.
    """

    knots: tuple[float, ...]
    coefficients: tuple[float, ...]

    def log_odds(self, log_odds: FloatArray) -> FloatArray:
        """Return the recalibrated log odds."""
        found: FloatArray = _bends(log_odds, self.knots) @ np.array(self.coefficients)
        return found


def _bends(log_odds: FloatArray, knots: tuple[float, ...]) -> FloatArray:
    hinges = [np.maximum(log_odds - knot, 0.0) for knot in knots]
    return np.column_stack([np.ones(log_odds.size), log_odds, *hinges])


def recalibration(landmark: pd.Series, probability: pd.Series, outcome: pd.Series) -> Recalibration:
    """Return the curve that would have mended earlier predictions (see the head of the module).

    Parameters
    ----------
    landmark, probability, outcome : pandas.Series
        Window, prediction made before it, and what happened (0 or 1), of each row.
    """
    if not len(landmark):
        return Recalibration((), (0.0, 1.0))
    steps = {day: at for at, day in enumerate(sorted(landmark.unique(), reverse=True))}
    weight = 0.5 ** (landmark.map(steps).to_numpy(float) / HALF_LIFE)
    log_odds, y = log_odds_of(probability), outcome.to_numpy(float)
    knots = tuple(np.unique(np.round(np.quantile(log_odds, np.arange(1, 20) / 20), DECIMALS)).tolist())
    every, middle = _bends(log_odds, knots), float(np.average(log_odds, weights=weight))
    line, root = every[:, :2], np.sqrt(weight)[:, None]
    # Level and slope are told apart, and bends are what no line says: each meets its own prior alone.
    within = np.linalg.lstsq(line * root, every[:, 2:] * root)[0]
    x = np.column_stack([line - [0.0, middle], every[:, 2:] - line @ within])
    prior = 0.25 * np.array([PRIOR_ROWS, PRIOR_ROWS, *[PRIOR_ROWS_OF_BENDS] * len(knots)])
    centre = np.array([middle, 1.0, *[0.0] * len(knots)])  # what changes nothing
    curve = centre.copy()
    for _ in range(100):
        p = special.expit(x @ curve)
        gradient = x.T @ (weight * (y - p)) - prior * (curve - centre)
        information = x.T @ (x * (weight * p * (1 - p))[:, None]) + np.diag(prior)
        step = np.linalg.solve(information, gradient)
        curve = curve + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    level, slope = curve[:2] - [curve[1] * middle, 0.0] - within @ curve[2:]
    return Recalibration(knots, tuple(np.round([level, slope, *curve[2:]], DECIMALS).tolist()))
