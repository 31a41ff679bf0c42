"""A report in one sentence: what its leading findings say and what to do first."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.report.page.wording import quantity, titled
from helpers.sentences import in_chinese, say

LEADING = 2
PRICED = {
    "do": "{state}; do this first: {title}.",
    "test": "{state}; worth a test first: {title}.",
    "leave": "{state}; this costs more than it brings: {title}.",
}
UNPRICED = {
    "do": "{state}; {title}.",
    "test": "{state}; worth a test: {title}.",
    "leave": "{state}; {title}.",
}


def verdict(findings: Sequence[Finding], action: Action | None) -> str:
    """Return a report in one sentence, from the clauses of its leading findings and its first decision.

    Parameters
    ----------
    findings : sequence of Finding
        The most important first. Where none has a clause, as in reports of older versions, metric and value stand in.
    action : Action or None
        The first decision.
    """
    known = [one for one in findings if one.value is not None]
    clauses = [one.headline for one in known if one.headline][:LEADING]
    if not clauses:
        clauses = [_plain(one) for one in known[:1]] or [say("no number could be stated")]
    state = clauses[0]
    if len(clauses) > 1:
        state = say("{first}, and {second}", first=clauses[0], second=clauses[1])
    state = titled(state)
    if action is None:
        return say("{state}; no rule asks for action now.", state=state)
    said = UNPRICED if action.expected_value is None else PRICED
    text = say(said[action.call], state=state, title=_within(action.title))
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _plain(one: Finding) -> str:
    assert one.value is not None, "it is known"
    return say("{metric}: {value}", metric=one.metric, value=quantity(one.value, one.unit))


def _within(title: str) -> str:
    """Return a title as it stands within a sentence: a name in capitals keeps them, and so does Chinese."""
    return title if in_chinese() or title[1:2].isupper() else title[:1].lower() + title[1:]
