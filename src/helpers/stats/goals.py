"""A goal of a period: what lies in it, where the pace leads, and the chance of reaching the target.

What lies in the period already counts as it is; for the rest the pace of the last ordinary weeks is kept, and how far
the same forecast went wrong over spans of the same length in the past of the series says how sure that is
(`helpers.stats.weeks.outlook`). A week that lies across the edge of a period is shared by its days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from helpers.stats.estimate import Estimate, normal_estimate
from helpers.stats.weeks import BASE, chance, outlook

WEEK = pd.Timedelta(days=7)


class Goal(NamedTuple):
    """A target from first to last day: a flow adds up, a level is that of the last week, a rate is pooled."""

    kind: Literal["flow", "level", "rate"]
    first: pd.Timestamp
    last: pd.Timestamp
    target: float
    up: bool


class Forecast(NamedTuple):
    """Where a goal leads.

    Attributes
    ----------
    achieved : float
        What of the total lies behind already; 0 for a level.
    pace : float
        What a week brings.
    needed : float
        What a week ahead would have to bring.
    weeks : int
        That are ahead, at least one.
    total : Estimate
        What the period comes to; without an interval with too few spans of the past, which n counts.
    chance : float
        Of reaching the target; NaN without an interval.
    """

    achieved: float
    pace: float
    needed: float
    weeks: int
    total: Estimate
    chance: float


def period(text: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return first and last day of a period such as 2026-Q3, 2026-07, 2026-W30 or 2026; None for no period."""
    try:
        if "-W" in text:
            first = pd.Timestamp(dt.datetime.strptime(f"{text}-1", "%G-W%V-%u"))
            return first, first + pd.Timedelta(days=6)
        year, half, number = text.partition("-H")
        names = [f"{year}Q{2 * int(number) - k}" for k in (1, 0)] if half else 2 * [text.replace("-Q", "Q")]
        return pd.Period(names[0]).start_time.normalize(), pd.Period(names[1]).end_time.normalize()
    except ValueError:
        return None


def forecast(series: pd.DataFrame, ordinary: Sequence[bool], goal: Goal, unit: str, level: float) -> Forecast:
    """Return where a goal leads.

    Parameters
    ----------
    series, ordinary :
        As in :func:`helpers.stats.weeks.errors`, by Monday.
    goal : Goal
        What is asked of the series.
    unit : str
        Of the target.
    level : float
        Level of the interval.
    """
    achieved, bottom = _so_far(series, goal)
    after, done = goal.last + pd.Timedelta(days=1), pd.DatetimeIndex(series.index)[-1] + WEEK
    left = max((after - max(done, goal.first)).days / 7, 0.0)
    weeks, needed, pace = max(round(left), 1), goal.target, series.dropna().tail(BASE).sum()
    ahead = outlook(series, ordinary, weeks, max((goal.first - done).days // 7, 0), goal.kind)
    if goal.kind == "flow":
        needed = max(goal.target - achieved, 0.0) / max(left, 1 / 7)
        ahead = ahead._replace(expected=ahead.expected * (left / weeks))
    elif goal.kind == "rate" and bottom > 0:  # behind and ahead, by what each is divided by
        coming = float(series["denominator"].tail(BASE).mean()) * left
        weight = coming / (bottom + coming)
        achieved, ahead = (1 - weight) * achieved / bottom, ahead._replace(expected=ahead.expected * weight)
    else:
        achieved = 0.0
    total = Estimate(achieved + ahead.expected, np.nan, np.nan, ahead.spans, unit, "own past errors", level)
    if np.isfinite(ahead.spread):
        error = abs(ahead.expected) * ahead.spread
        total = normal_estimate(total.value, error, ahead.spans, unit, total.method, level, degrees=ahead.spans,
                                bounds=(achieved, np.inf))  # fmt: skip
    p, each = chance(ahead, achieved, goal.target, goal.up), pace["numerator"] / pace["denominator"]
    return Forecast(achieved, each, needed, weeks, total, p)


def came_to(series: pd.DataFrame, goal: Goal) -> float:
    """Return what a series came to in a period that is over; NaN where it is not, or was not observed throughout."""
    ends = series.index + pd.Timedelta(days=6)
    weeks = series[(ends >= goal.first) & (series.index <= goal.last)]
    if weeks.isna().any(axis=None) or not (
        len(weeks) and series.index[0] <= goal.first and ends[-1] >= goal.last
    ):
        return np.nan
    if goal.kind == "level":
        return float(weeks["numerator"].iloc[-1] / weeks["denominator"].iloc[-1])
    top, bottom = _so_far(series, goal)
    return top if goal.kind == "flow" else top / bottom


def _so_far(series: pd.DataFrame, goal: Goal) -> tuple[float, float]:
    """Return numerator and denominator of what of a period is on record."""
    begin, end = series.index.to_numpy(), (series.index + WEEK).to_numpy()
    after = (goal.last + pd.Timedelta(days=1)).to_numpy()
    inside = np.minimum(end, after) - np.maximum(begin, goal.first.to_numpy())
    shares = np.clip(inside / np.timedelta64(7, "D"), 0, 1)
    return tuple(np.nansum(series[["numerator", "denominator"]].to_numpy(float) * shares[:, None], axis=0))
