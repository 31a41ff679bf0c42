"""Immortal time: tiers that do nothing look good naively, and do not from a landmark on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters
from helpers.methods.retention.landmark import compare_tiers, tiers_reached
from helpers.stats.survival.compare import logrank

DAY = 30


def community(seed: int, n: int, effect: float = 1.0) -> pd.DataFrame:
    """Members who reach a tier at a random day if they are still there; then leave `effect` times as fast."""
    rng = np.random.default_rng(seed)
    reached, before, after = rng.exponential(60, n), rng.exponential(80, n), rng.exponential(80 / effect, n)
    time = np.where(before < reached, before, reached + after)
    watched = rng.uniform(60, 240, n)
    tenure = np.floor(np.minimum(time, watched)).astype(int)
    day = np.floor(reached)
    return pd.DataFrame(
        {
            "tenure_days": tenure,
            "exited": time <= watched,
            "reached_day": np.where(reached <= np.minimum(time, watched), day, np.nan),
        }
    )


def counted(rows: pd.DataFrame, tier: pd.Series) -> pd.DataFrame:
    """Cells by tier without an engine."""
    grouped = rows.assign(tier=tier).groupby(["tier", "tenure_days"])["exited"].agg(n="size", events="sum")
    return grouped.reset_index().rename(columns={"tenure_days": "tenure_day"})


def test_on_null_data_naive_rejects_and_landmark_does_not() -> None:
    naive, fair = [], []
    for seed in range(200):
        rows = community(seed, 150)
        naive.append(logrank(counted(rows, rows["reached_day"].notna()), "tier", pairs=False).p_value)
        there = rows[rows["tenure_days"] > DAY]
        tier = there["reached_day"] <= DAY
        fair.append(logrank(counted(there, tier), "tier", pairs=False).p_value)
    assert np.mean(np.array(naive) < 0.05) > 0.95
    assert 0.01 <= np.mean(np.array(fair) < 0.05) <= 0.095


def test_comparison_does_what_the_simulation_does() -> None:
    rows = community(1, 800)
    found = compare_tiers(tiers_reached(rows, day=DAY), day=DAY)
    naive = logrank(counted(rows, rows["reached_day"].notna()), "tier")
    there = rows[rows["tenure_days"] > DAY]
    fair = logrank(counted(there, there["reached_day"] <= DAY), "tier")
    assert found.naive_test.chi_square == pytest.approx(naive.chi_square)
    assert found.landmark_test.chi_square == pytest.approx(fair.chi_square)
    assert found.gone == len(rows) - len(there) and found.landmarked.n == len(there)
    assert found.naive_test.p_value < 1e-6 and found.landmark_test.p_value > 0.05
    bias = found.bias.iloc[0]
    assert bias["bias"] == pytest.approx(bias["naive"] - bias["landmarked"]) and abs(bias["bias"]) > 20
    assert "no clear difference remains" in found.sentence and f"day {DAY}" in found.sentence
    assert found.table["comparison"].tolist() == ["naive", "landmarked"]


def test_the_tests_of_a_comparison_are_judged_at_its_level() -> None:
    reached = tiers_reached(community(2, 400), day=DAY)
    for level in (0.8, 0.99):
        found = compare_tiers(reached, day=DAY, confidence=level)
        assert (found.naive_test.confidence, found.landmark_test.confidence) == (level, level)


def test_everybody_is_there_at_the_landmark() -> None:
    table = compare_tiers(tiers_reached(community(2, 400), day=DAY), day=DAY).landmarked.table
    assert (table.loc[table["day"] <= DAY, "survival"] == 1).all()
    assert (table.loc[table["day"] > DAY + 20, "survival"] < 1).all()


def test_a_tier_that_keeps_members_is_found_by_both() -> None:
    found = compare_tiers(tiers_reached(community(3, 3_000, effect=0.4), day=DAY), day=DAY)
    assert found.landmark_test.p_value < 0.001 and "a difference remains" in found.sentence


def test_tier_is_reached_up_to_the_landmark_day() -> None:
    rows = pd.DataFrame({"tenure_days": [40, 40, 40], "exited": True, "reached_day": [30.0, 31.0, np.nan]})
    found = tiers_reached(rows, day=30).to_pandas()
    assert found["landmark_tier"].tolist() == ["reached", "not reached", "not reached"]
    assert found["final_tier"].tolist() == ["reached", "reached", "not reached"]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_little_data(n: int) -> None:
    found = compare_tiers(tiers_reached(community(1, 20).iloc[:n], day=DAY), day=DAY)
    assert "Too little data" in found.sentence


def test_bad_input() -> None:
    with pytest.raises(BadData, match="column reached_day missing"):
        tiers_reached(pd.DataFrame({"tenure_days": [1]}), day=3)
    with pytest.raises(BadParameters, match="horizon == 30"):
        compare_tiers(tiers_reached(community(1, 50), day=DAY), day=DAY, horizon=30)
