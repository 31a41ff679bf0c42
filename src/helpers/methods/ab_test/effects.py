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

from helpers.methods.ab_test.moments import Moments
from helpers.stats.estimate import Estimate

FloatArray = NDArray[np.float64]

FEW_EVENTS = 10
"""Events, and units without, that an arm needs before a normal interval of a proportion holds."""
NOISY = 0.1
"""Relative error of the control's level above which a lift takes Fieller's interval."""


class Contrast(NamedTuple):
    """A variant against the control in numbers; leading axes are free (looks, runs).

    Attributes
    ----------
    levels : ndarray, shape (..., 2)
        Of control and variant.
    covariance : ndarray, shape (..., 2, 2)
        Sampling covariance of the levels.
    degrees, log_degrees : ndarray, shape (...)
        Degrees of freedom of the difference and of the log ratio.
    n : ndarray, shape (..., 2)
        Units of each arm.
    few : ndarray of bool, shape (...)
        Whether a proportion has too few events for a normal interval.
    """

    levels: FloatArray
    covariance: FloatArray
    degrees: FloatArray
    log_degrees: FloatArray
    n: FloatArray
    few: NDArray[np.bool_]

    @property
    def difference(self) -> FloatArray:
        """Variant less control, shape (...)."""
        raise NotImplementedError

    @property
    def error(self) -> FloatArray:
        """Standard error of the difference, shape (...)."""
        raise NotImplementedError

    @property
    def p(self) -> FloatArray:
        """Two-sided p of no difference, by t."""
        raise NotImplementedError

    @property
    def z(self) -> FloatArray:
        """The normal deviate that is as unlikely as the t statistic: what sequential bounds are compared with."""
        raise NotImplementedError

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
    p, relative_p : float
        Two-sided, of no difference and of a lift of 0.
    statistic, error, degrees : float
        Student's t of the difference, its standard error and its degrees of freedom.
    log_lift : tuple of float
        Logarithm of the ratio of levels, and its standard error; NaN where not defined.
    n : tuple of int
        Units of control and variant.
    levels : tuple of Estimate
        Control and variant.
    """

    difference: Estimate
    relative: Estimate
    p: float
    relative_p: float
    statistic: float
    error: float
    degrees: float
    log_lift: tuple[float, float]
    n: tuple[int, int]
    levels: tuple[Estimate, Estimate]

    def p_above(self, margin: float) -> float:
        """Return the one-sided p against "the lift is at most -margin" (non-inferiority); NaN when not known."""
        raise NotImplementedError


class Adjusted(NamedTuple):
    """A contrast without and with covariates.

    Attributes
    ----------
    plain, adjusted : Contrast
        The same effect.
    gain : ndarray, shape (...)
        Share of the variance of the difference that the covariates take away; "no gain" below `NO_GAIN`.
    """

    plain: Contrast
    adjusted: Contrast
    gain: FloatArray


NO_GAIN = 0.01
"""Share of variance below which covariates are said to gain nothing."""


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
        Axes (...): those between arm and stratum.
    """
    raise NotImplementedError


def adjusted(moments: Moments, kind: str, *, arm: int = 1, blocked: bool = False) -> Adjusted:
    """Return a contrast without and with its covariates, and what they gain; arguments as in :func:`contrast`."""
    raise NotImplementedError


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
        Normal deviate of the boundary at this look, for repeated intervals.
    """
    raise NotImplementedError


def reached(moments: Moments, confidence: float, unit: str, *, arm: int = 1) -> Estimate:
    """Return the effect on those whom the variant reached (CACE), from moments named ``outcome`` and ``delivered``.

    Axes (arm, stratum). Unknown with the reason when delivery does not clearly differ between the arms.
    """
    raise NotImplementedError
