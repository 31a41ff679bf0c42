"""Immortal time: tiers that do nothing look good naively, and do not from a landmark on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.methods.retention.tiers import TierComparison, reached_days, tiers_of
from helpers.stats.survival.compare import logrank
from helpers.study import Study

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
        naive.append(logrank(counted(rows, rows["reached_day"].notna()), "tier").p_value)
        there = rows[rows["tenure_days"] > DAY]
        tier = there["reached_day"] <= DAY
        fair.append(logrank(counted(there, tier), "tier").p_value)
    assert np.mean(np.array(naive) < 0.05) > 0.95
    assert 0.01 <= np.mean(np.array(fair) < 0.05) <= 0.095


def compared(rows: pd.DataFrame, confidence: float = 0.95) -> TierComparison:
    empty = pd.DataFrame(columns=["member_id", "day", "kind"])
    study = Study.of({"activity": empty}, "2026-01-31", confidence=confidence)
    return tiers_of(study, rows.astype({"reached_day": "Int64"}), 1, DAY)


def test_comparison_does_what_the_simulation_does() -> None:
    rows = community(1, 800)
    found = compared(rows)
    there = rows[rows["tenure_days"] > DAY]
    assert (found.seeming.n, found.fair.n) == (len(rows), len(there))
    assert found.seeming.value > found.fair.value + 20
    assert "no clear difference remains" in found.sentence and f"day {DAY}" in found.sentence


def test_a_tier_that_keeps_members_is_found_by_both() -> None:
    found = compared(community(3, 3_000, effect=0.4))
    assert found.fair.low > 0 and "a difference remains" in found.sentence


def test_more_is_better_for_the_upper_tier_whichever_tier_is_larger() -> None:
    rows = community(3, 3_000, effect=0.4)
    early = rows.assign(reached_day=rows["reached_day"].where(rows["reached_day"].isna(), 0))
    found = compared(early[early["reached_day"].notna() | (early.index % 3 == 0)])
    assert found.fair.low > 0


def test_tier_is_reached_up_to_the_landmark_day() -> None:
    rows = community(3, 400)
    for day, known in ((DAY, True), (DAY + 1, False)):
        found = compared(rows.assign(reached_day=np.where(rows.index % 2 == 0, day, np.nan)))
        assert found.fair.known == known


def test_without_exits_nothing_is_known_of_tiers() -> None:
    found = compared(community(1, 400).assign(exited=False))
    assert "too little data (0 exits" in found.sentence and not found.fair.known
    assert next(found.findings()).verdict == "too little data"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_little_data(n: int) -> None:
    found = compared(community(1, 20).iloc[:n])
    assert "too little data" in found.sentence and next(found.findings()).verdict == "too little data"


def test_the_nth_counted_action_after_joining() -> None:
    days = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-03", "2026-01-09", "2026-01-02"])
    rows = pd.DataFrame(
        {
            "member_id": ["a", "a", "a", "a", "b"],
            "ts": days + pd.to_timedelta([1, 2, 3, 4, 5], unit="h"),
            "day": days,
            "kind": ["interaction", "interaction", "order", "interaction", "interaction"],
        }
    )
    people = pd.DataFrame({"member_id": ["a", "b", "c"], "joined_day": pd.Timestamp("2026-01-02")})
    tables = {"activity": rows, "population": people.assign(left_day=pd.NaT)}

    def reached(actions: int, **settings) -> dict:
        study = Study.of(tables, "2026-01-31", **settings)
        found = reached_days(study, study.population, actions).to_pandas().set_index("member_id")
        return {name: None if pd.isna(day) else int(day) for name, day in found["reached_day"].items()}

    assert reached(1) == {"a": 0, "b": 0, "c": None}
    assert reached(2) == {"a": 1, "b": None, "c": None}
    assert reached(3) == {"a": 7, "b": None, "c": None}
    assert reached(3, count="all") == {"a": 1, "b": None, "c": None}
