"""The Bayesian reading: how probable, how much would be lost, of lifts that are normal; no prior.

The expected loss ``E[max(-x, 0)]`` of a normal x is ``deviation * (pdf(u) - u sf(u))`` with u = mean / deviation.
Probable is not decided: a decision waits for the interval that holds at every look.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats


def believe(lift: ArrayLike, error: ArrayLike, least: float, *, shared: float = 0.0) -> pd.DataFrame:
    """Return what is believed of the lifts of the variants after a test.

    Parameters
    ----------
    lift, error : array_like, shape (variants,)
        Estimates with their standard errors, on the log scale or relative.
    least : float
        Lift worth having.
    shared : float
        Variance that the estimates have in common, because they are compared with one control.

    Returns
    -------
    DataFrame
        One row a variant: chance (that the lift is above 0), chance_worth_having (above `least`), chance_best (of all
        arms), expected_loss (of shipping: mean of the lift where it is negative, as a positive number).
    """
    mean, deviation, best = np.asarray(lift, float), np.asarray(error, float), []
    covariance = np.diag(deviation**2 - shared) + shared
    # Lifts of all arms, the control's being 0; an arm is the best when none of the others is above it.
    arms = np.vstack([np.zeros(len(mean)), np.eye(len(mean))])
    for arm in range(1, len(arms)):
        above = np.delete(arms, arm, axis=0) - arms[arm]
        others = stats.multivariate_normal(above @ mean, above @ covariance @ above.T, seed=0)
        best.append(others.cdf(np.zeros(len(mean))))
    u = mean / deviation
    chances = {"chance": stats.norm.cdf(u), "chance_worth_having": stats.norm.sf(least, mean, deviation)}
    loss = deviation * (stats.norm.pdf(u) - u * stats.norm.sf(u))
    return pd.DataFrame(chances | {"chance_best": np.array(best), "expected_loss": loss})
