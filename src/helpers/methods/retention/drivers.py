"""What drives leaving, told from start to end: candidates, one model, whether its effects last, and the words.

1. Candidates (:mod:`covariates`): characteristics of members, or what they did in their first days.
2. As many of them, in their order, as the exits can carry: ten exits a parameter (Peduzzi et al. 1995).
3. One Cox model on grouped cells; a characteristic is named a driver when Holm's correction for the number of
   comparisons leaves it below 5 %.
4. The test of proportional hazards. Where an effect does not last, its hazard ratios by part of tenure are shown,
   and ratios of times from the best accelerated failure time model beside them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.data.source import Dataset
from helpers.methods.retention.aft import TimeRatios, time_ratios
from helpers.methods.retention.covariates import Candidates, candidates
from helpers.methods.retention.cox import CoxModel
from helpers.methods.retention.cox_words import hazard_sentence
from helpers.methods.retention.days import checked_confidence
from helpers.methods.retention.proportional import (
    TENURE_BREAKS,
    Proportionality,
    TenureEffects,
    proportional_hazards,
    tenure_effects,
)
from helpers.methods.retention.several_tests import holm
from helpers.playbook.sentences import number, say

EXITS_PER_PARAMETER = 10
LEVEL = 0.05


@dataclass(frozen=True)
class Drivers:
    """The answer.

    Attributes
    ----------
    model : CoxModel
        The main model.
    table : pandas.DataFrame
        The summary of the model with p_holm, steady (False where the effect changes with tenure) and verdict:
        "leave faster", "leave slower", "no clear difference" or "too little data".
    proportionality : Proportionality
        Whether effects last.
    by_tenure : tuple of TenureEffects
        One per characteristic whose effect does not last.
    times : TimeRatios or None
        Ratios of times, where some effect does not last.
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
    times: TimeRatios | None
    left_out: pd.DataFrame
    notes: tuple[str, ...]
    landmark_day: int

    @property
    def named(self) -> pd.DataFrame:
        """The drivers: rows that pass the correction, the strongest first."""
        rows = self.table[self.table["verdict"].isin(["leave faster", "leave slower"])]
        order = rows["log_hazard_ratio"].abs().sort_values(ascending=False, kind="stable").index
        return rows.loc[order].reset_index(drop=True)

    @property
    def tenure_table(self) -> pd.DataFrame:
        """Effects that do not last: covariate, tenure_part, hazard_ratio, low, high, n, events."""
        columns = ["covariate", "tenure_part", "hazard_ratio", "low", "high", "n", "events"]
        parts = [effects.table[columns] for effects in self.by_tenure]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    @property
    def chosen(self) -> str:
        """Which table to read: ``"hazard ratios"``, ``"by tenure"`` or ``"too little data"``."""
        if not self.table["log_hazard_ratio"].notna().any():
            return "too little data"
        return "by tenure" if self.by_tenure else "hazard ratios"

    @property
    def sentences(self) -> list[str]:
        """The story: the model, each driver, whether effects last and what they are by tenure, and the notes."""
        told = [self.sentence, *(hazard_sentence(row) for row in self.named.to_dict("records"))]
        told.append(self.proportionality.sentence)
        for effects in self.by_tenure:
            covariates = dict.fromkeys(effects.table["covariate"])
            pairs = zip(covariates, effects.sentences, strict=True)
            told += [text for name, text in pairs if name in self.proportionality.unsteady]
        if self.times is not None:
            told.append(self.times.sentence)
        return [*told, *self.notes]

    @property
    def sentence(self) -> str:
        """How many drivers there are among how many compared, and how well they tell members apart."""
        model, tried = self.model, int(self.table["p_holm"].notna().sum())
        if self.chosen == "too little data":
            return model.sentence
        start = say("From day {day} on: ", day=self.landmark_day) if self.landmark_day else ""
        text = (
            "{k} of {tried} characteristics go with leaving faster or slower, after correction for comparing so many "
            "({n} members, {events} left); of two members, the model names the one who leaves first in {c} of 100 "
            "cases (50 is chance). {why}"
        )
        c = number(100 * model.concordance_, 0)
        values = {
            "k": len(self.named),
            "tried": tried,
            "n": number(model.n_),
            "events": number(model.events_),
        }
        return (start + say(text, **values, c=c, why=model.message_)).strip()


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
    times: bool = True,
    confidence: float = 0.95,
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
        Columns of members, the most important first; by default all that may be drivers.
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
    times : bool
        Whether to fit accelerated failure time models too where an effect does not last (seconds on many cells).
    confidence : float
        Level of the intervals.
    """
    checked_confidence(confidence)
    carried = [*strata, *([cluster] if cluster else [])]
    found = candidates(
        dataset, as_of=as_of, report_tz=report_tz, columns=columns, carry=carried, landmark_day=landmark_day,
        observed_from=observed_from, max_levels=max_levels,
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
    )


def drivers_of(
    found: Candidates,
    names: Sequence[str],
    *,
    strata: Sequence[str] = (),
    cluster: str | None = None,
    reference: Mapping[str, str] | None = None,
    breaks: Sequence[int] = TENURE_BREAKS,
    times: bool = True,
    confidence: float = 0.95,
) -> Drivers:
    """Find what goes with leaving among candidates that are already there; see :func:`drivers`."""
    cells = found.cells(names, keys=[*strata, *([cluster] if cluster else [])])
    kept, dropped = _affordable(cells, names)
    asked = {name: level for name, level in (reference or {}).items() if name in kept}
    model = CoxModel(kept, strata=strata, cluster=cluster, reference=asked, confidence=confidence).fit(cells)
    test = proportional_hazards(model, level=LEVEL)
    table = _judged(model, test)
    unsteady = table.loc[table["covariate"].isin(test.unsteady), "variable"].drop_duplicates()
    split = tuple(tenure_effects(cells, model, name, breaks=_breaks(breaks, found)) for name in unsteady)
    ratios = None
    if times and len(unsteady):
        ratios = time_ratios(cells, kept, reference=asked, confidence=confidence)
    left_out = pd.concat([found.left_out, dropped], ignore_index=True)
    notes = list(found.notes)
    if len(dropped):
        text = "{events} exits carry no more than {k} parameters; not looked at: {names}."
        exits = int(cells["events"].sum())
        values = {"events": number(exits), "k": exits // EXITS_PER_PARAMETER}
        notes.append(say(text, **values, names=", ".join(dropped["column"])))
    return Drivers(model, table, test, split, ratios, left_out, tuple(notes), found.landmark_day)


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


def _judged(model: CoxModel, test: Proportionality) -> pd.DataFrame:
    """Return the summary with the corrected p, steadiness and a verdict."""
    table = model.summary
    table["p_holm"] = holm(table["p"])
    table["steady"] = ~table["covariate"].isin(test.unsteady)
    clear = table["p_holm"] < LEVEL
    verdict = np.where(table["log_hazard_ratio"] > 0, "leave faster", "leave slower")
    verdict = np.where(clear, verdict, "no clear difference")
    table["verdict"] = np.where(table["p_holm"].isna(), "too little data", verdict)
    return table
