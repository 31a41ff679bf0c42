"""How far credit lies from the truth where that is known: total variation of shares."""

from __future__ import annotations

import pandas as pd


def total_variation(credit: pd.Series, truth: pd.Series) -> float:
    """Return half the sum of absolute differences of shares, 0 (equal) to 1, both indexed by channel.

    Credit below zero counts as none; each side is divided by its own sum.
    """
    raise NotImplementedError


def by_model(credit: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Return model, total_variation, most_over (channel with the most undue share), over: the worst last.

    Parameters
    ----------
    credit : pandas.DataFrame
        model, level, node, conversions as all models return it; rows of level ``channel`` are judged.
    truth : pandas.Series
        Orders that each channel caused.
    """
    raise NotImplementedError
