"""Who is still alive: the BG/NBD model on compressed cells, with a fallback that says why it was needed.

"Alive" is what Fader, Hardie and Lee (2005) mean by it: the member has not left for good. See
:mod:`helpers.stats.btyd.bg_nbd` for the model. A fit that did not converge, or whose parameters the data do
not determine, is a result like any other: predictions then come from repeat shares of similar members.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from helpers.sentences import say
from helpers.stats.btyd import bg_nbd
from helpers.stats.btyd.bg_nbd import Likelihood, Parameters
from helpers.stats.btyd.cells import Cells
from helpers.stats.btyd.maximum_likelihood import STEP, Fit, maximise, no_fit, parameter_table
from helpers.stats.btyd.repeat_shares import RepeatShares
from helpers.stats.estimate import Estimate, half_width, unknown
from helpers.study.enough import REPEATERS

FloatArray = NDArray[np.float64]

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
    log_likelihood_ : float
        At the maximum.
    converged_ : bool
        Whether the maximum was found.
    source_ : str
        Where predictions come from: ``"BG/NBD"``, ``"repeat shares"`` or ``"too little data"``.
    message_ : str
        What happened, in words.
    repeat_shares_ : RepeatShares or None
        The fallback, when it was needed and the cells know their transactions.
    members_, repeaters_ : int
        Members, and members with a repeat.
    """

    def __init__(self, *, confidence: float = 0.95) -> None:
        self.confidence = confidence

    def fit(self, cells: Cells | pd.DataFrame) -> Self:
        """Fit by maximum likelihood; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        cells : Cells or pandas.DataFrame
            As made by :func:`helpers.stats.btyd.cells.cells`, or a frame with x, t_x, T and, if rows stand
            for several members, members. Without transactions behind them there can be no fallback.
        """
        table, known = (cells.table, cells) if isinstance(cells, Cells) else (cells, None)
        x, t_x, age = (table[c].to_numpy(float) for c in ("x", "t_x", "T"))
        members = table["members"].to_numpy(float) if "members" in table.columns else np.ones(len(table))
        self.members_, self.repeaters_ = int(members.sum()), int(members[x > 0].sum())
        enough = self.repeaters_ >= REPEATERS
        self._fit = self._maximise(x, t_x, age, members) if enough else no_fit(4)
        self.params_ = Parameters(*np.exp(self._fit.theta).tolist())
        self.converged_, self.log_likelihood_ = self._fit.converged, self._fit.log_likelihood
        usable, self.message_ = self._judge()
        self.source_ = "BG/NBD" if usable else "too little data"
        self.repeat_shares_ = None
        if not usable and known is not None:
            self.repeat_shares_ = RepeatShares(known, self.confidence)
            self.source_ = "repeat shares" if self.repeat_shares_.overall.known else "too little data"
        return self

    def _maximise(self, x: FloatArray, t_x: FloatArray, age: FloatArray, members: FloatArray) -> Fit:
        """Fit with time in multiples of the mean age, so that one box of parameters suits any unit."""
        scale, repeats = float(np.average(age, weights=members)), float(np.sum(members * x))
        rate = repeats / self.members_
        starts = [
            np.log([r, r / (1.5 * rate), size * leaving, size * (1 - leaving)]) for r, leaving, size in STARTS
        ]
        likelihood = Likelihood(x, t_x / scale, age / scale, members)
        fit = maximise(likelihood, self.members_, starts, LOWER, UPPER)
        # Back to the unit of the cells: alpha is a time, and a density of x points has their units to -x.
        theta = fit.theta + np.array([0, np.log(scale), 0, 0])
        return fit._replace(theta=theta, log_likelihood=fit.log_likelihood - repeats * np.log(scale))

    def _judge(self) -> tuple[bool, str]:
        """Return whether the fit is good for predictions, and why or why not."""
        if self.repeaters_ < REPEATERS:
            text = "Only {n} of {members} members came back; the model needs {least} or more."
            return False, say(text, n=self.repeaters_, members=self.members_, least=REPEATERS)
        if not self.converged_:
            return False, say("The likelihood has no maximum that could be found.")
        r, _, a, b = self.params_
        if a / (a + b) < LEAST_LEAVING:
            return False, say("In these data nobody seems to leave, so the model cannot tell who did.")
        if self._fit.precise:
            return True, say("Converged in {n} steps.", n=self._fit.iterations)
        if max(r, a) > EQUAL_MEMBERS:
            which = say("buy at the same rate") if r > EQUAL_MEMBERS else say("are equally likely to leave")
            text = "Nearly all members {which}: predictions hold, but the parameters alone mean nothing."
            return True, say(text, which=which)
        text = "The data do not determine the parameters: an interval spans a factor of 1,000."
        return False, say(text)

    def alive_among(self, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> Estimate:  # noqa: N803
        """Return the share alive among any members with a repeat, such as those who are present.

        The model lets nobody leave before a repeat, so members without one say nothing about it. The variance is
        that of the parameters (delta method on the logit scale) plus that of who left by chance. From repeat
        shares it is the share of all earlier members that transacted again, whichever members are asked about.

        Parameters
        ----------
        x, t_x, T : array_like, shape (members,)
            Histories, in the unit of time of the fit; those with x == 0 are left out.
        """
        if self.repeat_shares_ is not None and self.source_ == "repeat shares":
            return self.repeat_shares_.overall
        x, t_x, age = (np.asarray(v, float) for v in (x, t_x, T))
        x, t_x, age = (v[x > 0] for v in (x, t_x, age))
        if self.source_ != "BG/NBD" or not x.size:
            return unknown(x.size, "share", self.confidence)

        def share(theta: FloatArray) -> float:
            return float(bg_nbd.probability_alive(Parameters(*np.exp(theta)), x, t_x, age).mean())

        value, steps = share(self._fit.theta), STEP * np.eye(4)
        spread = value * (1 - value)
        if spread <= 0:
            return unknown(x.size, "share", self.confidence)
        ends = [(share(self._fit.theta + s), share(self._fit.theta - s)) for s in steps]
        slopes = np.array([(up - down) / (2 * STEP) for up, down in ends]) / spread
        alive = self.probability_alive(x, t_x, age)
        by_chance = float((alive * (1 - alive)).mean()) / x.size / spread**2
        half = half_width(np.sqrt(slopes @ self._fit.covariance @ slopes + by_chance), self.confidence)
        low, high = special.expit(special.logit(value) + np.array([-half, half])).tolist()
        return Estimate(value, low, high, x.size, "share", "delta method, logit scale", self.confidence)

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

    def expected_transactions(self, t: float, x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> FloatArray:  # noqa: N803
        """Return the expected transactions of each member in the next `t` units of time, given its history."""
        x, t_x, age = (np.asarray(v, float) for v in (x, t_x, T))
        if self.source_ == "BG/NBD":
            return bg_nbd.expected_transactions(self.params_, t, x, t_x, age)
        if self.repeat_shares_ is not None:
            return self.repeat_shares_.transactions(t, x, t_x, age)
        return np.full(np.broadcast(x, t_x, age).shape, np.nan)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per parameter: value, standard_error, low, high, n (members)."""
        return parameter_table(Parameters._fields, self._fit, self.members_, self.confidence)
