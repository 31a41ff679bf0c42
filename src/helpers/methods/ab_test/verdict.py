"""The decision: what is done with the test, why, what it is worth, and what other reports may take from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from helpers.methods.ab_test.decide import RULES, Seen, decide, overall
from helpers.methods.ab_test.outcomes import Outcome
from helpers.methods.ab_test.reading import STATES, Reading, about_of, of_both
from helpers.methods.ab_test.results import TEXTS, Guarded, Trust, changed, doubtful
from helpers.playbook.finding import Finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part
from helpers.sentences import quantity, say, with_bounds
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study
from helpers.tables import Table


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
        found, plan = [], self.plan
        for one in self.reading.of("primary"):
            rails, last = self.reading.of("guardrail", one.arm), one.cells.looks[-1]
            smallest, days = np.nan_to_num(plan.smallest_effect * one.scale), (last - plan.start).days + 1
            about = tuple(each.gain for each in rails), float(smallest), days, plan.minimum_days
            found.append(Seen(self.trust.refused, one.gain, *about, last == plan.looks[-1]))
        return found

    @cached_property
    def rule(self) -> str | None:
        """The rule that decides on the test; None when it was only planned."""
        if self.trust.refused:
            return "untrusted"
        if self.reason:
            return None if self.trust.split is None else "running"
        return decide(self.seen[self._place])

    @property
    def _place(self) -> int:
        """The variant that the test goes by: of several to ship the best."""
        return overall([decide(each) for each in self.seen], [each.primary.value for each in self.seen])

    @property
    def chosen(self) -> Outcome:
        """The primary metric of the variant that the test goes by."""
        return self.reading.of("primary")[self._place]

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm."""
        return self.trust.smallest if self.reason else self.reading.smallest

    @property
    def worth(self) -> Estimate:
        """Money a month that the change is expected to bring when everybody gets it; unknown without its price."""
        plan, size = self.plan, self.chosen.final
        if plan.unit_value is None or plan.units_a_month is None or not size.known:
            return unknown(size.n, self.study.currency, size.confidence, "the plan states no price")
        price = plan.unit_value * plan.units_a_month
        low, high = sorted((price * size.low, price * size.high))
        return size._replace(value=price * size.value, low=low, high=high, unit=self.study.currency)

    @property
    def money(self) -> str:
        """What it is worth a month, and what may be lost at worst."""
        worth = self.worth
        if not worth.known:
            return say(TEXTS["unpriced"])
        loss = quantity(max(-worth.low, 0.0), worth.unit)
        return say(TEXTS["worth" if worth.low < 0 else "no loss"], value=with_bounds(worth), loss=loss)

    @property
    def sentence(self) -> str:
        """The decision with the one reason."""
        if self.rule is None or (self.reason and self.rule == "running"):
            return self.reason
        return self.said(RULES[self.rule]["why"], **self._words)

    @property
    def _words(self) -> dict[str, Any]:
        if self.trust.refused:
            return {"wrong": self.trust.wrong, "remedy": self.trust.failed[0].remedy}
        if self.reason:
            return {"next": self.plan.looks[0]}
        one, later = self.chosen, [day for day in self.plan.looks if day > self.study.as_of]
        rails = self.reading.of("guardrail", one.arm)
        unsafe = [each.metric.name for each in rails if each.gain.state != "safe"]
        harmed = [each for each in (one, *rails) if each.gain.high < 0 and each.gain.state != "safe"]
        clause = say(STATES["safe"]["clause"]) if rails else say("the plan names no guardrail")
        words = {"moved": moved(one), "names": ", ".join(unsafe)}
        text = TEXTS["unclear" if not one.gain.low > 0 else "unsafe" if unsafe else "young"]
        return {
            "arm": self.plan.arms[one.arm], "guards": clause, "days": self.seen[self._place].days,
            "harmed": ", ".join(map(moved, harmed)), "next": min(later, default=self.plan.end),
            "left": max((self.plan.end - self.study.as_of).days, 0),
            "open": self.said(text, **words), **words,
        }  # fmt: skip

    def parts(self) -> Iterator[Part]:
        """Yield the decision, what it is worth, the rules in their order, and what other reports may take from it."""
        yield self.sentence
        if not self.reason:
            yield self.money
            if stop := self.chosen.stop:
                text = "Corrected for stopping at this look, it changed {metric} by {by} (p = {p})."
                yield self.said(text, by=changed(stop.estimate), p=f"{stop.p:.2g}")
            yield from self.tables()

    def tables(self) -> Iterator[Table]:
        """Yield the record of the decision, and the statement of evidence."""
        rows = [
            (arm, RULES[rule]["call"], say(RULES[rule]["rule"]), holds, decide(seen) == rule)
            for arm, seen in zip(self.plan.arms[1:], self.seen, strict=True)
            for rule, holds in seen.rules.items()
        ]
        frame = pd.DataFrame(rows, columns=["variant", "call", "rule", "holds", "decides"])
        caption = say("Rules in their order: of each variant the first that holds decides")
        yield Table("decision", frame, caption)
        yield Table("evidence", self.evidence, say("What attribution and budget may take from this test"))

    @property
    def evidence(self) -> pd.DataFrame:
        """Rows of the table ``evidence``: what the chosen variant changes in the primary metric of a unit.

        When all planned outcomes are complete, there follows for each line of the plan what it brought to all units
        of the variant, which are all whom it met.
        """
        plan, day, size = self.plan, self.study.as_of, self.chosen.final
        row = {
            "evidence_id": ":".join([plan.experiment, plan.arms[self.chosen.arm], str(day)]), "estimand": "lift",
            "line": plan.experiment, "start": plan.start, "end": min(plan.end, day),
            "carry_out_days": plan.outcome_days, "value": size.value, "se": self.chosen.now.error,
            "unit": plan.primary.source, "kind": "experiment", "source": "03_ab_test", "as_of": day,
        }  # fmt: skip
        rows = [row]
        if self.rule != "untrusted" and self.seen[self._place].ended and size.known:
            units, unit = self.chosen.now.n[1], str(row["unit"])
            unit = self.study.currency if unit == "orders.value" else unit
            whole = {"value": units * size.value, "se": units * self.chosen.now.error, "unit": unit}
            for line in plan.lines:
                name = ":".join([plan.experiment, plan.arms[self.chosen.arm], line])
                rows.append(row | whole | {"evidence_id": name, "line": line, "carry_out_days": 0})
        return pd.DataFrame(rows)

    def read(self) -> Iterator[Finding]:
        """Yield the effect with the decision, and what it is worth."""
        one, call = self.chosen, RULES[self.rule or "running"]["call"]
        call = say("STOP without an answer") if self.rule == "end reached" else call
        headline = say("{call}: {moved}", call=call, moved=moved(one))
        about = about_of(one) | {"picture": "effect_by_look", "headline": headline}
        effect = self.stated(of_both(one), "effect", self.reading.told_of(one), **about)
        yield doubtful(effect, self.trust.doubt)
        if self.worth.known:
            yield self.stated(self.worth, "worth", self.money, direction="up is good")

    def proposals(self) -> Iterator[Proposed]:
        """Yield the action that the decision asks for."""
        if self.rule is not None and not self.withheld:
            ship = self.rule == "ship"
            why = say("{why} {money}", why=self.sentence, money=self.money) if ship else self.sentence
            fields = {
                "control": self.plan.arms[0],
                "experiment": self.plan.experiment,
                **self._words,
                "why": why,
            }
            rails = (f"guardrail_{place}" for place in range(1, 1 + len(self.plan.guardrails)))
            names = tuple(f"ab_test.{name}" for name in ("effect", "worth", "split", *rails))
            worth, note = self.worth if ship else None, "" if self.reason else self.money
            yield Proposed(f"ab_test.{RULES[self.rule]['action']}", names, worth, fields, assumption=note)


def verdict(study: Study, reading: Reading, trust: Trust) -> Decision:
    """Return what is done with the test."""
    return Decision(study, reading.plan, reading.reason, trust, reading)


def moved(one: Outcome) -> str:
    """Say how a metric moved, as a clause."""
    shown, words = one.shown, {"metric": one.metric.name}
    if not shown.known:
        return say("nothing can be told of {metric} ({why})", why=shown.method, **words)
    if shown.low <= 0 <= shown.high:
        return say("{metric} changed by {change}, which may be chance", change=with_bounds(shown), **words)
    return say(
        TEXTS["rose" if shown.value > 0 else "fell"], size=quantity(abs(shown.value), shown.unit), **words
    )
