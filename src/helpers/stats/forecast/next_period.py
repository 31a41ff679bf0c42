"""The next period: the model that won on closed windows, applied to today, and how many events that makes.

The winner is fitted on all closed windows, and recalibrated today as it was when it was judged: by all predictions
whose windows had closed.

The interval of a number of events holds three errors: that of the parameters and that of the coming window's own
level, measured together by the errors of whole windows in the backtest (:mod:`.window_errors`), and the
chance of each member (Bernoulli).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from helpers.sentences import say
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.stats.forecast.backtest import Backtest
from helpers.stats.forecast.forward import FEWEST_WINDOWS, predictors
from helpers.stats.forecast.hazard import enough
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.outcomes import at_risk

FloatArray = NDArray[np.float64]

DRAWS = 4000
SPREAD_UNKNOWN = 0.3
"""Spread of window errors that is assumed before a contest could measure it: about 7 points at one half."""


def provisional(held: Backtest) -> str:
    """Say that too few windows were judged to measure the error of the next; nothing when there were enough."""
    if not held.too_few:
        return ""
    text = "Provisional: {w} windows could be judged, {k} are needed, so the interval assumes a spread."
    return " " + say(text, w=held.windows, k=FEWEST_WINDOWS)


def probabilities(rows: Landmarks, held: Backtest, asked: pd.DataFrame, state: str, seed: int) -> FloatArray:
    """Return the probabilities of the next period by the winner, recalibrated as when it was judged."""
    known = at_risk(rows, state)
    if held.winner is None or not len(asked) or not enough(known, held.outcome):
        return np.full(len(asked), np.nan)
    fitted = predictors(rows, known, outcome=held.outcome, seed=seed, history=held.history)
    return fitted.probability(held.winner, asked)


def levels(held: Backtest, seed: int) -> FloatArray:
    """Draw the level of the coming window on the log-odds scale; an assumed spread before it can be measured."""
    rng = np.random.default_rng(seed)
    if held.too_few:
        return SPREAD_UNKNOWN * rng.standard_t(FEWEST_WINDOWS, DRAWS)
    return held.window_errors().draw(DRAWS, rng)


def expected_number(p: FloatArray, steps: FloatArray, confidence: float, seed: int) -> Estimate:
    """Return the expected number of events with its predictive interval (see the head of the module).

    Parameters
    ----------
    p : ndarray, shape (members,)
        Probabilities, NaN where unknown.
    steps : ndarray, shape (draws,)
        Levels that the coming window may have, on the log-odds scale.
    confidence, seed
        Level of the interval, and seed of the simulation.
    """
    known = p[np.isfinite(p)]
    if not known.size:
        return unknown(int(p.size), "members", confidence)
    rng = np.random.default_rng(seed + 1)  # not the draws that made the steps
    log_odds = special.logit(np.clip(known, 1e-6, 1 - 1e-6))
    # A sum of many Bernoulli draws is normal enough, and needs the mean and variance at each shift only.
    grid = np.linspace(steps.min() - 1e-9, steps.max() + 1e-9, 101)
    shares = [special.expit(log_odds + step) for step in grid]
    mean = np.interp(steps, grid, [float(s.sum()) for s in shares])
    variance = np.interp(steps, grid, [float(np.sum(s * (1 - s))) for s in shares])
    drawn = np.clip(np.round(rng.normal(mean, np.sqrt(variance))), 0, known.size)
    low, high = percentile_interval(drawn, confidence)
    value = round(float(known.sum()), 6)
    method = "window errors of the backtest and chance"
    return Estimate(value, min(low, value), max(high, value), int(known.size), "members", method, confidence)


def share_of(number: Estimate) -> Estimate:
    """Return an expected number as a share of those at risk, its `n`."""
    if not number.known:
        return unknown(number.n, "share", number.confidence)
    values = {name: getattr(number, name) / number.n for name in ("value", "low", "high")}
    return number._replace(**values, unit="share")
