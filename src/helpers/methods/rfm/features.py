"""Up to eight behavioural features a member, computed in the engine.

Only members with an interaction or an order in the window have behaviour to speak of; the others are counted as
silent and form no behavioural segment.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table, local_time
from helpers.study.frames import as_day, materialise, require_columns

MAXIMUM_FEATURES = 8
ACTIONS = ("interaction", "order")


@dataclass(frozen=True)
class Features:
    """Behaviour of the active members of a window.

    Attributes
    ----------
    table : ibis.Table
        member_id and one column per feature, all float64: recency_days (days since the last action), frequency
        (actions), active_days (days), monetary (unit of the value), evening_share (of the actions), tenure_days
        (days since joining), sessions (different sessions, when events name them) and share_<action> (of the
        actions) for the most common actions, until there are eight.
    names : tuple of str
        The feature columns.
    members, silent : int
        Members with an action in the window, and members of the population without one.
    """

    table: ibis.Table
    names: tuple[str, ...]
    members: int
    silent: int


def _common_actions(rows: ibis.Table, wanted: int) -> list[str]:
    counts = rows.group_by("action").aggregate(n=rows.count())
    order = counts.order_by([counts.n.desc(), counts.action]).limit(wanted)
    return list(order.execute()["action"])


def behavioural_features(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    window_days: int,
    events: ibis.Table | pd.DataFrame | None = None,
    evening_from: int = 18,
    report_tz: str = "Asia/Shanghai",
) -> Features:
    """Compute the behavioural features of the members who were active in a window.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, ts, day, kind, action, value; kinds ``"interaction"`` and ``"order"`` are actions.
    population : ibis.Table or pandas.DataFrame
        member_id and joined_day; activity of others is left out.
    as_of, window_days :
        Last day and length of the window ``(as_of - window_days, as_of]``.
    events : ibis.Table or pandas.DataFrame, optional
        Events of the data contract; with a session_id, sessions become a feature.
    evening_from : int
        First local hour of the evening, which ends at midnight.
    report_tz : str
        Time zone of the local hour.
    """
    check_scalar(evening_from, "evening_from", type_=int, ge=0, le=23)
    check_scalar(window_days, "window_days", type_=int, ge=1)
    rows, people, last = as_table(activity), as_table(population), as_day(as_of)
    require_columns(rows, ["member_id", "ts", "day", "kind", "action", "value"], "activity")
    require_columns(people, ["member_id", "joined_day"], "population")
    start = last - dt.timedelta(days=window_days)
    inside = rows.filter(rows.day > ibis.date(start), rows.day <= ibis.date(last)).semi_join(
        people, "member_id"
    )
    sessions = as_table(events) if events is not None else None
    if sessions is not None and "session_id" not in sessions.columns:
        sessions = None
    wanted = MAXIMUM_FEATURES - 6 - (sessions is not None)
    actions = _common_actions(inside.filter(inside.kind.isin(ACTIONS)), wanted)
    sums = _sums(inside, actions, local_time(inside.ts, report_tz).hour() >= evening_from)
    sums = sums.filter(sums.frequency > 0).inner_join(people.select("member_id", "joined_day"), "member_id")
    if sessions is not None:
        sums = _with_sessions(sums, sessions, start, last, report_tz)
    measured = {
        "recency_days": ibis.date(last).delta(sums.last_day, unit="day"),
        "frequency": sums.frequency,
        "active_days": sums.active_days,
        "monetary": sums.monetary,
        "evening_share": sums.evening / sums.frequency,
        "tenure_days": ibis.date(last).delta(sums.joined_day, unit="day"),
    }
    if sessions is not None:
        measured["sessions"] = sums.sessions.fill_null(0)
    measured |= {f"share_{name}": sums[f"of_{i}"] / sums.frequency for i, name in enumerate(actions)}
    table = sums.select("member_id", **{name: column.cast("float64") for name, column in measured.items()})
    table = materialise(table)
    members, everyone = int(table.count().execute()), int(people.count().execute())
    return Features(table, tuple(measured), members, everyone - members)


def _sums(inside: ibis.Table, actions: list[str], evening: ibis.Value) -> ibis.Table:
    counted = inside.kind.isin(ACTIONS)
    of = {f"of_{i}": inside.count(where=counted & (inside.action == name)) for i, name in enumerate(actions)}
    return inside.group_by("member_id").aggregate(
        last_day=inside.day.max(where=counted),
        frequency=inside.count(where=counted),
        active_days=inside.day.nunique(where=counted),
        monetary=inside["value"].sum().round(6),
        evening=inside.count(where=counted & evening),
        **of,
    )


def _with_sessions(
    sums: ibis.Table, events: ibis.Table, start: dt.date, last: dt.date, report_tz: str
) -> ibis.Table:
    day = local_time(events.ts, report_tz).date()
    inside = events.filter(day > ibis.date(start), day <= ibis.date(last))
    sessions = inside.group_by("member_id").aggregate(sessions=inside.session_id.nunique())
    return sums.left_join(sessions, "member_id").drop("member_id_right")
