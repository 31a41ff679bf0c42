"""Which files of a folder belong to which table; known without an engine.

A table lives in ``<table>.parquet``, ``<table>.csv``, ``<table>.csv.gz`` or, in parts, anywhere below a
folder ``<table>/``. Files that are no table of the contract are listed, never silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from helpers.checks import did_you_mean
from helpers.data.tables import TABLES
from helpers.errors import BadData

COMPANIONS = {"truth.json", "README.md", "readme.md"}
"""Files that may lie next to tables and are none."""

SUFFIXES = (".parquet", ".csv.gz", ".csv")


def unknown(names: Iterable[str], choices: Iterable[str]) -> tuple[str, ...]:
    """Return names that are no table, each with the nearest name that is one."""
    listed = sorted(names)
    options = list(choices)
    return tuple(f"{name}{did_you_mean(name.split('.')[0], options)}" for name in listed)


def layout(folder: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """Return the files of each table, and the names that are no table.

    Raises
    ------
    BadData
        When a table is there twice, so that nobody can know which one is meant.
    """
    found: dict[str, list[Path]] = {}
    places: dict[str, list[str]] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.name in COMPANIONS:
            continue
        name, files = _table_files(path)
        if name is None or not files:
            others.append(path.name)
            continue
        found[name] = files
        places.setdefault(name, []).append(path.name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    if twice:
        text = "; ".join(f"{name} as {' and '.join(where)}" for name, where in twice.items())
        raise BadData(f"{folder} holds a table more than once: {text}. Keep one of them.")
    return found, unknown(others, TABLES)


def _table_files(path: Path) -> tuple[str | None, list[Path]]:
    """Return the table a file or folder belongs to and its files."""
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*")) if f.is_file() and f.name.endswith(SUFFIXES)]
        return (path.name if path.name in TABLES else None), files
    for suffix in SUFFIXES:
        if path.name.endswith(suffix) and path.name.removesuffix(suffix) in TABLES:
            return path.name.removesuffix(suffix), [path]
    return None, []
