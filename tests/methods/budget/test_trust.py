"""Trust: the grade of planted and shared worlds, and that red refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.methods.budget.engine import Fit, fit
from helpers.methods.budget.gate import check, gate
from helpers.methods.budget.trust import Trust, trust
from helpers.methods.budget.weekly import Weekly
from tests.planted_spend import clean, start_up


def graded(frame: Weekly) -> tuple[Fit, Trust]:
    found = fit(frame, seed=0)
    return found, trust(found, gate(frame))


def held(found: Fit, truth: pd.Series, level: float = 0.9) -> bool:
    tails = ((1 - level) / 2, (1 + level) / 2)
    bounds = {line: np.quantile(found.contribution(line).sum(axis=1), tails) for line in truth.index}
    return all(low <= truth[line] <= high for line, (low, high) in bounds.items())


def test_what_is_left_with_a_memory_is_not_green() -> None:
    world = clean(1, weeks=80)
    rng, lasting = np.random.default_rng(0), np.zeros(80)
    for week in range(1, 80):
        lasting[week] = 0.9 * lasting[week - 1] + rng.normal(0, 40)
    frame = world.weekly
    _, answer = graded(
        Weekly(frame.outcome + lasting, frame.spend[["tv", "search"]], controls=frame.controls)
    )
    memory = next(check for check in answer.checks if check.code == "memory")
    assert memory.verdict != "ok" and "has a memory" in memory.sentence
    assert answer.grade in ("amber", "red")
    assert bool(answer.refusal) == (answer.grade == "red")


def test_red_says_why_nothing_is_allocated() -> None:
    bad = check("memory", "", 0.5, 0.9, "refuse", "What is left has a memory.")
    fine = check("rhat", "", 1.0, 1.05, "ok", "The chains agree.")
    assert Trust("red", (fine, bad)).refusal == "No plan is proposed. What is left has a memory."
    assert not Trust("amber", (fine,)).refusal


@pytest.mark.slow
def test_every_shared_world_that_misses_the_truth_is_amber_or_red(reference_data: Path) -> None:
    silent = []
    for path in sorted((reference_data / "budget" / "worlds").glob("*.csv")):
        table, truth = pd.read_csv(path), json.loads(path.with_name(f"{path.stem}_truth.json").read_text())
        table.index = pd.date_range("2021-01-04", periods=len(table), freq="W-MON")
        drivers = table[[column for column in table if column.startswith("ctl_")]]
        found, answer = graded(Weekly(table["y"], table[truth["channels"]], controls=drivers))
        right = held(found, pd.Series(truth["true_contribution"]))
        print(path.stem, answer.grade, "all lines held" if right else "a line missed")
        silent += [path.stem] if answer.grade == "green" and not right else []
        assert path.stem != "clean" or (answer.grade == "green" and right)
    assert not silent


@pytest.mark.slow
def test_clean_worlds_are_green() -> None:
    grades = [graded(clean(seed).weekly)[1].grade for seed in range(20)]
    print(grades)
    assert grades.count("green") >= 16


@pytest.mark.slow
def test_intervals_of_start_up_worlds_cover() -> None:
    inside = []
    for seed in range(100):
        world = start_up(seed)
        found = fit(world.weekly, seed=seed)
        truth = world.contribution.sum()
        below = {line: (found.contribution(line).sum(axis=1) < truth[line]).mean() for line in truth.index}
        inside += [0.05 <= share <= 0.95 for share in below.values()]
    print(f"90 % intervals hold {np.mean(inside):.3f}")
    assert 0.85 <= np.mean(inside) <= 0.95
