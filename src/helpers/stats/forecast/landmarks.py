"""Person-period rows: what was known of each member on a landmark day, and what the next period brought.

A landmark L is the last day that is known; its window is the `horizon_days` calendar days after it, ``(L, L + h]``.
Landmarks are laid back from ``as_of`` and no window reaches beyond it. With ``step="month"`` they lie at the same
place of earlier months (the last day, when `as_of` is one), so that pay days and monthly campaigns meet every window
alike; windows then overlap by up to two days after February. With ``step="horizon"`` they tile the history without
overlap. Every covariate is a function of rows with day <= L alone
(landmarking, van Houwelingen 2007, Scandinavian Journal of Statistics 34): there is no future to leak.

States and outcomes
-------------------
- A member present on L (joined by then, not left) is ``active`` with a counted action in the last `active_days` days
  up to L, else ``dormant``; who never acted is dormant since joining, as far as the log goes back.
- ``silent`` is 1 when there is no counted action in the window, ``left`` is 1 when the member left in it. Somebody
  who leaves without another action is both.

There is no calendar covariate: with a dozen windows a season cannot be told from chance. What a window has in
common is left to the intercept (:mod:`helpers.stats.forecast.hazard`).

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

from helpers.checks import check_scalar
from helpers.data.source import Dataset, local_date
from helpers.sentences import number, percent, say
from helpers.stats.forecast.period_features import (
    ACTIVE,
    DORMANT,
    FEATURES,
    columns_of,
    known_members,
    later_actions,
    member_days,
    signal_days,
    tidy,
    with_covariates,
    with_signals,
)
from helpers.study.frames import COUNTS, Count, as_day, materialise

__all__ = [
    "ACTIVE",
    "DORMANT",
    "FEATURES",
    "Landmarks",
    "landmarks",
    "standard_covariates",
    "standard_signals",
]


@dataclass(frozen=True)
class Landmarks:
    """Person-period rows of closed windows, and the rows of today.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per closed landmark and member: landmark (day), member_id, state, the `features`, silent and left
        (0 or 1), first_day and last_day of activity, value_all (all history); ordered by landmark and member.
    now : pandas.DataFrame
        The same on `as_of` for everybody present, without outcomes.
    windows : pandas.DataFrame
        One row per closed landmark: landmark, closed (last day of the window), active, silent, dormant, returned,
        left (members in `table`).
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
    dormant : bool
        Whether dormant members are among the rows.
    members, sampled : int
        Members at risk at some closed landmark, and how many of them are in `table`.
    """

    table: pd.DataFrame = field(repr=False)
    now: pd.DataFrame = field(repr=False)
    windows: pd.DataFrame
    features: tuple[str, ...]
    member_days: ibis.Table = field(repr=False)
    as_of: dt.date
    horizon_days: int
    active_days: int
    count: Count
    dormant: bool
    members: int
    sampled: int

    @property
    def sentence(self) -> str:
        """How many windows there are, and how many active members fell silent in them."""
        n, silent = (int(self.windows[name].sum()) for name in ("active", "silent"))
        if not n:
            text = "No closed window of {h} days with active members before {day}: too little data."
            return say(text, h=self.horizon_days, day=self.as_of)
        text = (
            "{w} closed windows of {h} days up to {day}: of {n} times a member was active in the {a} days before, "
            "{s} ({share}) were followed by {h} days of silence."
        )
        values = {"w": len(self.windows), "h": self.horizon_days, "day": self.as_of, "a": self.active_days}
        text = say(text, **values, n=number(n), s=number(silent), share=percent(silent / n))
        return f"{text} {self.sample_sentence}".rstrip()

    @property
    def sample_sentence(self) -> str:
        """On how many members the rows of closed windows rest, when not on all; else nothing."""
        if self.sampled >= self.members:
            return ""
        text = "Counted on a random sample of {k} of {m} members."
        return say(text, k=number(self.sampled), m=number(self.members))


def landmarks(
    rows: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    horizon_days: int = 30,
    active_days: int = 30,
    count: Count = "interaction",
    dormant: bool = False,
    signals: Mapping[str, ibis.Table | pd.DataFrame] | None = None,
    covariates: ibis.Table | pd.DataFrame | None = None,
    step: Literal["auto", "month", "horizon"] = "auto",
    max_windows: int = 36,
    max_members: int = 50_000,
    seed: int = 0,
) -> Landmarks:
    """Return the person-period rows of a community.

    Parameters
    ----------
    rows : ibis.Table or pandas.DataFrame
        Activity, as made by :func:`helpers.study.activity.activity`.
    population : ibis.Table or pandas.DataFrame
        As made by :func:`helpers.study.activity.population` for the same day.
    as_of : date or str
        Last day that is known; nothing after it is looked at.
    horizon_days, active_days : int
        Length of a window, and the look-back that makes a member active.
    count : {"interaction", "order", "all"}
        Which actions break silence.
    dormant : bool
        Whether to keep dormant members too, for the model of return.
    signals : mapping of str to table, optional
        Things that happen to a member or that do not count as activity: per name a table with member_id and day,
        one row per happening (see :func:`standard_signals`). They are counted over 7, 30 and 90 days and in all.
    covariates : table, optional
        One row per member with member_id and what was known when it joined, as numbers, flags or categories.
    step : {"auto", "month", "horizon"}
        How landmarks are laid back; "auto" means months for a horizon of 28 to 31 days.
    max_windows : int
        How many closed windows to look back at most, newest kept.
    max_members, seed : int
        Largest number of members followed, and the seed of the sample.

    Raises
    ------
    BadData
        When a column is missing or a covariate table has two rows for a member.
    """
    for value, name in (
        (horizon_days, "horizon_days"),
        (active_days, "active_days"),
        (max_members, "max_members"),
    ):
        check_scalar(value, name, type_=int, ge=1)
    check_scalar(count, "count", in_=COUNTS)
    check_scalar(step, "step", in_=("auto", "month", "horizon"))
    monthly = step == "month" or (step == "auto" and 28 <= horizon_days <= 31)
    day = as_day(as_of)
    days = member_days(
        columns_of(rows, ("member_id", "day", "kind", "action", "value"), "activity"), day, count
    )
    people = materialise(columns_of(population, ("member_id", "joined_day", "left_day"), "population"))
    marks = _marks(days, day, horizon_days, active_days, max_windows, monthly)
    found = known_members(days, people, [*marks, day], active_days, dormant)
    happened = {name: signal_days(table, day, name) for name, table in sorted((signals or {}).items())}
    found, members, sampled = _followed(found, day, max_members, seed)
    frame = tidy(
        found.left_join(later_actions(days, marks, horizon_days), ["member_id", "landmark"]), horizon_days
    )
    frame, names = with_signals(frame, happened, [*marks, day])
    frame, more = with_covariates(frame, covariates)
    closed = frame["landmark"] < pd.Timestamp(day)
    table = frame[closed].reset_index(drop=True)
    now = frame[~closed].drop(columns=["silent", "left"]).reset_index(drop=True)
    return Landmarks(
        table=table,
        now=now,
        windows=_windows(table, horizon_days),
        features=(*FEATURES, *names, *more),
        member_days=days.filter(days.actions > 0).select("member_id", "day", "value"),
        as_of=day,
        horizon_days=horizon_days,
        active_days=active_days,
        count=count,
        dormant=dormant,
        members=members,
        sampled=sampled,
    )


def _followed(found: ibis.Table, day: dt.date, max_members: int, seed: int) -> tuple[ibis.Table, int, int]:
    """Return the rows of the members followed, everybody's of today, and how many there are and are followed.

    Ids come to memory only when there are too many members and a sample has to be drawn.
    """
    past, today = found.landmark < ibis.date(day), found.landmark == ibis.date(day)
    members = int(found.filter(past).member_id.nunique().execute())
    if members <= max_members:
        return found, members, members
    ids = found.filter(past).select("member_id").distinct().to_pandas()["member_id"]
    kept = _sample(ids, max_members, seed)
    inside = found.semi_join(ibis.memtable(pd.DataFrame({"member_id": kept})), "member_id")
    sampled = ibis.union(inside.filter(inside.landmark < ibis.date(day)), found.filter(today))
    return sampled, members, len(kept)


def standard_signals(dataset: Dataset, *, report_tz: str = "Asia/Shanghai") -> dict[str, ibis.Table]:
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


def standard_covariates(dataset: Dataset) -> ibis.Table | None:
    """Return what the members table says of the time of joining: source and home platform.

    Only what is known on that day: a column filled later is a look ahead at every earlier landmark. Age, gender
    and region are left out, because whom to call back should not rest on them.
    """
    if "members" not in dataset:
        return None
    names = [name for name in ("source", "platform_home") if name in dataset.members.columns]
    return dataset.members.select("member_id", *names) if names else None


def _marks(
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


def _windows(table: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return one row per closed landmark with the members at risk and what became of them."""
    active = table["state"] == ACTIVE
    counts = pd.DataFrame(
        {
            "active": active.astype(int),
            "silent": (active & (table["silent"] == 1)).astype(int),
            "dormant": (~active).astype(int),
            "returned": (~active & (table["silent"] == 0)).astype(int),
            "left": table["left"],
        }
    )
    found = counts.groupby(table["landmark"]).sum().reset_index()
    found.insert(1, "closed", found["landmark"] + pd.Timedelta(days=horizon))
    return found


def _sample(ids: pd.Series, most: int, seed: int) -> list[str]:
    ordered = sorted(ids.dropna())
    drawn = np.random.default_rng(seed).choice(len(ordered), most, replace=False)
    return [ordered[i] for i in sorted(drawn)]
