"""A violation of the data contract, and the one error that lists them all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from helpers.errors import BadData
from helpers.sentences import Verbatim, closed_up, say, word

# Set in the environment of a run that publishes what it prints.
RUN_FOLDER = "PLAYBOOK_RUN_FOLDER"

COUNTED = {
    "table": ("1 table", "{number:,} tables"),
    "row": ("1 row", "{number:,} rows"),
    "line": ("1 line", "{number:,} lines"),
    "day": ("1 day", "{number:,} days"),
    "time": ("1 time", "{number:,} times"),
    "violation": ("1 violation", "{number:,} violations"),
    "open question": ("1 open question", "{number:,} open questions"),
}
# Rows shown for each violation.
EXAMPLES = 3


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 row`` or ``1,200 rows``."""
    one, several = COUNTED[noun]
    return say(one if count == 1 else several, number=count)


@dataclass(frozen=True)
class Violation:
    """One rule that one column of one table breaks.

    Attributes
    ----------
    table, column : str
        Where. Several columns are joined by ``", "``.
    rule : str
        What is broken: ``missing column``, ``wrong type``, ``null key``, ``null required value``,
        ``duplicate key``, ``impossible value``, ``broken invariant``, ``time in the future``,
        ``damaged id``, ``mixed currencies``, or a way in which text could not be read.
    count : int
        Rows concerned; for a missing column the number 0.
    examples : tuple of dict
        At most three rows: the key and the offending value.
    advice : str
        What to do about it.
    """

    table: str
    column: str
    rule: str
    count: int
    examples: tuple[dict[str, Any], ...] = field(default=())
    advice: str = ""

    @property
    def sentence(self) -> str:
        """The violation in words: where, what, how many, for example, what to do."""
        text = "{where}: {rule} in {rows}." if self.count else "{where}: {rule}."
        if self.examples and os.environ.get(RUN_FOLDER):  # a row is about one person
            text = "{where}: {rule} in {rows}, which `playbook check` shows."
        elif self.examples:
            text = "{where}: {rule} in {rows}, such as {examples}."
        rows = (", ".join(f"{name}={_value(row[name])}" for name in row) for row in self.examples)
        said = say(
            text,
            where=f"{self.table}.{self.column}",
            rule=word(self.rule),
            rows=counted(self.count, "row"),
            examples=Verbatim("; ".join(rows)),
        )
        return closed_up(f"{said} {self.advice}".rstrip())


def _value(value: Any) -> str:
    """Show a value as its author would write it, shortened."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


class ContractError(BadData):
    """The tables break the contract; the message lists every violation of every table.

    Attributes
    ----------
    violations : tuple of Violation
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        tables = list(dict.fromkeys(v.table for v in self.violations))
        count = counted(len(self.violations), "violation")
        head = say("{count} of the data contract in {tables}:", count=count, tables=", ".join(tables))
        super().__init__("\n".join([head, *(f"- {v.sentence}" for v in self.violations)]))
