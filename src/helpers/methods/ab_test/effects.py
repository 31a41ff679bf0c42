"""Effects of a variant against the control, from moments: means, proportions, ratios, lifts, and partial delivery.

Everything is one calculation. The level of an arm is a function of its means: the mean, or the ratio of two means,
less what the covariates explain. Its gradient turns the covariance of the means into that of the two levels, shape
(2, 2), from which follow the difference, the lift and Fieller's interval.

Formulas
--------
Difference with the t distribution of Welch (1947) and Satterthwaite's degrees of freedom; lift as the logarithm of
the ratio of levels (delta method), by Fieller (1954) when the error of the control's level is above a tenth of it;
variance of a ratio ``(s_yy - 2 R s_xy + R^2 s_xx) / (n mean_x^2)`` (Cochran 1977, 6.3); CUPED (Deng et al. 2013) with
the slope of the covariances within arms and strata, which is that of a regression on arm and covariates; strata
weighted by their units (Miratrix, Sekhon and Yu 2013), blocks by n0 n1 / n as in a regression with block effects,
with its HC1 errors; effect on those reached ``difference in outcome / difference in delivery`` with the interval of
Anderson and Rubin (1949), which is Fieller's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from helpers.methods.ab_test.moments import Moments
from helpers.sentences import say
from helpers.stats.estimate import Estimate, FloatArray, normal_estimate, unknown, wilson

# Events, and units without, that an arm needs before a normal interval of a proportion holds.
FEW_EVENTS = 10
# Relative error of the control's level above which a lift takes Fieller's interval.
NOISY = 0.1
# Share of variance below which covariates are said to gain nothing.
NO_GAIN = 0.01
APART = np.array([-1.0, 1.0])
# Error, as a share of the level, that is nothing but rounding.
ROUNDING = 1e-15


class Contrast(NamedTuple):
    """A variant against the control in numbers; leading axes are free (looks, runs).

    Attributes
    ----------
    levels : ndarray, shape (..., 2)
        Of control and variant.
    covariance : ndarray, shape (..., 2, 2)
        Sampling covariance of the levels.
    degrees : ndarray, shape (...)
        Degrees of freedom of the difference.
    n : ndarray, shape (..., 2)
        Units of each arm.
    lacking : ndarray of str, shape (...)
        Why no effect can be told; empty when it can.
    """

    levels: FloatArray
    covariance: FloatArray
    degrees: FloatArray
    n: FloatArray
    lacking: NDArray[np.str_]

    @property
    def difference(self) -> FloatArray:
        """Variant less control, shape (...)."""
        return self.levels[..., 1] - self.levels[..., 0]

    @property
    def error(self) -> FloatArray:
        """Standard error of the difference, shape (...); NaN where both arms are constant."""
        error = np.sqrt(_along(self.covariance, APART))
        return np.where(error > ROUNDING * np.abs(self.levels).max(-1), error, np.nan)[()]

    @property
    def p(self) -> FloatArray:
        """Two-sided p of no difference, by t; NaN where something lacks."""
        p = 2 * stats.t.sf(np.abs(self.difference / self.error), self.degrees)
        return np.where(self.lacking == "", p, np.nan)[()]

    @property
    def z(self) -> FloatArray:
        """The normal deviate that is as unlikely as the t statistic: what sequential bounds are compared with."""
        return np.sign(self.difference) * stats.norm.isf(np.clip(self.p / 2, 1e-300, 0.5))

    def at(self, index: Any) -> Contrast:
        """Return a part, by an index of the leading axes."""
        return Contrast(*(part[index] for part in self))


class Effect(NamedTuple):
    """What a reader is told of a variant against the control.

    Attributes
    ----------
    difference : Estimate
        In the unit of the metric; unknown with the reason as its method.
    relative : Estimate
        As a share of the control's level (.05 is 5 % more); unknown with the reason as its method.
    p : float
        Two-sided, of no difference.
    error : float
        Standard error of the difference.
    log_lift : tuple of float
        Logarithm of the ratio of levels, and its standard error; NaN where a level is not positive.
    n : tuple of int
        Units of control and variant.
    levels : tuple of Estimate
        Control and variant.
    """

    difference: Estimate
    relative: Estimate
    p: float
    error: float
    log_lift: tuple[float, float]
    n: tuple[int, int]
    levels: tuple[Estimate, Estimate]


def contrast(moments: Moments, kind: str, *, arm: int = 1, blocked: bool = False) -> Contrast:
    """Return one variant against the control, with all covariates that the moments hold.

    Parameters
    ----------
    moments : Moments
        Axes (arm, ..., stratum); names outcome, of a ratio denominator, then covariates. Cumulate looks before.
    kind : {"mean", "proportion", "ratio"}
        Of the metric.
    arm : int
        Place of the variant on the first axis; the control is at 0.
    blocked : bool
        Whether strata are blocks of the design, which may be small; periods and other large strata are not.

    Returns
    -------
    Contrast
        Axes (...): those between arm and stratum. A stratum without two units of each arm (a block without one of
        each) tells nothing of the effect: it has no weight, and its units are not in `n`.
    """
    pair = moments.at([0, arm])
    weights = _weights(pair.n, blocked)
    n = (pair.n * (weights > 0)).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights[..., None] * pair.mean).sum(-2)
        plain, gradient = _level(means, "denominator" in moments.names)
        direct, theta = gradient.shape[-1], _slopes(pair, weights, gradient)
        jacobian = np.zeros((*means.shape[:-1], 2, means.shape[-1]))
        for place, share in enumerate(n / n.sum(0)):
            jacobian[place, ..., place, :direct] = gradient[place]
            # What the covariates explain moves each level towards that of the two arms together.
            towards = (share[..., None] - np.eye(2)[place])[..., None]
            jacobian[place, ..., direct:] = towards * theta[..., None, :]
        moved = jacobian[..., direct:] @ (means - means[0])[..., direct:, None]
        parts = _spread(pair, jacobian, weights, blocked)
        degrees = _degrees(_along(parts, APART), pair.n, weights, blocked)
    events = (pair.n * (weights > 0) * pair.mean[..., 0]).sum(-1)
    few = (np.minimum(events, n - events) < FEW_EVENTS).any(0) & (kind == "proportion")
    rare = np.where(few, "fewer than ten events in an arm", "")
    lacking = np.where(n.min(0) < 2, "fewer than two units in an arm", rare)
    levels = np.moveaxis(plain, 0, -1) + moved[..., 0].sum(0)
    return Contrast(levels, parts.sum((0, -3)), degrees, np.moveaxis(n, 0, -1), lacking)


def _weights(n: FloatArray, blocked: bool) -> FloatArray:
    """Return the weights of the strata for sizes of shape (2, ..., strata); NaN when none can be used."""
    total = n.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.where((n >= 2 - blocked).all(0), n.prod(0) / total if blocked else total, 0.0)
        return size / size.sum(-1, keepdims=True)


def _level(means: FloatArray, ratio: bool) -> tuple[FloatArray, FloatArray]:
    """Return level, shape (...), and its gradient by the first one or two means, shape (..., 1 or 2)."""
    bottom = np.where(means[..., 1] == 0, np.nan, means[..., 1]) if ratio else np.ones_like(means[..., 0])
    level = means[..., 0] / bottom
    return level, np.stack([1 / bottom, -level / bottom][: 1 + ratio], -1)


def _slopes(pair: Moments, weights: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return the slopes of the level on the covariates, from crosses within arms and strata, shape (..., c)."""
    cross, direct = (pair.cross * (weights > 0)[..., None, None]).sum(-3), gradient.shape[-1]
    inner = cross[..., direct:, direct:].sum(0)
    outer = (cross[..., direct:, :direct] @ gradient[..., None]).sum(0)
    scale = np.sqrt(np.diagonal(inner, axis1=-2, axis2=-1))[..., None]
    scale = np.where(scale > 0, scale, 1.0)
    inverse = np.linalg.pinv(inner / scale / np.swapaxes(scale, -1, -2), rcond=1e-10, hermitian=True)
    return (inverse @ (outer / scale) / scale)[..., 0]


def _spread(pair: Moments, jacobian: FloatArray, weights: FloatArray, blocked: bool) -> FloatArray:
    """Return what each arm and stratum adds to a covariance, shape (2, ..., strata, r, r)."""
    n, across = np.where(weights > 0, pair.n, 2.0), jacobian[..., None, :, :]
    parts = across @ pair.cross @ np.swapaxes(across, -1, -2)
    scale = weights**2 / (n * (n - 1))
    if blocked:
        score = (across @ pair.mean[..., None])[..., 0].sum(0)
        away = score - (weights[..., None] * score).sum(-2, keepdims=True)
        away = (n[::-1] / n.sum(0))[..., None] * away
        parts = parts + n[..., None, None] * away[..., :, None] * away[..., None, :]
        units = (n * (weights > 0)).sum((0, -1))
        scale = (weights / n) ** 2 * (units / _degrees(parts, n, weights, blocked))[..., None]
    return parts * scale[..., None, None]


def _degrees(parts: FloatArray, n: FloatArray, weights: FloatArray, blocked: bool) -> FloatArray:
    """Return the degrees of freedom of a sum of variances of shape (2, ..., strata)."""
    used = weights > 0
    if blocked:
        return (n * used).sum((0, -1)) - used.sum(-1) - 1
    own = np.divide(parts**2, n - 1, out=np.zeros_like(parts), where=used & (n > 1))
    return parts.sum((0, -1)) ** 2 / own.sum((0, -1))


def _along(covariance: FloatArray, way: FloatArray) -> FloatArray:
    """Return the variance of a linear combination."""
    return np.maximum(np.einsum("...i,...ij,...j->...", way, covariance, way), 0.0)


def effect(found: Contrast, kind: str, confidence: float, unit: str, *, bound: float | None = None) -> Effect:
    """Return what a reader is told of a contrast without leading axes.

    Parameters
    ----------
    found : Contrast
        One contrast.
    kind : {"mean", "proportion", "ratio"}
        Of the metric; a proportion has Wilson levels.
    confidence : float
        Level of the intervals, over all looks when `bound` is given.
    unit : str
        Of the metric.
    bound : float, optional
        Normal deviate of the boundary at this look, for repeated intervals; infinite where nothing may be read.
    """
    tail = (1 - confidence) / 2 if bound is None else float(stats.norm.sf(bound))
    n, value, error, log = int(found.n.sum()), float(found.difference), float(found.error), (np.nan, np.nan)
    early = "" if tail > 0 else "not read before the planned end"
    if lacking := str(found.lacking) or (early if error > 0 else "constant in both arms"):
        difference = unknown(n, unit, confidence, say(lacking))
        relative = difference._replace(unit="share")
    else:
        factor = float(stats.t.isf(tail, found.degrees))
        low, high = (value + way * factor * error for way in APART)
        difference = Estimate(value, low, high, n, unit, "Welch", confidence)
        relative, log = _relative(found, factor, confidence)
    levels = _shown(found, 0, kind, confidence, unit), _shown(found, 1, kind, confidence, unit)
    sizes = int(found.n[0]), int(found.n[1])
    return Effect(difference, relative, float(found.p), error, log, sizes, levels)


def _shown(found: Contrast, arm: int, kind: str, confidence: float, unit: str) -> Estimate:
    """Return the level of an arm with its own interval."""
    level, n, error = float(found.levels[arm]), int(found.n[arm]), float(np.sqrt(found.covariance[arm, arm]))
    if kind == "proportion" and n and 0 <= level <= 1:
        low, high = map(float, wilson(level * n, n, confidence))
        return Estimate(level, low, high, n, unit, "Wilson score", confidence)
    return normal_estimate(level, error, n, unit, "t", confidence, degrees=n - 1)


def _relative(found: Contrast, factor: float, confidence: float) -> tuple[Estimate, tuple[float, float]]:
    """Return the lift, and the log ratio with its error."""
    (control, variant), covariance, n = found.levels, found.covariance, int(found.n.sum())
    reason, log = say("not defined: the control is not above 0"), (np.nan, np.nan)
    if control > 0:
        reason, method = say("not defined: the control is too near 0 for an interval"), "Fieller"
        ends = fieller(found.levels, covariance, factor)
        if variant > 0:
            log = float(np.log(variant / control)), float(np.sqrt(_along(covariance, APART / found.levels)))
            if np.sqrt(covariance[0, 0]) <= NOISY * control:
                with np.errstate(over="ignore"):
                    ends, method = tuple(np.exp(log[0] + APART * factor * log[1])), "log ratio"
        if np.isfinite(ends).all():
            value, low, high = (float(part) - 1 for part in (variant / control, *ends))
            return Estimate(value, low, high, n, "share", method, confidence), log
    return unknown(n, "share", confidence, reason), log


def fieller(parts: FloatArray, covariance: FloatArray, factor: float) -> tuple[float, float]:
    """Return the bounds of ``parts[1] / parts[0]`` (Fieller 1954); NaN when they are not a bounded interval."""
    squared = factor**2
    top = parts[0] ** 2 - squared * covariance[0, 0]
    middle = parts[0] * parts[1] - squared * covariance[0, 1]
    root = middle**2 - top * (parts[1] ** 2 - squared * covariance[1, 1])
    if not (top > 0 and root >= 0):
        return np.nan, np.nan
    return float((middle - np.sqrt(root)) / top), float((middle + np.sqrt(root)) / top)


def reached(moments: Moments, confidence: float, unit: str) -> Estimate:
    """Return the effect on those whom the first variant reached (CACE), from the outcome and the delivery.

    Axes (arm, stratum). Unknown with the reason when delivery does not clearly differ between the arms.
    """
    pair = moments.at([0, 1]).take(moments.names[::-1])
    weights = _weights(pair.n, blocked=False)
    apart = (weights[..., None] * (pair.mean[1] - pair.mean[0])).sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = _spread(pair, np.stack([-np.eye(2), np.eye(2)]), weights, blocked=False)
        value = apart[1] / apart[0]
        degrees = _degrees(_along(parts, np.array([-value, 1.0])), pair.n, weights, blocked=False)
    low, high = fieller(apart, parts.sum((0, -3)), float(stats.t.isf((1 - confidence) / 2, degrees)))
    found = Estimate(float(value), low, high, int(pair.n.sum()), unit, "Anderson-Rubin", confidence)
    reason = say("delivery does not clearly differ between the arms")
    return found if found.known else unknown(found.n, unit, confidence, reason)
