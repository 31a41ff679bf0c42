"""The BG/NBD model of Fader, Hardie and Lee (2005): likelihood, its gradient and predictions.

A member buys at rate lambda ~ Gamma(r, alpha) while alive and leaves after each transaction with chance
p ~ Beta(a, b). The data of a member are x repeat transactions in (0, T], the last of them at t_x; both times
count from the first transaction, in one unit (weeks by default).

Source: "Counting your customers" the easy way: an alternative to the Pareto/NBD model, Marketing Science
24(2), equations 3 to 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]

# Where the closed form has a removable singularity it is interpolated from twice this distance, with an error of
# the order of its square.
NEAR_SINGULAR = 1e-4


class Parameters(NamedTuple):
    """Parameters of the model: rates Gamma(r, alpha), chances of leaving Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


class Likelihood:
    """Negative log-likelihood of compressed cells in (log r, log alpha, log a, log b), with its gradient.

    The special functions see each distinct x once and the logarithms each distinct time once; cells gather
    from these short tables. A cell without a repeat needs its age alone, so only cells with repeats are kept
    whole, and the rest of the work is on sums by x and by age.

    Parameters
    ----------
    x : ndarray, shape (cells,)
        Repeat transactions.
    t_x, age : ndarray, shape (cells,)
        Time of the last transaction and length of observation, from the first transaction.
    members : ndarray, shape (cells,)
        How many members share the cell.
    """

    def __init__(self, x: FloatArray, t_x: FloatArray, age: FloatArray, members: FloatArray) -> None:
        self.members = float(members.sum())
        self.ages, at_age = np.unique(age, return_inverse=True)
        self.members_at_age = np.bincount(at_age, members)
        self.repeats_at_age = np.bincount(at_age, members * x)
        self.sizes, at_size = np.unique(x.astype(float), return_inverse=True)
        self.members_at_size = np.bincount(at_size, members)
        again = x > 0
        self.x, self.weight = x[again], members[again]
        self.lasts, self.at_last = np.unique(t_x[again], return_inverse=True)
        self.at_age, self.at_size = at_age[again], at_size[again]

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log-likelihood and its gradient, shape (4,), at log parameters `theta`."""
        r, alpha, a, b = parameters = np.exp(theta)
        sizes, n, digamma = self.sizes, self.members_at_size, special.digamma
        stays = b + np.maximum(sizes, 1) - 1
        log_age, log_last = np.log(alpha + self.ages), np.log(alpha + self.lasts)
        log_ratio = log_age[self.at_age] - log_last[self.at_last]
        log_odds = (theta[2] - np.log(stays))[self.at_size] + (r + self.x) * log_ratio
        small = np.exp(-np.abs(log_odds))
        gone = self.weight * np.where(log_odds > 0, 1.0, small) / (1 + small)
        exponents = r * self.members_at_age + self.repeats_at_age
        by_size = special.gammaln(r + sizes) - special.gammaln(r) + r * theta[1]
        by_size += special.betaln(a, b + sizes) - special.betaln(a, b)
        log_both = np.maximum(log_odds, 0) + np.log1p(small)
        value = n @ by_size - exponents @ log_age + np.sum(self.weight * log_both)
        rate_gap = (1 / (alpha + self.ages))[self.at_age] - (1 / (alpha + self.lasts))[self.at_last]
        both = n @ (digamma(a + b) - digamma(a + b + sizes))
        by_rate = n @ (digamma(r + sizes) - digamma(r) + theta[1]) - self.members_at_age @ log_age
        by_scale = self.members * r / alpha - exponents @ (1 / (alpha + self.ages))
        gone_at_size = np.bincount(self.at_size, gone, sizes.size)
        gradient = np.array(
            [
                by_rate + np.sum(gone * log_ratio),
                by_scale + np.sum(gone * (r + self.x) * rate_gap),
                both + gone.sum() / a,
                both + n @ (digamma(b + sizes) - digamma(b)) - gone_at_size @ (1 / stays),
            ]
        )
        return -float(value), -gradient * parameters


def probability_alive(parameters: Parameters, x: FloatArray, t_x: FloatArray, age: FloatArray) -> FloatArray:
    """Return the chance that a member has not left by the end of observation (1 for x = 0, by the model)."""
    r, alpha, a, b = parameters
    log_odds = np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * np.log((alpha + age) / (alpha + t_x))
    return np.where(x > 0, special.expit(-log_odds), 1.0)


def expected_transactions(
    parameters: Parameters, t: float, x: FloatArray, t_x: FloatArray, age: FloatArray
) -> FloatArray:
    """Return the expected number of transactions in the `t` units of time after the end of observation.

    Equation 10 of the paper, written as the chance of being alive times the expectation of those alive. The
    latter depends on (x, age) alone, so it is computed once for each distinct pair.
    """
    x, age = np.broadcast_arrays(np.asarray(x, float), np.asarray(age, float))
    pairs = pd.DataFrame({"x": x.ravel(), "age": age.ravel()})
    at, distinct = pairs.groupby(["x", "age"], sort=False).ngroup().to_numpy(), pairs.drop_duplicates()
    if_alive = expected_if_alive(parameters, t, distinct["x"].to_numpy(), distinct["age"].to_numpy())
    return if_alive[at].reshape(x.shape) * probability_alive(parameters, x, t_x, age)


def expected_if_alive(parameters: Parameters, t: float, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return the expectation for members that are alive, stepping over a = 1 and, at x = 0, a + b = 1."""
    r, alpha, a, b = parameters
    for name, distance in (("a", a - 1), ("b", a + b - 1)):
        if abs(distance) < NEAR_SINGULAR:
            singular = getattr(parameters, name) - distance
            low, high = (
                expected_if_alive(parameters._replace(**{name: singular + side}), t, x, age)
                for side in (-2 * NEAR_SINGULAR, 2 * NEAR_SINGULAR)
            )
            return low + (distance / (4 * NEAR_SINGULAR) + 0.5) * (high - low)
    # Euler's transformation of 2F1(r + x, b + x; a + b + x - 1; z): the large exponents r + x cancel out.
    z = t / (alpha + age + t)
    series = special.hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, z)
    return (a + b + x - 1) / (a - 1) * (1 - (1 - z) ** (a - 1) * series)
