"""Buyers of the BG/NBD story, for tests and the benchmark: who buys again and when, under planted parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helpers.stats.btyd.bg_nbd import Parameters


def simulate(
    parameters: Parameters, age: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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
