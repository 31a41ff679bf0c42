"""Cells: exact counts, in any engine form, and refusals."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.stats.survival.cells import cells, completed, day_counts


@pytest.fixture
def durations() -> pd.DataFrame:
    """Random durations with late entry, two segments and missing labels."""
    rng = np.random.default_rng(2)
    tenure = rng.integers(0, 20, 400)
    return pd.DataFrame(
        {
            "tenure_days": tenure,
            "exited": rng.random(400) < 0.6,
            "entry_day": (tenure * rng.random(400)).astype(int) * (rng.random(400) < 0.3),
            "plan": rng.choice(["a", "b", None], 400),
            "year": rng.choice([2025, 2026], 400),
        }
    )


def test_cells_equal_a_count_in_pandas(durations: pd.DataFrame) -> None:
    found = cells(durations, ["plan", "year"])
    filled = durations.assign(plan=durations["plan"].fillna("not stated"))
    keys = ["plan", "year", "entry_day", "tenure_days"]
    count = filled.groupby(keys)["exited"].agg(["size", "sum"]).reset_index()
    assert found[["plan", "year"]].to_numpy().tolist() == count[["plan", "year"]].to_numpy().tolist()
    assert found[["entry_day", "tenure_day", "n", "events"]].to_numpy().tolist() == (
        count[["entry_day", "tenure_days", "size", "sum"]].to_numpy().tolist()
    )
    shuffled = ibis.memtable(durations.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(cells(shuffled, ["plan", "year"]), found)


def test_order_does_not_hang_on_rows_where_not_stated_is_also_a_label() -> None:
    plan = ["not stated"] * 7 + [None] * 3 + ["z"]
    rows = pd.DataFrame({"plan": plan, "tenure_days": 4, "exited": [True] * 6 + [False] * 5})
    expected = [["not stated", 4, 3, 0], ["not stated", 4, 7, 6], ["z", 4, 1, 0]]
    for seed in range(5):
        found = cells(ibis.memtable(rows.sample(frac=1, random_state=seed)), "plan")
        assert found.to_numpy().tolist() == expected
    counts = day_counts(found, "plan")
    assert counts.labels == ["not stated", "z"] and counts.members.tolist() == [10, 1]


def test_counts_by_day_are_counts_of_members(durations: pd.DataFrame) -> None:
    counts = day_counts(cells(durations, ["plan", "year"]), "plan")
    assert counts.labels == ["a", "b", "not stated"]
    for row, label in enumerate(counts.labels):
        rows = durations[durations["plan"].fillna("not stated") == label]
        for day in range(20):
            at_risk = (rows["entry_day"] <= day) & (rows["tenure_days"] >= day)
            assert counts.at_risk[row, day] == at_risk.sum()
            assert counts.events[row, day] == (rows["exited"] & (rows["tenure_days"] == day)).sum()
    assert counts.members.sum() == len(durations)


def test_no_members_and_no_segments() -> None:
    empty = pd.DataFrame({"tenure_days": [], "exited": [], "plan": []})
    assert cells(empty, "plan").empty
    assert day_counts(cells(empty, "plan"), "plan").labels == []
    assert day_counts(cells(empty)).labels == ["all"]
    assert day_counts(cells(empty)).last_day.tolist() == [-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tenure_days": [1, -3]}, "1 member without a day of joining, or with a leave before it"),
        ({"tenure_days": [None, None]}, "2 members without a day of joining"),
    ],
)
def test_durations_that_cannot_be(change: dict[str, list[object]], message: str) -> None:
    frame = pd.DataFrame({"tenure_days": [1, 2], "exited": [True, False]}).assign(**change)
    with pytest.raises(BadData, match=message):
        cells(frame)


def test_missing_columns() -> None:
    with pytest.raises(BadData, match="column exited, plan missing"):
        cells(pd.DataFrame({"tenure_days": [1]}), "plan")
    with pytest.raises(BadData, match="column events missing"):
        completed(pd.DataFrame({"tenure_day": [1], "n": [1]}))
    rows = completed(pd.DataFrame({"tenure_day": [2.0], "events": [1]}))
    assert rows.to_dict("records") == [{"entry_day": 0, "tenure_day": 2, "n": 1, "events": 1}]
