"""Contact lists of earlier reports come back, on their day and by their hold-out."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.data import guard
from helpers.data.privacy import pseudonymise
from helpers.playbook.contact.lists import contact_list
from helpers.playbook.earlier import REPORTS
from helpers.playbook.returned import ReturnedLists, returned_lists
from helpers.study import Study

MADE, DAYS, MEMBERS = dt.date(2026, 5, 31), 30, 2_000
Return = Callable[..., ReturnedLists]


def people() -> pd.DataFrame:
    ids = [f"m{number:04d}" for number in range(MEMBERS)]
    return pd.DataFrame({"member_id": ids, "tier": "core", "expected_value": 5.0})


@pytest.fixture
def returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Return:
    """Publish lists, let members act with another chance where contacted, and ask on a day.

    Many others act too, of whom no more than the id may leave the engine.
    """
    monkeypatch.setenv(REPORTS, str(tmp_path))
    monkeypatch.setattr(guard, "MOST_PULLED", MEMBERS + 100)

    def returned(
        lift: float = 0.0,
        on: str = "2026-07-05",
        share: float = 0.3,
        series: tuple[str, ...] = ("rfm/all",),
        segment: str = "",
    ) -> ReturnedLists:
        members, rng = people(), np.random.default_rng(8)
        made = Study.of({"activity": members, "population": members}, MADE, seed=4)
        found = contact_list(made, members, name="recall", holdout_share=share, days=DAYS)
        for name in series:
            lists = tmp_path / name / "v1" / "lists"
            lists.mkdir(parents=True)
            found.frame.to_parquet(lists / "recall.parquet")
            parameters = {"as_of": str(MADE), "segment": ""}
            manifest = {"status": "succeeded", "failure": None, "parameters": parameters, "files": {}}
            (lists.parent / "manifest.json").write_text(json.dumps(manifest))
        arm = found.frame.set_index("member_id")["arm"]
        contacted = (pseudonymise(members["member_id"]).map(arm) == "contact").to_numpy()
        acts = rng.random(MEMBERS) < 0.2 + lift * contacted
        day = np.where(acts, 15, -3)  # all acted before the list was made, which must not count
        activity = pd.DataFrame({
            "member_id": members["member_id"], "day": pd.Timestamp(MADE) + pd.to_timedelta(day, "D"),
            "kind": "order", "value": 50.0,
        })  # fmt: skip
        after = activity[acts].assign(day=pd.Timestamp(MADE) + pd.Timedelta(days=DAYS + 1), value=9e6)
        others = activity.assign(member_id="x" + activity["member_id"])
        tables = {"activity": pd.concat([activity, after, others]), "population": members}
        asked = Study.of(tables, on, count="order", segment=segment, reads_reports=("rfm",), method="outlook")
        return returned_lists(asked)

    return returned


@pytest.mark.parametrize(("lift", "verdict"), [(0.15, "better"), (0.0, "no clear change"), (-0.12, "worse")])
def test_a_list_comes_back_with_what_contact_changed(returned: Return, lift: float, verdict: str) -> None:
    """By acts from the day after it was made to the day that stands in it; what lies outside is nothing."""
    found = returned(lift)
    (row,) = found.rows
    assert (
        row.check_on == MADE + dt.timedelta(days=DAYS) and row.acted.contacted + row.acted.held_out == MEMBERS
    )
    assert row.acted.verdict == verdict and row.acted.difference.low < lift < row.acted.difference.high
    (one,) = found.found()
    assert (one.id, one.verdict) == (
        "outlook.list_rfm_recall",
        verdict,
    ) and "held-out members" in one.sentence
    (table,) = [part for part in found.told() if hasattr(part, "frame")]
    assert table.frame["verdict"].tolist() == [verdict] and table.frame["report"].tolist() == ["rfm/all v1"]


def test_a_list_comes_back_on_its_day_and_not_before(returned: Return) -> None:
    assert "No contact list" in returned(on="2026-06-29").sentence


def test_of_a_method_the_whole_community_comes_back(returned: Return) -> None:
    assert len(returned(series=("rfm/all", "rfm/douyin")).rows) == 1


def test_parts_come_back_where_there_is_no_whole(returned: Return) -> None:
    assert len(returned(series=("rfm/wechat", "rfm/douyin")).rows) == 2


def test_lists_of_others_do_not_come_back(returned: Return) -> None:
    assert returned(segment="platform_home == 'douyin'").rows == ()


def test_a_hold_out_of_too_few_does_not_come_back(returned: Return) -> None:
    assert returned(share=0.002).rows == ()


def test_another_salt_is_no_list_of_nobody(returned: Return, monkeypatch: pytest.MonkeyPatch) -> None:
    first = returned()
    monkeypatch.setenv("PLAYBOOK_SALT", "another")
    assert len(first.rows) == 1 and returned_lists(first.study).rows == ()
