"""A goal as a product of rates, the factor that moved it, and whether the past ever did what a goal asks.

A product splits exactly: with x_k the factors of V, weekly logarithms add up, and the part of factor k in the change
of V from V0 to V1 (geometric means of the weeks) is L ln(x_k1 / x_k0) with L = (V1 - V0) / ln(V1 / V0), the
logarithmic mean (Ang 2005, Energy Policy 33: LMDI-I): the parts sum to V1 - V0 without a remainder.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.methods.weekly_review.answer import Answer, framed
from helpers.methods.weekly_review.metrics import WeeklyMetrics
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.stats.before_after import before_after
from helpers.stats.estimate import Estimate, jeffreys
from helpers.study import enough

NOW, BEFORE = 4, 8  # weeks
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
    facts = next((each for each in weekly.known if each.id == metric), None)
    names = {name for _, *pair in TREES.get(metric, ()) for name in pair if name}
    series = {name: weekly.series(name) for name in names}
    if facts is None or not names or any(each.empty for each in series.values()):
        return None
    sums = pd.DataFrame({name: each["numerator"] for name, each in series.items()})
    parts = pd.DataFrame(np.log(sums.where(sums > 0)))
    ordinary = weekly.unusual.reindex(parts.index).fillna("") == ""
    logs = pd.DataFrame(
        {say(name): parts[top] - (parts[low] if low else 0.0) for name, top, low in TREES[metric]}
    )
    logs = logs.where(parts.notna().all(axis=1) & ordinary)
    at, level = np.arange(len(logs)), weekly.study.confidence
    new, old = at >= len(at) - NOW, (at >= len(at) - NOW - BEFORE) & (at < len(at) - NOW)

    def moved(values: pd.Series) -> Estimate:
        found = before_after(values.to_numpy(float), old, new, level, drift=False)
        value, low, high = (float(part) for part in np.expm1(found[:3]))
        return found._replace(value=value, low=low, high=high, unit="share")

    total, unit, title = moved(logs.sum(axis=1, skipna=False)), weekly.unit(facts), say(facts.title)
    if not total.known:
        return Answer(weekly.study, say("What drives {title}: too little data.", title=title.lower()))
    changes = {name: moved(logs[name]) for name in logs}
    rows = pd.DataFrame({"before": np.exp(logs[old].mean()), "now": np.exp(logs[new].mean())})
    rows[["change", "low", "high"]] = [one[:3] for one in changes.values()]
    before, now = rows[["before", "now"]].to_numpy(float).prod(axis=0)
    rows["part"] = ((now - before) / np.log(now / before) if now != before else now) * np.log1p(
        rows["change"]
    )
    if np.isfinite(goal):
        rows["needed"] = rows["now"] * goal / now
        rows["reached"] = (np.exp(logs.dropna()) >= rows["needed"]).mean()
    way = np.sign(total.value)
    clear = rows[(rows["low"] * way > 0) & (rows["high"] * way > 0)]
    driver = say("no factor stands out")
    if len(clear):
        name = str((clear["part"] * way).idxmax())
        driver = say("mostly {factor}, by {change}", factor=name.lower(), change=with_bounds(changes[name]))
    text = "{title} is {product}. The last {n} weeks differ from the {m} before by {change}; {driver}. {gap}"
    gap = "" if not np.isfinite(goal) else say("It meets the goal.") if now >= goal else (
        say("A week lacks {gap} to the goal.", gap=quantity(goal - now, unit)))  # fmt: skip
    words = {
        "product": " × ".join(rows.index.str.lower()),
        "n": NOW,
        "m": BEFORE,
        "driver": driver,
        "gap": gap,
    }
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
    sums, weeks, level = weekly.series(metric), max(weeks, 1), weekly.study.confidence
    values = sums["numerator"] / sums["denominator"].where(sums["denominator"] > 0)
    pace = values.rolling(BEFORE, min_periods=enough.PERIODS).mean()
    past = (values.rolling(weeks).mean() / pace.shift(weeks) - 1).dropna().to_numpy(float)
    asked, spans = float(needed / pace.iloc[-1] - 1) if len(pace) else np.nan, len(past) // weeks
    if spans < enough.BACKTESTS or not np.isfinite(asked):
        return Answer(weekly.study, say("Whether the past ever reached what the goal asks: too little data."))
    share = float(np.mean(past >= asked if asked >= 0 else past <= asked))
    low, high = jeffreys(share * spans, spans, level)
    found = Estimate(share, float(low), float(high), spans, "share", "Jeffreys, spans apart", level)
    text = (
        "The goal asks for {asked} against the pace over {weeks} weeks. The past did that in {share} of such spans; "
        "the most was {most}."
    )
    most = percent(float(past.max() if asked >= 0 else past.min()))
    said = say(text, asked=percent(asked), weeks=weeks, most=most, share=with_bounds(found))
    rows = [("asked", asked), ("share of past spans", share), ("low", found.low), ("high", found.high)]
    caption = say("What the goal asks, and how often the past did it")
    table = framed(
        pd.DataFrame(rows, columns=["what", "share"]), f"plausible_{metric}", caption, share="share"
    )
    return Answer(weekly.study, said, table)
