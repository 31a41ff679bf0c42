"""Lifecycle accounting: who is new, who returns, who is resurrected and who falls dormant, period by period.

A member is active in a period (day, week from Monday, month) with at least one active day in it. Then

- new: this is the first period the member was ever active in, over the whole log (a grouped minimum per member;
  no creation date of a profile is used, which may be earlier or later than the first activity);
- returning: also active in the period before;
- resurrected: active before, but not in the period before;
- dormant: active in the period before, not in this one; `left` of them had left by its end. A member who left is
  dormant here too: elsewhere dormant is who is present and inactive for 30 days or more.

Two identities hold exactly:

    active[t] = new[t] + returning[t] + resurrected[t]        active[t - 1] = returning[t] + dormant[t]

A log that begins after the community did takes everyone for new at first: periods that begin less than
:data:`WARM_UP_DAYS` after the log are marked provisional.

The quick ratio, members won (new or resurrected) for each lost (dormant), is judged over the last :data:`JUDGED`
complete periods, if there are at least four: a t interval of the mean logarithm of (won + 1/2) / (lost + 1/2). A
push, a holiday or a bad day moves many members at once, so that one period alone is no trend, whatever chance in who
comes and goes would make of it. Who comes for one lively period is won in it and lost in the next, so that
neighbouring logarithms lean against each other and the interval is wide rather than narrow. A rhythm longer than the
periods judged is not seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart, new_figure
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import number, people, say
from helpers.stats.estimate import Estimate, log_estimate, unknown
from helpers.study import Study, enough
from helpers.study.days import number_of

FREQUENCIES = {"day": "D", "week": "W-SUN", "month": "M"}
COUNTS = ["active", "new", "returning", "resurrected", "dormant", "left"]
WARM_UP_DAYS = 30
"""How long after the beginning of the log "new" is not to be trusted."""

JUDGED = 8
"""Complete periods whose spread judges the direction, at most."""

DRAWN = 26
"""Periods of the picture, at most."""

DIRECTIONS = {
    1: ("more members are won than lost", "the number of active members grows"),
    0: ("whether more members are won than lost is not clear", "no clear direction"),
    -1: ("more members are lost than won", "the number of active members shrinks"),
}
"""What members won for each lost mean, as headline and as verdict, by where the interval lies beside one."""

LAYERS = (("returning", "#9cc3e0", ""), ("resurrected", BLUE, "//"), ("new", "#0b3c5d", ""))
"""States of the active members in the picture, from below: colour and hatch."""


@dataclass(frozen=True, repr=False)
class Lifecycle(Result):
    """Members by lifecycle state and period.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per period: period, start, end, complete, provisional; active, new, returning, resurrected, dormant,
        left (of the dormant).
    period : str
        ``"day"``, ``"week"`` or ``"month"``.
    """

    table: pd.DataFrame
    period: str

    @property
    def settled(self) -> pd.DataFrame:
        """The periods that are complete and far enough from the beginning of the log."""
        return self.table[self.table["complete"] & ~self.table["provisional"]]

    @property
    def recent(self) -> Estimate:
        """Members won for each lost over the last periods, by their spread; n is the number of periods."""
        rows = self.settled[self.settled["dormant"] > 0].tail(JUDGED)
        return mean_ratio(rows["new"] + rows["resurrected"], rows["dormant"], self.study.confidence)

    @property
    def sentence(self) -> str:
        """Gains and losses of the last complete period, and members won for each lost over the last ones."""
        if self.settled.empty:
            return say(
                "Too little data: no {period} is complete and far enough from the beginning of the log to tell new "
                "from returning members.",
                period=self.period,
            )
        row, found = self.settled.iloc[-1], self.recent
        told = {name: people(int(row[name]), self.study.k_min) for name in COUNTS}
        left = say("whether they left is not recorded")
        if self.study.leaving_recorded:
            left = say("{n} of them because they left", n=told["left"])
        text = (
            "In {name}, {active} members were active: {new} new, {returning} returning and {resurrected} "
            "resurrected; {dormant} who were active before were not active this time ({gone})."
        )
        if not row["active"]:
            text = "In {name} nobody was active."
        head = say(text, name=row["period"], gone=left, **told)
        text = "It takes {k} complete {period}s to tell a direction from chance; there are {n}."
        if found.known:
            text = "Over the last {n} complete {period}s it was {won}, by the spread between {period}s: {verdict}."
        trend = say(
            text, k=enough.PERIODS, n=found.n, period=self.period, won=per_hundred(*found[:3]),
            verdict=direction(found)[1],
        )  # fmt: skip
        return f"{head} {trend}"

    def figure(self) -> Chart | NoChart:
        """Draw the active members of each period: kept, new and returned above the line, lost below.

        The title speaks of all periods judged, because one alone is no trend.
        """
        rows, recent = self.settled.tail(DRAWN).reset_index(drop=True), self.recent
        if len(rows) < 2:
            return NoChart(say("Where active members come from"), self.sentence, "lifecycle")
        figure, ax = new_figure(7.2, 4.0)
        base, look = np.zeros(len(rows)), {"edgecolor": "white", "linewidth": 0.4}
        for name, colour, hatch in LAYERS:
            ax.bar(rows.index, rows[name], bottom=base, color=colour, hatch=hatch, label=say(name), **look)
            base += rows[name].to_numpy(float)
        ax.bar(rows.index, -rows["dormant"], color=ORANGE, label=say("fell dormant"), **look)
        ax.axhline(0, color=MUTED, linewidth=1)
        step = max(1, -(-len(rows) // 6))
        ax.set_xticks(rows.index[::step], rows["period"].iloc[::step].astype(str))
        ax.set_ylabel(say("Members"))
        ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12))
        title = say("Active members by {period}", period=self.period)
        if recent.known:
            text, won = "Members won over the last {n} {period}s: {won}, {verdict}", per_hundred(*recent[:3])
            title = say(text, n=recent.n, period=self.period, won=won, verdict=direction(recent)[1])
        text = (
            "{drawn} The last {n} complete {period}s. Returning: active in the {period} before too; resurrected: "
            "back after a pause; fell dormant: active in the {period} before, not in this one."
        )
        note = say(text, drawn=self.study.drawn, n=len(rows), period=self.period)
        if self.period == "week":
            note += " " + say("Weeks are those of ISO 8601, Monday to Sunday.")
        counts = rows[COUNTS[:-1]].astype("Int64")
        data = counts.mask(counts.gt(0) & counts.lt(self.study.k_min)).assign(period=rows["period"])
        data = data[["period", *counts.columns]]
        return self.drawn("lifecycle", say("Stacked bars"), title, data, figure, note=note, members="active")

    def findings(self) -> Iterator[Finding]:
        """Yield whether more members were won than lost over the last complete periods, by their spread."""
        recent, period = self.recent, self.period
        yield finding(
            recent._replace(value=recent.value - 1, low=recent.low - 1, high=recent.high - 1, unit="share"),
            id="retention.quick_ratio",
            metric=say("members won above those lost"),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say(
                "the last complete {period}s stand for the next, with no rhythm longer than they are",
                period=period,
            ),
            direction="up is good",
            change=True,
            systems=("S020",),
            headline=direction(recent)[0],
            n_of="periods",
            definition="quick_ratio",
            picture="lifecycle",
        )


def per_hundred(value: float, low: float, high: float) -> str:
    """Return members won for every 100 lost: ``1.006, 0.91, 1.11 -> '101 for every 100 lost (91 to 111)'``."""
    won, least, most = (number(100 * ratio, 0) for ratio in (value, low, high))
    return say("{won} for every 100 lost ({low} to {high})", won=won, low=least, high=most)


def direction(recent: Estimate) -> tuple[str, str]:
    """Say where the number of active members goes, as headline and as verdict."""
    headline, verdict = DIRECTIONS[int(recent.low > 1) - int(recent.high < 1)]
    return say(headline), say(verdict)


def mean_ratio(gains: ArrayLike, lost: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the geometric mean of gains / lost over periods with the t interval of their spread.

    Unknown with fewer than `enough.PERIODS` periods; n is the number of periods.
    """
    logs = np.log((np.asarray(gains, float) + 0.5) / (np.asarray(lost, float) + 0.5))
    if logs.size < enough.PERIODS:
        return unknown(logs.size, "ratio", confidence)
    error, method = logs.std(ddof=1) / np.sqrt(logs.size), "t interval over periods, log scale"
    return log_estimate(logs.mean(), error, logs.size, "ratio", method, confidence, logs.size - 1)


def lifecycle(study: Study, *, period: str = "week") -> Lifecycle:
    """Return new, returning, resurrected and dormant members in every period of the log.

    Parameters
    ----------
    study : Study
        Activity over the whole history, and population; a period that ends after its day is not complete.
    period : {"day", "week", "month"}
        Calendar periods; weeks begin on Monday.
    """
    first = study.began or study.as_of + dt.timedelta(days=40)  # without a log there is no period
    calendar = _calendar(first, study.as_of, period)
    table = calendar.join(_counts(study, calendar)).fillna(dict.fromkeys(COUNTS, 0))
    table = table.astype(dict.fromkeys(COUNTS, "int64"))
    return Lifecycle(study, table, period)


def _calendar(first: dt.date, last: dt.date, period: str) -> pd.DataFrame:
    """Return the periods from the beginning of the log to the last day."""
    rows = []
    for one in pd.period_range(first, last, freq=FREQUENCIES[period]):
        start, end = one.start_time.date(), one.end_time.date()
        year, week, _day = start.isocalendar()
        name = f"{year}-W{week:02d}" if period == "week" else str(one)
        provisional = start < first + dt.timedelta(days=WARM_UP_DAYS)
        rows.append((name, start, end, first <= start and end <= last, provisional))
    table = pd.DataFrame(rows, columns=["period", "start", "end", "complete", "provisional"])
    return table.astype({"complete": bool, "provisional": bool})


def _counts(study: Study, calendar: pd.DataFrame) -> pd.DataFrame:
    """Return the counts by position of the period; every state is counted on its own.

    The engine counts members by period, and by whether they were active in the period before, earlier or never, and
    in the next one, later or never again.
    """
    starts = [number_of(day) for day in calendar["start"]]
    ends = [number_of(day) for day in calendar["end"]]
    at = np.arange(starts[0], ends[-1] + 1) if starts else np.arange(0)
    position = np.searchsorted(starts, at, side="right") - 1
    # Who is active in a period for the last time may leave until the next one is over.
    next_end = np.array([*ends[1:], 0])[position]
    days = pd.DataFrame({"at": at, "position": position, "next_end": next_end}, dtype="int64")
    spells = study.spells.inner_join(ibis.memtable(days), "at")
    rows = spells.group_by("member_id", "position").agg(
        gone=(spells.left & (spells["last"] <= spells.next_end)).any()
    )
    order = ibis.window(group_by="member_id", order_by="position")
    before, after = (each.over(order) for each in (rows.position.lag(1), rows.position.lead(1)))
    rows = rows.mutate(before=before, after=after)
    cells = rows.group_by(
        "position",
        gone=rows.gone & rows.after.isnull(),
        since=ibis.cases((rows.before.isnull(), 0), (rows.before == rows.position - 1, 1), else_=2),
        until=ibis.cases((rows.after == rows.position + 1, 1), else_=2),
    ).agg(n=lambda t: t.count())
    found = cells.to_pandas()
    lost = found[found["until"] == 2].assign(position=lambda t: t["position"] + 1)
    parts = {"active": found, "dormant": lost, "left": lost[lost["gone"]]}
    parts |= {name: found[found["since"] == k] for k, name in enumerate(("new", "returning", "resurrected"))}
    return pd.DataFrame({name: parts[name].groupby("position")["n"].sum() for name in COUNTS})
