"""The contest over closed windows: no look ahead, planted winners, BG/NBD by simulation, too little data."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters
from helpers.methods.outlook.risk import risk
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.bg_nbd import Parameters, probability_alive, simulate
from helpers.stats.forecast.backtest import Backtest, backtest
from helpers.stats.forecast.forward import FEWEST_WINDOWS, LEARNING
from helpers.stats.forecast.landmarks import Landmarks, landmarks
from helpers.stats.forecast.predictors import (
    BASE_RATE,
    LOGIT,
    RECALIBRATED,
    RECENCY,
    RFM_RANK,
    Predictors,
    probability_of_silence,
    rfm_rank,
)

START = dt.date(2025, 1, 1)
QUICK = (BASE_RATE, RECENCY, RFM_RANK, LOGIT, RECALIBRATED)


def poisson_rows(members: int = 300, days: int = 360, seed: int = 0, shape: float = 0.6) -> Landmarks:
    """Members who act at a constant rate of their own: frequency tells who falls silent."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(shape, 0.08 / shape, members)
    member, day = np.nonzero(rng.random((members, days)) < 1 - np.exp(-rate[:, None]))
    rows = pd.DataFrame(
        {"member_id": member.astype(str), "day": [START + dt.timedelta(days=int(d)) for d in day]}
    )
    rows = rows.assign(kind="interaction", action="like", value=0.0)
    people = pd.DataFrame(
        {"member_id": np.arange(members).astype(str), "joined_day": START, "left_day": None}
    )
    return landmarks(rows, people, as_of=START + dt.timedelta(days=days - 1), dormant=True)


@pytest.fixture(scope="module")
def rows() -> Landmarks:
    return poisson_rows()


@pytest.fixture(scope="module")
def held(rows: Landmarks) -> Backtest:
    return backtest(rows, models=QUICK, draws=100)


def test_contest_judges_the_windows_after_those_it_learns_from(rows: Landmarks, held: Backtest) -> None:
    first = len(rows.windows) - held.windows
    assert first == 2 + LEARNING
    assert held.windows >= FEWEST_WINDOWS
    assert held.by_window.groupby("model").size().eq(held.windows).all()
    assert held.table["model"].tolist() == list(QUICK)
    assert len(held.predictions) == rows.windows["active"].iloc[first:].sum()
    assert held.history["landmark"].nunique() == held.windows + LEARNING


def test_predictions_of_a_window_do_not_know_what_comes_later(rows: Landmarks, held: Backtest) -> None:
    table = rows.table.copy()
    last = table["landmark"].unique()[-1]
    before = table["landmark"].unique()[-2]
    open_by_then = table["landmark"] + pd.Timedelta(days=30) > before
    table.loc[open_by_then, "silent"] = 1 - table.loc[open_by_then, "silent"]
    other = backtest(replace(rows, table=table), models=QUICK, draws=20)
    for day, same in ((before, True), (last, False)):
        first, second = (b.predictions[b.predictions["landmark"] == day] for b in (held, other))
        assert np.allclose(first[LOGIT], second[LOGIT]) == same


def at(rows: Landmarks, day: pd.Timestamp) -> Landmarks:
    """Return what was known on an earlier landmark, with that day as today."""
    table = rows.table
    closed = table[table["landmark"] + pd.Timedelta(days=rows.horizon_days) <= day].reset_index(drop=True)
    now = table[table["landmark"] == day].drop(columns=["silent", "left"]).reset_index(drop=True)
    return replace(rows, table=closed, now=now, as_of=day.date())


def test_what_is_used_today_is_what_was_judged(rows: Landmarks, held: Backtest) -> None:
    """On the last landmark, the probabilities of "today" are those by which the backtest judges that window."""
    last = rows.table["landmark"].max()
    then = at(rows, last)
    today = risk(then, backtest(then, models=(RECALIBRATED,), draws=20)).members
    returns = backtest(rows, state="dormant", models=(RECALIBRATED,), draws=20).predictions
    for state, judged in (("active", held.predictions), ("dormant", returns)):
        now = today[today["state"] == state].set_index("member_id")["probability"]
        backward = judged[judged["landmark"] == last].set_index("member_id")[RECALIBRATED]
        pd.testing.assert_series_equal(now, backward.sort_index(), check_names=False, check_exact=True)


def test_return_is_judged_over_all_windows_like_silence(rows: Landmarks) -> None:
    found = risk(rows, backtest(rows, models=(RECENCY,), draws=20))
    held, check = found.return_contest, found.return_check
    frame = held.predictions
    assert held.winner == RECALIBRATED
    assert check["windows"] == held.windows == len(rows.windows) - 2 - LEARNING
    assert check["n"] == len(frame) == rows.windows["dormant"].iloc[2 + LEARNING :].sum()
    assert frame["returned"].sum() == rows.windows["returned"].iloc[2 + LEARNING :].sum()
    assert check["brier"] == pytest.approx(np.mean((frame[RECALIBRATED] - frame["returned"]) ** 2))
    assert check["brier_base"] == pytest.approx(np.mean((frame[BASE_RATE] - frame["returned"]) ** 2))
    assert check["worst_decile"] == pytest.approx(held.deciles["difference"].abs().max())
    assert check["auc"] > 0.6  # rates differ, so who was seen less is less likely back
    assert f"{held.windows} windows" in found.return_sentence
    assert "against" in found.return_sentence


def test_what_only_active_members_have_is_not_asked_of_dormant_ones(rows: Landmarks) -> None:
    with pytest.raises(BadParameters, match="tiers"):
        backtest(rows, state="dormant", tiers=pd.DataFrame())
    with pytest.raises(ValueError, match="models"):
        backtest(rows, state="dormant", models=(RFM_RANK,))


def test_pooled_scores_equal_plain_means(held: Backtest) -> None:
    frame = held.predictions
    for row in held.table.itertuples():
        assert row.brier == pytest.approx(np.mean((frame[row.model] - frame["silent"]) ** 2))
        assert row.brier_low < row.brier < row.brier_high
        assert row.auc_low < row.auc < row.auc_high


def test_frequency_beats_recency_where_rates_differ(held: Backtest) -> None:
    gaps = held.differences.set_index("model")
    assert gaps.loc[RECENCY, "clearly_worse"]
    assert held.winner != RECENCY
    assert held.winner in held.sentence


def test_recency_is_kept_as_loudly_when_nothing_beats_it() -> None:
    same = poisson_rows(members=250, shape=1e6, seed=1)
    found = backtest(same, models=QUICK, draws=100)
    assert found.winner == RECENCY
    assert "recency only is used" in found.sentence
    assert "no clear difference" in found.sentence or "as much as any model" in found.sentence


def test_fewer_windows_than_six_is_too_little_data() -> None:
    rows = poisson_rows(days=200)
    found = backtest(rows, models=QUICK, draws=20)
    assert 0 < found.windows < FEWEST_WINDOWS
    assert found.winner == RECENCY
    assert found.too_few
    assert "too little data" in found.sentence
    assert str(found.windows) in found.sentence
    returns = risk(rows, found).return_sentence
    assert "Provisional" in returns and "too little data to compare" in returns


def test_no_window_at_all_is_no_error() -> None:
    found = backtest(poisson_rows(members=3, days=40), models=QUICK)
    assert found.winner is None
    assert "too little data" in found.sentence
    assert "too little data" in found.lift_sentence


def test_tier_lift_needs_landmarks_and_counts_members(rows: Landmarks, held: Backtest) -> None:
    tiers = rows.table[["landmark", "member_id"]].assign(
        tier=np.where(rows.table["active_days_30"] > 2, "core", "potential")
    )
    found = backtest(rows, models=(RECENCY, LOGIT), draws=40, tiers=tiers).tier_lift
    assert found["n"].sum() == len(held.predictions)
    assert set(found["tier"]) == {"core", "potential"}
    with pytest.raises(BadData, match="column landmark missing"):
        backtest(rows, models=(RECENCY,), draws=20, tiers=tiers.drop(columns="landmark"))


def test_same_seed_same_contest(rows: Landmarks, held: Backtest) -> None:
    again = backtest(rows, models=QUICK, draws=100)
    pd.testing.assert_frame_equal(again.table, held.table, check_exact=True)
    pd.testing.assert_frame_equal(again.predictions, held.predictions, check_exact=True)


def test_rfm_rank_shares_ties_and_is_relative_to_the_landmark() -> None:
    frame = pd.DataFrame(
        {
            "landmark": [1, 1, 1, 2],
            "days_since_last": [0.0, 5, 5, 9],
            "active_days_90": [3.0, 1, 1, 1],
            "value_90": 0.0,
        }
    )
    assert rfm_rank(frame).tolist() == pytest.approx([1.0, 0.5, 0.5, 1.0])


def test_probability_of_silence_equals_simulation_of_the_bg_nbd_story() -> None:
    truth, age, t = Parameters(0.9, 5.0, 0.8, 2.5), 30.0, 30 / 7
    member, time = simulate(truth, np.full(200_000, age + t), seed=0)
    early = time <= age
    x = np.bincount(member[early], minlength=200_000)
    t_x = np.zeros(200_000)
    np.maximum.at(t_x, member[early], time[early])
    silent = np.bincount(member[~early], minlength=200_000) == 0
    model = BetaGeometricNBD()
    model.source_, model.params_ = "BG/NBD", truth
    p = probability_of_silence(model, t, x.astype(float), t_x, np.full(200_000, age))
    for low, high in ((0, 0), (1, 1), (2, 4), (5, 100)):
        group = (x >= low) & (x <= high)
        assert p[group].mean() == pytest.approx(silent[group].mean(), abs=4 * 0.5 / np.sqrt(group.sum()))
    assert probability_alive(truth, x.astype(float), t_x, np.full(200_000, age)).mean() < 1


def test_bg_nbd_that_cannot_be_fitted_says_nan(rows: Landmarks) -> None:
    now = rows.now
    found = Predictors(rows.table, rows.features, member_days=None).probability("BG/NBD", now)
    assert np.isnan(found).all()
