"""Where the models disagree, what channels return, and one decision for each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helpers.figures import Chart, NoChart
from helpers.methods.attribution import plots
from helpers.methods.attribution.disagreement import LOST, decide, robustness
from helpers.methods.attribution.money import GOAL, money
from helpers.methods.attribution.results import Added, Credited, as_money, told
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, quantity, say
from helpers.stats.estimate import Estimate, normal_estimate, unknown
from helpers.study import Study
from helpers.tables import Table

MONTH = 30
PART = 0.2
"""How much more of a channel is tried, and how much is taken away."""
SAID = {
    "grow": "test a fifth more",
    "shrink": "take a fifth away",
    "last_click": "do not pay by last click",
    "hold": "leave as it is",
    "test_next": "test next",
    "wait": "decide after a test",
}
"""A decision in the table of channels."""


@dataclass(frozen=True, repr=False)
class Compared(Result):
    """What models say of each channel, side by side.

    Attributes
    ----------
    credited, added
        What is compared.
    robust : pandas.DataFrame
        Shares of credit under other windows and lost touches; see
        :func:`helpers.methods.attribution.disagreement.robustness`.
    """

    credited: Credited
    added: Added
    robust: pd.DataFrame = field(repr=False)

    @property
    def rows(self) -> pd.DataFrame:
        """channel, model, orders, low, high: what is drawn, channels by last click."""
        table = self.credited.credit.table.rename(columns={"node": "channel", "conversions": "orders"})
        parts = [table[table["model"] == model] for model in plots.NAMES]
        if self.added.corrected is not None:
            parts.append(
                self.added.table.rename(columns={"added": "orders", "model": "alone"}).assign(model="added")
            )
        rows = pd.concat(parts)[["channel", "model", "orders", "low", "high"]]
        order = {name: place for place, name in enumerate(self.credited.of("last").index)}
        return rows.sort_values(
            "channel", key=lambda names: names.map(order), kind="stable", ignore_index=True
        )

    @property
    def excess(self) -> tuple[str, Estimate]:
        """The channel that last click favours most, and its credit beyond the orders it added.

        Of channels with a lift test where there are any; others are not known well enough.
        """
        added, last = self.added, self.credited.of("last")["conversions"]
        unit, level = "orders", self.study.confidence
        if added.corrected is None:
            return "", unknown(int(last.sum()), unit, level)
        table = added.table.set_index("channel")
        names = added.tested or list(table.index)
        name = str((last[names] - table.loc[names, "added"]).idxmax())
        drawn = self.credited.credit.draws["last"][:, 0, self.credited.credit.channels.index(name)]
        place = added.corrected.channels.index(name)
        error = np.sqrt(drawn.var() + added.corrected.covariance[place, place])
        value = float(last[name] - table.loc[name, "added"])
        n = int(self.credited.of("last")["n"][name])
        return name, normal_estimate(value, float(error), n, unit, "difference of independent errors", level)

    @property
    def sentence(self) -> str:
        """Which channel last click favours most."""
        name, excess = self.excess
        if not excess.known:
            return say("Last click against what channels added: {why}.", why=self.credited.seen.too_little)
        text = "Last click gives {name} {last} orders. It added {added}: {excess} too many."
        if name not in self.added.tested:
            text = (
                "Last click gives {name} {last} orders. By the model it added {added}; no test confirms that."
            )
        last = number(float(self.credited.of("last")["conversions"][name]), 0)
        orders = told(self.added.corrected.of(name, self.study.confidence))  # type: ignore[union-attr]
        return say(text, name=name, last=last, added=orders, excess=told(excess))

    def figure(self) -> Chart:
        """Draw the credit of channels by model, what they added in bold."""
        name, excess = self.excess
        title = say("Who has the credit for orders depends on whom one asks")
        if excess.known:
            title = say("{name} had the last click far more often than it added an order", name=name)
        rows = self.rows.assign(model=self.rows["model"].map(lambda model: say(plots.NAMES[model])))
        text = (
            "{drawn} Lines are {level} intervals: how well a number is measured, not whether it is deserved."
        )
        note = say(text, drawn=self.study.drawn, level=percent(self.study.confidence, 0))
        kind = say("Points with intervals by channel and model")
        return self.drawn("credit_by_model", kind, title, rows, plots.models(self.rows), note=note)

    def parts(self) -> Iterator[Part]:
        """Yield whom last click favours, the picture, and how much windows and lost touches matter."""
        yield self.sentence
        yield self.figure()
        moved = self.robust[
            (self.robust["model"] == "markov") & (self.robust["first_rank"] != self.robust["last_rank"])
        ]
        text = "With windows of 7, 14 or 30 days, or {lost} of the touches lost, {names} change places."
        if moved.empty:
            text = "With windows of 7, 14 or 30 days, or {lost} of the touches lost, no channel changes its place."
        yield say(text, lost=percent(LOST, 0), names=say(", ").join(moved["channel"]))
        shares = dict.fromkeys(["asked", "days_7", "days_14", "days_30", "lost"], "share")
        yield Table(
            "robustness", self.robust, say("Share of credit by window, and with touches lost"), shares
        )

    def findings(self) -> Iterator[Finding]:
        """State by how much last click favours its favourite."""
        name, excess = self.excess
        yield finding(
            excess, id="attribution.last_click_excess", metric=say("orders that last click gives beyond those added"),
            scope=self.study.scope, sentence=self.sentence, direction="down is good", systems=("S062", "S063"),
            assumption=say("what the channel added is as the lift tests and the model say"),
            headline=say("last click gives {name} {n} orders too many", name=name, n=number(excess.value, 0))
            if name in self.added.tested else "",
            n_of="orders", definition="last_click_excess", picture="credit_by_model",
        )  # fmt: skip


def compared(study: Study, credited: Credited, added: Added) -> Compared:
    """Return where the models disagree.

    Parameters
    ----------
    study : Study
        Its level.
    credited, added : Credited, Added
        What is compared.
    """
    return Compared(study, credited, added, robustness(credited.seen.journeys, credited.credit.order))


@dataclass(frozen=True, repr=False)
class Returns(Result):
    """What channels return, and what to do about each.

    Attributes
    ----------
    added : Added
        What channels added.
    table : pandas.DataFrame
        One row per channel, the most spend first: channel, spend, touched, last, markov (orders), added, low, high,
        tested, value (an order), cpa (spend for an order added), roas, roas_low, roas_high (added sales for spend),
        p_goal (probability of at least `GOAL`), stake, decision (rule), days.
    margin : float
        Share of sales that is left after the cost of what was sold.
    """

    added: Added
    table: pd.DataFrame = field(repr=False)
    margin: float

    @property
    def overall(self) -> Estimate:
        """Added sales for each unit of money spent, over all channels whose spend is known."""
        found, level = self.added.corrected, self.study.confidence
        rows = self.table[self.table["spend"] > 0]
        if found is None or rows.empty:
            return unknown(len(rows), "ratio", level)
        weight = rows.set_index("channel")["value"].reindex(found.channels).fillna(0.0).to_numpy(float)
        spend = float(rows["spend"].sum())
        error = float(np.sqrt(weight @ found.covariance @ weight))
        method = "additive rates and lift tests"
        return normal_estimate(
            float(found.orders @ weight) / spend, error / spend, found.members, "ratio", method, level
        )

    @property
    def following(self) -> pd.Series | None:
        """The row of the channel to be tested next."""
        rows = self.table[self.table["decision"] == "test_next"]
        return rows.iloc[0] if len(rows) else None

    @property
    def sentence(self) -> str:
        """What a unit of money returns, and which channels reach the goal."""
        overall = self.overall
        if not overall.known:
            return say("What channels return: too little data, or no spend on record.")
        sure = self.table[self.table["tested"] & (self.table["p_goal"] >= self.study.confidence)]["channel"]
        text = (
            "Each {unit} spent on channels brought {roas} of added sales. Sure to reach 1:{goal:g}: {names}."
        )
        if sure.empty:
            text = "Each {unit} spent on channels brought {roas} of added sales. None is sure to reach 1:{goal:g}."
        value, low, high = (number(part) for part in overall[:3])
        roas = say("{value} ({low} to {high})", value=value, low=low, high=high)
        return say(text, unit=self.study.currency, roas=roas, goal=GOAL, names=say(", ").join(sure))

    @property
    def test_sentence(self) -> str:
        """Which lift test is worth running next."""
        row = self.following
        if row is None:
            return say("Every channel has a lift test, or there is too little data for one.")
        text = "The next lift test worth running is of {name}: its added sales may be anything from {low} to {high}."
        low, high = (
            quantity(float(row[name] * row["value"]), self.study.currency) for name in ("low", "high")
        )
        return say(text, name=row["channel"], low=low, high=high)

    def figure(self) -> Chart | NoChart:
        """Draw the return of each channel against the goal."""
        rows = self.table.dropna(subset=["roas"]).reset_index(drop=True)
        if rows.empty:
            return NoChart(say("What channels return"), self.sentence, name="returns")
        data = rows[["channel", "spend", "roas", "roas_low", "roas_high", "p_goal", "tested"]]
        title = say("What a channel returns is known where a lift test measured it")
        if not rows["tested"].any():
            title = say("No lift test says what a channel returns")
        note = say(
            "Orange: with a lift test. Grey: by the model and the tests of other channels. Sales, not margin."
        )
        units = {"spend": self.study.currency, "p_goal": "share"}
        kind = say("Points with intervals by channel against the goal of 1:{goal:g}", goal=GOAL)
        return self.drawn("returns", kind, title, data, plots.returns(data, GOAL), note=note, units=units)

    def parts(self) -> Iterator[Part]:
        """Yield what spend returns, the picture, the decision on each channel, and the next test."""
        yield self.sentence
        yield self.figure()
        columns = [
            "channel",
            "spend",
            "touched",
            "last",
            "markov",
            "added",
            "low",
            "high",
            "cpa",
            "roas",
            "decision",
        ]
        shown = self.table[[name for name in columns if name in self.table]]
        shown = shown.assign(decision=[say(SAID[rule]) for rule in shown["decision"]])
        caption = say(
            "Channels: spend, orders touched and credited, orders added with interval, and the decision"
        )
        money_units = dict.fromkeys(["spend", "cpa"], self.study.currency)
        yield Table("channels", shown, caption, money_units)
        yield self.test_sentence

    def findings(self) -> Iterator[Finding]:
        """State what spend returns, and what the next test is about."""
        overall, row, currency = self.overall, self.following, self.study.currency
        yield finding(
            overall, id="attribution.roas", metric=say("added sales for each unit of money spent"),
            scope=self.study.scope, sentence=self.sentence, direction="up is good", systems=("S064", "S153"),
            assumption=say("spend is that of the ledger; sales less discounts and refunds, not margin"),
            headline=say("each {unit} spent brought {n} of added sales", unit=currency, n=number(overall.value)),
            definition="added_return", picture="returns",
        )  # fmt: skip
        stake = unknown(0, currency, self.study.confidence)
        if row is not None and self.added.corrected is not None:
            stake = as_money(
                self.added.corrected.of(row["channel"], self.study.confidence), float(row["value"]), currency
            )
        yield finding(
            stake, id="attribution.next_test", metric=say("added sales of the channel to be tested next"),
            scope=self.study.scope, sentence=self.test_sentence, systems=("S062",), picture="returns",
            assumption=say("untested channels err as the tested ones did"), definition="lift_test",
        )  # fmt: skip

    def proposals(self) -> Iterator[Proposed]:
        """Yield one decision for each channel."""
        for row in self.table.to_dict("records"):
            rule, worth = row["decision"], None
            if rule in ("grow", "shrink"):
                worth = self._worth(row, PART if rule == "grow" else -PART)
            fields = {
                "name": row["channel"], "last": number(row["last"], 0), "added": number(row["added"], 0),
                "low": number(row["low"], 0), "high": number(row["high"], 0), "part": percent(PART, 0),
                "spend": quantity(row["spend"], self.study.currency),
            }  # fmt: skip
            rests = ("attribution.next_test",) if rule in ("test_next", "wait") else ("attribution.roas",)
            text = (
                "Margin of {margin} of added sales less spend, for {days} days, if the next touch brings as much as "
                "the average one did: with more of a channel that is the most it can be, with less of it the least."
            )
            assumption = say(text, margin=percent(self.margin, 0), days=MONTH) if worth else ""
            suffix = f"{zlib.crc32(str(row['channel']).encode()):08x}"
            yield Proposed(
                f"attribution.{rule}",
                (*rests, "attribution.baseline"),
                worth,
                fields,
                suffix,
                assumption=assumption,
            )

    def _worth(self, row: dict[Any, Any], part: float) -> Estimate:
        """Return what a part more of a channel, or less, is worth in a month."""
        scale = part * MONTH / row["days"]
        gains = [
            scale * (self.margin * row["value"] * row[name] - row["spend"])
            for name in ("added", "low", "high")
        ]
        method = ("additive rates and lift tests", self.study.confidence)
        return Estimate(gains[0], min(gains), max(gains), int(row["touched"]), self.study.currency, *method)


def returns(study: Study, credited: Credited, added: Added, margin: float = 1.0) -> Returns:
    """Return what channels return, and one decision for each.

    Parameters
    ----------
    study : Study
        Its currency.
    credited, added : Credited, Added
        Credit, and what channels added.
    margin : float
        Share of sales that is left after the cost of what was sold; money is decided on it.
    """
    table = _channels(credited, added)
    table["decision"] = decide(table, 1 / margin)
    return Returns(study, added, table, margin)


def _channels(credited: Credited, added: Added) -> pd.DataFrame:
    """Return the row of each channel, without its decision."""
    last, influenced = credited.of("last"), credited.of("influenced")
    spend = money(credited.seen.journeys, credited.credit, "last").set_index("node")["spend"]
    value = influenced["value"] / influenced["conversions"]
    table = pd.DataFrame(
        {"spend": spend.reindex(last.index), "touched": last["n"], "last": last["conversions"]}
    )
    table["markov"] = credited.of(credited.model)["conversions"]
    table["value"] = value
    table = table.rename_axis("channel").reset_index()
    table = table.merge(added.table[["channel", "added", "low", "high", "tested"]], "left", "channel")
    table["tested"] = table["tested"].eq(True)
    paid = table["spend"].where(table["spend"] > 0)
    for name, orders in (("roas", "added"), ("roas_low", "low"), ("roas_high", "high")):
        table[name] = table[orders] * table["value"] / paid
    table["cpa"] = (paid / table["added"]).where(table["added"] > 0)
    half = stats.norm.ppf(0.5 + added.study.confidence / 2)
    error = (table["roas_high"] - table["roas_low"]) / (2 * half)
    table["p_goal"] = stats.norm.sf((GOAL - table["roas"]) / error)
    table["stake"] = (table["high"] - table["low"]).fillna(table["last"]) * table["value"]
    table["days"] = added.corrected.days if added.corrected is not None else MONTH
    return table.sort_values(["spend", "last"], ascending=False, ignore_index=True)
