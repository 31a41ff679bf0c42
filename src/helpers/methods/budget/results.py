"""What the weeks can answer, how far the answer is to be trusted, and what tests changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.budget import plots
from helpers.methods.budget.curves import Array
from helpers.methods.budget.engine import Fit, fit
from helpers.methods.budget.evidence import read_evidence
from helpers.methods.budget.gate import Check, Gate, elasticity, gate
from helpers.methods.budget.trust import Trust, trust
from helpers.methods.budget.weekly import Weekly, weekly
from helpers.playbook.evidence import told_reports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.propose import Proposed
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, quantity, say, with_bounds
from helpers.stats.estimate import Estimate, drawn_estimate, unknown
from helpers.study import Study
from helpers.tables import Table

METHOD = "posterior draws of response curves"
# What the ledger repeats of a statement.
STATED = ("evidence_id", "line", "estimand", "kind", "stated", "value", "se", "report")
ANSWERS = {
    "curves": "{n} whole weeks with {spend} on {lines} paid lines: enough for curves. Doubts, if any, stand below.",
    "elasticity": "{n} whole weeks with {spend} on {lines} paid lines: too little for a curve of each line.",
    "nothing": "{n} whole weeks with {spend} on {lines} paid lines cannot say what spend does.",
}
GRADES = {
    "green": "Trust is green: {passed} of {n} checks passed, so the plan may be carried out.",
    "amber": "Trust is amber: {passed} of {n} checks passed. Enough to choose what to try, not to move money blind.",
    "red": "Trust is red. {why}",
}


def estimate_of_draws(draws: Array, weeks: int, unit: str, confidence: float) -> Estimate:
    """Return the mean of draws with an equal-tailed interval, widened to the mean where that lies outside."""
    return drawn_estimate(float(np.mean(draws)), draws, weeks, unit, METHOD, confidence)


def checks_table(name: str, checks: tuple[Check, ...], caption: str) -> Table:
    """Return checks as a table."""
    rows = [(one.sentence, one.line or say("all"), say(one.verdict)) for one in checks]
    return Table(name, pd.DataFrame(rows, columns=["check", "line", "verdict"]), caption)


class Told(Result):
    """What the records of a budget share: money in words, and findings that rest on weeks."""

    def cash(self, amount: float) -> str:
        """Return money in words."""
        return quantity(amount, self.study.currency)

    def state(
        self, one: Estimate, name: str, metric: str, told: str, term: str, *systems: str, **more: Any
    ) -> Finding:
        """Return a finding that rests on weeks, with its term of the glossary."""
        more = {"n_of": "weeks", "assumption": say("the true curves are among those that were tried")} | more
        named: dict[str, Any] = {"metric": metric, "sentence": told, "definition": term, "systems": systems}
        return finding(one, id=f"budget.{name}", scope=self.study.scope, **named, **more)


@dataclass(frozen=True, repr=False)
class Weeks(Told):
    """The weeks, and whether they can answer.

    Attributes
    ----------
    weekly : Weekly
        Spend and outcome by week.
    gate : Gate
        What was checked before any fit.
    outcome : str
        What spend is to bring.
    """

    weekly: Weekly
    gate: Gate
    outcome: str

    @property
    def sentence(self) -> str:
        """What there is, and what it can answer."""
        spend = self.cash(float(self.weekly.spend.to_numpy().sum()))
        counts = {"n": len(self.weekly.outcome), "lines": self.weekly.spend.shape[1]}
        return say(ANSWERS[self.gate.answer], spend=spend, **counts)

    def parts(self) -> Iterator[Part]:
        """Yield what there is, what forbids an answer, and all checks."""
        yield " ".join([self.sentence, *(one.sentence for one in self.gate.refusals)])
        yield checks_table("gate", self.gate.checks, say("Can these weeks answer? What was checked first"))


def weeks(study: Study, outcome: str = "conversions", line: str = "campaign_id") -> Weeks:
    """Return spend and outcome by week, and whether they can answer.

    Parameters
    ----------
    study : Study
        With ``ad_daily`` and a table of the outcome.
    outcome, line : str
        As in :func:`helpers.methods.budget.weekly.weekly`.
    """
    frame = weekly(study, outcome, line)
    return Weeks(study, frame, gate(frame), outcome)


@dataclass(frozen=True, repr=False)
class Fitted(Told):
    """The curves, and how far they may be trusted.

    Attributes
    ----------
    weeks : Weeks
        What was fitted.
    fit : Fit or None
        Draws; None when the weeks do not carry curves.
    trust : Trust
        Its grade; red without a fit.
    unused : pandas.DataFrame
        Statements of the table ``evidence`` that do not count, with the reason.
    """

    weeks: Weeks
    fit: Fit | None
    trust: Trust
    unused: pd.DataFrame = field(repr=False)

    @property
    def usable(self) -> Fit | None:
        """The draws where they may be used: None when trust is red."""
        return None if self.trust.grade == "red" else self.fit

    @property
    def n(self) -> int:
        """Weeks it rests on."""
        return len(self.weeks.weekly.outcome)

    @property
    def brought(self) -> Array:
        """Share of the outcome that paid lines brought, by draw; none where the draws may not be used."""
        if self.usable is None:
            return np.array([])
        total = sum(self.usable.contribution(line).sum(axis=1) for line in self.usable.curves)
        return np.asarray(total / self.weeks.weekly.outcome.sum())

    @property
    def paid_share(self) -> Estimate:
        """Share of the outcome that paid lines brought."""
        if self.usable is None:
            return unknown(self.n, "share", self.study.confidence)
        return estimate_of_draws(self.brought, self.n, "share", self.study.confidence)

    @property
    def sentence(self) -> str:
        """The grade, and what it allows."""
        passed = [one.verdict == "ok" for one in self.trust.checks]
        return say(GRADES[self.trust.grade], why=self.trust.refusal, passed=sum(passed), n=len(passed))

    def figure(self) -> Chart | NoChart:
        """Draw what each line brought, by week."""
        if self.usable is None:
            title = say("What paid lines brought, week by week")
            return NoChart(title, self.trust.refusal, name="contribution")
        frame, found = self.weeks.weekly, self.usable
        brought = {line: found.contribution(line).mean(axis=0) for line in found.curves}
        base = {"without paid lines": np.maximum(found.baseline, 0)}
        data = pd.DataFrame(base | brought, index=frame.outcome.index.rename("week"))
        rows = data.assign(outcome=frame.outcome).reset_index().astype({"week": str})
        title = say("Paid lines brought {share} of the outcome", share=percent(self.paid_share.value, 0))
        note = say("{unit} a week; the average of all curves that fit these weeks.", unit=frame.unit)
        drawing = plots.contribution(data, frame.outcome)
        return self.drawn("contribution", say("Areas by week"), title, rows, drawing, note=note)

    def parts(self) -> Iterator[Part]:
        """Yield the grade, what was flagged, the picture and all checks."""
        yield self.sentence
        flagged = [one.sentence for one in self.trust.checks if one.verdict == "flag"]
        if flagged and self.usable:
            yield say("What was flagged: {each}", each=" ".join(flagged))
        thin = elasticity(self.weeks.weekly, self.study.confidence)
        if self.fit is None and thin.known:
            text = "Of all lines together this can be said: 1 % more spend, {value} % more outcome."
            yield say(text, value=with_bounds(thin))
        yield self.figure()
        yield checks_table("trust", self.trust.checks, say("What was tried to prove the answer wrong"))

    def findings(self) -> Iterator[Finding]:
        """State the grade, and what paid lines brought."""
        tried = len(self.trust.checks)
        share = float(np.mean([one.verdict == "ok" for one in self.trust.checks]))
        passed = Estimate(share, share, share, tried, "share", "count of checks", self.study.confidence)
        headline, known = say("trust is {grade}", grade=say(self.trust.grade)), self.paid_share.known
        metric, assumed = say("Checks that the answer passed"), say("what no check asks for is not wrong")
        more = {"direction": "up is good", "assumption": assumed, "headline": headline, "n_of": "checks"}
        yield self.state(passed, "trust", metric, self.sentence, "trust", "S067", **more)
        text = "Paid lines brought {share} of the outcome; the rest comes without them."
        text = text if known else "What paid lines brought cannot be told."
        told = say(text, share=with_bounds(self.paid_share))
        metric, more = say("Share of the outcome that paid lines brought"), {"picture": "contribution"}
        yield self.state(self.paid_share, "paid_share", metric, told, "paid_share", "S067", **more)


def fitted(study: Study, weeks: Weeks) -> Fitted:
    """Return the curves of the weeks with all evidence, and their grade.

    Parameters
    ----------
    study : Study
        Its seed, and the table ``evidence`` where it is there.
    weeks : Weeks
        The weeks.
    """
    statements, unused = read_evidence(study, weeks.weekly)
    if weeks.gate.answer != "curves":
        return Fitted(study, weeks, None, Trust("red", weeks.gate.checks), unused)
    found = fit(weeks.weekly, statements, study.seed)
    return Fitted(study, weeks, found, trust(found, weeks.gate, study.seed), unused)


def ledger(found: Fit, seed: int = 0) -> pd.DataFrame:
    """Return what each statement changed: the fit with all of them beside the one without it.

    Returns
    -------
    pandas.DataFrame
        One row per statement: evidence_id, line, estimand, kind, stated, value, se (as it entered), report; says
        (what the model says of the same thing, mean, with all statements); without, without_se, with, with_se (mean
        weekly contribution of the line and its standard deviation).
    """
    rows = []
    for each in found.evidence:
        others = tuple(one for one in found.evidence if one is not each)
        before = fit(found.weekly, others, seed).contribution(each.line).mean(axis=1)
        after = found.contribution(each.line).mean(axis=1)
        says = each.of(found.curves[each.line], found.weekly.spend[each.line].to_numpy(float)).mean()
        stated = [getattr(each, name) for name in STATED]
        rows.append((*stated, says, before.mean(), before.std(), after.mean(), after.std()))
    return pd.DataFrame(rows, columns=[*STATED, "says", "without", "without_se", "with", "with_se"])


@dataclass(frozen=True, repr=False)
class Tested(Told):
    """What tests and beliefs changed, and which test would tell most.

    Attributes
    ----------
    fitted : Fitted
        The curves with all statements.
    table : pandas.DataFrame
        As :func:`ledger` returns it.
    line : str
        The line whose contribution is least certain; empty without curves.
    brought : Estimate
        What it brought in all weeks.
    """

    fitted: Fitted
    table: pd.DataFrame = field(repr=False)
    line: str
    brought: Estimate

    @property
    def bounds(self) -> dict[str, str]:
        """What words say of the line."""
        low, high = number(self.brought.low, 0), number(self.brought.high, 0)
        return {"line": self.line, "low": low, "high": high, "unit": self.brought.unit}

    @property
    def sentence(self) -> str:
        """Which test would tell most."""
        text = "A lift test of {line} would teach most: it may have brought anything from {low} to {high} {unit}."
        return say(text if self.line else "Which test to run next: there are no curves.", **self.bounds)

    def parts(self) -> Iterator[Part]:
        """Yield what each statement changed, which do not count, and the next test."""
        if self.table.empty:
            yield say("No test, pause or belief about these lines could be used: only the weeks count.")
        else:
            caption = say("Statements, and the line's mean weekly contribution without and with each")
            yield Table("evidence", self.table, caption)
            if told := told_reports(self.table["report"]):
                yield told
        yield self.sentence
        if len(self.fitted.unused):
            caption = say("Evidence on record that could not be used here, and why")
            yield Table("evidence_unused", self.fitted.unused, caption)

    def findings(self) -> Iterator[Finding]:
        """State what the line to be tested next brought."""
        metric = say("Contribution of the line to be tested next")
        yield self.state(self.brought, "next_test", metric, self.sentence, "contribution", "S067", "S075")

    def proposals(self) -> Iterator[Proposed]:
        """Yield the test that would tell most."""
        if self.line:
            yield Proposed("budget.test_next", ("budget.next_test",), fields=self.bounds)


def tested(study: Study, fitted: Fitted) -> Tested:
    """Return what tests and beliefs changed, and which test would tell most.

    Parameters
    ----------
    study : Study
        Its seed and level.
    fitted : Fitted
        The curves.
    """
    found, unit = fitted.fit, fitted.weeks.weekly.unit
    if found is None:
        return Tested(study, fitted, pd.DataFrame(), "", unknown(fitted.n, unit, study.confidence))
    total = {line: found.contribution(line).sum(axis=1) for line in found.curves}
    each = {line: estimate_of_draws(one, fitted.n, unit, study.confidence) for line, one in total.items()}
    line = max(each, key=lambda name: each[name].high - each[name].low)
    return Tested(study, fitted, ledger(found, study.seed), line, each[line])
