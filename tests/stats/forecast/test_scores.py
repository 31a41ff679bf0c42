"""Paired differences of scores: oracles of both parts of the variance, and the rate of false alarms over windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special, stats

from helpers.stats.forecast.scores import paired_differences, standard_errors


def alike(windows: int, level: float, lasting: float, rng: np.random.Generator) -> pd.DataFrame:
    """Draw predictions of two models that err alike in expectation: in each window, and on each member for good."""
    members = 300
    at, member = (each.ravel() for each in np.indices((windows, members)))
    truth = rng.normal(-1, 1, members)[member]
    frame = pd.DataFrame({"landmark": at, "member_id": member})
    for model in "AB":
        own = rng.normal(0, lasting, members)[member] + rng.normal(0, 0.15, at.size)
        frame[model] = special.expit(truth + own + rng.normal(0, level, windows)[at])
    return frame.assign(silent=(rng.random(at.size) < special.expit(truth)).astype(int))


def test_with_members_seen_once_it_is_the_t_test_of_window_means() -> None:
    frame = alike(8, 0.2, 0.0, np.random.default_rng(0)).assign(member_id=np.arange(8 * 300))
    found = paired_differences(frame, ["A", "B"], "silent", confidence=0.95).set_index("model")
    worse = found["brier_difference"].idxmax()
    loss = {m: (frame[m] - frame["silent"]) ** 2 for m in "AB"}
    means = (loss[worse] - loss[found["against"].iloc[0]]).groupby(frame["landmark"]).mean()
    oracle = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert tuple(found.loc[worse, ["low", "high"]]) == pytest.approx((oracle.low, oracle.high))


def test_two_way_variance_equals_statsmodels() -> None:
    frame = alike(8, 0.1, 0.8, np.random.default_rng(1))
    gap = ((frame["A"] - frame["silent"]) ** 2 - (frame["B"] - frame["silent"]) ** 2).to_numpy()
    groups = frame[["landmark", "member_id"]].to_numpy()
    fit = sm.OLS(gap, np.ones(gap.size))

    def variance(by: np.ndarray) -> float:
        options = {"groups": by, "use_correction": False}
        return float(fit.fit(cov_type="cluster", cov_kwds=options).bse[0] ** 2)

    found = standard_errors(gap[:, None], frame)
    # Leaving out one window at a time is the sandwich times windows / (windows - 1), for windows of equal size.
    expected = variance(groups) + variance(groups[:, 0]) / 7
    assert found.error[0] ** 2 == pytest.approx(expected)
    assert found.degrees[0] > 7  # members that err for good are many, so that their part is well known


@pytest.mark.parametrize(("level", "lasting"), [(0.0, 0.0), (0.3, 0.6)])
def test_equal_models_are_called_clearly_worse_in_one_of_twenty(level: float, lasting: float) -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        found = paired_differences(alike(8, level, lasting, rng), ["A", "B"], "silent", confidence=0.95)
        alarms += bool(found["clearly_worse"].any())
    assert 0.01 <= alarms / 200 <= 0.09


def test_a_model_that_is_worse_is_found_and_few_windows_are_wide() -> None:
    rng = np.random.default_rng(3)
    frame = alike(12, 0.1, 0.0, rng)
    frame["C"] = special.expit(2 * special.logit(frame["A"]) + 0.5)
    found = paired_differences(frame, ["A", "C"], "silent", confidence=0.95).set_index("model")
    assert found.loc["C", "clearly_worse"] and not found.loc["A", "clearly_worse"]
    few = paired_differences(frame[frame["landmark"] < 2], ["A", "C"], "silent", confidence=0.95)
    few = few.set_index("model")
    assert few.loc["C", "high"] - few.loc["C", "low"] > 3 * (found.loc["C", "high"] - found.loc["C", "low"])
    one = paired_differences(frame[frame["landmark"] == 0], ["A", "C"], "silent", confidence=0.95)
    assert one[["low", "high"]].isna().all(axis=None) and not one["clearly_worse"].any()
