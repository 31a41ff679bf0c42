"""Segments: a filter written as a sentence, such as ``platform == "douyin" and age_band in ["18-24"]``.

`segment_syntax` says what may be written; here it is applied to tables.

Logic has two values, as in pandas: a comparison with a missing value is false, ``!=`` and ``not in`` are
true. So a segment and its negation part the rows without a rest.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import eq
from typing import Any

import ibis
import ibis.expr.types as ir

from helpers.checks import did_you_mean
from helpers.data.clock import local_date, local_time
from helpers.data.segment_syntax import COMPARE, WORDS, literal, parse_syntax
from helpers.data.source import Dataset
from helpers.errors import BadParameters

NEGATIVE = (ast.NotEq, ast.NotIn)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


ACTIONS = ("events", "orders")
"""Tables whose rows are things members did."""


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

    @property
    def sentence(self) -> str:
        """What the segment is, in words."""
        return f"Only rows with {self.expression}." if self.tree is not None else "All rows, no filter."

    def predicate(self, table: ir.Table, report_tz: str = "Asia/Shanghai") -> Any:
        """Return the filter as a boolean Ibis expression over a table that has all columns."""
        if self.tree is None:
            return ibis.literal(True)
        missing = [name for name in self.columns if name not in table.columns]
        if missing:
            _unknown(missing[0], table.columns)
        return _Translator(table, report_tz).boolean(self.tree)

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
        available = sorted({column for table in dataset.tables.values() for column in table.columns})
        for name in self.columns:
            if name not in available:
                _unknown(name, available)
        restricted = {name: self._restrict(dataset, table) for name, table in dataset.tables.items()}
        whole = [name for name, table in restricted.items() if table is None]
        if len(whole) == len(restricted):
            raise BadParameters(f"No table has all of {', '.join(self.columns)}, so nothing can be filtered.")
        kept = {name: table for name, table in restricted.items() if table is not None}
        self._check_not_empty(kept)
        actors = [
            t.select("member_id") for name, t in kept.items() if name in ACTIONS and "member_id" in t.columns
        ]
        notes = []
        if "members" in whole and actors:
            inside = actors[0].union(*actors[1:], distinct=True) if len(actors) > 1 else actors[0].distinct()
            kept["members"] = dataset.tables["members"].semi_join(inside, "member_id")
            whole.remove("members")
            notes.append(
                f"The segment {self.expression} is one of actions: members with at least one of them stay."
            )
        notes += [
            f"The segment {self.expression} does not apply to {name}: it stays whole." for name in whole
        ]
        return dataset.replace(**kept).noted(*notes)

    def _check_not_empty(self, kept: Mapping[str, ir.Table]) -> None:
        """Refuse a segment that fits no row: most often a misspelt value."""
        rows = {name: int(table.count().execute()) for name, table in kept.items()}
        if not any(rows.values()):
            raise BadParameters(
                f"The segment {self.expression} fits no row of {', '.join(rows)}; is a value misspelt?"
            )

    def _restrict(self, dataset: Dataset, table: ir.Table) -> ir.Table | None:
        """Return the rows of a table that belong to the segment, or None when it does not apply."""
        lacking = [name for name in self.columns if name not in table.columns]
        if not lacking:
            return table.filter(self.predicate(table, dataset.report_tz))
        members = dataset.tables.get("members")
        if members is None or "member_id" not in table.columns or set(lacking) - set(members.columns):
            return None
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


def _unknown(name: str, available: Any) -> None:
    hint = did_you_mean(name, available)
    raise BadParameters(f"segment names the column {name!r}.{hint} Columns: {', '.join(available)}.")


class _Translator:
    """From the parsed tree to an Ibis expression over one table."""

    def __init__(self, table: ir.Table, report_tz: str) -> None:
        self.table = table
        self.report_tz = report_tz

    def boolean(self, node: ast.expr) -> Any:
        """Translate something that is true or false."""
        if isinstance(node, ast.BoolOp):
            join = ibis.and_ if isinstance(node.op, ast.And) else ibis.or_
            return join(*(self.boolean(value) for value in node.values))
        if isinstance(node, ast.UnaryOp):
            return ~self.boolean(node.operand)
        if isinstance(node, ast.Compare):
            lefts = [node.left, *node.comparators[:-1]]
            steps = zip(lefts, node.ops, node.comparators, strict=True)
            return ibis.and_(*(self.comparison(*step) for step in steps))
        value = literal(node)
        if value is not None:
            return ibis.literal(value)
        assert isinstance(node, ast.Name)
        column = self.table[node.id]
        if not column.type().is_boolean():
            raise BadParameters(f"segment: {node.id} is {column.type()}, must be compared with something.")
        return column.fill_null(False)

    def comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Any:
        """Translate one comparison; with a missing value it is false, or true when it is negative."""
        negative = isinstance(operator, NEGATIVE)
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            column = self.column(left)
            equal = [eq(*self.typed(column, literal(part))) for part in right.elts]
            inside = ibis.or_(*equal).fill_null(False) if equal else ibis.literal(False)
            return ~inside if negative else inside
        return COMPARE[type(operator)](*self.sides(left, right)).fill_null(negative)

    def sides(self, left: ast.expr, right: ast.expr) -> tuple[Any, Any]:
        """Return both sides, a literal in the type of the column it is compared with."""
        a, b = self.column(left), self.column(right)
        if a is None:
            b, a = self.typed(b, literal(left))
        elif b is None:
            a, b = self.typed(a, literal(right))
        elif not _comparable(a.type(), b.type()):
            raise BadParameters(
                f"segment: {a.get_name()} is {a.type()} and {b.get_name()} is {b.type()}, "
                "they cannot be compared."
            )
        return a, b

    def column(self, node: ast.expr) -> Any:
        """Return a column, or None for a literal."""
        is_column = isinstance(node, ast.Name) and node.id not in WORDS
        return self.table[node.id] if is_column else None  # type: ignore[attr-defined]

    def typed(self, column: Any, value: Any) -> tuple[Any, Any]:
        """Return the column and a literal that can be compared; days mean the report's time zone."""
        kind = column.type()
        if kind.is_timestamp() or kind.is_date():
            return self.moment(column, value)
        fits = (
            (kind.is_string() and isinstance(value, str))
            or (kind.is_boolean() and isinstance(value, bool))
            or (kind.is_numeric() and not kind.is_boolean() and isinstance(value, int | float))
        )
        if not fits or (isinstance(value, bool) and not kind.is_boolean()):
            raise BadParameters(f"segment: {column.get_name()} is {kind}, cannot be compared with {value!r}.")
        return column, ibis.literal(value)

    def moment(self, column: Any, value: Any) -> tuple[Any, Any]:
        """Compare a time with a day or a moment, both in the report's time zone unless it has an offset."""
        try:
            text = value if isinstance(value, str) else ""
            if DAY.fullmatch(text):
                day = dt.date.fromisoformat(text)
                of_day = column if column.type().is_date() else local_date(column, self.report_tz)
                return of_day, ibis.date(day)
            moment = dt.datetime.fromisoformat(text)
            if column.type().is_date():
                raise ValueError
        except ValueError:
            raise BadParameters(
                f"segment: {column.get_name()} is {column.type()}, cannot be compared with {value!r}; "
                'write a day such as "2025-01-31".'
            ) from None
        if moment.tzinfo is None:
            return local_time(column, self.report_tz), ibis.timestamp(moment)
        instant = column.cast("timestamp") if column.type().timezone is not None else column
        return instant, ibis.timestamp(moment.astimezone(dt.UTC).replace(tzinfo=None))


def _comparable(a: Any, b: Any) -> bool:
    kinds = ("is_string", "is_boolean", "is_timestamp", "is_date")
    same = any(getattr(a, kind)() and getattr(b, kind)() for kind in kinds)
    return same or (a.is_numeric() and b.is_numeric() and not a.is_boolean() and not b.is_boolean())
