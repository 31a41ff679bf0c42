"""Markov chains of a few ordered states, such as tiers: tests, moves up and down, the next step, time to a state.

Tests
-----
Whether the matrix is the same in all periods, and whether one step of history is enough, are tests of conditional
independence in contingency tables (Anderson and Goodman 1957): the likelihood ratio against chi-square, or, where
cells are sparse, against random tables with the same margins, which is exact up to the number of tables drawn.

Uncertainty
-----------
Rows of a matrix are drawn from their Dirichlet posterior. When the rows differ between past periods by more than
chance, the excess (the correlation within periods of Brier's 1980 Dirichlet-multinomial, by moments) widens the
forecast: next period's row is then itself a draw around the average row.

Time
----
Expected steps and chances to reach the last state come from the absorbing chain (Kemeny and Snell 1960, ch. 3):
with Q the moves among the lower states, the expected steps until the last is first reached solve (I - Q) t = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from helpers.stats.estimate import Estimate, drawn_estimate, unknown

Array = NDArray[np.float64]

SMALLEST_EXPECTED = 5.0
RANDOM_TABLES = 2_000
POSTERIOR_DRAWS = 20_000


class ChainTest(NamedTuple):
    """Test of conditional independence.

    Attributes
    ----------
    statistic : float
        Likelihood ratio G^2; NaN when there is too little data.
    df : int
        Degrees of freedom, counting only rows and columns that occur.
    p_value : float
        Probability of a statistic at least as large if the property holds.
    n : int
        Number of moves it rests on.
    """

    statistic: float
    df: int
    p_value: float
    n: int

    @property
    def effect(self) -> float:
        """Cohen's w, with the part of the statistic that is expected by chance taken out; 0.1 is small."""
        return float(np.sqrt(max(self.statistic - self.df, 0.0) / self.n)) if self.df else np.nan


def homogeneity(tables: ArrayLike, seed: int = 0) -> ChainTest:
    """Test whether the matrix of moves, shape (periods, from, to), is the same in every period.

    `seed` is that of the random tables, used where cells are sparse.
    """
    # One contingency table per state of origin: periods by destinations.
    origins = np.moveaxis(np.asarray(tables, float), 1, 0)
    occupied = (t[t.sum(axis=1) > 0][:, t.sum(axis=0) > 0] for t in origins)
    kept = [t for t in occupied if min(t.shape) > 1]
    n = int(sum(t.sum() for t in kept))
    if not kept:
        return ChainTest(np.nan, 0, np.nan, n)
    df = sum((t.shape[0] - 1) * (t.shape[1] - 1) for t in kept)
    statistic = sum(float(_g_squared(t)) for t in kept)
    least = min(float((t.sum(1)[:, None] * t.sum(0) / t.sum()).min()) for t in kept)
    if least >= SMALLEST_EXPECTED:
        return ChainTest(statistic, df, float(stats.chi2.sf(statistic, df)), n)
    rng, random = np.random.default_rng(seed), np.zeros(RANDOM_TABLES)
    for t in kept:
        draws = stats.random_table(t.sum(1).astype(int), t.sum(0).astype(int), seed=rng)
        random += _g_squared(draws.rvs(RANDOM_TABLES))
    extreme = int((random >= statistic - 1e-9).sum())
    return ChainTest(statistic, df, (extreme + 1) / (RANDOM_TABLES + 1), n)


def _g_squared(table: ArrayLike) -> Array:
    """Return 2 sum(n log(n / expected)) over the last two axes."""

    def entropy(x: Array) -> Array:
        return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0)

    t = np.asarray(table, float)
    margins = entropy(t.sum(axis=-1)).sum(axis=-1) + entropy(t.sum(axis=-2)).sum(axis=-1)
    return 2 * (entropy(t).sum(axis=(-2, -1)) - margins + entropy(t.sum(axis=(-2, -1))))


def dirichlet_rows(counts: Array, prior: ArrayLike, draws: int, rng: np.random.Generator) -> Array:
    """Return posterior rows, shape (draws, ..., states), of counts of shape (..., states)."""
    gamma = rng.standard_gamma(np.broadcast_to(counts + np.asarray(prior), (draws, *counts.shape)))
    return gamma / gamma.sum(axis=-1, keepdims=True)


def net_promotion(table: Array, confidence: float, seed: int, draws: int = POSTERIOR_DRAWS) -> Estimate:
    """Return (moved up - moved down) / at risk of a square table of counts, states from lowest to highest.

    Those at risk in each state are given, so the interval comes from one Dirichlet(1/2) posterior of stayed, down and
    up per state, weighted with the states' sizes; nobody moves down from the lowest or up from the highest.
    """
    table = np.asarray(table, float)
    down, up = np.tril(table, -1).sum(axis=1), np.triu(table, 1).sum(axis=1)
    at_risk = table.sum(axis=1)
    n, top = int(at_risk.sum()), len(at_risk) - 1
    if not n:
        return unknown(0, "share", confidence)
    rng, total = np.random.default_rng(seed), np.zeros(draws)
    for state in np.flatnonzero(at_risk):
        moves = np.array([at_risk[state] - down[state] - up[state], down[state], up[state]])
        possible = np.array([True, state > 0, state < top])
        rows = dirichlet_rows(moves[possible], 0.5, draws, rng)
        total += at_risk[state] / n * (rows @ np.array([0.0, -1.0, 1.0])[possible])
    value = float((up - down).sum() / n)
    return drawn_estimate(value, total, n, "share", "Dirichlet per tier", confidence)


class Steps(NamedTuple):
    """Past moves, ready to step forward.

    Attributes
    ----------
    counts : ndarray, shape (states, destinations)
        Moves summed over periods.
    possible : ndarray of bool, shape (destinations,)
        Whether a destination was ever seen.
    variation : float
        Correlation within periods beyond chance, 0 when none is seen; NaN with one period, where it cannot be.
    """

    counts: Array
    possible: NDArray[np.bool_]
    variation: float

    @classmethod
    def of(cls, flows: Array) -> Steps:
        """Learn from counts of shape (periods, states, destinations)."""
        return cls(flows.sum(axis=0), flows.sum(axis=(0, 1)) > 0, between_period_variation(flows))

    @property
    def shares(self) -> Array:
        """The rows as shares; a row never seen is spread evenly over what is possible."""
        counts = self.counts + (self.counts.sum(axis=1, keepdims=True) == 0) * self.possible
        return counts / counts.sum(axis=1, keepdims=True)

    def simulate(self, start: Array, draws: int, seed: int) -> Array:
        """Return simulated counts by destination, shape (draws, destinations), of members by state now.

        For each row a draw from the Dirichlet posterior (prior 1/k for k destinations after Perks 1947, the weight
        of one move in all), around which next period's own row scatters as much as the past ones did, then a
        multinomial for chance.
        """
        rng, total = np.random.default_rng(seed), np.zeros((draws, self.counts.shape[1]))
        for row, members in zip(self.counts[:, self.possible], start.astype(int), strict=True):
            if not members:
                continue
            rows = dirichlet_rows(row, 1 / row.size, draws, rng)
            if self.variation > 0:
                gamma = rng.standard_gamma(np.maximum(rows * (1 / self.variation - 1), 1e-9)) + 1e-300
                rows = gamma / gamma.sum(axis=1, keepdims=True)
            total[:, self.possible] += rng.multinomial(members, rows)
        return total


def between_period_variation(flows: Array) -> float:
    """Return the correlation within periods of a row's moves beyond chance, by moments, at least 0.

    Pearson's statistic of periods against destinations, summed over rows, has the expectation
    ``sum((d - 1) * sum_t((1 - n_t / n) * (1 + (n_t - 1) * rho)))`` for d destinations; rho solves it.
    """
    excess, slope = 0.0, 0.0
    for row in np.moveaxis(np.asarray(flows, float), 1, 0):
        size, destinations = row.sum(axis=1), row.sum(axis=0)
        seen, kept = size > 0, destinations > 0
        if seen.sum() < 2 or kept.sum() < 2:
            continue
        expected = np.outer(size[seen], destinations[kept]) / size.sum()
        weight = (kept.sum() - 1) * (1 - size[seen] / size.sum())
        excess += float(((row[seen][:, kept] - expected) ** 2 / expected).sum() - weight.sum())
        slope += float(weight @ (size[seen] - 1))
    return float(np.clip(excess / slope, 0.0, 0.99)) if slope else np.nan


def reach(counts: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, per lower state, whether all rows on its ways were seen and whether the last state is sure.

    `counts` has shape (lower states, lower states + 1): the last column is the state to reach.
    """
    size = len(counts)
    graph = np.eye(size, dtype=bool) | (counts[:, :size] > 0)
    for _step in range(size):
        graph = graph @ graph
    arrives = (graph @ (counts[:, size] > 0)).astype(bool)
    known = ~(graph @ (counts.sum(axis=1) == 0)).astype(bool)
    return known, ~(graph @ ~arrives).astype(bool)


def expected_steps(rows: Array) -> Array:
    """Return the expected steps to the last state, shape (..., lower), of shares of shape (..., lower, states)."""
    size = rows.shape[-2]
    inner = np.eye(size) - rows[..., :size]
    return np.asarray(np.linalg.solve(inner, np.ones((*rows.shape[:-1], 1)))[..., 0], np.float64)


def reached_within(rows: Array, steps: int) -> Array:
    """Return the chance to have reached the last state within so many steps, shape (..., states).

    Columns of `rows` after that state, such as leaving, count as not arriving.
    """
    size = rows.shape[-2]
    inner, last = rows[..., :size], rows[..., size]
    reached = np.zeros_like(last)
    for _step in range(steps):
        reached = last + np.einsum("...ij,...j->...i", inner, reached)
    return reached
