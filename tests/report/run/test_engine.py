"""The engine: every way a notebook can end is told apart, for the run and for each cell."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from helpers.report.publish.manifest import FailureKind, RunStatus
from helpers.report.run import engine, notebook
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment

# code of the failing cell, seconds for the run, status of run and cell, kind, part of the message
ENDS: dict[str, tuple[str, float | None, RunStatus, str, FailureKind, str]] = {
    "exception": ("1 / 0", None, "failed", "failed", "exception", "division by zero"),
    "dead kernel": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        None,
        "kernel_died",
        "kernel_died",
        "kernel_died",
        "killed by SIGKILL",
    ),
    "exit of the process": (
        "import os; os._exit(7)",
        None,
        "kernel_died",
        "kernel_died",
        "kernel_died",
        "exited with code 7",
    ),
    "timeout": (
        "import time; time.sleep(600)",
        10.0,
        "timed_out",
        "timed_out",
        "timed_out",
        "timed out after 10 seconds",
    ),
    "sys.exit": ("import sys; sys.exit(0)", None, "failed", "failed", "system_exit", "sys.exit(0)"),
    "out of memory": (
        "class Full(MemoryError): pass\nraise Full('unable to allocate')",
        None,
        "failed",
        "failed",
        "out_of_memory",
        "unable to allocate",
    ),
    "bad data": (
        "from helpers.errors import BadData\nclass Contract(BadData): pass\nraise Contract('orders: 3 rows')",
        None,
        "failed",
        "failed",
        "bad_data",
        "orders: 3 rows",
    ),
    "bad parameters": (
        "from helpers.report import params\nparams.read('01_rfm', {'bins': 99})",
        None,
        "failed",
        "failed",
        "bad_parameters",
        "bins == 99",
    ),
    "missing secret": (
        "from helpers.errors import MissingSecret\nraise MissingSecret('PGPASSWORD is not set')",
        None,
        "failed",
        "failed",
        "missing_secret",
        "PGPASSWORD",
    ),
    "missing table": (
        "from helpers.errors import MissingTable\nraise MissingTable('table orders missing')",
        None,
        "not_run",
        "not_run",
        "missing_table",
        "table orders missing",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_is_told_apart(
    build_notebook: Callable[..., Path], end: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    nb = notebook.prepare(build_notebook("print('before')", ENDS[end][0], "print('never')"), {})
    environment = kernel_environment(tmp_path, str(tmp_path))
    outcome = engine.execute(nb, environment=environment, run_seconds=ENDS[end][1], server=fork_server)
    check_end(outcome, nb, end)


@pytest.mark.parametrize("end", ["dead kernel", "bad data"])
def test_an_ordinary_kernel_tells_the_same(build_notebook: Callable[..., Path], end: str) -> None:
    nb = notebook.prepare(build_notebook("print('before')", ENDS[end][0], "print('never')"), {})
    check_end(engine.execute(nb, run_seconds=ENDS[end][1]), nb, end)


def check_end(outcome: engine.Outcome, nb: Any, end: str) -> None:
    _, _, status, cell_status, kind, message = ENDS[end]
    assert outcome.status == status
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.cell) == (kind, 4)
    assert message in outcome.failure.message
    assert [cell.status for cell in outcome.cells] == ["completed"] * 3 + [cell_status, "not_run"]
    assert [seconds is None for seconds in outcome.cell_seconds] == [False] * 4 + [True]
    assert nb.cells[2].outputs[0].text == "before\n", "what ran before is kept"
    assert nb.cells[4].outputs == [] and nb.cells[4].execution_count is None


def test_a_kernel_gets_its_own_environment_and_folder(
    build_notebook: Callable[..., Path], tmp_path: Path
) -> None:
    here, before = Path.cwd(), dict(os.environ)
    source = "import os, sys\nprint(os.getcwd(), os.environ['PLAYBOOK_TEST'], 'HOME' in os.environ, sys.executable)"
    nb = notebook.prepare(build_notebook(source), {})
    environment = {"PLAYBOOK_TEST": "yes", "PATH": os.environ["PATH"]}
    outcome = engine.execute(nb, environment=environment, folder=str(tmp_path))
    assert outcome.status == "succeeded" and outcome.failure is None
    assert nb.cells[2].outputs[0].text == f"{tmp_path} yes False {sys.executable}\n"
    assert (Path.cwd(), dict(os.environ)) == (here, before)
    assert outcome.peak_memory_bytes is None or outcome.peak_memory_bytes > 10_000_000


def test_papermill_sets_the_time_of_a_cell(build_notebook: Callable[..., Path], tmp_path: Path) -> None:
    path, out = build_notebook("import time; time.sleep(60)"), tmp_path / "out.ipynb"
    options = {
        "engine_name": "playbook",
        "kernel_name": "python3",
        "execution_timeout": 1,
        "progress_bar": False,
    }
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(str(path), str(out), **options)
    failure = nbformat.read(out, as_version=4).metadata.papermill.failure
    assert failure["message"] == "the run timed out after 1 seconds"


def test_papermill_finds_the_engine_by_its_entry_point(
    build_notebook: Callable[..., Path], tmp_path: Path, root: Path
) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (name, target) = next(iter(project["entry-points"]["papermill.engine"].items()))
    installed = tmp_path / "installed" / "of_the_test-1.dist-info"  # stands for the installed distribution
    installed.mkdir(parents=True)
    (installed / "entry_points.txt").write_text(f"[papermill.engine]\n{name} = {target}\n")
    path, out = build_notebook("import os; os._exit(3)", "2"), tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", "--engine", name, "-k", "python3", str(path), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(installed.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    ran = nbformat.read(out, as_version=4)
    assert ran.metadata.papermill.failure["message"] == "the kernel's process exited with code 3"
    ends = [cell.metadata.papermill.status for cell in ran.cells if cell.cell_type == "code"]
    assert ends[-2:] == ["kernel_died", "not_run"]


def test_plain_papermill_works_and_does_not_miss_a_misspelt_parameter(
    build_notebook: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """from helpers.report import params
parameters = params.read("01_rfm", globals())
print(parameters.as_of.year, parameters.seed, parameters.data)"""
    path, out = build_notebook(source), tmp_path / "out.ipynb"
    monkeypatch.chdir(path.parents[1])  # papermill runs the kernel in the folder it was called from
    options = {"kernel_name": "python3", "progress_bar": False}
    good = papermill.execute_notebook(str(path), str(out), {"as_of": "2024-02-29", "seed": "12"}, **options)
    assert good.cells[3].outputs[-1].text == "2024 12 tables\n"
    with pytest.raises(papermill.PapermillExecutionError, match='Did you mean "segment"'):
        papermill.execute_notebook(str(path), str(out), {"segmnt": "x"}, **options)
    failed = next(cell for cell in nbformat.read(out, as_version=4).cells if "params.read" in cell.source)
    (error,) = (output for output in failed.outputs if output.output_type == "error")
    assert len(error.traceback) == 1 and error.traceback[0].startswith("BadParameters: 01_rfm: 1 parameter")


def test_a_kernel_that_does_not_start_is_a_result(
    build_notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome = engine.execute(notebook.prepare(build_notebook("1"), {}))
    assert outcome.status == "kernel_died"
    assert outcome.failure is not None and outcome.failure.cell is None
    assert {cell.status for cell in outcome.cells} == {"not_run"}


def test_injection_gives_the_same_ids_each_time(build_notebook: Callable[..., Path]) -> None:
    path = build_notebook("1")
    first, second = (notebook.prepare(path, {"seed": 9, "segment": "a == 'b'"}) for _ in range(2))
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
    assert first.cells[2].metadata.tags == ["injected-parameters"]
    assert "seed = 9" in first.cells[2].source
    assert notebook.prepare(path, {"seed": 8}).cells[2].id != first.cells[2].id
    nbformat.validate(notebook.tidy(first))


def test_an_old_notebook_without_ids_gets_stable_ones(build_notebook: Callable[..., Path]) -> None:
    path = build_notebook("1", "1")
    old = nbformat.read(path, as_version=4)
    old.nbformat_minor = 4
    for cell in old.cells:
        cell.pop("id")
    nbformat.write(old, path)
    first, second = (notebook.prepare(path, {}) for _ in range(2))
    ids = [cell.id for cell in first.cells]
    assert ids == [cell.id for cell in second.cells] and len(set(ids)) == 4


def test_title_and_question(build_notebook: Callable[..., Path]) -> None:
    nb = notebook.prepare(build_notebook("1"), {})
    assert notebook.heading(nb) == ("Tiny notebook", "Does it run?")
    nb.cells[0].source = "# Only a title\n\n## A part\n\nText"
    assert notebook.heading(nb) == ("Only a title", "")
    nb.cells[0].source = "# Title\n> Who are\n> they?"
    assert notebook.heading(nb) == ("Title", "Who are they?")
