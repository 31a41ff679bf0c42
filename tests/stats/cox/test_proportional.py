"""The test of proportional hazards against lifelines and planted effects, and effects by part of tenure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.statistics import proportional_hazard_test

from helpers.errors import BadParameters
from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.proportional import (
    ALL,
    proportional_hazards,
    split_by_tenure,
    tenure_effects,
)

TIGHT = {"precision": 1e-13, "r_precision": 1e-16}


def fading(n: int, seed: int, early: float, late: float, change: int = 30) -> pd.DataFrame:
    """Return members whose flag has one log hazard ratio before a day of tenure and another after it."""
    rng = np.random.default_rng(seed)
    flag, other = rng.integers(0, 2, n).astype(float), rng.integers(0, 3, n).astype(float)
    base = 0.012 * np.exp(0.2 * other)
    clock = rng.exponential(size=n)
    first = base * np.exp(early * flag)
    stay = np.where(clock < first * change, clock / first, 0.0)
    beyond = change + (clock - first * change) / (base * np.exp(late * flag))
    stay = np.where(clock < first * change, stay, beyond)
    seen = rng.integers(20, 200, n)
    frame = pd.DataFrame({"flag": flag, "other": other, "events": (stay <= seen).astype(int)})
    return frame.assign(tenure_day=np.minimum(np.floor(stay), seen).astype(int))


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.groupby(["flag", "other", "tenure_day"])["events"].agg(n="size", events="sum")
    return found.reset_index()


def test_statistic_from_cells_is_that_of_lifelines_from_rows() -> None:
    rows = fading(300, 1, 1.0, -0.5)
    # lifelines ranks tied exits in the order of rows, which has no meaning.
    rows["tenure_day"] = rows["tenure_day"].rank(method="first").astype(int)
    oracle = CoxPHFitter().fit(rows, "tenure_day", "events", fit_options=TIGHT)
    expected = proportional_hazard_test(oracle, rows, time_transform="rank")
    model = CoxModel(["flag", "other"]).fit(cells(rows))
    table = proportional_hazards(model).table.set_index("covariate")
    np.testing.assert_allclose(table.loc[["flag", "other"], "statistic"], expected.test_statistic, rtol=1e-7)
    np.testing.assert_allclose(table.loc[["flag", "other"], "p"], expected.p_value, rtol=1e-6)


def test_rank_does_not_depend_on_the_order_of_tied_rows() -> None:
    rows = fading(400, 2, 1.0, 0.0)
    one, other = (
        proportional_hazards(CoxModel(["flag", "other"]).fit(frame)).table
        for frame in (rows, rows.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_a_planted_fading_effect_is_found_and_split() -> None:
    frame = cells(fading(6000, 3, 1.0, 0.0))
    model = CoxModel(["flag", "other"]).fit(frame)
    test = proportional_hazards(model)
    assert test.unsteady == ["flag"]
    ratios = tenure_effects(frame, model, "flag", breaks=(0, 30)).set_index("tenure_part")
    assert ratios.index.tolist() == ["days 0–29", "day 30 on"]
    assert ratios.loc["days 0–29", "low"] < np.e < ratios.loc["days 0–29", "high"]
    assert ratios.loc["day 30 on", "low"] < 1 < ratios.loc["day 30 on", "high"]
    assert ratios["events"].sum() == frame.loc[frame["flag"] == 1, "events"].sum()


def test_levels_keep_their_names_and_reference_by_tenure() -> None:
    frame = cells(fading(3000, 5, 0.5, 0.5)).assign(
        source=lambda t: np.where(t["flag"] == 1, "search", "wechat")
    )
    model = CoxModel(["source", "other"], reference={"source": "wechat"}).fit(frame)
    table = tenure_effects(frame, model, "source", breaks=(0, 30))
    assert table["covariate"].unique().tolist() == ["source=search"] and set(table["reference"]) == {"wechat"}
    flags = tenure_effects(frame, CoxModel(["flag", "other"]).fit(frame), "flag", breaks=(0, 30))
    np.testing.assert_allclose(table["hazard_ratio"], flags["hazard_ratio"], rtol=1e-9)


@pytest.mark.slow
def test_the_test_holds_its_level_when_hazards_are_proportional() -> None:
    worlds = 300
    p = [
        proportional_hazards(CoxModel(["flag", "other"]).fit(cells(fading(400, 100 + world, 0.7, 0.7))))
        .table.set_index("covariate")
        .loc[["flag", ALL], "p"]
        for world in range(worlds)
    ]
    # Within three standard errors of 5 %: 0.05 + 3 * sqrt(0.05 * 0.95 / 300).
    assert (np.mean([one < 0.05 for one in p], axis=0) < 0.088).all()
    assert 0.4 < np.mean(p) < 0.6


def alike(world: int, groups: int = 150, copies: int = 5) -> pd.DataFrame:
    """Return groups of members who are the same in everything; the flag has no effect at any tenure."""
    rng = np.random.default_rng([5, world])
    flag, stay = rng.integers(0, 2, groups).astype(float), rng.geometric(0.02, groups) - 1
    frame = pd.DataFrame({"flag": flag, "tenure_day": np.minimum(stay, 120), "group": np.arange(groups)})
    return frame.assign(n=copies, events=copies * (stay < 120))


def shared(world: int, groups: int = 60, size: int = 15) -> pd.DataFrame:
    """Return members of groups that differ in how fast members leave; the flag of the group has no effect."""
    rng = np.random.default_rng([6, world])
    flag, frailty = rng.integers(0, 2, groups).astype(float), np.exp(rng.normal(0, 0.5, groups))
    group = np.repeat(np.arange(groups), size)
    stay = rng.geometric(np.minimum(0.012 * frailty[group], 0.9)) - 1
    frame = pd.DataFrame({"flag": flag[group], "tenure_day": np.minimum(stay, 120), "group": group})
    return frame.assign(n=1, events=(stay < 120).astype(int))


def test_the_clustered_statistic_is_that_of_a_loop_over_members() -> None:
    """Members one by one, no ties; what estimating the effect takes from the drift, by a numerical derivative."""
    rng = np.random.default_rng(9)
    size = 90
    x, group = rng.normal(size=(size, 2)).round(2), rng.integers(0, 35, size)
    day, left = rng.permutation(size), rng.random(size) < 0.8
    frame = pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "tenure_day": day, "events": left.astype(int), "g": group}
    )
    model = CoxModel(["a", "b"], cluster="g").fit(frame)
    exits = np.sort(day[left])
    place = {one: number for number, one in enumerate(exits, start=1)}
    weight = {one: number - (len(exits) + 1) / 2 for one, number in place.items()}

    def mean(t: int, beta: np.ndarray) -> tuple[np.ndarray, float]:
        risk = np.exp(x @ beta) * (day >= t)
        return risk @ x / risk.sum(), risk.sum()

    def drift(beta: np.ndarray) -> np.ndarray:
        return sum(weight[t] * (x[day == t][0] - mean(t, beta)[0]) for t in exits)

    def own(i: int, by: dict[int, float]) -> np.ndarray:
        found = np.zeros(2)
        for t in exits[exits <= day[i]]:
            centre, total = mean(t, beta)
            found -= by[t] * np.exp(x[i] @ beta) * (x[i] - centre) / total
        return found + (by[day[i]] * (x[i] - mean(day[i], beta)[0]) if left[i] else 0)

    beta, bread = model.params_.to_numpy(), model.naive_covariance.to_numpy()
    steps = np.eye(2) * 1e-5
    slope = np.column_stack([(drift(beta + s) - drift(beta - s)) / 2e-5 for s in steps])
    ones = dict.fromkeys(exits, 1.0)
    rows = np.array([own(i, weight) + slope @ bread @ own(i, ones) for i in range(size)])
    sums = pd.DataFrame(rows).groupby(group).sum().to_numpy()
    expected = (bread @ drift(beta)) ** 2 / np.diag(bread @ sums.T @ sums @ bread)
    joint = drift(beta) @ np.linalg.solve(sums.T @ sums, drift(beta))
    table = proportional_hazards(model).table.set_index("covariate")
    np.testing.assert_allclose(table.loc[["a", "b"], "statistic"], expected, rtol=1e-6)
    assert table.loc[ALL, "statistic"] == pytest.approx(joint, rel=1e-6)


def test_members_who_are_the_same_five_times_are_not_five_times_the_evidence() -> None:
    """The plain test takes every copy for a member; that over clusters does not."""
    p = pd.DataFrame(
        [
            {
                name: proportional_hazards(CoxModel(["flag"], cluster=name).fit(alike(world)))
                .table["p"]
                .iloc[0]
                for name in ("group", None)
            }
            for world in range(12)
        ]
    )
    assert (p["group"] < 0.05).sum() <= 2 < (p[None] < 0.05).sum()


def test_few_clusters_are_too_little_data() -> None:
    found = proportional_hazards(CoxModel(["flag"], cluster="group").fit(alike(1, groups=29)))
    assert found.table["p"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("world", [alike, shared])
def test_the_clustered_test_holds_its_level(world: Callable[[int], pd.DataFrame]) -> None:
    p = [
        proportional_hazards(CoxModel(["flag"], cluster="group").fit(world(k))).table["p"].iloc[0]
        for k in range(400)
    ]
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.07


def test_cutting_at_tenure_days_changes_no_estimate() -> None:
    frame = cells(fading(2000, 6, 0.6, 0.2))
    whole = CoxModel(["flag", "other"]).fit(frame)
    cut = CoxModel(["flag", "other"]).fit(split_by_tenure(frame, (0, 1, 7, 45)))
    np.testing.assert_allclose(cut.params_, whole.params_, atol=1e-11)
    assert cut.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-13)


def test_breaks_must_begin_with_zero_and_grow() -> None:
    for breaks in ((), (7, 30), (0, 30, 7)):
        with pytest.raises(BadParameters, match="must begin with 0 and grow"):
            split_by_tenure(cells(fading(50, 1, 0, 0)), breaks)


@pytest.mark.parametrize("n", [0, 3])
def test_few_members_are_too_little_data(n: int) -> None:
    frame = cells(fading(50, 1, 0, 0).head(n))
    model = CoxModel(["flag", "other"]).fit(frame)
    test = proportional_hazards(model)
    assert test.table["p"].isna().all() and test.unsteady == []
    assert tenure_effects(frame, model, "flag")["p"].isna().all()
