"""The fork server: a process of one thread that has the libraries in memory and forks on request.

It reads no request itself. Whoever wants a process hands over, on standard input, the ends of two sockets. From the
*channel* the forked process reads what it is to do. On the *connection* the server says the process id and, in the
end, how the process ended; a byte sent to it is a signal for the process, and its end kills the process. When
standard input ends, so does the server, with everything it has forked.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import pkgutil
import random
import selectors
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

NUMBER = struct.Struct("=i")  # a process id; later an exit code, or minus the signal
PR_SET_PDEATHSIG = 1

LIBRARIES = """
pandas.io.formats.string pyarrow.dataset matplotlib.pyplot matplotlib.backends.backend_agg
matplotlib.backends.backend_svg seaborn sklearn.cluster sklearn.ensemble sklearn.linear_model sklearn.mixture
lifelines statsmodels.api statsmodels.formula.api narwhals._pandas_like.dataframe narwhals._pandas_like.group_by
ibis.backends.duckdb.converter ibis.expr.types.groupby ibis.formats.pandas ibis.formats.pyarrow
ipykernel_launcher ipykernel.kernelapp ipykernel.debugger IPython.core.completerlib IPython.core.debugger
IPython.core.oinspect IPython.extensions.storemagic sqlite3 tornado.platform.asyncio tornado.locks tornado.queues
pydevd_plugins.extensions.types.pydevd_plugin_numpy_types helpers.figures helpers.report.params helpers.report.record
"""
"""What notebooks and kernels import beside `PACKAGES`, of which every module is; some of it only as they compute."""

PACKAGES = ("helpers.methods", "helpers.stats", "helpers.study")

_set_by_imports: dict[
    str, str
] = {}  # variables that libraries have set as they were imported, as in any process


class Threads(RuntimeError):
    """The imports have left threads behind, so that a fork would not be safe."""


def preload(names: Iterable[str]) -> None:
    """Import modules; what cannot be imported is left for the notebook that wants it to fail on.

    Raises
    ------
    Threads
        When a library has started a thread.
    """
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if "helpers.figures" in sys.modules:
        with contextlib.suppress(Exception):
            _draw()
    tasks = Path("/proc/self/task")  # knows of threads that Python does not
    count = len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
    if count != 1:
        raise Threads(f"{count} threads after the imports, where a safe fork needs 1")


def everything() -> Iterator[str]:
    """Return the names of all modules that the kernels of a batch may want."""
    yield from LIBRARIES.split()
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield from (f"{name}.{module.name}" for module in pkgutil.iter_modules(package.__path__))


def _draw() -> None:
    """Draw a picture, so that fonts have been looked for and read."""
    import pandas as pd

    from helpers.figures import Chart, new_figure

    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], label="text")
    axes.legend(title="title")
    axes.set(xlabel="text", ylabel="text", title="title")
    alt = "A line that rises from nothing to one, drawn once."
    Chart("title", alt, pd.DataFrame({"x": [0, 1]}), figure).svg()


class Server:
    """Forks a process for each request, passes signals on and tells how the process ended."""

    def __init__(self, requests: socket.socket) -> None:
        self.pid, self.requests = os.getpid(), requests
        self.connections: dict[int, socket.socket] = {}
        self.woken, self.wakes = socket.socketpair()
        for end in (self.woken, self.wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(self.wakes.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self.selector = selectors.DefaultSelector()
        self.selector.register(requests, selectors.EVENT_READ, self._fork)
        self.selector.register(self.woken, selectors.EVENT_READ, self._reap)

    def serve(self) -> NoReturn:
        """Serve until the requests end."""
        while True:
            for key, _ in self.selector.select():
                key.data()

    def _fork(self) -> None:
        message, ends, *_ = socket.recv_fds(self.requests, 1, 2)
        if not message:
            self._stop()
        connection, channel = (socket.socket(fileno=end) for end in ends)
        try:
            if (pid := os.fork()) == 0:
                self._become_child(connection, channel)
        except OSError:  # too many processes or too little memory: who asked sees the connection end
            connection.close()
            return
        finally:
            channel.close()
        self.connections[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._signal(pid))
        self._send(pid, pid)

    def _become_child(self, connection: socket.socket, channel: socket.socket) -> NoReturn:
        """Let go of everything that is the server's and do what the channel says."""
        code = 1
        try:
            os.setsid()
            die_with_parent(self.pid)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            self.selector.close()
            os.dup2(os.open(os.devnull, os.O_RDWR), self.requests.detach())  # that was standard input
            for end in (self.woken, self.wakes, connection, *self.connections.values()):
                end.close()
            code = _follow(channel)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _leave(code)

    def _signal(self, pid: int) -> None:
        """Pass signals on; an end of the connection, in whatever way, is a SIGKILL."""
        if (connection := self.connections.get(pid)) is None:  # reaped a moment ago, in the same round
            return
        try:
            numbers = connection.recv(16)
        except OSError:
            numbers = b""
        for number in numbers or [signal.SIGKILL]:
            kill_group(pid, number)
        if not numbers:
            self.selector.unregister(connection)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.woken.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                pid = ended.si_pid
                kill_group(pid, signal.SIGKILL)  # what the process has started and left behind
                _, status = os.waitpid(pid, 0)
                self._send(pid, os.waitstatus_to_exitcode(status))
                connection = self.connections.pop(pid)
                with contextlib.suppress(KeyError):
                    self.selector.unregister(connection)
                connection.close()

    def _send(self, pid: int, number: int) -> None:
        with contextlib.suppress(OSError):  # who asked is gone; the end of the connection says the rest
            self.connections[pid].sendall(NUMBER.pack(number))

    def _stop(self, *_: Any) -> NoReturn:
        for pid in self.connections:
            kill_group(pid, signal.SIGKILL)
        os._exit(0)


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a process that leads a group, and to the group."""
    try:
        os.killpg(pid, number)
    except PermissionError:
        pass
    except ProcessLookupError:  # not yet the leader of its group, or gone
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends, however that may be."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _follow(channel: socket.socket) -> int:
    """Read what to do, a pickled function and its arguments, from a channel and do it."""
    with channel.makefile("rb") as file:
        try:
            function, arguments = pickle.load(file)
        except EOFError:  # who asked was killed before it could say what for
            return 1
    return int(function(channel, *arguments) or 0)


def _leave(code: int) -> NoReturn:
    """End the process as the interpreter would, but for taking thousands of modules apart."""
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    os._exit(code & 0xFF)


def kernel(channel: socket.socket, arguments: list[str], environment: Mapping[str, str], folder: str) -> int:
    """Be an IPython kernel with these arguments; a byte on the channel says that its sockets are open."""
    import ipykernel_launcher  # type: ignore[import-untyped]
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(_set_by_imports | dict(environment))
    os.chdir(folder)
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    nothing = os.open(os.devnull, os.O_RDWR)  # a kernel copies there what a notebook prints, secrets and all
    for stream in (1, 2):
        os.dup2(nothing, stream)
    sys.argv = [str(ipykernel_launcher.__file__), *arguments]
    app = IPKernelApp.instance()
    app.initialize(arguments)
    with contextlib.suppress(OSError):
        channel.send(b"1")
    channel.close()
    app.start()
    return 0


def main() -> None:
    """Run the server; the arguments are the modules to import if not all."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script's background ignores it
    before = dict(os.environ)
    sys.modules["__main__"].__file__ = __file__  # without one DuckDB sees a terminal and prints progress bars
    preload(sys.argv[1:] or everything())
    _set_by_imports.update((name, now) for name, now in os.environ.items() if before.get(name) != now)
    gc.collect()
    gc.freeze()  # what all processes share is never looked at again, and so never copied
    Server(socket.socket(fileno=0)).serve()
