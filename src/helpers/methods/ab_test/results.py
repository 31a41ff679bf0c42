"""What was planned and whether it can be trusted: the records that come before any effect.

Every record after the checks shows nothing of an effect when one that must hold has failed, or when the test is only
planned; the one line that stands in its place says why.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.ab_test import plots
from helpers.methods.ab_test.gates import Gate, gates
from helpers.methods.ab_test.parameters import AbTestParameters
from helpers.methods.ab_test.plan import Plan, plan_of, read_plan, write_plan
from helpers.methods.ab_test.split import Split, split
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, percent, say
from helpers.stats.estimate import Estimate, proportion, wilson
from helpers.study import Study
from helpers.tables import Table

UNITS = {"member": "members", "post": "posts", "content": "posts", "slot": "slots", "group": "groups"}
UNITS |= {"impression": "impressions", "click": "clicks", "view": "impressions"}
PLANNED = (
    "Not read: this run wrote the plan down. Read the test with mode: read, the first time on {day}, "
    "when its first look is due."
)
EARLY = "Not read yet: the first look is due on {day}."
UNTRUSTED = "Not shown: the test cannot be trusted. {why}"


def units_of(plan: Plan) -> str:
    """Return what the units of a test are called, many of them."""
    return UNITS.get(plan.unit, "units")


@dataclass(frozen=True, repr=False)
class Guarded(Result):
    """A record that is not read before the checks have passed.

    Attributes
    ----------
    plan : Plan
        The design.
    reason : str
        Why nothing of it is shown; empty when it may be.
    """

    plan: Plan = field(repr=False)
    reason: str

    def parts(self) -> Iterator[Part]:
        """Yield what a reader gets, or the one line that says why nothing is shown."""
        if self.reason:
            yield self.reason
        else:
            yield from super().parts()

    def findings(self) -> Iterator[Finding]:
        """Yield the numbers that a report stands behind; none that must not be read."""
        if not self.reason:
            yield from self.read()

    def read(self) -> Iterator[Finding]:
        """Yield the findings of a test that may be read."""
        yield from ()


@dataclass(frozen=True, repr=False)
class Design(Result):
    """The plan as it is frozen.

    Attributes
    ----------
    plan : Plan
        The design.
    planning : bool
        Whether this run wrote it down, and reads nothing.
    """

    plan: Plan = field(repr=False)
    planning: bool

    @property
    def factors(self) -> str:
        """What the arms differ in: with more than one thing no difference says which it was."""
        named = self.plan.factors
        if len(named) == 1:
            return say("The arms differ in one thing: {factor}.", factor=named[0])
        if not named:
            return say(
                "The plan does not say what the arms differ in; one thing, else nobody knows which it was."
            )
        text = "The arms differ in {number} things at once ({names}), so no difference says which it was."
        return say(text, number=len(named), names=", ".join(named))

    @property
    def sentence(self) -> str:
        """Who is compared with whom, by what and when."""
        plan = self.plan
        text = (
            "“{name}” compares {variants} with {control} among {units}, by {metric}. It is read {looks} times, "
            "from {first} to {last}; a gain of {smallest} or more is worth having."
        )
        if len(plan.looks) == 1:
            text = (
                "“{name}” compares {variants} with {control} among {units}, by {metric}. It is read once, on "
                "{last}; a gain of {smallest} or more is worth having."
            )
        words = {"name": plan.experiment, "variants": ", ".join(plan.arms[1:]), "control": plan.arms[0]}
        words |= {"units": say(units_of(plan)), "metric": plan.primary.name, "looks": str(len(plan.looks))}
        words |= {"first": str(plan.looks[0]), "last": str(plan.end)}
        return say(text, smallest=percent(plan.smallest_effect, 0), **words)

    def parts(self) -> Iterator[Part]:
        """Yield the plan in words, what the arms differ in, and the plan as frozen."""
        yield from (self.sentence, self.factors)
        if self.plan.registered_at is not None:
            day = self.plan.registered_at.astimezone(ZoneInfo(self.study.report_tz)).date()
            yield say("Written down on {day}; fingerprint {hash}.", day=day, hash=self.plan.sha256[:12])
        rows = [(name, _short(value)) for name, value in self.plan.model_dump(mode="json").items()]
        frame = pd.DataFrame(rows, columns=["field", "value"])
        yield Table("plan", frame, say("The plan as frozen, {name}", name=self.plan.experiment))


def _short(value: object) -> str:
    if isinstance(value, dict):
        kept = (f"{name}: {_short(each)}" for name, each in value.items() if each not in (None, [], ()))
        return "; ".join(kept)
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)


def design(study: Study, parameters: AbTestParameters) -> Design:
    """Return the design of the experiment: written down from the parameters, or read as it was registered."""
    if parameters.mode == "read":
        return Design(study, read_plan(study, parameters.experiment), False)
    plan = plan_of(parameters.fields(), "the parameters")
    write_plan(study, plan)
    return Design(study, read_plan(study, plan.experiment), True)


@dataclass(frozen=True, repr=False)
class Trust(Result):
    """Whether the test can be trusted: the split against the schedule, and every gate.

    Attributes
    ----------
    plan : Plan
        The design.
    split : Split or None
        Units by arm against the plan; None when the test is only planned.
    gates : tuple of Gate
        In the order of reading.
    """

    plan: Plan = field(repr=False)
    split: Split | None = field(repr=False)
    gates: tuple[Gate, ...]

    @property
    def refused(self) -> list[Gate]:
        """The gates that forbid to show an effect."""
        return [gate for gate in self.gates if gate.severity == "refuse" and not gate.passed]

    @property
    def warned(self) -> list[Gate]:
        """The gates that make an effect provisional."""
        return [gate for gate in self.gates if gate.severity == "warn" and not gate.passed]

    @property
    def reason(self) -> str:
        """Why no effect may be shown; empty when one may."""
        due = self.plan.looks[0]
        if self.split is None:
            return say(PLANNED, day=due)
        if self.refused:
            return say(UNTRUSTED, why=self.refused[0].sentence)
        return say(EARLY, day=due) if due > self.study.as_of else ""

    @property
    def sentence(self) -> str:
        """Whether the split is as planned, and what else was found."""
        if self.split is None:
            return self.reason
        if self.refused:
            text = "DO NOT TRUST this test. {found} What to do: {remedy}"
            worst = self.refused[0]
            return say(text, found=worst.sentence, remedy=worst.remedy)
        text = "It can be trusted: {got} of the {n:,} {units} got {arm}, {planned} were planned; {passed} checks passed."
        got, planned = self.shares
        words = {"units": say(units_of(self.plan)), "arm": self.plan.arms[1], "passed": self._passed}
        return say(text, got=percent(got.value), n=got.n, planned=percent(planned), **words)

    @property
    def _passed(self) -> int:
        return sum(gate.passed for gate in self.gates)

    @property
    def shares(self) -> tuple[Estimate, float]:
        """Share of the units that got the first variant, with its interval, and what the schedule makes it."""
        assert self.split is not None, "it is read"
        weeks = self.split.weeks
        n, own = int(weeks["n"].sum()), weeks[weeks["arm"] == self.plan.arms[1]]
        planned = float(own["expected"].sum()) / max(n, 1)
        return proportion(int(own["n"].sum()), n, self.study.confidence), planned

    def parts(self) -> Iterator[Part]:
        """Yield the verdict of the checks, what was found beside it, the split, and all gates."""
        yield self.sentence
        if self.split is None:
            return
        for gate in [*self.refused[1:], *self.warned]:
            yield say("{found} What to do: {remedy}", found=gate.sentence, remedy=gate.remedy)
        if (picture := self.figure()) is not None:
            yield picture
        rows = [(gate.code, _state(gate), gate.sentence, gate.remedy) for gate in self.gates]
        frame = pd.DataFrame(rows, columns=["check", "state", "found", "remedy"])
        yield Table("gates", frame, say("Checks of {name}", name=self.plan.experiment))

    def figure(self) -> Chart | NoChart | None:
        """Draw the share of each variant week by week against the plan."""
        if self.split is None or self.split.weeks.empty:
            return None
        weeks = self.split.weeks
        all_arms = weeks.groupby("week")["n"].transform("sum").to_numpy()
        low, high = wilson(weeks["n"], all_arms, self.study.confidence)
        rows = weeks.assign(low=low, high=high)[weeks["arm"] != self.plan.arms[0]]
        title = say("Units were split as planned, week by week")
        if self.split.alarm and self.split.since:
            title = say("The split departs from the plan since {day}", day=self.split.since)
        elif self.split.alarm:
            title = say("Units were not split as planned")
        units, level = say(units_of(self.plan)), percent(self.study.confidence, 0)
        note = say("Share of {units} assigned in the week; intervals at {level}.", units=units, level=level)
        columns = ["week", "arm", "n", "share", "low", "high", "planned"]
        return plots.split_by_week(rows[columns], title, note)

    def findings(self) -> Iterator[Finding]:
        """Yield the split, which tells nothing of an effect."""
        if self.split is None:
            return
        got, planned = self.shares
        text = "{got} ({bounds}) of {n:,} {units} got {arm}, {planned} were planned (p = {p}). {checks}"
        checks = say("All {n} checks passed.", n=len(self.gates))
        if self._passed < len(self.gates):
            failed = ", ".join(gate.code for gate in self.gates if not gate.passed)
            checks = say(
                "{passed} of {n} checks passed; not: {failed}.",
                passed=self._passed,
                n=len(self.gates),
                failed=failed,
            )
        words = {"units": say(units_of(self.plan)), "arm": self.plan.arms[1], "checks": checks}
        yield finding(
            got, id="ab_test.split", metric=say("Units that got {arm}", arm=self.plan.arms[1]),
            scope=self.plan.experiment, systems=("S056",), n_of=units_of(self.plan), definition="split",
            headline=say("DO NOT TRUST: {found}", found=_clause(self.refused[0].sentence)) if self.refused else "",
            assumption=say("the recorded assignment is all there is"), picture="split_by_week" if self.refused else "",
            sentence=say(text, got=percent(got.value), bounds=interval(got.low, got.high, "share"), n=got.n,
                         planned=percent(planned), p=number(self.split.p, 3), **words),
        )  # fmt: skip


def _clause(sentence: str) -> str:
    """Return a sentence as it stands inside another."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _state(gate: Gate) -> str:
    if gate.passed:
        return say("passed")
    return say("refused") if gate.severity == "refuse" else say("provisional")


def check(study: Study, planned: Design) -> Trust:
    """Return whether the test can be trusted; nothing is looked at when this run only wrote the plan down."""
    plan = planned.plan
    if planned.planning:
        return Trust(study, plan, None, ())
    return Trust(study, plan, split(study, plan), gates(study, plan))


def days_between(one: dt.date, other: dt.date) -> int:
    """Return the days from one to the other, never below 0."""
    return max((other - one).days, 0)
