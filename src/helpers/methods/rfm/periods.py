"""Tier history: which tier every member was in, in every complete calendar period, as counts.

A period is a calendar month, quarter or week (Monday to Sunday) in the report's time zone. A member is
*present* in a period when they joined before it began and had not left by its last day; only present members
have a tier, so a member who is seen for three days is not taken for a silent one. A
period that ends after `as_of` is never used. Members who arrive or go are not dropped: they are the states
``(joined)`` and ``(left)`` of :attr:`TierHistory.flows`, so that the sizes of two periods always add up.

The engine does the counting; only counts of members by state reach pandas.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.source import as_table
from helpers.methods.rfm.states import (
    JOINED,
    LEFT,
    count_outside,
    count_passages,
    counted_moves,
    covered,
    days_of_periods,
    member_states,
)
from helpers.methods.rfm.tiers import TierScheme
from helpers.sentences import say
from helpers.study.frames import COUNTS, Count, as_day, require_columns

FREQUENCIES = {"month": "M", "quarter": "Q", "week": "W-SUN"}


@dataclass(frozen=True)
class TierHistory:
    """Counts of members by tier and period, and of their moves.

    Attributes
    ----------
    scheme : str
        Name of the tier scheme.
    labels : tuple of str
        Tiers from lowest to highest.
    period : str
        ``"month"``, ``"quarter"`` or ``"week"``.
    calendar : pandas.DataFrame
        One row per calendar period looked at: period, start, end (last day), used, reason.
    sizes : pandas.DataFrame
        period, tier, members, present (all present members of the period), share.
    flows : pandas.DataFrame
        period (the later one), from_state, to_state, n. States are the tiers, ``(joined)`` for members who
        joined during the earlier period and were still there at its end, and ``(left)``.
    triples : pandas.DataFrame
        period (the last of three), first, second, third, n: tiers in three successive periods.
    passages : pandas.DataFrame
        from_tier (first tier seen), periods, reached, members: periods until the top tier was first reached,
        or until the end of the history for those who did not reach it. That includes members who left: they
        cannot reach it any more, and are counted so.
    newcomers : int
        Members who joined during the last period and were there at its end; they are in no tier yet.
    outside : pandas.DataFrame
        reason, members: members of the population who were never present for a whole used period.
    as_of : datetime.date
        Day the history was cut at.
    report_tz : str
        Time zone of the calendar days.
    window_days : int or None
        Length of the trailing window that R, F and M were measured over; None is the period itself.
    """

    scheme: str
    labels: tuple[str, ...]
    period: str
    calendar: pd.DataFrame
    sizes: pd.DataFrame
    flows: pd.DataFrame
    triples: pd.DataFrame
    passages: pd.DataFrame
    newcomers: int
    outside: pd.DataFrame
    as_of: dt.date
    report_tz: str
    window_days: int | None

    @property
    def periods(self) -> list[str]:
        """The periods used, in order."""
        return self.calendar.loc[self.calendar["used"], "period"].tolist()

    @property
    def transitions(self) -> pd.DataFrame:
        """Moves between tiers of members present in both periods: period, from_tier, to_tier, n."""
        inside = self.flows["from_state"].isin(self.labels) & self.flows["to_state"].isin(self.labels)
        names = {"from_state": "from_tier", "to_state": "to_tier"}
        return self.flows[inside].rename(columns=names).reset_index(drop=True)

    @property
    def exits(self) -> pd.DataFrame:
        """Members who left, by the tier they left from: period, from_tier, n, present (before)."""
        rows = self.flows[self.flows["from_state"] != JOINED]
        return self._ends(rows, "from_state", "from_tier", rows["to_state"] == LEFT)

    @property
    def entries(self) -> pd.DataFrame:
        """Members who joined, by the tier of their first whole period: period, to_tier, n, joined (all)."""
        rows = self.flows[self.flows["from_state"] == JOINED]
        joined = rows.groupby("period", sort=False)["n"].sum()
        inside = rows[rows["to_state"] != LEFT].rename(columns={"to_state": "to_tier"})
        inside = inside.assign(joined=inside["period"].map(joined))
        return inside[["period", "to_tier", "n", "joined"]].reset_index(drop=True)

    def _ends(self, rows: pd.DataFrame, state: str, name: str, chosen: pd.Series) -> pd.DataFrame:
        keys = ["period", state]
        present = rows.groupby(keys, sort=False)["n"].sum().rename("present")
        ended = rows[chosen].set_index(keys)["n"].to_frame().join(present).reset_index()
        return ended.rename(columns={state: name})

    @property
    def sentence(self) -> str:
        """What the history covers, and what it leaves out."""
        left_out = self.calendar[~self.calendar["used"]]
        notes = [
            say("{period} is not used ({reason}).", period=row.period, reason=row.reason)
            for row in left_out.itertuples()
        ]
        missing = int(self.outside["members"].sum())
        if missing:
            reasons = ", ".join(f"{row.members:,} {row.reason}" for row in self.outside.itertuples())
            notes.append(
                say("{n:,} members were in no whole period ({reasons}).", n=missing, reasons=reasons)
            )
        used = self.periods
        if not used:
            return " ".join(
                [say("Too little data: no complete {period} is covered.", period=self.period), *notes]
            )
        last = self.sizes[self.sizes["period"] == used[-1]]["present"].iloc[0]
        head = say(
            "Tiers of {n} complete {period}s, {first} to {last}; {members:,} members are in the last.",
            n=len(used), period=self.period, first=used[0], last=used[-1], members=last,
        )  # fmt: skip
        return " ".join([head, *notes])


def tier_history(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    scheme: TierScheme,
    *,
    period: str = "month",
    as_of: dt.date | str,
    report_tz: str,
    periods: int | None = None,
    count: Count = "interaction",
    window_days: int | None = None,
    since: dt.date | str | None = None,
) -> TierHistory:
    """Return the tier of every member in every complete calendar period, as counts.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day (in `report_tz`), kind, value, as made by
        :func:`helpers.study.activity.activity`.
    population : ibis.Table or pandas.DataFrame
        member_id, joined_day, left_day (null while the member stays).
    scheme : TierScheme
        Ordered tiers and their rules.
    period : str
        ``"month"``, ``"quarter"`` or ``"week"``.
    as_of : date or ISO text
        Last day that counts; a period that ends later is not used.
    report_tz : str
        Time zone of the days, kept for the record.
    periods : int, optional
        Use only the last so many complete periods.
    count : str
        Which activity is counted: ``"interaction"``, ``"order"`` or ``"all"``.
    window_days : int, optional
        Measure R, F and M over this many days up to each period's end instead of over the period.
    since : date or ISO text, optional
        First day the log covers; by default the day of the first activity of any kind.

    Raises
    ------
    ValueError
        When an argument is out of bounds or the scheme uses the label ``(joined)`` or ``(left)``.
    """
    check_scalar(period, "period", in_=sorted(FREQUENCIES))
    check_scalar(count, "count", in_=tuple(COUNTS))
    for value, name in ((periods, "periods"), (window_days, "window_days")):
        if value is not None:
            check_scalar(value, name, type_=int, ge=1)
    labels = tuple(scheme.labels)
    if clash := {JOINED, LEFT} & set(labels):
        raise ValueError(f"scheme {scheme.name!r} uses the reserved labels {sorted(clash)}.")
    log = _dated(as_table(activity), ["member_id", "day", "kind", "value"], ["day"], "activity")
    stay = ["joined_day", "left_day"]
    members = _dated(as_table(population), ["member_id", *stay], stay, "population")
    cut = as_day(as_of)
    first, last = covered(log.filter(log.day <= cut))
    begin = first if since is None else as_day(since, "since")
    calendar = _calendar(begin, last, period, cut, periods, window_days)
    used = calendar[calendar["used"]].reset_index(drop=True)
    days = days_of_periods(used, first or cut)
    # Kept inside the engine, so that the log is read once.
    states = member_states(log, members, scheme, used, days, count).cache()
    steps = counted_moves(states).to_pandas()
    return TierHistory(
        scheme=scheme.name,
        labels=labels,
        period=period,
        calendar=calendar,
        sizes=_sizes(steps, labels, used),
        flows=_flows(steps, labels, used),
        triples=_triples(steps, labels, used),
        passages=count_passages(states, labels, len(used)),
        newcomers=_newcomers(steps, used),
        outside=count_outside(members, used),
        as_of=cut,
        report_tz=report_tz,
        window_days=window_days,
    )


def _dated(table: ibis.Table, needed: list[str], days: list[str], name: str) -> ibis.Table:
    """Return the needed columns, days as dates whatever a frame held them as."""
    require_columns(table, needed, name)
    return table.select(**{c: table[c].cast("date") if c in days else table[c] for c in needed})


def _calendar(
    first: dt.date | None,
    last: dt.date | None,
    period: str,
    as_of: dt.date,
    periods: int | None,
    window_days: int | None,
) -> pd.DataFrame:
    """Return the calendar periods from the first day covered to `as_of`, and why any is not used."""
    columns = ["period", "start", "end", "window_start", "used", "reason"]
    if first is None or last is None or first > as_of:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns}).astype({"used": bool})
    rows: list[tuple[Any, ...]] = []
    for one in pd.period_range(first, as_of, freq=FREQUENCIES[period]):
        start, end = one.start_time.date(), one.end_time.date()
        window = start if window_days is None else end - dt.timedelta(days=window_days - 1)
        reason = ""
        if end > as_of:
            reason = say("ends after {day}", day=as_of)
        elif min(window, start) < first:
            reason = say("begins before the first day of the data, {day}", day=first)
        elif start > last:
            reason = say("no activity of anyone; the data end on {day}", day=last)
        rows.append((_name(one, period), start, end, window, not reason, reason))
    calendar = pd.DataFrame(rows, columns=columns)
    if periods is not None:
        early = calendar.index[calendar["used"]][:-periods]
        calendar.loc[early, ["used", "reason"]] = False, say("earlier than the last {n} asked for", n=periods)
    return calendar


def _name(one: pd.Period, period: str) -> str:
    if period == "week":
        year, week, _day = one.start_time.isocalendar()
        return f"{year}-W{week:02d}"
    return str(one)


def _sizes(moves: pd.DataFrame, labels: tuple[str, ...], used: pd.DataFrame) -> pd.DataFrame:
    names = used["period"].tolist()
    counts = moves[moves["state"] != JOINED].groupby(["position", "state"])["n"].sum()
    index = pd.MultiIndex.from_product([range(len(names)), labels], names=["position", "tier"])
    frame = (
        counts.rename_axis(["position", "tier"]).reindex(index, fill_value=0).rename("members").reset_index()
    )
    frame["present"] = frame.groupby("position")["members"].transform("sum")
    frame["share"] = frame["members"] / frame["present"].where(frame["present"] > 0)
    frame.insert(0, "period", frame.pop("position").map(dict(enumerate(names))))
    return frame


def _newcomers(moves: pd.DataFrame, used: pd.DataFrame) -> int:
    last = (moves["position"] == len(used) - 1) & (moves["state"] == JOINED)
    return int(moves.loc[last, "n"].sum())


def _flows(moves: pd.DataFrame, labels: tuple[str, ...], used: pd.DataFrame) -> pd.DataFrame:
    names = used["period"].tolist()
    steps = moves[moves["position"] < len(names) - 1].copy()
    # A state is null after the last whole period: the member left during the next one.
    steps["second"] = steps["second"].fillna(LEFT)
    counts = steps.groupby(["position", "state", "second"])["n"].sum()
    index = pd.MultiIndex.from_product(
        [range(max(len(names) - 1, 0)), [*labels, JOINED], [*labels, LEFT]],
        names=["position", "from_state", "to_state"],
    )
    frame = counts.rename_axis(index.names).reindex(index, fill_value=0).rename("n").reset_index()
    frame.insert(0, "period", (frame.pop("position") + 1).map(dict(enumerate(names))))
    return frame


def _triples(moves: pd.DataFrame, labels: tuple[str, ...], used: pd.DataFrame) -> pd.DataFrame:
    tiers = ["state", "second", "third"]
    inside = moves[moves[tiers].isin(labels).all(axis=1)].copy()
    inside["period"] = (inside["position"] + 2).map(dict(enumerate(used["period"])))
    frame = inside.sort_values(["position", *tiers])[["period", *tiers, "n"]]
    return frame.rename(columns={"state": "first"}).reset_index(drop=True)
