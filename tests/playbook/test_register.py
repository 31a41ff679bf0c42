"""The register: states, two writers at once, damage, and what may not stand in it."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers import errors
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.register import FILE, Register, decide

TODAY = dt.date.today()
WEEK = dt.timedelta(days=7)
Propose = Callable[..., EarlierReports]


@pytest.fixture
def propose(tmp_path: Path) -> Propose:
    """Publish a version with an action, and return the reports as they are seen today."""

    def propose(version: int = 1, day: dt.date = TODAY - WEEK, **action: Any) -> EarlierReports:
        folder = tmp_path / f"retention/all/v{version}"
        folder.mkdir(parents=True)
        whole: dict[str, Any] = {
            "id": "retention.cap_pushes", "title": "Send fewer pushes", "why": "They leave faster.",
            "finding_ids": ["retention.push_effect"], "owner_role": "community lead",
            "expected_value": 900.0, "low": -100.0, "high": 2000.0, "cost": 0.0,
            "confidence_class": "correlation", "check_metric": "exits", "check_after_days": 28,
        }  # fmt: skip
        (folder / "actions.json").write_text(json.dumps([whole | action]))
        manifest = {"status": "succeeded", "failure": None, "parameters": {"as_of": str(day)}, "files": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return EarlierReports(tmp_path, TODAY)

    return propose


def states(reports: EarlierReports, table: pd.DataFrame | None = None) -> dict[str, str]:
    return {one.id.partition("@")[2]: one.state for one in Register.read(reports, table).entries}


def test_a_proposal_is_accepted_and_closed_and_is_not_proposed_again_meanwhile(propose: Propose) -> None:
    reports = propose()
    (entry,) = Register.read(reports).entries
    assert (entry.state, entry.owner, entry.expected_value) == ("proposed", "community lead", 900.0)
    decide(
        reports,
        "retention.cap_pushes",
        "accepted",
        "growth",
        "worth a try",
        metric="exits",
        scope="all members",
    )
    reports = propose(2, TODAY)
    (entry,) = Register.read(reports).entries
    assert (entry.state, entry.accepted, entry.who, entry.metric) == ("accepted", TODAY, "growth", "exits")
    decide(reports, entry.id, "closed", "growth", "done")
    assert states(propose(3, TODAY)) == {str(TODAY - WEEK): "closed", str(TODAY): "proposed"}
    lines = [json.loads(line) for line in (reports.folder / FILE).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["proposed", "accepted", "closed"]


def test_a_register_survives_the_reports_it_came_from(propose: Propose) -> None:
    reports = propose()
    decide(reports, "retention.cap_pushes", "rejected", "community lead", "no time this month")
    for file in reports.folder.glob("*/*/*/*"):
        file.unlink()
    (entry,) = Register.read(EarlierReports(reports.folder, TODAY)).entries
    assert (entry.title, entry.state, entry.why) == ("Send fewer pushes", "rejected", "no time this month")


def test_what_nobody_decided_expires_after_its_check_date(propose: Propose) -> None:
    reports = propose(1, TODAY - 5 * WEEK)
    assert states(reports) == {str(TODAY - 5 * WEEK): "expired"}
    with pytest.raises(errors.BadParameters, match="is expired"):
        decide(reports, "retention.cap_pushes", "accepted", "growth")
    assert states(propose(2, TODAY)) == {str(TODAY): "proposed"}


def test_what_another_report_tells_again_or_is_left_alone_is_no_proposal(propose: Propose) -> None:
    assert Register.read(propose(1, TODAY, id="rfm.recall")).entries == ()
    assert Register.read(propose(2, TODAY, call="leave")).entries == ()


def test_a_refusal_stands_until_its_check_date(propose: Propose) -> None:
    reports = propose(1, TODAY - 3 * WEEK)
    decide(reports, "retention.cap_pushes", "rejected", "growth", "too early")
    assert states(propose(2, TODAY)) == {str(TODAY - 3 * WEEK): "rejected"}
    later = EarlierReports(reports.folder, TODAY + 2 * WEEK)
    assert states(later) == {str(TODAY - 3 * WEEK): "rejected", str(TODAY): "proposed"}


def test_a_day_sees_no_later_decision(propose: Propose) -> None:
    reports = propose()
    before = Register.read(reports).digest
    decide(reports, "retention.cap_pushes", "rejected", "growth", "too early")
    yesterday = EarlierReports(reports.folder, TODAY - dt.timedelta(days=1))
    assert states(yesterday) == {str(TODAY - WEEK): "proposed"}
    assert Register.read(yesterday).digest == before != Register.read(reports).digest


def test_a_decision_is_about_an_action_in_the_right_state(propose: Propose) -> None:
    reports = propose()
    with pytest.raises(errors.BadParameters, match=r"not in the register\. Did you mean"):
        decide(reports, "retention/all/retention.cap_pushs@" + str(TODAY - WEEK), "accepted", "growth")
    with pytest.raises(errors.BadParameters, match="must be accepted"):
        decide(reports, "retention.cap_pushes", "closed", "growth")
    decide(reports, "retention.cap_pushes", "accepted", "growth")
    with pytest.raises(errors.BadParameters, match=r"is accepted since .*, must be proposed"):
        decide(reports, "retention.cap_pushes", "accepted", "commerce")


@pytest.mark.parametrize(
    "words",
    ["ask member 8812345", "wang@example.com", "see https://u:secret@host/x", "key sk9aB3kd8Jf2Lm0Qx7"],
)
def test_no_person_and_no_key_enters(propose: Propose, words: str) -> None:
    reports = propose()
    for who, why in ((words, ""), ("growth", words)):
        with pytest.raises(errors.BadParameters, match="no number, address or key"):
            decide(reports, "retention.cap_pushes", "rejected", who, why)
    assert not (reports.folder / FILE).exists()


@pytest.mark.parametrize(
    "damage", ['{"event": "acc', '{"event": "accepted", "id": "x"}', "[]", "\xff", '{"id": "x"}']
)
def test_a_damaged_line_is_named_and_nothing_is_written(propose: Propose, damage: str) -> None:
    reports = propose()
    decide(reports, "retention.cap_pushes", "accepted", "growth")
    path = reports.folder / FILE
    path.write_bytes(path.read_bytes() + damage.encode("latin-1"))
    before = path.read_bytes()
    with pytest.raises(errors.BadData, match=r"actions\.jsonl, line 3: cannot be read"):
        Register.read(reports)
    with pytest.raises(errors.BadData, match="line 3"):
        decide(reports, "retention.cap_pushes", "closed", "growth")
    assert path.read_bytes() == before


def test_a_whole_last_line_without_its_end_is_no_damage(propose: Propose) -> None:
    reports = propose()
    decide(reports, "retention.cap_pushes", "accepted", "growth")
    path = reports.folder / FILE
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert decide(reports, "retention.cap_pushes", "closed", "growth").state == "closed"
    assert states(reports) == {str(TODAY - WEEK): "closed"}


def test_two_writers_at_once_lose_nothing_and_decide_once(propose: Propose) -> None:
    """Two processes on the same four actions: each is decided once, and every line is whole."""
    for version in range(1, 5):
        reports = propose(version, TODAY, id=f"retention{version}.a")
        (reports.folder / f"retention/all/v{version}").rename(reports.folder / f"x{version}")
        (reports.folder / f"retention{version}/all").mkdir(parents=True)
        (reports.folder / f"x{version}").rename(reports.folder / f"retention{version}/all/v1")
    code = (
        "import sys, pathlib, datetime\nfrom helpers.playbook.earlier import EarlierReports\n"
        "from helpers.playbook.register import decide\nfrom helpers.errors import BadParameters\n"
        "reports = EarlierReports(pathlib.Path(sys.argv[1]), datetime.date.today())\n"
        "done = 0\n"
        "for n in (1, 2, 3, 4):\n"
        "    try:\n        decide(reports, f'retention{n}.a', 'rejected', 'growth', 'no'); done += 1\n"
        "    except BadParameters:\n        pass\n"
        "print(done)"
    )
    command = [sys.executable, "-c", code, str(reports.folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [int(one.communicate(timeout=120)[0]) for one in running]
    assert sum(done) == 4 and all(one.returncode == 0 for one in running)
    assert len((reports.folder / FILE).read_text().splitlines()) == 8
    assert {one.state for one in Register.read(reports).entries} == {"rejected"}


def test_the_table_of_actions_overrides_the_file(propose: Propose) -> None:
    reports = propose()
    entry = decide(reports, "retention.cap_pushes", "accepted", "growth")
    rows = [
        {"action_id": entry.id, "created": entry.created, "status": "Closed", "owner": "commerce"},
        {
            "action_id": "own-1",
            "created": TODAY,
            "status": "accepted",
            "owner": None,
            "source_finding": "rfm.value",
        },
    ]
    found = {one.id: one for one in Register.read(reports, pd.DataFrame(rows)).entries}
    assert (found[entry.id].state, found[entry.id].owner, found[entry.id].title) == (
        "closed", "commerce", "Send fewer pushes",
    )  # fmt: skip
    assert (found["own-1"].state, found["own-1"].title, found["own-1"].accepted) == (
        "accepted",
        "rfm.value",
        TODAY,
    )
    with pytest.raises(errors.BadData, match='status == "half done" of own-2'):
        Register.read(
            reports, pd.DataFrame([{"action_id": "own-2", "created": TODAY, "status": "half done"}])
        )
