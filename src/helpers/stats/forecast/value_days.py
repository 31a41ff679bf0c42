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

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.study.frames import materialise, require_columns, with_days

FloatArray = NDArray[np.float64]
BUCKETS = 250
VALUE_DECIMALS = 6


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
    spans = _spans(with_days(population, "joined_day", "left_day"), as_of, began)
    entered, ended = (_by_day(spans, day, days) for day in ("entry", "last"))
    followed = _by_day(spans.filter(spans.entry == 0), "last", days)
    valued = rows.filter(rows.value != 0).select("member_id", "day", "value").join(spans, "member_id")
    valued = valued.mutate(age=valued.day.delta(valued.joined_day, unit="day").cast("int64"))
    valued = valued.filter(valued.age >= valued.entry, valued.age <= valued["last"])
    first = valued.group_by("bucket", "member_id").agg(age=valued.age.min())
    return ValueDays(
        at_risk=np.cumsum(entered - _day_after(ended), axis=1),
        exits=_by_day(spans.filter(spans.exited), "last", days),
        value=_by_day(valued, "age", days, "value").round(VALUE_DECIMALS),
        entered=entered.sum(axis=0),
        newcomers=(entered[:, :1] - np.cumsum(_day_after(followed), axis=1)).sum(axis=0),
        first_valued=_by_day(first, "age", days).sum(axis=0),
    )


def _spans(people: ibis.Table, as_of: dt.date, began: dt.date | None) -> ibis.Table:
    """Return one row per member seen: member_id, joined_day, bucket, entry, last (days since joining), exited."""
    end = ibis.date(as_of)
    exited = people.left_day.notnull() & (people.left_day <= end)
    last_day = ibis.cases((exited, people.left_day), else_=end)
    late = ibis.literal(0)
    if began is not None:
        late = ibis.greatest(ibis.date(began).delta(people.joined_day, unit="day"), 0)
    bucket = people.member_id.hash() % BUCKETS
    spans = people.filter(people.joined_day <= end).select(
        "member_id",
        "joined_day",
        exited=exited,
        bucket=((bucket + BUCKETS) % BUCKETS).cast("int64"),
        entry=late.cast("int64"),
        last=last_day.delta(people.joined_day, unit="day").cast("int64"),
    )
    return materialise(spans.filter(spans["last"] >= spans.entry))


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
