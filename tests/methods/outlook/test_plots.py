"""Pictures of the next period say what the numbers say."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd

from helpers.figures import Chart
from helpers.methods.outlook import plots
from helpers.stats.forecast.judging import Contest
from helpers.stats.forecast.models import BASE_RATE


def test_the_contest_names_the_forecast_in_use_and_what_it_beats() -> None:
    table = pd.DataFrame(
        {
            "model": [BASE_RATE, "logit"],
            "n": 900,
            "brier": [0.17891, 0.16472],
            "brier_low": [0.17, 0.16],
            "brier_high": [0.18, 0.17],
            "decile_error": [0.00712, 0.0163],
        }
    )
    rng, n = np.random.default_rng(2), 2100
    p = rng.beta(1, 2, n)
    frame = pd.DataFrame(
        {"landmark": np.arange(n) % 7, "silent": rng.random(n) < p, "logit": p, BASE_RATE: 1 / 3}
    )
    table = table.assign(**dict.fromkeys(["auc", "auc_low", "auc_high"], 0.7), decile_error_if_perfect=0.01)
    found = Contest("silent", 30, 0.95, frame, winner="logit", best="logit", table=table)
    chart = plots.model_contest(found, "note")
    assert isinstance(chart, Chart)
    assert (
        chart.title
        == "“logit” foresees who falls silent better than the bare share (Brier score 0.165 against 0.179)"
    )
    shown = chart._repr_html_()
    assert all(f">{text}<" in shown for text in ("0.165", "0.179", "0.016", "0.007"))
    level = replace(found, predictions=frame.assign(logit=1 / 3 + rng.normal(0, 0.01, n)))
    title = plots.model_contest(level, "note").title
    assert title.startswith("No forecast foresees who falls silent clearly better")
    few = replace(found, predictions=frame[frame["landmark"] < 3])
    title = plots.model_contest(few, "note").title
    assert title == "Too few windows to compare forecasts of who falls silent: 3 of 6"


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
    risk = SimpleNamespace(contest=Contest("silent", 30, 0.95, deciles=rows))
    chart = plots.calibration(risk, "note")
    assert isinstance(chart, Chart) and chart.title.endswith("by more than 3.5 points")  # 3.44, rounded up
    assert "highest predicted 36.4 %, observed 33.0 % (30.0 % to 38.9 %, n = 666)" in chart.alt
