"""Day-N retention and survival side by side: five answers to "who is still there", and why they differ.

=============================  =======================================================================================
measure                        who counts as there on day N
=============================  =======================================================================================
active on the day              active on day N itself: the very number of the retention table
active on the day, newcomers   the same, of those who joined since the log began
active on the day or later     active on day N or later, by `as_of`
not yet silent                 no silence of `SILENCE` days has begun by day N (Kaplan-Meier of the first one)
not yet left                   has not left by the end of day N (Kaplan-Meier)
=============================  =======================================================================================

The retention table counts everybody whose day N lies in the log, also who joined shortly before it began. The other
four are over the same members: those who joined since the log began. Counts of days use those of them whose day N
is over, the Kaplan-Meier estimates everybody for as long as they were watched; n says how many. Two orders must
hold: nobody is active on day N who is not active on or after it, and, of the members whose day N is over, nobody is
active on or after day N who had left before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from helpers.methods.retention.day_n import day_n
from helpers.playbook.result import Part, Result
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import survival
from helpers.stats.survival.durations import exit_durations, silence_durations
from helpers.study import Study
from helpers.tables import Table

SILENCE = 30
"""Days without activity that make a silence."""
ON, NEW_ON, AFTER, AWAKE, HERE = MEASURES = (
    "active on the day",
    "active on the day, newcomers",
    "active on the day or later",
    "not yet silent",
    "not yet left",
)
WHY = {
    ON: "the number of the retention table; also who joined before the log began and reached the day in it",
    NEW_ON: "the same members as in the rows below; who comes every second day is missed half of the time",
    AFTER: "a later return until {day} counts; recent members have had less time for it",
    AWAKE: "gone at the first {silence} silent days, even if the member came back later",
    HERE: "highest: silent members count as there until they leave",
}


@dataclass(frozen=True, repr=False)
class Reconciliation(Result):
    """Five measures of retention: the first over everybody, the others over newcomers.

    Attributes
    ----------
    estimates : mapping of (measure, day) to Estimate
        Unknown where nobody could be observed.
    """

    estimates: Mapping[tuple[str, int], Estimate]

    @property
    def table(self) -> pd.DataFrame:
        """One row per measure and one column per day, each cell in words, and in what the measure differs."""
        words = pd.Series({key: with_interval(found) for key, found in self.estimates.items()}).unstack()
        words.columns = [say("day {day}", day=day) for day in words.columns]
        found = words.loc[list(MEASURES)].rename_axis("still_there").reset_index()
        return found.assign(
            why=[say(WHY[measure], silence=SILENCE, day=self.study.as_of) for measure in MEASURES]
        )

    def parts(self) -> Iterator[Part]:
        """Yield the table."""
        text = (
            "Who is still there? Five questions with answers of their own, not five estimates of one number"
        )
        yield Table("reconciled", self.table, say(text))


def reconcile(study: Study, days: Sequence[int] = (1, 7, 30)) -> Reconciliation:
    """Return Day-N retention beside the survival curves of silence and leaving.

    Parameters
    ----------
    study : Study
        With activity and members.
    days : sequence of int
        The N.
    """
    newcomers = study.newcomers
    people = newcomers.population
    counted = {
        ON: day_n(study, days=days, cohort=None),
        NEW_ON: day_n(newcomers, days=days, cohort=None),
        AFTER: day_n(newcomers, days=days, cohort=None, definition="on_or_after"),
    }
    estimates = {(name, day): found.total(day) for name, found in counted.items() for day in days}
    silent = silence_durations(study.member_days, people, as_of=study.as_of, silence_days=SILENCE)
    for name, rows in ((AWAKE, silent), (HERE, exit_durations(people, as_of=study.as_of))):
        curve = survival(cells(rows), confidence=study.confidence)
        estimates |= {(name, day): curve.still_here(day) for day in days}
    return Reconciliation(study, estimates)
