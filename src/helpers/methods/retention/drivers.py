"""What drives leaving, told from start to end: candidates, one model, whether its effects last, and the words.

1. Candidates (:mod:`covariates`): characteristics of members, or what they did in their first days.
2. As many of them, in their order, as the exits can carry: ten exits a parameter (Peduzzi et al. 1995).
3. One Cox model on grouped cells. Each of the m characteristics compared has an interval at level 1 - alpha / m
   (Bonferroni), so that all of them hold together, whichever is picked afterwards; a characteristic is named a
   driver when its interval leaves out one. Drivers come in the order of their evidence, |z|: ordered by size, rare
   levels would come first, whose ratios are large because they are uncertain.
4. The test of proportional hazards. Where an effect does not last, its hazard ratios by part of tenure are told.
   Whoever prefers ratios of times hands ``candidates(study).cells()`` to a fitter of lifelines, weighted by ``n``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helpers.methods.retention.covariates import INVITED, candidates
from helpers.playbook.finding import Finding, finding
from helpers.sentences import number, percent, say
from helpers.stats.cox.folds import cross_fitted_concordance
from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.proportional import (
    TENURE_BREAKS,
    Proportionality,
    proportional_hazards,
    tenure_effects,
)
from helpers.stats.estimate import Estimate, unknown
from helpers.study import Study, enough

# What members did before the landmark: the words that follow "members who".
EARLY = {
    "early_reply": "got an early reply",
    "early_like": "liked something early",
    "early_reaction": "reacted to something early",
    "early_share": "shared something early",
    "early_repost": "reposted something early",
    "early_save": "saved something early",
    "early_follow": "followed somebody early",
    "early_vote": "voted early",
    "early_checkin": "checked in early",
    "early_task_done": "did a task early",
}
# Names of columns that are not those a reader would use.
NAMES = EARLY | {"platform_home": "home platform", "age_band": "age", "invited": "invited by a member"}


@dataclass(frozen=True)
class Drivers:
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
        Effects that do not last, for readers: characteristic, tenure, hazard_ratio, low, high, n, left; no numbers
        where fewer than k_min members were in a part.
    concordance : Estimate
        Of two members not seen by the model, how often it names the one who leaves first (cross-fitted).
    notes : tuple of str
        What was pooled, cut or not looked at.
    landmark_day : int
        Tenure day from which members are looked at.
    scope : str
        Whom the numbers are about.
    """

    model: CoxModel
    table: pd.DataFrame
    proportionality: Proportionality
    by_tenure: pd.DataFrame
    concordance: Estimate
    notes: tuple[str, ...]
    landmark_day: int
    scope: str

    @property
    def named(self) -> pd.DataFrame:
        """The drivers: rows whose simultaneous interval leaves out one, those with the most evidence first."""
        rows = self.table[self.table["clear"]]
        order = rows["z"].abs().sort_values(ascending=False, kind="stable").index
        return rows.loc[order].reset_index(drop=True)

    @property
    def tested(self) -> int:
        """How many characteristics were compared."""
        return int(self.table["p_bonferroni"].notna().sum())

    @property
    def sentences(self) -> list[str]:
        """The story: the model, each driver with its simultaneous interval, whether effects last, and the notes."""
        rows = self.named.assign(low=lambda t: t["simultaneous_low"], high=lambda t: t["simultaneous_high"])
        told = [hazard_sentence(row) for row in rows.to_dict("records")]
        return [self.sentence, *told, self._lasting(), *self.notes]

    @property
    def sentence(self) -> str:
        """How many drivers there are among how many compared, and how well they tell members apart."""
        model, values = self.model, {"n": number(self.model.n_), "events": number(self.model.events_)}
        if not self.tested:
            text = "What drives leaving among {n} members ({events} left): too little data. {why}"
            return say(text, **values, why=model.message_).strip()
        text = (
            "{k} of {tried} characteristics go with leaving faster or slower from day {day} of tenure on ({n} "
            "members, {events} left); intervals hold for all {tried} at once ({level} together, Bonferroni). "
            "{apart} {why}"
        )
        apart, found = "", self.concordance
        if found.known:
            apart = say(
                "Of two members it has not seen, the model names the one who leaves first in {c} of 100 cases "
                "({low} to {high}; 50 is chance).",
                c=number(100 * found.value, 0), low=number(100 * found.low, 0), high=number(100 * found.high, 0),
            )  # fmt: skip
        values |= {"k": str(len(self.named)), "tried": str(self.tested), "day": str(self.landmark_day)}
        return say(
            text, **values, level=percent(model.confidence, 0), apart=apart, why=model.message_
        ).strip()

    def _lasting(self) -> str:
        """Say whether one hazard ratio is fair for all days."""
        test, exits = self.proportionality, number(self.model.events_)
        text = (
            "No effect was seen to change with tenure ({n} exits), so one hazard ratio for all days is fair."
        )
        if test.unsteady:
            text = (
                "The effect of {names} changes with tenure ({n} exits), so one hazard ratio for all days is an "
                "average of different ones: use the table by tenure."
            )
        elif not test.table["p"].notna().any():
            text = "Whether effects last: too little data ({n} exits)."
        return say(text, names=", ".join(f"“{name_of(one)}”" for one in test.unsteady), n=exits)

    def finding(self) -> Finding:
        """State the hazard ratio of the characteristic with the clearest evidence, its members and their exits.

        The interval holds for all compared at once, so that picking the clearest does not make it too narrow.
        """
        confidence, named = self.model.confidence, self.named
        estimate, text, whom = unknown(int(self.model.n_), "ratio", confidence), self.sentence, "–"
        if len(named):
            row = named.iloc[0]
            names = ("hazard_ratio", "simultaneous_low", "simultaneous_high")
            value, low, high = (float(row[name]) for name in names)
            method = say("Cox model (Efron), Bonferroni over {k}", k=self.tested)
            estimate = Estimate(value, low, high, int(row["n"]), "ratio", method, confidence)
            text, whom = self.sentences[1], who(row.to_dict())
        return finding(
            estimate,
            id="retention.strongest_driver",
            metric=say("hazard ratio of leaving: {who}", who=whom),
            scope=self.scope,
            sentence=text,
            assumption=say("association: what goes with leaving need not cause it"),
            systems=("S029", "S030"),
        )


def drivers(study: Study, columns: Sequence[str] | None = None, *, landmark_day: int = 0) -> Drivers:
    """Find what goes with leaving.

    Parameters
    ----------
    study : Study
        With members; events for the day the record begins and for a landmark. Its confidence is that at which the
        intervals of all characteristics hold together, and that of the test whether effects last.
    columns : sequence of str, optional
        Columns of members, the most important first; by default those of
        :data:`helpers.methods.retention.covariates.KNOWN_AT_JOINING`. Others come with a caution, because what is
        filled later may be had by those who stay only.
    landmark_day : int
        With 7, what members did in their first 7 days is looked at too, from day 7 on.
    """
    found = candidates(study, columns, landmark_day=landmark_day)
    cells, level = found.cells(), study.confidence
    kept, dropped = _affordable(cells, found.names)
    model = CoxModel(kept, confidence=level).fit(cells)
    test = proportional_hazards(model, level=1 - level)
    table = _judged(model, study.k_min)
    breaks = [0, *(day for day in TENURE_BREAKS if day > landmark_day)]
    unsteady = table.loc[table["covariate"].isin(test.unsteady), "variable"].drop_duplicates()
    parts = [tenure_effects(cells, model, name, breaks=breaks) for name in unsteady]
    apart = unknown(model.n_, "share", level)
    if kept:
        apart = cross_fitted_concordance(cells, kept, seed=study.seed, confidence=level)
    notes = (*found.notes, *dropped)
    return Drivers(
        model, table, test, _by_tenure(parts, study.k_min), apart, notes, landmark_day, study.scope
    )


def _affordable(cells: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the first characteristics that ten exits a parameter allow, and a note on those left out.

    The order is the reader's, never that of the effects: choosing by effect would find drivers in noise.
    """
    exits = int(cells["events"].sum())
    budget = exits // enough.EXITS_PER_PARAMETER
    kept: list[str] = []
    left = budget
    for name in names:
        size = max(cells[name].nunique(dropna=False) - 1, 1)
        if size <= left:
            kept.append(name)
            left -= size
    dropped = ", ".join(name_of(name) for name in names if name not in kept)
    text = "{events} exits carry no more than {k} parameters; not looked at: {names}."
    return kept, [say(text, events=number(exits), k=budget, names=dropped)] if dropped else []


def _by_tenure(parts: Sequence[pd.DataFrame], k_min: int) -> pd.DataFrame:
    """Return effects by part of tenure for readers, without numbers of fewer than `k_min` members."""
    names = {"covariate": "characteristic", "tenure_part": "tenure", "events": "left"}
    numbers = ["hazard_ratio", "low", "high", "n", "left"]
    found = pd.concat(parts, ignore_index=True).rename(columns=names) if parts else pd.DataFrame()
    found = found.reindex(columns=["characteristic", "tenure", *numbers])
    found[numbers] = found[numbers].where(found["n"] >= k_min)
    return found.assign(characteristic=found["characteristic"].map(name_of))


def _judged(model: CoxModel, k_min: int) -> pd.DataFrame:
    """Return the summary with intervals that hold together and whether they leave out one."""
    table = model.summary
    table = table[table["n"] >= k_min].reset_index(drop=True)
    tested = max(int(table["p"].notna().sum()), 1)
    alpha = 1 - model.confidence
    half = stats.norm.isf(alpha / (2 * tested)) * table["standard_error"]
    with np.errstate(over="ignore"):
        table["simultaneous_low"] = np.exp(table["log_hazard_ratio"] - half)
        table["simultaneous_high"] = np.exp(table["log_hazard_ratio"] + half)
    table["p_bonferroni"] = (tested * table["p"]).clip(upper=1.0)
    return table.assign(clear=table["p_bonferroni"] < alpha)


def name_of(covariate: Any) -> str:
    """Return the name of a covariate for readers: ``platform_home=weibo -> 'home platform = weibo'``."""
    variable, equals, level = str(covariate).partition("=")
    name = say(NAMES.get(variable, variable.replace("_", " ")))
    return f"{name} = {level}" if equals else name


def joining_word(row: Mapping[Any, Any]) -> str:
    """Return the word between members and their level: ``from`` a source, else ``with``."""
    return "from" if row["variable"] == "source" else "with"


def who(row: Mapping[Any, Any]) -> str:
    """Return whom a row of a summary speaks of: ``members from search``."""
    variable, name = str(row["variable"]), name_of(row["variable"])
    if row["kind"] == "level" and variable == "source":
        return say("members from {level}", level=row["level"])
    if row["kind"] == "level":
        return say("members with {name} = {level}", name=name, level=row["level"])
    if variable == INVITED:
        return say("members invited by a member")
    return say("members who {deed}" if variable in EARLY else "members with {deed}", deed=name)


def hazard_sentence(row: Mapping[Any, Any]) -> str:
    """Return a row of :attr:`helpers.stats.cox.model.CoxModel.summary` as a sentence."""
    whom = who(row)
    values = {"who": whom[:1].upper() + whom[1:], "n": number(row["n"]), "events": number(row["events"])}
    if not all(math.isfinite(row[name]) for name in ("hazard_ratio", "low", "high")):
        return say("{who}: too little data (n = {n}, {events} left).", **values)
    text = "{who} leave {ratio} times as fast as the others ({low} to {high}), all else equal"
    if row["kind"] == "level":
        text = (
            "{who} leave {ratio} times as fast as those {word} {reference} ({low} to {high}), all else equal"
        )
    text += " (n = {n}, {events} left)"
    text += ": no clear difference." if row["low"] <= 1 <= row["high"] else "; association, not cause."
    return say(
        text, **values, ratio=times(row["hazard_ratio"]), low=times(row["low"]), high=times(row["high"]),
        word=joining_word(row), reference=row["reference"],
    )  # fmt: skip


def times(ratio: float) -> str:
    """Return a ratio with two or three digits: ``0.64``, ``1.60``, ``12``; ``over 1,000`` where it says no more."""
    if ratio > 1000:
        return say("over {n}", n=number(1000))
    if ratio < 0.01:
        return say("under {n}", n=number(0.01)) if ratio < 0.001 else number(ratio, 3)
    return number(ratio, 2 if ratio < 10 else 0)
