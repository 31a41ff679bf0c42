"""The comparison on a terminal: what changed, then the findings, then the decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.report.diff.compare import Comparison
from helpers.report.diff.findings import FindingChange
from helpers.report.diff.words import word
from helpers.report.page import wording


def show(comparison: Comparison, table: Callable[..., None], echo: Callable[[str], Any]) -> None:
    """Print a comparison through the table and line printers of the command line."""
    before, after = comparison.names
    echo(comparison.sentence)
    for side in comparison.unfinished:
        echo(word("not_succeeded", name=side.name, status=wording.STATUS_WORD[side.manifest.status]))
    if rows := _inputs(comparison):
        table(word("cause_lead", title=comparison.causes.title), ("what", "name", before, after), rows)
    if comparison.findings:
        heads = ("finding", before, after, "difference", "verdict")
        cause = wording.joined([word(f"cause_{name}") for name in comparison.causes.classes])
        title = word("findings_unclear" if comparison.of("unclear") else "findings")
        table(title, heads, [_finding(change, cause) for change in comparison.findings])
    if comparison.actions:
        columns = ("decision", "state", f"rank {before}", f"rank {after}")
        table(word("actions"), columns, [_action(change) for change in comparison.actions])


def _inputs(comparison: Comparison) -> list[tuple[str, ...]]:
    causes = comparison.causes
    rows = [
        (word("cause_data"), change.name, *(_rows(side) for side in (change.before, change.after)))
        for change in causes.tables
    ]
    groups = (("parameters", causes.parameters), ("code", causes.code), ("environment", causes.environment))
    for name, changes in groups:
        for change in changes:
            states = [word("not_there") if x is None else x or "“”" for x in (change.before, change.after)]
            rows.append((word(f"cause_{name}"), change.name, *states))
    return rows


def _rows(side: Any) -> str:
    if side is None:
        return word("not_there")
    count = word("rows_unknown") if side.rows is None else wording.rows(side.rows)
    return f"{count} ({side.sha256[:6]})"


def _finding(change: FindingChange, cause: str) -> tuple[str, ...]:
    values = [
        wording.quantity(side.value, side.unit) if side else "–" for side in (change.before, change.after)
    ]
    return change.shown.metric, *values, change.change or "–", word(change.outcome, cause=cause)


def _action(change: Any) -> tuple[str, ...]:
    ranks = ["–" if rank is None else str(rank) for rank in (change.rank_before, change.rank_after)]
    return change.title, word(change.state), *ranks
