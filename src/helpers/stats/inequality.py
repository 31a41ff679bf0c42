"""Lorenz curve, Gini index and top share of grouped members, for many resamples at once.

Formulas
--------
Gini index of the members at hand, without the n / (n - 1) correction, so that it equals twice the area between
the Lorenz curve and the diagonal: ``sum |x_i - x_j| / (2 n^2 mean)``. The top share takes a fraction of the
member (or of the tied members) on the boundary, so that equal members count equally. Standard errors come from
the influence functions (Cowell and Flachaire 2007, Langel and Tille 2013).
"""

from __future__ import annotations

import numpy as np

from helpers.stats.value_cells import FloatArray, Moments

GRID = np.linspace(0, 1, 101)
HALF_WIDTH = 0.025  # share of members on either side of the cut over which the value at the cut is averaged


def top_value(groups: Moments, top: float) -> tuple[FloatArray, FloatArray]:
    """Return the value of the top members and the share of each rank group that is among them.

    Shapes are (draws,) and (draws, groups); the boundary group counts by the fraction that belongs to the top.
    """
    before = np.cumsum(groups.members, axis=1) - groups.members
    wanted = top * groups.members.sum(axis=1, keepdims=True) - before
    taken = np.clip(wanted / np.maximum(groups.members, 1e-300), 0, 1)
    return (taken * groups.total).sum(axis=1), taken


def top_share_with_error(groups: Moments, top: float) -> tuple[FloatArray, FloatArray]:
    """Return the top share and its standard error from the influence function, one per resample."""
    members, total = groups.members.sum(axis=1), groups.total.sum(axis=1)
    held, taken = top_value(groups, top)
    share = held / total
    lower, upper = max(top - HALF_WIDTH, 0), min(top + HALF_WIDTH, 1)
    around = top_value(groups, upper)[0] - top_value(groups, lower)[0]
    at_cut = (around / (members * (upper - lower)))[:, None]
    slope, offset = taken - share[:, None], at_cut * (taken - top)
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
    """Return the Lorenz ordinates on the grid, shape (draws, 101)."""
    members = np.cumsum(groups.members[:, ::-1], axis=1)
    value = np.cumsum(groups.total[:, ::-1], axis=1)
    members, value = members / members[:, -1:], value / value[:, -1:]
    start = np.zeros((len(members), 1))
    x, y = np.hstack([start, members]), np.hstack([start, value])
    return np.array([np.interp(GRID, *pair) for pair in zip(x, y, strict=True)])
