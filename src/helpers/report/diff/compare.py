"""Two versions compared: causes, findings and decisions, and all of it in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from helpers.playbook.action import Action
from helpers.report.diff.address import Version
from helpers.report.diff.causes import Causes, causes
from helpers.report.diff.findings import RANKED, FindingChange, match
from helpers.report.page.wording import state_mark
from helpers.sentences import say

NAMED = 1  # findings that the headline names
COUNTED = {
    "unchanged": "{number} did not change.",
    "small": "{number} certainly changed by less than a tenth.",
    "noise": "{number} within noise.",
    "unclear": (
        "{number} cannot be told from chance by this test, which is no proof that nothing moved: versions may share "
        "members, and then the test is too careful."
    ),
    "not_comparable": "{number} cannot be compared.",
    "appeared": "{number} appeared.",
    "disappeared": "{number} disappeared.",
}
"""What is said of the findings with an outcome beside those that moved."""


class ActionChange(NamedTuple):
    """What became of one proposed decision; ranks count from 1, best first.

    Attributes
    ----------
    state : str
        ``added``, ``removed`` or ``changed``.
    before, after : Action or None
        As recorded; None where it was not.
    rank_before, rank_after : int or None
        Its rank on the page of the report.
    """

    state: str
    before: Action | None
    after: Action | None
    rank_before: int | None
    rank_after: int | None

    @property
    def title(self) -> str:
        """The decision as it is now, or as it last was."""
        shown = self.after or self.before
        assert shown is not None, "one side has it"
        return shown.title


@dataclass(frozen=True)
class Comparison:
    """Two versions with all that differs, but for pictures and tables.

    Attributes
    ----------
    before, after : Version
        The versions, in the order they were named.
    causes : Causes
        What could have made the numbers differ.
    findings : list of FindingChange
        Largest change first, then those that cannot be compared, then those that did not change.
    actions : list of ActionChange
        Decisions that differ, in the order of the later version.
    """

    before: Version
    after: Version
    causes: Causes
    findings: list[FindingChange]
    actions: list[ActionChange]

    @property
    def two_series(self) -> bool:
        """Whether two different series are compared."""
        return self.before.series != self.after.series

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called: ``v2`` and ``v3``, or with their series where that differs."""
        lead = [f"{side.series} " if self.two_series else "" for side in (self.before, self.after)]
        return f"{lead[0]}v{self.before.number}", f"{lead[1]}v{self.after.number}"

    @property
    def unfinished(self) -> list[str]:
        """What is said of each side that did not succeed."""
        said = "{name} did not succeed ({status}), so this compares only what it left. {why}"
        return [
            say(said, name=side.name, status=state_mark(side.manifest.status).word, why=failure.headline)
            for side in (self.before, self.after)
            if (failure := side.manifest.failure)
        ]

    def of(self, *outcomes: str) -> list[FindingChange]:
        """Return the findings with one of the outcomes, in order."""
        return [change for change in self.findings if change.outcome in outcomes]

    @property
    def sentence(self) -> str:
        """All of it in a few words for somebody who reads nothing else, led by what is compared."""
        said = "{after} against {before}, two different series: {summary}"
        if not self.two_series:
            said = "{after} against {before}: {summary}"
        return say(said, before=self.names[0], after=self.names[1], summary=self.summary)

    @property
    def summary(self) -> str:
        """What changed and which findings moved."""
        words = {"causes": self.causes.sentence, "headline": self.headline, "rest": self.rest}
        return say("{causes}. {headline} {rest}", **words).rstrip()

    @property
    def headline(self) -> str:
        """What moved, in a sentence."""
        compared = len(self.of(*RANKED, "unchanged"))
        if not compared:
            return say("No finding can be compared.")
        changed, said = self.of(*RANKED), "No finding changed."
        if self.causes.resampled:
            changed, said = self.of("signal"), "No move among {all} findings is proved by this test."
            if changed:
                said = "{number} of {all} findings moved further than chance explains: {which}."
        elif changed and not self.causes.classes:
            said = (
                "Yet {number} of {all} findings differ: something that is not recorded changed, so this run "
                "cannot be repeated: {which}."
            )
        elif changed and self.causes.only_seed:
            said = "{number} of {all} findings changed by the draw of random numbers alone: {which}."
        elif changed:
            said = "{number} of {all} findings changed, brought about by the {cause} on the same tables: {which}."
        counts = {"number": len(changed), "all": compared}
        return say(said, **counts, which=_named(changed), cause=self.causes.words)

    @property
    def rest(self) -> str:
        """What is said in the same breath of the findings that are not proved to have moved, came or went."""
        unproved = ("unchanged", "small", "noise", "unclear") if self.causes.resampled else ()
        names = (*unproved, "not_comparable", "appeared", "disappeared")
        return " ".join(filter(None, map(self._counted, names)))

    def _counted(self, outcome: str) -> str:
        number = len(self.of(outcome))
        return say(COUNTED[outcome], number=number) if number else ""


def _named(changes: Sequence[FindingChange]) -> str:
    which = [change.sentence for change in changes[:NAMED]]
    more = [say("{number} more below", number=len(changes) - NAMED)] if len(changes) > NAMED else []
    return "; ".join([*which, *more])


def compare(before: Version, after: Version) -> Comparison:
    """Compare two versions: their inputs, their findings and the decisions they propose."""
    changed = causes(before.manifest, after.manifest)
    return Comparison(
        before, after, changed, match(before, after, changed), _actions(before.actions, after.actions)
    )


def _actions(before: Sequence[Action], after: Sequence[Action]) -> list[ActionChange]:
    """Return the decisions of another rank or expected value and those that only one side proposes."""
    old, new = (
        {action.id: (place, action) for place, action in enumerate(sorted(side, key=lambda one: one.rank), 1)}
        for side in (before, after)
    )
    changes = []
    for item in {**new, **old}:
        (place0, one), (place1, other) = old.get(item, (None, None)), new.get(item, (None, None))
        state = "added" if one is None else "removed" if other is None else "changed"
        if (place0, _worth(one)) != (place1, _worth(other)):
            changes.append(ActionChange(state, one, other, place0, place1))
    return changes


def _worth(action: Action | None) -> tuple[float | str | None, ...]:
    return (action.expected_value, action.low, action.high, action.unit) if action else ()
