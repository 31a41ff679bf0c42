"""Whether the goals will be met: what there is, the pace, a forecast judged by its own past, and the chance.

A goal speaks of a period (2026, 2026-H2, 2026-Q3, 2026-07 or 2026-W30). What lies in it already counts as it is; for
the rest the pace of the last eight ordinary weeks is kept, and how far the same forecast went wrong over spans of the
same length in this series' own past says how sure that is. A week that lies across the edge of a period is shared by
its days. The chance of a goal about a number of another report is not told: it says where its interval lies today.

Whether these chances can be trusted is asked of earlier reviews: what they promised, and what came of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.answer import Answer
from helpers.methods.weekly_review.drivers import driver_tree, plausibility
from helpers.methods.weekly_review.metrics import ALL, METRICS, WeeklyMetrics
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part, Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import interval as between
from helpers.sentences import number, percent, quantity, say
from helpers.stats.estimate import Estimate, normal_estimate, proportion, unknown
from helpers.stats.weeks import Kept, Outlook, chance, outlook, promises
from helpers.tables import Table

NAMES = {
    **{"active_members": "weekly_active", "left_members": "exits", "revenue": "net_revenue"},
    **{"return_per_cost": "budget.return", "day_n": "retention.day_n"},
}
"""Names that goals are written with, and the number that is meant."""
COLUMNS = [
    "goal",
    "metric",
    "scope",
    "period",
    "end",
    "owner",
    "direction",
    "unit",
    "target",
    "achieved",
    "pace",
]
COLUMNS += ["forecast", "low", "high", "p_hit", "why", "needed", "weeks"]


def period(text: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return first and last day of a period such as 2026-Q3, 2026-07, 2026-W30 or 2026; None for no period."""
    try:
        if "-W" in text:
            year, week = text.split("-W")
            first = pd.Timestamp(dt.date.fromisocalendar(int(year), int(week), 1))
            return first, first + pd.Timedelta(days=6)
        if "-H" in text:
            year, half = text.split("-H")
            first = pd.Timestamp(int(year), 6 * int(half) - 5, 1)
            return first, first + pd.DateOffset(months=6) - pd.Timedelta(days=1)
        span = pd.Period(text.replace("-Q", "Q"))
        return span.start_time.normalize(), span.end_time.normalize()
    except ValueError:
        return None


@dataclass(frozen=True, repr=False)
class Goals(Result):
    """The goals, one row each.

    Attributes
    ----------
    weekly : WeeklyMetrics
        The series that goals are about.
    table : pandas.DataFrame
        As :data:`COLUMNS`: achieved (in the period so far), pace (what a week brings), forecast with low and high (at
        the end of the period), p_hit (chance of reaching the target; missing when it cannot be told, with `why`),
        needed (what a week ahead would have to bring) and weeks (that are ahead).
    """

    weekly: WeeklyMetrics
    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """How many goals are likely to be met."""
        if self.table.empty:
            return say("Goals: not run: table targets missing.")
        known = self.table[self.table["p_hit"].notna()]
        if known.empty:
            return say(
                "{n} goals are stated; the chance of reaching them cannot be told yet.", n=len(self.table)
            )
        likely = int((known["p_hit"] >= 0.5).sum())
        least = known.sort_values("p_hit", kind="stable").to_dict("records")[0]
        text = (
            "Of {n} goals whose chance can be told, {likely} are more likely met than missed. The least likely: "
            "{goal}, with a chance of {chance}."
        )
        return say(text, n=len(known), likely=likely, goal=least["goal"], chance=percent(least["p_hit"], 0))

    def told_of(self, row: Mapping[Any, Any]) -> str:
        """Return one goal in words."""
        words = {name: quantity(row[name], row["unit"]) for name in ("target", "achieved", "forecast")}
        words |= {"goal": row["goal"], "period": row["period"], "why": row["why"]}
        if not np.isfinite(row["p_hit"]):
            return say("{goal}, {period}: target {target}; the chance cannot be told. {why}", **words)
        words |= {"chance": percent(row["p_hit"], 0), "bounds": between(row["low"], row["high"], row["unit"])}
        text = "{goal}, {period}: target {target}; on course for {forecast} ({bounds}), a chance of {chance}."
        return say(text, **words)

    def parts(self) -> Iterator[Part]:
        """Yield how the goals stand, each in a sentence, and the table."""
        yield self.sentence
        for row in self.table.to_dict("records"):
            yield self.told_of(row)
        if len(self.table):
            caption = say(
                "Goals: what there is, the pace of a week, where it leads, and the chance of reaching the target"
            )
            yield Table("goals", self.table, caption, {"p_hit": "share"})

    def findings(self) -> Iterator[Finding]:
        """State where each goal about a weekly number leads."""
        for row in self.table.to_dict("records"):
            if row["metric"] not in {metric.id for metric in METRICS}:
                continue
            n, unit, level = self.weekly.series(row["metric"]).shape[0], row["unit"], self.study.confidence
            found = unknown(n, unit, level)
            if np.isfinite(row["low"]):
                found = Estimate(row["forecast"], row["low"], row["high"], n, unit, "own past errors", level)
            clause = say("the goal for “{goal}” is met with a chance of {chance}", goal=row["goal"],
                         chance=percent(row["p_hit"], 0)) if np.isfinite(row["p_hit"]) else ""  # fmt: skip
            yield finding(
                found, id=f"weekly_review.goal.{row['metric']}.{row['period'].lower()}", n_of="weeks",
                metric=say("{goal}: where the goal of {period} leads", goal=row["goal"], period=row["period"]),
                scope=say("{scope}, {period}", scope=row["scope"], period=row["period"]), sentence=self.told_of(row),
                assumption=say("the pace of the last eight ordinary weeks holds, as well as it held before"),
                direction="down is good" if row["direction"] == "down" else "up is good", headline=clause,
                systems=("S193", "S196", "S197", "S198"), definition=row["metric"],
            )  # fmt: skip

    def proposals(self) -> Iterator[Proposed]:
        """Propose to change the plan of the goal that is least likely met, when it most likely is missed."""
        likely = self.table[self.table["p_hit"] <= threshold("review.likely_missed").bounds[0]]
        for row in likely.sort_values("p_hit").head(1).to_dict("records"):
            fields = {name: quantity(row[name], row["unit"]) for name in ("target", "forecast")}
            fields |= {"goal": row["goal"], "end": row["end"], "chance": percent(row["p_hit"], 0)}
            known = (f"weekly_review.goal.{row['metric']}.{row['period'].lower()}",)
            yield Proposed("weekly_review.replan", known, fields=fields)


def gaps(goals: Goals) -> list[Answer]:
    """Return for each goal about a weekly number which factor drives it, and whether the past ever did as much."""
    found: list[Answer | None] = []
    for row in goals.table.dropna(subset=["needed"]).to_dict("records"):
        if row["scope"] == ALL:
            found.append(driver_tree(goals.weekly, row["metric"], row["needed"]))
            found.append(plausibility(goals.weekly, row["metric"], row["needed"], int(row["weeks"])))
    seen: dict[str, Answer] = {}  # two goals of one number have one tree
    for one in filter(None, found):
        seen.setdefault(str(one.table.attrs.get("name", one.text)), one)
    return list(seen.values())


def goals(weekly: WeeklyMetrics, reports: EarlierReports) -> Goals:
    """Return how the goals of the table ``targets`` stand whose period is not over.

    Parameters
    ----------
    weekly : WeeklyMetrics
        The series.
    reports : EarlierReports
        Where a goal about a number of another report finds it.
    """
    study = weekly.study
    rows = []
    if "targets" in study.dataset:
        for target in study.dataset.targets.to_pandas().to_dict("records"):
            span = period(str(target["period"]))
            if span is None or span[1] >= pd.Timestamp(study.as_of):
                rows.append(_goal(weekly, reports, target, span))
    order = {metric.id: place for place, metric in enumerate(METRICS)}
    rows.sort(key=lambda row: (row["end"], order.get(row["metric"], len(order)), row["metric"], row["scope"]))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return Goals(study, weekly, table)


def _goal(
    weekly: WeeklyMetrics,
    reports: EarlierReports,
    target: dict[str, Any],
    span: tuple[pd.Timestamp, pd.Timestamp] | None,
) -> dict[str, Any]:
    """Return one goal as a row."""
    name = NAMES.get(str(target["metric"]), str(target["metric"]))
    metric, scope = next((one for one in METRICS if one.id == name), None), str(target["scope"])
    row = dict.fromkeys(COLUMNS, np.nan) | {
        "goal": say(metric.title) if metric else str(target["metric"]), "metric": name, "scope": scope,
        "period": str(target["period"]), "end": str(span[1].date()) if span else "", "unit": "",
        "owner": str(target.get("owner") or (metric.owner if metric else "")),
        "direction": str(target.get("direction") or "up"), "target": float(target["target"]), "why": "",
    }  # fmt: skip
    if span is None:
        return row | {"why": say("No period such as 2026-Q3, 2026-07 or 2026 is stated.")}
    if metric is None:
        return row | _by_report(reports, name, row)
    series = weekly.series(name, scope)
    row["unit"] = weekly.unit(metric)
    if series.empty:
        return row | {"why": say("It was not observed here.")}
    ordinary = (weekly.unusual.reindex(series.index).fillna("") == "").tolist()
    achieved, bottom, left, lead = _so_far(series, *span)
    weeks = max(round(left), 1)
    row |= {"weeks": weeks, "needed": row["target"]}
    if metric.kind == "flow":
        row["needed"] = max(float(target["target"]) - achieved, 0.0) / max(left, 1 / 7)
    ahead = outlook(series, ordinary, weeks, lead, metric.kind)
    share = left / weeks
    if metric.kind == "flow":
        ahead = ahead._replace(expected=ahead.expected * share)
    elif (
        metric.kind == "rate" and bottom > 0
    ):  # what lies behind and what lies ahead, by what each is divided by
        coming = float(series["denominator"].tail(8).mean()) * left
        weight = coming / (bottom + coming)
        achieved, ahead = (1 - weight) * achieved / bottom, ahead._replace(expected=ahead.expected * weight)
    else:
        achieved = 0.0
    return row | _ahead(weekly, row, achieved, ahead)


def _so_far(series: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> tuple[float, float, float, int]:
    """Return numerator and denominator of the period so far, its weeks left, and the weeks before it begins."""
    starts = pd.DatetimeIndex(series.index)
    begin, end = starts.to_numpy(), (starts + pd.Timedelta(days=7)).to_numpy()
    after = last + pd.Timedelta(days=1)
    inside = np.minimum(end, after.to_numpy()) - np.maximum(begin, first.to_numpy())
    shares = np.clip(inside / np.timedelta64(7, "D"), 0, 1)
    top, bottom = (
        float(np.nansum(series[name].to_numpy(float) * shares)) for name in ("numerator", "denominator")
    )
    done = starts[-1] + pd.Timedelta(days=7)
    left = (after - max(done, first)).days / 7
    return top, bottom, max(left, 0.0), max((first - done).days // 7, 0)


def _ahead(weekly: WeeklyMetrics, row: dict[str, Any], achieved: float, ahead: Outlook) -> dict[str, Any]:
    """Return forecast and chance of a goal."""
    total, few = achieved + ahead.expected, row["unit"] == "members" and 0 < achieved < weekly.study.k_min
    pace = weekly.series(row["metric"], row["scope"]).dropna().tail(8)
    found = {
        "achieved": np.nan if few else achieved,
        "forecast": total,
        "pace": pace["numerator"].sum() / pace["denominator"].sum(),
    }
    if not np.isfinite(ahead.spread):
        text = "Too little data: the same forecast could be tried on {n} spans of the past, and three are needed."
        return found | {"why": say(text, n=ahead.spans)}
    error = abs(ahead.expected) * ahead.spread
    level = normal_estimate(total, error, ahead.spans, row["unit"], "own past errors", weekly.study.confidence,
                            degrees=ahead.spans, bounds=(achieved, np.inf))  # fmt: skip
    p = chance(ahead, achieved, row["target"], row["direction"] != "down")
    return found | {"low": level.low, "high": level.high, "p_hit": p}


def _by_report(reports: EarlierReports, name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what another report says of a goal: its number today, and on which side its interval lies."""
    one = next((one for report in reports.latest() for one in report.findings if one.id == name), None)
    if one is None or one.value is None:
        return {"why": say("No report here measures it.")}
    down, target = row["direction"] == "down", row["target"]
    good = one.high <= target if down else one.low >= target
    bad = one.low > target if down else one.high < target
    text = (
        "Today it is met, with its whole interval."
        if good
        else "Today it is missed, with its whole interval."
    )
    text = (
        text if good or bad else "Today it cannot be told whether it is met: its interval holds the target."
    )
    return {"achieved": one.value, "low": one.low, "high": one.high, "unit": one.unit, "why": say(text)}


@dataclass(frozen=True, repr=False)
class TrackRecord(Result):
    """What earlier reviews promised, and what came of it.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a promise whose period is over: goal, scope, period, said_on, p_hit, target, came_to, hit.
    kept : Kept
        Of the first promise for each goal, as later ones of the same goal are no news.
    brier : float
        Mean squared error of all promises.
    """

    table: pd.DataFrame = field(repr=False)
    kept: Kept
    brier: float

    @property
    def verdict(self) -> str:
        """Whether the promises were too high, too low or as they came; empty with too few."""
        if not self.kept.n or self.kept.p > 1 - self.study.confidence:
            return ""
        return "too high" if self.kept.promised > self.kept.came else "too low"

    @property
    def sentence(self) -> str:
        """How the promises came true."""
        if not self.kept.n:
            return say(
                "Not known yet: no goal for which an earlier review stated a chance has come to its end."
            )
        hits = round(self.kept.came * self.kept.n)
        words = {"n": self.kept.n, "promised": number(self.kept.promised * self.kept.n, 1), "hits": hits,
                 "brier": number(self.brier, 3)}  # fmt: skip
        texts = {
            "too high": "Own forecasts are too high: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}). Take the chances on this page for smaller than they say.",
            "too low": "Own forecasts are too low: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}).",
            "": "Own track record: of {n} goals {promised} were promised and {hits} were met "
            "(Brier score {brier}; .25 is tossing a coin). Nothing speaks against the chances on this page.",
        }  # fmt: skip
        return say(texts[self.verdict], **words)

    def findings(self) -> Iterator[Finding]:
        """State how many of the goals that are over were met."""
        if self.kept.n:
            met = proportion(round(self.kept.came * self.kept.n), self.kept.n, self.study.confidence)
            yield finding(
                met, id="weekly_review.goals_met", metric=say("goals met, of those with a stated chance"),
                scope=say("goals that are over"), sentence=self.sentence, direction="up is good", n_of="checks",
                assumption=say("one goal says nothing of another"), systems=("S193", "S194"),
            )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Yield all promises."""
        if len(self.table):
            caption = say("Every chance that earlier reviews stated for goals that are over, and what came")
            yield Table("track_record", self.table, caption, {"p_hit": "share"})

    def proposals(self) -> Iterator[Proposed]:
        """Propose to plan with smaller chances when they were too high."""
        if self.verdict == "too high":
            yield Proposed(
                "weekly_review.lower_chances", ("weekly_review.goals_met",), fields={"told": self.sentence}
            )


def track_record(weekly: WeeklyMetrics, reports: EarlierReports) -> TrackRecord:
    """Return how the chances that earlier reviews stated came true.

    Parameters
    ----------
    weekly : WeeklyMetrics
        The series, which say what came.
    reports : EarlierReports
        With the earlier reviews among them.
    """
    rows, kinds = [], {metric.id: metric.kind for metric in METRICS}
    own = [name for name in reports.series if name.partition("/")[0] == reports.own]
    for report in (version for name in own for version in reports.versions(name)):
        table = report.table("goals")
        for row in () if table is None else table.to_dict("records"):
            span = period(str(row["period"]))
            if span is None or not np.isfinite(row["p_hit"]) or row["metric"] not in kinds:
                continue
            came = _came_to(weekly.series(row["metric"], row.get("scope", ALL)), kinds[row["metric"]], *span)
            if np.isfinite(came):
                hit = came <= row["target"] if row["direction"] == "down" else came >= row["target"]
                rows.append((row["goal"], row["scope"], row["period"], str(report.as_of), row["p_hit"],
                             row["target"], came, bool(hit)))  # fmt: skip
    columns = ["goal", "scope", "period", "said_on", "p_hit", "target", "came_to", "hit"]
    table = pd.DataFrame(rows, columns=columns).sort_values("said_on", kind="stable", ignore_index=True)
    first = table.drop_duplicates(["goal", "scope", "period"])
    every = promises(table["p_hit"].tolist(), table["hit"].tolist())
    return TrackRecord(
        weekly.study, table, promises(first["p_hit"].tolist(), first["hit"].tolist()), every.brier
    )


def _came_to(series: pd.DataFrame, kind: str, first: pd.Timestamp, last: pd.Timestamp) -> float:
    """Return what a number came to in a period that is over; NaN where it is not, or was not observed throughout."""
    if series.empty:
        return np.nan
    weeks = series[(series.index + pd.Timedelta(days=6) >= first) & (series.index <= last)]
    whole = series.index[0] <= first and series.index[-1] + pd.Timedelta(days=6) >= last
    if not whole or weeks.isna().any(axis=None):
        return np.nan
    if kind == "level":
        return float(weeks["numerator"].iloc[-1] / weeks["denominator"].iloc[-1])
    top, bottom, *_ = _so_far(series, first, last)
    return top if kind == "flow" else top / bottom
