"""Person-period rows: what was known of each member on a landmark day, and what the next period brought.

A landmark L is the last day that is known; its window is the `horizon_days` calendar days after it, ``(L, L + h]``.
Landmarks are laid back from ``as_of`` and no window reaches beyond it. For a horizon of 28 to 31 days they lie at the
same place of earlier months (the last day, when `as_of` is one), so that pay days and monthly campaigns meet every
window alike; windows then overlap by up to two days after February. Otherwise they tile the history without overlap.
Every covariate is a function of rows with day <= L alone (landmarking, van Houwelingen 2007, Scandinavian Journal of
Statistics 34): there is no future to leak.

States and outcome
------------------
- A member present on L (joined by then, not left) is ``active`` with a counted action in the last `active_days` days
  up to L, else ``dormant``; who never acted is dormant since joining, as far as the log goes back.
- ``silent`` is 1 when there is no counted action in the window.

There is no calendar covariate: with a dozen windows a season cannot be told from chance. What a window has in
common is left to the intercept (:mod:`helpers.stats.forecast.calibration`).

Everything is counted inside the engine in one grouped join of member-days with landmarks. Above `max_members` a
seeded sample of members is followed through all closed landmarks (members and not rows, so that histories stay
whole); on ``as_of`` itself everybody has a row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import Dataset, as_table, local_date
from helpers.study.enough import IN_CATEGORY
from helpers.study.frames import COUNTS, Count, as_day, materialise, require_columns

WINDOWS = (7, 14, 30, 60, 90, 180)
SIGNAL_WINDOWS = (7, 30, 90)
CREATED = ("comment", "share", "post")
"""Interactions by which a member makes something that others see."""
ACTIVE, DORMANT = "active", "dormant"
MONTHS = 12
LONG_AGO = 3650
DECIMALS = 6
TYPES = {"member_id": "string", "day": "date", "joined_day": "date", "left_day": "date", "value": "float64"}

FEATURES = (
    "days_since_last",
    "tenure_days",
    "active_days_all",
    "actions_all",
    *(f"active_days_{w}" for w in WINDOWS),
    *(f"actions_{w}" for w in WINDOWS),
    "actions_before_30",
    "active_periods",
    "usual_gap",
    "relative_silence",
    "trend",
    "value_90",
    "orders_share_90",
    "created_share_90",
)


@dataclass(frozen=True)
class Landmarks:
    """Person-period rows of closed windows, and the rows of today.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per closed landmark and member: landmark (day), member_id, state, first_day and last_day of activity,
        value_all (all history), the `features`, silent (0 or 1); ordered by landmark and member.
    now : pandas.DataFrame
        The same on `as_of` for everybody present, without the outcome.
    features : tuple of str
        Columns that models may use.
    member_days : ibis.Table
        member_id, day, value of the counted actions: what buy-till-you-die models are fitted on.
    as_of : datetime.date
        Last day that is known.
    horizon_days, active_days : int
        Length of a window, and of the look-back that makes a member active.
    count : {"interaction", "order", "all"}
        Which actions break silence.
    members, sampled : int
        Members at risk at some closed landmark, and how many of them are in `table`.
    """

    table: pd.DataFrame = field(repr=False)
    now: pd.DataFrame = field(repr=False)
    features: tuple[str, ...]
    member_days: ibis.Table = field(repr=False)
    as_of: dt.date
    horizon_days: int
    active_days: int
    count: Count
    members: int
    sampled: int


def landmarks(
    rows: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    horizon_days: int = 30,
    active_days: int = 30,
    count: Count = "interaction",
    signals: Mapping[str, ibis.Table | pd.DataFrame] | None = None,
    categories: ibis.Table | pd.DataFrame | None = None,
    step: Literal["auto", "horizon"] = "auto",
    max_windows: int = 36,
    max_members: int = 50_000,
    seed: int = 0,
) -> Landmarks:
    """Return the person-period rows of a community.

    Parameters
    ----------
    rows, population : ibis.Table or pandas.DataFrame
        Activity and members, as :class:`helpers.study.Study` holds them.
    as_of : date or str
        Last day that is known; nothing after it is looked at.
    horizon_days, active_days : int
        Length of a window, and the look-back that makes a member active.
    count : {"interaction", "order", "all"}
        Which actions break silence.
    signals : mapping of str to table, optional
        Things that happen to a member or that do not count as activity: per name a table with member_id and day,
        one row per happening (see :func:`standard_signals`). They are counted over 7, 30 and 90 days and in all.
    categories : table, optional
        One row per member with member_id and categories that were known when it joined.
    step : {"auto", "horizon"}
        How landmarks are laid back; "auto" means months for a horizon of 28 to 31 days.
    max_windows : int
        How many closed windows to look back at most, newest kept.
    max_members, seed : int
        Largest number of members followed, and the seed of the sample.

    Raises
    ------
    BadData
        When a column is missing.
    """
    day = as_day(as_of)
    days = _member_days(
        _columns(rows, ("member_id", "day", "kind", "action", "value"), "activity"), day, count
    )
    people = materialise(_columns(population, ("member_id", "joined_day", "left_day"), "population"))
    monthly = step == "auto" and 28 <= horizon_days <= 31
    closed = _closed_landmarks(days, day, horizon_days, active_days, max_windows, monthly)
    marks = _mark_table([*closed, day])
    happened = {name: _signal_days(table, day, name) for name, table in sorted((signals or {}).items())}
    found, members, sampled = _followed(
        _known_members(days, people, marks, active_days), day, max_members, seed
    )
    later = _later_actions(days, _mark_table(closed), horizon_days)
    frame = _tidy(found.left_join(later, ["member_id", "landmark"]), horizon_days)
    frame, names = _with_signals(frame, happened, marks)
    frame, flags = _with_categories(frame, categories)
    past = frame["landmark"] < pd.Timestamp(day)
    return Landmarks(
        table=frame[past].reset_index(drop=True),
        now=frame[~past].drop(columns="silent").reset_index(drop=True),
        features=(*FEATURES, *names, *flags),
        member_days=days.filter(days.actions > 0).select("member_id", "day", "value"),
        as_of=day,
        horizon_days=horizon_days,
        active_days=active_days,
        count=count,
        members=members,
        sampled=sampled,
    )


def standard_signals(dataset: Dataset, report_tz: str) -> dict[str, ibis.Table]:
    """Return pushes received, advertising contacts and views of each member by day, as far as there are tables."""
    found: dict[str, ibis.Table] = {}
    if "events" in dataset:
        for name, event in (("pushes", "push_sent"), ("views", "view")):
            rows = dataset.events.filter(dataset.events.event == event, dataset.events.member_id.notnull())
            found[name] = rows.select("member_id", day=local_date(rows.ts, report_tz))
    if "touchpoints" in dataset:
        touched = dataset.touchpoints.filter(dataset.touchpoints.member_id.notnull())
        found["ad_contacts"] = touched.select("member_id", day=local_date(touched.ts, report_tz))
    return found


def standard_categories(dataset: Dataset) -> ibis.Table | None:
    """Return what the members table says of the time of joining: source and home platform.

    Only what is known on that day: a column filled later is a look ahead at every earlier landmark. Age, gender
    and region are left out, because whom to call back should not rest on them.
    """
    if "members" not in dataset:
        return None
    names = [name for name in ("source", "platform_home") if name in dataset.members.columns]
    return dataset.members.select("member_id", *names) if names else None


def _columns(table: ibis.Table | pd.DataFrame, names: tuple[str, ...], what: str) -> ibis.Table:
    """Return these columns with the types they need, which an empty frame does not show."""
    found = as_table(table)
    require_columns(found, names, what)
    return found.select(**{name: found[name].cast(TYPES.get(name, "string")) for name in names})


def _member_days(rows: ibis.Table, day: dt.date, count: Count) -> ibis.Table:
    """Return one row per member and day: counted actions, orders, things made, value; stored in the engine."""
    rows = rows.filter(rows.day <= ibis.date(day), rows.member_id.notnull())
    counted = rows.kind.isin(COUNTS[count])
    found = rows.group_by("member_id", "day").agg(
        actions=counted.cast("int64").sum(),
        orders=(rows.kind == "order").cast("int64").sum(),
        created=(counted & rows.action.isin(CREATED)).cast("int64").sum(),
        value=rows.value.sum().round(DECIMALS),
    )
    return materialise(found)


def _closed_landmarks(
    days: ibis.Table, day: dt.date, horizon: int, active: int, most: int, monthly: bool
) -> list[dt.date]:
    """Return the closed landmarks, oldest first: each has a whole look-back and a whole window in the log."""
    first = days.filter(days.actions > 0).day.min().to_pandas()
    if pd.isna(first):
        return []
    earliest = pd.Timestamp(first) + pd.Timedelta(days=active - 1)
    latest = pd.Timestamp(day) - pd.Timedelta(days=horizon)
    found: list[dt.date] = []
    back = 1
    while (mark := _back(pd.Timestamp(day), back, horizon, monthly)) >= earliest and len(found) < most:
        if mark <= latest:
            found.append(mark.date())
        back += 1
    return found[::-1]


def _back(day: pd.Timestamp, steps: int, horizon: int, monthly: bool) -> pd.Timestamp:
    """Return the landmark a number of steps before a day."""
    if not monthly:
        return day - pd.Timedelta(days=horizon * steps)
    back = day - pd.DateOffset(months=steps)
    return back + pd.offsets.MonthEnd(0) if day.is_month_end else back


def _mark_table(marks: list[dt.date]) -> ibis.Table:
    frame = pd.DataFrame({"landmark": pd.Series(marks, dtype="object")})
    return ibis.memtable(frame, schema={"landmark": "date"})


def _known_members(days: ibis.Table, people: ibis.Table, marks: ibis.Table, active: int) -> ibis.Table:
    """Return everybody present at each landmark with what the log says up to then."""
    there = people.cross_join(marks)
    left = there.left_day.isnull() | (there.left_day > there.landmark)
    there = there.filter(there.joined_day <= there.landmark, left)
    seen = _history(days, marks).rename(member="member_id", mark="landmark")
    found = there.left_join(seen, [there.member_id == seen.member, there.landmark == seen.mark])
    log_start = days.day.min().to_pandas()
    began = found.joined_day
    if not pd.isna(log_start):
        began = ibis.greatest(began, ibis.date(pd.Timestamp(log_start).date()))
    first = ibis.least(found.joined_day, found.first_day.fill_null(found.joined_day))
    found = found.mutate(
        days_since_last=ibis.coalesce(found.days_since_last, found.landmark.delta(began, unit="day")),
        tenure_days=found.landmark.delta(first, unit="day"),
    )
    is_active = found.last_day.notnull() & (found.days_since_last < active)
    found = found.mutate(state=ibis.cases((is_active, ACTIVE), else_=DORMANT))
    return materialise(found.drop("member", "mark"))


def _history(days: ibis.Table, marks: ibis.Table) -> ibis.Table:
    """Return sums over each member's days up to each landmark."""
    pairs = days.cross_join(marks)
    pairs = pairs.filter(pairs.day <= pairs.landmark)
    pairs = pairs.mutate(age=pairs.landmark.delta(pairs.day, unit="day"), acted=pairs.actions > 0)
    sums: dict[str, ibis.Value] = {
        "first_day": pairs.day.min(where=pairs.acted),
        "last_day": pairs.day.max(where=pairs.acted),
        "days_since_last": pairs.age.min(where=pairs.acted),
        "active_days_all": pairs.acted.cast("int64").sum(),
        "actions_all": pairs.actions.sum(),
        "actions_before_30": pairs.actions.sum(where=(pairs.age >= 30) & (pairs.age < 60)),
        "active_periods": (pairs.age // 30).nunique(where=pairs.acted & (pairs.age < 30 * MONTHS)),
        "value_90": pairs.value.sum(where=pairs.age < 90).round(DECIMALS),
        "value_all": pairs.value.sum().round(DECIMALS),
        "orders_90": pairs.orders.sum(where=pairs.age < 90),
        "created_90": pairs.created.sum(where=pairs.age < 90),
    }
    for width in WINDOWS:
        sums[f"active_days_{width}"] = (pairs.acted & (pairs.age < width)).cast("int64").sum()
        sums[f"actions_{width}"] = pairs.actions.sum(where=pairs.age < width)
    return pairs.group_by("member_id", "landmark").agg(**sums)


def _followed(found: ibis.Table, day: dt.date, max_members: int, seed: int) -> tuple[ibis.Table, int, int]:
    """Return the rows of the members followed, everybody's of today, and how many there are and are followed.

    Ids come to memory only when there are too many members and a sample has to be drawn.
    """
    past = found.filter(found.landmark < ibis.date(day))
    members = int(past.member_id.nunique().execute())
    if members <= max_members:
        return found, members, members
    ids = sorted(past.select("member_id").distinct().to_pandas()["member_id"])
    drawn = np.random.default_rng(seed).choice(len(ids), max_members, replace=False)
    kept = ibis.memtable(pd.DataFrame({"member_id": [ids[place] for place in sorted(drawn)]}))
    today = found.filter(found.landmark == ibis.date(day))
    return ibis.union(past.semi_join(kept, "member_id"), today), members, max_members


def _later_actions(days: ibis.Table, marks: ibis.Table, horizon: int) -> ibis.Table:
    """Return who acted in the window after each closed landmark."""
    pairs = days.filter(days.actions > 0).cross_join(marks)
    age = pairs.day.delta(pairs.landmark, unit="day")
    late = pairs.filter(age > 0, age <= horizon)
    return late.group_by("member_id", "landmark").agg(later=late.actions.sum())


def _tidy(found: ibis.Table, horizon: int) -> pd.DataFrame:
    """Bring the rows to pandas, fill what did not happen with 0, and derive gaps, trend and the outcome."""
    frame = found.to_pandas()
    for name in ("landmark", "first_day", "last_day"):
        frame[name] = pd.to_datetime(frame[name])
    frame = frame.sort_values(["landmark", "member_id"], ignore_index=True)
    counts = ("active_", "actions_", "value_")
    sums = [c for c in frame if c.startswith(counts) or c.endswith("_90") or c == "later"]
    frame[sums] = frame[sums].astype(float).fillna(0.0)
    span = (frame["last_day"] - frame["first_day"]).dt.days
    gap = span / (frame["active_days_all"] - 1).where(frame["active_days_all"] > 1)
    frame["usual_gap"] = gap.fillna(float(horizon)).round(DECIMALS)
    frame[["days_since_last", "tenure_days"]] = frame[["days_since_last", "tenure_days"]].astype(float)
    frame["relative_silence"] = (frame["days_since_last"] / (frame["usual_gap"] + 1)).round(DECIMALS)
    frame["trend"] = np.log((frame["actions_30"] + 1) / (frame["actions_before_30"] + 1)).round(DECIMALS)
    counted, orders = np.maximum(frame["actions_90"], 1), frame["orders_90"]
    frame["orders_share_90"] = (orders / (counted + orders)).round(DECIMALS)
    frame["created_share_90"] = (frame["created_90"] / counted).round(DECIMALS)
    frame["silent"] = (frame["later"] == 0).astype(int)
    return frame[
        ["landmark", "member_id", "state", "first_day", "last_day", "value_all", *FEATURES, "silent"]
    ]


def _signal_days(table: ibis.Table | pd.DataFrame, day: dt.date, name: str) -> ibis.Table:
    """Return how often a signal happened to each member on each day; stored in the engine."""
    rows = _columns(table, ("member_id", "day"), f"signal {name}")
    rows = rows.filter(rows.day <= ibis.date(day), rows.member_id.notnull())
    return materialise(rows.group_by("member_id", "day").agg(times=rows.count()))


def _with_signals(
    frame: pd.DataFrame, signals: Mapping[str, ibis.Table], marks: ibis.Table
) -> tuple[pd.DataFrame, list[str]]:
    """Count each signal before each landmark."""
    names: list[str] = []
    for signal, table in signals.items():
        pairs = table.cross_join(marks)
        pairs = pairs.filter(pairs.day <= pairs.landmark)
        pairs = pairs.mutate(age=pairs.landmark.delta(pairs.day, unit="day"))
        sums = {f"{signal}_{w}": pairs.times.sum(where=pairs.age < w) for w in SIGNAL_WINDOWS}
        sums |= {f"{signal}_all": pairs.times.sum(), f"{signal}_days_since": pairs.age.min()}
        counted = pairs.group_by("member_id", "landmark").agg(**sums).to_pandas()
        counted["landmark"] = pd.to_datetime(counted["landmark"])
        frame = frame.merge(counted, "left", ["landmark", "member_id"])
        absent = dict.fromkeys(sums, 0.0) | {f"{signal}_days_since": float(LONG_AGO)}
        frame = frame.astype(dict.fromkeys(sums, float)).fillna(absent)
        names += sums
    return frame.sort_values(["landmark", "member_id"], ignore_index=True), names


def _with_categories(
    frame: pd.DataFrame, categories: ibis.Table | pd.DataFrame | None
) -> tuple[pd.DataFrame, list[str]]:
    """Add one flag per frequent value of each category."""
    if categories is None:
        return frame, []
    fixed = as_table(categories).to_pandas().astype({"member_id": str})
    joined, added = frame[["member_id"]].merge(fixed, "left", "member_id"), dict[str, pd.Series]()
    for name in sorted(set(fixed) - {"member_id"}):
        sizes = joined[name].dropna().astype(str).value_counts()
        for value in sorted(sizes.index[sizes >= IN_CATEGORY]):
            added[f"{name}={value}"] = (joined[name].astype(str) == value).astype(float)
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1), list(added)
