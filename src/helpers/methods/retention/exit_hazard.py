"""In which part of their tenure members leave fastest: exits per 1,000 member-days.

The hazard of a part is its exits over its member-days at risk. A member-day is one member on one tenure day on which
leaving would have been seen, so whoever comes under observation late brings no day before that. A part of one day is
a step of the Nelson–Aalen curve, and a longer one the mean of its steps, weighted by who was at risk.

Intervals are exact for a Poisson count (:func:`helpers.stats.estimate.garwood`). Which part has the highest hazard
is decided by the exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940): given the exits of two
parts together, those of the one are binomial. The highest part is clear when it is above every other one at a level
divided by their number, so that the error of naming a wrong one stays below ``1 - confidence`` although it was picked
by its rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.data import privacy
from helpers.errors import BadParameters
from helpers.sentences import number, say
from helpers.stats.estimate import garwood
from helpers.stats.survival.cells import day_counts
from helpers.study.days import checked, checked_confidence

PARTS = (0, 7, 30, 90, 365)
"""First days of the parts of tenure; the last part is open."""

PER = 1_000

FEWEST_MEMBERS = 10
"""A part in which fewer were watched is not compared: what is said of it is said of somebody."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ExitHazard:
    """Exits per 1,000 member-days, by part of tenure.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per part: part ("days 0–6"), members (watched on some day of the part), exits, member_days (int),
        hazard, low, high (exits per 1,000 member-days; missing where nobody was watched).
    p_value : float
        That the highest part is not above each of the others, corrected for their number; missing with fewer than
        two parts in which at least 10 members were watched, or without an exit.
    confidence : float
        Level of the intervals, each of which holds alone.
    """

    table: pd.DataFrame
    p_value: float
    confidence: float

    @property
    def highest(self) -> str | None:
        """The part with the clearly highest hazard; None when that is not clear."""
        if not self.p_value <= 1 - self.confidence:
            return None
        return str(self._ranked["part"].iloc[0])

    def readable(self, k_min: int = 10) -> pd.DataFrame:
        """Return the table with parts in which fewer than `k_min` members were watched kept back."""
        return privacy.suppress(self.table, "members", k_min)

    @property
    def sentence(self) -> str:
        """In which part members leave fastest, or that it is not clear, or that there is too little data."""
        ranked = self._ranked
        if np.isnan(self.p_value):
            text = "Exits by part of tenure: too little data ({exits:,} exits in {days:,} member-days)."
            return say(text, exits=self.table["exits"].sum(), days=self.table["member_days"].sum())
        first, second = (_in_words(row) for row in ranked.head(2).to_dict("records"))
        if self.highest is None:
            text = "When in their tenure members leave fastest is not clear: {first} is not clearly above {second}."
            return say(text, first=first, second=second)
        text = "Members leave fastest on {first}; next highest is {second}."
        return say(text, first=first, second=second)

    @property
    def _ranked(self) -> pd.DataFrame:
        known = self.table[self.table["members"] >= FEWEST_MEMBERS]
        return known.sort_values("hazard", ascending=False, kind="stable", ignore_index=True)


def exit_hazard(cells: pd.DataFrame, *, parts: Sequence[int] = PARTS, confidence: float = 0.95) -> ExitHazard:
    """Return exits per 1,000 member-days for parts of tenure.

    Parameters
    ----------
    cells : pandas.DataFrame
        As made by :func:`helpers.stats.survival.cells.cells`; segments are added up.
    parts : sequence of int
        First tenure day of each part, rising; the last part has no end.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadData
        When the cells lack a column or hold what cannot be.
    BadParameters
        When `parts` do not rise or begin below 0, or the confidence is none.
    """
    level, starts = checked_confidence(confidence), _checked_parts(parts)
    counts = day_counts(cells)
    at_risk, gone = (values.sum(axis=0) for values in (counts.at_risk, counts.events + counts.censored))
    events = counts.events.sum(axis=0)
    # Whoever is at risk today and was not among those of yesterday who stayed has come under observation today.
    entered = at_risk - np.append(0, (at_risk - gone)[:-1])
    rows: list[dict[str, Any]] = []
    for first, after in zip(starts, [*starts[1:], len(at_risk)], strict=True):
        days = slice(first, max(first, after))
        watched = at_risk[days][:1].sum() + entered[days][1:].sum()
        numbers = {"members": watched, "exits": events[days].sum(), "member_days": at_risk[days].sum()}
        last = after - 1 if first != starts[-1] else None
        rows.append({"part": _part(first, last)} | {name: round(float(x)) for name, x in numbers.items()})
    table = pd.DataFrame(rows)
    exits, member_days = (table[name].to_numpy(float) for name in ("exits", "member_days"))
    low, high = garwood(exits, member_days, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = table.assign(hazard=PER * exits / member_days, low=PER * low, high=PER * high)
    compared = table["members"].to_numpy() >= FEWEST_MEMBERS
    return ExitHazard(table, _p_value(exits[compared], member_days[compared]), level)


def _p_value(exits: FloatArray, days: FloatArray) -> float:
    """Return the corrected p-value of the highest rate not being above all others."""
    if exits.size < 2 or not exits.sum():
        return np.nan
    top = int(np.argmax(exits / days))
    others = np.delete(np.arange(exits.size), top)
    share = days[top] / (days[top] + days[others])
    alone = stats.binom.sf(exits[top] - 1, exits[top] + exits[others], share)
    return float(min(1.0, alone.max() * others.size))


def _checked_parts(parts: Sequence[int]) -> list[int]:
    starts = [int(checked(first, "parts", type_=(int, np.integer), ge=0)) for first in parts]
    if not starts or any(late <= early for early, late in itertools.pairwise(starts)):
        raise BadParameters(f"parts == {list(parts)}, must be rising days of tenure.")
    return starts


def _part(first: int, last: int | None) -> str:
    if last is None:
        return say("days {first} and later", first=first)
    return (
        say("day {first}", first=first)
        if first == last
        else say("days {first}–{last}", first=first, last=last)
    )


def _in_words(row: Mapping[Hashable, Any]) -> str:
    hazard, low, high = (number(row[name]) for name in ("hazard", "low", "high"))
    text = "{part} with {hazard} exits per 1,000 member-days ({low} to {high}; {exits:,} exits)"
    return say(text, part=row["part"], hazard=hazard, low=low, high=high, exits=row["exits"])
