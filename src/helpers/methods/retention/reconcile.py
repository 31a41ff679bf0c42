"""Day-N retention and survival side by side: six answers to "who is still there", and why they differ.

=============================  =======================================================================================
measure                        who counts as there on day N
=============================  =======================================================================================
active on the day              active on day N itself: the very number of the retention table
active on the day, newcomers   the same, of those who joined since the log began
active in the Nth 24 hours     active from 24 N to 24 (N + 1) hours after the moment of joining
active on the day or later     active on day N or later, by `as_of`
not yet silent                 no silence has begun by day N (Kaplan-Meier of the first one)
not yet left                   has not left by the end of day N (Kaplan-Meier)
=============================  =======================================================================================

The retention table counts everybody whose day N lies in the log, also who joined shortly before it began. The other
five are over the same members: those who joined since the log began. Counts of days use those of them whose day N
is over, the Kaplan-Meier estimates everybody for as long as they were watched; n says how many. Two orders must
hold: nobody is active on day N who is not active on or after it, and, of the members whose day N is over, nobody is
active on or after day N who had left before. Calendar days and 24 hours are the two clocks of retention analysis
(amplitude.com/docs, "How time works in retention analysis"); the second needs the time of joining and of actions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.methods.retention.day_n import day_n
from helpers.playbook.result import Part, Result
from helpers.sentences import number, say, with_interval
from helpers.stats.estimate import Estimate, proportion, unknown
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import survival
from helpers.stats.survival.durations import exit_durations, silence_durations
from helpers.study import Study
from helpers.tables import Table

LATER = (60, 90)
"""Days that are told beside those asked for: curves reach further than one day of return."""
ON, NEW_ON, HOURS, AFTER, AWAKE, HERE = MEASURES = (
    "active on the day",
    "active on the day, newcomers",
    "active in the Nth 24 hours",
    "active on the day or later",
    "not yet silent",
    "not yet left",
)
WHY = {
    ON: "the number of the retention table; also who joined before the log began and reached the day in it",
    NEW_ON: "the same members as in the rows below; who comes every second day is missed half of the time",
    HOURS: "the clock starts at the moment of joining, and not at midnight before",
    AFTER: "a later return until {day} counts; recent members have had less time for it",
    AWAKE: "gone at the first {silence} silent days, even if the member came back later",
    HERE: "highest: silent members count as there until they leave",
}
NOT_OBSERVED = {HOURS: "times of joining are not recorded", HERE: "leaving is not recorded, or nobody left"}


@dataclass(frozen=True, repr=False)
class Reconciliation(Result):
    """Six measures of retention: the first over everybody, the others over newcomers.

    Attributes
    ----------
    estimates : mapping of (measure, day) to Estimate
        Unknown where nobody could be observed.
    observed : mapping of str to bool
        Whether a measure could be taken at all.
    silent_after : float
        Day of tenure by which half of the newcomers have begun their first silence; infinite when not reached.
    """

    estimates: Mapping[tuple[str, int], Estimate]
    observed: Mapping[str, bool]
    silent_after: float

    @property
    def sentence(self) -> str:
        """When half of the newcomers have fallen silent for the first time."""
        text = "Half of the newcomers begin their first {silence} days of silence by day {day} of tenure."
        if self.silent_after == float("inf"):
            text = (
                "Fewer than half of the newcomers have begun a first {silence} days of silence while watched."
            )
        elif self.silent_after != self.silent_after:
            text = "When newcomers begin their first {silence} days of silence: too little data."
        return say(text, silence=self.study.silence_days, day=number(self.silent_after))

    @property
    def table(self) -> pd.DataFrame:
        """One row per measure and one column per day, each cell in words, and in what the measure differs."""
        words = pd.Series({key: self._in_words(*key) for key in self.estimates}).unstack()
        words.columns = [f"day {day}" for day in words.columns]
        found = words.loc[list(MEASURES)].rename_axis("still_there").reset_index()
        why = {name: (WHY if self.observed.get(name, True) else NOT_OBSERVED)[name] for name in MEASURES}
        days = {"silence": self.study.silence_days, "day": self.study.as_of}
        return found.assign(why=[say(why[name], **days) for name in MEASURES])

    def _in_words(self, measure: str, day: int) -> str:
        found = self.estimates[measure, day]
        if not self.observed.get(measure, True):
            return say("not observed")
        return (
            say("fewer than {k}", k=self.study.k_min)
            if 0 < found.n < self.study.k_min
            else with_interval(found)
        )

    def parts(self) -> Iterator[Part]:
        """Yield the table, and when half are silent."""
        text = "Who is still there? Six questions with answers of their own, not six estimates of one number"
        yield Table("reconciled", self.table, say(text))
        yield self.sentence


def reconcile(study: Study, days: Sequence[int] = (1, 7, 30)) -> Reconciliation:
    """Return Day-N retention beside the survival curves of silence and leaving.

    Parameters
    ----------
    study : Study
        With activity and members.
    days : sequence of int
        The N.
    """
    newcomers, days = study.newcomers, sorted({*days, *LATER})
    people, as_of = newcomers.population, study.as_of
    counted = {
        ON: day_n(study, days=days, cohort=None),
        NEW_ON: day_n(newcomers, days=days, cohort=None),
        AFTER: day_n(newcomers, days=days, cohort=None, definition="on_or_after"),
    }
    estimates = {(name, day): found.total(day) for name, found in counted.items() for day in days}
    silent = silence_durations(study.member_days, people, as_of=as_of, silence_days=study.silence_days)
    awake, here = (
        survival(cells(rows), confidence=study.confidence)
        for rows in (silent, exit_durations(people, as_of=as_of))
    )
    for name, curve in ((AWAKE, awake), (HERE, here)):
        estimates |= {(name, day): curve.still_here(day) for day in days}
    by_hours = _by_hours(newcomers, days)
    estimates |= {(HOURS, day): by_hours.get(day, unknown(0, "share", study.confidence)) for day in days}
    observed = {HOURS: bool(by_hours), HERE: here.events > 0}
    return Reconciliation(study, estimates, observed, float(awake.summary["median"].iloc[0]))


def _by_hours(study: Study, days: Sequence[int]) -> dict[int, Estimate]:
    """Return the share active from 24 N to 24 (N + 1) hours after joining; nothing where no times are on record."""
    people, rows = study.population, study.counted
    if "joined_at" not in people.columns or "ts" not in rows.columns:
        return {}
    people = people.select("member_id", "left_day", joined=people.joined_at.epoch_seconds())
    # Dates are written as one and the same time of day.
    if int((people.joined % 3600).nunique().execute()) < 2:
        return {}
    acts = rows.select("member_id", "day", at=rows.ts.epoch_seconds()).inner_join(people, "member_id")
    acts = acts.filter(
        acts.left_day.isnull() | (acts.day <= acts.left_day), acts.day <= ibis.date(study.as_of)
    )
    since = acts["at"] - acts.joined
    hits = {f"hit_{n}": since.between(86_400 * n, 86_400 * (n + 1) - 1).any() for n in days}
    found = people.left_join(acts.group_by("member_id").agg(**hits), "member_id")
    end = int(pd.Timestamp(study.as_of + dt.timedelta(days=1), tz=study.report_tz).timestamp())
    over = {n: found.joined + 86_400 * (n + 1) <= end for n in days}
    sums = {f"n_{n}": over[n].sum() for n in days}
    sums |= {f"x_{n}": (over[n] & found[f"hit_{n}"].fill_null(False)).sum() for n in days}
    row = found.aggregate(**sums).to_pandas().fillna(0).iloc[0].astype(int)
    return {n: proportion(row[f"x_{n}"], row[f"n_{n}"], study.confidence) for n in days}
