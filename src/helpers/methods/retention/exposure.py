"""Do pushes and ads drive members away? Exposure of the period before, as a covariate that changes with time.

A Cox model on episodes (:mod:`helpers.methods.retention.episodes`): each calendar period of a member enters at its
first tenure day and ends on its last, with what the member met in the period before. One effect per push more, and
one per dose, from which the fatigue point is read: the smallest dose at which members leave clearly faster than
those at the lowest, with no smaller rate at any higher dose.

Who is sent more pushes is rarely left to chance. Own activity of the period before and the columns asked for are
held constant; what is not recorded is not. Only an experiment on the frequency settles it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.data.source import Dataset
from helpers.errors import BadParameters
from helpers.methods.retention.episodes import Episodes, activity_levels, episodes
from helpers.sentences import number, percent, say
from helpers.stats.cox.model import CoxModel
from helpers.stats.cox.words import times
from helpers.stats.estimate import Estimate, holm, unknown
from helpers.study.days import checked, checked_confidence

DOSES = (0, 1, 3, 6)
FEWEST_EXITS = 20
WHAT = {"pushes_before": "push", "ads_before": "ad shown"}
CONTROL = "activity_before"


@dataclass(frozen=True)
class Dose:
    """The effect of one kind of exposure.

    Attributes
    ----------
    exposure : str
        ``pushes_before`` or ``ads_before``.
    period : str
        ``"week"`` or ``"month"``.
    per_unit : Estimate
        Hazard ratio of one more in the period before; n is the number of episodes.
    events : int
        Exits it rests on.
    table : pandas.DataFrame
        dose (``3–5``), reference, hazard_ratio, low, high, p, p_holm, n (episodes), events; empty numbers where
        a dose was met in fewer than k_min episodes.
    fatigue_from : int or None
        Smallest number in a period from which members leave clearly faster; None when there is none.
    """

    exposure: str
    period: str
    per_unit: Estimate
    events: int
    table: pd.DataFrame
    fatigue_from: int | None

    @property
    def effect(self) -> str:
        """What one more does, and from where on it is too much."""
        what, effect = WHAT[self.exposure], self.per_unit
        values = {"what": what, "period": self.period, "n": number(effect.n), "events": number(self.events)}
        if not effect.known:
            text = "Whether one more {what} a {period} drives members away: too little data"
            return say(text + " ({n} member-{period}s, {events} left).", **values)
        values |= {"ratio": times(effect.value), "low": times(effect.low), "high": times(effect.high)}
        values |= {"change": percent(abs(effect.value - 1), 0)}
        if effect.low > 1:
            text = "Each {what} more in a {period} goes with leaving {change} faster in the next"
        elif effect.high < 1:
            text = "Each {what} more in a {period} goes with leaving {change} slower in the next"
        else:
            text = "No clear effect of one {what} more in a {period} on leaving in the next"
        text += " (hazard ratio {ratio}, {low} to {high}; {n} member-{period}s, {events} left)"
        text += "; association, not cause."
        return f"{say(text, **values)} {self._fatigue()}"

    @property
    def sentence(self) -> str:
        """The effect, and how coarsely own activity is held constant."""
        return f"{self.effect} {self._held()}" if self.per_unit.known else self.effect

    def _held(self) -> str:
        """Say how coarsely own activity is held constant, and what that cannot do."""
        names = [name for _, name in activity_levels(self.period)]
        text = (
            "Own activity of the {period} before is held constant in {k} levels only ({levels} interactions), so "
            "that those sent more may still be others within a level; this is no experiment."
        )
        return say(text, period=self.period, k=len(names), levels=", ".join(names))

    def _fatigue(self) -> str:
        values = {"what": WHAT[self.exposure], "period": self.period}
        if self.fatigue_from is None:
            return say("There is no dose from which on members leave clearly faster.", **values)
        row = self.table[self.table["first"] == self.fatigue_from].iloc[0]
        text = (
            "Fatigue point: from {dose} a {period} on members leave {ratio} times as fast as at {reference} "
            "({low} to {high})."
        )
        ratios = {name: times(row[name]) for name in ("low", "high")}
        return say(
            text,
            **values,
            **ratios,
            dose=row["dose"],
            reference=row["reference"],
            ratio=times(row["hazard_ratio"]),
        )


@dataclass(frozen=True)
class Exposure:
    """The effects of all exposures on record.

    Attributes
    ----------
    model : CoxModel
        With one effect per unit of each exposure, and the columns held constant.
    doses : tuple of Dose
        One per exposure.
    periods : pandas.DataFrame
        Calendar periods used.
    notes : tuple of str
        What is not on record.
    """

    model: CoxModel
    doses: tuple[Dose, ...]
    periods: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """All doses: exposure, dose, reference, hazard_ratio, low, high, p, p_holm, n, events."""
        parts = [dose.table.assign(exposure=dose.exposure).drop(columns="first") for dose in self.doses]
        if not parts:
            return pd.DataFrame(columns=["exposure", *COLUMNS])
        return pd.concat(parts, ignore_index=True)[["exposure", *COLUMNS]]

    @property
    def sentences(self) -> list[str]:
        """What each exposure does, what is held constant once, then what is not on record."""
        told = [dose.effect if place else dose.sentence for place, dose in enumerate(self.doses)]
        return [*told, *self.notes]

    @property
    def sentence(self) -> str:
        """All of it."""
        return " ".join(self.sentences)


COLUMNS = ("dose", "reference", "hazard_ratio", "low", "high", "p", "p_holm", "n", "events")


def exposure(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    period: str = "month",
    columns: Sequence[str] = (),
    doses: Sequence[int] = DOSES,
    cluster: bool = False,
    observed_from: dt.date | str | None = None,
    confidence: float = 0.95,
    k_min: int = 10,
) -> Exposure:
    """Estimate what pushes and ads of the period before do to leaving.

    Parameters
    ----------
    dataset : Dataset
        With members and events (push_sent); touchpoints for ads.
    as_of : date or str
        Last day observed.
    report_tz : str
        Time zone of calendar days.
    period : {"month", "week"}
        Length of a period.
    columns : sequence of str
        Columns of members that are held constant, besides own activity in the period before.
    doses : sequence of int
        Smallest number of each dose, from 0: (0, 1, 3, 6) makes 0, 1–2, 3–5 and 6 or more a period.
    cluster : bool
        Whether standard errors are clustered by member; episodes then come to memory one by one.
    observed_from : date or str, optional
        First day on record; by default that of the first event.
    confidence : float
        Level of the intervals, and one minus the corrected p-value below which a dose is clearly worse.
    k_min : int
        Doses met in fewer episodes are not shown.

    Raises
    ------
    MissingTable
        When members or events are missing.
    """
    checked_confidence(confidence)
    if list(doses) != sorted(set(doses)) or not doses or doses[0] != 0:
        raise BadParameters(f"doses == {tuple(doses)!r}, must begin with 0 and grow.")
    checked(cluster, "cluster", type_=bool)
    checked(k_min, "k_min", type_=int, ge=1)
    found = episodes(
        dataset, as_of=as_of, report_tz=report_tz, period=period, columns=columns, observed_from=observed_from
    )
    return exposure_effects(
        found, columns=columns, doses=doses, cluster=cluster, confidence=confidence, k_min=k_min
    )


def exposure_effects(
    found: Episodes,
    *,
    columns: Sequence[str] = (),
    doses: Sequence[int] = DOSES,
    cluster: bool = False,
    confidence: float = 0.95,
    k_min: int = 10,
) -> Exposure:
    """Estimate the effects from episodes that are already there; see :func:`exposure`."""
    met = [name for name in WHAT if name in found.counted]
    by = [*columns, CONTROL, *met]
    cells = found.cells(by, members=cluster)
    member = "member_id" if cluster else None
    model = CoxModel(by, cluster=member, confidence=confidence).fit(cells)
    made = tuple(_dose(cells, model, name, found.period, doses, k_min) for name in met)
    missing = [WHAT[name] for name in WHAT if name not in found.counted]
    notes = [say("There is no {what} on record.", what=what) for what in missing]
    return Exposure(model, made, found.calendar, tuple(notes))


def _dose(
    cells: pd.DataFrame, model: CoxModel, name: str, period: str, edges: Sequence[int], k_min: int
) -> Dose:
    """Return the effect per unit from the model, and by dose from one with this exposure cut."""
    row = model.summary.set_index("covariate").loc[name]
    per_unit = unknown(model.n_, "ratio", model.confidence)
    if model.events_ >= FEWEST_EXITS and np.isfinite(row["low"]) and not row["penalised"]:
        value, low, high = (float(row[column]) for column in ("hazard_ratio", "low", "high"))
        per_unit = Estimate(value, low, high, model.n_, "ratio", "Cox model on episodes", model.confidence)
    first = pd.Series(np.asarray(edges)[np.searchsorted(edges, cells[name], "right") - 1], index=cells.index)
    names = dict(zip(edges, dose_names(edges), strict=True))
    cut = cells.assign(dose=first.map(names))
    exits = cells["events"].groupby(first).sum()
    enough = exits[exits >= FEWEST_EXITS].index
    empty = pd.DataFrame(columns=["first", *COLUMNS])
    if len(enough) < 2:
        return Dose(name, period, per_unit, model.events_, empty, None)
    lowest = names[int(enough.min())]
    others = [column for column in model.covariates if column != name]
    fitted = CoxModel(
        [*others, "dose"], reference={"dose": lowest}, cluster=model.cluster, confidence=model.confidence
    ).fit(cut)
    table = fitted.summary
    table = table[table["variable"] == "dose"].rename(columns={"level": "level_name"})
    table = table.assign(dose=table["level_name"], p_holm=holm(table["p"].where(~table["penalised"])))
    table["first"] = table["dose"].map({text: edge for edge, text in names.items()})
    table = table.sort_values("first", ignore_index=True)[["first", *COLUMNS]]
    table[list(COLUMNS[2:])] = table[list(COLUMNS[2:])].where(table["n"] >= k_min)
    fatigue = _fatigue_point(table, int(enough.min()), 1 - model.confidence)
    return Dose(name, period, per_unit, model.events_, table, fatigue)


def dose_names(edges: Sequence[int]) -> list[str]:
    """Return names of doses: ``0``, ``1–2``, ``3–5``, ``6+``."""
    names = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        if high is None:
            names.append(f"{low}+")
        else:
            names.append(str(low) if high == low + 1 else f"{low}–{high - 1}")
    return names


def _fatigue_point(table: pd.DataFrame, lowest: int, level: float) -> int | None:
    """Return the smallest dose that is clearly worse than the lowest, with every higher one no better than it."""
    higher = table[table["first"] > lowest].dropna(subset=["hazard_ratio"]).sort_values("first")
    ratio, p = (higher[name].to_numpy(float) for name in ("hazard_ratio", "p_holm"))
    for position, first in enumerate(higher["first"].astype(int)):
        if p[position] < level and (ratio[position:] > 1).all():
            return int(first)
    return None
