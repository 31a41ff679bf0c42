"""A papermill engine that tells the truth about every cell.

papermill's own engine marks the cell that killed the kernel, a cell that ran out of time, and every cell after
them as completed. This one, registered as ``playbook``, gives each cell one of completed, failed, timed_out,
kernel_died and not_run, and the run a status, a kind of failure and the failing cell. It runs a kernel of this very
interpreter over IPC sockets, with the environment and working folder given to the kernel alone: one forked from
a fork server (`helpers.report.run.kernels`) where it is given the address of one, else one started the ordinary way.

Use it from papermill as ``papermill --engine playbook in.ipynb out.ipynb``, or through `helpers.report.run.one_run`.
"""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

from helpers import errors
from helpers.report.publish import scratch
from helpers.report.publish.manifest import CellRun, Failure, FailureKind, RunStatus
from helpers.report.run import memory
from helpers.report.run.cells import OnCell, TruthfulManager
from helpers.report.run.kernels.client import Address
from helpers.report.run.kernels.environment import needs_own_start
from helpers.report.run.kernels.provisioner import ForkedProvisioner, PromptManager, ThisInterpreter

NAME = "playbook"


def _kinds() -> dict[str, FailureKind]:
    """Return the failure kind of each class of exception that has one, by the name of the class."""
    kinds: dict[str, FailureKind] = {"SystemExit": "system_exit", "MemoryError": "out_of_memory"}
    known: tuple[FailureKind, ...] = get_args(FailureKind)
    classes: list[type[errors.PlaybookError]] = [errors.PlaybookError, *errors.PlaybookError.__subclasses__()]
    for error in (error for error in classes if error.__module__ == errors.__name__):
        kinds[error.__name__] = next((kind for kind in known if kind == error.kind), "error")
    return kinds


_KINDS = _kinds()


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


class TruthfulClient(PapermillNotebookClient):
    """Runs the cells one by one up to a common deadline and names what ended the run."""

    def __init__(
        self,
        nb_man: TruthfulManager,
        *,
        run_seconds: float | None = None,
        server: Address | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nb_man, kernel_manager_class=PromptManager, **options)
        self.server = server
        self.deadline = time.monotonic() + run_seconds if run_seconds else None
        self.run_seconds = run_seconds
        self.socket_folder: scratch.Scratch | None = None
        self.killed_for_memory = memory.kills()
        self.timeout_func = self._seconds_left if run_seconds else None

    def _seconds_left(self, cell: Any) -> float:
        return max((self.deadline or 0.0) - time.monotonic(), 0.01)

    def create_kernel_manager(self) -> Any:
        """Return a manager of a kernel of this interpreter that talks over IPC where the system can."""
        self.kernel_name = "python3"
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = ThisInterpreter()
        if self.server:
            manager.provisioner = ForkedProvisioner(kernel_spec=manager.kernel_spec, parent=manager)
            manager.provisioner.server = self.server
        # The server removes its folder in the end, even that of a kernel whose client was killed.
        place = Path(self.server.path).parent if self.server else None
        self.socket_folder = scratch.folder("kernel", place, room=6) if os.name == "posix" else None
        if self.socket_folder:
            manager.transport = "ipc"
            manager.ip = str(self.socket_folder.path / "k")
            manager.connection_file = str(self.socket_folder.path / "kernel.json")
        return manager

    def execute(self, **kwargs: Any) -> Any:
        """Run the notebook; `kwargs` such as ``env`` go to the kernel."""
        self.reset_execution_trackers()
        try:
            with self.setup_kernel(**kwargs):
                self.papermill_execute_cells()
                self.set_widgets_metadata()
        finally:
            if self.socket_folder:
                self.socket_folder.close()
        return self.nb

    def papermill_execute_cells(self) -> None:
        """Run cell after cell; stop at the first that fails and say how it did."""
        peak = self.nb_man.nb.metadata.papermill
        for index, cell in enumerate(self.nb.cells):
            started = time.monotonic()
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                self.nb_man.fail(cell, *self._diagnose(error, index))
                self.shutdown_kernel = "immediate"
                break
            finally:
                cell.metadata.papermill["duration"] = time.monotonic() - started
                peak["peak_memory_bytes"] = self._peak_memory() or peak.get("peak_memory_bytes")
                self.nb_man.cell_complete(cell, index)

    def _diagnose(self, error: Exception, index: int) -> tuple[str, Failure]:
        if isinstance(error, CellExecutionError):
            name, message = error.ename, error.evalue
            kind = next((_KINDS[base] for base in (name, *self._bases()) if base in _KINDS), "exception")
            if kind == "system_exit":
                message = f"the notebook called sys.exit({message}); the cells after it did not run"
            return "failed", Failure(kind=kind, cell=index, error=name, message=message)
        if isinstance(error, CellTimeoutError):
            message = (
                f"the run took longer than the {self.run_seconds or self.timeout:g} seconds it was given"
            )
            return "timed_out", Failure(
                kind="timed_out", cell=index, error="CellTimeoutError", message=message
            )
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        if getattr(process, "returncode", None) == -9 and memory.kills_since(self.killed_for_memory):
            kind, message = "out_of_memory", "the system killed the kernel because memory ran out"
        else:
            kind, message = "kernel_died", _last_words(process)
        return "kernel_died", Failure(kind=kind, cell=index, error="DeadKernelError", message=message)

    def _bases(self) -> list[str]:
        """Ask the kernel for the base classes of its last exception; none when it can no longer say."""
        assert self.kc is not None
        wanted = "[base.__name__ for base in type(__import__('sys').last_value).__mro__]"
        try:
            reply = self.wait_for_reply(
                self.kc.execute("pass", silent=True, user_expressions={"bases": wanted})
            )
            text = reply["content"]["user_expressions"]["bases"]["data"]["text/plain"]
            return [str(name) for name in ast.literal_eval(text)]
        except (DeadKernelError, KeyError, TypeError, ValueError):
            return []

    def _peak_memory(self) -> int | None:
        # Of a forked kernel this counts what it shares with the server, as that of an ordinary kernel counts its
        # own copy of the same libraries; Linux starts the peak of a new process at what it has, not at its parent's.
        pid = getattr(getattr(self.km, "provisioner", None), "pid", None)
        with contextlib.suppress(OSError, ValueError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
        return None


def _last_words(process: Any) -> str:
    """Say how the kernel's process ended."""
    if getattr(process, "server_lost", False):
        return "the kernel was killed together with the fork server it came from"
    code = getattr(process, "returncode", None)
    if code is None:
        return "the kernel died"
    if code >= 0:
        return f"the kernel's process exited with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the kernel was killed by {name}{hint}"


class PlaybookEngine(NBClientEngine):
    """The engine as papermill sees it."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str | None,
        output_path: str | None = None,
        progress_bar: bool = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **kwargs: Any,
    ) -> Any:
        """Run a notebook node in place and return it; see papermill's ``Engine.execute_notebook``."""
        manager = TruthfulManager(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        except (RuntimeError, OSError) as error:  # the kernel did not come up
            failure = Failure(kind="kernel_died", cell=None, error=type(error).__name__, message=str(error))
            nb.metadata.papermill.update(status="kernel_died", failure=failure.model_dump(mode="json"))
        finally:
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str | None,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: float | None = None,
        run_seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        server: Address | None = None,
        on_cell: OnCell | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the cells.

        Parameters
        ----------
        execution_timeout : float, optional
            Seconds for each cell, as in papermill.
        run_seconds : float, optional
            Seconds for the whole run.
        environment : mapping, optional
            Environment of the kernel, in place of this process's own.
        folder : str, optional
            Working folder of the kernel, in place of this process's own.
        server : Address, optional
            Fork server to get the kernel from, unless the environment needs a process started for it.
        on_cell : callable, optional
            Called as each cell starts.
        """
        nb_man.on_cell = on_cell
        environment = dict(os.environ if environment is None else environment)
        if server and needs_own_start(environment, server.environment):
            server = None
        client = TruthfulClient(
            nb_man,
            run_seconds=run_seconds,
            server=server,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
            record_timing=False,
            coalesce_streams=True,
            iopub_timeout=60,  # a large output is no timeout of the cell
        )
        # A kernel copies to its own streams what a notebook prints, before anybody has masked its secrets.
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return client.execute(env=environment, cwd=folder or os.getcwd(), **silent)  # noqa: PTH109


def outcome(nb: Any) -> Outcome:
    """Read how a notebook that this engine has run ended."""
    record = nb.metadata.papermill
    failure = Failure.model_validate(record["failure"]) if record.get("failure") else None
    statuses = [cell.metadata.papermill["status"] for cell in nb.cells]
    cells = [
        CellRun(index=i, id=nb.cells[i].get("id", ""), status=status) for i, status in enumerate(statuses)
    ]
    seconds = [cell.metadata.papermill.get("duration") for cell in nb.cells]
    status: RunStatus = record.get("status", "succeeded")
    return Outcome(status, failure, cells, seconds, record.get("peak_memory_bytes"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep nbclient from logging failures that are reported in full elsewhere."""
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def execute(
    nb: Any,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    run_seconds: float | None = None,
    server: Address | None = None,
    on_cell: OnCell | None = None,
) -> Outcome:
    """Run a notebook node in place through papermill and this engine.

    Parameters
    ----------
    nb : nbformat.NotebookNode
        The notebook, parameters injected.
    environment : mapping, optional
        Environment of the kernel.
    folder : str, optional
        Working folder of the kernel.
    run_seconds : float, optional
        Seconds after which the run is stopped and marked as timed_out.
    server : Address, optional
        Fork server to get the kernel from.
    on_cell : callable, optional
        Called as each cell starts, with its number counted from 1 and the number of cells.

    Returns
    -------
    Outcome
        How it ended; a failing notebook does not raise.
    """
    options: dict[str, Any] = {"environment": environment, "folder": folder, "run_seconds": run_seconds}
    options |= {"server": server, "on_cell": on_cell}
    with _quiet():
        papermill_engines.execute_notebook_with_engine(NAME, nb, "python3", progress_bar=False, **options)
    return outcome(nb)


papermill_engines.register(NAME, PlaybookEngine)
