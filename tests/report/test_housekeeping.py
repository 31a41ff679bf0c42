"""Pruning: what stays, what goes, and that nothing is ever half gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report import housekeeping, publish
from helpers.report.housekeeping import prune

Put = Callable[..., Path]


@pytest.fixture
def reports(tmp_path: Path, put_version: Put) -> Path:
    """One series whose latest good version is old, and one that is short."""
    place = tmp_path / "reports"
    for number in range(1, 13):
        put_version(place, "rfm/all", number, status="succeeded" if number <= 4 else "failed")
    put_version(place, "rfm/new", 1)
    return place


def left(reports: Path) -> list[str]:
    return publish.published(reports)


def test_the_newest_and_the_latest_good_stay(reports: Path) -> None:
    gone = prune(reports, 2)
    assert left(reports) == ["rfm/all/v4", "rfm/all/v11", "rfm/all/v12", "rfm/new/v1"]
    assert [version.path for version in gone] == [f"rfm/all/v{n}" for n in (1, 2, 3, 5, 6, 7, 8, 9, 10)]
    assert all(version.size > 500 for version in gone)
    assert [path.name for path in reports.iterdir() if path.name.startswith(".")] == []
    listed = json.loads((reports / "catalog.json").read_text())["series"]
    assert [version["version"] for version in listed[0]["versions"]] == [12, 11, 4]
    assert prune(reports, 2) == []


def test_a_number_is_never_used_again(reports: Path, tmp_path: Path) -> None:
    prune(reports, 1)
    with publish.staging(reports) as folder:
        assert publish.publish(folder, reports, "rfm/all", lambda version: None) == 13


def test_a_dry_run_removes_nothing(reports: Path) -> None:
    before = left(reports)
    assert len(prune(reports, 1, dry_run=True)) == 10
    assert left(reports) == before and not (reports / "catalog.json").exists()


def test_comparison_pages_go_with_their_versions(reports: Path, put_version: Put) -> None:
    put_version(reports, "rfm/new", 2)
    put_version(reports, "rfm/new", 3)
    pages = ("rfm/all/diffs/v3-v4.html", "rfm/all/diffs/v4-v12.html", "rfm/new/diffs/rfm.all-v12-v1.html")
    for page in (*pages, "rfm/new/diffs/rfm.all-v12-v3.html"):
        (reports / page).parent.mkdir(exist_ok=True)
        (reports / page).write_text("")
    prune(reports, 1)
    assert sorted(path.relative_to(reports).as_posix() for path in reports.glob("*/*/diffs/*")) == [
        "rfm/all/diffs/v4-v12.html",
        "rfm/new/diffs/rfm.all-v12-v3.html",
    ]


def test_a_refusal_leaves_every_version_whole_or_gone(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, calls = Path.rename, []

    def refuse(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 3:
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(housekeeping.CannotPrune, match=r"rfm/all/v3 cannot be removed: Permission denied"):
        prune(reports, 1)
    assert "rfm/all/v3" in left(reports) and "rfm/all/v2" not in left(reports)
    assert all((reports / path / "findings.json").is_file() for path in left(reports))
    listed = json.loads((reports / "catalog.json").read_text())["series"][0]["versions"]
    assert len(listed) == 10, "the catalogue says what is there"


def test_what_a_killed_pruning_left_behind_is_removed(reports: Path) -> None:
    (reports / ".trash-left" / "0").mkdir(parents=True)
    prune(reports, 99)
    assert not (reports / ".trash-left").exists()
