"""One run, from a checked plan to a published version.

`execute` runs a plan in a staging folder and publishes what came of it, whole or partial. A failing notebook is a
result, not an exception, and so is a page that cannot be built.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.report import catalog, project
from helpers.report.page import plain
from helpers.report.page.wording import word
from helpers.report.plan import provenance
from helpers.report.plan.desk import Plan, plan
from helpers.report.publish import scratch, store
from helpers.report.publish.manifest import (
    Bookkeeping,
    Data,
    Failure,
    FileEntry,
    Manifest,
    RunStatus,
    read_actions,
    read_findings,
)
from helpers.report.redact import Redactor, environment_secrets, url_secrets
from helpers.report.run import engine, notebook
from helpers.report.run.kernels.client import Address
from helpers.report.run.kernels.environment import kernel_environment

Render = Callable[[Any, Manifest, list[Finding], list[Action]], str]


@dataclass(frozen=True)
class RunResult:
    """What became of a run."""

    series: str
    version: int
    folder: Path
    manifest: Manifest

    @property
    def status(self) -> RunStatus:
        """succeeded, failed, timed_out, kernel_died or not_run."""
        return self.manifest.status

    @property
    def line(self) -> str:
        """One plain line for a terminal or a log."""
        run, failure = self.manifest.bookkeeping, self.manifest.failure
        seconds = f" in {run.seconds:.1f} s" if run else ""
        text = f"{self.series} v{self.version}: {self.status.replace('_', ' ')}{seconds}"
        if self.manifest.data.changed:
            names = ", ".join(self.manifest.data.changed)
            text += f"; the data changed while the report was made ({names}), so the next run makes it again"
        if failure is None:
            return text
        where = f", cell {failure.cell + 1}" if failure.cell is not None else ""
        return f"{text} ({failure.kind.replace('_', ' ')}{where}): {failure.headline}"


def run(
    notebook: str | os.PathLike[str],
    *,
    data: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    label: str | None = None,
    reports: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
) -> RunResult:
    """Run a notebook and publish the next version of its series.

    Parameters
    ----------
    notebook : str or path
        Path or name of the notebook: ``notebooks/01_rfm.ipynb``, ``01_rfm`` or ``rfm``.
    data : str, optional
        Folder of tables or URL; by default the notebook's own.
    parameters : mapping, optional
        Values by name; texts are understood by the parameter's type.
    label : str, optional
        Second half of the series; by default made of the segment, or ``all``.
    reports : path, optional
        The reports folder; by default that of the project.
    timeout : float, optional
        Seconds after which the run is stopped.

    Raises
    ------
    BadParameters, BadData
        Before any kernel starts.
    CannotPublish
        When the reports folder refuses.
    """
    return execute(
        plan(notebook, data=data, parameters=parameters, label=label), reports=reports, timeout=timeout
    )


def execute(
    plan: Plan,
    *,
    reports: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    render: Render | None = None,
    rebuild_catalog: bool = True,
    server: Address | None = None,
    on_cell: engine.OnCell | None = None,
    git: provenance.Git | None = None,
) -> RunResult:
    """Run a plan in a staging folder and publish what came of it.

    Parameters
    ----------
    plan : Plan
        From `plan`.
    reports, timeout
        See `run`; the plan's own timeout comes first.
    render : callable, optional
        Makes the page; `helpers.report.page.report.report_html` by default.
    rebuild_catalog : bool
        Whether to bring catalogue and index up to date; a batch does it once at its end.
    server : Address, optional
        Fork server to get the kernel from; by default the kernel is started the ordinary way.
    on_cell : callable, optional
        Called as each cell starts, with its number counted from 1 and the number of cells.
    git : Git, optional
        State of the working tree, where it is known already.
    """
    target = Path(reports) if reports is not None else default_reports(plan.notebook)
    root = project.find_root(plan.notebook.parent)
    store.clean(target)
    with store.staging(target) as folder:
        try:
            started = datetime.datetime.now(datetime.UTC)
            nb = notebook.prepare(plan.notebook, plan.given)
            outcome = _run_kernel(nb, plan, folder, timeout, server, on_cell)
            redactor = _redactor(plan, folder, root)
            manifest = _manifest(plan, nb, outcome, redactor)
            manifest = _with_changed_data(manifest, plan)
            manifest = _write(folder, nb, manifest, redactor, render or _page)
            manifest = manifest.model_copy(update={"files": _files(folder)})
            git = git or provenance.git(root)

            def finish(version: int) -> None:
                nonlocal manifest
                record = _bookkeeping(version, started, outcome, git)
                manifest = manifest.model_copy(update={"bookkeeping": record})
                (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")

            version = store.publish(folder, target, plan.series, finish)
        except OSError as error:
            raise store.refusal(target, error) from error
    try:
        store.point_latest(target, plan.series)
        if rebuild_catalog:
            catalog.rebuild(target)
    except OSError as error:  # the version stands
        if rebuild_catalog:  # else a batch mends it at its end, and tells if it cannot
            raise store.refusal(target, error) from error
    return RunResult(plan.series, version, target / plan.series / f"v{version}", manifest)


def default_reports(path: Path) -> Path:
    """Return the reports folder of the project that a notebook belongs to."""
    root = project.find_root(path.parent)
    return (root or Path.cwd()) / "reports"


def _run_kernel(
    nb: Any,
    plan: Plan,
    folder: Path,
    timeout: float | None,
    server: Address | None,
    on_cell: engine.OnCell | None,
) -> engine.Outcome:
    # A fresh IPython folder: start-up files of the user must not change a report. A server removes it in the end.
    place = Path(server.path).parent if server else None
    own = scratch.folder("ipython", place)
    if own is None:
        raise store.CannotPublish("there is no folder for temporary files that can be written: set TMPDIR")
    with own as ipython:
        return engine.execute(
            nb,
            environment=kernel_environment(folder, str(ipython)),
            folder=str(plan.notebook.parent),
            run_seconds=timeout if plan.timeout is None else plan.timeout,
            server=server,
            on_cell=on_cell,
        )


def _redactor(plan: Plan, folder: Path, root: Path | None) -> Redactor:
    secrets = environment_secrets().union(*(url_secrets(str(value)) for value in plan.values.values()))
    places = {os.path.expanduser("~"): "[home]"}  # noqa: PTH111  a home that cannot be found stays "~"
    places |= {str(folder): "[run]", sys.prefix: "[python]", sys.base_prefix: "[python]"}
    places |= {str(root): "[project]"} if root else {}
    return Redactor(secrets, {place: name for place, name in places.items() if len(place) > len("/usr")})


def _manifest(plan: Plan, nb: Any, outcome: engine.Outcome, redactor: Redactor) -> Manifest:
    title, question = map(redactor.text, notebook.heading(nb))
    values = redactor.value(plan.values)
    data = Data(url=values["data"], tables=plan.tables)
    failure = outcome.failure and outcome.failure.model_copy(
        update={"message": redactor.text(outcome.failure.message)}
    )
    return Manifest(
        series=plan.series,
        label=plan.series.partition("/")[2],
        notebook=project.notebook_name(plan.notebook),
        title=title,
        question=question,
        status=outcome.status,
        failure=failure,
        parameters=values,
        seed=values.get("seed"),
        data=data,
        code=plan.code,
        python=platform.python_version(),
        packages=provenance.packages(),
        environment=plan.environment,
        run_key=plan.run_key,
        cells=outcome.cells,
        files={},
    )


def _with_changed_data(manifest: Manifest, plan: Plan) -> Manifest:
    """Note the tables whose files changed since the plan was made: nobody knows what the notebook has read."""
    now = plan.tables_now()
    if now is None:
        return manifest
    changed = sorted(
        name for name in now.keys() | plan.tables.keys() if now.get(name) != plan.tables.get(name)
    )
    return manifest.model_copy(update={"data": manifest.data.model_copy(update={"changed": changed})})


def _write(folder: Path, nb: Any, manifest: Manifest, redactor: Redactor, render: Render) -> Manifest:
    """Write notebook, findings, actions and page, each without secrets; return how the run ended after that."""
    for part in [path for path in folder.rglob(".*") if path.is_file()]:  # of a kernel killed while writing
        part.unlink()
    text = redactor.json(notebook.to_text(notebook.tidy(nb)))
    (folder / "notebook.ipynb").write_text(text, encoding="utf-8")
    redactor.folder(folder)
    for name in ("findings.json", "actions.json"):
        if not (folder / name).exists():
            (folder / name).write_text("[]\n", encoding="utf-8")
    findings: list[Finding] = []
    try:
        findings = read_findings(folder)
        page = render(notebook.read(text), manifest.stable(), findings, read_actions(folder))
    except Exception as error:  # whatever breaks the page must not lose an hour of work
        manifest = _without_page(manifest, error, redactor)
        page = plain.plain_report(manifest, findings, _files(folder))
    (folder / "report.html").write_text(redactor.text(page), encoding="utf-8")
    return manifest


def _without_page(manifest: Manifest, error: Exception, redactor: Redactor) -> Manifest:
    """Return how a run ended whose page could not be built: failed, by what failed first."""
    why, before = redactor.text(plain.reason(error)), manifest.failure
    if before is None or manifest.status == "not_run":
        message = "\n\n".join([word("no_page", reason=why), *([before.message] if before else [])])
        failure = Failure(kind="no_page", cell=None, error=type(error).__name__, message=message)
        return manifest.model_copy(update={"status": "failed", "failure": failure})
    message = "\n\n".join([before.message, word("no_page_either", reason=why)])
    return manifest.model_copy(update={"failure": before.model_copy(update={"message": message})})


def _page(nb: Any, manifest: Manifest, findings: list[Finding], actions: list[Action]) -> str:
    from helpers.report.page.report import report_html  # late: the template engine is needed only at the end

    return report_html(nb, manifest, findings, actions)


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
