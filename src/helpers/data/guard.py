"""The one way in which results leave an engine: counted, and refused when they are more than a method needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr import operations as ops

from helpers.data.tables import TABLES
from helpers.errors import TooManyRows
from helpers.sentences import say

MOST_PULLED = 300_000
"""Rows of one result: methods take cells and stated samples, and none of these is larger than 200,000 members. What
must have a row for each history or id asks within `room_for`."""
MOST_IDS = 50_000_000
"""Ids of members, where each is looked up by its pseudonym."""
_MOST: ContextVar[int | None] = ContextVar("rows that may leave", default=None)


@dataclass
class Pulled:
    """What has left the engines of this process: results, their rows, the longest, and bytes in the form of Arrow."""

    queries: int = 0
    rows: int = 0
    largest: int = 0
    bytes: int = 0

    def add(self, result: Any) -> None:
        """Count a result."""
        rows, size = _extent(result)
        self.queries, self.rows, self.bytes = self.queries + 1, self.rows + rows, self.bytes + size
        self.largest = max(self.largest, rows)


PULLED = Pulled()


@contextlib.contextmanager
def room_for(rows: int | None) -> Iterator[None]:
    """Let results of so many rows leave meanwhile, instead of `MOST_PULLED`; who asks says why."""
    before = _MOST.set(rows)
    try:
        yield
    finally:
        _MOST.reset(before)


class Guard:
    """Goes before a backend of Ibis, whose results then pass it; what an engine stores or writes itself does not."""

    _inside = False

    def execute(self, expr: ir.Expr, /, **options: Any) -> Any:
        """Return a result as Pandas has it; arguments and errors as `to_pyarrow`."""
        return self._passed(super().execute, expr, options)  # type: ignore[misc]

    def to_pyarrow(self, expr: ir.Expr, /, **options: Any) -> Any:
        """Return a result as Arrow has it; arguments as those of Ibis.

        Raises
        ------
        TooManyRows
            When there are more rows than any method needs, before they are fetched.
        """
        return self._passed(super().to_pyarrow, expr, options)  # type: ignore[misc]

    def _passed(self, ask: Callable[..., Any], expr: ir.Expr, options: dict[str, Any]) -> Any:
        if self._inside:  # an engine that answers in one form by way of the other
            return ask(expr, **options)
        self._inside, most = True, _MOST.get() or MOST_PULLED
        try:
            if not isinstance(expr, ir.Scalar) and options.get("limit") in (None, "default"):
                options = {**options, "limit": most + 1}
            result = ask(expr, **options)
            if not isinstance(expr, ir.Scalar) and len(result) > most:
                rows = ask(expr.as_table().count())
                raise _too_many(expr.as_table(), int(getattr(rows, "as_py", lambda: rows)()), most)
        finally:
            self._inside = False
        PULLED.add(result)
        return result


def guarded(con: Any) -> Any:
    """Return a backend of Ibis, of whatever engine, with its results guarded."""
    con._inside = False
    for name in ("execute", "to_pyarrow"):
        ask = getattr(con, name)
        setattr(con, name, lambda expr, /, _ask=ask, **options: Guard._passed(con, _ask, expr, options))
    return con


class DuckDB(Guard, Backend):
    """Ibis' DuckDB, whose results are guarded."""


def _too_many(table: ir.Table, rows: int, most: int) -> TooManyRows:
    """Return the error that says what was asked for and what to do."""
    names = {each.name for each in table.op().find(ops.PhysicalTable)}
    text = (
        "A question to {tables} about {columns} has {rows:,} rows as its answer, and at most {most:,} leave the "
        "engine. Report on a segment, over fewer days, or by fewer or coarser groups; in code, aggregate in the "
        "engine first, or take a sample of members."
    )
    tables = ", ".join(name for name in TABLES if name in names) or say("stored results")
    return TooManyRows(say(text, tables=tables, columns=", ".join(table.columns), rows=rows, most=most))


def _extent(result: Any) -> tuple[int, int]:
    """Return the rows of a result and its bytes in Arrow's form."""
    if isinstance(result, pa.Table | pa.ChunkedArray | pa.Array):
        return len(result), result.nbytes
    if isinstance(result, pd.Series):
        return len(result), _bytes(result)
    if isinstance(result, pd.DataFrame):
        return len(result), sum(_bytes(result.iloc[:, at]) for at in range(result.shape[1]))
    # Of no rows the latest instant is NaT, which only pandas' way takes for missing.
    return 1, pa.array([result], from_pandas=True).nbytes


def _bytes(column: pd.Series) -> int:
    return int(pa.array(column, from_pandas=True).nbytes)
