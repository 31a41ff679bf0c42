"""What channels cost and return: spend as it is billed, cost per conversion, return on spend against its goal.

Spend is that of the days whose conversions count, each row of the ledger once: the ad reports, by the platform of a
channel's touches, shared over the channels of a platform by their touches; or, where touches name no platform that is
in the reports, the costs of touches themselves. Spend on a platform without touches stays a row of its own, so that
the sum is what was billed.
"""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.data.fingerprint import check_currency
from helpers.errors import MissingTable
from helpers.methods.attribution.journeys import DECIMALS, Journeys
from helpers.methods.attribution.uncertainty import Credit
from helpers.study.activity import currencies

GOAL = 4.0
"""Least return per cost: 1 to 4."""


def money(journeys: Journeys, credit: Credit, model: str, margin: float = 1.0) -> pd.DataFrame:
    """Return what channels cost and return by one model.

    Parameters
    ----------
    journeys : Journeys
        Their window is that of the spend.
    credit : Credit
        Of these journeys.
    model : str
        One of its models.
    margin : float
        Share of sales that counts as return, above 0; 1 for sales as they are.

    Returns
    -------
    pandas.DataFrame
        One row per channel, and per platform whose spend no touch shows: node, spend, conversions, value (times the
        margin), cpa, cpa_low, cpa_high, roas, roas_low, roas_high, p_goal (probability of a return of at least
        `GOAL`), n. What costs nothing on record has no spend, and no return on it.

    Raises
    ------
    MissingTable
        When nothing says what was spent.
    BadParameters
        When money is in several currencies.
    """
    check_scalar(margin, "margin", gt=0, le=1)
    own = credit.table[credit.table["model"] == model].set_index("node")
    found = pd.DataFrame({"spend": spend(journeys)}).join(own[["conversions", "value", "n"]], how="outer")
    found["value"] *= margin
    confidence = journeys.study.confidence
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    drawn = {name: credit.draws[model][:, :, n] for n, name in enumerate(credit.channels)}
    rows: list[dict[str, float]] = []
    for name, row in found.iterrows():
        paid, draws = row["spend"], drawn.get(str(name))
        if not paid > 0 or draws is None:
            rows.append({})
            continue
        with np.errstate(divide="ignore"):
            cost, back = paid / draws[:, 0], draws[:, 1] * margin / paid
            cpa, roas = paid / np.float64(row["conversions"]), row["value"] / paid
        (cpa_low, cpa_high), (low, high) = (
            np.quantile(each, tails, method="nearest") for each in (cost, back)
        )
        rows.append({
            "cpa": cpa, "cpa_low": min(cpa_low, cpa), "cpa_high": max(cpa_high, cpa),
            "roas": roas, "roas_low": min(low, roas), "roas_high": max(high, roas), "p_goal": (back >= GOAL).mean(),
        })  # fmt: skip
    numbers = ["cpa", "cpa_low", "cpa_high", "roas", "roas_low", "roas_high", "p_goal"]
    return (
        found.join(pd.DataFrame(rows, index=found.index, columns=numbers)).rename_axis("node").reset_index()
    )


def spend(journeys: Journeys) -> pd.Series:
    """Return what was spent on the days whose conversions count, by channel, and by platform where no touch is."""
    study, touches = journeys.study, journeys.touches.filter("in_window")
    if "ad_daily" in study.dataset and "platform" in touches.columns:
        billed = _billed(journeys)
        met = touches.select("platform", "channel").value_counts(name="n").to_pandas().dropna()
        if met["platform"].isin(billed.index).any():
            check_currency({"ad_daily": currencies(study.dataset, "ad_daily")}, study.currency)
            share = met["n"] / met.groupby("platform")["n"].transform("sum")
            parts = (share * met["platform"].map(billed)).groupby(met["channel"]).sum(min_count=1)
            unseen = billed[~billed.index.isin(met["platform"])]
            return pd.concat([parts.dropna(), unseen]).sort_index().round(DECIMALS)
    if "cost" not in touches.columns:
        raise MissingTable("nothing says what was spent: neither ad_daily by platform nor touchpoints.cost")
    check_currency({"touchpoints": currencies(study.dataset, "touchpoints")}, study.currency)
    found = touches.group_by("channel").agg(spend=touches.cost.sum()).to_pandas()
    return found.dropna().set_index("channel")["spend"].sort_index().round(DECIMALS)


def _billed(journeys: Journeys) -> pd.Series:
    """Return the spend of the ad reports by platform."""
    ads, last = journeys.study.dataset["ad_daily"], journeys.study.as_of
    first = last - dt.timedelta(days=journeys.definition.window_days or 36_500)
    ads = ads.filter(ads.date > ibis.date(first), ads.date <= ibis.date(last))
    return ads.group_by("platform").agg(spend=ads.cost.sum()).to_pandas().set_index("platform")["spend"]
