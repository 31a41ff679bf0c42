"""An executor of `concurrent.futures` that gives every call a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, NoReturn, Protocol

from helpers.report.kernels import child
from helpers.report.kernels.client import ForkServer, ServerGone
from helpers.report.kernels.server import spare_slow_imports

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


class _Spawned:
    def __init__(self, call: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self._reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(target=_answer, args=(writer, pickle.dumps(call)))
        self._process.start()
        writer.close()
        self.kill = self._process.kill

    def answer(self) -> tuple[bytes, int]:
        sent = b""
        with contextlib.suppress(EOFError, OSError):
            sent = self._reader.recv_bytes()
        self._process.join()
        return sent, self._process.exitcode or 0


def _answer(writer: Connection, call: bytes) -> None:
    """Call and send back what was returned or raised: the main function of a spawned process."""
    threading.Thread(target=_end_with_driver, daemon=True).start()
    spare_slow_imports()
    fn, args, options = pickle.loads(call)
    writer.send_bytes(child.outcome(fn, args, options))


def _end_with_driver() -> NoReturn:
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


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
            self._server = ForkServer(environment)
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
            raise WorkerDied(_STOPPED if self._closing else f"the worker process {_end(code)}")
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
                server = self._server = self._server or ForkServer(self._environment)
            try:
                return _Forked(server, call)
            except ServerGone:
                self._forget_if_dead(server)
        return _Spawned(call)

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


def _end(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    return (
        f"was killed by {signal.Signals(-code).name if -code in set(signal.Signals) else f'signal {-code}'}"
    )
