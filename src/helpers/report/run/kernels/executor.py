"""An executor of `concurrent.futures` that gives every call a process of its own."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from helpers.report.publish import scratch
from helpers.report.run.kernels import child
from helpers.report.run.kernels.client import ForkServer, ServerGone
from helpers.report.run.kernels.server import spare_slow_imports

_STOPPED = "the batch was stopped"


class WorkerDied(BrokenProcessPool):
    """The process of this one call has died; no other call is touched."""


class Worker(Protocol):
    """The process of a call."""

    def answer(self) -> tuple[bytes, int]:
        """Wait for the end; return what the process has sent and its exit code or minus a signal."""

    def kill(self) -> None:
        """End the process."""


class _Forked:
    def __init__(self, server: ForkServer, call: tuple[Any, ...]) -> None:
        fn, args, options = call
        options = options | {"server": server.address}
        here = os.getcwd()  # noqa: PTH109
        self._child = server.address.fork(child.call, dict(os.environ), here, fn, args, options)
        self.kill = self._child.kill

    def answer(self) -> tuple[bytes, int]:
        with self._child.channel.makefile("rb") as file:
            sent = file.read()
        return sent, self._child.wait()


_START = """import os, pickle, sys
answers = os.dup(1)
os.dup2(2, 1)  # what a library prints is no answer
sys.path[:] = pickle.load(sys.stdin.buffer)
from helpers.report.run.kernels.executor import answer
answer(answers)"""


class _Spawned:
    """A process in a session of its own, which Ctrl-C on a terminal does not reach: the driver ends it."""

    def __init__(self, call: tuple[Any, ...]) -> None:
        order = pickle.dumps(sys.path) + pickle.dumps(call)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a process that died already will be reported as such
            self._process.stdin.write(order)
            self._process.stdin.flush()

    def answer(self) -> tuple[bytes, int]:
        with self._process as process:
            assert process.stdout is not None and process.stdin is not None
            sent = process.stdout.read()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()
        if process.returncode < 0:
            scratch.sweep()  # the folders of the process and of its kernel
        return sent, process.returncode

    def kill(self) -> None:
        _end(self._process.pid)


def answer(answers: int) -> None:
    """Do the call that is waiting on standard input and send back what was returned or raised."""
    spare_slow_imports()
    fn, args, options = pickle.load(sys.stdin.buffer)
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_driver, args=(lifeline,), daemon=True).start()
    with open(answers, "wb") as file:
        file.write(child.outcome(fn, args, options))


def _end_with_driver(lifeline: int) -> None:
    while os.read(lifeline, 4096):
        pass
    _end(os.getpid())


def _end(pid: int) -> None:
    """End a process and all it has started: its kernel leads a session of its own and would go on for a while."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if pid != os.getpid():
            process.suspend()  # so that it starts nothing between the look and the end
        for each in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


class ProcessPerCall(Executor):
    """Runs each call in a fresh process: forked from a fork server, or spawned where there is none.

    A pool of lasting workers is broken as a whole by the death of one of them and does not say which call it was.
    Here every call starts from the same memory and dies alone. A fork takes milliseconds; a spawned process pays
    for its imports, beside a kernel that does the same.

    Parameters
    ----------
    max_workers : int
        Number of calls that run at a time.
    environment : mapping, optional
        Environment of a fork server to be started, see `ForkServer`; by default processes are spawned.
    server : ForkServer, optional
        A server that runs already and goes on after the shutdown; the environment should be its own.

    Notes
    -----
    A function called in a forked process is given the address of the server as the keyword ``server``.
    """

    def __init__(
        self,
        max_workers: int,
        environment: Mapping[str, str] | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self._environment = server.address.environment if server else environment
        self._lent = server
        self._server = server
        if server is None and environment is not None:
            self._server = self._new_server()
        self._lock = threading.Lock()
        self._running: set[Worker] = set()
        self._closing = False
        self._threads = ThreadPoolExecutor(max_workers, thread_name_prefix="playbook-worker")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call; function, arguments and result are pickled."""
        return self._threads.submit(self._call, (fn, args, kwargs))

    def _call(self, call: tuple[Any, ...]) -> Any:
        worker = self._start(call)
        with self._lock:
            self._running.add(worker)
            if self._closing:
                worker.kill()
        try:
            sent, code = worker.answer()
        finally:
            with self._lock:
                self._running.discard(worker)
        if not sent:
            raise WorkerDied(_STOPPED if self._closing else f"the worker process {_said(code)}")
        succeeded, value = pickle.loads(sent)
        if succeeded:
            return value
        raise value

    def _start(self, call: tuple[Any, ...]) -> Worker:
        """Fork a process, from a new server if the old one was killed, or spawn one if that fails too."""
        for _ in range(3):
            with self._lock:
                if self._closing:
                    raise WorkerDied(_STOPPED)
                if self._environment is None:
                    break
                server = self._server = self._server or self._new_server()
                if server is None:
                    break
            try:
                return _Forked(server, call)
            except ServerGone:
                self._forget_if_dead(server)
        return _Spawned(call)

    def _new_server(self) -> ForkServer | None:
        """Start a fork server; from then on processes are spawned where none can be started."""
        if self._environment is not None:
            try:
                return ForkServer(self._environment)
            except ServerGone:
                self._environment = None
        return None

    def _forget_if_dead(self, server: ForkServer) -> None:
        """Let go of a server that was killed; one that could not fork just now has other calls to serve."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=0.5)
            with self._lock:
                if self._server is server:
                    server.close()
                    self._server = None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End, in any case after waiting; with `cancel_futures` calls that run are ended, and all they started."""
        if cancel_futures:
            with self._lock:
                self._closing = True
                for worker in self._running:
                    worker.kill()
            self._close_server()  # before the wait: a call may be waiting for the server's imports
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        self._closing = True
        self._close_server()

    def _close_server(self) -> None:
        with self._lock:
            server, self._server = self._server, None
        if server and server is not self._lent:
            server.close()


def _said(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    return (
        f"was killed by {signal.Signals(-code).name if -code in set(signal.Signals) else f'signal {-code}'}"
    )
