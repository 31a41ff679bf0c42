"""Forecasts against hand calculation, and their bands against what chains of known matrix do next."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from helpers.methods.rfm.forecast import backtest, between_period_variation, fit, forecast, simulate

AWAY, FRESH = -1, 4


def _with_comers_and_goers(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let some members join in some period (seen as fresh, then by tier) and some leave for good."""
    changed = states.copy()
    periods, members = states.shape
    for member in range(members):
        if rng.random() < 0.4:
            joins = int(rng.integers(0, periods))
            changed[:joins, member] = AWAY
            changed[joins, member] = FRESH
        if rng.random() < 0.2:
            changed[int(rng.integers(1, periods + 1)) :, member] = AWAY
    return changed


def test_forecast_is_sizes_times_shares(history_of) -> None:
    silent_potential = np.array([[0] * 60 + [1] * 40, [0] * 45 + [1] * 15 + [0] * 10 + [1] * 30])
    result = forecast(history_of(silent_potential))
    sizes = result.sizes.set_index("tier")
    # 55 silent of whom 3/4 stay, 45 potential of whom 1/4 fall back.
    assert sizes.loc["silent", "expected"] == pytest.approx(55 * 0.75 + 45 * 0.25)
    assert sizes.loc["potential", "expected"] == pytest.approx(55 * 0.25 + 45 * 0.75)
    assert sizes["last"].tolist() == [55, 45, 0, 0] and sizes.loc["silent", "change"] == pytest.approx(-2.5)
    assert result.moves == 100 and result.pairs == 1 and np.isnan(result.variation)
    assert "One pair of periods cannot show how much periods differ" in result.sentence
    assert not sizes.loc["core", "known"] and sizes.loc["silent", "known"]


def test_joiners_and_leavers_are_forecast_and_stated(history_of, matrices, run_chains) -> None:
    rng = np.random.default_rng(21)
    states = _with_comers_and_goers(run_chains(rng, matrices["lively"], 900, 5, 1)[0], rng)
    history = history_of(states)
    result = forecast(history)
    flows = history.flows.groupby(["from_state", "to_state"])["n"].sum().unstack()
    shares = flows.div(flows.sum(axis=1), axis=0)
    start = history.sizes[history.sizes["period"] == history.periods[-1]].set_index("tier")["members"]
    start["(joined)"] = history.newcomers
    expected = start @ shares.loc[start.index]
    np.testing.assert_allclose(result.sizes["expected"], expected[result.sizes["tier"]])
    assert result.joiners == (states[-1] == FRESH).sum() > 0
    assert result.expected_leavers == pytest.approx(expected["(left)"])
    assert f"of {result.joiners:,} newcomers" in result.sentence
    assert result.sizes["expected"].sum() + result.expected_leavers == pytest.approx(start.sum())


def test_only_the_last_pairs_can_be_used(history_of, matrices, run_chains) -> None:
    states = run_chains(np.random.default_rng(2), matrices["lively"], 400, 5, 1)[0]
    last, whole = forecast(history_of(states), pairs=1), forecast(history_of(states[-2:]))
    np.testing.assert_allclose(last.sizes["expected"], whole.sizes["expected"])
    assert last.pairs == 1 and last.moves == 400 and forecast(history_of(states)).moves == 1_600
    assert last.variation == forecast(history_of(states)).variation


@pytest.mark.parametrize("name", ["lively", "sticky"])
@pytest.mark.parametrize(("members", "pairs"), [(60, 3), (400, 1), (2_000, 2)])
def test_bands_cover_the_next_period(name, members, pairs, matrices, run_chains, history_of) -> None:
    """100 chains, 400 sizes: bands of 90 % may hold 86 to 98.5 % (they end at whole numbers)."""
    rng = np.random.default_rng(members + pairs)
    inside = []
    for seed, states in enumerate(run_chains(rng, matrices[name], members, pairs + 2, 100)):
        result = forecast(history_of(states[:-1]), draws=500, seed=seed)
        actual = np.bincount(states[-1], minlength=4)
        inside.append((result.sizes["low"] <= actual) & (actual <= result.sizes["high"]))
    assert 0.86 <= np.mean(inside) <= 0.985


def test_bands_widen_when_periods_differ(history_of, matrices, run_chains) -> None:
    rng = np.random.default_rng(9)
    inside, naive = [], []
    for seed in range(50):
        rows = matrices["lively"]
        state = [rng.choice(4, 1_000, p=[0.55, 0.3, 0.11, 0.04])]
        for _period in range(7):
            moved = np.array([rng.dirichlet(30 * row + 1e-3) for row in rows])
            edges = moved.cumsum(axis=1)[:, :-1]
            state.append((rng.random(1_000)[:, None] >= edges[state[-1]]).sum(axis=1))
        history = history_of(np.array(state[:-1]))
        actual = np.bincount(state[-1], minlength=4)
        result = forecast(history, draws=500, seed=seed)
        inside.append((result.sizes["low"] <= actual) & (actual <= result.sizes["high"]))
        alone = forecast(history_of(np.array(state[-3:-1])), draws=500, seed=seed)
        naive.append((alone.sizes["low"] <= actual) & (actual <= alone.sizes["high"]))
    assert 0.8 <= np.mean(inside) <= 0.99
    assert np.mean(naive) < 0.6


def test_variation_between_periods_is_recovered() -> None:
    rng, rho = np.random.default_rng(1), 0.05
    found = []
    for _repeat in range(60):
        rows = rng.dirichlet(np.array([0.6, 0.3, 0.1]) * (1 / rho - 1), 12)
        flows = np.zeros((12, 1, 3))
        flows[:, 0] = [rng.multinomial(300, row) for row in rows]
        found.append(between_period_variation(flows))
    assert np.mean(found) == pytest.approx(rho, rel=0.12)
    still = np.array([rng.multinomial(300, [0.6, 0.3, 0.1]) for _ in range(2_000)])[:, None]
    assert between_period_variation(still) < 0.0005
    assert np.isnan(between_period_variation(still[:1]))


def test_simulated_moves_have_posterior_and_multinomial_spread() -> None:
    flows = np.zeros((1, 2, 2))
    flows[0, 0] = [30, 70]
    model = fit(flows)
    simulated = simulate(model, np.array([200.0, 0.0]), draws=40_000, seed=1)
    a, b, n = 30.5, 70.5, 200  # beta-binomial with the prior 1/2 per destination
    assert simulated.sum(axis=1).tolist() == [200.0] * 40_000
    assert simulated[:, 0].mean() == pytest.approx(n * a / (a + b), rel=0.01)
    spread = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))
    assert simulated[:, 0].var() == pytest.approx(spread, rel=0.03)


def test_backtest_repeats_past_forecasts(history_of, matrices, run_chains) -> None:
    states = run_chains(np.random.default_rng(12), matrices["lively"], 500, 7, 1)[0]
    result = backtest(history_of(states), seed=3)
    assert result.periods == 5 and len(result.cells) == 20
    one = result.cells[result.cells["period"] == "2026-05"].set_index("tier")
    known = forecast(history_of(states[:4]), seed=3).sizes.set_index("tier")
    np.testing.assert_allclose(one["expected"], known["expected"])
    assert one["actual"].tolist() == np.bincount(states[4], minlength=4).tolist()
    assert one["naive"].tolist() == np.bincount(states[3], minlength=4).tolist()
    cells = result.cells
    assert result.mean_absolute_error == pytest.approx((cells["expected"] - cells["actual"]).abs().mean())
    assert result.naive_error == pytest.approx((cells["naive"] - cells["actual"]).abs().mean())
    assert result.coverage.value == pytest.approx(cells["covered"].mean()) and result.coverage.n == 5
    assert "In 5 earlier periods" in result.sentence and "of 20 tier sizes" in result.sentence
    for level in (0.8, 0.95):  # of the share of bands that held, not of the bands
        judged = backtest(history_of(states), judged_at=level, seed=3)
        low, high = proportion_confint(5 * judged.coverage.value, 5, 1 - level, "wilson")
        assert judged.coverage[1:3] == pytest.approx((low, high))
        assert judged.better.confidence == level and judged.cells.equals(cells)
        assert f"inside their 90 % band ({100 * level:.0f} % interval" in judged.sentence


def test_forecast_beats_the_naive_one_when_tiers_are_moving(history_of, matrices) -> None:
    rng, states = np.random.default_rng(6), [np.full(3_000, 3)]
    edges = matrices["lively"].cumsum(axis=1)[:, :-1]
    for _period in range(5):
        states.append((rng.random(3_000)[:, None] >= edges[states[-1]]).sum(axis=1))
    start = np.array(states)
    mixed = np.concatenate([start, rng.permuted(start, axis=0)], axis=1)
    result = backtest(history_of(start))
    assert result.periods == 4
    later = result.cells[result.cells["period"] > "2026-03"]
    assert later["error"].abs().sum() < 0.5 * later["naive_error"].abs().sum()
    assert backtest(history_of(mixed)).periods == 4


@pytest.mark.parametrize("periods", [0, 1])
def test_short_histories_say_that_there_is_too_little(periods, history_of) -> None:
    history = history_of(np.zeros((periods, 5), dtype=np.int64))
    result, tested = forecast(history), backtest(history)
    assert not result.known and result.sentence.startswith("Too little data")
    assert result.sizes["expected"].isna().all() and result.sizes["tier"].tolist() == list(history.labels)
    assert tested.periods == 0 and tested.sentence.startswith("Too little data") and not tested.coverage.known
    two = backtest(history_of(np.zeros((3, 5), dtype=np.int64)))
    assert two.periods == 1 and "Too little data to say whether the bands hold" in two.sentence


def test_a_tier_without_history_gets_the_widest_band(history_of) -> None:
    states = np.array([[0] * 50 + [1] * 50, [0] * 40 + [1] * 57 + [3] * 3])
    sizes = forecast(history_of(states)).sizes
    assert sizes["expected"].sum() == pytest.approx(100)
    assert sizes.set_index("tier")["known"].to_dict() == {
        "silent": True, "potential": True, "active": False, "core": False,
    }  # fmt: skip
    assert isinstance(sizes, pd.DataFrame) and sizes.set_index("tier").loc["core", "high"] >= 3


def test_same_seed_same_bands_and_bad_arguments(history_of, matrices, run_chains) -> None:
    history = history_of(run_chains(np.random.default_rng(0), matrices["lively"], 200, 4, 1)[0])
    pd.testing.assert_frame_equal(forecast(history, seed=5).sizes, forecast(history, seed=5).sizes)
    wide, narrow = forecast(history, confidence=0.99).sizes, forecast(history, confidence=0.5).sizes
    assert (wide["high"] - wide["low"] > narrow["high"] - narrow["low"]).all()
    with pytest.raises(ValueError, match="pairs == 0, must be >= 1"):
        forecast(history, pairs=0)
    with pytest.raises(ValueError, match="confidence == 90"):
        forecast(history, confidence=90)
