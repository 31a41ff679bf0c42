"""Pictures and findings of the next period say what the numbers say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.figures import Chart
from helpers.methods.outlook import findings, plots


def contest(winner: str | None, predictions: pd.DataFrame, windows: int) -> SimpleNamespace:
    return SimpleNamespace(
        winner=winner,
        outcome="silent",
        predictions=predictions,
        windows=windows,
        too_few=windows < 6,
        confidence=0.95,
        sentence="Judged.",
        table=pd.DataFrame({"model": ["base rate", "logit"]}),
    )


def test_the_gain_of_a_forecast_is_paired_and_judged_over_windows() -> None:
    from helpers.stats.forecast.backtest import BASE_RATE

    rng, n = np.random.default_rng(1), 900
    p = rng.beta(1, 2, n)
    landmark = np.tile(np.arange(3), n // 3) * 2 + np.arange(n) // 450
    frame = pd.DataFrame(
        {
            "member_id": np.repeat([f"m{i}" for i in range(n // 3)], 3),
            "landmark": landmark,
            "silent": (rng.random(n) < p).astype(int),
            BASE_RATE: 1 / 3,
            "logit": p,
        }
    )
    found = findings.brier_gain(contest("logit", frame, 6))
    bare = ((1 / 3 - frame["silent"]) ** 2).groupby(landmark).mean()
    used = ((p - frame["silent"]) ** 2).groupby(landmark).mean()
    assert found.value == pytest.approx(1 - used.mean() / bare.mean())
    assert (found.n, found.unit) == (6, "share")
    # Oracle: leave one window out (jackknife of the ratio).
    out = [1 - used.drop(k).mean() / bare.drop(k).mean() for k in bare.index]
    error = np.sqrt(5 / 6 * ((np.array(out) - np.mean(out)) ** 2).sum())
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 5) * error, rel=0.1)
    finding = findings.forecast_gain(contest("logit", frame, 6), "all")
    assert finding.verdict == "stated" and "over 6 windows" in finding.sentence
    assert f"errs {100 * found.value:.1f} % less ({100 * found.low:.1f} % to " in finding.sentence
    assert "chosen on them" in finding.provenance.assumption
    # A window that moves everybody widens the interval, however many members there are.
    shaken = frame.assign(logit=np.where(landmark == 0, 1 - p, p))
    wide = findings.brier_gain(contest("logit", shaken, 6))
    assert wide.high - wide.low > 3 * (found.high - found.low)
    assert not findings.brier_gain(contest("logit", frame, 5)).known
    assert not findings.brier_gain(contest(BASE_RATE, frame, 6)).known


def test_the_contest_names_the_forecast_in_use_and_what_it_beats() -> None:
    from helpers.stats.forecast.backtest import BASE_RATE

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
    told = {"table": table, "winner": "logit", "outcome": "silent", "windows": 7, "too_few": False}
    words = "Judged over 7 windows, and the logit won."
    found = SimpleNamespace(**told, confidence=0.95, predictions=frame, sentence=words)
    chart = plots.model_contest(found, "note")
    assert isinstance(chart, Chart)
    assert (
        chart.title == "“logit” foresees silence better than the bare share (Brier score 0.165 against 0.179)"
    )
    shown = chart._repr_html_()
    assert all(f">{text}<" in shown for text in ("0.165", "0.179", "0.016", "0.007"))
    level = SimpleNamespace(
        **{**vars(found), "predictions": frame.assign(logit=1 / 3 + rng.normal(0, 0.01, n))}
    )
    assert plots.model_contest(level, "note").title.startswith("No forecast foresees silence clearly better")
    few = SimpleNamespace(**{**vars(found), "windows": 3, "too_few": True})
    assert plots.model_contest(few, "note").title == "Too few windows to compare forecasts of silence: 3 of 6"


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
    risk = SimpleNamespace(deciles=rows, contest=SimpleNamespace(winner="logit"), calibration_sentence="")
    chart = plots.calibration(risk, "note")
    assert isinstance(chart, Chart) and chart.title.endswith("by more than 3.5 points")  # 3.44, rounded up
    assert "highest predicted 36.4 %, observed 33.0 % (30.0 % to 38.9 %, n = 666)" in chart.alt
