"""How far daily rates of moves between states may be off: members differ, and so do days.

A member who is active often is so every day, and a push moves many members on one day; member-days are independent
neither within members nor within days. The variance of a rate is therefore that of two-way clusters (Cameron,
Gelbach and Miller 2011),

    V = V(members) + V(days) - V(member-days),

and never less than the larger of the first two. Each is the variance of a ratio (Cochran 1977, 6.3) with moves and
days at risk summed within the cluster; a member is in one state on one day, so the last is p (1 - p) / n.

All that leaves the engine of members is sums over them: how many were in each state, and of each pair of moves the
product of the two counts. Sums of whole numbers depend on no order of rows.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.stats.chains import matrix_of
from helpers.stats.estimate import effective_size, half_width, jeffreys, wilson
from helpers.study import enough

FloatArray = NDArray[np.float64]
MOST_LOGS = 3.0
"""Rates seen once or twice may be drawn a few times as large, not a thousand times."""


class MemberSums(NamedTuple):
    """Sums over members of what each did in the window; a move is numbered from * (states + 1) + to.

    Attributes
    ----------
    members : ndarray, shape (states,)
        Members who were in the state.
    products : ndarray, shape (moves, moves)
        Sum over members of the product of their counts of two moves.
    """

    members: FloatArray
    products: FloatArray


def member_sums(rows: ibis.Table, cells: pd.DataFrame, by_cell: NDArray[np.int32], states: int) -> MemberSums:
    """Return the sums over members of moves that are known for cells of their spells.

    Parameters
    ----------
    rows : ibis.Table
        member_id and the columns of the cells: one row per spell.
    cells : pandas.DataFrame
        The distinct values of those columns.
    by_cell : ndarray, shape (cells, states * (states + 1))
        Moves of a spell of each cell.
    states : int
        How many states there are.
    """
    size = states * (states + 1)
    products, members = np.zeros((size, size)), np.zeros(states)
    seen = np.flatnonzero(by_cell.any(axis=0))
    if not seen.size:
        return MemberSums(members, products)
    keys = list(cells.columns)
    counts = pd.DataFrame(by_cell[:, seen], columns=[f"m{code}" for code in seen])
    moved = by_cell.any(axis=1)
    lookup = ibis.memtable(pd.concat([cells, counts], axis=1)[moved].reset_index(drop=True))
    joined = rows.inner_join(lookup, keys)
    each = joined.group_by("member_id").agg(**{str(name): joined[name].sum() for name in counts})
    pairs = list(combinations_with_replacement(seen, 2))
    wanted = {f"p{a}_{b}": (each[f"m{a}"] * each[f"m{b}"]).sum() for a, b in pairs}
    for state in range(states):
        here = [each[f"m{code}"] for code in seen if code // (states + 1) == state]
        if here:
            wanted[f"s{state}"] = (sum(here[1:], here[0]) > 0).sum()
    found = each.aggregate(**wanted).to_pandas().iloc[0].fillna(0)
    for a, b in pairs:
        products[a, b] = products[b, a] = float(found[f"p{a}_{b}"])
    for state in range(states):
        members[state] = float(found.get(f"s{state}", 0.0))
    return MemberSums(members, products)


class Covariances(NamedTuple):
    """Covariance of all rates, shape (moves, moves), by members, by days and by member-days."""

    members: FloatArray
    days: FloatArray
    member_days: FloatArray

    @property
    def both(self) -> FloatArray:
        """What members and days make together, as a covariance from which can be drawn.

        What days add to member-days is taken where it is above 0 (in units of the error by member-days), so that
        nothing is less uncertain than by members alone.
        """
        scale = np.sqrt(np.diag(self.member_days))
        unit = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        excess = (self.days - self.member_days) * unit[:, None] * unit
        value, vector = np.linalg.eigh((excess + excess.T) / 2)
        added = (vector * np.maximum(value, 0.0)) @ vector.T
        return self.members + added * scale[:, None] * scale

    @property
    def variance(self) -> FloatArray:
        """Two-way variance of each rate, never below the larger one, shape (moves,)."""
        by_member, by_day, by_both = (np.diag(part) for part in self)
        return np.maximum(by_member + by_day - by_both, np.maximum(by_member, by_day))


def covariances(cube: FloatArray, sums: MemberSums) -> Covariances:
    """Return the covariance of all rates from moves by day, from and to, and from sums over members.

    With a single day nothing is known of days and their part is that of member-days.
    """
    states, targets = cube.shape[1:]
    x, at_risk = cube.sum(axis=0), cube.sum(axis=(0, 2))
    n = np.repeat(np.where(at_risk > 0, at_risk, np.nan), targets)
    share = x.ravel() / n
    # A rate less its share of the days at risk: x - p n, as a linear map of the counts of moves.
    residual = np.eye(x.size) - share[:, None] * np.kron(np.eye(states), np.ones((targets, targets)))
    residual = np.nan_to_num(residual / n[:, None])
    by_day = cube.reshape(len(cube), -1)
    days = (cube.sum(axis=2) > 0).sum(axis=0).astype(float)
    of_members, of_days = (np.repeat(np.sqrt(_corrected(k)), targets) for k in (sums.members, days))
    within = np.diag(x.ravel())
    parts = [residual @ middle @ residual.T for middle in (sums.products, by_day.T @ by_day, within)]
    by_member, by_days, plain = parts
    several = np.repeat(days > 1, targets)
    by_days = np.where(np.outer(several, several), by_days * np.outer(of_days, of_days), plain)
    return Covariances(by_member * np.outer(of_members, of_members), by_days, plain)


def _corrected(clusters: FloatArray) -> FloatArray:
    return np.divide(clusters, clusters - 1, out=np.ones_like(clusters), where=clusters > 1)


def rate_intervals(cube: FloatArray, sums: MemberSums, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of all rates, shape (states, targets); NaN with fewer than 30 members in the state.

    Wilson's interval with the size that the two-way variance is worth, as in :mod:`helpers.stats.estimate`. Where a
    move never or always happens no cluster differs from another: then Jeffreys', with every member one observation.
    """
    x, n = cube.sum(axis=0), np.broadcast_to(cube.sum(axis=(0, 2))[:, None], cube.shape[1:])
    members = np.broadcast_to(sums.members[:, None], x.shape)
    days = np.broadcast_to((cube.sum(axis=2) > 0).sum(axis=0)[:, None], x.shape)
    freedom = np.where(days > 1, np.minimum(members, days), members) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        share = x / n
        size = effective_size(share, covariances(cube, sums).variance.reshape(x.shape), freedom, confidence)
    same = (x == 0) | (x == n)
    size = np.where(members >= enough.CLUSTERS, np.where(same, members, np.minimum(size, n)), np.nan)
    pairs = zip(wilson(share * size, size, confidence), jeffreys(share * size, size, confidence), strict=True)
    low, high = (np.where(same, plain, found) for found, plain in pairs)
    return np.minimum(low, share), np.maximum(high, share)


def drawn_rates(
    cube: FloatArray,
    sums: MemberSums,
    arrivals: FloatArray,
    members: int,
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> tuple[FloatArray, FloatArray]:
    """Return rates drawn with their covariance by member and day, and inflow with its error by day.

    Both are as much wider as few clusters ask for: Student's t over the normal quantile. Rates are drawn on the scale
    of logs, so that none falls below 0.

    Parameters
    ----------
    cube : ndarray, shape (days, states, states + 1)
        Moves by day; the last column is leaving.
    sums : MemberSums
        What members did in these days.
    arrivals : ndarray, shape (days,)
        New members by day.
    members : int
        Members behind the rates, as clusters.
    """
    rng, rates = np.random.default_rng(seed), matrix_of(cube.sum(axis=0))
    degrees = max(min(members, len(cube)) - 1, 1)
    widening = float(half_width(1.0, confidence, degrees) / half_width(1.0, confidence))
    covariance = widening**2 * np.nan_to_num(covariances(cube, sums).both)
    mean = np.zeros(rates.size)
    drawn = rng.multivariate_normal(mean, covariance, draws, check_valid="ignore", method="eigh")
    drawn = drawn.reshape(draws, *rates.shape)
    logs = np.divide(drawn, rates, out=np.zeros_like(drawn), where=np.broadcast_to(rates > 0, drawn.shape))
    weight = rates * np.exp(np.clip(logs, -MOST_LOGS, MOST_LOGS))
    error = widening * arrivals.std(ddof=1) / np.sqrt(len(arrivals)) if len(arrivals) > 1 else 0.0
    inflow = np.maximum(arrivals.mean() + error * rng.standard_normal(draws), 0.0)
    return weight / weight.sum(axis=-1, keepdims=True), inflow
