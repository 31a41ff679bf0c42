"""Shapley values of the game in which channels win together the conversions that they alone touched.

With r(S) the conversions whose journeys touch exactly the channels S, the game is v(S) = sum of r(T) over T within S.
Its Shapley value is phi_j = sum of r(S) / |S| over S that hold j (Zhao et al. 2018), for any number of channels: each
conversion is split equally over the different channels of its journey. Journeys that do not convert play no part.
"""

from __future__ import annotations

import numpy as np

from helpers.methods.attribution.heuristics import Sums, shared
from helpers.methods.attribution.histories import Histories


def shapley(histories: Histories) -> Sums:
    """Return Shapley values by their closed form."""
    fresh = (histories.fresh & histories.converted).astype(float)
    different = np.bincount(histories.journey, fresh)[histories.journey]
    return shared(histories, np.divide(fresh, different, out=np.zeros_like(fresh), where=different > 0))
