"""What changed in the recorded tables: rows that came, went or differ."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.sentences import say
from helpers.tables import heading

MOST_KEYS = 4
RELATIVE = 1e-9  # numbers that agree to this are the same number


class TableDiff(NamedTuple):
    """One recorded table that differs, each part in words."""

    name: str
    rows: str
    changed: str


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
    """Compare two files of one table, rows matched by the shortest run of first columns that tells them apart."""
    name = heading(old.stem)
    try:
        before, after = (pd.read_parquet(path) for path in (old, new))
    except (OSError, ValueError):
        return TableDiff(name, "", say("its numbers cannot be read"))
    counts = [f"{len(frame):,}" for frame in (before, after)]
    rows = counts[0] if counts[0] == counts[1] else " → ".join(counts)
    for count in range(1, min(MOST_KEYS, len(after.columns) - 1) + 1):
        keys = list(after.columns[:count])
        if keys != list(before.columns[:count]):
            break
        if not any(frame.duplicated(keys).any() for frame in (before, after)):
            return TableDiff(name, rows, _counted(before.set_index(keys), after.set_index(keys)))
    return TableDiff(name, rows, say("its rows have no names of their own by which they could be matched"))


def _counted(before: pd.DataFrame, after: pd.DataFrame) -> str:
    both = after.index.intersection(before.index, sort=False)
    shared = [column for column in after if column in before]
    differs = np.zeros(len(both), bool)
    old, new = before.loc[both], after.loc[both]
    for column in shared:
        differs |= _differs(old[column], new[column])
    counted = (
        ("{number:,} changed", int(differs.sum())),
        ("{number:,} new", len(after) - len(both)),
        ("{number:,} gone", len(before) - len(both)),
    )
    return ", ".join(say(said, number=count) for said, count in counted if count) or say(
        "other columns or order"
    )


def _differs(old: pd.Series, new: pd.Series) -> np.ndarray:
    """Tell where two columns differ, numbers by more than rounding; unknown equals unknown."""
    numeric = pd.api.types.is_numeric_dtype
    if all(numeric(side) and not pd.api.types.is_bool_dtype(side) for side in (old, new)):
        before, after = (side.to_numpy(dtype=float, na_value=np.nan) for side in (old, new))
        return ~np.isclose(before, after, rtol=RELATIVE, atol=0.0, equal_nan=True)
    return np.asarray(old.astype(str).to_numpy() != new.astype(str).to_numpy())
