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
from helpers.playbook.contact.trial import POWER
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed, rules
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, half_width, normal_estimate, unknown
from helpers.study import Study
from helpers.tables import Table

# Days of a month, and how much less of a channel a decision is about.
MONTH, PART = 30, 0.2
# How much more a trial may give a half of the audience, and the longest one.
STEPS, MONTHS = (0.2, 0.5, 1.0, 2.0), 12
METHOD = "additive rates and lift tests"
ASSUMED = {
    "grow": "If the next money works like the last: margin of {margin} of added sales less spend, for {days} "
    "days. At the low end it adds nothing; it pays if it works at least {least} as well as the last.",
    "shrink": "If the money taken away worked like the rest: spend less the margin of {margin} of added sales, for "
    "{days} days. At the high end it added nothing.",
    "test_next": "The test has no gain of its own: it settles which end of the range is true.",
}


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
        rows = table[table["model"].isin(list(plots.MARKS))]
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
        title = say("Last click gives {name} far more orders than it added", name=self.excess[0])
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
        robust = self.robust.assign(model=[say(plots.NAMES[each]) for each in self.robust["model"]])
        text = "With windows of 7 to 30 days, or {lost} of the touches lost, the chain ranks channels alike."
        if len(moved):
            text = "With windows of 7 to 30 days, or {lost} of the touches lost, the chain ranks {names} differently."
        yield say(text, lost=percent(LOST, 0), names=say(", ").join(moved))
        shares = dict.fromkeys(["asked", "days_7", "days_14", "days_30", "lost"], "share")
        caption = say("Share of credit by window, and with touches lost")
        yield Table("robustness", robust, caption, shares)
        caption = say("How far models lay from the truth of simulated communities: 0 is right, 1 all wrong")
        note = say("alike: everybody is touched alike. intent: touches come because an order is near.")
        truth = published()
        truth["model"] = [say(plots.NAMES[each]) for each in truth["model"]]
        yield Table("truth_check", truth, caption, dict.fromkeys(["alike", "intent"], "score"), note)

    def findings(self) -> Iterator[Finding]:
        """State by how much last click favours its favourite."""
        name, excess = self.excess
        beyond = say("last click gives {name} {n} orders too many", name=name, n=number(excess.value, 0))
        metric = say("Orders that last click gives {name} beyond those added", name=name or say("a channel"))
        yield finding(
            excess, id="attribution.last_click_excess", metric=metric,
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
    credited, added : Credited, Added
        Who has the credit, and what channels added.
    table : pandas.DataFrame
        One row per channel, the most spend first: channel, spend, touched, last, chain (orders), added, low, high,
        tested, value (an order), cpa (spend for an order added), roas, roas_low, roas_high (added sales for spend),
        p_goal (probability of at least `GOAL`), stake (money that hangs on what is not known), days,
        decision (rule), step and months (of it). touched and value are of everybody.
    margin : float
        Share of sales that is left after the cost of what was sold.
    """

    credited: Credited
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
        text = "Each {unit} 1 spent brought {roas} of added sales. Sure to reach the goal of 1:{goal:g}: {names}."
        if sure.empty:
            text = "Each {unit} 1 spent brought {roas} of added sales. No channel surely reaches 1:{goal:g}."
        names = say(", ").join(sure)
        return say(text, unit=self.study.currency, roas=with_bounds(self.overall), goal=GOAL, names=names)

    @property
    def test_sentence(self) -> str:
        """Which lift test is worth running next."""
        name, sales = self.stake
        if not sales.known:
            return say("Which lift test to run next: too little data, or every channel has one.")
        text = (
            "Test {name} next: by the model it added sales of {sales}, and nowhere untested is more at stake."
        )
        return say(text, name=name, sales=with_bounds(sales))

    def figure(self) -> Chart | NoChart:
        """Draw the return of each channel against the goal."""
        rows = self.table.dropna(subset=["roas"]).reset_index(drop=True)
        if rows.empty:
            return NoChart(say("What channels return"), self.sentence, name="returns")
        data = rows[["channel", "spend", "roas", "roas_low", "roas_high", "p_goal", "tested"]]
        title = say("What a channel returns is known where a lift test measured it")
        if not rows["tested"].any():
            title = say("No lift test says what a channel returns")
        told = [
            say("Dashed: the goal of 1:{goal:g}, {goal:g} of sales for each 1 spent; not margin.", goal=GOAL),
            say("Orange: with a lift test. Grey: untested, by the model and the tests of other channels."),
        ]
        free = self.table.loc[self.table["roas"].isna(), "channel"]
        if len(free):
            told.append(say("Without spend on record, so not drawn: {names}.", names=say(", ").join(free)))
        units = {"spend": self.study.currency, "p_goal": "share"}
        kind = say("Points with intervals by channel against the goal of 1:{goal:g}", goal=GOAL)
        named = {"note": " ".join(told), "units": units}
        return self.drawn("returns", kind, title, data, plots.returns(data, GOAL), **named)

    def parts(self) -> Iterator[Part]:
        """Yield what spend returns, the picture, the decision on each channel, and the next test."""
        yield self.sentence
        yield self.figure()
        rows = self.table.to_dict("records")
        titles = {rule.id.split(".")[1]: rule.title for rule in rules("attribution.")}
        shown = self.table.drop(columns=["value", "stake", "days", "step", "months"])
        shown["decision"] = [say(titles[row["decision"]], **self._words(row)) for row in rows]
        caption = say("Channels: spend, orders touched and credited, orders added, return, and the decision")
        units = dict.fromkeys(["spend", "cpa"], self.study.currency) | {"p_goal": "share"}
        names = {"last": plots.NAMES["last"], "chain": plots.NAMES[self.credited.model]}
        yield Table("channels", shown.rename(columns=names), caption, units, members="touched")
        yield self.test_sentence

    def findings(self) -> Iterator[Finding]:
        """State what the first decision rests on, what spend returns, and what the next test is about."""
        if row := self.first:
            told, orders = self._words(row), self.added.of(row["channel"])
            yield finding(
                orders, id="attribution.decided", metric=say("Orders that {name} added", **told), picture="returns",
                scope=self.study.scope, direction="up is good", systems=("S062", "S064"), definition="lift_test",
                sentence=say("{name} added {n} for {spend}, by its lift test.", n=with_bounds(orders), **told),
                assumption=say("people whom the lift test left alone are like those it did not"),
                headline=say("{name} added about {added} orders for {spend}", **told),
            )  # fmt: skip
        yield self.added.doubted(finding(
            self.overall, id="attribution.roas", metric=say("Added sales for each unit of money spent"),
            scope=self.study.scope, sentence=self.sentence, direction="up is good", systems=("S064", "S153"),
            assumption=say("spend is that of the ledger; sales less discounts and refunds, not margin"),
            definition="added_return", picture="returns",
        ))  # fmt: skip
        metric = say("Sales that {name} may have added, untested", name=self.stake[0] or say("a channel"))
        yield self.added.doubted(finding(
            self.stake[1], id="attribution.next_test", metric=metric,
            scope=self.study.scope, sentence=self.test_sentence, systems=("S062",), picture="returns",
            assumption=say("untested channels err as the tested ones did"), definition="lift_test",
        ))  # fmt: skip

    @property
    def first(self) -> dict[Any, Any]:
        """The tested channel with the most money gained by a decision; empty without one."""
        rows = [row for row in self.table.to_dict("records") if row["decision"] in ("grow", "shrink")]
        return max(rows, key=lambda row: self._worth(row)[0].value, default={})

    def proposals(self) -> Iterator[Proposed]:
        """Yield a decision for each channel, one for all that wait for a test, once there is enough to decide on."""
        if self.added.corrected is None:
            return
        rows = self.table.to_dict("records")
        waiting = [row["channel"] for row in rows if row["decision"] == "wait"]
        untested: tuple[str, ...] = ("attribution.next_test", "attribution.baseline")
        for row in (row for row in rows if row["decision"] != "wait"):
            rule, worth, cost, told, days = row["decision"], None, 0.0, "", 0
            ids = untested if rule == "test_next" else ("attribution.roas", "attribution.baseline")
            if row["channel"] == self.first.get("channel"):
                ids = ("attribution.decided", "attribution.roas")
            if rule in ("grow", "shrink"):
                worth, cost, days = *self._worth(row), int(row["months"]) * MONTH
                least = row["cpa"] / row["value"] / self.margin
                told = say(ASSUMED[rule], days=days, margin=percent(self.margin, 0), least=percent(least, 0))
            elif rule == "test_next":
                told = say(ASSUMED[rule])
            suffix = f"{zlib.crc32(row['channel'].encode()):08x}"
            yield Proposed(f"attribution.{rule}", ids, worth, self._words(row), suffix, cost, told, days)
        if waiting:
            yield Proposed("attribution.wait", untested, None, {"name": say(", ").join(waiting)})

    def _worth(self, row: dict[Any, Any]) -> tuple[Estimate, float]:
        """Return what a decision on a channel brings, and its cost.

        What the next money adds is not known: at one end nothing, at the other as much as the average may be.
        """
        grows = row["decision"] == "grow"
        part = (row["step"] / 2 if grows else -row["step"]) * row["months"] * MONTH / row["days"]
        sales = [self.margin * row["value"] * row[name] for name in ("added", "low", "high")]
        gain, *ends = (part * (each - row["spend"]) for each in (*sales, 0.0))
        n, level = row["touched"], self.study.confidence
        return Estimate(gain, min(ends), max(ends), n, "", METHOD, level), max(part, 0.0) * row["spend"]

    def _words(self, row: dict[Any, Any]) -> dict[str, str]:
        """Return what rules say of a channel."""
        counts = {name: number(row[name], 0) for name in ("last", "added", "low", "high")}
        more = row["step"] / 2 * row["months"] * MONTH / row["days"] * row["added"]
        counts |= {"more": number(more, 0), "months": number(row["months"], 0)}
        money = quantity(row["spend"], self.study.currency)
        return {"name": row["channel"], "part": percent(row["step"], 0), "spend": money, **counts}


def trial(added: float, total: float, confidence: float) -> tuple[float, int]:
    """Return how much more a half of the audience is to be given, and for how many months, to see whether it pays.

    The smallest of `STEPS` whose orders are told from chance, with probability `POWER`, within `MONTHS`, if the next
    money works like the last; else the largest and one month more. Orders of halves are counts (Poisson), and their
    difference varies by as many as both have; people who order again and again make it vary more.

    Parameters
    ----------
    added, total : float
        Orders a month that the channel adds, and all.
    confidence : float
        Level of the test.
    """
    noise = (half_width(1.0, confidence) + stats.norm.ppf(POWER)) * np.sqrt(total)
    for step in STEPS:
        if (months := int(np.ceil((noise / (step * added / 2)) ** 2))) <= MONTHS:
            return step, months
    return STEPS[-1], MONTHS + 1


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
    last = credited.of("last")
    touched = credited.seen.journeys.touched.reindex(last.index)
    try:
        paid = spend(credited.seen.journeys)
    except MissingTable:  # then what channels return is not known
        paid = pd.Series(dtype=float)
    table = pd.DataFrame({
        "spend": paid.reindex(last.index), "touched": last["n"], "last": last["conversions"],
        "chain": credited.of(credited.model)["conversions"], "value": touched["value"] / touched["n"],
    })  # fmt: skip
    own = added.table.set_index("channel")[["added", "low", "high", "tested"]]
    own = own.astype(dict.fromkeys(["added", "low", "high"], float))
    table = table.join(own).rename_axis("channel").reset_index()
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
    table = table.assign(decision=decide(table, 1 / margin))
    total, months = 0 if added.corrected is None else added.corrected.total, table["days"].max() / MONTH
    grows = table["decision"] == "grow"
    trials = [
        trial(own / months, total / months, study.confidence) if grow else (PART, 1)
        for own, grow in zip(table["added"], grows, strict=True)
    ]
    table[["step", "months"]] = pd.DataFrame(trials, columns=["step", "months"])
    table["decision"] = table["decision"].mask(grows & (table["months"] > MONTHS), "keep")
    return Returns(study, credited, added, table.assign(months=table["months"].clip(upper=MONTHS)), margin)
