"""Two versions compared: causes, findings, decisions; pictures and tables follow in modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from helpers.playbook.action import CONFIDENCE_ORDER, Action
from helpers.report.diff.address import Version
from helpers.report.diff.causes import Causes, causes
from helpers.report.diff.findings import RANKED, FindingChange, Outcome, match
from helpers.report.diff.words import word
from helpers.report.page.wording import joined


class ActionChange(NamedTuple):
    """What became of one proposed decision; ranks count from 1, best first."""

    state: Literal["added", "removed", "changed"]
    before: Action | None
    after: Action | None
    rank_before: int | None
    rank_after: int | None

    @property
    def title(self) -> str:
        """The decision as it is now, or as it last was."""
        return (self.after or self.before).title  # type: ignore[union-attr]


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
    actions_same : int
        Decisions that do not.
    """

    before: Version
    after: Version
    causes: Causes
    findings: list[FindingChange]
    actions: list[ActionChange]
    actions_same: int

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called: ``v2`` and ``v3``, or with their series where that differs."""
        if self.before.series == self.after.series:
            return f"v{self.before.number}", f"v{self.after.number}"
        return f"{self.before.series} v{self.before.number}", f"{self.after.series} v{self.after.number}"

    @property
    def two_series(self) -> bool:
        """Whether two different series are compared."""
        return self.before.series != self.after.series

    @property
    def unfinished(self) -> list[Version]:
        """The sides that did not succeed."""
        return [side for side in (self.before, self.after) if not side.succeeded]

    def of(self, *outcomes: Outcome) -> list[FindingChange]:
        """Return the findings with one of the outcomes, in order."""
        return [change for change in self.findings if change.outcome in outcomes]

    @property
    def sentence(self) -> str:
        """All of it in a few words for somebody who reads nothing else, led by what is compared."""
        before, after = self.names
        lead = "lead_two_series" if self.two_series else "lead"
        return word(lead, before=before, after=after, summary=self.summary)

    @property
    def summary(self) -> str:
        """What changed and which findings moved."""
        text = word("summary", changed=self.causes.sentence, moved=self.moved)
        counted: list[tuple[Outcome, str]]
        counted = [("not_comparable", "cannot"), ("appeared", "came"), ("disappeared", "went")]
        for outcome, key in counted:
            if number := len(self.of(outcome)):
                text += " " + word(key, number=number)
        return text

    @property
    def moved(self) -> str:
        """How many findings moved, which, and whether that is more than chance."""
        compared = self.of(*RANKED, "unchanged")
        if not compared:
            return word("nothing_to_judge")
        if self.causes.resampled:
            return self._against_chance(len(compared))
        changed = self.of(*RANKED)
        cause = joined([word(f"cause_{name}") for name in self.causes.classes])
        key = self._altered_key(len(changed))
        return word(key, number=len(changed), all=len(compared), which=_named(changed), cause=cause)

    def _against_chance(self, compared: int) -> str:
        """Say what is proved, and of the rest in the same breath what it does not prove."""
        signals = self.of("signal")
        key = "moved_none" if not signals else "moved_one" if len(signals) == 1 else "moved"
        parts = [word(key, number=len(signals), all=compared, which=_named(signals))]
        outcome: Outcome
        for outcome in ("unchanged", "small", "noise", "unclear"):
            if number := len(self.of(outcome)):
                parts.append(word(f"rest_{outcome}", number=number))
        return " ".join(parts)

    def _altered_key(self, changed: int) -> str:
        if not changed:
            return "altered_none"
        if not self.causes.classes:
            return "unexplained"
        if self.causes.only_seed:
            return "altered_seed"
        return "altered_one" if changed == 1 else "altered"


def _named(changes: Sequence[FindingChange]) -> str:
    which = "; ".join(change.sentence for change in changes[:3])
    return which + ("; " + word("rest", number=len(changes) - 3) if len(changes) > 3 else "")


def compare(before: Version, after: Version) -> Comparison:
    """Compare two versions: their inputs, their findings and the decisions they propose."""
    changed = causes(before.manifest, after.manifest)
    actions, same = _actions(before.actions, after.actions)
    return Comparison(before, after, changed, match(before, after, changed), actions, same)


def _actions(before: Sequence[Action], after: Sequence[Action]) -> tuple[list[ActionChange], int]:
    old, new = _ranked(before), _ranked(after)
    changes: list[ActionChange] = []
    for item in dict.fromkeys((*new, *old)):
        (rank0, one), (rank1, other) = old.get(item, (None, None)), new.get(item, (None, None))
        if one and other and rank0 == rank1 and _worth(one) == _worth(other):
            continue
        state: Literal["added", "removed", "changed"]
        state = "added" if one is None else "removed" if other is None else "changed"
        changes.append(ActionChange(state, one, other, rank0, rank1))
    return changes, len(old.keys() | new.keys()) - len(changes)


def _ranked(actions: Sequence[Action]) -> dict[str, tuple[int, Action]]:
    """Return the actions by id, each with its rank on the report page."""
    best = sorted(actions, key=_rank)
    return {action.id: (rank, action) for rank, action in enumerate(best, 1)}


def _rank(action: Action) -> tuple[bool, float, int]:
    value = -action.expected_value if action.expected_value is not None else 0.0
    return action.expected_value is None, value, CONFIDENCE_ORDER.index(action.confidence_class)


def _worth(action: Action) -> tuple[float | None, float | None, float | None, str]:
    return action.expected_value, action.low, action.high, action.unit
