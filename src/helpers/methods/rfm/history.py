"""Tier history: which tier every member was in, in every complete calendar period, as counts.

A period is a calendar month, quarter or week (Monday to Sunday) in the report's time zone. A member is
*present* in a period when they joined before it began and had not left by its last day; only present members
have a tier, so a member who is seen for three days is not taken for a silent one. A
period that ends after the study's last day is never used. Members who arrive or go are not dropped: they are the
states ``(joined)`` and ``(left)`` of :attr:`TierHistory.flows`, so that the sizes of two periods always add up.

The engine does the counting; only counts of members by state reach pandas. Only operations that every engine has in
the same meaning are used: joins, window functions and grouped counts. Days are compared as whole numbers, because
date differences are not the same everywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from ibis import _
from numpy.typing import NDArray

from helpers.checks import check_scalar
from helpers.data.dialect import VALUE_DECIMALS, rounded, stored
from helpers.methods.rfm.scores import SCORE_COLUMNS, bin_score
from helpers.methods.rfm.tiers import TierScheme, value_quantile
from helpers.playbook.result import Result
from helpers.sentences import people, say
from helpers.study import Study
from helpers.study.frames import COUNTS, Count
from helpers.tables import Table

FREQUENCIES = {"month": "M", "quarter": "Q", "week": "W-SUN"}
LONGEST = {"month": 31, "quarter": 92, "week": 7}
JOINED = "(joined)"
LEFT = "(left)"
COUNTED = ("frequency", "monetary", "active_days")


@dataclass(frozen=True, repr=False)
class TierHistory(Result):
    """Counts of members by tier and period, and of their moves.

    Attributes
    ----------
    scheme : TierScheme
        The tiers and their rules.
    period : str
        ``"month"``, ``"quarter"`` or ``"week"``.
    calendar : pandas.DataFrame
        One row per calendar period looked at: period, start, end (last day), used, reason.
    counts : array of shape (periods, tiers)
        Members present for the whole of each period, by tier.
    moves : array of shape (pairs of periods, tiers and newcomers, tiers and leaving)
        Members by what they were in a period and in the next one. Newcomers joined during the earlier period and
        were still there at its end.
    passages : pandas.DataFrame
        from_tier (first tier seen), periods, reached, members: periods until the top tier was first reached,
        or until the end of the history for those who did not reach it. That includes members who left: they
        cannot reach it any more, and are counted so.
    newcomers : int
        Members who joined during the last period and were there at its end; they are in no tier yet.
    outside : int
        Members of the population who were never present for a whole used period.
    """

    scheme: TierScheme
    period: str
    calendar: pd.DataFrame
    counts: NDArray[np.float64]
    moves: NDArray[np.float64]
    passages: pd.DataFrame
    newcomers: int
    outside: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Tiers from lowest to highest."""
        return self.scheme.labels

    @property
    def periods(self) -> list[str]:
        """The periods used, in order."""
        return self.calendar.loc[self.calendar["used"], "period"].tolist()

    @property
    def members(self) -> int:
        """Members present all of the last period."""
        return int(self.counts[-1].sum()) if self.periods else 0

    smallest = members

    @property
    def scope(self) -> str:
        """Whom and when it is about."""
        text = "{whom}, complete {period}s up to {day}"
        return say(text, whom=self.whom, period=self.period, day=self.study.as_of)

    @property
    def sentence(self) -> str:
        """What the history covers, and what it leaves out."""
        used = self.periods
        text = "Too little data: no complete {period} is covered."
        ends = {}
        if used:
            text = "Tiers of {n} complete {period}s, {first} to {last}; {members} members are in the last."
            if len(used) == 1:
                text = "Tiers of one complete {period}, {last}, with {members} members."
            few = people(self.members, self.study.k_min)
            ends = {"n": len(used), "first": used[0], "last": used[-1], "members": few}
        parts = [self.scheme.why, say(text, period=self.period, **ends)]
        parts += [
            say("{period} is not used ({reason}).", period=row.period, reason=row.reason)
            for row in self.calendar[~self.calendar["used"]].itertuples()
        ]
        if self.outside:
            text = "{n} members were in no whole period: they joined too late or left too early."
            parts.append(say(text, n=people(self.outside, self.study.k_min)))
        return " ".join(filter(None, parts))

    def tables(self) -> Iterator[Table]:
        """Yield the rules."""
        caption = say("Rules of “{title}”", title=self.scheme.title)
        yield Table("tier_rules", self.scheme.rules_table(), caption)


def tier_history(
    study: Study, scheme: TierScheme, period: str = "month", window_days: int = 0
) -> TierHistory:
    """Return the tier of every member in every complete calendar period, as counts.

    Parameters
    ----------
    study : Study
        Activity and population, the last day that counts, and the first day that the log covers.
    scheme : TierScheme
        Ordered tiers and their rules.
    period : str
        ``"month"``, ``"quarter"`` or ``"week"``.
    window_days : int
        Measure R, F and M over this many days up to each period's end; 0 is the window that the scheme is meant for,
        or the period where that is longer.

    Raises
    ------
    ValueError
        When an argument is out of bounds or the scheme uses the label ``(joined)`` or ``(left)``.
    """
    check_scalar(period, "period", in_=sorted(FREQUENCIES))
    labels = scheme.labels
    if clash := {JOINED, LEFT} & set(labels):
        raise ValueError(f"scheme {scheme.name!r} uses the reserved labels {sorted(clash)}.")
    log, members = study.activity, study.population
    if not window_days and (scheme.window_days or 0) > LONGEST[period]:
        window_days = scheme.window_days or 0
    first, end = _covered(log.filter(log.day <= ibis.date(study.as_of)))
    calendar = _calendar(study.history_from or first, end, period, study.as_of, window_days)
    used = calendar[calendar["used"]].reset_index(drop=True)
    # Kept inside the engine, so that the log is read once.
    days = days_of_periods(used, first or study.as_of)
    states = stored(member_states(log, members, scheme, used, days, study.count))
    whole = states.filter(states.state != JOINED)
    tables = _tables(counted_moves(states).to_pandas(), labels, len(used))
    counts, newcomers = tables[:, :-1].sum(axis=2), int(tables[-1:, -1].sum())
    passages = _passages(whole, labels[-1], len(used))
    outside = int(members.count().execute() - whole.member_id.nunique().execute())
    return TierHistory(study, scheme, period, calendar, counts, tables[:-1], passages, newcomers, outside)


def _covered(log: ibis.Table) -> tuple[dt.date | None, dt.date | None]:
    """Return the first and the last day of a log, None when it is empty."""
    ends = log.aggregate(first=log.day.min(), last=log.day.max()).to_pandas().iloc[0]
    if pd.isna(ends["first"]):
        return None, None
    return pd.Timestamp(ends["first"]).date(), pd.Timestamp(ends["last"]).date()


def _calendar(
    first: dt.date | None, last: dt.date | None, period: str, as_of: dt.date, window_days: int
) -> pd.DataFrame:
    """Return the calendar periods from the first day covered to `as_of`, and why any is not used."""
    columns, rows = ["period", "start", "end", "window_start", "used", "reason"], []
    if first is None or last is None:
        return pd.DataFrame(columns=columns).astype({"used": bool})
    for one in pd.period_range(first, as_of, freq=FREQUENCIES[period]):
        start, end = one.start_time.date(), one.end_time.date()
        window_start = end - dt.timedelta(days=window_days - 1) if window_days else start
        reason = ""
        if end > as_of:
            reason = say("ends after {day}", day=as_of)
        elif min(window_start, start) < first:
            reason = say("what decides its tiers begins before the first day of the data, {day}", day=first)
        elif start > last:
            reason = say("no activity of anyone; the data end on {day}", day=last)
        name = one.start_time.strftime("%G-W%V") if period == "week" else str(one)
        rows.append((name, start, end, window_start, not reason, reason))
    return pd.DataFrame(rows, columns=columns).astype({"used": bool})


def days_of_periods(used: pd.DataFrame, first: dt.date) -> ibis.Table:
    """Return a small table of (day, day_number, position, in_window): which days count for which period.

    A day counts towards the window of a period (frequency, monetary), or only towards how recent the last
    activity was: then it belongs to the period it lies in, or to the first one when it lies before all.
    """
    rows = []
    for position, (window_start, end) in enumerate(zip(used["window_start"], used["end"], strict=True)):
        begin = min(window_start, first)
        days = pd.date_range(begin, end).date
        rows += [(day, day.toordinal(), position, window_start <= day) for day in days]
        first = end + dt.timedelta(days=1)
    types = {"day": "date", "day_number": "int64", "position": "int64", "in_window": "boolean"}
    return ibis.memtable(pd.DataFrame(rows, columns=list(types)), schema=types)


def member_states(
    log: ibis.Table,
    members: ibis.Table,
    scheme: TierScheme,
    used: pd.DataFrame,
    days: ibis.Table,
    count: Count,
) -> ibis.Table:
    """Return member_id, position and state, for members who are there at the end of the period.

    A member's rows follow each other without a gap: (joined) at most once, then a tier in every whole period.
    """
    rows = [
        (place, *ends, ends[1].toordinal())
        for place, ends in enumerate(zip(used["start"], used["end"], strict=True))
    ]
    types = {"position": "int64", "start": "date", "end": "date", "end_number": "int64"}
    periods = ibis.memtable(pd.DataFrame(rows, columns=list(types)), schema=types)
    grid = members.select("member_id", "joined_day", "left_day").cross_join(periods)
    measured = _measured(log, days, count, "active_days" in scheme.uses)
    values = grid.left_join(measured, ["member_id", "position"]).drop("member_id_right", "position_right")
    so_far = ibis.window(group_by="member_id", order_by="position", preceding=None, following=0)
    numbers = {name: values[name].fill_null(0) for name in COUNTED if name in measured.columns}
    values = values.mutate(**numbers, recency_days=values.end_number - values.last_day.max().over(so_far))
    there = values.filter(
        values.joined_day <= values.end, values.left_day.isnull() | (values.left_day > values.end)
    )
    there = _relative(there.mutate(whole=there.joined_day < there.start), scheme)
    state = ibis.cases((there.whole, scheme.expression(there)), else_=JOINED)
    return there.mutate(state=state).select("member_id", "position", "state")


def _measured(log: ibis.Table, days: ibis.Table, count: Count, active_days: bool) -> ibis.Table:
    """Return frequency, monetary, last counted day and, if asked for, active days by member and period."""
    joined = log.inner_join(days, "day")
    counted = joined.kind.isin(COUNTS[count])
    hit = joined.in_window & counted
    extra = {"active_days": joined.day_number.nunique(where=hit)} if active_days else {}
    monetary = joined.value.sum(where=joined.in_window)
    return joined.group_by("member_id", "position").aggregate(
        frequency=joined.count(where=hit).cast("int64"),
        monetary=rounded(monetary, VALUE_DECIMALS),
        last_day=joined.day_number.max(where=counted),
        **extra,
    )


def _relative(members: ibis.Table, scheme: TierScheme) -> ibis.Table:
    """Add the columns of the scheme that compare a member with the others present in the same period."""
    period = [members.position, members.whole]
    used = {s: members[c] for c, s in SCORE_COLUMNS.items() if s in scheme.uses}
    added = {s: bin_score(column, scheme.bins, period) for s, column in used.items()}
    if "value_quantile" in scheme.uses:
        added["value_quantile"] = value_quantile(members.monetary, period)
    return members.mutate(**added)


def counted_moves(states: ibis.Table) -> ibis.Table:
    """Return counts of members by position, state and the state after it (null when gone or over)."""
    order = ibis.window(group_by="member_id", order_by="position")
    moved = states.mutate(after=states.state.lead(1).over(order))
    return moved.group_by(["position", "state", "after"]).aggregate(n=_.count())


def _passages(whole: ibis.Table, highest: str, n: int) -> pd.DataFrame:
    """Return, by the first tier a member was seen in, the periods until the top tier or the end."""
    ends = whole.group_by("member_id").aggregate(
        begin=_.position.min(), top=whole.position.min(where=whole.state == highest)
    )
    start = whole.select("member_id", begin=whole.position, from_tier=whole.state)
    each = ends.inner_join(start, ["member_id", "begin"]).filter(_.from_tier != highest)
    each = each.mutate(reached=_.top.notnull(), periods=_.top.fill_null(n - 1) - _.begin)
    return each.group_by("from_tier", "periods", "reached").aggregate(members=_.count()).to_pandas()


def _tables(moves: pd.DataFrame, labels: Sequence[str], periods: int) -> NDArray[np.float64]:
    """Return counts by period, tier (newcomers last) and the one after it (last: gone or over)."""
    places = {label: place for place, label in enumerate(labels)} | dict.fromkeys((JOINED, LEFT), len(labels))
    found = np.zeros((periods, len(labels) + 1, len(labels) + 1))
    before, after = (moves[name].fillna(LEFT).map(places).astype(int) for name in ("state", "after"))
    np.add.at(found, (moves["position"], before, after), moves["n"])
    return found
