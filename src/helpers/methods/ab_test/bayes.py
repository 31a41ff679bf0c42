"""The Bayesian reading: how probable, how much would be lost, with normal prior and normal likelihood of lifts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


class Belief(NamedTuple):
    """What is believed of the lifts of the variants; shapes (variants,).

    Attributes
    ----------
    mean, deviation : ndarray
        Of the posterior.
    low, high : ndarray
        Its central interval.
    chance : ndarray
        Probability that the lift is above 0.
    loss : ndarray
        Expected loss of shipping: mean of the lift where it is negative, as a positive number.
    best : ndarray, shape (variants + 1,)
        Probability that the control, the first variant, … is the best of all.
    decided : ndarray of bool
        Whether the interval leaves out 0.
    """

    mean: FloatArray
    deviation: FloatArray
    low: FloatArray
    high: FloatArray
    chance: FloatArray
    loss: FloatArray
    best: FloatArray
    decided: NDArray[np.bool_]

    def above(self, lift: float) -> FloatArray:
        """Return the probability that the lift is at least `lift`."""
        raise NotImplementedError


def believe(
    lift: ArrayLike, covariance: ArrayLike, confidence: float, *, prior_deviation: float = np.inf
) -> Belief:
    """Return the belief after a test.

    Parameters
    ----------
    lift : array_like, shape (variants,)
        Estimates.
    covariance : array_like, shape (variants, variants)
        Of the estimates: off the diagonal what they share by one control.
    confidence : float
        Of the interval.
    prior_deviation : float
        Of the lifts before the test, normal around 0; infinite for none.
    """
    raise NotImplementedError
