"""The contestants: ways to say how likely an outcome of the next period is for a member, from the simplest up.

- base rate: the share of earlier rows with the outcome. A yardstick, no contestant.
- recency only: logistic regression on the days since the last action.
- person-period logit: regularised logistic regression on person-period rows, which is the discrete-time hazard model
  of Singer and Willett (1993, Journal of Educational Statistics 18); covariates as ``sign(x) log(1 + |x|)``,
  standardised, with linear splines in the days of silence, in the actions and in the active days of the last 30: risk
  levels off among members who hardly act, which no straight line in the logarithm can follow. No row is weighted: who
  has more periods has more rows.
- logit and boosting: the mean of its log odds and those of histogram gradient boosting on the same columns, 100 small
  trees, no early stopping.

Every contestant is recalibrated forward: mended by what came of the bare predictions made before earlier windows
(:func:`helpers.stats.forecast.calibration.recalibration`), so that none is off in the mean where one closed window
has shown it.

What other ways (BG/NBD, RFM rank, boosting alone, an intercept re-set by the last window) came to is in
``docs/proofs/forecast.md``.

Each window is predicted by models fitted on the rows whose outcome was complete on its landmark, and recalibrated by
what the predictions made before earlier windows came to. The same recalibration, on all windows closed by then, is
what today's predictions get: what is used is what was judged.

Fits run on one thread, so that the order of floating-point sums, and with it every byte, is the same in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.stats.forecast.calibration import DECIMALS, log_odds_of, recalibration
from helpers.stats.forecast.landmarks import Landmarks
from helpers.study import enough

FloatArray = NDArray[np.float64]

BASE_RATE = "base rate"
RECENCY = "recency only"
LOGIT = "person-period logit"
BLEND = "logit and boosting"
MODELS = (BASE_RATE, RECENCY, LOGIT, BLEND)
"""The yardstick and the contestants, simpler before more involved."""

PENALTY = 0.01
"""Inverse strength of the quadratic penalty on standardised coefficients (scikit-learn's C)."""
TREES: dict[str, Any] = {
    "max_iter": 100,
    "learning_rate": 0.06,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 60,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
KNOTS: dict[str, tuple[float, ...]] = {
    "days_since_last": (3.0, 7.0, 14.0, 21.0),
    "actions_30": (1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 40.0),
    "active_days_30": (1.0, 2.0, 4.0, 7.0),
}
"""Where the logit's straight lines may bend, by feature: a geometric grid over the counts of an ordinary month."""
EXTREME = 12.0  # log odds; nobody is that sure
LEARNING = 2
"""Windows that are predicted for recalibration to learn from before any is judged."""


def design(table: pd.DataFrame, features: tuple[str, ...]) -> FloatArray:
    """Return the columns of the models, shape (rows, features + knots); nothing in it looks at other rows."""
    values = table[list(features)].to_numpy(float)
    columns = [np.sign(values) * np.log1p(np.abs(values))]
    for name, knots in KNOTS.items():
        if name in features:
            amount = np.log1p(np.maximum(table[name].to_numpy(float), 0.0))[:, None]
            columns.append(np.maximum(amount - np.log1p(np.array(knots)), 0.0))
    return np.hstack(columns)


def can_be_fitted(table: pd.DataFrame, outcome: str) -> bool:
    """Whether there are rows enough to fit anything, and of each outcome."""
    events = int(table[outcome].sum()) if len(table) else 0
    return (
        len(table) >= enough.TO_FIT
        and enough.OF_EACH_OUTCOME <= events <= len(table) - enough.OF_EACH_OUTCOME
    )


@dataclass(frozen=True)
class Models:
    """All models of one outcome on rows of closed windows; each is fitted when it is first asked.

    Attributes
    ----------
    rows : Landmarks
        Where the rows come from: features, member days and length of the window.
    table : pandas.DataFrame
        The training rows: those whose outcome is complete.
    outcome : str
        Column of 0 or 1 that is predicted.
    seed : int
        Random state of the boosting.
    history : pandas.DataFrame, optional
        Bare predictions made before earlier windows (landmark, the outcome, and a column per model), closed by the
        landmark that is predicted: what recalibration learns from.
    """

    rows: Landmarks = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    outcome: str
    seed: int = 0
    history: pd.DataFrame | None = field(default=None, repr=False)

    def probability(self, model: str, rows: pd.DataFrame) -> FloatArray:
        """Return the recalibrated probability of the outcome of each row of one landmark."""
        return self.mended(self.bare([model], rows))[model]

    @threadpool_limits.wrap(limits=1)
    def bare(self, models: Sequence[str], rows: pd.DataFrame) -> dict[str, FloatArray]:
        """Return the probabilities by models as they were fitted."""
        if not len(rows):
            return dict.fromkeys(models, np.empty(0))
        x = design(rows, self.rows.features) if {LOGIT, BLEND} & {*models} else np.empty(0)
        said = {
            BASE_RATE: lambda: np.full(len(rows), float(self.table[self.outcome].mean())),
            RECENCY: lambda: self._recency.predict_proba(_silence(rows))[:, 1],
            LOGIT: lambda: special.expit(_scores(self._logit, x)),
            BLEND: lambda: special.expit((_scores(self._logit, x) + _scores(self._boosting, x)) / 2),
        }
        return {model: np.round(said[model](), DECIMALS) for model in models}

    @threadpool_limits.wrap(limits=1)
    def mended(self, bare: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return probabilities recalibrated by the history; those of the yardstick stay as they are."""
        if self.history is None:
            return bare
        found = dict(bare)
        for model in found.keys() - {BASE_RATE}:
            made = (self.history[name] for name in ("landmark", model, self.outcome))
            curve = recalibration(*made)
            mended = special.expit(curve.log_odds(log_odds_of(bare[model])))
            found[model] = np.round(mended, DECIMALS)
        return found

    @cached_property
    def _design(self) -> FloatArray:
        return design(self.table, self.rows.features)

    def _fit(self, model: Any, x: FloatArray) -> Any:
        return model.fit(x, self.table[self.outcome].to_numpy(int))

    @cached_property
    def _logit(self) -> Any:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=PENALTY, solver="newton-cholesky", tol=1e-6)
        )
        return self._fit(model, self._design)

    @cached_property
    def _boosting(self) -> Any:
        model = HistGradientBoostingClassifier(**TREES, random_state=self.seed)
        return self._fit(model, self._design)

    @cached_property
    def _recency(self) -> Any:
        return self._fit(LogisticRegression(C=1e6, solver="newton-cholesky"), _silence(self.table))


def _silence(rows: pd.DataFrame) -> FloatArray:
    return np.log1p(rows[["days_since_last"]].to_numpy(float))


def _scores(model: Any, x: FloatArray) -> FloatArray:
    return np.clip(model.decision_function(x), -EXTREME, EXTREME)


class Forward(NamedTuple):
    """Predictions made before closed windows.

    Attributes
    ----------
    judged : pandas.DataFrame
        One row per judged landmark and member: landmark, member_id, the outcome and one column per model.
    history : pandas.DataFrame
        The same of all predicted windows, judged or not, by the models as they were fitted: what recalibration
        learns from.
    """

    judged: pd.DataFrame
    history: pd.DataFrame


def forward(
    rows: Landmarks,
    table: pd.DataFrame,
    models: tuple[str, ...],
    *,
    outcome: str,
    seed: int = 0,
) -> Forward:
    """Predict each window from the rows whose outcome was complete on its landmark.

    Judged are all windows that have two closed ones to be fitted on before them, without the first `LEARNING` of
    them where six are left without: these only serve to learn from.

    Parameters
    ----------
    rows : Landmarks
        Where the rows come from.
    table : pandas.DataFrame
        The rows at risk, with the column `outcome`.
    models : tuple of str
        Which of :data:`MODELS` predict.
    outcome : str
        Column of 0 or 1.
    seed : int
        Seed of the boosting.
    """
    days = sorted(table["landmark"].unique())[enough.WINDOWS_TO_LEARN :]
    judged = days[min(LEARNING, max(len(days) - enough.WINDOWS_TO_JUDGE, 0)) :]
    keys, closed = ["landmark", "member_id", outcome], pd.Timedelta(days=rows.horizon_days)
    made = found = table[keys].iloc[:0].assign(**dict.fromkeys(models, 0.0))
    for day in days:
        known, asked = table[table["landmark"] + closed <= day], table[table["landmark"] == day]
        if can_be_fitted(known, outcome) and len(asked):
            fitted = Models(rows, known, outcome, seed, made[made["landmark"] + closed <= day])
            bare = fitted.bare(models, asked)
            if day in judged:
                found = pd.concat([found, asked[keys].assign(**fitted.mended(bare))], ignore_index=True)
            made = pd.concat([made, asked[keys].assign(**bare)], ignore_index=True)
    return Forward(found, made)
