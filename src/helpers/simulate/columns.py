"""Columns as the simulator holds them (numbers and codes), and their way into Arrow and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

INSTANT = pa.timestamp("us", tz="UTC")
NEVER = np.iinfo(np.int64).max // 4
"""A time after every window, for what has not happened."""


@dataclass(frozen=True)
class Words:
    """Strings as codes into a list of words; code -1 is null."""

    codes: np.ndarray
    words: Sequence[str] | pa.Array


@dataclass(frozen=True)
class Digits:
    """Identifiers that are whole numbers written as strings; negative is null."""

    numbers: np.ndarray


@dataclass(frozen=True)
class Constant:
    """The same word in every row."""

    word: str


@dataclass(frozen=True)
class Instants:
    """Seconds since the window's epoch; `NEVER` is null."""

    seconds: np.ndarray
    epoch: int


@dataclass(frozen=True)
class Days:
    """Day numbers since `start`, as calendar days."""

    days: np.ndarray
    start: date


Columns = dict[str, Any]


def _dictionary(codes: np.ndarray, words: Sequence[str] | pa.Array) -> pa.Array:
    codes = np.asarray(codes, dtype=np.int32)
    mask = codes < 0
    values = words if isinstance(words, pa.Array) else pa.array(list(words), pa.string())
    indices = pa.array(codes, mask=mask) if mask.any() else pa.array(codes)
    return pa.DictionaryArray.from_arrays(indices, values)


def stable_order(keys: np.ndarray) -> np.ndarray:
    """Return what a stable ``argsort`` of whole numbers from 0 to about 2**40 returns, several times faster.

    Key and position are packed into one integer, so that a plain sort, which is vectorised, does it; the
    packed numbers are unique, so the result does not depend on the algorithm.
    """
    bits = len(keys).bit_length()
    packed = (keys.astype(np.int64) << bits) | np.arange(len(keys))
    packed.sort()
    return packed & ((1 << bits) - 1)


def digits_array(numbers: np.ndarray) -> pa.Array:
    """Return whole numbers as an Arrow array of strings; negative is null."""
    mask = numbers < 0
    return pc.cast(pa.array(numbers, mask=mask if mask.any() else None), pa.string())


def _arrow_column(column: Any, rows: int) -> pa.Array:
    if isinstance(column, Words):
        return _dictionary(column.codes, column.words)
    if isinstance(column, Constant):
        return _dictionary(np.zeros(rows, np.int32), [column.word])
    if isinstance(column, Digits):
        return digits_array(column.numbers)
    if isinstance(column, Instants):
        seconds = np.asarray(column.seconds, dtype=np.int64)
        mask = seconds >= NEVER
        micros = np.where(mask, 0, seconds + column.epoch) * 1_000_000
        return pa.array(micros, mask=mask if mask.any() else None).cast(INSTANT)
    if isinstance(column, Days):
        first = (column.start - date(1970, 1, 1)).days
        return pa.array(np.asarray(column.days, dtype=np.int32) + np.int32(first)).cast(pa.date32())
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return pa.array(column, from_pandas=True)
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return pa.array(column.astype(np.int64))
    return pa.array(column)


def to_arrow(columns: Columns) -> pa.Table:
    """Return an Arrow table; strings from codes stay dictionary-encoded, NaN becomes null."""
    rows = next((_length(column) for column in columns.values() if not isinstance(column, Constant)), 0)
    return pa.table({name: _arrow_column(column, rows) for name, column in columns.items()})


def _length(column: Any) -> int:
    for name in ("codes", "numbers", "seconds", "days"):
        if hasattr(column, name):
            return len(getattr(column, name))
    return len(column)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a frame with plain strings, UTC timestamps in microseconds and ``datetime.date`` days."""
    frame = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            frame[name] = np.concatenate([_plain_strings(chunk) for chunk in column.chunks])
        else:
            frame[name] = column.to_pandas(date_as_object=True, deduplicate_objects=False)
    return pd.DataFrame(frame, copy=False)


def _plain_strings(chunk: pa.DictionaryArray) -> np.ndarray:
    """Return codes as strings; one Python string per word is shared by all rows, and null is None."""
    words = np.concatenate([chunk.dictionary.to_numpy(zero_copy_only=False), [None]])
    return words[chunk.indices.fill_null(len(words) - 1).to_numpy()]
