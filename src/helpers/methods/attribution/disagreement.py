"""Where models disagree: credit by model, by lookback window, and when touches are lost; and what may be decided."""

from __future__ import annotations

import pandas as pd

from helpers.study import Study

WINDOWS = (7, 14, 30)
LOST = 0.3


def by_window(study: Study, models: tuple[str, ...], windows: tuple[int, ...] = WINDOWS) -> pd.DataFrame:
    """Return model, window_days, node, conversions, rank for each lookback window."""
    raise NotImplementedError


def under_loss(study: Study, models: tuple[str, ...], lookback_days: int, lost: float = LOST) -> pd.DataFrame:
    """Return model, node, conversions, low, high: how credit moves when a share of touches is not seen."""
    raise NotImplementedError


def decide(table: pd.DataFrame) -> pd.DataFrame:
    """Return node and rule (id of a rule of ``rules.yml``): one decision for each channel.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per channel: last, markov, incremental with low and high, calibrated (bool), roas_low, roas_high.
    """
    raise NotImplementedError
