"""Days of tenure by hand, against a slow count in Python, and stays that cannot be."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.data import source
from helpers.errors import BadData
from helpers.stats.survival.cells import cells
from helpers.stats.survival.durations import exit_durations, silence_durations
from helpers.study.people import population

AS_OF = "2026-03-31"


def stays(*rows: tuple[str, str, str | None]) -> pd.DataFrame:
    """A population from (member, joined, left)."""
    frame = pd.DataFrame(rows, columns=["member_id", "joined_day", "left_day"])
    return frame.assign(
        joined_day=pd.to_datetime(frame["joined_day"]), left_day=pd.to_datetime(frame["left_day"])
    )


def by_member(table: ibis.Table) -> dict[str, tuple[int, bool]]:
    """Tenure and event per member."""
    frame = table.to_pandas()
    return {row.member_id: (int(row.tenure_days), bool(row.exited)) for row in frame.itertuples(index=False)}


def test_days_of_tenure() -> None:
    people = stays(
        ("same day", "2026-03-01", "2026-03-01"),
        ("next day", "2026-03-01", "2026-03-02"),
        ("still here", "2026-03-01", None),
        ("joined last", "2026-03-31", None),
        ("leaves later", "2026-03-30", "2026-04-02"),
        ("leaves last", "2026-03-30", "2026-03-31"),
        ("not yet", "2026-04-01", None),
        ("leap", "2024-02-28", "2024-03-01"),
    )
    assert by_member(exit_durations(people, as_of=AS_OF)) == {
        "same day": (0, True),
        "next day": (1, True),
        "still here": (30, False),
        "joined last": (0, False),
        "leaves later": (1, False),
        "leaves last": (1, True),
        "leap": (2, True),
    }


def test_late_entry_counts_days_already_passed_and_drops_who_left_before() -> None:
    people = stays(
        ("old", "2026-01-01", None),
        ("gone before", "2026-01-01", "2026-01-30"),
        ("gone on the first day", "2026-01-01", "2026-02-01"),
        ("new", "2026-02-10", "2026-02-12"),
    )
    found = exit_durations(people, as_of=AS_OF, observed_from="2026-02-01").to_pandas().set_index("member_id")
    assert found["entry_day"].to_dict() == {"old": 31, "gone on the first day": 31, "new": 0}
    assert found.loc["gone on the first day", ["tenure_days", "exited"]].tolist() == [31, True]


def test_further_columns_come_along() -> None:
    people = stays(("a", "2026-02-03", None)).assign(source="search")
    assert exit_durations(people, as_of=AS_OF).to_pandas()["source"].tolist() == ["search"]


def test_a_leave_before_a_join_is_refused_by_name() -> None:
    people = stays(
        ("fine", "2026-01-01", None), ("a", "2026-03-01", "2026-02-01"), ("b", "2026-03-02", "2026-03-01")
    )
    with pytest.raises(
        BadData, match="left_at: 2 members without a day of joining, or with a leave before it"
    ):
        cells(exit_durations(people, as_of=AS_OF))
    with pytest.raises(BadData, match="1 member without"):
        cells(exit_durations(stays(("x", None, None)), as_of=AS_OF))  # type: ignore[arg-type]


@pytest.mark.parametrize("observed_from", [None, "2026-02-20"])
def test_an_engine_table_with_a_leave_before_a_join_is_refused_while_counting(
    observed_from: str | None,
) -> None:
    people = ibis.memtable(stays(("a", "2026-03-01", "2026-02-01"), ("b", "2026-03-01", None)))
    durations = exit_durations(people, as_of=AS_OF, observed_from=observed_from)
    with pytest.raises(
        BadData, match="left_at: 1 member without a day of joining, or with a leave before it"
    ):
        cells(durations)


def test_missing_columns() -> None:
    with pytest.raises(BadData, match="column left_day missing"):
        exit_durations(pd.DataFrame({"member_id": ["a"], "joined_day": ["2026-01-01"]}), as_of=AS_OF)


def test_the_population_has_the_columns_of_members() -> None:
    members = pd.DataFrame(
        {
            "member_id": ["a", "b", "bot", "later"],
            "joined_at": pd.to_datetime(
                ["2026-01-01 17:00", "2026-01-05 02:00", "2026-01-05 02:00", "2026-05-01 00:00"], utc=True
            ),
            "left_at": pd.to_datetime(["2026-02-01 15:59", "2026-04-02 00:00", None, None], utc=True),
            "is_bot": [False, False, True, False],
            "source": ["x", None, "x", "x"],
        }
    )
    dataset = source.open({"members": members}, now=dt.datetime(2026, 6, 1))
    found = population(dataset, as_of=AS_OF).order_by("member_id").to_pandas()
    assert found["source"].tolist()[0] == "x" and "joined_at" in found
    assert found["joined_day"].astype(str).tolist() == ["2026-01-02", "2026-01-05"]
    assert found["left_day"].astype(str).tolist() == ["2026-02-01", "NaT"]


def test_first_silence_by_hand() -> None:
    people = stays(
        ("never", "2026-01-01", None),
        ("once", "2026-01-01", None),
        ("busy", "2026-01-01", None),
        ("edge", "2026-01-01", None),
        ("almost", "2026-03-02", None),
        ("new", "2026-03-30", None),
        ("leaves", "2026-01-01", "2026-01-15"),
        ("silent, then leaves", "2026-01-01", "2026-02-15"),
    )
    acts = [("once", "2026-01-10"), ("once", "2026-03-01"), ("edge", "2026-03-21"), ("leaves", "2026-01-10")]
    acts += [("busy", str(day.date())) for day in pd.date_range("2026-01-05", "2026-03-31", freq="10D")]
    acts += [("edge", str(day.date())) for day in pd.date_range("2026-01-01", "2026-03-21", freq="9D")]
    acts += [("once", "2026-01-10"), ("stranger", "2026-01-10"), ("busy", "2025-12-01")]
    days = pd.DataFrame(acts, columns=["member_id", "day"])
    days["day"] = pd.to_datetime(days["day"])
    found = by_member(silence_durations(days, people, as_of=AS_OF, silence_days=10))
    assert found == {
        "never": (1, True),  # silent from 2 January on
        "once": (10, True),  # from 11 January on, whatever came later
        "busy": (80, False),  # 9 quiet days each time; a beginning is seen up to 22 March
        "edge": (80, True),  # 22 to 31 March are ten days
        "almost": (1, True),
        "new": (0, False),  # nobody can tell yet
        "leaves": (14, False),  # leaving is no silence
        "silent, then leaves": (1, True),
    }


def test_first_silence_equals_a_walk_through_the_days() -> None:
    rng = np.random.default_rng(4)
    start, end, quiet = dt.date(2026, 1, 1), dt.date(2026, 3, 31), 7
    people, acts, expected = [], [], {}
    for number in range(150):
        name = f"m{number}"
        joined = start + dt.timedelta(days=int(rng.integers(0, 90)))
        left = joined + dt.timedelta(days=int(rng.integers(0, 60))) if rng.random() < 0.3 else None
        left = left if left is not None and left <= end else None
        active = {joined + dt.timedelta(days=int(d)) for d in rng.integers(0, 90, rng.integers(0, 40))}
        people.append((name, str(joined), str(left) if left else None))
        acts += [(name, pd.Timestamp(day)) for day in active if day <= end]
        expected[name] = _walk(joined, left, active, end, quiet)
    days = pd.DataFrame(acts, columns=["member_id", "day"])
    assert by_member(silence_durations(days, stays(*people), as_of=end, silence_days=quiet)) == expected
    assert sum(event for _, event in expected.values()) > 30


def _walk(
    joined: dt.date, left: dt.date | None, active: set[dt.date], end: dt.date, quiet: int
) -> tuple[int, bool]:
    """The definition, day by day: the first day that begins `quiet` whole silent days as a member."""
    one = dt.timedelta(days=1)
    last = end if left is None else left - one
    day = joined + one
    while day + (quiet - 1) * one <= last:
        if not any(day + i * one in active for i in range(quiet)):
            return (day - joined).days, True
        day += one
    stop = min(left or end, end - (quiet - 1) * one)
    return max(0, (stop - joined).days), False


@pytest.mark.parametrize(
    ("zone", "as_of"),
    [
        ("Asia/Shanghai", "2026-03-31"),
        ("America/New_York", "2026-03-08"),  # clocks go forward
        ("America/New_York", "2026-11-01"),  # clocks go back
        # back at a minute past midnight: the 6th comes again after the 7th
        pytest.param("America/St_Johns", "2010-11-06", marks=pytest.mark.slow),
        ("America/Sao_Paulo", "2018-11-03"),  # forward at midnight
    ],
)
def test_the_end_of_a_day_is_that_of_the_calendar(zone: str, as_of: str) -> None:
    middle = pd.Timestamp(as_of, tz=zone).tz_convert("UTC").tz_localize(None) + pd.Timedelta(days=1)
    near = middle + pd.to_timedelta(np.arange(-4 * 3600, 4 * 3600, 30), unit="s")
    near = near.append(near + pd.Timedelta(microseconds=-1))
    joined = pd.DataFrame({"member_id": [f"m{i}" for i in range(len(near))], "joined_at": near})
    joined["left_at"] = joined["joined_at"] + pd.Timedelta(minutes=10)
    day = pd.Timestamp(as_of).date()
    local = {c: joined[c].dt.tz_localize("UTC").dt.tz_convert(zone).dt.date for c in ("joined_at", "left_at")}
    kept = local["joined_at"] <= day
    gone = local["left_at"].where(local["left_at"] <= day)
    found = population(source.Dataset({"members": source.as_table(joined)}), as_of=as_of, report_tz=zone)
    frame = found.to_pandas().set_index("member_id")
    assert 0 < len(frame) < len(joined)
    assert set(frame.index) == set(joined.loc[kept, "member_id"])
    expected = gone[kept].set_axis(joined.loc[kept, "member_id"])
    for name, value in expected.items():
        shown = frame.loc[name, "left_day"]
        assert pd.isna(shown) if pd.isna(value) else pd.Timestamp(shown).date() == value
