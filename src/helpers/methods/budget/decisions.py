"""Where the next money goes, and what could be moved without any: the record that decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.figures import Chart
from helpers.methods.budget import plots
from helpers.methods.budget.allocate import Plan, allocate
from helpers.methods.budget.house import shocks
from helpers.methods.budget.results import Told, estimate_of_draws
from helpers.methods.budget.returns import Lines
from helpers.methods.budget.scenarios import compared, outcome_draws, without_luck
from helpers.methods.budget.terms import THINNED, WEEKS_OF_MONTH, Terms, Wanted, responses_of
from helpers.playbook.finding import Finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study
from helpers.tables import Table

PLANS = {
    "today": "as today", "next": "today and the next money", "proposed": "today's money moved",
    "rule": "40/35/25 on the three largest", "equal": "equal parts", "less": "20 % less of each",
    "frozen": "no advertising", "least_cost": "{goal} at least cost",
}  # fmt: skip
BINDS = {"high": "at its most", "low": "at its least", "off": "switched off", "": "–"}
NEXT = (
    "Of the next {amount} a month, keep {reserve} in reserve and spend {spent}: {placed}. Expected gain a month, "
    "after that spend: {gain}."
)
PRICE = (
    "By the mean curves, {unit} 1 more of money, or {unit} 1 less in reserve, would bring {price} of margin after "
    "its cost. The table says what {unit} 1 more room on each line would bring."
)
LEAST = "{goal} a month from paid lines cost {cost} at least, by the mean curves; today's spend is {today}."
KEPT = "{kept} a month stay in reserve: a share of all advertising money, or what costly months took above usual."
NEVER = "A week's spend on {line} is back in week {value:.0f} by the middle curve; by unlucky ones never."
BACK = "A week's spend on {line} is back in week {value:.0f} (week {low:.0f} to {high:.0f})."
ASSUMED = (
    "Margin of {margin} of a turnover of {turnover} for each of the outcome, less spend, a month at a steady spend: "
    "mean and {level} range of {n} curves, if nothing unknown to the model moves spend and outcome together. Plans "
    "pick the lines that look best, some by luck: half a standard deviation is taken off, as in communities whose "
    "truth is known."
)


@dataclass(frozen=True, repr=False)
class Planned(Told):
    """Where the next money goes, and what could be moved without any.

    Attributes
    ----------
    lines : Lines
        What it rests on.
    more, moved : Plan or None
        With the next money, nothing taken from any line; with today's money, moved. None where trust is red.
    table : pandas.DataFrame
        Plans compared, as :func:`helpers.methods.budget.scenarios.compared` returns them.
    wanted : Wanted
        What was asked.
    reserve, goal : float
        Reserve that is asked for; outcome of a month that is to be reached at least cost.
    unreached : str
        Why the goal is out of reach; empty when it is not.
    """

    lines: Lines
    more: Plan | None
    moved: Plan | None
    table: pd.DataFrame = field(repr=False)
    wanted: Wanted
    reserve: float
    goal: float
    unreached: str

    def spoken(self, change: pd.Series) -> str:
        """Return changes of spend in words, the largest first."""
        ordered = change.abs().sort_values(ascending=False, kind="stable")
        return ", ".join(f"{line} {self.cash(amount)}" for line, amount in ordered.items())

    def gain(self, plan: Plan | None) -> Estimate:
        """Return what a plan brings over today, in margin of a month less what is spent more, and without luck."""
        found, n, level = self.lines.fitted.usable, self.lines.fitted.n, self.study.confidence
        if plan is None or found is None:
            return unknown(n, self.study.currency, level)
        more = outcome_draws(found, plan.lines["proposed"]) - outcome_draws(found, plan.lines["today"])
        more = without_luck(more)
        worth = self.lines.turnover * self.lines.margin
        gained = worth * more - (plan.spend - plan.spend_today)
        return estimate_of_draws(gained, n, self.study.currency, level)

    @property
    def placed(self) -> pd.Series:
        """The next money by line, the most first; lines that get none left out."""
        change = pd.Series(dtype=float) if self.more is None else self.more.lines["change"]
        return change[change > 0.005 * self.wanted.amount].sort_values(ascending=False, kind="stable")

    @property
    def pays(self) -> bool:
        """Whether the next money is better spent than kept."""
        return len(self.placed) > 0 and self.gain(self.more).value > 0

    @property
    def largest(self) -> str:
        """The one or two lines that get most of the next money."""
        first = [*self.placed.index[:2]]
        return say("{one} and {other}", one=first[0], other=first[1]) if len(first) > 1 else "".join(first)

    @property
    def words(self) -> dict[str, str]:
        """What sentences and rules say."""
        kept = 0.0 if self.more is None else self.more.terms.reserve
        gain, grade = with_bounds(self.gain(self.more)), say(self.lines.fitted.trust.grade)
        first, past = self.largest, self.lines.named("past")
        words = {"amount": self.cash(self.wanted.amount), "placed": self.spoken(self.placed)}
        words["spent"] = self.cash(float(self.placed.sum()))
        words |= {"reserve": self.cash(kept), "moves": self.moved_sentence}
        words |= {"gain": gain, "grade": grade, "lines": first, "past": past}
        return words | {"why": self.lines.fitted.trust.refusal}

    @property
    def sentence(self) -> str:
        """Where the next money goes, and what it is worth."""
        text = NEXT if self.pays else "The next {amount} a month are better kept: no line brings them back."
        return say("{why}" if self.more is None else text, **self.words)

    @property
    def reserve_sentence(self) -> str:
        """What is kept back, and why."""
        if self.more is None:
            return say("No reserve is set, because no plan is proposed.")
        kept, text = self.more.terms.reserve, KEPT
        if kept < self.reserve - 0.01:
            text = "A reserve of {wanted} is asked for, more than the next money: all {kept} stay in reserve."
        return say(text, kept=self.cash(kept), wanted=self.cash(self.reserve))

    @property
    def moved_sentence(self) -> str:
        """What moving today's money would bring."""
        change = pd.Series(dtype=float) if self.moved is None else self.moved.lines["change"]
        up, down = change[change > 1], change[change < -1]
        text = "Without spending more: from {down} to {up}. Expected gain a month: {gain}."
        if up.empty or down.empty:
            text = "No money is moved between lines."
        return say(text, down=self.spoken(down), up=self.spoken(up), gain=with_bounds(self.gain(self.moved)))

    @property
    def payback(self) -> Estimate:
        """Weeks until a week's spend on the line that gets most has come back."""
        return self.lines.of(next(iter(self.placed.index), ""), "payback")._replace(unit="weeks")

    @property
    def payback_sentence(self) -> str:
        """How soon a week's spend has come back."""
        weeks, line = self.payback, next(iter(self.placed.index), "")
        text = NEVER if np.isfinite(weeks.value) else "How soon spend comes back cannot be told."
        named = {"value": weeks.value, "low": weeks.low, "high": weeks.high}
        return say(BACK if weeks.known else text, line=line, **named)

    def parts(self) -> Iterator[Part]:
        """Yield where the next money goes, the picture, what else could be done, and the plans compared."""
        yield self.sentence
        if self.more is None or self.moved is None:
            return
        yield self.picture(self.more)
        yield self.moved_sentence
        yield say("{reserve} {payback}", reserve=self.reserve_sentence, payback=self.payback_sentence)
        yield " ".join([self.price_sentence, self.goal_sentence])
        yield self.lines_table(self.more, self.moved)
        goal = quantity(self.goal, self.lines.fitted.weeks.weekly.unit)
        shown = self.table.assign(plan=self.table["plan"].map(lambda name: say(PLANS[name], goal=goal)))
        shown = shown.drop(columns=[*self.lines.chance.index])
        caption = say("Plans on the same curves, a month: outcome, beyond today's, chance to beat it")
        note = say("Not allowed: a line has more than its room, where nobody has seen what it does.")
        units = {"spend": self.study.currency, "better": "share"}
        yield Table("scenarios", shown, caption, units, note)

    def lines_table(self, more: Plan, moved: Plan) -> Table:
        """Return what both plans change by line, what limits them, and what one unit more would bring."""
        prices = dict(more.prices.to_numpy())
        after, now = more.lines, moved.lines["change"]
        rows = after[["today"]].assign(next_money=after["change"], today_moved=now)
        rows["limit"] = after["binds"].map(lambda bound: say(BINDS[bound]))
        rows["next_unit_brings"] = [self.next_unit(str(line), at) for line, at in after["proposed"].items()]
        room = [prices.get(f"{bound}: {line}", np.nan) for line, bound in after["binds"].items()]
        rows["one_more_room_brings"] = room
        caption = say("Money of a month by line; turnover of one unit more, and margin of one unit more room")
        units = dict.fromkeys([*rows.columns.difference(["limit", "next_unit_brings"])], self.study.currency)
        return Table("plan_lines", rows.rename_axis("line").reset_index(), caption, units)

    def next_unit(self, line: str, spend: float) -> str:
        """Return the turnover of one more unit of money at a spend of a month, with its interval, in words."""
        found = self.lines.fitted.usable
        draws = found.marginal(line, np.array([spend / WEEKS_OF_MONTH])) if found else np.array([])
        named = (self.lines.fitted.n, "ratio", self.study.confidence)
        return with_bounds(estimate_of_draws(self.lines.turnover * draws, *named))

    @property
    def price_sentence(self) -> str:
        """What more money, and less reserve, would bring."""
        price = 0.0 if self.more is None else float(dict(self.more.prices.to_numpy())["budget"])
        text = PRICE if price > 0.005 else "More money would bring nothing within the room of the lines."
        return say(text, unit=self.study.currency, price=self.cash(price))

    @property
    def goal_sentence(self) -> str:
        """What the goal costs at least, or why it is out of reach."""
        plans, unit = self.table.set_index("plan")["spend"], self.lines.fitted.weeks.weekly.unit
        if self.unreached:
            return self.unreached
        spent = {"cost": self.cash(plans["least_cost"]), "today": self.cash(plans["today"])}
        return say(LEAST, goal=quantity(self.goal, unit), **spent)

    def picture(self, plan: Plan) -> Chart:
        """Draw the spend of each line today and with the next money."""
        rows = plan.lines[["today", "proposed"]].rename_axis("line").reset_index()
        first = next(iter(self.placed.index), say("the reserve"))
        title = say("The largest part of the next money goes to {line}", line=first)
        note = say("{unit} a month; today is the mean of four weeks.", unit=self.study.currency)
        units = dict.fromkeys(["today", "proposed"], self.study.currency)
        kind = say("Paired bars by line")
        return self.drawn("plan", kind, title, rows, plots.plan(rows), note=note, units=units)

    @property
    def assumed(self) -> str:
        """What expected gains rest on."""
        level, margin = percent(self.study.confidence, 0), percent(self.lines.margin, 0)
        return say(ASSUMED, margin=margin, turnover=self.cash(self.lines.turnover), level=level, n=THINNED)

    def findings(self) -> Iterator[Finding]:
        """State what the next money brings, the reserve, what moving brings, and the payback."""
        held: dict[str, Any] = {"assumption": self.assumed}
        up = {"direction": "up is good", "change": True} | held
        text = "the next {amount} a month would go to {lines} first"
        text = say(text if self.pays else "the next {amount} a month are better kept", **self.words)
        metric = say("Gain of the next money a month, after its cost")
        more = {"headline": text, "picture": "next_money"} | up
        systems, gain = ("S067", "S075"), self.gain(self.more)
        yield self.state(gain, "next_gain", metric, self.sentence, "plan_gain", *systems, **more)
        stops, brought, *others = self.lines.findings()
        yield from (stops, brought)
        amount = np.nan if self.more is None else self.more.terms.reserve
        named = (self.lines.fitted.n, self.study.currency, "policy and past shocks", self.study.confidence)
        metric, kept = say("Money in reserve a month"), Estimate(amount, amount, amount, *named)
        yield self.state(kept, "reserve", metric, self.reserve_sentence, "reserve", "S072", **held)
        yield from others
        metric, more = say("Gain of moving today's money a month"), {"picture": "plan"} | up
        gain, systems = self.gain(self.moved), ("S074", "S075")
        yield self.state(gain, "move_gain", metric, self.moved_sentence, "plan_gain", *systems, **more)
        metric, more = say("Weeks until a week's spend has come back"), {"direction": "down is good"} | held
        yield self.state(self.payback, "payback", metric, self.payback_sentence, "payback", "S083", **more)

    def proposals(self) -> Iterator[Proposed]:
        """Yield one decision on the next money, one on moving, and one on lines where more no longer pays."""
        trust, words, gain, moved = "budget.trust", self.words, self.gain(self.more), self.gain(self.moved)
        if self.more is None or self.moved is None:
            yield Proposed("budget.refuse", (trust,), fields=words)
            return
        sure = self.lines.fitted.trust.grade == "green" and gain.low > 0
        if self.pays:
            rule, cost = "budget.place" if sure else "budget.try", float(self.placed.sum())
            yield Proposed(rule, ("budget.next_gain", trust), gain, words, "", cost, self.assumed)
        else:
            yield Proposed("budget.keep", ("budget.next_gain", trust), None, words)
        if moved.value > 0 and self.moved.lines["change"].abs().max() > 1:
            yield Proposed("budget.move", ("budget.move_gain", trust), moved, words, "", 0.0, self.assumed)
        if words["past"]:
            yield Proposed("budget.past", ("budget.stops_paying", trust), None, words)


def planned(study: Study, lines: Lines, wanted: Wanted | None = None, goal: float = 0.0) -> Planned:
    """Return where the next money goes, what could be moved, and other plans beside them.

    Parameters
    ----------
    study : Study
        Its level and currency.
    lines : Lines
        What each line brings.
    wanted : Wanted, optional
        Next money, room of the lines, reserve, and what can be paid.
    goal : float
        Outcome of a month that is to be reached at least cost; 0 for what today's spend brings.

    Raises
    ------
    BadParameters
        When packages or upkeep name no line with a curve.
    """
    found, wanted = lines.fitted.usable, wanted or Wanted()
    if found is None:
        return Planned(study, lines, None, None, pd.DataFrame(), wanted, 0.0, goal, "")
    rows = wanted.rows(found.weekly, WEEKS_OF_MONTH * lines.table["spend"].map(lambda one: one.value))
    today, cost, responses = rows["today"], rows["fixed"], responses_of(found)
    budget, value = float((today + cost.where(today > 0, 0.0)).sum()), lines.turnover * lines.margin
    asked = Terms(budget + wanted.amount, 0 * rows, (), wanted.reserve_share, shocks(study)).reserve
    if wanted.payable:
        asked = float(np.ceil(asked / wanted.payable - 1e-9)) * wanted.payable
    kept = min(asked, wanted.amount) / max(budget + wanted.amount, 1e-12)
    ways = rows.assign(low=today, optional=(cost > 0) & (today == 0)), rows.assign(optional=cost > 0)
    named: dict[str, Any] = {"value": value, "currency": study.currency}
    more = allocate(responses, Terms(budget + wanted.amount, ways[0], (), kept, **named))
    moved = allocate(responses, Terms(budget, ways[1], **named))
    goal = goal or moved.outcome_today
    table, unreached = compared(found, moved, more, goal, study.confidence)
    return Planned(study, lines, more, moved, table, wanted, asked, goal, unreached)
