"""What is left of each member in a fitted Cox model: score residuals, their sum over clusters, concordance.

Score residuals are those of Efron's likelihood (Therneau and Grambsch 2000, section 7.2): each of D members who
leave on a day stands for 1 / D of every step of the tie. Members of one cell have equal residuals, so sums over
clusters and the sandwich (Lin and Wei 1989) come from cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helpers.stats.cox.risk_sets import Cells, Days, RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def score_residuals(risk_sets: RiskSets, beta: FloatArray, days: Days) -> tuple[FloatArray, FloatArray]:
    """Return the score residual of a member of each cell who stayed, and of one who left.

    Parameters
    ----------
    risk_sets : RiskSets
        The cells and their covariates.
    beta : ndarray, shape (k,)
        Log hazard ratios.
    days : Days
        Sums at `beta`.

    Returns
    -------
    stayed, left : ndarray, shape (cells, k)
        Their sum over all members, exits as `left` and the others as `stayed`, is the gradient.
    """
    cells = risk_sets.cells
    x = risk_sets.design[cells.pattern]
    if not days.day.size:
        return np.zeros_like(x), np.zeros_like(x)
    hazard, mean = (
        np.vstack([np.zeros((1, part.shape[1])), np.cumsum(part, axis=0)])
        for part in (days.hazard[:, None], days.hazard_mean)
    )
    risk = np.exp(x @ beta)[:, None]
    first = np.searchsorted(days.day, cells.entry, "left")
    after = np.maximum(np.searchsorted(days.day, cells.last, "right"), first)
    stayed = -risk * (x * (hazard[after] - hazard[first]) - (mean[after] - mean[first]))
    last = np.minimum(np.searchsorted(days.day, cells.last, "left"), days.day.size - 1)
    tie = x * days.tied_hazard[last][:, None] - days.tied_hazard_mean[last]
    return stayed, stayed + x - days.mean[last] + risk * tie


def meat(stayed: FloatArray, left: FloatArray, cells: Cells, cluster: IntArray | None) -> FloatArray:
    """Return the sum over clusters of the outer product of their summed residuals, shape (k, k).

    Without clusters every member is one.
    """
    stay = (cells.n - cells.exits)[:, None]
    if cluster is None:
        return stayed.T @ (stay * stayed) + left.T @ (cells.exits[:, None] * left)
    totals = stay * stayed + cells.exits[:, None] * left
    summed = np.zeros((int(cluster.max(initial=-1)) + 1, totals.shape[1]))
    np.add.at(summed, cluster, totals)
    return summed.T @ summed


def concordance(risk_sets: RiskSets, beta: FloatArray) -> tuple[float, float]:
    """Return Harrell's C and the number of pairs it rests on; NaN when there is none.

    A pair is a member who left and one who was at risk that day and left later or was not seen to leave. It counts 1
    when the one who left had the higher hazard, and 1/2 when both are equal.
    """
    right, pairs = 0.0, 0.0
    levels, at = np.unique(np.round(risk_sets.design @ beta, 12), return_inverse=True)
    order = np.argsort(at, kind="stable")
    starts = np.searchsorted(at[order], np.arange(levels.size))
    for block in risk_sets.blocks():
        left = np.add.reduceat(block.exits[:, order], starts, axis=1)
        stayed = np.add.reduceat(block.at_risk[:, order], starts, axis=1) - left
        below = np.cumsum(stayed, axis=1) - stayed / 2
        right += float((left * below).sum())
        pairs += float((left.sum(axis=1) * stayed.sum(axis=1)).sum())
    return (right / pairs if pairs else np.nan), pairs
