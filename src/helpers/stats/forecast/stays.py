"""Expected days of presence ahead, by tenure: product limit over exits, constant hazard beyond what was observed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import ibis
import numpy as np
from numpy.typing import NDArray

from helpers.stats.forecast.value_days import spans
from helpers.study import enough

FloatArray = NDArray[np.float64]

KEPT_DAYS = 730
"""Days of tenure that are told apart."""
POOLED_DAYS = 15  # thin days look this far to either side before they fall back on all days together
LARGEST_HAZARD = 1 - 1e-9  # a day on which everybody left says nothing about those who are past it


@dataclass(frozen=True)
class Stays:
    """Expected days of presence ahead, by tenure.

    Attributes
    ----------
    hazards : ndarray, shape (days,)
        Probability to leave on day ``d`` of tenure, of a member there when the day begins.
    beyond : float
        Daily hazard beyond the observed days.
    """

    hazards: FloatArray = field(repr=False)
    beyond: float

    @classmethod
    def of(
        cls, population: ibis.Table, *, as_of: dt.date, began: dt.date | None, days: int = KEPT_DAYS
    ) -> Stays:
        """Estimate from who left by a day, of those followed since exits were recorded.

        A day with few members takes the exits per member and day of the days around it, or of all days when those
        are thin too: in a log that begins late a single newcomer may be all there is of the first days, and says
        nothing about members who are years past them.
        """
        stayed = spans(population, as_of, began)
        starts = stayed.group_by(day=stayed.entry).agg(n=stayed.count()).to_pandas()
        ends = (
            stayed.group_by(day=stayed["last"]).agg(n=stayed.count(), exits=stayed.exited.sum()).to_pandas()
        )
        first, last = (np.minimum(each["day"].to_numpy(int), days) for each in (starts, ends))
        counted = ((first, starts["n"]), (last + 1, ends["n"]), (last, ends["exits"]))
        entered, ended, exits = (np.bincount(at, n, days + 1)[:days].astype(float) for at, n in counted)
        at_risk = np.cumsum(entered - ended)
        known = int(np.flatnonzero(at_risk)[-1]) + 1 if at_risk.any() else 0
        at_risk, exits = at_risk[:known], exits[:known]
        tail = slice(known // 2, known)
        exposure = at_risk[tail].sum()
        return cls(_hazards(at_risk, exits), float(exits[tail].sum() / exposure) if exposure else 0.0)

    def days_ahead(self, tenure_days: FloatArray, horizon_days: int) -> FloatArray:
        """Return the expected days of presence within the horizon of members present at a tenure.

        Only the hazards after the tenure enter, as sums of logarithms: whatever happened on earlier days of tenure,
        and be it that all others left, does not matter to somebody who is still there.
        """
        start = tenure_days.astype(int) + 1  # present at the end of day L: the next day is the first ahead
        longest = int(max(start.max(initial=0), len(self.hazards))) + horizon_days
        hazards = np.full(longest, self.beyond)
        hazards[: len(self.hazards)] = self.hazards
        stay = np.concatenate([[0.0], np.cumsum(np.log1p(-np.minimum(hazards, LARGEST_HAZARD)))])
        tenures, of_member = np.unique(start, return_inverse=True)
        ahead = stay[tenures[:, None] + np.arange(horizon_days)] - stay[tenures][:, None]
        return np.exp(ahead).sum(axis=1)[of_member]


def _hazards(at_risk: FloatArray, exits: FloatArray) -> FloatArray:
    """Return the hazard of each day, thin days from their surroundings."""
    exposure, left = (np.concatenate([[0.0], np.cumsum(each)]) for each in (at_risk, exits))
    days = np.arange(len(at_risk))
    first, last = np.maximum(days - POOLED_DAYS, 0), np.minimum(days + POOLED_DAYS + 1, len(at_risk))
    around = (exposure[last] - exposure[first], left[last] - left[first])
    n, d = at_risk, exits
    for wider in (around, (exposure[-1], left[-1])):
        thin = n < enough.AT_RISK
        n, d = np.where(thin, wider[0], n), np.where(thin, wider[1], d)
    return np.divide(d, n, out=np.zeros(len(days)), where=n > 0)
