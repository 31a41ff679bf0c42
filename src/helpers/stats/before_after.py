"""Whether weeks after differ from weeks before, against the noise of the weeks before: correlated, maybe drifting.

The change is the mean of the weeks after minus the mean of the weeks before. Its error counts both sides, and that
weeks resemble their neighbours: the correlation of weeks k apart is ``t r^k``, an autoregressive part beside
independent noise of share ``1 - t`` (a random walk seen through noise is close to r = .98). Nobody knows r and t from
a year of weeks, so all pairs of a grid count, each with the weight of its likelihood over all levels, with and
without a steady drift, by Schwarz's (1978) criterion; a drift is taken off over the distance between the two sides.
Given a pair, generalised least squares of the level and the drift on the weeks until the last one before makes the
change Student's t with n - p degrees of freedom; the interval holds the middle of the mixture.

Error rates and power on autocorrelated weeks: ``docs/proofs/weekly_review.md``.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from helpers.stats.estimate import Estimate, FloatArray, unknown

# Correlation of neighbours, and the share of the noise that has it.
GRID = [(0.0, 1.0), *product((0.2, 0.4, 0.6, 0.8, 0.9, 0.98), (0.25, 0.5, 0.75, 1.0))]
METHOD = "weeks after against weeks before, correlated noise"
# Weeks from which noise is learned at most, and at least before a drift is looked for.
YEAR, HALF_YEAR = 52, 26


def before_after(
    values: FloatArray,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    confidence: float = 0.95,
    *,
    drift: bool = True,
) -> Estimate:
    """Return how much the mean after lies above the mean before, in the unit of the values.

    Parameters
    ----------
    values : ndarray, shape (weeks,)
        One value a week, without a gap; NaN where nothing was observed. Of logarithms the change is that of a ratio.
    before, after : ndarray of bool, shape (weeks,)
        The weeks that are compared. What lies before the last one of `before` tells the noise, up to a year.
    confidence : float
        Level of the interval.
    drift : bool
        Whether a steady drift of the weeks before, looked for where there is half a year of them, is taken off; if
        not, it is part of the change and no noise.

    Returns
    -------
    Estimate
        n is the number of weeks on both sides; unknown with fewer than two on a side, or where nothing varied.
    """
    at, seen = np.arange(len(values)), np.isfinite(values)
    old, new = at[before & seen], at[after & seen]
    n = len(old) + len(new)
    if min(len(old), len(new)) < 2:
        return unknown(n, "ratio", confidence)
    calm = at[seen & (at <= old[-1]) & (at > old[-1] - YEAR)]
    if np.ptp(values[calm]) == 0:
        return unknown(n, "ratio", confidence, "the weeks before do not vary")
    contrast = np.concatenate([np.isin(calm, old) / -len(old), np.full(len(new), 1 / len(new))])
    drifts = (False, True) if len(calm) >= HALF_YEAR else (False,)
    models = [_model(values, calm, new, contrast, (*each, drift)) for each in product(drifts, GRID)]
    weight, value, error, degrees = np.array(models).T
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()

    def above(x: float, level: float) -> float:
        return float(weight @ stats.t.cdf(x, degrees, value, error)) - level

    def quantile(level: float) -> float:
        ends = stats.t.ppf(level, degrees, value, error)
        return float(optimize.brentq(above, ends.min() - 1e-9, ends.max() + 1e-9, args=(level,)))

    low, high = quantile((1 - confidence) / 2), quantile((1 + confidence) / 2)
    return Estimate(float(weight @ value), low, high, n, "ratio", METHOD, confidence)


def _model(
    values: FloatArray, calm: Any, new: Any, contrast: FloatArray, model: tuple[Any, ...]
) -> tuple[float, float, float, int]:
    """Return the log weight of one model, the change by it, its error, and the degrees of freedom."""
    at, n = np.concatenate([calm, new]), len(calm)
    drift, (near, share), taken_off = model
    apart = np.abs(at[:, None] - at)
    noise = np.where(apart == 0, 1.0, share * near**apart)
    line = np.column_stack([np.ones(n), calm - calm.mean()] if drift else [np.ones(n)])
    root = np.linalg.cholesky(noise[:n, :n])
    x, y = np.linalg.solve(root, line), np.linalg.solve(root, values[calm])
    fit = np.linalg.pinv(x)
    rest = y - x @ (fit @ y)
    square, degrees = float(rest @ rest), n - line.shape[1]
    if drift and taken_off:  # its slope, as weights of the weeks, times the distance between the two sides
        contrast = contrast - np.append((contrast @ at) * np.linalg.solve(root.T, fit[1]), np.zeros(len(new)))
    seen, most = np.linalg.slogdet(x.T @ x)[1], np.linalg.slogdet(line.T @ line)[1]  # of level and drift
    price = (seen - most + line.shape[1] * np.log(n)) / 2
    log = -n / 2 * np.log(square) - np.log(np.diag(root)).sum() - price
    error = np.sqrt(square / degrees * (contrast @ noise @ contrast))
    return float(log), float(contrast @ values[at]), float(error), degrees
