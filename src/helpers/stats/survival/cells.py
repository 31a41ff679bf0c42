"""Compress, then fit: durations of members grouped to counts, from which every curve and model is exact.

A cell is (segment, tenure day, n, events) and, with late entry, the day of entry: n members whose time ended on
that tenure day, of whom `events` had the event. A product-limit estimate needs nothing else, so curves, tests
and means from cells equal those from rows. 100 million members are some thousand cells, and the
cell table is also what may be passed on: it holds no member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.source import as_table
from helpers.stats.survival.durations import refuse_impossible
from helpers.study import enough
from helpers.study.frames import NOT_STATED, require_columns

COUNTED = ("entry_day", "tenure_day", "n", "events")
EVERYBODY = "all"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DayCounts:
    """Members at risk, exits and censorings of every segment on every tenure day.

    Attributes
    ----------
    labels : list of str
        Names of the segments, in order; "all" when there are none.
    at_risk, events, censored : ndarray, shape (segments, days)
        Counts on tenure days 0 to the last one seen. At risk is who entered by that day and was not gone before.
    members : ndarray, shape (segments,)
        Members of each segment.
    """

    labels: list[str]
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray
    members: FloatArray

    @property
    def last_day(self) -> NDArray[np.int64]:
        """Last tenure day with somebody at risk, per segment; -1 when there is none."""
        seen = self.at_risk > 0
        last = self.at_risk.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        return np.where(seen.any(axis=1), last, -1)

    @property
    def from_day(self) -> NDArray[np.int64]:
        """Tenure day from which a segment was seen: above 0, its curve is of those still here on that day."""
        return np.argmax(self.at_risk > 0, axis=1)

    @property
    def gap_from(self) -> FloatArray:
        """First later day on which nobody was at risk though others entered after it, per segment; else infinite."""
        day = np.arange(self.at_risk.shape[1])
        gap = (self.at_risk == 0) & (day > self.from_day[:, None]) & (day < self.last_day[:, None])
        return np.where(gap.any(axis=1), gap.argmax(axis=1), np.inf)

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
        return (self.members >= enough.MEMBERS_OF_A_CURVE) & ~self.stranded


def cells(durations: ibis.Table | pd.DataFrame, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Group durations to cells inside the engine.

    Parameters
    ----------
    durations : ibis.Table or pandas.DataFrame
        One row per member: tenure_days (whole number of at least 0), exited (bool), entry_day where members come
        under observation late, and the columns of `by`.
    by : str or sequence of str, optional
        Segment columns, or covariates of a model. A missing text is the segment "not stated".

    Returns
    -------
    pandas.DataFrame
        The columns of `by`, entry_day (only when the durations have it), tenure_day, n, events (int);
        in order.

    Raises
    ------
    BadData
        When a column is missing, or a tenure is missing or negative (a leave before a join).
    """
    table, names = as_table(durations), [by] if isinstance(by, str) else list(by)
    require_columns(table, ["tenure_days", "exited", *names], "durations")
    entry = {"entry_day": table.entry_day} if "entry_day" in table.columns else {}
    keys = {name: table[name] for name in names} | entry | {"tenure_day": table.tenure_days.cast("int64")}
    # Counts of what is not missing are the cheapest aggregates of an engine.
    counts = {"n": table.count(), "events": table.exited.cast("boolean").nullif(False).count()}
    found = table.group_by(**keys).agg(**counts).to_pyarrow().to_pandas()
    if not (found["tenure_day"] >= 0).all():
        refuse_impossible(table)
    texts = [name for name in names if found[name].dtype == object]
    found = found.fillna(dict.fromkeys(texts, NOT_STATED))
    # "not stated" may also be written in the data, which makes two cells of one name: counts decide their order.
    return found.sort_values(list(found.columns), ignore_index=True).astype({"n": "int64", "events": "int64"})


def completed(frame: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return columns, entry_day, tenure_day, n and events of cells.

    Without n a row is one member, and without entry_day all were observed from the day of joining.

    Raises
    ------
    BadData
        When a column is missing.
    """
    require_columns(frame, [*columns, "tenure_day", "events"], "cells")
    counted = {"entry_day": 0, "n": 1} | {name: frame[name].to_numpy() for name in COUNTED if name in frame}
    found = frame[list(columns)].reset_index(drop=True)
    return found.assign(**{name: counted[name] for name in COUNTED}).astype(dict.fromkeys(COUNTED, "int64"))


def day_counts(cells: pd.DataFrame, by: str | None = None) -> DayCounts:
    """Return counts by segment and day from cells; cells of segments that `by` does not tell apart are added up.

    Raises
    ------
    BadData
        As in :func:`completed`.
    """
    checked = completed(cells, [by] if by else [])
    segments, place = [EVERYBODY], np.zeros(len(checked), "int64")
    if by:
        texts = checked[by].astype(object).where(checked[by].notna(), NOT_STATED).astype(str)
        place, names = pd.factorize(texts, sort=True)
        segments = names.tolist()
    days = int(checked["tenure_day"].max()) + 1 if len(cells) else 1
    shape = (len(segments), days + 1)

    def table(day: str, count: str) -> FloatArray:
        flat = np.bincount(place * shape[1] + checked[day], checked[count], shape[0] * shape[1])
        return flat.astype(float).reshape(shape)

    gone, events = table("tenure_day", "n"), table("tenure_day", "events")
    change = table("entry_day", "n")
    change[:, 1:] -= gone[:, :-1]
    at_risk = change.cumsum(axis=1)[:, :days]
    gone, events = gone[:, :days], events[:, :days]
    return DayCounts(segments, at_risk, events, gone - events, gone.sum(axis=1))
