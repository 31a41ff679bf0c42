"""Columns of a table in Arrow, from the numbers and codes that the simulator draws, and tables in pandas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from helpers.simulate.calendar import DAY, Window

INSTANT = pa.timestamp("us", tz="UTC")
# A time after every window, for what has not happened.
NEVER = np.iinfo(np.int64).max // 4

Columns = dict[str, Any]


def words(codes: np.ndarray, names: Sequence[str] | pa.Array) -> pa.Array:
    """Return strings, kept as codes into a list of names; code -1 is null."""
    codes = np.asarray(codes, dtype=np.int32)
    mask = codes < 0
    values = names if isinstance(names, pa.Array) else pa.array(list(names), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask if mask.any() else None), values)


def constant(name: str, rows: int) -> pa.Array:
    """Return the same string in every row."""
    return words(np.zeros(rows, np.int32), [name])


def digits(numbers: np.ndarray) -> pa.Array:
    """Return whole numbers as strings; negative is null."""
    mask = numbers < 0
    return pc.cast(pa.array(numbers, mask=mask if mask.any() else None), pa.string())


def instants(seconds: np.ndarray, window: Window) -> pa.Array:
    """Return times in seconds since the window's beginning as instants; `NEVER` is null."""
    seconds = np.asarray(seconds, dtype=np.int64)
    mask = seconds >= NEVER
    micros = np.where(mask, 0, seconds + window.epoch) * 1_000_000
    return pa.array(micros, mask=mask if mask.any() else None).cast(INSTANT)


def days(numbers: np.ndarray, window: Window) -> pa.Array:
    """Return day numbers since the window's beginning as calendar days."""
    first = (window.start - date(1970, 1, 1)).days
    return pa.array(np.asarray(numbers, dtype=np.int32) + np.int32(first)).cast(pa.date32())


def next_morning(seconds: np.ndarray) -> np.ndarray:
    """Return two o'clock of the day after each time, when the warehouse takes the day in."""
    return (seconds // DAY + 1) * DAY + 2 * 3_600


def exported(source: str, seconds: np.ndarray, window: Window) -> Columns:
    """Return the columns that every table has: the system it comes from, and when a row left it."""
    return {"source": constant(source, len(seconds)), "ingested_at": instants(seconds, window)}


def to_arrow(columns: Columns) -> pa.Table:
    """Return an Arrow table; NaN becomes null."""
    return pa.table({name: _array(column) for name, column in columns.items()})


def _array(column: Any) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        column = column.astype(np.int64)
    return pa.array(column, from_pandas=True)


def stable_order(keys: np.ndarray) -> np.ndarray:
    """Return what a stable ``argsort`` of whole numbers from 0 to about 2**40 returns, several times faster.

    Key and position are packed into one integer, so that a plain sort, which is vectorised, does it; the
    packed numbers are unique, so the result does not depend on the algorithm.
    """
    bits = len(keys).bit_length()
    packed = (keys.astype(np.int64) << bits) | np.arange(len(keys))
    packed.sort()
    return packed & ((1 << bits) - 1)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a frame with plain strings, UTC timestamps in microseconds and ``datetime.date`` days."""
    frame = table.to_pandas(deduplicate_objects=False)
    coded = frame.select_dtypes("category").columns
    return frame.assign(**{name: frame[name].astype(object) for name in coded})
