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
from numpy.typing import ArrayLike, NDArray

from helpers.methods.ab_test.effects import Contrast

FloatArray = NDArray[np.float64]

FEWEST = 6
"""Clusters below which nothing is said: 3 against 3 have 20 assignments, and no p below .1."""
FEW = 8
"""Clusters below which only t holds, and is said to."""


def cluster_contrast(
    outcome: ArrayLike, denominator: ArrayLike, treated: ArrayLike, n: ArrayLike | None = None
) -> Contrast:
    """Return the variant against the control from totals of clusters.

    Parameters
    ----------
    outcome, denominator : array_like, shape (..., clusters)
        Totals; the denominator of a mean is the units.
    treated : array_like of bool, shape (..., clusters)
        Whether the cluster had the variant; leading axes are free (draws).
    n : array_like, shape (clusters,), optional
        Units; the denominator when not given.

    Raises
    ------
    BadData
        With fewer than six clusters, or an arm with fewer than two.
    """
    raise NotImplementedError
