"""Weeks against weeks: a hand-counted change, exact splits, chances, and how often quiet weeks are signals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers.stats.weeks import BASE, HELD, SHARED, chance, change, errors, mix_and_rate, outlook, promises


def series(values: object, denominator: object = 1.0) -> pd.DataFrame:
    weeks = pd.date_range("2025-01-06", periods=len(np.atleast_1d(values)), freq="W-MON")
    return pd.DataFrame({"numerator": values, "denominator": denominator}, weeks, dtype=float)


def test_a_week_is_compared_with_eight_ordinary_weeks_and_with_its_own_past_errors() -> None:
    rng = np.random.default_rng(1)
    values = rng.poisson(100, 30).astype(float)
    values[20] = 900.0
    ordinary = [place != 20 for place in range(30)]
    one = change(series(values), ordinary, "members")
    base = values[[place for place in range(30) if ordinary[place]][-BASE - 1 : -1]].mean()
    assert one.expected == pytest.approx(base)
    past = errors(series(values), ordinary)["error"].to_numpy()[:-1]
    past = past[np.isfinite(past) & np.array(ordinary[:-1])]
    spread = np.sqrt((past**2).mean())
    t = 2 * (np.sqrt(values[-1]) - np.sqrt(base)) / spread
    assert one.p == pytest.approx(2 * stats.t.sf(abs(t), len(past) / SHARED))
    half = stats.t.ppf(0.975, len(past) / SHARED) * spread / 2
    assert one.delta.high == pytest.approx((np.sqrt(values[-1]) + half) ** 2 - base)
    assert (one.delta.low > 0 or one.delta.high < 0) == (one.p < 0.05)


def test_too_little_history_is_said_and_not_guessed() -> None:
    for weeks in (1, 4, 10):
        one = change(series(np.arange(weeks) + 50.0), [True] * weeks, "members")
        assert not one.delta.known and np.isnan(one.p)
    assert change(series(np.arange(12) + 50.0), [True] * 12, "members").delta.known


def test_an_unusual_week_is_held_against_the_one_of_the_year_before() -> None:
    rng = np.random.default_rng(2)
    values = rng.poisson(200, 61).astype(float)
    values[[8, 60]] = 60.0  # both festivals are as quiet
    ordinary = [place not in (8, 60) for place in range(61)]
    assert change(series(values), ordinary, "orders").p < 1e-6
    assert change(series(values), ordinary, "orders", against=8).p > 0.2
    values[60] = 330.0
    assert change(series(values), ordinary, "orders", against=8).p < 1e-4


def test_mix_and_rate_add_up_exactly_and_each_takes_its_own() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        parts = list("abcd")
        before, after = (
            pd.DataFrame({"numerator": rng.gamma(1, 50, 4), "denominator": rng.gamma(1, 90, 4)}, parts)
            for _ in range(2)
        )
        before.loc["d"] = after.loc["a"] = 0.0  # one came, one went
        found = mix_and_rate(before, after)
        rates = [one["numerator"].sum() / one["denominator"].sum() for one in (before, after)]
        assert abs(found["total"].sum() - (rates[1] - rates[0])) < 1e-12
        assert (found["mix"] + found["rate"] - found["total"]).abs().max() == 0
        assert found.loc["a", "rate"] == found.loc["d", "rate"] == 0
    moved = pd.DataFrame({"numerator": [10.0, 90.0], "denominator": [100.0, 300.0]})
    assert mix_and_rate(moved, 3 * moved)["total"].abs().max() < 1e-15
    shifted = pd.DataFrame({"numerator": [30.0, 30.0], "denominator": [300.0, 100.0]})
    assert mix_and_rate(moved, shifted)["rate"].abs().max() < 1e-15


def test_a_forecast_is_as_sure_as_it_was_before() -> None:
    rng = np.random.default_rng(4)
    quiet, restless = (series(1_000 * np.exp(rng.normal(0, sd, 80))) for sd in (0.02, 0.2))
    ordinary = [True] * 80
    sure, unsure = (outlook(one, ordinary, 8, 0, "flow") for one in (quiet, restless))
    assert sure.expected == pytest.approx(8 * quiet["numerator"].tail(8).mean())
    assert sure.spread < 0.05 < unsure.spread and sure.spans == unsure.spans >= 3
    assert chance(sure, 0, 0.9 * sure.expected, up=True) > 0.95
    assert chance(sure, 0, 1.1 * sure.expected, up=True) < 0.05
    assert chance(unsure, 0, 1.1 * unsure.expected, up=True) > 0.1
    up, down = (chance(unsure, 100, 9_000, up=up) for up in (True, False))
    assert up + down == pytest.approx(1)
    assert np.isnan(outlook(quiet.tail(20), ordinary[:20], 13, 0, "flow").spread)


def test_four_promises_of_eighty_per_cent_of_which_one_came_are_too_high() -> None:
    kept = promises([0.8] * 4, [True, False, False, False])
    exact = stats.binom(4, 0.8)
    assert kept.p == pytest.approx(2 * (exact.cdf(0) + exact.pmf(1) / 2))
    assert kept.p < 0.05 and kept.brier == pytest.approx((0.04 + 3 * 0.64) / 4)
    assert promises([0.8] * 4, [True, True, True, False]).p > 0.5
    assert promises([], []).n == 0


def quiet(rng: np.random.Generator, weeks: int) -> list[np.ndarray]:
    """Weekly numbers in which nothing happens: counts, memory, slow growth, heavy money, restless spend."""
    memory = np.zeros(weeks)
    for week in range(1, weeks):
        memory[week] = 0.5 * memory[week - 1] + rng.normal(0, 0.04)
    orders = rng.poisson(250 * np.exp(memory / 2))
    return [
        rng.poisson(20, weeks),
        rng.negative_binomial(10, 10 / 260, weeks),
        600 * np.exp(memory),
        rng.poisson(600 * np.exp(memory / 2 + 0.003 * np.arange(weeks))),
        orders,
        np.array([rng.lognormal(6, 1, n).sum() for n in orders]),
        np.array([rng.lognormal(6, 1.6, n).sum() for n in orders]),
        8_000 * np.exp(rng.normal(0, 0.15, weeks)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("weeks", [15, 26, 60])
def test_quiet_weeks_are_called_a_signal_no_more_often_than_stated(weeks: int) -> None:
    """Of 400 quiet weeks with eight numbers each at most 5 % + 2 standard errors name anything."""
    rng = np.random.default_rng(20260630)
    named = []
    for _ in range(400):
        p = [change(series(one.astype(float)), [True] * weeks, "members").p for one in quiet(rng, weeks)]
        named.append(multipletests(p, HELD * 0.05, "fdr_bh")[0].any())
    print(f"{weeks} weeks: {np.mean(named):.3f}")
    assert np.mean(named) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
