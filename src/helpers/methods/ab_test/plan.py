"""The design of an experiment: written before there are outcomes, hashed, and read back unchanged."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from helpers.study import Study


class Metric(BaseModel, frozen=True):
    """What is counted of each unit.

    Attributes
    ----------
    name : str
        What it is called.
    kind : {"mean", "proportion", "ratio"}
        Mean of a number a unit; share of units (of trials) with any; sum of one number by sum of another.
    source : str
        ``orders`` (how many), ``orders.value`` (net money), ``events:KIND``, ``assignments:COLUMN`` (a further column
        of the table of units), ``unit_outcomes:METRIC``, ``content_daily:COLUMN``, ``arm_daily:METRIC`` or
        ``ad_daily:COLUMN``.
    denominator : str, optional
        Source of what a ratio is divided by; for ``arm_daily`` and ``ad_daily`` also the trials of a proportion.
    direction : {"up", "down"}
        Where better lies.
    margin : float, optional
        Of a guardrail: the relative loss that is still acceptable.
    cap : float, optional
        Quantile above which outcomes count as that quantile.
    covariates : tuple of str
        ``before`` (the same counted before the assignment), a source counted before it, ``unit_outcomes:METRIC``
        measured before it, or ``assignments:COLUMN``.
    """

    name: str
    kind: Literal["mean", "proportion", "ratio"] = "mean"
    source: str
    denominator: str | None = None
    direction: Literal["up", "down"] = "up"
    margin: float | None = None
    cap: float | None = None
    covariates: tuple[str, ...] = ()


class Period(BaseModel, frozen=True):
    """Shares of the arms from a day on."""

    start: dt.date
    shares: tuple[float, ...]


class Plan(BaseModel, frozen=True):
    """The design of an experiment; the first arm is the control.

    `factors` are what the variants change against the control, in words: one, else no difference says which it was.
    """

    experiment: str
    unit: str = "member"
    arms: tuple[str, ...]
    factors: tuple[str, ...] = ()
    allocation: tuple[Period, ...]
    design: Literal["simple", "blocked", "clustered", "switchback"] = "simple"
    burn_in_hours: float = 0
    outcome_days: int = 0
    primary: Metric
    guardrails: tuple[Metric, ...] = ()
    secondary: tuple[Metric, ...] = ()
    segments: tuple[str, ...] = ()
    looks: tuple[dt.date, ...]
    spending: Literal["obrien-fleming", "pocock", "always-valid", "fixed"] = "obrien-fleming"
    hybrid: bool = False
    start: dt.date
    end: dt.date
    minimum_days: int = 7
    alpha: float = 0.05
    power: float = 0.8
    smallest_effect: float
    missing: Literal["refuse", "zero", "drop", "bounds"] = "refuse"
    unit_value: float | None = None
    units_a_month: float | None = None
    version: int = 1
    registered_at: dt.datetime | None = None
    sha256: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over all fields but ``sha256``."""
        raise NotImplementedError

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Primary, guardrails and secondary metrics, in this order."""
        raise NotImplementedError


def read_plan(study: Study, name: str) -> Plan:
    """Return the design in ``experiments/NAME.yml`` of the data folder; refuse one that was changed."""
    raise NotImplementedError


def write_plan(folder: str | Path, plan: Plan) -> Path:
    """Write a design into ``experiments`` of a data folder, with its hash, and return the file."""
    raise NotImplementedError
