"""Tests and differences from cells, against lifelines, statsmodels and scipy on rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import multivariate_logrank_test
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import logrank, mean_difference


def community(seed: int, n: int = 600, effect: float = 1.0, plans: str = "abc") -> pd.DataFrame:
    """Durations in plans; the first plan leaves `effect` times as fast."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(list(plans), n)
    time = rng.exponential(np.where(plan == plans[0], 60 / effect, 60))
    watched = rng.uniform(0, 120, n)
    tenure = np.minimum(time, watched).astype(int)
    return pd.DataFrame({"tenure_days": tenure, "exited": time <= watched, "plan": plan})


def test_k_segments_equal_lifelines() -> None:
    rows = community(1, effect=1.3)
    found = logrank(cells(rows, "plan"), "plan")
    theirs = multivariate_logrank_test(rows["tenure_days"], rows["plan"], rows["exited"])
    assert found.chi_square == pytest.approx(theirs.test_statistic, rel=1e-9)
    assert (found.segments, found.n) == (3, 600)
    assert (found.degrees_of_freedom, found.p_value) == (2, pytest.approx(theirs.p_value, rel=1e-8))


def test_two_segments_equal_scipy() -> None:
    rows = community(3, plans="ab")
    parts = [rows[rows["plan"] == plan] for plan in "ab"]
    data = [
        stats.CensoredData.right_censored(part["tenure_days"], (~part["exited"]).to_numpy()) for part in parts
    ]
    theirs = stats.logrank(*data)
    assert logrank(cells(rows, "plan"), "plan").p_value == pytest.approx(theirs.pvalue, rel=1e-8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_late_entry_equals_statsmodels(seed: int) -> None:
    rows = community(seed, 80)
    rng = np.random.default_rng(seed)
    rows["entry_day"] = np.floor(rows["tenure_days"] * rng.random(len(rows))).astype(int)
    # There a member who enters at t is at risk after t, here from day t on.
    chi_square, p_value = survdiff(
        rows["tenure_days"], rows["exited"].astype(int), rows["plan"], entry=rows["entry_day"] - 0.5
    )
    found = logrank(cells(rows, "plan"), "plan")
    assert found.chi_square == pytest.approx(chi_square, rel=1e-7, abs=1e-9)
    assert found.p_value == pytest.approx(p_value, rel=1e-6)


def test_under_no_difference_one_in_twenty_tests_rejects() -> None:
    p_values = [logrank(cells_of(community(seed, 90)), "plan").p_value for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.095


def cells_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Cells without an engine, for many small communities."""
    grouped = rows.groupby(["plan", "tenure_days"])["exited"].agg(n="size", events="sum").reset_index()
    return grouped.rename(columns={"tenure_days": "tenure_day"})


@pytest.mark.parametrize("rows", [0, 1])
def test_too_little_data(rows: int) -> None:
    few = cells_of(community(1).iloc[:rows])
    found = logrank(few, "plan")
    assert np.isnan(found.p_value)
    assert not mean_difference(few, "plan", "b", "a", horizon=30).known


def test_one_segment_and_no_exits_are_too_little_data() -> None:
    rows = community(1)
    assert np.isnan(logrank(cells(rows.assign(plan="a"), "plan"), "plan").p_value)
    assert np.isnan(logrank(cells(rows.assign(exited=False), "plan"), "plan").p_value)


def test_difference_of_restricted_means() -> None:
    rows = community(7, 3_000, effect=2.0, plans="ab")
    truth = _mean_days(30, 60) - _mean_days(60, 60)
    estimate = mean_difference(cells(rows, "plan"), "plan", "a", "b", horizon=60)
    assert estimate.low <= truth <= estimate.high and estimate.high < 0 and estimate.n == 3_000
    assert not mean_difference(cells(rows, "plan"), "plan", "a", "b", horizon=500).known


def _mean_days(scale: float, horizon: int) -> float:
    """Planted mean of whole days stayed: the sum of S at the end of days 0 to horizon - 1."""
    return float(np.exp(-np.arange(1, horizon + 1) / scale).sum())


def test_difference_of_restricted_means_covers() -> None:
    truth, covered = _mean_days(40, 60) - _mean_days(60, 60), []
    for seed in range(200):
        table = cells_of(community(seed, 200, effect=1.5, plans="ab"))
        found = mean_difference(table, "plan", "a", "b", horizon=60)
        covered.append(found.low <= truth <= found.high)
    assert 0.91 <= np.mean(covered) <= 0.985
