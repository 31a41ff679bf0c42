"""The contest over closed windows: would the probabilities have been right, and which model is worth its effort?

Each closed window is predicted by models that were fitted on the windows closed by its landmark, as they would have
been on that day (:func:`helpers.stats.forecast.models.forward`). The pooled predictions are judged together.

Rule: used is the model with the lowest pooled Brier score, the mean of ``(p - y)^2`` (a proper score: it rewards both
order and calibration), which is the one of least expected loss, be the windows many or one. How sure it is that the
others are worse is said beside it: the interval of each paired difference (Bonferroni over the contestants). Without
a judged window no model is used, because no chance it named could be believed.

Asked are active members whether they fall ``silent`` (no counted action), dormant ones whether they ``returned``
(a counted action), and everybody present, with rows that count orders, whether they ``ordered``.

Windows are a sample, as members are: a model may have met lucky windows. The variance of a paired difference of
Brier scores is that over windows (leaving out one at a time) and that over members, without what rows alone add,
which the first holds already (two-way clustering: Cameron, Gelbach and Miller 2011, Journal of Business & Economic
Statistics 29; the second part is never below 0). The interval is Student's t; only the first part is uncertain, so
by Satterthwaite (1946, Biometrics Bulletin 2) the degrees of freedom are those of windows, their number less one,
over the square of its share. Few windows make it wide.

Measured: of two models equal in expectation, one is called clearly worse (nominal 5 %; 400 to 800 simulations, 480
members a window, errors of whole windows of standard deviation 0, .15 and .3 in log odds) in .045, .048, .025 over 6
windows and .040, .038, .030 over 8. Where each model also errs on each member for good (standard deviation .6): .068,
.050, .038 over 6 and .046, .079, .053 over 8.

The interval of a single score is about other members in the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.stats.estimate import Estimate, half_width, normal_estimate, percentile_interval, unknown
from helpers.stats.forecast import calibration
from helpers.stats.forecast.landmarks import ACTIVE, DORMANT, Landmarks
from helpers.stats.forecast.models import (
    BASE_RATE,
    LOGIT,
    MODELS,
    RECENCY,
    forward,
)
from helpers.study import enough

FloatArray = NDArray[np.float64]

PRESENT = "present"
SILENT, RETURNED, ORDERED = "silent", "returned", "ordered"
OUTCOMES = {ACTIVE: SILENT, DORMANT: RETURNED, PRESENT: ORDERED}
"""Outcome by the members it is asked of."""
MODELS_OF = {SILENT: MODELS, RETURNED: (BASE_RATE, RECENCY, LOGIT), ORDERED: (BASE_RATE, RECENCY, LOGIT)}
"""What can be asked: of dormant members and buyers boosting learns no more than the logit."""
MAY_WIN = {SILENT: MODELS[1:], RETURNED: (RECENCY, LOGIT), ORDERED: (LOGIT,)}
"""Who never ordered has no recency, and would pass for a buyer of the day of joining."""
SMALLEST = 1e-6


@dataclass(frozen=True)
class Contest:
    """The contest of models over closed windows.

    Attributes
    ----------
    outcome : {"silent", "returned", "ordered"}
        What was predicted.
    horizon_days : int
        Length of a window.
    confidence : float
        Level of the intervals.
    predictions : pandas.DataFrame
        One row per judged landmark and member: landmark, member_id, the outcome and one column per model.
    history : pandas.DataFrame
        The same of all predicted windows, judged or not, for the recalibration of what comes next.
    winner : str or None
        The model that is used; None without a judged window.
    table : pandas.DataFrame
        One row per model, simplest first, pooled over windows: model, n, auc, brier and lift at 10 % with intervals,
        decile_error with its noise floor decile_error_if_perfect. Empty without a contest, as the two below.
    differences : pandas.DataFrame
        Each contestant minus the winner, as in :func:`paired_differences`.
    deciles : pandas.DataFrame
        Predicted and observed by tenth of the winner's predictions, as in :func:`.calibration.by_group`.
    """

    outcome: str
    horizon_days: int
    confidence: float
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    history: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    winner: str | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    differences: pd.DataFrame = field(default_factory=pd.DataFrame)
    deciles: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def windows(self) -> int:
        """Number of judged windows; 0 without a contest."""
        return int(self.predictions["landmark"].nunique()) if len(self.table) else 0

    @property
    def too_few(self) -> bool:
        """Whether there are fewer windows than a contest needs."""
        return self.windows < enough.WINDOWS_TO_JUDGE


def at_risk(rows: Landmarks, state: str) -> pd.DataFrame:
    """Return the rows of closed windows of members in a state, with the column of their outcome."""
    outcome, table = OUTCOMES[state], rows.table
    table = table if state == PRESENT else table[table["state"] == state]
    return table if outcome in table else table.assign(**{outcome: 1 - table["silent"]})


def contest(
    rows: Landmarks,
    state: str = ACTIVE,
    *,
    models: tuple[str, ...] | None = None,
    confidence: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Contest:
    """Predict every closed window from the windows before it and compare the models.

    Parameters
    ----------
    rows : Landmarks
        Person-period rows.
    state : {"active", "dormant", "present"}
        Whom to judge: active members by whether they fall silent, dormant ones by whether they return, everybody
        present by whether they order (with rows that count orders).
    models : tuple of str, optional
        Which models take part; default those of :data:`MODELS_OF`.
    confidence, draws, seed
        Level of the intervals, and size and seed of their member bootstrap.
    """
    outcome, table = OUTCOMES[state], at_risk(rows, state)
    models = models or MODELS_OF[outcome]
    made = forward(rows, table, models, outcome=outcome, seed=seed)
    predictions = made.judged
    contestants = [m for m in MAY_WIN[outcome] if m in models]
    held = Contest(outcome, rows.horizon_days, confidence, predictions, made.history)
    if not len(predictions):
        return held
    gaps = paired_differences(predictions, contestants, outcome, confidence=confidence)
    winner = str(gaps["against"].iloc[0])
    sample: dict[str, Any] = {"confidence": confidence, "draws": draws, "seed": seed}
    came, chance, member = (predictions[name] for name in (outcome, winner, "member_id"))
    return replace(
        held,
        winner=winner,
        table=pd.DataFrame([pooled_scores(predictions, m, outcome, **sample) for m in models]),
        differences=gaps,
        deciles=calibration.by_group(calibration.tenths(chance), came, chance, member, confidence),
    )


def pooled_scores(
    frame: pd.DataFrame, model: str, outcome: str, *, confidence: float, draws: int, seed: int
) -> dict[str, object]:
    """Return the scores of one model pooled over windows, a row of the table of :class:`Contest`."""
    y, p, member = (frame[name].to_numpy() for name in (outcome, model, "member_id"))
    area = calibration.auc(y, p, member, confidence)
    losses = (p - y) ** 2
    spread = calibration.bootstrap_mean(losses, member, draws=draws, seed=seed)
    low, high = percentile_interval(spread, confidence)
    top = calibration.lift(y, p, member, confidence=confidence, draws=draws, seed=seed)
    return {
        "model": model,
        "n": y.size,
        **{"auc": area.value, "auc_low": area.low, "auc_high": area.high},
        **{"brier": float(losses.mean()), "brier_low": low, "brier_high": high},
        "decile_error": calibration.decile_error(y, p),
        "decile_error_if_perfect": calibration.decile_error_if_perfect(p, seed),
        **{"lift": top.value, "lift_low": top.low, "lift_high": top.high},
    }


def paired_differences(
    frame: pd.DataFrame, models: list[str], outcome: str, *, confidence: float
) -> pd.DataFrame:
    """Compare every model with the one of lowest Brier score, over other members and other windows.

    Parameters
    ----------
    frame : pandas.DataFrame
        landmark, member_id, the outcome and a column of predictions per model.
    models : list of str
        Whom to compare.
    outcome : str
        Column of what happened (0 or 1).
    confidence : float
        Level of all intervals together (Bonferroni).

    Returns
    -------
    pandas.DataFrame
        One row per model: model, against (the best), brier_difference (model less best) with low and high (NaN below
        two windows), n (rows), clearly_worse (whether low is above 0).
    """
    brier = (frame[models].to_numpy(float) - frame[[outcome]].to_numpy(float)) ** 2
    best = int(brier.mean(axis=0).argmin())
    gaps = brier - brier[:, [best]]
    value, spread = gaps.mean(axis=0), standard_errors(gaps, frame)
    level = 1 - (1 - confidence) / max(len(models) - 1, 1)
    half = half_width(spread.error, level, spread.degrees)
    found = {
        "model": models,
        "against": models[best],
        "brier_difference": value,
        **{"low": value - half, "high": value + half},
        "n": len(frame),
        "clearly_worse": value - half > 0,
    }
    return pd.DataFrame(found)


class Errors(NamedTuple):
    """Standard errors of means of paired differences.

    Attributes
    ----------
    error : ndarray, shape (columns,)
        With windows and members both random; NaN below two windows.
    degrees : ndarray, shape (columns,)
        Degrees of freedom of `error`, at least one less than there are windows.
    """

    error: FloatArray
    degrees: FloatArray


def standard_errors(gaps: FloatArray, frame: pd.DataFrame) -> Errors:
    """Return the standard error of the mean of each column of `gaps` (see the head of the module).

    Parameters
    ----------
    gaps : ndarray, shape (rows, columns)
        Paired differences of losses.
    frame : pandas.DataFrame
        landmark and member_id of each row.
    """
    rows, nothing = len(gaps), np.full(gaps.shape[1], np.nan)
    window, member = (frame[name].factorize()[0] for name in ("landmark", "member_id"))
    windows = int(window.max()) + 1
    if windows < 2:
        return Errors(nothing, nothing)
    mean, sizes = gaps.mean(axis=0), np.bincount(window).astype(float)
    sums = np.column_stack([np.bincount(window, column) for column in gaps.T])
    without = (sums.sum(axis=0) - sums) / (rows - sizes)[:, None]
    over_windows = (windows - 1) / windows * ((without - mean) ** 2).sum(axis=0)
    apart = np.column_stack([np.bincount(member, column) for column in (gaps - mean).T])
    # A row is in the sums of its window and of its member: what it adds alone would be counted twice.
    lasting = ((apart**2).sum(axis=0) - ((gaps - mean) ** 2).sum(axis=0)) / rows**2
    variance = over_windows + np.maximum(lasting, 0.0)
    share = np.divide(over_windows, variance, out=np.ones_like(variance), where=variance > 0)
    return Errors(np.sqrt(variance), (windows - 1) / np.maximum(share**2, SMALLEST))


def brier_gain(held: Contest, *, same_level: bool = False) -> Estimate:
    """Return the share of the bare share's Brier score that the winner saves; n is the number of windows.

    The bare share is that of all earlier windows. A forecast can beat it by following the level alone, when a
    community grows, without telling one member from another. With `same_level` it is the mean of the winner's own
    predictions in the window, and what is saved is owed to telling members apart.

    A window moves all its members together, so windows and not members are the independent units: mean saving over
    windows by mean score of the bare share, with a t interval of the residuals of this ratio over windows. The
    winner was chosen on the same windows: the number leans high by what the choice gained.
    """
    frame = held.predictions
    if held.winner is None or held.too_few or held.winner == BASE_RATE:
        return unknown(held.windows, "share", held.confidence)
    came, winner, window = (
        frame[held.outcome].astype(float),
        frame[held.winner].astype(float),
        frame["landmark"],
    )
    level = winner.groupby(window).transform("mean") if same_level else frame[BASE_RATE].astype(float)
    bare, used = ((p - came).pow(2).groupby(window).mean() for p in (level, winner))
    saved, count = bare - used, len(bare)
    value = float(saved.mean() / bare.mean())
    error = float((saved - value * bare).std(ddof=1) / np.sqrt(count) / bare.mean())
    how = ("share", "t interval over windows", held.confidence)
    return normal_estimate(value, error, count, *how, degrees=count - 1)


def lift_by_tier(held: Contest, tiers: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the lift of the winner at 10 % inside each tier: does it know more than the tier of a member does?

    Parameters
    ----------
    held : Contest
        The contest.
    tiers : pandas.DataFrame
        landmark, member_id, tier, known at the landmark.
    seed : int
        Seed of the member bootstrap.

    Returns
    -------
    pandas.DataFrame
        tier, n (rows), members, silent (share), lift, low, high.
    """
    found = []
    if held.windows:
        placed = held.predictions.merge(tiers, "left", ["landmark", "member_id"])
        for tier, part in placed.groupby("tier", observed=True):
            y, p, member = (part[name].to_numpy() for name in (held.outcome, str(held.winner), "member_id"))
            top = calibration.lift(y, p, member, confidence=held.confidence, seed=seed)
            bounds = top[:3] if y.sum() >= enough.OF_EACH_OUTCOME else (np.nan,) * 3
            found.append((str(tier), y.size, len(np.unique(member)), float(y.mean()), *bounds))
    return pd.DataFrame(found, columns=["tier", "n", "members", "silent", "lift", "low", "high"])
