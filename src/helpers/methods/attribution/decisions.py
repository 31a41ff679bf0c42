"""Where the models disagree, what channels return, and one decision for each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helpers.errors import MissingTable
from helpers.figures import Chart, NoChart
from helpers.methods.attribution import plots
from helpers.methods.attribution.disagreement import LOST, decide, robustness
from helpers.methods.attribution.money import GOAL, spend
from helpers.methods.attribution.results import Added, Credited
from helpers.methods.attribution.truth import published
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed, rules
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, half_width, normal_estimate, unknown
from helpers.study import Study
from helpers.tables import Table

MONTH, PART = 30, 0.2
"""Days for which a decision is priced, and how much more or less of a channel it is about."""
METHOD = "additive rates and lift tests"
ASSUMED = (
    "Margin of {margin} of added sales less spend, for {days} days, if the next touch brings as much as the average: "
    "with more of a channel that is the most it can be, with less of it the least."
)


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
        own = self.added.table.drop(columns="model").rename(columns={"added": "orders"}).assign(model="added")
        rows = table[table["model"].isin(list(plots.NAMES))]
        rows = pd.concat([rows, own]) if len(own) else rows
        order = list(self.credited.of("last").index)
        rows = rows.sort_values("channel", key=lambda names: names.map(order.index), kind="stable")
        return rows[["channel", "model", "orders", "low", "high"]].reset_index(drop=True)

    @property
    def excess(self) -> tuple[str, Estimate]:
        """The channel that last click favours most, of the tested ones where there are any, and by how much."""
        added, last, level = self.added, self.credited.of("last"), self.study.confidence
        if added.corrected is None:
            return "", unknown(int(last["n"].sum()), "orders", level)
        own = added.table.set_index("channel")["added"]
        gap = last["conversions"] - own
        name = str(gap[added.tested or list(own.index)].idxmax())
        drawn = self.credited.credit.draws["last"][:, 0, self.credited.credit.channels.index(name)]
        place = added.corrected.channels.index(name)
        error = float(np.sqrt(drawn.var() + added.corrected.covariance[place, place]))
        return name, normal_estimate(float(gap[name]), error, int(last["n"][name]), "orders", METHOD, level)

    @property
    def sentence(self) -> str:
        """Which channel last click favours most."""
        (name, excess), corrected = self.excess, self.added.corrected
        if corrected is None:
            return say("Last click against what channels added: {why}.", why=self.credited.seen.too_little)
        text = "Last click gives {name} {last} orders. It added {added}: {excess} too many."
        if name not in self.added.tested:
            text = "Last click gives {name} {last} orders. It added {added}, which no lift test confirms."
        last = number(float(self.credited.of("last")["conversions"][name]), 0)
        own, beyond = (with_bounds(each._replace(unit="")) for each in (self.added.of(name), excess))
        return say(text, name=name, last=last, added=own, excess=beyond)

    def figure(self) -> Chart | NoChart:
        """Draw the credit of channels by model, what they added in bold."""
        if self.rows.empty:
            return NoChart(say("Who has the credit"), say("No touch is on record."), name="credit_by_model")
        title = say("{name} had the last click far more often than it added an order", name=self.excess[0])
        if self.added.corrected is None:
            title = say("Who has the credit for orders depends on whom one asks")
        rows = self.rows.assign(model=self.rows["model"].map(lambda model: say(plots.NAMES[model])))
        text = "{drawn} Lines: {level} intervals; how well a number is measured, not whether it is deserved."
        note = say(text, drawn=self.study.drawn, level=percent(self.study.confidence, 0))
        kind = say("Points with intervals by channel and model")
        return self.drawn("credit_by_model", kind, title, rows, plots.models(self.rows), note=note)

    def parts(self) -> Iterator[Part]:
        """Yield whom last click favours, the picture, and how much windows and lost touches matter."""
        yield self.sentence
        yield self.figure()
        moves = self.robust["first_rank"] != self.robust["last_rank"]
        moved = self.robust.loc[moves & (self.robust["model"] == "markov"), "channel"]
        text = "With windows of 7 to 30 days, or {lost} of the touches lost, the chain ranks channels alike."
        if len(moved):
            text = "With windows of 7 to 30 days, or {lost} of the touches lost, the chain ranks {names} differently."
        yield say(text, lost=percent(LOST, 0), names=say(", ").join(moved))
        shares = dict.fromkeys(["asked", "days_7", "days_14", "days_30", "lost"], "share")
        caption = say("Share of credit by window, and with touches lost")
        yield Table("robustness", self.robust, caption, shares)
        caption = say("How far models lay from the truth of simulated communities: 0 is right, 1 all wrong")
        note = say("alike: everybody is touched alike. intent: touches come because an order is near.")
        yield Table("truth_check", published(), caption, dict.fromkeys(["alike", "intent"], "score"), note)

    def findings(self) -> Iterator[Finding]:
        """State by how much last click favours its favourite."""
        name, excess = self.excess
        beyond = say("last click gives {name} {n} orders too many", name=name, n=number(excess.value, 0))
        yield finding(
            excess, id="attribution.last_click_excess", metric=say("orders that last click gives beyond those added"),
            scope=self.study.scope, sentence=self.sentence, direction="down is good", systems=("S062", "S063"),
            assumption=say("what the channel added is as the lift tests and the model say"),
            headline=beyond if name in self.added.tested else "",
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
        One row per channel, the most spend first: channel, spend, touched, last, chain (orders), added, low, high,
        tested, value (an order), cpa (spend for an order added), roas, roas_low, roas_high (added sales for spend),
        p_goal (probability of at least `GOAL`), stake (money that hangs on what is not known), decision (rule), days.
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
        rows = self.table[self.table["spend"] > 0].set_index("channel")
        if found is None or rows.empty:
            return unknown(int(self.table["touched"].sum()), "ratio", level)
        each = (rows["value"] / rows["spend"].sum()).reindex(found.channels).fillna(0.0).to_numpy(float)
        value, error = float(found.orders @ each), float(np.sqrt(each @ found.covariance @ each))
        return normal_estimate(value, error, found.members, "ratio", METHOD, level)

    @property
    def stake(self) -> tuple[str, Estimate]:
        """The channel to be tested next, and the sales that it may have added."""
        rows, currency = self.table[self.table["decision"] == "test_next"], self.study.currency
        if rows.empty or self.added.corrected is None:
            return "", unknown(0, currency, self.study.confidence)
        name, value = rows[["channel", "value"]].iloc[0]
        orders = self.added.of(name)
        bounds = {part: float(value) * getattr(orders, part) for part in ("value", "low", "high")}
        return name, orders._replace(**bounds, unit=currency)

    @property
    def sentence(self) -> str:
        """What a unit of money returns, and which channels reach the goal."""
        if not self.overall.known:
            return say("What channels return: too little data, or no spend on record.")
        sure = self.table[self.table["tested"] & (self.table["p_goal"] >= self.study.confidence)]["channel"]
        text = (
            "Each {unit} spent brought {roas} of added sales. Sure to reach the goal of 1:{goal:g}: {names}."
        )
        if sure.empty:
            text = "Each {unit} spent brought {roas} of added sales. No channel is sure to reach 1:{goal:g}."
        names = say(", ").join(sure)
        return say(text, unit=self.study.currency, roas=with_bounds(self.overall), goal=GOAL, names=names)

    @property
    def test_sentence(self) -> str:
        """Which lift test is worth running next."""
        name, sales = self.stake
        if not sales.known:
            return say("Which lift test to run next: too little data, or every channel has one.")
        text = "The next lift test worth running is of {name}: its added sales may be anything up to {high}."
        return say(text, name=name, high=quantity(sales.high, sales.unit))

    def figure(self) -> Chart | NoChart:
        """Draw the return of each channel against the goal."""
        rows = self.table.dropna(subset=["roas"]).reset_index(drop=True)
        if rows.empty:
            return NoChart(say("What channels return"), self.sentence, name="returns")
        data = rows[["channel", "spend", "roas", "roas_low", "roas_high", "p_goal", "tested"]]
        title = say("What a channel returns is known where a lift test measured it")
        if not rows["tested"].any():
            title = say("No lift test says what a channel returns")
        note = say("Orange: with a lift test. Grey: by the model and the tests of others. Sales, not margin.")
        units = {"spend": self.study.currency, "p_goal": "share"}
        kind = say("Points with intervals by channel against the goal of 1:{goal:g}", goal=GOAL)
        return self.drawn("returns", kind, title, data, plots.returns(data, GOAL), note=note, units=units)

    def parts(self) -> Iterator[Part]:
        """Yield what spend returns, the picture, the decision on each channel, and the next test."""
        yield self.sentence
        yield self.figure()
        rows = self.table.to_dict("records")
        titles = {rule.id.split(".")[1]: rule.title for rule in rules("attribution.")}
        shown = self.table.drop(columns=["value", "stake", "days"])
        shown["decision"] = [say(titles[row["decision"]], **self._words(row)) for row in rows]
        caption = say("Channels: spend, orders touched and credited, orders added, return, and the decision")
        units = dict.fromkeys(["spend", "cpa"], self.study.currency) | {"p_goal": "share"}
        yield Table("channels", shown, caption, units, members="touched")
        yield self.test_sentence

    def findings(self) -> Iterator[Finding]:
        """State what spend returns, and what the next test is about."""
        each = {"unit": self.study.currency, "n": number(self.overall.value)}
        yield finding(
            self.overall, id="attribution.roas", metric=say("added sales for each unit of money spent"),
            scope=self.study.scope, sentence=self.sentence, direction="up is good", systems=("S064", "S153"),
            assumption=say("spend is that of the ledger; sales less discounts and refunds, not margin"),
            headline=say("each {unit} spent brought {n} of added sales", **each),
            definition="added_return", picture="returns",
        )  # fmt: skip
        yield finding(
            self.stake[1], id="attribution.next_test", metric=say("added sales of the channel to be tested next"),
            scope=self.study.scope, sentence=self.test_sentence, systems=("S062",), picture="returns",
            assumption=say("untested channels err as the tested ones did"), definition="lift_test",
        )  # fmt: skip

    def proposals(self) -> Iterator[Proposed]:
        """Yield one decision for each channel, once there is enough to decide on."""
        for row in self.table.to_dict("records") if self.added.corrected is not None else ():
            rule, worth, cost, told = row["decision"], None, 0.0, ""
            if rule in ("grow", "shrink"):
                part = (PART if rule == "grow" else -PART) * MONTH / row["days"]
                sales = [self.margin * row["value"] * row[name] for name in ("added", "low", "high")]
                gain, low, high = (part * (each - row["spend"]) for each in sales)
                low, high = sorted((low, high))
                worth = Estimate(gain, low, high, row["touched"], "", METHOD, self.study.confidence)
                cost = max(part, 0.0) * row["spend"]
                told = say(ASSUMED, margin=percent(self.margin, 0), days=MONTH)
            rests = "next_test" if rule in ("test_next", "wait") else "roas"
            ids = (f"attribution.{rests}", "attribution.baseline")
            suffix = f"{zlib.crc32(row['channel'].encode()):08x}"
            yield Proposed(f"attribution.{rule}", ids, worth, self._words(row), suffix, cost, told)

    def _words(self, row: dict[Any, Any]) -> dict[str, str]:
        """Return what rules say of a channel."""
        counts = {name: number(row[name], 0) for name in ("last", "added", "low", "high")}
        money = quantity(row["spend"], self.study.currency)
        return {"name": row["channel"], "part": percent(PART, 0), "spend": money, **counts}


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
    last, influenced = credited.of("last"), credited.of("influenced")
    try:
        paid = spend(credited.seen.journeys)
    except MissingTable:  # then what channels return is not known
        paid = pd.Series(dtype=float)
    table = pd.DataFrame({
        "spend": paid.reindex(last.index), "touched": last["n"], "last": last["conversions"],
        "chain": credited.of(credited.model)["conversions"], "value": influenced["value"] / influenced["conversions"],
    })  # fmt: skip
    own = added.table.set_index("channel")[["added", "low", "high", "tested"]]
    table = (
        table.join(own.astype({"added": float, "low": float, "high": float}))
        .rename_axis("channel")
        .reset_index()
    )
    table["tested"] = table["tested"].eq(True)
    paid = table["spend"].where(table["spend"] > 0)
    for name, orders in (("roas", "added"), ("roas_low", "low"), ("roas_high", "high")):
        table[name] = table[orders] * table["value"] / paid
    table["cpa"] = (paid / table["added"]).where(table["added"] > 0)
    error = (table["roas_high"] - table["roas"]) / half_width(1.0, study.confidence)
    table["p_goal"] = stats.norm.sf((GOAL - table["roas"]) / error)
    table["stake"] = (table["high"] - table["low"]).fillna(table["last"]) * table["value"]
    table["days"] = added.corrected.days if added.corrected is not None else MONTH
    table = table.sort_values(["spend", "last"], ascending=False, ignore_index=True)
    return Returns(study, added, table.assign(decision=decide(table, 1 / margin)), margin)
