"""Lift inside tiers: tiers are known at the landmark, and the tenth is chosen inside the tier."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.methods.outlook.tiers import tiers_at_landmarks
from helpers.stats.forecast.backtest import Backtest, backtest
from helpers.stats.forecast.landmarks import Landmarks, landmarks
from helpers.stats.forecast.predictors import BASE_RATE, LOGIT, RECENCY
from helpers.stats.forecast.tier_lift import tier_lift

START = dt.date(2025, 1, 1)
LABELS = ["no action", "1–10 actions", "11–50 actions", "51 and more actions"]


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Members who act at a constant rate of their own, some on most days."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.6, 0.3, 250)
    counts = rng.poisson(np.repeat(rate[:, None], 330, axis=1))
    member, day = np.nonzero(counts)
    each = counts[member, day]
    rows = pd.DataFrame({"member_id": np.repeat(member, each).astype(str)})
    rows["day"] = [START + dt.timedelta(days=int(d)) for d in np.repeat(day, each)]
    return rows.assign(kind="interaction", action="like", value=0.0)


@pytest.fixture(scope="module")
def rows(log: pd.DataFrame) -> Landmarks:
    people = pd.DataFrame({"member_id": np.arange(250).astype(str), "joined_day": START, "left_day": None})
    return landmarks(log, people, as_of=START + dt.timedelta(days=329))


@pytest.fixture(scope="module")
def held(rows: Landmarks) -> Backtest:
    return backtest(rows, models=(BASE_RATE, RECENCY, LOGIT), draws=100, tiers=tiers_at_landmarks(rows))


def test_tiers_are_actions_before_the_landmark_by_hand(log: pd.DataFrame, rows: Landmarks) -> None:
    tiers = tiers_at_landmarks(rows)
    assert len(tiers) == len(rows.table)
    day = pd.to_datetime(log["day"])
    for row in tiers.sample(60, random_state=1).itertuples():
        inside = (day <= row.landmark) & (day > row.landmark - pd.Timedelta(days=30))
        actions = int((inside & (log["member_id"] == row.member_id)).sum())
        bound = 0 if actions < 1 else 1 if actions <= 10 else 2 if actions <= 50 else 3
        assert row.tier == LABELS[bound], actions
    assert tiers["tier"].nunique() >= 2


def test_the_tenth_is_chosen_inside_the_tier() -> None:
    rng, n = np.random.default_rng(2), 4000
    tier = np.repeat(["low", "high"], n // 2)
    # In "low" the forecast ranks perfectly; in "high" it knows nothing.
    silent = rng.random(n) < np.where(tier == "low", 0.2, 0.4)
    p = np.where(tier == "low", np.where(silent, 0.9, 0.1), 0.5) + rng.random(n) / 100
    frame = pd.DataFrame({"landmark": pd.Timestamp("2026-01-31"), "member_id": np.arange(n).astype(str)})
    tiers = frame.assign(tier=tier)
    found = tier_lift(frame.assign(silent=silent.astype(int), logit=p), "logit", tiers, 0.95, 200, 0)
    lift = found.set_index("tier")["lift"]
    assert lift["low"] == pytest.approx(1 / silent[tier == "low"].mean())
    assert found.set_index("tier").loc["high", "low"] < 1 < found.set_index("tier").loc["high", "high"]
    few = tier_lift(frame.assign(silent=(np.arange(n) < 9).astype(int), logit=p), "logit", tiers, 0.95, 50, 0)
    assert few["lift"].isna().all()


def test_sentences_of_lift_and_calibration(held: Backtest) -> None:
    assert held.tier_lift["tier"].isin(LABELS).all()
    row = held.tier_lift.dropna(subset=["lift"]).iloc[0]
    assert (
        f"{row['tier']} " in held.tier_lift_sentence and f"n = {int(row['n']):,}" in held.tier_lift_sentence
    )
    model = held.table.set_index("model").loc[held.winner]
    sentence = held.calibration_sentence
    assert str(held.winner) in sentence
    disagrees = model["d_calibration_p_value"] < 0.05
    assert ("disagree." in sentence) == disagrees
    wrong = held.table.assign(d_calibration_p_value=1e-6)
    assert "p = less than 0.001" in dataclasses.replace(held, table=wrong).calibration_sentence
    assert "came disagree." in dataclasses.replace(held, table=wrong).calibration_sentence
    assert "too little data" in dataclasses.replace(held, windows=3).calibration_sentence
    without = dataclasses.replace(held, tier_lift=held.tier_lift.iloc[:0])
    assert "too little data" in without.tier_lift_sentence
