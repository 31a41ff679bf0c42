"""Cohorts at equal age: against brute force, and the ratio's interval against planted growth."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.methods.retention.cohort_value import CohortValue, cohort_value
from helpers.playbook.thresholds import threshold
from helpers.stats.resample import log_mean_t
from helpers.study import Study

AS_OF = dt.date(2026, 6, 30)


def joiners(seed: int, n: int = 1200, growth: float = 1.0):
    rng = np.random.default_rng(seed)
    joined = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 181, n), unit="D")
    people = pd.DataFrame(
        {"member_id": [f"m{i}" for i in range(n)], "joined_day": joined, "left_day": pd.NaT}
    )
    orders = rng.poisson(0.9, n)
    who = np.repeat(np.arange(n), orders)
    day = joined[who] + pd.to_timedelta(rng.integers(0, 60, len(who)), unit="D")
    late = joined[who] >= pd.Timestamp("2026-03-01")
    value = rng.gamma(1.5, 40, len(who)) * np.where(late, growth, 1.0)
    rows = pd.DataFrame({"member_id": people["member_id"].to_numpy()[who], "day": day, "value": value})
    return rows[rows["day"] <= pd.Timestamp(AS_OF)].reset_index(drop=True), people


def compared(rows: pd.DataFrame, people: pd.DataFrame) -> CohortValue:
    settings = {"history_from": "2026-01-01", "count": "all"}
    return cohort_value(Study.of({"activity": rows, "population": people}, AS_OF, **settings), age_days=60)


def test_values_of_mature_cohorts_equal_brute_force() -> None:
    rows, people = joiners(1)
    found = compared(rows, people)
    last = pd.Timestamp(AS_OF) - pd.Timedelta(days=59)
    merged = rows.merge(people, on="member_id")
    early = (merged["day"] - merged["joined_day"]).dt.days < 60
    total = merged[early].groupby("member_id")["value"].sum()
    people["value"] = people["member_id"].map(total).fillna(0.0)
    people["cohort"] = people["joined_day"].dt.strftime("%Y-%m")
    mature = people[people["joined_day"] <= last]
    expected = mature.groupby("cohort")["value"].agg(["mean", "size"])
    got = found.table.set_index("cohort")
    np.testing.assert_allclose(got.loc[expected.index, "value"], expected["mean"])
    assert (got.loc[expected.index, "mature"] == expected["size"]).all()
    assert got.index.tolist() == expected.index.tolist()


@pytest.mark.slow
def test_growth_covers_what_was_planted() -> None:
    hits = 0
    for seed in range(25):
        rows, people = joiners(seed, n=800, growth=1.5)
        found = compared(rows, people)
        hits += found.growth.low <= 1.5 <= found.growth.high
        assert list(found.table["half"]) == ["earlier", "earlier", "later", "later", "later"]
    assert hits >= 20


@pytest.mark.parametrize("growth", [1.0, 3.0])
def test_the_interval_holds_the_growth_and_the_goal_is_told(growth: float) -> None:
    rows, people = joiners(5, n=3000, growth=growth)
    found = compared(rows, people)
    assert list(found.table["half"]) == ["earlier", "earlier", "later", "later", "later"]
    assert found.growth.low <= growth <= found.growth.high
    assert f"The goal: {100 * (threshold('cohorts.value_growth').value - 1):.0f} %." in found.sentence
    assert "joiners" in found.sentence


def test_few_buyers_are_too_little_data_however_many_joined() -> None:
    _, people = joiners(2, n=2000)
    mature = people[people["joined_day"] <= pd.Timestamp(AS_OF) - pd.Timedelta(days=59)]
    half = mature["joined_day"] >= "2026-03-01"
    buyers = {name: mature[half == name]["member_id"].iloc[:29] for name in (False, True)}
    first = pd.concat(buyers.values()).to_frame().merge(people)[["member_id", "joined_day"]]
    sold = first.rename(columns={"joined_day": "day"}).assign(value=5.0)
    assert not compared(sold, people).growth.known
    more = mature[half]["member_id"].iloc[29:60], mature[~half]["member_id"].iloc[29:60]
    extra = pd.concat(more).to_frame().merge(people)[["member_id", "joined_day"]]
    sold = pd.concat([sold, extra.rename(columns={"joined_day": "day"}).assign(value=5.0)])
    assert compared(sold, people).growth.known


def halves(rng: np.random.Generator, n: int, share: float, sigma: float) -> list[np.ndarray]:
    """Return members, value and squares of two groups of equal distribution, one member a bucket."""
    found = []
    for _ in range(2):
        value = rng.lognormal(0, sigma, n) * (rng.random(n) < share)
        found.append(np.column_stack([np.ones(n), value, value**2]))
    return found


@pytest.mark.slow
def test_bootstrap_t_covers_with_few_buyers() -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        after, before = halves(rng, 400, 0.1, 1.0)
        value, low, high = log_mean_t(after, before, 0.95, 300, rng)
        assert value == pytest.approx(after[:, 1].mean() / before[:, 1].mean())
        hits += low <= 1 <= high
    assert 0.92 <= hits / 300 <= 0.99


@pytest.mark.parametrize("n", [0, 1, 20])
def test_few_joiners_are_said(n: int) -> None:
    rows, people = joiners(1)
    people = people.head(n).astype({"joined_day": "datetime64[us]"})
    found = compared(rows.merge(people[["member_id"]]), people)
    assert not found.growth.known
    assert "too little data" in found.sentence
