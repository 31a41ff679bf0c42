"""Errors of whole windows: the posterior by integration, noise told from levels, intervals that cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from helpers.stats.forecast.next_period import WindowErrors, expected_number, window_errors


def test_levels_have_the_posterior_variance_by_integration() -> None:
    found = WindowErrors(np.array([0.3, -0.1, 0.2, -0.4, 0.1, 0.0]), np.full(6, 0.02))

    def density(tau: float) -> float:
        likelihood = stats.norm.pdf(found.shift, scale=np.sqrt(tau**2 + 0.02)).prod()
        return float(likelihood / np.sqrt(tau**2 + 0.02))

    mass = integrate.quad(density, 0, 3)[0]
    expected = integrate.quad(lambda tau: tau**2 * density(tau), 0, 3)[0] / mass
    drawn = found.draw(400_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0, abs=0.003)
    assert drawn.var() == pytest.approx(expected, rel=0.03)


def windows(
    count: int, members: int, level: float, rng: np.random.Generator
) -> tuple[WindowErrors, np.ndarray]:
    """Return the errors of windows predicted at their long-run probabilities, and the log odds of one."""
    at = np.repeat(np.arange(count), members)
    log_odds = rng.normal(-1.5, 0.7, at.size)
    y = rng.random(at.size) < special.expit(log_odds + rng.normal(0, level, count)[at])
    p = pd.Series(special.expit(log_odds))
    return window_errors(pd.Series(at), p, pd.Series(y.astype(float))), log_odds[:members]


def test_sampling_noise_is_not_taken_for_levels() -> None:
    rng = np.random.default_rng(1)

    def spread(level: float) -> float:
        errors = windows(12, 400, level, rng)[0]
        return float(np.sqrt(max(0.0, np.mean(errors.shift**2 - errors.variance))))

    none, some = (np.mean([spread(level) for _ in range(20)]) for level in (0, 0.5))
    assert none < 0.1
    assert some == pytest.approx(0.5, abs=0.1)


def test_intervals_cover_with_six_windows() -> None:
    rng, hits, runs = np.random.default_rng(2), 0, 150
    for run in range(runs):
        level = (0.15, 0.3, 0.5)[run % 3]
        errors, log_odds = windows(6, 300, level, rng)
        found = expected_number(special.expit(log_odds), errors.draw(1000, rng), 0.95, run)
        came = (rng.random(300) < special.expit(log_odds + rng.normal(0, level))).sum()
        hits += found.low <= came <= found.high
    assert 0.91 <= hits / runs <= 0.99


def test_expected_number_without_window_errors_is_poisson_binomial() -> None:
    p = np.random.default_rng(0).beta(2, 5, 500)
    found = expected_number(p, np.zeros(4000), 0.95, 0)
    half = stats.norm.ppf(0.975) * np.sqrt(np.sum(p * (1 - p)))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_a_sample_tells_the_number_of_all_with_the_error_of_the_draw() -> None:
    """Of 2,000 members 100 are predicted: their chances differ so much that the draw is half of the variance."""
    rng, hits = np.random.default_rng(5), 0
    for run in range(400):
        p = rng.beta(0.3, 0.7, 2000)
        found = expected_number(p[:100], np.zeros(1000), 0.95, run, members=2000)
        hits += found.low <= (rng.random(2000) < p).sum() <= found.high
    assert found.n == 2000 and found.value == pytest.approx(20 * p[:100].sum())
    assert 0.92 <= hits / 400 <= 0.98
    whole = (expected_number(p, np.zeros(1000), 0.95, 0, members=each) for each in (None, 2000))
    assert next(whole) == next(whole)
    few = expected_number(p[:99], np.zeros(1000), 0.95, 0, members=2000)
    assert not few.known and few.n == 2000
    assert expected_number(p[:3], np.zeros(1000), 0.95, 0, members=3).known


def test_expected_number_covers_when_windows_have_a_level() -> None:
    rng, hits = np.random.default_rng(1), 0
    p = rng.beta(2, 5, 800)
    found = expected_number(p, rng.normal(0, 0.3, 4000), 0.95, 0)
    for _ in range(500):
        shifted = special.expit(special.logit(p) + rng.normal(0, 0.3))
        hits += found.low <= (rng.random(800) < shifted).sum() <= found.high
    assert 0.92 <= hits / 500 <= 0.98
