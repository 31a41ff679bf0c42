"""PostgreSQL as a report needs it: one snapshot, lookups in one go, planned temporary tables, messages of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlparse

import psycopg
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.postgres import Backend
from ibis.backends.sql.compilers.postgres import PostgresCompiler
from ibis.expr.schema import Schema
from ibis.util import gen_name
from psycopg import sql

from helpers.data.guard import Guard
from helpers.errors import DatabaseFailed
from helpers.sentences import say

# A notebook left open would keep its snapshot, and with it what the server could clean up and alter.
PATIENCE = "30min"
# By the class of SQLSTATE or the whole of it (PostgreSQL's appendix A); the longest that fits counts.
WORDS = {
    "08": "the connection to the database was lost.\nRun the report again.",
    "57P": "the database was shut down or closed the connection.\nRun the report again.",
    "25P03": "the connection was idle for more than {patience} and the database closed it.\nRun the report again.",
    "57014": "the database cancelled a query that took too long (statement_timeout).\nRun the report again.",
    "40": "the database gave up the report's snapshot, as replicas do when it becomes old.\nRun the report again.",
    "42P01": "a table is no longer in the database: {said}.\nRun the report again.",
    "42703": "a column is no longer in the database: {said}.\nRun the report again.",
    "42501": "the role may not do that: {said}. Ask for the right to read the table (GRANT SELECT).",
    "53": "the database has no room left for this query, on disk or in memory: {said}.",
}


class Connection(psycopg.Connection[Any]):
    """A connection whose errors are messages to a person."""

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Do what every question to the server passes through; see `said` for what its failure says."""
        try:
            return super().wait(*arguments, **options)
        except psycopg.Error as error:
            raise DatabaseFailed(said(error)) from None


def said(error: psycopg.Error) -> str:
    """Return what happened to a query, in words for a reader of a report."""
    code, text = error.sqlstate or "", str(error).split("\n")[0]
    if not code and isinstance(error, psycopg.OperationalError):
        code = "08"
    found = [known for known in WORDS if code.startswith(known)]
    words = WORDS[max(found, key=len)] if found else "{said}"
    return f"PostgreSQL: {say(words, said=text, patience=PATIENCE)}"


class Compiler(PostgresCompiler):
    """Orders text by its bytes, as the other engines do: a database sorts by the rules of its language."""

    __slots__ = ()

    def visit_SortKey(self, op: Any, *, arg: Any, **how: Any) -> Any:  # noqa: N802
        """Return the key of a sort."""
        return super().visit_SortKey(op, arg=_by_bytes(op.arg, arg), **how)

    def visit_Min(self, op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Return the least value."""
        return super().visit_Min(op, arg=_by_bytes(op.arg, arg), where=where)

    def visit_Max(self, op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Return the greatest value."""
        return super().visit_Max(op, arg=_by_bytes(op.arg, arg), where=where)


def _by_bytes(column: Any, arg: Any) -> Any:
    binary = sge.to_identifier("C", quoted=True)
    return sge.Collate(this=arg, expression=binary) if column.dtype.is_string() else arg


def _array(field: pa.Field, values: Iterable[Any]) -> pa.Array:
    if pa.types.is_floating(field.type):
        values = (None if value is None else float(value) for value in values)
    return pa.array(list(values), field.type)


def connect(url: str) -> Postgres:
    """Connect to the database of an address, whose query goes to the driver."""
    place = urlparse(url)
    return Postgres()._from_url(place, **dict(parse_qsl(place.query)))


class Postgres(Guard, Backend):
    """Ibis' PostgreSQL, whose queries of one report all see the same rows."""

    compiler = Compiler()

    def do_connect(self, *, database: str | None = None, schema: str | None = None, **options: Any) -> None:
        """Connect, and begin the one transaction of the report; arguments as those of Ibis."""
        self.con = Connection.connect(dbname=database, autocommit=True, **options)
        self._post_connect()
        self.con.execute(f"SET idle_in_transaction_session_timeout = '{PATIENCE}'")
        # Ibis wraps each query in a transaction of its own, which inside of this one is a savepoint.
        self.con.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    def may_store(self) -> bool:
        """Return whether the role may make temporary tables here: replicas and read-only roles may not."""
        query = (
            "SELECT has_database_privilege(current_database(), 'TEMPORARY') AND NOT pg_is_in_recovery() "
            "AND current_setting('transaction_read_only') = 'off'"
        )
        with self.begin() as cursor:
            return bool(cursor.execute(query).fetchone()[0])

    def _create_cached_table(self, name: str, expr: Any) -> Any:
        """Without statistics the planner takes a stored table for a small one and joins it row by row."""
        table = super()._create_cached_table(name, expr)
        self._analyse(name)
        return table

    def _drop_cached_table(self, name: str) -> None:
        """Nothing is left to drop where the connection was lost."""
        with contextlib.suppress(DatabaseFailed):
            super()._drop_cached_table(name)

    def _get_schema_using_query(self, query: str) -> Schema:
        """Return the columns of a query without the view that Ibis makes for it, which takes a right to make any."""
        with self.begin() as cursor:
            columns = cursor.execute(f"SELECT * FROM ({query}) AS of_it LIMIT 0").description
        kinds = {column.name: column.type_display for column in columns}
        # What the driver has no name for is a type of the shop's own, such as an enumeration: text.
        named = {name: "text" if kind.isdigit() else kind for name, kind in kinds.items()}
        return Schema({name: self.compiler.type_mapper.from_string(kind) for name, kind in named.items()})

    def _register_in_memory_table(self, op: Any) -> None:
        """Send a frame by COPY; a column of nothing is text."""
        kinds = {name: "string" if kind.is_null() else kind for name, kind in op.schema.items()}
        rows = op.data.to_pyarrow(op.schema)
        self.create_table(op.name, schema=kinds, temp=True)
        columns = sql.SQL(", ").join(map(sql.Identifier, kinds))
        copying = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(op.name), columns)
        with self.begin() as cursor, cursor.copy(copying) as copy:
            for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                copy.write_row(row)
        self._analyse(op.name)

    def to_pyarrow_batches(
        self, expr: Any, /, *, params: Any = None, limit: Any = None, chunk_size: int = 100_000, **_: Any
    ) -> pa.RecordBatchReader:
        """Return a result part by part, in the types that the expression has: a mean of theirs is a decimal."""
        self._run_pre_execute_hooks(expr)
        schema = expr.as_table().schema().to_pyarrow()
        query = self.compile(expr, params=params, limit=limit)

        def batches() -> Iterator[pa.RecordBatch]:
            # Binary, since records inside of records say their types in no other form.
            with self.con.transaction(), self.con.cursor(name=gen_name("rows")) as cursor:
                cursor.execute(query, binary=True)
                while rows := cursor.fetchmany(chunk_size):
                    columns = zip(schema, zip(*rows, strict=True), strict=True)
                    yield pa.RecordBatch.from_arrays([_array(*each) for each in columns], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _analyse(self, name: str) -> None:
        with self.begin() as cursor:
            cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))
