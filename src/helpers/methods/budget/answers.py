"""The numbers behind the answers, as estimates from posterior draws."""

from __future__ import annotations

import pandas as pd

from helpers.methods.budget.engine import Fit


def answers(fit: Fit, weeks: int = 52, confidence: float = 0.9, margin: float = 1.0) -> pd.DataFrame:
    """Return the estimates of each line over its last `weeks`, index the line; every cell is an :class:`Estimate`.

    Columns: spend (plain number a week), contribution, return, marginal_return, elasticity (of the line's own
    contribution), half_life (weeks), still_to_come (share of the contribution that arrives after the last week),
    cost_per_outcome, break_even, average_four, marginal_four, marginal_one, bend (weekly spend), headroom, payback.
    """
    raise NotImplementedError
