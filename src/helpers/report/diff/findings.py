"""What became of each finding: matched by id, compared only where comparable, and judged."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from helpers.playbook.finding import Finding
from helpers.report.diff.address import Version
from helpers.report.diff.causes import Causes
from helpers.report.diff.judge import Difference, Interval, difference, holm, tipping, within_margin
from helpers.report.diff.words import amount, amounts, word
from helpers.report.page.wording import joined, quantity

Outcome = Literal[
    "signal",
    "small",
    "unclear",
    "noise",
    "caused",
    "seed",
    "odd",
    "unchanged",
    "appeared",
    "disappeared",
    "not_comparable",
    "too_little",
]
JUDGED: tuple[Outcome, ...] = ("signal", "small", "unclear", "noise")
RANKED: tuple[Outcome, ...] = (*JUDGED, "caused", "seed", "odd")
_LATER = ("appeared", "disappeared", "not_comparable", "too_little", "unchanged")
_DATE = re.compile(r"\b\d{4}-(?:W\d\d|Q[1-4]|\d\d(?:-\d\d)?)\b")
_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")
MONTHS_DIFFER_BY = 3  # days: two calendar months are one and the same length of period


class FindingChange(NamedTuple):
    """What became of one finding.

    Attributes
    ----------
    id : str
        Its identifier.
    before, after : Finding or None
        As recorded; None where it was not.
    outcome : str
        Where chance plays its part: ``signal``, ``small`` (within a tenth of the value before for certain),
        ``unclear`` (this test cannot tell), or ``noise`` (the same, where no member is on both sides); see
        :mod:`helpers.report.diff.judge`. ``caused`` by parameters, code or environment when the same tables were
        read, or ``seed`` when only the draw of random numbers differed; ``odd`` when nothing at all that is recorded
        differed; else what stands in the way of a comparison.
    difference : Difference or None
        After minus before; None when not comparable.
    p : float or None
        p-value after Holm's adjustment; None when chance is not judged.
    why : str
        Why it cannot be compared, or empty.
    tipping : float or None
        Correlation of the two numbers from which on an unclear difference would be a signal.
    """

    id: str
    before: Finding | None
    after: Finding | None
    outcome: Outcome
    difference: Difference | None = None
    p: float | None = None
    why: str = ""
    tipping: float | None = None

    @property
    def shown(self) -> Finding:
        """The finding as it is now, or as it last was."""
        found = self.after or self.before
        assert found is not None, "one side has it"
        return found

    @property
    def verdict_changed(self) -> bool:
        """Whether the report's own verdict is another, such as better before and no clear change after."""
        return bool(self.before and self.after) and self.before.verdict != self.after.verdict  # type: ignore[union-attr]

    @property
    def tone(self) -> str:
        """``good`` or ``bad`` for a signal in a direction that is one of them."""
        if self.outcome != "signal" or not self.difference or self.shown.direction == "neither":
            return ""
        return "good" if (self.difference.value > 0) == (self.shown.direction == "up is good") else "bad"

    @property
    def sentence(self) -> str:
        """What happened, in words: ``silent members rose from 47.5 % to 52.1 %``."""
        if self.difference is None or self.before is None or self.after is None:
            return self.why
        old, new = (quantity(side.value, side.unit) for side in (self.before, self.after))
        if self.outcome == "caused":
            return word("side_by_side", metric=self.after.metric, before=old, after=new)
        still = "stayed" if self.outcome == "unchanged" else "stayed_otherwise"
        verb = "rose" if self.difference.value > 0 else "fell" if self.difference.value < 0 else still
        return word(verb, metric=self.after.metric, before=old, after=new)

    @property
    def change(self) -> str:
        """The difference with its interval, which means something only where chance is judged."""
        if self.difference is None:
            return ""
        one, unit = self.difference, self.shown.unit
        text = amount(one.value, unit)
        judged = self.p is not None and self.outcome != "unchanged"
        return f"{text} ({amounts(one.low, one.high, unit)})" if judged else text


def match(before: Version, after: Version, changed: Causes) -> list[FindingChange]:
    """Match the findings of two versions by id and judge every difference.

    Returns
    -------
    list of FindingChange
        Largest change first, then those that cannot be compared, then those that did not change.

    Notes
    -----
    Chance is judged when the same was asked of other data: the tables differ, or ``as_of`` or ``segment`` does. Any
    other difference on the same tables was brought about by what was changed, whatever its interval.
    """
    found = [_match(item, before, after) for item in _ids(before.findings, after.findings)]
    return sorted(_judge(found, changed), key=_order)


def _ids(before: Sequence[Finding], after: Sequence[Finding]) -> list[str]:
    """Return the ids in the order of the later version, then those that are gone."""
    return list(dict.fromkeys(finding.id for finding in (*after, *before)))


def _match(item: str, before: Version, after: Version) -> FindingChange:
    old = next((finding for finding in before.findings if finding.id == item), None)
    new = next((finding for finding in after.findings if finding.id == item), None)
    if old is None or new is None:
        return _one_sided(item, old, new, before, after)
    if why := _incomparable(old, new, before, after):
        return FindingChange(item, old, new, "not_comparable", why=why)
    unknown = [side for side, found in ((before, old), (after, new)) if found.verdict == "too little data"]
    if unknown:
        why = word("why_too_little", name=joined([f"v{side.number}" for side in unknown]))
        return FindingChange(item, old, new, "too_little", why=why)
    one = difference(_interval(old), _interval(new))
    same = (old.value, old.low, old.high) == (new.value, new.low, new.high)
    return FindingChange(item, old, new, "unchanged" if same else "unclear", one)


def _one_sided(
    item: str, old: Finding | None, new: Finding | None, before: Version, after: Version
) -> FindingChange:
    """Say that a finding came or went; a run that did not come to its end proves neither."""
    lacking = before if old is None else after
    if not lacking.succeeded:
        return FindingChange(item, old, new, "not_comparable", why=word("why_unfinished", name=lacking.name))
    if old is None:
        return FindingChange(item, None, new, "appeared", why=word("why_new", before=before.name))
    return FindingChange(item, old, None, "disappeared", why=word("why_gone", after=after.name))


def _interval(found: Finding) -> Interval:
    assert found.value is not None and found.low is not None and found.high is not None, "it has a value"
    return Interval(found.value, found.low, found.high, found.confidence, found.unit)


def _incomparable(old: Finding, new: Finding, before: Version, after: Version) -> str:
    """Return why two findings of one id must not be subtracted, or an empty text."""
    if old.metric != new.metric:
        return word("why_metric", before=old.metric, after=new.metric)
    if old.unit != new.unit:
        return word("why_unit", before=old.unit, after=new.unit)
    scopes = [_scope(old.scope, before, after), _scope(new.scope, after, before)]
    if scopes[0] != scopes[1]:
        return word("why_scope", before=old.scope, after=new.scope)
    if not _equally_long(old.scope, new.scope):
        return word("why_length", before=old.scope, after=new.scope)
    return ""


def _scope(text: str, side: Version, other: Version) -> str:
    """Return a scope without what may differ: its dates, and between two series the group they are about."""
    if other.series != side.series:
        group = str(side.manifest.parameters.get("segment") or "all members")
        text = text.replace(group, "…")
    return _DATE.sub("…", text)


def _equally_long(old: str, new: str) -> bool:
    """Tell whether the days that two scopes name span periods of the same length."""
    spans = [_spans(text) for text in (old, new)]
    return all(abs(a - b) <= max(MONTHS_DIFFER_BY, 0.05 * a) for a, b in zip(*spans, strict=True))


def _spans(text: str) -> list[int]:
    days = []
    for found in _DAY.findall(text):
        try:
            days.append(dt.date.fromisoformat(found))
        except ValueError:
            return []
    return [abs((later - earlier).days) for earlier, later in itertools.pairwise(days)]


def _judge(found: list[FindingChange], changed: Causes) -> list[FindingChange]:
    """Give every difference its verdict: against chance when other rows were read, else by its cause."""
    if not changed.resampled:
        outcome: Outcome = "seed" if changed.only_seed else "caused" if changed.classes else "odd"
        return [
            change._replace(outcome=outcome) if change.outcome == "unclear" else change for change in found
        ]
    tested = {change.id: change.difference for change in found if change.difference}
    p_values = dict(zip(tested, holm([one.p for one in tested.values()]), strict=True))
    alpha = 1 - max((one.confidence for one in tested.values()), default=0.0)
    judged = [change._replace(p=p_values[change.id]) if change.id in tested else change for change in found]
    return [
        _against_chance(change, alpha, len(tested), changed.disjoint)
        if change.outcome == "unclear"
        else change
        for change in judged
    ]


def _against_chance(change: FindingChange, alpha: float, tested: int, disjoint: bool) -> FindingChange:
    """Give a difference its verdict; without a shared member a difference that proves nothing is noise."""
    assert change.before and change.after and change.difference and change.p is not None, "it is comparable"
    before, after = _interval(change.before), _interval(change.after)
    if change.p < alpha:
        return change._replace(outcome="signal")
    if within_margin(before, change.difference):
        return change._replace(outcome="small")
    if disjoint:
        return change._replace(outcome="noise")
    return change._replace(tipping=tipping(before, after, tested))


def _order(change: FindingChange) -> tuple[int, float]:
    if change.outcome in RANKED and change.difference:
        return 0, -abs(change.difference.errors)
    return 1 + _LATER.index(change.outcome), 0.0
