"""Plans on planted curves: public reports, bounds, reserve, fixed cost, packages, the certified gap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from helpers.errors import BadParameters
from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.program import over_estimate
from helpers.methods.budget.terms import Response, Share, Terms


def hill(top: float, half: float, shape: float = 1.0) -> Response:
    def value(spend: np.ndarray) -> np.ndarray:
        return top * spend**shape / (half**shape + spend**shape)

    def slope(spend: np.ndarray) -> np.ndarray:
        at = np.maximum(spend, 1e-9)
        return top * shape * half**shape * at ** (shape - 1) / (half**shape + at**shape) ** 2

    return Response(value, slope)


def terms(budget: float, today: list[float], high: list[float] | float = 30.0, **more: object) -> Terms:
    lines = pd.DataFrame({"today": today, "low": 0.0, "high": high}, index=list("abcdefgh")[: len(today)])
    columns = {name: more.pop(name) for name in ("low", "fixed", "step", "optional") if name in more}
    return Terms(budget, lines.assign(**columns), **more)  # type: ignore[arg-type]


TWO = {"a": hill(100, 10), "b": hill(20, 10)}


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_two_curves_get_their_optimum_in_any_unit_of_money(unit: float) -> None:
    curves = {"a": hill(100, 10 * unit), "b": hill(20, 10 * unit)}
    plan = allocate(curves, terms(30 * unit, [15 * unit, 15 * unit], 30 * unit))
    assert (plan.lines["proposed"] / unit).tolist() == pytest.approx([24.55, 5.45], abs=0.15)
    assert plan.outcome == pytest.approx(78.11, abs=0.01) and plan.outcome_today == pytest.approx(72.0)
    assert plan.spend == pytest.approx(30 * unit, rel=1e-6)
    assert plan.gap < 1e-4


def test_frozen_lines_stay_to_the_cent_and_nothing_stays_nothing() -> None:
    curves = TWO | {"c": hill(30, 5), "d": hill(500, 5)}
    fixed = terms(60, [15, 7.77, 3.33, 0], [50, 7.77, 3.33, 0], low=[0, 7.77, 3.33, 0], step=1.0)
    spend = allocate(curves, fixed).lines["proposed"]
    assert spend[["b", "c", "d"]].tolist() == [7.77, 3.33, 0.0]
    assert spend["a"] == 48


def test_least_spends_above_the_budget_are_refused_by_name() -> None:
    with pytest.raises(BadParameters, match=r"sum to CNY 120 .* budget of CNY 100\..*a CNY 80, b CNY 40"):
        terms(100, [80, 40], 200, low=[80, 40])


def test_shares_that_cannot_be_kept_are_named() -> None:
    shares = (Share("core", ("a",), low=0.6), Share("rest", ("a",), high=0.3))
    with pytest.raises(BadParameters, match=r"without any of these: .*share: core, share: rest"):
        allocate(TWO, terms(30, [15, 15], low=[1, 1], shares=shares))


def test_the_return_line_stops_spending() -> None:
    # 100x/(10+x) averages 4 up to 15; the next unit brings 1.6 there, and a lower line would allow more.
    plan = allocate({"a": hill(100, 10)}, terms(30, [5], least_return=4.0))
    assert plan.lines["proposed"]["a"] == pytest.approx(15, abs=0.05)
    assert plan.lines["marginal"]["a"] == pytest.approx(1.6, abs=0.02)
    assert allocate({"a": hill(100, 10)}, terms(30, [5], least_return=3.5)).spend > 18


def test_money_that_pays_nowhere_stays_unspent() -> None:
    plan = allocate({"a": hill(100, 10)}, terms(60, [5], 60.0, value=1.0))
    assert plan.lines["proposed"]["a"] == pytest.approx(10 * (np.sqrt(10) - 1), abs=0.3)
    assert plan.terms.reserve == 0 and plan.spend < 60
    assert dict(plan.prices.values)["budget"] == pytest.approx(0, abs=1e-9)


def test_the_reserve_is_the_larger_of_policy_and_shocks_and_changes_the_plan() -> None:
    free = allocate(TWO, terms(30, [15, 15]))
    shocks = (0.0, 0.0, 4.0, 8.0, 8.0)
    held = allocate(TWO, terms(30, [15, 15], reserve_share=0.1, shocks=shocks))
    assert held.terms.reserve == pytest.approx(8.0)
    assert held.spend == pytest.approx(22) and held.outcome < free.outcome
    prices = dict(held.prices.values)
    assert prices["reserve"] == -prices["budget"] < 0


def test_a_fixed_cost_switches_a_line_off() -> None:
    costs = {"optional": True, "value": 1.0}
    cheap = allocate(TWO, terms(60, [15, 15], 60.0, fixed=[0.0, 1.0], **costs))
    dear = allocate(TWO, terms(60, [15, 15], 60.0, fixed=[0.0, 9.0], **costs))
    assert cheap.lines["proposed"]["b"] > 3 and cheap.lines["fixed"]["b"] == 1
    assert dear.lines.loc["b", ["proposed", "fixed"]].tolist() == [0, 0] and dear.lines["binds"]["b"] == "off"


def test_packages_come_whole() -> None:
    # Without packages 5.45 would go to b; two packages of 4 are better than one of them.
    spend = allocate(TWO, terms(30, [15, 15], step=[0.0, 4.0])).lines["proposed"]
    best = max((hill(100, 10).value(30 - 4.0 * n) + hill(20, 10).value(4.0 * n), n) for n in range(8))[1]
    assert spend["b"] == 4 * best and spend["a"] == pytest.approx(30 - 4 * best, abs=1e-6)


def test_a_share_has_a_price_and_it_is_that_of_moving_it() -> None:
    shares = (Share("core", ("b",), low=0.4),)
    plan = allocate(TWO, terms(30, [15, 15], shares=shares))
    more = allocate(TWO, terms(30, [15, 15], shares=(replace_share(shares[0], 0.41),)))
    price = dict(plan.prices.values)["share: core"]
    assert plan.lines["proposed"]["b"] == pytest.approx(12, abs=1e-6)
    assert price == pytest.approx(plan.outcome - more.outcome, rel=0.05)


def test_room_has_a_price_and_it_is_that_of_more_of_it() -> None:
    for high in (10.0, 18.0):
        plan, wider = (allocate(TWO, terms(30, [15, 15], [top, 30])) for top in (high, high + 0.05))
        price = dict(plan.prices.values)["high: a"]
        assert price == pytest.approx((wider.outcome - plan.outcome) / 0.05, rel=0.05)
    held, lower = (allocate(TWO, terms(30, [15, 15], low=[0, low])) for low in (9.0, 8.95))
    assert dict(held.prices.values)["low: b"] == pytest.approx((lower.outcome - held.outcome) / 0.05, rel=0.1)
    assert dict(held.prices.values)["high: a"] == 0


def replace_share(share: Share, low: float) -> Share:
    return share._replace(low=low)


def test_lines_above_a_curve_are_nowhere_below_it() -> None:
    rng, fine = np.random.default_rng(0), np.linspace(0, 100, 5_001)
    for _ in range(30):
        mixed = [hill(rng.uniform(1, 9), rng.uniform(3, 80), rng.uniform(0.5, 4)) for _ in range(6)]
        value, slope = (
            lambda s, part=part, mixed=mixed: sum(one[part](s) for one in mixed) for part in (0, 1)
        )
        at, up = over_estimate(Response(value, slope), 100 * np.linspace(0, 1, 33) ** 2)
        assert (np.interp(fine, at, up) - value(fine)).min() > -1e-6 * value(fine).max()


def lumpy(seed: int) -> tuple[dict[str, Response], Terms]:
    """Return eight S-shaped lines, each with a fixed cost, least spend, and payable steps; a reserve and a share."""
    rng, names = np.random.default_rng(seed), list("abcdefgh")
    curves = {n: hill(rng.uniform(1e5, 1e6), rng.uniform(2e4, 1e5), rng.uniform(0.7, 3)) for n in names}
    costs = {"low": 5e3, "fixed": rng.uniform(0, 3e4, 8), "step": 100.0, "optional": True}
    shares = (Share("core", ("a", "b", "c"), 0.3, 0.6),)
    return curves, terms(4e5, [4e4] * 8, 2e5, **costs, shares=shares, reserve_share=0.1, value=1.0)


def slsqp(curves: dict[str, Response], wanted: Terms) -> float:
    """Return the profit of the plan that a smooth solver finds from equal parts, every line on that pays."""
    lines, names = wanted.lines, list(curves)
    room = wanted.budget - wanted.reserve - lines["fixed"].sum()

    def loss(spend: np.ndarray) -> float:
        return -sum(float(curves[n].value(spend[i : i + 1])[0]) for i, n in enumerate(names)) + spend.sum()

    core = [
        {"type": "ineq", "fun": lambda s: s[:3].sum() - 0.3 * s.sum()},
        {"type": "ineq", "fun": lambda s: 0.6 * s.sum() - s[:3].sum()},
    ]
    whole = {"type": "ineq", "fun": lambda s: (room - s.sum()) / wanted.budget}
    found = minimize(
        lambda s: loss(s) / 1e5,
        np.full(8, room / 8),
        bounds=[(5e3, 2e5)] * 8,
        constraints=[whole, *core],
        method="SLSQP",
    )
    return -loss(found.x) - lines["fixed"].sum()


def test_a_lumpy_plan_is_certified_and_beats_a_smooth_solver() -> None:
    curves, wanted = lumpy(1)
    plan = allocate(curves, wanted)
    assert 0 <= plan.gap < 0.005
    assert plan.objective > slsqp(curves, wanted)
    assert plan.spend + wanted.reserve <= wanted.budget + 1e-6
    core = plan.lines["proposed"][["a", "b", "c"]].sum() / plan.lines["proposed"].sum()
    assert 0.3 - 1e-6 <= core <= 0.6 + 1e-6
    steps = plan.lines["proposed"] / 100
    assert np.abs(steps - steps.round()).max() < 1e-6


@pytest.mark.slow
def test_lumpy_plans_are_certified_and_beat_a_smooth_solver_by_a_margin() -> None:
    better = []
    for seed in range(20):
        curves, wanted = lumpy(seed)
        plan = allocate(curves, wanted)
        assert 0 <= plan.gap < 0.005
        better.append(plan.objective / max(slsqp(curves, wanted), 1e-9) - 1)
    print(f"profit over SLSQP: median {np.median(better):.1%}, least {min(better):.1%}")
    assert np.median(better) >= 0.03 and min(better) > -0.005


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(BadParameters, match="least spend of a is above the most"):
        terms(30, [1, 1], [1, 30], low=[2, 0])
    with pytest.raises(BadParameters, match="share names z, but there is a, b"):
        terms(30, [1, 1], shares=(Share("core", ("z",), 0.5),))


def test_a_plan_captures_what_can_be_gained_on_known_curves() -> None:
    rng = np.random.default_rng(5)
    curves = {
        name: hill(rng.uniform(50, 500), rng.uniform(2, 60), rng.uniform(0.5, 1)) for name in "abcdefgh"
    }
    today = rng.dirichlet(np.ones(8)) * 100
    plan = allocate(curves, terms(100, list(today), 100.0))
    # At the optimum the next unit of money brings the same everywhere: found by bisection on that price.
    fine = np.linspace(0.001, 100, 100_001)
    slopes = {name: curve.slope(fine) for name, curve in curves.items()}
    low, high = 1e-3, 1e3
    for _ in range(60):
        price = np.sqrt(low * high)
        spend = {name: fine[max((slope > price).sum() - 1, 0)] for name, slope in slopes.items()}
        low, high = (price, high) if sum(spend.values()) > 100 else (low, price)
    best = sum(float(curves[name].value(np.array([at]))[0]) for name, at in spend.items())
    assert (plan.outcome - plan.outcome_today) / (best - plan.outcome_today) > 0.999
    assert 0 <= plan.gap < 0.005
