"""Which files of a folder belong to which table; known without an engine.

A table lives in ``<table>.parquet``, ``<table>.csv``, ``<table>.tsv``, either of these packed as ``.gz``, or, in
parts, anywhere below a folder ``<table>/``. Names that begin with a dot or an underscore are hidden, at every level.
Any other file below the folder of a table is named as unread, and what is no table of the contract is listed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from helpers.checks import did_you_mean
from helpers.data.tables import TABLES
from helpers.errors import BadData
from helpers.sentences import say

# Files that may lie next to tables and are none.
COMPANIONS = {"truth.json", "README.md", "readme.md", "experiments"}

SUFFIXES = (".parquet", ".csv.gz", ".csv", ".tsv.gz", ".tsv")
ADVICE = f"Read are regular files that end in {', '.join(SUFFIXES)}: convert the others, or move them away."


class Layout(NamedTuple):
    """The files of each table, names that are no table, and per table what lies there and cannot be read."""

    files: dict[str, list[Path]]
    others: tuple[str, ...]
    unread: dict[str, str]


def unknown(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that are no table, each with the nearest name that is one."""
    return tuple(f"{name}{did_you_mean(name.split('.')[0], TABLES)}" for name in sorted(names))


def is_parquet(part: Path) -> bool:
    """Whether a file is Parquet by its name; the other kind of file is text."""
    return part.name.lower().endswith(".parquet")


def layout(folder: Path, taken: Collection[Path] = ()) -> Layout:
    """Return the files of each table, the names that are no table, and what cannot be read.

    Parameters
    ----------
    taken : collection of Path
        Files that are read in another way.

    Raises
    ------
    BadData
        When a table is there twice, so that nobody can know which one is meant, or a folder cannot be read.
    """
    found: dict[str, list[tuple[str, list[Path]]]] = {}
    others = []
    try:
        for path in filter(_is_shown, sorted(folder.iterdir())):
            name, dot, suffix = path.name.partition(".")
            parts = [part for part in (_below(path) if path.is_dir() else [path]) if part not in taken]
            if not parts and taken:
                continue
            if name in TABLES and parts and (not dot or (dot + suffix).lower() in SUFFIXES):
                found.setdefault(name, []).append((path.name, parts))
            else:
                others.append(path.name)
    except OSError as error:
        raise BadData(
            say("{path} cannot be read: {strerror}.", path=error.filename or folder, strerror=error.strerror)
        ) from None
    twice = {name: [place for place, _ in places] for name, places in found.items() if len(places) > 1}
    if twice:
        text = "; ".join(f"{name} as {' and '.join(where)}" for name, where in twice.items())
        raise BadData(
            say("{folder} holds a table more than once: {text}. Keep one of them.", folder=folder, text=text)
        )
    files, unread = {}, {}
    for name, ((_, parts),) in found.items():
        if there := [part for part in parts if _is_read(part)]:
            files[name] = there
        if lost := [part.relative_to(folder).as_posix() for part in parts if not _is_read(part)]:
            more = f" and {len(lost) - 3:,} more" if len(lost) > 3 else ""
            unread[name] = f"Not read: {', '.join(lost[:3])}{more}. {ADVICE}"
    return Layout(files, unknown(others), unread)


def _is_shown(path: Path) -> bool:
    return not path.name.startswith((".", "_")) and path.name not in COMPANIONS


def _is_read(part: Path) -> bool:
    return part.name.lower().endswith(SUFFIXES) and part.is_file() and os.access(part, os.R_OK)


def _below(folder: Path) -> list[Path]:
    """Return what lies below a folder; links to folders are not followed: they may lead round in a circle."""
    found = []
    for path in filter(_is_shown, sorted(folder.iterdir())):
        is_open = path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK | os.X_OK)
        found += _below(path) if is_open else [path]
    return found
