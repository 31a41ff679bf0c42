"""The side of those who want a process: start a fork server, ask it for processes, signal and await them."""

from __future__ import annotations

import contextlib
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from helpers.report.run.kernels.server import NUMBER

LOST = -int(getattr(signal, "SIGKILL", 9))
"""How a process ended whose server is gone: the system has killed it together with the server."""

_FOR_THE_SERVER = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts a thread as it loads
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger of kernels prints a warning as it loads
}
_START = """import sys
import threading
if sys.path[0] == "":  # as for any kernel, the folder it happens to start in is no place to import from
    del sys.path[0]
from helpers.report.run.kernels.server import main
main()"""


class ServerGone(RuntimeError):
    """The fork server does not answer any more."""


class Child:
    """A process forked by the server; has what jupyter_client uses of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, channel: socket.socket, pid: int) -> None:
        self.connection, self.channel, self.pid = connection, channel, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how the process ended, or None while it runs: an exit code, or minus a signal."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the process; return None when it still runs after so many seconds."""
        if self.returncode is None and _readable(self.connection, timeout):
            code = _number(self.connection)
            self.returncode = LOST if code is None else code
            self.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process and all of its session's group; nothing when it has ended."""
        if self.returncode is None:
            with contextlib.suppress(OSError):
                self.connection.sendall(bytes([number]))

    def close(self) -> None:
        """Let go of the process, which kills it if it still runs."""
        self.connection.close()
        self.channel.close()


def _readable(connection: socket.socket, timeout: float | None) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(timeout))


def _number(connection: socket.socket) -> int | None:
    """Return what the server says next, or None when the connection has ended."""
    with contextlib.suppress(OSError):
        message = connection.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(message) == NUMBER.size:
            return int(NUMBER.unpack(message)[0])
    return None


class ForkServer:
    """A fork server; `fork` may be called by any thread. One that has served and was killed is started again.

    Parameters
    ----------
    environment : mapping
        Environment of the server. What matters only as a process starts must be as the kernels need it.
    modules : sequence of str
        What it imports; by default everything that the kernels of a batch may want.
    """

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str] = ()) -> None:
        self._command = [sys.executable, "-c", _START, *modules]
        self._environment = {**environment, **_FOR_THE_SERVER}
        self._lock, self._has_served = threading.Lock(), False
        self._start()

    def _start(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the driver, who then ends the server
            )

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
            When there is no server any more, or it could not fork.
        """
        with self._lock:
            if self._has_served and self.process.poll() is not None:
                self._requests.close()
                self._start()
        connection, there = socket.socketpair()
        channel, other = socket.socketpair()
        with there, other, contextlib.suppress(OSError):  # a server that is gone says no number either
            socket.send_fds(self._requests, [b"1"], [there.fileno(), other.fileno()])
        if (pid := _number(connection)) is None:
            connection.close()
            channel.close()
            raise ServerGone("the fork server ended before it forked a process")
        self._has_served = True
        with contextlib.suppress(OSError):  # a process that died already will be reported as such
            channel.sendall(pickle.dumps((function, arguments)))
        return Child(connection, channel, pid)

    def close(self) -> None:
        """End the server and every process it has forked."""
        with self._lock:
            self._has_served = False
            self._requests.close()
        self.process.terminate()  # while it still imports, it does not look at its requests
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
