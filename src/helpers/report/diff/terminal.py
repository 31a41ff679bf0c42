"""The command ``playbook diff``: what changed, then the findings, then the decisions, and where the page lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from helpers import locale
from helpers.report import project
from helpers.report.diff.address import resolve
from helpers.report.diff.compare import ActionChange, Comparison, compare
from helpers.report.diff.findings import FindingChange
from helpers.report.diff.page import write
from helpers.report.page.wording import quantity
from helpers.sentences import say

Table = Callable[[str, Iterable[str], Iterable[Iterable[Any]]], None]


def command(
    first: str | None, second: str | None, *, reports: Path, table: Table, echo: Callable[[str], Any]
) -> None:
    """Do what ``playbook diff`` does: print the comparison, write its page and say where it lies.

    Parameters
    ----------
    first, second : str, optional
        Addresses as in :func:`~helpers.report.diff.address.resolve`.
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
    addressed = resolve(reports, first, second)
    with locale.spoken(project.language_of(addressed[1].series)):
        _told(compare(*addressed), table, echo)


def _told(comparison: Comparison, table: Table, echo: Callable[[str], Any]) -> None:
    for line in (comparison.sentence, *comparison.unfinished):
        echo(line)
    before, after = comparison.names
    if changes := comparison.causes.changes:
        title = say("Cause: {title}.", title=comparison.causes.title)
        rows = [(one.cause, one.name, *(x or "–" for x in (one.before, one.after))) for one in changes]
        table(title, ("what", "name", before, after), rows)
    if comparison.findings:
        title = say("Findings")
        if comparison.of("unclear"):
            title = say("Findings (“cannot tell” is no proof that nothing moved: versions may share members)")
        rows = [_finding(change, comparison) for change in comparison.findings]
        table(title, ("finding", before, after, "difference", "verdict"), rows)
    if comparison.actions:
        columns = ("decision", "state", f"rank {before}", f"rank {after}")
        table(say("Decisions"), columns, map(_action, comparison.actions))
    echo(str(write(comparison)))


def _finding(change: FindingChange, comparison: Comparison) -> tuple[str, ...]:
    sides = (change.before, change.after)
    values = [quantity(side.value, side.unit) if side else "–" for side in sides]
    return change.shown.metric, *values, change.change or "–", change.mark(comparison.causes.words).word


def _action(change: ActionChange) -> tuple[str, ...]:
    ranks = [str(place or "–") for place in (change.rank_before, change.rank_after)]
    return change.title, say(change.state), *ranks
