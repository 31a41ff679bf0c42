"""Answers from planted draws: points of the curve, returns with carry-out, medians; the ledger and scenarios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.answers import answers
from helpers.methods.budget.baseline import baseline
from helpers.methods.budget.curves import FAMILIES, Curves
from helpers.methods.budget.engine import Fit, fit
from helpers.methods.budget.evidence import Evidence
from helpers.methods.budget.results import ledger
from helpers.methods.budget.scenarios import least_cost, outcome_draws, scenarios, without_luck
from helpers.methods.budget.terms import WEEKS_OF_MONTH, Terms, responses_of
from helpers.methods.budget.weekly import Weekly
from tests.planted_spend import clean

DRAWS = 800


def planted(spend: list[float] | np.ndarray, tops: tuple[float, ...] = (100.0,), **parameters: float) -> Fit:
    """Return draws that are all the curve 100x / (10 + x) of each line, or another with the parameters given."""
    names = list("ab")[: len(tops)]
    mondays = pd.date_range("2025-01-06", periods=len(spend), freq="W-MON")
    frame = Weekly(pd.Series(500.0, mondays), pd.DataFrame({name: spend for name in names}, mondays))
    shape = {"decay": 0.0, "peak": 0.0, "shape": 1.0, "half": 10.0} | parameters
    form = str(shape.pop("form", "hill"))
    family = np.full(DRAWS, FAMILIES.index((False, form)))
    curves = {
        name: Curves(
            1.0,
            family,
            **{key: np.full(DRAWS, it) for key, it in shape.items()},
            coefficient=np.full(DRAWS, top),
        )
        for name, top in zip(names, tops, strict=True)
    }
    none = pd.Series(1.0, names)
    return Fit(frame, curves, baseline(frame), np.ones(DRAWS), none, none)


def test_the_points_of_a_curve_are_told_apart() -> None:
    found = answers(planted(np.r_[0.0, np.full(60, 10.0)]), value=0.5).loc["a"]
    assert found["average_target"].value == pytest.approx(15.0, abs=0.11)
    assert found["marginal_target"].value == pytest.approx(5.8, abs=0.11)
    assert found["break_even"].value == pytest.approx(12.36, abs=0.11)
    assert found["headroom"].value == pytest.approx(2.36, abs=0.11)
    assert answers(planted(np.r_[0.0, np.full(60, 10.0)])).loc["a", "break_even"].value == pytest.approx(
        21.6, abs=0.11
    )
    assert not found["bend"].known
    # 100x / (10 + x) at 10: average 5, next unit 2.5.
    assert (found["return"].value, found["marginal_return"].value) == pytest.approx((5.0, 2.5), rel=0.01)
    assert found["elasticity"].value == pytest.approx(0.5, rel=0.01)


def test_an_s_shaped_curve_has_a_bend_and_a_best_average() -> None:
    found = answers(planted(np.r_[0.0, np.full(60, 10.0)], shape=2.5)).loc["a"]
    assert found["bend"].value == pytest.approx(7.125, abs=0.01)
    assert found["best_average"].value == pytest.approx(11.76, abs=0.11)


def test_returns_count_the_carry_out_and_name_it() -> None:
    spend = np.r_[np.zeros(30), 10.0]
    found = answers(planted(spend, (2.0,), form="linear", decay=0.5), value=1.0).loc["a"]
    assert found["return"].value == pytest.approx(2.0)
    assert found["still_to_come"].value == pytest.approx(0.5, abs=1e-3)
    # Half of twice the money comes back in its own week.
    assert found["half_life"].value == 1 and found["payback"].value == 1
    assert found["contribution"].value == pytest.approx(20.0)
    assert np.isinf(answers(planted(spend, (0.9,), form="linear")).loc["a", "payback"].value)


def test_return_and_cost_of_an_outcome_are_reciprocal() -> None:
    some = planted(np.r_[0.0, np.full(60, 10.0)])
    curves = some.curves["a"]
    spread = np.exp(np.random.default_rng(0).normal(0, 0.6, DRAWS + 1))
    wide = Curves(
        1.0,
        *(
            np.resize(getattr(curves, name), DRAWS + 1)
            for name in ("family", "decay", "peak", "shape", "half")
        ),
        spread,
    )
    found = answers(replace(some, curves={"a": wide})).loc["a"]
    assert found["return"].value * found["cost_per_outcome"].value == pytest.approx(1.0)
    assert found["return"].low * found["cost_per_outcome"].high == pytest.approx(1.0)


def test_weeks_at_the_start_of_a_running_line_are_left_out() -> None:
    assert answers(planted(np.full(30, 10.0))).loc["a", "return"].n == 22
    assert answers(planted(np.r_[0.0, np.full(29, 10.0)])).loc["a", "return"].n == 30


def month(fit: Fit, budget: float, **more: object) -> Terms:
    today = fit.weekly.spend.iloc[-1] * WEEKS_OF_MONTH
    return Terms(budget, pd.DataFrame({"today": today, "low": 0.0, "high": 60 * WEEKS_OF_MONTH}), **more)  # type: ignore[arg-type]


def test_scenarios_are_told_on_the_same_curves() -> None:
    two = planted(np.r_[0.0, np.full(60, 15.0)], (100.0, 20.0))
    plan = allocate(responses_of(two), month(two, 30 * WEEKS_OF_MONTH))
    table = scenarios(two, plan, target=75 * WEEKS_OF_MONTH).set_index("plan")
    per_week = table["outcome"] / WEEKS_OF_MONTH
    assert per_week["today"] == per_week["equal"] == pytest.approx(72.0)
    # Today's figure of the plan is what the model credits the lines with; the same curves judge the plan.
    credited = answers(two, weeks=52)["contribution"].map(lambda one: one.value / one.n).sum()
    assert (
        plan.outcome_today / WEEKS_OF_MONTH == pytest.approx(credited) and plan.outcome >= plan.outcome_today
    )
    assert per_week["proposed"] == pytest.approx(78.11, abs=0.01) and per_week["frozen"] == 0
    assert table.loc["less", ["a", "b"]].tolist() == pytest.approx([12 * WEEKS_OF_MONTH] * 2)
    assert table.loc["proposed", "better"] == 1 and table.loc["proposed", "gain"] > 0
    # Two lines are shared out 40 to 35.
    assert table.loc["rule", "a"] / table.loc["rule", "b"] == pytest.approx(40 / 35)
    assert table.loc["least_cost", "outcome"] == pytest.approx(75 * WEEKS_OF_MONTH, rel=0.002)


def test_a_plan_is_told_without_what_it_owes_to_luck() -> None:
    gain = np.array([-100.0, 0.0, 100.0, 200.0])
    assert without_luck(gain).mean() == pytest.approx(50 - 0.5 * gain.std())
    assert without_luck(gain).std() == pytest.approx(gain.std())
    assert without_luck(np.full(4, 70.0)).tolist() == [70.0] * 4
    sure = planted(np.r_[0.0, np.full(60, 15.0)], (100.0, 20.0))
    unsure = np.random.default_rng(0).uniform(50, 150, len(sure.curves["a"]))
    two = replace(sure, curves=sure.curves | {"a": replace(sure.curves["a"], coefficient=unsure)})
    plan = allocate(responses_of(two), month(two, 30 * WEEKS_OF_MONTH))
    table = scenarios(two, plan).set_index("plan")
    spread = (outcome_draws(two, plan.lines["proposed"]) - outcome_draws(two, plan.lines["today"])).std()
    assert table.loc["proposed", "gain"] == pytest.approx(plan.outcome - plan.outcome_today - spread / 2)
    assert table.loc["today", "gain"] == 0


def test_least_cost_of_a_target_and_a_target_out_of_reach() -> None:
    one = planted(np.r_[0.0, np.full(60, 15.0)])
    plan = least_cost(one, month(one, 99.0), 75 * WEEKS_OF_MONTH)
    assert plan.spend / WEEKS_OF_MONTH == pytest.approx(30.0, rel=0.01)
    with pytest.raises(BadParameters, match="out of reach"):
        least_cost(one, month(one, 99.0), 99 * WEEKS_OF_MONTH)


def test_the_ledger_says_what_a_row_changed() -> None:
    world = clean(5, weeks=60, demand=0.5)
    truth = world.contribution["social"].sum()
    row = Evidence("t1", "social", "contribution", 0, 59, 0, truth, 0.05 * truth, "experiment", truth)
    line = ledger(fit(world.weekly, [row])).loc[0]
    assert abs(60 * line["with"] - truth) < abs(60 * line["without"] - truth)
    assert line["with_se"] < line["without_se"]
    assert line["says"] == pytest.approx(60 * line["with"], rel=0.02)
