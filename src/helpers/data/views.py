"""Views in DuckDB: the one place where its own types and its own SQL are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from helpers.data.schema import Table
from helpers.data.violation import Violation
from helpers.sentences import say

# Column with the path of a row's file; no table has a name that cannot be printed.
FILE = "\x1ffile"
# Name of a folder for rows without a value, as engines write it.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"

DUCKDB_TYPES = {
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "list": "VARCHAR[]",
}

TO_MICROSECONDS = dict.fromkeys(("TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"), "TIMESTAMP")
# Timestamps of another precision are read as microseconds, which is what every engine can hold.
TO_MICROSECONDS["TIMESTAMPTZ_NS"] = "TIMESTAMPTZ"


# Columns outside the contract that are read: segments need a few, and each costs in every question asked.
MOST_OTHERS = 200


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


def varchar(name: str) -> str:
    """Return SQL for a column as text."""
    return f"CAST({identifier(name)} AS VARCHAR)"


def few(spec: Table, names: Sequence[str], notes: list[str]) -> list[str]:
    """Return the columns that are read: all of the contract, and the first others; a note names the rest."""
    others = [name for name in names if name not in spec]
    if left := others[MOST_OTHERS:]:
        notes.append(
            f"{spec.name}: {len(others):,} columns outside the contract, {MOST_OTHERS} of them read; left out are "
            f"{left[0]} to {left[-1]} ({len(left):,}). Name what you need first, or leave out what you do not."
        )
    unread = set(left)
    return [name for name in names if name not in unread]


def create(con: Any, spec: Table, relation: str, notes: list[str]) -> Any:
    """Create a view of a relation under the name of a table and return it as an Ibis table; see `few`.

    Types that Ibis has no name for are replaced: nanoseconds become microseconds, and a column that
    holds nothing at all, and so has no type, takes that of the contract.
    """
    kinds = {row[0]: row[1] for row in con.con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
    columns = []
    for name in few(spec, list(kinds), notes):
        nothing = kinds[name].strip('"') == "NULL"
        target = _type_of(spec, name) if nothing else TO_MICROSECONDS.get(kinds[name])
        cast = f"CAST({identifier(name)} AS {target}) AS " if target else ""
        columns.append(cast + identifier(name))
    query = f"SELECT {', '.join(columns)} FROM {relation}"
    con.con.execute(f"CREATE TEMPORARY VIEW {identifier(spec.name)} AS {query}")
    return con.table(spec.name)


def duplicates(spec: Table, names: Iterable[str], place: str) -> list[Violation]:
    """Return the columns that are there twice; an engine takes names that differ in case only for one."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.lower(), []).append(name)
    found = []
    for group in (group for group in alike.values() if len(group) > 1):
        advice = say("{place} has the column {n} times; rename or remove one.", place=place, n=len(group))
        where = ", ".join(dict.fromkeys(group))
        found.append(Violation(spec.name, where, "duplicate column", 0, (), advice))
    return found


def listed(parts: Iterable[Path]) -> str:
    """Return paths as an SQL list, in which a star is part of a name and no pattern."""
    names = (re.sub(r"([*?[])", r"[\1]", str(part)) for part in parts)
    return f"[{', '.join(map(quoted, names))}]"


def folder_keys(parts: Iterable[Path], root: Path) -> list[str]:
    """Return the columns that are written in names of folders, such as ``date=2025-01-01``."""
    pieces = {piece for part in parts for piece in part.relative_to(root).parts[:-1]}
    return sorted({piece.partition("=")[0] for piece in pieces if "=" in piece})


def keyed(
    con: Any, spec: Table, reader: str, names: Iterable[str], keys: Sequence[str], typed: bool = True
) -> tuple[str, list[Violation]]:
    """Return a relation over files with the columns of their folders' names, and which rows contradict these.

    Parameters
    ----------
    reader : str
        SQL call of a reader of files, without its last parenthesis.
    names : iterable of str
        Columns of the files; where a folder says nothing the file does.
    keys : sequence of str
        Columns of the folders' names.
    typed : bool
        Whether they take the type of the contract; otherwise they are text.
    """
    reader = f"{reader}, hive_partitioning = false, filename = {quoted(FILE)})"
    columns, said, both = "", [], sorted(set(keys) & set(names))
    for key in keys:
        pattern = quoted(rf".*[/\\]{re.escape(key)}=([^/\\]*)[/\\]")
        text = f"url_decode(regexp_extract({identifier(FILE)}, {pattern}, 1))"
        value, own = f"nullif(nullif({text}, ''), '{NO_VALUE}')", varchar(key)
        if key in both:
            count = con.con.execute(f"SELECT count(*) FROM {reader} WHERE {own} <> {value}").fetchone()[0]
            advice = say(
                "The file says another value than the name of its folder: correct one, or leave it out."
            )
            rule = "folder name against file"
            said += [Violation(spec.name, key, rule, count, (), advice)] if count else []
            value = f"coalesce({value}, {own})"
        columns += f", CAST({value} AS {_type_of(spec, key) if typed else 'VARCHAR'}) AS {identifier(key)}"
    return f"(SELECT * EXCLUDE ({', '.join(map(identifier, (FILE, *both)))}){columns} FROM {reader})", said


def _type_of(spec: Table, name: str) -> str:
    """Return the type of a column of the contract; any other is text."""
    return DUCKDB_TYPES.get(spec[name].type, "VARCHAR") if name in spec else "VARCHAR"
