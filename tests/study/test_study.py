"""A study derives each shared table once and takes frames in place of what it would derive."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters, MissingTable
from helpers.report import params
from helpers.study import Study
from helpers.study.days import number_of
from helpers.study.parameters import CommonParameters

FIRST = dt.date(2026, 3, 1)
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
    assert set(study.dataset.tables) <= {"members", "events", "orders", "referrals", "costs"}


def test_without_a_table_of_actions_nothing_is_opened(tmp_path) -> None:
    MEMBERS.to_parquet(tmp_path / "members.parquet")
    with pytest.raises(MissingTable, match="events, messages or orders missing"):
        Study.open(params.validate("02_retention", {"data": str(tmp_path)}))


def test_without_members_first_seen_stands_for_joined_and_it_is_said(tmp_path) -> None:
    EVENTS.to_parquet(tmp_path / "events.parquet")
    for notebook, said in (("01_rfm", False), ("02_retention", True), ("14_outlook", True)):
        study = Study.open(params.validate(notebook, {"data": str(tmp_path), "k_min": 1}))
        assert study.population.to_pandas()["joined_day"].dt.date.tolist() == [dt.date(2026, 6, 10)]
        assert ("first seen stands for joining" in study.provisional) == said
    MEMBERS.assign(left_at=pd.Series([None, None], dtype="datetime64[us, UTC]")).to_parquet(
        tmp_path / "members.parquet"
    )
    assert not Study.open(params.validate("02_retention", {"data": str(tmp_path), "k_min": 1})).provisional


def test_a_segment_of_actions_is_said_to_cut_activity_and_not_members(tmp_path) -> None:
    homes = MEMBERS.assign(platform_home=["douyin", "weibo"])
    EVENTS.assign(platform=["douyin", "weibo", "douyin"]).to_parquet(tmp_path / "events.parquet")
    homes.to_parquet(tmp_path / "members.parquet")
    given = {"data": str(tmp_path), "k_min": 1, "as_of": "2026-07-10"}
    home, cut = (
        Study.open(params.validate("02_retention", given | {"segment": f'{name} == "douyin"'}))
        for name in ("platform_home", "platform")
    )
    assert home.scope.startswith('platform_home == "douyin", as of')
    assert home.population.to_pandas()["member_id"].tolist() == ["a"] and len(home.counted.to_pandas()) == 2
    assert cut.scope.startswith('activity with platform == "douyin", of all members who have any, as of')
    assert sorted(cut.population.to_pandas()["member_id"]) == ["a", "b"] and len(cut.counted.to_pandas()) == 2
    (note,) = [note for note in cut.health.notes if "cuts activity, not members" in note]
    assert "write platform_home" in note


def log(*offsets: int, member: str = "a", kind: str = "interaction") -> pd.DataFrame:
    days = [FIRST + dt.timedelta(days=k) for k in offsets]
    return pd.DataFrame({"member_id": [member] * len(days), "day": days, "kind": [kind] * len(days)})


def test_a_day_is_active_once_and_only_by_what_counts(study_of) -> None:
    rows = pd.concat([log(0, 0, 3), log(5, kind="order"), log(6, kind="weighted")])
    for count, expected in (("interaction", [0, 3]), ("order", [5]), ("all", [0, 3, 5])):
        found = study_of({"activity": rows}, "2026-06-30", count=count).member_days.to_pandas()
        assert sorted(pd.to_datetime(found["day"]).dt.date) == [
            FIRST + dt.timedelta(days=k) for k in expected
        ]
    with pytest.raises(BadData, match="activity: column kind missing"):
        _ = study_of({"activity": log(1).drop(columns="kind")}, "2026-06-30").member_days


def test_spells_know_what_was_before_and_after_and_whether_the_member_left(study_of) -> None:
    gone = [None, FIRST + dt.timedelta(days=6)]
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": [FIRST, FIRST], "left_day": gone})
    frames = {"activity": pd.concat([log(0, 4), log(2, 9, member="b")]), "population": people}
    found = study_of(frames, FIRST + dt.timedelta(days=20)).spells.to_pandas()
    found = found.sort_values(["member_id", "at"], ignore_index=True)
    assert (found["at"] - number_of(FIRST)).tolist() == [0, 4, 2]
    assert (found["last"] - number_of(FIRST)).tolist() == [20, 20, 6]
    assert found["left"].tolist() == [False, False, True]
    assert found["before"].fillna(-1).tolist() == [-1, 4, -1]
    assert found["after"].fillna(-1).tolist() == [4, -1, -1]


def test_the_log_begins_as_stated_or_with_its_first_row(study_of) -> None:
    assert study_of({"activity": log(3, 1)}, "2026-06-30").began == FIRST + dt.timedelta(days=1)
    assert study_of({"activity": log()}, "2026-06-30").began is None
    asked = study_of({"activity": log(3)}, "2026-06-30", history_from="2026-01-01")
    assert asked.began == dt.date(2026, 1, 1)


def test_newcomers_joined_since_the_log_began(study_of) -> None:
    joined = [FIRST, FIRST - dt.timedelta(days=1)]
    people = pd.DataFrame({"member_id": ["a", "b"], "joined_day": joined, "left_day": None})
    found = study_of({"activity": log(0, 2), "population": people}, "2026-06-30").newcomers
    assert found.population.to_pandas()["member_id"].tolist() == ["a"]
    assert found.began == FIRST


def test_what_is_not_about_members_needs_no_log_of_them(tmp_path) -> None:
    class Parameters(CommonParameters):
        tables: ClassVar[tuple[str, ...]] = ("costs",)
        about_members: ClassVar[bool] = False

    (tmp_path / "costs.csv").write_text(
        "cost_id,date,kind,amount,currency\nc1,2026-06-01,ads,10,CNY\n", encoding="utf-8"
    )
    study = Study.open(Parameters(data=str(tmp_path)))
    assert (list(study.dataset.tables), study.data) == (["costs"], str(tmp_path))
