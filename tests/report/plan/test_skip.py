"""Skip: an unchanged run is not made again, and whatever gives reason to doubt is."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.report.plan import provenance
from helpers.report.plan.desk import Plan
from helpers.report.plan.imports import changed
from helpers.report.plan.skip import decide, read_by
from helpers.report.publish.earlier import COMPARED, Earlier, compared
from helpers.report.publish.manifest import Data, FileEntry, Manifest, TableFingerprint, dump_json
from tests.report.plans import plan
from tests.report.sample_records import findings

AROUND = ("2026-06-30", "2026-07-01")
"""The last day that counts by default, and the day after."""


@pytest.fixture
def made(build_notebook: Callable[..., Path]) -> Plan:
    return plan(build_notebook("from helpers.methods import intervals"))


@pytest.fixture
def reports(project: Path) -> Path:
    return project / "reports"


@pytest.fixture
def put(made: Plan, reports: Path, build_manifest: Callable[..., Manifest]) -> Callable[..., Path]:
    """Publish a version of the plan's series with one file, as if it had been run."""

    def put(version: int = 1, status: str = "succeeded", **changes: Any) -> Path:
        folder = reports / made.series / f"v{version}"
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("<p>12345")
        manifest = build_manifest(made.series, version, status=status).model_copy(
            update={
                "run_key": made.run_key,
                "code": made.code,
                "parameters": made.values,
                "data": Data(url="tables", tables=made.tables),
                "python": platform.python_version(),
                "packages": provenance.packages(),
                "environment": made.environment,
                "files": {"report.html": FileEntry(bytes=8, sha256="0" * 64)},
                **changes,
            }
        )
        (folder / "manifest.json").write_text(manifest.to_json())
        return folder

    return put


@pytest.mark.parametrize("status", ["succeeded", "not_run"])
def test_the_same_key_is_not_run_again(
    made: Plan, reports: Path, put: Callable[..., Path], status: str
) -> None:
    assert decide(made, reports) == (None, "first version")
    put(1, status)
    assert decide(made, reports) == (1, "unchanged since v1")
    assert decide(made, reports).version == 1


@pytest.mark.parametrize("status", ["failed", "timed_out", "kernel_died"])
def test_what_failed_is_run_again(made: Plan, reports: Path, put: Callable[..., Path], status: str) -> None:
    put(1)
    put(2, status)
    assert decide(made, reports) == (None, f"v2 {status.replace('_', ' ')}")


def test_the_newest_version_decides(made: Plan, reports: Path, put: Callable[..., Path]) -> None:
    put(9)
    put(10, run_key="0" * 64)
    assert decide(made, reports).version is None
    put(11)
    assert decide(made, reports).version == 11


def test_what_a_report_is_compared_with_is_part_of_its_key(
    made: Plan, reports: Path, put: Callable[..., Path]
) -> None:
    """A version that was compared stands as long as that is there unchanged, or is gone."""
    earlier_day = put(1, run_key="0" * 64, parameters=made.values | {"as_of": "2026-05-31"})
    digest = Earlier(dt.date(2026, 5, 31), []).digest
    put(2, run_key=compared(made.run_key, digest), environment=made.environment | {COMPARED: digest})
    assert decide(made, reports) == (2, "unchanged since v2")
    found = [one.model_dump(mode="json") for one in findings()]
    (earlier_day / "findings.json").write_text(dump_json(found))
    assert decide(made, reports) == (None, f"environment changed: {COMPARED}")
    shutil.rmtree(earlier_day)
    assert decide(made, reports) == (2, "unchanged since v2")


@pytest.mark.parametrize("damage", ["missing", "short", "manifest", "no manifest"])
def test_damage_is_mended_by_a_run(made: Plan, reports: Path, put: Callable[..., Path], damage: str) -> None:
    folder = put()
    if damage == "missing":
        (folder / "report.html").unlink()
    elif damage == "short":
        (folder / "report.html").write_text("<p>")
    elif damage == "manifest":
        (folder / "manifest.json").write_text('{"run_key": ')
    else:
        (folder / "manifest.json").unlink()
    version, reason = decide(made, reports)
    assert version is None and reason in (
        "files of v1 are missing or cut short",
        "the manifest of v1 cannot be read",
        "first version",
    )


def test_the_reason_names_what_changed(made: Plan, reports: Path, put: Callable[..., Path]) -> None:
    code = made.code.model_copy(update={"modules": made.code.modules | {"helpers.errors": "1" * 64}})
    tables = {"orders": TableFingerprint(rows=3, sha256="1" * 64)}
    put(
        run_key="0" * 64,
        parameters=made.values | {"seed": 4, "bins": 4},
        code=code,
        data=Data(url="tables", tables=tables),
        packages={},
    )
    reason = decide(made, reports).reason
    assert "parameters changed: bins, seed" in reason
    assert "data changed: orders" in reason
    assert "code changed: helpers.errors" in reason
    assert "packages changed" in reason


def test_the_reason_names_what_changed_in_the_environment(
    made: Plan, reports: Path, put: Callable[..., Path], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put()
    assert decide(made, reports).version == 1

    def reason() -> str:
        decision = decide(plan(made.notebook), reports)
        assert decision.version is None
        return decision.reason

    with monkeypatch.context() as patched:
        patched.setenv("PLAYBOOK_SALT", "another salt")
        assert reason() == "environment changed: PLAYBOOK_SALT"
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        assert reason() == "environment changed: PYTHONPATH"
    with monkeypatch.context() as patched:
        patched.setattr(platform, "python_version", lambda: "3.99.1")
        assert reason().endswith(" to 3.99.1")
    (project / "tables" / "notes.txt").write_text("")
    assert reason() == "environment changed: other files in the folder of data"


def test_a_package_that_nobody_names_counts(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "indirect-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    provenance.installed.cache_clear()
    first = plan(made.notebook).run_key
    (tmp_path / "site" / "indirect-1.0.dist-info").rename(tmp_path / "site" / "indirect-1.1.dist-info")
    provenance.installed.cache_clear()
    second = plan(made.notebook).run_key
    provenance.installed.cache_clear()
    assert len({made.run_key, first, second}) == 3


def test_a_report_whose_data_changed_meanwhile_does_not_stand(
    made: Plan, reports: Path, put: Callable[..., Path]
) -> None:
    put(data=Data(url="tables", tables=made.tables, changed=["orders"]))
    assert decide(made, reports) == (None, "the data changed while v1 was made: orders")


def test_a_decision_is_news_for_the_review_alone_and_not_for_a_day_before_it(
    build_notebook: Callable[..., Path], reports: Path
) -> None:
    review, other = plan(build_notebook("1", name="13_weekly_review")), plan(build_notebook("1"))
    before = read_by(review, reports)
    reports.mkdir()
    event = {"event": "proposed", "id": "rfm/all/x@2026-06-01", "title": "X", "created": "2026-06-01"}
    lines = [json.dumps(event | {"check_on": "2026-08-01", "at": f"{day}T09:00:00+00:00"}) for day in AROUND]
    (reports / "actions.jsonl").write_text(lines[1])
    assert read_by(review, reports) == before, "decided later"
    (reports / "actions.jsonl").write_text("\n".join(lines))
    assert changed(before, read_by(review, reports)) == ["actions.jsonl"]
    (reports / "actions.jsonl").write_text("{")
    assert changed(before, read_by(review, reports)) == ["actions.jsonl"], "a damaged file is told by the run"
    assert read_by(other, reports) == {}
