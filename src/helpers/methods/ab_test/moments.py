"""Means and centred sums of products, which merge exactly: all that the statistics need to know of the units.

Two groups A and B merge by the update of Chan, Golub and LeVeque (1983, The American Statistician 37): the mean is
weighted by size, and the centred sums gain ``n_A n_B / n (mean_B - mean_A)(mean_B - mean_A)'``. No raw square is ever
formed, so that values around 1e9 keep their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from helpers.stats.estimate import FloatArray


@dataclass(frozen=True)
class Moments:
    """Size, means and centred sums of products of k values a unit; leading axes are free.

    Attributes
    ----------
    names : tuple of str
        Names of the k values: ``outcome``, of a ratio ``denominator``, then the covariates.
    n : ndarray, shape (...)
        Units.
    mean : ndarray, shape (..., k)
        Means; 0 where there are no units.
    cross : ndarray, shape (..., k, k)
        Sums of ``(x - mean)(x - mean)'``.
    """

    names: tuple[str, ...]
    n: FloatArray
    mean: FloatArray
    cross: FloatArray

    def at(self, index: Any) -> Moments:
        """Return a part, by an index of the leading axes."""
        return Moments(self.names, self.n[index], self.mean[index], self.cross[index])

    def take(self, names: Sequence[str]) -> Moments:
        """Return the moments of some of the values, in the order given."""
        places = [self.names.index(name) for name in names]
        return Moments(tuple(names), self.n, self.mean[..., places], self.cross[..., places, :][..., places])

    @property
    def plain(self) -> Moments:
        """Those of the metric itself, without covariates."""
        return self.take(self.names[: 1 + ("denominator" in self.names)])

    def merge(self, axis: int) -> Moments:
        """Return the moments of all groups along a leading axis as one."""
        return self.cumulate(axis).at((slice(None),) * (axis % self.n.ndim) + (-1,))

    def cumulate(self, axis: int) -> Moments:
        """Return the moments of the first, the first two, … groups along a leading axis."""
        axis %= self.n.ndim
        before = (slice(None),) * axis
        steps = list(accumulate((self.at((*before, place)) for place in range(self.n.shape[axis])), _union))
        parts = zip(*((step.n, step.mean, step.cross) for step in steps), strict=True)
        return Moments(self.names, *(np.stack(part, axis) for part in parts))


def _union(one: Moments, other: Moments) -> Moments:
    """Return two groups as one."""
    n = one.n + other.n
    share = np.divide(other.n, n, out=np.zeros_like(n), where=n > 0)
    apart = other.mean - one.mean
    between = (one.n * share)[..., None, None] * apart[..., :, None] * apart[..., None, :]
    return Moments(one.names, n, one.mean + share[..., None] * apart, one.cross + other.cross + between)
