"""From cells with named covariates to the numbers of a Cox model: levels, references, patterns and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import did_you_mean
from helpers.errors import BadData, BadParameters
from helpers.study.frames import NOT_STATED

FloatArray = NDArray[np.float64]

OTHER = "other"
COUNTED = ("entry_day", "tenure_day", "n", "events")
TERMS = ("covariate", "variable", "kind", "level", "reference", "n", "events")


class Design(NamedTuple):
    """Covariates as numbers.

    Attributes
    ----------
    terms : pandas.DataFrame
        One row per column of the matrix: covariate (``source=search``), variable, kind ("level", "flag" or
        "number"), level and reference (empty but for levels), n (members with it, or all) and events.
    matrix : ndarray, shape (patterns, terms)
        Value of each term for each distinct pattern of covariates.
    pattern : ndarray of int, shape (cells,)
        Which pattern a cell has.
    values : pandas.DataFrame
        The distinct patterns, by name of the variable.
    """

    terms: pd.DataFrame
    matrix: FloatArray
    pattern: NDArray[np.int64]
    values: pd.DataFrame


def check_cells(
    cells: pd.DataFrame, covariates: Sequence[str], strata: Sequence[str], cluster: str | None
) -> pd.DataFrame:
    """Return cells with entry_day, tenure_day, n and events as numbers, or say what is wrong with them.

    A frame without n has one member a row; without entry_day all were observed from the day of joining.

    Raises
    ------
    BadParameters
        When a column that is asked for is not there, or is asked for twice.
    BadData
        When a count or a day is impossible, or a number is missing.
    """
    wanted = [*covariates, *strata, *([cluster] if cluster else [])]
    for name in ["tenure_day", "events", *wanted]:
        if name not in cells.columns:
            raise BadParameters(f"the cells have no column {name!r}.{did_you_mean(name, cells.columns)}")
    twice = sorted({name for name in [*covariates, *strata] if [*covariates, *strata].count(name) > 1})
    if twice:
        raise BadParameters(f"covariates and strata name {', '.join(twice)} twice.")
    table = cells[list(dict.fromkeys(wanted))].reset_index(drop=True)
    for name, default in zip(COUNTED, (0.0, None, 1.0, None), strict=True):
        column = cells[name] if name in cells.columns else pd.Series(default, index=cells.index)
        table[name] = column.to_numpy(float)
    _refuse(table, table[list(COUNTED)].isna().any(axis=1), "a day or a count is missing")
    whole = (table[["n", "events"]] == table[["n", "events"]].round()).all(axis=1)
    _refuse(table, ~whole | (table["events"] < 0) | (table["n"] <= 0), "n must be whole and > 0")
    _refuse(table, table["events"] > table["n"], "more events than members")
    _refuse(table, table["tenure_day"] < 0, "a member left before joining (tenure_day below 0)")
    return table


def _refuse(table: pd.DataFrame, bad: pd.Series, what: str) -> None:
    if bad.any():
        example = table.loc[bad, list(COUNTED)].iloc[0].to_dict()
        raise BadData(f"Table cells: {what} in {int(bad.sum())} rows, such as {example}.")


def make_design(table: pd.DataFrame, covariates: Sequence[str], reference: Mapping[str, str]) -> Design:
    """Return the covariates as numbers: flags 0 or 1, numbers as they are, levels against a reference.

    The reference is the level with the most members unless it is named, never a pool or what is missing if there is
    another.
    """
    if not covariates:
        alike = np.zeros(len(table), dtype=np.int64)
        empty = pd.DataFrame(columns=list(TERMS))
        return Design(empty, np.zeros((1, 0)), alike, pd.DataFrame(index=[0]))
    coded = pd.DataFrame({name: _plain(table[name], name) for name in covariates})
    groups = coded.groupby(list(covariates), sort=True, dropna=False, observed=True)
    pattern = groups.ngroup().to_numpy().astype(np.int64)
    first = pd.Series(np.arange(len(coded))).groupby(pattern).first().to_numpy()
    values = coded.iloc[first].reset_index(drop=True)
    n = np.bincount(pattern, table["n"], len(values)).astype(float)
    events = np.bincount(pattern, table["events"], len(values)).astype(float)
    columns, rows = [], []
    for name in covariates:
        for kind, level, against, column in _terms(values[name], n, reference.get(name)):
            has = np.ones(len(values), bool) if kind == "number" else column != 0
            label = f"{name}={level}" if kind == "level" else name
            rows.append((label, name, kind, level, against, int(n[has].sum()), int(events[has].sum())))
            columns.append(column)
    matrix = np.column_stack(columns) if columns else np.zeros((len(values), 0))
    return Design(pd.DataFrame(rows, columns=list(TERMS)), matrix, pattern, values)


def _plain(column: pd.Series, name: str) -> pd.Series:
    """Return flags and numbers as floats and anything else as text, with missing as a level of its own."""
    if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
        return column.astype(float)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = column.astype(float)
        bad = ~np.isfinite(numbers)
        if bad.any():
            raise BadData(
                f"Table cells, column {name}: {int(bad.sum())} of {len(bad)} numbers are missing or not finite; "
                f"bin the column, so that missing becomes a level."
            )
        return numbers
    return column.astype(object).where(column.notna(), NOT_STATED).astype(str)


def _terms(column: pd.Series, n: FloatArray, reference: str | None) -> list[tuple[str, str, str, FloatArray]]:
    """Return (kind, level, reference, values) of each term of a variable."""
    if column.dtype == float:
        if reference is not None:
            raise BadParameters(f"reference names {column.name!r}, which is a number or a flag.")
        kind = "flag" if set(column.unique()) <= {0.0, 1.0} else "number"
        return [(kind, "", "", column.to_numpy(float))]
    size = pd.Series(n).groupby(column.to_numpy()).sum()
    if reference is None and not len(size):
        return []
    if reference is None:
        # Nobody wants to be compared with a pool of leftovers.
        named = size.drop([level for level in (NOT_STATED, OTHER) if level in size.index])
        reference = str((named if len(named) else size).sort_index().idxmax())
    elif reference not in size.index:
        # A reference that nobody has would make every level a mere shift of the baseline.
        hint = did_you_mean(reference, size.index)
        raise BadParameters(f"reference[{column.name!r}] == {reference!r}, which no member has.{hint}")
    levels = [str(level) for level in size.index if level != reference]
    return [("level", level, reference, (column == level).to_numpy().astype(float)) for level in levels]
