"""Resamples where nothing varies: a value without an interval, not a crash and not a certainty."""

import numpy as np
import pytest

from helpers.stats.resample import bca_interval, log_mean_t


def test_a_mean_of_equal_values_has_no_interval() -> None:
    sums = np.column_stack([np.full(8, 25.0), np.full(8, 25 * 365.0), np.full(8, 25 * 365.0**2)])
    value, low, high = log_mean_t(sums, sums / 2, 0.95, 200, np.random.default_rng(0))
    assert value == pytest.approx(1)
    assert np.isnan([low, high]).all()


def test_equal_resamples_have_no_interval() -> None:
    assert np.isnan(bca_interval(365.0, np.full(200, 365.0), np.full(20, 365.0), 0.95)).all()
