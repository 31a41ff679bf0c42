"""One run, from a checked plan to a published version.

`execute` runs a plan in a staging folder and publishes what came of it, whole or partial. A failing notebook is a
result, not an exception.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.report import catalog, engine, notebook, project, provenance, publish
from helpers.report.manifest import (
    Bookkeeping,
    Code,
    Data,
    FileEntry,
    Manifest,
    RunStatus,
    read_actions,
    read_findings,
)
from helpers.report.plan import Plan, plan
from helpers.report.redact import Redactor, environment_secrets, url_secrets

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
) -> RunResult:
    """Run a plan in a staging folder and publish what came of it.

    Parameters
    ----------
    plan : Plan
        From `plan`.
    reports, timeout
        See `run`.
    render : callable, optional
        Makes the page; `helpers.report.page.report_html` by default.
    rebuild_catalog : bool
        Whether to bring catalogue and index up to date; a batch does it once at its end.
    """
    target = Path(reports) if reports is not None else default_reports(plan.notebook)
    root = project.find_root(plan.notebook.parent)
    publish.clean(target)
    with publish.staging(target) as folder:
        try:
            started = datetime.datetime.now(datetime.UTC)
            code = provenance.code(plan.notebook, root)  # before the kernel: what it is about to import
            nb = notebook.prepare(plan.notebook, plan.given)
            outcome = _run_kernel(nb, plan, folder, timeout)
            redactor = _redactor(plan, folder, root)
            manifest = _manifest(plan, nb, outcome, redactor, code)
            _write(folder, nb, manifest, redactor, render or _page)
            manifest = manifest.model_copy(update={"files": _files(folder)})
            git = provenance.git(root)

            def finish(version: int) -> None:
                nonlocal manifest
                record = _bookkeeping(version, started, outcome, git)
                manifest = manifest.model_copy(update={"bookkeeping": record})
                (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")

            version = publish.publish(folder, target, plan.series, finish)
        except OSError as error:
            raise publish.CannotPublish(f"{plan.series}: {error.strerror}: {error.filename}") from error
    publish.point_latest(target, plan.series)
    if rebuild_catalog:
        catalog.rebuild(target)
    return RunResult(plan.series, version, target / plan.series / f"v{version}", manifest)


def default_reports(path: Path) -> Path:
    """Return the reports folder of the project that a notebook belongs to."""
    root = project.find_root(path.parent)
    return (root or Path.cwd()) / "reports"


def _run_kernel(nb: Any, plan: Plan, folder: Path, timeout: float | None) -> engine.Outcome:
    # A fresh IPython folder: start-up files of the user must not change a report.
    with tempfile.TemporaryDirectory(prefix="playbook-ipython-") as ipython:
        environment = kernel_environment(folder, ipython)
        return engine.execute(
            nb, environment=environment, folder=str(plan.notebook.parent), run_seconds=timeout
        )


def kernel_environment(folder: Path, ipython: str) -> dict[str, str]:
    """Return the environment of the kernel: this process's own, without what would make results differ."""
    matplotlib = importlib.util.find_spec("matplotlib")
    style = {}
    if matplotlib and matplotlib.origin:
        style = {"MATPLOTLIBRC": str(Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc")}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    fixed = {
        project.RUN_FOLDER: str(folder),
        "IPYTHONDIR": ipython,
        "MPLBACKEND": "agg",  # pictures are shown by record.figure, once
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
    }
    return {**os.environ, **fixed, **one_thread, **style}


def _redactor(plan: Plan, folder: Path, root: Path | None) -> Redactor:
    secrets = environment_secrets().union(*(url_secrets(str(value)) for value in plan.values.values()))
    places = {str(folder): "[run]", sys.prefix: "[python]", sys.base_prefix: "[python]"}
    places |= {str(root): "[project]"} if root else {}
    return Redactor(secrets, {place: name for place, name in places.items() if len(place) > len("/usr")})


def _manifest(plan: Plan, nb: Any, outcome: engine.Outcome, redactor: Redactor, code: Code) -> Manifest:
    title, question = map(redactor.text, notebook.heading(nb))
    values = redactor.value(plan.values)
    data = Data(url=values["data"], tables=plan.tables)
    packages = provenance.packages()
    identity = {"code": code, "data": data}
    key = provenance.run_key(
        {name: part.model_dump(mode="json") for name, part in identity.items()}
        | {"parameters": values, "packages": packages, "series": plan.series}
    )
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
        code=code,
        python=platform.python_version(),
        packages=packages,
        run_key=key,
        cells=outcome.cells,
        files={},
    )


def _write(folder: Path, nb: Any, manifest: Manifest, redactor: Redactor, render: Render) -> None:
    """Write notebook, findings, actions and page, each without secrets."""
    for part in [path for path in folder.rglob(".*") if path.is_file()]:  # of a kernel killed while writing
        part.unlink()
    text = redactor.text(notebook.to_text(notebook.tidy(nb)))
    (folder / "notebook.ipynb").write_text(text, encoding="utf-8")
    redactor.folder(folder)
    for name in ("findings.json", "actions.json"):
        if not (folder / name).exists():
            (folder / name).write_text("[]\n", encoding="utf-8")
    page = render(notebook.read(text), manifest.stable(), read_findings(folder), read_actions(folder))
    (folder / "report.html").write_text(redactor.text(page), encoding="utf-8")


def _page(nb: Any, manifest: Manifest, findings: list[Finding], actions: list[Action]) -> str:
    from helpers.report.page import report_html  # late: the template engine is needed only at the end

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
