"""Weeks that are unlike others: holidays, promotions, incidents, and the Spring Festival, which moves.

A year has 52 weeks and a day or two, so the same week of the year before is the one 52 weeks earlier. The Spring
Festival lies anywhere from 21 January to 20 February: the weeks around it are compared with the weeks that lie as far
from the festival of the year before.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from helpers.data.calendar import SPRING_FESTIVAL
from helpers.sentences import say
from helpers.study.study import Study

BEFORE, AFTER = 3, 2
"""Whole weeks before and after that of the festival in which it moves what members do."""
UNLIKE = ("holiday", "promo", "incident")
"""Kinds of entries that make a week unlike others; an experiment or a competitor's launch does not by itself."""


def festival_week(week: pd.Timestamp) -> tuple[pd.Timestamp, int] | None:
    """Return the Monday of the nearest Spring Festival and how many weeks later `week` is; None when far from it."""
    mondays = [_monday(day) for day in SPRING_FESTIVAL]
    nearest = min(mondays, key=lambda one: abs((week - one).days))
    away = (week - nearest).days // 7
    return (nearest, away) if -BEFORE <= away <= AFTER else None


def aligned_week(week: pd.Timestamp) -> pd.Timestamp:
    """Return the Monday of the week of the year before that `week` is compared with.

    >>> aligned_week(pd.Timestamp("2026-02-16")).date()  # the festival of 17 February, that of 29 January 2025
    datetime.date(2025, 1, 27)
    """
    found = festival_week(week)
    if found is None:
        return week - pd.Timedelta(weeks=52)
    day = next((day for day in SPRING_FESTIVAL if day.year == found[0].year - 1), None)
    return (week - pd.Timedelta(weeks=52)) if day is None else _monday(day) + pd.Timedelta(weeks=found[1])


def _monday(day: dt.date) -> pd.Timestamp:
    return pd.Timestamp(day) - pd.Timedelta(days=day.weekday())


def events_of(study: Study, week: pd.Timestamp) -> pd.DataFrame:
    """Return the entries of the calendar that touch a week: kind, grade, scope, note; empty without a calendar."""
    if "annotations" not in study.dataset:
        return pd.DataFrame(columns=["start", "end", "kind", "scope", "note"])
    entries = study.dataset.annotations.to_pandas().reindex(columns=["start", "end", "kind", "scope", "note"])
    start, end = pd.to_datetime(entries["start"]), pd.to_datetime(entries["end"])
    return entries[(start <= week + pd.Timedelta(days=6)) & (end >= week)].sort_values(["start", "kind"])


def unusual_weeks(study: Study, weeks: pd.DatetimeIndex) -> pd.Series:
    """Return by Monday what makes a week unlike others, in words; empty for an ordinary one."""
    said = {}
    for week in weeks:
        entries = events_of(study, week)
        mine = entries[entries["kind"].isin(UNLIKE) & entries["scope"].fillna("all").isin(["all", ""])]
        words = [str(note or kind) for kind, note in zip(mine["kind"], mine["note"], strict=True)]
        if not words and festival_week(week) is not None:
            words = [say("weeks around the Spring Festival")]
        said[week] = "; ".join(words)
    return pd.Series(said, dtype=str)
