"""Tests of a chain of tiers: is it the same in all periods, and is one step of history enough.

Both are tests of conditional independence in contingency tables (Anderson and Goodman 1957): the likelihood
ratio against chi-square, or, where cells are sparse, against random tables with the same margins, which is
exact up to the number of tables drawn and needs no large sample.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import check_confidence
from helpers.sentences import say

Counts = NDArray[np.float64]
SMALLEST_EXPECTED = 5.0
RANDOM_TABLES = 2_000
NEGLIGIBLE_EFFECT = 0.1


class ChainTest(NamedTuple):
    """Test of a property of the chain of tiers.

    Attributes
    ----------
    question : str
        What is tested.
    statistic : float
        Likelihood ratio G^2; NaN when there is too little data.
    df : int
        Degrees of freedom, counting only rows and columns that occur.
    p_value : float
        Probability of a statistic at least as large if the property holds.
    effect : float
        Cohen's w, with the part of the statistic that is expected by chance taken out; 0.1 is small.
    n : int
        Number of moves it rests on.
    method : str
        ``"chi-square"``, ``"random tables with the same margins"`` or ``"too little data"``.
    sentence : str
        The result and what follows from it.
    confidence : float
        One minus the p-value below which the property is contradicted.
    """

    question: str
    statistic: float
    df: int
    p_value: float
    effect: float
    n: int
    method: str
    sentence: str
    confidence: float = 0.95

    @property
    def rejected(self) -> bool:
        """Whether the property is contradicted."""
        return bool(self.p_value < 1 - self.confidence)


def homogeneity(tables: Counts, *, confidence: float = 0.95, seed: int = 0) -> ChainTest:
    """Test whether the transition matrix is the same in every pair of periods.

    Parameters
    ----------
    tables : ndarray, shape (pairs, tiers, tiers)
        Counts of moves.
    confidence : float
        One minus the p-value below which the matrix is said to change.
    seed : int
        Seed of the random tables, used where cells are sparse.
    """
    question = say("Is the migration matrix the same in all periods?")
    # One contingency table per tier of origin: periods by destinations.
    result = _independence(list(np.moveaxis(np.asarray(tables, float), 1, 0)), seed)
    return _verdict(
        question,
        result,
        confidence,
        holds=say("No sign that migration changes between periods: the pooled matrix may be used."),
        small=say("Migration changes between periods, but little: the pooled matrix is a fair summary."),
        fails=say("Migration changes between periods: read the last pair, the pooled matrix is an average."),
    )


def markov_order(tables: Counts, *, confidence: float = 0.95, seed: int = 0) -> ChainTest:
    """Test whether the tier before last matters once the last one is known (order 1 against order 2).

    Parameters
    ----------
    tables : ndarray, shape (tiers in the middle, tiers before, tiers after)
        Counts of triples.
    confidence : float
        One minus the p-value below which the tier before last is said to matter.
    seed : int
        Seed of the random tables, used where cells are sparse.
    """
    return _verdict(
        say("Is this period's tier enough to predict the next?"),
        _independence(list(np.asarray(tables, float)), seed),
        confidence,
        holds=say("No sign that the tier before last matters: one step of history is enough to forecast."),
        small=say("The tier before last matters, but little: forecasts from one step are a fair summary."),
        fails=say(
            "The tier before last matters: members who just moved differ from those who were there before, "
            "so forecasts over several periods and times to the top tier are rough."
        ),
    )


class _Independence(NamedTuple):
    statistic: float
    df: int
    p_value: float
    n: int
    method: str


def _independence(tables: list[Counts], seed: int) -> _Independence:
    """Test rows against columns within each table, all tables together."""
    kept = [t for t in map(_occupied, tables) if min(t.shape) > 1]
    n = int(sum(t.sum() for t in kept))
    if not kept:
        return _Independence(np.nan, 0, np.nan, n, "too little data")
    df = sum((t.shape[0] - 1) * (t.shape[1] - 1) for t in kept)
    statistic = sum(float(_g_squared(t)) for t in kept)
    least = min(float((t.sum(1)[:, None] * t.sum(0) / t.sum()).min()) for t in kept)
    if least >= SMALLEST_EXPECTED:
        return _Independence(statistic, df, float(stats.chi2.sf(statistic, df)), n, "chi-square")
    rng, random = np.random.default_rng(seed), np.zeros(RANDOM_TABLES)
    for t in kept:
        draws = stats.random_table(t.sum(1).astype(int), t.sum(0).astype(int), seed=rng)
        random += _g_squared(draws.rvs(RANDOM_TABLES))
    extreme = int((random >= statistic - 1e-9).sum())
    method = "random tables with the same margins"
    return _Independence(statistic, df, (extreme + 1) / (RANDOM_TABLES + 1), n, method)


def _occupied(table: Counts) -> Counts:
    return table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]


def _g_squared(table: Counts) -> Counts:
    """Return 2 sum(n log(n / expected)) over the last two axes."""

    def entropy(x: Counts) -> Counts:
        return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0)

    t = np.asarray(table, float)
    margins = entropy(t.sum(axis=-1)).sum(axis=-1) + entropy(t.sum(axis=-2)).sum(axis=-1)
    return 2 * (entropy(t).sum(axis=(-2, -1)) - margins + entropy(t.sum(axis=(-2, -1))))


def _verdict(
    question: str, result: _Independence, confidence: float, *, holds: str, small: str, fails: str
) -> ChainTest:
    check_confidence(confidence)
    if not result.df:
        sentence = say("Too little data to answer: {question}", question=question)
        return ChainTest(question, np.nan, 0, np.nan, np.nan, result.n, result.method, sentence, confidence)
    effect = float(np.sqrt(max(result.statistic - result.df, 0.0) / result.n))
    reading = holds if result.p_value >= 1 - confidence else small if effect < NEGLIGIBLE_EFFECT else fails
    sentence = say(
        "{reading} (likelihood ratio {statistic:.1f}, {df} df, p {p}, effect w = {effect:.2f}, n = {n:,})",
        reading=reading, statistic=result.statistic, df=result.df, effect=effect, n=result.n,
        p="< .001" if result.p_value < 0.001 else f"= {result.p_value:.3f}",
    )  # fmt: skip
    return ChainTest(question, *result[:3], effect, result.n, result.method, sentence, confidence)
