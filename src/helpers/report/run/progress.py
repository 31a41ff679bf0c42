"""What a batch says while it runs: events, and who shows them on a terminal or in a log.

Workers send their events to the driver in datagrams over a socket of the machine. A datagram is never waited for:
a run is not slowed by who watches it, and where it does not arrive, as from another machine of a cluster or where
no folder can hold a socket, the driver still knows when a run ends.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal, NamedTuple

from helpers.report.publish import scratch

Kind = Literal["start", "cell", "done", "skipped"]


class Event(NamedTuple):
    """Something that happened to a run.

    Attributes
    ----------
    kind : str
        start, cell, done or skipped.
    run : int
        Position of the run in the batch.
    series : str
        Such as ``rfm/douyin``.
    cell, cells : int
        The cell that starts, counted from 1, and the number of cells; 0 where neither is known.
    text : str
        For done and skipped: one line that says how it went.
    """

    kind: Kind
    run: int
    series: str
    cell: int = 0
    cells: int = 0
    text: str = ""


Progress = Callable[[Event], None]


class Inbox:
    """Receives the events of workers and hands them on, in a thread, until closed."""

    def __init__(self, progress: Progress) -> None:
        self.address: str | None = None
        if not hasattr(socket, "AF_UNIX"):  # Windows: starts and ends are seen from the driver
            return
        self._folder = scratch.folder("events", room=1)
        if self._folder is None:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(address := str(self._folder.path / "s"))
        except OSError:  # as where a file system takes no sockets
            self._end()
            return
        self.address = address
        self._thread = threading.Thread(target=self._receive, args=(progress,), daemon=True)
        self._thread.start()

    def _receive(self, progress: Progress) -> None:
        while message := self._socket.recv(65536):
            progress(Event(*json.loads(message)))

    def close(self) -> None:
        """Hand on what has arrived, and end."""
        if self.address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.address)
        self._thread.join(timeout=5)
        self._end()

    def _end(self) -> None:
        self._socket.close()
        if self._folder:
            self._folder.close()


def sender(address: str | None) -> Progress:
    """Return a function that sends events to an inbox, or to nobody when nobody is there."""
    if address is None or not hasattr(socket, "AF_UNIX"):
        return lambda event: None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connection.setblocking(False)

    def send(event: Event) -> None:
        with contextlib.suppress(OSError):
            connection.sendto(json.dumps(event).encode(), address)

    return send


@contextlib.contextmanager
def shown(total: int, file: IO[str] | None = None) -> Iterator[Progress]:
    """Show the progress of so many runs: bars on a terminal, plain lines in a log.

    Parameters
    ----------
    total : int
        Number of runs in the batch.
    file : file, optional
        Where to; standard error by default.
    """
    file = file or sys.stderr
    if not file.isatty():
        yield lambda event: _line(event, file)
        return
    from rich.console import Console

    with _bars(total, Console(file=file)) as progress:
        yield progress


def _line(event: Event, file: IO[str]) -> None:
    if event.kind == "start":
        print(f"{event.series}: start", file=file, flush=True)
    elif event.kind in ("done", "skipped"):
        print(event.text, file=file, flush=True)


@contextlib.contextmanager
def _bars(total: int, console: Any) -> Iterator[Progress]:
    """A bar for each running notebook that names its cell, and one for the batch."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
    told = TextColumn("{task.fields[told]}", markup=False)
    with Progress(*columns, told, TimeElapsedColumn(), console=console, transient=True) as bars:
        whole = bars.add_task("all runs", total=total, told=f"0 of {total}")
        tasks: dict[int, Any] = {}
        done = 0

        def progress(event: Event) -> None:
            nonlocal done
            if event.kind in ("start", "cell"):
                if event.run not in tasks:
                    tasks[event.run] = bars.add_task(event.series, total=None, told="starts")
                if event.kind == "cell":
                    told = f"cell {event.cell} of {event.cells}"
                    bars.update(tasks[event.run], completed=event.cell - 1, total=event.cells, told=told)
                return
            if event.run in tasks:
                bars.remove_task(tasks.pop(event.run))
            done += 1
            bars.update(whole, completed=done, told=f"{done} of {total}")
            bars.console.print(Text(event.text))

        yield progress
