"""What a table and a column of the data contract are: small frozen records, and their documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ColumnType = Literal["string", "timestamp", "date", "integer", "float", "boolean", "category", "json", "list"]

PRIVACY_CLASSES = {
    "P0": "not personal",
    "P1": "pseudonymous id",
    "P2": "profile",
    "P3": "free text or contact data, never leaves the loader",
}


@dataclass(frozen=True)
class Column:
    """One column of a table of the contract.

    Attributes
    ----------
    name, type : str
        Name and contract type. A timestamp is an instant in UTC, a date is a calendar day in the
        time zone of the report.
    required : bool
        Whether the column must exist and must hold a value in every row.
    unit, meaning : str
        Documentation. The unit ``share`` marks a number between 0 and 1, the only kind of number
        that a text file may write as a percentage.
    privacy : str
        ``P0`` none, ``P1`` pseudonymous id, ``P2`` profile, ``P3`` text or contact data.
    minimum, maximum : float, optional
        Inclusive bounds of a possible value.
    allowed : tuple of str
        The closed list of values; empty for an open vocabulary.
    may_be_future : bool
        Whether a time after now is possible (a planned promotion, a due day).
    """

    name: str
    type: ColumnType
    required: bool = False
    unit: str = ""
    meaning: str = ""
    privacy: str = "P0"
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    may_be_future: bool = False

    @property
    def is_id(self) -> bool:
        """Whether the column holds identifiers, which a spreadsheet can damage."""
        return self.type == "string" and self.name.endswith("_id")


@dataclass(frozen=True)
class Invariant:
    """A relation that holds within every row in which all of its columns have a value.

    Attributes
    ----------
    sentence : str
        The relation in words, such as ``"refund <= gross"``.
    needs : tuple of str
        The columns it speaks of; it is checked when all of them exist. The last one is shown as
        the offending value.
    holds : callable
        From the Ibis table to a boolean Ibis expression.
    """

    sentence: str
    needs: tuple[str, ...]
    holds: Callable[[Any], Any]


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes
    ----------
    name, grain : str
        Its name, and what one row is.
    columns : tuple of Column
        In the order of the data model.
    key : tuple of str
        Columns that together are unique and never null.
    needed_by : tuple of str
        Numbers of the notebooks that use the table.
    invariants : tuple of Invariant
        Relations between columns of one row.
    key_when_present : tuple of str
        Optional columns that refine the grain when they exist (an hour, an age); they may be null.
    money : tuple of str
        Columns counted in the currency of the row.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    needed_by: tuple[str, ...]
    invariants: tuple[Invariant, ...] = ()
    key_when_present: tuple[str, ...] = ()
    money: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        """Return the column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        """Whether the contract knows a column of that name."""
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must exist."""
        return tuple(column.name for column in self.columns if column.required)


def describe_column(column: Column) -> str:
    """Return the Markdown row of one column."""
    limits = []
    if column.minimum is not None and column.maximum is not None:
        limits.append(f"{column.minimum:g} to {column.maximum:g}")
    elif column.minimum is not None:
        limits.append(f"at least {column.minimum:g}")
    elif column.maximum is not None:
        limits.append(f"at most {column.maximum:g}")
    if column.allowed:
        limits.append("one of " + ", ".join(column.allowed))
    if column.may_be_future:
        limits.append("may lie in the future")
    cells = (
        f"`{column.name}`",
        column.type,
        "yes" if column.required else "",
        column.unit,
        column.privacy,
        column.meaning,
        "; ".join(limits),
    )
    return "| " + " | ".join(cells) + " |"


def describe_table(table: Table) -> str:
    """Return one table of the contract as Markdown: grain, key, columns, units and invariants."""
    key = ", ".join(f"`{name}`" for name in table.key)
    if table.key_when_present:
        key += " (and " + ", ".join(f"`{name}`" for name in table.key_when_present) + " when present)"
    lines = [
        f"## {table.name}",
        "",
        f"One row is {table.grain}. Key: {key}. Used by notebooks {', '.join(table.needed_by)}.",
        "",
        "| column | type | required | unit | privacy | meaning | values |",
        "|---|---|---|---|---|---|---|",
        *(describe_column(column) for column in table.columns),
    ]
    rules = [invariant.sentence for invariant in table.invariants]
    if table.money and "currency" in table:
        rules.append(f"one currency for {', '.join(table.money)}")
    if rules:
        lines += ["", "Always true: " + "; ".join(rules) + "."]
    return "\n".join(lines) + "\n"
