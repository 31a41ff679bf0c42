"""What changed in the recorded tables and in the numbers of pictures: rows, columns, the largest change."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.sentences import number, percent, say
from helpers.tables import heading

MOST_KEYS = 4
RELATIVE = 1e-9  # numbers that agree to this are the same number


class TableDiff(NamedTuple):
    """One recorded table that differs, each part in words."""

    name: str
    rows: str
    changed: str
    columns: str = ""
    largest: str = ""


class Pair(NamedTuple):
    """A frame on both sides: the rows that both have, in one order, indexed by the key columns, and all rows."""

    keys: list[str]
    old: pd.DataFrame
    new: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame


def table_diffs(before: Path, after: Path, versions: tuple[str, str]) -> tuple[list[TableDiff], list[str]]:
    """Compare the tables of two version folders.

    Parameters
    ----------
    before, after : Path
        Folders of the versions.
    versions : tuple of str
        What they are called.

    Returns
    -------
    tuple
        The tables that differ or are on one side only, and the names of those that are the same.
    """
    old, new = ({path.stem: path for path in (side / "tables").glob("*.parquet")} for side in (before, after))
    changed, same = [], []
    for name in sorted({**old, **new}):
        if name in old and name in new:
            equal = old[name].read_bytes() == new[name].read_bytes()
            same += [name] if equal else []
            changed += [] if equal else [table_diff(old[name], new[name])]
        else:
            only, version = (new[name], versions[1]) if name in new else (old[name], versions[0])
            count = f"{len(pd.read_parquet(only)):,}"
            changed.append(TableDiff(heading(name), count, say("only in {version}", version=version)))
    return changed, same


def table_diff(old: Path, new: Path) -> TableDiff:
    """Compare two files of one table, rows matched by their first columns."""
    name = heading(old.stem)
    try:
        frames = [pd.read_parquet(path) for path in (old, new)]
    except (OSError, ValueError):
        return TableDiff(name, "", say("its numbers cannot be read"))
    counts = [f"{len(frame):,}" for frame in frames]
    rows = counts[0] if counts[0] == counts[1] else " → ".join(counts)
    pair = _matched(*frames)
    if pair is None:
        return TableDiff(
            name, rows, say("its rows have no names of their own by which they could be matched")
        )
    shared = [column for column in pair.new if column in pair.old]
    differs = pd.DataFrame({column: _differs(pair.old[column], pair.new[column]) for column in shared})
    counted = (
        ("{number:,} changed", int(differs.any(axis=1).sum())),
        ("{number:,} new", len(pair.after) - len(pair.new)),
        ("{number:,} gone", len(pair.before) - len(pair.old)),
    )
    changed = ", ".join(say(said, number=count) for said, count in counted if count)
    return TableDiff(name, rows, changed, _columns(*frames), _largest(pair, differs))


def _matched(before: pd.DataFrame, after: pd.DataFrame) -> Pair | None:
    """Match rows by the shortest run of first columns that tells them apart on both sides."""
    for count in range(1, min(MOST_KEYS, len(after.columns) - 1) + 1):
        keys = list(after.columns[:count])
        if keys != list(before.columns[:count]):
            return None
        if not any(frame.duplicated(keys).any() for frame in (before, after)):
            old, new = before.set_index(keys), after.set_index(keys)
            both = new.index.intersection(old.index, sort=False)
            return Pair(keys, old.loc[both], new.loc[both], old, new)
    return None


def _differs(old: pd.Series, new: pd.Series) -> np.ndarray:
    """Tell where two columns differ, numbers by more than rounding; unknown equals unknown."""
    if _numeric(old) and _numeric(new):
        return ~np.isclose(_floats(old), _floats(new), rtol=RELATIVE, atol=0.0, equal_nan=True)
    return old.astype(str).to_numpy() != new.astype(str).to_numpy()


def _columns(before: pd.DataFrame, after: pd.DataFrame) -> str:
    came = [str(column) for column in after if column not in before]
    gone = [str(column) for column in before if column not in after]
    parts = [f"{sign} {', '.join(names)}" for sign, names in (("+", came), ("−", gone)) if names]
    return "; ".join(parts) or say("same")


def _largest(pair: Pair, differs: pd.DataFrame) -> str:
    """Return the number that changed most, in units of the largest of its column; empty when none did."""
    columns = [name for name in differs if _numeric(pair.old[name]) and _numeric(pair.new[name])]
    if not differs[columns].any(axis=None):
        return ""
    old, new = (_floats(side[columns]) for side in (pair.old, pair.new))
    known = np.where(np.isfinite([old, new]), np.abs([old, new]), 0.0)
    usual = known.max(axis=(0, 1))
    sizes = np.nan_to_num(
        np.abs(new - old) / np.where(usual, usual, 1.0), posinf=0.0
    )  # known on one side only
    flat = int(np.argmax(np.where(differs[columns], sizes, -1.0)))
    place, column = divmod(flat, len(columns))
    name = str(columns[column])
    return say(
        "{row}, {column}: {before} → {after}",
        row=row_name(pair.new.index[place], pair.keys),
        column=heading(name),
        before=_value(float(old[place, column]), name),
        after=_value(float(new[place, column]), name),
    )


def row_name(row: Hashable, keys: Sequence[str]) -> str:
    """Return the name of a row: its keys, joined, a number led by what it counts, a day without a time."""
    parts = row if isinstance(row, tuple) else (row,)
    return " · ".join(_key(key, part) for key, part in zip(keys, parts, strict=True))


def _key(name: str, value: Any) -> str:
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return str(value.date())
    return f"{heading(name)} {value:g}" if isinstance(value, numbers.Number) else str(value)


def _value(value: float, column: str) -> str:
    share = {"share"} & set(column.split("_"))  # by its name a column of shares
    return percent(value) if share else number(value)


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _floats(values: pd.Series | pd.DataFrame) -> np.ndarray:
    return values.to_numpy(dtype=float, na_value=np.nan)
