"""What changed in the recorded tables, briefly: rows, columns, the largest change."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from helpers.report.diff import frames
from helpers.report.diff.words import word


class TableDiff(NamedTuple):
    """One recorded table that differs, each part in words."""

    name: str
    rows: str
    changed: str
    columns: str
    largest: str


class TableDiffs(NamedTuple):
    """All recorded tables: those that differ, and the names of those that do not."""

    changed: list[TableDiff]
    same: list[str]


def table_diffs(before: Path, after: Path, versions: tuple[str, str]) -> TableDiffs:
    """Compare the tables of two version folders.

    Parameters
    ----------
    before, after : Path
        Folders of the versions.
    versions : tuple of str
        What they are called.
    """
    old, new = before / "tables", after / "tables"
    known = frames.matched(old, new)
    same = [
        name
        for name in known.both
        if (old / f"{name}.parquet").read_bytes() == (new / f"{name}.parquet").read_bytes()
    ]
    changed = [_table_diff(name, old, new) for name in known.both if name not in same]
    sides = zip((old, new), (known.only_before, known.only_after), versions, strict=True)
    changed += [
        TableDiff(name, _counted(folder / f"{name}.parquet"), word("only_table", version=version), "", "")
        for folder, names, version in sides
        for name in names
    ]
    return TableDiffs(sorted(changed), same)


def _counted(path: Path) -> str:
    try:
        return f"{pq.read_metadata(path).num_rows:,}"
    except (OSError, ValueError):
        return word("unreadable_numbers")


def _table_diff(name: str, old: Path, new: Path) -> TableDiff:
    try:
        pair = frames.read(name, old, new)
    except frames.Unmatched as reason:
        counts = [_counted(folder / f"{name}.parquet") for folder in (old, new)]
        return TableDiff(name, _rows(*counts), word(str(reason)), "", "")
    gone = len(pair.before.index.difference(pair.after.index))
    came = len(pair.after.index.difference(pair.before.index))
    return TableDiff(
        name,
        _rows(f"{len(pair.before):,}", f"{len(pair.after):,}"),
        _changed(frames.changed_rows(pair), came, gone),
        _columns(pair),
        _largest(pair),
    )


def _changed(changed: int, came: int, gone: int) -> str:
    counted = (("row_changes", changed), ("row_added", came), ("row_removed", gone))
    return ", ".join(word(key, number=number) for key, number in counted if number)


def _rows(before: str, after: str) -> str:
    return after if before == after else word("row_counts", before=before, after=after)


def _columns(pair: frames.Pair) -> str:
    old, new = ([str(column) for column in side] for side in (pair.before, pair.after))
    came, gone = [c for c in new if c not in old], [c for c in old if c not in new]
    parts = [word("columns_added", names=", ".join(came))] if came else []
    parts += [word("columns_removed", names=", ".join(gone))] if gone else []
    return "; ".join(parts) or word("columns_same")


def _largest(pair: frames.Pair) -> str:
    found = frames.cells(pair, frames.numeric(pair))
    if not found:
        return ""
    cell = found[0]
    return word(
        "cell_change",
        row=frames.row_name(cell.row, pair.keys),
        column=cell.column.replace("_", " "),
        before=frames.value_text(cell.before, cell.column),
        after=frames.value_text(cell.after, cell.column),
    )
