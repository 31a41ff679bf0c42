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

Which rows may not be shown
---------------------------
Days count nearly the same members, so a number that is blanked on one day is read off the next. A row is therefore
shown on all days or on none. When the hidden rows of a day could be solved for from the total over all rows, because
there is only one or because they hold fewer than `k_min` members together, the smallest other row is hidden as well
(complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control), once for all days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.figures import BLUE, Chart, NoChart, new_figure
from helpers.methods.retention.plots import SHARES, share_axis
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result, kept_back
from helpers.sentences import percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, wilson
from helpers.study import Study
from helpers.study.days import day_number, number_of
from helpers.study.frames import NOT_STATED, require_columns
from helpers.tables import Table

SEGMENT = "_segment"
"""The column of segments while it is counted: a name that no table of a user's has."""
COHORTS = {"week": "W", "month": "M"}


@dataclass(frozen=True, repr=False)
class DayN(Result):
    """Retention by cohort or segment, and day.

    Attributes
    ----------
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

    def figure(self) -> Chart | NoChart:
        """Draw the share active on the last day by cohort, with intervals; immature cohorts stay blank."""
        name, rows, phrase, total = "retention_trend", self.trend, self.phrase(self.days[-1]), self.total()
        drawn = rows.dropna(subset=["share"]).reset_index(drop=True)
        if len(drawn) < 2:
            return NoChart(say("Retention by cohort"), self.sentence, name)
        figure, ax = new_figure(7.2, 3.4)
        share, low, high = (drawn[column].astype(float) for column in ("share", "low", "high"))
        ax.vlines(drawn.index, low, high, color=BLUE, linewidth=2)
        ax.plot(drawn.index, share, "o-", color=BLUE, linewidth=1, markersize=6)
        ax.set_xticks(drawn.index, drawn["cohort"], rotation=45 if len(drawn) > 8 else 0)
        ax.set_xlabel(say("Joined in the {period} of", period=self.cohort))
        share_axis(ax, 1.15 * high.max(), say("Share active {phrase}", phrase=phrase))
        title = say("{share} of joiners were active {phrase}", share=percent(total.value), phrase=phrase)
        text = (
            "{drawn} Active: at least one {deed} on that calendar day. Intervals are Wilson's. A dash: the day is "
            "not over, or the cohort is kept back."
        )
        deed = say("interaction or order") if self.study.count == "all" else say(self.study.count)
        note = say(text, drawn=self.study.drawn, deed=deed)
        ends = drawn.iloc[[int(share.argmin()), int(share.argmax())]]
        worst, best = (
            say("{cohort} ({share})", cohort=row["cohort"], share=percent(row["share"]))
            for row in ends.to_dict("records")
        )
        text = "Share of each cohort active {phrase}, with intervals, from {worst} to {best}; all together {total}."
        alt = say(text, phrase=phrase, worst=worst, best=best, total=with_interval(total))
        return Chart(title, alt, rows, figure, note, SHARES, name)

    def parts(self) -> Iterator[Part]:
        """Yield the sentence, the picture of cohorts, and the table by cohort or segment."""
        note = kept_back(self.study.k_min)
        if self.by:
            yield Table(
                "retention_by_segment", self.table, say("The same by {column}", column=self.by), note=note
            )
            return
        yield self.sentence
        yield self.figure()
        text = "Share active N days after joining (D1: one day), with interval and members, by {cohort}"
        yield Table("retention", self.table, say(text, cohort=self.cohort or say("all")), note=note)

    def findings(self) -> Iterator[Finding]:
        """Yield retention on the last day asked for."""
        total, phrase = self.total(), self.phrase(self.days[-1])
        yield finding(
            total,
            id="retention.day_n",
            metric=say("joiners active {phrase}", phrase=phrase),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say("what is not recorded did not happen"),
            direction="up is good",
            systems=("S024",),
            headline=say(
                "{share} of joiners are active {phrase}", share=percent(total.value, 0), phrase=phrase
            ),
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
