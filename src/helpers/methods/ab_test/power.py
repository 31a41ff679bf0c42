"""How many units and days a test needs, and which effect it can find: normal power of the planned comparison.

The variance of a proportion follows the rate that the effect leads to; that of a mean or ratio must be given. What
looks cost is the square of the drift that keeps the power under the bounds by that of a fixed test; what clusters
cost is ``1 + ((1 + cv^2) m - 1) icc`` for m units a cluster (Eldridge, Ashby and Kerry 2006).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helpers.methods.ab_test.sequential import Boundaries

FloatArray = NDArray[np.float64]


class Baseline(NamedTuple):
    """What is known of the metric before the test, and how it will be compared.

    Attributes
    ----------
    kind : {"mean", "proportion", "ratio"}
        Of the metric.
    mean : float
        Level of the control.
    variance : float, optional
        Of one unit (for a ratio, of the linearised value); not asked for a proportion.
    share : float
        Share of the units of the two arms that get the variant.
    inflation : float
        Units needed for one of a fixed test of independent units: looks, clusters, less what covariates save.
    """

    kind: str
    mean: float
    variance: float | None = None
    share: float = 0.5
    inflation: float = 1.0


def power(base: Baseline, lift: ArrayLike, units: ArrayLike, alpha: float) -> FloatArray:
    """Return the power to find a relative lift with `units` in both arms together, two-sided."""
    raise NotImplementedError


def detectable(base: Baseline, units: ArrayLike, alpha: float, wanted: float) -> FloatArray:
    """Return the smallest relative lift that is found with power `wanted`; times the mean it is the absolute one."""
    raise NotImplementedError


def needed(base: Baseline, lift: float, alpha: float, wanted: float) -> int:
    """Return the units in both arms together that find a relative lift with power `wanted`."""
    raise NotImplementedError


def days(units: float, units_a_day: float, outcome_days: int = 0) -> int:
    """Return the days until as many units have come and their outcomes are complete."""
    raise NotImplementedError


def inflation_of_looks(bounds: Boundaries, alpha: float, wanted: float) -> float:
    """Return how many times the units of a fixed test keep its power under these bounds."""
    raise NotImplementedError


def inflation_of_clusters(size: float, icc: float, *, clusters: int, variation: float = 0.0) -> float:
    """Return the design effect of clusters of a mean size, with the coefficient of variation of sizes.

    Raises
    ------
    BadParameters
        When so few clusters would count as next to no independent units, however many units they hold.
    """
    raise NotImplementedError
