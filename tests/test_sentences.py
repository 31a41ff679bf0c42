"""Numbers read the same everywhere, and a second language needs no change of a method."""

import math

import pytest

from helpers import sentences
from helpers.stats.estimate import Estimate, unknown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5372, "share", "53.7 %"),
        (0.00042, "share", "0.042 %"),
        (-0.013, "share", "−1.3 %"),
        (0.0, "share", "0.0 %"),
        (-0.001, "CNY", "CNY 0.00"),
        (1234.5, "CNY", "CNY 1,234"),
        (6.04, "ratio", "6.04"),
        (12.0, "days", "12 days"),
        (0.126, "days", "0.13 days"),
        (math.nan, "share", "–"),
    ],
)
def test_a_quantity_is_printed_in_its_unit(value, unit, text):
    assert sentences.quantity(value, unit) == text


def test_an_estimate_is_printed_with_interval_and_sample_size():
    estimate = Estimate(0.537, 0.51, 0.563, 1411, "share", "Jeffreys", 0.95)
    assert sentences.with_interval(estimate) == "53.7 % (51.0 % to 56.3 %, n = 1,411)"
    assert sentences.with_interval(unknown(3, "share", 0.95)) == "too little data (n = 3)"


def test_a_catalogue_replaces_the_template_and_gaps_fall_back_to_english():
    sentences.use_language("zh", {"{n} members": "{n} 位成员"})
    try:
        assert sentences.say("{n} members", n=3) == "3 位成员"
        assert sentences.say("{n} orders", n=3) == "3 orders"
    finally:
        sentences.use_language("en")
