"""What a new fan costs: all cost of a month over what came of it, the trend, and months that took more than usual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.methods.budget.house import costs
from helpers.methods.budget.results import Told
from helpers.methods.budget.weekly import entries
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.sentences import percent, say, with_bounds
from helpers.stats.estimate import Estimate, log_estimate, unknown
from helpers.study import Study
from helpers.tables import Table, heading

# Metrics that count fans, and others that cost is set against; of the brand, else summed over platforms.
FANS = ("new_members", "new_followers", "follows")
COUNTED = (*FANS, "interactions", "orders", "conversions")
# Months in either half without which no unit cost is told.
HALF = 3
# A kind of cost is overspent in a month that takes this part more than its median month.
WELL_ABOVE = 0.25
FAN = (
    "A new fan ({metric}) costs {cost} in a typical month, with all cost counted, and with fans who would have come "
    "anyway. The later half of the months against the earlier: {change}."
)


@dataclass(frozen=True, repr=False)
class Spent(Told):
    """What a new fan costs, and what was overspent.

    Attributes
    ----------
    table : pandas.DataFrame
        Index the metric; columns cost (of one in a typical month) and change (later half of the months over the
        earlier, less one), each cell an :class:`Estimate`.
    over : pandas.DataFrame
        As :func:`overspent` returns it.
    """

    table: pd.DataFrame = field(repr=False)
    over: pd.DataFrame = field(repr=False)

    @property
    def fan(self) -> tuple[str, Estimate, Estimate]:
        """The metric that counts fans, its unit cost and the change of that; unknown without one."""
        none = unknown(0, self.study.currency, self.study.confidence)
        metric = next((name for name in FANS if name in self.table.index), "")
        return ("", none, none) if not metric else (metric, *self.table.loc[metric])

    @property
    def sentence(self) -> str:
        """What one fan costs, and whether that rises."""
        metric, cost, change = self.fan
        text = FAN if cost.known else "What a new fan costs cannot be told: too few months."
        return say(text, metric=heading(metric), cost=with_bounds(cost), change=with_bounds(change))

    def parts(self) -> Iterator[Part]:
        """Yield what a fan costs, the same of other counts, and months that took more than usual."""
        yield self.sentence
        if len(self.table):
            rows = self.table.map(with_bounds).rename_axis("of").reset_index()
            yield Table(
                "unit_costs", rows, say("All cost of a month over all of each; later half over earlier")
            )
        above = percent(WELL_ABOVE, 0)
        if self.over.empty:
            yield say("No kind of cost was more than {above} above its usual month.", above=above)
            return
        caption = say("Months in which a kind of cost was more than {above} above usual", above=above)
        units = dict.fromkeys(["amount", "above"], self.study.currency)
        yield Table("overspent", self.over, caption, units)

    def findings(self) -> Iterator[Finding]:
        """State what a fan costs."""
        more = {"n_of": "periods", "direction": "down is good"}
        told = ("fan_cost", say("Cost of a new fan"), self.sentence, "unit_cost", "S070", "S071", "S078")
        yield self.state(self.fan[1], *told, assumption=say("the ledger of costs is complete"), **more)


def spent(study: Study) -> Spent:
    """Return what a new fan costs, and what was overspent.

    Parameters
    ----------
    study : Study
        With ``costs`` and ``metric_daily``, as far as they are there.
    """
    total, counted = costs(study).sum(axis=1), counts(study)
    each = {str(name): unit_cost(total / counted[name], study.currency, study.confidence) for name in counted}
    table = pd.DataFrame.from_dict(each, orient="index", columns=["cost", "change"])
    return Spent(study, table, overspent(study))


def unit_cost(monthly: pd.Series, currency: str, confidence: float) -> tuple[Estimate, Estimate]:
    """Return the mean of a monthly cost of one on the scale of logarithms, and its later half over the earlier.

    Student's t; the change is a ratio less one.
    """
    logs = np.log(monthly.replace([0.0, np.inf], np.nan).dropna())
    n, half, named = len(logs), len(logs) // 2, "Student's t over months"
    if half < HALF:
        return unknown(n, currency, confidence), unknown(n, "share", confidence)
    early, late = logs.iloc[:half], logs.iloc[-half:]
    error = np.sqrt((early.var() + late.var()) / half)
    level = log_estimate(logs.mean(), logs.std() / np.sqrt(n), n, currency, named, confidence, n - 1)
    change = log_estimate(late.mean() - early.mean(), error, n, "share", named, confidence, 2 * half - 2)
    return level, change._replace(value=change.value - 1, low=change.low - 1, high=change.high - 1)


def counts(study: Study) -> pd.DataFrame:
    """Return by month on record from its first day to its last (rows) how many there were of each metric."""
    if "metric_daily" not in study.dataset:
        return pd.DataFrame()
    table = study.dataset.metric_daily
    rows = table.filter(table.metric.cast("string").isin(COUNTED)).to_pandas()
    rows = rows.assign(date=pd.to_datetime(rows["date"])).astype({"scope_type": str, "metric": str})
    found = {}
    for metric, mine in rows[rows["date"].dt.date <= study.as_of].groupby("metric"):
        scope = next((name for name in ("brand", "platform") if (mine["scope_type"] == name).any()), "")
        daily = mine[mine["scope_type"] == scope].groupby("date")["value"].sum()
        months = daily.groupby(daily.index.to_period("M")).agg(["size", "sum"])
        whole = months["sum"][months["size"] == months.index.days_in_month]
        found[str(metric)] = whole.set_axis(whole.index.astype(str))
    return pd.DataFrame(found)[[name for name in COUNTED if name in found]]


def overspent(study: Study) -> pd.DataFrame:
    """Return kinds of cost in months well above the kind's median month, the most first, and who approved them."""
    each = entries(study).groupby(["month", "kind"], as_index=False)
    rows = each.agg(amount=("amount", "sum"), approval_level=("approver_level", "max"))
    usual = rows.groupby("kind")["amount"].transform("median")
    rows = rows.assign(above=rows["amount"] - usual)[rows["amount"] > (1 + WELL_ABOVE) * usual]
    return rows.sort_values("above", ascending=False, ignore_index=True)
