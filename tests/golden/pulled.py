"""How often a notebook asks DuckDB, and what it pulls into Python: what grows with a community must not."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

from helpers.data import guard
from helpers.data.guard import Pulled


class Ceiling(NamedTuple):
    """The most of each that a notebook may need on 3,000 members, with a tenth to spare above what is measured."""

    queries: int
    rows: int
    largest: int
    bytes: int


CEILINGS = {
    "01_rfm": Ceiling(155, 55_000, 3_300, 2_840_000),
    "02_retention": Ceiling(96, 40_000, 17_600, 1_760_000),
    "03_ab_test": Ceiling(38, 4_200, 1_350, 161_000),
    "04_attribution": Ceiling(103, 48_000, 5_000, 9_300_000),
    "05_budget": Ceiling(46, 1_290, 415, 79_000),
    "13_weekly_review": Ceiling(116, 3_300, 750, 157_000),
    "14_outlook": Ceiling(75, 82_000, 22_300, 13_300_000),
}
"""Measured: 141, 87, 34, 93, 41, 106 and 73 queries; 49,783, 35,914, 3,764, 43,291, 1,167, 2,999 and 75,188 rows;
2.6, 1.6, 0.15, 8.5, 0.07, 0.14 and 11.7 MB."""


def over(pulled: Pulled, ceiling: Ceiling) -> list[str]:
    """Return what is above a ceiling, and what is so far below that the ceiling says nothing."""
    pairs = ((name, getattr(pulled, name), most) for name, most in ceiling._asdict().items())
    return [f"{name}: {n:,} of {most:,}" for name, n, most in pairs if not most / 2 <= n <= most]


@contextlib.contextmanager
def counted() -> Iterator[Pulled]:
    """Count everything that leaves DuckDB."""

    def refused(*args: Any, **named: Any) -> Any:
        raise AssertionError("a notebook pulls batches, which are not counted")

    with (
        mock.patch.object(guard, "PULLED", Pulled()) as pulled,
        mock.patch.object(guard.DuckDB, "to_pyarrow_batches", refused),
    ):
        yield pulled


SAMPLES = {
    "stats.forecast.value": {"MOST_MEMBERS": 600},
    "stats.forecast.landmarks": {"MOST_MEMBERS": 600, "MOST_ROWS": 4_000, "MOST_PRESENT": 500},
    "methods.rfm.members": {"MOST_COMPARED": 600},
    "methods.rfm.purchase_models": {"MOST_FITTED": 600},
    "methods.rfm.segments": {"FIT_LIMIT": 500},
    "methods.attribution.journeys": {"MOST_MEMBERS": 600, "CONVERSIONS_TO_DRAW": 200},
    "methods.attribution.incremental": {"ROWS_TO_CHOOSE": 10_000, "ROWS_TO_FIT": 40_000},
    "methods.retention.covariates": {"MOST_MEMBERS": 600},
    "methods.retention.exposure": {"MOST_MONTHS": 6_000},
    "methods.outlook.risk_lists": {"MOST_LISTED": 100},
    "playbook.standard_lists": {"MOST_LISTED": 200},
}
"""What reports on large communities rest on, so small that the sample community is one."""


@contextlib.contextmanager
def sampled() -> Iterator[None]:
    """Draw samples so small that a community of some thousands is a large one."""
    with contextlib.ExitStack() as patched:
        for module, sizes in SAMPLES.items():
            patched.enter_context(mock.patch.multiple(importlib.import_module(f"helpers.{module}"), **sizes))
        yield
