"""How much longer do members stay? Accelerated failure time models, for where hazards are not proportional.

Weibull, log-normal and log-logistic by lifelines on cells with weights, where a weight is a number of members and
the likelihood a plain sum, so that it equals a fit to one row per member. The one with the lowest AIC (Akaike 1974)
is used. Tenure is in days, and what happens on a day is put at its middle: somebody who leaves on the day of
joining stayed half a day, and nobody stayed no time at all.

With clusters the models are fitted as if members were independent, which leaves the ratios consistent, and their
errors are those of the sandwich over clusters (:mod:`helpers.methods.retention.aft_scores`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lifelines import LogLogisticAFTFitter, LogNormalAFTFitter, WeibullAFTFitter
from lifelines.exceptions import ConvergenceError, StatError
from scipy import stats

from helpers.checks import check_confidence
from helpers.methods.retention.aft_scores import clustered_covariance, row_scores
from helpers.sentences import number, say
from helpers.stats.cox.design import check_cells, make_design
from helpers.stats.cox.fit import fit_cox
from helpers.stats.cox.model import FEWEST_CLUSTERS
from helpers.stats.cox.risk_sets import RiskSets
from helpers.stats.cox.words import joining_word, times, who

FITTERS: dict[str, tuple[Any, str]] = {
    "Weibull": (WeibullAFTFitter, "lambda_"),
    "log-normal": (LogNormalAFTFitter, "mu_"),
    "log-logistic": (LogLogisticAFTFitter, "alpha_"),
}
FEWEST_EXITS = 10
HALF_DAY = 0.5


@dataclass(frozen=True)
class TimeRatios:
    """The chosen model.

    Attributes
    ----------
    table : pandas.DataFrame
        covariate, variable, kind, level, reference, time_ratio (how many times as long members with it stay), low,
        high, p, n, events.
    models : pandas.DataFrame
        model, aic, log_likelihood, used; empty numbers for one that did not converge.
    model : str
        Name of the one used; empty when none converged or there was too little data.
    message : str
        What was left out or went wrong.
    n, events : int
        Members and exits.
    """

    table: pd.DataFrame
    models: pd.DataFrame
    model: str
    message: str
    n: int
    events: int

    @property
    def sentence(self) -> str:
        """Which model was used."""
        if not self.model:
            text = "How much longer members stay: too little data ({n} members, {events} left). {why}"
            return say(text, n=number(self.n), events=number(self.events), why=self.message).strip()
        text = (
            "Time ratios come from the {model} model, the best of {k} by AIC; {n} members, {events} left. Days are "
            "counted at their middle, so leaving on the first day is half a day. {why}"
        )
        values = {"model": self.model, "k": int(self.models["aic"].notna().sum())}
        return say(text, **values, n=number(self.n), events=number(self.events), why=self.message).strip()

    @property
    def sentences(self) -> list[str]:
        """One sentence per covariate."""
        return [_sentence(row) for row in self.table.to_dict("records")]


def time_ratios(
    cells: pd.DataFrame,
    covariates: Sequence[str],
    *,
    cluster: str | None = None,
    reference: Mapping[str, str] | None = None,
    confidence: float = 0.95,
) -> TimeRatios:
    """Fit the three models to cells and keep the best.

    Parameters
    ----------
    cells : pandas.DataFrame
        As for :class:`helpers.stats.cox.model.CoxModel`.
    covariates : sequence of str
        Columns that may matter.
    cluster : str, optional
        Column that says which cells belong together, as in the Cox model; fewer than 30 are too little data.
    reference : mapping of str to str, optional
        Level to compare with, by column.
    confidence : float
        Level of the intervals.
    """
    check_confidence(confidence)
    table = check_cells(cells, covariates, (), cluster)
    design = make_design(table, covariates, reference or {})
    n, events = int(table["n"].sum()), int(table["events"].sum())
    kept = _usable(table, design.matrix, design.pattern)
    names = [f"x{j}" for j in np.flatnonzero(kept)]
    left_out = design.terms.loc[~kept, "covariate"]
    message = say("Left out: {names}.", names=", ".join(left_out)) if len(left_out) else ""
    rows = _rows(table, design.matrix[:, kept][design.pattern], names, cluster)
    groups = rows["cluster"].nunique(dropna=False)
    enough = cluster is None or groups >= FEWEST_CLUSTERS
    if not enough:
        message = (message + " " + say("Only {n} clusters.", n=groups)).strip()
    fits = {}
    if events >= FEWEST_EXITS and names and enough:
        whole = _together(rows, names)
        fits = {name: _fit(fitter, whole, confidence) for name, (fitter, _) in FITTERS.items()}
    models = pd.DataFrame({"model": list(FITTERS)})
    models["aic"] = [float(fits[m].AIC_) if fits.get(m) is not None else np.nan for m in FITTERS]
    models["log_likelihood"] = [float(fits[m].log_likelihood_) if fits.get(m) else np.nan for m in FITTERS]
    best = str(models.loc[models["aic"].idxmin(), "model"]) if models["aic"].notna().any() else ""
    models["used"] = models["model"] == best
    found = _ratios(fits[best], FITTERS[best][1], names, kept) if best else _ratios(None, "", names, kept)
    if best and cluster is not None:
        found.loc[np.flatnonzero(kept)] = _clustered(fits[best], best, rows, names, confidence)
    terms = design.terms[["covariate", "variable", "kind", "level", "reference"]]
    result = pd.concat([terms, found, design.terms[["n", "events"]]], axis=1)
    return TimeRatios(result, models, best, message, n, events)


def _usable(table: pd.DataFrame, matrix: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Return which terms say something of their own and have a bounded effect, as the Cox model judges it."""
    n, exits, entry, last = (table[c].to_numpy(float) for c in ("n", "events", "entry_day", "tenure_day"))
    one = np.zeros(len(table), dtype=np.int64)
    fit = fit_cox(RiskSets(matrix, pattern, one, entry, last, n, exits))
    return fit.kept & ~fit.penalised


def _rows(table: pd.DataFrame, x: np.ndarray, names: Sequence[str], cluster: str | None) -> pd.DataFrame:
    """Return weighted rows: those who left and those who were last seen, apart; equal rows of a cluster together."""
    frame = pd.DataFrame(x, columns=list(names))
    frame["entry"] = table["entry_day"].to_numpy()
    frame["duration"] = table["tenure_day"].to_numpy() + HALF_DAY
    frame["cluster"] = 0 if cluster is None else table.groupby(cluster, dropna=False).ngroup().to_numpy()
    parts = [
        frame.assign(left=1, weight=table["events"].to_numpy()),
        frame.assign(left=0, weight=(table["n"] - table["events"]).to_numpy()),
    ]
    rows = pd.concat(parts)
    rows = rows[(rows["weight"] > 0) & (rows["entry"] < rows["duration"])]
    return _together(rows, [*names, "cluster"])


def _together(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return rows.groupby([*keys, "entry", "duration", "left"], sort=True)["weight"].sum().reset_index()


def _fit(fitter: Any, rows: pd.DataFrame, confidence: float) -> Any:
    """Fit one model; None when it does not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fitter(alpha=1 - confidence).fit(
                rows, "duration", event_col="left", weights_col="weight", entry_col="entry"
            )
        except (ConvergenceError, StatError, ValueError, np.linalg.LinAlgError):
            return None


def _ratios(fit: Any, parameter: str, names: Sequence[str], kept: np.ndarray) -> pd.DataFrame:
    columns = ("time_ratio", "low", "high", "p")
    found = pd.DataFrame(np.nan, index=range(len(kept)), columns=list(columns))
    if fit is not None:
        part = fit.summary.loc[parameter].loc[list(names)]
        bounds = [c for c in part.columns if str(c).startswith("exp(coef)")]
        found.loc[np.flatnonzero(kept)] = part[[*bounds, "p"]].to_numpy(float).round(10)
    return found


def _clustered(
    fit: Any, model: str, rows: pd.DataFrame, names: Sequence[str], confidence: float
) -> np.ndarray:
    """Return time_ratio, low, high and p by covariate with errors clustered; see ``aft_scores``."""
    order = [(FITTERS[model][1], name) for name in (*names, "Intercept")]
    order.append((next(key for key, _ in fit.params_.index if key != FITTERS[model][1]), "Intercept"))
    values = fit.params_.loc[order].to_numpy(float)
    design = np.column_stack([rows[list(names)].to_numpy(float), np.ones(len(rows))])
    scores = row_scores(rows, design, values[:-1], values[-1], model)
    bread = fit.variance_matrix_.loc[order, order].to_numpy(float)
    covariance = clustered_covariance(scores, rows["weight"].to_numpy(float), rows["cluster"], bread)
    value, error = (part[: len(names)] for part in (values, np.sqrt(np.diag(covariance))))
    freedom = rows["cluster"].nunique() - 1
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * error
    p = 2 * stats.t.sf(np.abs(value / error), freedom)
    return np.column_stack([np.exp(value), np.exp(value - half), np.exp(value + half), p]).round(10)


def _sentence(row: Mapping[Any, Any]) -> str:
    whom = who(row)
    values = {"who": whom[:1].upper() + whom[1:], "n": number(row["n"]), "events": number(row["events"])}
    if not all(np.isfinite(row[name]) for name in ("time_ratio", "low", "high")):
        return say("{who}: too little data (n = {n}, {events} left).", **values)
    values |= {"ratio": times(row["time_ratio"]), "low": times(row["low"]), "high": times(row["high"])}
    if row["kind"] == "level":
        text = (
            "{who} stay {ratio} times as long as those {word} {reference} ({low} to {high}), all else equal"
        )
    elif row["kind"] == "number":
        text = "{who}: members stay {ratio} times as long ({low} to {high}), all else equal"
    else:
        text = "{who} stay {ratio} times as long as the others ({low} to {high}), all else equal"
    clear = not row["low"] <= 1 <= row["high"]
    ending = "; association, not cause." if clear else ": no clear difference."
    return say(
        text + " (n = {n}, {events} left)" + ending,
        **values,
        word=joining_word(row),
        reference=row["reference"],
    )
