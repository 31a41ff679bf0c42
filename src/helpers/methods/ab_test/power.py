"""How many units and days a test needs, and which effect it can find: normal power of the planned comparison.

The variance of a proportion follows the rate that the effect leads to; that of a mean or ratio must be given. What
looks cost is the square of the drift that keeps the power under the bounds by that of a fixed test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from statsmodels.stats.power import normal_power

from helpers.methods.ab_test.sequential import Boundaries, crossing


class Baseline(NamedTuple):
    """What is known of the metric before the test, and how it will be compared.

    Attributes
    ----------
    kind : {"mean", "proportion", "ratio"}
        Of the metric.
    mean : float
        Level of the control.
    variance : float
        Of one unit (for a ratio, of the linearised value); not asked for a proportion, whose level tells it.
    share : float
        Share of the units of the two arms that get the variant.
    inflation : float
        Units needed for one of a fixed test of independent units: looks, clusters, less what covariates save.
    """

    kind: str
    mean: float
    variance: float
    share: float = 0.5
    inflation: float = 1.0


def _error(base: Baseline, lift: float, units: float) -> float:
    """Return the standard error of the difference between the arms."""
    spread = [base.variance] * 2
    if base.kind == "proportion":
        spread = [level * (1 - level) for level in (base.mean, base.mean * (1 + lift))]
    return float(np.sqrt((spread[0] / (1 - base.share) + spread[1] / base.share) * base.inflation / units))


def _drift(alpha: float, wanted: float) -> float:
    """Return the mean of z that is found with power `wanted`."""
    return float(brentq(lambda drift: normal_power(drift, 1, alpha) - wanted, 0, 40, xtol=1e-12))


def detectable(base: Baseline, units: float, alpha: float, wanted: float) -> float:
    """Return the smallest lift, relative to the mean, that is found with power `wanted`; NaN when none can be."""
    drift, mean = _drift(alpha, wanted), abs(base.mean)
    most = 1 / mean - 1 if base.kind == "proportion" else 2 * drift * _error(base, 0.0, units) / mean

    def excess(lift: float) -> float:
        return lift * mean - drift * _error(base, lift, units)

    return float(brentq(excess, 0, most, xtol=1e-14)) if excess(most) > 0 else np.nan


def needed(base: Baseline, lift: float, alpha: float, wanted: float) -> int:
    """Return the units in both arms together that find a relative lift with power `wanted`."""
    return int(np.ceil((_drift(alpha, wanted) * _error(base, lift, 1) / (lift * base.mean)) ** 2))


def inflation_of_looks(bounds: Boundaries, alpha: float, wanted: float) -> float:
    """Return how many times the units of a fixed test keep its power under these bounds."""
    drift = brentq(lambda drift: crossing(bounds, drift).sum() - wanted, 0, 40)
    return float(drift / _drift(alpha, wanted)) ** 2
