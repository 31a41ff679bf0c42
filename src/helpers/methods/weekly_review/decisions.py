"""The top of the page: leading numbers, at most three decisions, and what became of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from helpers.methods.weekly_review.moves import Moves
from helpers.playbook.action import Action, within
from helpers.playbook.answer import ranged
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding
from helpers.playbook.followed import Actions, followed
from helpers.playbook.propose import propose
from helpers.playbook.reports_told import proposed_elsewhere
from helpers.playbook.result import Result
from helpers.sentences import say
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.study.weekly import ALL
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


def earlier_actions(moves: Moves, reports: EarlierReports) -> Actions:
    """Return what became of earlier actions, judged by the weekly numbers.

    Parameters
    ----------
    moves : Moves
        The week, for its series.
    reports : EarlierReports
        What was proposed, and beside what the register lies.
    """
    return followed(moves.study, reports, moves.weekly.table)


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
            caption = say("What was proposed besides, and what is to be left alone")
            yield Table("further_proposals", self.waiting, caption)

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
    mine = [one for one in mine if actions.asked_again(one.id)]
    undecided = {entry.action for entry in actions.register.of("proposed")}
    theirs = proposed_elsewhere(reports, undecided)
    chosen, others = within([*mine, *(one for one, _ in theirs.values())], MOST)
    known, rest = {one.id for one in found}, [theirs[one.id][1] for one in chosen if one.id in theirs]
    resting = {one.id: one for each in rest for one in each if one.id not in known}
    rows = [(say(one.call), one.title, one.owner_role, _worth(one)) for one in others]
    waiting = pd.DataFrame(rows, columns=["call", "action", "owner", "worth"])
    return Decisions(study, tuple(one for one in chosen if one.finding_ids), tuple(resting.values()), waiting)


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
