"""How good predicted probabilities are: discrimination, proper scores, calibration, lift.

Rows of one member are not independent, so every interval clusters by member, where members are given. Rows of one
window are not either: an interval here is about other members in the same windows.

Definitions
-----------
- AUC: chance that a row with the outcome has the higher prediction, ties half. Interval on the logit scale from the
  placement values of DeLong, DeLong and Clarke-Pearson (1988), summed by member (Obuchowski 1997).
- Brier score: mean of ``(p - y)^2``. Log score: mean of ``-log`` of the probability given to what happened.
- Decile calibration error: rows in ten groups of equal count by prediction (equal predictions stay together), mean of
  ``|observed - predicted|`` weighted by rows. It is above 0 even for a perfect model: `decile_error_if_perfect` is
  its mean under outcomes drawn from the predictions, and `decile_error_excess` what is left above that, at least 0.
- Calibration slope and intercept (Cox 1958): of a logistic regression of the outcome on the log odds; intercept
  with the slope held at 1. A perfect model has 1 and 0.
- D-calibration (Haider et al. 2020, JMLR 21): predicted survival at the time of the event is uniform. See
  :func:`d_calibration`.
- Lift: rate among the top tenth by prediction over the rate of all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from helpers.checks import check_confidence, check_scalar
from helpers.stats.concentration import Ranking
from helpers.stats.estimate import Estimate, clustered_interval, percentile_interval, unknown, wilson

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BINS = 10
SMALLEST = 1e-6  # a probability is held this far from 0 and 1 where its logarithm is taken
FEWEST_ROWS = 30
PERFECT_DRAWS = 200


class DCalibration(NamedTuple):
    """Test of D-calibration.

    Attributes
    ----------
    table : pandas.DataFrame
        bin_low, bin_high (predicted survival), expected and observed (mass of episodes).
    statistic, p_value : float
        Chi-square over the bins, bins - 1 degrees of freedom.
    n : int
        Episodes.
    """

    table: pd.DataFrame
    statistic: float
    p_value: float
    n: int


def auc(y: ArrayLike, p: ArrayLike, member: ArrayLike | None = None, *, confidence: float = 0.95) -> Estimate:
    """Return the area under the ROC curve with its interval; unknown when all outcomes are equal.

    Parameters
    ----------
    y, p : array_like, shape (rows,)
        Outcome 0 or 1 and prediction.
    member : array_like, optional
        Member of each row; without it rows are independent, which is DeLong's interval.
    """
    check_confidence(confidence)
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
    codes, clusters = _codes(member, outcome.size)
    sums = np.bincount(codes, influence, clusters)
    variance = float(sums @ sums) * clusters / max(clusters - 1, 1)
    inside = float(np.clip(value, 0.5 / (n1 * n0), 1 - 0.5 / (n1 * n0)))
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance) / (inside * (1 - inside))
    low, high = special.expit([special.logit(inside) - half, special.logit(inside) + half])
    # All pairs in order leaves no spread to measure: one more pair is the least that could go wrong.
    return Estimate(value, float(low), float(high), outcome.size, "ratio", "DeLong, clustered", confidence)


def brier_losses(y: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return ``(p - y)^2`` of each row."""
    return (np.asarray(p, float) - np.asarray(y, float)) ** 2


def log_losses(y: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return minus the log of the probability given to what happened, of each row."""
    inside = np.clip(np.asarray(p, float), SMALLEST, 1 - SMALLEST)
    return -np.where(np.asarray(y, float) == 1, np.log(inside), np.log1p(-inside))


def groups(p: ArrayLike, bins: int = BINS) -> IntArray:
    """Return the group of each row: equal counts by prediction, equal predictions in the same group."""
    check_scalar(bins, "bins", type_=int, ge=1)
    rank = stats.rankdata(np.asarray(p, float), method="average")
    return np.minimum(np.floor((rank - 0.5) * bins / max(rank.size, 1)), bins - 1).astype(np.int64)


def deciles(
    y: ArrayLike,
    p: ArrayLike,
    member: ArrayLike | None = None,
    *,
    bins: int = BINS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return predicted and observed rates by group of prediction.

    Parameters
    ----------
    y, p : array_like, shape (rows,)
        Outcome 0 or 1 and prediction.
    member : array_like, optional
        Member of each row: the rows of one in a group count together, as in
        :mod:`helpers.stats.estimate`. Without it rows are independent, and the interval is Wilson's.

    Returns
    -------
    pandas.DataFrame
        group (1 = lowest), n, predicted, observed, low, high, difference (observed - predicted).
    """
    return by_group(groups(np.asarray(p, float), bins) + 1, y, p, member, confidence=confidence)


def by_group(
    group: ArrayLike, y: ArrayLike, p: ArrayLike, member: ArrayLike | None = None, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return predicted and observed rates of given groups of rows; the rest as in :func:`deciles`."""
    outcome, prediction = np.asarray(y, float), np.asarray(p, float)
    frame = pd.DataFrame({"group": np.asarray(group), "y": outcome, "p": prediction})
    found = frame.groupby("group").agg(n=("y", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    if member is None:
        found["low"], found["high"] = wilson(frame.groupby("group")["y"].sum(), found["n"], confidence)
    else:
        each = frame.groupby(["group", _codes(member, outcome.size)[0]])["y"].agg(x="sum", n="size")
        sums = each.assign(xx=each["x"] ** 2, xn=each["x"] * each["n"], nn=each["n"] ** 2, clusters=1)
        bounds = clustered_interval(*sums.groupby("group").sum().to_numpy(float).T, confidence=confidence)
        found["low"], found["high"] = bounds
    found["difference"] = found["observed"] - found["predicted"]
    return found.reset_index()


def decile_error(y: ArrayLike, p: ArrayLike, *, bins: int = BINS) -> float:
    """Return the expected calibration error over groups of equal count; NaN without rows."""
    outcome, prediction = np.asarray(y, float), np.asarray(p, float)
    if not outcome.size:
        return float("nan")
    return float(np.abs(np.bincount(groups(prediction, bins), outcome - prediction)).sum() / outcome.size)


def decile_error_if_perfect(
    p: ArrayLike, *, bins: int = BINS, draws: int = PERFECT_DRAWS, seed: int = 0
) -> float:
    """Return the mean decile error when outcomes are drawn from the predictions, which is its noise floor."""
    prediction = np.asarray(p, float)
    if not prediction.size:
        return float("nan")
    at, rng = groups(prediction, bins), np.random.default_rng(seed)
    found = [
        np.abs(np.bincount(at, (rng.random(prediction.size) < prediction) - prediction)).sum()
        for _ in range(draws)
    ]
    return float(np.mean(found) / prediction.size)


def calibration_line(y: ArrayLike, p: ArrayLike) -> tuple[float, float]:
    """Return (intercept with slope 1, slope) of the outcome on the predicted log odds; NaN when not defined."""
    outcome = np.asarray(y, float)
    inside = np.clip(np.asarray(p, float), SMALLEST, 1 - SMALLEST)
    log_odds = special.logit(inside)
    if not 0 < outcome.sum() < outcome.size:
        return float("nan"), float("nan")
    ones = np.ones((outcome.size, 1))
    intercept = _logistic(ones, outcome, log_odds)[0]
    if np.ptp(log_odds) == 0:
        return float(intercept), float("nan")
    slope = _logistic(np.column_stack([ones, log_odds]), outcome, np.zeros(outcome.size))[1]
    return float(intercept), float(slope)


def _logistic(x: FloatArray, y: FloatArray, offset: FloatArray) -> FloatArray:
    """Return the maximum-likelihood coefficients by Newton's method; NaN when it does not settle."""
    beta = np.zeros(x.shape[1])
    for _ in range(100):
        p = special.expit(x @ beta + offset)
        information = x.T @ (x * (p * (1 - p))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e14:
            break
        step = np.linalg.solve(information, x.T @ (y - p))
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-10:
            return beta
    return np.full(x.shape[1], np.nan)


def lift(
    y: ArrayLike,
    p: ArrayLike,
    member: ArrayLike | None = None,
    *,
    top_share: float = 0.1,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """Return the rate among the top share by prediction over the rate of all, with a member bootstrap.

    Rows with equal predictions at the cut enter with the fraction that is still free.
    """
    check_scalar(top_share, "top_share", gt=0, le=1)
    outcome, score = np.asarray(y, float), np.asarray(p, float)
    if outcome.size < FEWEST_ROWS or not outcome.sum() > 0:
        return unknown(outcome.size, "ratio", confidence)
    ranking = Ranking.of(score, 3 * top_share * score.size)
    codes, clusters = _codes(member, outcome.size)
    rng = np.random.default_rng(seed)
    found = [ranking.lift(member_weights(rng, clusters)[codes], outcome, top_share) for _ in range(draws)]
    low, high = percentile_interval(found, confidence)
    point = ranking.lift(np.ones(outcome.size), outcome, top_share)
    return Estimate(point, low, high, outcome.size, "ratio", "member bootstrap", confidence)


def member_weights(rng: np.random.Generator, members: int) -> FloatArray:
    """Return how often each member is drawn in one resample of all members with replacement."""
    return np.bincount(rng.integers(0, members, members), minlength=members).astype(float)


def bootstrap_means(
    losses: FloatArray, member: ArrayLike | None, *, draws: int = 1000, seed: int = 0
) -> FloatArray:
    """Return bootstrap means of the columns of `losses` over resampled members, shape (draws, columns).

    All columns see the same resamples, so that differences between them are paired.
    """
    codes, clusters = _codes(member, losses.shape[0])
    sums = np.column_stack([np.bincount(codes, column, clusters) for column in losses.T])
    sizes = np.bincount(codes, minlength=clusters).astype(float)
    rng = np.random.default_rng(seed)
    found = np.empty((draws, losses.shape[1]))
    for draw in range(draws):
        weight = member_weights(rng, clusters)
        found[draw] = weight @ sums / max(float(weight @ sizes), 1.0)
    return found


def _codes(member: ArrayLike | None, rows: int) -> tuple[IntArray, int]:
    if member is None:
        return np.arange(rows), rows
    levels, codes = np.unique(np.asarray(member).astype(str), return_inverse=True)
    return codes.astype(np.int64), levels.size


def d_calibration(before: ArrayLike, after: ArrayLike, event: ArrayLike, *, bins: int = BINS) -> DCalibration:
    """Test whether predicted survival at the event is uniform, for interval-censored and censored episodes.

    Parameters
    ----------
    before, after : array_like, shape (episodes,)
        Predicted survival at the beginning and at the end of the interval in which the event fell; equal in
        continuous time. For a censored episode `after` is the survival at the time of censoring.
    event : array_like of bool
        Whether the event was seen.

    Notes
    -----
    Under the model, survival at an event known to lie in an interval is uniform on [after, before], and that of a
    censored episode uniform on [0, after] (Haider et al. 2020, appendix B, for the latter). An episode spreads its
    mass of 1 accordingly. Spread mass varies less than counts do, so the test is conservative in discrete time:
    a small p-value speaks, a large one does not prove calibration.
    """
    high, low = np.asarray(before, float), np.asarray(after, float)
    seen = np.asarray(event, bool)
    upper, lower = np.where(seen, high, low), np.where(seen, low, 0.0)
    edges = np.linspace(0, 1, bins + 1)
    share = _mass(lower, upper, edges)
    observed, n = share.sum(axis=0), high.size
    table = pd.DataFrame(
        {"bin_low": edges[:-1], "bin_high": edges[1:], "expected": n / bins, "observed": observed}
    )
    if n < 5 * bins:
        return DCalibration(table, float("nan"), float("nan"), n)
    statistic = float(np.sum((observed - n / bins) ** 2 / (n / bins)))
    return DCalibration(table, statistic, float(stats.chi2.sf(statistic, bins - 1)), n)


def _mass(lower: FloatArray, upper: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the mass of uniform variables on [lower, upper] in each bin, shape (episodes, bins)."""
    width = upper - lower
    inside = np.minimum(upper[:, None], edges[None, 1:]) - np.maximum(lower[:, None], edges[None, :-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(inside, 0.0) / width[:, None]
    bins = edges.size - 1
    point = np.eye(bins)[np.minimum((upper * bins).astype(int), bins - 1)]
    return np.where(width[:, None] > 1e-12, spread, point)


def episodes(table: pd.DataFrame, p: ArrayLike, outcome: str = "silent") -> pd.DataFrame:
    """Return each member's first run of consecutive predicted windows as one episode of survival.

    Parameters
    ----------
    table : pandas.DataFrame
        landmark, member_id and the outcome of predicted rows, closed windows.
    p : array_like, shape (rows,)
        Predicted probability of the outcome of each row.
    outcome : str
        Column of 0 or 1.

    Returns
    -------
    pandas.DataFrame
        member_id, before, after (predicted survival), event; as :func:`d_calibration` takes them.
    """
    frame = table[["landmark", "member_id"]].assign(event=table[outcome] == 1, p=np.asarray(p, float))
    frame = frame.sort_values(["member_id", "landmark"], ignore_index=True)
    days = sorted(frame["landmark"].unique())
    frame["step"] = frame["landmark"].map({day: i for i, day in enumerate(days)})
    by = frame.groupby("member_id")
    run = frame["step"] - by["step"].transform("first") == by.cumcount()
    earlier = by["event"].cumsum() - frame["event"]
    frame = frame[run & (earlier == 0)].copy()
    frame["after"] = (1 - frame["p"]).groupby(frame["member_id"]).cumprod()
    last = frame.groupby("member_id").tail(1)
    before = (last["after"] / (1 - last["p"]).where(last["p"] < 1)).fillna(1.0)
    found = pd.DataFrame(
        {"member_id": last["member_id"], "before": np.minimum(before, 1.0), "after": last["after"]}
    )
    return found.assign(event=last["event"]).reset_index(drop=True)
