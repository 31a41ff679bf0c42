"""Buying histories: hand-made days, an independent count in pandas, and those of CDNOW as published."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stats.btyd.cells import cells, histories, spend_cells
from helpers.stats.btyd.repeat_shares import RepeatShares
from helpers.study.days import purchase_days


def log(rows: list[tuple[str, str, float]], kind: str = "order") -> pd.DataFrame:
    """Activity from (member, day, value)."""
    frame = pd.DataFrame(rows, columns=["member_id", "day", "value"])
    return frame.assign(day=pd.to_datetime(frame["day"]), kind=kind)


def lives(frame: pd.DataFrame, day: str, unit_days: float = 7.0) -> pd.DataFrame:
    found = histories(purchase_days(frame), dt.date.fromisoformat(day), unit_days)
    return found.to_pandas().set_index("member_id").sort_index()


def test_histories_of_hand_made_days() -> None:
    rows = [
        ("ann", "2026-01-01", 10.0),
        ("ann", "2026-01-15", 20.0),
        ("ann", "2026-01-15", 5.0),  # the same day: one transaction of 25
        ("ann", "2026-01-29", 35.0),
        ("ann", "2026-03-01", 99.0),  # after the last day
        ("bob", "2026-01-22", 7.0),
    ]
    frame = pd.concat([log(rows), log([("bob", "2026-01-29", 1.0)], kind="interaction")])
    found = lives(frame, "2026-02-05")
    assert found.loc["ann", ["x", "t_x", "T", "recency_days", "value"]].tolist() == [2, 4.0, 5.0, 7, 70.0]
    assert found.loc["ann", "mean_repeat_value"] == 30.0
    assert found.loc["bob", ["x", "t_x", "T", "recency_days", "value"]].tolist() == [0, 0.0, 2.0, 14, 7.0]
    assert np.isnan(found.loc["bob", "mean_repeat_value"])
    in_days = lives(frame, "2026-02-05", unit_days=1)
    assert in_days.loc["ann", ["t_x", "T"]].tolist() == [28.0, 35.0]
    assert purchase_days(frame, "all").count().to_pandas() == 6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=40))
def test_cells_agree_with_a_count_in_pandas(rows: list[tuple[int, int, int]]) -> None:
    start = pd.Timestamp("2026-01-01")
    frame = pd.DataFrame(rows, columns=["who", "day", "value"])
    given_orders = pd.DataFrame(
        {
            "member_id": frame.who.astype(str),
            "day": start + pd.to_timedelta(frame.day, "D"),
            "kind": "order",
            "value": frame.value,
        }
    )
    seen = frame[frame.day <= 30].groupby(["who", "day"]).value.sum().reset_index()
    found = cells(purchase_days(given_orders), dt.date(2026, 1, 31))
    expected = seen.groupby("who").day.agg(["min", "max", "size"])
    expected = pd.DataFrame(
        {
            "x": expected["size"] - 1,
            "t_x": (expected["max"] - expected["min"]) / 7,
            "T": (30 - expected["min"]) / 7,
        }
    )
    counted = expected.groupby(["x", "t_x", "T"]).size().reset_index(name="members")
    pd.testing.assert_frame_equal(found.table, counted.astype({"x": "int64", "members": "int64"}), rtol=1e-12)
    assert found.table["members"].sum() == len(expected)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    rows = [(f"m{rng.integers(50)}", f"2026-01-{rng.integers(1, 28):02d}", rng.random()) for _ in range(400)]
    end = dt.date(2026, 2, 1)
    days = [purchase_days(f) for f in (log(rows), log(rows).sample(frac=1, random_state=3))]
    one, other = (cells(each, end).table for each in days)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    first, second = (spend_cells(histories(each, end)) for each in days)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_no_orders_are_too_little_data() -> None:
    found = cells(purchase_days(log([])), dt.date(2026, 2, 1))
    assert found.table.empty and RepeatShares(found, 0.95).overall.known is False


def test_repeat_shares_count_what_happened_after_the_cut() -> None:
    """Ninety days: the cut is thirty days before the end, on the second of March."""
    rows = []
    for i in range(30):  # bought on day 1, and ten of them again after the cut
        rows.append((f"once{i}", "2026-01-01", 1.0))
        if i < 10:
            rows += [(f"once{i}", "2026-03-10", 1.0), (f"once{i}", "2026-03-12", 1.0)]
    for i in range(5):  # two repeats shortly before the cut, none after
        rows += [(f"more{i}", f"2026-02-{day:02d}", 1.0) for day in (20, 24, 27)]
    found = RepeatShares(cells(purchase_days(log(rows)), dt.date(2026, 4, 1)), 0.95)
    weeks = 30 / 7
    assert found.days == 30 and found.horizon == pytest.approx(weeks)
    assert (found.overall.value, found.overall.n) == (10 / 35, 35)
    # a class of its own, an empty class of a frequency that was seen, and a frequency that was not
    assert found.share([0, 2, 9], [0, 3, 9], [9, 5, 10]) == pytest.approx([1 / 3, 0, np.nan], nan_ok=True)
    assert found.share([0], [0], [1]) == pytest.approx([1 / 3])
    assert found.transactions(2 * weeks, [0], [0], [9]) == pytest.approx([2 * 20 / 30])


def test_cdnow_histories_are_the_published_ones(reference_data: Path) -> None:
    names = ["master", "member_id", "day", "units", "value"]
    path = reference_data / "rfm" / "CDNOW_sample.txt"
    raw = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"member_id": str, "day": str})
    summary = pd.read_csv(reference_data / "rfm" / "cdnow_customers_summary.csv")
    found = lives(raw.assign(day=pd.to_datetime(raw["day"], format="%Y%m%d"), kind="order"), "1997-09-30")
    assert found["x"].tolist() == summary["frequency"].tolist()
    assert found["t_x"].round(2).tolist() == pytest.approx(summary["recency"].tolist(), abs=0.0051)
    assert found["T"].round(2).tolist() == pytest.approx(summary["T"].tolist(), abs=0.0051)
