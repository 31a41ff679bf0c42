"""What is fitted to a sample of members lies within the interval of what is fitted to all of them."""

from __future__ import annotations

import sys
from unittest import mock

import pytest

from helpers.data import source
from helpers.methods.outlook.member_value import member_value
from helpers.methods.outlook.purchases import purchases
from helpers.methods.outlook.risk import risk
from helpers.simulate import community
from helpers.stats.estimate import Estimate
from helpers.stats.forecast.landmarks import landmarks
from helpers.stats.forecast.value import forecast_value
from helpers.study import Study

MODULES = [sys.modules[each.__module__] for each in (landmarks, forecast_value)]


def expected(study: Study, most: int) -> dict[str, Estimate]:
    """Return every expected number of the report, fitted to at most so many members."""
    with (
        mock.patch.object(MODULES[0], "MOST_MEMBERS", most),
        mock.patch.object(MODULES[1], "MOST_MEMBERS", most),
    ):
        soon = risk(study)
        return {
            "silent": soon.expected_silent,
            "back": soon.expected_returns,
            "orders": purchases(study).expected,
            "value": member_value(study, horizon_days=30).expected,
        }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [41, 42, 43])
def test_sampled_fits_lie_within_the_intervals_of_the_full_fit(seed: int) -> None:
    made = community(5_000, 365, seed, tables=("members", "events", "orders", "touchpoints"))
    study = Study.of(source.open(made.tables), made.truth["about"]["end"])
    whole, part = expected(study, 10**6), expected(study, 1_500)
    for name, full in whole.items():
        found = part[name]
        print(seed, name, [round(each, 1) for each in (full.value, full.low, full.high, found.value)])
        assert found.n == full.n and found.value != full.value
        assert full.low < found.value < full.high
        assert found.low < full.value < found.high
