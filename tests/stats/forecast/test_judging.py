"""The contest over closed windows: no look ahead, planted winners, oracles of its errors, too little data."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special, stats
from sklearn.metrics import brier_score_loss

from helpers.stats.forecast.judging import (
    Contest,
    brier_gain,
    contest,
    lift_by_tier,
    paired_differences,
    standard_errors,
)
from helpers.stats.forecast.landmarks import Landmarks, landmarks
from helpers.stats.forecast.models import BASE_RATE, LEARNING, LOGIT, RECENCY
from helpers.stats.forecast.next_period import chances
from helpers.study.enough import WINDOWS_TO_JUDGE

START = dt.date(2025, 1, 1)
QUICK = (BASE_RATE, RECENCY, LOGIT)


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
    return landmarks(rows, people, as_of=START + dt.timedelta(days=days - 1))


@pytest.fixture(scope="module")
def rows() -> Landmarks:
    return poisson_rows()


@pytest.fixture(scope="module")
def held(rows: Landmarks) -> Contest:
    return contest(rows, models=QUICK, draws=100)


@pytest.fixture(scope="module")
def returns(rows: Landmarks) -> Contest:
    return contest(rows, "dormant", draws=20)


def test_contest_judges_the_windows_after_those_it_learns_from(rows: Landmarks, held: Contest) -> None:
    active = rows.table[rows.table["state"] == "active"]
    judged = np.sort(active["landmark"].unique())[2 + LEARNING :]
    assert held.windows == len(judged) >= WINDOWS_TO_JUDGE
    assert held.table["model"].tolist() == list(QUICK)
    assert len(held.predictions) == active["landmark"].isin(judged).sum()
    assert held.history["landmark"].nunique() == held.windows + LEARNING


def test_predictions_of_a_window_do_not_know_what_comes_later(rows: Landmarks, held: Contest) -> None:
    table = rows.table.copy()
    last = table["landmark"].unique()[-1]
    before = table["landmark"].unique()[-2]
    open_by_then = table["landmark"] + pd.Timedelta(days=30) > before
    table.loc[open_by_then, "silent"] = 1 - table.loc[open_by_then, "silent"]
    other = contest(replace(rows, table=table), models=QUICK, draws=20)
    for day, same in ((before, True), (last, False)):
        first, second = (b.predictions[b.predictions["landmark"] == day] for b in (held, other))
        assert np.allclose(first[LOGIT], second[LOGIT]) == same


def at(rows: Landmarks, day: pd.Timestamp) -> Landmarks:
    """Return what was known on an earlier landmark, with that day as today."""
    table = rows.table
    closed = table[table["landmark"] + pd.Timedelta(days=rows.horizon_days) <= day].reset_index(drop=True)
    now = table[table["landmark"] == day].drop(columns="silent").reset_index(drop=True)
    return replace(rows, table=closed, now=now, as_of=day.date())


def test_what_is_used_today_is_what_was_judged(rows: Landmarks, held: Contest, returns: Contest) -> None:
    """On the last landmark, the probabilities of "today" are those by which the contest judges that window."""
    last = rows.table["landmark"].max()
    then = at(rows, last)
    for state, judged in (("active", held), ("dormant", returns)):
        before = contest(then, state, models=(LOGIT,), draws=20)
        asked = then.now[then.now["state"] == state]
        now = chances(then, before, state, 0)(asked)
        backward = judged.predictions[judged.predictions["landmark"] == last].set_index("member_id")[LOGIT]
        assert now.tolist() == backward.reindex(asked["member_id"]).tolist()


def test_return_is_judged_over_all_windows_like_silence(rows: Landmarks, returns: Contest) -> None:
    dormant = rows.table[rows.table["state"] == "dormant"]
    judged = dormant["landmark"].isin(np.sort(dormant["landmark"].unique())[2 + LEARNING :])
    assert returns.winner == LOGIT
    assert len(returns.predictions) == judged.sum()
    assert returns.predictions["returned"].sum() == (dormant["silent"] == 0)[judged].sum()
    assert returns.table.set_index("model").loc[LOGIT, "auc"] > 0.6  # who was seen less is less likely back


def test_pooled_scores_equal_plain_means(held: Contest) -> None:
    frame = held.predictions
    for row in held.table.itertuples():
        assert row.brier == pytest.approx(brier_score_loss(frame["silent"], frame[row.model]))
        assert row.brier_low < row.brier < row.brier_high
        assert row.auc_low < row.auc < row.auc_high


def test_frequency_beats_recency_where_rates_differ(held: Contest) -> None:
    gaps = held.differences.set_index("model")
    assert gaps.loc[RECENCY, "clearly_worse"]
    assert held.winner != RECENCY


def test_the_lowest_score_is_used_and_how_sure_it_is_is_said(held: Contest) -> None:
    scores = held.table.set_index("model")["brier"].drop(BASE_RATE)
    assert held.winner == scores.idxmin()
    alike = contest(poisson_rows(members=250, shape=1e6, seed=1), models=QUICK, draws=20)
    assert not alike.differences["clearly_worse"].any()


def test_fewer_windows_than_six_is_too_little_data() -> None:
    found = contest(poisson_rows(days=200), models=QUICK, draws=20)
    assert 0 < found.windows < WINDOWS_TO_JUDGE
    scores = found.table.set_index("model")["brier"].drop(BASE_RATE)
    assert found.too_few and found.winner == scores.idxmin() == LOGIT
    assert not brier_gain(found).known


def test_no_window_at_all_is_no_error() -> None:
    found = contest(poisson_rows(members=3, days=40), models=QUICK)
    assert found.winner is None and found.windows == 0 and found.table.empty
    assert lift_by_tier(found, found.predictions).empty


def test_the_tenth_is_chosen_inside_the_tier() -> None:
    rng, n = np.random.default_rng(2), 4000
    tier = np.repeat(["low", "high"], n // 2)
    # In "low" the forecast ranks perfectly; in "high" it knows nothing.
    silent = (rng.random(n) < np.where(tier == "low", 0.2, 0.4)).astype(int)
    p = np.where(tier == "low", np.where(silent, 0.9, 0.1), 0.5) + rng.random(n) / 100
    frame = pd.DataFrame({"landmark": pd.Timestamp("2026-01-31"), "member_id": np.arange(n).astype(str)})
    held = Contest("silent", 30, 0.95, frame.assign(silent=silent, logit=p), winner="logit", table=frame)
    found = lift_by_tier(held, frame.assign(tier=tier)).set_index("tier")
    assert found["n"].sum() == n
    assert found.loc["low", "lift"] == pytest.approx(1 / silent[tier == "low"].mean())
    assert found.loc["high", "low"] < 1 < found.loc["high", "high"]
    rare = replace(held, predictions=held.predictions.assign(silent=(np.arange(n) < 9).astype(int)))
    assert lift_by_tier(rare, frame.assign(tier=tier))["lift"].isna().all()


def test_same_seed_same_contest(rows: Landmarks, held: Contest) -> None:
    again = contest(rows, models=QUICK, draws=100)
    pd.testing.assert_frame_equal(again.table, held.table, check_exact=True)
    pd.testing.assert_frame_equal(again.predictions, held.predictions, check_exact=True)


def test_the_gain_of_a_forecast_is_paired_and_judged_over_windows() -> None:
    rng, n = np.random.default_rng(1), 900
    p = rng.beta(1, 2, n)
    landmark = np.tile(np.arange(3), n // 3) * 2 + np.arange(n) // 450
    frame = pd.DataFrame({"landmark": landmark, BASE_RATE: 1 / 3, "logit": p})
    frame["silent"] = (rng.random(n) < p).astype(int)
    held = Contest("silent", 30, 0.95, frame, winner="logit", table=frame)
    found = brier_gain(held)
    bare = ((1 / 3 - frame["silent"]) ** 2).groupby(landmark).mean()
    used = ((p - frame["silent"]) ** 2).groupby(landmark).mean()
    assert found.value == pytest.approx(1 - used.mean() / bare.mean())
    assert (found.n, found.unit) == (6, "share")
    # Oracle: leave one window out (jackknife of the ratio).
    out = [1 - used.drop(k).mean() / bare.drop(k).mean() for k in bare.index]
    error = np.sqrt(5 / 6 * ((np.array(out) - np.mean(out)) ** 2).sum())
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 5) * error, rel=0.1)
    # A window that moves everybody widens the interval, however many members there are.
    shaken = frame.assign(logit=np.where(landmark == 0, 1 - p, p))
    wide = brier_gain(replace(held, predictions=shaken))
    assert wide.high - wide.low > 3 * (found.high - found.low)
    assert not brier_gain(replace(held, predictions=frame[landmark < 5])).known
    assert not brier_gain(replace(held, winner=BASE_RATE)).known


# --- paired differences: oracles of both parts of the variance, and the rate of false alarms over windows -----


def alike(windows: int, level: float, lasting: float, rng: np.random.Generator) -> pd.DataFrame:
    """Draw predictions of two models that err alike in expectation: in each window, and on each member for good."""
    members = 300
    at, member = (each.ravel() for each in np.indices((windows, members)))
    truth = rng.normal(-1, 1, members)[member]
    frame = pd.DataFrame({"landmark": at, "member_id": member})
    for model in "AB":
        own = rng.normal(0, lasting, members)[member] + rng.normal(0, 0.15, at.size)
        frame[model] = special.expit(truth + own + rng.normal(0, level, windows)[at])
    return frame.assign(silent=(rng.random(at.size) < special.expit(truth)).astype(int))


def test_with_members_seen_once_it_is_the_t_test_of_window_means() -> None:
    frame = alike(8, 0.2, 0.0, np.random.default_rng(0)).assign(member_id=np.arange(8 * 300))
    found = paired_differences(frame, ["A", "B"], "silent", confidence=0.95).set_index("model")
    worse = found["brier_difference"].idxmax()
    loss = {m: (frame[m] - frame["silent"]) ** 2 for m in "AB"}
    means = (loss[worse] - loss[found["against"].iloc[0]]).groupby(frame["landmark"]).mean()
    oracle = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert tuple(found.loc[worse, ["low", "high"]]) == pytest.approx((oracle.low, oracle.high))


def test_two_way_variance_equals_statsmodels() -> None:
    frame = alike(8, 0.1, 0.8, np.random.default_rng(1))
    gap = ((frame["A"] - frame["silent"]) ** 2 - (frame["B"] - frame["silent"]) ** 2).to_numpy()
    groups = frame[["landmark", "member_id"]].to_numpy()
    fit = sm.OLS(gap, np.ones(gap.size))

    def variance(by: np.ndarray) -> float:
        options = {"groups": by, "use_correction": False}
        return float(fit.fit(cov_type="cluster", cov_kwds=options).bse[0] ** 2)

    found = standard_errors(gap[:, None], frame)
    # Leaving out one window at a time is the sandwich times windows / (windows - 1), for windows of equal size.
    expected = variance(groups) + variance(groups[:, 0]) / 7
    assert found.error[0] ** 2 == pytest.approx(expected)
    assert found.degrees[0] > 7  # members that err for good are many, so that their part is well known


@pytest.mark.parametrize(("level", "lasting"), [(0.0, 0.0), (0.3, 0.6)])
def test_equal_models_are_called_clearly_worse_in_one_of_twenty(level: float, lasting: float) -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        found = paired_differences(alike(8, level, lasting, rng), ["A", "B"], "silent", confidence=0.95)
        alarms += bool(found["clearly_worse"].any())
    assert 0.01 <= alarms / 200 <= 0.09


def test_a_model_that_is_worse_is_found_and_few_windows_are_wide() -> None:
    rng = np.random.default_rng(3)
    frame = alike(12, 0.1, 0.0, rng)
    frame["C"] = special.expit(2 * special.logit(frame["A"]) + 0.5)
    found = paired_differences(frame, ["A", "C"], "silent", confidence=0.95).set_index("model")
    assert found.loc["C", "clearly_worse"] and not found.loc["A", "clearly_worse"]
    few = paired_differences(frame[frame["landmark"] < 2], ["A", "C"], "silent", confidence=0.95)
    few = few.set_index("model")
    assert few.loc["C", "high"] - few.loc["C", "low"] > 3 * (found.loc["C", "high"] - found.loc["C", "low"])
    one = paired_differences(frame[frame["landmark"] == 0], ["A", "C"], "silent", confidence=0.95)
    assert one[["low", "high"]].isna().all(axis=None) and not one["clearly_worse"].any()
