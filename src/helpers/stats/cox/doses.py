"""What doses of an exposure do to leaving, each against the lowest one that enough exits are known of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from helpers.stats.cox.model import CoxModel
from helpers.stats.estimate import holm
from helpers.study import enough

COLUMNS = ("first", "dose", "reference", "hazard_ratio", "low", "high", "p", "p_holm", "n", "events")


def dose_effects(
    cells: pd.DataFrame, model: CoxModel, exposure: str, doses: Mapping[int, str]
) -> pd.DataFrame:
    """Return the effects of doses, from a model in which they stand for the number itself.

    Parameters
    ----------
    cells : pandas.DataFrame
        What `model` was fitted to.
    model : CoxModel
        With the number as one of its covariates; the others are held constant here too.
    exposure : str
        That covariate.
    doses : mapping of int to str
        Name of each dose by its smallest number.

    Returns
    -------
    pandas.DataFrame
        first (smallest number), dose, reference, hazard_ratio, low, high, p, p_holm (corrected for
        their number), n, events; empty when enough exits are known of fewer than two doses.
    """
    dose = pd.cut(cells[exposure], [*doses, np.inf], right=False, labels=list(doses.values()))
    exits = cells["events"].groupby(dose, observed=False).sum()
    known = exits.index[exits >= enough.EXITS_OF_AN_EFFECT].tolist()
    if len(known) < 2:
        return pd.DataFrame(columns=COLUMNS)
    covariates = [*(name for name in model.covariates if name != exposure), "dose"]
    fitted = CoxModel(covariates, reference={"dose": known[0]}, confidence=model.confidence)
    table = fitted.fit(cells.assign(dose=dose.astype(str))).summary
    table = table[table["variable"] == "dose"]
    first = table["level"].map({text: edge for edge, text in doses.items()})
    p_holm = holm(table["p"].where(~table["penalised"]))
    table = table.assign(first=first, dose=table["level"], p_holm=p_holm)
    return table.sort_values("first", ignore_index=True)[list(COLUMNS)]


def harmful_from(effects: pd.DataFrame, doses: Mapping[int, str], level: float) -> int | None:
    """Return the smallest dose above the reference that is clearly worse, with every one above no better than it."""
    reference = effects["reference"].map({text: edge for edge, text in doses.items()})
    higher = effects[effects["first"] > reference].dropna(subset=["hazard_ratio"])
    worse = (higher["hazard_ratio"] > 1)[::-1].cummin()[::-1] & (higher["p_holm"] < level)
    return int(higher.loc[worse, "first"].min()) if worse.any() else None
