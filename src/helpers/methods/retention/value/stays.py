"""Expected days of presence ahead of a member, from the product-limit curve of exits by tenure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from helpers.methods.retention.value.value_days import FloatArray, ValueDays


@dataclass(frozen=True)
class Stays:
    """Expected days of presence ahead, by tenure.

    Attributes
    ----------
    survival : ndarray, shape (days + 1,)
        Product-limit probability to be there when day ``d`` of tenure begins.
    hazard : float
        Daily hazard beyond the observed days.
    """

    survival: FloatArray = field(repr=False)
    hazard: float

    @classmethod
    def of(cls, cells: ValueDays) -> Stays:
        """Estimate from cells counted from joining; where nobody was at risk nobody left."""
        at_risk, exits = cells.at_risk.sum(axis=(0, 1)), cells.exits.sum(axis=(0, 1))
        known = int(np.flatnonzero(at_risk)[-1]) + 1 if at_risk.any() else 0
        hazards = np.divide(exits, at_risk, out=np.zeros_like(exits), where=at_risk > 0)[:known]
        tail = slice(known // 2, known)
        exposure = at_risk[tail].sum()
        return cls(
            np.r_[1.0, np.cumprod(1 - hazards)], float(exits[tail].sum() / exposure) if exposure else 0.0
        )

    def days_ahead(self, tenure_days: FloatArray, horizon_days: int) -> FloatArray:
        """Return the expected days of presence within the horizon of members present at a tenure."""
        known = len(self.survival) - 1
        longest = int(max(tenure_days.max(initial=0), known)) + horizon_days + 1
        beyond = self.survival[-1] * (1 - self.hazard) ** np.arange(1, longest - known + 1)
        whole = np.concatenate([self.survival, beyond])
        running = np.concatenate([[0.0], np.cumsum(whole)])
        start = tenure_days.astype(int) + 1  # present at the end of day L: the next day is the first ahead
        alive = whole[np.minimum(start, longest)]
        ahead = running[np.minimum(start + horizon_days, longest)] - running[start]
        return np.divide(ahead, alive, out=np.zeros_like(ahead), where=alive > 0)
