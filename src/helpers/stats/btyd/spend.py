"""What a transaction of a member is worth: the Gamma-Gamma model of Fader and Hardie (2013).

The value of each transaction of a member is Gamma(p, nu) and nu ~ Gamma(q, v) over members, independent of
how often a member transacts. The data are x repeat transactions and their mean value m.

Source: The Gamma-Gamma model of monetary value, www.brucehardie.com/notes/025 (equations 1a and 5). The note
calls the scale gamma; here it is v, as in lifetimes.
"""

from __future__ import annotations

import html
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from helpers.checks import check_confidence
from helpers.errors import BadData
from helpers.sentences import interval, number, quantity, say
from helpers.stats.btyd.maximum_likelihood import (
    Fit,
    maximise,
    no_fit,
    pairwise_total,
    parameter_table,
)
from helpers.stats.estimate import Estimate, unknown
from helpers.tables import html_table

FloatArray = NDArray[np.float64]

FEWEST_REPEATERS = 20
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
    """Negative log-likelihood in (log p, log q, log v) of weighted pairs (x, m)."""

    def __init__(self, x: FloatArray, mean: FloatArray, members: FloatArray) -> None:
        self.members = float(members.sum())
        self.total = x * mean
        self.weight, self.weighted_x = members, members * x
        self.counts, at = np.unique(x, return_inverse=True)
        self.at_x = np.bincount(at, members, self.counts.size)
        self.log_total = pairwise_total(self.weighted_x, np.log(self.total))
        self.log_mean = pairwise_total(members, np.log(mean))

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log-likelihood and its gradient, shape (3,)."""
        p, q, v = parameters = np.exp(theta)
        x, n, members = self.counts, self.at_x, self.members
        log_sum, rate = np.log(self.total + v), 1 / (self.total + v)
        per_transaction = self.log_total - pairwise_total(self.weighted_x, log_sum)
        per_member = members * theta[2] - pairwise_total(self.weight, log_sum)
        constant = n @ (special.gammaln(p * x + q) - special.gammaln(p * x)) - members * special.gammaln(q)
        value = constant + p * per_transaction + q * per_member - self.log_mean
        digamma = special.digamma
        gradient = np.array(
            [
                n @ (x * (digamma(p * x + q) - digamma(p * x))) + per_transaction,
                n @ digamma(p * x + q) - members * digamma(q) + per_member,
                members * q / v
                - p * pairwise_total(self.weighted_x, rate)
                - q * pairwise_total(self.weight, rate),
            ]
        )
        return -float(value), -gradient * parameters

    def hessian(self, theta: FloatArray) -> FloatArray:
        """Return the Hessian of the negative log-likelihood, shape (3, 3)."""
        p, q, v = parameters = np.exp(theta)
        _, gradient = self.value_and_gradient(theta)
        x, n, members = self.counts, self.at_x, self.members
        rate = 1 / (self.total + v)
        both, alone = special.polygamma(1, p * x + q), special.polygamma(1, p * x)
        pp = n @ (x**2 * (both - alone))
        pq = n @ (x * both)
        qq = n @ both - members * special.polygamma(1, q)
        pv = -pairwise_total(self.weighted_x, rate)
        qv = members / v - pairwise_total(self.weight, rate)
        squares = p * pairwise_total(self.weighted_x, rate**2) + q * pairwise_total(self.weight, rate**2)
        vv = squares - members * q / v**2
        natural = np.array([[pp, pq, pv], [pq, qq, qv], [pv, qv, vv]])
        return -natural * np.outer(parameters, parameters) + np.diag(gradient)


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
    standard_errors_ : pandas.Series
        Of the log parameters.
    log_likelihood_ : float
        At the maximum.
    converged_, identifiable_ : bool
        Whether the maximum was found, and whether the data determine all parameters.
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
        self.confidence = check_confidence(confidence)
        self.unit = unit

    def fit(self, histories: pd.DataFrame) -> Self:
        """Fit to members with repeats; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        histories : pandas.DataFrame
            x, mean_repeat_value and, if rows stand for several members, members. Rows with x = 0 have no
            repeat value and are no data to this model.

        Raises
        ------
        BadData
            When a column is missing, or a row with repeats has no finite mean value.
        """
        x, mean, weight = self._check(histories)
        self.members_ = int(weight.sum())
        self._x, self._mean, self._weight = x, mean, weight
        self._fit = self._maximise() if self.members_ >= FEWEST_REPEATERS else no_fit(3)
        self.params_ = SpendParameters(*np.exp(self._fit.theta).tolist())
        self.converged_, self.log_likelihood_ = self._fit.converged, self._fit.log_likelihood
        self.standard_errors_ = pd.Series(self._fit.standard_errors, index=SpendParameters._fields)
        self.identifiable_, usable, self.message_ = self._judge()
        self.source_ = "Gamma-Gamma" if usable else "observed means" if self.members_ else "too little data"
        self.mean_ = self._population_mean()
        self.independence_ = weighted_correlation(x, mean, weight, self.confidence)
        return self

    def _check(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
        absent = [c for c in ("x", "mean_repeat_value") if c not in frame.columns]
        if absent:
            there = ", ".join(map(str, frame.columns))
            raise BadData(f"histories: column {', '.join(absent)} missing; there is {there}.")
        count = frame["members"] if "members" in frame.columns else np.ones(len(frame))
        x, mean, weight = (np.asarray(c, float) for c in (frame["x"], frame["mean_repeat_value"], count))
        again = x > 0
        broken = again & ~np.isfinite(mean) | ~np.isfinite(x) | (x < 0) | ~(weight > 0)
        if broken.any():
            raise BadData(
                f"histories: {int(broken.sum())} of {len(x)} rows need a finite mean_repeat_value, x of at least 0 "
                f"and members above 0; such as row {int(np.argmax(broken))}."
            )
        positive = again & (mean > 0)
        self.set_aside_ = int(weight[again & ~positive].sum())
        return x[positive], mean[positive], weight[positive]

    def _maximise(self) -> Fit:
        """Fit with value in multiples of its mean, so that one box of parameters suits any currency."""
        scale = float(np.average(self._mean, weights=self._weight))
        likelihood = SpendLikelihood(self._x, self._mean / scale, self._weight)
        fit = maximise(likelihood, [np.log(start) for start in STARTS], LOWER, UPPER)
        theta = fit.theta + np.array([0, 0, np.log(scale)])
        return fit._replace(theta=theta, log_likelihood=fit.log_likelihood - self.members_ * np.log(scale))

    def _judge(self) -> tuple[bool, bool, str]:
        """Return (identifiable, usable for predictions, message)."""
        aside = ""
        if self.set_aside_:
            text = " {n} members with repeats of no positive value were set aside."
            aside = say(text, n=number(self.set_aside_))
        if self.members_ < FEWEST_REPEATERS:
            text = "Only {n} members have repeat values; the model needs {least} or more."
            return False, False, say(text, n=self.members_, least=FEWEST_REPEATERS) + aside
        if not self.converged_:
            return False, False, say("The likelihood has no maximum that could be found.") + aside
        if self.params_.q <= 1:
            return False, False, say("q is at most 1: values are so unequal that they have no mean.") + aside
        if self._fit.precise:
            return True, True, say("Converged in {n} steps.", n=self._fit.iterations) + aside
        if self.params_.q > EQUAL_MEMBERS or self.params_.p > EQUAL_MEMBERS:
            text = "Values all but equal: predictions hold, but the parameters alone mean nothing."
            return False, True, say(text) + aside
        return False, False, say("The data do not determine the parameters.") + aside

    def _population_mean(self) -> Estimate:
        """Return p v / (q - 1) with its interval on the log scale, or the observed mean without one."""
        name = "delta method, log scale"
        p, q, v = self.params_
        if self.source_ != "Gamma-Gamma":
            return unknown(self.members_, "value", self.confidence)
        slopes = np.array([1.0, -q / (q - 1), 1.0])
        half = stats.norm.ppf(0.5 + self.confidence / 2) * np.sqrt(slopes @ self._fit.covariance @ slopes)
        value = p * v / (q - 1)
        low, high = float(value * np.exp(-half)), float(value * np.exp(half))
        return Estimate(value, low, high, self.members_, "value", name, self.confidence)

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
        """One row per parameter: value, standard_error, low, high, log_standard_error, n (members)."""
        return parameter_table(SpendParameters._fields, self._fit, self.members_, self.confidence)

    @property
    def sentence(self) -> str:
        """What a purchase is worth and whether frequency and value go together."""
        mean, values = self.mean_, {"n": number(self.members_), "why": self.message_}
        if self.source_ != "Gamma-Gamma":
            return say("The value of a purchase could not be modelled ({n} members). {why}", **values)
        text = "A purchase of a member about whom nothing is known is worth {value}"
        start = say(text, value=quantity(mean.value, self.unit))
        if mean.known:
            start += say(" ({between})", between=interval(mean.low, mean.high, self.unit))
        return f"{start} ({say('{n} members with repeats', **values)}). {self.independence_sentence}"

    @property
    def independence_sentence(self) -> str:
        """Whether the assumption that frequency and value are independent looks tenable."""
        found = self.independence_
        if not found.known:
            return say("Too few members to see whether frequent buyers spend more per purchase.")
        values = {k: number(v, 2) for k, v in zip(("r", "low", "high"), found[:3], strict=True)}
        values["n"] = number(found.n)
        if max(abs(found.low), abs(found.high)) < NOTABLE_CORRELATION:
            verdict = "Frequency and value per purchase hardly go together"
        elif found.low > NOTABLE_CORRELATION or found.high < -NOTABLE_CORRELATION:
            verdict = "Frequency and value per purchase go together, against the assumption of the model"
        else:
            verdict = "Whether frequency and value per purchase go together is not clear"
        return say(verdict + " (correlation {r}, {low} to {high}, {n} members).", **values)

    def _repr_html_(self) -> str:
        caption = say(
            "Gamma-Gamma on {n} members with repeats. {why}", n=number(self.members_), why=self.message_
        )
        return f"{html_table(self.summary.reset_index(), caption)}<p>{html.escape(self.sentence)}</p>"


def weighted_correlation(x: FloatArray, y: FloatArray, weight: FloatArray, confidence: float) -> Estimate:
    """Return Pearson's correlation with an interval that does not assume normal data.

    The variance comes from the influence function, zx zy - r (zx^2 + zy^2) / 2, on Fisher's z scale; the
    classical variance would be far too small for values with heavy tails.
    """
    n, name = int(weight.sum()), "influence function, Fisher z"
    if n < FEWEST_REPEATERS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return unknown(n, "correlation", confidence)
    zx, zy = (_standardised(v, weight) for v in (x, y))
    r = float(np.clip(np.average(zx * zy, weights=weight), -1, 1))
    if abs(r) > 1 - 1e-12:
        return unknown(n, "correlation", confidence)
    influence = zx * zy - r * (zx**2 + zy**2) / 2
    error = np.sqrt(np.average(influence**2, weights=weight) / n) / (1 - r**2)
    half = stats.norm.ppf(0.5 + confidence / 2) * error
    low, high = np.tanh([np.arctanh(r) - half, np.arctanh(r) + half]).tolist()
    return Estimate(r, low, high, n, "correlation", name, confidence)


def _standardised(values: FloatArray, weight: FloatArray) -> FloatArray:
    centred = values - np.average(values, weights=weight)
    return centred / np.sqrt(np.average(centred**2, weights=weight))
