"""A study derives each shared table once and takes frames in place of what it would derive."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters, MissingTable
from helpers.report import params
from helpers.study import Study

DAY = pd.Timestamp("2026-06-10T04:00Z")
EVENTS = pd.DataFrame(
    {
        "event_id": ["e1", "e2", "e3"],
        "member_id": ["a", "a", "b"],
        "ts": [DAY, DAY + pd.Timedelta(days=3), DAY + pd.Timedelta(days=30)],
        "event": ["like", "comment", "like"],
    }
)
MEMBERS = pd.DataFrame({"member_id": ["a", "b"], "joined_at": [DAY, DAY], "source": ["search", "friend"]})


def test_what_is_shared_is_derived_once(study_of) -> None:
    study = study_of({"events": EVENTS, "members": MEMBERS}, "2026-06-30")
    assert study.activity is study.activity
    assert sorted(study.activity.to_pandas()["member_id"]) == ["a", "a"], "the rest lies after the last day"
    assert study.began == dt.date(2026, 6, 10)
    assert study.count == "interaction"
    assert set(study.population.to_pandas()["source"]) == {"search", "friend"}
    assert study.scope == "all members, as of 2026-06-30 (Asia/Shanghai)"
    without = study_of({"population": MEMBERS.assign(joined_day=DAY)}, "2026-06-30")
    with pytest.raises(BadData, match="left_day"):
        _ = without.population


def test_frames_stand_for_what_would_be_derived(study_of) -> None:
    days = pd.DataFrame({"member_id": ["a"], "day": [pd.Timestamp("2026-06-01")], "kind": ["order"]})
    study = study_of({"activity": days}, "2026-06-30", count="order", seed=3)
    assert study.member_days.to_pandas()["member_id"].tolist() == ["a"]
    assert (study.at(dt.date(2026, 6, 15)).as_of, study.at(dt.date(2026, 6, 15)).seed) == (
        dt.date(2026, 6, 15),
        3,
    )


def test_what_cannot_be_is_refused(study_of) -> None:
    for wrong in ({"confidence": 95}, {"count": "likes"}):
        with pytest.raises(BadParameters, match=next(iter(wrong))):
            study_of({"events": EVENTS}, "2026-06-30", **wrong)
    with pytest.raises(BadParameters, match="as_of"):
        study_of({"events": EVENTS}, "yesterday")


def test_a_notebooks_parameters_open_it(sample) -> None:
    study = Study.open(params.validate("01_rfm", {"data": str(sample)}))
    assert study.draws == 500
    assert study.value_weights is None
    assert set(study.dataset.names) <= {"members", "events", "orders", "referrals", "costs"}


def test_a_table_that_is_needed_is_missed_before_anything_is_read(tmp_path) -> None:
    EVENTS.to_parquet(tmp_path / "events.parquet")
    with pytest.raises(MissingTable, match="members"):
        Study.open(params.validate("02_retention", {"data": str(tmp_path)}))
