"""The decision: what is done with the test, why, what it is worth, and what other reports may take from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from helpers.methods.ab_test.decide import CALLS, Gain, Reason, Seen, decide, overall
from helpers.methods.ab_test.outcomes import Outcome
from helpers.methods.ab_test.reading import Reading, direction_of, effect_sentence
from helpers.methods.ab_test.results import Guarded, Trust, units_of
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part
from helpers.sentences import percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study
from helpers.tables import Table

WHY: dict[Reason, str] = {
    "untrusted": "DO NOT TRUST: {trust}",
    "harm": "STOP for harm: {harmed} worse with the whole interval. Give nobody {arm}.",
    "ship": "SHIP {arm}: {moved}. The whole interval, {bounds}, lies on the good side; {guards}. "
    "The test has run for {days} days, of at least {minimum}.",
    "not worthwhile": "STOP: precise enough. Even the good end of the interval, {bounds}, lies below the {smallest} that "
    "would be worth having, so more days would not change the answer.",
    "end reached": "STOP: the planned end is reached, and {open}. More days do not help this test: a longer one is a new "
    "plan.",
    "running": "KEEP RUNNING: {open} at look {k} of {all}. {left} days are left until {end}.",
}
MOVED = {True: "{metric} rose by {value}", False: "{metric} fell by {value}"}
UNCLEAR = "{metric} changed by {value}, which may be chance"


@dataclass(frozen=True, repr=False)
class Decision(Guarded):
    """What is done with the test.

    Attributes
    ----------
    trust : Trust
        The checks.
    reading : Reading
        The scorecard.
    """

    trust: Trust = field(repr=False)
    reading: Reading = field(repr=False)

    @cached_property
    def seen(self) -> list[Seen]:
        """What the decision on each variant rests on."""
        return [_seen(self, one) for one in self.reading.of("primary")]

    @cached_property
    def reasons(self) -> list[Reason]:
        """The rule that decides on each variant."""
        return [decide(each) for each in self.seen]

    @cached_property
    def reason_why(self) -> Reason | None:
        """The rule that decides on the test; None when it is not read yet."""
        if self.trust.refused:
            return "untrusted"
        return None if self.reason else self.reasons[overall(self.reasons)]

    @cached_property
    def chosen(self) -> Outcome:
        """The primary metric of the variant that the test goes by: of several to ship, the best."""
        ships = [
            each for each, why in zip(self.reading.of("primary"), self.reasons, strict=True) if why == "ship"
        ]
        best = max(ships, key=lambda each: each.gain.value, default=None)
        return best or self.reading.of("primary")[overall(self.reasons)]

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm."""
        return self.reading.smallest

    @property
    def worth(self) -> Estimate:
        """Money a month that the change is expected to bring when everybody gets it; unknown without its price."""
        plan, size = self.plan, self.chosen.final
        if plan.unit_value is None or plan.units_a_month is None or not size.known:
            return unknown(size.n, self.study.currency, size.confidence, "the plan states no price")
        each = plan.unit_value * plan.units_a_month * (1 if plan.primary.direction == "up" else -1)
        low, high = sorted([each * size.low, each * size.high])
        return size._replace(value=each * size.value, low=low, high=high, unit=self.study.currency)

    @property
    def left(self) -> int:
        """Days until the planned end."""
        return max((self.plan.end - self.study.as_of).days, 0)

    @property
    def sentence(self) -> str:
        """The decision with the one reason."""
        if self.reason_why is None:
            return self.reason
        return say(WHY[self.reason_why], **self._words)

    @property
    def _words(self) -> dict[str, object]:
        if self.reason_why == "untrusted":
            worst = self.trust.refused[0]
            return {
                "trust": say("{found} {remedy}", found=worst.sentence, remedy=worst.remedy),
                "arm": self.plan.arms[1],
            }
        one, plan = self.chosen, self.plan
        rails = self.reading.of("guardrail", one.arm)
        harmed = [each.metric.name for each in [one, *rails] if each.gain.state == "harmed"]
        guards = say("the plan names no guardrail")
        if rails:
            guards = say(
                "every guardrail is safe ({names})", names=", ".join(each.metric.name for each in rails)
            )
        return {
            "arm": plan.arms[one.arm], "control": plan.arms[0], "moved": moved(one), "bounds": _bounds(one), "guards": guards,
            "days": self.seen[one.arm - 1].days, "minimum": plan.minimum_days, "open": self._open,
            "smallest": percent(plan.smallest_effect, 0), "harmed": say("{names} got", names=", ".join(harmed)),
            "k": self.reading.look, "all": len(plan.looks), "left": self.left, "end": plan.end,
        }  # fmt: skip

    @property
    def _open(self) -> str:
        """What is not known yet, as a clause."""
        one = self.chosen
        unsafe = [each for each in self.reading.of("guardrail", one.arm) if each.gain.state != "safe"]
        if one.gain.low <= 0:
            return moved(one)
        if unsafe:
            names = ", ".join(each.metric.name for each in unsafe)
            return say("{moved}, but whether {names} is safe cannot be told", moved=moved(one), names=names)
        return say(
            "{moved}, but the test has to run for {days} days", moved=moved(one), days=self.plan.minimum_days
        )

    @property
    def money(self) -> str:
        """What it is worth a month, and what may be lost at worst."""
        worth = self.worth
        if not worth.known:
            return say(
                "What it is worth in money is not told: the plan states no value of a unit, or no units a month."
            )
        text = "Given to everybody it is expected to bring {value} a month; at worst it loses {loss} a month."
        if worth.low >= 0:
            text = "Given to everybody it is expected to bring {value} a month; even the low end of the interval loses nothing."
        return say(text, value=with_bounds(worth), loss=quantity(max(-worth.low, 0.0), worth.unit))

    def parts(self) -> Iterator[Part]:
        """Yield the decision, what it is worth, the rules in their order, and what other reports may take from it."""
        yield self.sentence
        if self.reason:
            return
        yield self.money
        yield from self.tables()

    def tables(self) -> Iterator[Table]:
        """Yield the record of the decision, and the statement of evidence."""
        rows = [
            (self.plan.arms[place], rule, CALLS[rule], holds, why == rule)
            for place, (seen, why) in enumerate(zip(self.seen, self.reasons, strict=True), 1)
            for rule, holds in seen.rules.items()
        ]
        frame = pd.DataFrame(rows, columns=["variant", "rule", "call", "holds", "decides"])
        yield Table(
            "decision", frame, say("Rules in the order in which they are asked; the first that holds decides")
        )
        yield Table("evidence", self.evidence, say("What attribution and budget may take from this test"))

    @property
    def evidence(self) -> pd.DataFrame:
        """One row of the table ``evidence``: the difference on the primary metric."""
        one, plan, size = self.chosen, self.plan, self.chosen.final
        row = {
            "evidence_id": f"{plan.experiment}:{plan.arms[one.arm]}:{self.study.as_of}", "estimand": "lift",
            "line": plan.experiment, "start": plan.start, "end": min(plan.end, self.study.as_of),
            "carry_out_days": plan.outcome_days, "value": size.value, "se": one.now.error,
            "unit": plan.primary.name, "kind": "experiment", "source": plan.experiment, "as_of": self.study.as_of,
        }  # fmt: skip
        return pd.DataFrame([row])

    def findings(self) -> Iterator[Finding]:
        """Yield the effect with the decision, and what it is worth."""
        if self.reason or self.reason_why is None:
            return
        one, arm = self.chosen, self.plan.arms[self.chosen.arm]
        about = {"scope": self.plan.experiment, "n_of": units_of(self.plan), "change": True}
        yield finding(
            one.shown._replace(n=sum(one.now.n)), id="ab_test.effect", metric=say("Change of {metric}", metric=one.metric.name),
            sentence=effect_sentence(one, self.reading.look), direction=direction_of(one),
            assumption=say("units do not influence one another, and the change stays what it was in the test"),
            headline=say("{call}: {moved}", call=CALLS[self.reason_why], moved=moved(one)), definition="test_effect",
            systems=("S026", "S030", "S038", "S053", "S055", "S060", "S110", "S152"), picture="effect_by_look", **about,
        )  # fmt: skip
        if self.worth.known:
            yield finding(
                self.worth, id="ab_test.worth", metric=say("Expected value a month of {arm}", arm=arm),
                sentence=self.money, direction="up is good", systems=("S059",),
                assumption=say("a unit is worth what the plan says, and as many a month as it says"), **about,
            )  # fmt: skip

    def proposals(self) -> Iterator[Proposed]:
        """Yield the action that the decision asks for."""
        if self.reason_why is None:
            return
        rule = {"DO NOT TRUST": "distrust", "KEEP RUNNING": "keep_running"}.get(CALLS[self.reason_why], "")
        name = f"ab_test.{rule or CALLS[self.reason_why].lower()}"
        fields = {"experiment": self.plan.experiment, "why": self.sentence} | self._words
        if self.reason_why == "untrusted":
            yield Proposed(name, ("ab_test.split",), fields=fields)
            return
        worth = self.worth if self.worth.known and self.reason_why == "ship" else None
        rests = (
            "ab_test.effect",
            *(f"ab_test.guardrail_{n}" for n in range(1, 9)),
            "ab_test.split",
            "ab_test.worth",
        )
        yield Proposed(name, rests, worth, fields, assumption=self.money)


def verdict(study: Study, reading: Reading, trust: Trust) -> Decision:
    """Return what is done with the test."""
    return Decision(study, reading.plan, reading.reason, trust, reading)


def moved(one: Outcome) -> str:
    """Say how the primary metric moved, as a clause."""
    shown, gain = one.shown, one.gain
    if gain.low <= 0 <= gain.high or not shown.known:
        return say(UNCLEAR, metric=one.metric.name, value=with_bounds(shown))
    size = quantity(abs(shown.value), shown.unit)
    return say(MOVED[shown.value > 0], metric=one.metric.name, value=size)


def _bounds(one: Outcome) -> str:
    return say(
        "{low} to {high}",
        low=quantity(one.shown.low, one.shown.unit),
        high=quantity(one.shown.high, one.shown.unit),
    )


def _seen(decision: Decision, one: Outcome) -> Seen:
    """Return what the rules are asked with, for one variant."""
    plan, last = decision.plan, one.cells.looks[-1]
    rails: tuple[Gain, ...] = tuple(each.gain for each in decision.reading.of("guardrail", one.arm))
    smallest = plan.smallest_effect * one.scale
    days = (last - plan.start + dt.timedelta(days=1)).days
    ended = last == plan.looks[-1]
    return Seen(
        bool(decision.trust.refused),
        one.gain,
        rails,
        float(np.nan_to_num(smallest)),
        days,
        plan.minimum_days,
        ended,
    )
