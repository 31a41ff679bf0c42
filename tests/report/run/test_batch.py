"""Batches: one failure touches no other run, nothing is lost or half published, and what is said meanwhile."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
import typer

from helpers.report.page.report import MESSAGES
from helpers.report.page.wording import FAILURES
from helpers.report.plan.desk import Plan
from helpers.report.publish import store
from helpers.report.publish.manifest import FailureKind, read_manifest
from helpers.report.run import batch, kernels, progress
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.progress import Event
from tests.report.plans import plan
from tests.report.sample_pages import text_of

BuildNotebook = Callable[..., Path]
READ = """from helpers.report import params, record
parameters = params.read("01_rfm", globals())"""
PIDS = "import os, time\nopen('../pids', 'a').write(f'{os.getpid()} ')"
forked = pytest.mark.usefixtures("forked")


def checked(path: Path, *seeds: int, **options: Any) -> list[Plan]:
    return [plan(path, parameters={"seed": seed}, label=f"seed-{seed}", **options) for seed in seeds]


@forked
def test_results_come_in_plan_order_and_what_stands_is_skipped(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = "import time; time.sleep(1.5 if parameters.seed == 1 else 0); assert parameters.seed != 2, 'two'"
    plans = checked(build_notebook(READ, wait), 1, 2, 3)
    told: list[Event] = []
    results = batch.execute_all(plans, reports=project / "reports", progress=told.append)
    assert [result.series for result in results] == [plan.series for plan in plans]
    assert [result.status for result in results] == ["succeeded", "failed", "succeeded"]
    assert [result.version for result in results] == [1, 1, 1]
    assert results[1].failure is not None and results[1].line.endswith("AssertionError: two")
    for index in range(3):
        kinds = [event.kind for event in told if event.run == index]
        assert kinds[0] == "start" and kinds[-1] == "done" and set(kinds[1:-1]) == {"cell"}
    assert {(event.cell, event.cells) for event in told if event.kind == "cell"} >= {(1, 5), (5, 5)}
    catalog = json.loads((project / "reports" / "catalog.json").read_bytes())
    assert [len(series["versions"]) for series in catalog["series"]] == [1, 1, 1]
    with monkeypatch.context() as patched:
        patched.setattr(batch, "_execute", lambda *_: pytest.fail("a run was started"))
        again = batch.execute_all([plans[0], plans[2]], reports=project / "reports")
    assert [(result.status, result.version, result.good) for result in again] == [("skipped", 1, True)] * 2
    assert again[0].line == "rfm/seed-1: skipped, unchanged since v1"
    forced = batch.execute_all(plans[2:], reports=project / "reports", force=True)
    assert (forced[0].status, forced[0].version) == ("succeeded", 2)


def ended(*pids: int) -> bool:
    until = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


# code of a cell, status and kind in the manifest, exit code of the command line
ENDS = {
    "exception": ("1 / 0", "failed", "exception", 1),
    "dead kernel": ("import os; os.kill(os.getpid(), 9)", "kernel_died", "kernel_died", 1),
    "timeout": ("import time; time.sleep(60)", "timed_out", "timed_out", 1),
    "system exit": ("import sys; sys.exit(0)", "failed", "system_exit", 1),
    "out of memory": ("bytearray(1 << 60)", "failed", "out_of_memory", 1),
    "bad data": ("from helpers.errors import BadData\nraise BadData('orders')", "failed", "bad_data", 2),
    "bad parameters": ("params.read('01_rfm', {'bins': 99})", "failed", "bad_parameters", 2),
    "missing secret": (
        "from helpers.data import source\nsource.open('postgres://me:${PLAYBOOK_TEST_UNSET}@host/base')",
        "failed",
        "missing_secret",
        2,
    ),
}


@forked
def test_all_eight_ends_reach_manifest_result_pages_and_exit_code(
    project: Path, build_notebook: BuildNotebook
) -> None:
    from helpers.cli.runs import _finish

    cases = "\n".join(f"if parameters.seed == {i}:\n    " + code.replace("\n", "\n    ")
                      for i, (code, *_) in enumerate(ENDS.values()))  # fmt: skip
    plans = checked(build_notebook(READ, cases, "'after'"), *range(len(ENDS)), job_timeout=8)
    results = batch.execute_all(plans, reports=project / "reports")
    for result, (name, (_, status, kind, code)) in zip(results, ENDS.items(), strict=True):
        manifest = read_manifest(project / "reports" / result.series / "v1")
        assert manifest.failure is not None and result.failure == manifest.failure, name
        assert (manifest.status, manifest.failure.kind, manifest.failure.cell) == (status, kind, 5), name
        assert [cell.status for cell in manifest.cells][4:] == [status, "not_run"], name
        with pytest.raises(typer.Exit) as end:
            _finish([result])
        assert end.value.exit_code == code, name
        check_pages(project / "reports", result.series, kind)
    assert len({(read_manifest(project / "reports" / r.series / "v1").failure.kind) for r in results}) == 8


# where the message itself says what kind of end it was, the index leaves the general words out
IN_INDEX = {
    "kernel_died": "The kernel was killed by SIGKILL",
    "timed_out": "The run timed out after 8 seconds",
    "system_exit": "The notebook called sys.exit(0)",
}


def check_pages(reports: Path, series: str, kind: str) -> None:
    """The banner of the report tells this kind and no other and shows the cell first; the index tells it too."""
    page = text_of((reports / series / "v1" / "report.html").read_text())
    words = {each: FAILURES[each] for each in get_args(FailureKind)}
    assert [each for each, text in words.items() if text in page] == [kind]
    first = page.index("from helpers.report import params")
    assert page.index(words[kind]) < first
    if kind not in MESSAGES:  # a message says what to mend, and no cell would
        assert page.index(words[kind]) < page.index("parameters.seed == 3") < first
    index = text_of((reports / "index.html").read_text())
    _, _, line = index.partition(f"{series} v1 ")
    assert IN_INDEX.get(kind, words[kind]) in line.partition(" No version has succeeded yet.")[0]


DRIVER = """
import sys
from pathlib import Path
from helpers.report.run import batch, progress
from helpers.report.plan.plan_file import of_notebooks
server = batch.ForkServer
batch.ForkServer = lambda environment: server(environment, sys.argv[3:])
if __name__ == "__main__":
    seeds = range(1, 4)
    made = [of_notebooks([sys.argv[1]], parameters={"seed": seed}, label=f"seed-{seed}") for seed in seeds]
    plans = [plan for each in made for plan in each]
    with progress.shown(len(plans)) as show:
        try:
            batch.execute_all(plans, reports=Path(sys.argv[2]), workers=2, progress=show)
        except KeyboardInterrupt:
            sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_batch_leaves_no_process_and_nothing_half_published(
    project: Path, build_notebook: BuildNotebook, number: int, code: int
) -> None:
    pids = PIDS.replace("} ", "} {os.getppid()} ")
    wait = "time.sleep(0 if seed == 1 else 600)"
    path, reports = build_notebook(pids, wait), project / "reports"
    command = [sys.executable, "-c", DRIVER, str(path), str(reports), "ipykernel_launcher"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        said = ""
        while not re.search("seed-1 v1: succeeded", said) and (line := driver.stderr.readline()):
            said += line
        while len((project / "pids").read_text().split()) < 6 and driver.poll() is None:
            time.sleep(0.05)
        driver.send_signal(number)
        assert driver.wait(60) == code, said
    assert ended(*map(int, (project / "pids").read_text().split()))
    assert store.published(reports) == ["rfm/seed-1/v1"]
    if number == signal.SIGINT:
        assert json.loads((reports / "catalog.json").read_bytes())["series"][0]["latest"] == 1
        assert not list(reports.glob(f"{store.STAGING}*"))


def test_ctrl_c_on_a_terminal_ends_an_ordinary_run_without_a_trace(
    project: Path, build_notebook: BuildNotebook, tmp_path: Path
) -> None:
    path = build_notebook(PIDS, "time.sleep(600)")
    (tmp_path / "t").mkdir()
    command = [sys.executable, "-m", "helpers.cli", "run", str(path)]
    with subprocess.Popen(
        [*command, "--reports", str(project / "reports")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "t"), "PLAYBOOK_KERNELS": "ordinary"},
    ) as driver:
        until = time.monotonic() + 60
        while not (project / "pids").exists() and driver.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGINT)  # what a terminal does
        said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert "stopped" in said and "Traceback" not in said and len(said.splitlines()) == 2, said
    assert ended(*map(int, (project / "pids").read_text().split()))
    assert list((tmp_path / "t").glob("playbook-*")) == []
    assert not list((project / "reports").glob(".*"))


def test_a_server_that_is_killed_costs_one_run(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        batch, "ForkServer", lambda environment: ForkServer(environment, ["ipykernel_launcher"])
    )
    monkeypatch.setenv(kernels.VARIABLE, "fork")
    kill = "import os, time\nif seed == 1: os.kill(os.getppid(), 9); time.sleep(60)"
    plans = checked(build_notebook(kill), 1, 2, 3)
    results = batch.execute_all(plans, reports=project / "reports", workers=1)
    assert [result.status for result in results] == ["kernel_died", "succeeded", "succeeded"]


def test_a_log_gets_plain_lines() -> None:
    file = io.StringIO()
    with progress.shown(2, file) as show:
        show(Event("skipped", 0, "rfm/all", text="rfm/all: skipped, unchanged since v3"))
        show(Event("start", 1, "rfm/douyin", text="rfm/douyin: 3 rows of orders are copied first"))
        show(Event("cell", 1, "rfm/douyin", 12, 29))
        show(Event("done", 1, "rfm/douyin", text="rfm/douyin v2: succeeded in 3.2 s"))
    assert file.getvalue().splitlines() == [
        "rfm/all: skipped, unchanged since v3",
        "rfm/douyin: start",
        "rfm/douyin: 3 rows of orders are copied first",
        "rfm/douyin v2: succeeded in 3.2 s",
    ]


def test_a_terminal_shows_a_bar_with_the_running_cell() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Terminal()
    with progress.shown(2, file) as show:
        show(Event("start", 1, "rfm/[douyin]"))
        show(Event("cell", 1, "rfm/[douyin]", 12, 29))
        time.sleep(0.3)  # bars are drawn ten times a second
        show(Event("done", 1, "rfm/[douyin]", text="rfm/[douyin] v2: succeeded in 3.2 s"))
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert "rfm/[douyin]" in said and "cell 12 of 29" in said and "1 of 2" in said
    assert "rfm/[douyin] v2: succeeded in 3.2 s" in said


def test_a_catalogue_is_made_anew_only_when_it_misses_something(
    project: Path, put_version: Callable[..., Path]
) -> None:
    reports = project / "reports"
    for version in (1, 2, 10):
        put_version(reports, "rfm/all", version)
    batch._bring_up_to_date(reports)
    before = os.stat(reports / "catalog.json").st_mtime_ns  # noqa: PTH116
    batch._bring_up_to_date(reports)
    assert (reports / "catalog.json").stat().st_mtime_ns == before
    put_version(reports, "rfm/all", 11)
    batch._bring_up_to_date(reports)
    assert json.loads((reports / "catalog.json").read_bytes())["series"][0]["latest"] == 11


def test_nothing_to_do_is_done_at_once(project: Path) -> None:
    assert batch.execute_all([], reports=project / "reports") == []
    assert not (project / "reports").exists()
