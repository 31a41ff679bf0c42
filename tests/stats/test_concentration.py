"""The share of the top and the lift of scores: by hand, against plain resampling, coverage of paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stats.concentration import in_top, lift, paired_lifts


def test_lift_by_hand() -> None:
    outcome = np.array([10.0, 0, 6, 0, 4, 0, 0, 0, 0, 0])
    score = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0.0])
    assert lift(score, outcome, 0.1) == pytest.approx(10 / 2)
    assert lift(score, outcome, 0.25) == pytest.approx((10 + 0 + 0.5 * 6) / 2.5 / 2)
    tied = np.array([9, 7, 7, 7, 0, 0, 0, 0, 0, 0.0])
    assert lift(tied, outcome, 0.2) == pytest.approx((10 + (0 + 6 + 0) / 3) / 2 / 2)
    assert lift(np.zeros(10), outcome) == pytest.approx(1.0)
    assert np.isnan(lift(score, np.zeros(10)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=3, max_size=25), st.integers(1, 10))
def test_lift_is_the_expectation_over_all_orders_of_equals(rows: list[tuple[int, int]], tenths: int) -> None:
    """Against whole members drawn from the group of equals at the cut, and for any order of rows."""
    score, outcome = (np.array(column, float) for column in zip(*rows, strict=True))
    if not outcome.sum():
        return
    size = tenths / 10 * len(rows)
    share = np.clip([(size - (score > s).sum()) / (score == s).sum() for s in score], 0, 1)
    assert in_top(score, tenths / 10) == pytest.approx(share, abs=1e-12)
    expected = (share * outcome).sum() / size / outcome.mean()
    assert lift(score, outcome, tenths / 10) == pytest.approx(expected, rel=1e-9)
    assert lift(score[::-1], outcome[::-1], tenths / 10) == pytest.approx(expected, rel=1e-9)


def test_bootstrap_agrees_with_resampling_rows() -> None:
    rng = np.random.default_rng(1)
    n = 800
    outcome = np.where(rng.random(n) < 0.3, rng.gamma(1.0, 10.0, n), 0.0)
    scores = {"fine": outcome + rng.normal(0, 15, n), "coarse": np.floor(outcome / 8) + rng.integers(0, 3, n)}
    fast = paired_lifts(scores, outcome, top=0.1, draws=3000, seed=2)
    slow: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(3000):
        rows = rng.integers(0, n, n)
        for name, score in scores.items():
            slow[name].append(lift(score[rows], outcome[rows]))
    for name, score in scores.items():
        assert fast[name].mean() == pytest.approx(np.mean(slow[name]), rel=0.01)
        assert fast[name].std() == pytest.approx(np.std(slow[name]), rel=0.06)
        assert abs(fast[name].mean() - lift(score, outcome)) < fast[name].std()
    both = [np.corrcoef(f["fine"], f["coarse"])[0, 1] for f in (fast, slow)]
    assert both[0] == pytest.approx(both[1], abs=0.06)  # paired: the same resamples for both


def test_bootstrap_interval_of_a_difference_covers_no_difference() -> None:
    """Two equally good scores: the paired interval excludes 0 about 5 % of the time, not more than 9 %."""
    rng, wrong, trials = np.random.default_rng(3), 0, 150
    for _ in range(trials):
        truth = rng.gamma(0.5, 10.0, 600)
        outcome = rng.poisson(truth).astype(float)
        scores = {name: truth + rng.normal(0, 6, 600) for name in "ab"}
        drawn = paired_lifts(scores, outcome, top=0.1, draws=200, seed=int(rng.integers(1 << 30)))
        low, high = np.quantile(drawn["a"] - drawn["b"], [0.025, 0.975])
        wrong += not low < 0 < high
    assert wrong / trials <= 0.09
