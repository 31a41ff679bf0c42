"""What each line brings, and where more stops paying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.errors import BadParameters
from helpers.figures import Chart, NoChart
from helpers.methods.budget import plots
from helpers.methods.budget.answers import answers
from helpers.methods.budget.results import Fitted, Told
from helpers.methods.budget.terms import WEEKS_OF_MONTH
from helpers.playbook.finding import Finding
from helpers.playbook.result import Part
from helpers.playbook.thresholds import threshold
from helpers.sentences import number, percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study
from helpers.tables import Table

PAYS = {
    "pays": "The next money most likely pays on {lines}.",
    "past": "It most likely no longer pays on {lines}.",
    "open": "It may or may not pay on {lines}.",
}
POINTS = {
    "steepest_at": "bend", "best_average_at": "best_average", "average_is_as_asked_up_to": "average_target",
    "next_is_as_asked_up_to": "marginal_target", "next_pays_up_to": "break_even",
}  # fmt: skip
EFFECTS = {
    "average_brings": "return", "next_brings": "marginal_return", "brought": "contribution",
    "costs_each": "cost_per_outcome", "spend_1_%_more_brings_%_more": "elasticity", "payback": "payback",
    "half_of_effect_after": "half_life", "still_to_come": "still_to_come", "headroom_a_week": "headroom",
}  # fmt: skip
BANDS = (
    "{level} bands, up to the largest spend seen. Point: today. Ring: spend up to which the average return is as "
    "asked. Dotted: margin equals spend. Dashed: beyond this spend, more no longer pays, where that was seen."
)
RETURNS = (
    "Each {unit} 1 of advertising brought {one} of turnover, against {target} asked for, which it reached with a "
    "chance of {chance}; on all cost, fixed cost included, {all}."
)


def scaled(estimate: Estimate, factor: float, unit: str) -> Estimate:
    """Return an estimate in another unit."""
    value, low, high = (factor * part for part in estimate[:3])
    return estimate._replace(value=value, low=low, high=high, unit=unit)


@dataclass(frozen=True, repr=False)
class Lines(Told):
    """What each line brings, and where more stops paying.

    Attributes
    ----------
    fitted : Fitted
        The curves.
    table : pandas.DataFrame
        As :func:`helpers.methods.budget.answers.answers` returns it; no rows where trust is red.
    turnover, margin, target : float
        Turnover of one of the outcome, share of it that is margin, turnover asked for each unit of money.
    chance : pandas.Series
        By line, the surest first: how likely the next unit of money, at today's spend, brings itself back in margin.
    """

    fitted: Fitted
    table: pd.DataFrame = field(repr=False)
    turnover: float
    margin: float
    target: float
    chance: pd.Series

    def of(self, line: str, number: str) -> Estimate:
        """Return a number of a line; unknown of none."""
        if line not in self.table.index:
            return unknown(self.fitted.n, self.study.currency, self.study.confidence)
        return Estimate(*self.table.at[line, number])  # type: ignore[misc]

    @property
    def verdict(self) -> pd.Series:
        """By line: ``"pays"``, ``"past"``, or ``"open"`` when neither is likely enough."""
        sure = threshold("budget.pays").value
        named = np.select([self.chance >= sure, self.chance <= 1 - sure], ["pays", "past"], "open")
        return pd.Series(named, self.chance.index, dtype=object)

    def named(self, verdict: str) -> str:
        """Return the lines of a verdict."""
        return ", ".join(self.chance.index[self.verdict == verdict])

    @property
    def sentence(self) -> str:
        """Where the next unit of money pays, and where it no longer does."""
        if self.table.empty:
            return say("Where more stops paying cannot be told. {why}", why=self.fitted.trust.refusal)
        told = [say(text, lines=lines) for name, text in PAYS.items() if (lines := self.named(name))]
        text = "At a margin of {margin}, the next {unit} 1 pays once it brings {least} of turnover."
        least, margin = number(1 / self.margin), percent(self.margin, 0)
        return " ".join([*told, say(text, margin=margin, unit=self.study.currency, least=least)])

    @property
    def rows(self) -> pd.DataFrame:
        """One row a line, the surest first: what pictures and tables show, money of a month."""
        rows = self.chance.rename("chance").rename_axis("line").to_frame()
        parts = {"spend": "spend", "average": "return", "next": "marginal_return", "pays_up_to": "break_even"}
        parts |= {"as_asked_up_to": "average_target"}
        for name, column in parts.items():
            factor = 1.0 if column in ("return", "marginal_return") else WEEKS_OF_MONTH
            numbers = [scaled(self.of(str(line), column), factor, "") for line in rows.index]
            for place, suffix in enumerate(("", "_low", "_high")):
                rows[name + suffix] = [one[place] for one in numbers]
        return rows.assign(verdict=self.verdict).reset_index()

    def figure(self) -> Chart | NoChart:
        """Draw the curves of all lines."""
        found, drawn = self.fitted.usable, []
        if found is None:
            return NoChart(say("What each line brings"), self.fitted.trust.refusal, name="response_curves")
        rows, tail = self.rows, (1 - self.study.confidence) / 2
        rows["seen"] = [WEEKS_OF_MONTH * found.weekly.spend[line].max() for line in rows["line"]]
        for line, seen in zip(rows["line"], rows["seen"], strict=True):
            at = np.linspace(0, seen, 41)
            money = self.turnover * self.margin * WEEKS_OF_MONTH * found.response(line, at / WEEKS_OF_MONTH)
            low, high = np.quantile(money, [tail, 1 - tail], axis=0)
            part = {"line": line, "spend": at, "margin": money.mean(axis=0), "low": low, "high": high}
            drawn.append(pd.DataFrame(part))
        note, data = say(BANDS, level=percent(self.study.confidence, 0)), pd.concat(drawn, ignore_index=True)
        kind, title = say("Curves with bands, one panel a line"), say("What each line brings by its spend")
        return self.drawn("response_curves", kind, title, data, plots.curves(data, rows), note=note)

    def next_picture(self) -> Chart:
        """Draw what the next unit of money brings, by line."""
        rows, text = self.rows, "The next money is safest on {best} and least safe on {worst}"
        title = say(text, best=rows["line"].iloc[0], worst=rows["line"].iloc[-1])
        text = "{level} intervals. Green: more pays with a chance of {sure} or better. Orange: with less than {none}."
        sure, level = threshold("budget.pays").value, percent(self.study.confidence, 0)
        note = say(text, level=level, sure=percent(sure, 0), none=percent(1 - sure, 0))
        kind = say("Points with intervals by line against the turnover at which money comes back")
        data = rows[["line", "spend", "average", "next", "next_low", "next_high", "chance", "verdict"]]
        data = data.assign(verdict=rows["verdict"].map(say))
        drawing = plots.next_money(rows, 1 / self.margin, self.target)
        units = {"spend": self.study.currency, "chance": "share"}
        return self.drawn("next_money", kind, title, data, drawing, note=note, units=units)

    def parts(self) -> Iterator[Part]:
        """Yield where more pays, the pictures and the tables; only why there are none where trust is red."""
        yield self.sentence
        if self.table.empty:
            return
        yield self.next_picture()
        yield self.figure()
        yield self.cost_sentence
        caption = say("Points of each curve: spend a month. “Beyond” is more than was ever spent on the line")
        yield Table("points", self.numbers(POINTS), caption, units := {"spend_a_month": self.study.currency})
        caption = say("What else is known of each line, with intervals")
        yield Table("effects", self.numbers(EFFECTS), caption, units)

    def numbers(self, columns: Mapping[str, str]) -> pd.DataFrame:
        """Return a row a line, the surest first: its spend of a month, and numbers with intervals in words."""
        rows = self.rows[["line", "spend"]].rename(columns={"spend": "spend_a_month"})
        told = {name: [self.spoken(str(line), of) for line in rows["line"]] for name, of in columns.items()}
        return rows.assign(**told)

    def spoken(self, line: str, name: str) -> str:
        """Return a number of a line with its interval; points of its curve as money a month, up to what was seen."""
        one, seen = self.of(line, name), self.fitted.weeks.weekly.spend[line].max()
        if np.isnan(one.value):
            return say("none")
        if name in POINTS.values():
            said = [self.cash(WEEKS_OF_MONTH * at) if at <= seen else say("beyond") for at in one[:3]]
        elif all(map(np.isfinite, one[:3])):
            return with_bounds(one)
        else:
            said = [quantity(at, one.unit) if np.isfinite(at) else say("never") for at in one[:3]]
        return say("{value} ({low} to {high})", value=said[0], low=said[1], high=said[2])

    @property
    def cheapest(self) -> str:
        """The line that brings one more of the outcome at the least cost; empty where no line is told of."""
        costs = self.table.get("cost_per_outcome", pd.Series(dtype=object))
        return min(costs.index, key=lambda line: costs[line].value, default="")

    @property
    def cost_sentence(self) -> str:
        """What one more of the outcome costs, beside how dear the impressions of the line are."""
        line, lines = self.cheapest, self.fitted.weeks.weekly.lines
        lines, cost = lines[lines["spend"] > 0], self.of(line, "cost_per_outcome")
        price = lines["spend"] / lines["impressions"]
        if not line:
            return say("What one more of the outcome costs cannot be told.")
        rank, n, unit = int((price < price[line]).sum()), len(price), self.fitted.weeks.weekly.unit
        text = "Extra {unit} cost least on {line}: {cost} each. {rank} of {n} lines have cheaper impressions."
        if unit == self.study.currency:
            text = (
                "{unit} 1 more costs least on {line}: {cost}. {rank} of {n} lines have cheaper impressions."
            )
        return say(text, unit=unit, line=line, cost=with_bounds(cost), rank=rank, n=n)

    @property
    def per_share(self) -> float:
        """Turnover for each unit of money, had paid lines brought all of the outcome."""
        frame = self.fitted.weeks.weekly
        return self.turnover * float(frame.outcome.sum()) / float(frame.spend.to_numpy().sum() or 1.0)

    @property
    def overall(self) -> Estimate:
        """Turnover that advertising brought for each unit of money."""
        return scaled(self.fitted.paid_share, self.per_share, "ratio")

    @property
    def on_all_cost(self) -> Estimate:
        """The same for each unit of all cost: spend with a curve and without."""
        frame = self.fitted.weeks.weekly
        floating, fixed = float(frame.spend.to_numpy().sum()), float(frame.fixed.sum()) * len(frame.outcome)
        return scaled(self.overall, floating / ((floating + fixed) or 1.0), "ratio")

    def findings(self) -> Iterator[Finding]:
        """State where more stops paying, the return on advertising, and the cheapest outcome."""
        text = "one of the outcome is worth {worth} of turnover, and the true curves are among those tried"
        held = {"assumption": say(text, worth=self.cash(self.turnover))}
        line = str(next(iter(self.chance.index[::-1]), say("no line")))
        point = scaled(self.of(line, "break_even"), WEEKS_OF_MONTH, self.study.currency)
        past = self.named("past")
        text = "more no longer pays on {lines}" if past else "more may no longer pay on {lines}"
        more = {"picture": "next_money", "headline": say(text, lines=past or line)} | held
        metric = say("Monthly spend on {line} up to which more pays", line=line)
        yield self.state(point, "stops_paying", metric, self.sentence, "break_even", "S067", **more)
        text = RETURNS if self.overall.known else "What spend returns cannot be told."
        every = {"one": with_bounds(self.overall), "all": with_bounds(self.on_all_cost)}
        reached = self.per_share * self.fitted.brought >= self.target
        every["chance"] = percent(float(reached.mean()), 0) if len(reached) else ""
        told = say(text, unit=self.study.currency, target=number(self.target), **every)
        metric, held["direction"] = say("Turnover per unit of advertising money"), "up is good"
        yield self.state(self.overall, "return", metric, told, "return_on_spend", "S068", **held)
        metric, held["direction"] = say("Cost of one more outcome, cheapest line"), "down is good"
        cost, told = self.of(self.cheapest, "cost_per_outcome"), self.cost_sentence
        yield self.state(cost, "cost_per_outcome", metric, told, "cost_per_outcome", "S081", **held)


def lines(
    study: Study, fitted: Fitted, turnover: float = 0.0, margin: float = 1.0, target: float = 4.0
) -> Lines:
    """Return what each line brings, and where more stops paying.

    Parameters
    ----------
    study : Study
        Its level.
    fitted : Fitted
        The curves.
    turnover : float
        Turnover that one of the outcome stands for; 0 takes 1 for money, else what ad reports say of a conversion.
    margin : float
        Share of turnover left after the cost of what was sold.
    target : float
        Turnover asked for each unit of money.

    Raises
    ------
    BadParameters
        When the turnover is not stated and does not follow from the tables.
    """
    worth, found = turnover or _turnover(study, fitted, margin), fitted.usable
    if found is None:
        return Lines(study, fitted, pd.DataFrame(), worth, margin, target, pd.Series(dtype=float))
    table = answers(found, fitted.n, study.confidence, target, worth, worth * margin)
    chance = {}
    for name, today in table["spend"].items():
        margins = worth * margin * found.marginal(str(name), np.array([today.value]))
        chance[name] = float((margins > 1).mean())
    ranked = pd.Series(chance).sort_values(ascending=False, kind="stable")
    return Lines(study, fitted, table, worth, margin, target, ranked)


def _turnover(study: Study, fitted: Fitted, margin: float) -> float:
    """Return the turnover of one of the outcome, where it follows from the tables."""
    unit, ads = fitted.weeks.weekly.unit, study.dataset.ad_daily
    if unit == study.currency:
        return 1 / margin if fitted.weeks.outcome == "margin" else 1.0
    if unit == "conversions" and {"revenue", "conversions"} <= set(ads.columns):
        worth = (rounded(ads.revenue.sum(), VALUE_DECIMALS) / ads.conversions.sum().nullif(0)).execute()
        if worth > 0:
            return float(worth)
    raise BadParameters(say("turnover == 0: state what turnover one of {unit} stands for.", unit=unit))
