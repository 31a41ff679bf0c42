"""The sampler: curve and coefficient of each line drawn jointly, by blocked Gibbs over several chains at once.

Given everything else, the curve k and the coefficient beta >= 0 of a line are drawn together from their exact
conditional: with m and v the mean and variance that a normal coefficient would have,

    log p(k) = m^2 / (2 v) + log(v) / 2 + log Phi(m / sqrt v) + log mass(k),    beta | k ~ N(m, v) above 0,

so chains jump between curves freely. Weeks are gone: all that is needed are products of the curves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from helpers.methods.budget.curves import Array


class System(NamedTuple):
    """All that the sampler needs: weeks are gone.

    Attributes
    ----------
    gram, right : numpy.ndarray
        F'MF and F'My over the curves of all lines, one after the other.
    total : float
        y'My.
    weeks : int
        Weeks less the degrees of freedom of the baseline.
    first : tuple of int
        Where each line's curves begin, and the end.
    log_mass : numpy.ndarray
        Prior mass of each curve.
    precision : float
        Prior precision of a coefficient.
    row_gram, row_right : numpy.ndarray
        What statements add to the precision, and to precision times mean, of each curve's coefficient.
    """

    gram: Array
    right: Array
    total: float
    weeks: int
    first: tuple[int, ...]
    log_mass: Array
    precision: float
    row_gram: Array
    row_right: Array


class Draws(NamedTuple):
    """Draws by chain: curve (index within the line) and coefficient, shape (chains, draws, lines); noise variance."""

    curve: NDArray[np.int64]
    coefficient: Array
    variance: Array


def sample(system: System, rng: np.random.Generator, chains: int, draws: int, warm_up: int) -> Draws:
    """Return draws from the joint posterior of curves, coefficients and noise."""
    lines, each = len(system.first) - 1, np.arange(chains)
    spans = [slice(*pair) for pair in zip(system.first, system.first[1:], strict=False)]
    diagonal = np.diagonal(system.gram)
    curve = np.column_stack([rng.integers(span.start, span.stop, chains) for span in spans])
    beta = np.zeros((chains, lines))
    variance = np.full(chains, system.total / system.weeks)
    pull = np.zeros((chains, len(diagonal)))
    shape = (chains, draws, lines)
    kept = Draws(np.empty(shape, int), np.empty(shape), np.empty(shape[:2]))
    for step in range(-warm_up, draws):
        noise = variance[:, None]
        for line, span in enumerate(spans):
            old = system.gram[curve[:, line]] * beta[:, line, None]
            at_line = (system.right[span] - pull[:, span] + old[:, span]) / noise + system.row_right[span]
            precise = diagonal[span] / noise + system.row_gram[span] + system.precision
            score = at_line / np.sqrt(precise)
            log = 0.5 * score**2 - 0.5 * np.log(precise) + log_ndtr(score) + system.log_mass[span]
            mass = np.cumsum(np.exp(log - log.max(axis=1, keepdims=True)), axis=1)
            chosen = (mass < rng.random((chains, 1)) * mass[:, -1:]).sum(axis=1)
            at, sd = at_line[each, chosen] / precise[each, chosen], precise[each, chosen] ** -0.5
            beta[:, line] = between(at, sd, 0.0, np.inf, rng.random(chains))
            curve[:, line] = span.start + chosen
            pull += system.gram[curve[:, line]] * beta[:, line, None] - old
        order = rng.permutation(lines)
        mixed = beta[:, order]
        exchange(system, curve[:, order], mixed, pull, variance, rng.random((chains, lines)))
        beta[:, order] = mixed
        inner = (beta * (pull[each[:, None], curve] - 2 * system.right[curve])).sum(axis=1)
        left = np.maximum(system.total + inner, 1e-12 * system.total)
        variance = 0.5 * left / rng.standard_gamma(system.weeks / 2, chains)
        if step >= 0:
            kept.curve[:, step], kept.coefficient[:, step] = curve - np.array(system.first[:-1]), beta
            kept.variance[:, step] = variance
    return kept


def between(mean: Array, sd: Array, low: Array | float, high: Array | float, uniform: Array) -> Array:
    """Return normal draws between two bounds by inversion, in the tail that floating point resolves better."""
    a, b = (low - mean) / sd, (high - mean) / sd
    flip = np.where(a + b > 0, -1.0, 1.0)
    below, above = ndtr(np.minimum(flip * a, flip * b)), ndtr(np.maximum(flip * a, flip * b))
    draw = mean + flip * sd * ndtri(below + uniform * (above - below))
    return np.clip(draw, low, high)


def exchange(
    system: System, curve: NDArray[np.int64], beta: Array, pull: Array, variance: Array, draw: Array
) -> None:
    """Let the first line of each pair gain what the second loses, from the exact conditional.

    Pairs are neighbours; where lines move together, one at a time they would creep. Changes `beta` and `pull`.
    """
    gram = system.gram
    for c in range(0, beta.shape[1] - 1, 2):
        k, m, b, d = curve[:, c], curve[:, c + 1], beta[:, c], beta[:, c + 1]
        each = np.arange(len(k))
        precise = (gram[k, k] + gram[m, m] - 2 * gram[k, m]) / variance + 2 * system.precision
        precise += system.row_gram[k] + system.row_gram[m]
        slope = (system.right[k] - pull[each, k] - system.right[m] + pull[each, m]) / variance
        slope += system.row_right[k] - system.row_gram[k] * b - system.row_right[m] + system.row_gram[m] * d
        slope -= system.precision * (b - d)
        gain = between(slope / precise, precise**-0.5, -b, d, draw[:, c])
        beta[:, c] += gain
        beta[:, c + 1] -= gain
        pull += gain[:, None] * (gram[k] - gram[m])


def split_rhat(draws: Array) -> float:
    """Return split R-hat of draws by chain, shape (chains, draws); Gelman et al. (2013), section 11.4."""
    halves = np.concatenate(np.array_split(draws[:, : draws.shape[1] // 2 * 2], 2, axis=1))
    n, within = halves.shape[1], halves.var(axis=1, ddof=1).mean()
    return float(np.sqrt((n - 1) / n + halves.mean(axis=1).var(ddof=1) / within)) if within > 0 else 1.0


def effective(draws: Array) -> float:
    """Return how many independent draws these are worth: Geyer's initial positive sequence over all chains."""
    chains, n = draws.shape
    centred = draws - draws.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * n, axis=1)) ** 2
    covariance = np.fft.irfft(power, axis=1)[:, :n].mean(axis=0) / n
    spread = covariance[0] + draws.mean(axis=1).var(ddof=1)
    if not spread:
        return float(chains * n)
    rho = 1 - (covariance[0] - covariance) / spread
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
    return float(min(chains * n / max(2 * pairs[:stop].sum() - 1, 1e-9), chains * n))
