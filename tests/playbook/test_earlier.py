"""Earlier reports: what a notebook may see of them, by day, by method, and of whatever release."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.playbook.earlier import REPORTS, EarlierReports, earlier_reports
from helpers.playbook.finding import Finding, finding
from helpers.stats.estimate import Estimate
from helpers.study import Study

Put = Callable[..., Path]
DAY = dt.date(2026, 6, 30)


def said(value: float, **more: Any) -> dict[str, Any]:
    """A finding as it stands on disk."""
    size = Estimate(value, value - 1, value + 1, 50, "CNY", "Welch", 0.95)
    words = {"metric": "Value", "scope": "all", "sentence": "It is so.", "assumption": "none"}
    return finding(size, id="rfm.value", **words).model_dump(mode="json") | more


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Publish a version with a finding."""

    def put(series: str, version: int, day: str, value: float = 5.0, **manifest: Any) -> Path:
        folder = tmp_path / series / f"v{version}"
        folder.mkdir(parents=True)
        text = json.dumps([manifest.pop("finding", said(value))])
        (folder / "findings.json").write_text(text)
        whole = {"schema_version": 2, "status": "succeeded", "failure": None, "parameters": {"as_of": day}}
        files = {
            "findings.json": {"bytes": len(text), "sha256": text},
            "report.html": {"sha256": str(version)},
        }
        (folder / "manifest.json").write_text(json.dumps(whole | {"files": files} | manifest))
        return folder

    return put


def test_a_day_is_known_by_its_newest_version_and_no_later_day_is_seen(put: Put, tmp_path: Path) -> None:
    for version, day in enumerate(("2026-06-23", "2026-06-30", "2026-06-30", "2026-07-07"), 1):
        put("rfm/all", version, day, value=version)
    put("rfm/all", 10, "2026-06-16", value=10)  # ten comes behind nine, not behind one
    put("rfm/weekly", 1, "2026-06-30", value=7)
    put("rfm/weekly", 2, "2026-06-30", status="failed", failure={"message": "no luck\nat all"})
    seen = EarlierReports(tmp_path, DAY)
    assert [(one.version, str(one.as_of)) for one in seen.versions("rfm/all")] == [
        (10, "2026-06-16"), (1, "2026-06-23"), (3, "2026-06-30"),
    ]  # fmt: skip
    assert [one.series for one in seen.latest()] == ["rfm/all", "rfm/weekly"]
    newest = seen.newest("rfm")
    assert newest is not None and (newest.series, newest.findings[0].value) == ("rfm/all", 3.0)
    assert seen.newest("outlook") is None
    assert seen.troubles() == (("rfm/weekly", "failed", DAY, "no luck"),)
    (pair,) = seen.restated("rfm/all")
    assert [one.findings[0].value for one in pair] == [2.0, 3.0]


def test_other_questions_and_equal_answers_restate_nothing(put: Put, tmp_path: Path) -> None:
    put("rfm/all", 1, "2026-06-30", value=1)
    put("rfm/all", 2, "2026-06-30", value=1, parameters={"as_of": "2026-06-30", "data": "elsewhere"})
    put("rfm/all", 3, "2026-06-30", value=2, parameters={"as_of": "2026-06-30", "bins": 4})
    assert EarlierReports(tmp_path, DAY).restated("rfm/all") == ()


def test_a_method_sees_what_it_named_and_itself_before_its_day(put: Put, tmp_path: Path) -> None:
    for method in ("rfm", "outlook", "weekly_review"):
        put(f"{method}/all", 1, "2026-06-29")
        put(f"{method}/all", 2, "2026-06-30", value=6)
    seen = EarlierReports(tmp_path, DAY, ("outlook", "weekly_review"), "weekly_review")
    assert {one.series: one.version for one in seen.latest()} == {"outlook/all": 2, "weekly_review/all": 1}
    assert EarlierReports(tmp_path, DAY, ()).latest() == ()


@pytest.mark.parametrize(("language", "wanted"), [("en", "rfm/all"), ("zh", "rfm/all.zh")])
def test_a_series_in_two_languages_is_seen_once(put: Put, tmp_path: Path, language: str, wanted: str) -> None:
    for series in ("rfm/all", "rfm/all.zh", "outlook/all.zh"):
        put(series, 1, "2026-06-30")
    seen = EarlierReports(tmp_path, DAY, language=language)
    assert [one.series for one in seen.latest()] == ["outlook/all.zh", wanted]
    newest = seen.newest("rfm")
    assert newest is not None and newest.series == wanted and newest.label == "all"


def test_digests_tell_what_was_said_and_nothing_else(put: Put, tmp_path: Path) -> None:
    put("rfm/all", 1, "2026-06-30", value=1)
    before = EarlierReports(tmp_path, DAY).digests()
    put("rfm/all", 2, "2026-06-30", value=1)  # made again, with another page
    assert EarlierReports(tmp_path, DAY).digests() == before
    put("rfm/all", 3, "2026-07-07", value=2)
    assert EarlierReports(tmp_path, DAY).digests() == before
    put("rfm/all", 4, "2026-06-30", value=3)
    assert EarlierReports(tmp_path, DAY).digests() != before


def test_other_releases_and_damage_are_read_as_far_as_they_go(put: Put, tmp_path: Path) -> None:
    put("rfm/all", 1, "2026-06-23", schema_version=1, finding=said(4, colour="red"))
    put("rfm/all", 2, "2026-06-30", finding=said(4) | {"verdict": "splendid"})
    (put("rfm/all", 3, "2026-06-30") / "manifest.json").write_text("{")
    put("rfm/all", 4, "latest")
    old, new = EarlierReports(tmp_path, DAY).versions("rfm/all")
    assert isinstance(old.findings[0], Finding) and old.findings[0].value == 4
    assert new.version == 2 and new.findings == () and new.actions == () and new.table("none") is None


def test_a_study_finds_them_where_the_kernel_was_told(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = put("rfm/all", 1, "2026-06-30") / "tables"
    tables.mkdir()
    pd.DataFrame({"line": ["douyin"]}).to_parquet(tables / "evidence.parquet")
    study = Study.of({}, DAY, reads_reports=("rfm",))
    monkeypatch.setenv(REPORTS, str(tmp_path))
    (one,) = earlier_reports(study).latest()
    found = one.table("evidence")
    assert found is not None and found["line"].tolist() == ["douyin"]
    monkeypatch.setenv(REPORTS, "/dev/null")
    assert earlier_reports(study).latest() == ()
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "reports").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.delenv(REPORTS)
    monkeypatch.chdir(project / "notebooks")
    assert len(earlier_reports(study).latest()) == 1
