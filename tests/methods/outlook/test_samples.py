"""What is fitted and told from samples of members lies within the interval of what all of them give."""

from __future__ import annotations

import sys
from dataclasses import replace
from unittest import mock

import pytest

from helpers.data import source
from helpers.methods.outlook.member_value import member_value
from helpers.methods.outlook.purchases import purchases
from helpers.methods.outlook.risk import risk
from helpers.methods.outlook.risk_lists import risk_lists
from helpers.methods.outlook.silence_cost import silence_cost
from helpers.simulate import community
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.landmarks import landmarks
from helpers.stats.forecast.value import forecast_value
from helpers.study import Study

MODULES = [sys.modules[each.__module__] for each in (landmarks, forecast_value)]


def test_lists_of_a_large_community_hold_whom_those_of_all_hold() -> None:
    """Of the members above the limits the lists take those of highest value; whom they leave out is counted."""
    made = community(1_200, 300, 44, tables=("members", "events", "orders"))
    study = Study.of(source.open(made.tables), made.truth["about"]["end"], draws=50)
    values = member_value(study)
    cost = silence_cost(study, values)
    whole = risk_lists(study, risk(study), values, cost)
    with (
        mock.patch.object(MODULES[0], "MOST_PRESENT", 600),
        mock.patch.object(sys.modules[risk_lists.__module__], "MOST_LISTED", 60),
    ):
        found = risk(study)
        cut = risk_lists(study, found, values, cost)
    assert not found.rows.whole and found.expected_silent.n == risk(study).expected_silent.n
    said = [part for part in found.told() if isinstance(part, str)]
    assert any("Told from a random sample of" in part for part in said)
    none = unknown(found.expected_silent.n, "members", 0.95)
    few = replace(found, expected_silent=none, expected_returns=none)
    for sentence in (few.sentence, few.return_sentence):
        assert f"fewer than 100 of {none.n}" in sentence
    assert cut.win_back.size == 60 - cut.win_back.without_consent and not whole.left_out["win_back"]
    assert cut.left_out["win_back"] == pytest.approx(whole.win_back.size - 60, abs=40)
    best = whole.win_back.frame["member_id"].head(cut.win_back.size)
    assert set(cut.win_back.frame["member_id"]) == set(best)
    told = [part for part in cut.told() if isinstance(part, str)]
    assert sum("more members were not looked at" in part for part in told) == 2
    both = set(cut.nurture.frame["member_id"])
    assert len(both) > 10 and len(both & set(whole.nurture.frame["member_id"])) > len(both) / 2


def expected(study: Study, most: int) -> dict[str, Estimate]:
    """Return every expected number of the report, fitted to at most so many members."""
    with (
        mock.patch.multiple(MODULES[0], MOST_MEMBERS=most, MOST_PRESENT=most),
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
