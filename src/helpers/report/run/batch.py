"""Many runs: skipped where nothing has changed, the others side by side, each in a process of its own.

::

    from helpers.report.run import batch, progress

    with progress.shown(len(plans)) as show:
        results = batch.execute_all(plans, reports=reports, workers=2, progress=show)

The processes come from an executor of `concurrent.futures`: by default one that forks each worker, and the worker's
kernel, from a parent that has imported the heavy libraries once (`helpers.report.run.kernels`). That of a Dask
cluster does as well: ``execute_all(plans, executor=Client(address).get_executor())``.

One run that fails, or whose worker dies, touches no other. After Ctrl-C all processes are ended, nothing is left
half published, catalogue and index are brought up to date, and `KeyboardInterrupt` is raised again.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from helpers.errors import PlaybookError
from helpers.report import project
from helpers.report.publish import store
from helpers.report.publish.manifest import Failure, RunStatus
from helpers.report.redact import mask
from helpers.report.run import kernels
from helpers.report.run.progress import Event, Inbox, Progress, sender

if TYPE_CHECKING:
    from helpers.report.plan.desk import Plan
    from helpers.report.plan.provenance import Git
    from helpers.report.run.kernels.client import Address, ForkServer
    from helpers.report.run.one_run import RunResult

BatchStatus = RunStatus | Literal["skipped", "not_published"]


@dataclass(frozen=True)
class BatchResult:
    """What became of one plan of a batch.

    Attributes
    ----------
    series : str
        Such as ``rfm/douyin``.
    status : str
        Status of the run; ``skipped`` when a published version stands; ``not_published`` when the reports folder
        refused or the worker died.
    version : int or None
        The version published, or the one that stands.
    line : str
        One plain line for a terminal or a log.
    failure : Failure or None
        Why it did not succeed.
    seconds : float or None
        Wall time of the run; None when it was skipped or did not end.
    """

    series: str
    status: BatchStatus
    version: int | None
    line: str
    failure: Failure | None = None
    seconds: float | None = None

    @property
    def good(self) -> bool:
        """Whether nobody need look: succeeded, skipped, or not run for want of a table."""
        return self.status in ("succeeded", "skipped", "not_run")


def execute_all(
    plans: Sequence[Plan],
    *,
    reports: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    timeout: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    mode: str | None = None,
) -> list[BatchResult]:
    """Run plans and publish their reports; what has not changed is not run.

    Parameters
    ----------
    plans : sequence of Plan
        From `helpers.report.plan.desk`.
    reports : path, optional
        The reports folder; by default that of the project of the first notebook.
    workers : int, optional
        Runs at a time; by default one for each core. A run uses one core.
    executor : concurrent.futures.Executor, optional
        Where runs are executed, instead of in processes of this machine; must see the same files.
    timeout : float, optional
        Seconds for each run whose plan names none.
    force : bool
        Run also what has not changed.
    progress : callable, optional
        Told what happens, see `helpers.report.run.progress`. May be called from another thread, never twice at
        a time.
    mode : str, optional
        ``fork`` or ``ordinary``, see `helpers.report.run.kernels.mode`; a single run is ordinary by default.

    Returns
    -------
    list of BatchResult
        One for each plan, in order.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when everything has been ended and the catalogue says what was published until then.
    CannotPublish
        When all else is done and the reports folder does not take catalogue and index, or ``latest.json``.
    """
    if not plans:
        return []
    target = Path(reports) if reports is not None else _default_reports(plans[0])
    teller = _Teller(progress)
    results: dict[int, BatchResult] = {} if force else _skipped(plans, target, teller)
    waiting = {index: plan for index, plan in enumerate(plans) if index not in results}
    try:
        if waiting:
            own = None if executor else _local(len(waiting), workers or _cores(), mode)
            results |= _execute(waiting, target, executor or own, own, timeout, teller)
    finally:
        _bring_up_to_date(target, {plan.series for plan in plans})
    return [results[index] for index in range(len(plans))]


def _default_reports(plan: Plan) -> Path:
    return (project.find_root(plan.notebook.parent) or Path.cwd()) / "reports"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _skipped(plans: Sequence[Plan], reports: Path, teller: _Teller) -> dict[int, BatchResult]:
    """Return the results of the plans that need no run."""
    from helpers.report.plan.skip import up_to_date

    results = {}
    for index, plan in enumerate(plans):
        if (version := up_to_date(plan, reports)) is not None:
            line = f"{plan.series}: skipped, unchanged since v{version}"
            results[index] = BatchResult(plan.series, "skipped", version, line)
            teller(Event("skipped", index, plan.series, text=line))
    return results


def _local(runs: int, workers: int, mode: str | None) -> Executor:
    """Return an executor of this machine; its fork server imports while the driver goes on."""
    from helpers.report.run.kernels.environment import kernel_environment
    from helpers.report.run.kernels.executor import ProcessPerCall

    forks = kernels.mode(mode, runs) == "fork"
    return ProcessPerCall(min(workers, runs), kernel_environment("", "") if forks else None)


def _execute(
    plans: dict[int, Plan],
    reports: Path,
    executor: Executor | None,
    own: Executor | None,
    timeout: float | None,
    teller: _Teller,
) -> dict[int, BatchResult]:
    assert executor is not None
    inbox = Inbox(teller) if teller.progress else None
    events = inbox.address if inbox else None
    shared: dict[str, Any] = {
        "reports": reports,
        "timeout": timeout,
        "events": events,
        "keeps_server": own is None,
    }
    results: dict[int, BatchResult] = {}
    futures: dict[Future[Any], int] = {}
    try:
        git = _git(plans)
        for index, plan in plans.items():
            futures[_submit(executor, plan, index, git=git[plan.notebook], **shared)] = index
        importlib.import_module(
            "helpers.report.page.index"
        )  # needed at the end, and the workers are busy now
        for future in as_completed(futures):
            index = futures[future]
            results[index] = _result(plans[index], future)
            teller(Event("done", index, plans[index].series, text=results[index].line))
    except BaseException:
        for future in futures:
            future.cancel()
        if own:
            own.shutdown(cancel_futures=True)
        raise
    finally:
        if inbox:
            inbox.close()
    if own:
        own.shutdown()
    return results


def _submit(executor: Executor, plan: Plan, index: int, **options: Any) -> Future[Any]:
    """Submit a run; a pool that is broken already is a result like any other."""
    try:
        return executor.submit(work, plan, index, **options)
    except BrokenExecutor as error:
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


def _git(plans: dict[int, Plan]) -> dict[Path, Git]:
    """Return the state of the working tree of each notebook, asked for once."""
    from helpers.report.plan import provenance

    roots = {plan.notebook: project.find_root(plan.notebook.parent) for plan in plans.values()}
    states = {root: provenance.git(root) for root in set(roots.values())}
    return {path: states[root] for path, root in roots.items()}


_server: ForkServer | None = None  # that of a process that serves many runs, such as a worker of a cluster
_server_lock = threading.Lock()


def work(
    plan: Plan,
    index: int,
    *,
    reports: Path,
    timeout: float | None,
    events: str | None,
    keeps_server: bool,
    git: Git,
    server: Address | None = None,
) -> RunResult:
    """Run one plan: what a worker does. `keeps_server` starts a fork server for this and all later runs."""
    from helpers.report.run.one_run import execute

    tell = sender(events)
    tell(Event("start", index, plan.series))
    return execute(
        plan,
        reports=reports,
        timeout=timeout,
        rebuild_catalog=False,
        server=_server_of_this_process() if keeps_server and server is None else server,
        on_cell=lambda cell, cells: tell(Event("cell", index, plan.series, cell, cells)),
        git=git,
    )


def _server_of_this_process() -> Address | None:
    from helpers.report.run.kernels.client import ForkServer, ServerGone
    from helpers.report.run.kernels.environment import kernel_environment

    global _server
    if kernels.mode() != "fork":
        return None
    with _server_lock:
        if _server is None or _server.process.poll() is not None:
            try:
                _server = ForkServer(kernel_environment("", ""))
            except ServerGone:  # kernels are then started the ordinary way
                return None
    return _server.address


def _result(plan: Plan, future: Future[Any]) -> BatchResult:
    """Return what a future holds; a run that could not be published is a result too."""
    try:
        run: RunResult = future.result()
    except Exception as error:
        reason = str(error) if isinstance(error, PlaybookError) else f"{type(error).__name__}: {error}"
        reason = mask(reason, *map(str, plan.values.values()))
        failure = Failure(kind="error", cell=None, error=type(error).__name__, message=reason)
        line = f"{plan.series}: not published: {reason}"
        return BatchResult(plan.series, "not_published", None, line, failure)
    kept = run.manifest.bookkeeping
    seconds = kept.seconds if kept else None
    return BatchResult(run.series, run.status, run.version, run.line, run.manifest.failure, seconds)


def _bring_up_to_date(reports: Path, series: Iterable[str] = ()) -> None:
    """Remove what ended runs have left in staging; mend what is derived from the versions and misses one.

    That are ``latest.json`` of these series, of which a killed run may not have moved it, catalogue and index.
    """
    from helpers.report import catalog

    if not reports.is_dir():
        return
    store.clean(reports)
    try:
        for name in sorted(series):
            store.point_latest(reports, name)
        listed = _listed(reports / "catalog.json") == store.published(reports)
        if not (listed and (reports / "index.html").exists()):
            catalog.rebuild(reports)
    except OSError as error:
        raise store.refusal(reports, error) from error


def _listed(path: Path) -> list[str] | None:
    """Return the versions that a catalogue lists, as `store.published` does; None when it cannot be read."""
    try:
        known = json.loads(path.read_bytes())
        listed = [
            (v["path"], one["series"], v["version"]) for one in known["series"] for v in one["versions"]
        ]
        unreadable = [(each, *each.rsplit("/v", 1)) for each in known["unreadable"]]
        every = sorted((series, int(version), place) for place, series, version in listed + unreadable)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [place for _, _, place in every]


class _Teller:
    """Hands events on one at a time; what arrives late of a run that has ended is not told."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self._lock = threading.Lock()
        self._ended: set[int] = set()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.run in self._ended or self.progress is None:
                return
            if event.kind in ("done", "skipped"):
                self._ended.add(event.run)
            self.progress(event)
