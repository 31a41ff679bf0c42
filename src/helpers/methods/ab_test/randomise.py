"""Assignments drawn again as the design drew them: a p that needs no distribution, and the proof in the report.

One row is what was assigned as one: a unit, a cluster with its totals, a period of a switchback. Rows that were
assigned one by one keep their chance; in blocks, or among clusters of fixed number, the treated are
shuffled (Fisher 1935; Edgington and Onghena 2007). A p from draws counts the recorded assignment as one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from helpers.methods.ab_test.clusters import cluster_contrast
from helpers.methods.ab_test.effects import Contrast, contrast
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.sequential import Boundaries
from helpers.stats.estimate import Estimate, FloatArray, proportion

# Random assignments behind a p.
DRAWS = 4_000
# Numbers held at once.
HELD = 8_000_000


@dataclass(frozen=True)
class Mechanism:
    """How the variant was assigned.

    Attributes
    ----------
    treated : ndarray of bool, shape (rows,)
        As recorded.
    stratum : ndarray of int, shape (rows,)
        Block or period of each row, numbered from 0.
    chance : ndarray, shape (rows,), optional
        Of the variant, for rows assigned one by one; without it the treated of each stratum are shuffled.
    """

    treated: NDArray[np.bool_]
    stratum: NDArray[np.int64]
    chance: FloatArray | None = None

    def draws(self, number: int, seed: int, width: int = 1) -> Iterator[FloatArray]:
        """Yield `number` random assignments, keyed by `seed`, as chunks of shape (draws, rows) of 0 and 1.

        Each row of a chunk leads to `width` numbers in memory.
        """
        rng, rows = np.random.default_rng(seed), len(self.treated)
        strata = [np.flatnonzero(self.stratum == place) for place in range(self.stratum.max() + 1)]
        chunk = max(1, HELD // (rows * width))
        for start in range(0, number, chunk):
            size = min(chunk, number - start)
            if self.chance is not None:
                yield (rng.random((size, rows), np.float32) < self.chance).astype(float)
                continue
            drawn = np.empty((size, rows))
            for places in strata:
                drawn[:, places] = rng.permuted(np.tile(self.treated[places], (size, 1)), axis=1)
            yield drawn


def randomisation_p(
    outcome: ArrayLike, mechanism: Mechanism, seed: int, *, denominator: ArrayLike | None = None
) -> float:
    """Return the two-sided p of no effect on anybody: the share of assignments with as large a difference.

    Parameters
    ----------
    outcome, denominator : array_like, shape (rows,)
        Values of a row. Compared are means, in blocks and periods as a regression with their effects does; with a
        denominator ratios of sums.
    mechanism : Mechanism
        How the variant was assigned.
    seed : int
        Of the random assignments.
    """
    y = np.asarray(outcome, float)
    d = np.ones_like(y) if denominator is None else np.asarray(denominator, float)
    fixed = mechanism.chance is None and denominator is None
    strata = mechanism.stratum if fixed or mechanism.chance is not None else np.zeros(len(y), int)
    whole = np.bincount(strata, d)
    residual = y - (np.bincount(strata, y) / whole)[strata] * d

    def difference(drawn: FloatArray) -> FloatArray:
        # Residuals sum to 0 in each stratum, so that those of one arm tell the difference of both.
        if fixed:
            treated = np.bincount(strata, mechanism.treated)
        else:
            treated = drawn @ (d[:, None] * (strata[:, None] == np.arange(len(whole))))
        size = (treated * (1 - treated / whole)).sum(-1)
        return np.divide(drawn @ residual, size, out=np.zeros(len(drawn)), where=size > 0)

    least = np.abs(difference(mechanism.treated[None].astype(float))) * (1 - 1e-9)
    extreme = sum((np.abs(difference(each)) >= least).sum() for each in mechanism.draws(DRAWS, seed))
    return float((extreme + 1) / (DRAWS + 1))


class Proof(NamedTuple):
    """What re-randomising the user's own rows says of the method.

    Attributes
    ----------
    false_alarms, naive : Estimate
        Runs without an effect in which any look called one: by the bounds, and by a plain test at each look. The
        intervals are those of a share of `n` runs.
    power, covered : Estimate
        Runs with the planted effect in which it was found, and in which the interval shown at the stop held it.
    by_look : ndarray, shape (looks, 2)
        False alarms up to each look, by the bounds and by the plain test.
    """

    false_alarms: Estimate
    naive: Estimate
    power: Estimate
    covered: Estimate
    by_look: FloatArray


def unit_runs(
    units: pd.DataFrame, names: Sequence[str], kind: str, design: Mechanism, looks: int, runs: int, seed: int
) -> Iterator[Contrast]:
    """Re-randomise units that have no effect, and read them at every look.

    Parameters
    ----------
    units : DataFrame
        One row per unit: look (int, from 0) at which it is complete, and a column of each name.
    names : sequence of str
        Of the values, as in :class:`Moments`.
    kind : {"mean", "proportion", "ratio"}
        Of the metric.
    design : Mechanism
        How the units were assigned; its strata are those of the reading.
    looks, runs, seed : int
        How many looks and re-randomisations, and the key of these.

    Yields
    ------
    Contrast
        Axes (runs, looks).
    """
    values, k = units[list(names)].to_numpy(float), len(names)
    centre = values.mean(axis=0)
    values = values - centre
    products = (values[:, :, None] * values[:, None]).reshape(-1, k * k)
    columns = np.column_stack([np.ones(len(values)), values, products])
    strata = int(design.stratum.max()) + 1
    cell = units["look"].to_numpy() * strata + design.stratum
    cells = [np.flatnonzero(cell == place) for place in range(looks * strata)]
    whole = np.stack([columns[at].sum(axis=0) for at in cells])
    for drawn in design.draws(runs, seed, 2):
        treated = np.stack([drawn[:, at] @ columns[at] for at in cells], axis=1)
        sums = np.stack([whole - treated, treated]).reshape(2, -1, looks, strata, 1 + k + k * k)
        sums = sums.cumsum(axis=2)
        n = sums[..., 0]
        mean = sums[..., 1 : k + 1] / np.maximum(n, 1)[..., None]
        square = n[..., None, None] * mean[..., :, None] * mean[..., None, :]
        moments = Moments(tuple(names), n, mean + centre, sums[..., k + 1 :].reshape(square.shape) - square)
        yield contrast(moments, kind, blocked=design.chance is None)


def cluster_runs(
    outcome: ArrayLike, denominator: ArrayLike, design: Mechanism, runs: int, seed: int
) -> Iterator[Contrast]:
    """Re-randomise clusters or periods that have no effect; totals up to each look have shape (looks, clusters)."""
    for drawn in design.draws(runs, seed, 10 * len(np.asarray(outcome))):
        yield cluster_contrast(outcome, denominator, drawn[:, None] > 0)


def prove(runs: Iterable[Contrast], bounds: Boundaries, alpha: float, lift: float) -> Proof:
    """Judge the method on runs without an effect, and on the same with one.

    Parameters
    ----------
    runs : iterable of Contrast
        Axes (runs, looks), of :func:`unit_runs` or :func:`cluster_runs`.
    bounds : Boundaries
        Of these looks.
    alpha : float
        Of the plain test.
    lift : float
        Effect planted for power and coverage, as a share of the level; its sign is where better lies.
    """
    sign, plain, found = np.sign(lift), stats.norm.isf(alpha / 2), []
    shown = np.where(np.isfinite(bounds.win), bounds.win, bounds.harm)
    for chunk in runs:
        planted = chunk.levels[:, -1:].mean(axis=-1, keepdims=True) * [0.0, lift]
        null, moved = sign * chunk.z, sign * chunk._replace(levels=chunk.levels + planted).z
        won, stops = moved >= bounds.win, (moved >= bounds.win) | (moved <= -bounds.harm)
        at = np.where(stops.any(axis=1), stops.argmax(axis=1), stops.shape[1] - 1)
        every = np.arange(len(at))
        called = [(null >= bounds.win) | (null <= -bounds.harm), np.abs(null) >= plain]
        last = won[every, at], np.abs(null[every, at]) <= shown[at]
        found.append(np.column_stack([*np.logical_or.accumulate(called, axis=2), *last]))
    hits, looks = np.concatenate(found), len(shown)
    wanted = (looks - 1, 2 * looks - 1, -2, -1)
    alarms, naive, power, held = (proportion(int(hits[:, at].sum()), len(hits)) for at in wanted)
    return Proof(alarms, naive, power, held, hits[:, : 2 * looks].mean(axis=0).reshape(2, looks).T)
