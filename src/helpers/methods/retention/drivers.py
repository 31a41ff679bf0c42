"""What drives leaving, told from start to end: candidates, one model, whether its effects last, and the words.

1. Candidates (:mod:`covariates`): characteristics of members, or what they did in their first days.
2. As many of them, in their order, as the exits can carry: ten exits a parameter (Peduzzi et al. 1995).
3. One Cox model on grouped cells. Each of the m characteristics compared has an interval at level 1 - alpha / m
   (Bonferroni), so that all of them hold together, whichever is picked afterwards; a characteristic is named a
   driver when its interval leaves out one. Drivers come in the order of their evidence, |z|: ordered by size, rare
   levels would come first, whose ratios are large because they are uncertain.
4. The test of proportional hazards. Where an effect does not last, its hazard ratios by part of tenure are shown.
   Whoever prefers ratios of times hands ``candidates(...).cells()`` to a fitter of lifelines, with ``n`` as weights.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helpers.data.source import Dataset
from helpers.methods.retention.covariates import Candidates, candidates
from helpers.sentences import number, percent, say
from helpers.stats.cox.folds import cross_fitted_concordance
from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.proportional import (
    TENURE_BREAKS,
    Proportionality,
    TenureEffects,
    proportional_hazards,
    tenure_effects,
)
from helpers.stats.cox.words import hazard_sentence, name_of
from helpers.stats.estimate import Estimate, unknown
from helpers.study.days import checked_confidence

EXITS_PER_PARAMETER = 10


@dataclass(frozen=True)
class Drivers:
    """The answer.

    Attributes
    ----------
    model : CoxModel
        The main model.
    table : pandas.DataFrame
        The summary of the model (low and high hold for each row alone) with simultaneous_low and
        simultaneous_high (hold for all rows together), p_bonferroni, steady (False where the effect changes with
        tenure) and verdict: "leave faster", "leave slower", "no clear difference" or "too little data". Levels of
        fewer than k_min members have no row.
    proportionality : Proportionality
        Whether effects last.
    by_tenure : tuple of TenureEffects
        One per characteristic whose effect does not last.
    concordance : Estimate
        Of two members not seen by the model, how often it names the one who leaves first (cross-fitted).
    left_out : pandas.DataFrame
        column, reason.
    notes : tuple of str
        What was pooled, binned or not looked at.
    landmark_day : int
        Tenure day from which members are looked at.
    """

    model: CoxModel
    table: pd.DataFrame
    proportionality: Proportionality
    by_tenure: tuple[TenureEffects, ...]
    concordance: Estimate
    left_out: pd.DataFrame
    notes: tuple[str, ...]
    landmark_day: int

    @property
    def named(self) -> pd.DataFrame:
        """The drivers: rows whose simultaneous interval leaves out one, those with the most evidence first."""
        rows = self.table[self.table["verdict"].isin(["leave faster", "leave slower"])]
        order = rows["z"].abs().sort_values(ascending=False, kind="stable").index
        return rows.loc[order].reset_index(drop=True)

    @property
    def tested(self) -> int:
        """How many characteristics were compared."""
        return int(self.table["p_bonferroni"].notna().sum())

    @property
    def driver_sentences(self) -> list[str]:
        """One sentence per driver, with its simultaneous interval."""
        rows = self.named.assign(low=lambda t: t["simultaneous_low"], high=lambda t: t["simultaneous_high"])
        return [hazard_sentence(row) for row in rows.to_dict("records")]

    @property
    def tenure_table(self) -> pd.DataFrame:
        """Effects that do not last, for readers: characteristic, tenure, hazard_ratio, low, high, n, left."""
        columns = ["covariate", "tenure_part", "hazard_ratio", "low", "high", "n", "events"]
        parts = [effects.table[columns] for effects in self.by_tenure]
        found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        names = {"covariate": "characteristic", "tenure_part": "tenure", "events": "left"}
        return found.assign(covariate=found["covariate"].map(name_of)).rename(columns=names)

    @property
    def chosen(self) -> str:
        """Which table to read: ``"hazard ratios"``, ``"by tenure"`` or ``"too little data"``."""
        if not self.table["log_hazard_ratio"].notna().any():
            return "too little data"
        return "by tenure" if self.by_tenure else "hazard ratios"

    @property
    def sentences(self) -> list[str]:
        """The story: the model, each driver, whether effects last (else :attr:`tenure_table`), and the notes."""
        told = [self.sentence, *self.driver_sentences]
        told.append(self.proportionality.sentence)
        return [*told, *self.notes]

    @property
    def sentence(self) -> str:
        """How many drivers there are among how many compared, and how well they tell members apart."""
        model = self.model
        if self.chosen == "too little data":
            return model.sentence
        start = say("From day {day} on: ", day=self.landmark_day) if self.landmark_day else ""
        text = (
            "{k} of {tried} characteristics go with leaving faster or slower ({n} members, {events} left); intervals "
            "hold for all {tried} at once ({level} together, Bonferroni).{apart} {why}"
        )
        apart, found = "", self.concordance
        if found.known:
            of_two = (
                " Of two members it has not seen, the model names the one who leaves first in {c} of 100 cases "
                "({low} to {high}; 50 is chance)."
            )
            shares = {"c": found.value, "low": found.low, "high": found.high}
            apart = say(of_two, **{name: number(100 * share, 0) for name, share in shares.items()})
        values = {
            "k": len(self.named),
            "tried": self.tested,
            "level": percent(model.confidence, 0),
            "apart": apart,
            "n": number(model.n_),
            "events": number(model.events_),
        }
        return (start + say(text, **values, why=model.message_)).strip()


def drivers(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    columns: Sequence[str] | None = None,
    strata: Sequence[str] = (),
    cluster: str | None = None,
    reference: Mapping[str, str] | None = None,
    landmark_day: int = 0,
    observed_from: dt.date | str | None = None,
    breaks: Sequence[int] = TENURE_BREAKS,
    max_levels: int = 8,
    confidence: float = 0.95,
    k_min: int = 10,
    seed: int = 0,
) -> Drivers:
    """Find what goes with leaving.

    Parameters
    ----------
    dataset : Dataset
        With members; events for the day the record begins and for a landmark.
    as_of : date or str
        Last day observed.
    report_tz : str
        Time zone of calendar days.
    columns : sequence of str, optional
        Columns of members, the most important first; by default those of
        :data:`helpers.methods.retention.covariates.KNOWN_AT_JOINING`. Others come with a caution, because what is
        filled later may be had by those who stay only.
    strata, cluster : sequence of str, str
        Columns of members with a baseline of their own, and whose members are not independent (``group_id``).
    reference : mapping of str to str, optional
        Level to compare with, by column.
    landmark_day : int
        With 7, what members did in their first 7 days is looked at too, from day 7 on.
    observed_from, max_levels
        As in :func:`helpers.methods.retention.covariates.candidates`, with its errors.
    breaks : sequence of int
        First day of each part of tenure, for effects that do not last.
    confidence : float
        Level at which the intervals of all characteristics hold together, and of the test of proportionality.
    k_min : int
        Levels of fewer members are pooled or not shown.
    seed : int
        Of the folds from which the concordance comes.
    """
    checked_confidence(confidence)
    carried = [*strata, *([cluster] if cluster else [])]
    found = candidates(
        dataset, as_of=as_of, report_tz=report_tz, columns=columns, carry=carried, landmark_day=landmark_day,
        observed_from=observed_from, max_levels=max_levels, k_min=k_min,
    )  # fmt: skip
    names = [name for name in found.names if name not in carried]
    return drivers_of(
        found,
        names,
        strata=strata,
        cluster=cluster,
        reference=reference,
        breaks=breaks,
        confidence=confidence,
        seed=seed,
    )


def drivers_of(
    found: Candidates,
    names: Sequence[str],
    *,
    strata: Sequence[str] = (),
    cluster: str | None = None,
    reference: Mapping[str, str] | None = None,
    breaks: Sequence[int] = TENURE_BREAKS,
    confidence: float = 0.95,
    seed: int = 0,
) -> Drivers:
    """Find what goes with leaving among candidates that are already there; see :func:`drivers`."""
    cells = found.cells(names, keys=[*strata, *([cluster] if cluster else [])])
    kept, dropped = _affordable(cells, names)
    asked = {name: level for name, level in (reference or {}).items() if name in kept}
    how: dict[str, Any] = {"strata": strata, "cluster": cluster, "reference": asked}
    model = CoxModel(kept, **how, confidence=confidence).fit(cells)
    test = proportional_hazards(model, level=1 - confidence)
    table = _judged(model, test, found.k_min)
    unsteady = table.loc[~table["steady"], "variable"].drop_duplicates().tolist()
    split = tuple(
        _without_few(tenure_effects(cells, model, name, breaks=_breaks(breaks, found)), found.k_min)
        for name in unsteady
    )
    apart = unknown(model.n_, "share", confidence)
    if kept:
        apart = cross_fitted_concordance(cells, kept, **how, seed=seed, confidence=confidence)
    left_out = pd.concat([found.left_out, dropped], ignore_index=True)
    notes = [*found.notes, *_too_many(cells, dropped)]
    return Drivers(model, table, test, split, apart, left_out, tuple(notes), found.landmark_day)


def _too_many(cells: pd.DataFrame, dropped: pd.DataFrame) -> list[str]:
    """Say what the exits could not carry."""
    if dropped.empty:
        return []
    text = "{events} exits carry no more than {k} parameters; not looked at: {names}."
    exits = int(cells["events"].sum())
    values = {"events": number(exits), "k": exits // EXITS_PER_PARAMETER}
    return [say(text, **values, names=", ".join(map(name_of, dropped["column"])))]


def _without_few(effects: TenureEffects, k_min: int) -> TenureEffects:
    """Return the effects by tenure without the numbers of parts in which fewer than `k_min` members were."""
    table = effects.table.copy()
    numbers = ["hazard_ratio", "low", "high", "p", "n", "events"]
    table[numbers] = table[numbers].where(table["n"] >= k_min)
    return replace(effects, table=table)


def _breaks(breaks: Sequence[int], found: Candidates) -> list[int]:
    """Return the breaks after the landmark, from 0."""
    return [0, *(day for day in breaks if day > found.landmark_day)]


def _affordable(cells: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Return the first characteristics that ten exits a parameter allow, and those that had to be left out.

    The order is the reader's, never that of the effects: choosing by effect would find drivers in noise.
    """
    budget = int(cells["events"].sum()) // EXITS_PER_PARAMETER
    kept: list[str] = []
    dropped = []
    for name in names:
        size = max(cells[name].nunique(dropna=False) - 1, 1)
        if size <= budget:
            kept.append(name)
            budget -= size
        else:
            dropped.append((name, say("too few exits for one more characteristic")))
    return kept, pd.DataFrame(dropped, columns=["column", "reason"])


def _judged(model: CoxModel, test: Proportionality, k_min: int) -> pd.DataFrame:
    """Return the summary with intervals that hold together, steadiness and a verdict."""
    table = model.summary
    table = table[table["n"] >= k_min].reset_index(drop=True)
    tested = max(int(table["p"].notna().sum()), 1)
    alpha = 1 - model.confidence
    half = stats.norm.isf(alpha / (2 * tested)) * table["standard_error"]
    with np.errstate(over="ignore"):
        table["simultaneous_low"] = np.exp(table["log_hazard_ratio"] - half)
        table["simultaneous_high"] = np.exp(table["log_hazard_ratio"] + half)
    table["p_bonferroni"] = (tested * table["p"]).clip(upper=1.0)
    table["steady"] = ~table["covariate"].isin(test.unsteady)
    verdict = np.where(table["log_hazard_ratio"] > 0, "leave faster", "leave slower")
    verdict = np.where(table["p_bonferroni"] < alpha, verdict, "no clear difference")
    table["verdict"] = np.where(table["p"].isna(), "too little data", verdict)
    return table
