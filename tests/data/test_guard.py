"""What leaves an engine is counted, and refused when it is too much."""

from __future__ import annotations

from dataclasses import astuple

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from ibis.backends.duckdb import Backend

from helpers.data import guard, source
from helpers.errors import TooManyRows


@pytest.fixture
def events(monkeypatch):
    """Return 40 rows of a table, of which 30 may leave."""
    monkeypatch.setattr(guard, "MOST_PULLED", 30)
    monkeypatch.setattr(guard, "PULLED", guard.Pulled())
    at = pd.date_range("2025-01-01", periods=40, freq="h", tz="UTC")
    rows = {"event_id": [f"e{i}" for i in range(40)], "member_id": "a", "ts": at, "event_type": "like"}
    events = source.open({"events": pd.DataFrame(rows)}, check=False).events
    monkeypatch.setattr(guard, "PULLED", guard.Pulled())
    return events


@pytest.mark.parametrize("ask", ["execute", "to_pyarrow"])
def test_more_rows_than_may_leave_are_refused_with_what_to_do(events, ask):
    text = r"question to events about event_id, ts has 40 rows as its answer, and at most 30 .* segment"
    with pytest.raises(TooManyRows, match=text):
        getattr(events.select("event_id", "ts"), ask)()
    with pytest.raises(TooManyRows, match="about event_id has 40 rows"):
        getattr(events.event_id, ask)()
    assert not guard.PULLED.queries
    assert events.count().execute() == 40


@pytest.mark.parametrize("ask", ["execute", "to_pyarrow"])
def test_an_engine_is_told_to_stop_at_one_row_too_many(events, ask, monkeypatch):
    real, limits = getattr(Backend, ask), []

    def seen(self, expr, /, **options):
        limits.append(options.get("limit"))
        return real(self, expr, **options)

    monkeypatch.setattr(Backend, ask, seen)
    getattr(events.limit(30), ask)()
    getattr(events, ask)(limit=5)
    assert limits[0] == 31 and limits[-1] == 5


def test_any_other_engine_is_guarded_too(events):
    pytest.importorskip("sqlite3")
    con = guard.guarded(ibis.sqlite.connect())
    con.create_table("events", events.select("event_id", "member_id").limit(30).execute())
    assert len(con.table("events").execute()) == 30 and guard.PULLED.rows == 60
    con.insert("events", pd.DataFrame({"event_id": ["one"], "member_id": ["more"]}))
    with pytest.raises(TooManyRows, match="has 31 rows"):
        con.table("events").to_pyarrow()


def test_who_needs_more_room_asks_for_it(events):
    with guard.room_for(40):
        assert len(events.execute()) == 40
    with pytest.raises(TooManyRows, match="at most 39 leave"), guard.room_for(39):
        events.execute()
    with pytest.raises(TooManyRows, match="at most 30 leave"):
        events.execute()


def test_a_join_and_what_is_stored_pass_the_same_door(events):
    joined = events.join(events.select("event_id", other="ts"), "event_id")
    with pytest.raises(TooManyRows, match="question to events about"):
        joined.execute()
    with pytest.raises(TooManyRows, match="question to stored results about"):
        events.cache().execute()


def test_results_are_counted_in_the_form_of_arrow(events):
    frame = events.select("event_id", "ts").limit(30).execute()
    size = pa.Table.from_pandas(frame, preserve_index=False).nbytes
    assert astuple(guard.PULLED) == (1, 30, 30, size)
    events.limit(10).ts.to_pyarrow()
    size += 82  # with a bit each that says whether it is there
    assert astuple(guard.PULLED) == (2, 40, 30, size)
    assert events.count().execute() == 40 and astuple(guard.PULLED) == (3, 41, 30, size + 8)


def test_of_no_rows_the_latest_instant_is_none_and_leaves_the_engine_too(events):
    assert pd.isna(events.filter(events.member_id == "b").ts.max().execute())
    assert guard.PULLED.queries == 1
