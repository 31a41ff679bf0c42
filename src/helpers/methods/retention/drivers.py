"""What drives leaving, told from start to end: candidates, one model, whether its effects last, and the words.

1. Candidates (:mod:`covariates`): characteristics of members, or what they did in their first days.
2. As many of them, in their order, as the exits can carry: ten exits a parameter (Peduzzi et al. 1995).
3. One Cox model on grouped cells. Each of the m characteristics compared has an interval at level 1 - alpha / m
   (Bonferroni), so that all of them hold together, whichever is picked afterwards; a characteristic is named a
   driver when its interval leaves out one. Drivers come in the order of their evidence, |z|: ordered by size, rare
   levels would come first, whose ratios are large because they are uncertain.
4. The test of proportional hazards. Where an effect does not last, its hazard ratios by part of tenure are told.

Where everybody with a characteristic left, or nobody did, the data set no bound to its hazard ratio: the direction is
told, and the size is not.

   Whoever prefers ratios of times hands ``candidates(study).cells()`` to a fitter of lifelines, weighted by ``n``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from helpers.figures import BLUE, MUTED, Chart, NoChart, new_figure
from helpers.methods.retention.covariates import candidates
from helpers.methods.retention.plots import ratio_axis, rows_axis
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import number, people, percent, say, word
from helpers.stats.cox.folds import cross_fitted_concordance
from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.proportional import TENURE_BREAKS, proportional_hazards, tenure_effects
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study, enough
from helpers.tables import Table

# Names of columns that are not those a reader would use.
NAMES = {"platform_home": "home platform", "age_band": "age", "invited": "invited by a member"}
MOST_RATIOS = 12
RATIO = ("hazard_ratio", "simultaneous_low", "simultaneous_high")


@dataclass(frozen=True, repr=False)
class Drivers(Result):
    """The answer.

    Attributes
    ----------
    model : CoxModel
        The main model.
    table : pandas.DataFrame
        The summary of the model (low and high hold for each row alone) with simultaneous_low and
        simultaneous_high (hold for all rows together), p_bonferroni, and clear (the interval that holds for all
        leaves out one). Levels of fewer than k_min members have no row.
    proportionality : Proportionality
        Whether effects last.
    by_tenure : pandas.DataFrame
        Effects that do not last, for readers: characteristic, tenure, hazard_ratio, low, high, n, left.
    concordance : Estimate
        Of two members not seen by the model, how often it names the one who leaves first (cross-fitted).
    notes : tuple of str
        Who is not compared, and what is not looked at.
    landmark_day : int
        Tenure day from which members are looked at.
    """

    model: CoxModel
    table: pd.DataFrame
    unsteady: list[str]
    by_tenure: pd.DataFrame
    concordance: Estimate
    notes: tuple[str, ...]
    landmark_day: int

    @property
    def named(self) -> pd.DataFrame:
        """The drivers: rows whose simultaneous interval leaves out one, those with the most evidence first."""
        clear = self.table[self.table["clear"]]
        return clear.sort_values("z", key=abs, ascending=False, kind="stable", ignore_index=True)

    @property
    def tested(self) -> int:
        """How many characteristics were compared."""
        return int(self.table["p_bonferroni"].notna().sum())

    @property
    def sentences(self) -> list[str]:
        """The story: the model, each driver with its simultaneous interval, whether effects last, and the notes."""
        text = (
            "Effects that were seen to change with tenure ({n} exits): {names}. One hazard ratio for all days is an "
            "average of different ones there: use the table by tenure."
        )
        names = ", ".join(f"“{name_of(one)}”" for one in self.unsteady)
        if not names:
            text = "No effect was seen to change with tenure ({n} exits)."
        lasting = say(text, names=names, n=number(self.model.events_))
        told = (hazard_sentence(row, self.study.k_min) for row in self.named.to_dict("records"))
        return [self.sentence, *told, lasting, *self.notes]

    @property
    def sentence(self) -> str:
        """How many drivers there are among how many compared, and how well they tell members apart."""
        model, found = self.model, self.concordance
        text = (
            "{k} of {tried} characteristics go with leaving faster or slower from day {day} of tenure on ({n} "
            "members, {events} left); intervals hold for all {tried} at once ({level} together, Bonferroni). Of two "
            "members it has not seen, the model names the one who leaves first in {c} of 100 cases ({low} to {high}; "
            "50 is chance). {why}"
        )
        if not self.tested:
            text = "What drives leaving among {n} members ({events} left): too little data. {why}"
        c, low, high = (number(100 * part, 0) for part in found[:3])
        n, events = (people(int(each), self.study.k_min) for each in (model.n_, model.events_))
        return say(
            text, k=len(self.named), tried=self.tested, day=self.landmark_day, n=n, events=events,
            level=percent(model.confidence, 0), c=c, low=low, high=high,
            why=model.message_,
        ).strip()  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw hazard ratios on a log scale, with intervals that hold for all at once: drivers on top."""
        rows = self.table[~self.table["penalised"].astype(bool)].drop(columns=["low", "high"])
        rows = rows.rename(columns={"simultaneous_low": "low", "simultaneous_high": "high"})
        rows = rows.dropna(subset=["hazard_ratio", "low", "high"])
        if rows.empty:
            return NoChart(say("What goes with leaving"), self.sentence, "drivers")
        rows = rows.assign(evidence=rows["z"].abs(), characteristic=rows["covariate"].map(name_of))
        drawn = (
            rows.sort_values(["clear", "evidence"], kind="stable").tail(MOST_RATIOS).reset_index(drop=True)
        )
        text = (
            "{drawn} From day {day} of tenure. Intervals hold for all at once. Association, not cause. The {k} "
            "of {m} with the most evidence are drawn."
        )
        note = say(text, drawn=self.study.drawn, day=self.landmark_day, k=len(drawn), m=len(rows))
        columns = ["characteristic", "reference", "hazard_ratio", "low", "high", "n", "events"]
        shown = drawn[::-1].reset_index(drop=True)[columns]
        few = shown["events"].between(1, self.study.k_min - 1)
        shown["events"] = shown["events"].astype("Int64").mask(few)
        shown = shown.rename(columns={"reference": "against", "events": "left"})
        kind = say("Hazard ratios of leaving, with intervals")
        return self.drawn("drivers", kind, self.title, shown, _ratios(drawn), note=note)

    @property
    def title(self) -> str:
        """The clearest driver in words: ``Members with “source = search” leave slower than those with “ad”``."""
        if self.named.empty:
            return say("Nothing tells leavers from stayers clearly")
        row = self.named.iloc[0].to_dict()
        text = "Members with “{name}” leave slower than {others}"
        if row["hazard_ratio"] > 1:
            text = "Members with “{name}” leave faster than {others}"
        return say(text, name=name_of(row["covariate"]), others=others(row))

    def parts(self) -> Iterator[Part]:
        """Yield the clearest driver and the picture; then how it was found, the others, and what does not last."""
        (first, *rest), clearest = self.sentences, min(1, len(self.named))
        yield from rest[:clearest]
        yield self.figure()
        yield from (first, *rest[clearest:])
        caption = say("Hazard ratios by part of tenure; each interval holds alone")
        if len(self.by_tenure):
            yield Table("by_tenure", self.by_tenure, caption, members="n", within=("characteristic",))

    def findings(self) -> Iterator[Finding]:
        """Yield the hazard ratio of the characteristic with the clearest evidence, its members and their exits.

        The interval holds for all compared at once, so that picking the clearest does not make it too narrow.
        """
        confidence, named = self.model.confidence, self.named
        estimate, text = unknown(int(self.model.n_), "ratio", confidence), self.sentence
        metric = say("hazard ratio of leaving")
        if len(named):
            row = named.iloc[0]
            text = self.sentences[1]
            metric = say("hazard ratio of leaving: {name}", name=name_of(row["covariate"]))
            value, low, high = (float(row[name]) for name in RATIO)
            method = say("Cox model (Efron), Bonferroni over {k}", k=self.tested)
            estimate = Estimate(value, low, high, int(row["n"]), "ratio", method, confidence)
            if row["penalised"]:
                estimate = unknown(estimate.n, "ratio", confidence)
        yield finding(
            estimate,
            id="retention.strongest_driver",
            metric=metric,
            scope=self.study.scope,
            sentence=text,
            assumption=say("association: what goes with leaving need not cause it"),
            systems=("S029", "S030"),
            headline=self.title[:1].lower() + self.title[1:],
            definition="hazard_ratio",
            picture="drivers",
        )


def drivers(study: Study, columns: Sequence[str] | None = None, *, landmark_day: int = 0) -> Drivers:
    """Find what goes with leaving.

    Parameters
    ----------
    study : Study
        Its confidence is that at which the intervals of all characteristics hold together, and that of the test
        whether effects last.
    columns : sequence of str, optional
        Columns of members, the most important first; by default those of
        :data:`helpers.methods.retention.covariates.KNOWN_AT_JOINING`. What is filled later may be had by those who
        stay only.
    landmark_day : int
        With 7, what members did in their first 7 days is looked at too, from day 7 on; needs a table of events.
    """
    found = candidates(study, columns, landmark_day=landmark_day)
    cells, level = found.cells(), study.confidence
    kept, dropped = _affordable(cells, found.names)
    model = CoxModel(kept, confidence=level).fit(cells)
    test = proportional_hazards(model)
    unsteady = test.loc[test["p_holm"] < 1 - level, "covariate"].tolist()
    table = model.simultaneous(study.k_min)
    breaks = [0, *(day for day in TENURE_BREAKS if day > found.landmark_day)]
    changing = table.loc[table["covariate"].isin(unsteady), "variable"].drop_duplicates()
    parts = [tenure_effects(cells, model, name, breaks=breaks) for name in changing]
    apart = unknown(model.n_, "share", level)
    if kept:
        apart = cross_fitted_concordance(cells, kept, seed=study.seed, confidence=level)
    notes = (found.note, *dropped)
    return Drivers(study, model, table, unsteady, _by_tenure(parts), apart, notes, found.landmark_day)


def _ratios(drawn: pd.DataFrame) -> Figure:
    figure, ax = new_figure(7.2, 0.36 * len(drawn) + 1.3)
    for mask, colour, face in ((drawn["clear"], BLUE, BLUE), (~drawn["clear"], MUTED, "white")):
        part = drawn[mask]
        ax.hlines(part.index, part["low"], part["high"], color=colour, linewidth=2)
        ax.plot(part["hazard_ratio"], part.index, "o", color=colour, markerfacecolor=face, markersize=6)
    rows_axis(ax, drawn["characteristic"].tolist(), nothing=1)
    ratio_axis(ax, drawn["low"].min(), drawn["high"].max())
    ax.set_xlabel(say("Times as fast to leave (filled: clear after correction)"))
    return figure


def _affordable(cells: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the first characteristics that ten exits a parameter allow, and a note on those left out.

    The order is the reader's, never that of the effects: choosing by effect would find drivers in noise.
    """
    exits, kept = int(cells["events"].sum()), list[str]()
    left = budget = exits // enough.EXITS_PER_PARAMETER
    for name in names:
        size = max(cells[name].nunique(dropna=False) - 1, 1)
        if size <= left:
            kept.append(name)
            left -= size
    dropped = ", ".join(name_of(name) for name in names if name not in kept)
    text = "{events} exits carry no more than {k} parameters; not looked at: {names}."
    return kept, [say(text, events=number(exits), k=budget, names=dropped)] if dropped else []


def _by_tenure(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return effects by part of tenure under the names that readers get."""
    if not parts:
        return pd.DataFrame()
    names = {"covariate": "characteristic", "tenure_part": "tenure", "events": "left"}
    found = pd.concat(parts, ignore_index=True).rename(columns=names)
    found = found[[*names.values(), "n", "hazard_ratio", "low", "high"]]
    return found.assign(characteristic=found["characteristic"].map(name_of))


def name_of(covariate: Any) -> str:
    """Return the name of a covariate for readers: ``platform_home=weibo -> 'home platform = weibo'``."""
    variable, equals, level = str(covariate).partition("=")
    name = word(NAMES.get(variable, variable.replace("_", " ")))
    if variable.startswith("early_"):
        name = say("early {action}", action=variable.removeprefix("early_").replace("_", " "))
    return say("{name} = {level}", name=name, level=level) if equals else name


def hazard_sentence(row: Mapping[Any, Any], k_min: int) -> str:
    """Return a driver, a row of :attr:`Drivers.named`, as a sentence."""
    ratio, low, high = (number(row[name]) for name in RATIO)
    text = (
        "Members with “{name}” leave {ratio} times as fast as {others} ({low} to {high}), all else equal (n "
        "= {n}, {events} left); association, not cause."
    )
    if row["penalised"]:
        text = "Members with “{name}” leave slower than {others}: none of these {n} left, so no ratio can be stated."
        if row["hazard_ratio"] > 1:
            text = (
                "Members with “{name}” leave faster than {others}: how many times is too large to state, as none of "
                "the others left, or all of these at once (n = {n}, {events} left); association, not cause."
            )
    return say(
        text, name=name_of(row["covariate"]), ratio=ratio, low=low, high=high, n=number(row["n"]),
        events=people(int(row["events"]), k_min), others=others(row),
    )  # fmt: skip


def others(row: Mapping[Any, Any]) -> str:
    """Return whom the members of a row are compared with: those with the reference level, or without the flag."""
    return say("those with “{reference}”", reference=row["reference"]) if row["reference"] else say("others")
