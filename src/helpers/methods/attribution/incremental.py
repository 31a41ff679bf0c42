"""What channels add: orders that would be missing had a channel been off, with the baseline that needs no channel.

A member-day at risk has a rate of orders. It is the rate of unexposed days of the same week and of members who were
as active before, plus what each channel adds: coefficient times dose, where a touch is a dose of 1 on its day and
``decay`` times as much each day later. Rates are added, not multiplied, so that what one channel adds does not depend
on the others and nothing forces the sum to be all orders (additive hazards: Aalen 1980; Lin and Ying 1994).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.stats.estimate import Estimate
from helpers.study import Study

FloatArray = NDArray[np.float64]


class Increments(NamedTuple):
    """Orders that channels added.

    Attributes
    ----------
    channels : tuple of str
        In the order of the other attributes.
    orders : ndarray, shape (channels,)
        Orders that would be missing had the channel been off, the others as they were; may be below zero by chance.
    covariance : ndarray, shape (channels, channels)
        Of `orders`, by member.
    touches : ndarray, shape (channels,)
        Touches behind them.
    total : int
        Orders observed; those that no channel added are the baseline.
    members : int
        Members at risk.
    decay : float
        Part of a dose that is left a day later, chosen by `likelihood`.
    likelihood : pandas.DataFrame
        decay, log_likelihood (held out, summed over folds of members).
    """

    channels: tuple[str, ...]
    orders: FloatArray
    covariance: FloatArray
    touches: FloatArray
    total: int
    members: int
    decay: float
    likelihood: pd.DataFrame

    def baseline(self, confidence: float) -> Estimate:
        """Return the share of orders that would have come without any channel."""
        raise NotImplementedError


def increments(study: Study, lookback_days: int = 30) -> Increments:
    """Return what each channel of the table touchpoints added to the orders of the study.

    Parameters
    ----------
    study : Study
        With touchpoints and orders.
    lookback_days : int
        A touch has no dose later than this.
    """
    raise NotImplementedError
