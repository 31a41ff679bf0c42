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
