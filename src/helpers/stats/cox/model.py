"""Who leaves faster: the Cox model with Efron's ties, exact from grouped cells.

What comes out equals a fit to one row per member (Cox 1972, Efron 1977), because members with equal covariates,
entry and last day are alike to the likelihood; see :mod:`helpers.stats.cox.risk_sets`. A fit to few or
odd data is a result like any other: `message_` says what was left out or held, and why.

Days: a member is at risk on tenure day t when entry_day <= t <= tenure_day. entry_day is the first day on which
leaving would have been seen: 0 from joining, or the tenure on the first observed day.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import check_confidence
from helpers.sentences import number, say
from helpers.stats.cox.design import check_cells, make_design
from helpers.stats.cox.fit import PRIOR_STANDARD_DEVIATION, CoxFit, fit_cox
from helpers.stats.cox.residuals import CellArrays, concordance, meat, score_residuals
from helpers.stats.cox.risk_sets import RiskSets
from helpers.stats.cox.words import hazard_sentence
from helpers.study import enough
from helpers.tables import html_table

FloatArray = NDArray[np.float64]

# Fewer clusters than this make a sandwich that is too narrow.
FEWEST_CLUSTERS = enough.CLUSTERS


class CoxModel:
    """The Cox model as an estimator.

    Parameters
    ----------
    covariates : sequence of str
        Columns of the cells. Flags and numbers enter as they are, anything else as levels against a reference.
    strata : sequence of str
        Columns whose combinations have a baseline hazard of their own.
    cluster : str, optional
        Column that says which cells belong together (member, group): standard errors are then those of the
        sandwich over clusters. ``robust=True`` without it makes every member of a cell a cluster.
    reference : mapping of str to str, optional
        Level that others are compared with, by column; by default the one with the most members.
    robust : bool
        Whether standard errors are those of the sandwich.
    confidence : float
        Level of the intervals.

    Attributes
    ----------
    n_, events_ : int
        Members (or episodes of them) and exits in the cells.
    log_likelihood_, null_log_likelihood_ : float
        Log partial likelihood at the maximum, and without covariates.
    concordance_, pairs_ : float
        Harrell's C over the pairs of the members fitted to, which flatters the model (see
        :mod:`helpers.stats.cox.folds`), and how many these are.
    converged_ : bool
        Whether the maximum was found.
    message_ : str
        What was left out, held or not found; empty when nothing was.
    covariance_ : pandas.DataFrame
        Of the log hazard ratios, by covariate.
    """

    def __init__(
        self,
        covariates: Sequence[str],
        *,
        strata: Sequence[str] = (),
        cluster: str | None = None,
        reference: Mapping[str, str] | None = None,
        robust: bool = False,
        confidence: float = 0.95,
    ) -> None:
        self.covariates, self.strata, self.cluster = tuple(covariates), tuple(strata), cluster
        self.reference, self.robust = dict(reference or {}), robust or cluster is not None
        self.confidence = check_confidence(confidence)

    def fit(self, cells: pd.DataFrame) -> Self:
        """Fit by maximum partial likelihood; never fails on few or odd data, but says so in `message_`.

        Parameters
        ----------
        cells : pandas.DataFrame
            One row per cell: the covariates, entry_day (0 when absent), tenure_day (last day seen), n (members;
            1 when absent), events (how many left on that day).

        Raises
        ------
        BadParameters
            When a column is missing.
        BadData
            When a day or a count is impossible, or a number is missing.
        """
        table = check_cells(cells, self.covariates, self.strata, self.cluster)
        self._design = make_design(table, self.covariates, self.reference)
        names = pd.Index(self._design.terms["covariate"], name="covariate")
        self._cells = _arrays(table, self._design.pattern, self.strata)
        self._cluster = _numbers(table, self.cluster)
        self.stratum_names_ = _stratum_names(table, self.strata)
        self.n_, self.events_ = int(table["n"].sum()), int(table["events"].sum())
        self._centre = _centre(self._design.matrix, self._design.pattern, table["n"].to_numpy())
        self._risk_sets = RiskSets(self._design.matrix - self._centre, *self._cells)
        self._fit: CoxFit = fit_cox(self._risk_sets)
        self.converged_ = self._fit.converged
        self.log_likelihood_, self.null_log_likelihood_ = self._fit.value, self._fit.null_value
        self._beta = np.nan_to_num(self._fit.beta)
        self._days = self._risk_sets.days(self._beta)
        covariance = self._sandwich() if self.robust else self._fit.covariance
        self.covariance_ = pd.DataFrame(covariance, index=names, columns=names)
        self.concordance_, self.pairs_ = concordance(self._risk_sets, self._beta)
        self.message_ = self._message()
        return self

    def _sandwich(self) -> FloatArray:
        stayed, left = score_residuals(self._risk_sets.design, self._beta, self._days, self._cells)
        kept = self._fit.kept
        bread = np.nan_to_num(self._fit.covariance)
        filling: FloatArray = meat(stayed, left, self._cells, self._cluster)
        found: FloatArray = bread.dot(filling).dot(bread)
        found[~kept] = found[:, ~kept] = np.nan
        return found if self.converged_ else np.full_like(found, np.nan)

    def drift(self, weight: FloatArray) -> tuple[FloatArray, FloatArray, int]:
        """Return the score of effects that grow with a weight of the days, its sandwich, and the clusters behind it.

        The score is that of x * weight added to the model, at its maximum: the weighted sum of the Schoenfeld
        residuals (Lin 1991). What the estimate of the effects themselves takes from it is taken from each
        cluster's part too (Lin and Wei 1989), so the sandwich holds for members who are not independent.

        Parameters
        ----------
        weight : ndarray, shape (days,)
            One for each row of :attr:`schoenfeld`.

        Returns
        -------
        score : ndarray, shape (k,)
        covariance : ndarray, shape (k, k)
        clusters : int
            Without `cluster` every member is one.
        """
        weighted = self._risk_sets.derivatives(self._beta, weight)
        taken = np.nan_to_num(self._fit.covariance) @ weighted.information
        design = self._risk_sets.design
        parts = [score_residuals(design, self._beta, self._days, self._cells, by) for by in (weight, None)]
        stayed, left = (own - plain @ taken for own, plain in zip(*parts, strict=True))
        groups = self.n_ if self._cluster is None else int(self._cluster.max(initial=-1)) + 1
        return weighted.gradient, meat(stayed, left, self._cells, self._cluster), groups

    @property
    def params_(self) -> pd.Series:
        """Log hazard ratio by covariate; NaN where it could not be estimated."""
        values = self._fit.beta if self.converged_ else np.full_like(self._fit.beta, np.nan)
        return pd.Series(values, index=self.covariance_.index, name="log_hazard_ratio")

    @property
    def standard_errors_(self) -> pd.Series:
        """Standard error of the log hazard ratio by covariate."""
        with np.errstate(invalid="ignore"):
            values = np.sqrt(np.diag(self.covariance_.to_numpy()))
        return pd.Series(values, index=self.covariance_.index, name="standard_error")

    @property
    def naive_covariance(self) -> pd.DataFrame:
        """Inverse information, whatever the standard errors are made of."""
        names = self.covariance_.index
        return pd.DataFrame(self._fit.covariance, index=names, columns=names)

    def at_risk(self, days: FloatArray) -> FloatArray:
        """Return how many members, of all strata, are at risk on each tenure day."""
        cells = self._cells
        seen = cells.entry <= cells.last
        come, gone = (np.argsort(edge[seen], kind="stable") for edge in (cells.entry, cells.last))
        entered = np.concatenate([[0.0], np.cumsum(cells.n[seen][come])])
        ended = np.concatenate([[0.0], np.cumsum(cells.n[seen][gone])])
        in_by = np.searchsorted(cells.entry[seen][come], days, "right")
        out_before = np.searchsorted(cells.last[seen][gone], days, "left")
        return entered[in_by] - ended[out_before]

    @property
    def likelihood_ratio_(self) -> pd.Series:
        """Test of all covariates together: statistic, degrees_of_freedom, p."""
        freedom = int(self._fit.kept.sum())
        statistic = 2 * (self.log_likelihood_ - self.null_log_likelihood_) if freedom else np.nan
        p = float(stats.chi2.sf(statistic, freedom)) if freedom else np.nan
        return pd.Series({"statistic": statistic, "degrees_of_freedom": freedom, "p": p})

    @property
    def summary(self) -> pd.DataFrame:
        """One row per covariate.

        covariate, variable, kind (level, flag or number), level, reference, log_hazard_ratio, standard_error,
        hazard_ratio, low, high, z, p, n and events (members with the level, or all), penalised (held by a prior).
        """
        table = self._design.terms.copy()
        value, error = self.params_.to_numpy().round(12), self.standard_errors_.to_numpy().round(12)
        half = stats.norm.ppf(0.5 + self.confidence / 2) * error
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            columns = {
                "log_hazard_ratio": value,
                "standard_error": error,
                "hazard_ratio": np.exp(value),
                "low": np.exp(value - half),
                "high": np.exp(value + half),
                "z": value / error,
                "p": 2 * stats.norm.sf(np.abs(value / error)),
            }
        for position, (name, column) in enumerate(columns.items()):
            table.insert(5 + position, name, column)
        return table.assign(penalised=self._fit.penalised)

    @property
    def baseline(self) -> pd.DataFrame:
        """Hazard of a member at the reference level of everything and 0 of every number (Breslow's estimate).

        stratum, tenure_day, hazard, cumulative_hazard, survival, at_risk, events; one row per day with exits.
        """
        days, shift = self._days, float(np.exp(self._centre @ self._beta))
        hazard = days.exits / days.relative_risk * (1 / shift)
        table = pd.DataFrame(
            {
                "stratum": [self.stratum_names_[number] for number in days.stratum],
                "tenure_day": days.day,
                "hazard": hazard,
                "at_risk": days.at_risk.round().astype("int64"),
                "events": days.exits.round().astype("int64"),
            }
        )
        cumulative = table.groupby("stratum", sort=False)["hazard"].cumsum()
        table.insert(3, "cumulative_hazard", cumulative)
        table.insert(4, "survival", np.exp(-cumulative))
        return table

    @property
    def schoenfeld(self) -> pd.DataFrame:
        """Sum of the Schoenfeld residuals of each day: stratum, tenure_day, exits, then one column a covariate."""
        days = self._days
        residuals = days.exit_sum - days.exits[:, None] * days.mean
        table = pd.DataFrame(residuals, columns=self.covariance_.index)
        table.insert(0, "stratum", days.stratum)
        table.insert(1, "tenure_day", days.day)
        table.insert(2, "exits", days.exits)
        return table

    def _message(self) -> str:
        """Return what a reader has to know about the fit."""
        terms, fit, parts = self._design.terms["covariate"], self._fit, []
        if not self.events_:
            return say("Nobody left.")
        if self._risk_sets.never:
            text = "{n} members were gone before they could be observed and are in no risk set."
            parts.append(say(text, n=number(self._risk_sets.never)))
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
            parts.append(say("The fit did not converge in {n} steps: no result.", n=fit.steps))
        groups = 0 if self._cluster is None else int(self._cluster.max(initial=-1)) + 1
        if self._cluster is not None and groups < FEWEST_CLUSTERS:
            parts.append(say("Only {n} clusters: the intervals are too narrow.", n=groups))
        return " ".join(parts)

    @property
    def sentences(self) -> list[str]:
        """One plain sentence per covariate."""
        return [hazard_sentence(row) for row in self.summary.to_dict("records")]

    @property
    def sentence(self) -> str:
        """What was fitted and how well it tells members apart."""
        if not self.events_ or not self.converged_ or not self._fit.kept.any():
            text = "What drives leaving among {n} members ({events} left): too little data. {why}"
            return say(text, n=number(self.n_), events=number(self.events_), why=self.message_).strip()
        test = self.likelihood_ratio_
        text = (
            "{k} characteristics of {n} observations with {events} exits were compared, all else equal. Of two "
            "members it was fitted to, the model names the one who leaves first in {c} of 100 cases (50 is chance; "
            "a fit to noise reaches more on its own members). {why}"
        )
        values = {"k": int(test["degrees_of_freedom"]), "n": number(self.n_), "events": number(self.events_)}
        return say(text, **values, c=number(100 * self.concordance_, 0), why=self.message_).strip()

    def _repr_html_(self) -> str:
        caption = say("Hazard ratios of leaving, {n} observations.", n=number(self.n_))
        return f"{html_table(self.summary, caption)}<p>{html.escape(self.sentence)}</p>"


def _arrays(table: pd.DataFrame, pattern: NDArray[np.int64], strata: Sequence[str]) -> CellArrays:
    """Return the cells as arrays."""
    if strata:
        stratum = table.groupby(list(strata), sort=True, dropna=False).ngroup().to_numpy().astype(np.int64)
    else:
        stratum = np.zeros(len(table), dtype=np.int64)
    entry, last, n, exits = (table[c].to_numpy(float) for c in ("entry_day", "tenure_day", "n", "events"))
    return CellArrays(pattern, stratum, entry, last, n, exits)


def _numbers(table: pd.DataFrame, column: str | None) -> NDArray[np.int64] | None:
    """Return the number of each cell's cluster; nothing without clusters."""
    if column is None:
        return None
    return table.groupby(column, dropna=False).ngroup().to_numpy().astype(np.int64)


def _stratum_names(table: pd.DataFrame, strata: Sequence[str]) -> list[str]:
    """Return the name of each stratum, in the order of their numbers."""
    if not strata:
        return [say("all")]
    keys = table.groupby(list(strata), sort=True, dropna=False).size().index
    return [", ".join(map(str, key)) if isinstance(key, tuple) else str(key) for key in keys]


def _centre(matrix: FloatArray, pattern: NDArray[np.int64], n: FloatArray) -> FloatArray:
    """Return the mean of each covariate, from which it is measured so that sums of squares lose no digits."""
    weight = np.bincount(pattern, n, len(matrix))
    total = weight.sum()
    return (weight[:, None] * matrix).sum(axis=0) / total if total else np.zeros(matrix.shape[1])
