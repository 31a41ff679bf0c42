"""The contestants: ways to say how likely an active member is to fall silent, from the simplest up.

- base rate: the share of earlier rows that fell silent. A yardstick, no contestant.
- recency only: logistic regression on the days since the last action.
- RFM rank: mean of the ranks of recency, active days and value in 90 days within the landmark; isotonic regression
  turns it into a probability.
- BG/NBD: chance of no transaction (day with an action) in the horizon. Given history (x, t_x, T), a member is alive
  with chance A (Fader, Hardie and Lee 2005, equation 11 of their note on P(alive)); while alive its rate is
  Gamma(r + x, alpha + T) and nobody leaves before the next transaction, so ``P(0 in t) = 1 - A (1 - ((alpha + T) /
  (alpha + T + t))^(r + x))``.
- the person-period models of :mod:`helpers.stats.forecast.hazard`.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from helpers.stats.btyd import bg_nbd
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import cells
from helpers.stats.forecast.hazard import DECIMALS, Hazard, Kind, recalibration

FloatArray = NDArray[np.float64]

BASE_RATE = "base rate"
RECENCY = "recency only"
RFM_RANK = "RFM rank"
BUY_TILL_YOU_DIE = "BG/NBD"
LOGIT = "person-period logit"
RESET = "person-period logit, intercept re-set"
BOOSTING = "gradient boosting"
RECALIBRATED = "person-period logit, recalibrated forward"
BLEND = "logit and boosting"
BLEND_RECALIBRATED = "logit and boosting, recalibrated forward"
CONTESTANTS = (RECENCY, RFM_RANK, BUY_TILL_YOU_DIE, RECALIBRATED, BLEND_RECALIBRATED)
"""What may be used, simpler before more involved. A probability is published, so of the logit and the blend only the
form that was checked against earlier windows may win; the bare ones are shown beside it."""
MODELS = (
    *(BASE_RATE, RECENCY, RFM_RANK, BUY_TILL_YOU_DIE, LOGIT, RESET, RECALIBRATED),
    *(BOOSTING, BLEND, BLEND_RECALIBRATED),
)
BARE: dict[str, tuple[str, Kind]] = {RECALIBRATED: (LOGIT, "logit"), BLEND_RECALIBRATED: (BLEND, "blend")}

LEAST, MOST = 0.001, 0.999  # what an isotonic step may say at most: a class without events is not sure
UNIT_DAYS = 7.0


class Predictors:
    """All models of one outcome fitted on rows of closed windows; each is fitted when it is first asked.

    Parameters
    ----------
    table : pandas.DataFrame
        Training rows, as made by :func:`helpers.stats.forecast.landmarks.landmarks`.
    features : tuple of str
        Columns the person-period models may use.
    member_days : ibis.Table, optional
        Counted actions by member and day; rows after the landmark that is predicted are never looked at.
    outcome : str
        Column of 0 or 1.
    horizon_days, seed : int
        Length of the window, and the seed of the boosting.
    history : pandas.DataFrame, optional
        Predictions made before earlier windows (landmark, the outcome, and a column per bare model), closed by the
        landmark that is predicted: what the recalibrated models learn from.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        features: tuple[str, ...],
        *,
        member_days: ibis.Table | None = None,
        outcome: str = "silent",
        horizon_days: int = 30,
        seed: int = 0,
        history: pd.DataFrame | None = None,
    ) -> None:
        self.table, self.outcome = table, outcome
        self.member_days, self.horizon_days = member_days, horizon_days
        self.history = history
        self.hazard = Hazard(table, features, outcome, seed)

    def probability(self, model: str, table: pd.DataFrame) -> FloatArray:
        """Return the probability of the outcome of each row of one landmark; NaN where a model cannot say."""
        ways: dict[str, Callable[[pd.DataFrame], FloatArray]] = {
            BASE_RATE: lambda rows: np.full(len(rows), float(self.table[self.outcome].mean())),
            RECENCY: self._recency,
            RFM_RANK: self._rank,
            BUY_TILL_YOU_DIE: self._bg_nbd,
            LOGIT: lambda rows: self.hazard.probability(rows, "logit"),
            RESET: lambda rows: self.hazard.probability(rows, "logit", reset=True),
            BOOSTING: lambda rows: self.hazard.probability(rows, "boosting"),
            BLEND: lambda rows: self.hazard.probability(rows, "blend"),
            RECALIBRATED: lambda rows: self._recalibrated(RECALIBRATED, rows),
            BLEND_RECALIBRATED: lambda rows: self._recalibrated(BLEND_RECALIBRATED, rows),
        }
        if not len(table):
            return np.empty(0)
        return np.round(ways[model](table), DECIMALS)

    def _recalibrated(self, model: str, rows: pd.DataFrame) -> FloatArray:
        bare, kind = BARE[model]
        log_odds = self.hazard.log_odds(rows, kind)
        if self.history is None or bare not in self.history:
            return special.expit(log_odds)
        curve = recalibration(self.history["landmark"], self.history[bare], self.history[self.outcome])
        found: FloatArray = special.expit(curve.log_odds(log_odds))
        return found

    def _recency(self, rows: pd.DataFrame) -> FloatArray:
        known, asked = (np.log1p(t[["days_since_last"]].to_numpy(float)) for t in (self.table, rows))
        with threadpool_limits(limits=1):
            model = LogisticRegression(C=1e6, max_iter=1000).fit(
                known, self.table[self.outcome].to_numpy(int)
            )
            found: FloatArray = model.predict_proba(asked)[:, 1]
        return found

    def _rank(self, rows: pd.DataFrame) -> FloatArray:
        model = IsotonicRegression(y_min=LEAST, y_max=MOST, increasing=False, out_of_bounds="clip")
        model.fit(rfm_rank(self.table), self.table[self.outcome].to_numpy(float))
        found: FloatArray = model.predict(rfm_rank(rows))
        return found

    def _bg_nbd(self, rows: pd.DataFrame) -> FloatArray:
        if self.member_days is None:
            return np.full(len(rows), np.nan)
        day = rows["landmark"].iloc[0].date()
        days = self.member_days.filter(self.member_days.day <= ibis.date(day))
        model = BetaGeometricNBD().fit(cells(days, as_of=day, unit_days=UNIT_DAYS))
        last, first = (rows[name] for name in ("last_day", "first_day"))
        history = (
            rows["active_days_all"].to_numpy(float) - 1,
            (last - first).dt.days.to_numpy(float) / UNIT_DAYS,
            (rows["landmark"] - first).dt.days.to_numpy(float) / UNIT_DAYS,
        )
        return probability_of_silence(model, self.horizon_days / UNIT_DAYS, *history)


def rfm_rank(rows: pd.DataFrame) -> FloatArray:
    """Return the mean rank (0 to 1, ties shared) of recency, active days and value within each landmark."""
    measures = {"days_since_last": -1.0, "active_days_90": 1.0, "value_90": 1.0}
    by = rows.groupby("landmark")
    varying = [name for name in measures if rows[name].nunique() > 1]
    ranks = [
        by[name].transform(lambda v, s=measures[name]: stats.rankdata(s * v) / len(v)) for name in varying
    ]
    mean = np.mean(np.column_stack(ranks), axis=1) if ranks else np.full(len(rows), 0.5)
    return np.asarray(np.round(mean, DECIMALS), np.float64)


def probability_of_silence(
    model: BetaGeometricNBD, t: float, x: FloatArray, t_x: FloatArray, age: FloatArray
) -> FloatArray:
    """Return the chance of no transaction in the next `t` units of time; NaN when BG/NBD could not be fitted."""
    if model.source_ != "BG/NBD":
        return np.full(x.shape, np.nan)
    alive = bg_nbd.probability_alive(model.params_, x, t_x, age)
    r, alpha, _, _ = model.params_
    return 1 - alive * (1 - ((alpha + age) / (alpha + age + t)) ** (r + x))
