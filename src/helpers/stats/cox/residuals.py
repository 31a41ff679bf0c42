"""What is left of each member in a fitted Cox model: score residuals, their sum over clusters, concordance.

Score residuals are those of Efron's likelihood (Therneau and Grambsch 2000, section 7.2): each of D members who
leave on a day stands for 1 / D of every step of the tie. Members of one cell have equal residuals, so sums over
clusters and the sandwich (Lin and Wei 1989) come from cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.stats.cox.risk_sets import Days, RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class CellArrays(NamedTuple):
    """Cells as arrays of shape (cells,): see :class:`helpers.stats.cox.risk_sets.RiskSets`."""

    pattern: IntArray
    stratum: IntArray
    entry: FloatArray
    last: FloatArray
    n: FloatArray
    exits: FloatArray


def score_residuals(
    design: FloatArray, beta: FloatArray, days: Days, cells: CellArrays, weight: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the score residual of a member of each cell who stayed, and of one who left.

    Parameters
    ----------
    design : ndarray, shape (patterns, k)
        Covariates, on the scale at which `days` was made.
    beta : ndarray, shape (k,)
        Log hazard ratios.
    days : Days
        Sums at `beta`.
    cells : CellArrays
        The cells.
    weight : ndarray, shape (days,), optional
        Factor of what each day contributes, such as its place in time; by default 1.

    Returns
    -------
    stayed, left : ndarray, shape (cells, k)
        Their sum over all members, exits as `left` and the others as `stayed`, is the gradient.
    """
    x = design[cells.pattern]
    risk = np.exp(x @ beta)[:, None]
    factor = np.ones(days.day.size) if weight is None else weight
    stayed, left = np.zeros_like(x), np.zeros_like(x)
    for number in np.unique(cells.stratum):
        here = np.flatnonzero(cells.stratum == number)
        of = days.stratum == number
        if not of.any():
            continue
        day, by = days.day[of], factor[of][:, None]
        hazard = np.concatenate([[0.0], np.cumsum(by[:, 0] * days.hazard[of])])[:, None]
        mean = np.vstack([np.zeros((1, x.shape[1])), np.cumsum(by * days.hazard_mean[of], axis=0)])
        first = np.searchsorted(day, cells.entry[here], "left")
        after = np.maximum(np.searchsorted(day, cells.last[here], "right"), first)
        own = x[here] * (hazard[after] - hazard[first]) - (mean[after] - mean[first])
        stayed[here] = -risk[here] * own
        last = np.minimum(np.searchsorted(day, cells.last[here], "left"), day.size - 1)
        tie = x[here] * days.tied_hazard[of][last][:, None] - days.tied_hazard_mean[of][last]
        left[here] = stayed[here] + by[last] * (x[here] - days.mean[of][last] + risk[here] * tie)
    seen = (cells.entry <= cells.last)[:, None]
    return np.where(seen, stayed, 0.0), np.where(seen, left, 0.0)


def meat(stayed: FloatArray, left: FloatArray, cells: CellArrays, cluster: IntArray | None) -> FloatArray:
    """Return the sum over clusters of the outer product of their summed residuals, shape (k, k).

    Without clusters every member is one.
    """
    stay = (cells.n - cells.exits)[:, None]
    if cluster is None:
        return stayed.T @ (stay * stayed) + left.T @ (cells.exits[:, None] * left)
    totals = stay * stayed + cells.exits[:, None] * left
    size = int(cluster.max(initial=-1)) + 1
    summed = np.column_stack([np.bincount(cluster, column, size).astype(float) for column in totals.T])
    return summed.T @ summed


def concordance(risk_sets: RiskSets, beta: FloatArray) -> tuple[float, float]:
    """Return Harrell's C and the number of pairs it rests on; NaN when there is none.

    A pair is a member who left and one of the same stratum who was at risk that day and left later or was not
    seen to leave. It counts 1 when the one who left had the higher hazard, and 1/2 when both are equal.
    """
    right, pairs = 0.0, 0.0
    for block in risk_sets.blocks():
        risk = np.round(risk_sets.design[block.patterns] @ beta, 12)
        levels, at = np.unique(risk, return_inverse=True)
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], np.arange(levels.size))
        left = np.add.reduceat(block.exits[:, order], starts, axis=1)
        stayed = np.add.reduceat(block.at_risk[:, order], starts, axis=1) - left
        below = np.cumsum(stayed, axis=1) - stayed / 2
        right += float((left * below).sum())
        pairs += float((left.sum(axis=1) * stayed.sum(axis=1)).sum())
    return (right / pairs if pairs else np.nan), pairs
