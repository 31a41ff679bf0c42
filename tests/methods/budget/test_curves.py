"""Carry-over, saturation, their derivative and the points where curves bend, against formulas and public reports."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.methods.budget.curves import (
    FAMILIES,
    LAGS,
    Curves,
    first_dictionary,
    lagged,
    refined,
)

GEOMETRIC = FAMILIES.index((False, "linear"))
HILL = FAMILIES.index((False, "hill"))
DELAYED = FAMILIES.index((True, "linear"))


def one(
    family: int,
    decay: float = 0.0,
    peak: float = 0.0,
    shape: float = 1.0,
    half: float = 1.0,
    size: float = 1.0,
) -> Curves:
    parts = (np.array([value]) for value in (decay, peak, shape, half, size))
    return Curves(1.0, np.array([family]), *parts)


def test_a_kernel_without_memory_puts_all_on_the_nearest_lag() -> None:
    assert one(GEOMETRIC).kernels[:, 0].tolist() == [1.0, *[0.0] * (LAGS - 1)]
    between = one(DELAYED, peak=1.4).kernels[:, 0]
    assert np.isfinite(between).all() and between[1] == pytest.approx(1) and between.sum() == pytest.approx(1)


def test_return_counts_what_is_carried_out() -> None:
    spend = np.append([10.0], np.zeros(LAGS - 1))
    total = one(GEOMETRIC, decay=0.5, size=2.0).weekly(spend).sum()
    assert total / 10 == pytest.approx(2.0, abs=1e-9)
    assert one(GEOMETRIC, decay=0.5, size=2.0).weekly(spend)[0, 0] / 10 == pytest.approx(1.0, abs=1e-3)


def test_first_dark_week_keeps_what_was_carried_in() -> None:
    spend = np.append(np.full(20, 10.0), np.zeros(5))
    weekly = one(GEOMETRIC, decay=0.6).weekly(spend)[:, 0]
    assert weekly[20] / weekly[19] == pytest.approx(0.6, abs=0.001)
    # Of an endless geometric kernel; the report that this is from cut it after eight weeks (59.3 %).
    assert np.isclose(weekly[19], 10.0)


def test_first_weeks_are_short_of_what_came_before() -> None:
    weekly = one(GEOMETRIC, decay=0.9).weekly(np.ones(30))[:, 0]
    share = (1 - 0.9 ** np.arange(1, 4)) / (1 - 0.9**LAGS)
    assert weekly[:3] == pytest.approx(share) and weekly[-1] == pytest.approx(1)


def test_stock_counts_no_spend_twice() -> None:
    kernel = one(GEOMETRIC, decay=0.688).kernels[:, 0]
    earlier = np.array([3.0, 8.0, 5.0, 20.0])
    carried = (earlier[::-1] * kernel[1:5]).sum()
    stock = one(GEOMETRIC, decay=0.688).stock(np.append(earlier, 25.0))[-1, 0]
    assert stock == pytest.approx(carried + 25 * kernel[0])


def test_derivative_is_that_of_the_curve() -> None:
    curves = first_dictionary(200, 3).curves(100.0)
    spend, step = np.array([5.0, 40.0, 160.0]), 1e-3
    numeric = (curves.steady(spend + step) - curves.steady(spend - step)) / (2 * step)
    assert curves.marginal(spend) == pytest.approx(numeric, rel=1e-4)


def test_bend_is_where_the_curve_is_steepest() -> None:
    curve = one(HILL, shape=2.5)
    spend = np.linspace(0.01, 3, 30_000)
    assert curve.bend[0] == pytest.approx(0.7125, abs=1e-3)
    assert spend[curve.marginal(spend)[:, 0].argmax()] == pytest.approx(curve.bend[0], abs=1e-3)
    assert np.isnan(one(HILL, shape=1.0).bend[0])


def test_lags_look_back() -> None:
    assert lagged(np.array([1.0, 2.0, 3.0]))[:, :3].tolist() == [[1, 0, 0], [2, 1, 0], [3, 2, 1]]


def test_a_refined_dictionary_stands_for_the_same_prior() -> None:
    before = first_dictionary(512, 0)
    chosen = np.flatnonzero(before.family == HILL)
    after = refined(before, chosen, 4_000, 1)
    mass = np.exp(after.log_mass)
    assert mass.sum() == pytest.approx(1, abs=0.1)
    half = np.log(after.curves(1.0).half)
    with_half = np.array([form != "linear" for _, form in FAMILIES])[after.family]
    mean = np.average(half[with_half], weights=mass[with_half])
    assert mean == pytest.approx(-0.4, abs=0.12)
