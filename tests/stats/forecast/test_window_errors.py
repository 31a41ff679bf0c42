"""Errors of whole windows: the posterior by integration, noise told from levels, intervals that cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from helpers.stats.forecast.next_period import expected_number
from helpers.stats.forecast.window_errors import WindowErrors, window_errors


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
    none, some = (np.mean([windows(12, 400, level, rng)[0].spread for _ in range(20)]) for level in (0, 0.5))
    assert none < 0.1
    assert some == pytest.approx(0.5, abs=0.1)
    assert np.isnan(WindowErrors(np.empty(0), np.empty(0)).spread)


def test_intervals_cover_with_six_windows() -> None:
    rng, hits, runs = np.random.default_rng(2), 0, 150
    for run in range(runs):
        level = (0.15, 0.3, 0.5)[run % 3]
        errors, log_odds = windows(6, 300, level, rng)
        found = expected_number(special.expit(log_odds), errors.draw(1000, rng), 0.95, run)
        came = (rng.random(300) < special.expit(log_odds + rng.normal(0, level))).sum()
        hits += found.low <= came <= found.high
    assert 0.91 <= hits / runs <= 0.99
