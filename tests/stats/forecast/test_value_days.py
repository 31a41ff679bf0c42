"""Members compressed to days of tenure: the cells against brute force."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stats.forecast.value_days import value_days
from tests.stats.forecast.newcomers import AS_OF, START, day, make


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_cells_equal_brute_force(seed: int) -> None:
    people, rows = make(np.random.default_rng(seed), 40)
    cells = value_days(rows, people, as_of=AS_OF, began=START, days=60)
    risk, exits = np.zeros(60), np.zeros(60)
    for member in people.itertuples():
        last = AS_OF if pd.isna(member.left_day) else member.left_day.date()
        for age in range(60):
            today = member.joined_day.date() + dt.timedelta(days=age)
            if START <= today <= last:
                risk[age] += 1
                exits[age] += last == today and not pd.isna(member.left_day)
    np.testing.assert_array_equal(cells.at_risk.sum(axis=0), risk)
    np.testing.assert_array_equal(cells.exits.sum(axis=0), exits)
    entry = (pd.Timestamp(START) - people["joined_day"]).dt.days.clip(lower=0).to_numpy()
    last = (people["left_day"].fillna(pd.Timestamp(AS_OF)) - people["joined_day"]).dt.days.to_numpy()
    for age in range(60):
        assert cells.newcomers[age] == ((entry == 0) & (last >= age)).sum()
        assert cells.entered[age] == ((entry == age) & (last >= entry)).sum()
    joined = rows.merge(people, on="member_id")
    age = (pd.to_datetime(joined["day"]) - pd.to_datetime(joined["joined_day"])).dt.days
    assert cells.value.sum() == pytest.approx(joined["value"][age < 60].sum())


def test_members_with_value_are_counted_once_and_only_where_they_were_at_risk() -> None:
    people, rows = make(np.random.default_rng(4), 200)
    cells = value_days(rows, people, as_of=AS_OF, began=START)
    merged = rows.merge(people, on="member_id")
    days = [pd.to_datetime(merged[name]) for name in ("day", "joined_day", "left_day")]
    inside = (days[0] >= days[1]) & ~(days[0] > days[2]) & (merged["value"] != 0)
    age = (days[0] - days[1]).dt.days[
        inside & (days[0] >= pd.Timestamp(START)) & (days[0] <= pd.Timestamp(AS_OF))
    ]
    first = age.groupby(merged["member_id"]).min()
    expected = np.bincount(first[first < 730], minlength=730)
    np.testing.assert_array_equal(cells.first_valued, expected)


def test_value_outside_the_stay_and_unseen_members_do_not_count() -> None:
    joined, left = [day(10), day(-30)], [day(20), day(-5)]
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": joined, "left_day": left})
    rows = pd.DataFrame(
        {"member_id": ["a", "a", "b"], "day": [day(5), day(15), day(-9)], "value": [7.0, 3.0, 5.0]}
    )
    cells = value_days(rows, people, as_of=AS_OF, began=START)
    assert (cells.entered.sum(), cells.value.sum()) == (1, 3.0)
