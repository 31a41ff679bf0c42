"""Does an effect on leaving last? The test of proportional hazards, and effects by tenure.

The test is that of Grambsch and Therneau (1994) on scaled Schoenfeld residuals, in the approximation that R used
until 2019 and lifelines uses, on the scale of exits: all exits of a day have their mean rank, so that no order of
rows matters. Residuals enter through their sum on each day, so it needs cells only.

"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.checks import checked
from helpers.sentences import say
from helpers.stats.cox.model import CoxModel
from helpers.stats.estimate import holm
from helpers.stats.survival.cells import COUNTED, completed
from helpers.study import enough
from helpers.study.frames import NOT_STATED

FloatArray = NDArray[np.float64]

TENURE_BREAKS = (0, 7, 30, 90)
OF_A_TERM = ("covariate", "variable", "kind", "level", "reference")


@dataclass(frozen=True)
class Proportionality:
    """Result of the test.

    Attributes
    ----------
    table : pandas.DataFrame
        covariate, statistic (chi-squared with one degree of freedom), p, p_holm (corrected for the number of
        covariates), n (exits).
    level : float
        Corrected p below which an effect is called unsteady.
    """

    table: pd.DataFrame
    level: float

    @property
    def unsteady(self) -> list[str]:
        """Covariates whose effect changes with tenure."""
        return self.table.loc[self.table["p_holm"] < self.level, "covariate"].tolist()


def proportional_hazards(model: CoxModel, *, level: float = 0.05) -> Proportionality:
    """Test whether each effect of a fitted model is the same at every tenure.

    Parameters
    ----------
    model : CoxModel
        Fitted.
    level : float
        Corrected p-value below which the effect is called unsteady.
    """
    names, exits = [str(name) for name in model.covariance_.index], model.schoenfeld["exits"].to_numpy(float)
    total = int(exits.sum())
    kept = model.params_.notna().to_numpy() & ~model.summary["penalised"].to_numpy(bool)
    statistic = np.full(len(names), np.nan)
    if total >= enough.EXITS_OF_AN_EFFECT and kept.any() and exits.size > 1:
        rank = np.cumsum(exits) - (exits - 1) / 2
        centred = rank - np.sum(exits * rank) / total
        spread = float(np.sum(exits * centred**2))
        bread = model.covariance_.to_numpy()[np.ix_(kept, kept)]
        residuals = model.schoenfeld[model.covariance_.index].to_numpy(float)
        drift = bread @ (centred @ residuals)[kept]
        statistic[kept] = drift**2 / np.diag(bread * spread / total)
    p = stats.chi2.sf(statistic, 1)
    table = pd.DataFrame({"covariate": names, "statistic": statistic, "p": p, "p_holm": holm(p), "n": total})
    return Proportionality(table, level)


def split_by_tenure(cells: pd.DataFrame, breaks: Sequence[int] = TENURE_BREAKS) -> pd.DataFrame:
    """Cut cells at tenure days: every part has its own entry_day, and its exits stand in the last.

    Parameters
    ----------
    cells : pandas.DataFrame
        With tenure_day and events; entry_day is 0 when absent, n is 1.
    breaks : sequence of int
        First day of each part, from 0.

    Returns
    -------
    pandas.DataFrame
        The cells with tenure_part (``days 0–6``, …, ``day 90 on``).
    """
    others = [name for name in cells.columns if name not in COUNTED]
    table = completed(cells, others)
    parts = []
    for first, after in zip(breaks, [*breaks[1:], np.inf], strict=True):
        inside = table[(table["entry_day"] < after) & (table["tenure_day"] >= first)]
        ends = inside["tenure_day"] < after
        text = "day {first} on" if np.isinf(after) else "days {first}–{last}"
        parts.append(
            inside.assign(
                tenure_part=say(text, first=first, last=after - 1),
                entry_day=inside["entry_day"].clip(lower=first),
                tenure_day=inside["tenure_day"].clip(upper=after - 1),
                events=inside["events"].where(ends, 0),
            )
        )
    return pd.concat(parts, ignore_index=True)


def tenure_effects(
    cells: pd.DataFrame, model: CoxModel, variable: str, *, breaks: Sequence[int] = TENURE_BREAKS
) -> pd.DataFrame:
    """Return the hazard ratios of one characteristic in each part of tenure, others held constant throughout.

    Parameters
    ----------
    cells : pandas.DataFrame
        The cells of the model.
    model : CoxModel
        Fitted to them; its covariates and confidence are kept.
    variable : str
        One of its covariates.
    breaks : sequence of int
        First tenure day of each part.

    Returns
    -------
    pandas.DataFrame
        covariate, variable, kind, level, reference, tenure_part, hazard_ratio, low, high, p, n (members at risk in
        the part), events; empty numbers where the data do not say.
    """
    checked(variable, "variable", in_=model.covariates)
    split = split_by_tenure(cells, breaks)
    columns, rows = {}, []
    for term in model.summary[model.summary["variable"] == variable].to_dict("records"):
        text = split[variable].astype(object).where(split[variable].notna(), NOT_STATED).astype(str)
        value = (text == term["level"]) if term["kind"] == "level" else split[variable]
        for part in dict.fromkeys(split["tenure_part"]):
            name = f"{term['covariate']}, {part}"
            columns[name] = value.astype(float) * (split["tenure_part"] == part)
            rows.append({**{key: term[key] for key in OF_A_TERM}, "tenure_part": part, "name": name})
    fitted = CoxModel(
        [*(name for name in model.covariates if name != variable), *columns], confidence=model.confidence
    ).fit(pd.concat([split, pd.DataFrame(columns, index=split.index)], axis=1))
    found = fitted.summary.set_index("covariate")
    numbers = found[["hazard_ratio", "low", "high", "p"]].where(~found["penalised"])
    table = pd.DataFrame(rows, columns=[*OF_A_TERM, "tenure_part", "name"])
    return table.join(numbers.join(found[["n", "events"]]), on="name").drop(columns="name")
