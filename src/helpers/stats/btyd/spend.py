"""What a purchase is worth: the Gamma-Gamma model of Fader, Hardie and Lee (2005), as in Fader and Hardie (2013).

The value of each transaction of a member is Gamma(p, nu) and nu ~ Gamma(q, v) over members, independent of
how often a member transacts. The data are x repeat transactions and their mean value m.

Source: The Gamma-Gamma model of monetary value, www.brucehardie.com/notes/025 (equations 1a and 5). The note
calls the scale gamma; here it is v, as in lifetimes.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from helpers.sentences import number, say, with_interval
from helpers.stats.btyd.maximum_likelihood import Fit, maximise, no_fit, parameter_table
from helpers.stats.estimate import Estimate, half_width, log_estimate, unknown
from helpers.study.enough import REPEATERS

FloatArray = NDArray[np.float64]

# A shape above this makes members all but equal (coefficient of variation below 0.2).
EQUAL_MEMBERS = 25.0
# Cohen (1988): a correlation below 0.3 is small to medium. A convention, not a test.
NOTABLE_CORRELATION = 0.3
LOWER = np.log([1e-3, 1e-3, 1e-6])
UPPER = np.log([1e4, 1e4, 1e6])
STARTS = ((2.0, 3.0, 1.0), (6.0, 4.0, 0.5), (0.5, 1.5, 1.0), (20.0, 20.0, 1.0))


class SpendParameters(NamedTuple):
    """Parameters of the model: values Gamma(p, nu), nu ~ Gamma(q, v); v has the unit of the value."""

    p: float
    q: float
    v: float


class SpendLikelihood:
    """Negative log-likelihood in (log p, log q, log v) of weighted pairs (x, m), with its gradient."""

    def __init__(self, x: FloatArray, mean: FloatArray, members: FloatArray) -> None:
        self.members, self.total = float(members.sum()), x * mean
        self.weight, self.weighted_x = members, members * x
        self.counts, at = np.unique(x, return_inverse=True)
        self.at_x = np.bincount(at, members, self.counts.size)
        self.log_total = np.sum(self.weighted_x * np.log(self.total))
        self.log_mean = np.sum(members * np.log(mean))

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log-likelihood and its gradient, shape (3,), at log parameters `theta`."""
        p, q, v = parameters = np.exp(theta)
        x, n, digamma = self.counts, self.at_x, special.digamma
        log_sum, rate = np.log(self.total + v), 1 / (self.total + v)
        per_transaction = self.log_total - np.sum(self.weighted_x * log_sum)
        per_member = self.members * theta[2] - np.sum(self.weight * log_sum)
        constant = n @ (special.gammaln(p * x + q) - special.gammaln(p * x))
        value = (
            constant
            - self.members * special.gammaln(q)
            + p * per_transaction
            + q * per_member
            - self.log_mean
        )
        by_scale = self.members * q / v - np.sum((p * self.weighted_x + q * self.weight) * rate)
        gradient = np.array(
            [
                n @ (x * (digamma(p * x + q) - digamma(p * x))) + per_transaction,
                n @ digamma(p * x + q) - self.members * digamma(q) + per_member,
                by_scale,
            ]
        )
        return -float(value), -gradient * parameters


class GammaGamma:
    """The Gamma-Gamma model as an estimator.

    Parameters
    ----------
    confidence : float
        Level of all intervals.
    unit : str
        Unit of the values, such as a currency, for the sentence.

    Attributes
    ----------
    params_ : SpendParameters
        p, q, v; NaN when nothing could be fitted.
    log_likelihood_ : float
        At the maximum.
    converged_ : bool
        Whether the maximum was found.
    source_ : str
        Where predictions come from: ``"Gamma-Gamma"``, ``"observed means"`` or ``"too little data"``.
    message_ : str
        What happened, in words.
    mean_ : Estimate
        Expected value of a transaction of a member about whom nothing is known, p v / (q - 1).
    independence_ : Estimate
        Correlation of frequency and mean value over members with repeats, which the model takes to be 0.
    members_, set_aside_ : int
        Members with a repeat that were fitted; members with repeats whose mean value is not above 0, which
        the model cannot hold.
    """

    def __init__(self, *, confidence: float = 0.95, unit: str = "") -> None:
        self.confidence, self.unit = confidence, unit

    def fit(self, histories: pd.DataFrame) -> Self:
        """Fit to members with repeats; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        histories : pandas.DataFrame
            x, mean_repeat_value and, if rows stand for several members, members. Rows with x = 0 have no
            repeat value and are no data to this model.
        """
        count = histories["members"] if "members" in histories.columns else np.ones(len(histories))
        x, mean, weight = (
            np.asarray(c, float) for c in (histories["x"], histories["mean_repeat_value"], count)
        )
        positive = (x > 0) & (mean > 0)
        self.set_aside_ = int(weight[(x > 0) & ~positive].sum())
        self._x, self._mean, self._weight = x[positive], mean[positive], weight[positive]
        self.members_ = int(self._weight.sum())
        self._fit = self._maximise() if self.members_ >= REPEATERS else no_fit(3)
        self.params_ = SpendParameters(*np.exp(self._fit.theta).tolist())
        self.converged_, self.log_likelihood_ = self._fit.converged, self._fit.log_likelihood
        usable, self.message_ = self._judge()
        if self.set_aside_:
            self.message_ += " " + say("Members with repeats of no positive value were set aside.")
        self.source_ = "Gamma-Gamma" if usable else "observed means" if self.members_ else "too little data"
        self.mean_ = self._population_mean()
        self.independence_ = weighted_correlation(self._x, self._mean, self._weight, self.confidence)
        return self

    def _maximise(self) -> Fit:
        """Fit with value in multiples of its mean, so that one box of parameters suits any currency."""
        scale = float(np.average(self._mean, weights=self._weight))
        likelihood = SpendLikelihood(self._x, self._mean / scale, self._weight)
        fit = maximise(likelihood, self.members_, [np.log(start) for start in STARTS], LOWER, UPPER)
        theta = fit.theta + np.array([0, 0, np.log(scale)])
        return fit._replace(theta=theta, log_likelihood=fit.log_likelihood - self.members_ * np.log(scale))

    def _judge(self) -> tuple[bool, str]:
        """Return whether the fit is good for predictions, and why or why not."""
        if self.members_ < REPEATERS:
            text = "Only {n} members have repeat values; the model needs {least} or more."
            text = text if self.members_ else "No member has repeat values; the model needs {least} or more."
            return False, say(text, n=self.members_, least=REPEATERS)
        if not self.converged_:
            return False, say("The likelihood has no maximum that could be found.")
        if self.params_.q <= 1:
            return False, say("q is at most 1: values are so unequal that they have no mean.")
        if self._fit.precise:
            return True, say("Converged in {n} steps.", n=self._fit.iterations)
        if max(self.params_.p, self.params_.q) > EQUAL_MEMBERS:
            return True, say("Values all but equal: predictions hold, but the parameters alone mean nothing.")
        return False, say("The data do not determine the parameters.")

    def _population_mean(self) -> Estimate:
        """Return p v / (q - 1) with its interval by the delta method on the log scale."""
        p, q, v = self.params_
        if self.source_ != "Gamma-Gamma":
            return unknown(self.members_, "value", self.confidence)
        slopes = np.array([1.0, -q / (q - 1), 1.0])
        error, name = float(np.sqrt(slopes @ self._fit.covariance @ slopes)), "delta method, log scale"
        return log_estimate(np.log(p * v / (q - 1)), error, self.members_, "value", name, self.confidence)

    def expected_value(self, x: ArrayLike, mean_repeat_value: ArrayLike) -> FloatArray:
        """Return the expected value of a transaction of each member, given its history.

        A weighted mean of what the member and the population spend (equation 5); a member without repeats is
        worth the population mean. Without a usable fit: the observed means. A mean below 0 counts as 0.
        """
        x, mean = np.broadcast_arrays(np.asarray(x, float), np.asarray(mean_repeat_value, float))
        if self.source_ == "too little data":
            return np.full(x.shape, np.nan)
        spent = np.where(x > 0, np.maximum(mean, 0.0), 0.0)
        if self.source_ == "Gamma-Gamma":
            p, q, v = self.params_
            return p * (v + x * spent) / (p * x + q - 1)
        overall = np.average(self._mean, weights=self._weight * self._x)
        return np.where(x > 0, spent, overall)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per parameter: value, standard_error, low, high, n (members)."""
        return parameter_table(SpendParameters._fields, self._fit, self.members_, self.confidence)

    @property
    def sentence(self) -> str:
        """What a purchase is worth and whether frequency and value go together."""
        if not self.mean_.known:
            return say("What a purchase is worth cannot be told with an interval. {why}", why=self.message_)
        worth = with_interval(self.mean_._replace(unit=self.unit))
        text = "A purchase of a member about whom nothing is known is worth {worth}, by members with repeats."
        return f"{say(text, worth=worth)} {self.independence_sentence}"

    @property
    def independence_sentence(self) -> str:
        """Whether the assumption that frequency and value are independent looks tenable."""
        found = self.independence_
        if not found.known:
            return say("Too few members to see whether frequent buyers spend more per purchase.")
        if max(abs(found.low), abs(found.high)) < NOTABLE_CORRELATION:
            verdict = say("Frequency and value per purchase hardly go together")
        elif found.low > NOTABLE_CORRELATION or found.high < -NOTABLE_CORRELATION:
            verdict = say("Frequency and value per purchase go together, against the assumption of the model")
        else:
            verdict = say("Whether frequency and value per purchase go together is not clear")
        r, low, high = (number(value, 2) for value in found[:3])
        text = "{verdict} (correlation {r}, {low} to {high}, {n} members)."
        return say(text, verdict=verdict, r=r, low=low, high=high, n=number(found.n))


def weighted_correlation(x: FloatArray, y: FloatArray, weight: FloatArray, confidence: float) -> Estimate:
    """Return Pearson's correlation with an interval that does not assume normal data.

    The variance comes from the influence function, zx zy - r (zx^2 + zy^2) / 2, on Fisher's z scale; the
    classical variance would be far too small for values with heavy tails.
    """
    n = int(weight.sum())
    if n < REPEATERS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return unknown(n, "correlation", confidence)
    both = np.stack([x, y])
    both -= np.average(both, axis=1, weights=weight)[:, None]
    zx, zy = both / np.sqrt(np.average(both**2, axis=1, weights=weight))[:, None]
    r = float(np.clip(np.average(zx * zy, weights=weight), -1, 1))
    if abs(r) > 1 - 1e-12:
        return unknown(n, "correlation", confidence)
    influence = zx * zy - r * (zx**2 + zy**2) / 2
    error = np.sqrt(np.average(influence**2, weights=weight) / n) / (1 - r**2)
    half = half_width(error, confidence)
    low, high = np.tanh([np.arctanh(r) - half, np.arctanh(r) + half]).tolist()
    return Estimate(r, low, high, n, "correlation", "influence function, Fisher z", confidence)
