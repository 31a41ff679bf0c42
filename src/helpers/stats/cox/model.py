"""Who leaves faster: the Cox model with Efron's ties, exact from grouped cells.

What comes out equals a fit to one row per member (Cox 1972, Efron 1977), because members with equal covariates,
entry and last day are alike to the likelihood; see :mod:`helpers.stats.cox.risk_sets`. A fit to few or
odd data is a result like any other: `message_` says what was left out or held, and why.

Days: a member is at risk on tenure day t when entry_day <= t <= tenure_day. entry_day is the first day on which
leaving would have been seen: 0 from joining, or the tenure on the first observed day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.sentences import number, say
from helpers.stats.cox.design import make_design
from helpers.stats.cox.fit import PRIOR_STANDARD_DEVIATION, fit_cox
from helpers.stats.cox.risk_sets import Cells, RiskSets
from helpers.stats.estimate import half_width
from helpers.stats.survival.cells import COUNTED, completed

FloatArray = NDArray[np.float64]


class CoxModel:
    """The Cox model as an estimator.

    Parameters
    ----------
    covariates : sequence of str
        Columns of the cells. Flags and numbers enter as they are, anything else as levels against a reference.
    reference : mapping of str to str, optional
        Level that others are compared with, by column; by default the one with the most members.
    confidence : float
        Level of the intervals.

    Attributes
    ----------
    n_, events_ : int
        Members (or episodes of them) and exits in the cells.
    log_likelihood_ : float
        Log partial likelihood at the maximum.
    converged_ : bool
        Whether the maximum was found.
    message_ : str
        What was left out, held or not found; empty when nothing was.
    params_, standard_errors_ : pandas.Series
        Log hazard ratio by covariate, NaN where it could not be estimated, and its standard error.
    covariance_ : array of shape (covariates, covariates)
        Of the log hazard ratios.
    days_ : Days
        Exits and Schoenfeld residuals of each day.
    """

    def __init__(
        self,
        covariates: Sequence[str],
        *,
        reference: Mapping[str, str] | None = None,
        confidence: float = 0.95,
    ) -> None:
        self.covariates, self.reference = tuple(covariates), dict(reference or {})
        self.confidence = confidence

    def fit(self, cells: pd.DataFrame) -> Self:
        """Fit by maximum partial likelihood; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        cells : pandas.DataFrame
            One row per cell: the covariates, entry_day (0 when absent), tenure_day (last day seen), n (members;
            1 when absent), events (how many left on that day).

        Raises
        ------
        BadData
            When a column is missing.
        """
        table = completed(cells, self.covariates)
        self._design = make_design(table, self.covariates, self.reference)
        self.n_, self.events_ = int(table["n"].sum()), int(table["events"].sum())
        risk_sets = RiskSets(self._design.matrix, arrays(table, self._design.pattern))
        self._fit = fit = fit_cox(risk_sets)
        self.converged_, self.log_likelihood_, self.covariance_ = fit.converged, fit.value, fit.covariance
        self.days_ = risk_sets.days(np.nan_to_num(fit.beta))
        names, beta = self._design.terms["covariate"], fit.beta if fit.converged else np.nan
        self.params_ = pd.Series(beta, index=names, dtype=float)
        with np.errstate(invalid="ignore"):
            self.standard_errors_ = pd.Series(np.sqrt(np.diag(self.covariance_)), index=names)
        self.message_ = self._message()
        return self

    @property
    def summary(self) -> pd.DataFrame:
        """One row per covariate.

        covariate, variable, kind (level, flag or number), level, reference, n and events (members with the level,
        or all), log_hazard_ratio, standard_error, hazard_ratio, low, high, z, p, penalised (held by a prior).
        """
        terms = self._design.terms
        value, error = self.params_.to_numpy().round(12), self.standard_errors_.to_numpy().round(12)
        half = half_width(error, self.confidence)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratio, low, high = np.exp([value, value - half, value + half])
            z = value / error
        return terms.assign(
            log_hazard_ratio=value, standard_error=error, hazard_ratio=ratio, low=low, high=high, z=z,
            p=2 * stats.norm.sf(np.abs(z)), penalised=self._fit.penalised,
        )  # fmt: skip

    def simultaneous(self, least: int) -> pd.DataFrame:
        """Return the summary of terms with at least `least` members, and intervals that hold for all of them at once.

        Adds simultaneous_low, simultaneous_high (each at level 1 - alpha / m for m terms, Bonferroni), p_bonferroni
        and clear (that interval leaves out one).
        """
        table = self.summary
        table = table[table["n"] >= least].reset_index(drop=True)
        tested, alpha = int(table["p"].notna().sum()), 1 - self.confidence
        half = half_width(table["standard_error"], 1 - alpha / max(tested, 1))
        with np.errstate(over="ignore"):
            table["simultaneous_low"] = np.exp(table["log_hazard_ratio"] - half)
            table["simultaneous_high"] = np.exp(table["log_hazard_ratio"] + half)
        table["p_bonferroni"] = (tested * table["p"]).clip(upper=1.0)
        return table.assign(clear=table["p_bonferroni"] < alpha)

    def _message(self) -> str:
        """Return what a reader has to know about the fit."""
        terms, fit, parts = self._design.terms["covariate"], self._fit, []
        if not self.events_:
            return say("No exit is on record.")
        for mask, text in (
            (fit.constant, "Left out, because members at risk together do not differ in it: {names}."),
            (~fit.kept & ~fit.constant, "Left out, because the other covariates determine it: {names}."),
            (
                fit.penalised,
                "The data set no bound to the effect of {names} (all with it left, or nobody did): held by a prior "
                "around no effect (standard deviation {sd} of the log hazard ratio), so only its sign means much.",
            ),
        ):
            if mask.any():
                parts.append(say(text, names=", ".join(terms[mask]), sd=number(PRIOR_STANDARD_DEVIATION)))
        if not self.converged_:
            parts.append(say("The fit did not converge: no result."))
        return " ".join(parts)


def arrays(table: pd.DataFrame, pattern: NDArray[np.int64]) -> Cells:
    """Return the cells as arrays."""
    return Cells(pattern, *(table[name].to_numpy(float) for name in COUNTED))
