"""Moments of rows in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.methods.ab_test.moments import Moments


def moments(values: pd.DataFrame, treated: pd.Series, stratum: pd.Series | None = None) -> Moments:
    """Return the moments of rows, axes (arm, stratum)."""
    where = np.zeros(len(values), int) if stratum is None else pd.factorize(stratum)[0]
    arm, rows, names = np.asarray(treated, int), values.to_numpy(float), tuple(values.columns)
    cells = [
        [Moments.of_rows(rows[(arm == a) & (where == s)], names) for s in range(where.max() + 1)]
        for a in range(arm.max() + 1)
    ]
    parts = (
        np.array([[getattr(cell, part) for cell in row] for row in cells]) for part in ("n", "mean", "cross")
    )
    return Moments(names, *parts)
