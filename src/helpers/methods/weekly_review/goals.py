"""Whether the goals will be met: what there is, the pace, a forecast judged by its own past, and the chance.

A goal speaks of a period (2026, 2026-H2, 2026-Q3, 2026-07 or 2026-W30); `helpers.stats.goals` says where it leads.
The chance of a goal about a number of another report is not told: it says where its interval lies today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.drivers import driver_tree, plausibility
from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook.answer import Answer
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part, Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import interval as between
from helpers.sentences import percent, quantity, say
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.goals import Goal, forecast, period
from helpers.study.weekly import ALL, BY_ID
from helpers.tables import Table

NAMES = {
    **{"active_members": "weekly_active", "left_members": "exits", "revenue": "net_revenue"},
    **{"return_per_cost": "budget.return", "day_n": "retention.day_n"},
}
"""Names that goals are written with, and the number that is meant."""
COLUMNS = ["goal", "metric", "scope", "period", "end", "owner", "direction", "unit", "target", "achieved", "pace",
           "forecast", "low", "high", "p_hit", "why", "needed", "weeks"]  # fmt: skip


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
            text = "{n} goals are stated; the chance of reaching them cannot be told yet."
            return say(text, n=len(self.table))
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
            text = "Goals: what there is, the pace of a week, where it leads, and the chance of reaching the target"
            yield Table("goals", self.table, say(text), {"p_hit": "share"})

    def findings(self) -> Iterator[Finding]:
        """State where each goal about a weekly number leads."""
        for row in self.table.to_dict("records"):
            if row["metric"] not in BY_ID:
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
    # Two goals of one number have one tree, the first.
    seen = {one.table.attrs.get("name", one.text): one for one in reversed([*filter(None, found)])}
    return list(reversed(seen.values()))


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
    targets = study.dataset.targets.to_pandas().to_dict("records") if "targets" in study.dataset else []
    rows = [_goal(weekly, reports, target) for target in targets]
    rows = [row for row in rows if not row["end"] or row["end"] >= str(study.as_of)]
    order = list(BY_ID)
    rows.sort(key=lambda row: (row["end"], order.index(row["metric"]) if row["metric"] in BY_ID else len(order),
                               row["metric"], row["scope"]))  # fmt: skip
    return Goals(study, weekly, pd.DataFrame(rows, columns=COLUMNS))


def _goal(weekly: WeeklyMetrics, reports: EarlierReports, target: dict[str, Any]) -> dict[str, Any]:
    """Return one goal as a row."""
    name, study = NAMES.get(str(target["metric"]), str(target["metric"])), weekly.study
    metric, span = BY_ID.get(name), period(str(target["period"]))
    row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan) | {
        "goal": say(metric.title) if metric else str(target["metric"]), "metric": name, "scope": str(target["scope"]),
        "period": str(target["period"]), "end": str(span[1].date()) if span else "", "unit": "",
        "owner": str(target.get("owner") or (metric.owner if metric else "")),
        "direction": str(target.get("direction") or "up"), "target": float(target["target"]), "why": "",
    }  # fmt: skip
    if span is None:
        return row | {"why": say("No period such as 2026-Q3, 2026-07 or 2026 is stated.")}
    if metric is None:
        return row | _by_report(reports, name, row)
    series, row["unit"] = weekly.series(name, row["scope"]), weekly.unit(metric)
    if series.empty:
        return row | {"why": say("It was not observed here.")}
    asked = Goal(metric.kind, *span, row["target"], row["direction"] != "down")
    found = forecast(series, weekly.ordinary(series.index).tolist(), asked, row["unit"], study.confidence)
    few = row["unit"] == "members" and 0 < found.achieved < study.k_min
    row |= dict(zip(("forecast", "low", "high"), found.total, strict=False)) | {
        "achieved": np.nan if few else found.achieved, "pace": found.pace, "p_hit": found.chance,
        "needed": found.needed, "weeks": found.weeks,
    }  # fmt: skip
    if not found.total.known:
        text = "Too little data: the same forecast could be tried on {n} spans of the past, and three are needed."
        row["why"] = say(text, n=found.total.n)
    return row


def _by_report(reports: EarlierReports, name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what another report says of a goal: its number today, and on which side its interval lies."""
    one = next((one for report in reports.latest() for one in report.findings if one.id == name), None)
    if one is None or one.value is None:
        return {"why": say("No report here measures it.")}
    down, target = row["direction"] == "down", row["target"]
    good = one.high <= target if down else one.low >= target
    bad = one.low > target if down else one.high < target
    text = "Today it is met, with its whole interval."
    if not good:
        text = "Today it cannot be told whether it is met: its interval holds the target."
    if bad:
        text = "Today it is missed, with its whole interval."
    return {"achieved": one.value, "low": one.low, "high": one.high, "unit": one.unit, "why": say(text)}
