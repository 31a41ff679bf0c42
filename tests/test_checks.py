"""Argument checks: the message names the argument and what would have been right."""

import pytest

from helpers.checks import check_confidence, check_scalar, did_you_mean


def test_a_value_within_its_bounds_is_returned_unchanged():
    assert check_scalar(3, "bins", type_=int, ge=2, le=10) == 3


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (1, {"ge": 2}, "bins == 1, must be >= 2."),
        (11, {"le": 10}, "bins == 11, must be <= 10."),
        (0, {"gt": 0}, "bins == 0, must be > 0."),
        (5, {"lt": 5}, "bins == 5, must be < 5."),
        ("x", {"in_": ("a", "b")}, "bins == 'x', must be one of 'a', 'b'."),
    ],
)
def test_a_violated_bound_is_named(value, bounds, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        check_scalar(value, "bins", **bounds)


def test_a_truth_value_is_no_number():
    with pytest.raises(TypeError, match="bins == True is a bool, must be a int"):
        check_scalar(True, "bins", type_=int)


@pytest.mark.parametrize("value", [0, 1, 95])
def test_confidence_lies_strictly_between_zero_and_one(value):
    with pytest.raises(ValueError, match="confidence"):
        check_confidence(value)


def test_the_nearest_name_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("segmnt", ["segment", "seed"]) == ' Did you mean "segment"?'
    assert did_you_mean("zzz", ["segment"]) == ""
