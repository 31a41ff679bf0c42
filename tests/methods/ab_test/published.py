"""Experiments with published figures, as their authors analysed them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.methods.ab_test.moments import Moments

BROKEN = ("block0077", "block0085", "block0097")
"""Blocks of nine."""
SECOND_ROUND = 36
"""Blocks of the second round that were complete when the authors analysed."""


def catlab(reference_data: Path) -> pd.DataFrame:
    """Return the 1,300 newcomers of r/feminism that the authors kept of 1,696.

    Three blocks are broken, the first was begun anew (its first ten were assigned in the same second), and of the
    second round the first 36 blocks count.
    """
    frame = pd.read_csv(reference_data / "ab" / "catlab_rfeminism_2018_2020.csv")
    frame = frame[~frame["block_id"].isin(BROKEN)]
    first = frame["block_id"] == "block0001"
    frame = frame[~first | (frame["assignment_datetime"] == frame.loc[first, "assignment_datetime"].min())]
    second = frame["block_id"].str.extract(r"2nd\.round\.block(\d+)", expand=False).astype(float)
    return frame[second.isna() | (second <= SECOND_ROUND)].reset_index(drop=True)


def soc412(reference_data: Path) -> pd.DataFrame:
    """Return the 279 posts with comments counted, with a column treated of 0 and 1."""
    frame = pd.read_csv(reference_data / "ab" / "soc412_social_media_question_2019.csv")
    frame = frame[frame["comments"].notna()].reset_index(drop=True)
    return frame.assign(treated=(frame["condition"] == "treatment").astype(int))


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
