"""Rules that share each conversion over the touches of its journey.

- first, last: all to the first or the last touch. last_non_direct: to the last touch that is not of a channel of
  `DIRECT`; where all are, to the last.
- linear: the same to each touch. position: 40 % to the first, 40 % to the last, the rest the same to each between;
  one touch has all, two have half each.
- decay: a touch weighs half as much as one that came a half-life nearer to the conversion.
- influenced: each channel that touched the conversion has all of it, so that the sum may be more than there were.

What a rule gives is a sum over members, so that any weights of members give its credit: see `Sums`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from helpers.checks import check_scalar
from helpers.methods.attribution.histories import Histories

FloatArray = NDArray[np.float64]

RULES = ("first", "last", "last_non_direct", "linear", "position", "decay", "influenced")
HALF_LIFE_DAYS = 7.0
# Shares of the first touch, of those between, and of the last.
POSITION = (0.4, 0.2, 0.4)
DIRECT = frozenset({"direct", "(direct)", "直接", "直接访问"})


class Sums(NamedTuple):
    """A model that is a function of sums over members.

    Attributes
    ----------
    per_history : scipy.sparse.csr_array, shape (histories, sums)
        What one member with that history adds to each sum.
    credit : callable
        From sums, shape (sums,), to credit, shape (2, channels): conversions and value.
    """

    per_history: sparse.csr_array
    credit: Callable[[FloatArray], FloatArray]

    def of(self, members: NDArray[np.int64] | FloatArray) -> FloatArray:
        """Return the credit of so many members with each history."""
        return self.credit(self.per_history.T @ members)


def rules(histories: Histories, half_life_days: float = HALF_LIFE_DAYS) -> dict[str, Sums]:
    """Return the model of each rule of `RULES`.

    Parameters
    ----------
    histories : Histories
        Unique histories of members.
    half_life_days : float
        Days that halve the weight of a touch by the rule ``decay``.
    """
    check_scalar(half_life_days, "half_life_days", gt=0)
    return {rule: shared(histories, touch_shares(histories, rule, half_life_days)) for rule in RULES}


def shared(histories: Histories, shares: FloatArray) -> Sums:
    """Return the model in which each touch has this share of its conversion."""
    size = len(histories.channels)
    row, column = np.tile(histories.history, 2), np.r_[histories.code, histories.code + size]
    amount = np.r_[shares, shares * histories.value]
    kept = amount != 0
    shape = (len(histories.members), 2 * size)
    cells = sparse.coo_array((amount[kept], (row[kept], column[kept])), shape=shape)
    return Sums(cells.tocsr(), partial(np.reshape, shape=(2, size)))


def touch_shares(histories: Histories, rule: str, half_life_days: float = HALF_LIFE_DAYS) -> FloatArray:
    """Return the share of its conversion that a rule gives each touch, 0 in journeys that do not convert."""
    weights = _weights(histories, rule, half_life_days) * histories.converted
    if rule == "influenced":
        return weights
    total = np.bincount(histories.journey, weights)[histories.journey]
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _weights(histories: Histories, rule: str, half_life_days: float) -> FloatArray:
    """Return the weights of touches within their journeys, up to a factor of each journey."""
    h = histories
    if rule == "first":
        return (h.place == 1).astype(float)
    if rule == "last":
        return h.last.astype(float)
    if rule == "last_non_direct":
        direct = np.array([name.lower() in DIRECT for name in h.channels], bool)[h.code]
        # The place of the last one that is not direct, and of the last where all are: it is the largest key.
        key = h.place + np.where(direct, 0, len(h.code))
        largest = np.zeros(h.last.sum(), np.int64)
        np.maximum.at(largest, h.journey, key)
        return (key == largest[h.journey]).astype(float)
    if rule == "position":
        return position_weights(h.place, h.length)
    if rule == "decay":
        # In days before the last touch, so that long journeys do not vanish in rounding.
        nearest = h.days[h.last][h.journey]
        return np.where(h.converted, 2.0 ** ((nearest - h.days) / half_life_days), 0.0)
    return h.fresh.astype(float) if rule == "influenced" else np.ones(len(h.code))


def position_weights(
    place: NDArray[np.int64], length: NDArray[np.int64], shares: tuple[float, float, float] = POSITION
) -> FloatArray:
    """Return the weight of each touch by its place, from 1, in a journey of so many touches."""
    first, between, last = shares
    middle = between / np.maximum(length - 2, 1)
    return np.where(length == 1, 1.0, np.where(place == 1, first, np.where(place == length, last, middle)))
