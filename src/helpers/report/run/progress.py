"""What a batch says while it runs: events, and who shows them on a terminal or in a log."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal, NamedTuple

from helpers.sentences import say

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
        For done and skipped: one line that says how it went; for start: one that says what is to be known, or none.
    """

    kind: Kind
    run: int
    series: str
    cell: int = 0
    cells: int = 0
    text: str = ""


Progress = Callable[[Event], None]


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
        print(say("{series}: start", series=event.series), file=file, flush=True)
    if event.text:
        print(event.text, file=file, flush=True)


@contextlib.contextmanager
def _bars(total: int, console: Any) -> Iterator[Progress]:
    """A bar for each running notebook that names its cell, and one for the batch."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
    told = TextColumn("{task.fields[told]}", markup=False)
    with Progress(*columns, told, TimeElapsedColumn(), console=console, transient=True) as bars:
        whole = bars.add_task(
            say("all runs"), total=total, told=say("{done} of {total}", done=0, total=total)
        )
        tasks: dict[int, Any] = {}
        done = 0

        def progress(event: Event) -> None:
            nonlocal done
            if event.text:
                bars.console.print(Text(event.text))
            if event.kind in ("start", "cell"):
                if event.run not in tasks:
                    tasks[event.run] = bars.add_task(event.series, total=None, told=say("starts"))
                if event.kind == "cell":
                    told = say("cell {cell} of {cells}", cell=event.cell, cells=event.cells)
                    bars.update(tasks[event.run], completed=event.cell - 1, total=event.cells, told=told)
                return
            if event.run in tasks:
                bars.remove_task(tasks.pop(event.run))
            done += 1
            bars.update(whole, completed=done, told=say("{done} of {total}", done=done, total=total))

        yield progress
