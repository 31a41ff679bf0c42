"""Lifetime value: the integral against planted truth, its interval against coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from helpers import simulate
from helpers.data import source
from helpers.methods.retention.lifetime_value import LifetimeValue, lifetime_value
from helpers.stats.forecast.value_days import PARTS
from helpers.stats.resample import bca_interval
from helpers.study import Study
from tests.stats.forecast.newcomers import AS_OF, START, day, make


def worth(
    people: pd.DataFrame, rows: pd.DataFrame, days: int = 365, discount_rate: float = 0.0, draws: int = 100
) -> LifetimeValue:
    tables = {"activity": rows, "population": people}
    study = Study.of(tables, AS_OF, history_from=START, count="all", draws=draws)
    return lifetime_value(study, days=days, discount_rate=discount_rate)


def test_survival_of_the_curve_is_kaplan_meier_with_late_entry() -> None:
    people, rows = make(np.random.default_rng(3), 800)
    found = worth(people, rows, 40)
    entry = (pd.Timestamp(START) - people["joined_day"]).dt.days.clip(lower=0)
    last = (people["left_day"].fillna(pd.Timestamp(AS_OF)) - people["joined_day"]).dt.days
    seen = last >= entry
    # Exits on day d happen before the day is over: they are events at d + 1, and entry on day e is before e + 1.
    curve = KaplanMeierFitter().fit(last[seen] + 1, people["left_day"].notna()[seen], entry=entry[seen])
    np.testing.assert_allclose(
        found.curve["survival"], curve.survival_function_at_times(found.curve["day"]), rtol=1e-12
    )


@pytest.mark.slow
def test_value_is_recovered_and_covered() -> None:
    hazard, value, horizon, hits, means = 0.02, 5.0, 45, 0, []
    truth = sum((1 - hazard) ** d * value for d in range(horizon))
    for seed in range(20):
        people, rows = make(np.random.default_rng(seed), 250, hazard=hazard, value=value)
        found = worth(people, rows, horizon, draws=300).estimate()
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
        whole = Study.of(dataset, about["end"])
        people = whole.population.filter(whole.population.joined_day >= about["start"])
        tables = {"activity": whole.activity, "population": people}
        study = Study.of(tables, about["end"], history_from=about["start"], count="all", draws=300)
        for row in made.truth["value"]["expected"]:
            if row["tenure_days"] in hits:
                found = lifetime_value(study, days=row["tenure_days"], discount_rate=0.0)
                estimate = found.estimate()
                hits[row["tenure_days"]].append(estimate.low <= row["net_value"] <= estimate.high)
    for days, covered in hits.items():
        print(f"{members} members, {days} days: {np.mean(covered):.3f} covered")
        assert 0.90 <= np.mean(covered) <= 1.0


def test_extrapolation_is_apart_and_right_when_hazard_and_value_are_constant() -> None:
    people, rows = make(np.random.default_rng(1), 6000, hazard=0.02, value=5.0)
    found = worth(people, rows, 300, draws=300)
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
    found = worth(people, rows, 60)
    assert found.table.set_index("part").loc["borrowed", "days"] == 0
    assert (
        found.table["n"].tolist() == [400] * 4
    )  # nobody who joined before recording says a thing about 60 days
    assert "is borrowed" not in found.sentence
    middle = people.assign(joined_day=[day(int(j) if j >= 0 else int(j) + 180) for j in joined])
    found = worth(middle, rows, 200)
    table = found.table.set_index("part")
    newcomers = np.array([(90 - 1 - joined[:400] >= d).sum() for d in range(200)])
    assert table.loc["observed", "days"] == np.flatnonzero(newcomers < 30)[0]
    assert table.loc["borrowed", "days"] > 30
    share = table.loc["borrowed", "value"] / table.loc["total", "value"]
    assert f"{100 * share:.1f} % (until day" in found.sentence and "borrowed from members" in found.sentence


def test_discount_lowers_later_value_only() -> None:
    people, rows = make(np.random.default_rng(2), 1000)
    plain, cut = (worth(people, rows, 60, rate).curve for rate in (0.0, 0.5))
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
    found = worth(people, rows)
    assert not found.estimate().known
    assert "too little data" in found.sentence


def test_nobody_left_is_no_obstacle_and_nobody_bought_is_no_certain_nothing() -> None:
    people, rows = make(np.random.default_rng(1), 300, hazard=0.001)
    people["left_day"] = pd.Series(pd.NaT, people.index, dtype="datetime64[us]")
    stayed = worth(people, rows, 30)
    assert (stayed.curve["survival"] == 1).all()
    assert stayed.estimate().known
    bought = worth(people, rows.iloc[:0], 30)
    assert not bought.estimate().known
    assert "too little data (300 members followed, 0 of them with value)" in bought.sentence


def test_few_buyers_are_too_little_data() -> None:
    people, rows = make(np.random.default_rng(1), 300)
    buyers = rows.loc[rows["value"] != 0, "member_id"].unique()[:29]
    found = worth(people, rows[rows["member_id"].isin(buyers)], 30)
    assert not found.estimate().known
    assert "too little data" in found.sentence
