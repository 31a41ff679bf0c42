"""How long members stay: survival curves of everybody and by segment, and when in their tenure they leave fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers.data import privacy
from helpers.figures import ACCENTS, Chart, NoChart, new_figure
from helpers.methods.retention.day_n import split_of
from helpers.methods.retention.plots import SHARES, name_ends, share_axis
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import number, people, percent, say, with_interval
from helpers.stats.estimate import unknown
from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import LogRank, logrank
from helpers.stats.survival.curves import SurvivalCurves, survival
from helpers.stats.survival.durations import exit_durations
from helpers.stats.survival.hazard import hazard_by_part
from helpers.study import Study, enough
from helpers.tables import Table

if TYPE_CHECKING:
    from lifelines import KaplanMeierFitter  # half a second, which only those wait for who go on by hand

PARTS = (0, 7, 30, 90, 365)
"""First days of the parts of tenure; the last part is open."""

PER = 1_000
STYLES = ("-", "--", "-.", ":")
MOST_CURVES = len(ACCENTS)
MARKS = (7, 30, 90, 365)
MOST_POINTS = 90
"""More points of a curve than a reader can tell apart only make the page heavy."""
RATES = ("hazard", "low", "high")


def exit_cells(study: Study, *by: str) -> pd.DataFrame:
    """Return the stays of all members by segment as cells; who joined before the log began enters late."""
    stays = exit_durations(study.population, as_of=study.as_of, observed_from=study.began)
    return cells(stays.mutate(**{name: stays[name].cast("string") for name in by}), by)


@dataclass(frozen=True, repr=False)
class Staying(Result):
    """How long members stay until they leave on record.

    Attributes
    ----------
    everybody, segments : SurvivalCurves
        One curve of all members, and one for each segment; the same without segments.
    test : LogRank or None
        Whether the segments differ; None without segments.
    """

    everybody: SurvivalCurves
    segments: SurvivalCurves
    test: LogRank | None

    @property
    def sentence(self) -> str:
        """How many left and how long half of them stayed, or what is known instead; and whether segments differ."""
        if self.test is None or not self.everybody.events:
            return self._stay()
        return f"{self._stay()} {self._difference(self.test)}"

    @property
    def table(self) -> pd.DataFrame:
        """Medians and restricted means by segment, ready to be shown.

        segment, n, events, seen_from_day (only when above 0 somewhere: nobody was seen before that day of
        tenure, so that medians and means are missing), median_days (in words, with the interval), horizon, mean_days,
        mean_low, mean_high (days out of the first `horizon`).
        """
        late = ["seen_from_day"] if self.segments.summary["from_day"].gt(0).any() else []
        medians = self.segments.summary.rename(columns={"from_day": "seen_from_day"})
        words = [_median(row) for row in medians.to_dict("records")]
        means = self.segments.restricted_mean()[["horizon", "mean", "low", "high"]]
        means = means.rename(columns={"mean": "mean_days", "low": "mean_low", "high": "mean_high"})
        found = medians[["segment", "n", "events", *late]].assign(median_days=words).join(means)
        kept = [str(name) for name in found.columns if name not in ("segment", "n", "horizon")]
        return privacy.suppress(found, "n", self.study.k_min, kept)

    @property
    def shown(self) -> list[str]:
        """The segments that may be shown: with `k_min` members, and no other solved for from the total."""
        kept = privacy.suppress(self.segments.summary[["segment", "n"]], "n", self.study.k_min, [])
        return kept.loc[kept["n"].notna(), "segment"].tolist()

    def to_lifelines(self) -> dict[str, KaplanMeierFitter]:
        """Return a fitter of lifelines for each segment, to go on with by hand."""
        return {name: self.segments.to_lifelines(name) for name in self.segments.summary["segment"]}

    def figure(self) -> Chart | NoChart:
        """Draw the survival of each segment with its band; the four largest segments when there are more."""
        curves, summary = self.segments, self.segments.summary
        # A curve that begins on a later day is one of those still here then, and no share of all who joined.
        known = curves.table[(curves.table["from_day"] == 0) & curves.table["survival"].notna()]
        told = set(self.shown) & set(known["segment"]) if self.everybody.events else set()
        summary = summary[(summary["last_day"] >= 7) & summary["segment"].isin(told)]
        largest = summary.sort_values(["n", "segment"], ascending=[False, True]).head(MOST_CURVES)
        shown, last = largest["segment"].tolist(), largest["last_day"].min()
        marked = curves.at([day for day in MARKS if shown and day <= last])
        data = marked[marked["segment"].isin(shown) & marked["survival"].notna()]
        if data.empty:
            return NoChart(say("How long members stay"), self.sentence, "survival")
        day, notes = int(data["day"].max()), [say("Left: an exit on record. The table holds marked days.")]
        share = self.everybody.still_here(day)
        title = say("After {day} days {share} of all are still here", day=day, share=percent(share.value))
        title = title if share.known else say("How long members stay")
        if len(summary) > len(shown):
            notes.append(say("Largest {k} of {m} segments.", k=len(shown), m=len(summary)))
        data = data[["segment", "day", "at_risk", "survival", "low", "high"]].reset_index(drop=True)
        kind, note = say("Falling survival curves with bands"), " ".join([self.study.drawn, *notes])
        return self.drawn("survival", kind, title, data, _curves(known, shown), note=note, units=SHARES)

    def tables(self) -> Iterator[Table]:
        """Yield the table by segment, where anybody is known to have left."""
        if not self.everybody.events:
            return
        caption = say("Days stayed: half are gone by the median; means of the days up to the horizon")
        yield Table("by_segment", self.table, caption)

    def findings(self, day: int = 90) -> Iterator[Finding]:
        """Yield the share still here on a day of tenure; n are those watched on any day until then."""
        estimate, sentence = self.everybody.still_here(day), self.sentence
        if not self.everybody.events:
            estimate = unknown(estimate.n, "share", estimate.confidence)
        else:
            text = "Still here at the end of day {day}: {share} of the members watched on some day until then. {more}"
            sentence = say(text, day=day, share=with_interval(estimate), more=self._stay())
        yield finding(
            estimate,
            id="retention.stay",
            metric=say("not left by day {day}", day=day),
            scope=self.study.scope,
            sentence=sentence,
            assumption=say("who joined later leaves like who joined before at the same tenure"),
            direction="up is good",
            systems=("S025",),
            headline=say("{share} have not left after {day} days", share=percent(estimate.value, 0), day=day),
            definition="left",
            picture="survival",
        )

    @property
    def smallest(self) -> int:
        """The members watched."""
        return self.everybody.n

    def _stay(self) -> str:
        curves, row = self.everybody, self.everybody.summary.iloc[0]
        if not curves.events:
            return say(
                "How long {n:,} members stay is not observed: no exit is on record, be it that leaving is not "
                "recorded or that nobody left.",
                n=curves.n,
            )
        text = "Of {n:,} members, {left} left while they were watched. Median stay in days: {median}."
        return say(text, median=_median(row), n=curves.n, left=people(curves.events, self.study.k_min))

    def _difference(self, test: LogRank) -> str:
        p, k = test.p_value, test.segments
        if not np.isfinite(p):
            return say("Whether the {k} segments differ in how long members stay: too little data.", k=k)
        return say(
            "Do the {k} segments differ in how long members stay: {verdict} (log-rank test, χ² = {chi} on {df}, p "
            "{p}, n = {n:,}).",
            k=k, verdict=say("yes" if p < 1 - self.everybody.confidence else "not clearly"),
            chi=number(test.chi_square, 1), df=test.degrees_of_freedom, n=test.n,
            p="< 0.001" if p < 0.001 else f"= {number(p, 3)}",
        )  # fmt: skip


def _median(row: Any) -> str:
    """Return the days after which half are gone, with interval; what was not reached is longer than was seen."""
    longer = say("longer than the {n:,} seen", n=int(row["last_day"]))
    if np.isinf(row["median"]) or not row["events"]:
        return longer
    if np.isnan(row["median"]):
        return say("too little data")
    high = longer if np.isinf(row["high"]) else number(row["high"])
    return say("{median} ({low} to {high})", median=number(row["median"]), low=number(row["low"]), high=high)


def _curves(known: pd.DataFrame, shown: Sequence[str]) -> Figure:
    """Draw the curve and band of each segment, its name at its end."""
    figure, ax = new_figure(7.2, 4.0)
    ends = []
    for segment, colour, style in zip(shown, ACCENTS, STYLES, strict=False):
        rows = known[known["segment"] == segment]
        ends.append((float(rows["survival"].iloc[-1]), float(rows["day"].iloc[-1]), str(segment), colour))
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int))]
        ax.step(rows["day"], rows["survival"], where="post", color=colour, linestyle=style, linewidth=1.8)
        low, high = rows["low"].astype(float), rows["high"].astype(float)
        ax.fill_between(rows["day"], low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    name_ends(ax, ends if len(shown) > 1 else [])
    ax.set(xlim=(0, None), xlabel=say("Days since joining"))
    share_axis(ax, 1.02, say("Share of members still here"))
    return figure


def staying(study: Study, by: str | None = None) -> Staying:
    """Return how long members stay until they leave on record.

    Parameters
    ----------
    study : Study
        With members; who joined before the log began is watched from then on.
    by : str, optional
        Column of members whose values get a curve each, or ``auto``: ``source`` where it is there.
    """
    by = split_of(study, by) if by else None
    found = exit_cells(study, *([by] if by else []))
    everybody = survival(found, None, study.confidence)
    segments, test = everybody, None
    if by:
        segments, test = survival(found, by, study.confidence), logrank(found, by)
    return Staying(study, everybody, segments, test)


@dataclass(frozen=True, repr=False)
class ExitHazard(Result):
    """Exits per 1,000 member-days, by part of tenure.

    Attributes
    ----------
    counts : pandas.DataFrame
        One row per part: part ("days 0–6"), members (watched on some day of the part), exits, member_days (int),
        hazard, low, high (exits per 1,000 member-days; missing where nobody was watched).
    p_value : float
        That the highest part is not above each of the others, corrected for their number; missing with fewer than
        two parts in which at least 10 members were watched, or without an exit.
    """

    counts: pd.DataFrame
    p_value: float

    @property
    def ranked(self) -> pd.DataFrame:
        """The parts of which something may be said, those with the highest hazard first."""
        known = self.counts[self.counts["members"] >= enough.MEMBERS_OF_A_PART]
        return known.sort_values("hazard", ascending=False, kind="stable", ignore_index=True)

    @property
    def highest(self) -> str | None:
        """The part with the clearly highest hazard; None when that is not clear."""
        return str(self.ranked["part"].iloc[0]) if self.p_value <= 1 - self.study.confidence else None

    @property
    def sentence(self) -> str:
        """In which part members leave fastest, or that it is not clear, or that there is too little data."""
        if np.isnan(self.p_value):
            return say("On which days of tenure members leave fastest: too little data.")
        text = "{part} with {hazard} exits per 1,000 member-days ({low} to {high})"
        first, second = (
            say(text, part=row["part"], **{name: number(row[name]) for name in RATES})
            for row in self.ranked.head(2).to_dict("records")
        )
        text = "Members leave fastest on {first}; next highest is {second}: {clear}."
        clear = "a clear difference" if self.highest else "no clear difference, so it may be another part"
        return say(text, first=first, second=second, clear=say(clear))

    def tables(self) -> Iterator[Table]:
        """Yield the counts, where anybody is known to have left."""
        if not self.counts["exits"].any():
            return
        caption = say("Exits per 1,000 member-days by part of tenure (exact Poisson intervals, each alone)")
        yield Table("exit_hazard", self.counts, caption, members="members")


def exit_hazard(study: Study) -> ExitHazard:
    """Return exits per 1,000 member-days in the first week, month, quarter and year of tenure and later."""
    return hazard_of(study, exit_cells(study), PARTS)


def hazard_of(study: Study, cells: pd.DataFrame, parts: Sequence[int]) -> ExitHazard:
    """Return the exit hazard of cells in parts of tenure that begin on rising days; the last part has no end."""
    table, p_value = hazard_by_part(cells, parts, study.confidence)
    names = [say("days {first}–{last}", first=one, last=after - 1) for one, after in pairwise(parts)]
    names.append(say("days {first} and later", first=parts[-1]))
    table = table.assign(first=names, **table[list(RATES)] * PER).rename(columns={"first": "part"})
    return ExitHazard(study, table, p_value)
