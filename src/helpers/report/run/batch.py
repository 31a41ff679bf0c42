"""Many runs: skipped where nothing has changed, the others side by side, each with a kernel of its own.

::

    from helpers.report.run import batch, progress

    with progress.shown(len(plans)) as show:
        results = batch.execute_all(plans, reports=reports, workers=2, progress=show)

Each run has a thread of this process, which waits for its kernel and makes the page; the kernels are forked from a
process that has imported the heavy libraries once (`helpers.report.run.kernels`).

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

from helpers.errors import PlaybookError
from helpers.report.plan.skip import decide
from helpers.report.publish import catalog, store
from helpers.report.publish.manifest import Failure
from helpers.report.redact import mask
from helpers.report.run import kernels
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from helpers.report.run.progress import Event, Progress
from helpers.report.run.result import RunResult
from helpers.sentences import say

if TYPE_CHECKING:
    from helpers.report.plan.desk import Plan


def execute_all(
    plans: Sequence[Plan],
    *,
    reports: Path,
    workers: int | None = None,
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
        Runs at a time; by default one for each core. A run uses one core.
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
            results |= _execute(waiting, reports, workers or _cores(), tell, force=force)
    finally:
        _bring_up_to_date(reports, {plan.series for plan in plans})
    return [results[index] for index in range(len(plans))]


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


def _execute(
    plans: dict[int, Plan], reports: Path, workers: int, tell: Progress, *, force: bool
) -> dict[int, RunResult]:
    """Run plans; on the way out, whatever the reason, no kernel is left and no run will be published any more."""
    server = ForkServer(kernel_environment("", "")) if kernels.mode(len(plans)) == "fork" else None
    stop = threading.Event()

    def work(index: int, plan: Plan) -> RunResult:
        tell(Event("start", index, plan.series))

        def on_cell(cell: int, cells: int) -> None:
            tell(Event("cell", index, plan.series, cell, cells))

        return one_run.execute(plan, reports, server=server, on_cell=on_cell, stop=stop)

    threads = ThreadPoolExecutor(min(workers, len(plans)))
    futures: dict[Future[RunResult], int] = {}
    results: dict[int, RunResult] = {}
    try:
        from helpers.report.run import engine, one_run  # heavy, and now the server imports beside

        left = dict(plans)
        while len(results) < len(plans):
            unfinished = {plan.series for index, plan in plans.items() if index not in results}
            for index, plan in [each for each in left.items() if unfinished.isdisjoint(each[1].after)]:
                del left[index]
                if plan.after and not force and (standing := _standing(index, plan, reports, tell)):
                    results[index] = standing
                else:
                    futures[threads.submit(work, index, plan)] = index
            running = [future for future, index in futures.items() if index not in results]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = futures[future]
                results[index] = _result(plans[index], future)
                tell(Event("done", index, plans[index].series, text=results[index].line))
    finally:
        stop.set()
        for future in futures:
            future.cancel()
        if server:
            server.close()
        while not all(future.done() for future in futures):
            engine.kill_kernels()
            time.sleep(0.05)
    return results


def _result(plan: Plan, future: Future[RunResult]) -> RunResult:
    """Return what a future holds; a run that could not be published is a result too."""
    try:
        return future.result()
    except Exception as error:
        reason = str(error) if isinstance(error, PlaybookError) else f"{type(error).__name__}: {error}"
        reason = mask(reason, *map(str, plan.values.values()))
        failure = Failure(kind="error", cell=None, error=type(error).__name__, message=reason)
        line = say("{series}: not published: {reason}", series=plan.series, reason=reason)
        return RunResult(plan.series, "not_published", None, line, failure)


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
