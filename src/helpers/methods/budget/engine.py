"""The engine: response curves and coefficients drawn jointly, the baseline integrated out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.methods.budget.evidence import Evidence
from helpers.methods.budget.weekly import Weekly


@dataclass(frozen=True, eq=False)
class Fit:
    """Posterior draws of every line's curve and coefficient.

    Attributes
    ----------
    weekly : Weekly
        What was fitted.
    curves : mapping of str to Curves
        By line: the curve of each draw, coefficient included; see :class:`helpers.methods.budget.curves.Curves`.
    noise : numpy.ndarray
        Standard deviation of a week's noise, by draw.
    baseline : numpy.ndarray, shape (weeks,)
        Mean baseline.
    rhat, ess : pandas.Series
        Split R-hat and effective draws of each line's contribution, and of the noise.
    evidence : tuple of Evidence
        Rows that entered.
    """

    def contribution(self, line: str) -> np.ndarray:
        """Return the contribution of a line by draw and week, shape (draws, weeks)."""
        raise NotImplementedError

    def response(self, line: str, spend: np.ndarray) -> np.ndarray:
        """Return the outcome a week at a steady weekly spend, by draw and spend, shape (draws, spends)."""
        raise NotImplementedError

    def marginal(self, line: str, spend: np.ndarray) -> np.ndarray:
        """Return the gain of outcome for one more unit of money at a steady weekly spend, shape (draws, spends)."""
        raise NotImplementedError


def fit(weekly: Weekly, evidence: Sequence[Evidence] = (), seed: int = 0) -> Fit:
    """Return the posterior draws of all curves; the same for the same seed."""
    raise NotImplementedError
