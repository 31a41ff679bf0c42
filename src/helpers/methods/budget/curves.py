"""Response curves: carry-over and saturation, a dictionary of them for each line, and the points where they bend.

A curve says how the outcome of a week follows from the spend of that week and of the weeks before:

    stock = sum over lags of kernel[lag] * spend[t - lag] / scale,  outcome = coefficient * saturation(stock)

The kernel sums to one, so at a steady spend s the stock is s / scale. Kernels: geometric, ``decay ** lag``; delayed,
``decay ** (lag - peak) ** 2`` (Jin et al. 2017, "Bayesian methods for media mix modeling with carryover and shape
effects"). Saturations: Hill, ``u^k / (u^k + half^k)``; 1 - exp, ``1 - 2 ** (-u / half)``; linear, ``u``. Both others
reach half of their top at ``half``.

A dictionary holds many curves with a prior mass each. A curve is a point with standard normal coordinates (decay,
peak, shape, half), of which each family uses some; points drawn from another density carry the ratio of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from scipy.stats import norm, qmc

Array = NDArray[np.float64]

# Weeks over which spend may work, its own week included.
LAGS = 14
# Kernel (delayed or geometric) and saturation.
FAMILIES = [(delayed, form) for delayed in (False, True) for form in ("hill", "exponential", "linear")]
MASS = np.array([0.52, 0.28, 0.03, 0.10, 0.05, 0.02])
# Coordinates that each family uses.
USES = np.array([[True, delayed, form == "hill", form != "linear"] for delayed, form in FAMILIES])
# Share of a refined dictionary that is drawn from the prior again, so that no curve is lost.
DEFENSIVE = 0.2


@dataclass(frozen=True, eq=False)
class Curves:
    """Many curves of one line; arrays have one entry a curve.

    Attributes
    ----------
    scale : float
        Weekly spend that counts as 1.
    family : numpy.ndarray of int
        Index into `FAMILIES`.
    decay, peak, shape, half : numpy.ndarray
        Parameters; not used by every family.
    coefficient : numpy.ndarray
        Outcome at full saturation; for a linear curve at a steady spend of `scale`.
    """

    scale: float
    family: NDArray[np.int64]
    decay: Array
    peak: Array
    shape: Array
    half: Array
    coefficient: Array

    def __getitem__(self, which: Any) -> Curves:
        """Return some of the curves."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)[1:]}
        return Curves(self.scale, **{name: part[which] for name, part in parts.items()})

    def __len__(self) -> int:
        """Count the curves."""
        return len(self.family)

    @property
    def kernels(self) -> Array:
        """Carry-over by lag and curve, shape (LAGS, curves); each sums to one."""
        lag = np.arange(LAGS)[:, None]
        delayed = np.array([kernel for kernel, _ in FAMILIES])[self.family]
        distance = np.where(delayed, (lag - self.peak) ** 2, lag)
        # From the nearest lag on, so that a decay of 0 leaves its mass there and divides nothing by nothing.
        weights = self.decay ** (distance - distance.min(axis=0))
        return weights / weights.sum(axis=0)

    def stock(self, spend: Array) -> Array:
        """Return the spend that is at work in each week, in units of `scale`: shape (weeks, curves)."""
        return lagged(spend / self.scale) @ self.kernels

    def saturated(self, stock: Array) -> Array:
        """Return the saturation of a stock, by curve along the last axis."""
        hill, exponential = (self._form(name) for name in ("hill", "exponential"))
        out = np.array(np.broadcast_to(stock, np.broadcast_shapes(stock.shape, self.half.shape)), float)
        with np.errstate(divide="ignore"):
            out[..., hill] = expit(self.shape[hill] * np.log(out[..., hill] / self.half[hill]))
        out[..., exponential] = -np.expm1(-np.log(2) * out[..., exponential] / self.half[exponential])
        return out

    def steepness(self, stock: Array) -> Array:
        """Return the derivative of :meth:`saturated`."""
        top, value = np.maximum(stock, 1e-12), self.saturated(np.maximum(stock, 1e-12))
        rate = np.log(2) / self.half
        forms = [self.shape * value * (1 - value) / top, rate * (1 - value)]
        return np.select([self._form("hill"), self._form("exponential")], forms, np.ones_like(value))

    def weekly(self, spend: Array) -> Array:
        """Return the contribution of each week, shape (weeks, curves)."""
        return self.coefficient * self.saturated(self.stock(spend))

    def steady(self, spend: Array) -> Array:
        """Return the outcome a week at steady weekly spends, shape (spends, curves)."""
        return self.coefficient * self.saturated(np.asarray(spend, float)[:, None] / self.scale)

    def marginal(self, spend: Array) -> Array:
        """Return the gain for one more unit of money at steady weekly spends, shape (spends, curves)."""
        steep = self.steepness(np.asarray(spend, float)[:, None] / self.scale)
        return self.coefficient * steep / self.scale

    @property
    def half_life(self) -> Array:
        """Weeks until half of the effect of a week's spend has arrived, its own week counted as one."""
        return (np.cumsum(self.kernels, axis=0) < 0.5 - 1e-9).sum(axis=0) + 1.0

    @property
    def bend(self) -> Array:
        """Weekly spend at which an S-shaped curve is steepest, ``half ((k - 1) / (k + 1)) ** (1 / k)``; else NaN."""
        bent = self._form("hill") & (self.shape > 1)
        k = np.where(bent, self.shape, 2.0)
        return np.where(bent, self.scale * self.half * ((k - 1) / (k + 1)) ** (1 / k), np.nan)

    def _form(self, name: str) -> NDArray[np.bool_]:
        return np.array([form == name for _, form in FAMILIES])[self.family]


def lagged(values: Array) -> Array:
    """Return the values of the week and of the weeks before, shape (weeks, LAGS); nothing before the first."""
    padded = np.concatenate([np.zeros(LAGS - 1), values])
    return np.lib.stride_tricks.sliding_window_view(padded, LAGS)[:, ::-1]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Points of the prior of curves, with the logarithm of the prior mass that each stands for."""

    family: NDArray[np.int64]
    points: Array
    log_mass: Array

    def curves(self, scale: float) -> Curves:
        """Return the curves at the points: decay .0 to .95, peak 1 to 8, shape .5 to 4, half .05 to 10 of `scale`."""
        decay, peak, shape, half = self.points.T
        return Curves(
            scale, self.family, decay=0.95 * ndtr(0.8 * decay - 0.4), peak=1 + 7 * ndtr(peak - 0.6),
            shape=np.exp(0.25 + 0.4 * shape), half=np.exp(-0.4 + 0.8 * half), coefficient=np.ones(len(self.family)),
        )  # fmt: skip


def first_dictionary(size: int, seed: int) -> Dictionary:
    """Return points of the prior, spread evenly, of equal mass."""
    even = qmc.Sobol(5, seed=seed).random_base2(int(np.ceil(np.log2(size))))[:size]
    family = np.searchsorted(np.cumsum(MASS), even[:, 0] * MASS.sum()).clip(0, len(MASS) - 1)
    points = np.where(USES[family], norm.ppf(even[:, 1:].clip(1e-6, 1 - 1e-6)), 0.0)
    return Dictionary(family, points, np.full(size, -np.log(size)))


def refined(before: Dictionary, drawn: NDArray[np.int64], size: int, seed: int) -> Dictionary:
    """Return points around those that were drawn, with the mass that corrects for where they were put.

    Parameters
    ----------
    before : Dictionary
        Dictionary in which the draws were made.
    drawn : numpy.ndarray of int
        Index of the curve of each draw.
    size : int
        Points of the new one.
    seed : int
        Seed of their places.
    """
    rng = np.random.default_rng(seed)
    prior = first_dictionary(int(DEFENSIVE * size), seed)
    centres = rng.permutation(drawn)[: size - len(prior.family)]
    centres = np.resize(centres, size - len(prior.family))
    widths = np.full((len(FAMILIES), 4), 1.0)
    for one in np.unique(before.family[drawn]):
        mine = before.points[drawn[before.family[drawn] == one]]
        # Silverman's factor for three coordinates, and never so narrow that neighbours do not meet.
        widths[one] = np.maximum(0.9 * mine.std(axis=0) * len(mine) ** (-1 / 7), 0.08)
    family = before.family[centres]
    near = before.points[centres] + widths[family] * rng.standard_normal((len(centres), 4))
    points = np.where(USES[family], near, 0.0)
    family, points = np.concatenate([prior.family, family]), np.concatenate([prior.points, points])
    log_prior = np.log(MASS / MASS.sum())[family] + np.where(USES[family], norm.logpdf(points), 0).sum(axis=1)
    density = np.zeros(len(family))
    for one in np.unique(family):
        at, of = np.flatnonzero(family == one), before.points[centres[before.family[centres] == one]]
        if len(of):
            gaps = (points[at, None, :] - of) / widths[one]
            each = np.where(USES[one], norm.logpdf(gaps) - np.log(widths[one]), 0).sum(axis=-1)
            density[at] = np.exp(each).sum(axis=1) / len(centres)
    proposal = DEFENSIVE * np.exp(log_prior) + (1 - DEFENSIVE) * density
    return Dictionary(family, points, log_prior - np.log(proposal) - np.log(size))
