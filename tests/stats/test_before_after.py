"""Weeks after against weeks before: an exact case, an oracle, what is too little, and error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from helpers.stats import before_after as module
from helpers.stats.before_after import before_after


def masks(weeks: int, after: int = 4, gap: int = 1, before: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The last weeks are after, the eight before the gap are before."""
    at = np.arange(weeks)
    start = weeks - after
    return (at < start - gap) & (at >= start - gap - before), at >= start


def autocorrelated(rng: np.random.Generator, weeks: int, near: float) -> np.ndarray:
    noise = rng.normal(size=weeks + 50) * np.sqrt(1 - near**2)
    return signal.lfilter([1], [1, -near], noise)[50:]


def test_without_correlation_it_is_the_interval_of_a_difference_of_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the noise of the weeks before alone, and n - 1 degrees of freedom."""
    monkeypatch.setattr(module, "GRID", [(0.0, 1.0)])
    values = np.random.default_rng(1).normal(size=13)
    before, after = masks(13)
    found = before_after(values, before, after)
    change = values[after].mean() - values[before].mean()
    half = stats.t.ppf(0.975, 7) * values[before].std(ddof=1) * np.sqrt(1 / 8 + 1 / 4)
    assert found[:3] == pytest.approx((change, change - half, change + half))
    assert found.n == 12


def test_a_steady_drift_is_no_change() -> None:
    rng = np.random.default_rng(2)
    values = 0.5 * np.arange(65) + rng.normal(size=65)
    found = before_after(values, *masks(65))
    assert found.low < 0 < found.high and found.high < 2  # the plain difference of means is 3.5


def test_weeks_that_resemble_each_other_tell_less() -> None:
    rng = np.random.default_rng(3)
    width = {}
    for near in (0.0, 0.8):
        found = [before_after(autocorrelated(rng, 65, near), *masks(65)) for _ in range(20)]
        width[near] = np.median([one.high - one.low for one in found])
    assert width[0.8] > 1.3 * width[0.0]


@pytest.mark.parametrize("lost", [slice(0, 12), slice(12, 13)])
def test_too_few_weeks_and_weeks_that_do_not_vary_tell_nothing(lost: slice) -> None:
    values = np.random.default_rng(4).normal(size=14)
    before, after = masks(14, after=2)
    values[lost] = np.nan
    assert not before_after(values, before, after).known
    assert not before_after(np.ones(14), before, after).known


@pytest.mark.slow
@pytest.mark.parametrize("near", [0.0, 0.3, 0.5])
def test_intervals_hold_on_correlated_weeks(near: float) -> None:
    """95 % intervals of nothing, 800 series of 60 weeks: each side misses at most .025 + three standard errors."""
    rng = np.random.default_rng(5)
    found = [before_after(autocorrelated(rng, 66, near), *masks(66, gap=2)) for _ in range(800)]
    above, below = (np.mean([one.low > 0 for one in found]), np.mean([one.high < 0 for one in found]))
    print(f"r = {near}: above {above:.4f}, below {below:.4f}")
    assert max(above, below) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 800)
