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

Everything is counted inside the engine in one grouped join of member-days with the landmarks of their member. A
sample of members, drawn by a hash of their ids, is followed through all closed landmarks (members and not rows, so
that histories stay whole): as many as `MOST_MEMBERS` and `MOST_ROWS` allow. On ``as_of`` itself about `MOST_PRESENT`
at most have a row, drawn apart from them; whoever else is present gets one when asked for by name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import ones, rounded
from helpers.data.source import Dataset, as_table, local_date, of_sample, pulled
from helpers.study.enough import IN_CATEGORY
from helpers.study.frames import COUNTS, Count, as_day, materialise, require_columns

WINDOWS = (7, 14, 30, 60, 90, 180)
SIGNAL_WINDOWS = (7, 30, 90)
CREATED = ("comment", "share", "post")
"""Interactions by which a member makes something that others see."""
ACTIVE, DORMANT = "active", "dormant"
ACTIVE_DAYS = 30
"""Look-back in which a counted action makes a member active."""
MONTHS = 12
MONTHLY = range(28, 32)
"""Lengths of a window that stand for a month."""
MOST_WINDOWS = 36
"""Closed windows looked back at; the newest."""
MOST_MEMBERS, MOST_ROWS = 10_000, 75_000
"""About how many members are followed, and the rows that they make."""
MOST_PRESENT = 10_000
"""About how many of the members present on the last day have a row."""
LONG_AGO = 3650
KEYS = ["member_id", "landmark"]
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
        One row per closed landmark and member: landmark (day), member_id, state, value_all (all history), the
        `features`, silent (0 or 1); ordered by landmark and member.
    now : pandas.DataFrame
        The same on `as_of` for members present, or a sample of them, without the outcome; ordered by member.
    present : ibis.Table
        Everybody present on `as_of`: member_id, state, ever (whether there is a counted action), actions_30.
    sizes : pandas.DataFrame
        How many members are in each state, ever and actions_30 of them: members.
    features : tuple of str
        Columns that models may use.
    as_of : datetime.date
        Last day that is known.
    horizon_days, active_days : int
        Length of a window, and of the look-back that makes a member active.
    members, sampled : int
        Members at risk at some closed landmark, and how many of them are in `table`.
    """

    table: pd.DataFrame = field(repr=False)
    now: pd.DataFrame = field(repr=False)
    present: ibis.Table = field(repr=False)
    sizes: pd.DataFrame = field(repr=False)
    features: tuple[str, ...]
    as_of: dt.date
    horizon_days: int
    active_days: int
    members: int
    sampled: int
    record: _Record = field(repr=False)

    @property
    def whole(self) -> bool:
        """Whether everybody present has a row in `now`."""
        return len(self.now) == int(self.sizes["members"].sum())

    def today(self, members: ibis.Table) -> pd.DataFrame:
        """Return rows as those of `now` of members present that are asked for by member_id."""
        there = _present(self.record.people.semi_join(members, "member_id"), [self.as_of])
        frame = self.record.frame(there).drop(columns="silent")
        flags = {name: name.partition("=") for name in self.features if "=" in name}
        found = {name: (frame[of] == value).astype(float) for name, (of, _, value) in flags.items()}
        return pd.concat([frame, pd.DataFrame(found, index=frame.index)], axis=1)


def landmarks(
    rows: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    horizon_days: int = 30,
    active_days: int = ACTIVE_DAYS,
    count: Count = "interaction",
    signals: Mapping[str, ibis.Table | pd.DataFrame] | None = None,
    categories: ibis.Table | pd.DataFrame | None = None,
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
    seed : int
        Seed of the sample.

    Raises
    ------
    BadData
        When a column is missing.
    """
    day = as_day(as_of)
    acts = _columns(rows, ("member_id", "day", "kind", "action", "value"), "activity")
    acts = acts.filter(acts.day <= ibis.date(day), acts.member_id.notnull())
    acts = acts.mutate(counted=acts.kind.isin(COUNTS[count]))
    people = materialise(_columns(population, ("member_id", "joined_day", "left_day"), "population"))
    happened = {name: _signal(table, day, name) for name, table in sorted((signals or {}).items())}
    fixed = categories
    if categories is not None:
        fixed = _columns(categories, tuple(categories.columns), "categories")
    first = acts.aggregate(any=acts.day.min(), counted=acts.day.min(where=acts.counted)).to_pandas().iloc[0]
    record = _Record(acts, people, happened, fixed, first["any"], active_days, horizon_days)
    closed = _closed_landmarks(first["counted"], day, horizon_days, active_days)
    members, followed = _followed(people, closed, seed)
    present, sizes = record.states(day)
    # Drawn apart: who is predicted today is not whom the models were fitted to.
    share = MOST_PRESENT / max(int(sizes["members"].sum()), 1)
    today = of_sample(_present(people, [day]), share, seed + 1)
    frame = record.frame(ibis.union(followed, today) if closed else today)
    frame, flags = _with_flags(frame, [] if fixed is None else sorted(set(fixed.columns) - {"member_id"}))
    closed_rows = frame["landmark"] < pd.Timestamp(day)
    table = frame[closed_rows].reset_index(drop=True)
    return Landmarks(
        table=table,
        now=frame[~closed_rows].drop(columns="silent").reset_index(drop=True),
        present=present,
        sizes=sizes,
        features=(*FEATURES, *record.counts, *flags),
        as_of=day,
        horizon_days=horizon_days,
        active_days=active_days,
        members=members,
        sampled=table["member_id"].nunique(),
        record=record,
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


@dataclass(frozen=True)
class _Record:
    """What is on record up to the last day: activity, members, signals, categories, and the first day of activity."""

    acts: ibis.Table
    people: ibis.Table
    signals: Mapping[str, ibis.Table]
    categories: ibis.Table | None
    began: Any
    active_days: int
    horizon_days: int

    @property
    def counts(self) -> list[str]:
        """Names of what is counted of signals."""
        ends = (*SIGNAL_WINDOWS, "all", "days_since")
        return [f"{signal}_{end}" for signal in self.signals for end in ends]

    def frame(self, there: ibis.Table) -> pd.DataFrame:
        """Return the rows of members at landmarks (member_id, joined_day, landmark), in memory and in order.

        Only what these members did is counted.
        """
        there = materialise(there)
        who = there.select("member_id").distinct()
        found = _known(_member_days(self.acts.semi_join(who, "member_id")), there, self)
        for signal, rows in self.signals.items():
            found = _with_signal(found, signal, rows.semi_join(who, "member_id"), there)
        if self.categories is not None:
            found = found.left_join(self.categories, "member_id").drop("member_id_right")
        return _tidy(found, self.horizon_days)

    def states(self, day: dt.date) -> tuple[ibis.Table, pd.DataFrame]:
        """Return everybody present with their state, and how many there are of each; see :class:`Landmarks`."""
        counted = self.acts.filter(self.acts.counted)
        age = ibis.date(day).delta(counted.day, unit="day")
        did = counted.group_by("member_id").agg(age=age.min(), actions_30=(age < 30).sum())
        found = _present(self.people, [day]).select("member_id").left_join(did, "member_id")
        active = (found.age < self.active_days).fill_null(False)
        found = materialise(
            found.select(
                "member_id",
                state=ibis.cases((active, ACTIVE), else_=DORMANT),
                ever=found.age.notnull(),
                actions_30=found.actions_30.fill_null(0).cast("int64"),
            )
        )
        sizes = found.group_by("state", "ever", "actions_30").agg(members=found.count()).to_pandas()
        return found, sizes


def _followed(people: ibis.Table, closed: list[dt.date], seed: int) -> tuple[int, ibis.Table]:
    """Return how many members are at risk at closed landmarks, and the rows of those that are followed."""
    if not closed:
        return 0, people.limit(0)
    left = people.left_day
    times = sum(
        ones((people.joined_day <= mark) & (left.isnull() | (left > mark)).fill_null(False))
        for mark in closed
    )
    found = people.aggregate(members=(times > 0).sum(), rows=times.sum()).fill_null(0).to_pandas().iloc[0]
    members, rows = int(found["members"]), int(found["rows"])
    share = min(MOST_MEMBERS / max(members, 1), MOST_ROWS / max(rows, 1))
    return members, _present(of_sample(people, share, seed), closed)


def _member_days(rows: ibis.Table) -> ibis.Table:
    """Return one row per member and day: counted actions, orders, things made, value; stored in the engine."""
    found = rows.group_by("member_id", "day").agg(
        actions=rows.counted.sum(),
        orders=(rows.kind == "order").sum(),
        created=(rows.counted & rows.action.isin(CREATED)).sum(),
        value=rounded(rows.value.sum(), DECIMALS),
    )
    return materialise(found)


def _closed_landmarks(first: Any, day: dt.date, horizon: int, active: int) -> list[dt.date]:
    """Return the closed landmarks, oldest first: each has a whole look-back and a whole window in the log."""
    if pd.isna(first):
        return []
    earliest = pd.Timestamp(first) + pd.Timedelta(days=active - 1)
    latest = pd.Timestamp(day) - pd.Timedelta(days=horizon)
    found: list[dt.date] = []
    back = 1
    while (mark := _back(pd.Timestamp(day), back, horizon)) >= earliest and len(found) < MOST_WINDOWS:
        if mark <= latest:
            found.append(mark.date())
        back += 1
    return found[::-1]


def _back(day: pd.Timestamp, steps: int, horizon: int) -> pd.Timestamp:
    """Return the landmark a number of steps before a day."""
    if horizon not in MONTHLY:
        return day - pd.Timedelta(days=horizon * steps)
    back = day - pd.DateOffset(months=steps)
    return back + pd.offsets.MonthEnd(0) if day.is_month_end else back


def _present(people: ibis.Table, marks: list[dt.date]) -> ibis.Table:
    """Return everybody present at each landmark: member_id, joined_day, landmark."""
    frame = pd.DataFrame({"landmark": pd.Series(marks, dtype="object")})
    there = people.cross_join(ibis.memtable(frame, schema={"landmark": "date"}))
    left = there.left_day.isnull() | (there.left_day > there.landmark)
    return there.filter(there.joined_day <= there.landmark, left).drop("left_day")


def _known(days: ibis.Table, there: ibis.Table, record: _Record) -> ibis.Table:
    """Return what the log says of each member present at a landmark up to then, and who acted in the window after."""
    found = there.left_join(_history(days, there), KEYS).drop("member_id_right", "landmark_right")
    found = found.left_join(_later_actions(days, there, record.horizon_days), KEYS).drop(
        "member_id_right", "landmark_right"
    )
    began = found.joined_day
    if not pd.isna(record.began):
        began = ibis.greatest(began, ibis.date(pd.Timestamp(record.began).date()))
    first = ibis.least(found.joined_day, found.first_day.fill_null(found.joined_day))
    found = found.mutate(
        days_since_last=ibis.coalesce(found.days_since_last, found.landmark.delta(began, unit="day")),
        tenure_days=found.landmark.delta(first, unit="day"),
    )
    is_active = found.last_day.notnull() & (found.days_since_last < record.active_days)
    span = found.last_day.delta(found.first_day, unit="day")
    found = found.mutate(state=ibis.cases((is_active, ACTIVE), else_=DORMANT), span_days=span)
    return found.drop("joined_day", "first_day", "last_day")


def _up_to_landmarks(rows: ibis.Table, there: ibis.Table) -> ibis.Table:
    """Return each row of members beside each landmark not before it, with its age in days."""
    pairs = rows.inner_join(there.select(*KEYS), "member_id")
    pairs = pairs.filter(pairs.day <= pairs.landmark)
    return pairs.mutate(age=pairs.landmark.delta(pairs.day, unit="day"))


def _history(days: ibis.Table, there: ibis.Table) -> ibis.Table:
    """Return sums over each member's days up to each landmark."""
    pairs = _up_to_landmarks(days, there).mutate(acted=ibis._.actions > 0)
    sums: dict[str, ibis.Value] = {
        "first_day": pairs.day.min(where=pairs.acted),
        "last_day": pairs.day.max(where=pairs.acted),
        "days_since_last": pairs.age.min(where=pairs.acted),
        "active_days_all": pairs.acted.sum(),
        "actions_all": pairs.actions.sum(),
        "actions_before_30": pairs.actions.sum(where=(pairs.age >= 30) & (pairs.age < 60)),
        "active_periods": (pairs.age // 30).nunique(where=pairs.acted & (pairs.age < 30 * MONTHS)),
        "value_90": rounded(pairs.value.sum(where=pairs.age < 90), DECIMALS),
        "value_all": rounded(pairs.value.sum(), DECIMALS),
        "orders_lately": pairs.orders.sum(where=pairs.age < 90),
        "created_lately": pairs.created.sum(where=pairs.age < 90),
    }
    for width in WINDOWS:
        sums[f"active_days_{width}"] = (pairs.acted & (pairs.age < width)).sum()
        sums[f"actions_{width}"] = pairs.actions.sum(where=pairs.age < width)
    return pairs.group_by(KEYS).agg(**sums)


def _later_actions(days: ibis.Table, there: ibis.Table, horizon: int) -> ibis.Table:
    """Return who acted in the window after each landmark."""
    pairs = days.filter(days.actions > 0).inner_join(there.select(*KEYS), "member_id")
    age = pairs.day.delta(pairs.landmark, unit="day")
    late = pairs.filter(age > 0, age <= horizon)
    return late.group_by(KEYS).agg(later=late.actions.sum())


def _tidy(found: ibis.Table, horizon: int) -> pd.DataFrame:
    """Bring the rows to pandas, what did not happen as 0, and derive gaps, trend and the outcome."""
    schema = found.schema().items()
    numbers = {
        name: "int32" if kind.is_integer() else "float64" for name, kind in schema if kind.is_numeric()
    }
    filled = {name: found[name].cast(kind).fill_null(0) for name, kind in numbers.items()}
    frame = pulled(found.mutate(**filled)).sort_values(["landmark", "member_id"], ignore_index=True)
    gap = frame["span_days"] / (frame["active_days_all"] - 1).where(frame["active_days_all"] > 1)
    frame["usual_gap"] = np.round(gap.fillna(float(horizon)), DECIMALS)
    frame["relative_silence"] = np.round(frame["days_since_last"] / (frame["usual_gap"] + 1), DECIMALS)
    frame["trend"] = np.round(np.log((frame["actions_30"] + 1) / (frame["actions_before_30"] + 1)), DECIMALS)
    counted, orders = np.maximum(frame["actions_90"], 1), frame["orders_lately"]
    frame["orders_share_90"] = np.round(orders / (counted + orders), DECIMALS)
    frame["created_share_90"] = np.round(frame["created_lately"] / counted, DECIMALS)
    frame["silent"] = (frame["later"] == 0).astype(int)
    return frame.drop(columns=["later", "orders_lately", "created_lately", "span_days"])


def _signal(table: ibis.Table | pd.DataFrame, day: dt.date, name: str) -> ibis.Table:
    """Return the rows of a signal up to a day."""
    rows = _columns(table, ("member_id", "day"), f"signal {name}")
    return rows.filter(rows.day <= ibis.date(day), rows.member_id.notnull())


def _with_signal(found: ibis.Table, signal: str, rows: ibis.Table, there: ibis.Table) -> ibis.Table:
    """Count a signal before each landmark."""
    days = materialise(rows.group_by("member_id", "day").agg(times=rows.count()))
    pairs = _up_to_landmarks(days, there)
    sums = {f"{signal}_{w}": pairs.times.sum(where=pairs.age < w) for w in SIGNAL_WINDOWS}
    sums |= {f"{signal}_all": pairs.times.sum(), f"{signal}_days_since": pairs.age.min()}
    found = found.left_join(pairs.group_by(KEYS).agg(**sums), KEYS).drop("member_id_right", "landmark_right")
    since = f"{signal}_days_since"
    return found.mutate(**{since: found[since].fill_null(LONG_AGO)})


def _with_flags(frame: pd.DataFrame, categories: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Put one flag per frequent value in place of each category."""
    flags = dict[str, pd.Series]()
    for name in categories:
        sizes = frame[name].value_counts()
        for value in sorted(sizes.index[sizes >= IN_CATEGORY]):
            flags[f"{name}={value}"] = (frame[name] == value).astype(float)
    return pd.concat([frame.drop(columns=categories), pd.DataFrame(flags, index=frame.index)], axis=1), list(
        flags
    )
