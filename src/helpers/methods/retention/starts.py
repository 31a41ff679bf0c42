"""Day 0 of every member, and which windows after it were observed and active, counted in the engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import ibis
import pandas as pd

from helpers.errors import BadData
from helpers.methods.retention.definitions import Target
from helpers.study.days import checked, counted, day_number, number_of, stays
from helpers.study.frames import NOT_STATED, Count

SECONDS = 86_400
CLOCKS = ("calendar", "hours")
STARTS = ("joined", "first_activity")
COHORTS = {"week": "W", "month": "M"}


@dataclass(frozen=True)
class Question:
    """What is asked of retention, checked: see :func:`helpers.methods.retention.day_n.retention`."""

    windows: tuple[Target, ...]
    as_of: dt.date
    history_from: dt.date
    start: str
    recurring: bool
    clock: str
    cohort: str | None
    segments: tuple[str, ...]
    count: Count
    report_tz: str

    @property
    def unit(self) -> int:
        """Length of a day on the clock: 1 for calendar days, 86,400 seconds for 24-hour days."""
        return 1 if self.clock == "calendar" else SECONDS

    def edge(self, day: dt.date) -> int:
        """Return the beginning of a calendar day on the clock."""
        if self.clock == "calendar":
            return number_of(day)
        return int(dt.datetime.combine(day, dt.time(), ZoneInfo(self.report_tz)).timestamp())

    @property
    def end(self) -> int:
        """The first moment on the clock that was not observed any more."""
        return self.edge(self.as_of + dt.timedelta(days=1))

    @property
    def begin(self) -> int:
        """The first moment on the clock that was observed."""
        return self.edge(self.history_from)


def check_clock(start: str, clock: str, cohort: str | None) -> None:
    """Refuse names that are not known."""
    checked(start, "start", in_=STARTS)
    checked(clock, "clock", in_=CLOCKS)
    if cohort is not None:
        checked(cohort, "cohort", in_=tuple(COHORTS))


def observed_starts(
    activity: ibis.Table | pd.DataFrame, population: ibis.Table | pd.DataFrame | None, question: Question
) -> ibis.Table:
    """Return one row per start: member_id, origin (on the clock), the keys, and what each window held.

    For window number k: ``ripe_k`` (1 when it was observed to its end), ``unripe_k`` (1 when it will be),
    ``kept_k`` (1 when it is ripe and held an active day).
    """
    actions = _actions(activity, population, question)
    starts = _starts(actions, population, question)
    held = starts.select("member_id", "origin").inner_join(actions, "member_id")
    passed = (held.moment - held.origin).cast("int64")
    held = held.mutate(passed=passed).filter(passed >= 0)
    # Only differences of at least 0 are divided: engines round negative ones differently.
    held = held.mutate(day=(held.passed // question.unit).cast("int64"))
    hits = {f"hit_{k}": _inside(held.day, window).max() for k, window in enumerate(question.windows)}
    found = held.group_by("member_id", "origin").agg(**hits)
    joined = starts.left_join(found, ["member_id", "origin"]).drop("member_id_right", "origin_right")
    return joined.mutate(**_flags(joined, question))


def _inside(day: ibis.Value, window: Target) -> ibis.Value:
    inside = day >= window.first
    if window.last is not None:
        inside = inside & (day <= window.last)
    return ibis.cases((inside, 1), else_=0)


def _flags(rows: ibis.Table, question: Question) -> dict[str, ibis.Value]:
    flags: dict[str, ibis.Value] = {}
    for k, window in enumerate(question.windows):
        seen = rows.origin + window.first * question.unit >= question.begin
        ripe = rows.origin + (window.needed + 1) * question.unit <= question.end
        flags[f"ripe_{k}"] = ibis.cases((seen & ripe, 1), else_=0)
        flags[f"unripe_{k}"] = ibis.cases((seen & ~ripe, 1), else_=0)
        flags[f"kept_{k}"] = ibis.cases((seen & ripe, rows[f"hit_{k}"].fill_null(0)), else_=0)
    return flags


def _actions(
    activity: ibis.Table | pd.DataFrame, population: ibis.Table | pd.DataFrame | None, question: Question
) -> ibis.Table:
    """Return member_id, day, moment (on the clock) of what counts, until `as_of` and until leaving."""
    rows = counted(activity, question.count)
    rows = rows.filter(rows.day <= ibis.date(question.as_of))
    if question.clock == "calendar":
        rows = rows.select("member_id", "day").distinct()
        rows = rows.mutate(moment=day_number(rows.day))
    else:
        if "ts" not in rows.columns:
            raise BadData("activity: column ts missing; 24-hour days need the instant of every action.")
        rows = rows.select("member_id", "day", moment=_seconds(rows.ts)).distinct()
    if population is None:
        return rows
    stay = stays(population).select("member_id", "left_day")
    rows = rows.inner_join(stay, "member_id")
    rows = rows.filter(rows.left_day.isnull() | (rows.day <= rows.left_day))
    return rows.select("member_id", "day", "moment")


def _seconds(instant: ibis.Value) -> ibis.Value:
    return instant.cast("timestamp").epoch_seconds().cast("int64")


def _starts(
    actions: ibis.Table, population: ibis.Table | pd.DataFrame | None, question: Question
) -> ibis.Table:
    """Return member_id, origin (on the clock), cohort and segments of every start."""
    extra = list(question.segments)
    if population is None:
        people = None
    elif question.start == "joined" and not question.recurring and question.clock == "hours":
        people = stays(population, (*question.segments, "joined_at"))
    else:
        people = stays(population, question.segments)
    if question.start == "joined" and not question.recurring:
        assert people is not None
        people = people.filter(people.joined_day <= ibis.date(question.as_of))
        origin = _seconds(people.joined_at) if question.clock == "hours" else day_number(people.joined_day)
        starts = people.mutate(origin=origin, day=people.joined_day)
    else:
        starts = _active_starts(actions, people, question)
    starts = starts.mutate(
        cohort=starts.day.truncate(COHORTS[question.cohort]) if question.cohort else ibis.null("date"),
        **{name: starts[name].cast("string").fill_null(NOT_STATED) for name in extra},
    )
    return starts.select("member_id", "origin", "cohort", *extra)


def _active_starts(actions: ibis.Table, people: ibis.Table | None, question: Question) -> ibis.Table:
    keys = ["member_id", "day"] if question.recurring else ["member_id"]
    first = {"origin": actions.moment.min()}
    if not question.recurring:
        first["day"] = actions.day.min()
    starts = actions.group_by(keys).agg(**first)
    if people is None:
        return starts
    starts = starts.inner_join(people, "member_id")
    if question.recurring:
        return starts
    # Who joined before the log begins has an earlier first activity that nobody wrote down.
    return starts.filter(starts.joined_day >= ibis.date(question.history_from))


def counts(rows: ibis.Table, keys: Sequence[str], question: Question) -> pd.DataFrame:
    """Return one row per cell of `keys` and window: starts, members, n, unripe, x and the sums over members."""
    each = [f"{name}_{k}" for name in ("ripe", "unripe", "kept") for k in range(len(question.windows))]
    by_member = rows.group_by("member_id", *keys).agg(
        starts=rows.count(), **{name: rows[name].sum().cast("float64") for name in each}
    )
    sums = {"members": by_member.count(), "starts": by_member.starts.sum()}
    for k in range(len(question.windows)):
        n, x = by_member[f"ripe_{k}"], by_member[f"kept_{k}"]
        sums |= {f"n_{k}": n.sum(), f"x_{k}": x.sum(), f"unripe_{k}": by_member[f"unripe_{k}"].sum()}
        sums |= {f"xx_{k}": (x * x).sum(), f"xn_{k}": (x * n).sum(), f"nn_{k}": (n * n).sum()}
        sums |= {f"clusters_{k}": ibis.cases((n > 0, 1), else_=0).sum()}
    grouped = by_member.group_by(list(keys)).agg(**sums) if keys else by_member.aggregate(**sums)
    wide = grouped.to_pandas()
    # Sums over no rows at all are missing.
    wide[list(sums)] = wide[list(sums)].astype("float64").fillna(0.0)
    return _long(wide, list(keys), len(question.windows))


def _long(wide: pd.DataFrame, keys: list[str], windows: int) -> pd.DataFrame:
    names = ["n", "x", "unripe", "xx", "xn", "nn", "clusters"]
    parts = []
    for k in range(windows):
        part = wide[[*keys, "members", "starts", *[f"{name}_{k}" for name in names]]]
        part = part.rename(columns={f"{name}_{k}": name for name in names})
        parts.append(part.assign(window=k))
    frame = pd.concat(parts, ignore_index=True)
    whole = ["members", "starts", *names]
    frame = frame.astype({name: "int64" for name in whole})
    return frame.sort_values([*keys, "window"], ignore_index=True)
