"""The tier of members on past landmarks, so that a forecast can be judged inside each tier.

Tiers are those known on each landmark: actions in the 30 days before it, cut at the bounds of the threshold
``tiers.monthly_interactions``. Taken from the rows that the forecasts themselves were made from, they look at nothing
after the landmark.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.playbook.thresholds import threshold
from helpers.sentences import say
from helpers.stats.forecast.landmarks import Landmarks

ACTIONS = "actions_30"


def tiers_at_landmarks(rows: Landmarks) -> pd.DataFrame:
    """Return the tier of each member on each closed landmark, from their actions in the 30 days up to it.

    Returns
    -------
    pandas.DataFrame
        landmark, member_id, tier (an ordered category, such as "1–10 actions"), as
        :func:`helpers.stats.forecast.backtest.backtest` takes it.
    """
    bounds = list(threshold("tiers.monthly_interactions").value.values())
    labels = [_label(low, high) for low, high in bounds]
    edges = [-np.inf, *(low - 0.5 for low, _ in bounds[1:]), np.inf]
    tier = pd.cut(rows.table[ACTIONS].astype(float), edges, labels=labels)
    return rows.table[["landmark", "member_id"]].assign(tier=tier).reset_index(drop=True)


def _label(low: int, high: int | None) -> str:
    if high is None:
        return say("{low} and more actions", low=low)
    return say("no action") if high == 0 else say("{low}–{high} actions", low=low, high=high)
