"""What became of each finding: matched by id, compared only where comparable, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from helpers.playbook.finding import Finding
from helpers.playbook.since import incomparable, interval, pair
from helpers.report.diff.address import Version
from helpers.report.diff.causes import Causes
from helpers.report.page.wording import Mark, amount, amounts, joined, quantity
from helpers.sentences import say
from helpers.stats.difference import Difference, difference, within_margin
from helpers.stats.estimate import holm

OUTCOMES: Mapping[str, Mark] = {
    "signal": Mark("signal", "●", "warn"),
    "small": Mark("less than a tenth", "≈", "quiet"),
    "unclear": Mark("cannot tell", "?", "quiet"),
    "noise": Mark("within noise", "○", "quiet"),
    "caused": Mark("caused by {cause}", "◆", "warn"),
    "seed": Mark("simulation noise", "~", "quiet"),
    "odd": Mark("not repeatable", "!", "bad"),
    "appeared": Mark("new", "+", "quiet"),
    "disappeared": Mark("gone", "−", "quiet"),
    "not_comparable": Mark("not comparable", "≠", "quiet"),
    "too_little": Mark("too little data", "–", "warn"),
    "unchanged": Mark("unchanged", "=", "quiet"),
}
"""What can become of a finding, in the order in which findings are listed.

Where chance plays its part: ``signal``, ``small`` (within a tenth of the value before for certain), ``unclear`` (this
test cannot tell), or ``noise`` (the same, where no member is on both sides); see :mod:`helpers.stats.difference`.
``caused`` by parameters, code or environment when the same tables were read, or ``seed`` when only the draw of random
numbers differed; ``odd`` when nothing at all that is recorded differed; else what stands in the way of a comparison.
"""
RANKED = ("signal", "small", "unclear", "noise", "caused", "seed", "odd")
"""Outcomes of findings whose value differs: they are listed together, the largest change first."""


class FindingChange(NamedTuple):
    """What became of one finding.

    Attributes
    ----------
    id : str
        Its identifier.
    before, after : Finding or None
        As recorded; None where it was not.
    outcome : str
        One of :data:`OUTCOMES`.
    difference : Difference or None
        After minus before; None when not comparable.
    p : float or None
        p-value after Holm's adjustment; None when chance is not judged.
    why : str
        Why it cannot be compared, or empty.
    """

    id: str
    before: Finding | None
    after: Finding | None
    outcome: str
    difference: Difference | None = None
    p: float | None = None
    why: str = ""

    @property
    def shown(self) -> Finding:
        """The finding as it is now, or as it last was."""
        found = self.after or self.before
        assert found is not None, "one side has it"
        return found

    @property
    def verdict_changed(self) -> bool:
        """Whether the report's own verdict is another, such as better before and no clear change after."""
        return bool(self.before and self.after and self.before.verdict != self.after.verdict)

    def mark(self, cause: str) -> Mark:
        """Return how the outcome is shown; a signal in a direction that is good or bad says so."""
        one = OUTCOMES[self.outcome]
        if self.outcome != "signal" or not self.difference or self.shown.direction == "neither":
            return one._replace(word=say(one.word, cause=cause))
        if (self.difference.value > 0) == (self.shown.direction == "up is good"):
            return Mark(say("signal, for the better"), one.symbol, "good")
        return Mark(say("signal, for the worse"), one.symbol, "bad")

    @property
    def sentence(self) -> str:
        """What happened, in words: ``silent members rose from 47.5 % to 52.1 %``."""
        if self.difference is None or self.before is None or self.after is None:
            return self.why
        old, new = (quantity(side.value, side.unit) for side in (self.before, self.after))
        if self.outcome == "caused":
            said = "{metric}: {before} before, {after} after"
        elif self.outcome == "unchanged":
            said = "{metric} stayed at {after}"
        elif self.difference.value == 0:
            said = "{metric} stayed at {after}, with another interval"
        else:
            rose = self.difference.value > 0
            said = (
                "{metric} rose from {before} to {after}" if rose else "{metric} fell from {before} to {after}"
            )
        return say(said, metric=self.after.metric, before=old, after=new)

    @property
    def change(self) -> str:
        """The difference with its interval, which means something only where chance is judged."""
        if self.difference is None:
            return ""
        one, unit = self.difference, self.shown.unit
        text = amount(one.value, unit)
        judged = self.p is not None and self.outcome != "unchanged"
        bounds = amounts(one.low, one.high, unit)
        return say("{value} ({bounds})", value=text, bounds=bounds) if judged else text


def match(before: Version, after: Version, changed: Causes) -> list[FindingChange]:
    """Match the findings of two versions by id, or a former id, and judge every difference.

    Returns
    -------
    list of FindingChange
        Largest change first, then those that cannot be compared, then those that did not change.

    Notes
    -----
    Chance is judged when the same was asked of other data: the tables differ, or ``as_of`` or ``segment`` does. Any
    other difference on the same tables was brought about by what was changed, whatever its interval.
    """
    pairs = pair(before.findings, after.findings)
    found = [_match(item, old, new, before, after) for item, (old, new) in pairs.items()]
    judged = _against_chance(found, changed.disjoint) if changed.resampled else _by_cause(found, changed)
    return sorted(judged, key=_order)


def _match(
    item: str, old: Finding | None, new: Finding | None, before: Version, after: Version
) -> FindingChange:
    if old is None or new is None:
        lacking = before if old is None else after
        if not lacking.succeeded:  # a run that did not come to its end proves nothing
            why = say("The run of {name} did not come to its end.", name=lacking.name)
            return FindingChange(item, old, new, "not_comparable", why=why)
        why = say("There is no such finding in {name}.", name=lacking.name)
        return FindingChange(item, old, new, "appeared" if old is None else "disappeared", why=why)
    names = [str(side.manifest.parameters.get("segment") or "all members") for side in (before, after)]
    segments = (names[0], names[1]) if before.series != after.series else ("", "")
    if why := incomparable(old, new, segments):
        return FindingChange(item, old, new, "not_comparable", why=why)
    if unknown := [f"v{side.number}" for side, one in ((before, old), (after, new)) if one.value is None]:
        why = say("There is too little data in {name}.", name=joined(unknown))
        return FindingChange(item, old, new, "too_little", why=why)
    one = difference(interval(old), interval(new))
    same = (old.value, old.low, old.high) == (new.value, new.low, new.high)
    return FindingChange(item, old, new, "unchanged" if same else "unclear", one)


def _by_cause(found: list[FindingChange], changed: Causes) -> list[FindingChange]:
    """Give every difference on the same tables its verdict: what was changed brought it about."""
    outcome = "seed" if changed.only_seed else "caused" if changed.classes else "odd"
    return [one._replace(outcome=outcome) if one.outcome == "unclear" else one for one in found]


def _against_chance(found: list[FindingChange], disjoint: bool) -> list[FindingChange]:
    """Give every difference of other rows its verdict; without a shared member what proves nothing is noise."""
    differences = [change.difference for change in found if change.difference]
    p_values = iter(holm([one.p for one in differences]))
    alpha = 1 - max((one.confidence for one in differences), default=0.0)
    judged = []
    for change in found:
        if change.difference:
            change = change._replace(p=next(p_values))
        if change.outcome == "unclear":
            change = _judged(change, alpha, disjoint)
        judged.append(change)
    return judged


def _judged(change: FindingChange, alpha: float, disjoint: bool) -> FindingChange:
    assert change.before and change.difference and change.p is not None, "it is comparable"
    small = within_margin(interval(change.before), change.difference)
    unclear = "noise" if disjoint else "unclear"
    return change._replace(outcome="signal" if change.p < alpha else "small" if small else unclear)


def _order(change: FindingChange) -> tuple[int, float]:
    if change.outcome in RANKED and change.difference:
        return 0, -abs(change.difference.errors)
    return 1 + list(OUTCOMES).index(change.outcome), 0.0
