"""Forward calendar backtest: would the probabilities have been right, and which model is worth its effort?

Each closed window is predicted by models that were fitted on the windows closed by its landmark, as they would have
been on that day. The pooled predictions are judged together.

Rule: the model with the lowest pooled Brier score (a proper score: it rewards both order and calibration) is the
best; used is the simplest model whose score is not clearly worse, that is whose paired difference from the best has
an interval that includes 0 (bootstrap of members, Bonferroni over the contestants).
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.methods.intervals import percentile_interval
from helpers.methods.retention.forecasting import calibration
from helpers.methods.retention.forecasting.hazard import enough, shifts
from helpers.methods.retention.forecasting.landmarks import ACTIVE, Landmarks
from helpers.methods.retention.forecasting.predictors import (
    BARE,
    BASE_RATE,
    CONTESTANTS,
    MODELS,
    RECENCY,
    Predictors,
)
from helpers.methods.retention.forecasting.tier_lift import COLUMNS, tier_lift, tier_lift_sentence
from helpers.playbook.sentences import number, percent, say
from helpers.tables import html_table

FEWEST_WINDOWS = 6
FEWEST_TRAINING = 2
WARM_UP = 12
LEARNING = 2
"""Windows that are predicted for recalibration to learn from before any is judged."""
BARE_MODELS = tuple(bare for bare, _ in BARE.values())
METRICS = (
    *("model", "n", "auc", "auc_low", "auc_high", "brier", "brier_low", "brier_high", "log_score"),
    *("decile_error", "decile_error_if_perfect", "decile_error_excess", "intercept", "slope"),
    *("lift", "lift_low", "lift_high", "d_calibration", "d_calibration_p_value"),
)
GAPS = ("model", "against", "brier_difference", "low", "high", "log_score_difference", "n", "clearly_worse")


@dataclass(frozen=True)
class Backtest:
    """The contest of models over closed windows.

    Attributes
    ----------
    predictions : pandas.DataFrame
        One row per judged landmark and member: landmark, member_id, silent and one column per model.
    by_window : pandas.DataFrame
        landmark, model, n, observed, predicted, auc, brier, log_score, decile_error.
    table : pandas.DataFrame
        One row per model, simplest first, pooled over windows: auc, brier and lift at 10 % with intervals, log_score,
        decile_error with its noise floor and the excess over it, calibration intercept and slope, D-calibration.
    differences : pandas.DataFrame
        Each contestant minus the best: brier_difference with low and high, log_score_difference, clearly_worse.
    tier_lift : pandas.DataFrame
        tier, n, silent, lift, low, high of the winner, when tiers were given.
    winner, best : str or None
        The model that is used, and the one with the lowest Brier score; None without a judged window.
    windows : int
        Judged windows.
    horizon_days : int
        Length of a window.
    confidence : float
        Level of the intervals.
    """

    predictions: pd.DataFrame = field(repr=False)
    by_window: pd.DataFrame = field(repr=False)
    table: pd.DataFrame
    differences: pd.DataFrame
    tier_lift: pd.DataFrame
    winner: str | None
    best: str | None
    windows: int
    horizon_days: int
    confidence: float

    @property
    def too_few(self) -> bool:
        """Whether there are fewer windows than a contest needs."""
        return self.windows < FEWEST_WINDOWS

    @property
    def sentence(self) -> str:
        """Who won, by how much, and how well calibrated; or how many windows are missing."""
        if self.winner is None or self.too_few:
            text = "Who falls silent: too little data to compare models: {w} judged windows of {h} days; {k} needed."
            found = say(text, w=self.windows, h=self.horizon_days, k=FEWEST_WINDOWS)
            also = " " + say("Until then the simplest model is used: {model}.", model=self.winner)
            return found + (also if self.winner else "")
        row = _row(self.table, self.winner)
        text = (
            "Over {w} windows of {h} days, {winner} is used to predict silence ({why}): AUC {auc}, Brier score "
            "{brier} against {base} for the bare share, predictions off by {ece} points in a tenth of members on "
            "average ({floor} would be chance)."
        )
        base = float(self.table.set_index("model")["brier"].get(BASE_RATE, np.nan))
        values = {"w": self.windows, "h": self.horizon_days, "winner": self.winner, "why": self._why()}
        return say(
            text,
            **values,
            auc=_triple(row, "auc"),
            brier=_triple(row, "brier", 4),
            base=number(base, 4),
            ece=number(100 * row["decile_error"], 1),
            floor=number(100 * row["decile_error_if_perfect"], 1),
        )

    def _why(self) -> str:
        if self.winner == self.best and self.winner != RECENCY:
            return say("the lowest Brier score, and no simpler model comes close")
        if self.winner == self.best:
            return say("how long a member has been quiet says as much as any model")
        row = _row(self.differences, str(self.winner))
        text = (
            "simpler than {best}, whose Brier score is lower by {gap} ({low} to {high}): no clear difference"
        )
        values = {name: number(row[name], 4) for name in ("low", "high")}
        return say(text, best=self.best, gap=number(row["brier_difference"], 4), **values)

    @property
    def lift_sentence(self) -> str:
        """How concentrated silence is among the tenth of members at highest risk."""
        if self.winner is None:
            return say("Lift at 10 %: too little data.")
        row = _row(self.table, self.winner)
        text = (
            "The tenth of members at highest risk fell silent {lift} times as often as all of them (n = {n})."
        )
        return say(text, lift=_triple(row, "lift", 2), n=number(row["n"]))

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
            return say("Calibration of when silence falls: too little data.")
        verdict = say("no disagreement is seen, which is no proof of agreement, since the test is cautious")
        if p_value < 1 - self.confidence:
            verdict = say("the probabilities and what came disagree")
        text = "D-calibration of {model} over {w} windows (chi-square {value}, p = {p}, judged at {level}): "
        text += "{verdict}."
        values = {"model": self.winner, "w": self.windows, "value": number(float(row["d_calibration"]), 1)}
        shown = number(p_value, 3) if p_value >= 0.001 else say("less than 0.001")
        return say(text, **values, p=shown, level=percent(1 - self.confidence), verdict=verdict)

    def window_spread(self) -> tuple[float, int]:
        """Return the standard deviation of the winner's window errors on the log-odds scale, and their number.

        From predictions made before each window: sampling noise is taken off, errors of the parameters are in.
        """
        if self.winner is None or not len(self.predictions):
            return float("nan"), 0
        p = np.clip(self.predictions[self.winner].to_numpy(float), 1e-6, 1 - 1e-6)
        found = shifts(
            self.predictions["landmark"], np.log(p / (1 - p)), self.predictions["silent"].to_numpy(float)
        ).table
        return float(np.sqrt(max(0.0, float(np.mean(found["shift"] ** 2 - found["variance"]))))), len(found)

    def _repr_html_(self) -> str:
        caption = say("Forward backtest over {w} windows", w=self.windows)
        return f"{html_table(self.table, caption)}<p>{html.escape(self.sentence)}</p>"


def backtest(
    rows: Landmarks,
    *,
    models: tuple[str, ...] = MODELS,
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
        Person-period rows; active members are judged.
    models : tuple of str
        Which models of :data:`.forecasting.predictors.MODELS` take part.
    windows : int, optional
        How many of the last closed windows are judged; default all that have two closed windows to be fitted on
        before them, without the first `LEARNING` of them where six are left without.
    tiers : pandas.DataFrame, optional
        landmark, member_id, tier, known at the landmark, such as
        :func:`.forecasting.tier_lift.tiers_at_landmarks` makes; then the lift is told per tier.
    confidence, draws, seed
        Level of the intervals, and size and seed of their member bootstrap.
    """
    check_confidence(confidence)
    for model in models:
        check_scalar(model, "models", in_=MODELS)
    table = rows.table[rows.table["state"] == ACTIVE]
    predictions = _predict(rows, table, models, windows, seed)
    tried = [m for m in models if m in predictions and predictions[m].notna().all()]
    count = int(predictions["landmark"].nunique())
    contestants = [m for m in CONTESTANTS if m in tried] or [m for m in tried if m != BASE_RATE]
    if not count or not contestants:
        return _empty(predictions, rows.horizon_days, confidence, enough(table, "silent"))
    pooled = pd.DataFrame([_pooled(predictions, m, confidence, draws, seed) for m in models if m in tried])
    gaps = _differences(predictions, contestants, pooled, confidence, draws, seed)
    best = str(gaps["against"].iloc[0])
    winner = next(m for m in contestants if m == best or not gaps.set_index("model").loc[m, "clearly_worse"])
    winner = contestants[0] if count < FEWEST_WINDOWS else winner
    by_window = [
        _one_window(part, m) for _, part in predictions.groupby("landmark") for m in models if m in tried
    ]
    return Backtest(
        predictions=predictions,
        by_window=pd.DataFrame(by_window),
        table=pooled[list(METRICS)],
        differences=gaps,
        tier_lift=tier_lift(predictions, winner, tiers, confidence, draws, seed),
        winner=winner,
        best=best,
        windows=count,
        horizon_days=rows.horizon_days,
        confidence=confidence,
    )


def _predict(
    rows: Landmarks, table: pd.DataFrame, models: tuple[str, ...], windows: int | None, seed: int
) -> pd.DataFrame:
    """Predict each window from the rows whose outcome was complete on its landmark."""
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
        if not enough(known, "silent") or not len(asked):
            continue
        fitted = predictors(rows, known, seed=seed, history=_closed(parts, day, rows.horizon_days))
        asked_for = ordered if day in judged else [m for m in ordered if m in BARE_MODELS]
        found = {model: fitted.probability(model, asked) for model in asked_for}
        parts.append(asked[["landmark", "member_id", "silent"]].assign(**found))
    if not parts:
        return table[["landmark", "member_id", "silent"]].iloc[:0]
    found_all = pd.concat(parts, ignore_index=True)
    return found_all[found_all["landmark"].isin(judged)].reset_index(drop=True)


def predictors(
    rows: Landmarks, known: pd.DataFrame, *, seed: int, history: pd.DataFrame | None
) -> Predictors:
    """Return the models of silence that may be fitted on `known`, those of `rows` whose outcome is complete.

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
    """
    return Predictors(
        known,
        rows.features,
        member_days=rows.member_days,
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


def _pooled(frame: pd.DataFrame, model: str, confidence: float, draws: int, seed: int) -> dict[str, object]:
    y, p, member = (frame[name].to_numpy() for name in ("silent", model, "member_id"))
    area = calibration.auc(y, p, member, confidence=confidence)
    losses = np.column_stack([calibration.brier_losses(y, p)])
    spread = calibration.bootstrap_means(losses, member, draws=draws, seed=seed)[:, 0]
    low, high = percentile_interval(spread, confidence)
    top = calibration.lift(y, p, member, confidence=confidence, draws=draws, seed=seed)
    error, floor = calibration.decile_error(y, p), calibration.decile_error_if_perfect(p, seed=seed)
    intercept, slope = calibration.calibration_line(y, p)
    life = calibration.episodes(frame, p)
    uniform = calibration.d_calibration(life["before"], life["after"], life["event"])
    return {
        "model": model,
        "n": y.size,
        **{"auc": area.value, "auc_low": area.low, "auc_high": area.high},
        **{"brier": float(losses.mean()), "brier_low": low, "brier_high": high},
        "log_score": float(calibration.log_losses(y, p).mean()),
        "decile_error": error,
        "decile_error_if_perfect": floor,
        "decile_error_excess": max(0.0, error - floor),
        **{"intercept": intercept, "slope": slope},
        **{"lift": top.value, "lift_low": top.low, "lift_high": top.high},
        **{"d_calibration": uniform.statistic, "d_calibration_p_value": uniform.p_value},
    }


def _differences(
    frame: pd.DataFrame, models: list[str], pooled: pd.DataFrame, confidence: float, draws: int, seed: int
) -> pd.DataFrame:
    """Compare every contestant with the best one; all see the same resamples of members."""
    score = pooled.set_index("model").loc[models]
    best = str(score["brier"].idxmin())
    losses = np.column_stack([calibration.brier_losses(frame["silent"], frame[m]) for m in models])
    drawn = calibration.bootstrap_means(losses, frame["member_id"], draws=draws, seed=seed)
    gaps = drawn - drawn[:, [models.index(best)]]
    level = 1 - (1 - confidence) / max(len(models) - 1, 1)
    score_values = score[["brier", "log_score"]].to_numpy(float)
    found = []
    for at, model in enumerate(models):
        low, high = percentile_interval(gaps[:, at], level)
        step, log_step = (float(value) for value in score_values[at] - score_values[models.index(best)])
        found.append((model, best, step, low, high, log_step, len(frame), bool(low > 0)))
    return pd.DataFrame(found, columns=list(GAPS))


def _one_window(frame: pd.DataFrame, model: str) -> dict[str, object]:
    y, p = frame["silent"].to_numpy(float), frame[model].to_numpy(float)
    return {
        "landmark": frame["landmark"].iloc[0],
        "model": model,
        "n": y.size,
        "observed": float(y.mean()),
        "predicted": float(p.mean()),
        "auc": calibration.auc(y, p).value,
        "brier": float(calibration.brier_losses(y, p).mean()),
        "log_score": float(calibration.log_losses(y, p).mean()),
        "decile_error": calibration.decile_error(y, p),
    }


def _empty(predictions: pd.DataFrame, horizon: int, confidence: float, usable: bool) -> Backtest:
    """Return the contest that could not be held; recency alone is used when anything can be fitted."""
    return Backtest(
        predictions=predictions,
        by_window=pd.DataFrame(),
        table=pd.DataFrame(columns=list(METRICS)),
        differences=pd.DataFrame(columns=list(GAPS)),
        tier_lift=pd.DataFrame(columns=COLUMNS),
        winner=RECENCY if usable else None,
        best=None,
        windows=0,
        horizon_days=horizon,
        confidence=confidence,
    )


def _row(table: pd.DataFrame, model: str) -> dict[str, Any]:
    row = table[table["model"] == model].iloc[0]
    return {str(name): row[name] for name in table.columns}


def _triple(row: dict[str, Any], name: str, digits: int = 3) -> str:
    values = [number(float(row[f"{name}{end}"]), digits) for end in ("", "_low", "_high")]
    return say("{value} ({low} to {high})", value=values[0], low=values[1], high=values[2])
