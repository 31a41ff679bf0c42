"""The side of those who want a process: start a fork server, ask it for processes, signal and await them."""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.report.publish import scratch
from helpers.report.run.kernels.server import ENDED, STARTED

LOST = -int(getattr(signal, "SIGKILL", 9))
"""How a process ended whose server is gone: the system has killed it together with the server."""

_FOR_THE_SERVER = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts a thread as it loads
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger of kernels prints a warning as it loads
}
_START = """import sys
if sys.path[0] == "":  # as for any kernel, the folder it happens to start in is no place to import from
    del sys.path[0]
from helpers.report.run.kernels.server import main
main()"""


class ServerGone(RuntimeError):
    """The fork server does not answer any more."""


class Child:
    """A process forked by the server; has the methods of `subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, channel: socket.socket, pid: int) -> None:
        self.connection, self.channel, self.pid = connection, channel, pid
        self.returncode: int | None = None
        self.peak_memory_bytes: int | None = None
        self.server_lost = False

    def poll(self) -> int | None:
        """Return how the process ended, or None while it runs: an exit code, or minus a signal."""
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process.

        Raises
        ------
        TimeoutError
            When it has not ended after `timeout` seconds.
        """
        code = self._read(timeout)
        if code is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} seconds")
        return code

    def _read(self, timeout: float | None) -> int | None:
        if self.returncode is None and _readable(self.connection, timeout):
            message = _receive(self.connection, ENDED.size)
            if message is None:
                self.returncode, self.server_lost = LOST, True
            else:
                self.returncode, self.peak_memory_bytes = ENDED.unpack(message)
            self.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process and all of its session's group; nothing when it has ended."""
        if self.returncode is None:
            with contextlib.suppress(OSError):
                self.connection.sendall(bytes([number]))

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Let go of the process, which kills it if it still runs."""
        self.connection.close()
        self.channel.close()


def _readable(connection: socket.socket, timeout: float | None) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(timeout))


def _receive(connection: socket.socket, size: int) -> bytes | None:
    """Return exactly so many bytes, or None when the connection ended before."""
    message = b""
    try:
        while len(message) < size:
            if not (part := connection.recv(size - len(message))):
                return None
            message += part
    except OSError:
        return None
    return message


@dataclass(frozen=True)
class Address:
    """Where a fork server listens, for those that it has forked itself.

    Attributes
    ----------
    path : str
        Path of its socket.
    environment : dict
        Environment that the server was started with.
    """

    path: str
    environment: dict[str, str]

    def fork(self, function: Callable[..., Any], *arguments: Any) -> Child:
        """Let a fresh process call ``function(channel, *arguments)``.

        Parameters
        ----------
        function : callable
            Importable by name; returns the exit code.
        *arguments
            Anything that can be pickled.

        Raises
        ------
        ServerGone
            When there is no server any more.
        """
        order = pickle.dumps((function, arguments))
        connection = socket.socket(socket.AF_UNIX)
        ours, theirs = socket.socketpair()
        try:
            connection.connect(self.path)
            with theirs:
                socket.send_fds(connection, [b"1"], [theirs.fileno()])
            started = _receive(connection, STARTED.size)
            if started is None:
                raise ServerGone("the fork server ended before it forked a process")
            with contextlib.suppress(OSError):  # a process that died already will be reported as such
                ours.sendall(order)
            return Child(connection, ours, STARTED.unpack(started)[0])
        except OSError as error:
            ours.close()
            connection.close()
            raise ServerGone(f"the fork server does not answer: {error}") from None
        except ServerGone:
            ours.close()
            connection.close()
            raise


class ForkServer:
    """A running fork server.

    Parameters
    ----------
    environment : mapping
        Environment of the server. What matters only as a process starts must be as the kernels need it.
    modules : sequence of str
        What it imports; by default everything that a batch of reports may want.

    Raises
    ------
    ServerGone
        When no folder can hold its socket.
    """

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str] = ()) -> None:
        self._scratch = scratch.folder("server", room=1)
        if self._scratch is None:
            raise ServerGone(
                "no folder for temporary files can hold a socket: set TMPDIR to one with a short name"
            )
        self.folder = self._scratch.path
        self.address = Address(str(self.folder / "s"), dict(environment))
        try:
            self._start({**environment, **_FOR_THE_SERVER}, modules)
        except BaseException as error:
            self._scratch.close()
            if isinstance(error, OSError):
                raise ServerGone(f"no fork server can be started: {error}") from error
            raise

    def _start(self, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address.path)
            listener.listen(64)  # from now on a request waits until the imports are done
            lifeline, self._lifeline = os.pipe()
            command = [sys.executable, "-c", _START, str(listener.fileno()), str(lifeline), *modules]
            try:
                self.process = subprocess.Popen(
                    command,
                    env=environment,
                    pass_fds=[listener.fileno(), lifeline],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the driver, who then ends the server
                )
            finally:
                os.close(lifeline)

    def close(self) -> None:
        """End the server and every process it has forked."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
            self.process.terminate()  # while it still imports, it does not look at the lifeline
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            if self._scratch:
                self._scratch.close()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
