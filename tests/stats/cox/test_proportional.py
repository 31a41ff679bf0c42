"""The test of proportional hazards against lifelines and planted effects, and effects by part of tenure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.statistics import proportional_hazard_test

from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.proportional import (
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
    table = proportional_hazards(model).set_index("covariate")
    np.testing.assert_allclose(table.loc[["flag", "other"], "statistic"], expected.test_statistic, rtol=1e-7)
    np.testing.assert_allclose(table.loc[["flag", "other"], "p"], expected.p_value, rtol=1e-6)


def test_rank_does_not_depend_on_the_order_of_tied_rows() -> None:
    rows = fading(400, 2, 1.0, 0.0)
    one, other = (
        proportional_hazards(CoxModel(["flag", "other"]).fit(frame))
        for frame in (rows, rows.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_a_planted_fading_effect_is_found_and_split() -> None:
    frame = cells(fading(6000, 3, 1.0, 0.0))
    model = CoxModel(["flag", "other"]).fit(frame)
    test = proportional_hazards(model)
    assert test.loc[test["p_holm"] < 0.05, "covariate"].tolist() == ["flag"]
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
    assert table["covariate"].unique().tolist() == ["source=search"]
    flags = tenure_effects(frame, CoxModel(["flag", "other"]).fit(frame), "flag", breaks=(0, 30))
    np.testing.assert_allclose(table["hazard_ratio"], flags["hazard_ratio"], rtol=1e-9)


@pytest.mark.slow
def test_the_test_holds_its_level_when_hazards_are_proportional() -> None:
    worlds = 300
    p = [
        proportional_hazards(CoxModel(["flag", "other"]).fit(cells(fading(400, 100 + world, 0.7, 0.7))))
        .set_index("covariate")
        .loc[["flag", "other"], "p"]
        for world in range(worlds)
    ]
    # Within three standard errors of 5 %: 0.05 + 3 * sqrt(0.05 * 0.95 / 300).
    assert (np.mean([one < 0.05 for one in p], axis=0) < 0.088).all()
    assert 0.4 < np.mean(p) < 0.6


def test_cutting_at_tenure_days_changes_no_estimate() -> None:
    frame = cells(fading(2000, 6, 0.6, 0.2))
    whole = CoxModel(["flag", "other"]).fit(frame)
    cut = CoxModel(["flag", "other"]).fit(split_by_tenure(frame, (0, 1, 7, 45)))
    np.testing.assert_allclose(cut.params_, whole.params_, atol=1e-11)
    assert cut.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-13)


@pytest.mark.parametrize("n", [0, 3])
def test_few_members_are_too_little_data(n: int) -> None:
    frame = cells(fading(50, 1, 0, 0).head(n))
    model = CoxModel(["flag", "other"]).fit(frame)
    assert proportional_hazards(model)["p"].isna().all()
    assert tenure_effects(frame, model, "flag")["hazard_ratio"].isna().all()
