"""The ledger: what each statement changed, and which test would tell most."""

from __future__ import annotations

import pandas as pd

from helpers.methods.budget.engine import Fit, fit


def ledger(found: Fit, seed: int = 0) -> pd.DataFrame:
    """Return what each statement changed: the fit with all of them beside the one without it.

    Returns
    -------
    pandas.DataFrame
        One row per statement: evidence_id, line, estimand, kind, stated, value, se (as it entered), report; says
        (what the model says of the same thing, mean, with all statements); without, without_se, with, with_se (mean
        weekly contribution of the line and its standard deviation).
    """
    rows = []
    for each in found.evidence:
        others = tuple(one for one in found.evidence if one is not each)
        before = fit(found.weekly, others, seed).contribution(each.line).mean(axis=1)
        after = found.contribution(each.line).mean(axis=1)
        says = each.of(found.curves[each.line], found.weekly.spend[each.line].to_numpy(float)).mean()
        stated = {
            name: getattr(each, name)
            for name in ("evidence_id", "line", "estimand", "kind", "stated", "value", "se", "report")
        }
        moved = {
            "without": before.mean(),
            "without_se": before.std(),
            "with": after.mean(),
            "with_se": after.std(),
        }
        rows.append(stated | {"says": says} | moved)
    return pd.DataFrame(rows)
