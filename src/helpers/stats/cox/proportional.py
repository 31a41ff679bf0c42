"""Does an effect on leaving last? The test of proportional hazards, and effects by tenure.

The test is that of Grambsch and Therneau (1994) on scaled Schoenfeld residuals, in the approximation that R used
until 2019 and lifelines uses, on the scale of exits: all exits of a day have their mean rank, so that no order of
rows matters. Residuals enter through their sum on each day, so it needs cells only.

"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.sentences import say
from helpers.stats.cox.model import CoxModel
from helpers.stats.estimate import holm
from helpers.stats.survival.cells import COUNTED, completed
from helpers.study import enough

FloatArray = NDArray[np.float64]

TENURE_BREAKS = (0, 7, 30, 90)


def proportional_hazards(model: CoxModel) -> pd.DataFrame:
    """Test whether each effect of a fitted model is the same at every tenure.

    Returns
    -------
    pandas.DataFrame
        covariate, statistic (chi-squared on one degree of freedom), p, p_holm (corrected for the number of
        covariates).
    """
    days, total = model.days_, model.days_.exits.sum()
    kept = model.params_.notna().to_numpy() & ~model.summary["penalised"].to_numpy(bool)
    statistic = np.full(len(kept), np.nan)
    if total >= enough.EXITS_OF_AN_EFFECT and kept.any() and days.exits.size > 1:
        rank = np.cumsum(days.exits) - (days.exits - 1) / 2
        centred = rank - np.sum(days.exits * rank) / total
        bread = model.covariance_[np.ix_(kept, kept)]
        drift = bread @ (centred @ days.residuals)[kept]
        statistic[kept] = drift**2 / np.diag(bread) * total / np.sum(days.exits * centred**2)
    p = stats.chi2.sf(statistic, 1)
    return pd.DataFrame({"covariate": model.params_.index, "statistic": statistic, "p": p, "p_holm": holm(p)})


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
        covariate, tenure_part, hazard_ratio, low, high, n (members at risk in the part), events; empty numbers
        where the data do not say.
    """
    split = split_by_tenure(cells, breaks)
    columns, rows = {}, []
    for term in model.summary[model.summary["variable"] == variable].to_dict("records"):
        value = split[variable] == term["level"] if term["kind"] == "level" else split[variable]
        for part in dict.fromkeys(split["tenure_part"]):
            name = f"{term['covariate']}, {part}"
            columns[name] = value.astype(float) * (split["tenure_part"] == part)
            rows.append((term["covariate"], part, name))
    others = [name for name in model.covariates if name != variable]
    split = pd.concat([split, pd.DataFrame(columns, index=split.index)], axis=1)
    found = CoxModel([*others, *columns], confidence=model.confidence).fit(split).summary
    found = found.set_index("covariate")
    numbers = found[["hazard_ratio", "low", "high"]].where(~found["penalised"]).join(found[["n", "events"]])
    table = pd.DataFrame(rows, columns=["covariate", "tenure_part", "name"])
    return table.join(numbers, on="name").drop(columns="name")
