"""Findings and actions refuse numbers without an interval."""

import pytest
from pydantic import ValidationError

from helpers.playbook import finding as findings
from helpers.playbook.action import Action
from helpers.playbook.finding import Finding, Provenance
from helpers.stats.estimate import Estimate, unknown

PROVENANCE = Provenance(method="Wilson score", assumption="members act independently")


def finding(**changes):
    fields = {
        "id": "rfm.silent_share",
        "metric": "silent share",
        "scope": "all members, June 2026",
        "value": 0.31,
        "low": 0.29,
        "high": 0.33,
        "confidence": 0.95,
        "n": 2000,
        "unit": "share",
        "direction": "down is good",
        "verdict": "stated",
        "sentence": "31 % of members were silent.",
        "provenance": PROVENANCE,
    }
    return Finding(**{**fields, **changes})


def test_a_finding_survives_a_round_trip_through_json():
    assert Finding.model_validate_json(finding().model_dump_json()) == finding()


@pytest.mark.parametrize(
    "changes",
    [
        {"low": None},
        {"high": float("nan")},
        {"value": 0.4},
        {"verdict": "too little data"},
        {"verdict": "great"},
        {"n": -1},
        {"id": "Silent share"},
        {"sentence": ""},
    ],
)
def test_a_number_without_its_uncertainty_is_refused(changes):
    with pytest.raises(ValidationError):
        finding(**changes)


def test_too_little_data_is_a_finding_without_a_number():
    assert finding(verdict="too little data", value=None, low=None, high=None, n=3).n == 3


def action(**changes):
    fields = {
        "id": "rfm.recall",
        "title": "Recall",
        "why": "because",
        "finding_ids": ("rfm.silent_share",),
        "owner_role": "operations",
        "expected_value": 10.0,
        "low": -5.0,
        "high": 40.0,
        "cost": 5.0,
        "confidence_class": "rule",
        "check_metric": "share active again",
        "check_after_days": 30,
    }
    return Action(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes", [{"low": None}, {"expected_value": 50.0}, {"finding_ids": ()}, {"cost": -1.0}]
)
def test_an_action_rests_on_findings_and_an_interval(changes):
    with pytest.raises(ValidationError):
        action(**changes)


def test_an_action_may_be_without_value_but_then_without_interval_too():
    assert action(expected_value=None, low=None, high=None).expected_value is None


WORDS = {"id": "rfm.x", "metric": "x", "scope": "all", "sentence": "x.", "assumption": "none"}


@pytest.mark.parametrize(
    ("low", "high", "direction", "verdict"),
    [
        (0.01, 0.05, "up is good", "better"),
        (0.01, 0.05, "down is good", "worse"),
        (-0.05, -0.01, "up is good", "worse"),
        (-0.01, 0.05, "up is good", "no clear change"),
        (0.0, 0.05, "up is good", "no clear change"),
    ],
)
def test_a_change_is_judged_by_its_interval_alone(low, high, direction, verdict):
    estimate = Estimate((low + high) / 2, low, high, 100, "share", "Newcombe", 0.95)
    assert findings.finding(estimate, change=True, direction=direction, **WORDS).verdict == verdict


def test_a_level_is_stated_and_an_unknown_estimate_has_no_number():
    assert findings.finding(Estimate(1.0, 0.5, 2.0, 9, "CNY", "bootstrap", 0.95), **WORDS).verdict == "stated"
    missing = findings.finding(unknown(2, "share", 0.95), **WORDS)
    assert (missing.verdict, missing.value, missing.n) == ("too little data", None, 2)
