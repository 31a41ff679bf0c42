"""The A/B test notebook: planned without a traceback, nothing of an effect when the split is wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.errors import BadData, BadParameters, MissingTable
from tests.notebooks.test_retention import recorded

EFFECTS = ("scorecard", "evidence", "decision", "segments", "beliefs", "proof", "effect_by_look", "metrics")
QUICK = {"proof_runs": 100}


def copied(sample: Path, folder: Path) -> Path:
    shutil.copytree(sample, folder)
    return folder


def files(run: Path) -> set[str]:
    return {path.stem for part in ("tables", "figures") for path in (run / part).glob("*.*")}


def test_where_the_split_is_wrong_no_effect_stands_anywhere(run_cells, sample, tmp_path, capsys):
    data = copied(sample, tmp_path / "data")
    rows = pd.read_parquet(data / "assignments.parquet")
    lost = (rows["exp_id"] == "exp_live_invite") & (rows["arm"] == "control")
    lost &= (rows["assigned_at"] >= "2026-05-08") & (np.arange(len(rows)) % 2 == 0)
    rows[~lost].to_parquet(data / "assignments.parquet")
    run_cells("03_ab_test", data=str(data), **QUICK)
    found = recorded(tmp_path, "findings.json")
    assert list(found) == ["ab_test.split"]
    assert found["ab_test.split"]["headline"].startswith("DO NOT TRUST")
    (action,) = recorded(tmp_path, "actions.json").values()
    assert action["id"] == "ab_test.distrust" and action["call"] == "leave" and "Mend" in action["why"]
    assert not files(tmp_path / "run") & set(EFFECTS)
    said = capsys.readouterr().out
    since = re.search(r"since: (2026-\d\d-\d\d)", said)
    assert since and abs(pd.Timestamp(since[1]) - pd.Timestamp("2026-05-08")) <= pd.Timedelta(days=7)
    assert not re.search(r"visitors of the live show (rose|fell|changed|came)", said)


PLAN = {
    "mode": "plan",
    "experiment": "exp_banner",
    "start": "2026-07-06",
    "end": "2026-08-30",
    "guardrails": {"events:like": 0.1},
    "factors": ["a banner"],
}


def test_a_plan_is_written_once_and_nothing_is_read(run_cells, sample, tmp_path, capsys):
    data = copied(sample, tmp_path / "data")
    run_cells("03_ab_test", data=str(data), **PLAN)
    path = data / "experiments" / "exp_banner.yml"
    written = path.read_bytes()
    fields = yaml.safe_load(written)
    assert fields["looks"] == ["2026-07-30", "2026-08-10", "2026-08-20", "2026-08-30"]
    assert list(recorded(tmp_path, "findings.json")) == ["ab_test.detectable"]
    assert recorded(tmp_path, "actions.json") == {}
    assert not files(tmp_path / "run") & set(EFFECTS)
    assert "Nothing is read: this run wrote the plan down." in capsys.readouterr().out
    shutil.rmtree(tmp_path / "run")
    run_cells("03_ab_test", data=str(data), **PLAN)
    assert path.read_bytes() == written


def test_a_plan_that_cannot_be_is_refused_with_every_mistake(run_cells, sample, tmp_path):
    data = copied(sample, tmp_path / "data")
    wrong = {**PLAN, "start": "", "arms": ["a", "a"]}
    with pytest.raises(BadParameters, match="start"):
        run_cells("03_ab_test", data=str(data), **wrong)


def test_a_design_that_was_changed_is_refused(run_cells, sample, tmp_path):
    data = copied(sample, tmp_path / "data")
    path = data / "experiments" / "exp_live_invite.yml"
    path.write_text(path.read_text("utf-8").replace("smallest_effect: 0.1", "smallest_effect: 0.3"), "utf-8")
    with pytest.raises(BadData, match="changed after it was written down"):
        run_cells("03_ab_test", data=str(data), **QUICK)


def test_without_a_design_or_units_it_is_not_run(run_cells, sample, tmp_path):
    data = copied(sample, tmp_path / "data")
    (data / "assignments.parquet").unlink()
    with pytest.raises(MissingTable, match="assignments"):
        run_cells("03_ab_test", data=str(data), **QUICK)
    shutil.rmtree(data / "experiments")
    with pytest.raises(MissingTable, match="no design"):
        run_cells("03_ab_test", data=str(data), **QUICK)


def test_before_the_first_look_it_is_kept_running(run_cells, tmp_path):
    run_cells("03_ab_test", as_of="2026-04-01", **QUICK)
    (action,) = recorded(tmp_path, "actions.json").values()
    assert action["id"] == "ab_test.keep_running" and action["call"] == "test"
    assert "2026-04-10" in action["why"]
    assert list(recorded(tmp_path, "findings.json")) == ["ab_test.split"]


def test_with_too_few_events_it_is_kept_running_and_nothing_is_shown(run_cells, tmp_path):
    run_cells("03_ab_test", as_of="2026-04-24", **QUICK)
    (action,) = recorded(tmp_path, "actions.json").values()
    assert action["id"] == "ab_test.keep_running" and "too little has happened yet" in action["why"]
    assert list(recorded(tmp_path, "findings.json")) == ["ab_test.split"]
    assert not files(tmp_path / "run") & set(EFFECTS)
