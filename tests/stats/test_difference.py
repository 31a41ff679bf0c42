"""Signal or noise: the interval against an independent oracle, the judgement against planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from helpers.stats import estimate as intervals
from helpers.stats.difference import Difference, Interval, difference, within_margin
from helpers.stats.estimate import holm

LEVEL = 0.95
TESTED = 6


def interval(estimate: intervals.Estimate) -> Interval:
    return Interval(estimate.value, estimate.low, estimate.high, estimate.confidence, estimate.unit)


def symmetric(value: float, error: float, confidence: float = LEVEL, unit: str = "CNY") -> Interval:
    half = stats.norm.ppf(0.5 + confidence / 2) * error
    return Interval(value, value - half, value + half, confidence, unit)


@pytest.mark.parametrize(
    ("x0", "n0", "x1", "n1"), [(56, 70, 48, 80), (3, 400, 11, 380), (500, 900, 420, 900)]
)
def test_two_wilson_intervals_give_newcombes_interval(x0: int, n0: int, x1: int, n1: int) -> None:
    found = difference(interval(intervals.proportion(x0, n0)), interval(intervals.proportion(x1, n1)))
    assert (found.low, found.high) == pytest.approx(
        confint_proportions_2indep(x1, n1, x0, n0, method="newcomb", compare="diff"), abs=1e-9
    )


def test_two_symmetric_intervals_give_the_z_test() -> None:
    found = difference(symmetric(100, 3), symmetric(111, 4))
    z = 11 / 5
    assert found.errors == pytest.approx(z, abs=1e-9)
    assert found.p == pytest.approx(2 * stats.norm.sf(z), rel=1e-9)
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(LEVEL, 11, 5))
    assert found.scale == "identity"


def test_levels_of_the_two_sides_may_differ() -> None:
    found = difference(symmetric(100, 3, 0.8), symmetric(111, 4, 0.99))
    assert found.errors == pytest.approx(11 / 5, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.99, 11, 5))


def test_the_p_value_agrees_with_the_interval_of_its_own_level() -> None:
    """The interval of level 1 - p touches zero, on every scale."""
    pairs = [
        (Interval(2.0, 1.2, 3.4, LEVEL, "ratio"), Interval(4.1, 2.9, 5.8, LEVEL, "ratio"), "log"),
        (Interval(0.02, 0.012, 0.033, LEVEL, "share"), Interval(0.05, 0.037, 0.067, LEVEL, "share"), "logit"),
        (Interval(0.0, 0.0, 0.01, LEVEL, "share"), Interval(0.03, 0.017, 0.052, LEVEL, "share"), "arcsine"),
    ]
    for before, after, scale in pairs:
        one, back = difference(before, after), difference(after, before)
        assert one.scale == scale
        assert back.errors == pytest.approx(-one.errors) and (back.low, back.high) == pytest.approx(
            (-one.high, -one.low)
        )
        assert (one.p < 1 - LEVEL) == (one.low > 0)
        own = [_at_level(side, 1 - one.p, scale) for side in (before, after)]
        assert difference(*own).low == pytest.approx(0, abs=1e-6)


def _at_level(side: Interval, confidence: float, scale: str) -> Interval:
    """Stretch an interval by hand to another level."""
    to, back = {
        "log": (np.log, np.exp),
        "logit": (lambda x: np.log(x / (1 - x)), lambda x: 1 / (1 + np.exp(-x))),
        "arcsine": (lambda x: np.arcsin(np.sqrt(x)), lambda x: np.sin(x) ** 2),
    }[scale]
    stretch = stats.norm.ppf(0.5 + confidence / 2) / stats.norm.ppf(0.5 + side.confidence / 2)
    low, high = (float(back(to(side.value) + stretch * (to(x) - to(side.value)))) for x in side[1:3])
    return Interval(side.value, low, high, confidence, side.unit)


def test_no_difference_and_exact_numbers() -> None:
    same = difference(symmetric(5, 1), symmetric(5, 2))
    assert (same.value, same.errors, same.p) == (0, 0, 1)
    exact = difference(Interval(5, 5, 5, LEVEL, "members"), Interval(7, 7, 7, LEVEL, "members"))
    assert exact == Difference(2, 2, 2, math.inf, 0, "identity", LEVEL)


def draw(rng: np.random.Generator, size: int, shift: float) -> list[list[Interval]]:
    """Draw reports of six findings: three shares, a rare share, a mean and a ratio; `shift` is in standard errors."""
    shares = [(0.47, 2000), (0.9, 600), (0.12, 300), (0.004, 900)]
    found: list[np.ndarray] = []
    for place, (share, n) in enumerate(shares):
        moved = share + (shift * math.sqrt(2 * share * (1 - share) / n) if place == 0 else 0)
        x = rng.binomial(n, moved, size)
        low, high = (intervals.wilson if share > 0.01 else intervals.jeffreys)(x, n, LEVEL)
        found.append(np.column_stack([x / n, low, high]))
    spend = rng.gamma(0.6, 50, (size, 250))
    error = spend.std(axis=1, ddof=1) / math.sqrt(250) * stats.t.ppf(0.975, 249)
    found.append(
        np.column_stack([spend.mean(axis=1), spend.mean(axis=1) - error, spend.mean(axis=1) + error])
    )
    groups = [rng.gamma(2, 10, (size, 120)) for _ in range(2)]
    ratio = np.log(groups[0].mean(axis=1) / groups[1].mean(axis=1))
    half = 1.96 * np.sqrt(sum(g.var(axis=1, ddof=1) / 120 / g.mean(axis=1) ** 2 for g in groups))
    found.append(np.exp(np.column_stack([ratio, ratio - half, ratio + half])))
    units = ["share"] * 4 + ["CNY", "ratio"]
    return [
        [Interval(*map(float, rows[i]), LEVEL, unit) for rows, unit in zip(found, units, strict=True)]
        for i in range(size)
    ]


def signals(pairs: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Judge pairs of independent reports; return a row for each pair, true where a finding is a signal."""
    rng = np.random.default_rng(seed)
    before, after = draw(rng, pairs, 0.0), draw(rng, pairs, shift)
    judged = [
        holm([difference(b, a).p for b, a in zip(old, new, strict=True)])
        for old, new in zip(before, after, strict=True)
    ]
    return np.array(judged) < 1 - LEVEL


def test_without_a_true_change_a_false_signal_is_rare() -> None:
    found = signals(2_000, seed=11)
    assert found.shape == (2_000, TESTED)
    assert found.any(axis=1).mean() <= 0.05
    assert found.any()  # a judge that never speaks would pass too


def test_a_planted_change_of_five_standard_errors_is_found() -> None:
    found = signals(300, seed=12, shift=5.0)
    assert found[:, 0].mean() >= 0.95
    assert found[:, 1:].any(axis=1).mean() <= 0.08


def test_shared_members_make_the_judgement_more_careful() -> None:
    """Four fifths of 2,000 members are in both versions: false signals become rarer than the level allows."""
    rng = np.random.default_rng(15)
    shared = rng.binomial(1_600, 0.47, (1_500, 1))
    low, high = intervals.wilson(x := shared + rng.binomial(400, 0.47, (1_500, 2)), 2_000, LEVEL)
    pairs = [
        [Interval(x[i, k] / 2_000, low[i, k], high[i, k], LEVEL, "share") for k in (0, 1)]
        for i in range(1_500)
    ]
    assert np.mean([difference(*pair).p < 0.05 for pair in pairs]) <= 0.01


def test_small_for_certain_is_two_one_sided_tests() -> None:
    for gap in (0.0, 3.0, 6.0, 9.9, -7.0):
        for error in (0.5, 1.5, 3.0):
            before, after = symmetric(100, error), symmetric(100 + gap, error)
            z = np.array([10 - gap, 10 + gap]) / (error * math.sqrt(2))
            assert within_margin(before, difference(before, after)) == bool(stats.norm.sf(z).max() < 0.025)
    zero = symmetric(0, 1)
    assert not within_margin(zero, difference(zero, symmetric(0.1, 1)))


@pytest.mark.slow
def test_familywise_error_over_many_pairs() -> None:
    assert signals(20_000, seed=13).any(axis=1).mean() <= 0.05


@pytest.mark.slow
def test_familywise_error_of_bootstrap_intervals() -> None:
    """Skewed spend of 150 members: percentile bootstrap of the mean, four findings a report."""
    rng = np.random.default_rng(14)

    def report() -> list[Interval]:
        found = []
        for _ in range(4):
            spend = rng.gamma(1.0, 40, 150)
            draws = spend[rng.integers(0, 150, (400, 150))].mean(axis=1)
            low, high = intervals.percentile_interval(draws, LEVEL)
            found.append(Interval(float(spend.mean()), low, high, LEVEL, "CNY"))
        return found

    false = [
        min(holm([difference(b, a).p for b, a in zip(report(), report(), strict=True)])) < 0.05
        for _ in range(2_000)
    ]
    assert np.mean(false) <= 0.06  # the percentile interval itself covers a little less than it says
