"""How far credit lies from the truth, where that is known: total variation of the shares of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml


def total_variation(credit: pd.Series, truth: pd.Series) -> float:
    """Return half the sum of absolute differences of shares, 0 (equal) to 1, both by channel.

    Credit below zero counts as none; a channel that one side does not have has none there.
    """
    both = pd.concat([credit, truth], axis=1).fillna(0.0).clip(lower=0.0).to_numpy(float)
    return float(np.abs(np.subtract(*(both / both.sum(axis=0)).T)).sum() / 2)


def published() -> pd.DataFrame:
    """Return model, alike, intent: how far each model lay from planted truth, without and with intent."""
    return pd.DataFrame(yaml.safe_load(Path(__file__).with_suffix(".yml").read_text("utf-8")))


def by_model(credit: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Return how far each model lies from the truth, the nearest first.

    Parameters
    ----------
    credit : pandas.DataFrame
        model, node, conversions; one row per model and channel.
    truth : pandas.Series
        Orders that each channel caused, by channel.

    Returns
    -------
    pandas.DataFrame
        model, total_variation, ratio (all credit over all that was caused), worst (the channel with the most undue
        share).
    """
    rows = []
    for model, part in credit.groupby("model", sort=False):
        given = part.set_index("node")["conversions"].reindex(truth.index).fillna(0.0)
        undue = given.clip(lower=0.0) / given.clip(lower=0.0).sum() - truth / truth.sum()
        rows.append((model, total_variation(given, truth), given.sum() / truth.sum(), undue.idxmax()))
    found = pd.DataFrame(rows, columns=["model", "total_variation", "ratio", "worst"])
    return found.sort_values("total_variation", ignore_index=True)
