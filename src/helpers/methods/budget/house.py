"""All cost: how it is spread beside rules of thumb, what a rule for core platforms costs, what a new fan costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.errors import BadParameters
from helpers.methods.budget.allocate import allocate
from helpers.methods.budget.results import Told
from helpers.methods.budget.returns import Lines
from helpers.methods.budget.terms import WEEKS_OF_MONTH, Share, Terms, responses_of
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, say, with_bounds
from helpers.stats.estimate import Estimate, log_estimate, normal_estimate, unknown
from helpers.study import Study
from helpers.tables import Table, heading

# The rule of thumb for all cost.
TEMPLATE = {"content": 0.40, "ads": 0.35, "tools": 0.25}
# A core share of 55 to 60 %.
CORE_WIDTH = 0.05
CORE = (
    "Core platforms had {share} of advertising; a rule asks for {low} to {high}. By the mean curves, keeping to it "
    "costs {price} of margin a month, and one point of share more or less would bring {point}."
)
ADS = "Advertising takes {share} of all cost; the rule of thumb gives it {rule}. It is a rule, not a result."
# Metrics that count fans, and others that cost is set against; of the brand, else summed over platforms.
FANS = ("new_members", "new_followers", "follows")
COUNTED = (*FANS, "interactions", "orders", "conversions")
# Months in either half without which no unit cost is told.
HALF = 3
# A kind of cost is overspent in a month that takes this part more than its median month.
WELL_ABOVE = 0.25
FAN = (
    "A new fan ({metric}) costs {cost} in a typical month, all cost counted, and those counted too who would have "
    "come anyway. From the earlier half of the months to the later it changed by {change}."
)


def costs(study: Study) -> pd.DataFrame:
    """Return money by month (rows) and kind of the table ``costs``; no rows where there is none."""
    rows = study.ledger.groupby(["month", "kind"])["amount"].sum()
    table = rows.unstack(fill_value=0)
    return table.assign(ads=table.get("ads", 0.0)).astype(float)


def shocks(study: Study) -> tuple[float, ...]:
    """Return by how much each month's cost other than advertising was above the median month."""
    other = costs(study).drop(columns="ads").sum(axis=1)
    return tuple(np.maximum(other - other.median(), 0.0))


def mean_share(part: pd.Series, whole: pd.Series, confidence: float) -> Estimate:
    """Return the mean over periods of the share that a part has in the whole."""
    each = (part / whole)[whole > 0]
    if len(each) < 2:
        return unknown(len(each), "share", confidence)
    error, n, named = float(each.std()) / np.sqrt(len(each)), len(each), "Student's t over periods"
    mean = float(each.mean())
    return normal_estimate(mean, error, n, "share", named, confidence, degrees=n - 1, bounds=(0, 1))


@dataclass(frozen=True, repr=False)
class House(Told):
    """What rules of thumb say.

    Attributes
    ----------
    months : pandas.DataFrame
        Money by month (rows) and kind of cost.
    core : Estimate
        Share of core platforms in advertising.
    price, point : float
        Margin of a month that a rule for it costs by the mean curves, and what one point of share would bring; NaN
        when no plan keeps it, or none is proposed.
    """

    months: pd.DataFrame = field(repr=False)
    core: Estimate
    price: float = np.nan
    point: float = np.nan

    @property
    def ads(self) -> Estimate:
        """Share of advertising in all cost."""
        return mean_share(self.months["ads"], self.months.sum(axis=1), self.study.confidence)

    @property
    def sentence(self) -> str:
        """What part of all cost advertising takes."""
        text = ADS if self.ads.known else "How cost is spread: there are too few months of it on record."
        return say(text, share=with_bounds(self.ads), rule=percent(threshold("budget.ads_share").value, 0))

    @property
    def core_sentence(self) -> str:
        """What part core platforms have, and what the rule costs."""
        low, text = threshold("budget.core_share").value, "Core platforms had {share} of advertising."
        text = CORE if np.isfinite(self.price) else text if self.core.known else "No platform is called core."
        rule = {"low": percent(low, 0), "high": percent(low + CORE_WIDTH, 0)}
        price, point = self.cash(self.price), self.cash(self.point)
        return say(text, share=with_bounds(self.core), price=price, point=point, **rule)

    def parts(self) -> Iterator[Part]:
        """Yield both rules, and cost by kind."""
        yield self.sentence
        yield self.core_sentence
        total, ledger = self.months.sum().sort_values(ascending=False), self.study.ledger
        fixed = ledger["amount"].where(ledger["fixed"].astype(bool), 0.0)
        rows = pd.DataFrame({"amount_a_month": total / len(self.months), "share": total / total.sum()})
        rows["rule_of_thumb"] = rows.index.map(TEMPLATE)
        rows["of_that_fixed"] = fixed.groupby(ledger["kind"]).sum() / total
        units = dict.fromkeys(map(str, rows), "share") | {"amount_a_month": self.study.currency}
        caption = say("Cost by kind over {n} months", n=len(self.months))
        yield Table("costs", rows.rename_axis("kind").reset_index(), caption, units)

    def findings(self) -> Iterator[Finding]:
        """State the share of core platforms in advertising, and of advertising in all cost."""
        told = (say("Share of advertising on core platforms"), self.core_sentence, "core_share", "S074")
        held = say("weeks to come are as those on record")
        yield self.state(self.core, "core_share", *told, assumption=held)
        metric, held = say("Share of advertising in all cost"), say("the ledger of costs is complete")
        costs_told = (metric, self.sentence, "cost_share", "S073", "S076", "S082")
        yield self.state(self.ads, "ads_share", *costs_told, n_of="periods", assumption=held)


def house(study: Study, lines: Lines, platforms: Sequence[str] = ()) -> House:
    """Return what rules of thumb say, and what a rule for core platforms costs.

    Parameters
    ----------
    study : Study
        With ``costs``, where cost by kind is asked for.
    lines : Lines
        What each line brings.
    platforms : sequence of str
        Core platforms.
    """
    found, frame = lines.fitted.usable, lines.fitted.weeks.weekly
    inside = tuple(str(line) for line in frame.spend if frame.lines.at[line, "platform"] in platforms)
    core = mean_share(frame.spend[[*inside]].sum(axis=1), frame.spend.sum(axis=1), study.confidence)
    core = core if inside else unknown(len(frame.outcome), "share", study.confidence)
    told = House(study, costs(study), core)
    if found is None or not inside:
        return told
    today = WEEKS_OF_MONTH * lines.table["spend"].map(lambda one: one.value)
    rows = pd.DataFrame({"today": today, "low": 0.0, "high": WEEKS_OF_MONTH * frame.spend.max()})
    low, value = threshold("budget.core_share").value, lines.turnover * lines.margin
    rules: tuple[tuple[Share, ...], ...] = ((), (Share("core", inside, low, low + CORE_WIDTH),))
    terms = [Terms(float(today.sum()), rows, rule, value=value, currency=study.currency) for rule in rules]
    try:
        free, kept = (allocate(responses_of(found), each) for each in terms)
    except BadParameters:  # no plan of today's money keeps the rule
        return told
    point = dict(kept.prices.to_numpy()).get("share: core", 0.0)
    return replace(told, price=max(free.objective - kept.objective, 0.0), point=max(point, 0.0))


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
            rows = self.table.map(with_bounds).rename(index=heading).rename_axis("of").reset_index()
            caption = say("All cost of a month for each one, and its change to the later months")
            yield Table("unit_costs", rows, caption)
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
    logs = np.log(monthly[(monthly > 0) & (monthly < np.inf)])
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
    keys = {name: table[name].cast("string") for name in ("metric", "scope_type")}
    table = table.mutate(date=table.date.cast("date"), **keys)
    table = table.filter(table.metric.isin(COUNTED), table.date <= ibis.date(study.as_of))
    daily = table.group_by("metric", "scope_type", "date").agg(value=table.value.sum())
    months = daily.group_by("metric", "scope_type", month=daily.date.truncate("M"))
    total = rounded(daily.value.sum(), VALUE_DECIMALS)
    rows = months.agg(days=daily.count(), value=total).order_by("month").to_pandas()
    rows = rows.assign(month=pd.to_datetime(rows["month"]).dt.to_period("M"))
    found = {}
    for metric, mine in rows.groupby("metric"):
        scope = next((name for name in ("brand", "platform") if (mine["scope_type"] == name).any()), "")
        mine = mine[(mine["scope_type"] == scope) & (mine["days"] == mine["month"].dt.days_in_month)]
        found[str(metric)] = mine.set_index(mine["month"].astype(str))["value"].rename_axis("date")
    return pd.DataFrame(found)[[name for name in COUNTED if name in found]]


def overspent(study: Study) -> pd.DataFrame:
    """Return kinds of cost in months well above the kind's median month, the most first, and who approved them."""
    each = study.ledger.groupby(["month", "kind"], as_index=False)
    rows = each.agg(amount=("amount", "sum"), approval_level=("approver_level", "max"))
    usual = rows.groupby("kind")["amount"].transform("median")
    rows = rows.assign(above=rows["amount"] - usual)[rows["amount"] > (1 + WELL_ABOVE) * usual]
    return rows.sort_values("above", ascending=False, ignore_index=True)
