"""Arms assigned by clusters or by periods: CR2 errors for two arms, with Satterthwaite's degrees of freedom.

The level of an arm is the sum of its clusters' outcomes by the sum of their denominators (units, when it is a mean).
With the residual total ``e_g = y_g - R d_g`` and the leverage ``h_g = d_g / sum(d)`` of a cluster, the CR2 variance
of Bell and McCaffrey (2002) has for two arms the closed form ``sum(e_g^2 / (1 - h_g)) / sum(d)^2`` in each arm; for
clusters of one size it is Welch's on cluster means. Degrees of freedom by their Satterthwaite approximation under
independent units, which for one size is ``(1/G1 + 1/G2)^2 / sum(1 / (G^2 (G - 1)))``.

In a switchback the cluster is a period; what falls in the burn-in after a switch is left out before the totals.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from helpers.methods.ab_test.effects import Contrast
from helpers.stats.estimate import FloatArray

# Clusters below which nothing is said: 3 against 3 have 20 assignments, and no p below .1.
FEWEST = 6
# Clusters below which only t holds, and is said to.
FEW = 8


def cluster_contrast(
    outcome: ArrayLike, denominator: ArrayLike, treated: ArrayLike, units: ArrayLike | None = None
) -> Contrast:
    """Return the variant against the control from totals of clusters.

    Parameters
    ----------
    outcome, denominator : array_like, shape (..., clusters)
        Totals; the denominator of a mean is the units. A cluster without denominator does not count.
    treated : array_like of bool, shape (..., clusters)
        Whether the cluster had the variant; leading axes are free (looks, draws).
    units : array_like, shape (..., clusters), optional
        Units; the denominator when not given.

    Returns
    -------
    Contrast
        Lacking when there are fewer than six clusters, or fewer than two in an arm.
    """
    y, d, own = np.asarray(outcome, float), np.asarray(denominator, float), np.asarray(treated, bool)
    own = np.broadcast_to(own, np.broadcast_shapes(own.shape, d.shape))
    arms = np.stack([~own, own])
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = np.where(arms, d, 0.0)
        total = sizes.sum(-1)
        level = np.where(arms, y, 0.0).sum(-1) / total
        leverage = 1 / (1 - sizes / total[..., None])
        residual = np.where(arms, y - level[..., None] * d, 0.0)
        variance = (residual**2 * leverage).sum(-1) / total**2
        squares = sizes**2
        apart = (leverage * squares).sum(-1) ** 2 - (leverage**2 * squares**2).sum(-1)
        spread = (squares.sum(-1) + apart / total**2) / total**4
        degrees = (1 / total).sum(0) ** 2 / spread.sum(0)
    count = (arms & (d > 0)).sum(-1)
    few = (count.sum(0) < FEWEST) | (count.min(0) < 2)
    lacking = np.where(few, "fewer than six clusters, or than two in an arm", "")
    covariance = np.moveaxis(variance, 0, -1)[..., None] * np.eye(2)
    n = np.where(arms, d if units is None else np.asarray(units, float), 0.0).sum(-1)
    return Contrast(np.moveaxis(level, 0, -1), covariance, degrees, np.moveaxis(n, 0, -1), lacking)


def gathered(
    totals: pd.DataFrame, looks: int, denominator: str = "n", *, arm: int = 1
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray, FloatArray]:
    """Return which clusters had the variant, and what each has gathered by each look.

    Parameters
    ----------
    totals : DataFrame
        Columns arm, look (int, from 0), cluster, n, outcome and the denominator: gained since the look before.
    looks : int
        How many.
    denominator : str
        Column that the outcome is divided by; the units of a mean.
    arm : int
        The variant; the control is 0.

    Returns
    -------
    tuple of ndarray
        Treated, shape (clusters,); outcome, denominator and units, shape (looks, clusters).
    """
    pair = totals[totals["arm"].isin([0, arm])]
    treated = pair.groupby("cluster")["arm"].first() == arm
    names = ["outcome", "n"] if denominator == "n" else ["outcome", "n", denominator]
    wide = pair.pivot_table(names, "look", "cluster", "sum", fill_value=0)
    grown = wide.reindex(range(looks), fill_value=0).cumsum()
    y, d, n = (grown[name][treated.index].to_numpy(float) for name in ("outcome", denominator, "n"))
    return treated.to_numpy(), y, d, n


def by_look(totals: pd.DataFrame, looks: int, denominator: str = "n", *, arm: int = 1) -> Contrast:
    """Return the variant against the control at each look; arguments as in :func:`gathered`."""
    treated, outcome, below, units = gathered(totals, looks, denominator, arm=arm)
    return cluster_contrast(outcome, below, treated, units)
