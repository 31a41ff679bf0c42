"""What channels cost and return: spend of the ledger, cost per conversion, return on spend against its goal."""

from __future__ import annotations

import pandas as pd

from helpers.methods.attribution.journeys import Journeys
from helpers.methods.attribution.uncertainty import Credit

GOAL = 4.0
"""Least return per cost: 1 to 4."""


def money(journeys: Journeys, credit: Credit, model: str, margin: float = 1.0) -> pd.DataFrame:
    """Return node, spend, conversions, value, cpa, roas, roas_low, roas_high, p_goal, n of a model.

    Parameters
    ----------
    margin : float
        Share of sales that counts as return; 1 for sales.
    """
    raise NotImplementedError
