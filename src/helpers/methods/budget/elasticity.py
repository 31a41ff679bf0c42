"""Thin data: the elasticity of the outcome to all spend, by ridge regression of logarithms, with its interval."""

from __future__ import annotations

import numpy as np

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
    flat = np.column_stack([np.ones(n), week])
    left = [
        part - flat @ np.linalg.lstsq(flat, part, rcond=None)[0]
        for part in (np.log(spend[kept]), np.log(y[kept]))
    ]
    x, response = left
    square = float(x @ x)
    if square < 1e-9:
        return unknown(n, "ratio", confidence)
    plain = x @ response / square
    variance = float(((response - plain * x) ** 2).sum()) / (n - 3)
    precision = square / variance + SPREAD**-2
    value = x @ response / variance / precision
    return normal_estimate(
        value, precision**-0.5, n, "ratio", "ridge of logarithms", confidence, degrees=n - 3
    )
