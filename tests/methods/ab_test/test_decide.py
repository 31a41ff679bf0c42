"""The rules of the decision: golden scenarios, their order, and how often they err."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.methods.ab_test.decide import RULES, Gain, Seen, decide, overall
from helpers.methods.ab_test.sequential import boundaries

GOOD, BAD, OPEN = Gain("a", 0.2, 0.1, 0.3), Gain("a", -0.2, -0.3, -0.1), Gain("a", 0.1, -0.1, 0.3)
SMALL = Gain("a", 0.01, -0.02, 0.04)
SAFE, HARMED, UNKNOWN = (
    Gain("g", 0.0, -0.04, 0.04, 0.05),
    Gain("g", -0.1, -0.15, -0.05, 0.05),
    Gain("g", 0.0, -0.1, 0.1, 0.05),
)
NOTHING = Gain("a", np.nan, np.nan, np.nan)
LATE = {"smallest_effect": 0.05, "days": 30, "minimum_days": 14}
SCENARIOS = {
    "a check failed, whatever the effect": (Seen(True, GOOD, (SAFE,), **LATE), "untrusted"),
    "better and safe": (Seen(False, GOOD, (SAFE,), **LATE), "ship"),
    "better, but too early": (Seen(False, GOOD, (SAFE,), 0.05, 6, 14), "running"),
    "harm stops before the minimum run time": (Seen(False, BAD, (SAFE,), 0.05, 6, 14), "harm"),
    "better, but a guardrail is harmed": (Seen(False, GOOD, (SAFE, HARMED), **LATE), "harm"),
    "better, but a guardrail cannot be told": (Seen(False, GOOD, (UNKNOWN,), **LATE), "running"),
    "the same at the end": (Seen(False, GOOD, (UNKNOWN,), **LATE, ended=True), "end reached"),
    "precise enough, and nothing worth having": (Seen(False, SMALL, (SAFE,), **LATE), "not worthwhile"),
    "nothing decided": (Seen(False, OPEN, (SAFE,), **LATE), "running"),
    "nothing decided at the end": (Seen(False, OPEN, (SAFE,), **LATE, ended=True), "end reached"),
    "nothing is known": (Seen(False, NOTHING, (SAFE,), **LATE), "running"),
    "a guardrail of which nothing is known is not safe": (
        Seen(False, GOOD, (NOTHING._replace(margin=0.1),), **LATE),
        "running",
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_golden_scenarios(name: str) -> None:
    seen, reason = SCENARIOS[name]
    assert decide(seen) == reason


def test_rules_are_asked_in_the_order_of_the_calls() -> None:
    seen = Seen(False, OPEN)
    assert list(seen.rules) == list(RULES)
    assert list(dict.fromkeys(row["call"] for row in RULES.values())) == [
        "DO NOT TRUST",
        "STOP",
        "SHIP",
        "KEEP RUNNING",
    ]


def test_a_loss_within_the_margin_is_safe_even_when_it_is_certain() -> None:
    assert Gain("g", -0.02, -0.03, -0.01, 0.05).state == "safe"
    assert Gain("g", -0.02, -0.06, -0.01, 0.05).state == "harmed"


def test_of_several_variants_the_best_that_may_be_shipped_leads() -> None:
    assert overall(["ship", "harm", "ship"], [0.1, 0.5, 0.2]) == 2
    assert overall(["harm", "running", "not worthwhile"], [0.1, 0.0, 0.2]) == 1
    assert overall(["harm", "end reached"], [0.1, -0.1]) == 1


RUNS, LOOKS = 4_000, 5


def shares(effect: float, *losses: float, margin: float = 3.0) -> dict[str, float]:
    """Return how often each call ends a test with these true effects, in standard errors of the planned end."""
    rng = np.random.default_rng(5)
    t = np.arange(1, LOOKS + 1) / LOOKS
    bound = boundaries(t, 0.05, "obrien-fleming").win
    half = bound / np.sqrt(t)
    true = np.array([effect, *losses])[:, None]
    steps = rng.standard_normal((RUNS, len(true), LOOKS)) * np.sqrt(1 / LOOKS)
    found = true + steps.cumsum(axis=-1) / t
    ended = {"SHIP": 0, "STOP": 0, "KEEP RUNNING": 0}
    for run in found:
        for look in range(LOOKS):
            gains = [
                Gain("m", one, one - half[look], one + half[look], None if place == 0 else margin)
                for place, one in enumerate(run[:, look])
            ]
            seen = Seen(False, gains[0], tuple(gains[1:]), 0.5, ended=look == LOOKS - 1)
            if (call := RULES[decide(seen)]["call"]) != "KEEP RUNNING":
                break
        ended[call] += 1
    return {call: count / RUNS for call, count in ended.items()}


def bar(share: float) -> float:
    """Return a share with three Monte-Carlo standard errors."""
    return share + 3 * np.sqrt(share * (1 - share) / RUNS)


@pytest.mark.parametrize(
    ("effect", "losses"),
    [(0.0, (0.0,)), (-1.0, (0.0,)), (5.0, (-3.0,)), (5.0, (0.0, -3.0)), (5.0, (-4.0, 0.0))],
    ids=["no effect", "worse", "one guardrail at its margin", "one of two", "beyond the margin"],
)
def test_a_variant_without_gain_or_with_harm_is_hardly_ever_shipped(effect, losses) -> None:
    assert shares(effect, *losses)["SHIP"] <= bar(0.025)


def test_a_good_and_harmless_variant_is_shipped_with_the_power_of_the_plan() -> None:
    # A fixed test finds 1.96 + .84 standard errors in 80 %; both guardrails are safe almost surely at this margin.
    assert shares(2.8, 0.0, 0.0, margin=6.0)["SHIP"] >= 0.775
    assert shares(2.8, 0.0, 0.0, margin=6.0)["STOP"] <= 0.225
