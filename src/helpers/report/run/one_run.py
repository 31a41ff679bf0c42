"""One run, from a checked plan to a published version.

`execute` runs a plan in a staging folder and publishes what came of it, whole or partial. A failing notebook is a
result, not an exception, and so is a page that cannot be built.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import hashlib
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers import locale
from helpers.data import scratch
from helpers.playbook.finding import Finding
from helpers.report import project
from helpers.report.page import plain
from helpers.report.page.report import report_html
from helpers.report.plan import provenance
from helpers.report.plan.desk import Plan
from helpers.report.plan.imports import changed
from helpers.report.plan.skip import REPORTS, keyed, read_by
from helpers.report.publish import store
from helpers.report.publish.earlier import COMPARED, compared, earlier
from helpers.report.publish.manifest import (
    Bookkeeping,
    Data,
    Failure,
    FailureKind,
    FileEntry,
    Manifest,
    RunStatus,
    read_actions,
    read_findings,
)
from helpers.report.publish.redact_files import redact_folder
from helpers.report.redact import Redactor, environment_secrets, url_secrets
from helpers.report.run import engine, notebook
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from helpers.report.run.result import RunResult
from helpers.sentences import Verbatim, say

LONGEST = 3600.0
"""Seconds for a run that was given none, after which what it has left is no longer looked at."""
LEAST = 30.0
"""Seconds in which a run is written up that has used all its time."""


class Stopped(RuntimeError):
    """The batch was stopped before this run was published."""


class OutOfTime(TimeoutError):
    """What a run has left could not be written up in its time."""

    def __init__(self) -> None:
        super().__init__(say("the time of the run was over"))


def execute(
    plan: Plan,
    reports: Path,
    *,
    server: ForkServer | None = None,
    on_cell: engine.OnCell | None = None,
    stop: threading.Event | None = None,
) -> RunResult:
    """Run a plan in a staging folder and publish what came of it.

    Parameters
    ----------
    plan : Plan
        From `helpers.report.plan.desk`.
    reports : Path
        The reports folder.
    server : ForkServer, optional
        Where to get the kernel from; by default the kernel is started the ordinary way.
    on_cell : callable, optional
        Called as each cell starts, with its number counted from 1 and the number of cells.
    stop : threading.Event, optional
        Set when nothing more is to be published; whoever sets it ends the kernel, see `engine.kill_kernels`.

    Raises
    ------
    CannotPublish
        When the reports folder refuses.
    """
    store.clean(reports)
    plan = keyed(plan, reports)
    with store.staging(reports) as folder:
        try:
            started, until = datetime.datetime.now(datetime.UTC), time.monotonic() + (plan.timeout or LONGEST)
            nb = notebook.prepare(plan.notebook, plan.given, locale.catalogue(*plan.language))
            with locale.spoken(*plan.language):
                outcome = _run_kernel(nb, plan, folder, reports, server=server, on_cell=on_cell, stop=stop)
                if stop and stop.is_set():
                    raise Stopped
                manifest = _write(folder, nb, plan, outcome, reports, until)
            git = provenance.git(project.find_root(plan.notebook.parent))

            def finish(version: int) -> None:
                nonlocal manifest
                record = _bookkeeping(version, started, outcome, git)
                manifest = manifest.model_copy(update={"bookkeeping": record})
                (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")

            store.publish(folder, reports, plan.series, finish)
        except OSError as error:
            raise store.refusal(reports, error) from error
    with contextlib.suppress(OSError):  # the version stands; at its end the batch tells what it cannot mend
        store.point_latest(reports, plan.series)
    return published(plan, manifest, reports)


def published(plan: Plan, manifest: Manifest, reports: Path) -> RunResult:
    """Return what became of a run that has published this manifest."""
    version = manifest.version
    with plan.spoken():
        line = _line(manifest)
    folder = reports / plan.series / f"v{version}"
    return RunResult(plan.series, manifest.status, version, line, manifest.failure, manifest, folder)


def _line(manifest: Manifest) -> str:
    """Say in a plain line, for a terminal or a log, how a run went."""
    run, failure = manifest.bookkeeping, manifest.failure
    assert run is not None, "it is published"
    said = say(
        "{series} v{version}: {status} in {seconds:.1f} s",
        series=manifest.series,
        version=run.version,
        status=say(manifest.status.replace("_", " ")),
        seconds=run.seconds,
    )
    if manifest.data.changed:
        text = "{said}; the data changed while the report was made ({names}), so the next run makes it again"
        said = say(text, said=said, names=", ".join(manifest.data.changed))
    if failure is None:
        return said
    text = (
        "{said} ({kind}): {headline}" if failure.cell is None else "{said} ({kind}, cell {cell}): {headline}"
    )
    kind, headline = say(failure.kind.replace("_", " ")), Verbatim(f"{failure.headline:.500}")
    return say(text, said=said, kind=kind, cell=failure.cell, headline=headline)


def _run_kernel(
    nb: Any,
    plan: Plan,
    folder: Path,
    reports: Path,
    **how: Any,
) -> engine.Outcome:
    own = scratch.folder()  # start-up files of the user must not change a report
    if own is None:
        raise store.CannotPublish(
            say("there is no folder for temporary files that can be written: set TMPDIR")
        )
    with own as ipython:
        return engine.execute(
            nb,
            environment=kernel_environment(folder, ipython) | {REPORTS: str(reports.resolve())},
            folder=str(plan.notebook.parent),
            run_seconds=plan.timeout,
            **how,
        )


def _write(
    folder: Path, nb: Any, plan: Plan, outcome: engine.Outcome, reports: Path, until: float
) -> Manifest:
    """Write notebook, findings, actions and page, each without secrets; return how the run ended after that."""
    redactor = _redactor(plan, folder)
    moved = [*plan.changed_tables(), *changed(plan.earlier, read_by(plan, reports))]
    manifest = _manifest(plan, nb, outcome, redactor, moved)
    if outcome.failure and outcome.failure.kind == "missing_table" and (lost := plan.lost_tables()):
        told = say("Gone since the run was planned: {names}. Run it again.", names=", ".join(lost))
        manifest = _ended(manifest, "failed", "error", outcome.failure.error, told)
    before = earlier(reports, manifest)
    if before:
        key, environment = compared(plan.run_key, before.digest), plan.environment | {COMPARED: before.digest}
        manifest = manifest.model_copy(update={"run_key": key, "environment": environment})
    for part in [path for path in folder.rglob(".*") if path.is_file()]:  # of a kernel killed while writing
        part.unlink()
    notebook.tidy(nb)
    try:
        with _time_limit(until):
            text = redactor.json(notebook.to_text(nb))
            redact_folder(folder, redactor)
    except OutOfTime:
        manifest = _without_files(manifest, folder, nb)
        text = redactor.json(notebook.to_text(nb))
    (folder / "notebook.ipynb").write_text(text, encoding="utf-8")
    for name in ("findings.json", "actions.json"):
        if not (folder / name).exists():
            (folder / name).write_text("[]\n", encoding="utf-8")
    findings: list[Finding] = []
    try:
        with _time_limit(until):
            findings, actions = read_findings(folder), read_actions(folder)
            page = report_html(notebook.read(text), manifest.stable(), findings, actions, before)
            page = redactor.text(page)
    except Exception as error:  # whatever breaks the page must not lose an hour of work
        told = say(
            "The page of this report could not be built: {reason}.", reason=redactor.text(plain.reason(error))
        )
        manifest = _ended(manifest, "failed", "no_page", type(error).__name__, told)
        page = redactor.text(plain.plain_report(manifest, findings, _files(folder)))
    (folder / "report.html").write_text(page, encoding="utf-8")
    return manifest.model_copy(update={"files": _files(folder)})


@contextlib.contextmanager
def _time_limit(until: float) -> Iterator[None]:
    """Raise `OutOfTime` in this thread when the time is over; a run that has used its own has a little more."""
    thread, seconds = threading.get_ident(), max(until - time.monotonic(), LEAST)
    raise_there = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(seconds, raise_there, (ctypes.c_ulong(thread), ctypes.py_object(OutOfTime)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _without_files(manifest: Manifest, folder: Path, nb: Any) -> Manifest:
    """Take back what could not be looked through for secrets in its time; return how the run ended after that."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    told = say("What this run put out could not be looked through for secrets in its time, and is left out.")
    return _ended(manifest, "timed_out", "timed_out", OutOfTime.__name__, told)


def _redactor(plan: Plan, folder: Path) -> Redactor:
    secrets = environment_secrets().union(*(url_secrets(str(value)) for value in plan.values.values()))
    root = project.find_root(plan.notebook.parent)
    places = {os.path.expanduser("~"): "[home]"}  # noqa: PTH111  a home that cannot be found stays "~"
    places |= {str(folder): "[run]", sys.prefix: "[python]", sys.base_prefix: "[python]"}
    places |= {str(root): "[project]"} if root else {}
    return Redactor(secrets, {place: name for place, name in places.items() if len(place) > len("/usr")})


def _manifest(plan: Plan, nb: Any, outcome: engine.Outcome, redactor: Redactor, moved: list[str]) -> Manifest:
    title, question = map(redactor.text, notebook.heading(nb))
    values = redactor.value(plan.values)
    failure = outcome.failure
    if failure:
        failure = failure.model_copy(update={"message": redactor.text(failure.message)})
    return Manifest(
        series=plan.series,
        label=plan.label,
        notebook=project.notebook_name(plan.notebook),
        title=title,
        question=question,
        status=outcome.status,
        failure=failure,
        parameters=values,
        seed=values.get("seed"),
        data=Data(url=values["data"], tables=plan.tables, mapping=plan.mapping, changed=moved),
        code=plan.code,
        python=platform.python_version(),
        packages=provenance.packages(),
        environment=plan.environment,
        earlier_reports=plan.earlier,
        run_key=plan.run_key,
        cells=outcome.cells,
        files={},
    )


def _ended(manifest: Manifest, status: RunStatus, kind: FailureKind, error: str, told: str) -> Manifest:
    """Return how a run ended that could not be written up: by what failed first."""
    before = manifest.failure
    if before is None or manifest.status == "not_run":
        message = f"{told}\n\n{before.message}" if before else told
        failure = Failure(kind=kind, cell=None, error=error, message=message)
        return manifest.model_copy(update={"status": status, "failure": failure})
    failure = before.model_copy(update={"message": f"{before.message}\n\n{told}"})
    return manifest.model_copy(update={"failure": failure})


def _files(folder: Path) -> dict[str, FileEntry]:
    entries = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        entry = FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        entries[path.relative_to(folder).as_posix()] = entry
    return entries


def _bookkeeping(
    version: int, started: datetime.datetime, outcome: engine.Outcome, git: provenance.Git
) -> Bookkeeping:
    finished = datetime.datetime.now(datetime.UTC)
    return Bookkeeping(
        version=version,
        started_at=started.isoformat(timespec="milliseconds"),
        finished_at=finished.isoformat(timespec="milliseconds"),
        seconds=round((finished - started).total_seconds(), 3),
        cell_seconds=[None if s is None else round(s, 3) for s in outcome.cell_seconds],
        peak_memory_bytes=outcome.peak_memory_bytes,
        git_commit=git.commit,
        git_dirty=git.dirty,
        platform=platform.platform(),
    )
