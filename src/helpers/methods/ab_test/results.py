"""What was planned and whether it can be trusted: the records that come before any effect.

Every record after the checks shows nothing of an effect when one that must hold has failed, or when the test is only
planned; the one line that stands in its place says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.ab_test import plots
from helpers.methods.ab_test.decide import RULES
from helpers.methods.ab_test.gates import Gate, gates
from helpers.methods.ab_test.parameters import AbTestParameters
from helpers.methods.ab_test.plan import Plan, plan_of, read_plan, texts_of, write_plan
from helpers.methods.ab_test.split import Split, split
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, percent, say, with_bounds, word
from helpers.stats.estimate import Estimate, proportion, wilson
from helpers.study import Study
from helpers.tables import Table

UNITS = {"member": "members", "post": "posts", "content": "posts", "slot": "slots", "group": "groups"}
UNITS |= {"impression": "impressions", "view": "impressions", "click": "clicks"}
# What stands for people, of whom fewer than `k_min` are not told of.
PEOPLE = ("members", "units")
# Gates that time opens.
WAIT = {"events", "units"}
TEXTS = {code: row["said"] for code, row in texts_of("texts.yml").items()}
CHECKED = {True: "passed", False: "failed"}


@dataclass(frozen=True, repr=False)
class OfTest(Result):
    """A record of one test.

    Attributes
    ----------
    plan : Plan
        The design.
    """

    plan: Plan = field(repr=False)

    @property
    def units(self) -> str:
        """What the units of the test are called; ``units`` where nobody knows whether they are people."""
        return UNITS.get(self.plan.unit, "units")

    def said(self, text: str, **more: Any) -> str:
        """Fill a template, with what every sentence may need of the plan."""
        plan = self.plan
        words: dict[str, Any] = {
            "experiment": plan.experiment, "units": say(self.units), "control": plan.arms[0], "arm": plan.arms[1],
            "metric": plan.primary.name, "smallest": percent(plan.smallest_effect, 0), "first": plan.looks[0],
            "end": plan.end, "all": len(plan.looks), "power": percent(plan.power, 0), "minimum": plan.minimum_days,
            "alpha": percent(plan.alpha, 0),
        }  # fmt: skip
        return say(text, **{**words, **more})

    def stated(self, size: Estimate, code: str, text: str, *, named: str = "", **more: Any) -> Finding:
        """Return a finding of this test, as the table of findings calls it; a change where it has a direction."""
        row: dict[str, Any] = {
            **texts_of("findings.yml")[code],
            "scope": self.plan.experiment,
            "n_of": self.units,
        }
        row |= {name: self.said(row[name], named=named) for name in ("metric", "assumption")}
        row |= {"id": f"ab_test.{row.pop('code')}", "sentence": text, "change": "direction" in more}
        return finding(size, **{**row, "systems": tuple(row["systems"]), **more})

    def told(self) -> Iterator[Part]:
        """Yield the parts as they may leave, with as many digits as do not depend on the order of a sum."""
        for part in super().told():
            if isinstance(part, Table):
                yield replace(part, frame=part.frame.map(settled))
            else:
                yield replace(part, data=part.data.map(settled)) if isinstance(part, Chart) else part

    def found(self) -> Iterator[Finding]:
        """Yield the findings as they may leave, with as many digits."""
        for one in super().found():
            numbers = {name: settled(getattr(one, name)) for name in ("value", "low", "high")}
            yield one.model_copy(update=numbers)


def settled(value: Any) -> Any:
    """Return a number with ten significant digits: an engine of several threads adds up in no fixed order."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


@dataclass(frozen=True, repr=False)
class Guarded(OfTest):
    """A record that is not read before the checks have passed.

    Attributes
    ----------
    reason : str
        Why nothing of it is shown; empty when it may be.
    """

    reason: str

    def parts(self) -> Iterator[Part]:
        """Yield what a reader gets, or the one line that says why nothing is shown."""
        yield from [self.reason] if self.reason else super().parts()

    def findings(self) -> Iterator[Finding]:
        """Yield the numbers that a report stands behind; none that must not be read."""
        yield from () if self.reason else self.read()

    def read(self) -> Iterator[Finding]:
        """Yield the findings of a test that may be read."""
        yield from ()


@dataclass(frozen=True, repr=False)
class Design(OfTest):
    """The plan as it is frozen.

    Attributes
    ----------
    planning : bool
        Whether this run wrote it down, and reads nothing.
    """

    planning: bool

    @property
    def sentence(self) -> str:
        """Who is compared with whom, by what and when."""
        text = (
            "“{experiment}” compares {variants} with {control} among {units}, by {metric}; a gain of {smallest} or "
            "more is worth having. Planned looks: {all}, from {first} to {end}."
        )
        return self.said(text, variants=", ".join(self.plan.arms[1:]))

    def parts(self) -> Iterator[Part]:
        """Yield the plan in words, what the arms differ in, and the plan as frozen."""
        named = self.plan.factors
        yield self.sentence
        many = ("no factor", "one factor", "several factors")[min(len(named), 2)]
        yield say(TEXTS[many], factors=", ".join(named))
        when, mark = self.plan.registered_at, self.plan.sha256[:12]
        yield say("Written down {when}; fingerprint {mark}.", when=when, mark=mark)
        rows = [(name, _short(value)) for name, value in self.plan.model_dump(mode="json").items()]
        frame = pd.DataFrame(rows, columns=["field", "value"])
        yield Table("plan", frame, self.said("The plan of {experiment}, as frozen"))


def doubtful(found: Finding, doubt: str) -> Finding:
    """Return a finding that is provisional when there is a doubt."""
    if not doubt or found.value is None:
        return found
    said = say("{text} Provisional: {doubt}", text=found.sentence, doubt=doubt)
    return found.model_copy(update={"verdict": "provisional", "sentence": said})


def changed(size: Estimate) -> str:
    """Return a difference with its interval in words; one of shares in points, which are no per cents of a share."""
    if not size.known or size.unit not in ("share", ""):
        return with_bounds(size)
    if not size.unit:
        small = 3 if abs(size.value) < 1 else None
        ends = {name: number(getattr(size, name), small) for name in ("value", "low", "high")}
        return say("{value} ({low} to {high})", **ends)
    ends = {name: number(100 * getattr(size, name)) for name in ("value", "low", "high")}
    return say("{value} points ({low} to {high})", **ends)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_short(each)}" for name, each in value.items() if each not in (None, []))
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)


def design(study: Study, parameters: AbTestParameters) -> Design:
    """Return the design of the experiment: written down from the parameters, or read as it was registered."""
    planning = parameters.mode == "plan"
    if planning:
        write_plan(study, plan_of(parameters.fields(), "the parameters"))
    return Design(study, read_plan(study, parameters.experiment), planning)


@dataclass(frozen=True, repr=False)
class Trust(OfTest):
    """Whether the test can be trusted: the split against the schedule, and every gate.

    Attributes
    ----------
    split : Split or None
        Units by arm against the plan; None when the test is only planned.
    gates : tuple of Gate
        In the order of reading.
    """

    split: Split | None = field(repr=False)
    gates: tuple[Gate, ...]

    @property
    def failed(self) -> list[Gate]:
        """The gates that do not hold, those first that forbid to show an effect."""
        return sorted((one for one in self.gates if not one.passed), key=lambda one: one.severity != "refuse")

    @property
    def smallest(self) -> int | None:
        """Members in the smallest arm; of other units as many as there are may be told."""
        if self.split is None or self.units not in PEOPLE:
            return None
        return int(self.split.weeks.groupby("arm")["n"].sum().min()) if len(self.split.weeks) else 0

    @property
    def waiting(self) -> bool:
        """Whether nothing is wrong but that too little has happened yet."""
        codes = {gate.code for gate in self.failed if gate.severity == "refuse"}
        return bool(codes) and codes <= WAIT and self.study.as_of < self.plan.end

    @property
    def refused(self) -> bool:
        """Whether something is wrong, so that no effect may be shown."""
        return any(gate.severity == "refuse" for gate in self.failed) and not self.waiting

    @property
    def reason(self) -> str:
        """Why no effect may be shown; empty when one may."""
        if self.split is None:
            return self.said(TEXTS["planned"])
        if self.refused:
            return say(TEXTS["untrusted"])
        if self.plan.looks[0] > self.study.as_of:
            return self.said(TEXTS["early"])
        if not self.waiting:
            return ""
        return say(TEXTS["waiting"], found=self.failed[0].sentence, remedy=self.failed[0].remedy)

    @property
    def wrong(self) -> str:
        """What went wrong, as a clause, and since when."""
        if self.split and self.split.since and self.failed[0].code == "split":
            return say("since {day} units are not split between the arms as planned", day=self.split.since)
        return self.failed[0].sentence.partition(". ")[0].rstrip(".")

    @property
    def doubt(self) -> str:
        """What makes the effect provisional; empty when nothing does."""
        return self.failed[0].sentence if self.failed else ""

    @property
    def sentence(self) -> str:
        """Whether it can be trusted; if not, what went wrong and how to mend it."""
        if self.split is None:
            return self.reason
        if self.refused:
            return say(RULES["untrusted"]["why"], wrong=self.wrong, remedy=self.failed[0].remedy)
        return self.reason if self.waiting else say("It can be trusted. {split}", split=self.split_sentence)

    @property
    def split_sentence(self) -> str:
        """How many units got the first variant, against the plan, and which checks failed."""
        got, planned = self.shares
        text = "{got} ({bounds}) of {n:,} {units} got {arm}, {planned} planned; {passed} of {checks} checks passed."
        passed, bounds = len(self.gates) - len(self.failed), interval(got.low, got.high, "share")
        words = {"got": percent(got.value), "n": got.n, "planned": percent(planned), "bounds": bounds}
        told = self.said(text, passed=passed, checks=len(self.gates), **words)
        if not self.failed:
            return told
        return say(
            "{told} Not passed: {names}.", told=told, names=", ".join(word(each.code) for each in self.failed)
        )

    @property
    def shares(self) -> tuple[Estimate, float]:
        """Share of the units that got the first variant, with its interval, and what the schedule makes it."""
        assert self.split is not None, "it is read"
        weeks = self.split.weeks
        n, own = int(weeks["n"].sum()), weeks.loc[weeks["arm"] == self.plan.arms[1], ["n", "expected"]].sum()
        return proportion(int(own["n"]), n, self.study.confidence), float(own["expected"]) / max(n, 1)

    def parts(self) -> Iterator[Part]:
        """Yield the verdict of the checks, what was found beside it, the split, and all gates."""
        yield self.sentence
        if self.split is None:
            return
        for gate in self.failed[self.waiting :]:
            yield say("{found} {remedy}", found=gate.sentence, remedy=gate.remedy)
        if self.refused or self.split.weeks["week"].nunique() > 1:
            yield self.figure()
        rows = [
            (word(gate.code), gate.sentence, gate.remedy, say(CHECKED[gate.passed])) for gate in self.gates
        ]
        yield Table("gates", pd.DataFrame(rows, columns=["check", "found", "remedy", "state"]), say("Checks"))

    def figure(self) -> Chart | NoChart:
        """Draw the share of each variant week by week against the plan."""
        assert self.split is not None, "it is read"
        title = say("Units were split as planned, week by week")
        if self.split.alarm:
            title = say("The split departs from the plan, since {day}", day=self.split.since)
        weeks = self.split.weeks
        whole = weeks.groupby("week")["n"].transform("sum").to_numpy()
        low, high = wilson(weeks["n"], whole, self.study.confidence)
        rows = weeks.assign(share=weeks["n"] / whole, planned=weeks["expected"] / whole, low=low, high=high)
        rows = rows[(rows["arm"] != self.plan.arms[0]) & (whole > 0)]
        if rows.empty:
            return NoChart(title, say("Too little data to tell."), name="split_by_week")
        note = self.said("Share of {units} by the week of their assignment.")
        return plots.split_by_week(rows, title, note)

    def findings(self) -> Iterator[Finding]:
        """Yield the split, which tells nothing of an effect."""
        if self.split is not None:
            headline = say("DO NOT TRUST: {wrong}", wrong=self.wrong) if self.refused else ""
            picture = "split_by_week" if self.refused else ""
            yield self.stated(
                self.shares[0], "split", self.split_sentence, headline=headline, picture=picture
            )


def check(study: Study, planned: Design) -> Trust:
    """Return whether the test can be trusted; nothing is looked at when this run only wrote the plan down."""
    plan = planned.plan
    if planned.planning:
        return Trust(study, plan, None, ())
    return Trust(study, plan, split(study, plan), gates(study, plan))
