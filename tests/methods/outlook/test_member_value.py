"""What is said of the forecast of value: its judgement in words, and too little data."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from helpers.figures import Chart, NoChart
from helpers.methods.outlook import plots
from helpers.methods.outlook.member_value import MemberValue, against_past, member_value, spread_sentence
from helpers.simulate import community
from helpers.stats.forecast.value_judging import MODEL, SURVIVAL, RatioSpread
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
    assert found.known and found.sentence == " ".join(found.sentences)
    assert "By tenths of members" in found.sentence and f"Over {found.spread.windows} such" in found.sentence
    for name in ("realised", "predicted"):
        assert f"CNY {row[name]:,.0f}" in found.sentence
    chart = plots.value_deciles(found, "note")
    assert isinstance(chart, Chart) and f"of {int(row['n']):,} members" in chart.alt


def test_too_little_history_is_said(study: Study) -> None:
    few = member_value(study, horizon_days=200)
    assert "too little data. It takes three times 200 days of history, 100 members" in few.sentence
    assert isinstance(plots.value_deciles(few, "note"), NoChart)


def test_who_erred_less_is_said() -> None:
    row = {"n": 900, "gain": 0.14, "gain_low": 0.02, "gain_high": 0.2, "ratio": 0.9, "low": 0.8, "high": 1.1}
    said = against_past(row, SURVIVAL)
    assert "erred 14.0 % less (from 2.0 % less to 20.0 % less," in said and said.endswith(
        f"the {SURVIVAL} wins."
    )
    worse = against_past(row | {"gain": -0.04, "gain_low": -0.1, "gain_high": -0.01}, SURVIVAL)
    assert "erred 4.0 % more (from 10.0 % more to 1.0 % more" in worse and worse.endswith("past value wins.")
    open_ = against_past(row | {"gain_low": -0.1}, MODEL)
    assert "the difference is not clear. It speaks of buyers only; 90 % of what it said came" in open_
    assert against_past(row | {"gain_low": float("nan")}, MODEL) == ""


def test_how_far_windows_erred_is_said() -> None:
    judged = pd.DataFrame({"split": [1, 2, 3], "predicted": 100.0, "realised": [150.0, 152.0, 149.0]})
    assert "off in one direction" in spread_sentence(RatioSpread.of(judged, 0.95))
    assert "3 windows are needed, so a spread is assumed" in spread_sentence(RatioSpread.of(judged[:2], 0.95))
    assert "No window of value" in spread_sentence(RatioSpread.of(judged[:0], 0.95))
