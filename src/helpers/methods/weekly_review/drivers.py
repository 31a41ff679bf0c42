"""A goal as a product of rates, the factor that explains the gap, and whether the past ever did what a goal asks.

A product splits exactly: with x_k the factors of V, weekly logarithms add up, and the part of factor k in the change
of V from V0 to V1 (geometric means of the weeks) is L ln(x_k1 / x_k0) with L = (V1 - V0) / ln(V1 / V0), the
logarithmic mean (Ang 2005, Energy Policy 33: LMDI-I): the parts sum to V1 - V0 without a remainder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook.result import Result
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.stats.before_after import before_after
from helpers.stats.estimate import Estimate, estimate_of, jeffreys, unknown
from helpers.study import enough
from helpers.tables import Table

NOW, BEFORE = 4, 8  # weeks
TREES = {
    "net_revenue": (
        ("Active members", "weekly_active", ""),
        ("Orders per active member", "orders", "weekly_active"),
        ("Money per order", "net_revenue", "orders"),
    ),
    "orders": (
        ("Active members", "weekly_active", ""),
        ("Orders per active member", "orders", "weekly_active"),
    ),
    "ad_cost": (("Clicks", "click_rate", ""), ("Cost per click", "ad_cost", "click_rate")),
}
"""By metric: its factors, each the sum of one weekly number over that of another; their product is the metric."""


@dataclass(frozen=True, repr=False)
class DriverTree(Result):
    """A number as a product.

    Attributes
    ----------
    name, title, unit : str
        Id, title and unit of the number.
    table : pandas.DataFrame
        One row a factor: factor, before, now (geometric mean of its weeks), change, low, high (relative), part (of
        the change of the number, in its unit; they sum to it), with a goal needed (what it would have to be alone for
        that) and reached (share of all weeks in which it was). Empty where the weeks are too few.
    total : Estimate
        Relative change of the number.
    goal : float
        What a week has to bring; NaN without a goal.
    """

    name: str
    title: str
    unit: str
    table: pd.DataFrame = field(repr=False)
    total: Estimate
    goal: float

    @property
    def gap(self) -> float:
        """What a week lacks to the goal; NaN without one."""
        return self.goal - float(self.table["now"].prod()) if len(self.table) else np.nan

    @property
    def driver(self) -> str:
        """The factor that explains most of the change and has clearly moved that way; empty where none has."""
        if self.table.empty or not self.total.known:
            return ""
        way = np.sign(self.total.value)
        clear = self.table[(self.table["low"] * way > 0) & (self.table["high"] * way > 0)]
        return str(clear.loc[(clear["part"] * way).idxmax(), "factor"]) if len(clear) else ""

    @property
    def sentence(self) -> str:
        """What the number is a product of, how it moved and by what, and what the goal lacks."""
        if self.table.empty or not self.total.known:
            return say("What drives {title}: too little data.", title=self.title.lower())
        text = "{title} is {product}. The last {n} weeks differ from the {m} before by {change}; {driver}."
        driver = say("no factor stands out")
        if self.driver:
            row = self.table[self.table["factor"] == self.driver].iloc[0]
            moved = estimate_of(row, self.total.n, self.total.method, self.total.confidence, value="change")
            driver = say(
                "mostly {factor}, by {change}", factor=self.driver.lower(), change=with_bounds(moved)
            )
        words = {
            "product": " × ".join(self.table["factor"].str.lower()),
            "n": NOW,
            "m": BEFORE,
            "driver": driver,
        }
        said = say(text, title=self.title, change=with_bounds(self.total), **words)
        if not np.isfinite(self.goal):
            return said
        text = "{said} A week lacks {gap} to the goal." if self.gap > 0 else "{said} It meets the goal."
        return say(text, said=said, gap=quantity(self.gap, self.unit))

    def tables(self) -> Iterator[Table]:
        """Yield the factors."""
        if len(self.table):
            caption = say(
                "{title} as a product: before, now, and what each factor alone would have to be for the goal",
                title=self.title,
            )
            units = dict.fromkeys(("change", "low", "high", "reached"), "share") | {"part": self.unit}
            yield Table(f"drivers_{self.name}", self.table, caption, units)


def driver_tree(weekly: WeeklyMetrics, metric: str, goal: float = np.nan) -> DriverTree | None:
    """Return a weekly metric as a product of rates; None where it is none, or its weeks are not observed.

    Parameters
    ----------
    weekly : WeeklyMetrics
        The weeks.
    metric : str
        Id of the metric.
    goal : float
        What a week has to bring.
    """
    facts = next((each for each in weekly.known if each.id == metric), None)
    sums = {
        name: weekly.series(name)["numerator"] for _, *pair in TREES.get(metric, ()) for name in pair if name
    }
    if facts is None or not sums or any(each.empty for each in sums.values()):
        return None
    parts = pd.DataFrame(sums).where(lambda each: each > 0).pipe(np.log)
    logs = pd.DataFrame(
        {say(name): parts[top] - (parts[bottom] if bottom else 0.0) for name, top, bottom in TREES[metric]}
    ).dropna()
    at, level = np.arange(len(logs)), weekly.study.confidence
    new, old = at >= len(at) - NOW, (at >= len(at) - NOW - BEFORE) & (at < len(at) - NOW)

    def moved(values: pd.Series) -> Estimate:
        found = before_after(values.to_numpy(float), old, new, level, drift=False)
        value, low, high = (float(part) for part in np.expm1(found[:3]))
        return found._replace(value=value, low=low, high=high, unit="share")

    total, common = moved(logs.sum(axis=1)), (weekly.study, metric, say(facts.title), weekly.unit(facts))
    if len(at) < NOW + BEFORE or not total.known:
        return DriverTree(*common, pd.DataFrame(), total, goal)
    rows = pd.DataFrame([moved(logs[name])[:3] for name in logs], logs.columns, ["change", "low", "high"])
    rows.insert(0, "before", np.exp(logs[old].mean()))
    rows.insert(1, "now", np.exp(logs[new].mean()))
    before, now = float(rows["before"].prod()), float(rows["now"].prod())
    rows["part"] = (now - before) / float(np.log(now / before)) * np.log1p(rows["change"])
    if np.isfinite(goal):
        rows["needed"] = rows["now"] * goal / now
        rows["reached"] = (np.exp(logs) >= rows["needed"]).mean()
    return DriverTree(*common, rows.rename_axis("factor").reset_index(), total, goal)


@dataclass(frozen=True, repr=False)
class Plausibility(Result):
    """Whether the past ever did what a goal asks.

    Attributes
    ----------
    asked : float
        What the goal asks of the weeks ahead, relative to the eight weeks before them: 0.3 is 30 % more.
    weeks : int
        How many weeks are ahead.
    reached : Estimate
        Share of spans of that length in the past in which it happened; n counts those that do not overlap.
    most : float
        The most it ever changed over such a span, in the direction of the goal.
    """

    asked: float
    weeks: int
    reached: Estimate
    most: float

    @property
    def sentence(self) -> str:
        """How often the past did what the goal asks."""
        if not self.reached.known:
            return say("Whether the past ever did what the goal asks: too little data.")
        text = (
            "The goal asks for {asked} against the pace over {weeks} weeks. The past did that in {share} of such "
            "spans; the most was {most}."
        )
        words = {"asked": percent(self.asked), "most": percent(self.most), "weeks": self.weeks}
        return say(text, share=with_bounds(self.reached), **words)


def plausibility(weekly: WeeklyMetrics, metric: str, needed: float, weeks: int) -> Plausibility:
    """Return how often a weekly metric changed by as much as a goal asks, in spans of the past.

    Parameters
    ----------
    weekly : WeeklyMetrics
        The weeks.
    metric : str
        Id of the metric.
    needed : float
        What the weeks ahead have to bring on average.
    weeks : int
        How many are ahead.
    """
    sums, weeks = weekly.series(metric), max(weeks, 1)
    values = (sums["numerator"] / sums["denominator"].replace(0, np.nan)).to_numpy(float)
    pace = np.nanmean(values[-BEFORE:]) if np.isfinite(values[-BEFORE:]).any() else np.nan
    starts = range(BEFORE, len(values) - weeks + 1)
    past = np.array([values[at : at + weeks].mean() / values[at - BEFORE : at].mean() - 1 for at in starts])
    past, asked = past[np.isfinite(past)], float(needed / pace - 1)
    spans, level = len(past) // weeks, weekly.study.confidence
    if spans < enough.BACKTESTS or not np.isfinite(asked):
        return Plausibility(weekly.study, asked, weeks, unknown(spans, "share", level), np.nan)
    share = float((past >= asked).mean() if asked >= 0 else (past <= asked).mean())
    low, high = jeffreys(share * spans, spans, level)
    found = Estimate(
        share, float(low), float(high), spans, "share", "Jeffreys, spans that do not overlap", level
    )
    return Plausibility(weekly.study, asked, weeks, found, float(past.max() if asked >= 0 else past.min()))
