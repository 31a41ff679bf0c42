"""Thin data: the elasticity of the outcome to all spend, by ridge regression of logarithms, with its interval."""

from __future__ import annotations

import numpy as np
from statsmodels.regression.linear_model import OLS

from helpers.methods.budget.weekly import Weekly
from helpers.stats.estimate import Estimate, normal_estimate, unknown

# Prior standard deviation of the elasticity: spend rarely moves a whole outcome by more than half its own change.
SPREAD = 0.3
# Weeks beyond the columns without which nothing is said.
FREE = 8


def elasticity(weekly: Weekly, confidence: float = 0.9) -> Estimate:
    """Return by how many per cent the outcome rises when all spend rises by one per cent.

    ``log outcome = level + trend + elasticity * log spend``: the elasticity has a normal prior around 0, which is the
    ridge; weeks without outcome or spend are left out. Trend only, because few weeks tell no season.
    """
    spend, y = weekly.spend.sum(axis=1).to_numpy(float), weekly.outcome.to_numpy(float)
    kept = (spend > 0) & (y > 0)
    n = int(kept.sum())
    week = np.flatnonzero(kept).astype(float)
    if n < 3 + FREE:
        return unknown(n, "ratio", confidence)
    columns = np.column_stack([np.ones(n), week, np.log(spend[kept])])
    if np.linalg.matrix_rank(columns) < 3:
        return unknown(n, "ratio", confidence)
    plain = OLS(np.log(y[kept]), columns).fit()
    known = plain.bse[-1] ** -2
    precision = known + SPREAD**-2
    value, error = plain.params[-1] * known / precision, precision**-0.5
    return normal_estimate(value, error, n, "ratio", "ridge of logarithms", confidence, degrees=n - 3)
