"""Compress, then fit: durations of members grouped to counts, from which every curve is exact.

A cell is (segment, tenure day, n, events) and, with late entry, the day of entry: n members whose time ended on
that tenure day, of whom `events` had the event. A product-limit estimate needs nothing else, so curves, tests
and means from cells equal those from rows. 100 million members are some thousand cells, and the
cell table is also what may be passed on: it holds no member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.methods.frames import NOT_STATED
from helpers.methods.retention.staying.durations import EXAMPLES, impossible_stays

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
    """

    by: tuple[str, ...]
    segments: pd.DataFrame
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray
    members: FloatArray

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
        return DayCounts(
            self.by, self.segments.iloc[index].reset_index(drop=True), self.at_risk[index], self.events[index],
            self.censored[index], self.members[index],
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
    if absent := [name for name in needed if name not in table.columns]:
        raise BadData(f"durations: column {', '.join(absent)} missing; there is {', '.join(table.columns)}.")
    entry = {"entry_day": table.entry_day.cast("int64")} if "entry_day" in table.columns else {}
    plain = table.select(
        **{name: table[name].cast("string") for name in names},
        **entry,
        tenure_day=table.tenure_days.cast("int64" if table.tenure_days.type().is_integer() else "float64"),
        exited=table.exited.cast("boolean"),
    )
    keys = [*names, *entry, "tenure_day"]
    # Counts of what is not missing are the cheapest aggregates of an engine.
    grouped = plain.group_by(keys).agg(
        n=plain.count(), events=plain.exited.nullif(False).count(), stated=plain.exited.count()
    )
    found = grouped.to_pandas()
    _refuse(found, table)
    for name in names:
        found[name] = found[name].astype(object).where(found[name].notna(), NOT_STATED)
    whole = dict.fromkeys([*entry, "tenure_day", *COUNTS], "int64")
    found = found.drop(columns="stated").astype(whole)
    return found.sort_values(keys, ignore_index=True)


def check_cells(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return by, entry_day (0 where there is none), tenure_day, n, events as whole numbers, one row per cell.

    Raises
    ------
    BadData
        When a column is missing or a row cannot be: the message counts such rows and shows one.
    """
    if not isinstance(frame, pd.DataFrame):
        raise BadData(f"cells: must be a pandas DataFrame as made by cells(), not a {type(frame).__name__}.")
    needed = [*by, "tenure_day", *COUNTS]
    if absent := [name for name in needed if name not in frame.columns]:
        raise BadData(
            f"cells: column {', '.join(absent)} missing; there is {', '.join(map(str, frame.columns))}."
        )
    entry = frame["entry_day"] if "entry_day" in frame.columns else 0
    numbers = pd.DataFrame(
        {"entry_day": entry, "tenure_day": frame["tenure_day"], "n": frame["n"], "events": frame["events"]},
        index=frame.index,
    ).astype("float64")
    day, start, n, events = (numbers[c] for c in ("tenure_day", "entry_day", "n", "events"))
    rules = {
        "missing or infinite": ~np.isfinite(numbers).all(axis=1),
        "tenure_day, entry_day, n and events must be whole numbers of at least 0": (
            (numbers < 0) | (numbers % 1 != 0)
        ).any(axis=1),
        "events must not exceed n": events > n,
        "entry_day must not lie after tenure_day": start > day,
    }
    for rule, broken in rules.items():
        if broken.any():
            example = {str(k): v for k, v in numbers[broken].iloc[0].to_dict().items()}
            raise BadData(f"cells: {int(broken.sum())} of {len(frame)} rows: {rule}; such as {example}.")
    labels = frame[list(by)].astype(object).where(frame[list(by)].notna(), NOT_STATED)
    return pd.concat([labels, numbers.astype("int64")], axis=1).reset_index(drop=True)


def day_counts(cells: pd.DataFrame, by: str | Sequence[str] | None = None) -> DayCounts:
    """Return counts by segment and day from cells; cells of segments that `by` does not tell apart are added up.

    Raises
    ------
    BadData
        As in :func:`check_cells`.
    """
    names = by_names(by)
    clean = check_cells(cells, names)
    if names:
        segments = (
            clean[list(names)].astype(str).drop_duplicates().sort_values(list(names), ignore_index=True)
        )
        segments["segment"] = segments[list(names)].agg(" · ".join, axis=1) if len(segments) else ""
        place = (
            clean[list(names)].astype(str).merge(segments.reset_index(), on=list(names), how="left")["index"]
        )
    else:
        segments, place = pd.DataFrame({"segment": [EVERYBODY]}), pd.Series(0, index=clean.index)
    days = int(clean["tenure_day"].max()) + 1 if len(clean) else 1
    shape = (len(segments), days + 1)

    def table(day: pd.Series, count: pd.Series) -> FloatArray:
        code = place * shape[1] + day.to_numpy(int)
        flat = np.bincount(code, count.to_numpy(float), shape[0] * shape[1])
        return flat.astype(float).reshape(shape)

    gone, events = table(clean["tenure_day"], clean["n"]), table(clean["tenure_day"], clean["events"])
    change = table(clean["entry_day"], clean["n"])
    change[:, 1:] -= gone[:, :-1]
    at_risk = change.cumsum(axis=1)[:, :days]
    gone, events = gone[:, :days], events[:, :days]
    return DayCounts(names, segments, at_risk, events, gone - events, gone.sum(axis=1))


def by_names(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of segment columns as a tuple."""
    return () if by is None else (by,) if isinstance(by, str) else tuple(by)


def _refuse(found: pd.DataFrame, table: ibis.Table) -> None:
    """Raise when members have no tenure or a negative one, with examples where there are ids."""
    if (unstated := int((found["n"] - found["stated"]).sum())) > 0:
        raise BadData(
            f"durations, column exited: missing for {unstated:,} members; it must be true or false."
        )
    day = found["tenure_day"]
    bad = day.isna() | (day < 0) | (day % 1 != 0)
    if not bad.any():
        return
    count = int(found.loc[bad, "n"].sum())
    if {"member_id", "joined_day", "left_day"} <= set(table.columns):
        wrong: Any = table.tenure_days.isnull() | (table.tenure_days < 0)
        shown = table.filter(wrong).order_by("member_id").limit(EXAMPLES).to_pandas()
        if len(shown):
            raise BadData(impossible_stays(count, shown))
    example = found.loc[bad, "tenure_day"].iloc[0]
    raise BadData(
        f"durations, column tenure_days: {count:,} rows are no whole number of at least 0, such as {example}."
    )
