"""What channels cost: spend as it is billed.

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

from helpers.data.fingerprint import check_currency
from helpers.errors import MissingTable
from helpers.methods.attribution.journeys import DECIMALS, Journeys
from helpers.sentences import say
from helpers.study.activity import currencies

# Least return per cost: 1 to 4.
GOAL = 4.0


def spend(journeys: Journeys) -> pd.Series:
    """Return what was spent on the days whose conversions count, by channel, and by platform where no touch is.

    Raises
    ------
    MissingTable
        When nothing says what was spent.
    BadParameters
        When money is in several currencies.
    """
    study, touches = journeys.study, journeys.touches.filter("in_window")
    if "ad_daily" in study.dataset and "platform" in touches.columns:
        billed = _billed(journeys)
        met = touches.select("platform", "channel").value_counts(name="n").to_pandas().dropna()
        if met["platform"].isin(billed.index).any():
            check_currency({"ad_daily": currencies(study.dataset, "ad_daily")}, study.currency)
            share = met["n"] / met.groupby("platform")["n"].transform("sum")
            parts = (share * met["platform"].map(billed)).groupby(met["channel"]).sum(min_count=1)
            unseen = billed[~billed.index.isin(met["platform"])]
            return np.round(pd.concat([parts.dropna(), unseen]).sort_index(), DECIMALS)
    if "cost" not in touches.columns:
        raise MissingTable(
            say("nothing says what was spent: neither ad_daily by platform nor touchpoints.cost")
        )
    check_currency({"touchpoints": currencies(study.dataset, "touchpoints")}, study.currency)
    found = touches.group_by("channel").agg(spend=touches.cost.sum()).to_pandas()
    return np.round(found.dropna().set_index("channel")["spend"].sort_index(), DECIMALS)


def _billed(journeys: Journeys) -> pd.Series:
    """Return the spend of the ad reports by platform."""
    ads, last = journeys.study.dataset["ad_daily"], journeys.study.as_of
    first = last - dt.timedelta(days=journeys.definition.window_days or 36_500)
    ads = ads.filter(ads.date > ibis.date(first), ads.date <= ibis.date(last))
    return ads.group_by("platform").agg(spend=ads.cost.sum()).to_pandas().set_index("platform")["spend"]
