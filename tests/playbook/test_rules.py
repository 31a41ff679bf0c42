"""Every rule of every method fires when its conditions hold, and not when one of them does not."""

from __future__ import annotations

from dataclasses import replace
from string import Formatter

import pytest

from helpers.playbook.action import Action, within
from helpers.playbook.finding import Finding
from helpers.playbook.propose import Proposed, Rule, rules
from helpers.playbook.thresholds import register, threshold
from helpers.stats.estimate import Estimate
from tests.playbook.test_finding import finding
from tests.playbook.test_propose import RECALL, ids, propose

WITH_CONDITIONS = [rule for rule in rules() if rule.when]
BY_DECISION = [rule for rule in rules() if not rule.when]


def one(rule: Rule, name: str, *, holds: bool = True) -> Finding:
    """A finding that meets the condition of a rule, or whose interval only just does not."""
    condition = rule.when[name]
    if condition in ("above", "below"):
        low, high = threshold(rule.threshold or "").bounds
        width = max(abs(high), 1.0) / 100
        edge = high if condition == "above" else low
        near = edge + width if (condition == "above") == holds else edge - width
        wide = (edge - width / 2, near) if near > edge else (near, edge + width / 2)
        ends = sorted((near, near + (near - edge))) if holds else wide
        return finding(id=name, value=sum(ends) / 2, low=ends[0], high=ends[1], verdict="stated")
    verdict = {"known": "stated"}.get(condition, condition) if holds else "no clear change"
    if condition == "known" and not holds:
        return finding(id=name, value=None, low=None, high=None, verdict="too little data")
    size = (
        (-0.1, 0.1) if verdict == "no clear change" else (0.1, 0.3) if verdict == "better" else (-0.3, -0.1)
    )
    return finding(
        id=name, value=sum(size) / 2, low=size[0], high=size[1], verdict=verdict, direction="up is good"
    )


def proposed(rule: Rule, findings: list[Finding], **more) -> list[str]:
    name = (rule.opportunity or "x.none").partition(".")[2]
    groups = [replace(RECALL, name=name)] if rule.opportunity else []
    found = propose(findings, groups, prefix=rule.id, **more)
    return [each for each in ids(found) if each == rule.id or each.startswith(f"{rule.id}.")]


def test_there_are_rules_of_all_methods() -> None:
    assert {rule.id.partition(".")[0] for rule in rules()} >= {
        "rfm", "retention", "outlook", "ab_test", "attribution", "budget", "weekly_review",
    }  # fmt: skip


@pytest.mark.parametrize("rule", WITH_CONDITIONS, ids=lambda rule: rule.id)
def test_a_rule_fires_when_all_its_conditions_hold_and_not_when_one_does_not(rule: Rule, monkeypatch) -> None:
    monkeypatch.setattr("helpers.study.Study.count", rule.counting[0])
    assert proposed(rule, [one(rule, name) for name in rule.when]) == [rule.id]
    for name in rule.when:
        rest = [one(rule, other) for other in rule.when if other != name]
        assert proposed(rule, [*rest, one(rule, name, holds=False)]) == []
        assert proposed(rule, rest) == []
        hidden = finding(id=name, value=None, low=None, high=None, verdict="too little data")
        assert proposed(rule, [*rest, hidden]) == []


@pytest.mark.parametrize("rule", BY_DECISION, ids=lambda rule: rule.id)
def test_a_rule_without_conditions_fires_by_the_decision_of_its_method_alone(rule: Rule) -> None:
    fields = {name: "x" for name in _fields(rule)}
    decided = [Proposed(rule.id, (finding().id,), fields=fields)]
    assert proposed(rule, [finding()], decided=decided) == [rule.id]
    assert proposed(rule, [finding()]) == []


def _fields(rule: Rule) -> set[str]:
    return {name for text in (rule.title, rule.why) for _, name, _, _ in Formatter().parse(text) if name}


def test_a_rule_that_compares_has_a_guard_and_a_seed_supports_the_class_rule_alone() -> None:
    for rule in rules():
        if rule.threshold:
            limit = threshold(rule.threshold)
            assert limit.guard and (limit.origin != "seed" or rule.confidence_class == "rule")
    assert all(limit.guard for limit in register().values())


def act(kind: str, value: float | None = 1000.0, call: str = "do", name: str = "") -> Action:
    ends = (None, None) if value is None else (value - 500, value + 500)
    return Action(
        id=name or kind, title="Act", why="So.", finding_ids=("a.b",), owner_role="lead", expected_value=value,
        low=ends[0], high=ends[1], cost=0, confidence_class=kind, call=call, check_metric="m", check_after_days=7,
    )  # fmt: skip


def test_at_equal_value_an_experiment_comes_first_and_a_rule_last() -> None:
    """Also where the rule's guess is a little higher in digits that nobody knows."""
    kinds = ("experiment", "quasi-experiment", "correlation", "rule")
    shuffled = [act(kind, 1000 + 5 * place) for place, kind in enumerate(kinds)][::-1]
    assert [one.id for one in within(shuffled, 4)[0]] == list(kinds)
    assert [one.id for one in within([act("experiment"), act("rule", 1200)], 2)[0]] == ["rule", "experiment"]


def test_a_capacity_takes_the_best_and_what_is_left_alone_takes_no_room() -> None:
    actions = [
        act("rule", None, name="unpriced"), act("rule", 10, name="small"), act("rule", 900, name="large"),
        act("rule", 2000, "leave", name="leave"), act("rule", -50, name="loss"),
    ]  # fmt: skip
    taken, others = within(actions, 2)
    assert [one.id for one in taken] == ["large", "small"]
    assert [one.id for one in others] == ["leave", "unpriced", "loss"]


def test_the_value_of_an_estimate_is_its_own_interval() -> None:
    """What a method prices by simulation stands in the action with its interval."""
    worth = Estimate(120.0, -30.0, 270.0, 9, "CNY", "draws", 0.95)
    rule = BY_DECISION[0]
    decided = [Proposed(rule.id, (finding().id,), worth, {name: "x" for name in _fields(rule)}, cost=40.0)]
    (action,) = propose([finding()], decided=decided, prefix=rule.id).actions
    assert (action.expected_value, action.low, action.high, action.cost) == (120.0, -30.0, 270.0, 40.0)
