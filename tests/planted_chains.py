"""Chains of tiers with a known matrix, and histories made from them without an engine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.rfm.history import JOINED, LEFT, TierHistory
from helpers.methods.rfm.tiers import TierScheme
from helpers.study import Study

LABELS = ("silent", "potential", "active", "core")
AWAY, FRESH = -1, 4
"""Codes of a member who is not there, and of one who joined during the period."""


LIVELY = np.array(
    [[0.80, 0.17, 0.025, 0.005], [0.33, 0.52, 0.13, 0.02], [0.1, 0.28, 0.52, 0.1], [0.03, 0.08, 0.25, 0.64]]
)
STICKY = np.array([[0.97, 0.03, 0, 0], [0.1, 0.87, 0.03, 0], [0, 0.1, 0.87, 0.03], [0, 0, 0.06, 0.94]])
MATRICES = {"lively": LIVELY, "sticky": STICKY}
"""Planted matrices: members who move a lot, and members who hardly do; some moves cannot happen."""


def run_chains(
    rng: np.random.Generator, matrix: NDArray[np.float64], members: int, periods: int, chains: int = 1
) -> NDArray[np.int64]:
    """Run chains of members over periods: codes of tiers (chains, periods, members)."""
    states = np.empty((chains, periods, members), dtype=np.int64)
    states[:, 0] = rng.choice(4, (chains, members), p=[0.55, 0.30, 0.11, 0.04])
    edges = matrix.cumsum(axis=1)[:, :-1]
    for period in range(1, periods):
        uniform = rng.random((chains, members))[..., None]
        states[:, period] = (uniform >= edges[states[:, period - 1]]).sum(axis=-1)
    return states


def count_pairs(states: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count moves of chains: codes (chains, periods, members) to counts (chains, pairs, 4, 4)."""
    codes = states[:, :-1] * 4 + states[:, 1:]
    counts = [(codes == code).sum(axis=-1) for code in range(16)]
    return np.stack(counts, axis=-1).reshape(*codes.shape[:2], 4, 4).astype(float)


def asked(**settings: object) -> Study:
    """A study that tells its level, seed and unit, and knows of nobody but one."""
    day = pd.Timestamp("2026-01-01")
    nothing = pd.DataFrame({"member_id": ["m"], "day": [day], "kind": "order", "value": 0.0})
    return Study.of({"activity": nothing}, "2026-12-31", **settings)


def history_of(states: NDArray[np.int64]) -> TierHistory:
    """Make a history from codes (periods, members): tiers 0 to 3, -1 not there, 4 joined in the period."""
    labels = LABELS
    periods = [f"2026-{number + 1:02d}" for number in range(len(states))]
    calendar = pd.DataFrame({"period": periods, "used": True, "reason": ""})
    counts = np.array([(states == tier).sum(axis=1) for tier in range(len(labels))], float).T
    size = len(labels) + 1
    moves = np.zeros((max(len(states) - 1, 0), size, size))
    for position, (before, after) in enumerate(pairwise(states)):
        for a in range(size):
            for place, b in enumerate([*range(len(labels)), AWAY]):
                moves[position, a, place] = ((before == a) & (after == b)).sum()
    return TierHistory(
        asked(),
        scheme=TierScheme.load("monthly_interactions"),
        period="month",
        calendar=calendar,
        counts=counts,
        moves=moves,
        passages=_passages(states, labels),
        newcomers=int((states[-1] == FRESH).sum()) if len(states) else 0,
        outside=0,
    )


def sizes_of(history: TierHistory) -> pd.DataFrame:
    """Return the members of every period and tier: period, tier, members."""
    index = pd.MultiIndex.from_product([history.periods, history.labels], names=["period", "tier"])
    return pd.DataFrame({"members": history.counts.ravel()}, index).reset_index()


def flows_of(history: TierHistory) -> pd.DataFrame:
    """Return the moves into every period but the first: period, from_state, to_state, n."""
    states = [[*history.labels, state] for state in (JOINED, LEFT)]
    keys = {"period": history.periods[1:], "from_state": states[0], "to_state": states[1]}
    index = pd.MultiIndex.from_product(list(keys.values()), names=list(keys))
    return pd.DataFrame({"n": history.moves.ravel()}, index).reset_index()


def _passages(states: NDArray[np.int64], labels: tuple[str, ...]) -> pd.DataFrame:
    """Count members first seen below the top by that tier, periods until the top or the end, and which."""
    columns = ["from_tier", "periods", "reached", "members"]
    if not states.size:
        return pd.DataFrame(columns=columns)
    there, top = (states >= 0) & (states < len(labels)), states == len(labels) - 1
    begin, reached = there.argmax(axis=0), top.any(axis=0)
    last = np.where(reached, top.argmax(axis=0), len(states) - 1)
    first = states[begin, np.arange(states.shape[1])]
    below = there.any(axis=0) & (first < len(labels) - 1)
    shape = (len(labels), len(states), 2)
    keys = np.ravel_multi_index((first[below], (last - begin)[below], reached[below].astype(int)), shape)
    codes, counts = np.unique(keys, return_counts=True)
    places = np.unravel_index(codes, shape)
    rows = [(labels[a], int(b), bool(c), int(n)) for a, b, c, n in zip(*places, counts, strict=True)]
    return pd.DataFrame(rows, columns=columns)
