"""Plans compared on the same curves: today, proposed, 40/35/25, equal, -20 %, frozen ads, least cost for a target."""

from __future__ import annotations

import pandas as pd

from helpers.methods.budget.allocate import Terms
from helpers.methods.budget.engine import Fit


def scenarios(fit: Fit, terms: Terms, target: float | None = None) -> pd.DataFrame:
    """Return one row per plan: plan, spend, outcome, low, high, better (chance of being better than today)."""
    raise NotImplementedError
