"""A papermill engine that tells the truth about every cell.

papermill's own engine marks the cell that killed the kernel, a cell that timed out, and every cell after them as
completed. This one gives each cell one of completed, failed, timed_out, kernel_died and not_run, and the run a
status, a kind of failure and the failing cell. It runs a kernel of this very interpreter over IPC sockets, with the
environment and working folder given to the kernel alone: one forked from a fork server (`helpers.report.run.kernels`)
where it is given one, else one started the ordinary way.

Use it from papermill as ``papermill --engine playbook in.ipynb out.ipynb``, or through `execute`.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines

from helpers import errors
from helpers.data import scratch
from helpers.report.publish.manifest import CellRun, Failure, FailureKind, RunStatus
from helpers.report.run import outputs
from helpers.report.run.kernels import kernel
from helpers.report.run.kernels.client import LOST, ForkServer
from helpers.sentences import say, shortened

NAME = "playbook"
NOT_RUN = "not_run"
OnCell = Callable[[int, int], None]
"""Told the number of the cell that starts, counted from 1, and the number of cells."""

_SILENT = logging.Logger("playbook", logging.CRITICAL + 1)  # what fails is reported in full elsewhere
_running: set[TruthfulClient] = set()  # of all threads of this process


_KINDS: dict[str, Any] = {
    "SystemExit": "system_exit",
    "MemoryError": "out_of_memory",
    **{name: error.kind for name, error in vars(errors).items() if hasattr(error, "kind")},
}
"""The kind of failure of each class of exception that has one, by the name of the class."""


class Outcome(NamedTuple):
    """How a notebook ended.

    Attributes
    ----------
    status : str
        succeeded, failed, timed_out, kernel_died or not_run.
    failure : Failure or None
        None when it succeeded.
    cells : list of CellRun
        One per cell of the executed notebook.
    cell_seconds : list of float or None
        Aligned with `cells`; None for a cell that was not run.
    peak_memory_bytes : int or None
        Peak resident memory of the kernel, where the system tells.
    """

    status: RunStatus
    failure: Failure | None
    cells: list[CellRun]
    cell_seconds: list[float | None]
    peak_memory_bytes: int | None


class TruthfulManager(NotebookExecutionManager):
    """Keeps the status of cells in the metadata where papermill keeps it, and promotes none to completed."""

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Close a cell with the status it has reached; only a cell still running has completed."""
        reached = cell.metadata.papermill["status"]
        super().cell_complete(cell, cell_index, **kwargs)
        if reached != self.RUNNING:
            cell.metadata.papermill["status"] = reached

    def notebook_complete(self, **kwargs: Any) -> None:
        """Close the notebook: cells that never started say so."""
        for cell in self.nb.cells:
            if cell.metadata.papermill["status"] == self.PENDING:
                cell.metadata.papermill["status"] = NOT_RUN
        super().notebook_complete(**kwargs)

    def fail(self, status: str, failure: Failure) -> None:
        """Note that the run ends, with the cell that the failure names."""
        no_failure = failure.kind in ("missing_table", "too_few_members", "nothing_counts")
        record, ended = self.nb.metadata.papermill, NOT_RUN if no_failure else status
        record.update(exception=True, status=ended, failure=failure.model_dump(mode="json"))
        if failure.cell is not None:  # an exception is what papermill itself looks at to raise
            self.nb.cells[failure.cell - 1].metadata.papermill.update(exception=True, status=ended)


class TruthfulClient(PapermillNotebookClient):
    """Runs the cells one by one up to a common deadline and names what ended the run."""

    def __init__(
        self,
        nb_man: TruthfulManager,
        *,
        run_seconds: float | None = None,
        server: ForkServer | None = None,
        on_cell: OnCell | None = None,
        stop: threading.Event | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nb_man, kernel_manager_class=kernel.PromptManager, **options)
        self.server, self.on_cell, self.run_seconds, self.stop = server, on_cell, run_seconds, stop
        self.sockets: scratch.Scratch | None = None
        self.bounds = outputs.Bounds()
        self.reading: asyncio.Task[Any] | None = None
        self.kills_before = kernel.kills()
        if run_seconds:
            deadline = time.monotonic() + run_seconds
            self.timeout_func = lambda cell: max(deadline - time.monotonic(), 0.01)

    def create_kernel_manager(self) -> Any:
        """Return a manager of a kernel of this interpreter that talks over IPC where the system can."""
        self.kernel_name = "python3"
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = kernel.ThisInterpreter()
        self.provisioner = kernel.Provisioner(kernel_spec=manager.kernel_spec, parent=manager)
        manager.provisioner, self.provisioner.server = self.provisioner, self.server
        self.sockets = scratch.folder(room=6) if os.name == "posix" else None
        if self.sockets:
            manager.transport = "ipc"
            manager.ip = str(self.sockets.path / "k")
            manager.connection_file = str(self.sockets.path / "kernel.json")
        return manager

    def execute(self, **kwargs: Any) -> Any:
        """Run the notebook; `kwargs` such as ``env`` go to the kernel."""
        self.reset_execution_trackers()
        _running.add(self)
        try:
            with self.setup_kernel(**kwargs):
                self.papermill_execute_cells()
        finally:
            _running.discard(self)
            if self.sockets:
                self.sockets.close()
        return self.nb

    async def _async_poll_output_msg(self, *args: Any) -> None:
        self.reading = asyncio.current_task()
        await super()._async_poll_output_msg(*args)

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Take what a cell has put out, as far as there is room for it."""
        return super().process_message(msg, cell, cell_index) if self.bounds.admit(msg) else None

    def papermill_execute_cells(self) -> None:
        """Run cell after cell; stop at the first that fails and say how it did."""
        record = self.nb.metadata.papermill
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            if self.on_cell:
                self.on_cell(index + 1, len(self.nb.cells))
            try:
                self.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                if self.reading:  # goes on when the time is over
                    self.reading.cancel()
                self.nb_man.fail(*self._diagnose(error, index))
                self.shutdown_kernel = "immediate"
                break
            finally:
                peak = kernel.peak_memory(self.provisioner.pid)
                record["peak_memory_bytes"] = peak or record.get("peak_memory_bytes")
                if cell.cell_type == "code":
                    self.bounds.end(cell)
                self.nb_man.cell_complete(cell, index)

    def _diagnose(self, error: Exception, index: int) -> tuple[str, Failure]:
        status, name = "failed", type(error).__name__
        kind: FailureKind = "exception"
        if isinstance(error, CellExecutionError):
            name, message = error.ename, shortened(error.evalue, outputs.LONGEST_ERROR)
            kind = next((_KINDS[base] for base in (name, *self._bases(index)) if base in _KINDS), kind)
            if kind == "system_exit":
                message = say(
                    "the notebook called sys.exit({code}); the cells after it did not run", code=message
                )
        elif isinstance(error, CellTimeoutError):
            status = kind = "timed_out"
            seconds = self.run_seconds or self.timeout
            message = say("the run timed out after {seconds:g} seconds", seconds=seconds)
        else:
            status = kind = "kernel_died"
            process = self.provisioner.process
            code = process.returncode if process else None
            message = kernel.last_words(code)
            if code == LOST and self.kills_before is not None and kernel.kills() != self.kills_before:
                kind = "out_of_memory"
                message = say("the system killed the kernel because memory ran out")
        return status, Failure(kind=kind, cell=index + 1, error=name, message=message)

    def _bases(self, index: int) -> list[str]:
        """Ask the kernel for the base classes of its last exception; none when it can no longer say."""
        assert self.kc is not None
        wanted = "[base.__name__ for base in type(__import__('sys').last_value).__mro__]"
        try:
            request = self.kc.execute("pass", silent=True, user_expressions={"bases": wanted})
            reply = self.wait_for_reply(request, self.nb.cells[index])
            text = reply["content"]["user_expressions"]["bases"]["data"]["text/plain"]
            return [str(name) for name in ast.literal_eval(text)]
        except (DeadKernelError, CellTimeoutError, KeyError, TypeError, ValueError):
            return []


class PlaybookEngine(Engine):
    """The engine as papermill sees it."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str | None,
        output_path: str | None = None,
        progress_bar: bool = True,
        start_timeout: int = 60,
        execution_timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        client: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run a notebook node in place and return it: `execution_timeout` are the seconds of a cell, as in papermill.

        See papermill's ``Engine.execute_notebook``; what a kernel prints is not logged, because nobody has masked it.
        """
        manager = TruthfulManager(nb, output_path, progress_bar=progress_bar)
        manager.notebook_start()
        try:
            runner = TruthfulClient(
                manager,
                **(client or {}),
                timeout=execution_timeout,
                startup_timeout=start_timeout,
                record_timing=False,
                store_widget_state=False,  # a page runs no script
                iopub_timeout=60,  # a large output is no timeout of the cell
            )
            # A kernel copies to its own streams what a notebook prints, before anybody has masked its secrets.
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            env = dict(os.environ if environment is None else environment)
            runner.execute(env=env, cwd=folder or os.getcwd(), **silent)  # noqa: PTH109
        except (RuntimeError, OSError) as error:  # the kernel did not come up
            failure = Failure(kind="kernel_died", cell=None, error=type(error).__name__, message=str(error))
            manager.fail("kernel_died", failure)
        finally:
            manager.notebook_complete()
        return manager.nb


def execute(
    nb: Any,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    run_seconds: float | None = None,
    server: ForkServer | None = None,
    on_cell: OnCell | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Run a notebook node in place through papermill and this engine.

    Parameters
    ----------
    nb : nbformat.NotebookNode
        The notebook, parameters injected.
    environment : mapping, optional
        Environment of the kernel, in place of this process's own.
    folder : str, optional
        Working folder of the kernel, in place of this process's own.
    run_seconds : float, optional
        Seconds after which the run is stopped and marked as timed_out.
    server : ForkServer, optional
        Where to get the kernel from.
    on_cell : callable, optional
        Called as each cell starts, with its number counted from 1 and the number of cells.
    stop : threading.Event, optional
        By which `kill_kernels` knows this run.

    Returns
    -------
    Outcome
        How it ended; a failing notebook does not raise.
    """
    client = {"run_seconds": run_seconds, "server": server, "on_cell": on_cell, "stop": stop, "log": _SILENT}
    options: dict[str, Any] = {"environment": environment, "folder": folder, "client": client}
    papermill_engines.execute_notebook_with_engine(NAME, nb, "python3", progress_bar=False, **options)
    record = nb.metadata.papermill
    cells = [each.metadata.papermill for each in nb.cells]
    return Outcome(
        status=record.get("status", "succeeded"),
        failure=Failure.model_validate(record["failure"]) if record.get("failure") else None,
        cells=[
            CellRun(number=number, id=cell.get("id", ""), status=cell.metadata.papermill["status"])
            for number, cell in enumerate(nb.cells, 1)
        ],
        cell_seconds=[each.get("duration") for each in cells],
        peak_memory_bytes=record.get("peak_memory_bytes"),
    )


def kill_kernels(stop: threading.Event) -> None:
    """End the kernels of the notebooks that other threads of this process run under this event now."""
    for client in list(_running):
        if client.stop is stop and (provisioner := getattr(client, "provisioner", None)):
            provisioner.kill_now()


papermill_engines.register(NAME, PlaybookEngine)
