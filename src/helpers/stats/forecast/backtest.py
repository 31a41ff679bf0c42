"""Forward calendar backtest: would the probabilities have been right, and which model is worth its effort?

Each closed window is predicted by models that were fitted on the windows closed by its landmark, as they would have
been on that day. The pooled predictions are judged together.

Rule: the model with the lowest pooled Brier score (a proper score: it rewards both order and calibration) is the
best; used is the simplest model whose score is not clearly worse, that is whose paired difference from the best has
an interval that includes 0 (Bonferroni over the contestants).

Windows are a sample, as members are (see :mod:`.scores`): few windows make the intervals wide, and then the simplest
model is used.

Dormant members are judged alike by whether they return, and everybody present by whether they order
(:mod:`.outcomes`).
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.errors import BadParameters
from helpers.sentences import number, percent, say
from helpers.stats.forecast import calibration, scores
from helpers.stats.forecast.forward import FEWEST_WINDOWS, Forward, forward
from helpers.stats.forecast.hazard import enough
from helpers.stats.forecast.landmarks import ACTIVE, Landmarks
from helpers.stats.forecast.outcomes import ORDERED, SILENT, WORDS, at_risk, outcome_of
from helpers.stats.forecast.predictors import (
    BASE_RATE,
    CONTESTANTS,
    LOGIT,
    MODELS,
    RECALIBRATED,
    RECENCY,
)
from helpers.stats.forecast.tier_lift import COLUMNS, tier_lift, tier_lift_sentence
from helpers.stats.forecast.window_errors import WindowErrors, window_errors
from helpers.tables import html_table

OTHER_MODELS = (BASE_RATE, RECENCY, LOGIT, RECALIBRATED)
"""What can be asked beside silence: about dormant members, whose frequency and value of late are nothing, and about
who orders, where many never have. Brier scores are alike among them, while probabilities as fitted are overconfident:
only the recalibrated form may be used, and the others are shown beside it."""


@dataclass(frozen=True)
class Backtest:
    """The contest of models over closed windows.

    Attributes
    ----------
    predictions : pandas.DataFrame
        One row per judged landmark and member: landmark, member_id, the outcome and one column per model.
    history : pandas.DataFrame
        The same of all predicted windows, judged or not, for the recalibration of what comes next.
    by_window : pandas.DataFrame
        landmark, model, n, observed, predicted, auc, brier, log_score, decile_error.
    table : pandas.DataFrame
        One row per model, simplest first, pooled over windows: auc, brier and lift at 10 % with intervals, log_score,
        decile_error with its noise floor and the excess over it, calibration intercept and slope, D-calibration.
    differences : pandas.DataFrame
        Each contestant minus the best: brier_difference with low and high, log_score_difference, clearly_worse.
    tier_lift : pandas.DataFrame
        tier, n, silent, lift, low, high of the winner, when tiers were given.
    deciles : pandas.DataFrame
        group, n, predicted, observed, low, high, difference of the winner, pooled over the judged windows.
    winner, best : str or None
        The model that is used, and the one with the lowest Brier score; None without a judged window.
    windows : int
        Judged windows.
    horizon_days : int
        Length of a window.
    confidence : float
        Level of the intervals.
    outcome : {"silent", "returned", "ordered"}
        What was predicted.
    """

    predictions: pd.DataFrame = field(repr=False)
    history: pd.DataFrame = field(repr=False)
    by_window: pd.DataFrame = field(repr=False)
    table: pd.DataFrame
    differences: pd.DataFrame
    tier_lift: pd.DataFrame
    deciles: pd.DataFrame
    winner: str | None
    best: str | None
    windows: int
    horizon_days: int
    confidence: float
    outcome: str = "silent"

    @property
    def too_few(self) -> bool:
        """Whether there are fewer windows than a contest needs."""
        return self.windows < FEWEST_WINDOWS

    @property
    def sentence(self) -> str:
        """Who won, by how much, and how well calibrated; or how many windows are missing."""
        if self.winner is None or self.too_few:
            text = "{who}: too little data to compare models: {w} judged windows of {h} days; {k} needed."
            who = say(WORDS[self.outcome].who)
            found = say(text, who=who, w=self.windows, h=self.horizon_days, k=FEWEST_WINDOWS)
            until = "Until then the simplest model is used: {model}."
            if self.outcome != SILENT:
                until = "Until then {model} is used."
            also = " " + say(until, model=self.winner)
            return found + (also if self.winner else "")
        row = _row(self.table, self.winner)
        text = (
            "Over {w} windows of {h} days, {winner} is used to predict {what} ({why}): AUC {auc}, Brier score "
            "{brier} against {base} for the bare share, predictions off by {ece} points in a tenth of members on "
            "average ({floor} would be chance)."
        )
        base = float(self.table.set_index("model")["brier"].get(BASE_RATE, np.nan))
        values = {"w": self.windows, "h": self.horizon_days, "winner": self.winner, "why": self._why()}
        return say(
            text,
            **values,
            what=say(WORDS[self.outcome].what),
            auc=_triple(row, "auc"),
            brier=_triple(row, "brier", 4),
            base=number(base, 4),
            ece=number(100 * row["decile_error"], 1),
            floor=number(100 * row["decile_error_if_perfect"], 1),
        )

    def _why(self) -> str:
        if self.outcome != SILENT:
            return say("the one that is corrected by what came of earlier predictions")
        if self.winner == self.best and self.winner != RECENCY:
            return say("the lowest Brier score, and every simpler model is clearly worse")
        if self.winner == self.best:
            return say("how long a member has been quiet says as much as any model")
        row = _row(self.differences, str(self.winner))
        text = (
            "the simplest that is not clearly worse: the Brier score of {best} is lower by {gap} ({low} to {high}, "
            "as windows and members vary), no clear difference"
        )
        values = {name: number(row[name], 4) for name in ("low", "high")}
        return say(text, best=self.best, gap=number(row["brier_difference"], 4), **values)

    @property
    def lift_sentence(self) -> str:
        """How concentrated the outcome is among the tenth of members to whom it is most likely."""
        if self.winner is None:
            return say("Lift at 10 %: too little data.")
        row = _row(self.table, self.winner)
        return say(WORDS[self.outcome].lift, lift=_triple(row, "lift", 2), n=number(row["n"]))

    @property
    def tier_lift_sentence(self) -> str:
        """How concentrated silence is inside each tier."""
        return tier_lift_sentence(self.tier_lift)

    @property
    def calibration_sentence(self) -> str:
        """Whether the times of silence disagree with the probabilities of the model in use (D-calibration)."""
        row = _row(self.table, self.winner) if self.winner and len(self.table) else {}
        p_value = float(row.get("d_calibration_p_value", np.nan))
        if self.too_few or not np.isfinite(p_value):
            return say("Calibration in time: too little data.")
        verdict = say("no disagreement is seen, which is no proof of agreement, since the test is cautious")
        if p_value < 1 - self.confidence:
            verdict = say("the probabilities and what came disagree")
        text = "D-calibration of {model} over {w} windows (chi-square {value}, p = {p}, judged at {level}): "
        text += "{verdict}."
        values = {"model": self.winner, "w": self.windows, "value": number(float(row["d_calibration"]), 1)}
        shown = number(p_value, 3) if p_value >= 0.001 else say("less than 0.001")
        return say(text, **values, p=shown, level=percent(1 - self.confidence), verdict=verdict)

    def window_errors(self) -> WindowErrors:
        """Return how far the judged windows lay from the winner's predictions, on the log-odds scale.

        From predictions made before each window: sampling noise is known, errors of the parameters are in.
        """
        if self.winner is None or not len(self.predictions):
            return WindowErrors(np.empty(0), np.empty(0))
        frame = self.predictions
        return window_errors(frame["landmark"], frame[self.winner], frame[self.outcome])

    def _repr_html_(self) -> str:
        caption = say("Forward backtest over {w} windows", w=self.windows)
        return f"{html_table(self.table, caption)}<p>{html.escape(self.sentence)}</p>"


def backtest(
    rows: Landmarks,
    *,
    state: str = ACTIVE,
    models: tuple[str, ...] | None = None,
    windows: int | None = None,
    tiers: pd.DataFrame | None = None,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Backtest:
    """Predict every closed window from the windows before it and compare the models.

    Parameters
    ----------
    rows : Landmarks
        Person-period rows.
    state : {"active", "dormant", "present"}
        Whom to judge: active members by whether they fall silent, dormant ones by whether they return, everybody
        present by whether they order (with rows that count orders).
    models : tuple of str, optional
        Which models take part; default all of :data:`helpers.stats.forecast.predictors.MODELS`, of others all of
        :data:`OTHER_MODELS`.
    windows : int, optional
        How many of the last closed windows are judged; default all that have two closed windows to be fitted on
        before them, without the first `LEARNING` of them where six are left without.
    tiers : pandas.DataFrame, optional
        landmark, member_id, tier, known at the landmark, such as
        ``tiers_at_landmarks`` makes; then the lift is told per tier. Active members only.
    confidence, draws, seed
        Level of the intervals, and size and seed of their member bootstrap.
    """
    check_confidence(confidence)
    outcome, allowed = outcome_of(rows, state), MODELS if state == ACTIVE else OTHER_MODELS
    models = allowed if models is None else models
    for model in models:
        check_scalar(model, "models", in_=allowed)
    if tiers is not None and state != ACTIVE:
        raise BadParameters(f"tiers: the lift per tier is told of active members, and state == {state!r}.")
    table = at_risk(rows, state)
    made = forward(rows, table, models, outcome=outcome, windows=windows, seed=seed)
    predictions = made.judged
    tried = [m for m in models if m in predictions and predictions[m].notna().all()]
    may_win = CONTESTANTS if state == ACTIVE else (RECALIBRATED,)
    contestants = [m for m in may_win if m in tried] or [m for m in tried if m != BASE_RATE]
    if not len(predictions) or not contestants:
        return _empty(made, rows.horizon_days, confidence, outcome, enough(table, outcome))
    sample: dict[str, Any] = {"confidence": confidence, "draws": draws, "seed": seed}
    gaps = scores.paired_differences(predictions, contestants, outcome, confidence=confidence)
    count, best = int(predictions["landmark"].nunique()), str(gaps["against"].iloc[0])
    winner = next(m for m in contestants if m == best or not gaps.set_index("model").loc[m, "clearly_worse"])
    winner = contestants[0] if count < FEWEST_WINDOWS else winner
    return Backtest(
        predictions=predictions,
        history=made.history,
        by_window=_by_window(predictions, tried, outcome),
        table=pd.DataFrame([scores.pooled_scores(predictions, m, outcome, **sample) for m in tried]),
        differences=gaps,
        tier_lift=tier_lift(predictions, winner, tiers, confidence, draws, seed),
        deciles=_deciles(predictions, winner, outcome, confidence),
        winner=winner,
        best=best,
        windows=count,
        horizon_days=rows.horizon_days,
        confidence=confidence,
        outcome=outcome,
    )


def _by_window(predictions: pd.DataFrame, models: list[str], outcome: str) -> pd.DataFrame:
    parts = predictions.groupby("landmark")
    return pd.DataFrame([scores.window_scores(part, m, outcome) for _, part in parts for m in models])


def _deciles(predictions: pd.DataFrame, model: str, outcome: str, confidence: float) -> pd.DataFrame:
    values = (predictions[name] for name in (outcome, model, "member_id"))
    return calibration.deciles(*values, confidence=confidence)


def _empty(made: Forward, horizon: int, confidence: float, outcome: str, usable: bool) -> Backtest:
    """Return the contest that could not be held; recency alone is used when anything can be fitted.

    Not for orders: who never ordered has no recency, and would pass for a buyer of the day of joining.
    """
    return Backtest(
        predictions=made.judged,
        history=made.history,
        by_window=pd.DataFrame(),
        table=pd.DataFrame(columns=list(scores.METRICS)),
        differences=pd.DataFrame(columns=list(scores.GAPS)),
        tier_lift=pd.DataFrame(columns=COLUMNS),
        deciles=calibration.deciles(np.empty(0), np.empty(0), confidence=confidence),
        winner=RECENCY if usable and outcome != ORDERED else None,
        best=None,
        windows=0,
        horizon_days=horizon,
        confidence=confidence,
        outcome=outcome,
    )


def _row(table: pd.DataFrame, model: str) -> dict[str, Any]:
    row = table[table["model"] == model].iloc[0]
    return {str(name): row[name] for name in table.columns}


def _triple(row: dict[str, Any], name: str, digits: int = 3) -> str:
    values = [number(float(row[f"{name}{end}"]), digits) for end in ("", "_low", "_high")]
    return say("{value} ({low} to {high})", value=values[0], low=values[1], high=values[2])
