"""The command line: exit codes, messages, and nothing heavy at the start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers import cli
from helpers.report.publish import CannotPublish

HEAVY = (
    "pandas",
    "numpy",
    "pydantic",
    "rich",
    "yaml",
    "papermill",
    "ibis",
    "duckdb",
    "matplotlib",
    "nbformat",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two notebooks of the same method and a folder of tables."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tables").mkdir()
    table = "order_id,member_id,paid_at,gross,currency\no1,m1,2026-01-02T03:04:05Z,10,CNY\n"
    (tmp_path / "tables" / "orders.csv").write_text(table)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name in ("01_rfm", "02_rfm"):
        source = 'data: str = "tables"  # tables\nseed: int = 1  # seed'
        cells = [new_code_cell(source, metadata={"tags": ["parameters"]}), new_code_cell("assert seed < 5")]
        nbformat.write(
            new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / f"notebooks/{name}.ipynb"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call main as the console script does and return the exit code."""
    monkeypatch.setattr(sys, "argv", ["playbook", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def fake_runs(monkeypatch: pytest.MonkeyPatch, *ends: Any) -> list[Path]:
    """Let runs end as told, without kernels: (status, kind) or an exception."""
    started: list[Path] = []

    def execute(plan: Any, **options: Any) -> Any:
        end = ends[len(started)]
        started.append(plan.notebook)
        if isinstance(end, Exception):
            raise end
        failure = SimpleNamespace(kind=end[1]) if end[1] else None
        return SimpleNamespace(
            status=end[0], manifest=SimpleNamespace(failure=failure), line=f"{plan.series} {end[0]}"
        )

    monkeypatch.setattr("helpers.report.run.execute", execute)
    return started


def test_the_start_imports_nothing_heavy() -> None:
    code = f"import sys, helpers.cli\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_help_names_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in ("run", "check", "params", "list", "simulate"))


@pytest.mark.parametrize(
    ("ends", "code", "failed"),
    [
        ([("succeeded", None), ("not_run", "missing_table")], 0, 0),
        ([("failed", "exception"), ("succeeded", None)], 1, 1),
        ([("kernel_died", "kernel_died"), ("timed_out", "timed_out")], 1, 2),
        ([("failed", "bad_data"), ("succeeded", None)], 2, 1),
        ([("failed", "bad_data"), ("failed", "exception")], 1, 2),
        ([CannotPublish("disk full"), ("succeeded", None)], 1, 1),
    ],
)
def test_exit_codes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ends: list[Any],
    code: int,
    failed: int,
) -> None:
    started = fake_runs(monkeypatch, *ends)
    assert call(monkeypatch, "run") == code
    assert [path.stem for path in started] == ["01_rfm", "02_rfm"], "a failure does not stop the others"
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"2 run, {failed} failed"
    assert (folder / "reports" / "catalog.json").is_file()


def test_real_runs_end_with_their_codes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    assert call(monkeypatch, "run", "01_rfm", "-p", "seed=7", "--label", "high") == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("rfm/high v1: failed in ") and out[0].endswith(
        "(exception, cell 3): AssertionError"
    )
    manifest = json.loads((folder / "reports/rfm/high/v1/manifest.json").read_text())
    assert manifest["parameters"]["seed"] == 7
    assert call(monkeypatch, "list") == 0
    said = capsys.readouterr().out
    assert "rfm/high" in said and "failed" in said


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["-p", "segmnt=x", "-p", "seed=-1"],
            ['unknown parameter "segmnt". Did you mean "segment"?', "seed == '-1'"],
        ),
        (["-p", "seed"], ["-p takes NAME=VALUE, got 'seed'"]),
        (["-p", "=3"], ["-p takes NAME=VALUE"]),
        (["--data", "nowhere"], ["nowhere does not exist"]),
        (["03_rfm"], ['no notebook "03_rfm"', "Did you mean"]),
        (["--notebooks", "deep"], ["there is no notebook in deep"]),
        (["--timeout", "0"], ["--timeout"]),
        (["--sedd", "1"], ["--sedd"]),
    ],
)
def test_bad_usage_ends_with_2_before_any_kernel(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    parts: list[str],
) -> None:
    started = fake_runs(monkeypatch)
    assert call(monkeypatch, "run", *arguments) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts), said
    assert "Traceback" not in said and started == []


def test_the_problems_of_all_notebooks_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_runs(monkeypatch)
    assert call(monkeypatch, "run", "-p", "seed=x") == 2
    said = capsys.readouterr().err
    assert "01_rfm: 1 parameter" in said and "02_rfm: 1 parameter" in said


def test_params_prints_the_model(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "params", "01_rfm") == 0
    said = capsys.readouterr().out
    assert "Parameters of 01_rfm" in said and "whole number" in said and "week | month | quarter" in said


def test_check_lists_violations_and_ends_with_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "order_id,member_id,gross\no1,m1,10\no1,m2,20\n"
    (folder / "tables" / "orders.csv").write_text(bad)
    assert call(monkeypatch, "check", "tables") == 2
    said = capsys.readouterr().err
    assert "orders.paid_at: missing column" in said and "duplicate key" in said and "Traceback" not in said


def test_check_prints_health_and_the_contract(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", "tables") == 0
    said = capsys.readouterr().out
    assert "no violation of the data contract" in said and "2026-01-02" in said
    assert call(monkeypatch, "check", "--describe") == 0
    assert "## orders" in capsys.readouterr().out


def test_simulate_writes_tables_with_progress(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "simulate", "made", "--members", "60", "--days", "20", "--seed", "3") == 0
    said = capsys.readouterr()
    assert "60 members, 20 days, seed 3" in said.out and "60 of 60 members" in said.err
    assert (folder / "made" / "truth.json").is_file()
