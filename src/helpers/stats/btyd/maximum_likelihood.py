"""Maximum likelihood on the log scale of positive parameters: L-BFGS-B to get near, Newton to get there.

Everything is deterministic: fixed starts, no random restarts. A fit that does not converge is returned and
says so; it is never an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from helpers.checks import check_confidence

FloatArray = NDArray[np.float64]

# A log-scale standard error above this puts the ends of a 95 % interval a factor of 1,000 away on each side:
# the data do not say what the parameter is.
WIDEST_STANDARD_ERROR = float(np.log(1000) / stats.norm.ppf(0.975))
SMALLEST_DECREMENT = 1e-9
# Two log-likelihoods nearer than this are one maximum, or one ridge, reached from two sides.
SAME_LIKELIHOOD = 1e-3


class Objective(Protocol):
    """A negative log-likelihood in log parameters, with its derivatives; `members` is its sample size."""

    members: float

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the value and the gradient at `theta`."""
        ...

    def hessian(self, theta: FloatArray) -> FloatArray:
        """Return the matrix of second derivatives at `theta`."""
        ...


class Fit(NamedTuple):
    """The maximum found, in log parameters.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Log parameters.
    log_likelihood : float
        Value at `theta`.
    information : ndarray, shape (k, k)
        Observed information (minus the Hessian of the log-likelihood) on the log scale.
    free : ndarray of bool, shape (k,)
        False where a parameter stopped at its bound.
    converged : bool
        Whether a further Newton step could add next to nothing to the log-likelihood.
    iterations : int
        L-BFGS-B and Newton steps together.
    """

    theta: FloatArray
    log_likelihood: float
    information: FloatArray
    free: NDArray[np.bool_]
    converged: bool
    iterations: int

    @property
    def covariance(self) -> FloatArray:
        """Inverse of the observed information; NaN unless it is positive definite and no bound was met."""
        if not (self.converged and self.free.all()):
            return np.full_like(self.information, np.nan)
        try:
            factor = np.linalg.cholesky(self.information)
        except np.linalg.LinAlgError:
            return np.full_like(self.information, np.nan)
        inverse = np.linalg.inv(factor)
        return inverse.T @ inverse

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the log parameters."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def precise(self) -> bool:
        """Whether every parameter is known to within a factor of 1,000."""
        return bool((self.standard_errors < WIDEST_STANDARD_ERROR).all())


def maximise(objective: Objective, starts: Sequence[FloatArray], lower: FloatArray, upper: FloatArray) -> Fit:
    """Maximise a likelihood from the best of several starts; try the next when one leads nowhere.

    Parameters
    ----------
    objective : Objective
        Negative log-likelihood, gradient and Hessian in log parameters.
    starts : sequence of ndarray, each of shape (k,)
        Points to begin from, tried in order of their likelihood.
    lower, upper : ndarray, shape (k,)
        Box of log parameters.

    Returns
    -------
    Fit
        The first that converged to a precise maximum or to the likelihood that another start converged to,
        else the most likely one that converged, else the most likely one.
    """
    ordered = sorted(starts, key=lambda start: objective.value_and_gradient(start)[0])
    fits: list[Fit] = []
    for start in ordered:
        fits.append(_from_start(objective, start, lower, upper))
        if fits[-1].converged and (fits[-1].precise or _agree(fits)):
            return fits[-1]
    return max(fits, key=lambda fit: (fit.converged, fit.log_likelihood))


def _agree(fits: Sequence[Fit]) -> bool:
    """Return whether the last fit is no less likely than any other, and one of these converged there too."""
    last = fits[-1].log_likelihood
    others = [fit.log_likelihood for fit in fits[:-1] if fit.converged]
    return bool(others) and abs(last - max(others)) < SAME_LIKELIHOOD


def _from_start(objective: Objective, start: FloatArray, lower: FloatArray, upper: FloatArray) -> Fit:
    """Run L-BFGS-B on the mean per member, which makes its tolerances mean the same at any size."""

    def mean_per_member(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective.value_and_gradient(theta)
        return value / objective.members, gradient / objective.members

    near = optimize.minimize(
        mean_per_member,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower, upper, strict=True)),
        options={"maxiter": 300, "ftol": 1e-9, "gtol": 1e-5},
    )
    return _newton(objective, np.asarray(near.x, float), int(near.nit), lower, upper)


def _newton(
    objective: Objective,
    theta: FloatArray,
    iterations: int,
    lower: FloatArray,
    upper: FloatArray,
    steps: int = 50,
) -> Fit:
    """Polish with Newton steps on the parameters that are not held at a bound."""
    value, gradient = objective.value_and_gradient(theta)
    converged = False
    hessian = objective.hessian(theta)
    free = _free(theta, gradient, lower, upper)
    for _ in range(steps):
        step = _newton_step(hessian, gradient, free)
        decrement = float(-step @ gradient)
        if not np.isfinite(decrement):
            break
        # The decrement is twice the log-likelihood still to be gained, so it needs no scale; the second term
        # is what double precision leaves of it on a long sum.
        converged = decrement < SMALLEST_DECREMENT + 1e-14 * abs(value)
        if converged:
            break
        theta, value, gradient, moved = _line_search(objective, theta, value, gradient, step, lower, upper)
        if not moved:
            converged = decrement < 1e-6
            break
        iterations += 1
        hessian = objective.hessian(theta)
        free = _free(theta, gradient, lower, upper)
    return Fit(theta, -value, hessian, free, converged, iterations)


def _free(theta: FloatArray, gradient: FloatArray, lower: FloatArray, upper: FloatArray) -> NDArray[np.bool_]:
    """Return which parameters are not pressed against a bound by the gradient."""
    return ~(((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0)))


def _newton_step(hessian: FloatArray, gradient: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    """Return a descent step; negative curvature is turned round, as a maximum is sought and not a saddle."""
    step = np.zeros_like(gradient)
    if free.any() and np.isfinite(hessian).all():
        curvature, axes = np.linalg.eigh(hessian[np.ix_(free, free)])
        floor = max(1e-12 * np.abs(curvature).max(), np.finfo(float).tiny)
        along = axes.T @ gradient[free] / np.maximum(np.abs(curvature), floor)
        step[free] = -(axes @ along)
        step *= min(1.0, 3.0 / max(np.abs(step).max(), np.finfo(float).tiny))
    elif free.any():
        step[:] = np.nan
    return step


def _line_search(
    objective: Objective,
    theta: FloatArray,
    value: float,
    gradient: FloatArray,
    step: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[FloatArray, float, FloatArray, bool]:
    """Halve the step until the likelihood grows; say so when it never does."""
    for _ in range(30):
        trial = np.clip(theta + step, lower, upper)
        trial_value, trial_gradient = objective.value_and_gradient(trial)
        if np.isfinite(trial_value) and trial_value < value:
            return trial, trial_value, trial_gradient, True
        step = step / 2
    return theta, value, gradient, False


def parameter_table(names: Sequence[str], fit: Fit, members: int, confidence: float) -> pd.DataFrame:
    """Return one row per parameter: estimate, standard error and the Wald interval made on the log scale."""
    z = float(stats.norm.ppf(0.5 + check_confidence(confidence) / 2))
    half = z * fit.standard_errors
    value = np.exp(fit.theta)
    with np.errstate(over="ignore"):
        table = {
            "value": value,
            "standard_error": value * fit.standard_errors,
            "low": np.exp(fit.theta - half),
            "high": np.exp(fit.theta + half),
            "log_standard_error": fit.standard_errors,
            "n": members,
        }
    return pd.DataFrame(table, index=pd.Index(list(names), name="parameter"))


def no_fit(size: int) -> Fit:
    """Return the fit of a model with `size` parameters to which there were too few data."""
    nothing = np.full((size, size), np.nan)
    return Fit(nothing[0], np.nan, nothing, np.zeros(size, bool), False, 0)


def pairwise_total(left: FloatArray, right: FloatArray) -> float:
    """Return the sum of products over cells, by pairwise summation and without the threads of BLAS.

    The result then depends on neither the number of processors nor their load, and on vectors of this length
    threads cost more than they gain.
    """
    return float(np.sum(left * right))
