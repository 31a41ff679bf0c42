"""Bounds against the tables, repeated intervals, and what is said after stopping."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from helpers.methods.ab_test.sequential import always_valid, boundaries, crossing, fraction, stopped
from helpers.stats.estimate import Estimate

FIFTHS = np.arange(1, 6) / 5


def seen(value: float) -> Estimate:
    return Estimate(value, np.nan, np.nan, 100, "likes", "Welch", 0.95)


@pytest.mark.parametrize(
    ("spending", "table"),
    [
        ("obrien-fleming", [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4102, 2.3966, 2.3860]),
        ("fixed", [np.inf, np.inf, np.inf, np.inf, 1.9600]),
    ],
)
def test_bounds_are_those_of_the_tables(spending: str, table: list[float]) -> None:
    found = boundaries(FIFTHS, 0.05, spending)
    assert found.win == pytest.approx(table, abs=1e-4)
    assert found.harm == pytest.approx(found.win)
    assert found.spent[-1] == pytest.approx(0.05)
    assert crossing(found, 0.0).sum() == pytest.approx(0.025, abs=1e-9)


def test_uneven_and_late_looks_spend_alpha_too() -> None:
    uneven = boundaries([0.05, 0.1, 0.31, 0.32, 0.77, 1.2], 0.05, "obrien-fleming")
    assert uneven.win[:2] == pytest.approx([9.955, 6.991], abs=1e-3)
    assert crossing(uneven, 0.0).sum() == pytest.approx(0.025, abs=1e-9)
    early = boundaries([0.3, 0.6], 0.05, "obrien-fleming", time=[0.3, 1])
    assert crossing(early, 0.0).sum() == pytest.approx(0.025, abs=1e-9)
    # Two bounds by the bivariate normal, which scipy integrates.
    both = stats.multivariate_normal([0, 0], [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    inside = both.cdf(early.win, lower_limit=-early.win)
    assert 1 - inside == pytest.approx(0.05, abs=1e-6)


def test_a_look_without_news_keeps_its_bound_and_after_the_end_there_is_none() -> None:
    found = boundaries([0.0, 0.4, 0.4, 1.0, 1.1], 0.05, "obrien-fleming").win
    assert found[[0, 4]].tolist() == [np.inf, np.inf]
    alone = stats.norm.isf(2 * stats.norm.sf(stats.norm.isf(0.05 / 4) / np.sqrt(0.4)))
    assert found[1] == found[2] == pytest.approx(alone, abs=1e-8)


def test_bounds_stay_finite_however_early() -> None:
    assert np.isfinite(boundaries([0.0005, 0.001, 0.05], 0.05, "obrien-fleming").win).all()


def test_bounds_of_earlier_looks_stay_when_traffic_is_not_as_planned() -> None:
    time, n = np.arange(1, 8) / 7, np.array([100, 150, 155, 400, 900, 2_000, 5_000])
    whole = boundaries(n / n[-1], 0.05, "obrien-fleming", time=time)
    for look in range(1, 7):
        so_far = boundaries(n[:look] / 1_000, 0.05, "obrien-fleming", time=time[:look])
        assert so_far.win == pytest.approx(whole.win[:look], abs=1e-6)
    assert crossing(whole, 0.0).sum() == pytest.approx(0.025, abs=1e-9)


def test_other_arms_bring_no_information() -> None:
    arms, planned = np.array([500, 500, 650]), 1_000
    of_a, of_b = (fraction(arms[[0, arm]], [planned, planned]) for arm in (1, 2))
    assert (of_a, of_b) == pytest.approx((0.5, 0.565), abs=1e-3)
    assert boundaries([of_a], 0.05, "obrien-fleming").win[0] == pytest.approx(2.963, abs=5e-4)
    assert boundaries([of_b], 0.05, "obrien-fleming").win[0] < 2.8
    assert fraction([[0, 0], [10, 0]], [5, 5]).tolist() == [0, 0]


def test_after_stopping_at_the_third_of_five_looks() -> None:
    bounds = boundaries(FIFTHS, 0.05, "obrien-fleming")
    root = np.sqrt(0.6)
    up, down = (stopped(bounds, 2, seen(sign * 2.9 / root), 1 / root) for sign in (1, -1))
    assert up.p / 2 == pytest.approx(0.0020507, abs=5e-8)
    assert up.estimate[:3] == pytest.approx((3.7286, 1.187, 6.264), abs=5e-4)
    assert down.p == pytest.approx(up.p)
    assert down.estimate[:3] == pytest.approx((-3.7286, -6.264, -1.187), abs=5e-4)
    assert (up.estimate.n, up.estimate.unit, up.estimate.confidence) == (100, "likes", 0.95)


def test_stopping_at_the_first_look_is_a_fixed_sample() -> None:
    bounds = boundaries([0.3, 0.6, 1.0], 0.05, "obrien-fleming")
    # Against a margin of -.05: the effect of .03 is as far from it as .08 from 0.
    found = stopped(bounds, 0, seen(0.03 + 0.05), 0.01)
    assert np.subtract(found.estimate[:3], 0.05) == pytest.approx((0.03, 0.0104, 0.0496), abs=5e-5)
    assert found.p == pytest.approx(2 * stats.norm.sf(8), rel=1e-6)


def test_hybrid_stops_early_for_harm_alone() -> None:
    found = boundaries(FIFTHS, 0.05, "obrien-fleming", hybrid=True)
    assert found.win == pytest.approx([np.inf] * 4 + [stats.norm.isf(0.025)])
    assert found.harm == pytest.approx(boundaries(FIFTHS, 0.05, "obrien-fleming").harm, abs=1e-4)
    assert np.isinf(boundaries(FIFTHS[:2], 0.05, "obrien-fleming", hybrid=True).win).all()
    harmed = stopped(found, 2, seen(-2.9), 1.0)
    assert harmed.estimate.high < 0


def test_confidence_sequence_is_the_published_one() -> None:
    # Waudby-Smith et al., eq. 9, with rho tuned to the planned end as GrowthBook does.
    n, planned, alpha = np.array([100.0, 5_000, 20_000]), 5_000, 0.05
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / planned)
    part = n * rho**2 + 1
    width = np.sqrt(n) * np.sqrt(2 * part / (n * rho) ** 2 * np.log(np.sqrt(part) / alpha))
    assert always_valid(n / planned, alpha) == pytest.approx(width, rel=1e-12)
    assert boundaries(n[:2] / planned, alpha, "always-valid").win == pytest.approx(width[:2], rel=1e-12)


def paths(drift: float, fractions: np.ndarray, runs: int, seed: int) -> np.ndarray:
    """Return z at each look of tests with a drift, shape (runs, looks)."""
    added = np.diff(fractions, prepend=0.0)
    steps = np.random.default_rng(seed).normal(drift * added, np.sqrt(added), (runs, len(added)))
    return steps.cumsum(axis=1) / np.sqrt(fractions)


def test_what_is_said_after_stopping_is_uniform_at_the_truth() -> None:
    fractions, drift = np.array([0.25, 0.6, 1.0]), 2.5
    bounds = boundaries(fractions, 0.05, "obrien-fleming")
    held, above = [], []
    for z in paths(drift, fractions, 600, seed=7):
        look = int(np.argmax(np.append(np.abs(z[:2]) >= bounds.win[:2], True)))
        error = 1 / np.sqrt(fractions[look])
        found = stopped(bounds, look, seen(z[look] * error), error).estimate
        held.append(found.low <= drift <= found.high)
        above.append(found.value > drift)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 600))
    assert np.mean(above) == pytest.approx(0.5, abs=3 * np.sqrt(0.25 / 600))
