"""The fork server: a process of one thread that has the libraries in memory and forks on request.

It reads no request itself. Whoever wants a process connects, and hands over the end of a channel from which the
forked process reads what it is to do. On the connection the server then says the process id and, in the end, how
the process ended; a byte sent to it is a signal for the process, and its end kills the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import pkgutil
import select
import selectors
import shutil
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from helpers.report.run.kernels import child

STARTED = struct.Struct("=i")  # process id
ENDED = struct.Struct("=iq")  # exit code or minus the signal, peak of resident memory in bytes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
PR_SET_PDEATHSIG = 1

LIBRARIES = """
numpy pandas pandas.plotting pandas.io.formats.string pyarrow.parquet pyarrow.compute pyarrow.dataset
scipy.stats scipy.optimize matplotlib.pyplot matplotlib.backends.backend_agg matplotlib.backends.backend_svg
seaborn sklearn.cluster sklearn.ensemble sklearn.linear_model sklearn.mixture sklearn.metrics
sklearn.model_selection sklearn.pipeline lifelines statsmodels.api statsmodels.formula.api
narwhals._pandas_like.dataframe narwhals._pandas_like.group_by
duckdb ibis ibis.backends.duckdb.converter ibis.expr.types.groupby ibis.formats.pandas ibis.formats.pyarrow
ipykernel.kernelapp ipykernel.ipkernel ipykernel.zmqshell ipykernel.debugger ipykernel_launcher
IPython.core.completerlib IPython.core.debugger IPython.core.oinspect IPython.extensions.storemagic sqlite3
tornado.platform.asyncio tornado.locks tornado.queues pydevd_plugins.extensions.types.pydevd_plugin_numpy_types
helpers.data.source helpers.data.health helpers.data.privacy helpers.data.segment helpers.figures
helpers.playbook.propose helpers.report.record helpers.report.page.report
helpers.report.run.batch helpers.report.run.one_run
"""
"""What notebooks, kernels and workers import; of `PACKAGES` every module is."""

PACKAGES = ("helpers.methods", "helpers.stats", "helpers.study", "helpers.report.params")


class Threads(RuntimeError):
    """The imports have left threads behind, so that a fork would not be safe."""


def spare_slow_imports() -> None:
    """Keep jsonschema from compiling a grammar of internationalised addresses, which takes seconds.

    It is for the format ``iri``, an optional check that no schema of notebooks asks for; without the module,
    jsonschema leaves that one check out.
    """
    if "jsonschema" not in sys.modules:
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def preload(names: Iterable[str]) -> None:
    """Import modules; what cannot be imported is left for the notebook that wants it to fail on.

    Raises
    ------
    Threads
        When a library has started a thread.
    """
    spare_slow_imports()
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if "helpers.figures" in sys.modules:
        with contextlib.suppress(Exception):
            _draw()
    if (count := threads()) != 1:
        raise Threads(f"{count} threads after the imports, where a safe fork needs 1")


def everything() -> Iterator[str]:
    """Return the names of all modules that a batch of reports may want."""
    yield from LIBRARIES.split()
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield from (f"{name}.{module.name}" for module in pkgutil.iter_modules(package.__path__))


def while_wanted(names: Iterable[str], lifeline: int) -> Iterator[str]:
    """Yield the names until the lifeline ends: the imports take long, and need not outlive the driver."""
    for name in names:
        if select.select([lifeline], [], [], 0)[0]:
            return
        yield name


def _draw() -> None:
    """Draw a picture, so that fonts have been looked for and read."""
    import pandas as pd

    from helpers.figures import Chart, new_figure

    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], label="text")
    axes.legend(title="title")
    axes.set(xlabel="text", ylabel="text", title="title")
    Chart(
        "title", "A line that rises from nothing to one, drawn once.", pd.DataFrame({"x": [0, 1]}), figure
    ).svg()


def threads() -> int:
    """Return the number of threads of this process, those that Python does not know included."""
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir()))
    return threading.active_count()


class Server:
    """Forks a process for each connection, passes signals on and tells how the process ended."""

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self.pid, self.listener, self.lifeline = os.getpid(), listener, lifeline
        self.selector = selectors.DefaultSelector()
        self.asked_by: dict[int, socket.socket] = {}
        self.wakeup, wakeup = socket.socketpair()
        for end in (self.wakeup, wakeup):
            end.setblocking(False)
        self._wakeup_end = wakeup
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self.selector.register(listener, selectors.EVENT_READ, self._accept)
        self.selector.register(lifeline, selectors.EVENT_READ, self._stop)
        self.selector.register(self.wakeup, selectors.EVENT_READ, self._reap)

    def serve(self) -> NoReturn:
        """Serve until the lifeline ends."""
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        try:
            connection.settimeout(5)
            _, (channel, *_), _, _ = socket.recv_fds(connection, 1, 1)
        except (OSError, ValueError):
            connection.close()
            return
        os.set_inheritable(channel, False)
        try:
            if (pid := os.fork()) == 0:
                self._become_child(connection, channel)
        except OSError:  # too many processes or too little memory: who asked may try again
            connection.close()
            return
        finally:
            os.close(channel)
        self.asked_by[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, lambda _: self._signal(pid))
        self._send(pid, STARTED.pack(pid))

    def _become_child(self, connection: socket.socket, channel: int) -> NoReturn:
        """Let go of everything that is the server's and do what the channel says."""
        code = 1
        try:
            os.setsid()
            die_with_parent(self.pid)
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.selector.close()
            for end in (self.listener, self.wakeup, self._wakeup_end, connection, *self.asked_by.values()):
                end.close()
            os.close(self.lifeline)
            code = follow(socket.socket(fileno=channel))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            leave(code)

    def _signal(self, pid: int) -> None:
        """Pass signals on; an end of the connection, in whatever way, is a SIGKILL."""
        if (connection := self.asked_by.get(pid)) is None:  # reaped a moment ago, in the same round
            return
        try:
            numbers = connection.recv(16)
        except OSError:
            numbers = b""
        for number in numbers or [signal.SIGKILL]:
            kill_group(pid, number)
        if not numbers:
            self.selector.unregister(connection)

    def _reap(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            wakeup.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                pid = ended.si_pid
                kill_group(pid, signal.SIGKILL)  # what the process has started and left behind
                _, status, usage = os.wait4(pid, 0)
                code = os.waitstatus_to_exitcode(status)
                unit = 1 if sys.platform == "darwin" else 1024
                self._send(pid, ENDED.pack(code, usage.ru_maxrss * unit))
                connection = self.asked_by.pop(pid)
                with contextlib.suppress(KeyError):
                    self.selector.unregister(connection)
                connection.close()

    def _send(self, pid: int, message: bytes) -> None:
        with contextlib.suppress(OSError):  # who asked is gone; the end of the connection says the rest
            self.asked_by[pid].sendall(message)

    def _stop(self, *_: Any) -> NoReturn:
        for pid in self.asked_by:
            kill_group(pid, signal.SIGKILL)
        with contextlib.suppress(
            ChildProcessError
        ):  # the driver cleans up after them once this process is gone
            while True:
                os.wait()
        shutil.rmtree(Path(self.listener.getsockname()).parent, ignore_errors=True)
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


def follow(channel: socket.socket) -> int:
    """Read what to do, a pickled function and its arguments, from a channel and do it."""
    with channel.makefile("rb") as file:
        try:
            function, arguments = pickle.load(file)
        except EOFError:  # who asked was killed before it could say what for
            return 1
    return int(function(channel, *arguments) or 0)


def leave(code: int) -> NoReturn:
    """End the process as the interpreter would, but for taking thousands of modules apart."""
    import atexit

    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(BaseException):
            stream.flush()  # type: ignore[union-attr]
    os._exit(code & 0xFF)


def main() -> None:
    """Run the server; arguments are the descriptors of listening socket and lifeline, and modules if not all."""
    listener, lifeline = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    before = dict(os.environ)
    preload(while_wanted(sys.argv[3:] or everything(), lifeline))
    child.set_by_imports |= {name: value for name, value in os.environ.items() if before.get(name) != value}
    gc.collect()
    gc.freeze()  # what all processes share is never looked at again, and so never copied
    Server(listener, lifeline).serve()
