"""Concentration: Lorenz curve, Gini index, share of the top, and the lift of a score, in many resamples at once.

Formulas
--------
The top takes a fraction of the member (or of the tied members) on its boundary, so that equal members count equally
and the order of rows never matters. The Gini index is that of the members at hand, without the n / (n - 1)
correction, so that it equals twice the area between the Lorenz curve and the diagonal:
``sum |x_i - x_j| / (2 n^2 mean)``. Standard errors come from the influence functions (Cowell and Flachaire 2007,
Langel and Tille 2013).

The lift of a score is the mean outcome of the top members by that score, divided by the mean outcome of all: the
share of the outcome that the top holds, over the share of members that it is. Its bootstrap resamples members and
keeps scores as they are, so it speaks of these scores on members like these; all scores see the same resamples, so
that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.stats.resample import FloatArray, Moments

GRID = np.linspace(0, 1, 101)
HALF_WIDTH = 0.025  # share of members on either side of the cut over which the value at the cut is averaged
# How many standard deviations of the number of members above the cut a resample may stray before it leaves
# the part of a ranking that is kept: a chance below 1e-20.
STRAY = 10.0


def taken(members: FloatArray, top: float) -> FloatArray:
    """Return the share of each group that is among the `top` share of members.

    Parameters
    ----------
    members : ndarray, shape (..., groups)
        Members of each group of equals, from the highest rank down.
    top : float
        Share of all members that is the top.
    """
    before = np.cumsum(members, axis=-1) - members
    wanted = top * members.sum(axis=-1, keepdims=True) - before
    return np.clip(wanted / np.maximum(members, 1e-300), 0, 1)


def in_top(values: FloatArray, top: float) -> FloatArray:
    """Return how far each member belongs to the `top` share of highest values, equals alike."""
    _, group, members = np.unique(-values, return_inverse=True, return_counts=True)
    return taken(members.astype(float), top)[group]


def top_share_with_error(groups: Moments, top: float) -> tuple[FloatArray, FloatArray]:
    """Return the top share and its standard error from the influence function, one per resample."""
    members, total = groups.members.sum(axis=1), groups.total.sum(axis=1)
    among = taken(groups.members, top)
    share = (among * groups.total).sum(axis=1) / total
    lower, upper = max(top - HALF_WIDTH, 0), min(top + HALF_WIDTH, 1)
    around = (taken(groups.members, upper) - taken(groups.members, lower)) * groups.total
    at_cut = (around.sum(axis=1) / (members * (upper - lower)))[:, None]
    slope, offset = among - share[:, None], at_cut * (among - top)
    spread = slope**2 * groups.squares - 2 * slope * offset * groups.total + offset**2 * groups.members
    return share, np.sqrt(np.maximum(spread.sum(axis=1), 0)) / np.abs(total)


def gini_with_error(groups: Moments) -> tuple[FloatArray, FloatArray]:
    """Return the Gini index and its standard error from the influence function, one per resample."""
    members, total = groups.members.sum(axis=1, keepdims=True), groups.total.sum(axis=1, keepdims=True)
    rank = 1 - (np.cumsum(groups.members, axis=1) - groups.members / 2) / members
    gini = 2 * (rank * groups.total).sum(axis=1, keepdims=True) / total - 1
    value = groups.total / np.maximum(groups.members, 1e-300)
    above = (np.cumsum(groups.total, axis=1) - groups.total / 2) / members
    influence = 2 * (value * rank + above) - (gini + 1) * value
    influence = influence - (groups.members * influence).sum(axis=1, keepdims=True) / members
    error = np.sqrt((groups.members * influence**2).sum(axis=1)) / np.abs(total[:, 0])
    return gini[:, 0], error


def lorenz_ordinates(groups: Moments) -> FloatArray:
    """Return the Lorenz ordinates of what was observed, not drawn, on the grid, shape (101,)."""
    members, value = (np.append(0.0, np.cumsum(part[0, ::-1])) for part in (groups.members, groups.total))
    return np.interp(GRID, members / members[-1], value / value[-1])


class Ranking(NamedTuple):
    """Members in falling order of a score, and where groups of equals start; all far below the top are one group."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, score: FloatArray, deep: float) -> Ranking:
        """Rank members by a score, of whom the `deep` highest matter."""
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        return cls(order, starts[: int(np.searchsorted(starts, deep)) + 1])

    def lift(self, weight: FloatArray, outcome: FloatArray, top: float) -> float:
        """Return the lift where each member counts `weight` times; NaN when the outcome is not above 0 in all."""
        counts = weight[self.order]
        members = np.add.reduceat(counts, self.starts)
        totals = np.add.reduceat(counts * outcome[self.order], self.starts)
        return lift_of(members, totals, top)


def lift_of(members: FloatArray, totals: FloatArray, top: float) -> float:
    """Return the lift from members and outcome of each group of equals, from the highest score down; NaN as above."""
    total = float(totals.sum())
    return float(taken(members, top) @ totals) / top / total if total > 0 else np.nan


def lift(score: FloatArray, outcome: FloatArray, top: float = 0.1) -> float:
    """Return the lift of one score; NaN when the mean outcome is not above 0."""
    if not score.size:
        return np.nan
    return Ranking.of(score, top * score.size).lift(np.ones(score.size), outcome, top)


def paired_lifts(
    scores: Mapping[str, FloatArray], outcome: FloatArray, *, top: float, draws: int, seed: int
) -> dict[str, FloatArray]:
    """Return `draws` bootstrap values of the lift of each score, paired over scores.

    A member without outcome that no score has near its top changes neither a top nor the whole, so all of these are
    drawn as one. This is exact, and most of the speed.
    """
    n, cut = outcome.size, top * outcome.size
    deep = min(n, int(np.ceil(cut + STRAY * np.sqrt(cut) + STRAY)))
    near = [score >= np.partition(score, n - deep)[n - deep] for score in scores.values()]
    kept = np.flatnonzero(np.any([outcome != 0, *near], axis=0))
    values = np.append(outcome[kept], 0.0)
    rankings = {name: Ranking.of(np.append(score[kept], -np.inf), deep) for name, score in scores.items()}
    rng = np.random.default_rng(seed)
    found = {name: np.full(draws, np.nan) for name in scores}
    for draw in range(draws):
        drawn = rng.integers(0, kept.size, rng.binomial(n, kept.size / n), dtype=np.int32)
        weight = np.append(np.bincount(drawn, minlength=kept.size), n - drawn.size).astype(float)
        for name, ranking in rankings.items():
            found[name][draw] = ranking.lift(weight, values, top)
    return found
