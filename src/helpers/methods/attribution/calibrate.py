"""Increments corrected by lift tests: precision-weighted, and what tests say of tested channels moves untested ones.

Both sources speak of orders that a channel added per touch. A test weighs by the inverse of its variance, which grows
with its age; the model's variance is widened by the spread between model and tests (its bias), which tested channels
show and untested ones share.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from helpers.methods.attribution.incremental import Increments

HALF_LIFE_DAYS = 365.0
"""Age at which a test has half of its precision left."""


def calibrate(found: Increments, evidence: pd.DataFrame, as_of: dt.date) -> tuple[Increments, pd.DataFrame]:
    """Return increments calibrated to lift tests, and how each test entered.

    Parameters
    ----------
    found : Increments
        Of the model.
    evidence : pandas.DataFrame
        Rows of the table of that name with estimand lift: line (channel), start, end, value, se, unit (orders, or
        orders_per_touch).
    as_of : date
        Tests lose weight with their age on this day.

    Returns
    -------
    tuple
        Calibrated increments; a table with channel, before, test, error, weight, after.
    """
    raise NotImplementedError
