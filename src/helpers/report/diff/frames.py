"""Recorded frames of two versions: rows matched by their first columns, numbers set beside each other."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.sentences import number, percent
from helpers.tables import heading

__all__ = ["Cell", "Measure", "Pair", "Unmatched", "heading"]

MOST_KEYS = 4
RELATIVE = 1e-9  # numbers that agree to this are the same number
BOUNDS = ("low", "high")
COUNTS = frozenset({"n", "at_risk", "at risk"})
_SHARE = re.compile(r"(^|_)share(_|$)")


class Pair(NamedTuple):
    """One frame on both sides.

    Attributes
    ----------
    name : str
        The name under which it was recorded.
    before, after : pandas.DataFrame
        As recorded, indexed by the key columns.
    keys : list of str
        The first columns, as many as it takes to tell all rows apart.
    """

    name: str
    before: pd.DataFrame
    after: pd.DataFrame
    keys: list[str]


class Measure(NamedTuple):
    """A numeric column and, where the frame has them, the columns of its interval."""

    name: str
    low: str | None = None
    high: str | None = None


class Cell(NamedTuple):
    """One number on both sides; NaN where it is not known."""

    row: Hashable
    column: str
    before: float
    after: float
    size: float


class Unmatched(Exception):
    """Rows cannot be matched, or the file cannot be read; the message is a key of the words."""


def names(folder: Path) -> list[str]:
    """Return the names of the frames recorded in a folder, in order."""
    return sorted(path.stem for path in folder.glob("*.parquet"))


class Names(NamedTuple):
    """The frames of two folders by name: those on both sides, and those on one."""

    both: list[str]
    only_before: list[str]
    only_after: list[str]


def matched(before: Path, after: Path) -> Names:
    """Return which frames two folders share, in order."""
    old, new = names(before), names(after)
    return Names(
        [name for name in old if name in new],
        [name for name in old if name not in new],
        [name for name in new if name not in old],
    )


def read(name: str, before: Path, after: Path) -> Pair:
    """Read a frame from two folders and match its rows.

    Raises
    ------
    Unmatched
        When a file is damaged, or no run of up to four first columns tells the rows apart on both sides.
    """
    try:
        sides = [pq.read_table(folder / f"{name}.parquet").to_pandas() for folder in (before, after)]
    except (OSError, pa.ArrowException) as error:
        raise Unmatched("unreadable_numbers") from error
    keys = _keys(*sides)
    if not keys:
        raise Unmatched("no_keys")
    old, new = (frame.set_index(keys) for frame in sides)
    return Pair(name, old, new, keys)


def measures(pair: Pair) -> list[Measure]:
    """Return the numeric columns that both sides have, each with its interval, without plain sample sizes.

    ``x_low`` and ``x_high`` belong to ``x``; ``low`` and ``high`` to the nearest column before them that lies
    between them in every row. Where some columns have an interval, those without are taken to be their
    ingredients and left out.
    """
    columns = numeric(pair)
    found = [Measure(column) for column in columns if column.rpartition("_")[2] not in BOUNDS]
    bounded = [
        Measure(one.name, f"{one.name}_low", f"{one.name}_high")
        for one in found
        if {f"{one.name}_low", f"{one.name}_high"} <= set(columns)
    ]
    if {"low", "high"} <= set(columns):
        earlier = reversed([one for one in found if columns.index(one.name) < columns.index("low")])
        owner = next((one.name for one in earlier if _between(pair.after, one.name)), None)
        bounded += [Measure(owner, "low", "high")] if owner else []
    return bounded or [one for one in found if one.name not in COUNTS]


def _between(frame: pd.DataFrame, column: str) -> bool:
    value, low, high = (_floats(frame[name]) for name in (column, "low", "high"))
    known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    return bool(known.any() and ((low <= value) & (value <= high))[known].all())


def cells(pair: Pair, columns: list[str]) -> list[Cell]:
    """Return the numbers that differ, the largest change first, in units of the column's usual size."""
    rows = pair.after.index.intersection(pair.before.index, sort=False)
    found = []
    for column in columns:
        old, new = (_floats(side.loc[rows, column]) for side in (pair.before, pair.after))
        known = np.abs(np.concatenate([old, new]))
        usual = float(np.max(known[np.isfinite(known)], initial=0.0)) or 1.0
        for place in np.flatnonzero(differ(old, new)):
            size = abs(new[place] - old[place]) / usual
            size = size if math.isfinite(size) else 0.0  # known on one side only
            found.append(Cell(rows[int(place)], column, old[place], new[place], size))
    return sorted(found, key=lambda cell: -cell.size)


def differ(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Tell, elementwise, whether two float arrays differ by more than rounding; unknown equals unknown."""
    return ~np.isclose(old, new, rtol=RELATIVE, atol=0.0, equal_nan=True)


def numeric(pair: Pair) -> list[str]:
    """Return the numeric columns that both sides have."""
    both = [str(column) for column in pair.after if column in pair.before]
    return [column for column in both if _numeric(pair.after[column]) and _numeric(pair.before[column])]


def changed_rows(pair: Pair) -> int:
    """Return how many of the rows that both sides have differ in a column that both sides have."""
    rows = pair.after.index.intersection(pair.before.index, sort=False)
    changed = np.zeros(len(rows), bool)
    for column in pair.after.columns.intersection(pair.before.columns, sort=False):
        old, new = pair.before.loc[rows, column], pair.after.loc[rows, column]
        if _numeric(old) and _numeric(new):
            changed |= differ(_floats(old), _floats(new))
        else:
            same = [str(a) == str(b) for a, b in zip(old, new, strict=True)]
            changed |= ~np.array(same, bool)
    return int(changed.sum())


def row_name(row: Hashable, keys: list[str]) -> str:
    """Return the name of a row: its keys, joined, a number led by what it counts."""
    parts = row if isinstance(row, tuple) else (row,)
    return " · ".join(
        f"{heading(key)} {key_text(part)}" if isinstance(part, numbers.Number) else key_text(part)
        for key, part in zip(keys, parts, strict=False)
    )


def key_text(key: Any) -> str:
    """Return one key as text: a day without a time, a whole number without a point."""
    if isinstance(key, pd.Timestamp):
        return str(key.date()) if key == key.normalize() else str(key)
    if isinstance(key, float | np.floating):
        return f"{key:g}"
    return str(key)


def is_share(column: str) -> bool:
    """Tell by its name whether a column holds shares, which are shown as per cent."""
    return bool(_SHARE.search(column))


def value_text(value: float, column: str) -> str:
    """Return a number of a column as text; a dash when it is not known."""
    return percent(value) if is_share(column) else number(value)


def _keys(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Return the shortest run of first columns that tells the rows apart on both sides."""
    for count in range(1, min(MOST_KEYS, len(after.columns) - 1, len(before.columns) - 1) + 1):
        keys = [str(column) for column in after.columns[:count]]
        if keys != [str(column) for column in before.columns[:count]]:
            return []
        if any(
            frame[keys].isna().any(axis=None) or frame.duplicated(keys).any() for frame in (before, after)
        ):
            continue
        return keys if _overlaps(before, after, keys) else []
    return []


def _overlaps(before: pd.DataFrame, after: pd.DataFrame, keys: list[str]) -> bool:
    """Refuse measured numbers as keys: on a grid, at least half of the values of a number come back."""
    for key in keys:
        if pd.api.types.is_float_dtype(after[key]) and not after[key].isin(before[key]).mean() >= 0.5:
            return False
    return True


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _floats(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan)
