"""The top of the page: leading numbers, at most three decisions, and what became of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pandas as pd

from helpers.methods.weekly_review.metrics import ALL, ranged
from helpers.methods.weekly_review.moves import Moves
from helpers.playbook.action import Action, within
from helpers.playbook.earlier import EarlierReport, EarlierReports
from helpers.playbook.finding import Finding
from helpers.playbook.propose import propose
from helpers.playbook.register import Entry, Register
from helpers.playbook.result import Part, Result
from helpers.playbook.verify import Verified, verify_all, weekly_history
from helpers.sentences import quantity, say, with_bounds
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.tables import Table

MOST = 3
"""Decisions that somebody takes in a week."""
LENGTH, LINE = 500, 100
"""Characters of a summary, and of a number in it; titles share what is left."""
LEADING = (
    *("weekly_review.weekly_active", "weekly_review.net_revenue", "retention.day_n", "weekly_review.exits"),
    *("budget.return", "weekly_review.new_contributors", "outlook.silent_next", "weekly_review.engagement"),
)
"""The leading numbers: five stand in the strip and three below it; what is not there is passed over."""


@dataclass(frozen=True, repr=False)
class Headline(Result):
    """The leading numbers, those of other reports with the ids and definitions that they have there.

    Attributes
    ----------
    moves : Moves
        The week.
    carried : tuple of Finding
        Leading numbers of other reports, as they were published.
    """

    moves: Moves
    carried: tuple[Finding, ...]

    @property
    def sentence(self) -> str:
        """Which numbers come from other reports."""
        if not self.carried:
            return say("No number of another report stands among the leading ones: there is none yet.")
        names = ", ".join(one.metric for one in self.carried)
        return say("From other reports, as they stand there: {names}.", names=names)

    def findings(self) -> Iterator[Finding]:
        """State the leading numbers in their order, then the other weekly ones."""
        known = {one.id: one for one in (*self.moves.stated(), *self.carried)}
        first = [known.pop(name) for name in LEADING if name in known]
        yield from (*first, *known.values())


def headline(moves: Moves, reports: EarlierReports) -> Headline:
    """Return the leading numbers of the week.

    Parameters
    ----------
    moves : Moves
        The week.
    reports : EarlierReports
        Other reports; those of everybody are asked.
    """
    others = [report for report in reports.latest() if report.label == ALL and report.method != reports.own]
    there = {one.id: one for report in others for one in report.findings}
    bare = {"headline": "", "picture": ""}
    carried = [there[name].model_copy(update=bare) for name in LEADING if name in there]
    return Headline(moves.study, moves, tuple(carried))


@dataclass(frozen=True, repr=False)
class Actions(Result):
    """What became of actions that were proposed before.

    Attributes
    ----------
    register : Register
        All actions known on the day.
    verified : tuple of Verified
        Of those that were accepted.
    """

    register: Register
    verified: tuple[Verified, ...]

    @property
    def sentence(self) -> str:
        """How many were accepted and verified, and which first."""
        states = {name: len(self.register.of(name)) for name in ("accepted", "rejected", "expired", "closed")}
        if not any(states.values()):
            return say("Earlier actions: none was accepted or rejected yet.")
        due = [one for one in self.verified if one.verdict != "not due"]
        text = (
            "Earlier actions: {accepted} accepted, {rejected} rejected, {expired} expired, {closed} closed. "
            "The day of {due} has come; {good} did what was expected."
        )
        good = sum(one.verdict == "verified" for one in due)
        return say(text, **states, due=len(due), good=good)

    def told_of(self, one: Verified) -> str:
        """Return what became of one action in words."""
        words = {"title": one.entry.title, "day": one.entry.check_on, "reason": one.reason}
        if one.verdict == "not due":
            return say("“{title}” is judged on {day}.", **words)
        if not one.effect.known:
            return say("“{title}” cannot be judged. {reason}", **words)
        words |= {"effect": with_bounds(one.effect), "verdict": say(one.verdict)}
        text = "“{title}”: {verdict}, {effect}."
        if one.shared:
            text = "“{title}”: {verdict}, {effect}, together with {n} other actions on the same number."
        return say(text, n=len(one.shared), **words)

    def parts(self) -> Iterator[Part]:
        """Yield what became of them, those whose day has come in words, and the table."""
        yield self.sentence
        for one in islice((each for each in self.verified if each.verdict != "not due"), MOST):
            yield self.told_of(one)
        if checked := [
            one for one in self.verified if one.verdict in ("verified", "refuted", "no clear change")
        ]:
            yield self._worth(checked)
        by_id = {one.entry.id: one for one in self.verified}
        rows = [self._row(entry, by_id.get(entry.id)) for entry in self.register.entries]
        if rows:
            yield Table(
                "actions",
                pd.DataFrame(rows),
                say("All actions, the newest first: refused and expired ones too"),
            )

    def _worth(self, checked: list[Verified]) -> str:
        """Say what was expected of actions that were checked, and of those that were verified."""
        priced = [one for one in checked if one.entry.expected_value is not None and not one.shared]
        if not priced:
            return say("None of the actions that were checked had a price.")
        good = sum(one.entry.expected_value or 0.0 for one in priced if one.verdict == "verified")
        total = sum(one.entry.expected_value or 0.0 for one in priced)
        unit = priced[0].entry.unit
        text = (
            "Expected of {n} priced actions that were checked: {total}; of those verified among them: {good}."
        )
        return say(text, n=len(priced), total=quantity(total, unit), good=quantity(good, unit))

    def _row(self, entry: Entry, done: Verified | None) -> dict[str, object]:
        effect = done.effect if done is not None else None
        known = effect is not None and effect.known
        return {
            "action": entry.title, "state": say(entry.state), "owner": entry.owner, "proposed": str(entry.created),
            "decided": str(entry.decided or ""), "why": entry.why, "check": str(entry.check_on),
            "expected_value": entry.expected_value, "metric": entry.metric,
            "verdict": say(done.verdict) if done is not None else "",
            "effect": effect.value if known and effect else None, "low": effect.low if known and effect else None,
            "high": effect.high if known and effect else None, "id": entry.id,
        }  # fmt: skip


def earlier_actions(moves: Moves, reports: EarlierReports) -> Actions:
    """Return what became of earlier actions, judged by the weekly numbers.

    Parameters
    ----------
    moves : Moves
        The week, for its series.
    reports : EarlierReports
        What was proposed, and beside what the register lies.
    """
    study = moves.study
    table = study.dataset.actions.to_pandas() if "actions" in study.dataset else None
    register = Register.read(reports, table)
    history = weekly_history(reports, moves.weekly.table)
    accepted = register.of("accepted", "closed")
    return Actions(study, register, verify_all(accepted, history, study.as_of, study.confidence))


@dataclass(frozen=True, repr=False)
class Decisions(Result):
    """What is to be approved.

    Attributes
    ----------
    approve : tuple of Action
        At most :data:`MOST`, the best first: those of other reports that nobody has decided, and those of the review.
    resting : tuple of Finding
        What the actions of other reports rest on, under the ids they have there.
    waiting : pandas.DataFrame
        All other proposals, and what is to be left alone.
    """

    approve: tuple[Action, ...]
    resting: tuple[Finding, ...]
    waiting: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """How many decisions there are, or that there is none."""
        if not self.approve:
            return say("Nothing to decide this week.")
        titles = "; ".join(one.title for one in self.approve)
        return say("To decide: {titles}.", titles=titles)

    def tables(self) -> Iterator[Table]:
        """Yield what waits."""
        if len(self.waiting):
            yield Table(
                "further_proposals",
                self.waiting,
                say("What was proposed besides, and what is to be left alone"),
            )

    def findings(self) -> Iterator[Finding]:
        """State again what actions of other reports rest on."""
        yield from self.resting


def decisions(
    study: Study, reports: EarlierReports, actions: Actions, results: Sequence[Result]
) -> Decisions:
    """Return what is to be approved: at most three actions, by expected value.

    Parameters
    ----------
    study : Study
        The day.
    reports : EarlierReports
        What other reports propose.
    actions : Actions
        What was decided already, and is not asked again.
    results : sequence of Result
        What the review itself found, whose rules propose too.
    """
    found = [one for result in results for one in result.found()]
    decided = [one for result in results for one in result.proposals()]
    mine = propose(study, found, decided=decided, prefix=f"{reports.own or 'weekly_review'}.").actions
    undecided = {entry.action for entry in actions.register.of("proposed")}
    theirs = {}
    for report in reports.latest():
        for one in report.actions if report.method != reports.own else ():
            if one.call == "leave" or f"{report.series}/{one.id}" in undecided:
                renamed = _renamed(report, one)
                theirs[renamed.id] = (report, one, renamed)
    chosen, others = within([*mine, *(one for _, _, one in theirs.values())], MOST)
    seen, resting = {one.id for one in found}, []
    for report, one, renamed in (theirs[one.id] for one in chosen if one.id in theirs):
        names = dict(zip(one.finding_ids, renamed.finding_ids, strict=True))
        resting += [each.model_copy(update={"id": names[each.id], "headline": "", "picture": ""})
                    for each in report.findings if each.id in names and names[each.id] not in seen]  # fmt: skip
        seen |= set(names.values())
    there = seen & {one.id for one in (*found, *resting)}
    kept = [one.model_copy(update={"finding_ids": tuple(name for name in one.finding_ids if name in there)})
            for one in chosen]  # fmt: skip
    rows = [(say(one.call), one.title, one.owner_role, _worth(one)) for one in others]
    waiting = pd.DataFrame(rows, columns=["call", "action", "owner", "worth"])
    return Decisions(study, tuple(one for one in kept if one.finding_ids), tuple(resting), waiting)


def _renamed(report: EarlierReport, one: Action) -> Action:
    """Return an action whose ids say of which label it is, because each label of a method uses the same ones."""
    if report.label == ALL:
        return one
    label = "".join(
        sign if sign in "abcdefghijklmnopqrstuvwxyz0123456789_.-" else "-" for sign in report.label.lower()
    )
    return one.model_copy(
        update={
            "id": f"{one.id}.{label}",
            "finding_ids": tuple(f"{name}.{label}" for name in one.finding_ids),
        }
    )


def _worth(one: Action) -> str:
    if one.expected_value is None or one.low is None or one.high is None:
        return say("not known in money")
    return ranged(Estimate(one.expected_value, one.low, one.high, 0, one.unit, "", 0.95))


def summary(headline: Headline, decisions: Decisions, address: str = "") -> str:
    """Return the review in at most 500 characters: decisions, three numbers with interval, link.

    Parameters
    ----------
    headline : Headline
        The leading numbers.
    decisions : Decisions
        What is to be approved.
    address : str
        Where the folder of reports is read; empty: its path.
    """
    week = say("Week of {week}", week=headline.moves.weekly.week.date())
    known = [one for one in headline.found() if one.value is not None]
    numbers = [
        say("{metric}: {value}, {verdict}", metric=one.metric, value=ranged(one), verdict=say(one.verdict))
        for one in known[:MOST]
    ]  # fmt: skip
    link = f"{address.rstrip('/') or 'reports'}/index.html"
    titles = [say("{call}: {title}", call=say(one.call), title=one.title) for one in decisions.approve]
    titles, numbers = titles or [say("Nothing to decide this week.")], [_cut(one, LINE) for one in numbers]
    room = (LENGTH - sum(map(len, (week, link, *numbers))) - len(numbers)) // len(titles) - 2
    return "\n".join([week, *(_cut(one, room) for one in titles), *numbers, link])


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
