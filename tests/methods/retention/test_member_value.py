"""Value of each member ahead: no look into the future, expected days against brute force, deciles that come true."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.data import simulate, source
from helpers.methods.activity import activity, population
from helpers.methods.retention.member_value import (
    FEATURES,
    SURVIVAL,
    Stays,
    member_features,
    member_value,
)
from helpers.methods.retention.value_days import value_days


def community(members: int, seed: int):
    made = simulate.community(members, 365, seed, tables=("members", "orders", "events"))
    dataset = source.open({name: made.tables[name] for name in ("members", "orders", "events")})
    when = {"as_of": made.truth["about"]["end"]}
    return activity(dataset, **when).to_pandas(), population(dataset, **when).to_pandas(), when["as_of"]


@pytest.fixture(scope="module")
def small():
    return community(1000, 77)


def test_features_know_nothing_of_the_days_after(small) -> None:
    rows, people, _ = small
    split = dt.date(2026, 3, 1)
    whole = member_features(rows, people, split)
    past = member_features(rows[pd.to_datetime(rows["day"]) <= pd.Timestamp(split)], people, split)
    pd.testing.assert_frame_equal(whole, past)
    one = rows[rows["member_id"] == whole["member_id"].iloc[5]]
    age = (pd.Timestamp(split) - pd.to_datetime(one["day"])).dt.days
    got = whole.set_index("member_id").loc[whole["member_id"].iloc[5]]
    assert got["actions_30"] == age.between(0, 29).sum()
    assert got["actions_90"] == age.between(0, 89).sum()
    assert got["purchases_180"] == (age.between(0, 179) & (one["kind"] == "order")).sum()
    assert got["value_180"] == pytest.approx(one["value"][age.between(0, 179)].sum())
    assert set(whole.columns) == {"member_id", *FEATURES}


def test_expected_days_are_the_sum_of_conditional_survival() -> None:
    stays = Stays(np.array([1.0, 0.9, 0.8, 0.6]), 0.25)
    extended = [1.0, 0.9, 0.8, 0.6, *(0.6 * 0.75**k for k in range(1, 40))]
    for tenure in (0, 1, 2, 5):
        start = tenure + 1
        direct = sum(extended[start : start + 7]) / extended[start]
        assert stays.days_ahead(np.array([float(tenure)]), 7)[0] == pytest.approx(direct)


def test_expected_days_of_a_constant_hazard() -> None:
    rng, n = np.random.default_rng(1), 4000
    stay = rng.geometric(0.02, n) - 1
    joined = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 60, n), unit="D")
    left = joined + pd.to_timedelta(stay, unit="D")
    end = pd.Timestamp("2026-05-31")
    people = pd.DataFrame(
        {"member_id": np.arange(n).astype(str), "joined_day": joined, "left_day": left.where(left <= end)}
    )
    rows = pd.DataFrame({"member_id": ["0"], "day": [joined[0]], "value": [1.0]})
    stays = Stays.of(value_days(rows, people, as_of=end.date(), observed_from="2026-01-01"))
    expected = sum(0.98**d for d in range(30))
    assert stays.days_ahead(np.array([10.0, 40.0]), 30) == pytest.approx([expected, expected], rel=0.02)


def test_prediction_and_its_judgement(small) -> None:
    rows, people, as_of = small
    found = member_value(rows, people, as_of=as_of, horizon_days=45, unit="CNY", draws=200)
    judged = found.table.set_index("model").loc[SURVIVAL]
    assert judged["low"] < 1 < judged["high"]
    deciles = found.deciles[found.deciles["model"] == SURVIVAL]
    for column in ("predicted_share", "realised_share"):
        assert deciles[column].sum() == pytest.approx(1.0)
    assert deciles["predicted_share"].is_monotonic_increasing
    present = people["left_day"].isna().sum()
    assert len(found.members) == present
    assert (found.members["expected_value"] > 0).all()
    assert "by decile" in found.sentence
    again = member_value(rows.sample(frac=1, random_state=3), people, as_of=as_of, horizon_days=45, draws=200)
    pd.testing.assert_frame_equal(found.members, again.members)


@pytest.mark.slow
def test_deciles_of_value_come_true_within_three_points() -> None:
    parts = []
    for seed in range(15):
        rows, people, as_of = community(2000, 2000 + seed)
        found = member_value(rows, people, as_of=as_of, horizon_days=60, draws=100)
        scale = found.table.set_index("model").loc[SURVIVAL]
        mine = found.deciles[found.deciles["model"] == SURVIVAL].set_index("decile")
        parts.append(
            pd.DataFrame(
                {
                    "came": mine["realised_share"] * scale["realised"],
                    "said": mine["predicted_share"] * scale["predicted"],
                }
            )
        )
    total = sum(parts[1:], parts[0])
    shares = total / total.sum()
    gaps = 100 * (shares["came"] - shares["said"])
    print(shares.assign(gap=gaps).round(4), total["came"].sum() / total["said"].sum())
    assert gaps.abs().max() <= 3
    assert total["came"].sum() / total["said"].sum() == pytest.approx(1, abs=0.05)


def test_too_little_history_or_members_is_said(small) -> None:
    rows, people, as_of = small
    short = rows[pd.to_datetime(rows["day"]) > pd.Timestamp(as_of) - pd.Timedelta(days=40)]
    assert "too little data" in member_value(short, people, as_of=as_of, horizon_days=30).sentence
    few = people.head(20)
    said = member_value(rows[rows["member_id"].isin(few["member_id"])], few, as_of=as_of, horizon_days=30)
    assert "too little data" in said.sentence
    assert said.members.empty
    assert "too little data" in member_value(rows.iloc[:0], people, as_of=as_of, horizon_days=30).sentence
