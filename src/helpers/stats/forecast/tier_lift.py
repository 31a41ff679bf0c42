"""Lift inside tiers: does a forecast know more about who falls silent than the tier of a member does?

Tiers are those known on each landmark: actions in the 30 days before it, cut at the bounds of the threshold
``tiers.monthly_interactions``. Taken from the rows that the forecasts themselves were made from, they look at nothing
after the landmark.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.sentences import number, say
from helpers.stats.forecast import calibration
from helpers.study.frames import require_columns

COLUMNS = ["tier", "n", "silent", "lift", "low", "high"]
FEWEST_SILENT = 10


def tier_lift(
    frame: pd.DataFrame, model: str, tiers: pd.DataFrame | None, confidence: float, draws: int, seed: int
) -> pd.DataFrame:
    """Return the lift at 10 % inside each tier: tier, n (rows), silent (share), lift, low, high.

    Parameters
    ----------
    frame : pandas.DataFrame
        landmark, member_id, silent and a column of predictions of `model`.
    model : str
        Name of that column.
    tiers : pandas.DataFrame or None
        landmark, member_id, tier, known at the landmark.
    confidence, draws, seed
        Level of the intervals, and size and seed of their member bootstrap.
    """
    if tiers is None:
        return pd.DataFrame(columns=COLUMNS)
    require_columns(tiers, ("landmark", "member_id", "tier"), "tiers")
    known = tiers.assign(landmark=pd.to_datetime(tiers["landmark"]), member_id=tiers["member_id"].astype(str))
    placed = frame.merge(known[["landmark", "member_id", "tier"]], "left", ["landmark", "member_id"])
    found = []
    for tier, part in placed.groupby("tier", observed=True):
        y, p, member = (part[name].to_numpy() for name in ("silent", model, "member_id"))
        top = calibration.lift(y, p, member, confidence=confidence, draws=draws, seed=seed)
        bounds = (top.value, top.low, top.high) if y.sum() >= FEWEST_SILENT else (np.nan,) * 3
        found.append((str(tier), y.size, float(y.mean()), *bounds))
    return pd.DataFrame(found, columns=COLUMNS)


def tier_lift_sentence(table: pd.DataFrame) -> str:
    """Say the lift of each tier, or that there is too little data."""
    known = table.dropna(subset=["lift", "low", "high"])
    if known.empty:
        return say("Lift at 10 % per tier: too little data.")
    parts = "; ".join(_in_words(dict(zip(COLUMNS, row, strict=True))) for row in known[COLUMNS].to_numpy())
    text = "The tenth at highest risk of each tier fell silent this many times as often as the whole tier: {parts}."
    return say(text, parts=parts)


def _in_words(row: dict[str, Any]) -> str:
    lift, low, high = (number(float(row[name]), 2) for name in ("lift", "low", "high"))
    text = "{tier} {lift} ({low} to {high}, n = {n:,})"
    return say(text, tier=row["tier"], lift=lift, low=low, high=high, n=int(row["n"]))
