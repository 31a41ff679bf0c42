"""Many runs: skipped where nothing has changed, the others side by side, each with a kernel of its own.

::

    from helpers.report.run import batch, progress

    with progress.shown(len(plans)) as show:
        results = batch.execute_all(plans, reports=reports, workers=2, progress=show)

Each run has a thread of this process, which waits for its kernel and makes the page; the kernels are forked from a
process that has imported the heavy libraries once (`helpers.report.run.kernels`). Or each is sent to a worker of a
Dask cluster, which does the same (`helpers.report.run.cluster`).

One run that fails touches no other. A run that waits for others starts when these are done, however they ended; only
then is it known which earlier reports it reads, and so whether it is made at all. After Ctrl-C all kernels are ended,
nothing is left half published, catalogue and index are brought up to date, and `KeyboardInterrupt` is raised again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.report.plan.skip import decide
from helpers.report.publish import catalog, store
from helpers.report.run import kernels
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from helpers.report.run.progress import Event, Progress
from helpers.report.run.result import RunResult, unpublished
from helpers.sentences import say

if TYPE_CHECKING:
    from helpers.report.plan.desk import Plan
    from helpers.report.run.cluster import Cluster


def execute_all(
    plans: Sequence[Plan],
    *,
    reports: Path,
    workers: int | None = None,
    cluster: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[RunResult]:
    """Run plans and publish their reports; what has not changed is not run.

    Parameters
    ----------
    plans : sequence of Plan
        From `helpers.report.plan.desk`.
    reports : Path
        The reports folder.
    workers : int, optional
        Runs at a time; by default one for each core, of a cluster one for each of its threads. A run uses one core.
    cluster : str, optional
        Address of the scheduler of a Dask cluster on whose workers the runs are made, see
        `helpers.report.run.cluster`; by default they are made by this process.
    force : bool
        Run also what has not changed.
    progress : callable, optional
        Told what happens, see `helpers.report.run.progress`. May be called from another thread, never twice at
        a time.

    Returns
    -------
    list of RunResult
        One for each plan, in order.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when everything has been ended and the catalogue says what was published until then.
    CannotPublish
        When all else is done and the reports folder does not take catalogue and index, or ``latest.json``.
    BadParameters
        When a cluster cannot be reached, or what is sent to it would hold a password.
    """
    lock = threading.Lock()

    def tell(event: Event) -> None:
        if progress:
            with lock:
                progress(event)

    results = {} if force else _skipped(plans, reports, tell)
    waiting = {index: plan for index, plan in enumerate(plans) if index not in results}
    try:
        if waiting:
            with _crew(waiting, reports, workers, cluster, tell) as crew:
                results |= _execute(waiting, reports, crew, tell, force=force)
    finally:
        _bring_up_to_date(reports, {plan.series for plan in plans})
    return [results[index] for index in range(len(plans))]


def _crew(
    plans: dict[int, Plan],
    reports: Path,
    workers: int | None,
    cluster: str | None,
    tell: Progress,
) -> _Threads | Cluster:
    if cluster is None:
        return _Threads(reports, min(workers or _cores(), len(plans)), len(plans), tell)
    from helpers.report.run.cluster import Cluster

    return Cluster(cluster, plans, reports, workers, tell)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _skipped(plans: Sequence[Plan], reports: Path, tell: Progress) -> dict[int, RunResult]:
    """Return the results of the plans that need no run."""
    results, left = {}, {plan.series for plan in plans}
    for index, plan in enumerate(plans):
        if left.isdisjoint(plan.after) and (result := _standing(index, plan, reports, tell)):
            results[index] = result
            left.discard(plan.series)
    return results


def _standing(index: int, plan: Plan, reports: Path, tell: Progress) -> RunResult | None:
    """Return the result of a plan of which a version stands."""
    if (version := decide(plan, reports).version) is None:
        return None
    with plan.spoken():
        line = say("{series}: skipped, unchanged since v{version}", series=plan.series, version=version)
    tell(Event("skipped", index, plan.series, text=line))
    return RunResult(plan.series, "skipped", version, line)


class _Threads:
    """Threads of this process, each with a kernel; after the end no kernel is left and nothing will be published."""

    def __init__(self, reports: Path, workers: int, runs: int, tell: Progress) -> None:
        self.reports, self.workers, self.runs, self.tell = reports, workers, runs, tell
        self.stop, self.futures = threading.Event(), list[Future[RunResult]]()

    def __enter__(self) -> _Threads:
        forks = kernels.mode(self.runs) == "fork"
        self.server = ForkServer(kernel_environment("", "")) if forks else None
        self.threads = ThreadPoolExecutor(self.workers)
        return self

    def room(self) -> int:
        """Return how many runs there may be at a time."""
        return self.workers

    def submit(self, index: int, plan: Plan) -> Future[RunResult]:
        """Begin a run; `index` is its position in the batch, for what is told of it."""
        self.futures.append(self.threads.submit(self._work, index, plan))
        return self.futures[-1]

    def _work(self, index: int, plan: Plan) -> RunResult:
        from helpers.report.run import one_run  # heavy, and now the server imports beside

        self.tell(Event("start", index, plan.series, text=plan.notice()))

        def on_cell(cell: int, cells: int) -> None:
            self.tell(Event("cell", index, plan.series, cell, cells))

        return one_run.execute(plan, self.reports, server=self.server, on_cell=on_cell, stop=self.stop)

    def __exit__(self, *_: object) -> None:
        from helpers.report.run import engine

        self.stop.set()
        for future in self.futures:
            future.cancel()
        if self.server:
            self.server.close()
        while not all(future.done() for future in self.futures):
            engine.kill_kernels(self.stop)
            time.sleep(0.05)


def _execute(
    plans: dict[int, Plan], reports: Path, crew: _Threads | Cluster, tell: Progress, *, force: bool
) -> dict[int, RunResult]:
    """Let a crew run plans, each as soon as there is room and what it waits for is done."""
    futures: dict[Future[RunResult], int] = {}
    results: dict[int, RunResult] = {}
    left = dict(plans)
    while len(results) < len(plans):
        unfinished = {plan.series for index, plan in plans.items() if index not in results}
        for index, plan in [each for each in left.items() if unfinished.isdisjoint(each[1].after)]:
            if plan.after and not force and (standing := _standing(index, plan, reports, tell)):
                results[index] = standing
            elif len(futures) < crew.room():
                futures[crew.submit(index, plan)] = index
            else:
                break
            del left[index]
        for future in wait(futures, return_when=FIRST_COMPLETED).done:
            index = futures.pop(future)
            results[index] = _result(plans[index], future)
            tell(Event("done", index, plans[index].series, text=results[index].line))
    return results


def _result(plan: Plan, future: Future[RunResult]) -> RunResult:
    """Return what a future holds; a run that could not be published is a result too."""
    try:
        return future.result()
    except Exception as error:
        return unpublished(plan, error)


def _bring_up_to_date(reports: Path, series: Iterable[str] = ()) -> None:
    """Remove what ended runs have left in staging; mend what is derived from the versions and misses one.

    That are ``latest.json`` of these series, of which a killed run may not have moved it, catalogue and index.
    """
    if not reports.is_dir():
        return
    store.clean(reports)
    try:
        for name in sorted(series):
            store.point_latest(reports, name)
        listed = catalog.listed(reports) == set(store.published(reports))
        if not (listed and (reports / "index.html").exists()):
            # What draws the index is loaded only when there is something to draw.
            from helpers.report.page.index import rebuild

            rebuild(reports)
    except OSError as error:
        raise store.refusal(reports, error) from error
