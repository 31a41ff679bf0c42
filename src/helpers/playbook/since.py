"""What became of a finding since an earlier report, and which findings may be compared at all."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from helpers.playbook.earlier import EarlierReports
from helpers.playbook.finding import Finding
from helpers.sentences import say
from helpers.stats.difference import Difference, Interval, difference
from helpers.stats.estimate import holm

MONTHS_DIFFER_BY = 3  # days: two calendar months are one and the same length of period
_DATE = re.compile(r"\b\d{4}-(?:W\d\d|Q[1-4]|\d\d(?:-\d\d)?)\b")
_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_WRITTEN = re.compile(r"(\d{4})年(?:(\d+)月(?:(\d+)日)?|第(\d+)(周|季度)(?:（[^）]*）)?)")


class Since(NamedTuple):
    """A finding against the same of an earlier day: that one, the difference, and whether it is more than chance."""

    before: Finding
    difference: Difference
    clear: bool


def since(findings: Sequence[Finding], before: Sequence[Finding]) -> dict[str, Since]:
    """Return what became of each finding that may be compared, allowing for all that are looked at together."""
    known = [(old, new) for old, new in both(before, findings) if not incomparable(old, new)]
    found = [difference(interval(old), interval(new)) for old, new in known]
    judged = zip(known, found, holm([one.p for one in found]), strict=True)
    return {new.id: Since(old, one, p < 1 - one.confidence) for (old, new), one, p in judged}


def pair(
    before: Sequence[Finding], after: Sequence[Finding]
) -> dict[str, tuple[Finding | None, Finding | None]]:
    """Match findings by identifier or former identifier: those of the later side first, in order."""
    names = {alias: one.id for one in (*before, *after) for alias in one.aliases}
    old, new = ({names.get(one.id, one.id): one for one in side} for side in (before, after))
    return {name: (old.get(name), new.get(name)) for name in {**new, **old}}


def both(before: Sequence[Finding], after: Sequence[Finding]) -> list[tuple[Finding, Finding]]:
    """Return the pairs that have a value on both sides."""
    pairs = [(old, new) for old, new in pair(before, after).values() if old and new]
    return [(old, new) for old, new in pairs if old.value is not None and new.value is not None]


def since_last(reports: EarlierReports) -> Iterator[tuple[str, Finding, Finding, str]]:
    """Yield series, finding before, finding now, and why the two must not be compared, of other reports."""
    for new in reports.latest():
        versions = reports.versions(new.series)
        if new.method != reports.own and len(versions) > 1:
            for old, one in both(versions[-2].findings, new.findings):
                yield new.series, old, one, incomparable(old, one)


def interval(found: Finding) -> Interval:
    """Return a finding that has a value as an estimate with its limits."""
    assert found.value is not None and found.low is not None and found.high is not None, "it has a value"
    return Interval(found.value, found.low, found.high, found.confidence, found.unit)


def incomparable(old: Finding, new: Finding, segments: tuple[str, str] = ("", "")) -> str:
    """Return why two findings must not be subtracted, or an empty text.

    A scope may differ by its dates, and between two series by their segments. What has one definition in the glossary
    may have another name.
    """
    one = (old.definition or old.metric) if new.definition else old.metric
    words = {"before": one, "after": (new.definition or new.metric) if old.definition else new.metric}
    if words["before"] != words["after"]:
        return say("The metric is another: {before} before, {after} after.", **words)
    if old.unit != new.unit:
        return say("The unit is another: {before} before, {after} after.", before=old.unit, after=new.unit)
    scopes = {"before": old.scope, "after": new.scope}
    plain = [_WRITTEN.sub(_as_iso, scope) for scope in scopes.values()]
    bare = [
        _DATE.sub("…", scope.replace(segment or "…", "…"))
        for scope, segment in zip(plain, segments, strict=True)
    ]
    if bare[0] != bare[1]:
        return say("The scope is another: {before} before, {after} after.", **scopes)
    spans = zip(*map(_spans, plain), strict=True)
    if any(abs(a - b) > max(MONTHS_DIFFER_BY, 0.05 * a) for a, b in spans):
        return say("The period has another length: {before} before, {after} after.", **scopes)
    return ""


def _as_iso(written: re.Match[str]) -> str:
    """Return a day, month, week or quarter that Chinese wrote as ISO 8601 does, apart from what stands beside it."""
    year, month, day, number, kind = written.groups()
    if month:
        return " " + "-".join([year, month.zfill(2), *([day.zfill(2)] if day else [])]) + " "
    return f" {year}-W{number.zfill(2)} " if kind == "周" else f" {year}-Q{number} "


def _spans(scope: str) -> list[int]:
    """Return the days between the days that a scope names."""
    days = [dt.date.fromisoformat(found) for found in _DAY.findall(scope)]
    return [abs((later - earlier).days) for earlier, later in itertools.pairwise(days)]
