"""Compress, then fit: durations of members grouped to counts, from which every curve is exact.

A cell is (segment, tenure day, n, events) and, with late entry, the day of entry: n members whose time ended on
that tenure day, of whom `events` had the event. A product-limit estimate needs nothing else, so curves, tests
and means from cells equal those from rows. 100 million members are some thousand cells, and the
cell table is also what may be passed on: it holds no member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.study.durations import EXAMPLES, impossible_stays
from helpers.study.frames import NOT_STATED, require_columns

COUNTS = ("n", "events")
EVERYBODY = "all"
MINIMUM_MEMBERS = 2
"""With one member, or none, there is no curve."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DayCounts:
    """Members at risk, exits and censorings of every segment on every tenure day.

    Attributes
    ----------
    by : tuple of str
        Segment columns; empty when everybody is one segment.
    segments : pandas.DataFrame
        The columns of `by` and ``segment`` (their values joined by " · ", or "all"), one row per segment.
    at_risk, events, censored : ndarray, shape (segments, days)
        Counts on tenure days 0 to the last one seen. At risk is who entered by that day and was not gone before.
    members : ndarray, shape (segments,)
        Members of each segment.
    safe_before_entry : bool
        Whether nobody can have the event before they enter, as a group cannot fall silent before it comes alive.
        Otherwise days on which nobody was at risk, before others enter, are days that nobody has seen.
    """

    by: tuple[str, ...]
    segments: pd.DataFrame
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray
    members: FloatArray
    safe_before_entry: bool = False

    @property
    def labels(self) -> list[str]:
        """Names of the segments, in order."""
        return self.segments["segment"].tolist()

    @property
    def last_day(self) -> NDArray[np.int64]:
        """Last tenure day with somebody at risk, per segment; -1 when there is none."""
        seen = self.at_risk > 0
        last = self.at_risk.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        return np.where(seen.any(axis=1), last, -1)

    @property
    def from_day(self) -> NDArray[np.int64]:
        """Tenure day from which a segment was seen: above 0, its curve is of those still here on that day."""
        return np.argmax(self.at_risk > 0, axis=1) * (not self.safe_before_entry)

    @property
    def gap_from(self) -> FloatArray:
        """First later day on which nobody was at risk though others entered after it, per segment; else infinite."""
        day = np.arange(self.at_risk.shape[1])
        gap = (self.at_risk == 0) & (day > self.from_day[:, None]) & (day < self.last_day[:, None])
        return np.where(gap.any(axis=1) & (not self.safe_before_entry), gap.argmax(axis=1), np.inf)

    @property
    def unseen_from(self) -> FloatArray:
        """First day that nobody has seen though others came later, per segment; infinite when there is none."""
        return np.where(self.from_day > 0, 0.0, self.gap_from)

    @property
    def stranded(self) -> NDArray[np.bool_]:
        """Whether all at risk left on a day after which others entered: few early entries, and no estimate."""
        day = np.arange(self.at_risk.shape[1])
        emptied = (self.events > 0) & (self.events >= self.at_risk)
        return np.asarray((emptied & (day < self.last_day[:, None])).any(axis=1))

    @property
    def enough(self) -> NDArray[np.bool_]:
        """Whether a segment has a curve: at least two members, and none stranded."""
        return (self.members >= MINIMUM_MEMBERS) & ~self.stranded

    def rows(self, chosen: Sequence[int]) -> DayCounts:
        """Return the counts of some segments only."""
        index = list(chosen)
        return replace(
            self, segments=self.segments.iloc[index].reset_index(drop=True), at_risk=self.at_risk[index],
            events=self.events[index], censored=self.censored[index], members=self.members[index],
        )  # fmt: skip


def cells(durations: ibis.Table | pd.DataFrame, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Group durations to cells inside the engine.

    Parameters
    ----------
    durations : ibis.Table or pandas.DataFrame
        One row per member: tenure_days (whole number of at least 0), exited (bool), entry_day where members come
        under observation late, and the columns of `by`.
    by : str or sequence of str, optional
        Segment columns. A missing value is the segment "not stated".

    Returns
    -------
    pandas.DataFrame
        The columns of `by` (text), entry_day (only when the durations have it), tenure_day, n, events (int);
        ordered by all but the counts.

    Raises
    ------
    BadData
        When a column is missing, or a tenure is missing or negative (a leave before a join).
    """
    table = as_table(durations)
    names = by_names(by)
    needed = ["tenure_days", "exited", *names]
    require_columns(table, needed, "durations")
    entry = {"entry_day": table.entry_day.cast(dt.int64)} if "entry_day" in table.columns else {}
    keys = {name: table[name].cast(dt.string) for name in names} | entry
    keys["tenure_day"] = table.tenure_days.cast(
        dt.int64 if table.tenure_days.type().is_integer() else dt.float64
    )
    exited = table.exited.cast(dt.boolean)
    # Counts of what is not missing are the cheapest aggregates of an engine.
    counted = (
        table.group_by(**keys)
        .agg(n=table.count(), events=exited.nullif(False).count(), stated=exited.count())
        .to_pyarrow()
    )
    found = {name: counted[name].to_numpy() for name in counted.column_names}
    _refuse(found, table)
    return _ordered(found, names, [*entry, "tenure_day"])


def _ordered(found: dict[str, NDArray[Any]], names: Sequence[str], days: Sequence[str]) -> pd.DataFrame:
    """Return what was counted with segments as text and days and counts as whole numbers, in order.

    Each label is handled once and not once per cell: there are some dozens of them, and some ten thousand cells.
    """
    columns, ranks = {}, []
    for name in names:
        codes, labels = pd.factorize(found[name])
        texts, rank = np.unique(np.array([*labels, NOT_STATED], dtype=object), return_inverse=True)
        ranks.append(rank[codes])  # the code of what is missing is -1: the last label
        columns[name] = texts[ranks[-1]]
    columns |= {name: found[name].astype("int64") for name in [*days, *COUNTS]}
    # Counts come last: "not stated" may also be written in the data, which makes two cells of one name.
    numbers = [columns[name] for name in [*days, *COUNTS]]
    order = np.lexsort([*reversed(numbers), *reversed(ranks)])
    return pd.DataFrame({name: values[order] for name, values in columns.items()})


def check_cells(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return by, entry_day (0 where there is none), tenure_day, n, events as whole numbers, one row per cell.

    Raises
    ------
    BadData
        When a column is missing or a row cannot be: the message counts such rows and shows one.
    """
    numbers = _checked_numbers(frame, by)
    return pd.DataFrame({name: _labels(frame[name]) for name in by} | numbers)


def _checked_numbers(frame: pd.DataFrame, by: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return entry_day (0 where there is none), tenure_day, n and events of cells, as in :func:`check_cells`."""
    if not isinstance(frame, pd.DataFrame):
        raise BadData(f"cells: must be a pandas DataFrame as made by cells(), not a {type(frame).__name__}.")
    needed = [*by, "tenure_day", *COUNTS]
    require_columns(frame, needed, "cells")
    numbers = {name: frame[name].astype("float64").to_numpy() for name in ("tenure_day", *COUNTS)}
    late = "entry_day" in frame.columns
    entry = frame["entry_day"].astype("float64").to_numpy() if late else np.zeros(len(frame))
    numbers = {"entry_day": entry, **numbers}
    every = list(numbers.values())
    rules = {
        "missing or infinite": [~np.isfinite(values) for values in every],
        "tenure_day, entry_day, n and events must be whole numbers of at least 0": [
            (values < 0) | (values != np.floor(values)) for values in every
        ],
        "events must not exceed n": [numbers["events"] > numbers["n"]],
        "entry_day must not lie after tenure_day": [entry > numbers["tenure_day"]],
    }
    for rule, found in rules.items():
        if (broken := np.logical_or.reduce(found)).any():
            example = {name: float(values[broken.argmax()]) for name, values in numbers.items()}
            raise BadData(f"cells: {int(broken.sum())} of {len(frame)} rows: {rule}; such as {example}.")
    return {name: values.astype("int64") for name, values in numbers.items()}


def _labels(column: pd.Series) -> NDArray[np.object_]:
    """Return a segment column, where what is missing is the segment "not stated"."""
    labels, missing = column.to_numpy(dtype=object), column.isna().to_numpy()
    return np.where(missing, NOT_STATED, labels) if missing.any() else labels


def day_counts(cells: pd.DataFrame, by: str | Sequence[str] | None = None) -> DayCounts:
    """Return counts by segment and day from cells; cells of segments that `by` does not tell apart are added up.

    Raises
    ------
    BadData
        As in :func:`check_cells`.
    """
    names = by_names(by)
    numbers = _checked_numbers(cells, names)
    segments, place = _segments(cells, names)
    days = int(numbers["tenure_day"].max()) + 1 if len(cells) else 1
    shape = (len(segments), days + 1)

    def table(day: str, count: str) -> FloatArray:
        flat = np.bincount(place * shape[1] + numbers[day], numbers[count], shape[0] * shape[1])
        return flat.astype(float).reshape(shape)

    gone, events = table("tenure_day", "n"), table("tenure_day", "events")
    change = table("entry_day", "n")
    change[:, 1:] -= gone[:, :-1]
    at_risk = change.cumsum(axis=1)[:, :days]
    gone, events = gone[:, :days], events[:, :days]
    return DayCounts(names, segments, at_risk, events, gone - events, gone.sum(axis=1))


def _segments(cells: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the segments in order, and which of them each cell belongs to."""
    if not names:
        return pd.DataFrame({"segment": [EVERYBODY]}), np.zeros(len(cells), dtype="int64")
    labels = {name: pd.Series(_labels(cells[name])).astype(str) for name in names}
    place = np.zeros(len(cells), dtype="int64")
    for column in labels.values():
        codes, texts = pd.factorize(column, sort=True)
        place = np.unique(place * len(texts) + codes, return_inverse=True)[1]
    first = np.unique(place, return_index=True)[1]
    found = {name: column.to_numpy()[first] for name, column in labels.items()}
    joined = [" · ".join(texts) for texts in zip(*found.values(), strict=True)]
    return pd.DataFrame(found | {"segment": np.array(joined, dtype=object)}), place


def by_names(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of segment columns as a tuple."""
    return () if by is None else (by,) if isinstance(by, str) else tuple(by)


def _refuse(found: dict[str, NDArray[Any]], table: ibis.Table) -> None:
    """Raise when members have no tenure or a negative one, with examples where there are ids."""
    if (unstated := int((found["n"] - found["stated"]).sum())) > 0:
        raise BadData(
            f"durations, column exited: missing for {unstated:,} members; it must be true or false."
        )
    day = found["tenure_day"]
    bad = ~(np.isfinite(day) & (day >= 0) & (day == np.floor(day)))  # also what is missing
    if not bad.any():
        return
    count = int(found["n"][bad].sum())
    if {"member_id", "joined_day", "left_day"} <= set(table.columns):
        wrong: Any = table.tenure_days.isnull() | (table.tenure_days < 0)
        shown = table.filter(wrong).order_by("member_id").limit(EXAMPLES).to_pandas()
        if len(shown):
            raise BadData(impossible_stays(count, shown))
    example = day[bad][0]
    raise BadData(
        f"durations, column tenure_days: {count:,} rows are no whole number of at least 0, such as {example}."
    )
