"""The Bayesian reading: how probable, how much would be lost, of lifts that are normal; no prior.

The expected loss ``E[max(-x, 0)]`` of a normal x is ``deviation * (pdf(u) - u sf(u))`` with u = mean / deviation; far
in the tail the two terms cancel, and the parabolic cylinder function ``exp(-u^2 / 4) D_-2(u) / sqrt(2 pi)`` of the
same value does not (Abramowitz and Stegun 19.14). A variant is decided only when the shown interval leaves out 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import pbdv

from helpers.stats.estimate import FloatArray


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
        return stats.norm.sf(lift, self.mean, self.deviation)


def believe(lift: ArrayLike, error: ArrayLike, confidence: float, *, shared: float = 0.0) -> Belief:
    """Return the belief after a test.

    Parameters
    ----------
    lift, error : array_like, shape (variants,)
        Estimates with their standard errors, on the log scale or relative.
    confidence : float
        Of the interval.
    shared : float
        Variance that the estimates have in common, because they are compared with one control.
    """
    mean, deviation = np.asarray(lift, float), np.asarray(error, float)
    covariance = np.diag(deviation**2 - shared) + shared
    half = stats.norm.isf((1 - confidence) / 2) * deviation
    low, high, best = mean - half, mean + half, []
    # Lifts of all arms, the control's being 0; an arm is the best when none of the others is above it.
    arms = np.vstack([np.zeros(len(mean)), np.eye(len(mean))])
    for arm in range(len(arms)):
        above = np.delete(arms, arm, axis=0) - arms[arm]
        others = stats.multivariate_normal(above @ mean, above @ covariance @ above.T, seed=0)
        best.append(others.cdf(np.zeros(len(mean))))
    loss, chance = expected_loss(mean, deviation), stats.norm.cdf(mean / deviation)
    return Belief(mean, deviation, low, high, chance, loss, np.array(best), (low > 0) | (high < 0))


def expected_loss(mean: ArrayLike, deviation: ArrayLike) -> FloatArray:
    """Return what shipping loses on average where the effect is negative, elementwise."""
    u = np.asarray(mean, float) / deviation
    far = np.maximum(u, 0.0)
    tail = np.exp(-(far**2) / 4) * pbdv(-2, far)[0] / np.sqrt(2 * np.pi)
    return np.asarray(deviation) * np.where(u > 0, tail, stats.norm.pdf(u) - u * stats.norm.sf(u))
