"""The BG/NBD model of Fader, Hardie and Lee (2005): likelihood, derivatives and predictions.

A member buys at rate lambda ~ Gamma(r, alpha) while alive and leaves after each transaction with chance
p ~ Beta(a, b). The data of a member are x repeat transactions in (0, T], the last of them at t_x; both times
count from the first transaction, in one unit (weeks by default).

Source: "Counting your customers" the easy way: an alternative to the Pareto/NBD model, Marketing Science
24(2), equations 3 to 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from helpers.stats.btyd.maximum_likelihood import pairwise_total

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

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
    """Negative log-likelihood of compressed cells in (log r, log alpha, log a, log b).

    The special functions see each distinct x once and the logarithms each distinct time once; cells gather
    from these short tables. A cell without a repeat needs its age alone, so only cells with repeats are kept
    whole, and the rest of the work is on sums by x and by age.

    Parameters
    ----------
    x : ndarray of int, shape (cells,)
        Repeat transactions.
    t_x, age : ndarray of float, shape (cells,)
        Time of the last transaction and length of observation, from the first transaction.
    members : ndarray of float, shape (cells,)
        How many members share the cell.
    """

    def __init__(self, x: IntArray, t_x: FloatArray, age: FloatArray, members: FloatArray) -> None:
        self.members = float(members.sum())
        self.ages, at_age = np.unique(age, return_inverse=True)
        self.members_at_age = np.bincount(at_age, members, self.ages.size)
        self.repeats_at_age = np.bincount(at_age, members * x, self.ages.size)
        self.sizes, at_size = np.unique(x, return_inverse=True)
        self.members_at_size = np.bincount(at_size, members, self.sizes.size)
        kept = np.flatnonzero(x > 0)
        kept = kept[np.argsort(x[kept], kind="stable")]
        self.counts, starts = np.unique(x[kept], return_index=True)
        self.starts = starts
        self.cells_per_count = np.diff(np.append(starts, kept.size))
        self.x, self.weight = x[kept].astype(float), members[kept]
        self.lasts, self.at_last = np.unique(t_x[kept], return_inverse=True)
        self.at_age = at_age[kept]

    def _gone(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return, per cell with repeats: members that have left, log (age / last), log (1 + odds of it)."""
        r, alpha, _, b = np.exp(theta)
        log_ratio = np.log(alpha + self.ages)[self.at_age]
        log_ratio -= np.log(alpha + self.lasts)[self.at_last]
        log_odds = np.repeat(theta[2] - np.log(b + self.counts - 1), self.cells_per_count)
        log_odds += (r + self.x) * log_ratio
        small = np.exp(-np.abs(log_odds))
        log_both = np.maximum(log_odds, 0) + np.log1p(small)
        return self.weight * np.where(log_odds > 0, 1.0, small) / (1 + small), log_ratio, log_both

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log-likelihood and its gradient, shape (4,), at log parameters `theta`."""
        r, alpha, a, b = parameters = np.exp(theta)
        gone, log_ratio, log_both = self._gone(theta)
        log_age, exponents = np.log(alpha + self.ages), r * self.members_at_age + self.repeats_at_age
        sizes, n = self.sizes, self.members_at_size
        value = pairwise_total(self.weight, log_both) - exponents @ log_age + n @ self._log_constant(theta)
        digamma = special.digamma
        both = n @ (digamma(a + b) - digamma(a + b + sizes))
        stays = n @ (digamma(b + sizes) - digamma(b)) - self._sum_by_count(gone) @ (1 / (b + self.counts - 1))
        by_rate = n @ (digamma(r + sizes) - digamma(r) + theta[1]) - self.members_at_age @ log_age
        by_scale = self.members * r / alpha - exponents @ (1 / (alpha + self.ages))
        rate_gap = self._rate_gap(alpha)
        gradient = np.array(
            [
                by_rate + pairwise_total(gone, log_ratio),
                by_scale + pairwise_total(gone, (r + self.x) * rate_gap),
                both + gone.sum() / a,
                both + stays,
            ]
        )
        return -float(value), -gradient * parameters

    def _log_constant(self, theta: FloatArray) -> FloatArray:
        """Return the part of the log-likelihood that depends on x alone, per distinct x."""
        r, _, a, b = np.exp(theta)
        rate = special.gammaln(r + self.sizes) - special.gammaln(r) + r * theta[1]
        return rate + special.betaln(a, b + self.sizes) - special.betaln(a, b)

    def _rate_gap(self, alpha: float) -> FloatArray:
        """Return 1 / (alpha + age) - 1 / (alpha + last) per cell with repeats, which is minus what gone adds."""
        gap = (1 / (alpha + self.ages))[self.at_age]
        gap -= (1 / (alpha + self.lasts))[self.at_last]
        return gap

    def _sum_by_count(self, cells: FloatArray) -> FloatArray:
        return np.add.reduceat(cells, self.starts)

    def hessian(self, theta: FloatArray) -> FloatArray:
        """Return the Hessian of the negative log-likelihood, shape (4, 4), in log parameters."""
        r, alpha, a, b = parameters = np.exp(theta)
        _, gradient = self.value_and_gradient(theta)
        gone, log_ratio, _ = self._gone(theta)
        exponent, rate_gap, per_stay = r + self.x, self._rate_gap(alpha), 1 / (b + self.counts - 1)
        rate_age, rate_last = 1 / (alpha + self.ages), 1 / (alpha + self.lasts)
        square_gap = (rate_age**2)[self.at_age] - (rate_last**2)[self.at_last]
        exponents = r * self.members_at_age + self.repeats_at_age
        sizes, n = self.sizes, self.members_at_size
        trigamma = _trigamma
        natural = np.zeros((4, 4))
        natural[0, 0] = n @ (trigamma(r + sizes) - trigamma(r))
        natural[0, 1] = self.members / alpha - self.members_at_age @ rate_age + pairwise_total(gone, rate_gap)
        natural[1, 1] = (
            -self.members * r / alpha**2
            + exponents @ rate_age**2
            - pairwise_total(gone * exponent, square_gap)
        )
        both = n @ (trigamma(a + b) - trigamma(a + b + sizes))
        natural[2, 2] = both - gone.sum() / a**2
        natural[2, 3] = both
        natural[3, 3] = (
            both + n @ (trigamma(b + sizes) - trigamma(b)) + self._sum_by_count(gone) @ per_stay**2
        )
        # The score of "gone" minus that of "alive"; its spread is the information lost by not seeing which.
        contrast = (log_ratio, exponent * rate_gap, 1 / a, -np.repeat(per_stay, self.cells_per_count))
        unseen = gone * (1 - gone / self.weight)
        for i, j in zip(*np.triu_indices(4), strict=True):
            natural[i, j] += np.sum(unseen * contrast[i] * contrast[j])
        natural = natural + np.triu(natural, 1).T
        # d2 / dlog2 = p_i p_j d2 / dp2 + (i = j) p_i d / dp
        return -natural * np.outer(parameters, parameters) + np.diag(gradient)


def _trigamma(values: FloatArray) -> FloatArray:
    return special.polygamma(1, values)


def probability_alive(parameters: Parameters, x: FloatArray, t_x: FloatArray, age: FloatArray) -> FloatArray:
    """Return the chance that a member has not left by the end of observation (1 for x = 0, by the model)."""
    r, alpha, a, b = parameters
    log_odds = np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * np.log((alpha + age) / (alpha + t_x))
    return np.where(x > 0, special.expit(-log_odds), 1.0)


def probability_alive_slopes(
    parameters: Parameters, x: FloatArray, t_x: FloatArray, age: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the chance of being alive for x > 0 and its slopes in log parameters, shape (4, members)."""
    r, alpha, _, b = parameters
    alive = probability_alive(parameters, x, t_x, age)
    log_ratio = np.log((alpha + age) / (alpha + t_x))
    by_scale = alpha * (r + x) * (1 / (alpha + age) - 1 / (alpha + t_x))
    log_odds = np.stack([r * log_ratio, by_scale, np.ones_like(alive), -b / (b + x - 1)])
    return alive, -alive * (1 - alive) * log_odds


def expected_transactions(
    parameters: Parameters, t: FloatArray | float, x: FloatArray, t_x: FloatArray, age: FloatArray
) -> FloatArray:
    """Return the expected number of transactions in the `t` units of time after the end of observation.

    Equation 10 of the paper, written as the chance of being alive times the expectation of those alive. The
    latter depends on (x, age) alone, so it is computed once for each distinct pair.
    """
    t, x, age = np.broadcast_arrays(np.asarray(t, float), np.asarray(x, float), np.asarray(age, float))
    codes = np.zeros(x.size, dtype=np.int64)
    for values in (t, x, age):
        levels, at = np.unique(values, return_inverse=True)
        codes = codes * levels.size + at.ravel()
    _, first, at = np.unique(codes, return_index=True, return_inverse=True)
    distinct = (values.ravel()[first] for values in (t, x, age))
    if_alive = _expected_if_alive(parameters, *distinct)[at].reshape(x.shape)
    return if_alive * probability_alive(parameters, x, t_x, age)


def _expected_if_alive(parameters: Parameters, t: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray:
    """Return the expectation for members that are alive, stepping over a = 1 and, at x = 0, a + b = 1."""
    r, alpha, a, b = parameters
    for name, distance in (("a", a - 1), ("b", a + b - 1)):
        if abs(distance) < NEAR_SINGULAR:
            singular = getattr(parameters, name) - distance
            low = parameters._replace(**{name: singular - 2 * NEAR_SINGULAR})
            high = parameters._replace(**{name: singular + 2 * NEAR_SINGULAR})
            share = (distance + 2 * NEAR_SINGULAR) / (4 * NEAR_SINGULAR)
            return (1 - share) * _expected_if_alive(low, t, x, age) + share * _expected_if_alive(
                high, t, x, age
            )
    # Euler's transformation of 2F1(r + x, b + x; a + b + x - 1; z): the large exponents r + x cancel out.
    z = t / (alpha + age + t)
    series = special.hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, z)
    return (a + b + x - 1) / (a - 1) * (1 - (1 - z) ** (a - 1) * series)


def simulate(parameters: Parameters, age: FloatArray, seed: int) -> tuple[IntArray, FloatArray]:
    """Simulate the repeat transactions of members that are observed for `age` units of time.

    Returns
    -------
    member : ndarray of int, shape (transactions,)
        Position of the buyer in `age`.
    time : ndarray of float, shape (transactions,)
        Time since that member's first transaction, which is not listed.
    """
    rng = np.random.default_rng(seed)
    age = np.asarray(age, float)
    rate = rng.gamma(parameters.r, 1 / parameters.alpha, age.size)
    leaves = rng.beta(parameters.a, parameters.b, age.size)
    member, clock = np.arange(age.size), np.zeros(age.size)
    members, times = [], []
    while member.size:
        with np.errstate(divide="ignore"):
            clock = clock + rng.exponential(1.0, member.size) / rate[member]
        bought = clock <= age[member]
        member, clock = member[bought], clock[bought]
        members.append(member)
        times.append(clock)
        stays = rng.random(member.size) >= leaves[member]
        member, clock = member[stays], clock[stays]
    return np.concatenate(members or [member]), np.concatenate(times or [clock])
