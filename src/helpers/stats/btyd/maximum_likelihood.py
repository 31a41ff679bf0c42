"""Maximum likelihood on the log scale of positive parameters, with standard errors from the observed information.

Everything is deterministic: fixed starts, no random restarts. A fit that does not converge is returned and
says so; it is never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from helpers.stats.estimate import half_width

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]
"""A negative log-likelihood in log parameters: its value and its gradient."""

# A log-scale standard error above this puts the ends of a 95 % interval a factor of 1,000 away on each side:
# the data do not say what the parameter is.
WIDEST_STANDARD_ERROR = float(np.log(1000) / stats.norm.ppf(0.975))
# What may be left to gain in log-likelihood at a maximum, twice, by a Newton step of at most `LONGEST_STEP`: on a
# ridge that falls by less, no further step would change what the data say.
SMALLEST_DECREMENT = 1e-3
LONGEST_STEP = 3.0
# Two log-likelihoods nearer than this are one maximum, or one ridge, reached from two sides.
SAME_LIKELIHOOD = 1e-3
STEP = 1e-4  # of the log parameters, where the gradient is differenced


class Fit(NamedTuple):
    """The maximum found, in log parameters.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Log parameters.
    log_likelihood : float
        Value at `theta`.
    covariance : ndarray, shape (k, k)
        Inverse of the observed information; NaN unless that is positive definite and no bound was met.
    converged : bool
        Whether a Newton step could add next to nothing to the log-likelihood.
    iterations : int
        Steps of L-BFGS-B.
    """

    theta: FloatArray
    log_likelihood: float
    covariance: FloatArray
    converged: bool
    iterations: int

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the log parameters."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def precise(self) -> bool:
        """Whether every parameter is known to within a factor of 1,000."""
        return bool((self.standard_errors < WIDEST_STANDARD_ERROR).all())


def maximise(
    objective: Objective, members: float, starts: Sequence[FloatArray], lower: FloatArray, upper: FloatArray
) -> Fit:
    """Maximise a likelihood from the best of several starts; try the next when one leads nowhere.

    Parameters
    ----------
    objective : Objective
        Negative log-likelihood and its gradient in log parameters.
    members : float
        Its sample size.
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
    fits: list[Fit] = []
    for start in sorted(starts, key=lambda start: objective(start)[0]):
        fit = _from_start(objective, members, start, lower, upper)
        best = max((other.log_likelihood for other in fits if other.converged), default=-np.inf)
        if fit.converged and (fit.precise or abs(fit.log_likelihood - best) < SAME_LIKELIHOOD):
            return fit
        fits.append(fit)
    return max(fits, key=lambda fit: (fit.converged, fit.log_likelihood))


def _from_start(
    objective: Objective, members: float, start: FloatArray, lower: FloatArray, upper: FloatArray
) -> Fit:
    """Run L-BFGS-B on the mean per member, which makes its tolerances mean the same at any size."""

    def mean_per_member(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(theta)
        return value / members, gradient / members

    found = optimize.minimize(
        mean_per_member,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=optimize.Bounds(lower, upper),
        options={"maxiter": 500, "maxls": 40, "ftol": 0.0, "gtol": 1e-9},
    )
    theta, gradient = found.x, found.jac * members
    free = ~(((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0)))
    information, covariance = information_at(objective, theta), np.full((theta.size, theta.size), np.nan)
    inner = information[np.ix_(free, free)]
    converged = not free.any()
    if free.any() and np.isfinite(inner).all():
        curvature, axes = np.linalg.eigh(inner)
        slope = np.abs(axes.T @ gradient[free])
        step = np.minimum(slope, LONGEST_STEP * np.abs(curvature)) / np.maximum(np.abs(curvature), 1e-300)
        converged = bool(slope @ step < SMALLEST_DECREMENT)
        if converged and free.all() and curvature.min() > 0:
            covariance = axes / curvature @ axes.T
            # One Newton step takes what the tolerances of L-BFGS-B leave.
            theta = np.clip(theta - covariance @ gradient, lower, upper)
    return Fit(theta, -objective(theta)[0], covariance, converged, int(found.nit))


def information_at(objective: Objective, theta: FloatArray) -> FloatArray:
    """Return the matrix of second derivatives of the objective, by central differences of its gradient."""
    steps = STEP * np.eye(theta.size)
    rows = [(objective(theta + step)[1] - objective(theta - step)[1]) / (2 * STEP) for step in steps]
    return (np.array(rows) + np.array(rows).T) / 2


def parameter_table(names: Sequence[str], fit: Fit, members: int, confidence: float) -> pd.DataFrame:
    """Return one row per parameter: estimate, standard error and the Wald interval made on the log scale."""
    value, error, half = np.exp(fit.theta), fit.standard_errors, half_width(fit.standard_errors, confidence)
    table = pd.DataFrame(
        {"value": value, "standard_error": value * error}, index=pd.Index(names, name="parameter")
    )
    with np.errstate(over="ignore"):
        return table.assign(low=np.exp(fit.theta - half), high=np.exp(fit.theta + half), n=members)


def no_fit(size: int) -> Fit:
    """Return the fit of a model with `size` parameters to which there were too few data."""
    return Fit(np.full(size, np.nan), np.nan, np.full((size, size), np.nan), False, 0)
