"""Who is still alive: the BG/NBD model on compressed cells, with a fallback that says why it was needed.

"Alive" is what Fader, Hardie and Lee (2005) mean by it: the member has not left for good. See
:mod:`helpers.stats.btyd.bg_nbd` for the model. A fit that did not converge, or whose parameters the data do
not determine, is a result like any other: predictions then come from repeat shares of similar members.
"""

from __future__ import annotations

import html
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from helpers.checks import check_confidence, check_scalar
from helpers.sentences import number, percent, say
from helpers.stats.btyd import bg_nbd
from helpers.stats.btyd.bg_nbd import Likelihood, Parameters
from helpers.stats.btyd.cells import Cells, check_histories
from helpers.stats.btyd.maximum_likelihood import Fit, maximise, no_fit, parameter_table
from helpers.stats.btyd.repeat_shares import RepeatShares
from helpers.stats.estimate import Estimate, unknown
from helpers.tables import html_table

FloatArray = NDArray[np.float64]

# Fewer members with a repeat than this cannot determine four parameters.
FEWEST_REPEATERS = 20
# Below this mean chance of leaving after a transaction, the model says that nobody ever leaves.
LEAST_LEAVING = 1e-3
# A shape parameter above this makes members all but equal (coefficient of variation below 0.2), so that its
# exact size no longer matters to a prediction.
EQUAL_MEMBERS = 25.0
LOWER = np.log([1e-4, 1e-6, 1e-4, 1e-4])
UPPER = np.log([1e3, 1e6, 200.0, 1e5])
STARTS = ((0.5, 0.2, 2.0), (1.0, 0.05, 2.0), (0.3, 0.5, 1.0), (2.0, 0.1, 10.0))


class BetaGeometricNBD:
    """The BG/NBD model as an estimator.

    Parameters
    ----------
    confidence : float
        Level of all intervals.

    Attributes
    ----------
    params_ : Parameters
        r, alpha (unit of time of the cells), a, b; NaN when nothing could be fitted.
    standard_errors_ : pandas.Series
        Of the log parameters, from the observed information; NaN unless it is positive definite.
    log_likelihood_ : float
        At the maximum.
    converged_ : bool
        Whether the maximum was found.
    identifiable_ : bool
        Whether the data determine all four parameters.
    source_ : str
        Where predictions come from: ``"BG/NBD"``, ``"repeat shares"`` or ``"too little data"``.
    message_ : str
        What happened, in words.
    leaving_ : Estimate
        Mean chance of leaving after a repeat transaction, a / (a + b).
    alive_ : Estimate
        Share of the members with a repeat that are still alive: the model lets nobody leave before one, so
        those without say nothing about it. From repeat shares: share of all members that transacted again.
    repeat_shares_ : RepeatShares or None
        The fallback, when it was needed and the cells know their transactions.
    unit_days_ : float or None
        Days in the unit of time; None when fitted on a frame, which does not say.
    members_, repeaters_, distinct_ : int
        Members, members with a repeat, and distinct histories fitted.
    """

    def __init__(self, *, confidence: float = 0.95) -> None:
        self.confidence = check_confidence(confidence)

    def fit(self, cells: Cells | pd.DataFrame) -> Self:
        """Fit by maximum likelihood; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        cells : Cells or pandas.DataFrame
            As made by :func:`helpers.stats.btyd.cells.cells`, or a frame with x, t_x, T and, if rows stand
            for several members, members. Without transactions behind them there can be no fallback.

        Raises
        ------
        BadData
            When a column is missing or a row is no possible history.
        """
        table = cells.table if isinstance(cells, Cells) else cells
        self._table = check_histories(table)
        self.unit_days_ = cells.unit_days if isinstance(cells, Cells) else None
        self.unit_ = cells.unit if isinstance(cells, Cells) else "units of time"
        self.members_, self.distinct_ = int(self._table["members"].sum()), len(self._table)
        self.repeaters_ = int(self._table.loc[self._table["x"] > 0, "members"].sum())
        self._fit = self._maximise() if self.repeaters_ >= FEWEST_REPEATERS else no_fit(4)
        self.params_ = Parameters(*np.exp(self._fit.theta).tolist())
        self.converged_ = self._fit.converged
        self.log_likelihood_ = self._fit.log_likelihood
        self.standard_errors_ = pd.Series(self._fit.standard_errors, index=Parameters._fields)
        self.identifiable_, usable, self.message_ = self._judge()
        self.source_ = "BG/NBD" if usable else "too little data"
        self.repeat_shares_ = None
        if not usable and isinstance(cells, Cells):
            self.repeat_shares_ = RepeatShares(cells, confidence=self.confidence)
            self.source_ = "repeat shares" if self.repeat_shares_.overall.known else "too little data"
        self.leaving_ = self._leaving()
        self.alive_ = self._alive()
        return self

    def _maximise(self) -> Fit:
        """Fit with time in multiples of the mean age, so that one box of parameters suits any unit."""
        x, t_x, age, weight = (self._table[c].to_numpy() for c in ("x", "t_x", "T", "members"))
        scale = float(np.average(age, weights=weight))
        likelihood = Likelihood(x.astype("int64"), t_x / scale, age / scale, weight)
        rate = float(np.sum(weight * x)) / self.members_
        starts = [
            np.log([r, r / (1.5 * rate), size * leaving, size * (1 - leaving)]) for r, leaving, size in STARTS
        ]
        fit = maximise(likelihood, starts, LOWER, UPPER)
        # Back to the unit of the cells: alpha is a time, and a density of x points has their units to -x.
        theta = fit.theta + np.array([0, np.log(scale), 0, 0])
        return fit._replace(
            theta=theta, log_likelihood=fit.log_likelihood - float(np.sum(weight * x)) * np.log(scale)
        )

    def _judge(self) -> tuple[bool, bool, str]:
        """Return (identifiable, usable for predictions, message)."""
        if self.repeaters_ < FEWEST_REPEATERS:
            text = "Only {n} of {members} members came back; the model needs {least} or more."
            values = {"n": self.repeaters_, "members": self.members_, "least": FEWEST_REPEATERS}
            return False, False, say(text, **values)
        if not self.converged_:
            return False, False, say("The likelihood has no maximum that could be found.")
        r, _, a, b = self.params_
        if a / (a + b) < LEAST_LEAVING:
            text = "a / (a + b) went to 0: in these data nobody seems to leave, so the model cannot tell who did."
            return False, False, say(text)
        if self._fit.precise:
            return True, True, say("Converged in {n} steps.", n=self._fit.iterations)
        if r > EQUAL_MEMBERS or a > EQUAL_MEMBERS:
            which = say("buy at the same rate") if r > EQUAL_MEMBERS else say("are equally likely to leave")
            text = "Members all but {which}: predictions hold, but the parameters alone mean nothing."
            return False, True, say(text, which=which)
        return (
            False,
            False,
            say("The data do not determine the parameters: an interval spans a factor of 1,000."),
        )

    def _leaving(self) -> Estimate:
        """Return a / (a + b) with its interval on the logit scale, where it is log a - log b."""
        if self.source_ != "BG/NBD":
            return unknown(self.members_, "share", self.confidence)
        logit = self._fit.theta[2] - self._fit.theta[3]
        return self._on_logit_scale(
            float(logit), np.array([0, 0, 1.0, -1.0]), 0.0, self.members_, self.confidence
        )

    def _alive(self) -> Estimate:
        """Return the share alive among the members of the fit."""
        x, t_x, age, members = (self._table[c].to_numpy() for c in ("x", "t_x", "T", "members"))
        return self.alive_among(x, t_x, age, members)

    def alive_among(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,  # noqa: N803
        members: ArrayLike | None = None,
        *,
        confidence: float | None = None,
    ) -> Estimate:
        """Return the share alive among any members with a repeat, such as those who are present.

        Its variance is that of the parameters plus that of who left by chance. From repeat shares it is the
        share of all earlier members, whichever members are asked about.

        Parameters
        ----------
        x, t_x, T : array_like, shape (rows,)
            Histories, in the unit of time of the fit; rows with x == 0 are left out.
        members : array_like, optional
            How many members each row stands for; one when not given.
        confidence : float, optional
            Level of the interval; that of the model when not given.
        """
        level = self.confidence if confidence is None else check_confidence(confidence)
        if self.repeat_shares_ is not None and self.source_ == "repeat shares":
            return self.repeat_shares_.overall
        x, t_x, age = (np.asarray(v, float) for v in (x, t_x, T))
        weight = np.ones(x.shape) if members is None else np.asarray(members, float)
        x, t_x, age, weight = (v[x > 0] for v in (x, t_x, age, weight))
        n = int(weight.sum())
        if self.source_ != "BG/NBD" or n == 0:
            return unknown(n, "share", level)
        weight = weight / n
        alive, each_slope = bg_nbd.probability_alive_slopes(self.params_, x, t_x, age)
        slopes = np.array([float(np.sum(weight * slope)) for slope in each_slope])
        value = float(np.sum(weight * alive))
        spread = value * (1 - value)
        if spread <= 0:
            return unknown(n, "share", level)
        by_chance = float(np.sum(weight * alive * (1 - alive))) / n / spread**2
        return self._on_logit_scale(float(special.logit(value)), slopes / spread, by_chance, n, level)

    def _on_logit_scale(
        self, logit: float, slopes: FloatArray, by_chance: float, n: int, confidence: float
    ) -> Estimate:
        variance = float(slopes @ self._fit.covariance @ slopes) + by_chance
        half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance))
        low, value, high = special.expit([logit - half, logit, logit + half]).tolist()
        return Estimate(value, low, high, n, "share", "delta method, logit scale", confidence)

    def probability_alive(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:  # noqa: N803
        """Return the chance that each member is still alive, shape of the arguments.

        From repeat shares it is the share of earlier members in the same class that transacted again within
        the horizon, and NaN where there were none.
        """
        x, t_x, age = (np.asarray(v, float) for v in (x, t_x, T))
        if self.source_ == "BG/NBD":
            return bg_nbd.probability_alive(self.params_, x, t_x, age)
        if self.repeat_shares_ is not None:
            return self.repeat_shares_.share(x, t_x, age)
        return np.full(np.broadcast(x, t_x, age).shape, np.nan)

    def expected_transactions(
        self,
        t: float,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,  # noqa: N803
    ) -> FloatArray:
        """Return the expected transactions of each member in the next `t` units of time, given its history."""
        check_scalar(t, "t", ge=0)
        x, t_x, age = (np.asarray(v, float) for v in (x, t_x, T))
        if self.source_ == "BG/NBD":
            return bg_nbd.expected_transactions(self.params_, t, x, t_x, age)
        if self.repeat_shares_ is not None:
            return self.repeat_shares_.transactions(t, x, t_x, age)
        return np.full(np.broadcast(x, t_x, age).shape, np.nan)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per parameter: value, standard_error, low, high, log_standard_error, n (members)."""
        return parameter_table(Parameters._fields, self._fit, self.members_, self.confidence)

    @property
    def sentence(self) -> str:
        """How many members are still alive, or what could be said instead."""
        alive, values = self.alive_, {"members": number(self.members_), "why": self.message_}
        if not alive.known:
            return say("Who is still active among {members} members: too little data. {why}", **values)
        interval = {"share": percent(alive.value), "low": percent(alive.low), "high": percent(alive.high)}
        if self.repeat_shares_ is not None:
            text = (
                "The model of who is still active could not be used. {why} Counted instead: {share} "
                "({low} to {high}) of {n} earlier members transacted again within {horizon} {unit}."
            )
            horizon = number(self.repeat_shares_.horizon)
            return say(text, **values, **interval, n=number(alive.n), horizon=horizon, unit=self.unit_)
        text = (
            "Of {again} members who came back, {count} ({share}, {low} to {high}) are probably still "
            "active; about {leaving} leave after each return. {once} members bought once only, and the model "
            "cannot say whether they have left."
        )
        values |= {"again": number(alive.n), "once": number(self.members_ - alive.n)}
        count = number(round(alive.value * alive.n))
        return say(text, **values, **interval, count=count, leaving=self._leaving_text())

    def _leaving_text(self) -> str:
        leaving = self.leaving_
        if not leaving.known:
            return percent(leaving.value)
        return say(
            "{p} ({low} to {high})",
            p=percent(leaving.value),
            low=percent(leaving.low),
            high=percent(leaving.high),
        )

    def _repr_html_(self) -> str:
        caption = say("BG/NBD on {n} members. {why}", n=number(self.members_), why=self.message_)
        table = html_table(self.summary.reset_index(), caption)
        return f"{table}<p>{html.escape(self.sentence)}</p>"
