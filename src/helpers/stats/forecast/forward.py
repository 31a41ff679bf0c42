"""Forward predictions: each closed window as it would have been predicted on its landmark.

The models of a window are fitted on the rows whose outcome was complete on that day, and recalibrated by what the
predictions made before earlier windows came to. The same recalibration, on all windows closed by then, is what
today's predictions get: what is used is what was judged.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from helpers.stats.forecast.hazard import enough
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.predictors import BARE, MODELS, Predictors

FEWEST_WINDOWS = 6
FEWEST_TRAINING = 2
WARM_UP = 12
LEARNING = 2
"""Windows that are predicted for recalibration to learn from before any is judged."""
BARE_MODELS = tuple(bare for bare, _ in BARE.values())


class Forward(NamedTuple):
    """Predictions made before closed windows.

    Attributes
    ----------
    judged : pandas.DataFrame
        One row per judged landmark and member: landmark, member_id, the outcome and one column per model.
    history : pandas.DataFrame
        The same of all predicted windows, judged or not, with the bare models alone: what recalibration learns from.
    """

    judged: pd.DataFrame
    history: pd.DataFrame


def forward(
    rows: Landmarks,
    table: pd.DataFrame,
    models: tuple[str, ...],
    *,
    outcome: str = "silent",
    windows: int | None = None,
    seed: int = 0,
) -> Forward:
    """Predict each window from the rows whose outcome was complete on its landmark.

    Parameters
    ----------
    rows : Landmarks
        Where the rows come from: features, member days and length of the window.
    table : pandas.DataFrame
        The rows at risk, with the column `outcome`.
    models : tuple of str
        Which of :data:`.predictors.MODELS` predict.
    outcome : str
        Column of 0 or 1.
    windows : int, optional
        How many of the last closed windows are judged; default all that have two closed windows to be fitted on
        before them, without the first `LEARNING` of them where six are left without.
    seed : int
        Seed of the boosting.
    """
    days = sorted(table["landmark"].unique())[FEWEST_TRAINING:]
    if windows is None:  # the first windows serve to learn from, where enough are left to judge
        windows = max(len(days) - LEARNING, min(len(days), FEWEST_WINDOWS))
    judged = days[max(0, len(days) - windows) :]
    # Windows before the judged ones are predicted too, for the recalibration to learn from.
    days = [day for day in days if day in judged or day >= _before(days, judged)]
    needed = {*models, *(BARE[m][0] for m in models if m in BARE)}
    ordered = [m for m in MODELS if m in needed]
    parts: list[pd.DataFrame] = []
    for day in days:
        known = table[table["landmark"] + pd.Timedelta(days=rows.horizon_days) <= day]
        asked = table[table["landmark"] == day]
        if not enough(known, outcome) or not len(asked):
            continue
        history = _closed(parts, day, rows.horizon_days)
        fitted = predictors(rows, known, outcome=outcome, seed=seed, history=history)
        asked_for = ordered if day in judged else [m for m in ordered if m in BARE_MODELS]
        found = {model: fitted.probability(model, asked) for model in asked_for}
        parts.append(asked[["landmark", "member_id", outcome]].assign(**found))
    if not parts:
        nothing = table[["landmark", "member_id", outcome]].iloc[:0]
        return Forward(nothing, nothing)
    made = pd.concat(parts, ignore_index=True)
    bare = ["landmark", "member_id", outcome, *(m for m in ordered if m in BARE_MODELS)]
    return Forward(made[made["landmark"].isin(judged)].reset_index(drop=True), made[bare])


def predictors(
    rows: Landmarks,
    known: pd.DataFrame,
    *,
    seed: int,
    history: pd.DataFrame | None,
    outcome: str = "silent",
) -> Predictors:
    """Return the models of an outcome that may be fitted on `known`, those of `rows` whose outcome is complete.

    Parameters
    ----------
    rows : Landmarks
        Where the rows come from: features, member days and length of the window.
    known : pandas.DataFrame
        The training rows.
    seed : int
        Seed of the boosting.
    history : pandas.DataFrame, optional
        Predictions of closed windows, for the recalibrated models; see :class:`.predictors.Predictors`.
    outcome : str
        Column of 0 or 1.
    """
    return Predictors(
        known,
        rows.features,
        member_days=rows.member_days,
        outcome=outcome,
        horizon_days=rows.horizon_days,
        seed=seed,
        history=history,
    )


def _before(days: list[pd.Timestamp], judged: list[pd.Timestamp]) -> pd.Timestamp:
    """Return the first window that is predicted for the sake of recalibration."""
    return days[max(0, len(days) - len(judged) - WARM_UP)]


def _closed(parts: list[pd.DataFrame], day: pd.Timestamp, horizon: int) -> pd.DataFrame | None:
    """Return the earlier predictions whose windows were closed on a day."""
    if not parts:
        return None
    made = pd.concat(parts, ignore_index=True)
    return made[made["landmark"] + pd.Timedelta(days=horizon) <= day]
