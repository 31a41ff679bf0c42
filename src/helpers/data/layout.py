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


def unknown(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that are no table, each with the nearest name that is one."""
    return tuple(f"{name}{did_you_mean(name.split('.')[0], TABLES)}" for name in sorted(names))


def layout(folder: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """Return the files of each table, and the names that are no table.

    Raises
    ------
    BadData
        When a table is there twice, so that nobody can know which one is meant.
    """
    found: dict[str, list[tuple[str, list[Path]]]] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.name in COMPANIONS:
            continue
        name, dot, suffix = path.name.partition(".")
        parts = [path] if dot else sorted(path.rglob("*"))
        files = [part for part in parts if part.is_file() and part.name.endswith(SUFFIXES)]
        if files and name in TABLES and (not dot or dot + suffix in SUFFIXES):
            found.setdefault(name, []).append((path.name, files))
        else:
            others.append(path.name)
    twice = {name: [place for place, _ in places] for name, places in found.items() if len(places) > 1}
    if twice:
        text = "; ".join(f"{name} as {' and '.join(where)}" for name, where in twice.items())
        raise BadData(f"{folder} holds a table more than once: {text}. Keep one of them.")
    return {name: places[0][1] for name, places in found.items()}, unknown(others)
