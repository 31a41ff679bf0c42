"""How far credit depends on choices nobody can prove right: the window, and touches that are not seen."""

from __future__ import annotations

from dataclasses import replace

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import md5
from helpers.methods.attribution.heuristics import rules
from helpers.methods.attribution.journeys import Journeys, journeys
from helpers.methods.attribution.markov import markov

WINDOWS = (7, 14, 30)
# Share of touches that is taken away to see what their loss does.
LOST = 0.3
COMPARED = ("last", "markov")


def robustness(found: Journeys, order: int = 1) -> pd.DataFrame:
    """Return the credit of each channel under other windows, and without some of the touches.

    Parameters
    ----------
    found : Journeys
        Journeys as they are asked for.
    order : int
        Order of the Markov chain.

    Returns
    -------
    pandas.DataFrame
        channel, model (of `COMPARED`), then the share of credit: asked, days_7, days_14, days_30, and lost (with
        `LOST` of the touches taken away at random); first_rank, last_rank (best and worst rank over all of them).
    """
    study, how = found.study, found.definition
    cases = {"asked": found}
    cases |= {f"days_{days}": journeys(study, replace(how, lookback_days=days)) for days in WINDOWS}
    touches, key = study.dataset.touchpoints, ibis.literal(f"{study.seed} ") + "lost" + " "
    kept = md5(key + touches.touch_id.cast("string")) >= f"{round(LOST * 16**8):08x}"
    less = study.dataset.replace(touchpoints=touches.filter(kept))
    cases["lost"] = journeys(replace(study, dataset=less), how)
    table = pd.concat({case: _shares(each, order) for case, each in cases.items()}, axis=1).fillna(0.0)
    ranks = table.groupby("model").rank(ascending=False, method="first").astype(int)
    table = table.assign(first_rank=ranks.min(axis=1), last_rank=ranks.max(axis=1)).reset_index()
    return table.sort_values(["model", "asked"], ascending=[True, False], ignore_index=True)


def _shares(found: Journeys, order: int) -> pd.Series:
    """Return the share of credit by channel and model."""
    h = found.histories
    models = {"last": rules(h)["last"], "markov": markov(h, order)}
    given = {name: sums.of(h.members)[0] for name, sums in models.items()}
    credit = pd.DataFrame(given, index=list(h.channels))
    credit = credit.rename_axis(index="channel", columns="model") / credit.sum().clip(lower=1)
    return pd.Series(credit.stack())


def decide(table: pd.DataFrame, goal: float) -> pd.Series:
    """Return one rule of ``rules.yml`` for each channel.

    Only what a lift test has measured decides about money; among the others the one with the most spend and credit
    that is not certain is to be tested next.

    Parameters
    ----------
    table : pandas.DataFrame
        channel, tested (bool), roas_low, roas_high (added sales per spend; missing where the spend is not known),
        last (orders by last click), high (orders added), stake (money that the answer is about).
    goal : float
        Least return per cost.
    """
    waiting = table.loc[~table["tested"], "stake"].dropna()
    following = waiting.idxmax() if len(waiting) else None
    cases = [
        (~table["tested"] & (table.index == following), "test_next"),
        (~table["tested"], "wait"),
        (table["roas_low"] >= goal, "grow"),
        (table["roas_high"] < goal, "shrink"),
        (table["last"] > table["high"], "last_click"),
    ]
    conditions, names = zip(*cases, strict=True)
    return pd.Series(np.select(conditions, names, "hold"), table.index)
