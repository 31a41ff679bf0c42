"""Day-N retention: how many members are active again on days after joining.

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

Rows of few
-----------
Days count nearly the same members, so a number that is blanked on one day is read off the next, and what is blanked
in one row is solved for from the total. A row that holds fewer than `k_min` members on a day is therefore added up
with the one before (the month before; the segment next in size) until none is left. A day on which all rows together
hold fewer is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd

from helpers.figures import BLUE, Chart, NoChart, new_figure
from helpers.methods.retention.plots import SHARES, share_axis
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import people, percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, wilson
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import NOT_STATED, require_columns
from helpers.tables import Table

SEGMENT = "_segment"
"""The column of segments while it is counted: a name that no table of a user's has."""
COHORTS = {"week": ("W", "%Y-%m-%d"), "month": ("M", "%Y-%m")}
"""How the day of joining is cut, and how the first day of a cohort is written."""
SPLIT = "source"
"""The column that splits members unless another one is named."""
COUNTED = ["eligible", "immature", "retained"]


@dataclass(frozen=True, repr=False)
class DayN(Result):
    """Retention by cohort or segment, and day.

    Attributes
    ----------
    cells : pandas.DataFrame
        The key (cohort, ``"2026-03"`` for a month or the Monday of a week, or the segment), day, starts (all of the
        cell), eligible, immature (not over yet), retained, unobserved (before the log), share, low, high, text (the
        share in words, or why there is none).
    totals : pandas.DataFrame
        The same over everybody.
    days : tuple of int
        The N asked for, rising.
    key : str or None
        Column that names a row: ``"cohort"``, the segment, or None.
    cohort, by : str or None
        The period of joining, or the column, that makes the rows; empty when there is no such column.
    """

    cells: pd.DataFrame
    totals: pd.DataFrame
    days: tuple[int, ...]
    key: str | None
    cohort: str | None
    by: str | None

    def total(self, day: int | None = None) -> Estimate:
        """Return the share over everybody for one day (by default the last)."""
        row = self.totals[self.totals["day"] == (self.days[-1] if day is None else day)].iloc[0]
        return estimate_of(row, row["eligible"], "Wilson score", self.study.confidence)

    @property
    def trend(self) -> pd.DataFrame:
        """The last day by cohort: cohort, eligible, retained, share, low, high."""
        rows = self.cells[self.cells["day"] == self.days[-1]].reset_index(drop=True)
        return rows[["cohort", "eligible", "retained", "share", "low", "high"]]

    @property
    def table(self) -> pd.DataFrame:
        """One row per cohort or segment, each cell in words: share, interval and members."""
        # Over everybody there is one row, and all who began name it as well as anything.
        key = self.key or "starts"
        square = self.cells.pivot(index=key, columns="day", values="text")
        # Segments stand in the order of their size, cohorts in that of time.
        square = square.reindex(index=self.cells[key].unique(), columns=list(self.days)).add_prefix("D")
        return square.rename_axis(index=self.by or key, columns=None).reset_index(drop=not self.key)

    @property
    def sentence(self) -> str:
        """Every day over everybody, how many were too recent, and how many were never seen."""
        k_min, told = self.study.k_min, []
        for day in self.days:
            share = self.total(day)
            little = say("too little data ({n} members)", n=people(share.n, k_min))
            words = with_interval(share) if share.known else little
            told.append(say("{share} on day {n}", share=words, n=day))
        said = [say("Of the members who joined, active again: {parts}.", parts="; ".join(told))]
        if not self.totals["share"].notna().any():
            said = [say("Too little data: nobody's day is over by {day}.", day=self.study.as_of)]
        for name, text in (
            ("immature", "Not counted on day {day}: {n} who joined so recently that it is not over."),
            (
                "unobserved",
                "Not counted: {n} who joined so long before recording began that it did not see the day.",
            ),
        ):
            if n := int(self.totals[name].max()):
                said.append(say(text, n=people(n, k_min), day=self.days[-1]))
        return " ".join(said)

    def figure(self) -> Chart | NoChart:
        """Draw the share active on the last day by cohort, with intervals; a cohort that is not told stays blank."""
        name, rows, day, total = "retention_trend", self.trend, self.days[-1], self.total()
        told = rows.dropna(subset=["share"])
        if len(told) < 2:
            return NoChart(say("Retention by cohort"), self.sentence, name)
        figure, ax = new_figure(7.2, 3.4)
        ax.vlines(rows.index, rows["low"], rows["high"], color=BLUE, linewidth=2)
        ax.plot(rows.index, rows["share"], "o-", color=BLUE, linewidth=1, markersize=6)
        ax.set_xticks(rows.index, rows["cohort"], rotation=45 if len(rows) > 8 else 0)
        ax.set_xlabel(say("Joined in the {period} of", period=self.cohort))
        share_axis(ax, 1.15 * told["high"].max(), say("Share active on day {n}", n=day))
        title = say("{share} of joiners were active on day {n}", share=percent(total.value), n=day)
        text = (
            "{drawn} Active: at least one {deed} on that calendar day. Intervals are Wilson's. A blank: the day is "
            "not over."
        )
        deed = say("interaction or order") if self.study.count == "all" else say(self.study.count)
        note = say(text, drawn=self.study.drawn, deed=deed)
        kind = say("Share of each cohort active on the day, with intervals")
        return self.drawn(name, kind, title, rows, figure, note=note, units=SHARES)

    def parts(self) -> Iterator[Part]:
        """Yield the sentence, the picture of cohorts, and the table by cohort or segment."""
        text = "Rows of fewer than {k} members are added up with the one before."
        note = say(text, k=self.study.k_min)
        if self.by == "":
            yield say("There is no split: members have no column {column}.", column=SPLIT)
            return
        if self.by:
            caption = say("The same by {column}", column=self.by)
            yield Table("retention_by_segment", self.table, caption, note=note)
            return
        yield self.sentence
        yield self.figure()
        text = "Share active N days after joining (D1: one day), with interval and members, by {cohort}"
        yield Table("retention", self.table, say(text, cohort=self.cohort or say("all")), note=note)

    def findings(self) -> Iterator[Finding]:
        """Yield retention on the last day asked for."""
        total, day = self.total(), self.days[-1]
        yield finding(
            total,
            id="retention.day_n",
            metric=say("joiners active on day {n}", n=day),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say("what is not recorded did not happen"),
            direction="up is good",
            systems=("S024",),
            headline=say("{share} of joiners are active on day {n}", share=percent(total.value, 0), n=day),
            n_of="joiners",
            definition="day_n",
            picture="retention_trend",
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
        Column of the population that makes segments instead of cohorts, or ``auto``, see :func:`split_of`; a missing
        value is the segment ``not stated``.

    Raises
    ------
    BadData
        When a column is missing.
    """
    asked, cohort = tuple(sorted(set(days))), None if by else cohort
    by = split_of(study, by) if by else None
    key = SEGMENT if by else ("cohort" if cohort else None)
    wide = _counts(study, asked, definition, cohort, by)
    rows = wide
    if cohort:
        # Cohorts of whom the log covers nobody have nothing to be told.
        covered = wide.filter(regex="^(eligible|immature)_").sum(axis=1) > 0
        rows = wide[covered].sort_values("cohort")
        rows = rows.assign(cohort=pd.to_datetime(rows["cohort"]).dt.strftime(COHORTS[cohort][1]))
    if by:
        rows = wide.sort_values(["starts", SEGMENT], ascending=[False, True])
    cells = _cells(pooled(rows, key, study.k_min) if key else wide, study)
    totals = _cells(wide.drop(columns=key or []).sum().to_frame().T, study)
    return DayN(study, cells, totals, asked, key, cohort, by)


def split_of(study: Study, column: str) -> str:
    """Return the column by which members are split; ``auto`` is :data:`SPLIT` where it is there, else nothing."""
    if column == "auto":
        return SPLIT if SPLIT in study.population.columns else ""
    require_columns(study.population, [column], "members")
    return column


def _counts(
    study: Study, days: Sequence[int], definition: str, cohort: str | None, by: str | None
) -> pd.DataFrame:
    """Return one row per cohort or segment (one without): the key, starts, and counts of each day N.

    For each N: ``eligible_N`` (day N was observed), ``immature_N`` (it will be), ``retained_N`` (it was observed and
    the member was active).
    """
    joined = study.population
    joined = joined.filter(joined.joined_day <= ibis.date(study.as_of))
    keys = {"cohort": joined.joined_day.truncate(COHORTS[cohort][0])} if cohort else {}
    keys |= {SEGMENT: joined[by].cast("string").fill_null(NOT_STATED)} if by else {}
    joined = joined.select("member_id", joined=day_number(joined.joined_day), **keys)
    held = joined.select("member_id", "joined").inner_join(study.spells, "member_id")
    after = held["at"] - held.joined
    inside = {n: after == n if definition == "on" else after >= n for n in days}
    hits = held.group_by("member_id").agg(**{f"hit_{n}": each.any() for n, each in inside.items()})
    found = joined.left_join(hits, "member_id").drop("member_id_right")
    sums: dict[str, ibis.Value] = {"starts": found.count()}
    for n in days:
        seen = found.joined + n >= number_of(study.began or study.as_of)
        ripe = found.joined + n <= number_of(study.as_of)
        flags = (seen & ripe, seen & ~ripe, seen & ripe & found[f"hit_{n}"].fill_null(False))
        sums |= {f"{name}_{n}": flag.sum() for name, flag in zip(COUNTED, flags, strict=True)}
    wide = (found.group_by(*keys).agg(**sums) if keys else found.aggregate(**sums)).to_pandas()
    wide = wide.astype(dict.fromkeys(sums, "float64"))
    return wide.fillna(dict.fromkeys(sums, 0.0)).astype(dict.fromkeys(sums, "int64"))  # sums over no rows


def pooled(wide: pd.DataFrame, key: str, k_min: int) -> pd.DataFrame:
    """Return rows added up with the one before, until each holds nobody or at least `k_min` members on every day.

    Parameters
    ----------
    wide : pandas.DataFrame
        One row per group, in order: the key, and counts, of which those that begin with ``eligible_`` are told.
    key : str
        Column that names a group.
    k_min : int
        Smallest number of members that may be shown. Days on which all rows together hold fewer are not looked at.
    """
    told = wide.filter(regex="^eligible_")
    counts = told.loc[:, told.sum() >= k_min].to_numpy()
    groups = [[place] for place in range(len(wide))]
    while len(groups) > 1:
        sizes = np.array([counts[group].sum(axis=0) for group in groups])
        small = np.flatnonzero(((sizes > 0) & (sizes < k_min)).any(axis=1))
        if not small.size:
            break
        last = max(int(small[-1]), 1)
        groups[last - 1] += groups.pop(last)
    numbers, names = wide.drop(columns=key), wide[key].tolist()
    rows = [numbers.iloc[group].sum().to_dict() | {key: _name(names, key, group)} for group in groups]
    return pd.DataFrame(rows, columns=wide.columns)


def _name(names: Sequence[str], key: str, group: Sequence[int]) -> str:
    """Return the name of groups that were added up."""
    first, last = names[group[0]], names[group[-1]]
    if len(group) == 1:
        return first
    if key == "cohort":
        return say("{first} to {last}", first=first, last=last)
    text = "{first} and {last}" if len(group) == 2 else "{first} and {k} smaller"
    return say(text, first=first, last=last, k=len(group) - 1)


def _cells(wide: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return one row per row of counts and day, with shares, intervals and the reason of every blank one."""
    long = pd.wide_to_long(wide.reset_index(drop=True).reset_index(), COUNTED, i="index", j="day", sep="_")
    long = long.reset_index().sort_values(["index", "day"], ignore_index=True).drop(columns="index")
    # Of few there is a number of members, and no share.
    known = long["eligible"] >= max(study.k_min, 1)
    low, high = (
        np.where(known, part, np.nan) for part in wilson(long["retained"], long["eligible"], study.confidence)
    )
    share = (long["retained"] / long["eligible"].where(known)).astype(float)
    unobserved = long["starts"] - long["eligible"] - long["immature"]
    long = long.assign(unobserved=unobserved, share=share, low=low, high=high)
    return long.assign(text=[_in_words(row, study) for _place, row in long.iterrows()])


def _in_words(row: Any, study: Study) -> str:
    """Return the share of a cell with its interval, or why there is none."""
    if row["eligible"]:
        found = estimate_of(row, row["eligible"], "Wilson score", study.confidence)
        return with_interval(found) if found.known else people(found.n, study.k_min)
    if row["immature"]:
        return say("day {n} is not over by {day}", n=row["day"], day=study.as_of)
    return say("begins before the log, {day}", day=study.began) if row["starts"] else say("no members")
