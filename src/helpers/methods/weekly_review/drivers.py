"""A goal as a product of rates, the factor that moved it, and whether the past ever did what a goal asks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.playbook.answer import Answer, framed
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.stats.product import NOW, done_before, factors
from helpers.stats.weeks import BASE
from helpers.study.weekly import BY_ID

ACTIVE = ("Active members", "weekly_active", "")
RATE = ("Orders per active member", "orders", "weekly_active")
TREES = {
    "net_revenue": (ACTIVE, RATE, ("Money per order", "net_revenue", "orders")),
    "orders": (ACTIVE, RATE),
    "ad_cost": (("Clicks", "click_rate", ""), ("Cost per click", "ad_cost", "click_rate")),
}
"""By metric: its factors, each the sum of one weekly number over that of another; their product is the metric."""


def driver_tree(weekly: WeeklyMetrics, metric: str, goal: float = np.nan) -> Answer | None:
    """Return a weekly metric as a product of rates; None where it is none, or its weeks are not observed.

    Its table has one row a factor: factor, before, now (geometric means of eight and four ordinary weeks), change,
    low, high (relative), part (of the change of the metric, in its unit; they sum to it), and with a goal for a week
    needed (what the factor would have to be alone for that) and reached (share of all weeks in which it was).
    """
    facts = BY_ID.get(metric)
    names = {name for _, *pair in TREES.get(metric, ()) for name in pair if name}
    series = {name: weekly.series(name) for name in names}
    if facts is None or not names or any(each.empty for each in series.values()):
        return None
    sums = pd.DataFrame({name: each["numerator"] for name, each in series.items()})
    parts = pd.DataFrame(np.log(sums.where(sums > 0)))
    ordinary = weekly.ordinary(parts.index)
    logs = pd.DataFrame(
        {say(name): parts[top] - (parts[low] if low else 0.0) for name, top, low in TREES[metric]}
    )
    logs = logs.where(parts.notna().all(axis=1) & ordinary)
    total, rows = factors(logs, goal, weekly.study.confidence)
    unit, title = weekly.unit(facts), say(facts.title)
    if not total.known:
        return Answer(weekly.study, say("What drives {title}: too little data.", title=title.lower()))
    now = float(rows["now"].to_numpy(float).prod())
    way = np.sign(total.value)
    clear, driver = rows[(rows["low"] * way > 0) & (rows["high"] * way > 0)], say("no factor stands out")
    if len(clear):
        name = str((clear["part"] * way).idxmax())
        change = total._replace(**clear.loc[name, ["low", "high"]], value=clear.loc[name, "change"])
        driver = say("mostly {factor}, by {change}", factor=name.lower(), change=with_bounds(change))
    text = "{title} is {product}. The last {n} weeks differ from the {m} before by {change}; {driver}. {gap}"
    gap = "" if not np.isfinite(goal) else say("It meets the goal.") if now >= goal else (
        say("A week lacks {gap} to the goal.", gap=quantity(goal - now, unit)))  # fmt: skip
    words = {"product": " × ".join(rows.index.str.lower()), "n": NOW, "m": BASE, "driver": driver, "gap": gap}
    caption = say(
        "{title} as a product, and what each factor alone would have to be for the goal", title=title
    )
    table = rows.rename_axis("factor").reset_index()
    units = {"change": "share", "low": "share", "high": "share", "reached": "share", "part": unit}
    said = say(text, title=title, change=with_bounds(total), **words).strip()
    return Answer(weekly.study, said, framed(table, f"drivers_{metric}", caption, **units))


def plausibility(weekly: WeeklyMetrics, metric: str, needed: float, weeks: int) -> Answer:
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
    values = sums["numerator"] / sums["denominator"].where(sums["denominator"] > 0)
    asked, found, most = done_before(values, needed, weeks, weekly.study.confidence)
    if not found.known:
        return Answer(weekly.study, say("Whether the past ever reached what the goal asks: too little data."))
    text = (
        "The goal asks for {asked} against the pace over {weeks} weeks. The past did that in {share} of such spans; "
        "the most was {most}."
    )
    said = say(text, asked=percent(asked), weeks=weeks, most=percent(most), share=with_bounds(found))
    rows = [("asked", asked), ("share of past spans", found.value), ("low", found.low), ("high", found.high)]
    caption = say("What the goal asks, and how often the past did it")
    table = pd.DataFrame(rows, columns=["what", "share"])
    return Answer(weekly.study, said, framed(table, f"plausible_{metric}", caption, share="share"))
