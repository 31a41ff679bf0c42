"""Retention tables: the share of members active on, by or after day N, by cohort and segment.

Rules that every cell keeps
---------------------------
- A member is eligible when the whole window is over by the end of `as_of` and lies inside the log. A cell without
  eligible members is blank (NaN) and says why; it is never 0. A cohort that is mature in part is measured on its
  mature members, with their number; a mature cell is never cut off.
- Members who left stay eligible: they are not retained on the days after.
- With recurring starts every active day is a day 0, so that n counts member-starts; the interval is clustered by
  member (:mod:`helpers.stats.estimate`). Otherwise it is Wilson's.
- "On or after" until `as_of` gives an older cohort more time to come back; only with the same `follow_up` for all
  are cohorts comparable, and the sentence says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.methods.retention.definitions import Target, targets
from helpers.methods.retention.kept_back import rows_kept_back
from helpers.methods.retention.starts import (
    Question,
    check_clock,
    counts,
    observed_starts,
)
from helpers.sentences import interval, percent, say, with_interval
from helpers.stats.estimate import Estimate, clustered_interval, estimate_of, wilson
from helpers.study.days import checked_confidence, first_day
from helpers.study.frames import Count, as_day

SUMS = ["xx", "xn", "nn", "clusters"]


@dataclass(frozen=True)
class Retention:
    """Retention by cohort, segment and window.

    Attributes
    ----------
    cells : pandas.DataFrame
        cohort (first day of the week or month of day 0; missing without cohorts), one column per segment, window,
        first_day, last_day (missing when open), starts (all of the cell), eligible, immature (not over yet),
        unobserved (begins before the log),
        retained, share, low, high, reason (why the cell is blank).
    totals : pandas.DataFrame
        The same over all cohorts, by segment; the row without segments is over everybody.
    windows : tuple of Target
        What was asked for.
    definition, start, clock : str
        ``"on"`` and so on; what day 0 is (``"joined"``, ``"first activity"`` or ``"active day"``); ``"calendar"``
        or ``"hours"``.
    segments : tuple of str
        Segment columns.
    cohort : str or None
        ``"week"``, ``"month"`` or None.
    as_of, history_from : datetime.date or None
        Last and first day observed; the first is None when the log is empty.
    comparable : bool
        Whether every cohort had equal time to be retained.
    method : str
        How the intervals were made.
    confidence : float
        Level of the intervals.
    """

    cells: pd.DataFrame
    totals: pd.DataFrame
    windows: tuple[Target, ...]
    definition: str
    start: str
    clock: str
    segments: tuple[str, ...]
    cohort: str | None
    as_of: dt.date
    history_from: dt.date | None
    comparable: bool
    method: str
    confidence: float

    def _window(self, window: str | None) -> Target:
        if window is None:
            return self.windows[-1]
        for one in self.windows:
            if one.label == window:
                return one
        labels = [one.label for one in self.windows]
        raise BadParameters(
            f"window == {window!r}, must be one of {', '.join(labels)}.{did_you_mean(window, labels)}"
        )

    def total(self, window: str | None = None) -> Estimate:
        """Return the share over everybody for one window (by default the last)."""
        label = self._window(window).label
        row = self.totals[(self.totals["window"] == label) & (self.totals["scope"] == "all")].iloc[0]
        return estimate_of(row, row["eligible"], self.method, self.confidence)

    def trend(self, window: str | None = None) -> pd.DataFrame:
        """Return one line over cohorts: cohort, segments, eligible, retained, share, low, high, reason."""
        label = self._window(window).label
        columns = ["cohort", *self.segments, "eligible", "retained", "share", "low", "high", "reason"]
        return self.cells.loc[self.cells["window"] == label, columns].reset_index(drop=True)

    def wide(self) -> pd.DataFrame:
        """Return shares with one row per cohort (and segment) and one column per window; blank stays NaN."""
        return self._square(self.cells, "share")

    @property
    def keys(self) -> list[str]:
        """Columns that name a row: the cohort when there are cohorts, and the segments."""
        return [*(["cohort"] if self.cohort else []), *self.segments]

    def _square(self, cells: pd.DataFrame, values: str) -> pd.DataFrame:
        """Return one row per cohort and segment with one column per window."""
        labels = [window.label for window in self.windows]
        if not self.keys:
            return cells.set_index("window")[[values]].T.reindex(columns=labels).reset_index(drop=True)
        square = cells.set_index([*self.keys, "window"])[values].unstack("window")
        return square.reindex(columns=labels).reset_index().rename_axis(columns=None)

    @property
    def covered(self) -> list[pd.Timestamp]:
        """The cohorts of which the log covers somebody, in order."""
        seen = self.cells[["eligible", "immature"]].sum(axis=1) > 0
        return sorted(self.cells.loc[seen, "cohort"].unique())

    def kept_back(self, k_min: int = 10) -> pd.DataFrame:
        """Return the cohorts and segments that may not be shown: one row of keys each.

        See :func:`helpers.methods.retention.kept_back.rows_kept_back`.
        """
        return rows_kept_back(self.cells, self.keys, "window", "eligible", k_min)

    def readable(self, k_min: int = 10) -> pd.DataFrame:
        """Return one row per cohort that the log covers, each cell in words: share, interval and eligible members.

        Parameters
        ----------
        k_min : int
            A row with a cell of fewer eligible members is kept back in all windows, with a second row where it
            could be solved for from the total: the number of members hardly differs between windows, so that one
            open cell would give the others away.
        """
        cells, keys = self.cells, self.keys
        if self.cohort:
            cells = cells[cells["cohort"].isin(self.covered)]
        gone = self.kept_back(k_min)
        back = {tuple(row) for row in gone.itertuples(index=False)}
        hidden = [len(gone) > 0] * len(cells)
        if keys:
            hidden = [tuple(row) in back for row in cells[keys].itertuples(index=False)]
        texts = [
            _in_words(row, unseen, k_min) for row, unseen in zip(cells.itertuples(), hidden, strict=True)
        ]
        found = self._square(cells.assign(text=texts), "text")
        return found.assign(cohort=cohort_names(found["cohort"], self.cohort)) if self.cohort else found

    @property
    def sentence(self) -> str:
        """Every window over everybody, how many were too recent, and whether cohorts can be compared."""
        parts = []
        for window in self.windows:
            found = self.total(window.label)
            parts.append(say("{share} {phrase}", share=with_interval(found), phrase=window.phrase))
        whom = {
            "joined": say("the members who joined"),
            "first activity": say("the members first active"),
            "active day": say("the active days of members (a member counts once per active day)"),
        }[self.start]
        head = say("Of {whom}, active again: {parts}.", whom=whom, parts="; ".join(parts))
        if not any(self.total(window.label).known for window in self.windows):
            head = say("Too little data: no member's window is over by {day}.", day=self.as_of)
        rows = self.totals[self.totals["scope"] == "all"]
        waiting = int(rows["immature"].max()) if len(rows) else 0
        if waiting:
            head += " " + say("{n:,} are too recent for the longest window and not counted in it.", n=waiting)
        unseen = int(rows["unobserved"].max()) if len(rows) else 0
        if unseen:
            head += " " + say("{n:,} began before the log and were not seen.", n=unseen)
        if not self.comparable:
            head += " " + say("Older cohorts had more time to come back: do not compare cohorts.")
        return head


def retention(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None = None,
    *,
    as_of: dt.date | str,
    days: Sequence[int] = (1, 7, 30),
    definition: str = "on",
    brackets: Sequence[tuple[int, int]] | None = None,
    follow_up: int | None = None,
    start: str = "joined",
    recurring: bool = False,
    clock: str = "calendar",
    cohort: str | None = "month",
    segments: Sequence[str] | str = (),
    count: Count = "interaction",
    report_tz: str = "Asia/Shanghai",
    history_from: dt.date | str | None = None,
    confidence: float = 0.95,
) -> Retention:
    """Return the share of members active in windows after day 0, by cohort and segment.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        member_id, day, kind, and ts for 24-hour days; see :func:`helpers.study.activity.activity`.
    population : ibis.Table or pandas.DataFrame, optional
        member_id, joined_day, left_day, the segments, and joined_at for 24-hour days from joining; see
        :func:`.days.with_columns`. Needed when day 0 is the day of joining.
    as_of : date or str
        Last day observed, to its end.
    days, definition, brackets, follow_up
        See :func:`helpers.methods.retention.definitions.targets`.
    start : {"joined", "first_activity"}
        What day 0 is. The first activity of members who joined before the log began is not known: they are left out.
    recurring : bool
        Every active day is a day 0; cohorts are then those of that day, and `start` is not used.
    clock : {"calendar", "hours"}
        Calendar days of `report_tz`, or 24-hour days from the exact instant (to the second).
    cohort : {"week", "month"}, optional
        Calendar period of day 0; weeks begin on Monday. None: no cohorts.
    segments : str or sequence of str
        Columns of the population; a missing value is the segment ``not stated``.
    count : {"interaction", "order", "all"}
        What makes a day active.
    report_tz : str
        Time zone of the days; only used by the clock of hours.
    history_from : date or str, optional
        First day the log covers; by default the day of its first row. A window that begins earlier was not
        observed, and does not count as silence.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds or two of them do not go together.
    BadData
        When a column is missing.
    """
    checked_confidence(confidence)
    check_clock(start, clock, cohort)
    names = (segments,) if isinstance(segments, str) else tuple(segments)
    if population is None and (names or (start == "joined" and not recurring)):
        raise BadParameters("population == None, must be given for segments and for day 0 at joining.")
    wanted = targets(definition, days, brackets=brackets, follow_up=follow_up)
    last, first = as_day(as_of), first_day(activity, history_from)
    question = Question(wanted, last, first or last, start, recurring, clock, cohort, names, count, report_tz)
    rows = observed_starts(activity, population, question).cache()
    keys = (["cohort"] if cohort else []) + list(names)
    totals = [counts(rows, [], question).assign(scope="all")]
    if names:
        totals.append(counts(rows, names, question).assign(scope="segment"))
    return Retention(
        cells=_finished(counts(rows, keys, question), question, confidence),
        totals=_finished(pd.concat(totals, ignore_index=True), question, confidence),
        windows=wanted,
        definition=definition,
        start="active day" if recurring else start.replace("_", " "),
        clock=clock,
        segments=names,
        cohort=cohort,
        as_of=last,
        history_from=first,
        comparable=not any(window.last is None for window in wanted),
        method="Wilson, clustered by member" if recurring else "Wilson score",
        confidence=confidence,
    )


def cohort_names(cohorts: pd.Series, period: str | None) -> pd.Series:
    """Return cohorts as text: ``"2026-03"`` for a month, the Monday for a week."""
    return pd.to_datetime(cohorts).dt.strftime("%Y-%m" if period == "month" else "%Y-%m-%d")


def _in_words(row: Any, hidden: bool, k_min: int) -> str:
    """Return a cell as text; a row that is kept back shows no number, but may say why a cell is blank."""
    if not row.eligible:
        return str(row.reason)
    if hidden:
        return say("fewer than {k}", k=k_min) if row.eligible < k_min else say("kept back")
    text = "{share} ({between}, n = {n:,})"
    between = interval(float(row.low), float(row.high), "share")
    return say(text, share=percent(float(row.share)), between=between, n=int(row.eligible))


def _finished(frame: pd.DataFrame, question: Question, confidence: float) -> pd.DataFrame:
    """Return cells with names, shares, intervals and the reason of every blank one."""
    found = frame.copy()
    if question.recurring:
        sums = [found[name] for name in ("x", "n", *SUMS)]
        low, high = clustered_interval(*sums, confidence=confidence)
    else:
        low, high = wilson(found["x"], found["n"], confidence)
    share = (found["x"] / found["n"].where(found["n"] > 0)).astype(float)
    windows = [question.windows[k] for k in found["window"]]
    last_days = [window.last for window in windows]
    reasons = [_reason(row, w, question) for row, w in zip(found.itertuples(), windows, strict=True)]
    cohorts = found["cohort"] if "cohort" in found else pd.Series(pd.NaT, index=found.index)
    named = pd.DataFrame(
        {
            **({"scope": found["scope"]} if "scope" in found else {"cohort": pd.to_datetime(cohorts)}),
            **{name: found.get(name) for name in question.segments},
            "window": [window.label for window in windows],
            "first_day": [window.first for window in windows],
            "last_day": pd.array(last_days, dtype="Int64"),
            "starts": found["starts"],
            "eligible": found["n"],
            "immature": found["unripe"],
            "unobserved": found["starts"] - found["n"] - found["unripe"],
            "retained": found["x"],
            "share": share,
            "low": low,
            "high": high,
            "reason": reasons,
        }
    )
    return named


def _reason(row: Any, window: Target, question: Question) -> str:
    if row.n:
        if question.recurring and row.clusters < 2:
            return say("one member: no interval")
        return ""
    if row.unripe:
        return say("day {n} is not over by {day}", n=window.needed, day=question.as_of)
    if row.starts:
        return say("begins before the log, {day}", day=question.history_from)
    return say("no members")
