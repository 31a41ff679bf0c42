"""Pictures of the next period say what the numbers say."""

from __future__ import annotations

import pandas as pd

from helpers.figures import Chart, NoChart
from helpers.methods.outlook import plots


def test_calibration_says_at_most_how_far_and_with_how_many() -> None:
    rows = pd.DataFrame(
        {
            "group": [1, 2],
            "n": [665, 666],
            "predicted": [0.045, 0.364],
            "observed": [0.042, 0.3296],
            "low": [0.029, 0.3],
            "high": [0.06, 0.389],
        }
    )
    rows = rows.assign(difference=rows["observed"] - rows["predicted"])
    chart = plots.calibration(rows, "reason", "note")
    assert isinstance(chart, Chart) and chart.title.endswith(
        "missed by more than 3.5 points"
    )  # 3.44, rounded up
    assert "highest: predicted 36.4 %, observed 33.0 % (30.0 % to 38.9 %)" in chart.alt
    far = plots.calibration(rows.assign(predicted=0.5), "reason", "note")
    assert isinstance(far, Chart) and far.title.startswith("Silence missed its prediction")
    nothing = plots.calibration(rows[:0], "reason", "note")
    assert isinstance(nothing, NoChart) and nothing.reason == "reason"


def test_who_falls_silent_is_named_by_tier_and_too_few_are_not_drawn() -> None:
    rows = pd.DataFrame(
        {"tier": ["1–10 actions", "51 and more actions"], "n": [644, 135], "share": [0.33, 0.05]}
    )
    rows = rows.assign(low=rows["share"] - 0.02, high=rows["share"] + 0.02)
    chart = plots.silent_by_tier(rows, "note")
    assert isinstance(chart, Chart) and chart.members == "n"
    said = "With 1–10 actions in 30 days 33 % of members are expected to fall silent, with 51 and more actions 5 %"
    assert chart.title == said
    assert isinstance(plots.silent_by_tier(rows[:0], "note"), NoChart)


def test_tenths_and_thirds_are_drawn_from_their_numbers() -> None:
    rows = pd.DataFrame({"tenth": [1, 2], "n": 50, "predicted": [0.1, 0.3], "came": [0.2, 0.3]})
    rows = rows.assign(low=0.1, high=0.4)
    chart = plots.by_tenth(rows, "orders_by_tenth", "A title", "Share", "note")
    assert isinstance(chart, Chart) and len(chart.figure.axes[0].patches) >= 2
    thirds = pd.DataFrame(
        {"third": [2, 3], "n": 900, "silent": 90, "active_value": [9.0, 53.3], "silent_value": [4.0, 23.3]}
    )
    cost = plots.silence_cost(thirds.assign(value=30.0, low=16.0, high=43.0), "CNY", "note")
    assert isinstance(cost, Chart)
    assert cost.title == "The best third brings CNY 53.3 a member when active, CNY 23.3 when silent"
