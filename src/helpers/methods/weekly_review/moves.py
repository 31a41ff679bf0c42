"""What moved more than an ordinary week moves it, what only looks like it, and where a real change came from.

Every number that has an earlier value is asked at once: the weekly numbers against their own eight ordinary weeks
before, the findings of other reports against what the same report said on an earlier day. Over all of them together
the procedure of Benjamini and Hochberg (1995) keeps the share of false signals among those named at 1 - confidence;
in a week in which nothing happened, that is the chance of naming anything.

A week that the calendar marks as unlike others is compared as well, but its change is provisional, unless the week of
the year before that was as unusual is on record: then that one's own change is what is to be expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.weekly_review import plots
from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook.answer import ranged
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Direction, Finding, Verdict, finding, judge
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part, Result, few
from helpers.playbook.since import interval, since_last
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, quantity, say
from helpers.stats.difference import difference
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.weeks import BASE, Change, change, judged_together, parts_of_change
from helpers.study.unusual_weeks import aligned_week, events_of
from helpers.study.weekly import ALL, METRICS, Metric
from helpers.tables import Table

SHOWN = 5
"""Movers that are told in words."""
PARTS = ["number", "part", "mix", "rate", "total"]
TRAIL = 13
"""Weeks of a small line."""


class Move(NamedTuple):
    """A number against its earlier value.

    Attributes
    ----------
    id : str
        Metric, or series and finding of another report.
    verdict : str
        As of a finding.
    moved : bool
        Whether it is a signal among all that were asked, whatever direction is good.
    q : float
        Its p-value corrected for all of them.
    why : str
        What the calendar or a definition has to do with it.
    """

    id: str
    title: str
    direction: Direction
    change: Change
    previous: float
    verdict: Verdict
    moved: bool
    q: float
    why: str = ""

    @property
    def relative(self) -> float:
        """The change as a share of what was to be expected."""
        return self.change.delta.value / abs(self.change.expected) if self.change.expected else np.nan


@dataclass(frozen=True, repr=False)
class Moves(Result):
    """All changes of the week.

    Attributes
    ----------
    weekly : WeeklyMetrics
        The series.
    moves : tuple of Move
        Weekly numbers in their order, then findings of other reports.
    not_compared : tuple of str
        Findings that must not be compared with what the report said before, with the reason.
    parts_of : pandas.DataFrame
        What each platform has to do with the real changes: metric, part, mix, rate, total.
    """

    weekly: WeeklyMetrics
    moves: tuple[Move, ...]
    not_compared: tuple[str, ...]
    parts_of: pd.DataFrame = field(repr=False)

    @property
    def movers(self) -> list[Move]:
        """The real changes, the surest first."""
        return sorted((one for one in self.moves if one.moved), key=lambda one: (one.q, one.id))

    @property
    def noise(self) -> list[Move]:
        """Changes that look large and are within what ordinary weeks bring."""
        large = threshold("review.large_change").bounds[0]
        quiet = [one for one in self.moves if one.verdict == "no clear change" and not one.moved]
        return [one for one in quiet if abs(one.relative) >= large]

    @property
    def unlike(self) -> bool:
        """Whether the week is unlike others, and none like it on record."""
        return any(one.verdict == "provisional" for one in self.moves)

    def told_of(self, one: Move) -> str:
        """Return one change in words."""
        unit, delta = one.change.delta.unit, one.change.delta
        words = {"title": one.title, "value": quantity(one.change.current, unit), "why": one.why}
        if not delta.known:
            return say("{title}: {value}; too little data to tell a change. {why}", **words).strip()
        text = "{title}: {value}; {delta} against the ordinary weeks before. {why}"
        if "#" in one.id:
            text = "{title}: {value}; {delta} since the report before. {why}"
        if unit == "share":
            points = {name: 100 * getattr(delta, name) for name in ("value", "low", "high")}
            delta = delta._replace(unit="points", **points)
        return say(text, delta=("+" if delta.value > 0 else "") + ranged(delta), **words).strip()

    @property
    def sentence(self) -> str:
        """How many of how many moved, and which first."""
        asked = [one for one in self.moves if np.isfinite(one.change.p)]
        if not asked:
            text = "What moved: too little data. No number has enough weeks or an earlier report behind it."
            return say(text)
        words: dict[str, object] = {"n": len(asked), "week": self.weekly.week.date()}
        if not self.movers:
            text = "Nothing moved in the week of {week}: ordinary weeks bring as much in all {n} numbers."
            if self.unlike:
                text = "The week of {week} is unlike others; with none like it on record its changes are provisional."
            return say(text, **words)
        words["names"] = ", ".join(one.title for one in self.movers[:SHOWN])
        text = "{k} of {n} numbers moved more in the week of {week} than ordinary weeks bring: {names}."
        return say(text, k=len(self.movers), **words)

    def figure(self) -> Chart | NoChart | None:
        """Draw the changes of the weekly numbers as shares of what was to be expected."""
        weekly = [one for one in self.moves if "#" not in one.id]
        known = [one for one in weekly if one.change.delta.known and one.change.expected]
        name, title = "moves", say("What moved, and what ordinary weeks bring")
        if not known:
            return NoChart(title, say("Too little data: no number has enough weeks before it."), name=name)
        text = "No number moved more than ordinary weeks do"
        if names := ", ".join(one.title for one in self.movers if one in known):
            text = "{names} moved more than ordinary weeks do"
        title = say("A week unlike others: its changes are provisional" if self.unlike else text, names=names)
        shares = [[bound / abs(one.change.expected) for bound in one.change.delta[:3]] for one in known]
        rows = pd.DataFrame(shares, columns=["change", "low", "high"])
        rows.insert(0, "number", [one.title for one in known])
        rows["moved"] = [one.moved for one in known]
        note = say("Change against the mean of up to eight ordinary weeks before; lines: {level} intervals.",
                   level=percent(self.study.confidence, 0))  # fmt: skip
        units = dict.fromkeys(["change", "low", "high"], "share")
        kind, drawing = say("Points with intervals"), plots.moves(rows)
        return self.drawn(name, kind, title, rows, drawing, note=note, units=units)

    def parts(self) -> Iterator[Part]:
        """Yield what moved and why, what is noise, the picture and the tables."""
        yield self.sentence
        for one in self.movers[:SHOWN]:
            yield self.told_of(one)
        if self.noise:
            names = ", ".join(say("{title} ({share})", title=one.title, share=percent(one.relative, 0))
                              for one in self.noise)  # fmt: skip
            yield say("These look large but are noise, ordinary weeks bring as much: {names}.", names=names)
        events = events_of(self.study, self.weekly.week)
        said = "; ".join(str(note or kind) for kind, note in zip(events["kind"], events["note"], strict=True))
        text = "The calendar of this week: {events}." if said else "The calendar names nothing for this week."
        yield say(text, events=said)
        yield self.figure()  # type: ignore[misc]
        yield Table("moved", self.table, say("Every number against its earlier value, asked together"))
        if len(self.parts_of):
            text = "Where the real changes came from: larger parts (mix) and changes within them (rate)"
            yield Table("decomposition", self.parts_of, say(text))
        if self.not_compared:
            frame = pd.DataFrame({"not_compared": self.not_compared})
            caption = say("Numbers that must not be compared with the report before, and why")
            yield Table("not_compared", frame, caption)

    @property
    def table(self) -> pd.DataFrame:
        """All changes, one row each."""
        rows = []
        for one in self.moves:
            delta = one.change.delta
            rows.append((one.id, one.title, delta.unit, one.change.current, one.previous, one.change.expected,
                         *delta[:3], delta.n, one.change.p, one.q, one.why, one.verdict, one.moved))  # fmt: skip
        columns = ["id", "number", "unit", "current", "previous", "expected", "delta", "low", "high", "n", "p", "q",
                   "why", "verdict", "moved"]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def stated(self) -> Iterator[Finding]:
        """State each weekly number, with the interval that ordinary weeks put around its level."""
        by_id = {one.id: one for one in self.moves}
        for metric in self.weekly.known:
            if metric.id in by_id:
                yield self._stated(metric, by_id[metric.id])

    def _stated(self, metric: Metric, one: Move) -> Finding:
        delta, current, base = one.change.delta, one.change.current, one.change.expected
        level = delta._replace(value=current, low=delta.low + base, high=delta.high + base)
        first = metric.id == next(iter(self.moves)).id
        quiet = first and not self.movers and not self.unlike
        clause = say("nothing moved beyond the ordinary") if quiet else ""
        texts = {"better": "{title} became better", "worse": "{title} became worse"}
        clause = say(texts.get(one.verdict, "{title} moved"), title=one.title) if one.moved else clause
        found = finding(
            level, id=f"weekly_review.{metric.id}", metric=say(metric.title),
            scope=say("{whom}, week of {week}", whom=self.study.whom, week=self.weekly.week.date()),
            sentence=self.told_of(one), direction=metric.direction, n_of="weeks", definition=metric.id,
            assumption=say("the weeks before were ordinary weeks"), headline=clause, systems=("S087", "S093"),
        )  # fmt: skip
        trail = self.weekly.trail(metric.id, TRAIL)
        return found.model_copy(update={"trail": trail} | ({"verdict": one.verdict} if delta.known else {}))

    def proposals(self) -> Iterator[Proposed]:
        """Propose to look into what became worse without an entry of the calendar, the surest change first."""
        for one in self.movers:
            if one.verdict == "worse" and not one.why and "#" not in one.id:
                fields = {"number": one.title, "told": self.told_of(one)}
                yield Proposed("weekly_review.find_out", (f"weekly_review.{one.id}",), fields=fields)
                return


def moved(weekly: WeeklyMetrics, reports: EarlierReports) -> Moves:
    """Return what moved in the last whole week.

    Parameters
    ----------
    weekly : WeeklyMetrics
        The series.
    reports : EarlierReports
        Reports whose newest findings are compared with those of the day before it.
    """
    study = weekly.study
    found = [one for metric in weekly.known if (one := weekly_move(weekly, metric)) is not None]
    elsewhere, not_compared = _elsewhere(reports)
    found = judged([*found, *elsewhere], 1 - study.confidence)
    movers = [metric for metric in METRICS for one in found if one.id == metric.id and one.moved]
    parts = [part for metric in movers if len(part := _parts(weekly, metric))]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PARTS)
    return Moves(study, weekly, tuple(found), tuple(not_compared), frame)


def judged(moves: list[Move], rate: float) -> list[Move]:
    """Return the changes with their verdicts, all of them asked together."""
    done = []
    asked = judged_together([one.change.p for one in moves], rate)
    for one, (each, moved) in zip(moves, asked, strict=True):
        delta, verdict = one.change.delta, one.verdict
        if not delta.known:
            verdict = "too little data"
        elif verdict != "provisional":
            verdict = judge(delta.low, delta.high, one.direction) if moved else "no clear change"
        done.append(one._replace(q=each, moved=moved and verdict != "provisional", verdict=verdict))
    return done


def weekly_move(weekly: WeeklyMetrics, metric: Metric) -> Move | None:
    """Return the change of a weekly number; None where its last whole week is not there."""
    series = weekly.series(metric.id)
    if series.empty or not np.isfinite(series["numerator"].iloc[-1]):
        return None
    if weekly.few(metric.id).get(weekly.week, False):
        kept_back = Change(np.nan, np.nan, unknown(0, weekly.unit(metric), weekly.study.confidence), np.nan)
        told = metric.id, say(metric.title), metric.direction, kept_back, np.nan
        return Move(*told, "too little data", False, np.nan, few(weekly.study.k_min))
    unusual = weekly.unusual.reindex(series.index).fillna("")
    ordinary, why, against, verdict = (unusual == "").tolist(), str(unusual.iloc[-1]), None, "stated"
    if why:
        match = aligned_week(weekly.week)
        text = "The calendar says: {why}. No week of the year before that was as unusual is on record."
        verdict = "provisional"
        if unusual.get(match, ""):
            against, verdict = int(series.index.get_indexer(pd.DatetimeIndex([match]))[0]), "stated"
            text = "The calendar says: {why}. It is compared with the week of {match}, which was as unusual."
        why = say(text, why=why, match=match.date())
    found = change(series, ordinary, weekly.unit(metric), against=against, confidence=weekly.study.confidence)
    rates = series["numerator"] / series["denominator"].replace(0, np.nan)
    previous = float(rates.iloc[-2]) if len(rates) > 1 else np.nan
    return Move(metric.id, say(metric.title), metric.direction, found, previous, verdict, False, np.nan, why)  # type: ignore[arg-type]


def _elsewhere(reports: EarlierReports) -> tuple[list[Move], list[str]]:
    """Return what became of the findings of other reports since the same report of the day before, and why not."""
    found, refused = [], []
    for series, old, one, reason in since_last(reports):
        if reason:
            words = {"metric": one.metric, "series": series, "reason": reason}
            refused.append(say("{metric} ({series}): {reason}", **words))
            continue
        gap = difference(before := interval(old), after := interval(one))
        delta = Estimate(*gap[:3], one.n, one.unit, "difference of estimates", gap.confidence)
        told = Change(after.value, before.value, delta, gap.p), before.value
        found.append(Move(f"{series}#{one.id}", one.metric, one.direction, *told, "stated", False, np.nan))
    return found, refused


def _parts(weekly: WeeklyMetrics, metric: Metric) -> pd.DataFrame:
    """Return what each platform has to do with the change of a number against the ordinary weeks before."""
    sides: dict[str, tuple[pd.Series, pd.Series]] = {}
    for scope in weekly.frame["scope"].unique():
        series = weekly.series(metric.id, scope)
        base = series[weekly.ordinary(series.index)].iloc[:-1].dropna().tail(BASE)
        if len(base) and weekly.week in series.index:
            sides[scope] = base.mean(), series.iloc[-1]
    if len(sides) < 2 or ALL not in sides:
        return pd.DataFrame()
    before, after = (pd.DataFrame({name: side[k] for name, side in sides.items()}).T for k in (0, 1))
    split = parts_of_change(before, after, ALL, say("all others"), pooled=metric.kind == "rate")
    return split.rename_axis("part").reset_index().assign(number=say(metric.title))[PARTS]
