"""From cells with named covariates to the numbers of a Cox model: levels, references and patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.study.frames import NOT_STATED

FloatArray = NDArray[np.float64]

OTHER = "other"
TERMS = ("covariate", "variable", "kind", "level", "reference", "n", "events")


class Design(NamedTuple):
    """Covariates as numbers.

    Attributes
    ----------
    terms : pandas.DataFrame
        One row per column of the matrix: covariate (``source=search``), variable, kind ("level", "flag" or
        "number"), level and reference (empty but for levels), n (members with it, or all) and events.
    matrix : ndarray, shape (patterns, terms)
        Value of each term for each distinct pattern of covariates, from the mean over members, so that sums of
        squares lose no digits.
    pattern : ndarray of int, shape (cells,)
        Which pattern a cell has.
    """

    terms: pd.DataFrame
    matrix: FloatArray
    pattern: NDArray[np.int64]


def make_design(table: pd.DataFrame, covariates: Sequence[str], reference: Mapping[str, str]) -> Design:
    """Return the covariates as numbers: flags 0 or 1, numbers as they are, levels against a reference.

    The reference is the level with the most members unless it is named, never a pool or what is missing if there is
    another.
    """
    coded = pd.DataFrame({name: _plain(table[name]) for name in covariates}, index=table.index)
    groups = coded.groupby(list(covariates) or (lambda row: 0), sort=True)
    pattern = np.asarray(groups.ngroup(), "int64")
    values = coded.iloc[np.unique(pattern, return_index=True)[1]].reset_index(drop=True)
    n, events = (np.bincount(pattern, table[name], len(values)).astype(float) for name in ("n", "events"))
    rows, columns = [], [np.zeros((len(values), 0))]
    for name in covariates:
        for kind, level, against, column in _terms(values[name], n, reference.get(name)):
            has = np.ones(len(values), bool) if kind == "number" else column != 0
            label = f"{name}={level}" if kind == "level" else name
            rows.append((label, name, kind, level, against, int(n[has].sum()), int(events[has].sum())))
            columns.append((column - column @ n / max(n.sum(), 1))[:, None])
    return Design(pd.DataFrame(rows, columns=list(TERMS)), np.hstack(columns), pattern)


def _plain(column: pd.Series) -> pd.Series:
    """Return flags and numbers as floats and anything else as text, with missing as a level of its own."""
    if pd.api.types.is_numeric_dtype(column.dtype):  # flags are
        return column.astype(float)
    return column.astype(object).where(column.notna(), NOT_STATED).astype(str)


def _terms(column: pd.Series, n: FloatArray, reference: str | None) -> list[tuple[str, str, str, FloatArray]]:
    """Return (kind, level, reference, values) of each term of a variable."""
    if column.dtype == float:
        kind = "flag" if set(column.unique()) <= {0.0, 1.0} else "number"
        return [(kind, "", "", column.to_numpy(float))]
    size = pd.Series(n).groupby(column.to_numpy()).sum()
    if reference is None:
        # Nobody wants to be compared with a pool of leftovers.
        named = size.drop([level for level in (NOT_STATED, OTHER) if level in size.index])
        reference = str((named if len(named) else size).idxmax()) if len(size) else ""
    levels = [str(level) for level in size.index if level != reference]
    return [("level", level, reference, np.asarray(column == level, float)) for level in levels]
