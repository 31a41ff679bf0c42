"""What was known of members at landmarks: the columns of person-period rows, counted inside the engine.

Every function here looks at days up to the landmark alone, but for :func:`later_actions`, which makes the outcome.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.study.frames import COUNTS, Count, materialise, require_columns

WINDOWS = (7, 14, 30, 60, 90, 180)
SIGNAL_WINDOWS = (7, 30, 90)
CREATED = ("comment", "share", "post")
"""Interactions by which a member makes something that others see."""
ACTIVE, DORMANT = "active", "dormant"
FEWEST_IN_CATEGORY = 20
MONTHS = 12
LONG_AGO = 3650
DECIMALS = 6

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


def columns_of(table: ibis.Table | pd.DataFrame, names: tuple[str, ...], what: str) -> ibis.Table:
    """Return these columns with the types they need; `what` names the table in the error when one is missing."""
    found = as_table(table)
    require_columns(found, names, what)
    types = {
        "member_id": "string",
        "day": "date",
        "joined_day": "date",
        "left_day": "date",
        "value": "float64",
    }
    return found.select(**{name: found[name].cast(types.get(name, "string")) for name in names})


def member_days(rows: ibis.Table, day: dt.date, count: Count) -> ibis.Table:
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


def mark_table(marks: list[dt.date]) -> ibis.Table:
    """Return the landmarks as a table of one column."""
    frame = pd.DataFrame({"landmark": pd.Series(marks, dtype="object")})
    return ibis.memtable(frame, schema={"landmark": "date"})


def known_members(
    days: ibis.Table, people: ibis.Table, marks: list[dt.date], active: int, dormant: bool
) -> ibis.Table:
    """Return everybody present at each landmark with what the log says up to then."""
    log_start = days.day.min().to_pandas()
    start = ibis.date(marks[-1] if pd.isna(log_start) else pd.Timestamp(log_start).date())
    there = people.cross_join(mark_table(marks))
    here = (there.joined_day <= there.landmark) & (
        there.left_day.isnull() | (there.left_day > there.landmark)
    )
    there = there.filter(here)
    seen = _history(days, marks).rename(member="member_id", mark="landmark")
    found = there.left_join(seen, [there.member_id == seen.member, there.landmark == seen.mark])
    began = ibis.greatest(found.joined_day, start)
    found = found.mutate(
        days_since_last=ibis.coalesce(found.days_since_last, found.landmark.delta(began, unit="day")),
        tenure_days=found.landmark.delta(
            ibis.least(found.joined_day, found.first_day.fill_null(found.joined_day)), unit="day"
        ),
    )
    is_active = found.last_day.notnull() & (found.days_since_last < active)
    found = found.mutate(state=ibis.cases((is_active, ACTIVE), else_=DORMANT)).drop("member", "mark")
    return materialise(found if dormant else found.filter(found.state == ACTIVE))


def _history(days: ibis.Table, marks: list[dt.date]) -> ibis.Table:
    """Return sums over each member's days up to each landmark."""
    pairs = days.cross_join(mark_table(marks))
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


def later_actions(days: ibis.Table, marks: list[dt.date], horizon: int) -> ibis.Table:
    """Return who acted in the window after each closed landmark."""
    pairs = days.filter(days.actions > 0).cross_join(mark_table(marks))
    age = pairs.day.delta(pairs.landmark, unit="day")
    late = pairs.filter(age > 0, age <= horizon)
    return late.group_by("member_id", "landmark").agg(later=late.actions.sum())


def tidy(found: ibis.Table, horizon: int) -> pd.DataFrame:
    """Bring the rows to pandas, fill what did not happen with 0, and derive gaps, trend and outcomes."""
    frame = found.to_pandas()
    for name in ("landmark", "joined_day", "left_day", "first_day", "last_day"):
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
    counted = np.maximum(frame["actions_90"], 1)
    frame["orders_share_90"] = (frame["orders_90"] / np.maximum(counted + frame["orders_90"], 1)).round(
        DECIMALS
    )
    frame["created_share_90"] = (frame["created_90"] / counted).round(DECIMALS)
    end = frame["landmark"] + pd.Timedelta(days=horizon)
    frame["silent"] = (frame["later"] == 0).astype(int)
    frame["left"] = (frame["left_day"].notna() & (frame["left_day"] <= end)).astype(int)
    keys = ["landmark", "member_id", "state", "first_day", "last_day", "value_all"]
    return frame[[*keys, *FEATURES, "silent", "left"]]


def signal_days(table: ibis.Table | pd.DataFrame, day: dt.date, name: str) -> ibis.Table:
    """Return how often a signal happened to each member on each day; stored in the engine."""
    rows = columns_of(table, ("member_id", "day"), f"signal {name}")
    rows = rows.filter(rows.day <= ibis.date(day), rows.member_id.notnull())
    return materialise(rows.group_by("member_id", "day").agg(times=rows.count()))


def with_signals(
    frame: pd.DataFrame, signals: Mapping[str, ibis.Table], marks: list[dt.date]
) -> tuple[pd.DataFrame, list[str]]:
    """Count each signal before each landmark."""
    names: list[str] = []
    for signal, table in signals.items():
        pairs = table.cross_join(mark_table(marks))
        pairs = pairs.filter(pairs.day <= pairs.landmark)
        pairs = pairs.mutate(age=pairs.landmark.delta(pairs.day, unit="day"))
        sums = {f"{signal}_{w}": pairs.times.sum(where=pairs.age < w) for w in SIGNAL_WINDOWS}
        sums |= {f"{signal}_all": pairs.times.sum(), f"{signal}_days_since": pairs.age.min()}
        counted = pairs.group_by("member_id", "landmark").agg(**sums).to_pandas()
        counted["landmark"] = pd.to_datetime(counted["landmark"])
        frame = frame.merge(counted, "left", ["landmark", "member_id"])
        frame[list(sums)] = frame[list(sums)].astype(float)
        frame[f"{signal}_days_since"] = frame[f"{signal}_days_since"].fillna(float(LONG_AGO))
        frame[list(sums)] = frame[list(sums)].fillna(0.0)
        names += sums
    return frame.sort_values(["landmark", "member_id"], ignore_index=True), names


def with_covariates(
    frame: pd.DataFrame, covariates: ibis.Table | pd.DataFrame | None
) -> tuple[pd.DataFrame, list[str]]:
    """Add fixed covariates: numbers and flags as they are, a category as one flag per frequent value."""
    if covariates is None:
        return frame, []
    fixed = as_table(covariates).to_pandas()
    if "member_id" not in fixed:
        raise BadData(f"covariates: column member_id missing; there is {', '.join(map(str, fixed.columns))}.")
    repeated = fixed["member_id"][fixed["member_id"].duplicated()]
    if len(repeated):
        raise BadData(f"covariates: {len(repeated):,} members have two rows, such as {repeated.iloc[0]!r}.")
    fixed["member_id"] = fixed["member_id"].astype(str)
    added: dict[str, pd.Series] = {}
    joined = frame[["member_id"]].merge(fixed, "left", "member_id")
    for name in sorted(set(fixed) - {"member_id"}):
        column = joined[name]
        if pd.api.types.is_numeric_dtype(fixed[name]) or pd.api.types.is_bool_dtype(fixed[name]):
            added[name] = column.astype(float).fillna(0.0)
            continue
        values = column.dropna().astype(str)
        frequent = values.groupby(values).size()
        if len(frequent) and set(frequent.index) <= {"True", "False"}:
            added[name] = (column.astype(str) == "True").astype(float)
            continue
        for value in sorted(frequent.index[frequent >= FEWEST_IN_CATEGORY]):
            added[f"{name}={value}"] = (column.astype(str) == value).astype(float)
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1), list(added)
