"""Day-N retention, and on which day members are lost: everything that is counted from the day of joining.

What "active on day N" means
----------------------------
Day 0 is the day a member joined. A window ``[a, b]`` holds the calendar days a to b after it, both included.

=============  ====================  ==============================================================================
definition     window                also called
=============  ====================  ==============================================================================
on             [N, N]                N-day, classic, bounded (PostHog "on", Mixpanel "on", Adobe "exactly")
on_or_after    [N, as_of]            unbounded (Amplitude, PostHog and Mixpanel "on or after"); "rolling" in some
                                     tools
rolling        [1, N]                active at least once within the N days up to and including day N
a pair         [a, b], stated        bracket, custom bracket (Amplitude, Mixpanel)
=============  ====================  ==============================================================================

Sources: amplitude.com/docs, "How time works in retention analysis" (strict calendar dates);
posthog.com/docs/product-analytics/retention ("on" and "on or after"); docs.mixpanel.com/reference/retention-query;
Adobe guided analysis, retention ("on or after, often called unbounded", "exactly, often called bounded"). Beware of
"rolling retention": some tools mean on or after day N by it. Here it is the window [1, N], and every table states its
windows.

Rules that every cell keeps
---------------------------
- A member is eligible when the whole window is over by the end of `as_of` and lies inside the log. A cell without
  eligible members is blank (NaN) and says why; it is never 0. A cohort that is mature in part is measured on its
  mature members, with their number; a mature cell is never cut off.
- Members who left stay eligible: they are not retained on the days after. Intervals are Wilson's.
- "On or after" until `as_of` gives an older cohort more time to come back, and the sentence says so. For equal time
  ask for the window, such as ``(7, 21)``.

Which rows may not be shown
---------------------------
Windows count nearly the same members, so a number that is blanked in one window is read off the next. A row is
therefore shown in all windows or in none. When the hidden rows of a window could be solved for from a total, because
there is only one or because they hold fewer than `k_min` members together, the smallest other row is hidden as well
(complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control), once for all windows. Totals are
taken to be known over all rows, and with several keys also over the rows that share any one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import did_you_mean
from helpers.errors import BadParameters
from helpers.playbook.finding import Finding, finding
from helpers.sentences import interval, percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, unknown, wilson
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import NOT_STATED, require_columns

COHORTS = {"week": "W", "month": "M"}
DEFINITIONS = ("on", "on_or_after", "rolling")


@dataclass(frozen=True)
class Window:
    """One column of a retention table: its label, and first and last day; open until `as_of` when `last` is None."""

    label: str
    first: int
    last: int | None

    @property
    def phrase(self) -> str:
        """The window in words."""
        if self.last is None:
            return say("on day {n} or later", n=self.first)
        if self.first == self.last:
            return say("on day {n}", n=self.first)
        return say("at least once on days {a} to {b}", a=self.first, b=self.last)

    @property
    def needed(self) -> int:
        """The day that has to be complete before a member counts."""
        return self.first if self.last is None else self.last


def windows_of(days: Sequence[int | tuple[int, int]], definition: str = "on") -> tuple[Window, ...]:
    """Return the windows of a definition; see :func:`day_n` for the arguments."""
    if definition not in DEFINITIONS:
        raise BadParameters(f"definition == {definition!r}, must be one of {', '.join(DEFINITIONS)}.")
    pairs = [day if isinstance(day, tuple) else (day, day) for day in days]
    if not pairs or any(not 0 <= first <= last for first, last in pairs):
        raise BadParameters(f"days == {days!r}, must be days from 0 on, or pairs of first and last day.")
    found = []
    for first, last in sorted(set(pairs)):
        if first < last:
            found.append(Window(f"D{first}–D{last}", first, last))
        elif definition == "rolling":
            found.append(Window(f"D1–D{last}", 1, last))
        elif definition == "on_or_after":
            found.append(Window(f"D{first}+", first, None))
        else:
            found.append(Window(f"D{first}", first, last))
    return tuple(found)


@dataclass(frozen=True)
class DayN:
    """Retention by cohort, segment and window.

    Attributes
    ----------
    study : Study
        What was asked.
    cells : pandas.DataFrame
        cohort (first day of the week or month of joining; missing without cohorts), one column per segment, window,
        first_day, starts (all of the cell), eligible, immature (not over yet), unobserved (begins before the log),
        retained, share, low, high, reason (why the cell is blank).
    totals : pandas.DataFrame
        The same over everybody.
    windows : tuple of Window
        What was asked for.
    segments : tuple of str
        Segment columns.
    cohort : str or None
        ``"week"``, ``"month"`` or None.
    """

    study: Study = field(repr=False)
    cells: pd.DataFrame
    totals: pd.DataFrame
    windows: tuple[Window, ...]
    segments: tuple[str, ...]
    cohort: str | None

    def total(self, window: str | None = None) -> Estimate:
        """Return the share over everybody for one window (by default the last)."""
        labels = [one.label for one in self.windows]
        label = labels[-1] if window is None else window
        if label not in labels:
            hint = did_you_mean(label, labels)
            raise BadParameters(f"window == {label!r}, must be one of {', '.join(labels)}.{hint}")
        row = self.totals.iloc[labels.index(label)]
        return estimate_of(row, row["eligible"], "Wilson score", self.study.confidence)

    @property
    def keys(self) -> list[str]:
        """Columns that name a row: the cohort when there are cohorts, and the segments."""
        return [*(["cohort"] if self.cohort else []), *self.segments]

    @property
    def covered(self) -> pd.DataFrame:
        """The cells of those cohorts of which the log covers somebody."""
        if not self.cohort:
            return self.cells
        seen = self.cells[["eligible", "immature"]].sum(axis=1) > 0
        return self.cells[self.cells["cohort"].isin(self.cells.loc[seen, "cohort"])]

    @property
    def trend(self) -> pd.DataFrame:
        """The last window by cohort, without what is kept back: cohort, eligible, retained, share, low, high."""
        rows = self.covered[self.covered["window"] == self.windows[-1].label].reset_index(drop=True)
        numbers = ["eligible", "retained", "share", "low", "high"]
        rows = rows[["cohort", *numbers]].astype({"eligible": "Int64", "retained": "Int64"})
        hidden = self._hidden(rows) & (rows["eligible"] > 0)
        rows[numbers] = rows[numbers].mask(hidden)
        return rows.assign(cohort=self._names(rows["cohort"]))

    @property
    def table(self) -> pd.DataFrame:
        """One row per cohort (or segment) that the log covers, each cell in words: share, interval and members."""
        cells, labels = self.covered, [window.label for window in self.windows]
        hidden = self._hidden(cells)
        texts = [
            _in_words(row, unseen, self.study.k_min)
            for row, unseen in zip(cells.itertuples(), hidden, strict=True)
        ]
        cells = cells.assign(text=texts)
        if not self.keys:
            return cells.set_index("window")[["text"]].T.reindex(columns=labels).reset_index(drop=True)
        square = cells.set_index([*self.keys, "window"])["text"].unstack("window")
        square = square.reindex(columns=labels).reset_index().rename_axis(columns=None)
        return square.assign(cohort=self._names(square["cohort"])) if self.cohort else square

    def _hidden(self, cells: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which cells lie in a row that may not be shown."""
        back = rows_kept_back(self.cells, self.keys, self.study.k_min)
        if not self.keys:
            return np.full(len(cells), len(back) > 0)
        return pd.MultiIndex.from_frame(cells[self.keys]).isin(pd.MultiIndex.from_frame(back))

    def _names(self, cohorts: pd.Series) -> pd.Series:
        """Return cohorts as text: ``"2026-03"`` for a month, the Monday for a week."""
        return pd.to_datetime(cohorts).dt.strftime("%Y-%m" if self.cohort == "month" else "%Y-%m-%d")

    @property
    def sentence(self) -> str:
        """Every window over everybody, how many were too recent, and whether cohorts can be compared."""
        found = [(window.phrase, self.total(window.label)) for window in self.windows]
        parts = [
            say("{share} {phrase}", share=with_interval(share), phrase=phrase) for phrase, share in found
        ]
        said = [say("Of the members who joined, active again: {parts}.", parts="; ".join(parts))]
        if not any(share.known for _phrase, share in found):
            said = [say("Too little data: no member's window is over by {day}.", day=self.study.as_of)]
        if waiting := int(self.totals["immature"].max()):
            text = "{n:,} are too recent for the longest window and not counted in it."
            said.append(say(text, n=waiting))
        if unseen := int(self.totals["unobserved"].max()):
            said.append(say("{n:,} began before the log and were not seen.", n=unseen))
        if any(window.last is None for window in self.windows):
            said.append(say("Older cohorts had more time to come back: do not compare cohorts."))
        return " ".join(said)

    def finding(self) -> Finding:
        """Retention in the last window asked for."""
        return finding(
            self.total(),
            id="retention.day_n",
            metric=say("joiners active {phrase}", phrase=self.windows[-1].phrase),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption="what is not recorded did not happen",
            direction="up is good",
            systems=("S024",),
        )


def day_n(
    study: Study,
    *,
    days: Sequence[int | tuple[int, int]] = (1, 7, 30),
    definition: str = "on",
    cohort: str | None = "month",
    by: Sequence[str] | str = (),
) -> DayN:
    """Return the share of members active in windows after joining, by cohort and segment.

    Parameters
    ----------
    study : Study
        Activity, and the population with the segments.
    days : sequence of int or of (int, int)
        The N asked for, or first and last day of brackets, both included.
    definition : {"on", "on_or_after", "rolling"}
        What a single N means; see the table above.
    cohort : {"week", "month"}, optional
        Calendar period of joining; weeks begin on Monday. None: no cohorts.
    by : str or sequence of str
        Columns of the population that make segments; a missing value is the segment ``not stated``.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    BadData
        When a column is missing.
    """
    if cohort is not None and cohort not in COHORTS:
        raise BadParameters(f"cohort == {cohort!r}, must be one of {', '.join(COHORTS)}.")
    windows, segments = windows_of(days, definition), (by,) if isinstance(by, str) else tuple(by)
    require_columns(study.population, segments, "population")
    rows = _observed(study, windows, cohort, segments).cache()
    keys = [*(["cohort"] if cohort else []), *segments]
    cells, totals = (_cells(rows, names, windows, study) for names in (keys, []))
    return DayN(study, cells, totals, windows, segments, cohort)


def _observed(
    study: Study, windows: Sequence[Window], cohort: str | None, segments: Sequence[str]
) -> ibis.Table:
    """Return one row per member who joined: member_id, the keys, and what each window held.

    For window number k: ``n_k`` (1 when it was observed to its end), ``unripe_k`` (1 when it will be), ``x_k`` (1
    when it was observed and held an active day).
    """
    people = study.population
    people = people.filter(people.joined_day <= ibis.date(study.as_of))
    people = people.select(
        "member_id",
        joined=day_number(people.joined_day),
        cohort=people.joined_day.truncate(COHORTS[cohort]) if cohort else ibis.null("date"),
        **{name: people[name].cast("string").fill_null(NOT_STATED) for name in segments},
    )
    held = people.select("member_id", "joined").inner_join(study.spells, "member_id")
    day = held["at"] - held.joined
    inside = {
        f"hit_{k}": day.between(w.first, np.iinfo("int32").max if w.last is None else w.last)
        for k, w in enumerate(windows)
    }
    hits = held.group_by("member_id").agg(**{name: each.any() for name, each in inside.items()})
    found = people.left_join(hits, "member_id").drop("member_id_right")
    flags: dict[str, ibis.Value] = {}
    for k, window in enumerate(windows):
        seen = found.joined + window.first >= number_of(study.began or study.as_of)
        ripe = found.joined + window.needed <= number_of(study.as_of)
        flags[f"n_{k}"] = seen & ripe
        flags[f"unripe_{k}"] = seen & ~ripe
        flags[f"x_{k}"] = seen & ripe & found[f"hit_{k}"].fill_null(False)
    return found.mutate(**{name: flag.cast("int64") for name, flag in flags.items()})


def _cells(rows: ibis.Table, keys: list[str], windows: Sequence[Window], study: Study) -> pd.DataFrame:
    """Return one row per cell of `keys` and window, with shares, intervals and the reason of every blank one."""
    flags = [f"{name}_{k}" for name in ("n", "x", "unripe") for k in range(len(windows))]
    sums = {"starts": rows.count(), **{name: rows[name].sum() for name in flags}}
    wide = (rows.group_by(keys).agg(**sums) if keys else rows.aggregate(**sums)).to_pandas()
    wide = wide.astype(dict.fromkeys(sums, "float64")).fillna(dict.fromkeys(sums, 0.0))  # sums over no rows
    wide = wide.reset_index()
    long = pd.wide_to_long(wide, ["n", "x", "unripe"], i="index", j="place", sep="_").reset_index()
    long = long.astype(dict.fromkeys(["starts", "n", "x", "unripe"], "int64"))
    long = long.sort_values([*keys, "place"], ignore_index=True)
    asked = [windows[k] for k in long["place"]]
    low, high = wilson(long["x"], long["n"], study.confidence)
    return pd.DataFrame(
        {
            "cohort": pd.to_datetime(long["cohort"]) if "cohort" in keys else pd.NaT,
            **{name: long[name] for name in keys if name != "cohort"},
            "window": [window.label for window in asked],
            "first_day": [window.first for window in asked],
            "starts": long["starts"],
            "eligible": long["n"],
            "immature": long["unripe"],
            "unobserved": long["starts"] - long["n"] - long["unripe"],
            "retained": long["x"],
            "share": (long["x"] / long["n"].where(long["n"] > 0)).astype(float),
            "low": low,
            "high": high,
            "reason": [
                _reason(row, window, study) for row, window in zip(long.itertuples(), asked, strict=True)
            ],
        }
    )


def _reason(row: Any, window: Window, study: Study) -> str:
    """Return why a cell is blank; nothing when it is not."""
    if row.n:
        return ""
    if row.unripe:
        return say("day {n} is not over by {day}", n=window.needed, day=study.as_of)
    return say("begins before the log, {day}", day=study.began) if row.starts else say("no members")


def _in_words(row: Any, hidden: bool, k_min: int) -> str:
    """Return a cell as text; a row that is kept back shows no number, but may say why a cell is blank."""
    if not row.eligible:
        return str(row.reason)
    if hidden:
        return say("fewer than {k}", k=k_min) if row.eligible < k_min else say("kept back")
    between = interval(float(row.low), float(row.high), "share")
    text = "{share} ({between}, n = {n:,})"
    return say(text, share=percent(float(row.share)), between=between, n=int(row.eligible))


def rows_kept_back(cells: pd.DataFrame, keys: Sequence[str], k_min: int) -> pd.DataFrame:
    """Return the rows, as a frame of their keys, that are to be kept back.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per group and window: the keys, window, eligible (members; an empty cell is about nobody).
    keys : sequence of str
        Columns that name a group; without any there is one group, and it is nobody's part.
    k_min : int
        Smallest number of members that may be shown.
    """
    names = list(keys)
    if not names or cells.empty:
        small = bool(cells["eligible"].between(1, k_min - 1).any())
        return pd.DataFrame(index=range(int(small)), columns=names)
    square = cells.set_index([*names, "window"])["eligible"].unstack("window").fillna(0)
    groups, sizes = square.index.to_frame(index=False)[names], square.to_numpy(float)
    hidden = np.asarray(((sizes > 0) & (sizes < k_min)).any(axis=1))
    while (extra := _solvable(sizes, hidden, groups, k_min)) is not None:
        hidden[extra] = True
    return groups.loc[hidden, names].reset_index(drop=True)


def _solvable(
    sizes: NDArray[np.float64], hidden: NDArray[np.bool_], groups: pd.DataFrame, k_min: int
) -> int | None:
    """Return the next row to hide because a hidden one could be solved for; None when none could."""
    for rows in _margins(groups):
        for column in sizes.T:
            blank = rows & hidden & (column > 0)
            if not blank.any() or (blank.sum() >= 2 and column[blank].sum() >= k_min):
                continue
            others = np.flatnonzero(rows & ~hidden & (column > 0))
            if others.size:
                return int(others[np.argmin(sizes[others].max(axis=1))])
    return None


def _margins(groups: pd.DataFrame) -> Iterator[NDArray[np.bool_]]:
    """Yield the rows that add up to a total that may be known."""
    yield np.ones(len(groups), dtype=bool)
    if groups.shape[1] > 1:
        for name in groups:
            for value in groups[name].unique():
                yield (groups[name] == value).to_numpy()


@dataclass(frozen=True)
class Losses:
    """How many members are lost on each day.

    Attributes
    ----------
    study : Study
        What was asked.
    table : pandas.DataFrame
        day, lost, share (of all members), low, high (Wilson).
    members : int
        Members watched long enough.
    watched : int
        Days for which each of them was watched.
    """

    study: Study = field(repr=False)
    table: pd.DataFrame
    members: int
    watched: int

    def largest(self, *, after: int = 0) -> tuple[int | None, Estimate]:
        """Return the day from `after` on with the largest loss (the earliest of equal ones) and its share."""
        if not self.members:
            return None, unknown(0, "share", self.study.confidence)
        row = self.table.iloc[after + int(self.table["lost"].to_numpy()[after:].argmax())]
        return int(row["day"]), estimate_of(row, self.members, "Wilson score", self.study.confidence)

    @property
    def sentence(self) -> str:
        """The day of the largest loss, and the largest one after the first day if it stands out."""
        day, share = self.largest()
        if day is None:
            text = "Too little data: nobody has been a member for {n} days by {day}."
            return say(text, n=self.watched, day=self.study.as_of)
        text = "The largest loss is on day {day}: {share} of members were not active again in {n} days after joining."
        said = say(text, day=day, share=with_interval(share), n=self.watched)
        if day == 0 and self.stands_out:
            later, part = self.largest(after=1)
            text = "After that it is day {day}: {share}, more than chance among equal days would make the largest."
            said += " " + say(text, day=later, share=with_interval(part))
        return said

    @property
    def stands_out(self) -> bool:
        """Whether the largest loss after day 0 is more than the largest of equal days would be.

        The losses on these days, were they equally likely on each, are multinomial; the number on the largest day is
        tested against its binomial share, Bonferroni over the days.
        """
        lost = self.table["lost"].to_numpy()[1:]
        if lost.size < 2 or not lost.sum():
            return False
        chance = float(stats.binom.sf(lost.max() - 1, lost.sum(), 1 / lost.size))
        return chance * lost.size < 1 - self.study.confidence


def losses(study: Study, *, days: int = 30, silence_days: int = 30) -> Losses:
    """Return on which day after joining members were active for the last time, with equal time to come back for all.

    A member is lost on day d when d is their last active day among the first ``days + silence_days`` days after
    joining (day 0 when there is none at all). Every member counted joined since the log began and has been watched
    for that long, so that no day looks worse because its members had less time to return. Members who left count as
    lost on their last active day.

    Parameters
    ----------
    study : Study
        Activity and population.
    days : int
        Last day to look at.
    silence_days : int
        How long after it a return still counts.
    """
    watched = days + silence_days
    people = study.population
    people = people.select("member_id", joined=day_number(people.joined_day))
    begin, latest = number_of(study.began or study.as_of), number_of(study.as_of) - watched
    people = people.filter(people.joined >= begin, people.joined <= latest)
    active = people.inner_join(study.spells, "member_id")
    active = active.mutate(day=active["at"] - active.joined)
    ends = active.filter(active.day.between(0, watched)).group_by("member_id").agg(day=lambda t: t.day.max())
    each = people.left_join(ends, "member_id").select(day=lambda t: t.day.fill_null(0))
    cells = each.group_by("day").agg(lost=each.count()).to_pandas().astype("int64").set_index("day")["lost"]
    members, lost = int(cells.sum()), cells.reindex(range(days + 1), fill_value=0).to_numpy()
    low, high = wilson(lost, members, study.confidence)
    share = lost / members if members else np.nan
    table = pd.DataFrame({"day": range(days + 1), "lost": lost, "share": share, "low": low, "high": high})
    return Losses(study, table, members, watched)
