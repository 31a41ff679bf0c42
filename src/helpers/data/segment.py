"""Segments: a filter written as a sentence, such as ``platform_home == "douyin" and age_band in ["18-24"]``.

`segment_syntax` says what may be written; here it is applied to tables.

Logic has two values, as in pandas: a comparison with a missing value is false, ``!=`` and ``not in`` are
true. So a segment and its negation part the rows without a rest.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from dataclasses import dataclass
from operator import eq
from typing import Any

import ibis
import ibis.expr.types as ir

from helpers.data.clock import local_date, local_time
from helpers.data.segment_syntax import COMPARE, LISTS, WORDS, applies, check_columns, literal, parse_syntax
from helpers.data.source import Dataset
from helpers.errors import BadParameters
from helpers.sentences import Verbatim, say

NEGATIVE = (ast.NotEq, ast.NotIn)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
# Types of columns that can be compared with one another.
KINDS = ("is_string", "is_boolean", "is_numeric", "is_timestamp", "is_date")

# Tables whose rows are things members did.
ACTIONS = ("events", "orders")


@dataclass(frozen=True)
class Segment:
    """A parsed filter.

    Attributes
    ----------
    expression : str
        As written; empty when there is no filter.
    columns : tuple of str
        Names it speaks of.
    """

    expression: str
    columns: tuple[str, ...]
    tree: ast.expr | None = None

    def predicate(self, table: ir.Table, report_tz: str = "Asia/Shanghai") -> Any:
        """Return the filter as a boolean Ibis expression over a table that has all columns."""
        return ibis.literal(True) if self.tree is None else _Translator(table, report_tz).boolean(self.tree)

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset restricted to the segment.

        A table that has all columns of the segment is filtered by its rows. A table with a
        ``member_id`` that lacks some takes those from ``members``; rows of unknown members fall out. When
        ``members`` itself lacks a column, as with a segment of actions, the members with at least one row
        of the segment stay. A table to which nothing applies stays whole. Notes say which was done.

        Raises
        ------
        BadParameters
            When a column is in no table, no table can be filtered, or no row fits.
        """
        if self.tree is None:
            return dataset
        check_columns(self.columns, {name: table.columns for name, table in dataset.tables.items()})
        restricted = {name: self._restrict(dataset, table) for name, table in dataset.tables.items()}
        kept = {name: table for name, table in restricted.items() if table is not None}
        segment = Verbatim(self.expression)
        if not any(int(table.count().execute()) for table in kept.values()):
            raise BadParameters(
                say(
                    "The segment {segment} fits no row of {kept}; is a value misspelt?",
                    segment=segment,
                    kept=", ".join(kept),
                )
            )
        actors = [kept[name].select("member_id") for name in ACTIONS if name in kept]
        notes = []
        if restricted.get("members", 0) is None and actors:
            inside = ibis.union(*actors, distinct=True) if len(actors) > 1 else actors[0]
            kept["members"] = dataset.tables["members"].semi_join(inside, "member_id")
            home = "platform" in self.columns and "platform_home" in dataset.tables["members"].columns
            text = (
                "The segment {segment} cuts activity, not members: what is left is the activity with it, of the "
                "members who have any."
            )
            text += "\nFor members whose home it is, write platform_home." * home
            notes.append(say(text, segment=segment))
        whole = [name for name in restricted if name not in kept]
        notes += [
            say(
                "The segment {segment} does not apply to {table}: it stays whole.",
                segment=segment,
                table=name,
            )
            for name in whole
        ]
        return dataset.replace(**kept).noted(*notes)

    def _restrict(self, dataset: Dataset, table: ir.Table) -> ir.Table | None:
        """Return the rows of a table that belong to the segment, or None when it does not apply."""
        members = dataset.tables.get("members")
        if not applies(self.columns, table.columns, () if members is None else members.columns):
            return None
        lacking = [name for name in self.columns if name not in table.columns]
        if members is None or not lacking:
            return table.filter(self.predicate(table, dataset.report_tz))
        if len(lacking) == len(self.columns):
            inside = members.filter(self.predicate(members, dataset.report_tz))
            return table.semi_join(inside, "member_id")
        joined = table.inner_join(members.select("member_id", *lacking), "member_id")
        return joined.filter(self.predicate(joined, dataset.report_tz)).select(*table.columns)


def parse(expression: str | None) -> Segment:
    """Return the segment that an expression describes; an empty one is no filter.

    Raises
    ------
    BadParameters
        When the expression is not in the language.
    """
    return Segment(*parse_syntax(expression))


class _Translator:
    """From the parsed tree to an Ibis expression over one table."""

    def __init__(self, table: ir.Table, report_tz: str) -> None:
        self.table = table
        self.report_tz = report_tz

    def boolean(self, node: ast.expr) -> Any:
        """Translate something that is true or false."""
        match node:
            case ast.BoolOp():
                join = ibis.and_ if isinstance(node.op, ast.And) else ibis.or_
                return join(*map(self.boolean, node.values))
            case ast.UnaryOp():
                return ~self.boolean(node.operand)
            case ast.Compare():
                lefts = [node.left, *node.comparators[:-1]]
                return ibis.and_(*map(self.comparison, lefts, node.ops, node.comparators))
        column = self.column(node)
        if column is None:
            return ibis.literal(literal(node))
        if not column.type().is_boolean():
            name, kind = column.get_name(), column.type()
            raise BadParameters(
                say("segment: {name} is {kind}, must be compared with something.", name=name, kind=kind)
            )
        return column.fill_null(False)

    def comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Any:
        """Translate one comparison; with a missing value it is false, or true when it is negative."""
        negative = isinstance(operator, NEGATIVE)
        if isinstance(right, LISTS):
            column = self.column(left)
            equal = [eq(*self.typed(column, literal(part))) for part in right.elts]
            inside = ibis.or_(False, *equal).fill_null(False)
            return ~inside if negative else inside
        return COMPARE[type(operator)](*self.sides(left, right)).fill_null(negative)

    def sides(self, left: ast.expr, right: ast.expr) -> tuple[Any, Any]:
        """Return both sides, a literal in the type of the column it is compared with."""
        a, b = self.column(left), self.column(right)
        if a is None:
            b, a = self.typed(b, literal(left))
        elif b is None:
            a, b = self.typed(a, literal(right))
        elif not any(getattr(a.type(), kind)() and getattr(b.type(), kind)() for kind in KINDS):
            one, other = (
                say("{column} is {kind}", column=each.get_name(), kind=each.type()) for each in (a, b)
            )
            raise BadParameters(
                say("segment: {one} and {other}, they cannot be compared.", one=one, other=other)
            )
        return a, b

    def column(self, node: ast.expr) -> Any:
        """Return a column, or None for a literal."""
        return self.table[node.id] if isinstance(node, ast.Name) and node.id not in WORDS else None

    def typed(self, column: Any, value: Any) -> tuple[Any, Any]:
        """Return the column and a literal that can be compared; days mean the report's time zone."""
        kind = column.type()
        if kind.is_timestamp() or kind.is_date():
            return self.moment(column, value)
        number = kind.is_numeric()
        fitting = {str: kind.is_string(), bool: kind.is_boolean(), int: number, float: number}
        if not fitting[type(value)]:
            raise BadParameters(
                say(
                    "segment: {column} is {kind}, cannot be compared with {value!r}.",
                    column=column.get_name(),
                    kind=kind,
                    value=value,
                )
            )
        return column, ibis.literal(value)

    def moment(self, column: Any, value: Any) -> tuple[Any, Any]:
        """Compare a time with a day or a moment, both in the report's time zone unless it has an offset."""
        try:
            text = value if isinstance(value, str) else ""
            if DAY.fullmatch(text):
                of_day = column if column.type().is_date() else local_date(column, self.report_tz)
                return of_day, ibis.date(dt.date.fromisoformat(text))
            moment = dt.datetime.fromisoformat(text)
            if column.type().is_date():
                raise ValueError
        except ValueError:
            raise BadParameters(
                say(
                    "segment: {column} is {kind}, cannot be compared with {value!r}; write a day such as "
                    '"2025-01-31".',
                    column=column.get_name(),
                    kind=column.type(),
                    value=value,
                )
            ) from None
        if moment.tzinfo is None:
            return local_time(column, self.report_tz), ibis.timestamp(moment)
        instant = column.cast("timestamp") if column.type().timezone is not None else column
        return instant, ibis.timestamp(moment.astimezone(dt.UTC).replace(tzinfo=None))
