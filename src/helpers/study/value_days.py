"""Members compressed to days of tenure with what they brought on each: the cells behind lifetime value.

For every day ``d`` since its origin a member is at risk when it was seen on the whole of that day: it had joined and
not left, the day is not after ``as_of``, and recording had begun (late entry). The day of leaving is the last day at
risk. The engine counts members and adds up value by segment, bucket and day, so the cells do not grow with members.

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

from helpers.checks import check_scalar
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.study.frames import as_day, materialise, require_columns, with_days

FloatArray = NDArray[np.float64]
BUCKETS = 250
VALUE_DECIMALS = 6
EVERYBODY = "all"


@dataclass(frozen=True)
class ValueDays:
    """Members at risk, exits and value by segment, bucket and day since the origin.

    Attributes
    ----------
    segments : tuple of str
        Labels, sorted; ``("all",)`` when members are not split.
    at_risk, exits, value : ndarray, shape (segments, buckets, days)
        Members seen on the whole day, members who left on it, and value brought on it.
    members : ndarray, shape (segments,)
        Members with at least one day at risk.
    entered : ndarray, shape (segments, days)
        Members who came under observation on each day.
    newcomers : ndarray, shape (segments, days)
        Of those at risk, the ones followed from the first day on; the rest had come before recording began.
    first_valued : ndarray, shape (segments, days)
        Members by the first day at risk on which they brought value.
    outside : float
        Value of known members on days on which they were not at risk, such as orders before joining.
    unseen : int
        Members who left before recording began.
    """

    segments: tuple[str, ...]
    at_risk: FloatArray = field(repr=False)
    exits: FloatArray = field(repr=False)
    value: FloatArray = field(repr=False)
    members: NDArray[np.int64]
    entered: FloatArray = field(repr=False)
    newcomers: FloatArray = field(repr=False)
    first_valued: FloatArray = field(repr=False)
    outside: float
    unseen: int

    @property
    def days(self) -> int:
        """Number of days since the origin that the cells reach."""
        return self.at_risk.shape[2]


def value_days(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    by: str | None = None,
    origin: dt.date | str | None = None,
    observed_from: dt.date | str | None = None,
    days: int = 730,
    buckets: int = BUCKETS,
) -> ValueDays:
    """Compress members and their value to days since an origin, inside the engine.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, value; as made by :func:`helpers.study.activity.activity`.
    population : ibis.Table or pandas.DataFrame
        member_id, joined_day, left_day and the column `by`.
    as_of : date or str
        Last day that counts.
    by : str, optional
        Column of `population` to split by; an empty label becomes ``"(none)"``.
    origin : date or str, optional
        Day from which days are counted, for the members present when it began; by default each member's own day
        of joining. A landmark: who was present on day L is followed from L + 1.
    observed_from : date or str, optional
        First day on which exits and value were recorded; by default the first day of activity. Members who joined
        before are followed from there (late entry).
    days : int
        Days since the origin to keep.
    buckets : int
        Number of buckets.

    Raises
    ------
    BadData
        When a column is missing, or a member left before joining.
    """
    end = as_day(as_of)
    check_scalar(days, "days", type_=int, ge=1)
    check_scalar(buckets, "buckets", type_=int, ge=20)
    rows, people = as_table(activity), as_table(population)
    require_columns(rows, ["member_id", "day", "value"], "activity")
    require_columns(people, ["member_id", "joined_day", "left_day", *([by] if by else [])], "population")
    rows, people = with_days(rows, "day"), with_days(people, "joined_day", "left_day")
    begin = _begin(rows, observed_from)
    rows = rows.filter(rows.day <= ibis.date(end), rows.value != 0)
    spans, unseen = _spans(
        people, by, end, None if origin is None else as_day(origin, "origin"), begin, buckets
    )
    counts = _counts(spans)
    worth, first, outside = _worth(rows, spans)
    segments = tuple(sorted(counts["segment"].unique())) or (EVERYBODY,)
    shape = (len(segments), buckets, days)
    entered, ended, left, followed = (
        _array(counts[counts["what"] == what], segments, shape) for what in WHAT
    )
    # A member at risk on days entry..last is added at entry and taken away on the day after its last.
    gone, followed_gone = (
        np.concatenate([np.zeros((*shape[:2], 1)), ends[:, :, :-1]], axis=2) for ends in (ended, followed)
    )
    return ValueDays(
        segments=segments,
        at_risk=np.cumsum(entered - gone, axis=2),
        exits=left,
        value=_array(worth, segments, shape),
        members=np.array(
            [
                counts.loc[(counts["what"] == "entered") & (counts["segment"] == s), "n"].sum()
                for s in segments
            ],
            np.int64,
        ),
        entered=entered.sum(axis=1),
        newcomers=(entered[:, :, :1] - np.cumsum(followed_gone, axis=2)).sum(axis=1),
        first_valued=_array(first, segments, shape).sum(axis=1),
        outside=outside,
        unseen=unseen,
    )


WHAT = ("entered", "ended", "left", "followed")


def _begin(rows: ibis.Table, observed_from: dt.date | str | None) -> dt.date | None:
    if observed_from is not None:
        return as_day(observed_from, "observed_from")
    first = rows.day.min().execute()
    return None if pd.isna(first) else pd.Timestamp(first).date()


def _spans(
    people: ibis.Table,
    by: str | None,
    end: dt.date,
    origin: dt.date | None,
    begin: dt.date | None,
    buckets: int,
) -> tuple[ibis.Table, int]:
    """Return one row per member seen: member_id, segment, bucket, start (date), entry, last (days), exited."""
    _refuse_left_before_joining(people)
    people = people.filter(people.joined_day <= ibis.date(end))
    exited = people.left_day.notnull() & (people.left_day <= ibis.date(end))
    people = people.mutate(
        exited=exited,
        last_day=ibis.cases((exited, people.left_day), else_=ibis.date(end)),
        start=people.joined_day if origin is None else ibis.date(origin),
    )
    if origin is not None:
        people = people.filter(people.joined_day < ibis.date(origin), people.last_day >= ibis.date(origin))
    segment = ibis.literal(EVERYBODY) if by is None else people[by].cast("string").fill_null("(none)")
    bucket = people.member_id.hash() % buckets
    late = (
        ibis.literal(0)
        if begin is None
        else ibis.greatest(ibis.date(begin).delta(people.start, unit="day"), 0)
    )
    spans = people.select(
        "member_id",
        "start",
        "exited",
        segment=segment,
        bucket=((bucket + buckets) % buckets).cast("int64"),
        entry=late.cast("int64"),
        last=people.last_day.delta(people.start, unit="day").cast("int64"),
    )
    unseen = int(spans.filter(spans["last"] < spans.entry).count().execute())
    return materialise(spans.filter(spans["last"] >= spans.entry)), unseen


def _refuse_left_before_joining(people: ibis.Table) -> None:
    wrong = people.filter(people.left_day < people.joined_day)
    found = wrong.aggregate(n=wrong.count(), example=wrong.member_id.min()).execute().iloc[0]
    if found["n"]:
        raise BadData(
            f"population: {int(found['n']):,} members left before they joined (left_day < joined_day), "
            f"for example {found['example']!r}."
        )


def _counts(spans: ibis.Table) -> pd.DataFrame:
    """Return how many members enter, end and leave on each day: what, segment, bucket, day, n.

    Those that end and were followed from the first day on are counted once more.
    """
    parts = []
    for what, rows, day in (
        ("entered", spans, spans.entry),
        ("ended", spans, spans["last"]),
        ("left", spans.filter(spans.exited), spans["last"]),
        ("followed", spans.filter(spans.entry == 0), spans["last"]),
    ):
        found = rows.group_by("segment", "bucket", day=day).agg(n=rows.count())
        parts.append(found.mutate(what=ibis.literal(what)).to_pandas())
    return pd.concat(parts, ignore_index=True).sort_values(
        ["what", "segment", "bucket", "day"], ignore_index=True
    )


def _worth(rows: ibis.Table, spans: ibis.Table) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return value by segment, bucket and day at risk, members by the first such day, and value outside of them."""
    joined = rows.select("member_id", "day", "value").join(spans, "member_id")
    age = joined.day.delta(joined.start, unit="day").cast("int64")
    joined = joined.mutate(age=age, inside=(age >= joined.entry) & (age <= joined["last"]))
    found = joined.group_by("segment", "bucket", "inside", day=joined.age).agg(n=joined.value.sum())
    worth = found.to_pandas().astype({"n": float, "inside": bool}).round({"n": VALUE_DECIMALS})
    worth = worth.sort_values(["segment", "bucket", "day"], ignore_index=True)
    kept = joined.filter(joined.inside)
    members = kept.group_by("segment", "bucket", "member_id").agg(day=kept.age.min())
    first = members.group_by("segment", "bucket", "day").agg(n=members.count()).to_pandas()
    return worth[worth["inside"]], first, float(worth.loc[~worth["inside"], "n"].sum())


def _array(found: pd.DataFrame, segments: tuple[str, ...], shape: tuple[int, int, int]) -> FloatArray:
    """Spread rows of segment, bucket, day and n over an array; days beyond it are left out."""
    array = np.zeros(shape)
    found = found[found["day"].between(0, shape[2] - 1)]
    place = pd.Index(segments).get_indexer(pd.Index(found["segment"]))
    np.add.at(
        array, (place, found["bucket"].to_numpy(int), found["day"].to_numpy(int)), found["n"].to_numpy(float)
    )
    return array
