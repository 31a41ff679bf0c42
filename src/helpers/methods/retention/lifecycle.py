"""Lifecycle accounting: who is new, who returns, who is resurrected and who falls dormant, period by period.

A member is active in a period (day, week from Monday, month) with at least one active day in it. Then

- new: this is the first period the member was ever active in, over the whole log (a grouped minimum per member;
  no creation date of a profile is used, which may be earlier or later than the first activity);
- returning: also active in the period before;
- resurrected: active before, but not in the period before;
- dormant: active in the period before, not in this one; `left` of them had left by its end. A member who left is
  dormant here too: elsewhere dormant is who is present and inactive for 30 days or more.

Two identities hold exactly and are checked on every call, from counts made independently of each other:

    active[t] = new[t] + returning[t] + resurrected[t]        active[t - 1] = returning[t] + dormant[t]

A log that begins after the community did takes everyone for new at first: periods that begin less than
`warm_up_days` after the log are marked provisional. With a population, `known_before` counts the new ones who had
joined before the log began.

Interval of the quick ratio
---------------------------
Quick ratio = (new + resurrected) / dormant. Gains are a Poisson count (Jeffreys' interval, Gamma(x + 1/2)), dormant
members a binomial count of those active before (Wilson); the two are joined on the logarithm by the method of
variance estimates recovery (Donner and Zou 2012). It says how far chance in who comes and goes moves the ratio
at the rates of that period. Measured coverage of nominal 95 % intervals, 40,000 simulations each, of expected
gains / losses 8/6, 40/60, 300/200 and 5/5: .948, .951, .951, .952.

A push, a holiday or a bad day moves many members at once, so that one period is no trend. The direction is judged
by the spread between the last `JUDGED` complete periods (at least `FEWEST`): a t interval of the mean logarithm of
(gains + 1/2) / (dormant + 1/2). Who comes for one lively period is won in it and lost in the next, so that
neighbouring logarithms lean against each other and the interval is wide rather than narrow. A rhythm longer than
the periods judged is not seen.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from helpers.sentences import number, say
from helpers.stats.estimate import Estimate, log_estimate, unknown, wilson
from helpers.study.days import (
    active_days_until,
    checked,
    checked_confidence,
    first_day,
    number_of,
    stays,
)
from helpers.study.frames import Count, as_day

FREQUENCIES = {"day": "D", "week": "W-SUN", "month": "M"}
COUNTS = ["active", "new", "returning", "resurrected", "dormant", "left", "known_before"]

JUDGED, FEWEST = 8, 4
"""Complete periods whose spread judges the direction: at most, and at least."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lifecycle:
    """Members by lifecycle state and period.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per period: period, start, end, complete, provisional, note; active, new, returning, resurrected,
        dormant, left (of the dormant), known_before (of the new; missing without a population); net (new +
        resurrected - dormant), growth (net / active before), quick_ratio, low, high (missing where nobody was
        dormant or nobody active before); from net on missing in periods that are not complete.
    period : str
        ``"day"``, ``"week"`` or ``"month"``.
    as_of, history_from : datetime.date or None
        Last and first day observed.
    warm_up_days : int
        Periods that begin earlier in the log are provisional.
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame
    period: str
    as_of: dt.date
    history_from: dt.date | None
    warm_up_days: int
    confidence: float

    @property
    def last(self) -> pd.Series | None:
        """The last complete period that is not provisional; None when there is none."""
        rows = self.table[self.table["complete"] & ~self.table["provisional"]]
        return None if rows.empty else rows.iloc[-1]

    @property
    def recent(self) -> Estimate:
        """Members won for each lost over the last periods, by their spread; n is the number of periods."""
        rows = self.table[self.table["complete"] & ~self.table["provisional"] & (self.table["dormant"] > 0)]
        rows = rows.tail(JUDGED)
        return mean_ratio(rows["new"] + rows["resurrected"], rows["dormant"], self.confidence)

    @property
    def sentence(self) -> str:
        """Gains, losses and quick ratio of the last complete period, and the direction over the last ones."""
        row = self.last
        if row is None:
            return say(
                "Too little data: no {period} is complete and far enough from the beginning of the log to tell new "
                "from returning members.",
                period=self.period,
            )
        head = say(
            "In {name}, {active:,} members were active: {new:,} new, {returning:,} returning and {back:,} "
            "resurrected; {dormant:,} of the {before:,} active before were not active this time, {left:,} of them "
            "because they left.",
            name=row["period"], active=row["active"], new=row["new"], returning=row["returning"],
            back=row["resurrected"], dormant=row["dormant"], before=row["returning"] + row["dormant"],
            left=row["left"],
        )  # fmt: skip
        if not np.isfinite(row["quick_ratio"]):
            return head
        won = per_hundred(row["quick_ratio"], row["low"], row["high"])
        said = say("That {period} alone won {won}. {trend}", period=self.period, won=won, trend=self._trend())
        return f"{head} {said}"

    def _trend(self) -> str:
        """Say the direction over several periods, by the spread between them."""
        found = self.recent
        if not found.known:
            text = "It takes {k} complete {period}s to tell a direction from chance; there are {n}."
            return say(text, k=FEWEST, period=self.period, n=found.n)
        return say(
            "Over the last {n} complete {period}s it was {won}, by the spread between {period}s: {verdict}.",
            n=found.n, period=self.period, won=per_hundred(*found[:3]), verdict=verdict(found),
        )  # fmt: skip


def per_hundred(value: float, low: float, high: float) -> str:
    """Return members won for every 100 lost: ``1.006, 0.91, 1.11 -> '101 for every 100 lost (91 to 111)'``."""
    won, least, most = (number(100 * ratio, 0) for ratio in (value, low, high))
    return say("{won} for every 100 lost ({low} to {high})", won=won, low=least, high=most)


def verdict(recent: Estimate) -> str:
    """Say where the number of active members goes, by the interval of members won for each lost."""
    if recent.low > 1:
        return say("the number of active members grows")
    return say("the number of active members shrinks") if recent.high < 1 else say("no clear direction")


def mean_ratio(gains: ArrayLike, lost: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the geometric mean of gains / lost over periods with the t interval of their spread.

    Unknown with fewer than `FEWEST` periods; n is the number of periods.
    """
    logs = np.log((np.asarray(gains, float) + 0.5) / (np.asarray(lost, float) + 0.5))
    if logs.size < FEWEST:
        return unknown(logs.size, "ratio", confidence)
    error, method = logs.std(ddof=1) / np.sqrt(logs.size), "t interval over periods, log scale"
    return log_estimate(logs.mean(), error, logs.size, "ratio", method, confidence, logs.size - 1)


def lifecycle(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None = None,
    *,
    as_of: dt.date | str,
    period: str = "week",
    count: Count = "interaction",
    history_from: dt.date | str | None = None,
    warm_up_days: int = 30,
    confidence: float = 0.95,
) -> Lifecycle:
    """Return new, returning, resurrected and dormant members in every period of the log.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, kind, as made by :func:`helpers.study.activity.activity`, over the whole history.
    population : ibis.Table or pandas.DataFrame, optional
        member_id, joined_day, left_day. Without it nobody leaves and `known_before` is not known.
    as_of : date or str
        Last day observed; a period that ends later is not complete.
    period : {"day", "week", "month"}
        Calendar periods; weeks begin on Monday.
    count : {"interaction", "order", "all"}
        What makes a day active.
    history_from : date or str, optional
        First day the log covers; by default the day of its first row.
    warm_up_days : int
        How long after the beginning of the log "new" is not to be trusted.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    RuntimeError
        When an identity fails, which is an error of this function and not of the data.
    """
    checked(period, "period", in_=tuple(FREQUENCIES))
    checked(warm_up_days, "warm_up_days", type_=int, ge=0)
    checked_confidence(confidence)
    last, first = as_day(as_of), first_day(activity, history_from)
    calendar = _calendar(first, last, period, warm_up_days)
    if calendar.empty:
        table = calendar.assign(**{name: pd.Series(dtype="int64") for name in COUNTS})
    else:
        assert first is not None
        rows = _active_periods(activity, population, calendar, last, count)
        table = _counted(rows, calendar, population, first)
    check_identities(table)
    finished = _with_ratios(table, confidence)
    return Lifecycle(finished, period, last, first, warm_up_days, confidence)


def _calendar(first: dt.date | None, last: dt.date, period: str, warm_up_days: int) -> pd.DataFrame:
    columns = ["period", "start", "end", "complete", "provisional", "note"]
    if first is None or first > last:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns}).astype(
            {"complete": bool, "provisional": bool}
        )
    warm = first + dt.timedelta(days=warm_up_days)
    rows = []
    for one in pd.period_range(first, last, freq=FREQUENCIES[period]):
        start, end = one.start_time.date(), one.end_time.date()
        year, week, _day = start.isocalendar()
        name = f"{year}-W{week:02d}" if period == "week" else str(one)
        complete, provisional = first <= start and end <= last, start < warm
        note = say("begins before the log, {day}", day=first) if start < first else ""
        if end > last:
            note = say("ends after {day}", day=last)
        elif provisional and not note:
            note = say("less than {n} days after the log begins: new is too high", n=warm_up_days)
        rows.append((name, start, end, complete, provisional, note))
    return pd.DataFrame(rows, columns=columns)


def _active_periods(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None,
    calendar: pd.DataFrame,
    as_of: dt.date,
    count: Count,
) -> ibis.Table:
    """Return one row per member and active period: position, before, after (positions), gone (position of leaving).

    Position and neighbours count periods; a neighbour is missing where the member was never active before or again.
    """
    days = active_days_until(activity, population, as_of, count)
    days = days.inner_join(_positions(calendar), "at")
    rows = days.group_by("member_id", "position").agg(out=days["last"].max(), left=days.left.max())
    order = ibis.window(group_by="member_id", order_by="position")
    return rows.mutate(
        before=rows.position.lag(1).over(order), after=rows.position.lead(1).over(order)
    ).cache()


def _positions(calendar: pd.DataFrame) -> ibis.Table:
    """Return which day belongs to which period."""
    at: list[int] = []
    position: list[int] = []
    for place, (start, end) in enumerate(zip(calendar["start"], calendar["end"], strict=True)):
        days = range(number_of(start), number_of(end) + 1)
        at += list(days)
        position += [place] * len(days)
    return ibis.memtable(
        pa.table({"at": pa.array(at, pa.int64()), "position": pa.array(position, pa.int64())})
    )


def _counted(
    rows: ibis.Table,
    calendar: pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None,
    first: dt.date,
) -> pd.DataFrame:
    """Return the calendar with counts; every state is counted on its own."""
    here = rows.group_by("position").agg(
        active=rows.member_id.nunique(),
        new=_ones(rows.before.isnull()),
        returning=_ones(rows.before == rows.position - 1),
        resurrected=_ones(rows.before < rows.position - 1),
    )
    ends = ibis.memtable(
        pa.table(
            {
                "following": pa.array(range(len(calendar)), pa.int64()),
                "end_number": pa.array([number_of(day) for day in calendar["end"]], pa.int64()),
            }
        )
    )
    lost = rows.filter(rows.after.isnull() | (rows.after > rows.position + 1))
    lost = lost.mutate(following=lost.position + 1).inner_join(ends, "following")
    gone = lost.group_by("following").agg(
        dormant=lost.count(), left=_ones(lost.left & (lost.out <= lost.end_number) & lost.after.isnull())
    )
    table = calendar.copy()
    for frame, key in ((here.to_pandas(), "position"), (gone.to_pandas(), "following")):
        table = table.join(frame.set_index(key).astype("float64"))
    table = table.fillna({name: 0 for name in COUNTS if name in table}).astype(
        {name: "int64" for name in COUNTS if name in table}
    )
    table["known_before"] = _known_before(rows, population, first, len(table))
    return table


def _ones(condition: ibis.Value) -> ibis.Value:
    return ibis.cases((condition, 1), else_=0).sum()


def _known_before(
    rows: ibis.Table, population: ibis.Table | pd.DataFrame | None, first: dt.date, periods: int
) -> pd.arrays.IntegerArray:
    """Return how many of the new members had joined before the log began."""
    if population is None:
        return pd.array([pd.NA] * periods, dtype="Int64")
    old = stays(population)
    old = old.filter(old.joined_day < ibis.date(first)).select("member_id")
    new = rows.filter(rows.before.isnull()).inner_join(old, "member_id")
    found = new.group_by("position").agg(n=new.count()).to_pandas().set_index("position")["n"]
    return pd.array(found.reindex(range(periods), fill_value=0).astype("int64"), dtype="Int64")


def check_identities(table: pd.DataFrame) -> None:
    """Refuse counts of which members got lost or were counted twice.

    Raises
    ------
    RuntimeError
        When active[t] is not new + returning + resurrected, or active[t-1] is not returning + dormant.
    """
    parts = table["new"] + table["returning"] + table["resurrected"]
    before = table["active"].shift(1, fill_value=0)
    for broken, rule in (
        (table["active"] != parts, "active = new + returning + resurrected"),
        (before != table["returning"] + table["dormant"], "active before = returning + dormant"),
    ):
        if broken.any():
            row = table[broken].iloc[0]
            numbers = {name: int(row[name]) for name in COUNTS[:5]}
            raise RuntimeError(
                f"Lifecycle of {row['period']}: {rule} does not hold in {int(broken.sum())} periods: {numbers}."
            )


def _with_ratios(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    before = table["active"].shift(1, fill_value=0).to_numpy(float)
    gains = (table["new"] + table["resurrected"]).to_numpy(float)
    lost = table["dormant"].to_numpy(float)
    ratio, low, high = quick_ratio(gains, lost, before, confidence)
    net = gains - lost
    growth = np.divide(net, before, out=np.full(len(net), np.nan), where=before > 0)
    found = table.assign(
        net=pd.array(net, dtype="Int64"), growth=growth, quick_ratio=ratio, low=low, high=high
    )
    # In a period that is not over everybody who has yet to come looks dormant.
    running = ~found["complete"]
    found.loc[running, ["growth", "quick_ratio", "low", "high"]] = np.nan
    found.loc[running, "net"] = pd.NA
    return found


def quick_ratio(
    gains: ArrayLike, lost: ArrayLike, before: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return gains / lost with its bounds, elementwise; NaN where nobody was lost.

    Parameters
    ----------
    gains : array_like
        Members won (new and resurrected).
    lost, before : array_like
        Members who fell dormant, of those active before.
    confidence : float
        Level of the interval.
    """
    g, d, n = (np.asarray(part, float) for part in (gains, lost, before))
    tail = (1 - confidence) / 2
    low_d, high_d = (n * bound for bound in wilson(d, n, confidence))
    low_g = np.where(g > 0, stats.gamma.ppf(tail, g + 0.5), 0.0)
    high_g = stats.gamma.ppf(1 - tail, g + 0.5)
    known = (d > 0) & (n > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(known, g / d, np.nan)
        down = np.hypot(np.log(g / low_g), np.log(high_d / d))
        up = np.hypot(np.log(high_g / g), np.log(d / low_d))
        low = np.where(g > 0, ratio * np.exp(-down), 0.0)
        high = np.where(g > 0, ratio * np.exp(up), high_g / low_d)
    return ratio, np.where(known, low, np.nan), np.where(known, high, np.nan)
