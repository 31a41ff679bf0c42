"""Runs: what is published, how it ends, that it can be repeated to the byte and tells no secret."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.report.plan import provenance, skip
from helpers.report.publish import catalog, store
from helpers.report.publish.manifest import read_actions, read_findings, read_manifest
from helpers.report.run.result import RunResult
from tests.latin import untranslated
from tests.report.plans import plan

BuildNotebook = Callable[..., Path]
Run = Callable[..., RunResult]

READ = """from helpers.report import params, record
parameters = params.read("01_rfm", globals())"""
RECORD = """import pandas as pd
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
frame = pd.DataFrame({"tier": list({"core", "active", "silent"}), "day": pd.Timestamp("2026-01-01"), "n": 1})
record.table("tiers", frame, "Tiers in the order of a set, which depends on PYTHONHASHSEED")
record.contact_list("core", pd.DataFrame({"member_id": ["p_0123456789abcdef"]}), "Core members")
source = Provenance(method="count", assumption="none")
numbers = dict(value=1.0, low=0.5, high=1.5, confidence=0.95, n=9, unit="share")
found = Finding(id="x", metric="X", scope="all", direction="neither", verdict="stated", sentence="X is one.",
                provenance=source, **numbers)
record.findings([found])
record.actions([Action(id="a", title="Do it", why="X", finding_ids=("x",), owner_role="lead",
                       expected_value=None, low=None, high=None, cost=0, confidence_class="rule",
                       check_metric="X", check_after_days=7)])"""


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_a_manifest_tells_all_about_a_run(build_notebook: BuildNotebook, run: Run) -> None:
    folder = run(build_notebook(READ, RECORD), parameters={"seed": "5"}).folder
    manifest = read_manifest(folder)
    recorded = {
        "tables/tiers.parquet",
        "lists/core.csv",
        "lists/core.parquet",
        "findings.json",
        "actions.json",
    }
    assert recorded | {"report.html", "notebook.ipynb"} <= set(manifest.files)
    assert (manifest.status, manifest.failure, manifest.series) == ("succeeded", None, "rfm/all")
    assert (manifest.title, manifest.question) == ("Tiny notebook", "Does it run?")
    assert (manifest.parameters["seed"], manifest.seed, manifest.parameters["data"]) == (5, 5, "tables")
    assert manifest.data.tables["orders"].rows == 3
    assert {cell.status for cell in manifest.cells} == {"completed"}
    assert {name: entry.sha256 for name, entry in manifest.files.items()} == hashes(folder)
    assert manifest.bookkeeping is not None and len(manifest.bookkeeping.cell_seconds) == len(manifest.cells)
    assert "pandas" in manifest.packages and len(manifest.run_key) == 64
    assert read_findings(folder)[0].sentence == "X is one." and read_actions(folder)[0].id == "a"
    nb = nbformat.read(folder / "notebook.ipynb", as_version=4)
    assert "papermill" not in nb.metadata and all("papermill" not in cell.metadata for cell in nb.cells)


def test_a_failed_run_publishes_what_it_has_and_latest_stays(
    project: Path, build_notebook: BuildNotebook, run: Run
) -> None:
    show = 'import pandas as pd\nrecord.table("kept", pd.DataFrame({"a": [1]}), "Kept")'
    path = build_notebook(
        READ, show, "assert parameters.seed == 1, f'seed {parameters.seed}'", "print('never')"
    )
    good = run(path, parameters={"seed": 1})
    bad = run(path, parameters={"seed": "2"})
    assert (good.status, good.version, bad.status, bad.version) == ("succeeded", 1, "failed", 2)
    assert bad.line.startswith("rfm/all v2: failed in ") and bad.line.endswith(
        "(exception, cell 6): AssertionError: seed 2"
    )
    folder = project / "reports" / "rfm" / "all"
    assert json.loads((folder / "latest.json").read_text()) == {"path": "v1", "version": 1}
    assert (folder / "v2" / "tables" / "kept.parquet").is_file()
    assert bad.manifest.failure is not None and bad.manifest.failure.cell == 6
    page = (folder / "v2" / "report.html").read_text()
    assert "seed 2" in page and "Kept" in page
    (series,) = catalog.build(project / "reports").series
    assert (series.latest, [version.status for version in series.versions]) == (1, ["failed", "succeeded"])
    assert not list((project / "reports").glob(f"{store.STAGING}*"))


def test_a_missing_table_is_not_run_and_no_failure(
    project: Path, build_notebook: BuildNotebook, run: Run
) -> None:
    code = 'from helpers.data import source\nsource.open(parameters.data, check=False)["events"]'
    result = run(build_notebook(READ, code), label="Douyin & friends")
    assert (result.status, result.series) == ("not_run", "rfm/douyin-friends")
    assert result.manifest.failure is not None
    assert result.manifest.failure.message == "table events missing"
    assert not (project / "reports" / "rfm" / "douyin-friends" / "latest.json").exists()
    assert "table events missing" in (result.folder / "report.html").read_text()


def test_a_failed_run_in_chinese_tells_why_in_chinese(
    build_notebook: BuildNotebook, run: Run, project: Path
) -> None:
    orders = pd.read_parquet(project / "tables/orders.parquet")
    orders.assign(order_id="o1").to_parquet(project / "tables/orders.parquet")
    opened = "from helpers.report import params\nfrom helpers.study import Study\n"
    path = build_notebook(f"{opened}Study.open(params.read('01_rfm', globals()))")
    done = run(path, parameters={"language": "zh", "as_of": "2026-01-03"})
    assert done.failure and done.folder and done.failure.kind == "bad_data"
    assert done.failure.message == (
        "订单有1处不符合数据约定：\n- orders.order_id：主键重复（2行，用playbook check查看）。"
        "每行应是一笔订单；在源头删掉重复的行，留下对的那行。"
    )
    assert re.fullmatch(
        r"rfm/all.zh v1：运行失败，用时[\d.]+秒（数据有误，第4个单元格）：订单有1处.*", done.line
    )
    banner = (done.folder / "report.html").read_text("utf-8").partition('<section class="banner')[2]
    banner = banner.partition("</section>")[0]
    assert "主键重复（2行" in banner
    assert untranslated(f'<section class="banner{banner}</section>', frozenset({"orders"})) == {}


def test_everything_is_checked_before_a_kernel_starts(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    path = build_notebook(READ)
    monkeypatch.setattr(
        "helpers.report.run.engine.execute", lambda *_, **__: pytest.fail("a kernel was started")
    )
    with pytest.raises(BadParameters, match='unknown parameter "segmnt"'):
        run(path, parameters={"segmnt": "x"})
    with pytest.raises(BadParameters, match="segment"):
        run(path, parameters={"segment": "platform = 3"})
    with pytest.raises(BadParameters, match="label"):
        run(path, label="//")
    with pytest.raises(BadParameters, match="nowhere"):
        run(path, data="nowhere")
    with pytest.raises(BadParameters, match="Did you mean"):
        run(project / "notebooks" / "01_rmf.ipynb")
    assert not (project / "reports").exists()


def test_a_segment_names_its_series(build_notebook: BuildNotebook) -> None:
    path = build_notebook(READ)
    assert plan(path).series == "rfm/all"
    assert plan(path, parameters={"segment": 'platform == "douyin"'}).series == "rfm/platform-douyin"
    assert plan(path, parameters={"segment": 'platform == "douyin"'}, label="Mine").series == "rfm/mine"


def test_values_of_the_cell_are_the_defaults(build_notebook: BuildNotebook) -> None:
    checked = plan(build_notebook(READ), parameters={"confidence": "0.9"})
    assert (checked.values["seed"], checked.values["confidence"], checked.values["data"]) == (
        3,
        0.9,
        "tables",
    )
    assert checked.given == {"confidence": 0.9}


def test_a_reports_folder_that_cannot_be_written_is_a_message(
    project: Path, build_notebook: BuildNotebook, run: Run
) -> None:
    (project / "blocked").write_text("")
    with pytest.raises(store.CannotPublish, match="cannot be written"):
        run(build_notebook(READ), reports=project / "blocked")


def test_the_run_key_follows_whatever_determines_the_result(
    build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = {"code": "a", "parameters": {"seed": 1}, "data": "x"}
    key = provenance.run_key(identity)
    assert key == provenance.run_key(dict(reversed(identity.items())))
    changed = [identity | {"code": "b"}, identity | {"parameters": {"seed": 2}}, identity | {"data": "y"}]
    keys = {provenance.run_key(other) for other in changed}
    monkeypatch.setenv("PLAYBOOK_SALT", "another salt gives other pseudonyms")
    assert len({key, provenance.run_key(identity)} | keys) == 5
    first = provenance.code(build_notebook("1"), None)
    second = provenance.code(build_notebook("2"), None)
    assert first.notebook_sha256 != second.notebook_sha256 and first.modules == second.modules
    printed = build_notebook("2")
    notebook = nbformat.read(printed, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="what it once said")]
    nbformat.write(notebook, printed)
    assert provenance.code(printed, None) == second


def test_git_tells_commit_and_changes(tmp_path: Path) -> None:
    assert provenance.git(tmp_path) == (None, None)

    def git(*arguments: str) -> str:
        names = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(tmp_path), *names, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert provenance.git(tmp_path) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "new.py").write_text("")
    assert provenance.git(tmp_path).dirty is True


def test_data_that_change_while_the_report_is_made_are_told(
    project: Path, build_notebook: BuildNotebook, run: Run
) -> None:
    touch = "import pathlib\npath = pathlib.Path('../tables/orders.parquet')\n"
    change = "import pandas as pd\npd.read_parquet(path).head(2).to_parquet(path)"
    same = run(build_notebook(READ, touch + "path.write_bytes(path.read_bytes())"))
    assert same.manifest.data.changed == [] and "the data changed" not in same.line
    other = run(build_notebook(READ, touch + change))
    assert (other.status, other.manifest.data.changed) == ("succeeded", ["orders"])
    assert "the data changed while the report was made (orders)" in other.line
    told = "Table orders changed while this report ran: numbers may mix two states."
    pages = [(one.folder / "report.html").read_text("utf-8") for one in (same, other)]
    assert [told in page for page in pages] == [False, True]
    assert skip.decide(plan(project / "notebooks" / "01_rfm.ipynb"), project / "reports").version is None
    gone = run(build_notebook(READ, touch + "path.unlink()"))
    assert gone.manifest.data.changed == ["orders"]
