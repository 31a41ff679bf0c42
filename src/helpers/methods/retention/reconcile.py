"""Day-N retention and survival side by side: five answers to "who is still there", and why they differ.

=============================  =======================================================================================
measure                        who counts as there on day N
=============================  =======================================================================================
active on the day              active on day N itself: the very number of the retention table
active on the day, newcomers   the same, of those who joined since the log began
active on the day or later     active on day N or later, by `as_of`
not yet silent                 no silence of `silence_days` days has begun by day N (Kaplan-Meier of the first one)
not yet left                   has not left by the end of day N (Kaplan-Meier)
=============================  =======================================================================================

The retention table counts everybody whose day N lies in the log, also who joined shortly before it began. The other
four are over the same members: those who joined since the log began. Counts of days use those of them whose day N
is over, the Kaplan-Meier estimates everybody for as long as they were watched; n says how many. Two orders must
hold and are checked on every call: nobody is active on day N who is not active on or after it, and, of the members
whose day N is over, nobody is active on or after day N who had left before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.methods.retention.day_n import Retention, retention
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, estimate_of
from helpers.stats.survival.cells import cells
from helpers.stats.survival.curves import survival
from helpers.study.days import checked, day_number, first_day, member_days, number_of, stays
from helpers.study.durations import exit_durations, silence_durations
from helpers.study.frames import Count, as_day, require_columns

MEASURES = (
    *("active on the day", "active on the day, newcomers", "active on the day or later"),
    *("not yet silent", "not yet left"),
)
ON, NEW_ON, AFTER, AWAKE, HERE = MEASURES
COLUMNS = ["day", "measure", "share", "low", "high", "n", "why"]


@dataclass(frozen=True)
class Reconciliation:
    """Five measures of retention in one table: the first over everybody, the others over newcomers.

    Attributes
    ----------
    table : pandas.DataFrame
        day, measure, share, low, high (NaN where nobody could be observed), n, why (in what it differs).
    days : tuple of int
        The N asked for.
    silence_days : int
        Days without activity that make a silence.
    as_of : datetime.date
        Last day observed.
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame
    days: tuple[int, ...]
    silence_days: int
    as_of: dt.date
    confidence: float

    def measure(self, name: str, day: int) -> Estimate:
        """Return one measure on one day."""
        checked(name, "name", in_=MEASURES)
        checked(day, "day", in_=self.days)
        row = self.table[(self.table["measure"] == name) & (self.table["day"] == day)].iloc[0]
        method = "Wilson score" if name in (ON, NEW_ON, AFTER) else "Kaplan–Meier"
        return estimate_of(row, row["n"], method, self.confidence)

    @property
    def wide(self) -> pd.DataFrame:
        """Shares with one row per day and one column per measure."""
        square = self.table.pivot(index="day", columns="measure", values="share")
        return square[list(MEASURES)].reset_index().rename_axis(columns=None)

    @property
    def sentence(self) -> str:
        """The measures on the last day that can be observed, and why they are not one number."""
        known = [day for day in self.days if self.measure(ON, day).known]
        if not known:
            return say(
                "Too little data: day {day} is over for nobody by {end}.", day=self.days[0], end=self.as_of
            )
        day = known[-1]
        shares = {name: with_interval(self.measure(name, day)) for name in MEASURES}
        return say(
            "On day {day}, {on} of members are active, as in the retention table. Of those who joined since the log "
            "began, {new} are active on the day, {after} then or later, {awake} have not been silent for {k} days "
            "and {here} have not left. These are five questions, not five estimates of one number.",
            day=day, on=shares[ON], new=shares[NEW_ON], after=shares[AFTER], awake=shares[AWAKE],
            here=shares[HERE], k=self.silence_days,
        )  # fmt: skip

    def readable(self) -> pd.DataFrame:
        """Return one row per measure and one column per day, each cell in words, and in what the measure differs."""
        rows = [(name, *(with_interval(self.measure(name, day)) for day in self.days)) for name in MEASURES]
        days = [say("day {day}", day=day) for day in self.days]
        why = self.table.drop_duplicates("measure").set_index("measure")["why"]
        return pd.DataFrame(rows, columns=["still_there", *days]).assign(
            why=why.loc[list(MEASURES)].to_numpy()
        )


def reconcile(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame,
    *,
    as_of: dt.date | str,
    days: Sequence[int] = (1, 7, 30),
    silence_days: int = 30,
    count: Count = "interaction",
    history_from: dt.date | str | None = None,
    confidence: float = 0.95,
) -> Reconciliation:
    """Return Day-N retention beside the survival curves of silence and leaving.

    Parameters
    ----------
    activity, population, as_of, count
        As in :func:`.days.spells`.
    days : sequence of int
        The N.
    silence_days : int
        Days without activity that make a silence.
    history_from : date or str, optional
        First day the log covers; by default the day of its first row.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    BadData
        When a column is missing or a member left before they joined.
    RuntimeError
        When an order that must hold does not, which is an error of this package and not of the data.
    """
    last, begins = as_day(as_of), first_day(activity, history_from)
    first = begins or last
    everybody = stays(population)
    people = everybody.filter(everybody.joined_day >= ibis.date(first)).cache()
    asked = {"as_of": last, "days": days, "count": count, "history_from": first, "confidence": confidence}
    on = retention(activity, people, cohort=None, **asked)  # type: ignore[arg-type]
    table = retention(activity, everybody, cohort=None, **asked)  # type: ignore[arg-type]
    after = retention(activity, people, cohort=None, definition="on_or_after", **asked)  # type: ignore[arg-type]
    wanted = [window.first for window in after.windows]
    silent = silence_durations(
        member_days(activity, count=count), people, as_of=last, silence_days=silence_days
    )
    left = exit_durations(people, as_of=last)
    awake, here = (survival(cells(rows), confidence=confidence).at(wanted) for rows in (silent, left))
    _check_orders(on, after, people, last)
    return side_by_side(table, on, after, awake, here, silence_days=silence_days)


def side_by_side(
    table: Retention,
    on: Retention,
    on_or_after: Retention,
    not_silent: pd.DataFrame,
    not_left: pd.DataFrame,
    *,
    silence_days: int,
) -> Reconciliation:
    """Return one table of retention tables and survival curves.

    Parameters
    ----------
    table : Retention
        The published retention table, over everybody, of the definition "on".
    on, on_or_after : Retention
        For the same days, of the definitions "on" and "on_or_after", of those who joined since the log began.
    not_silent, not_left : pandas.DataFrame
        day, survival, low, high, n on those days, as made by
        :meth:`.staying.curves.SurvivalCurves.at`; a day that is absent is blank.
    silence_days : int
        Days without activity that make a silence.
    """
    why = _reasons(on_or_after.as_of, silence_days)
    parts = []
    for name, result in ((ON, table), (NEW_ON, on), (AFTER, on_or_after)):
        rows = result.totals[result.totals["scope"] == "all"]
        rows = rows.rename(columns={"first_day": "day", "eligible": "n"})
        parts.append(rows[["day", "share", "low", "high", "n"]].assign(measure=name))
    wanted = [window.first for window in on_or_after.windows]
    for name, frame in ((AWAKE, not_silent), (HERE, not_left)):
        require_columns(frame, ("day", "survival", "low", "high", "n"), name)
        rows = frame.rename(columns={"survival": "share"}).set_index("day").reindex(wanted).reset_index()
        rows["n"] = rows["n"].fillna(0).astype("int64")
        parts.append(rows[["day", "share", "low", "high", "n"]].assign(measure=name))
    found = pd.concat(parts, ignore_index=True)
    found["why"] = found["measure"].map(why)
    order = found["measure"].map({name: place for place, name in enumerate(MEASURES)})
    found = found.assign(order=order).sort_values(["day", "order"], ignore_index=True)[COLUMNS]
    return Reconciliation(found, tuple(wanted), silence_days, on_or_after.as_of, on_or_after.confidence)


def _reasons(as_of: dt.date, silence_days: int) -> dict[str, str]:
    return {
        ON: say(
            "the number of the retention table; also who joined before the log began and reached the day in it"
        ),
        NEW_ON: say(
            "the same members as in the rows below; who comes every second day is missed half of the time"
        ),
        AFTER: say("a later return until {day} counts; recent members have had less time for it", day=as_of),
        AWAKE: say("gone at the first {k} silent days, even if the member came back later", k=silence_days),
        HERE: say("highest: silent members count as there until they leave"),
    }


def _check_orders(on: Retention, after: Retention, people: ibis.Table, as_of: dt.date) -> None:
    """Refuse tables that contradict each other."""
    for one, other in zip(on.windows, after.windows, strict=True):
        a, b = (
            table.totals[table.totals["window"] == w.label].iloc[0]
            for table, w in ((on, one), (after, other))
        )
        due = day_number(people.joined_day) + one.first
        stayed = (due <= number_of(as_of)) & (people.left_day.isnull() | (day_number(people.left_day) >= due))
        n_here = int(people.filter(stayed).count().to_pyarrow().as_py())
        if not (a["eligible"] == b["eligible"] and a["retained"] <= b["retained"] <= n_here):
            raise RuntimeError(
                f"Day {one.first}: {a['retained']} of {a['eligible']} active on it, {b['retained']} of "
                f"{b['eligible']} on or after, {n_here} had not left before: these cannot all be right."
            )
