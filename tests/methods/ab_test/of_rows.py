"""Moments of rows in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.methods.ab_test.moments import Moments


def of_rows(rows: ArrayLike, names: Sequence[str]) -> Moments:
    """Return the moments of rows of shape (..., units, k)."""
    values = np.asarray(rows, float)
    mean = values.mean(axis=-2) if values.shape[-2] else np.zeros(values.shape[:-2] + values.shape[-1:])
    centred = values - mean[..., None, :]
    n = np.full(values.shape[:-2], float(values.shape[-2]))
    return Moments(tuple(names), n, mean, np.swapaxes(centred, -1, -2) @ centred)


def moments(values: pd.DataFrame, treated: pd.Series, stratum: pd.Series | None = None) -> Moments:
    """Return the moments of rows, axes (arm, stratum)."""
    where = np.zeros(len(values), int) if stratum is None else pd.factorize(stratum)[0]
    arm, rows, names = np.asarray(treated, int), values.to_numpy(float), tuple(values.columns)
    cells = [
        [of_rows(rows[(arm == a) & (where == s)], names) for s in range(where.max() + 1)]
        for a in range(arm.max() + 1)
    ]
    parts = (
        np.array([[getattr(cell, part) for cell in row] for row in cells]) for part in ("n", "mean", "cross")
    )
    return Moments(names, *parts)
