"""Day-N retention, and on which day members are lost: everything that is counted from the day of joining.

What "active on day N" means
----------------------------
Day 0 is the day a member joined.

=============  ====================  ==============================================================================
definition     calendar days         also called
=============  ====================  ==============================================================================
on             N                     N-day, classic, bounded (PostHog "on", Mixpanel "on", Adobe "exactly")
on_or_after    N to `as_of`          unbounded (Amplitude, PostHog and Mixpanel "on or after"); "rolling" in some
                                     tools
=============  ====================  ==============================================================================

Sources: amplitude.com/docs, "How time works in retention analysis" (strict calendar dates);
posthog.com/docs/product-analytics/retention ("on" and "on or after"); docs.mixpanel.com/reference/retention-query;
Adobe guided analysis, retention ("on or after, often called unbounded", "exactly, often called bounded").

Rules that every cell keeps
---------------------------
- A member is eligible when day N is over by the end of `as_of` and lies inside the log. A cell without eligible
  members is blank (NaN) and says why; it is never 0. A cohort that is mature in part is measured on its mature
  members, with their number; a mature cell is never cut off.
- Members who left stay eligible: they are not retained on the days after. Intervals are Wilson's.
- "On or after" until `as_of` gives an older cohort more time to come back: its cohorts are not to be compared.

Which rows may not be shown
---------------------------
Days count nearly the same members, so a number that is blanked on one day is read off the next. A row is therefore
shown on all days or on none. When the hidden rows of a day could be solved for from the total over all rows, because
there is only one or because they hold fewer than `k_min` members together, the smallest other row is hidden as well
(complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control), once for all days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.playbook.finding import Finding, finding
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, unknown, wilson
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import NOT_STATED, require_columns

SEGMENT = "_segment"
"""The column of segments while it is counted: a name that no table of a user's has."""
COHORTS = {"week": "W", "month": "M"}
LAST_DAY, SILENCE_DAYS = 30, 30
"""Losses: the last day to look at, and how long after it a return still counts."""
WATCHED = LAST_DAY + SILENCE_DAYS


@dataclass(frozen=True)
class DayN:
    """Retention by cohort or segment, and day.

    Attributes
    ----------
    study : Study
        What was asked.
    cells : pandas.DataFrame
        The key (cohort, first day of the week or month of joining, or the segment), day, starts (all of the cell),
        eligible, immature (not over yet), unobserved (before the log), retained, share, low, high, reason (why the
        cell is blank).
    totals : pandas.DataFrame
        The same over everybody.
    days : tuple of int
        The N asked for, rising.
    definition : {"on", "on_or_after"}
        What active means.
    key : str or None
        Column that names a row: ``"cohort"``, the segment, or None.
    cohort : str or None
        ``"week"``, ``"month"`` or None.
    """

    study: Study = field(repr=False)
    cells: pd.DataFrame
    totals: pd.DataFrame
    days: tuple[int, ...]
    definition: Literal["on", "on_or_after"]
    key: str | None
    cohort: str | None
    by: str | None

    def total(self, day: int | None = None) -> Estimate:
        """Return the share over everybody for one day (by default the last)."""
        row = self.totals[self.totals["day"] == (self.days[-1] if day is None else day)].iloc[0]
        return estimate_of(row, row["eligible"], "Wilson score", self.study.confidence)

    def phrase(self, day: int) -> str:
        """Say when a member has to be active: on the day, or then or later."""
        return say("on day {n}" if self.definition == "on" else "on day {n} or later", n=day)

    @property
    def covered(self) -> pd.DataFrame:
        """The cells of those cohorts of which the log covers somebody."""
        if not self.cohort:
            return self.cells
        seen = self.cells[["eligible", "immature"]].sum(axis=1) > 0
        return self.cells[self.cells["cohort"].isin(self.cells.loc[seen, "cohort"])]

    @property
    def trend(self) -> pd.DataFrame:
        """The last day by cohort, without what is kept back: cohort, eligible, retained, share, low, high."""
        rows = self.covered[self.covered["day"] == self.days[-1]].reset_index(drop=True)
        numbers = ["eligible", "retained", "share", "low", "high"]
        rows = rows[["cohort", *numbers]].astype({"eligible": "Int64", "retained": "Int64"})
        hidden = self._hidden(rows) & (rows["eligible"] > 0)
        rows[numbers] = rows[numbers].mask(hidden)
        return rows.assign(cohort=self._names(rows["cohort"]))

    @property
    def table(self) -> pd.DataFrame:
        """One row per cohort (or segment) that the log covers, each cell in words: share, interval and members."""
        cells = self.covered
        pairs = zip(cells.itertuples(), self._hidden(cells), strict=True)
        cells = cells.assign(text=[self._in_words(row, hidden) for row, hidden in pairs])
        # Over everybody there is one row, and all who began name it as well as anything.
        square = cells.pivot(index=self.key or "starts", columns="day", values="text")
        square = square.reindex(columns=list(self.days))
        plus = "" if self.definition == "on" else "+"
        square = square.rename(columns={day: f"D{day}{plus}" for day in self.days})
        square = square.reset_index(drop=not self.key).rename_axis(columns=None)
        square = square.rename(columns={SEGMENT: self.by})
        return square.assign(cohort=self._names(square["cohort"])) if self.cohort else square

    def _in_words(self, row: Any, hidden: bool) -> str:
        """Return a cell as text; a row that is kept back shows no number, but may say why a cell is blank."""
        if not row.eligible:
            return str(row.reason)
        if hidden:
            few = row.eligible < self.study.k_min
            return say("fewer than {k}", k=self.study.k_min) if few else say("kept back")
        return with_interval(estimate_of(row._asdict(), row.eligible, "Wilson score", self.study.confidence))

    def _hidden(self, cells: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which cells lie in a row that may not be shown."""
        k_min = self.study.k_min
        if not self.key:
            return np.full(len(cells), self.cells["eligible"].between(1, k_min - 1).any())
        return cells[self.key].isin(rows_kept_back(self.cells, self.key, k_min)).to_numpy()

    def _names(self, cohorts: pd.Series) -> pd.Series:
        """Return cohorts as text: ``"2026-03"`` for a month, the Monday for a week."""
        return pd.to_datetime(cohorts).dt.strftime("%Y-%m" if self.cohort == "month" else "%Y-%m-%d")

    @property
    def sentence(self) -> str:
        """Every day over everybody, how many were too recent, and how many were never seen."""
        found = [(self.phrase(day), self.total(day)) for day in self.days]
        parts = "; ".join(f"{with_interval(share)} {phrase}" for phrase, share in found)
        said = [say("Of the members who joined, active again: {parts}.", parts=parts)]
        if not any(share.known for _phrase, share in found):
            said = [say("Too little data: nobody's day is over by {day}.", day=self.study.as_of)]
        for name, text in (
            ("immature", "{n:,} are too recent for the last day and not counted on it."),
            ("unobserved", "{n:,} began before the log and were not seen."),
        ):
            if n := int(self.totals[name].max()):
                said.append(say(text, n=n))
        return " ".join(said)

    def finding(self) -> Finding:
        """Retention on the last day asked for."""
        return finding(
            self.total(),
            id="retention.day_n",
            metric=say("joiners active {phrase}", phrase=self.phrase(self.days[-1])),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption="what is not recorded did not happen",
            direction="up is good",
            systems=("S024",),
        )


def day_n(
    study: Study,
    *,
    days: Sequence[int] = (1, 7, 30),
    definition: Literal["on", "on_or_after"] = "on",
    cohort: str | None = "month",
    by: str | None = None,
) -> DayN:
    """Return the share of members active on days after joining, by cohort or segment.

    Parameters
    ----------
    study : Study
        Activity, and the population with the segments.
    days : sequence of int
        The N asked for.
    definition : {"on", "on_or_after"}
        What active means; see the table above.
    cohort : {"week", "month"}, optional
        Calendar period of joining; weeks begin on Monday. None: no cohorts.
    by : str, optional
        Column of the population that makes segments instead of cohorts; a missing value is the segment
        ``not stated``.

    Raises
    ------
    BadData
        When a column is missing.
    """
    asked, cohort = tuple(sorted(set(days))), None if by else cohort
    require_columns(study.population, [by] if by else [], "members")
    key = SEGMENT if by else ("cohort" if cohort else None)
    rows = _observed(study, asked, definition, cohort, by).cache()
    cells, totals = (_cells(rows, name, asked, study) for name in (key, None))
    return DayN(study, cells, totals, asked, definition, key, cohort, by)


def _observed(
    study: Study, days: Sequence[int], definition: str, cohort: str | None, by: str | None
) -> ibis.Table:
    """Return one row per member who joined: member_id, joined, the key, and what each day held.

    For each day N: ``eligible_N`` (1 when it was observed), ``immature_N`` (1 when it will be), ``retained_N`` (1
    when it was observed and the member was active).
    """
    people = study.population
    people = people.filter(people.joined_day <= ibis.date(study.as_of))
    keys = {"cohort": people.joined_day.truncate(COHORTS[cohort])} if cohort else {}
    keys |= {SEGMENT: people[by].cast("string").fill_null(NOT_STATED)} if by else {}
    people = people.select("member_id", joined=day_number(people.joined_day), **keys)
    held = people.select("member_id", "joined").inner_join(study.spells, "member_id")
    after = held["at"] - held.joined
    inside = {n: after == n if definition == "on" else after >= n for n in days}
    hits = held.group_by("member_id").agg(**{f"hit_{n}": each.any() for n, each in inside.items()})
    found = people.left_join(hits, "member_id").drop("member_id_right")
    flags: dict[str, ibis.Value] = {}
    for n in days:
        seen = found.joined + n >= number_of(study.began or study.as_of)
        ripe = found.joined + n <= number_of(study.as_of)
        flags[f"eligible_{n}"] = seen & ripe
        flags[f"immature_{n}"] = seen & ~ripe
        flags[f"retained_{n}"] = seen & ripe & found[f"hit_{n}"].fill_null(False)
    return found.mutate(**{name: flag.cast("int64") for name, flag in flags.items()})


def _cells(rows: ibis.Table, key: str | None, days: Sequence[int], study: Study) -> pd.DataFrame:
    """Return one row per cell of the key and day, with shares, intervals and the reason of every blank one."""
    parts = ["eligible", "immature", "retained"]
    sums = {
        "starts": rows.count(),
        **{f"{part}_{n}": rows[f"{part}_{n}"].sum() for part in parts for n in days},
    }
    wide = (rows.group_by(key).agg(**sums) if key else rows.aggregate(**sums)).to_pandas()
    wide = wide.astype(dict.fromkeys(sums, "float64")).fillna(dict.fromkeys(sums, 0.0))  # sums over no rows
    long = pd.wide_to_long(wide.reset_index(), parts, i="index", j="day", sep="_").reset_index()
    long = long.drop(columns="index").astype(dict.fromkeys(["starts", *parts], "int64"))
    long = long.sort_values([key, "day"] if key else "day", ignore_index=True)
    if key == "cohort":
        long["cohort"] = pd.to_datetime(long["cohort"])
    low, high = wilson(long["retained"], long["eligible"], study.confidence)
    share = long["retained"] / long["eligible"].where(long["eligible"] > 0)
    return long.assign(
        unobserved=long["starts"] - long["eligible"] - long["immature"],
        share=share.astype(float),
        low=low,
        high=high,
        reason=[_reason(row, study) for row in long.itertuples()],
    )


def _reason(row: Any, study: Study) -> str:
    """Return why a cell is blank; nothing when it is not."""
    if row.eligible:
        return ""
    if row.immature:
        return say("day {n} is not over by {day}", n=row.day, day=study.as_of)
    return say("begins before the log, {day}", day=study.began) if row.starts else say("no members")


def rows_kept_back(cells: pd.DataFrame, key: str, k_min: int) -> list[Any]:
    """Return the values of the key whose rows are to be kept back.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per group and day: the key, day, eligible (members; an empty cell is about nobody).
    key : str
        Column that names a group.
    k_min : int
        Smallest number of members that may be shown.
    """
    square = cells.pivot(index=key, columns="day", values="eligible").fillna(0)
    sizes = square.to_numpy(float)
    hidden = np.asarray(((sizes > 0) & (sizes < k_min)).any(axis=1))
    while (extra := _solvable(sizes, hidden, k_min)) is not None:
        hidden[extra] = True
    return square.index[hidden].tolist()


def _solvable(sizes: NDArray[np.float64], hidden: NDArray[np.bool_], k_min: int) -> int | None:
    """Return the next row to hide because a hidden one could be solved for; None when none could."""
    for column in sizes.T:
        blank = hidden & (column > 0)
        if not blank.any() or (blank.sum() >= 2 and column[blank].sum() >= k_min):
            continue
        others = np.flatnonzero(~hidden & (column > 0))
        if others.size:
            return int(others[np.argmin(sizes[others].max(axis=1))])
    return None


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
    """

    study: Study = field(repr=False)
    table: pd.DataFrame
    members: int

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
            return say(text, n=WATCHED, day=self.study.as_of)
        text = "The largest loss is on day {day}: {share} of members were not active again in {n} days after joining."
        said = say(text, day=day, share=with_interval(share), n=WATCHED)
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


def losses(study: Study) -> Losses:
    """Return on which day after joining members were active for the last time, with equal time to come back for all.

    A member is lost on day d when d is their last active day among the first :data:`WATCHED` days after joining (day
    0 when there is none at all). Every member counted joined since the log began and has been watched for that long,
    so that no day looks worse because its members had less time to return. Members who left count as lost on their
    last active day.
    """
    people = study.population
    people = people.select("member_id", joined=day_number(people.joined_day))
    begin, latest = number_of(study.began or study.as_of), number_of(study.as_of) - WATCHED
    people = people.filter(people.joined >= begin, people.joined <= latest)
    active = people.inner_join(study.spells, "member_id")
    active = active.mutate(day=active["at"] - active.joined)
    ends = active.filter(active.day.between(0, WATCHED)).group_by("member_id").agg(day=lambda t: t.day.max())
    each = people.left_join(ends, "member_id").select(day=lambda t: t.day.fill_null(0))
    cells = each.group_by("day").agg(lost=each.count()).to_pandas().astype("int64").set_index("day")["lost"]
    members, lost = int(cells.sum()), cells.reindex(range(LAST_DAY + 1), fill_value=0).to_numpy()
    low, high = wilson(lost, members, study.confidence)
    share = lost / members if members else np.nan
    table = pd.DataFrame({"day": range(LAST_DAY + 1), "lost": lost, "share": share, "low": low, "high": high})
    return Losses(study, table, members)
