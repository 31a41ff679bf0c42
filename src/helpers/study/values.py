"""Recency, frequency and monetary value of every member as of a day, over a window of calendar days.

Definitions
-----------
All days are calendar days in the time zone the activity was built with. The window of length w as of day D
is the half-open range ``(D - w, D]``: the w days that end with D, D included. Nothing after D is looked at.

- recency_days: D minus the last day with counted activity, over the whole history up to D; 0 when the
  member was active on D, missing when there never was counted activity. (The "recency" of buy-till-you-die
  models is another thing: first to last purchase.)
- frequency: number of counted actions in the window (not of days, not of repeats).
- active_days: number of different days with counted activity in the window.
- monetary: sum (not mean) of the weighted value in the window, of all kinds of activity.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.data.source import as_table
from helpers.study.frames import COUNTS, Count, require_columns

if TYPE_CHECKING:
    from helpers.study.study import Study


def member_values(
    study: Study,
    window_days: int,
    *,
    population: ibis.Table | pd.DataFrame | None = None,
) -> ibis.Table:
    """Return R, F and M of every member as one lazy table.

    Parameters
    ----------
    study : Study
        Its activity, its last day, and what counts for recency, frequency and active days. Value is always
        summed over all activity.
    window_days : int
        Length of the window in days.
    population : ibis.Table or pandas.DataFrame, optional
        One row per member (member_id): members without activity are kept with frequency 0, and activity of
        others is left out. Default: everyone with activity up to the last day.

    Returns
    -------
    ibis.Table
        One row per member: member_id, recency_days (int, days), frequency (int), active_days (int), monetary
        (float, unit of the weighted value).

    Raises
    ------
    BadData
        When a column is missing.
    """
    check_scalar(window_days, "window_days", type_=int, ge=1)
    require_columns(study.activity, ("kind", "value"), "activity")
    rows = study.activity.filter(study.activity.day <= ibis.date(study.as_of))
    summed = _summed(rows, study.as_of, window_days, study.count)
    if population is None:
        return summed
    joined = as_table(population).select("member_id").left_join(summed, "member_id").select(*summed.columns)
    return joined.fill_null({"frequency": 0, "active_days": 0, "monetary": 0.0})


def _summed(rows: ibis.Table, day: dt.date, window_days: int, count: Count) -> ibis.Table:
    """Aggregate to one row per member in a single scan."""
    counted = rows.kind.isin(COUNTS[count])
    in_window = rows.day > ibis.date(day - dt.timedelta(days=window_days))
    summed = rows.group_by("member_id").agg(
        last_day=rows.day.max(where=counted),
        frequency=rows.count(where=counted & in_window),
        active_days=rows.day.nunique(where=counted & in_window),
        monetary=rows.value.sum(where=in_window),
    )
    return summed.select(
        "member_id",
        recency_days=ibis.date(day).delta(summed.last_day, unit="day").cast("int64"),
        frequency=summed.frequency.cast("int64"),
        active_days=summed.active_days.cast("int64"),
        monetary=rounded(summed.monetary.fill_null(0), VALUE_DECIMALS),
    )
