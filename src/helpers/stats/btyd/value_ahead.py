"""What buyers will bring in the next days: BG/NBD says how often they come, Gamma-Gamma for how much."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import KEYS, Cells
from helpers.stats.btyd.spend import GammaGamma

WEEK = 7.0


def value_ahead(
    members: pd.DataFrame, days: ibis.Table, as_of: dt.date, horizon_days: int
) -> tuple[NDArray[np.float64], str]:
    """Return the value that each member is expected to bring, and why a model could not be used; empty if both were.

    Parameters
    ----------
    members : pandas.DataFrame
        Histories in weeks, as made by :func:`helpers.stats.btyd.cells.histories`.
    days : ibis.Table
        The member-days behind them, from which repeat shares are counted where BG/NBD cannot be used.
    as_of : date
        Last day that is known.
    horizon_days : int
        Days ahead.
    """
    table = members.groupby(KEYS, as_index=False).size().rename(columns={"size": "members"})
    alive = BetaGeometricNBD().fit(Cells(table, as_of, WEEK, days))
    spend = GammaGamma().fit(members)
    times = alive.expected_transactions(horizon_days / WEEK, *(members[key] for key in KEYS))
    value = times * spend.expected_value(members["x"], members["mean_repeat_value"])
    if alive.source_ != "BG/NBD":
        return value, alive.message_
    return value, "" if spend.source_ == "Gamma-Gamma" else spend.message_
