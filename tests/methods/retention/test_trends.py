"""Trends of weekly counts: against statsmodels, and whether intervals cover a planted change."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from helpers.methods.retention.trends import weekly_trends


@pytest.mark.parametrize("with_exposure", [False, True])
def test_equal_to_statsmodels(with_exposure: bool) -> None:
    rng = np.random.default_rng(1)
    weeks = 12
    x = np.linspace(-0.5, 0.5, weeks)
    counts = rng.negative_binomial(3, 0.2, (6, weeks))
    exposure = rng.integers(50, 90, (6, weeks)) if with_exposure else np.ones((6, weeks))
    found = weekly_trends(counts, exposure if with_exposure else None, 0.9)
    for row, series in enumerate(counts):
        model = sm.GLM(series, sm.add_constant(x), sm.families.Poisson(), offset=np.log(exposure[row]))
        scale = max(1.0, model.fit().pearson_chi2 / (weeks - 2))
        fit = model.fit(scale=scale)
        theirs = fit.params[1]
        step = 1.8124611228 * fit.bse[1]  # t(10) at 95 %
        assert np.log([found.change[row], found.low[row], found.high[row]]) == pytest.approx(
            [theirs, theirs - step, theirs + step], abs=1e-5
        )


@pytest.mark.parametrize(("change", "spread"), [(1.0, 0.0), (0.3, 0.0), (2.5, 0.3)])
def test_intervals_cover_a_planted_change(change: float, spread: float) -> None:
    rng = np.random.default_rng(2)
    weeks, series = 12, 4_000
    mean = 15 * change ** np.linspace(-0.5, 0.5, weeks)
    noise = rng.gamma(1 / spread, spread, (series, weeks)) if spread else np.ones((series, weeks))
    found = weekly_trends(rng.poisson(mean * noise))
    covered = np.mean((found.low <= change) & (found.high >= change))
    assert 0.93 <= covered <= 0.99  # a dispersion that cannot fall below one leans to the safe side


def test_what_is_out_of_how_many_is_no_trend() -> None:
    # Exits double because members do: no trend of the rate.
    members = np.linspace(100, 200, 12)[None, :]
    found = weekly_trends(members / 10, members)
    assert found.change[0] == pytest.approx(1) and found.low[0] < 1 < found.high[0]
    assert weekly_trends(members / 10).low[0] > 1
    empty = np.where(np.arange(12) < 3, 0, members)
    assert np.isfinite(weekly_trends(empty / 10, empty).change[0])


def test_too_little_data_is_missing() -> None:
    few = np.zeros((5, 12))
    few[1, :9] = 1  # nine in all
    few[2, -2:] = 30  # two weeks
    few[3, :] = 5
    few[4, -3:] = [1, 5, 300]  # all at one end, and still a number
    found = weekly_trends(few)
    assert np.isnan(found.change).tolist() == [True, True, True, False, False]
    assert found.change[4] > 100 and found.low[4] > 1
    assert np.isnan(weekly_trends(np.full((1, 5), 40)).change).all()
    assert weekly_trends(np.empty((0, 12))).change.size == 0
