"""Scores of forecasts over judged windows, and which of them are clearly worse than the best.

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

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import percentile_interval
from helpers.stats.forecast import calibration

FloatArray = NDArray[np.float64]

METRICS = (
    *("model", "n", "auc", "auc_low", "auc_high", "brier", "brier_low", "brier_high", "log_score"),
    *("decile_error", "decile_error_if_perfect", "decile_error_excess", "intercept", "slope"),
    *("lift", "lift_low", "lift_high", "d_calibration", "d_calibration_p_value"),
)
SMALLEST = 1e-6
GAPS = ("model", "against", "brier_difference", "low", "high", "log_score_difference", "n", "clearly_worse")


def pooled_scores(
    frame: pd.DataFrame, model: str, outcome: str, *, confidence: float, draws: int, seed: int
) -> dict[str, object]:
    """Return the metrics of one model pooled over windows, by name (see `METRICS`).

    Parameters
    ----------
    frame : pandas.DataFrame
        landmark, member_id, the outcome and a column of predictions per model.
    model, outcome : str
        Columns of predictions and of what happened (0 or 1).
    confidence, draws, seed
        Level of the intervals, and size and seed of their member bootstrap.
    """
    y, p, member = (frame[name].to_numpy() for name in (outcome, model, "member_id"))
    area = calibration.auc(y, p, member, confidence=confidence)
    losses = np.column_stack([calibration.brier_losses(y, p)])
    spread = calibration.bootstrap_means(losses, member, draws=draws, seed=seed)[:, 0]
    low, high = percentile_interval(spread, confidence)
    top = calibration.lift(y, p, member, confidence=confidence, draws=draws, seed=seed)
    error, floor = calibration.decile_error(y, p), calibration.decile_error_if_perfect(p, seed=seed)
    intercept, slope = calibration.calibration_line(y, p)
    life = calibration.episodes(frame, p, outcome)
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


def window_scores(frame: pd.DataFrame, model: str, outcome: str) -> dict[str, object]:
    """Return the metrics of one model in one window."""
    y, p = frame[outcome].to_numpy(float), frame[model].to_numpy(float)
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
        two windows), log_score_difference, n (rows), clearly_worse (whether low is above 0).
    """
    y = frame[outcome]
    brier = np.column_stack([calibration.brier_losses(y, frame[m]) for m in models])
    best = int(brier.mean(axis=0).argmin())
    gaps = brier - brier[:, [best]]
    value, spread = gaps.mean(axis=0), standard_errors(gaps, frame)
    level = 1 - (1 - confidence) / max(len(models) - 1, 1)
    half = stats.t.ppf(0.5 + level / 2, spread.degrees) * spread.error
    log_score = np.array([float(calibration.log_losses(y, frame[m]).mean()) for m in models])
    found = {
        "model": models,
        "against": models[best],
        "brier_difference": value,
        **{"low": value - half, "high": value + half},
        "log_score_difference": log_score - log_score[best],
        "n": len(frame),
        "clearly_worse": value - half > 0,
    }
    return pd.DataFrame(found)[list(GAPS)]


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
    windows = int(window.max()) + 1 if rows else 0
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
