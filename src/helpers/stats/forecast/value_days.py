"""Members compressed to days of tenure with what they brought on each: the cells behind lifetime value.

For every day ``d`` since joining a member is at risk when it was seen on the whole of that day: it had joined and
not left, the day is not after ``as_of``, and recording had begun (late entry). The day of leaving is the last day at
risk. The engine counts members and adds up value by bucket and day, so the cells do not grow with members.

Buckets stand for members in the bootstrap: a hash puts each member at random into one of them, and the buckets are
resampled. Sums over a bucket are independent of those of another, so this is the member bootstrap with coarser
units; it keeps survival and value of a member together, which is what makes the interval of their product right.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.dialect import VALUE_DECIMALS, bucket
from helpers.stats.resample import bca_interval, unit_weights
from helpers.stats.survival.durations import exit_durations
from helpers.stats.survival.limits import product_limit
from helpers.study import enough
from helpers.study.frames import materialise, require_columns, with_days

FloatArray = NDArray[np.float64]
BUCKETS = 250
TAIL_DAYS = 90
PARTS = ("observed", "borrowed", "extrapolated", "total")


@dataclass(frozen=True)
class ValueDays:
    """Members at risk, exits and value by bucket and day since joining.

    Attributes
    ----------
    at_risk, exits, value : ndarray, shape (buckets, days)
        Members seen on the whole day, members who left on it, and value brought on it.
    entered : ndarray, shape (days,)
        Members who came under observation on each day.
    newcomers : ndarray, shape (days,)
        Of those at risk, the ones followed from the first day on; the rest had come before recording began.
    first_valued : ndarray, shape (days,)
        Members by the first day at risk on which they brought value.
    """

    at_risk: FloatArray = field(repr=False)
    exits: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)
    entered: FloatArray = field(repr=False)
    newcomers: FloatArray = field(repr=False)
    first_valued: FloatArray = field(repr=False)


def value_days(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date,
    began: dt.date | None,
    days: int = 730,
) -> ValueDays:
    """Compress members and their value to days since joining, inside the engine.

    Parameters
    ----------
    activity, population
        As :class:`helpers.study.Study` holds them.
    as_of : date
        Last day that counts.
    began : date, optional
        First day on which exits and value were recorded. Members who joined before are followed from there.
    days : int
        Days since joining to keep.

    Raises
    ------
    BadData
        When a column is missing.
    """
    require_columns(activity, ("member_id", "day", "value"), "activity")
    require_columns(population, ("member_id", "joined_day", "left_day"), "population")
    rows = with_days(activity, "day")
    people = materialise(spans(with_days(population, "joined_day", "left_day"), as_of, began))
    entered, ended = (_by_day(people, day, days) for day in ("entry", "last"))
    followed = people.filter(people.entry == 0).mutate(bucket=0)  # told of all together
    valued = rows.filter(rows.value != 0).select("member_id", "day", "value").join(people, "member_id")
    valued = valued.mutate(age=valued.day.delta(valued.joined_day, unit="day").cast("int64"))
    valued = valued.filter(valued.age >= valued.entry, valued.age <= valued["last"])
    first = valued.group_by("member_id").agg(age=valued.age.min()).mutate(bucket=0)
    return ValueDays(
        at_risk=np.cumsum(entered - _day_after(ended), axis=1),
        exits=_by_day(people.filter(people.exited), "last", days),
        value=np.round(_by_day(valued, "age", days, "value"), VALUE_DECIMALS),
        entered=entered.sum(axis=0),
        newcomers=entered[:, 0].sum() - np.cumsum(_day_after(_by_day(followed, "last", days)), axis=1)[0],
        first_valued=_by_day(first, "age", days)[0],
    )


def spans(people: ibis.Table, as_of: dt.date, began: dt.date | None) -> ibis.Table:
    """Return one row per member seen: member_id, joined_day, bucket, entry, last (days since joining), exited."""
    stays = exit_durations(people, as_of=as_of, observed_from=began or dt.date.min)
    found = stays.select(
        "member_id",
        "joined_day",
        "exited",
        bucket=bucket(stays.member_id, BUCKETS),
        entry="entry_day",
        last="tenure_days",
    )
    return found.filter(found["last"] >= 0)


def _by_day(table: ibis.Table, day: str, days: int, value: str | None = None) -> FloatArray:
    """Return rows, or the sum of a column, by bucket and day, shape (buckets, days)."""
    found = table.group_by("bucket", day).agg(n=table[value].sum() if value else table.count()).to_pandas()
    found = found[found[day].between(0, days - 1)]
    array = np.zeros((BUCKETS, days))
    array[found["bucket"].to_numpy(int), found[day].to_numpy(int)] = found["n"].to_numpy(float)
    return array


def _day_after(ended: FloatArray) -> FloatArray:
    """Return when those leave the risk who were at risk until a day: on the day after."""
    return np.pad(ended, ((0, 0), (1, 0)))[:, :-1]


def newcomer_value(
    cells: ValueDays, *, discount_rate: float, confidence: float, draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the value of a newcomer over all days of the cells, by part and by day.

    Survival times value, discounted (Lin, Feuer, Etzioni and Wax 1997), with the BCa interval of buckets of members
    resampled together. Days on which too few members were at risk are extrapolated with the mean over the last
    `TAIL_DAYS` before them.

    Returns
    -------
    parts : pandas.DataFrame
        part (of `PARTS`), days, value, low, high, n (members under observation on any of the days), with_value (of
        them, members who brought any); no values with too little data.
    curve : pandas.DataFrame
        day, survival, daily_value, cumulative_value, part; empty with too little data.
    """
    buckets, horizon = cells.at_risk.shape
    n, with_value = int(cells.entered.sum()), int(cells.first_valued.sum())
    seen = _days_with_enough(cells.at_risk.sum(axis=0))
    observed = min(_days_with_enough(cells.newcomers), seen)
    spans = [slice(0, observed), slice(observed, seen), slice(seen, horizon), slice(0, horizon)]
    values, curve = [(np.nan, np.nan, np.nan)] * len(PARTS), pd.DataFrame({"part": []})
    least = n >= enough.FOLLOWED and with_value >= enough.WITH_VALUE
    if least and seen >= min(enough.DAYS_OBSERVED, horizon):
        weights = unit_weights(buckets, draws, np.random.default_rng(seed))
        each = (np.ones(buckets), weights, np.ones((buckets, buckets)) - np.eye(buckets))
        point, drawn, left_out = (_curve(cells, one, seen, discount_rate) for one in each)
        for place, span in enumerate(spans):
            value, resampled, jackknife = (
                one.present[..., span].sum(axis=-1) for one in (point, drawn, left_out)
            )
            values[place] = (float(value), *bca_interval(float(value), resampled, jackknife, confidence))
        shown = {"survival": point.survival, "daily_value": point.daily}
        shown |= {"cumulative_value": np.cumsum(point.present)}
        parts = np.repeat(PARTS[:3], [observed, seen - observed, horizon - seen])
        curve = pd.DataFrame({"day": np.arange(horizon), **shown, "part": parts})
    table = pd.DataFrame(values, columns=["value", "low", "high"])
    days = [span.stop - span.start for span in spans]
    table.insert(0, "part", PARTS)
    table.insert(1, "days", days)
    return table.assign(n=n, with_value=with_value), curve


class Curve(NamedTuple):
    """Survival and discounted value by day; leading axes are resamples.

    Attributes
    ----------
    survival, daily : ndarray, shape (..., days)
        Probability to be there when the day begins, and mean value of a member there on that day.
    present : ndarray, shape (..., days)
        Discounted value of each day: survival times daily value times discount.
    """

    survival: FloatArray
    daily: FloatArray
    present: FloatArray


def _days_with_enough(at_risk: FloatArray) -> int:
    """Return the number of days from the first on which at least `AT_RISK` members were at risk."""
    few = np.flatnonzero(at_risk < enough.AT_RISK)
    return int(few[0]) if few.size else int(at_risk.size)


def _curve(cells: ValueDays, weights: FloatArray, observed: int, rate: float) -> Curve:
    """Return survival, daily and discounted value of each resample; days beyond the observed are extrapolated."""
    horizon = cells.at_risk.shape[1]
    n, left, worth = ((weights @ part)[..., :observed] for part in (cells.at_risk, cells.exits, cells.value))
    n = np.maximum(n, 1.0)  # a resample may empty a day that holds few members
    tail = slice(max(observed - TAIL_DAYS, observed // 2), observed)
    exposure = n[..., tail].sum(axis=-1, keepdims=True)
    beyond = np.ones(horizon - observed)
    hazard, daily = (
        np.concatenate([part / n, part[..., tail].sum(axis=-1, keepdims=True) / exposure * beyond], axis=-1)
        for part in (left, worth)
    )
    stays = product_limit(1.0, np.minimum(hazard, 1.0))
    survival = np.concatenate([np.ones((*stays.shape[:-1], 1)), stays[..., :-1]], axis=-1)
    return Curve(survival, daily, survival * daily * (1.0 + rate) ** (-np.arange(horizon) / 365.0))
