"""Views in DuckDB: the one place where its own types and its own SQL are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.data.schema import Table

DUCKDB_TYPES = {
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "list": "VARCHAR[]",
}

TO_MICROSECONDS = {
    "TIMESTAMPTZ_NS": "TIMESTAMPTZ",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP",
}
"""Timestamps of another precision are read as microseconds, which is what every engine can hold."""


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


def create(con: Any, spec: Table, relation: str) -> Any:
    """Create a view of a relation under the name of a table and return it as an Ibis table.

    Types that Ibis has no name for are replaced: nanoseconds become microseconds, and a column that
    holds nothing at all, and so has no type, takes that of the contract.
    """
    columns = con.con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    changes = []
    for name, kind, *_ in columns:
        target = TO_MICROSECONDS.get(kind)
        if kind.strip('"') == "NULL":
            target = _type_of(spec, name)
        if target:
            changes.append(f"CAST({identifier(name)} AS {target}) AS {identifier(name)}")
    replace = f" REPLACE ({', '.join(changes)})" if changes else ""
    con.con.execute(f"CREATE TEMPORARY VIEW {identifier(spec.name)} AS SELECT *{replace} FROM {relation}")
    return con.table(spec.name)


def partitions(spec: Table, parts: Iterable[Path], root: Path) -> str:
    """Return reader options for columns that are written in folder names."""
    folders = {piece for part in parts for piece in part.relative_to(root).parts[:-1] if "=" in piece}
    keys = sorted({folder.partition("=")[0] for folder in folders})
    types = ", ".join(f"{quoted(key)}: {_type_of(spec, key)}" for key in keys)
    return f"hive_partitioning = true, hive_types = {{{types}}}" if keys else "hive_partitioning = false"


def _type_of(spec: Table, name: str) -> str:
    """Return the type of a column of the contract; any other is text."""
    return DUCKDB_TYPES.get(spec[name].type, "VARCHAR") if name in spec else "VARCHAR"
