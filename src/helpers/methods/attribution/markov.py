"""Removal effects of a Markov chain of channels, exact: which part of conversions runs through a channel.

States are the last k touches of a journey; one with fewer touches is a single state of all of them, and the start
leads to the first whole window. Equal states that follow each other are one. With Q the moves among states as shares,
pi those from the start, r those to conversion, N = (I - Q)^-1, h = N r and g = pi N, the removal effect of a channel
that is in the states S is the loss of conversion when the way into S leads to nothing:

    RE = g_S (N_SS)^-1 h_S / (pi h)

from one inverse for all channels. In value, r is weighted with the mean value of conversions by their last state. The
credit of a channel is its part of the sum of removal effects, which add up to more than 1 (Anderl et al. 2016).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from helpers.errors import BadData, BadParameters
from helpers.methods.attribution.heuristics import Sums
from helpers.methods.attribution.histories import Histories
from helpers.sentences import say
from helpers.stats.chains import reach

FloatArray = NDArray[np.float64]
Numbers = NDArray[np.int64]

ORDERS = (1, 2, 3)
# Weight of the shorter memory in what follows a longer one, in steps.
PRIOR = 1.0


class Effects(NamedTuple):
    """Removal effects.

    Attributes
    ----------
    conversion : float
        Probability that a journey of the chain converts.
    conversions, value : ndarray, shape (channels,)
        Parts of conversions and of their value that are lost without the channel; NaN where there are none.
    """

    conversion: float
    conversions: FloatArray
    value: FloatArray


class Chain(NamedTuple):
    """Shape of a chain; its numbers are sums: one per move, then conversions, losses and value by last state.

    Attributes
    ----------
    holds : ndarray of bool, shape (channels, states)
        Whether a state has the channel in its window.
    origin, target : ndarray, shape (moves,)
        States of each move; the start is the origin number `states`.
    """

    holds: NDArray[np.bool_]
    origin: Numbers
    target: Numbers

    def effects(self, sums: FloatArray) -> Effects:
        """Return the removal effects that sums give."""
        moves, ends = np.split(sums, [len(self.origin)])
        converted, lost, value = ends.reshape(3, -1)
        size = len(converted)
        counts = np.zeros((size + 1, size))
        counts[self.origin, self.target] = moves
        leaving = counts.sum(axis=1) + np.r_[converted + lost, 0.0]
        shares = counts / np.where(leaving > 0, leaving, 1.0)[:, None]
        out = np.column_stack([converted, value]) / np.where(leaving > 0, leaving, 1.0)[:size, None]
        passes = np.linalg.inv(np.eye(size) - shares[:size])
        reached, ahead = shares[size] @ passes, passes @ out
        total = shares[size] @ ahead
        lost_through = [
            reached[held] @ np.linalg.solve(passes[np.ix_(held, held)], ahead[held]) for held in self.holds
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.array(lost_through).reshape(-1, 2) / np.where(total == 0, np.nan, total)
        return Effects(float(total[0]), found[:, 0], found[:, 1])

    def credit(self, sums: FloatArray) -> FloatArray:
        """Return conversions and value by channel, shape (2, channels)."""
        found = self.effects(sums)
        ends = sums[len(self.origin) :].reshape(3, -1).sum(axis=1)
        parts = [
            np.zeros_like(effects) if total == 0 else total * effects / effects.sum()
            for total, effects in ((ends[0], found.conversions), (ends[2], found.value))
        ]
        return np.array(parts)


def chain(histories: Histories, order: int = 1) -> tuple[Chain, sparse.csr_array]:
    """Return the chain of an order, and what a member with each history adds to its sums."""
    if order not in ORDERS:
        raise BadParameters(say("order == {order!r}, must be 1, 2 or 3.", order=order))
    window, whole = _windows(histories, order)
    rows, base = np.flatnonzero(whole), len(histories.channels) + 1
    journey, history, last = histories.journey[rows], histories.history[rows], histories.last[rows]
    states, state = np.unique(window[rows], return_inverse=True)
    size, opens = len(states), np.diff(journey, prepend=-1) != 0
    before = np.where(opens, size, np.roll(state, 1))
    moves = before != state
    pairs, move = np.unique(before[moves] * size + state[moves], return_inverse=True)
    # After the moves: conversions, losses and value, each by the last state.
    end, lost = len(pairs) + state[last], ~histories.converted[rows][last]
    column = np.r_[move, end + size * lost, end + size * 2]
    row = np.r_[history[moves], np.tile(history[last], 2)]
    amount = np.r_[np.ones(len(move) + len(end)), histories.value[rows][last]]
    cells = sparse.coo_array((amount, (row, column)), shape=(len(histories.members), len(pairs) + 3 * size))
    digits = states // base ** np.arange(order)[:, None] % base
    holds = (digits == np.arange(1, base)[:, None, None]).any(axis=1)
    return Chain(holds, pairs // max(size, 1), pairs % max(size, 1)), cells.tocsr()


def _windows(histories: Histories, order: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the last touches as one number, digits of which are codes from 1, and whether they are a state."""
    base, number = len(histories.channels) + 1, histories.code + 1
    window = number.copy()
    for back in range(1, order):
        window += np.where(histories.place > back, np.roll(number, back), 0) * base**back
    return window, (histories.place >= order) | (histories.last & (histories.length < order))


def markov(histories: Histories, order: int = 1) -> Sums:
    """Return the model of an order, 1 to 3."""
    found, per_history = chain(histories, order)
    return Sums(per_history, found.credit)


def effects(histories: Histories, order: int = 1) -> Effects:
    """Return the removal effects of an order, 1 to 3."""
    found, per_history = chain(histories, order)
    return found.effects(per_history.T @ histories.members)


def first_order(cells: pd.DataFrame, channels: tuple[str, ...]) -> tuple[Effects, FloatArray]:
    """Return removal effects and credit of order 1 from steps counted in the engine, `Journeys.cells`.

    Raises
    ------
    BadData
        When some channels lead to each other without end.
    """
    size = len(channels)
    codes = pd.Series(range(size), index=list(channels))
    state = cells["channel"].map(codes).to_numpy(int)
    before = cells["before"].map(codes).fillna(size).to_numpy(int)
    n, last, won = cells["n"].to_numpy(float), cells["last"].to_numpy(bool), cells["converted"].to_numpy(bool)
    counts = np.zeros((size + 1, size))
    np.add.at(counts, (before, state), n)
    counts[range(size), range(size)] = 0.0  # a channel that follows itself is one state
    ends = [np.bincount(state, n * (last & won), size), np.bincount(state, n * (last & ~won), size)]
    _, sure = reach(np.column_stack([counts[:size], sum(ends)]))
    if not sure.all():
        names = ", ".join(np.array(channels)[~sure])
        raise BadData(say("touchpoints: {names} lead to each other and to no end of a journey.", names=names))
    found = Chain(np.eye(size, dtype=bool), *(each.ravel() for each in np.indices(counts.shape)))
    sums = np.concatenate([counts.ravel(), *ends, np.bincount(state, cells["value"] * won, size)])
    return found.effects(sums), found.credit(sums)


def choose_order(histories: Histories, seed: int = 0) -> tuple[int, pd.DataFrame]:
    """Return the order that best predicts the steps of members left out, the smallest of equals.

    Half of the members, drawn at random, predict the next step of the other half, and the other way round. What
    follows a window was seen so often, plus `PRIOR` times what follows the window that is one touch shorter.

    Returns
    -------
    tuple
        Order, 1 to 3; a table with order and loss (mean minus log probability of a step, in nats).
    """
    converts = len(histories.channels)
    size, members = converts + 2, histories.members
    ends = np.where(histories.converted, converts, converts + 1)
    follows = np.where(histories.last, ends, np.roll(histories.code, -1))
    numbered = []
    for order in (0, *ORDERS):  # what follows no window at all is what the shortest one rests on
        window = _windows(histories, order)[0] if order else np.zeros(len(follows), np.int64)
        pairs, step = np.unique(window * size + follows, return_inverse=True)
        context = np.unique(pairs // size, return_inverse=True)[1][step]
        numbered.append((step, context, histories.place >= order))
    half = np.random.default_rng(seed).binomial(members, 0.5)
    loss, steps = np.zeros(len(numbered)), members[histories.history].sum()
    for learn, test in ((half, members - half), (members - half, half)):
        learned, tested = learn[histories.history].astype(float), test[histories.history]
        chance = np.full(len(follows), 1.0 / size)
        for order, (step, context, longer) in enumerate(numbered):
            seen, of = np.bincount(step, learned)[step], np.bincount(context, learned)[context]
            chance = np.where(longer, (seen + PRIOR * chance) / (of + PRIOR), chance)
            loss[order] -= tested @ np.log(chance)
    table = pd.DataFrame({"order": ORDERS, "loss": loss[1:] / max(steps, 1)})
    return ORDERS[int(table["loss"].argmin())] if steps else 1, table
