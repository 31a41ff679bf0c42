"""Pruning: what stays, what goes, and that nothing is ever half gone."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.errors import BadData
from helpers.report.housekeeping import prune
from helpers.report.page import index
from helpers.report.publish import store
from helpers.report.publish.catalog import Catalog
from helpers.report.publish.store import CannotPublish

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
    return store.published(reports)


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
    with store.staging(reports) as folder:
        assert store.publish(folder, reports, "rfm/all", lambda version: None) == 13


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
    with pytest.raises(CannotPublish, match=r"rfm/all/v3 cannot be removed: Permission denied"):
        prune(reports, 1)
    assert "rfm/all/v3" in left(reports) and "rfm/all/v2" not in left(reports)
    assert all((reports / path / "findings.json").is_file() for path in left(reports))
    listed = json.loads((reports / "catalog.json").read_text())["series"][0]["versions"]
    assert len(listed) == 10, "the catalogue says what is there"


def test_what_a_killed_pruning_left_behind_is_removed(reports: Path) -> None:
    index.rebuild(reports)
    (reports / "rfm/all/v1").rename(reports / ".trash-left-0")
    (reports / "rfm/all/diffs").mkdir()
    (reports / "rfm/all/diffs/v1-v2.html").write_text("")
    prune(reports, 99)
    assert [path.name for path in reports.rglob(".*")] == []
    assert not (reports / "rfm/all/diffs/v1-v2.html").exists()
    listed = json.loads((reports / "catalog.json").read_text())["series"][0]["versions"]
    assert [version["version"] for version in listed] == list(range(12, 1, -1))


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_while_pruning_leaves_things_sound(tmp_path: Path, put_version: Put, seed: int) -> None:
    for number in range(1, 51):
        folder = put_version(tmp_path, "rfm/all", number, status="succeeded" if number <= 4 else "failed")
        (folder / "tables").mkdir()
        (folder / "tables/t.csv").write_text("a")
    index.rebuild(tmp_path)
    process = multiprocessing.get_context("fork").Process(target=prune, args=(tmp_path, 1))
    process.start()
    time.sleep(random.Random(seed).uniform(0.0, 0.05))
    process.kill()
    process.join()
    for path in left(tmp_path):
        assert {part.name for part in (tmp_path / path).iterdir()} == {
            "manifest.json",
            "findings.json",
            "tables",
        }
        assert (tmp_path / path / "tables/t.csv").read_text() == "a"
    assert {"rfm/all/v4", "rfm/all/v50"} <= set(left(tmp_path))
    Catalog.model_validate_json((tmp_path / "catalog.json").read_bytes())
    prune(tmp_path, 1)
    assert left(tmp_path) == ["rfm/all/v4", "rfm/all/v50"]
    assert [path.name for path in tmp_path.rglob(".*")] == []
    listed = json.loads((tmp_path / "catalog.json").read_text())["series"][0]["versions"]
    assert [version["version"] for version in listed] == [50, 4]
    assert json.loads((tmp_path / "rfm/all/latest.json").read_bytes())["version"] == 4


def test_a_pointer_that_a_kill_left_behind_names_no_pruned_version(reports: Path) -> None:
    (reports / "rfm/all/latest.json").write_text('{"path": "v1", "version": 1}')
    prune(reports, 1)
    assert json.loads((reports / "rfm/all/latest.json").read_bytes()) == {"path": "v4", "version": 4}


def test_pruning_sets_a_full_disk_free(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(index, "rebuild", full)
        with pytest.raises(CannotPublish, match="versions are removed, but the catalogue"):
            prune(reports, 1)
    trash = list(reports.glob(".trash-*"))
    assert trash and not [part for folder in trash for part in folder.iterdir()], "the files are gone"
    prune(reports, 1)
    assert not list(reports.glob(".trash-*")) and (reports / "catalog.json").is_file()


def test_versions_that_cannot_be_read_are_named(reports: Path) -> None:
    (reports / "rfm/all/v12/manifest.json").write_text('{"series": 3')
    (reports / "rfm/new/v1/findings.json").write_text("[1]")
    run = CliRunner()
    shown = run.invoke(app, ["list", "--reports", str(reports)])
    assert shown.exit_code == 0 and "v11" in shown.output
    assert "rfm/all/v12: manifest cannot be read" in shown.output and "rfm/new/v1: " in shown.output
    for address in ("rfm/all", "rfm/new"):
        refused = run.invoke(app, ["show", address, "--reports", str(reports)])
        assert isinstance(refused.exception, BadData) and "cannot be read" in str(refused.exception)
    assert run.invoke(app, ["show", "rfm/all@v11", "--reports", str(reports)]).exit_code == 0
