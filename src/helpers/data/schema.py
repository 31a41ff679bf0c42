"""What a table and a column of the data contract are, the words that declare them, and their documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

ColumnType = Literal["string", "timestamp", "date", "integer", "float", "boolean", "category", "json", "list"]

# Names of columns that hold contact data, in the words of exports.
CONTACT = re.compile(
    r"(?i)(^|_)(e?mails?|phones?|mobiles?|telephones?|tel|wechat|wechat_id|weixin|wxid|qq|ip|ip_address|id_card|"
    r"passport|address|real_name|full_name|contact|contacts)($|_(number|no|address|id)$)"
    r"|手机|电话|微信(?!\w*单号)|邮箱|身份证|住址|地址|真实姓名|姓名|联系方式"
)

# Slack that forgives the last binary digit of a sum of money.
HALF_CENT = 0.005


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
    key : bool
        Whether it is one of the columns that together are unique and never null.
    refines : bool
        Whether it refines the grain when it exists (an hour, an age); it may be null.
    unit, meaning : str
        Documentation. The unit ``share`` marks a number between 0 and 1, the only kind of number
        that a text file may write as a percentage.
    privacy : str
        ``P0`` not personal, ``P1`` pseudonymous id, ``P2`` profile, ``P3`` free text or contact data, which never
        leave the loader.
    minimum, maximum : float, optional
        Inclusive bounds of a possible value; a maximum comes with a minimum.
    allowed : tuple of str
        The closed list of values; empty for an open vocabulary.
    may_be_future : bool
        Whether a time after now is possible (a planned promotion, a due day).
    """

    name: str
    type: ColumnType
    required: bool = False
    key: bool = False
    refines: bool = False
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

    @property
    def bounds(self) -> str:
        """The bounds in words; empty when there are none."""
        if self.minimum is None:
            return ""
        low = f"{self.minimum:g}"
        return f"at least {low}" if self.maximum is None else f"{low} to {self.maximum:g}"


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
    notebooks : str
        Numbers of the notebooks that use the table.
    columns : tuple of Column
        In the order of the data model.
    invariants : tuple of Invariant
        Relations between columns of one row.
    """

    name: str
    grain: str
    notebooks: str
    columns: tuple[Column, ...] = ()
    invariants: tuple[Invariant, ...] = ()

    def of(self, *parts: Column | Invariant) -> Table:
        """Return the table with these columns and invariants, and with the columns that every table has.

        A table with money names its currency too.
        """
        own = [part for part in parts if isinstance(part, Column)]
        shared = [CURRENCY, *COMMON] if any(part.unit == "currency" for part in own) else COMMON
        columns = {part.name: part for part in (*own, *shared, *own)}  # in the order declared; its own win
        invariants = tuple(part for part in parts if isinstance(part, Invariant))
        return replace(self, columns=tuple(columns.values()), invariants=invariants)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def __getitem__(self, name: str) -> Column:
        """Return the column of that name."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Whether the contract knows a column of that name."""
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._by_name)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that together are unique and never null."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def refined_by(self) -> tuple[str, ...]:
        """Optional columns that refine the grain when they exist."""
        return tuple(column.name for column in self.columns if column.refines)

    @property
    def money(self) -> tuple[str, ...]:
        """Columns counted in the currency of the row."""
        return tuple(column.name for column in self.columns if column.unit == "currency")


def is_withheld(spec: Table, name: str) -> bool:
    """Whether a column holds free text or contact data by its class or, if unknown, by its name."""
    if name in spec:
        return spec[name].privacy == "P3"
    return CONTACT.search(name) is not None


def column(type_: ColumnType, name: str, meaning: str = "", *, allowed: str = "", **facts: Any) -> Column:
    """Declare a column; a part of the key is required, and `allowed` lists words with blanks between."""
    facts["required"] = facts.get("required", False) or facts.get("key", False)
    return Column(name, type_, meaning=meaning, allowed=tuple(allowed.split()), **facts)


text = partial(column, "string")
key = partial(column, "string", key=True)
category = partial(column, "category")
time = partial(column, "timestamp", unit="UTC")
day = partial(column, "date", unit="day in the report's time zone")
flag = partial(column, "boolean")
whole = partial(column, "integer")
count = partial(column, "integer", unit="count", minimum=0)
number = partial(column, "float")
amount = partial(column, "float", unit="currency")
money = partial(amount, minimum=0)
share = partial(column, "float", unit="share", minimum=0, maximum=1)

CURRENCY = category("currency", "ISO 4217 code; one per table")
COMPLETE = flag("is_complete", "False while the platform may still revise the day")
# Columns of every table, because every export has an origin and a moment.
COMMON = (
    category("source", "System the row was exported from"),
    time("ingested_at", "When the row was exported"),
)


def not_above(lower: str, upper: str, slack: float = 0, or_negative: bool = False) -> Invariant:
    """Declare that `lower` <= `upper`, up to `slack`; also nothing of rows where `upper` is negative."""

    def holds(table: Any) -> Any:
        below = table[lower] <= table[upper] + slack
        return below | (table[upper] < 0) if or_negative else below

    return Invariant(f"{lower} <= {upper}", (upper, lower), holds)


def not_before(later: str, earlier: str) -> Invariant:
    """Declare that `later` is not before `earlier`."""
    return Invariant(f"{later} >= {earlier}", (earlier, later), lambda t: t[later] >= t[earlier])


def describe_column(column: Column) -> str:
    """Return the Markdown row of one column."""
    allowed = "one of " + ", ".join(column.allowed) if column.allowed else ""
    future = "may lie in the future" if column.may_be_future else ""
    values = "; ".join(filter(None, (column.bounds, allowed, future)))
    needed = "yes" if column.required else ""
    cells = (f"`{column.name}`", column.type, needed, column.unit, column.privacy, column.meaning, values)
    return "| " + " | ".join(cells) + " |"


def describe_table(table: Table) -> str:
    """Return one table of the contract as Markdown: grain, key, columns, units and invariants."""
    key, refined = (", ".join(f"`{name}`" for name in names) for names in (table.key, table.refined_by))
    when_present = f" (and {refined} when present)" if refined else ""
    numbers = table.notebooks.replace(" ", ", ")
    used = f"Read by {numbers}." if numbers else "No notebook reads it."
    lines = [
        f"## {table.name}",
        "",
        f"One row is {table.grain}. Key: {key}{when_present}. {used}",
        "",
        "| column | type | required | unit | privacy | meaning | values |",
        "|---|---|---|---|---|---|---|",
        *map(describe_column, table.columns),
    ]
    rules = [invariant.sentence for invariant in table.invariants]
    if table.money:
        rules.append(f"one currency for {', '.join(table.money)}")
    if rules:
        lines += ["", "Always true: " + "; ".join(rules) + "."]
    return "\n".join(lines) + "\n"
