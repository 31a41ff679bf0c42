"""What the engine tells of an experiment: exact moments by arm, look and stratum, and nobody's rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helpers.methods.ab_test.plan import Metric, Plan
from helpers.study import Study

if TYPE_CHECKING:
    from helpers.methods.ab_test.moments import Moments


@dataclass(frozen=True)
class Cells:
    """Moments of one metric.

    Attributes
    ----------
    moments : Moments
        Axes (arm, look, stratum): units that matured since the look before. Names are ``outcome``, for a ratio
        ``denominator``, then the covariates.
    looks : tuple of date
        The planned looks up to the day of the study.
    strata : DataFrame
        period (int, of the allocation) and block (text), in the order of the last axis.
    clusters : DataFrame, optional
        Of a clustered or switchback design: arm (int), look (int), stratum (int), cluster, n, and the sum of each
        name.
    missing : ndarray
        Shape (arm, 2): matured units without an outcome, and all matured units.
    cap : float, optional
        Value at which outcomes are capped.
    sql : str
        The query.
    """

    moments: Moments
    looks: tuple[dt.date, ...]
    strata: pd.DataFrame
    clusters: pd.DataFrame | None
    missing: np.ndarray
    cap: float | None
    sql: str


def moments_of(study: Study, plan: Plan, metric: Metric) -> Cells:
    """Return the moments of one metric; of metrics with the same table one query serves all."""
    raise NotImplementedError


def units(study: Study, plan: Plan, metric: Metric) -> pd.DataFrame:
    """Return one row per matured unit: arm, look, stratum (int), cluster (text), and a column of each name."""
    raise NotImplementedError


def read_all(study: Study, plan: Plan, metrics: Sequence[Metric]) -> list[Cells]:
    """Return the moments of several metrics."""
    raise NotImplementedError
