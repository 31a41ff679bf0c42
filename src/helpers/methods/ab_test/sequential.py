"""Looking at a test while it runs without false alarms: bounds, repeated intervals and estimates after stopping.

Information is counted in units of what the plan expects at its end (t = 1). Each tail of a two-sided test spends
alpha / 2 over the looks (Lan and DeMets 1983):

- O'Brien-Fleming: ``alpha(t) = 4 (1 - Phi(z[1 - alpha/4] / sqrt(t)))``,
- Pocock: ``alpha(t) = alpha ln(1 + (e - 1) t)``,
- fixed: everything at the last look,
- always-valid: the asymptotic confidence sequence of Waudby-Smith et al. (2024, Annals of Statistics 52), eq. 9, for
  which no end need be planned.

Bounds come by recursive numerical integration (Armitage, McPherson and Rowe 1969); p, estimate and interval after
stopping by the stage-wise order (Jennison and Turnbull 2000, chapter 8), with a drift put in by the likelihood ratio
``exp(drift s - drift^2 t / 2)`` of the sufficient statistic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helpers.stats.estimate import Estimate

FloatArray = NDArray[np.float64]


def fraction(n: ArrayLike, planned: ArrayLike) -> FloatArray:
    """Return the information fraction of two arms of sizes `n` when `planned` are planned, shapes (..., 2).

    The information of a difference is ``n0 n1 / (n0 + n1)``; other arms do not count.
    """
    raise NotImplementedError


class Boundaries(NamedTuple):
    """Normal deviates at which a test stops, one a look.

    Attributes
    ----------
    win, harm : ndarray, shape (looks,)
        The test stops when z reaches `win` or falls to ``-harm``; infinite where it may not. The same unless hybrid.
    fractions : ndarray, shape (looks,)
        Information at each look, 1 at the planned end.
    spent : ndarray, shape (looks,)
        Part of alpha spent up to each look, both tails together; NaN when always valid.
    """

    win: FloatArray
    harm: FloatArray
    fractions: FloatArray
    spent: FloatArray


def boundaries(
    fractions: ArrayLike, alpha: float, spending: str, *, final: bool = False, hybrid: bool = False
) -> Boundaries:
    """Return the bounds for the looks taken so far.

    Parameters
    ----------
    fractions : array_like, shape (looks,)
        Information at each look, not falling; may exceed 1 when more units came than planned. A look that brings
        nothing new has the bound of the look before.
    alpha : float
        Two-sided error over all looks.
    spending : {"obrien-fleming", "pocock", "always-valid", "fixed"}
        How it is spent.
    final : bool
        Whether the last look is the end of the test: it spends what is left, however much information there is.
    hybrid : bool
        Whether only harm may stop the test early; a win is then judged once, at the end, at alpha / 2.
    """
    raise NotImplementedError


class Stopped(NamedTuple):
    """What a test that has stopped says of its effect.

    Attributes
    ----------
    p : float
        Two-sided stage-wise p.
    estimate : Estimate
        Median-unbiased, with the stage-wise interval, in the unit of the difference.
    """

    p: float
    estimate: Estimate


def stopped(
    bounds: Boundaries,
    look: int,
    effect: float,
    error: float,
    confidence: float,
    unit: str,
    n: int,
    *,
    null: float = 0.0,
) -> Stopped:
    """Return stage-wise p, median-unbiased estimate and interval of a test that stopped at a look, or ended there.

    Parameters
    ----------
    bounds : Boundaries
        Of all looks up to this one.
    look : int
        Place of the look at which it stopped, from 0.
    effect, error : float
        Estimate at this look with its standard error; ``(effect - null) / error`` is what was compared with the
        bounds.
    confidence : float
        Of the interval.
    unit : str
        Of the effect.
    n : int
        Units.
    null : float
        Effect that the test is against, such as minus the margin of a guardrail.
    """
    raise NotImplementedError
