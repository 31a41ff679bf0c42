"""The numbers behind the answers: estimates from posterior draws, each the median with an equal-tailed interval.

Medians, because return and cost per outcome are then each other's reciprocal, which means are not. What the spend
of the window brought is the outcome with it less the outcome without it, its carry-out after the last week included
and what earlier spend carried in left out. Points of the curve are weekly spends at a steady state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.methods.budget.curves import LAGS, Array, Curves
from helpers.methods.budget.engine import Fit
from helpers.stats.estimate import Estimate

# First weeks left out of returns of a line that was running already: what it carried in is not known.
BURN_IN = 8
# Last weeks whose mean is today's spend.
RECENT = 4
# Points are looked for up to this many times the largest weekly spend.
FURTHEST = 3.0
STEP = 0.01


def answers(
    fit: Fit,
    weeks: int = 52,
    confidence: float = 0.9,
    target: float = 4.0,
    turnover: float = 1.0,
    value: float = 1.0,
) -> pd.DataFrame:
    """Return the estimates of each line.

    Parameters
    ----------
    fit : Fit
        Draws.
    weeks : int
        Last weeks looked at.
    confidence : float
        Level of intervals.
    target : float
        Turnover per money that is asked for: 4 for the line of 1 to 4.
    turnover, value : float
        Turnover, and money after the cost of goods, that a unit of the outcome stands for.

    Returns
    -------
    pandas.DataFrame
        Index the line; each cell is an :class:`Estimate`. ``spend`` (a week, of the last four); ``contribution``;
        ``return`` and ``marginal_return`` (turnover per money, of the window's and of one per cent more of it);
        ``elasticity`` (of the line's own contribution: their ratio); ``half_life`` (weeks); ``still_to_come`` (share
        of the contribution that arrives after the last week); ``cost_per_outcome``; points of the curve in money a
        week: ``bend``, ``best_average``, ``average_target``, ``marginal_target``, ``break_even`` (the next unit of
        money brings itself back); ``headroom`` (break-even less today's spend); ``payback`` (weeks until a week's
        spend has come back; infinite when it does not).
    """
    units = {"return": "ratio", "marginal_return": "ratio", "elasticity": "ratio", "still_to_come": "share"}
    units |= {"half_life": "weeks", "payback": "weeks", "contribution": fit.weekly.unit}
    table = {}
    for line in fit.curves:
        n, draws = _line(fit, line, weeks, (target, turnover, value))
        units_of = {name: units.get(name, fit.weekly.currency) for name in draws}
        table[line] = {name: _estimate(each, n, units_of[name], confidence) for name, each in draws.items()}
    return pd.DataFrame.from_dict(table, orient="index")


def _line(fit: Fit, line: str, weeks: int, money: tuple[float, float, float]) -> tuple[int, dict[str, Any]]:
    target, turnover, value = money
    spend, curves = fit.weekly.spend[line].to_numpy(float), fit.curves[line]
    first = max(len(spend) - weeks, BURN_IN if spend[0] > 0 else 0)
    # With the weeks of carry-out after the last one; without the window's spend, and with a little more of it.
    ahead, inside = np.append(spend, np.zeros(LAGS)), np.arange(len(spend) + LAGS) >= first
    as_is, paid = curves.weekly(ahead), spend[first:].sum()
    gain = as_is - curves.weekly(np.where(inside, 0.0, ahead))
    step = (curves.weekly(np.where(inside, 1 + STEP, 1.0) * ahead) - as_is).sum(axis=0)
    brought, today = gain.sum(axis=0), spend[-RECENT:].mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        average, margin = brought / paid, step / (STEP * paid)
        found = {
            "spend": np.full(len(curves), today), "contribution": brought, "return": turnover * average,
            "marginal_return": turnover * margin, "elasticity": margin / average, "half_life": curves.half_life,
            "still_to_come": gain[len(spend) :].sum(axis=0) / brought, "cost_per_outcome": 1 / average,
            "bend": curves.bend, **_points(curves, spend.max(), target / turnover, 1 / value),
        }  # fmt: skip
        back = np.cumsum(curves.kernels, axis=0) * (value * average)
    found["headroom"] = found["break_even"] - today
    found["payback"] = np.where(back[-1] >= 1, (back < 1).sum(axis=0) + 1.0, np.inf)
    return len(spend) - first, found


def _points(curves: Curves, largest: float, target: float, break_even: float) -> dict[str, Array]:
    """Return by draw the spends at which the average is best, and the last ones at which returns reach their mark."""
    at = np.linspace(0, FURTHEST * largest, 301)[1:]
    average, marginal = curves.steady(at) / at[:, None], curves.marginal(at)

    def last(reached: Any) -> Array:
        return np.where(reached.any(axis=0), at[len(at) - 1 - reached[::-1].argmax(axis=0)], 0.0)

    best = at[average.argmax(axis=0)]
    return {
        "best_average": np.where(np.isnan(curves.bend), np.nan, best), "average_target": last(average >= target),
        "marginal_target": last(marginal >= target), "break_even": last(marginal >= break_even),
    }  # fmt: skip


def _estimate(draws: Array, n: int, unit: str, confidence: float) -> Estimate:
    """Return the median and equal-tailed interval; of a point that some curves lack, where most have it."""
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2:
        return Estimate(np.nan, np.nan, np.nan, n, unit, "most curves have no such point", confidence)
    tails = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    low, middle, high = np.quantile(known, tails, method="nearest")
    return Estimate(float(middle), float(low), float(high), n, unit, "posterior draws", confidence)
