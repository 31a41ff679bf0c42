"""Accelerated failure time models: cells against rows by lifelines, planted truth, the choice by AIC, odd data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import WeibullAFTFitter

from helpers.methods.retention.leaving.aft import time_ratios


def lives(n: int, seed: int, shape: str, ratio: float = 2.0, late: bool = False) -> pd.DataFrame:
    """Return members of whom those with the flag stay `ratio` times as long."""
    rng = np.random.default_rng(seed)
    flag = rng.integers(0, 2, n).astype(float)
    base = rng.weibull(0.8, n) if shape == "Weibull" else np.exp(rng.normal(0, 1.3, n))
    stay = 40 * base * ratio**flag
    seen = rng.integers(30, 300, n)
    entry = rng.integers(0, 20, n) * late
    frame = pd.DataFrame({"flag": flag, "entry_day": entry, "events": (stay <= seen).astype(int)})
    frame["tenure_day"] = np.minimum(np.floor(stay), seen).astype(int)
    return frame[frame["tenure_day"] >= frame["entry_day"]]


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    return (
        rows.groupby(["flag", "entry_day", "tenure_day"])["events"].agg(n="size", events="sum").reset_index()
    )


@pytest.mark.parametrize("late", [False, True])
def test_cells_agree_with_lifelines_on_rows(late: bool) -> None:
    rows = lives(600, 1, "Weibull", late=late)
    frame = pd.DataFrame({"flag": rows["flag"], "left": rows["events"], "entry": rows["entry_day"]})
    frame["duration"] = rows["tenure_day"] + 0.5
    oracle = WeibullAFTFitter().fit(frame, "duration", "left", entry_col="entry")
    found = time_ratios(cells(rows), ["flag"])
    fitted = found.models.set_index("model").loc["Weibull"]
    assert fitted["log_likelihood"] == pytest.approx(oracle.log_likelihood_, rel=1e-7)
    assert fitted["aic"] == pytest.approx(oracle.AIC_, rel=1e-7)
    assert found.model == "Weibull"
    expected = oracle.summary.loc[("lambda_", "flag")]
    row = found.table.iloc[0]
    assert row["time_ratio"] == pytest.approx(expected["exp(coef)"], rel=1e-4)
    assert row["low"] == pytest.approx(expected["exp(coef) lower 95%"], rel=1e-3)


@pytest.mark.parametrize("shape", ["Weibull", "log-normal"])
def test_the_planted_shape_wins_and_its_ratio_is_covered(shape: str) -> None:
    found = time_ratios(cells(lives(4000, 2, shape)), ["flag"])
    assert found.model == shape
    row = found.table.iloc[0]
    assert row["low"] < 2 < row["high"] and row["high"] / row["low"] < 1.4
    assert found.sentences[0].startswith("Members with flag stay ")
    assert "association, not cause" in found.sentences[0]
    assert shape in found.sentence and "half a day" in found.sentence


def test_what_others_determine_is_left_out_and_said() -> None:
    frame = cells(lives(500, 3, "Weibull")).assign(again=lambda t: t["flag"])
    found = time_ratios(frame, ["flag", "again"])
    assert "Left out: again" in found.message
    assert found.table["time_ratio"].isna().tolist() == [False, True]


@pytest.mark.parametrize("n", [0, 4])
def test_few_exits_are_too_little_data(n: int) -> None:
    found = time_ratios(cells(lives(200, 4, "Weibull")).head(n), ["flag"])
    assert found.model == "" and "too little data" in found.sentence
    assert found.table["time_ratio"].isna().all()
