"""Lifetime value: cells against brute force, the integral against planted truth, its interval against coverage."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from helpers import simulate
from helpers.data import source
from helpers.errors import BadData, BadParameters
from helpers.methods.retention.lifetime_value import PARTS, lifetime_value
from helpers.stats.resample import bca_interval
from helpers.study.activity import activity, population
from helpers.study.value_days import value_days

START = dt.date(2026, 1, 1)
AS_OF = dt.date(2026, 3, 31)


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


def make(rng: np.random.Generator, n: int, *, days: int = 90, hazard: float = 0.02, value: float = 5.0):
    """Members who join over time, leave at a constant hazard and bring a gamma value on a third of their days."""
    joined = rng.integers(-20, days, n)
    stay = rng.geometric(hazard, n) - 1
    left = joined + stay
    people = pd.DataFrame(
        {
            "member_id": [f"m{i:05d}" for i in range(n)],
            "joined_day": [day(int(j)) for j in joined],
            "left_day": [day(int(x)) if x < days else None for x in left],
            "source": rng.choice(["抖音", "微信"], n),
        }
    )
    people = people.astype(
        {"member_id": "object", "joined_day": "datetime64[us]", "left_day": "datetime64[us]"}
    )
    grid = np.arange(days)[None, :]
    there = (grid >= joined[:, None]) & (grid <= left[:, None]) & (rng.random((n, days)) < 1 / 3)
    who, when = np.nonzero(there)
    found = pd.DataFrame(
        {
            "member_id": people["member_id"].to_numpy()[who],
            "day": pd.Timestamp(START) + pd.to_timedelta(when, unit="D"),
            "value": 3 * rng.gamma(2, value / 2, len(who)),
        }
    )
    return people, found.astype({"member_id": "object", "day": "datetime64[us]", "value": "float64"})


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_cells_equal_brute_force(seed: int) -> None:
    people, rows = make(np.random.default_rng(seed), 40)
    cells = value_days(rows, people, as_of=AS_OF, by="source", observed_from=START, days=60, buckets=20)
    risk, exits = np.zeros((2, 60)), np.zeros((2, 60))
    for member in people.itertuples():
        last = AS_OF if pd.isna(member.left_day) else member.left_day.date()
        segment = (
            ["微信", "抖音"].index(member.source)
            if cells.segments[0] == "微信"
            else ["抖音", "微信"].index(member.source)
        )
        for age in range(60):
            today = member.joined_day.date() + dt.timedelta(days=age)
            if START <= today <= last:
                risk[segment, age] += 1
                exits[segment, age] += last == today and not pd.isna(member.left_day)
    np.testing.assert_array_equal(cells.at_risk.sum(axis=1), risk)
    np.testing.assert_array_equal(cells.exits.sum(axis=1), exits)
    order = people["source"].map({name: k for k, name in enumerate(cells.segments)}).to_numpy()
    entry = (pd.Timestamp(START) - people["joined_day"]).dt.days.clip(lower=0).to_numpy()
    last = (people["left_day"].fillna(pd.Timestamp(AS_OF)) - people["joined_day"]).dt.days.to_numpy()
    for k in range(2):
        for age in range(60):
            followed = (order == k) & (entry == 0) & (last >= age)
            assert cells.newcomers[k, age] == followed.sum()
            assert cells.entered[k, age] == ((order == k) & (entry == age) & (last >= entry)).sum()
    joined = rows.merge(people, on="member_id")
    age = (pd.to_datetime(joined["day"]) - pd.to_datetime(joined["joined_day"])).dt.days
    assert cells.value.sum() == pytest.approx(joined["value"][age < 60].sum())


def test_survival_of_the_curve_is_kaplan_meier_with_late_entry() -> None:
    people, rows = make(np.random.default_rng(3), 800)
    found = lifetime_value(
        value_days(rows, people, as_of=AS_OF, observed_from=START), horizon_days=40, discount_rate=0.0
    )
    entry = (pd.Timestamp(START) - people["joined_day"]).dt.days.clip(lower=0)
    last = (people["left_day"].fillna(pd.Timestamp(AS_OF)) - people["joined_day"]).dt.days
    seen = last >= entry
    # Exits on day d happen before the day is over: they are events at d + 1, and entry on day e is before e + 1.
    curve = KaplanMeierFitter().fit(last[seen] + 1, people["left_day"].notna()[seen], entry=entry[seen])
    np.testing.assert_allclose(
        found.curve["survival"], curve.survival_function_at_times(found.curve["day"]), rtol=1e-12
    )


def test_value_is_recovered_and_covered() -> None:
    hazard, value, horizon, hits, means = 0.02, 5.0, 45, 0, []
    truth = sum((1 - hazard) ** d * value for d in range(horizon))
    for seed in range(20):
        people, rows = make(np.random.default_rng(seed), 250, hazard=hazard, value=value)
        cells = value_days(rows, people, as_of=AS_OF, observed_from=START, days=60)
        found = lifetime_value(cells, horizon_days=horizon, discount_rate=0.0, draws=300).estimate()
        hits += found.low <= truth <= found.high
        means.append(found.value)
    assert np.mean(means) == pytest.approx(truth, abs=4 * np.std(means) / np.sqrt(len(means)))
    assert hits >= 15  # of 20; with a true coverage of 95 % fewer come once in 3,000 times


@pytest.mark.slow
@pytest.mark.parametrize("members", [1500, 4000])
def test_interval_covers_the_value_planted_in_communities(members: int) -> None:
    hits = {30: [], 90: [], 180: []}
    for seed in range(120):
        made = simulate.community(members, 365, 1000 + seed, tables=("members", "orders"))
        about = made.truth["about"]
        dataset = source.open({name: made.tables[name] for name in ("members", "orders")})
        when = {"as_of": about["end"]}
        people = population(dataset, **when).to_pandas()
        people = people[pd.to_datetime(people["joined_day"]) >= about["start"]]
        cells = value_days(activity(dataset, **when), people, observed_from=about["start"], days=180, **when)
        for row in made.truth["value"]["expected"]:
            if row["tenure_days"] in hits:
                found = lifetime_value(cells, horizon_days=row["tenure_days"], discount_rate=0.0, draws=300)
                estimate = found.estimate()
                hits[row["tenure_days"]].append(estimate.low <= row["net_value"] <= estimate.high)
    for days, covered in hits.items():
        print(f"{members} members, {days} days: {np.mean(covered):.3f} covered")
        assert 0.90 <= np.mean(covered) <= 1.0


def test_extrapolation_is_apart_and_right_when_hazard_and_value_are_constant() -> None:
    people, rows = make(np.random.default_rng(1), 6000, hazard=0.02, value=5.0)
    cells = value_days(rows, people, as_of=AS_OF, observed_from=START)
    found = lifetime_value(cells, horizon_days=300, discount_rate=0.0)
    parts = {part: found.estimate(part=part) for part in PARTS}
    three = sum(parts[part].value for part in ("observed", "borrowed", "extrapolated"))
    assert three == pytest.approx(parts["total"].value)
    truth = sum(0.98**d * 5.0 for d in range(300))
    assert parts["total"].low <= truth <= parts["total"].high
    days = found.table.set_index("part")["days"]
    assert days["extrapolated"] > 0
    for part in ("observed", "borrowed", "extrapolated"):
        assert (found.curve["part"] == part).sum() == days[part]
    assert "extrapolated" in found.sentence


def test_days_known_only_from_earlier_members_are_borrowed() -> None:
    rng = np.random.default_rng(8)
    joined = np.concatenate([rng.integers(0, 60, 400), rng.integers(-400, -200, 300)])
    people = pd.DataFrame(
        {"member_id": [f"m{i}" for i in range(700)], "joined_day": [day(int(j)) for j in joined]}
    ).assign(left_day=None)
    who, when = np.nonzero(rng.random((700, 90)) < 0.3)
    there = when >= joined[who]
    rows = pd.DataFrame({"member_id": people["member_id"].to_numpy()[who[there]], "value": 2.0})
    rows["day"] = [day(int(d)) for d in when[there]]
    # Recording begins on day 0: whoever joined 200 and more days before is seen from that tenure on.
    cells = value_days(rows, people, as_of=AS_OF, observed_from=START, days=365)
    found = lifetime_value(cells, horizon_days=60, discount_rate=0.0, draws=100)
    assert found.table.set_index("part").loc["borrowed", "days"] == 0
    assert (
        found.table["n"].tolist() == [400] * 4
    )  # nobody who joined before recording says a thing about 60 days
    assert "borrowed" not in found.sentence
    middle = people.assign(joined_day=[day(int(j) if j >= 0 else int(j) + 180) for j in joined])
    cells = value_days(rows, middle, as_of=AS_OF, observed_from=START, days=365)
    found = lifetime_value(cells, horizon_days=200, discount_rate=0.0, draws=100)
    table = found.table.set_index("part")
    newcomers = np.array([(90 - 1 - joined[:400] >= d).sum() for d in range(200)])
    assert table.loc["observed", "days"] == np.flatnonzero(newcomers < 30)[0]
    assert table.loc["borrowed", "days"] > 30
    share = table.loc["borrowed", "value"] / table.loc["total", "value"]
    assert f"{100 * share:.1f} % (until day" in found.sentence and "borrowed from members" in found.sentence


def test_discount_lowers_later_value_only() -> None:
    people, rows = make(np.random.default_rng(2), 1000)
    cells = value_days(rows, people, as_of=AS_OF, observed_from=START)
    plain, cut = (lifetime_value(cells, horizon_days=60, discount_rate=r).curve for r in (0.0, 0.5))
    plain_days, cut_days = (np.diff(c["cumulative_value"], prepend=0.0) for c in (plain, cut))
    np.testing.assert_allclose(cut_days, plain_days * 1.5 ** (-np.arange(60) / 365), rtol=1e-12)


def test_bca_is_the_percentile_interval_when_nothing_is_skewed_and_moves_up_when_it_is() -> None:
    rng = np.random.default_rng(5)
    draws = rng.normal(10, 1, 20_000)
    low, high = bca_interval(10.0, draws, np.array([9.9, 10.0, 10.1]), 0.95)
    assert (low, high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.08)
    sample = rng.lognormal(0, 1.2, 60)
    means = np.array([rng.choice(sample, 60).mean() for _ in range(4000)])
    left_out = (sample.sum() - sample) / 59
    skewed = bca_interval(sample.mean(), means, left_out, 0.95)
    assert skewed[0] > np.quantile(means, 0.025)
    assert skewed[1] > np.quantile(means, 0.975)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_too_few_members_are_said_not_raised(n: int) -> None:
    people, rows = make(np.random.default_rng(1), n)
    found = lifetime_value(value_days(rows, people, as_of=AS_OF, observed_from=START))
    assert not found.estimate().known
    assert "too little data" in found.sentence


def test_nobody_left_is_no_obstacle_and_nobody_bought_is_no_certain_nothing() -> None:
    people, rows = make(np.random.default_rng(1), 300, hazard=0.001)
    people["left_day"] = pd.Series(pd.NaT, people.index, dtype="datetime64[us]")
    stayed = lifetime_value(value_days(rows, people, as_of=AS_OF, observed_from=START), horizon_days=30)
    assert (stayed.curve["survival"] == 1).all()
    assert stayed.estimate().known
    bought = lifetime_value(
        value_days(rows.iloc[:0], people, as_of=AS_OF, observed_from=START), horizon_days=30
    )
    assert not bought.estimate().known
    assert "too little data (300 members, 0 of them with value" in bought.sentence


def test_members_with_value_are_counted_once_and_only_where_they_were_at_risk() -> None:
    people, rows = make(np.random.default_rng(4), 200)
    cells = value_days(rows, people, as_of=AS_OF, observed_from=START)
    merged = rows.merge(people, on="member_id")
    days = [pd.to_datetime(merged[name]) for name in ("day", "joined_day", "left_day")]
    inside = (days[0] >= days[1]) & ~(days[0] > days[2]) & (merged["value"] != 0)
    age = (days[0] - days[1]).dt.days[
        inside & (days[0] >= pd.Timestamp(START)) & (days[0] <= pd.Timestamp(AS_OF))
    ]
    first = age.groupby(merged["member_id"]).min()
    expected = np.bincount(first[first < cells.days], minlength=cells.days)
    np.testing.assert_array_equal(cells.first_valued[0], expected)


def test_few_buyers_are_too_little_data() -> None:
    people, rows = make(np.random.default_rng(1), 300)
    buyers = rows.loc[rows["value"] != 0, "member_id"].unique()[:29]
    found = lifetime_value(
        value_days(rows[rows["member_id"].isin(buyers)], people, as_of=AS_OF, observed_from=START),
        horizon_days=30,
    )
    assert not found.estimate().known
    assert "too little data" in found.sentence


def test_value_outside_the_stay_and_unseen_members_are_counted() -> None:
    people = pd.DataFrame(
        {
            "member_id": ["a", "b"],
            "joined_day": [day(10), day(-30)],
            "left_day": [day(20), day(-5)],
        }
    )
    rows = pd.DataFrame({"member_id": ["a", "a"], "day": [day(5), day(15)], "value": [7.0, 3.0]})
    cells = value_days(rows, people, as_of=AS_OF, observed_from=START)
    assert (cells.outside, cells.unseen, cells.value.sum()) == (7.0, 1, 3.0)


def test_wrong_input_is_refused() -> None:
    people, rows = make(np.random.default_rng(1), 20)
    people.loc[0, "left_day"] = people.loc[0, "joined_day"] - dt.timedelta(days=1)
    with pytest.raises(BadData, match="1 members left before they joined"):
        value_days(rows, people, as_of=AS_OF)
    with pytest.raises(BadData, match="left_day"):
        value_days(rows, people.drop(columns="left_day"), as_of=AS_OF)
    with pytest.raises((BadParameters, ValueError), match="horizon_days"):
        lifetime_value(value_days(rows, people.drop(index=0), as_of=AS_OF), horizon_days=0)
