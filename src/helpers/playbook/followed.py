"""What became of actions that were proposed before, by the register and by weekly numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from helpers.errors import BadData
from helpers.playbook.earlier import EarlierReports
from helpers.playbook.register import Entry, Register, proposed
from helpers.playbook.result import Part, Result
from helpers.playbook.verify import Verified, verify_all, weekly_history
from helpers.sentences import quantity, say, with_bounds
from helpers.study import Study
from helpers.tables import Table

TOLD = 3
"""Actions whose day has come that are told in words."""


@dataclass(frozen=True, repr=False)
class Actions(Result):
    """What became of actions that were proposed before.

    Attributes
    ----------
    register : Register
        All actions known on the day; where it is damaged, what reports propose, as if nobody had decided.
    verified : tuple of Verified
        Of those that were accepted.
    damage : str
        Which line of the register cannot be read, and why.
    """

    register: Register
    verified: tuple[Verified, ...] = ()
    damage: str = ""

    @property
    def sentence(self) -> str:
        """How many were accepted and verified, and which first."""
        if self.damage:
            text = "What became of earlier actions is not known, and what was decided may be asked again: {damage}"
            return say(text, damage=self.damage)
        states = {name: len(self.register.of(name)) for name in ("accepted", "rejected", "expired", "closed")}
        if not any(states.values()):
            return say("Earlier actions: none was accepted or rejected yet.")
        due = [one.verdict for one in self.verified if one.verdict != "not due"]
        text = (
            "Earlier actions: {accepted} accepted, {rejected} rejected, {expired} expired, {closed} closed. "
            "The day of {due} has come; {good} did what was expected."
        )
        return say(text, **states, due=len(due), good=due.count("verified"))

    def asked_again(self, name: str) -> bool:
        """Whether an action may be proposed: nobody accepted or refused one of its name whose day is to come."""
        recent = (one for one in self.register.of("accepted", "rejected") if one.check_on >= self.study.as_of)
        return all(one.action.rpartition("/")[2] != name for one in recent)

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
        due = [one for one in self.verified if one.verdict != "not due"]
        yield from map(self.told_of, due[:TOLD])
        if checked := [one for one in due if one.verdict != "not measurable"]:
            yield self._worth(checked)
        by_id = {one.entry.id: one for one in self.verified}
        rows = [_row(entry, by_id.get(entry.id)) for entry in self.register.entries]
        if rows:
            caption = say("All actions, the newest first: refused and expired ones too")
            yield Table("actions", pd.DataFrame(rows), caption)

    def _worth(self, checked: list[Verified]) -> str:
        """Say what was expected of actions that were checked, and of those that were verified."""
        priced = [(one.entry.expected_value, one.verdict) for one in checked
                  if one.entry.expected_value is not None and not one.shared]  # fmt: skip
        if not priced:
            return say("None of the actions that were checked had a price.")
        unit, total = checked[0].entry.unit, sum(value for value, _ in priced)
        good = sum(value for value, verdict in priced if verdict == "verified")
        text = (
            "Expected of {n} priced actions that were checked: {total}; of those verified among them: {good}."
        )
        return say(text, n=len(priced), total=quantity(total, unit), good=quantity(good, unit))


def _row(entry: Entry, done: Verified | None) -> dict[str, object]:
    known = done is not None and done.effect.known
    return {
        "action": entry.title, "state": say(entry.state), "owner": entry.owner, "proposed": str(entry.created),
        "decided": str(entry.decided or ""), "why": entry.why, "check": str(entry.check_on),
        "expected_value": entry.expected_value, "metric": entry.metric,
        "verdict": say(done.verdict) if done is not None else "",
        **dict(zip(("effect", "low", "high"), done.effect[:3] if done and known else [None] * 3, strict=True)),
        "id": entry.id,
    }  # fmt: skip


def followed(study: Study, reports: EarlierReports, weekly: pd.DataFrame) -> Actions:
    """Return what became of earlier actions.

    Parameters
    ----------
    study : Study
        The day; its table ``actions`` overrides what the register says.
    reports : EarlierReports
        What was proposed, and beside what the register lies.
    weekly : pandas.DataFrame
        Weekly numbers, as :func:`helpers.playbook.verify.weekly_history` takes them.
    """
    try:
        table = study.dataset.actions.to_pandas() if "actions" in study.dataset else None
        register = Register.read(reports, table)
    except BadData as error:  # what it cannot say must not keep the rest of a page
        return Actions(study, Register(tuple(proposed(reports, {})), ""), damage=str(error))
    history = weekly_history(reports, weekly)
    accepted = register.of("accepted", "closed")
    return Actions(study, register, verify_all(accepted, history, study.as_of, study.confidence))
