"""The budget notebook on hard input: not run, refused in words, and what a stated test changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from helpers.errors import BadParameters, MissingTable
from tests.notebooks.test_retention import recorded


def copied(sample: Path, folder: Path) -> Path:
    shutil.copytree(sample, folder)
    return folder


def test_without_advertising_it_is_not_run(run_cells, sample, tmp_path):
    data = copied(sample, tmp_path / "data")
    (data / "ad_daily.parquet").unlink()
    with pytest.raises(MissingTable, match="ad_daily"):
        run_cells("05_budget", data=str(data))


@pytest.mark.parametrize("as_of", ["2025-09-30", "2025-12-31"])
def test_too_few_weeks_allocate_nothing_and_say_why(as_of, run_cells, tmp_path, capsys):
    run_cells("05_budget", as_of=as_of)
    found = recorded(tmp_path, "findings.json")
    known = {name for name, one in found.items() if one["value"] is not None}
    # Six months of cost tell what a fan cost; only the curves need more weeks.
    assert known - {"budget.fan_cost"} == {"budget.trust", "budget.core_share", "budget.ads_share"}
    (action,) = recorded(tmp_path, "actions.json").values()
    assert action["id"] == "budget.refuse" and "weeks; response curves need 40" in action["why"]
    said = capsys.readouterr().out
    assert "Trust is red" in said and "nan" not in said


def test_an_unknown_outcome_names_those_there_are(run_cells):
    with pytest.raises(BadParameters, match="there is active_members"):
        run_cells("05_budget", outcome="nothing")


@pytest.mark.slow
def test_a_stated_test_moves_its_line_and_is_told(run_cells, sample, tmp_path, capsys):
    data = copied(sample, tmp_path / "data")
    row = {
        "evidence_id": "1",
        "estimand": "roi",
        "line": "dy_feed",
        "start": "2025-10-06",
        "end": "2025-11-30",
    }
    row |= {
        "value": 0.012,
        "se": 0.0006,
        "unit": "conversions per CNY",
        "kind": "experiment",
        "as_of": "2026-01-31",
    }
    rows = pd.DataFrame([row])
    for name in ("start", "end", "as_of"):
        rows[name] = pd.to_datetime(rows[name]).dt.date
    rows.to_parquet(data / "evidence.parquet")
    run_cells("05_budget", data=str(data))
    changed = pd.read_parquet(tmp_path / "run" / "tables" / "evidence.parquet").iloc[0]
    assert changed["line"] == "dy_feed" and changed["with_se"] < 0.5 * changed["without_se"]
    assert changed["with"] > changed["without"]
    assert "Statements" in capsys.readouterr().out or changed["says"] == pytest.approx(0.012, rel=0.15)
