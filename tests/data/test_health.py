"""Data health finds planted defects and nothing else."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from helpers.data import privacy, source
from helpers.data.health import Health, health
from helpers.data.source import Dataset


def times(*texts: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts), utc=True, format="ISO8601"))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    members = pd.DataFrame({"member_id": ["1", "2"], "joined_at": times("2025-01-01", "2025-01-02")})
    stamps = [f"2025-01-{day:02d}T02:00" for day in (1, 2, 5) for _ in range(20)]
    events = pd.DataFrame(
        {"event_id": [str(i) for i in range(60)], "member_id": "1", "event": "like", "ts": times(*stamps)}
    )
    events["content_id"] = ["c1"] * 30 + ["c2"] * 15 + [None] * 15
    events["platform"] = ["x"] * 54 + [None] * 6
    events["ingested_at"] = events["ts"] + pd.to_timedelta([2] * 3 + [0] * 57, unit="D")
    orders = pd.DataFrame(
        {
            "order_id": ["a", "b", "c", "d"],
            "member_id": ["1", "8", "9", "9"],
            # In Shanghai the last order was paid on 10 January.
            "paid_at": times("2025-01-07", "2025-01-08", "2025-01-09", "2025-01-09T20:00"),
            "gross": 1.0,
            "phone": "x",
            "ingested_at": times("2025-03-01")[0],
        }
    )
    content = pd.DataFrame({"content_id": ["c1"], "published_at": times("2025-01-01")})
    return source.open({"members": members, "events": events, "orders": orders, "content": content})


@pytest.fixture(scope="module")
def state(dataset: Dataset) -> Health:
    return health(dataset)


def test_one_row_per_table(state: Health) -> None:
    frame = state.frame.set_index("table")
    assert list(frame.index) == ["members", "events", "orders", "content"]
    assert frame["rows"].to_dict() == {"members": 2, "events": 60, "orders": 4, "content": 1}
    assert frame.loc["orders", "first"] == dt.date(2025, 1, 7)
    assert frame.loc["orders", "last"] == dt.date(2025, 1, 10)
    assert frame.loc["events", "empty_days"] == 2 and frame.loc["orders", "empty_days"] == 0


def test_days_are_those_of_the_zone_asked_for(dataset: Dataset) -> None:
    frame = health(dataset, report_tz="UTC").frame.set_index("table")
    assert frame.loc["orders", "last"] == dt.date(2025, 1, 9)


def test_freshness_is_relative_to_a_day(dataset: Dataset, state: Health) -> None:
    assert state.as_of == dt.date(2025, 1, 10)
    assert state.frame.set_index("table").loc["events", "freshness_days"] == 5
    later = health(dataset, as_of=dt.date(2025, 2, 10))
    assert later.frame.set_index("table").loc["orders", "freshness_days"] == 31
    assert "orders ends 31 days before 2025-02-10." in later.sentence


def test_missing_shares(state: Health) -> None:
    events = state.frame.set_index("table").loc["events"]
    assert events["missing"] == "content_id 25.0 %, platform 10.0 %" and events["missing_share"] == 0.25


def test_late_rows_and_bulk_exports(state: Health) -> None:
    frame = state.frame.set_index("table")
    assert frame.loc["events", "late_rows"] == 3 and frame.loc["events", "late_share"] == pytest.approx(0.05)
    # All orders arrived at one moment: that says nothing about how late data are.
    assert pd.isna(frame.loc["orders", "late_share"])


def test_late_days_of_daily_tables() -> None:
    days = pd.DataFrame({"date": [dt.date(2025, 1, 1)] * 3, "platform": "x", "campaign_id": ["1", "2", "3"]})
    days = days.assign(creative_id="1", cost=1.0)
    # 1 January ends in Shanghai at 16:00 UTC; a day later is still in time.
    days["ingested_at"] = times("2025-01-02T16:00", "2025-01-03T15:59", "2025-01-03T16:01")
    frame = health(source.open({"ad_daily": days})).frame
    assert frame["late_rows"].tolist() == [1]


def test_unmatched_ids_are_shown_as_pseudonyms(state: Health) -> None:
    unmatched = state.unmatched.set_index(["table", "column"])
    orders = unmatched.loc[("orders", "member_id")]
    assert (orders["ids"], orders["unmatched_ids"], orders["rows"], orders["unmatched_rows"]) == (3, 2, 4, 3)
    assert orders["share"] == pytest.approx(2 / 3)
    assert orders["examples"] == ", ".join(privacy.pseudonym(i) for i in ("8", "9"))
    assert unmatched.loc[("events", "member_id"), "unmatched_ids"] == 0
    content = unmatched.loc[("events", "content_id")]
    assert (content["ids"], content["unmatched_ids"], content["examples"]) == (2, 1, "c2")


def test_the_sentence_and_the_notes(state: Health) -> None:
    assert state.sentence.startswith("4 tables with 67 rows from 2025-01-01 to 2025-01-10.")
    assert "events has 2 days without rows." in state.sentence
    assert "5.0 % of the rows of events arrived more than a day late." in state.sentence
    assert "2 of 3 member_id in orders (66.7 %) are not in members." in state.sentence
    assert any("phone withheld" in note for note in state.notes)


def test_empty_tables() -> None:
    frame = pd.DataFrame({"order_id": [], "member_id": [], "paid_at": [], "gross": []}, dtype=object)
    frame = frame.astype({"paid_at": "datetime64[us, UTC]", "gross": float})
    state = health(source.open({"orders": frame}))
    row = state.frame.iloc[0]
    assert row["rows"] == 0 and row["first"] is None and pd.isna(row["freshness_days"])
    assert state.sentence == "1 table with 0 rows. Empty: orders." and state.as_of is None
