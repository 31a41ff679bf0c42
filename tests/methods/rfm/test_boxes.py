"""Boxes: subtraction, ladders and the proof of a partition, against brute force on points."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from helpers.errors import BadParameters
from helpers.methods.rfm.boxes import (
    Box,
    Domain,
    Range,
    clip,
    describe,
    first_match,
    prove_partition,
    subtract,
)

WHOLE = Domain(0, integer=True, nullable=True)
POINTS = [None, 0, 1, 2, 3, 4, 5]


def inside(box: Box, point: dict[str, int | None]) -> bool:
    """Return whether a point lies in a box, written without the geometry."""
    for column, side in box.items():
        value = point[column]
        if value is None:
            if not side.missing:
                return False
        elif not side.low <= value < side.high:
            return False
    return True


def random_box(rng: np.random.Generator) -> Box:
    """Return a random box over some of three columns."""
    box = {}
    for column in "abc":
        if rng.random() < 0.7:
            low, high = sorted(rng.choice(7, 2, replace=False))
            box[column] = Range(
                -math.inf if rng.random() < 0.2 else float(low),
                math.inf if rng.random() < 0.2 else float(high),
                missing=bool(rng.random() < 0.3),
            )
    return box


def all_points() -> list[dict[str, int | None]]:
    """Return every point of the small space."""
    return [dict(zip("abc", values, strict=True)) for values in product(POINTS, repeat=3)]


@pytest.mark.parametrize("seed", range(20))
def test_subtraction_on_every_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    box, other = random_box(rng), random_box(rng)
    pieces = subtract(box, other)
    for point in all_points():
        hits = sum(inside(piece, point) for piece in pieces)
        assert hits == (inside(box, point) and not inside(other, point))


@pytest.mark.parametrize("seed", range(20))
def test_ladder_becomes_disjoint_rules_with_the_same_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ladder = [(f"t{i}", [random_box(rng) for _ in range(rng.integers(1, 3))]) for i in range(3)]
    ladder = [*ladder, ("rest", [{}])]
    domains = dict.fromkeys("abc", WHOLE)
    rules = [(label, clip(boxes, domains)) for label, boxes in first_match(ladder)]
    for point in all_points():
        expected = next(label for label, boxes in ladder if any(inside(box, point) for box in boxes))
        found = [label for label, boxes in rules if any(inside(box, point) for box in boxes)]
        assert found == [expected]
    reachable = [rule for rule in rules if rule[1]]
    prove_partition(reachable, domains, "random")


@pytest.mark.parametrize("seed", range(30))
def test_proof_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = [random_box(rng) for _ in range(2)]
    left = subtract({}, boxes[0])
    rules = [("a", [boxes[0]]), ("b", left if seed % 3 else [*left[:-1], boxes[1]])]
    domains = dict.fromkeys("abc", WHOLE)
    owners = {sum(any(inside(box, point) for box in boxes) for _, boxes in rules) for point in all_points()}
    reached = all(any(inside(b, p) for b in boxes for p in all_points()) for _, boxes in rules)
    if owners == {1} and reached:
        prove_partition(rules, domains, "random")
    else:
        with pytest.raises(BadParameters):
            prove_partition(rules, domains, "random")


def test_gap_overlap_and_unreachable_are_named_with_an_example() -> None:
    def prove(*ranges: tuple[float, float]) -> None:
        rules = [(f"t{i}", [{"a": Range(*bounds)}]) for i, bounds in enumerate(ranges)]
        prove_partition(rules, {"a": Domain(0, integer=True)}, "mine")

    prove((0, 3), (3, math.inf))
    gap = r"Tier scheme mine: the rules leave a gap where a in \[3, 5\) \(for example a = 3\)"
    with pytest.raises(BadParameters, match=gap):
        prove((0, 3), (5, math.inf))
    overlap = r"the rules of 't0' and 't1' overlap where a in \[3, 4\) \(for example a = 3\)"
    with pytest.raises(BadParameters, match=overlap):
        prove((0, 4), (3, math.inf))
    with pytest.raises(BadParameters, match="no member can ever be 't2'"):
        prove((0, 3), (3, math.inf), (-5, 0))


def test_missing_values_are_part_of_the_space() -> None:
    rules = [("low", [{"a": Range(0, 3)}]), ("high", [{"a": Range(3)}])]
    with pytest.raises(BadParameters, match="leave a gap where a missing"):
        prove_partition(rules, {"a": WHOLE}, "mine")
    prove_partition([*rules[:1], ("high", [{"a": Range(3, missing=True)}])], {"a": WHOLE}, "mine")


def test_too_many_cells() -> None:
    domains = {f"c{i}": Domain() for i in range(8)}
    steps = [{c: Range(float(i), i + 1.0) for c in domains} for i in range(8)]
    with pytest.raises(BadParameters, match="too many to check"):
        prove_partition([("a", steps), ("b", [{}])], domains, "mine")


def test_words() -> None:
    box = {"a": Range(1, 4), "b": Range(3), "c": Range(high=2, missing=True), "d": Range(0, 0, missing=True)}
    assert describe(box) == "a in [1, 4) and b >= 3 and c < 2 or missing and d missing"
    assert describe({}) == "everyone else"
