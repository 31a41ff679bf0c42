"""Resampling of members: compressed cells, multinomial weights, and the intervals that are read off resamples.

A million members seldom hold more than a few thousand different values, so the engine groups first and the
member bootstrap draws how many members of each cell are in a resample (a multinomial draw, which is exactly
the member bootstrap). When there are too many different values, members are grouped by three significant
digits of the value they are ranked by, and a resampled cell varies by its own standard deviation too.

Intervals: percentile (:func:`helpers.stats.estimate.percentile_interval`); bootstrap-t for means and ratios of
values with many zeros and a heavy tail, where the percentile interval is too short above; BCa for skewed sums
whose standard error has no formula. What is compared is resampled together, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.data.dialect import rounded
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.sentences import say
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.study.enough import RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise, require_columns

FloatArray = NDArray[np.float64]

MAXIMUM_CELLS = 20_000
SIGNIFICANT_DIGITS = 3
CHUNK_NUMBERS = 2_000_000  # floats held at once by one array of resamples, 16 MB


class Moments(NamedTuple):
    """Members and measured value per rank group, one row per resample, groups from the highest rank down.

    Attributes
    ----------
    members, total, squares : ndarray, shape (draws, groups)
        Number of members, sum of the measure and sum of its squares.
    """

    members: FloatArray
    total: FloatArray
    squares: FloatArray


OF_LOGS = {
    "studentised member bootstrap": "studentised member bootstrap of the log ratio",
    "percentile member bootstrap": "percentile member bootstrap of the log ratio",
}
"""What a method is called on logarithms: whole texts, as each has its translation."""


def value_cells(
    values: ibis.Table | pd.DataFrame,
    measure: str,
    *,
    rank: str | None = None,
    by: str | None = None,
    limit: int = MAXIMUM_CELLS,
) -> pd.DataFrame:
    """Group members that hold the same values.

    Parameters
    ----------
    values : ibis.Table or pandas.DataFrame
        One row per member.
    measure : str
        Column with the measured value; a member without value holds 0, null is an error.
    rank : str, optional
        Column by which members are ranked; `measure` when not given.
    by : str, optional
        Column with a group label, such as the tier.
    limit : int
        Above this number of different values, members are grouped by three significant digits of `rank`.

    Returns
    -------
    pandas.DataFrame
        Columns group (label or empty), rank, mean, deviation (population standard deviation of the measure
        inside the cell, 0 for exact cells), count, zero and negative (members whose measure is 0, and below 0);
        sorted by group, then from the highest rank down.
        Values are compared at a precision of 1e-6, so that sums made in another order fall in one cell.

    Raises
    ------
    BadData
        When a column is missing or holds null, NaN or infinite values.
    """
    table, rank = as_table(values), rank or measure
    require_columns(table, [column for column in (by, rank, measure) if column], "values of members")
    plain = table.select(
        group=table[by].cast("string") if by else ibis.literal(""),
        rank=rounded(table[rank], 6),
        measure=rounded(table[measure], 6),
    )
    plain = materialise(plain)
    _refuse_missing(plain, " or ".join(dict.fromkeys((rank, measure))))
    exact = plain.group_by(["group", "rank", "measure"]).aggregate(count=plain.count())
    few = int(exact.count().execute()) <= limit
    frame = _exact_cells(exact.execute()) if few else _grouped_cells(plain)
    # engines sum in no fixed order: the last bits must not reach a published number
    numbers = ["rank", "mean", "deviation"]
    frame[numbers] = np.round(frame[numbers].astype(float), 9) + 0.0
    frame = frame.sort_values(["group", "rank", "mean"], ascending=[True, False, False], ignore_index=True)
    return frame[["group", "rank", "mean", "deviation", "count", "zero", "negative"]]


def _refuse_missing(plain: ibis.Table, names: str) -> None:
    both = plain.rank + plain.measure
    missing = both.isnull() | both.isnan() | both.isinf() | plain.group.isnull()
    n = int(plain.filter(missing).count().execute())
    if n:
        raise BadData(
            say(
                "values of members: {names} missing or infinite in {n:,} rows; a member without value has 0.",
                names=names,
                n=n,
            )
        )


def _exact_cells(frame: pd.DataFrame) -> pd.DataFrame:
    value, count = frame["measure"], frame["count"]
    return frame.rename(columns={"measure": "mean"}).assign(
        deviation=0.0,
        zero=count.where(value == 0, 0),
        negative=count.where(value < 0, 0),
    )


def _grouped_cells(plain: ibis.Table) -> pd.DataFrame:
    """Group by magnitude and leading digits of the rank, which together name nearly equal values."""
    rank, measure = plain["rank"], plain["measure"]
    size = (rank == 0).ifelse(1.0, rank.abs())
    magnitude = (rank == 0).ifelse(ibis.literal(-99.0), size.log10().floor())
    unit = ibis.literal(10.0) ** (magnitude - (SIGNIFICANT_DIGITS - 1))
    leading = (rank == 0).ifelse(0.0, rounded(rank / unit))
    keyed = plain.mutate(magnitude=magnitude.cast("int64"), leading=leading.cast("int64"))
    return (
        keyed.group_by(["group", "magnitude", "leading"])
        .aggregate(
            rank=rank.mean(),
            mean=measure.mean(),
            deviation=measure.std(how="pop"),
            count=keyed.count(),
            zero=(measure == 0).ifelse(1, 0).sum(),
            negative=(measure < 0).ifelse(1, 0).sum(),
        )
        .execute()
    )


def moments(cells: pd.DataFrame, weights: FloatArray, noise: np.random.Generator | None = None) -> Moments:
    """Sum members, value and squared value of each rank group for weights of shape (draws, cells)."""
    mean, deviation = cells["mean"].to_numpy(), cells["deviation"].to_numpy()
    total = weights * mean
    squares = weights * (mean**2 + deviation**2)
    if noise is not None and deviation.any():
        total = total + np.sqrt(weights) * deviation * noise.standard_normal(weights.shape)
    rank = cells["rank"].to_numpy()
    starts = np.flatnonzero(np.r_[True, rank[1:] != rank[:-1]])
    if starts.size == rank.size:
        return Moments(weights, total, squares)
    return Moments(*(np.add.reduceat(part, starts, axis=1) for part in (weights, total, squares)))


def observed(cells: pd.DataFrame) -> Moments:
    """Return the moments of the data themselves, as one "resample"."""
    return moments(cells, cells["count"].to_numpy(float)[None, :])


def resamples(cells: pd.DataFrame, *, draws: int, seed: int) -> Iterator[Moments]:
    """Yield `draws` member resamples of the cells of one group, in chunks of bounded memory."""
    rng = np.random.default_rng(seed)
    count = cells["count"].to_numpy()
    share = count / count.sum()
    step = max(1, CHUNK_NUMBERS // len(cells))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        weights = rng.multinomial(int(count.sum()), share, size=size).astype(float)
        yield moments(cells, weights, rng)


def unit_weights(units: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return how often each unit (a member, or a bucket of members) is drawn, shape (draws, units)."""
    return rng.multinomial(units, np.full(units, 1 / units), draws).astype(float)


def ratio_interval(above: FloatArray, below: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of a ratio of two sums that were resampled together."""
    ratios = np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
    return percentile_interval(ratios, confidence)


def studentised_interval(
    value: float,
    error: float,
    draws: FloatArray,
    draw_errors: FloatArray,
    *,
    confidence: float,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float, str]:
    """Return bounds and method of the bootstrap-t interval, or of the percentile one where it is undefined.

    The bootstrap-t interval (Efron and Tibshirani 1993, section 12.5) divides each resample's deviation by its
    own standard error, which widens the upper side on heavy tails, where the percentile interval is too short.
    It is undefined when the standard error is 0 in the data or in more than 1 % of the resamples.
    """
    tail = (1 - confidence) / 2
    usable = np.isfinite(draws) & np.isfinite(draw_errors) & (draw_errors > 0)
    if not np.isfinite(error) or error <= 0 or usable.mean() < 0.99:
        low, high = percentile_interval(draws, confidence)
        return min(low, value), max(high, value), "percentile member bootstrap"
    ratio = (draws[usable] - value) / draw_errors[usable]
    lower, upper = np.quantile(ratio, [tail, 1 - tail])
    low, high = value - upper * error, value - lower * error
    low, high = np.clip([low, high], *bounds)
    return float(min(low, value)), float(max(high, value)), "studentised member bootstrap"


def log_mean_t(
    after: FloatArray, before: FloatArray, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return the mean value of a group over that of another, with bootstrap-t bounds on the log scale.

    The distance of the resampled log from the estimate is taken in units of the resample's own standard error,
    ``var(log m) = var(m) / m^2`` (delta method), variances of independent groups added (Hall 1988, Annals of
    Statistics 16:927-953).

    Parameters
    ----------
    after, before : ndarray, shape (buckets, 3)
        Members, their value and its squares, summed by bucket of members.
    confidence, draws, rng
        Level, resamples and random generator.
    """
    point, error, log, errors = 0.0, 0.0, np.zeros(draws), np.zeros(draws)
    for sign, sums in ((1, after), (-1, before)):
        middle, variance = _log_mean(sums.sum(axis=0))
        drawn, spread = _log_mean(unit_weights(len(sums), draws, rng) @ sums)
        point, error = point + sign * float(middle), error + float(variance)
        log, errors = log + sign * drawn, errors + spread
    if not error > 0:  # all bring the same: nothing varies that an interval could be made of
        return float(np.exp(point)), np.nan, np.nan
    low, high, _ = studentised_interval(point, np.sqrt(error), log, np.sqrt(errors), confidence=confidence)
    return float(np.exp(point)), float(np.exp(low)), float(np.exp(high))


def _log_mean(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log of the mean and its variance from members, value and squares (last axis)."""
    n, total, squares = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        variance = np.maximum(squares / n - mean**2, 0.0) / (n - 1)
        return np.log(mean), variance / mean**2


def studentised(
    found: FloatArray,
    n: int,
    unit: str,
    confidence: float,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return the estimate of values and their errors, shape (2, 1 + draws), of which the first are the data's."""
    (value, *draws), (error, *errors) = found.tolist()
    drawn = np.array(draws), np.array(errors)
    low, high, method = studentised_interval(value, error, *drawn, confidence=confidence, bounds=bounds)
    return Estimate(value, low, high, n, unit, method, confidence)


def bca_interval(
    value: float, draws: FloatArray, left_out: FloatArray, confidence: float
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval (Efron 1987, JASA 82:171-185).

    Parameters
    ----------
    value : float
        Estimate.
    draws : ndarray
        Its resamples.
    left_out : ndarray
        The estimate with each unit left out in turn (jackknife); units that hold nothing change nothing.
    confidence : float
        Level.
    """
    if not np.isfinite(draws).all() or np.ptp(draws) == 0:
        return (np.nan, np.nan) if not np.isfinite(value) or value else (value, value)
    below = np.clip(np.mean(draws < value), 1 / (len(draws) + 1), len(draws) / (len(draws) + 1))
    bias = stats.norm.ppf(below)
    pull = left_out.mean() - left_out
    spread = (pull**2).sum()
    acceleration = (pull**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    tail = (1 - confidence) / 2
    shifted = bias + stats.norm.ppf([tail, 1 - tail])
    levels = stats.norm.cdf(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-6))
    low, high = np.quantile(draws, levels)
    return float(low), float(high)


class MeanValue(NamedTuple):
    """Mean value of a group of members, and its resamples.

    Attributes
    ----------
    estimate : Estimate
        Mean value a member; unknown when fewer than `RESAMPLED_WITH_VALUE` members have value.
    mean, error : float
        Mean and its standard error in the data.
    means, errors : ndarray of float, shape (draws,)
        The same in each resample.
    with_value : int
        Members whose value is not 0.
    total : float
        Sum of the value.
    """

    estimate: Estimate
    mean: float
    error: float
    means: FloatArray
    errors: FloatArray
    with_value: int
    total: float


def mean_value(cells: pd.DataFrame, *, unit: str, confidence: float, draws: int, seed: int) -> MeanValue:
    """Return the mean of the compressed values of one group with its studentised member bootstrap."""
    n = int(cells["count"].sum())
    with_value = n - int(cells["zero"].sum())
    if with_value < RESAMPLED_WITH_VALUE:
        total = float((cells["mean"] * cells["count"]).sum())
        reason = "no member has value" if not with_value else "too few members have value"
        empty = np.full(draws, np.nan)
        mean = total / n if n else np.nan
        return MeanValue(unknown(n, unit, confidence, reason), mean, np.nan, empty, empty, with_value, total)
    parts = []
    for groups in chain([observed(cells)], resamples(cells, draws=draws, seed=seed)):
        means = groups.total.sum(axis=1) / n
        spread = np.maximum(groups.squares.sum(axis=1) / n - means**2, 0)
        parts.append(np.array([means, np.sqrt(spread / n)]))
    found = np.concatenate(parts, axis=1)
    floor = -np.inf if cells["negative"].any() else 0.0
    estimate = studentised(found, n, unit, confidence, (floor, np.inf))
    (mean, error), (means, errors) = found[:, 0].tolist(), found[:, 1:]
    return MeanValue(estimate, mean, error, means, errors, with_value, mean * n)


def ratio_of_means(top: MeanValue, bottom: MeanValue, confidence: float) -> Estimate:
    """Return the ratio of two independent means; unknown unless both are known and above 0.

    The interval is the bootstrap-t one of the log ratio, whose standard error is that of the delta method:
    ``var(log R) = var(m1) / m1^2 + var(m0) / m0^2``.
    """
    n = top.estimate.n + bottom.estimate.n
    for part in (bottom, top):
        if not (part.estimate.known and part.mean > 0):
            return unknown(n if part.estimate.n else 0, "ratio", confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.log(top.means) - np.log(bottom.means)
        errors = np.hypot(top.errors / top.means, bottom.errors / bottom.means)
    error = float(np.hypot(top.error / top.mean, bottom.error / bottom.mean))
    value = float(np.log(top.mean / bottom.mean))
    low, high, method = studentised_interval(value, error, draws, errors, confidence=confidence)
    ratio, low, high = np.exp([value, low, high]).tolist()
    return Estimate(ratio, low, high, n, "ratio", OF_LOGS[method], confidence)


def share_of_rank(cells: pd.DataFrame, confidence: float, draws: int, seed: int) -> Estimate:
    """Return the sum of the measure over that of the rank, a part over its whole, with bootstrap-t bounds."""
    n = int(cells["count"].sum())
    total = cells["rank"].drop_duplicates().to_numpy()  # one per rank group, in the order of the moments
    if n - int(cells["zero"].sum()) < RESAMPLED_WITH_VALUE or (cells["rank"] * cells["count"]).sum() <= 0:
        return unknown(n, "share", confidence)
    parts = []
    for groups in chain([observed(cells)], resamples(cells, draws=draws, seed=seed)):
        with np.errstate(divide="ignore", invalid="ignore"):
            sums = groups.members @ total
            share = groups.total.sum(axis=1) / sums
            step = share[:, None] * total
            spread = groups.squares - 2 * step * groups.total + step**2 * groups.members
            parts.append(np.array([share, np.sqrt(np.maximum(spread.sum(axis=1), 0)) / np.abs(sums)]))
    return studentised(np.concatenate(parts, axis=1), n, "share", confidence)
