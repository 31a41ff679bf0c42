"""Compare two versions: what changed, why, and whether the findings moved beyond chance.

The page of ``rfm/douyin@v2`` against ``rfm/douyin@v3`` lies at ``rfm/douyin/diffs/v2-v3.html`` in the reports folder:
beside the version folders, which never change, and where no version is looked for. Between two series it lies with
the later named one and names the other with a point for its slash: ``rfm/weibo/diffs/rfm.douyin-v3-v1.html``. It can
be thrown away at any time; the same two versions give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from helpers.report.diff.address import Version, resolve
from helpers.report.diff.compare import Comparison, compare
from helpers.report.diff.words import word
from helpers.report.publish import store

FOLDER = "diffs"
Table = Callable[[str, Iterable[str], Iterable[Iterable[Any]]], None]

__all__ = ["FOLDER", "Comparison", "command", "compare", "page_path", "resolve", "write"]


def page_path(before: Version, after: Version) -> Path:
    """Return where the page of a comparison lies."""
    other = "" if before.series == after.series else before.series.replace("/", ".") + "-"
    return after.folder.parent / FOLDER / f"{other}v{before.number}-v{after.number}.html"


def write(comparison: Comparison) -> Path:
    """Write the page of a comparison in one step, over the one that was there, and return its path.

    Raises
    ------
    CannotPublish
        When the reports folder cannot be written.
    """
    from helpers.report.diff.page import diff_html  # late: draws, which a table on a terminal does not need
    from helpers.report.diff.pictures import pictures
    from helpers.report.diff.tables import table_diffs

    before, after = comparison.before.folder, comparison.after.folder
    place = page_path(comparison.before, comparison.after)
    names = comparison.names
    redefined = [word(f"cause_{name}") for name in comparison.causes.redefined]
    drawn = pictures(before, after, names, redefined)
    html = diff_html(comparison, drawn, table_diffs(before, after, names), place)
    try:
        place.parent.mkdir(exist_ok=True)
        store.replace_file(place, html.encode())
    except OSError as error:
        raise store.CannotPublish(f"{place} cannot be written: {error.strerror}") from error
    return place


def command(
    first: str | None, second: str | None, *, reports: Path, table: Table, echo: Callable[[str], Any]
) -> Path:
    """Do what ``playbook diff`` does: print the comparison, write its page and say where it lies.

    Parameters
    ----------
    first, second : str, optional
        Addresses as in :func:`resolve`.
    reports : Path
        The reports folder.
    table, echo : callable
        Print a table (title, headings, rows) and a line.

    Raises
    ------
    BadParameters
        When an address names nothing.
    CannotPublish
        When the page cannot be written; by then the comparison is printed.
    """
    from helpers.report.diff.terminal import show

    comparison = compare(*resolve(reports, first, second))
    show(comparison, table, echo)
    place = write(comparison)
    echo(str(place))
    return place
