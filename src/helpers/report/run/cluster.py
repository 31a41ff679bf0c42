"""The runs of a batch on the workers of a Dask cluster, which share the project and the reports folder.

A job that is sent holds a plan and paths, and no secret: addresses name variables of the environment, and each
worker has an environment of its own. Before it starts, a worker looks at project, packages, environment and tables
as it sees them. Where it would make another report than the plan means it makes none, and the result says why.

Dask gives the job of a worker that died to another one, and gives it up when more have died than its scheduler
allows (``distributed.scheduler.allowed-failures``). What a worker had published before it died is not made twice.
When nobody waits for a job any more, because the batch was stopped or is gone, the worker ends it.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from helpers import locale
from helpers.data import address
from helpers.errors import BadParameters, PlaybookError
from helpers.report.plan import provenance
from helpers.report.plan.desk import Desk, Plan, without_secrets
from helpers.report.plan.imports import Sources, changed
from helpers.report.plan.skip import decide, told
from helpers.report.publish import store
from helpers.report.publish.manifest import read_manifest
from helpers.report.run import kernels
from helpers.report.run.kernels.client import ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from helpers.report.run.progress import Event, Progress
from helpers.report.run.result import RunResult, unpublished
from helpers.sentences import in_chinese, say

ANSWERS_WITHIN = 10
"""Seconds in which a scheduler answers, a first worker has come, and jobs that are not wanted any more have ended."""
LOOKS_EVERY = 0.2
"""Seconds after which a worker asks itself again whether its job is still wanted."""

_LOADED = Sources().digests(Sources().modules)
"""The package as it was when this process loaded it: a worker may live longer than that."""
_one_by_one = threading.Lock()
"""Held to read sources, which Python 3.11 cannot do in two threads at a time, and to start the server of a worker."""
_at_work: list[str] = []
"""Of each job that this process, a worker, has in hand: its batch."""


class ClusterFailed(PlaybookError):
    """A run was not made because of the cluster, or not by a worker that sees something else."""


class Job(NamedTuple):
    """What is sent to a worker.

    Attributes
    ----------
    plan : Plan
        The run.
    run : int
        Its position in the batch.
    batch : str
        Name of the batch, under which workers tell how far they are.
    marker : Path
        A folder in the reports folder, by which a worker sees that it is the same one.
    seen : mapping
        By kind and name, the digests and versions that must be the same on a worker.
    newest : int
        Newest version of the series when the job was sent.
    language : str
        Language of the terminal.
    """

    plan: Plan
    run: int
    batch: str
    marker: Path
    seen: Mapping[str, Mapping[str, Any]]
    newest: int
    language: str


class Cluster:
    """The workers behind a scheduler, as a crew of `helpers.report.run.batch`; arguments as of its `execute_all`."""

    def __init__(
        self, scheduler: str, plans: Mapping[int, Plan], reports: Path, workers: int | None, tell: Progress
    ) -> None:
        self.scheduler, self.reports, self.workers, self.tell = scheduler, reports.resolve(), workers, tell
        self.plans = dict(plans)
        self.batch, self.stack = f"playbook-{uuid.uuid4().hex}", contextlib.ExitStack()
        for plan in plans.values():
            if named := [name for name, value in plan.values.items() if without_secrets(value) != value]:
                text = (
                    "{series}: {name} holds a password, which is not sent to a cluster: name a variable of the "
                    "environment that each worker has, such as postgres://user:${{PGPASSWORD}}@host/database"
                )
                raise BadParameters(say(text, series=plan.series, name=named[0]))

    def __enter__(self) -> Cluster:
        try:
            from distributed import Client
        except ImportError:
            text = "a cluster needs a library that is not installed: pip install 'community-playbook[dask]'"
            raise BadParameters(say(text)) from None
        # What fails is a result, in words of ours.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self.marker = self.stack.enter_context(store.staging(self.reports))
        try:
            client = Client(self.scheduler, timeout=ANSWERS_WITHIN, set_as_default=False)
            self.client = self.stack.enter_context(client)
            client.wait_for_workers(1, timeout=ANSWERS_WITHIN)
        except (OSError, ValueError, TypeError) as error:
            self.stack.close()  # no answer in time; no address; TLS without certificates
            text = "the cluster {scheduler} cannot be used: it, or a worker of it, does not answer ({reason})"
            raise BadParameters(say(text, scheduler=self.scheduler, reason=str(error))) from None
        client.subscribe_topic(self.batch, self._heard)
        self.executor = client.get_executor(pure=False)
        return self

    def _heard(self, event: tuple[Any, tuple[int, int, int]]) -> None:
        index, cell, cells = event[1]
        if plan := self.plans.get(index):  # else it is over
            if cell:
                self.tell(Event("cell", index, plan.series, cell, cells))
            else:
                self.tell(Event("start", index, plan.series, text=plan.notice()))

    def room(self) -> int:
        """Return the number of threads of the workers that are there now, or how many runs the user wants at a time.

        What waits on a worker would be taken for what killed it, so nothing is sent that would have to wait.
        """
        with contextlib.suppress(Exception):  # of a lost scheduler, which the futures tell of
            return min(self.workers or 1_000, max(sum(self.client.nthreads().values()), 1))
        return 1

    def submit(self, index: int, plan: Plan) -> Future[RunResult]:
        """Send a run."""
        newest = max(store.numbers(self.reports, plan.series), default=0)
        language = "zh" if in_chinese() else "en"
        job = Job(plan, index, self.batch, self.marker, _seen(plan), newest, language)
        future: Future[RunResult] = self.executor.submit(work, job)
        future.add_done_callback(lambda _: self.plans.pop(index))
        return future

    def __exit__(self, *_: object) -> None:
        """Take back what is still in hand, and wait until the workers have let go of it."""
        until = time.monotonic() + ANSWERS_WITHIN
        with contextlib.suppress(Exception):  # of a lost scheduler, without which workers end
            self.executor.shutdown(wait=False)
            while any(self.client.run(_busy, self.batch, on_error="ignore").values()):
                if time.monotonic() > until:
                    break
                time.sleep(LOOKS_EVERY)
        self.stack.close()


def _busy(batch: str) -> bool:
    return batch in _at_work


def _seen(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return what of a plan and of this process must be the same on a worker, by kind and name."""
    versions = {"lock": plan.code.lock_sha256, "Python": platform.python_version()}
    modules = plan.code.modules | {"the notebook": plan.code.notebook_sha256}
    return {
        "code": modules,
        "packages": provenance.packages() | versions,
        "environment": plan.environment,
        "data": {"mapping": plan.mapping},
    }


def work(job: Job) -> RunResult:
    """Make a run, as a worker; whatever goes wrong is a result, since Dask would log an error with its secrets."""
    from distributed import Reschedule, get_worker

    from helpers.report.run import one_run

    worker, plan, reports = get_worker(), job.plan, job.marker.parent

    def on_cell(cell: int, cells: int) -> None:
        worker.log_event(job.batch, (job.run, cell, cells))

    with locale.spoken(job.language), _wanted(worker, job.batch) as stop:
        try:
            _check(job)
            version = decide(plan, reports).version
            if version and version > job.newest:  # by a worker that died before it could say so
                manifest = read_manifest(reports / plan.series / f"v{version}")
                return one_run.published(plan, manifest, reports)
            on_cell(0, 0)
            with _one_by_one:
                server = _server()
            return one_run.execute(plan, reports, server=server, on_cell=on_cell, stop=stop)
        except one_run.Stopped:
            raise Reschedule from None  # by a worker that is to end, for another one; else nobody hears it
        except Exception as error:
            return unpublished(plan, error, worker.address)


@cache
def _server() -> ForkServer | None:
    """Return the fork server of this worker, which lives as long."""
    return ForkServer(kernel_environment("", "")) if kernels.mode() == "fork" else None


def _check(job: Job) -> None:
    """Refuse to make another report than was meant.

    Raises
    ------
    PlaybookError
        With what this worker lacks, or sees otherwise than the process that sent the job.
    """
    plan = job.plan
    address.check_secrets(plan.values["data"])
    if not job.marker.is_dir():
        raise ClusterFailed(say("it does not share the reports folder {folder}", folder=job.marker.parent))
    if not plan.notebook.is_file():
        raise ClusterFailed(say("it does not share the project: there is no {path}", path=plan.notebook))
    with _one_by_one:
        here = Desk().with_tables(plan, plan.tables)
    seen = _seen(here)
    seen["code"] |= {name: digest for name, digest in _LOADED.items() if name in seen["code"]}
    differing = {kind: changed(job.seen[kind], seen[kind]) for kind in seen}
    differing["data"] += plan.changed_tables()
    if any(differing.values()) or here.run_key != plan.run_key:
        text = (
            "it would make another report ({what}): give it the same project, packages, environment and data, and "
            "start it again"
        )
        raise ClusterFailed(say(text, what=told(differing)))


@contextlib.contextmanager
def _wanted(worker: Any, batch: str) -> Iterator[threading.Event]:
    """Give an event that is set, and its kernel ended, once nobody waits for this thread's task any more."""
    from helpers.report.run import engine

    key, stop, done = worker.get_current_task(), threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(LOOKS_EVERY):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled" or worker.status.name not in ("running", "paused"):
                stop.set()
            if stop.is_set():
                engine.kill_kernels(stop)

    _at_work.append(batch)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield stop
    finally:
        done.set()
        _at_work.remove(batch)
