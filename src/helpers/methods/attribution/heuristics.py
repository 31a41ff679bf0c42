"""Rules that share a conversion over its touches: first, last, last non-direct, linear, position, decay, influenced."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from helpers.methods.attribution.journeys import Histories

RULES = ("first", "last", "last_non_direct", "linear", "position", "decay", "influenced")
HALF_LIFE_DAYS = 7.0
DIRECT = ("direct", "(direct)", "直接访问")


class Sums(NamedTuple):
    """A model that is a function of sums over histories, so that any weights of members give its credit.

    Attributes
    ----------
    per_history : scipy.sparse.csr_matrix, shape (histories, sums)
        What one member with that history adds to each sum.
    credit : callable
        From sums to credit, shape (2, channels): conversions and value.
    """

    per_history: sparse.csr_matrix
    credit: object


def rules(histories: Histories, half_life_days: float = HALF_LIFE_DAYS) -> dict[str, Sums]:
    """Return each rule of `RULES`."""
    raise NotImplementedError


def touch_shares(histories: Histories, rule: str, half_life_days: float) -> NDArray[np.float64]:
    """Return the share of its conversion that each touch has, 0 in journeys that do not convert."""
    raise NotImplementedError
