"""Assignments drawn again as the design drew them: a p that needs no distribution, and the proof in the report.

One row is what was assigned as one: a unit, a cluster with its totals, a period of a switchback.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helpers.methods.ab_test.sequential import Boundaries

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ALL = 20_000
"""Assignments up to which every one is looked at, instead of draws."""


@dataclass(frozen=True)
class Mechanism:
    """How the variant was assigned.

    Attributes
    ----------
    treated : ndarray of bool, shape (rows,)
        As recorded.
    probability : ndarray, shape (rows,), optional
        Chance of the variant, for rows assigned one by one; without it the treated of each block are shuffled.
    block : ndarray of int, shape (rows,), optional
        Rows shuffled among themselves; one block when not given.
    """

    treated: BoolArray
    probability: FloatArray | None = None
    block: NDArray[np.int64] | None = None

    def draws(self, number: int, seed: int) -> Iterator[BoolArray]:
        """Yield assignments in chunks of shape (draws, rows): `number` random ones, keyed by `seed`."""
        raise NotImplementedError

    def every(self) -> BoolArray | None:
        """Return all assignments, shape (assignments, rows); None when there are more than `ALL`."""
        raise NotImplementedError


class Randomised(NamedTuple):
    """A p by randomisation.

    Attributes
    ----------
    p : float
        Two-sided: share of assignments with a difference at least as large.
    observed : float
        Difference as recorded.
    assignments : int
        How many were looked at.
    exact : bool
        Whether these were all there are.
    """

    p: float
    observed: float
    assignments: int
    exact: bool


def randomisation_p(
    outcome: ArrayLike,
    mechanism: Mechanism,
    *,
    denominator: ArrayLike | None = None,
    draws: int = 2_000,
    seed: int = 0,
) -> Randomised:
    """Return the p of no effect on anybody, by the recorded mechanism.

    Parameters
    ----------
    outcome, denominator : array_like, shape (rows,)
        Values of a row; a ratio is that of sums.
    mechanism : Mechanism
        How the variant was assigned.
    draws : int
        Random assignments, when not all can be looked at.
    seed : int
        Of the draws.
    """
    raise NotImplementedError


class Share(NamedTuple):
    """A share of simulated runs with its Monte-Carlo standard error."""

    value: float
    error: float


class Proof(NamedTuple):
    """What re-randomising the user's own rows says of the method.

    Attributes
    ----------
    false_alarms, naive : Share
        Runs without an effect in which any look called one: by the bounds, and at 1.96 at each look.
    power, covered : Share
        Runs with the planted effect in which it was found, and in which the interval at the stop held it.
    by_look : ndarray, shape (looks, 2)
        False alarms up to each look, by the bounds and naive.
    runs : int
        How many.
    """

    false_alarms: Share
    naive: Share
    power: Share
    covered: Share
    by_look: FloatArray
    runs: int


def prove(
    rows: ArrayLike,
    look: ArrayLike,
    mechanism: Mechanism,
    bounds: Boundaries,
    kind: str,
    lift: float,
    *,
    clustered: bool = False,
    runs: int = 2_000,
    seed: int = 0,
) -> Proof:
    """Re-randomise rows without an effect and read each run at the planned looks.

    Parameters
    ----------
    rows : array_like, shape (rows, k)
        Outcome, and of a ratio or clusters the denominator (units); in the columns after these covariates.
        A cluster has one row for each look at which it grows.
    look : array_like of int, shape (rows,)
        Look at which the row is complete, from 0.
    mechanism : Mechanism
        How rows were assigned; for clusters, how the clusters were (in the order of their first row).
    bounds : Boundaries
        Of the planned looks.
    kind : {"mean", "proportion", "ratio"}
        Of the metric.
    lift : float
        Effect planted to measure power and coverage, as a share of the level of all rows.
    clustered : bool
        Whether rows are read by cluster.
    runs : int
        Re-randomisations.
    seed : int
        Of the draws.
    """
    raise NotImplementedError
