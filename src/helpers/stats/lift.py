"""Top-share lift of scores with a paired bootstrap over members.

The lift of a score is the mean outcome of the top share of members by that score, divided by the mean outcome
of all. Members with equal scores at the cut enter with the fraction that is still free, which is the
expectation over all orders of them; the order of rows never matters.

The bootstrap resamples members and keeps scores as they are, so it speaks of these scores on members like
these. All scores see the same resamples, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.checks import check_scalar

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# How many standard deviations of the number of members above the cut a resample may stray before it leaves
# the part of a ranking that is kept: a chance below 1e-20.
STRAY = 10.0


class Ranking(NamedTuple):
    """The upper part of a ranking: positions of members in falling order, and where groups of equals start."""

    members: IntArray
    starts: IntArray


def top_ranking(score: FloatArray, top_share: float) -> Ranking:
    """Return the ranking down to well below the cut, in whole groups of equal scores."""
    n = score.size
    falling = np.argsort(-score, kind="stable")
    ordered = score[falling]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    cut = top_share * n
    ends = np.append(starts[1:], n)
    groups = int(np.searchsorted(ends, min(n, np.ceil(cut + STRAY * np.sqrt(cut) + STRAY)))) + 1
    starts = starts[:groups]
    return Ranking(falling[: ends[min(groups, ends.size) - 1]], starts)


def top_total(ranking: Ranking, weight: FloatArray, outcome: FloatArray, size: float) -> float:
    """Return the outcome of the `size` top members, with a fraction of the group of equals at the cut."""
    counts = weight[ranking.members]
    members = np.add.reduceat(counts, ranking.starts)
    totals = np.add.reduceat(counts * outcome[ranking.members], ranking.starts)
    reached = np.cumsum(members)
    at = int(np.searchsorted(reached, size))
    if at >= reached.size:
        return float(totals.sum()) if np.isclose(reached[-1], size) else np.nan
    above = reached[at] - members[at]
    share = (size - above) / members[at] if members[at] else 0.0
    return float(totals[:at].sum() + share * totals[at])


def lift(score: FloatArray, outcome: FloatArray, top_share: float = 0.1) -> float:
    """Return the lift of one score; NaN when the mean outcome is not above 0."""
    check_scalar(top_share, "top_share", gt=0, le=1)
    mean = outcome.mean() if outcome.size else np.nan
    if not mean > 0:
        return np.nan
    size = top_share * score.size
    return top_total(top_ranking(score, top_share), np.ones(score.size), outcome, size) / size / float(mean)


def bootstrap_lifts(
    scores: Mapping[str, FloatArray],
    outcome: FloatArray,
    *,
    top_share: float = 0.1,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, FloatArray]:
    """Return `draws` bootstrap values of the lift of each score, paired over scores.

    Parameters
    ----------
    scores : mapping of str to ndarray, shape (members,)
        Scores by name; higher is better.
    outcome : ndarray, shape (members,)
        What the top should have much of.
    top_share : float
        Share of members that is the top.
    draws : int
        Number of resamples.
    seed : int
        Seed of the generator.

    Notes
    -----
    A member without outcome that no ranking has near its top changes neither a top total nor the overall one,
    so all of these are drawn as one. This is exact, and most of the speed.
    """
    check_scalar(top_share, "top_share", gt=0, le=1)
    check_scalar(draws, "draws", ge=20)
    n = outcome.size
    rankings = {name: top_ranking(score, top_share) for name, score in scores.items()}
    matters = outcome != 0
    for ranking in rankings.values():
        matters[ranking.members] = True
    kept = np.flatnonzero(matters)
    position = np.full(n, -1)
    position[kept] = np.arange(kept.size)
    rankings = {name: Ranking(position[r.members], r.starts) for name, r in rankings.items()}
    values, size = outcome[kept], top_share * n
    rng = np.random.default_rng(seed)
    found = {name: np.full(draws, np.nan) for name in scores}
    for draw in range(draws):
        drawn = rng.integers(0, kept.size, rng.binomial(n, kept.size / n), dtype=np.int32)
        weight = np.bincount(drawn, minlength=kept.size).astype(float)
        mean = float(weight @ values) / n
        if mean > 0:
            for name, ranking in rankings.items():
                found[name][draw] = top_total(ranking, weight, values, size) / size / mean
    return found
