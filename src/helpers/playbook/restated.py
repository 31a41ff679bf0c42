"""What was said before and says something else now, because data came late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from helpers.playbook.earlier import EarlierReports
from helpers.playbook.result import Part, Result
from helpers.playbook.since import both, incomparable
from helpers.sentences import quantity, say
from helpers.tables import Table


class Restatement(NamedTuple):
    """A number that later data changed: where, of when, what was said, what it is now, and both verdicts."""

    where: str
    title: str
    when: str
    unit: str
    said: float
    now: float
    verdict_said: str
    verdict_now: str

    @property
    def flipped(self) -> bool:
        """Whether the verdict is another."""
        return self.verdict_said != self.verdict_now


@dataclass(frozen=True, repr=False)
class Restated(Result):
    """What was said last week and says something else now.

    Attributes
    ----------
    rows : tuple of Restatement
        Flipped verdicts first.
    redefined : tuple of str
        Numbers whose definition changed, which are not compared.
    looked : int
        Earlier reviews and versions that were looked at.
    """

    rows: tuple[Restatement, ...]
    redefined: tuple[str, ...]
    looked: int

    @property
    def sentence(self) -> str:
        """Which verdicts flipped, else how many numbers changed."""
        if not self.looked:
            return say("Said last week, says now: there is no earlier review to hold this one against.")
        if not self.rows:
            return say("Said last week, says now: nothing that was said before was changed by later data.")
        flipped = [one for one in self.rows if one.flipped]
        if not flipped:
            return say(
                "Said last week, says now: later data changed {n} numbers, and no verdict.", n=len(self.rows)
            )
        one = flipped[0]
        words = {"title": one.title, "when": one.when, "n": len(flipped)}
        words |= {"was": say(one.verdict_said), "is": say(one.verdict_now)}
        words |= {"said": quantity(one.said, one.unit), "now": quantity(one.now, one.unit)}
        text = "Late data flipped {n} verdicts: {title} of {when} was {said} ({was}) and is {now} ({is})."
        return say(text, **words)

    def parts(self) -> Iterator[Part]:
        """Yield what changed, what was redefined, and the table."""
        yield self.sentence
        if self.redefined:
            yield say(
                "Measured by another definition since, so not compared: {names}.",
                names=", ".join(self.redefined),
            )
        if self.rows:
            frame = pd.DataFrame(
                [(*one, one.flipped) for one in self.rows], columns=[*Restatement._fields, "flipped"]
            )
            yield Table("restated", frame, say("What was said before, and what it is by the data of today"))


def restated_findings(reports: EarlierReports) -> list[list[Restatement]]:
    """Return of each version that repeats an earlier one of the same day the findings whose value is another."""
    found = []
    for old, new in (each for name in reports.series for each in reports.restated(name)):
        pairs = [(one, two) for one, two in both(old.findings, new.findings) if not incomparable(one, two)]
        said = [(two.metric, str(new.as_of), two.unit, one.value or 0.0, two.value or 0.0, one.verdict, two.verdict)
                for one, two in pairs if one.value != two.value]  # fmt: skip
        found.append([Restatement(new.series, *each) for each in said])
    return found
