"""Buying histories: hand-made days, the canonical orders table, and an independent count in pandas."""

from __future__ import annotations

from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import BadData, BadParameters
from helpers.stats.btyd.cells import cells, check_histories, members, spend_cells, transactions
from helpers.stats.btyd.repeat_shares import RepeatShares


def orders(rows: list[tuple[str, str, float]], **more: object) -> pd.DataFrame:
    """Orders from (member, UTC time, gross)."""
    frame = pd.DataFrame(rows, columns=["member_id", "paid_at", "gross"])
    frame["paid_at"] = pd.to_datetime(frame["paid_at"], utc=True)
    return frame.assign(order_id=[f"o{i}" for i in range(len(frame))], **more)


def by_member(table: ibis.Table) -> pd.DataFrame:
    return table.to_pandas().set_index("member_id").sort_index()


def test_histories_of_hand_made_days() -> None:
    rows = [
        ("ann", "2026-01-01 04:00", 10.0),
        ("ann", "2026-01-15 04:00", 20.0),
        ("ann", "2026-01-15 09:00", 5.0),  # the same day: one transaction of 25
        ("ann", "2026-01-29 04:00", 35.0),
        ("ann", "2026-03-01 04:00", 99.0),  # after the last day
        ("bob", "2026-01-22 04:00", 7.0),
    ]
    found = by_member(members(orders(rows), as_of="2026-02-05"))
    assert found.loc["ann", ["x", "t_x", "T", "recency_days", "value"]].tolist() == [2, 4.0, 5.0, 7, 70.0]
    assert found.loc["ann", "mean_repeat_value"] == 30.0
    assert found.loc["bob", ["x", "t_x", "T", "recency_days", "value"]].tolist() == [0, 0.0, 2.0, 14, 7.0]
    assert np.isnan(found.loc["bob", "mean_repeat_value"])
    in_days = by_member(members(orders(rows), as_of="2026-02-05", unit_days=1))
    assert in_days.loc["ann", ["t_x", "T"]].tolist() == [28.0, 35.0]


def test_a_day_is_a_day_in_the_report_time_zone() -> None:
    late = orders([("ann", "2026-01-01 15:00", 1.0), ("ann", "2026-01-01 17:00", 1.0)])
    assert by_member(members(late, as_of="2026-01-08"))["x"].tolist() == [1]
    assert by_member(members(late, as_of="2026-01-08", report_tz="UTC"))["x"].tolist() == [0]


def test_value_is_net_and_missing_parts_are_nothing() -> None:
    frame = orders([("ann", "2026-01-01 04:00", 10.0), ("ann", "2026-01-02 04:00", 50.0)])
    frame["discount"], frame["refund"] = [np.nan, 5.0], [1.0, np.nan]
    found = by_member(members(frame, as_of="2026-01-08"))
    assert found.loc["ann", ["value", "mean_repeat_value"]].tolist() == [54.0, 45.0]


def test_activity_is_taken_with_its_own_days() -> None:
    frame = pd.DataFrame(
        {
            "member_id": ["ann"] * 3,
            "day": pd.to_datetime(["2026-01-01", "2026-01-08", "2026-01-08"]).date,
            "kind": ["order", "interaction", "order"],
            "value": [3.0, 0.0, 4.0],
        }
    )
    assert by_member(members(frame, as_of="2026-01-08"))["x"].tolist() == [1]
    assert by_member(members(frame, as_of="2026-01-08", count="interaction"))["x"].tolist() == [0]
    assert transactions(frame, count="all").count().to_pandas() == 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=40))
def test_cells_agree_with_a_count_in_pandas(rows: list[tuple[int, int, int]]) -> None:
    start = pd.Timestamp("2026-01-01 02:00", tz="UTC")
    frame = pd.DataFrame(rows, columns=["who", "day", "value"])
    given_orders = pd.DataFrame(
        {
            "member_id": frame.who.astype(str),
            "paid_at": start + pd.to_timedelta(frame.day, "D"),
            "gross": frame.value,
        }
    )
    seen = frame[frame.day <= 30].groupby(["who", "day"]).value.sum().reset_index()
    found = cells(given_orders, as_of="2026-01-31")
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
    assert found.members == len(expected) and found.unit == "weeks"


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"m{rng.integers(50)}", f"2026-01-{rng.integers(1, 28):02d} 05:00", rng.random()) for _ in range(400)
    ]
    frame = orders(rows)
    one, other = (cells(f, as_of="2026-02-01").table for f in (frame, frame.sample(frac=1, random_state=3)))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    first, second = (
        spend_cells(members(f, as_of="2026-02-01")) for f in (frame, frame.sample(frac=1, random_state=3))
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_empty_orders_are_too_little_data() -> None:
    found = cells(orders([]), as_of="2026-02-01")
    assert found.members == 0 and "too little data" in found.sentence
    assert RepeatShares(found).overall.known is False


def test_bad_input_is_named() -> None:
    with pytest.raises(BadData, match="orders: column gross missing"):
        members(orders([("ann", "2026-01-01", 1.0)]).drop(columns="gross"), as_of="2026-01-02")
    two = orders([("ann", "2026-01-01", 1.0), ("bob", "2026-01-01", 1.0)], currency=["CNY", "USD"])
    with pytest.raises(BadData, match=r"2 currencies \(CNY, USD\)"):
        cells(two, as_of="2026-01-02")
    with pytest.raises(BadParameters, match="as_of == 'June'"):
        cells(two, as_of="June")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"x": 1.5, "t_x": 1, "T": 2}, "whole number"),
        ({"x": 1, "t_x": 3, "T": 2}, "t_x <= T"),
        ({"x": 0, "t_x": 1, "T": 2}, "t_x must be 0"),
        ({"x": 2, "t_x": 0, "T": 2}, "above 0 with one"),
        ({"x": np.nan, "t_x": 0, "T": 2}, "missing"),
    ],
)
def test_impossible_histories_are_counted_and_shown(row: dict[str, float], rule: str) -> None:
    good = {"x": 1, "t_x": 1, "T": 2}
    with pytest.raises(BadData, match=rule) as caught:
        check_histories(pd.DataFrame([good, row, good]))
    assert "1 of 3 rows" in str(caught.value)


def test_repeat_shares_count_what_happened_after_the_cut() -> None:
    rows = []
    for i in range(30):  # bought on day 1, and ten of them again after the cut at day 61
        rows.append((f"once{i}", "2026-01-01 04:00", 1.0))
        if i < 10:
            rows += [(f"once{i}", "2026-03-10 04:00", 1.0), (f"once{i}", "2026-03-12 04:00", 1.0)]
    for i in range(5):  # two repeats shortly before the cut, none after
        rows += [(f"more{i}", f"2026-02-{day:02d} 04:00", 1.0) for day in (20, 24, 27)]
    found = RepeatShares(cells(orders(rows), as_of="2026-03-31"), horizon_days=30)
    table = found.table.set_index(["frequency", "recency"])
    assert table.loc[("0", "1 to 2"), ["members", "returned", "transactions"]].tolist() == [30, 10, 20]
    assert table.loc[("2-3", "under 1/2"), ["members", "returned"]].tolist() == [5, 0]
    assert (found.overall.value, found.overall.n) == (10 / 35, 35)
    assert found.share([0, 2, 9], [0, 3, 9], [8, 5, 10]) == pytest.approx([1 / 3, 0, np.nan], nan_ok=True)
    weeks = 30 / 7
    assert found.transactions(2 * weeks, [0], [0], [8]) == pytest.approx([2 * 20 / 30])


def test_cdnow_histories_are_the_published_ones(reference_data: Path) -> None:
    names = ["master", "member_id", "day", "units", "gross"]
    path = reference_data / "rfm" / "CDNOW_sample.txt"
    raw = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"member_id": str, "day": str})
    day = pd.to_datetime(raw["day"], format="%Y%m%d")
    summary = pd.read_csv(reference_data / "rfm" / "cdnow_customers_summary.csv")
    for zone in ("Asia/Shanghai", "America/New_York"):
        local = raw.assign(paid_at=day.dt.tz_localize(zone), order_id=raw.index.astype(str))
        found = by_member(members(local, as_of="1997-09-30", report_tz=zone))
        assert found["x"].tolist() == summary["frequency"].tolist()
        assert found["t_x"].round(2).tolist() == pytest.approx(summary["recency"].tolist(), abs=0.0051)
        assert found["T"].round(2).tolist() == pytest.approx(summary["T"].tolist(), abs=0.0051)
