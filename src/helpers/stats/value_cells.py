"""Compress per-member values to cells and resample members from the cells.

A million members seldom hold more than a few thousand different values, so the engine groups first and the
member bootstrap draws how many members of each cell are in a resample (a multinomial draw, which is exactly
the member bootstrap). When there are too many different values, members are grouped by three significant
digits of the value they are ranked by, and a resampled cell varies by its own standard deviation too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence, check_scalar
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.study.frames import materialise, require_columns

FloatArray = NDArray[np.float64]

MAXIMUM_CELLS = 20_000
MINIMUM_MEMBERS = 20
MINIMUM_WITH_VALUE = 5  # with fewer members who have value, no bootstrap covers as it claims
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


def require_unique(table: ibis.Table, column: str, name: str) -> None:
    """Raise ``BadData`` when a value of `column` is null or stands in more than one row of `table`."""
    counts = table.group_by(column).aggregate(rows=lambda t: t.count())
    repeated = counts.filter((counts["rows"] > 1) | counts[column].isnull())
    found = (
        repeated.aggregate(n=repeated.count(), example=repeated[column].cast("string").min())
        .execute()
        .iloc[0]
    )
    if found["n"]:
        raise BadData(
            f"{name}: one row per {column} is needed, but {int(found['n']):,} have several rows or none, "
            f"for example {found['example']!r}."
        )


def _refuse_missing_values(table: ibis.Table, columns: list[str], name: str) -> None:
    empty = {}
    for column in dict.fromkeys(columns):
        value = table[column]
        bad = value.isnull()
        if value.type().is_floating():
            bad = bad | value.isnan().fill_null(False) | value.isinf().fill_null(False)
        empty[column] = bad
    counts = {column: bad.ifelse(1, 0).sum().fill_null(0) for column, bad in empty.items()}
    found = table.aggregate(**counts).execute().iloc[0]
    wrong = [f"{column} ({int(found[column]):,} rows)" for column in counts if found[column]]
    if wrong:
        raise BadData(
            f"{name}: missing or infinite values in {', '.join(wrong)}; a member without value has 0, not nothing."
        )


def _digits(value: ibis.expr.types.NumericValue) -> tuple[ibis.Value, ibis.Value]:
    """Return magnitude and leading digits, which together name the group of nearly equal values."""
    size = value.abs()
    magnitude = (size == 0).ifelse(ibis.literal(-99.0), (size == 0).ifelse(1.0, size).log10().floor())
    unit = ibis.literal(10.0) ** (magnitude - (SIGNIFICANT_DIGITS - 1))
    return magnitude.cast("int64"), (value == 0).ifelse(0.0, (value / unit).round(0)).cast("int64")


def value_cells(
    values: ibis.Table | pd.DataFrame,
    measure: str,
    *,
    rank: str | None = None,
    by: str | None = None,
    name: str = "values",
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
    name : str
        How messages call the table.
    limit : int
        Above this number of different values, members are grouped by three significant digits of `rank`.

    Returns
    -------
    pandas.DataFrame
        Columns group (label or empty), rank, mean, deviation (population standard deviation of the measure
        inside the cell, 0 for exact cells), count, zero and negative (members whose measure is 0, and below 0),
        negative_total; sorted by group, then from the highest rank down.
        Values are compared at a precision of 1e-6, so that sums made in another order fall in one cell.

    Raises
    ------
    BadData
        When a column is missing or holds null, NaN or infinite values.
    """
    table = as_table(values)
    rank = rank or measure
    columns = [column for column in (by, rank, measure) if column]
    require_columns(table, columns, name)
    _refuse_missing_values(table, columns, name)
    plain = table.select(
        group=table[by].cast("string") if by else ibis.literal(""),
        rank=table[rank].cast("float64").round(6),
        measure=table[measure].cast("float64").round(6),
    )
    plain = materialise(plain)
    exact = plain.group_by(["group", "rank", "measure"]).aggregate(count=plain.count())
    few = int(exact.count().execute()) <= limit
    frame = _exact_cells(exact.execute()) if few else _grouped_cells(plain)
    # engines sum in no fixed order: the last bits must not reach a published number
    numbers = ["rank", "mean", "deviation", "negative_total"]
    frame[numbers] = frame[numbers].astype(float).round(9) + 0.0
    frame = frame.sort_values(["group", "rank", "mean"], ascending=[True, False, False], ignore_index=True)
    return frame[["group", "rank", "mean", "deviation", "count", "zero", "negative", "negative_total"]]


def _grouped_cells(plain: ibis.Table) -> pd.DataFrame:
    magnitude, leading = _digits(plain["rank"])
    keyed = plain.mutate(magnitude=magnitude, leading=leading)
    groups = keyed.group_by(["group", "magnitude", "leading"]).aggregate(
        rank=keyed["rank"].mean(),
        mean=keyed.measure.mean(),
        deviation=keyed.measure.std(how="pop"),
        count=keyed.count(),
        zero=(keyed.measure == 0).ifelse(1, 0).sum(),
        negative=(keyed.measure < 0).ifelse(1, 0).sum(),
        negative_total=(keyed.measure < 0).ifelse(keyed.measure, 0.0).sum(),
    )
    return groups.execute()


def _exact_cells(frame: pd.DataFrame) -> pd.DataFrame:
    value, count = frame["measure"], frame["count"]
    return frame.rename(columns={"measure": "mean"}).assign(
        deviation=0.0,
        zero=count.where(value == 0, 0),
        negative=count.where(value < 0, 0),
        negative_total=(value * count).where(value < 0, 0.0),
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
    """Yield member resamples of the cells in chunks of bounded memory.

    Parameters
    ----------
    cells : pandas.DataFrame
        As returned by :func:`value_cells`, one group label only.
    draws : int
        Number of resamples in all.
    seed : int
        Seed of the generator.
    """
    check_scalar(draws, "draws", ge=20)
    rng = np.random.default_rng(seed)
    count = cells["count"].to_numpy()
    share = count / count.sum()
    step = max(1, CHUNK_NUMBERS // len(cells))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        weights = rng.multinomial(int(count.sum()), share, size=size).astype(float)
        yield moments(cells, weights, rng)


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
    tail = (1 - check_confidence(confidence)) / 2
    usable = np.isfinite(draws) & np.isfinite(draw_errors) & (draw_errors > 0)
    if not np.isfinite(error) or error <= 0 or usable.mean() < 0.99:
        low, high = percentile_interval(draws, confidence)
        return min(low, value), max(high, value), "percentile member bootstrap"
    ratio = (draws[usable] - value) / draw_errors[usable]
    lower, upper = np.quantile(ratio, [tail, 1 - tail])
    low, high = value - upper * error, value - lower * error
    low, high = np.clip([low, high], *bounds)
    return float(min(low, value)), float(max(high, value)), "studentised member bootstrap"


class MeanValue(NamedTuple):
    """Mean value of a group of members, and its resamples.

    Attributes
    ----------
    estimate : Estimate
        Mean value a member; unknown when fewer than `MINIMUM_WITH_VALUE` members have value.
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
    """Return the mean of compressed values with its studentised member bootstrap.

    Parameters
    ----------
    cells : pandas.DataFrame
        As returned by :func:`value_cells`, for one group.
    unit, confidence, draws, seed :
        Unit of the value, level, number of resamples and their seed.
    """
    check_confidence(confidence)
    n = int(cells["count"].sum())
    with_value = n - int(cells["zero"].sum())
    if with_value < MINIMUM_WITH_VALUE:
        total = float((cells["mean"] * cells["count"]).sum())
        reason = "no member has value" if not with_value else "too few members have value"
        empty = np.full(draws, np.nan)
        mean = total / n if n else np.nan
        return MeanValue(unknown(n, unit, confidence, reason), mean, np.nan, empty, empty, with_value, total)
    parts = []
    for groups in [observed(cells), *resamples(cells, draws=draws, seed=seed)]:
        means = groups.total.sum(axis=1) / n
        spread = np.maximum(groups.squares.sum(axis=1) / n - means**2, 0)
        parts.append(np.array([means, np.sqrt(spread / n)]))
    (mean, *means), (error, *errors) = np.concatenate(parts, axis=1)
    draws_of = np.array(means), np.array(errors)
    floor = -np.inf if cells["negative"].any() else 0.0
    low, high, method = studentised_interval(
        mean, error, *draws_of, confidence=confidence, bounds=(floor, np.inf)
    )
    estimate = Estimate(float(mean), low, high, n, unit, method, confidence)
    return MeanValue(estimate, float(mean), float(error), *draws_of, with_value, float(mean) * n)
