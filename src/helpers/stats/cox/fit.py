"""Newton's method on the partial likelihood: converged, or a message that says which covariate is to blame.

Covariates that the others determine are left out. A covariate whose effect the data do not bound (everyone with
it left at once, or nobody with it left) would run away to infinity; it alone is held by a normal prior around
no effect, and that is said.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.stats.cox.risk_sets import Derivatives, RiskSets

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_STEPS = 60
# Share of a covariate's information that must be its own, and not that of covariates before it.
LEAST_OWN_INFORMATION = 1e-8
# A standard error above this, over the range of the covariate, means hazard ratios from e^-20 to e^20.
WIDEST_STANDARD_ERROR = 10.0
PRIOR_STANDARD_DEVIATION = 2.0


class CoxFit(NamedTuple):
    """The maximum found, for the covariates that were kept.

    Attributes
    ----------
    beta : ndarray, shape (k,)
        Log hazard ratios; NaN for covariates left out.
    kept, penalised : ndarray of bool, shape (k,)
        Which covariates are in the model, and which of them are held by the prior.
    constant : ndarray of bool, shape (k,)
        Left out because they do not vary among members at risk together (the others are determined by others).
    value : float
        Log partial likelihood at the maximum (without the prior).
    information : ndarray, shape (k, k)
        Observed information, with that of the prior; NaN for covariates left out.
    converged : bool
        Whether the next step would change nothing.
    """

    beta: FloatArray
    kept: BoolArray
    penalised: BoolArray
    constant: BoolArray
    value: float
    information: FloatArray
    converged: bool

    @property
    def covariance(self) -> FloatArray:
        """Inverse information, (k, k); NaN for covariates left out."""
        found = np.full(self.information.shape, np.nan)
        if self.converged and self.kept.any():
            inside = np.ix_(self.kept, self.kept)
            found[inside] = np.linalg.inv(self.information[inside])
        return found


def fit_cox(risk_sets: RiskSets) -> CoxFit:
    """Maximise the partial likelihood."""
    size = risk_sets.design.shape[1]
    null = risk_sets.derivatives(np.zeros(size))
    kept, constant = _own_information(null.information)
    precision = np.zeros(size)
    beta, found, converged = _newton(risk_sets, null, kept, precision)
    runaway = _runaway(risk_sets, found.information, beta, kept, converged)
    if runaway.any():
        spread = np.maximum(risk_sets.spread, np.finfo(float).tiny)
        precision = np.where(runaway, (spread / PRIOR_STANDARD_DEVIATION) ** 2, 0.0)
        beta, found, converged = _newton(risk_sets, null, kept, precision)
    information = found.information + np.diag(precision)
    information[~kept] = information[:, ~kept] = np.nan
    return CoxFit(np.where(kept, beta, np.nan), kept, runaway, constant, found.value, information, converged)


def _own_information(information: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return which covariates say something of their own, and which do not vary, by sweeping in order."""
    size = len(information)
    left, scale = information.copy(), np.diag(information).copy()
    constant = scale <= 1e-12 * max(scale.max(initial=0.0), 1e-12)
    kept = np.zeros(size, bool)
    for j in range(size):
        if constant[j] or left[j, j] <= LEAST_OWN_INFORMATION * scale[j]:
            continue
        kept[j] = True
        left = left - np.outer(left[:, j], left[j]) / left[j, j]
    return kept, constant


def _newton(
    risk_sets: RiskSets, start: Derivatives, kept: BoolArray, precision: FloatArray
) -> tuple[FloatArray, Derivatives, bool]:
    """Take Newton steps from no effect, halved until the likelihood grows."""
    beta, now = np.zeros(kept.size), start
    spread = risk_sets.spread
    for _ in range(MAX_STEPS):
        step = _step(now, beta, kept, precision)
        if not np.isfinite(step).all():
            return beta, now, False
        # The step at which rounding errors are all that is left to correct.
        if np.abs(step * spread).max(initial=0.0) < 1e-12 * (1 + np.abs(beta * spread).max(initial=0.0)):
            return beta, now, True
        moved = _line_search(risk_sets, now, beta, step, precision)
        if moved is None:
            small = np.abs(step * spread).max(initial=0.0) < 1e-6
            return beta, now, bool(small)
        beta, now = moved
    return beta, now, False


def _step(now: Derivatives, beta: FloatArray, kept: BoolArray, precision: FloatArray) -> FloatArray:
    step = np.zeros_like(beta)
    inside = np.ix_(kept, kept)
    information = (now.information + np.diag(precision))[inside]
    gradient = (now.gradient - precision * beta)[kept]
    scale = np.sqrt(np.maximum(np.diag(information), np.finfo(float).tiny))
    try:
        step[kept] = np.linalg.solve(information / np.outer(scale, scale), gradient / scale) / scale
    except np.linalg.LinAlgError:
        step[kept] = np.nan
    return step


def _line_search(
    risk_sets: RiskSets, now: Derivatives, beta: FloatArray, step: FloatArray, precision: FloatArray
) -> tuple[FloatArray, Derivatives] | None:
    """Return the first halving of the step that does not lose likelihood (beyond rounding), or nothing."""
    before = now.value - float(np.sum(precision * beta**2)) / 2
    for _ in range(25):
        trial = beta + step
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = risk_sets.derivatives(trial)
        after = found.value - float(np.sum(precision * trial**2)) / 2
        if np.isfinite(after) and after >= before - 1e-13 * abs(before):
            return trial, found
        step = step / 2
    return None


def _runaway(
    risk_sets: RiskSets, information: FloatArray, beta: FloatArray, kept: BoolArray, converged: bool
) -> BoolArray:
    """Return the covariates whose effect the data leave without a bound."""
    runaway = np.zeros(kept.size, bool)
    if not kept.any():
        return runaway
    inside = np.ix_(kept, kept)
    scale = np.sqrt(np.maximum(np.diag(information)[kept], np.finfo(float).tiny))
    inverse = np.linalg.pinv(information[inside] / np.outer(scale, scale), rcond=1e-14, hermitian=True)
    errors = np.sqrt(np.maximum(np.diag(inverse), 0)) / scale
    spread = risk_sets.spread[kept]
    runaway[kept] = errors * spread > WIDEST_STANDARD_ERROR
    if not (converged or runaway.any()):
        runaway[kept] = np.abs(beta[kept]) * spread > WIDEST_STANDARD_ERROR
    return runaway
