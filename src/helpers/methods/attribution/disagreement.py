"""How far credit depends on choices nobody can prove right: the window, and touches that are not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from helpers.data.source import md5
from helpers.methods.attribution.heuristics import rules
from helpers.methods.attribution.journeys import Journeys, journeys
from helpers.methods.attribution.markov import markov

WINDOWS = (7, 14, 30)
LOST = 0.3
"""Share of touches that is taken away to see what their loss does."""
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
    cases = {"asked": found}
    cases |= {f"days_{days}": again(found, lookback_days=days) for days in WINDOWS}
    touches, seed = found.study.dataset.touchpoints, found.study.seed
    kept = md5(f"{seed} lost " + touches.touch_id.cast("string")) >= f"{round(LOST * 16**8):08x}"
    less = found.study.dataset.replace(touchpoints=touches.filter(kept))
    cases["lost"] = journeys(replace(found.study, dataset=less), found.definition)
    parts = [_shares(each, order).assign(case=case) for case, each in cases.items()]
    table = pd.concat(parts).pivot(index=["channel", "model"], columns="case", values="share").fillna(0.0)
    ranks = table.groupby("model").rank(ascending=False, method="first").astype(int)
    table = table[list(cases)].assign(first_rank=ranks.min(axis=1), last_rank=ranks.max(axis=1))
    return table.reset_index().sort_values(["model", "asked"], ascending=[True, False], ignore_index=True)


def again(found: Journeys, lookback_days: int) -> Journeys:
    """Return the same journeys with another lookback."""
    return journeys(found.study, replace(found.definition, lookback_days=lookback_days))


def _shares(found: Journeys, order: int) -> pd.DataFrame:
    """Return channel, model and share of credit."""
    histories = found.histories
    named = {"last": rules(histories)["last"], "markov": markov(histories, order)}
    parts = []
    for model, sums in named.items():
        credit = sums.of(histories.members)[0]
        parts.append(
            pd.DataFrame(
                {"channel": histories.channels, "model": model, "share": credit / max(credit.sum(), 1)}
            )
        )
    return pd.concat(parts)


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
    waiting = table.loc[~table["tested"], "stake"]
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
