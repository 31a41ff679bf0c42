"""Discrete-time hazard of falling silent (or leaving, or returning): person-period models and their intercept.

Models
------
- logit: regularised logistic regression on person-period rows, which is the discrete-time hazard model of Singer
  and Willett (1993, Journal of Educational Statistics 18); covariates as ``sign(x) log(1 + |x|)``, standardised,
  with linear splines in the days of silence, in the actions and in the active days of the last 30: risk levels off
  among members who hardly act, which no straight line in the logarithm can follow. No row is weighted: who has more
  periods has more rows.
- gradient boosting: histogram gradient boosting on the same columns, 100 small trees, no early stopping.
- blend: the mean of both log odds.

Intercept re-set
----------------
A calendar window has a level of its own. The shift of a closed window is the number s that solves
``mean(expit(log odds + s)) = observed rate``. Carried over in full, the shift of the last closed window adds its
sampling noise to every prediction, so it is shrunk by the share that carries over from one window to the next: with
shifts s_t of sampling variance v_t = 1 / sum p (1 - p), under s_t = u_t + noise and u_t a stationary first-order
process, the best linear predictor of u_{t+1} is ``s_t c / (var(u) + v_t)`` with c = cov(u_t, u_{t+1}), both
estimated by moments over the closed windows; c is cut at 0 and multiplied by (w - 1) / (w + 3), because few windows
say little about it.

Forward recalibration
---------------------
The predictions made before earlier windows, and what then happened, show how far the model is off as it is really
used. A curve ``a + b * log odds + bends at every 5 %`` is fitted to them by logistic regression (Cox 1958, with
a linear spline for what no line mends: groups among whom nothing tells members apart), recent windows counting more
(half as much every 6 windows) and with a prior of 200 rows each for a = 0 and b = 1 and of 5 rows for each bend to
be none, so that little evidence changes little. It corrects the level and over- or underconfidence.

Fits run on one thread, so that the order of floating-point sums, and with it every byte, is the same in each run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FloatArray = NDArray[np.float64]
Kind = Literal["logit", "boosting", "blend"]

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
FEWEST_ROWS = 100
FEWEST_EACH = 10
DECIMALS = 10
HALF_LIFE = 6.0  # windows
PRIOR_ROWS = 200.0
PRIOR_ROWS_OF_BENDS = 5.0
EXTREME = 12.0  # log odds; nobody is that sure
STANDOFF = 0.5  # added to both counts of a window in which all or none were silent


class WindowShifts(NamedTuple):
    """Shifts of the closed windows and what is carried over.

    Attributes
    ----------
    table : pandas.DataFrame
        landmark, n, observed, predicted (mean), shift (log odds), variance.
    weight : float
        Share of the last shift that is carried over, from 0 to 1.
    shift : float
        What is added to the log odds of the next window.
    """

    table: pd.DataFrame
    weight: float
    shift: float


def design(table: pd.DataFrame, features: tuple[str, ...]) -> FloatArray:
    """Return the columns of the models, shape (rows, features + knots); nothing in it looks at other rows."""
    values = table[list(features)].to_numpy(float)
    columns = [np.sign(values) * np.log1p(np.abs(values))]
    for name, knots in _bent(features).items():
        amount = np.log1p(np.maximum(table[name].to_numpy(float), 0.0))[:, None]
        columns.append(np.maximum(amount - np.log1p(np.array(knots)), 0.0))
    return np.hstack(columns)


def _bent(features: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """Return the knots of the features that are there, in the order of the columns."""
    return {name: knots for name, knots in KNOTS.items() if name in features}


def enough(table: pd.DataFrame, outcome: str) -> bool:
    """Whether there are rows enough to fit anything: 100, and 10 of each outcome."""
    events = int(table[outcome].sum()) if len(table) else 0
    return len(table) >= FEWEST_ROWS and FEWEST_EACH <= events <= len(table) - FEWEST_EACH


def window_shift(log_odds: FloatArray, outcome: FloatArray) -> float:
    """Return the number that, added to log odds, makes their mean probability the observed rate."""
    n, events = outcome.size, float(outcome.sum())
    extreme = STANDOFF if events in (0.0, float(n)) else 0.0
    rate = (events + extreme) / (n + 2 * extreme)

    def excess(shift: float) -> float:
        return float(special.expit(log_odds + shift).mean()) - rate

    return float(optimize.brentq(excess, -60.0, 60.0, xtol=1e-12))


def shifts(landmark: pd.Series, log_odds: FloatArray, outcome: FloatArray) -> WindowShifts:
    """Return the shift of each window and the shrunken one that is carried to the next window.

    Parameters
    ----------
    landmark : pandas.Series
        Window of each row; the latest is the last closed one.
    log_odds, outcome : ndarray, shape (rows,)
        Predicted log odds before any shift, and 0 or 1.
    """
    rows = []
    for day, found_at in sorted(landmark.groupby(landmark).indices.items()):
        at = np.asarray(found_at)
        p = special.expit(log_odds[at])
        found = window_shift(log_odds[at], outcome[at])
        rows.append((day, at.size, outcome[at].mean(), p.mean(), found, 1 / float(np.sum(p * (1 - p)))))
    table = pd.DataFrame(rows, columns=["landmark", "n", "observed", "predicted", "shift", "variance"])
    weight = carry_over(table["shift"].to_numpy(float), table["variance"].to_numpy(float))
    last = float(table["shift"].iloc[-1]) if len(table) else 0.0
    return WindowShifts(table, weight, round(weight * last, DECIMALS))


def carry_over(shift: FloatArray, variance: FloatArray) -> float:
    """Return the share of the last shift to carry over (see the head of the module); 0 below three windows."""
    windows = shift.size
    if windows < 3:
        return 0.0
    spread = max(0.0, float(np.mean(shift**2 - variance)))
    common = max(0.0, float(np.mean(shift[1:] * shift[:-1])))
    if common == 0:
        return 0.0
    weight = common / (spread + float(variance[-1])) * (windows - 1) / (windows + 3)
    return float(np.clip(weight, 0.0, 1.0))


class Recalibration(NamedTuple):
    """A curve from log odds to better log odds, learned from `n` earlier predictions.

    Attributes
    ----------
    knots : tuple of float
        Log odds at which the curve bends.
    coefficients : tuple of float
        Intercept, slope, and one change of slope per knot.
    n : int
        Predictions it was learned from.
    """

    knots: tuple[float, ...]
    coefficients: tuple[float, ...]
    n: int

    def log_odds(self, log_odds: FloatArray) -> FloatArray:
        """Return the recalibrated log odds."""
        found: FloatArray = _bends(log_odds, self.knots) @ np.array(self.coefficients)
        return found


def _bends(log_odds: FloatArray, knots: tuple[float, ...]) -> FloatArray:
    hinges = [np.maximum(log_odds - knot, 0.0) for knot in knots]
    return np.column_stack([np.ones(log_odds.size), log_odds, *hinges])


def recalibration(landmark: pd.Series, probability: pd.Series, outcome: pd.Series) -> Recalibration:
    """Return the curve that would have mended earlier predictions (see the head of the module).

    Parameters
    ----------
    landmark, probability, outcome : pandas.Series
        Window, prediction made before it, and what happened (0 or 1), of each row.
    """
    n = len(landmark)
    if not n:
        return Recalibration((), (0.0, 1.0), 0)
    steps = {day: at for at, day in enumerate(sorted(landmark.unique(), reverse=True))}
    weight = 0.5 ** (landmark.map(steps).to_numpy(float) / HALF_LIFE)
    inside = np.clip(probability.to_numpy(float), 1e-6, 1 - 1e-6)
    log_odds, y = special.logit(inside), outcome.to_numpy(float)
    knots = tuple(np.unique(np.round(np.quantile(log_odds, np.arange(1, 20) / 20), DECIMALS)).tolist())
    x = _bends(log_odds, knots)
    prior = 0.25 * np.array([PRIOR_ROWS, PRIOR_ROWS, *[PRIOR_ROWS_OF_BENDS] * len(knots)])
    centre = np.eye(x.shape[1])[1]
    curve = centre.copy()
    for _ in range(100):
        p = special.expit(x @ curve)
        gradient = x.T @ (weight * (y - p)) - prior * (curve - centre)
        information = x.T @ (x * (weight * p * (1 - p))[:, None]) + np.diag(prior)
        step = np.linalg.solve(information, gradient)
        curve = curve + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    return Recalibration(knots, tuple(np.round(curve, DECIMALS).tolist()), n)


@dataclass(frozen=True)
class Hazard:
    """Person-period models of one outcome on the rows of closed windows.

    Attributes
    ----------
    table : pandas.DataFrame
        Rows as made by :func:`helpers.stats.forecast.landmarks.landmarks`.
    features : tuple of str
        Columns used.
    outcome : str
        Column of 0 or 1 that is predicted.
    seed : int
        Random state of the boosting.
    """

    table: pd.DataFrame = field(repr=False)
    features: tuple[str, ...]
    outcome: str = "silent"
    seed: int = 0

    @cached_property
    def _fitted(self) -> dict[str, Any]:
        return {}

    def _model(self, kind: str) -> Any:
        """Return the fitted logit or boosting; each is fitted once, when it is first needed."""
        if kind not in self._fitted:
            if kind == "logit":
                model: Any = make_pipeline(
                    StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000, tol=1e-6)
                )
            else:
                model = HistGradientBoostingClassifier(**TREES, random_state=self.seed)
            with threadpool_limits(limits=1):
                model.fit(design(self.table, self.features), self.table[self.outcome].to_numpy(int))
            self._fitted[kind] = model
        return self._fitted[kind]

    def log_odds(self, table: pd.DataFrame, kind: Kind = "logit") -> FloatArray:
        """Return the predicted log odds of the outcome before any shift, shape (rows,)."""
        if not len(table):
            return np.empty(0)
        if kind == "blend":
            return np.round((self.log_odds(table, "logit") + self.log_odds(table, "boosting")) / 2, DECIMALS)
        with threadpool_limits(limits=1):
            found = self._model(kind).decision_function(design(table, self.features))
        return np.round(np.clip(found, -EXTREME, EXTREME), DECIMALS)

    def shifts(self, kind: Kind = "logit") -> WindowShifts:
        """Return the shifts of the closed windows that the model was fitted on."""
        outcome = self.table[self.outcome].to_numpy(float)
        return shifts(self.table["landmark"], self.log_odds(self.table, kind), outcome)

    def probability(self, table: pd.DataFrame, kind: Kind = "logit", *, reset: bool = False) -> FloatArray:
        """Return the predicted probability of the outcome, with the intercept re-set or as fitted."""
        shift = self.shifts(kind).shift if reset else 0.0
        return np.round(special.expit(self.log_odds(table, kind) + shift), DECIMALS)

    @property
    def coefficients(self) -> pd.DataFrame:
        """Standardised coefficients of the logit: term, coefficient (log odds a standard deviation)."""
        knots = [f"{name} above {k:g}" for name, where in _bent(self.features).items() for k in where]
        values = self._model("logit")[-1].coef_[0]
        table = pd.DataFrame({"term": [*self.features, *knots], "coefficient": np.round(values, DECIMALS)})
        order = table["coefficient"].abs().sort_values(ascending=False, kind="stable").index
        return table.loc[order].reset_index(drop=True)
