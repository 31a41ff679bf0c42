"""The gate: what is refused or flagged, in words, for each kind of data that cannot answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.methods.budget.gate import Gate, elasticity, gate
from helpers.methods.budget.weekly import Weekly, kind_of
from tests.planted_spend import World, clean


@pytest.fixture(scope="module")
def world() -> World:
    return clean(0)


def cut(frame: Weekly, weeks: int) -> Weekly:
    parts = {name: getattr(frame, name).iloc[:weeks] for name in ("outcome", "spend", "controls")}
    return replace(frame, **parts)


def found(answer: Gate, code: str) -> tuple[str, str]:
    check = next(each for each in answer.checks if each.code == code)
    return check.verdict, check.sentence


def test_clean_data_pass_without_a_flag(world: World) -> None:
    answer = gate(world.weekly)
    assert answer.answer == "curves" and not answer.refusals
    assert {check.verdict for check in answer.checks} == {"ok"}


def test_negative_spend_is_refused(world: World) -> None:
    spend = world.weekly.spend.assign(tv=world.weekly.spend["tv"].where(np.arange(156) != 3, -5.0))
    answer = gate(replace(world.weekly, spend=spend))
    assert answer.answer == "nothing"
    assert found(answer, "spend") == (
        "refuse",
        "tv: weeks in which spend is below nothing, or missing: 1. Correct the report first.",
    )


def test_an_outcome_of_nothing_is_refused(world: World) -> None:
    answer = gate(replace(world.weekly, outcome=0 * world.weekly.outcome))
    assert answer.answer == "nothing" and "no effect to find" in found(answer, "outcome")[1]


def test_a_week_without_outcome_is_asked_about(world: World) -> None:
    outcome = world.weekly.outcome.where(np.arange(156) != 3, 0.0)
    assert found(gate(replace(world.weekly, outcome=outcome)), "zero_weeks")[0] == "flag"


def test_twelve_weeks_say_nothing_and_thirty_an_elasticity(world: World) -> None:
    few = gate(cut(world.weekly, 12))
    assert few.answer == "nothing" and not {"season", "demand"} & {each.code for each in few.checks}
    assert found(few, "weeks") == ("refuse", "There are 12 weeks; response curves need 40 at least.")
    some = cut(world.weekly, 30)
    assert gate(some).answer == "elasticity"
    estimate = elasticity(some)
    assert 0 < estimate.value < 0.5 and estimate.low < estimate.value < estimate.high
    assert not elasticity(cut(world.weekly, 9)).known


def test_elasticity_finds_a_planted_one() -> None:
    rng, mondays = np.random.default_rng(0), pd.date_range("2024-01-01", periods=36, freq="W-MON")
    spend = np.exp(rng.normal(5, 0.6, 36))
    outcome = 900 * spend**0.2 * np.exp(rng.normal(0, 0.05, 36))
    frame = Weekly(pd.Series(outcome, mondays), pd.DataFrame({"a": spend}, mondays))
    estimate = elasticity(frame)
    assert estimate.low < 0.2 < estimate.high and estimate.high - estimate.low < 0.1


def test_two_lines_that_are_one_are_refused(world: World) -> None:
    spend = world.weekly.spend.assign(copy=3 * world.weekly.spend["social"])
    answer = gate(replace(world.weekly, spend=spend))
    assert answer.answer == "elasticity"
    verdict, sentence = found(answer, "twins")
    assert verdict == "refuse" and sentence.startswith("social and copy rise and fall together")


def test_more_unknowns_than_weeks_carry_are_refused(world: World) -> None:
    noise = pd.DataFrame(np.random.default_rng(0).normal(size=(156, 100)), world.weekly.outcome.index)
    answer = gate(replace(world.weekly, controls=noise.add_prefix("x")))
    assert found(answer, "parameters")[0] == "refuse" and answer.answer == "elasticity"


def test_spend_set_by_sales_season_or_mistake_is_flagged(world: World) -> None:
    frame, spend = world.weekly, world.weekly.spend
    t, rng = np.arange(156), np.random.default_rng(1)
    paced = 0.2 * frame.outcome.shift(1, fill_value=400.0) + rng.normal(0, 2, 156)
    waved = 70 + 40 * np.sin(2 * np.pi * t / 52.18) + rng.normal(0, 5, 156)
    slipped = spend["tv"].where(t != 50, 100 * spend["tv"])
    checks = gate(replace(frame, spend=spend.assign(paced=paced, waved=waved, tv=slipped))).checks
    flagged = {(check.code, check.line) for check in checks if check.verdict == "flag"}
    assert {("demand", "paced"), ("season", "waved"), ("spike", "tv")} <= flagged


def test_price_jumps_and_lines_without_a_curve_are_named(world: World) -> None:
    kinds = ["curve", "idle", "fixed", "event"]
    lines = pd.DataFrame(
        {"kind": kinds, "spend": 1.0, "price_jump": [3.0, np.nan, 1.1, 1.0]}, index=list("abcd")
    )
    checks = gate(replace(world.weekly, lines=lines)).checks
    assert {("price", "a"), ("idle", "b"), ("fixed", "c"), ("event", "d")} <= {
        (each.code, each.line) for each in checks
    }
    assert next(each for each in checks if each.code == "price").sentence.startswith(
        "a: the cost of an impression changed 3-fold"
    )


def test_kinds_of_lines() -> None:
    wave = pd.Series(100 + 50 * np.sin(np.arange(60)))
    assert kind_of(wave) == "curve" and kind_of(0 * wave) == "idle"
    assert kind_of(0 * wave + 100 + 0.05 * wave) == "fixed"
    assert kind_of(wave.where(np.arange(60) % 20 == 0, 0.0)) == "event"
