"""What commands print: tables that fit a terminal and can be read in a log, and progress."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd


def frame(title: str, frame: pd.DataFrame) -> None:
    """Print a frame; shares as per cent, whole numbers with separators, what is unknown as a dash."""

    def text(column: str, value: Any) -> str:
        if value is None or value != value:
            return "–"
        if column.endswith("share"):
            return f"{value:.1%}"
        return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)

    columns = [str(column) for column in frame.columns]
    records = frame.astype(object).itertuples(index=False, name=None)
    table(title, columns, ([text(*pair) for pair in zip(columns, row, strict=True)] for row in records))


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table that fits a terminal, and is wide enough to be read in a log."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from helpers.tables import heading

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        shown.add_column(heading(column), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console.print(shown)


@contextlib.contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total): a bar on a terminal, a line for each tenth in a log."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(unit)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    printed = -1

    def line(done: int, total: int) -> None:
        nonlocal printed
        if (tenth := 10 * done // max(total, 1)) > printed:
            printed = tenth
            typer.echo(f"{done:,} of {total:,} {unit}", err=True)

    yield line
