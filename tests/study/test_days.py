"""Active days and spells of small logs that can be read, and the interval of clustered shares."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters
from helpers.stats.estimate import clustered_interval, wilson
from helpers.study.days import date_of, first_day, member_days, number_of, spells, with_columns

DAY = dt.date(2026, 3, 1)


def log(*offsets: int, member: str = "a", kind: str = "interaction") -> pd.DataFrame:
    days = [DAY + dt.timedelta(days=k) for k in offsets]
    return pd.DataFrame({"member_id": [member] * len(days), "day": days, "kind": [kind] * len(days)})


def test_a_day_is_active_once_and_only_by_what_counts() -> None:
    rows = pd.concat([log(0, 0, 3), log(5, kind="order"), log(6, kind="weighted")])
    for count, expected in (("interaction", [0, 3]), ("order", [5]), ("all", [0, 3, 5, 6])):
        found = member_days(rows, count=count).to_pandas()  # type: ignore[arg-type]
        expected = [k for k in expected if k != 6]
        assert sorted(pd.to_datetime(found["day"]).dt.date) == [DAY + dt.timedelta(days=k) for k in expected]


def test_spells_know_what_was_before_and_after_and_whether_the_member_left() -> None:
    people = pd.DataFrame(
        {"member_id": ["a", "b"], "joined_day": [DAY, DAY], "left_day": [None, DAY + dt.timedelta(days=6)]}
    )
    rows = pd.concat([log(0, 4), log(2, 9, member="b")])
    found = spells(rows, people, as_of=DAY + dt.timedelta(days=20)).to_pandas()
    found = found.sort_values(["member_id", "at"], ignore_index=True)
    assert (found["at"] - number_of(DAY)).tolist() == [0, 4, 2]
    assert (found["last"] - number_of(DAY)).tolist() == [20, 20, 6]
    assert found["left"].tolist() == [False, False, True]
    assert found["before"].fillna(-1).tolist() == [-1, 4, -1]
    assert found["after"].fillna(-1).tolist() == [4, -1, -1]


def test_days_and_numbers_are_the_same() -> None:
    assert date_of(number_of(DAY)) == DAY
    assert first_day(log(3, 1), None) == DAY + dt.timedelta(days=1)
    assert first_day(log(), None) is None
    assert first_day(log(3), "2026-01-01") == dt.date(2026, 1, 1)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadData, match="activity: column kind missing"):
        member_days(log(1).drop(columns="kind"))
    with pytest.raises(BadParameters, match="count == 'visit'"):
        member_days(log(1), count="visit")  # type: ignore[arg-type]
    people = pd.DataFrame({"member_id": ["a"], "joined_day": [DAY]})
    with pytest.raises(BadData, match="population: column left_day missing"):
        spells(log(1), people, as_of=DAY)
    with pytest.raises(BadData, match="members: column source missing"):
        with_columns(people, people, "source")


def test_columns_of_members_join_the_population() -> None:
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": [DAY] * 2, "left_day": [None] * 2})
    members = pd.DataFrame({"member_id": ["b", "a", "c"], "source": ["ad", "friend", "ad"]})
    found = with_columns(people, members, "source").to_pandas().sort_values("member_id")
    assert found["source"].tolist() == ["friend", "ad"]


def test_clusters_of_one_are_nearly_wilson() -> None:
    low, high = clustered_interval(120, 400, 120, 120, 400, 400)
    plain_low, plain_high = wilson(120, 400)
    assert float(low) == pytest.approx(float(plain_low), abs=0.002)
    assert float(high) == pytest.approx(float(plain_high), abs=0.002)


def test_a_member_counted_ten_times_is_one_member() -> None:
    """All or nothing: 40 members, each counted 10 times, 10 of them always retained."""
    low, high = clustered_interval(100, 400, 1000, 1000, 4000, 40)
    plain_low, plain_high = wilson(10, 40)
    assert float(high - low) == pytest.approx(float(plain_high - plain_low), rel=0.06)
    none_low, none_high = clustered_interval(0, 400, 0, 0, 4000, 40)
    assert (float(none_low), float(none_high)) == pytest.approx([float(b) for b in wilson(0, 40)])


def test_one_cluster_has_no_interval() -> None:
    assert np.isnan(clustered_interval(3, 10, 9, 30, 100, 1)).all()
    assert np.isnan(clustered_interval(0, 0, 0, 0, 0, 0)).all()


def test_clustered_intervals_cover_where_plain_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    sims, members, share = 3000, 60, 0.3
    rate = rng.beta(share * 4, (1 - share) * 4, (sims, members))
    n = rng.integers(1, 13, (sims, members))
    x = rng.binomial(n, rate)
    sums = [part.sum(axis=1) for part in (x, n, x * x, x * n, n * n)]
    low, high = clustered_interval(*sums, np.full(sims, members))
    plain_low, plain_high = wilson(sums[0], sums[1])
    assert 0.935 <= ((low <= share) & (share <= high)).mean() <= 0.965
    assert ((plain_low <= share) & (share <= plain_high)).mean() < 0.88
