"""Rules fire only when their guard holds, and expected values come with an honest interval."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.playbook import propose as proposing
from helpers.playbook.contact.lists import ContactList
from helpers.playbook.finding import Finding
from helpers.playbook.propose import Proposal, Proposed, Rule, rules
from helpers.playbook.thresholds import register, threshold
from helpers.stats.estimate import Estimate
from helpers.study import Study
from tests.playbook.test_finding import finding

VALUE = Estimate(200.0, 150.0, 250.0, 1100, "CNY", "bootstrap", 0.95)
DAY = dt.date(2026, 6, 30)
RECALL = ContactList("recall", pd.DataFrame(), 1000, 100, VALUE, VALUE, 0.05, 0.5, 30, DAY, 10, 0)


def propose(
    findings: list[Finding], lists=(), decided=(), *, prefix: str, margin: float = 1.0, seed: int = 0
) -> Proposal:
    nothing = pd.DataFrame({"member_id": [""]})
    study = Study.of({"activity": nothing, "population": nothing}, DAY, seed=seed)
    return proposing.propose(study, findings, lists, decided, prefix=prefix, margin=margin)


def ids(proposal):
    return [action.id for action in proposal.actions]


def test_every_shipped_rule_is_valid_and_names_known_systems():
    assert len(rules("rfm.")) >= 8
    assert all(rule.systems for rule in rules())


def test_every_shipped_threshold_states_origin_and_guard():
    assert all(row.guard and row.origin for row in register().values())


def test_a_rule_fires_on_its_finding_and_its_opportunity():
    proposal = propose([finding()], [RECALL], prefix="rfm.recall")
    assert ids(proposal) == ["rfm.recall_silent"]
    assert "1,000 buyers" in proposal.actions[0].why
    assert proposal.actions[0].cost == 1_000.0


def test_expected_value_is_the_mean_of_its_formula():
    """E = size x (probability x E[value] x E[effect] - cost); the triangular mean is (low + mode + high) / 3."""
    rule = rules("rfm.recall_silent")[0]
    effect = (rule.effect.low + rule.effect.mode + rule.effect.high) / 3
    expected = RECALL.contacted * (rule.probability * VALUE.value * effect - rule.cost)
    action = propose([finding()], [RECALL], prefix=rule.id).actions[0]
    assert action.expected_value == pytest.approx(expected, rel=0.03)
    assert action.low == pytest.approx(-RECALL.contacted * rule.cost)
    assert action.low < action.expected_value < action.high


def test_only_the_margin_of_sales_is_value():
    whole, third = (
        propose([finding()], [RECALL], prefix="rfm.recall", margin=margin).actions[0].expected_value
        for margin in (1.0, 0.5)
    )
    cost = RECALL.contacted * rules("rfm.recall_silent")[0].cost
    assert third + cost == pytest.approx((whole + cost) / 2, abs=0.02)


def test_points_have_no_price():
    proposal = propose(
        [finding()], [replace(RECALL, mean_value=VALUE._replace(unit="points"))], prefix="rfm.recall"
    )
    assert proposal.silent == [("rfm.recall_silent", "value in points has no price in CNY")]


def test_an_action_is_checked_when_its_period_is_over():
    proposal = propose([finding()], [replace(RECALL, days=60)], prefix="rfm.recall")
    assert proposal.actions[0].check_after_days == 60


def test_a_seed_threshold_supports_only_the_class_rule():
    fields = rules("rfm.clean_silent")[0].model_dump()
    with pytest.raises(ValueError, match="must be rule"):
        Rule(**{**fields, "confidence_class": "experiment"})


def test_the_same_seed_gives_the_same_value_and_another_seed_another():
    first, again, other = (
        propose([finding()], [RECALL], prefix="rfm.recall", seed=seed).actions[0] for seed in (1, 1, 2)
    )
    assert first == again
    assert first.expected_value != other.expected_value


@pytest.mark.parametrize(
    ("low", "high", "fires"), [(0.31, 0.35, True), (0.29, 0.35, False), (0.1, 0.2, False)]
)
def test_a_threshold_fires_only_when_the_whole_interval_is_beyond_it(low, high, fires):
    silent = finding(value=(low + high) / 2, low=low, high=high)
    proposal = propose([silent], prefix="rfm.clean")
    assert ids(proposal) == (["rfm.clean_silent"] if fires else [])
    assert bool(proposal.silent) != fires


@pytest.mark.parametrize(
    ("findings", "lists", "reason"),
    [
        ([], [RECALL], "was not measured"),
        ([finding(verdict="too little data", value=None, low=None, high=None, n=4)], [RECALL], "n = 4"),
        ([finding()], [], "no members to contact"),
        ([finding()], [replace(RECALL, contacted=0)], "no members to contact"),
        (
            [finding()],
            [replace(RECALL, mean_value=VALUE._replace(value=np.nan))],
            "value of a member is not known",
        ),
    ],
)
def test_a_silent_rule_says_why(findings, lists, reason):
    proposal = propose(findings, lists, prefix="rfm.recall")
    assert proposal.actions == []
    assert reason in proposal.silent[0][1]


def test_actions_are_ranked_by_expected_value_and_valueless_ones_count_as_nothing():
    silent = finding(value=0.4, low=0.35, high=0.45)
    core = replace(CHEAP, name="protect")
    carried = finding(id="rfm.carried_share")
    proposal = propose([silent, carried], [RECALL, core], prefix="rfm.")
    assert ids(proposal) == ["rfm.recall_silent", "rfm.clean_silent", "rfm.protect_core"]
    assert proposal.actions[1].expected_value is None and proposal.actions[2].call == "leave"


CHEAP = replace(RECALL, mean_value=VALUE._replace(value=0.1, low=0.05, high=0.15))


def test_a_price_makes_the_call_and_a_loss_is_told_with_its_numbers(monkeypatch):
    """Priors that may lose are tested; what cannot lose, or was measured, is done; what costs more is left."""
    rule = rules("rfm.recall_silent")[0]
    cases = {
        "test": ({}, RECALL),
        "do": ({"confidence_class": "experiment"}, RECALL),
        "leave": ({"confidence_class": "experiment"}, CHEAP),
    }
    for call, (changes, group) in [*cases.items(), ("do", ({"cost": 0}, RECALL))]:
        monkeypatch.setattr(proposing, "rules", lambda prefix="", one=changes: (rule.model_copy(update=one),))
        action = propose([finding()], [group], prefix="rfm.recall").actions[0]
        assert action.call == call
        assert (action.expected_value <= 0) == (call == "leave") and action.low <= action.expected_value


def test_a_rule_without_a_price_says_its_call_itself():
    calls = {rule.id: rule.call for rule in rules()}
    assert calls["rfm.clean_silent"] == "do" and calls["rfm.test_segment_push"] == "test"
    assert calls["retention.do_not_clean"] == "leave"
    action = propose([finding(value=0.4, low=0.35, high=0.45)], prefix="rfm.clean").actions[0]
    assert (action.call, action.expected_value) == ("do", None) and "No money" in action.assumption


def test_the_assumption_leads_from_the_list_to_the_value():
    action = propose([finding()], [RECALL], prefix="rfm.recall", margin=0.5).actions[0]
    gain, worth = (f"CNY {amount:,.0f}" for amount in (action.expected_value + 1_000, action.expected_value))
    for said in (
        "1,000 people to contact, CNY 200 of sales each without it, 50 % of that margin: CNY 100,000 to build on",
        f"add 0 % to 20 % to it, most likely 5 %, and to work at all with a chance of 40 %: {gain} on average",
        f"At CNY 1 a contact it costs CNY 1,000, so {worth} is left (CNY \N{MINUS SIGN}1,000 to",
    ):
        assert said in action.assumption


def test_a_silent_rule_names_numbers_and_no_ids():
    below = finding(value=0.2, low=0.1, high=0.31)
    flat = finding(id="rfm.net_promotion_rate", verdict="no clear change", value=0.0, low=-0.1, high=0.1)
    reasons = dict(propose([below, flat], prefix="rfm.").silent)
    assert (
        reasons["rfm.clean_silent"] == f"{below.metric} is 20.0 % (10.0 % to 31.0 %), not wholly above 30.0 %"
    )
    assert reasons["rfm.stop_net_demotion"].startswith(f"{flat.metric} is not clearly worse: 0.0 % (")
    assert not any("rfm." in reason for reason in reasons.values())


def test_a_rule_that_compares_must_name_its_threshold():
    fields = rules("rfm.clean_silent")[0].model_dump()
    with pytest.raises(ValueError, match="names none"):
        Rule(**{**fields, "threshold": None})


def test_an_unknown_threshold_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match="Did you mean"):
        threshold("tiers.value_rato")


@pytest.mark.parametrize(
    ("low", "high", "place"),
    [
        (9, 10, "above"),
        (1, 4, "below"),
        (5.5, 7, "inside"),
        (4, 9, "cannot tell"),
        (None, None, "cannot tell"),
    ],
)
def test_a_range_is_judged_by_the_whole_interval(low, high, place):
    assert threshold("tiers.value_ratio").compare(low, high) == place


@pytest.mark.parametrize(("high", "fires"), [(-0.01, True), (0.01, False)])
def test_of_a_provisional_change_the_interval_decides(high: float, fires: bool):
    change = {"value": -0.05, "low": -0.09, "high": high, "direction": "up is good", "verdict": "provisional"}
    proposal = propose([finding(id="rfm.net_promotion_rate", **change)], prefix="rfm.stop_net_demotion")
    assert bool(proposal.actions) == fires


def test_a_decision_makes_its_rule_hold_at_what_it_is_worth(monkeypatch):
    """The words and the call are the rule's, the value is that of the decision, negative or not."""
    rule = rules("rfm.recall_silent")[0].model_copy(
        update={"id": "trial.ship", "title": "Ship {arm}", "why": "{arm} won.", "when": {}, "call": "do"}
    )
    other = rule.model_copy(update={"id": "trial.stop"})
    monkeypatch.setattr(proposing, "rules", lambda prefix="": (rule, other))
    decided = Proposed("trial.ship", (finding().id, "unknown"), VALUE._replace(low=-5.0), {"arm": "绿"}, "a")
    proposal = propose([finding()], decided=[decided], prefix="trial.")
    (action,) = proposal.actions
    assert (action.id, action.title, action.call) == ("trial.ship.a", "Ship 绿", "do")
    assert (action.expected_value, action.low, action.finding_ids) == (200.0, -5.0, (finding().id,))
    assert proposal.silent == [("trial.stop", "what was decided does not ask for it")]
