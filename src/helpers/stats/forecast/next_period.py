"""The next period: the model that won on closed windows, applied to today, and how many events that makes.

The winner is fitted on all closed windows, and recalibrated today as it was when it was judged: by all predictions
whose windows had closed.

The interval of a number of events holds three errors: that of the parameters and that of the coming window's own
level, measured together by how far whole windows lay from the predictions made before them, and the chance of each
member (Bernoulli). Where a simple random sample of members was predicted, the error of its mean is a fourth (Cochran
1977, Sampling Techniques, 2.6, with the correction for a finite population).

Errors of windows
-----------------
A window moves all its members together: bad weather, a feast, a change of the product. The shift of a judged window
is the number that, added to the log odds predicted before it, makes their mean the observed rate; errors of the
parameters are in it. With shifts s_t of sampling variance v_t = 1 / sum p (1 - p),

    s_t ~ N(0, tau^2 + v_t),

and the level of the next window is N(0, tau^2). How large tau is, a handful of windows tells badly, so it is not
replaced by one number: levels are drawn from the posterior of tau under the prior 1 / sqrt(tau^2 + mean of v_t),
which is flat where sampling noise rules and flat in log tau where it does not; where windows differ much, the levels
are Student's t with as many degrees of freedom as windows. Gelman (2006, Bayesian Analysis 1) on such priors.

Before six windows were judged, the prior of tau^2 is scaled inverse chi-squared, worth six windows of standard
deviation .3 in log odds (7 points at one half): the level of the next is Student's t with six degrees of freedom more
than there are windows, whose shifts widen it (Gelman and others 2013, Bayesian Data Analysis, section 3.2).

Measured coverage of nominal 95 % intervals of the number of events (rate about .2), tau 0, .15, .3 and .5:
predictions that are right but for the window, 300 simulations each, 6 windows of 400 members .993, .933, .933, .943,
8 windows .973, .967, .930, .943. Predicted forward by models that are refitted and recalibrated for each
window, 120 to 240 simulations, 400 members: 6 windows, tau .15 .979, tau .3 .950; 8 windows .958, .967. The first
windows have less to learn from than the next has, so that the interval leans wide.

Where a sample stands for all, without window errors and with chances of Beta(.3, .7), 1,000 simulations each: 100 of
2,000 members .959, 500 of 2,000 .954, 1,000 of 20,000 .940. Of fewer than 100 it covers less: with chances of
Beta(.2, 3.8), 600 simulations each, 100 of 2,000 .937, 50 .898, 20 .863, 5 .688. Then nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from helpers.stats.estimate import Estimate, drawn_estimate, unknown
from helpers.stats.forecast.calibration import log_odds_of, window_shift
from helpers.stats.forecast.judging import Contest, at_risk
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.models import Models, can_be_fitted
from helpers.study import enough

FloatArray = NDArray[np.float64]

DRAWS = 4000
ASSUMED_SPREAD, ASSUMED_WINDOWS = 0.3, 6
"""Spread of window errors that is assumed before it can be measured, and how many windows that counts for."""
LARGEST = 3.0  # log odds; no window is that different
STEPS = 600


def chances(rows: Landmarks, held: Contest, state: str, seed: int) -> Callable[[pd.DataFrame], FloatArray]:
    """Return what gives rows of today the probabilities of the winner, recalibrated as when it was judged.

    The winner is fitted once, when it is first asked. Without one every probability is NaN.
    """
    known, winner = at_risk(rows, state), held.winner
    models = Models(rows, known, held.outcome, seed, held.history)

    def chance(asked: pd.DataFrame) -> FloatArray:
        if winner is None or not len(asked) or not can_be_fitted(known, held.outcome):
            return np.full(len(asked), np.nan)
        return models.probability(winner, asked)

    return chance


class WindowErrors(NamedTuple):
    """Shifts of judged windows on the log-odds scale.

    Attributes
    ----------
    shift : ndarray, shape (windows,)
        Shift of each window against what was predicted before it.
    variance : ndarray, shape (windows,)
        Its sampling variance.
    """

    shift: FloatArray
    variance: FloatArray

    def draw(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw levels that the next window may have, shape (size,)."""
        grid = (np.arange(STEPS) + 0.5) * (LARGEST / STEPS)
        total = grid[:, None] ** 2 + self.variance
        log_weight = -0.5 * np.sum(np.log(total) + self.shift**2 / total, axis=1)
        log_weight -= 0.5 * np.log(grid**2 + self.variance.mean())
        weight = np.exp(log_weight - log_weight.max())
        found: FloatArray = rng.choice(grid, size, p=weight / weight.sum()) * rng.normal(size=size)
        return found


def window_errors(landmark: pd.Series, probability: pd.Series, outcome: pd.Series) -> WindowErrors:
    """Return the shifts of windows against predictions made before them.

    Parameters
    ----------
    landmark, probability, outcome : pandas.Series
        Window, prediction, and what happened (0 or 1), of each row.
    """
    log_odds, y = log_odds_of(probability), outcome.to_numpy(float)
    found = []
    for _, at in sorted(landmark.groupby(landmark).indices.items()):
        p = special.expit(log_odds[at])
        found.append((window_shift(log_odds[at], y[at]), 1 / float(np.sum(p * (1 - p)))))
    shift, variance = np.array(found).T
    return WindowErrors(shift, variance)


def levels(held: Contest, seed: int) -> FloatArray:
    """Draw the level of the coming window on the log-odds scale (see the head of the module)."""
    rng, frame = np.random.default_rng(seed), held.predictions
    if not held.windows:
        return np.zeros(DRAWS)
    errors = window_errors(frame["landmark"], frame[held.winner], frame[held.outcome])
    if not held.too_few:
        return errors.draw(DRAWS, rng)
    known = ASSUMED_WINDOWS + held.windows
    spread = np.sqrt((ASSUMED_WINDOWS * ASSUMED_SPREAD**2 + np.sum(errors.shift**2)) / known)
    return np.asarray(spread * rng.standard_t(known, DRAWS), np.float64)


def expected_number(
    p: FloatArray, steps: FloatArray, confidence: float, seed: int, members: int | None = None
) -> Estimate:
    """Return the expected number of events with its predictive interval (see the head of the module).

    Parameters
    ----------
    p : ndarray, shape (sample,)
        Probabilities, NaN where unknown.
    steps : ndarray, shape (draws,)
        Levels that the coming window may have, on the log-odds scale.
    confidence, seed
        Level of the interval, and seed of the simulation.
    members : int, optional
        Members at risk, of whom those with a probability are a simple random sample; all of them by default. Of
        fewer than `enough.SAMPLED` nothing is known.
    """
    known = p[np.isfinite(p)]
    if not known.size or (members or 0) > known.size < enough.SAMPLED:
        return unknown(int(p.size) if members is None else members, "members", confidence)
    size = known.size if members is None else members
    each = size / known.size  # members that one stands for
    rng = np.random.default_rng(seed + 1)  # not the draws that made the steps
    log_odds = log_odds_of(known)
    # A sum of many Bernoulli draws is normal enough, and needs the mean and variance at each shift only.
    grid = np.linspace(steps.min() - 1e-9, steps.max() + 1e-9, 101)
    shares = [special.expit(log_odds + step) for step in grid]
    drawn_apart = each * max(each - 1, 0.0) * known.size**2 / max(known.size - 1, 1)
    mean = np.interp(steps, grid, [each * float(s.sum()) for s in shares])
    variance = np.interp(
        steps, grid, [each * float(np.sum(s * (1 - s))) + drawn_apart * float(s.var()) for s in shares]
    )
    drawn = np.clip(np.round(rng.normal(mean, np.sqrt(variance))), 0, size)
    value, method = round(each * float(known.sum()), 6), "window errors of the backtest and chance"
    return drawn_estimate(value, drawn, int(size), "members", method, confidence)


def share_of(number: Estimate) -> Estimate:
    """Return an expected number as a share of those at risk, its `n`."""
    if not number.known:
        return unknown(number.n, "share", number.confidence)
    values = {name: getattr(number, name) / number.n for name in ("value", "low", "high")}
    return number._replace(**values, unit="share")
