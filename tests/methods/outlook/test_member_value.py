"""What is said of the forecast of value: its judgement in words, and too little data."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.figures import Chart, NoChart
from helpers.methods import outlook
from helpers.methods.outlook.member_value import MemberValue, against_past, member_value
from helpers.simulate import community
from helpers.stats.forecast.value_judging import SURVIVAL, RatioSpread
from helpers.study import Study

START = dt.date(2025, 7, 1)


@pytest.fixture(scope="module")
def study() -> Study:
    made = community(900, 300, 7, START, tables=("members", "orders", "events"))
    return Study.of(made.tables, START + dt.timedelta(days=299), draws=50)


@pytest.fixture(scope="module")
def found(study: Study) -> MemberValue:
    return member_value(study, horizon_days=45)


def test_the_judgement_in_words_and_in_a_picture(found: MemberValue) -> None:
    row = found.table.set_index("model").loc[SURVIVAL]
    assert found.known and found.expected.n == found.present
    assert found.expected.value == pytest.approx(found.ahead.expected_value.sum().execute())
    assert found.expected.low < found.expected.value < found.expected.high
    assert "By tenths of members" in found.judged_sentence
    for name in ("realised", "predicted"):
        assert f"CNY {row[name]:,.0f}" in found.judged_sentence
    first, chart, *_ = found.told()
    assert first == found.sentence and repr(found) == first
    assert isinstance(chart, Chart) and chart.data["n"].sum() == row["n"]
    (stated,) = found.found()
    assert stated.value == found.expected.value and stated.headline.startswith("members will bring CNY")


def test_tables_at_hand_are_told_how_they_become_a_study() -> None:
    with pytest.raises(BadParameters, match="must be a study of tables: member_value"):
        outlook.member_value(pd.DataFrame())


def test_too_little_history_is_said(study: Study) -> None:
    few = member_value(study, horizon_days=200)
    assert "too little data. It takes three times 200 days of history, 100 members" in few.sentence
    assert isinstance(list(few.parts())[1], NoChart) and next(few.findings()).value is None


def test_who_erred_less_is_said() -> None:
    row = {"gain": 0.14, "gain_low": 0.02, "gain_high": 0.2}
    assert against_past(row) == (
        "It foresees value better than each one's own past does: it errs 14.0 % less (2.0 % to 20.0 %)."
    )
    worse = against_past({"gain": -0.04, "gain_low": -0.1, "gain_high": -0.01})
    assert worse.startswith(
        "Each one's own past foresees value better: the forecast errs −4.0 % less (−10.0 % to"
    )
    assert against_past(row | {"gain_low": -0.1}).endswith("the difference is not clear.")


def test_how_far_windows_erred_is_said(found: MemberValue) -> None:
    judged = pd.DataFrame({"split": [1, 2, 3], "predicted": 100.0, "realised": [150.0, 152.0, 149.0]})
    off = replace(found, spread=RatioSpread.of(judged, 0.95))
    assert "Provisional: over 3 windows 150 % (" in off.provisional_sentence
    few = replace(found, spread=RatioSpread.of(judged[:2], 0.95))
    assert "3 windows are needed" in few.provisional_sentence
    assert not replace(found, spread=None).provisional_sentence
