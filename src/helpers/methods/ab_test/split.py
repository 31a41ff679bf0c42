"""Whether units were split between the arms as planned, and since when not."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pandas as pd

from helpers.methods.ab_test.plan import Plan
from helpers.study import Study


class Split(NamedTuple):
    """Units by arm against the schedule.

    Attributes
    ----------
    p : float
        Of the chi-square test against the schedule, exact when the sample is small.
    evidence : float
        Bayes factor against the schedule after the last day, valid at whatever day one looks.
    alarm : bool
        Whether the split cannot be trusted.
    since : date, optional
        First day of the week from which on the split is most likely to have been wrong.
    weeks : DataFrame
        One row a week and arm: week (first day), arm, n, expected, share, planned.
    segments : DataFrame
        One row per segment and level: segment, level, n, p.
    """

    p: float
    evidence: float
    alarm: bool
    since: dt.date | None
    weeks: pd.DataFrame
    segments: pd.DataFrame


def split(study: Study, plan: Plan) -> Split:
    """Compare the units of each arm with the schedule."""
    raise NotImplementedError
