"""Value contest: lift by hand, bootstrap against a plain loop, planted winners, CDNOW, too little data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.methods.rfm.bg_nbd import Parameters, simulate
from helpers.methods.rfm.contest import MODEL, PAST_VALUE, RFM_SCORE, Contest, contest, predict_value
from helpers.methods.rfm.lift import bootstrap_lifts, lift
from helpers.methods.rfm.score_value import ScoreValue


def simulated_orders(members: int = 1500, days: int = 400, seed: int = 0) -> pd.DataFrame:
    """Members of the BG/NBD story with a Gamma level of value, who join in the first half."""
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, days // 2, members)
    level = rng.gamma(3.0, 10.0, members)
    again, after = simulate(Parameters(0.8, 4.0, 0.8, 3.0), (days - 1 - joined) / 7, seed)
    who = np.concatenate([np.arange(members), again])
    when = np.concatenate([joined, joined[again] + 7 * after])
    at = pd.Timestamp("2025-01-01", tz="Asia/Shanghai") + pd.to_timedelta(when, unit="D").floor("s")
    gross = np.round(rng.gamma(4.0, 0.25, who.size) * level[who], 2)
    frame = pd.DataFrame({"order_id": np.arange(who.size).astype(str), "member_id": who.astype(str)})
    return frame.assign(paid_at=at, gross=gross)


LAST_DAY = "2026-02-04"


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """A community of 1,500 buyers over 400 days."""
    return simulated_orders()


@pytest.fixture(scope="module")
def held(orders: pd.DataFrame) -> Contest:
    """Its contest over the last 120 days."""
    return contest(orders, as_of=LAST_DAY, holdout_days=120, draws=200)


def test_lift_by_hand() -> None:
    outcome = np.array([10.0, 0, 6, 0, 4, 0, 0, 0, 0, 0])
    score = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0.0])
    assert lift(score, outcome, 0.1) == pytest.approx(10 / 2)
    assert lift(score, outcome, 0.25) == pytest.approx((10 + 0 + 0.5 * 6) / 2.5 / 2)
    tied = np.array([9, 7, 7, 7, 0, 0, 0, 0, 0, 0.0])
    assert lift(tied, outcome, 0.2) == pytest.approx((10 + (0 + 6 + 0) / 3) / 2 / 2)
    assert lift(np.zeros(10), outcome) == pytest.approx(1.0)
    assert np.isnan(lift(score, np.zeros(10)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=3, max_size=25), st.integers(1, 10))
def test_lift_is_the_expectation_over_all_orders_of_equals(rows: list[tuple[int, int]], tenths: int) -> None:
    """Against whole members drawn from the group of equals at the cut, and for any order of rows."""
    score, outcome = (np.array(column, float) for column in zip(*rows, strict=True))
    if not outcome.sum():
        return
    size = tenths / 10 * len(rows)
    share = np.clip([(size - (score > s).sum()) / (score == s).sum() for s in score], 0, 1)
    expected = (share * outcome).sum() / size / outcome.mean()
    assert lift(score, outcome, tenths / 10) == pytest.approx(expected, rel=1e-9)
    assert lift(score[::-1], outcome[::-1], tenths / 10) == pytest.approx(expected, rel=1e-9)


def test_bootstrap_agrees_with_resampling_rows() -> None:
    rng = np.random.default_rng(1)
    n = 800
    outcome = np.where(rng.random(n) < 0.3, rng.gamma(1.0, 10.0, n), 0.0)
    scores = {"fine": outcome + rng.normal(0, 15, n), "coarse": np.floor(outcome / 8) + rng.integers(0, 3, n)}
    fast = bootstrap_lifts(scores, outcome, draws=3000, seed=2)
    slow: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(3000):
        rows = rng.integers(0, n, n)
        for name, score in scores.items():
            slow[name].append(lift(score[rows], outcome[rows]))
    for name, score in scores.items():
        assert fast[name].mean() == pytest.approx(np.mean(slow[name]), rel=0.01)
        assert fast[name].std() == pytest.approx(np.std(slow[name]), rel=0.06)
        assert abs(fast[name].mean() - lift(score, outcome)) < fast[name].std()
    both = [np.corrcoef(f["fine"], f["coarse"])[0, 1] for f in (fast, slow)]
    assert both[0] == pytest.approx(both[1], abs=0.06)  # paired: the same resamples for both


def test_bootstrap_interval_of_a_difference_covers_no_difference() -> None:
    """Two equally good scores: the paired interval excludes 0 about 5 % of the time, not more than 9 %."""
    rng, wrong, trials = np.random.default_rng(3), 0, 150
    for _ in range(trials):
        truth = rng.gamma(0.5, 10.0, 600)
        outcome = rng.poisson(truth).astype(float)
        scores = {name: truth + rng.normal(0, 6, 600) for name in "ab"}
        drawn = bootstrap_lifts(scores, outcome, draws=200, seed=int(rng.integers(1 << 30)))
        low, high = np.quantile(drawn["a"] - drawn["b"], [0.025, 0.975])
        wrong += not low < 0 < high
    assert wrong / trials <= 0.09


def test_result_is_tidy_deterministic_and_blind_to_row_order(orders: pd.DataFrame, held: Contest) -> None:
    assert held.table["model"].tolist() == [PAST_VALUE, RFM_SCORE, MODEL]
    assert (held.table["n"] == 1500).all()
    assert (held.table["low"] < held.table["lift"]).all() and (held.table["lift"] < held.table["high"]).all()
    assert (held.table["spearman_low"] < held.table["spearman"]).all()
    money = held.table.set_index("model").drop(RFM_SCORE)
    assert (money["calibration_low"] < money["calibration"]).all() and money["calibration"].between(
        0.3, 3
    ).all()
    assert np.isnan(held.table.set_index("model").loc[RFM_SCORE, "calibration"])
    again = contest(orders.sample(frac=1, random_state=5), as_of=LAST_DAY, holdout_days=120, draws=200)
    pd.testing.assert_frame_equal(held.table, again.table)
    pd.testing.assert_frame_equal(held.differences, again.differences)
    assert held.sentence == again.sentence and "1,500" in held.sentence


def test_the_holdout_is_never_looked_at_when_scoring(orders: pd.DataFrame, held: Contest) -> None:
    """Other values after the split change outcomes, but no prediction: its total stays."""
    after = orders["paid_at"] > pd.Timestamp(held.split, tz="Asia/Shanghai") + pd.Timedelta(days=1)
    other = orders.assign(
        gross=np.where(after, orders["gross"].sample(frac=1, random_state=1), orders["gross"])
    )
    found = contest(other, as_of=LAST_DAY, holdout_days=120, draws=20)
    assert found.table["predicted_total"].tolist() == pytest.approx(
        held.table["predicted_total"].tolist(), nan_ok=True
    )
    assert found.table["lift"].tolist() != held.table["lift"].tolist()


def test_a_win_needs_an_interval_above_zero(held: Contest) -> None:
    wins = held.differences["low"] > 0
    assert held.differences["wins"].tolist() == wins.tolist()
    assert (held.winner == RFM_SCORE) == (not wins.any())
    assert held.sentence.startswith(
        "Plain RFM is enough" if held.winner == RFM_SCORE else f"{held.winner} beats"
    )


def test_value_without_memory_leaves_plain_rfm() -> None:
    """The hold-out value of a member has nothing to do with its past: no score may win."""
    rng = np.random.default_rng(7)
    frame = simulated_orders(800, seed=7)
    split = pd.Timestamp("2025-10-08", tz="Asia/Shanghai")
    past = frame[frame["paid_at"] < split]
    names = past["member_id"].unique()
    late = pd.DataFrame(
        {
            "member_id": rng.choice(names, 600),
            "paid_at": split + pd.Timedelta(days=5),
            "gross": rng.gamma(2, 10, 600),
        }
    )
    found = contest(pd.concat([past, late]), as_of=LAST_DAY, holdout_days=120, draws=300)
    assert found.winner == RFM_SCORE and found.sentence.startswith("Plain RFM is enough")
    assert (found.table["low"].dropna() < 1.15).all()


def test_predictions_add_up_on_the_holdout(orders: pd.DataFrame, held: Contest) -> None:
    """At the split itself, for the hold-out itself, the calibrated total is the actual total."""
    split = pd.Timestamp(held.split, tz="Asia/Shanghai") + pd.Timedelta(days=1)
    actual = orders.loc[orders["paid_at"] >= split, "gross"].sum()
    for winner in (PAST_VALUE, RFM_SCORE, MODEL):
        chosen = Contest(**{**vars(held), "winner": winner})
        found = predict_value(orders, chosen, as_of=held.split)
        assert found["expected_value"].sum() == pytest.approx(actual, rel=1e-9)
        assert found["member_id"].is_unique and (found["model"] == winner).all()
        assert (found["low"] <= found["expected_value"]).all() and (
            found["expected_value"] <= found["high"]
        ).all()
    longer = predict_value(
        orders, Contest(**{**vars(held), "winner": RFM_SCORE}), as_of=held.split, horizon_days=240
    )
    assert longer["expected_value"].sum() == pytest.approx(2 * actual)


def test_score_value_pools_what_is_out_of_order() -> None:
    found = ScoreValue.of([1, 1, 2, 2, 3, 3], [1.0, 3.0, 9.0, 7.0, 4.0, 6.0])
    assert found.table["mean"].tolist() == [2.0, 8.0, 5.0]
    assert found.table["expected"].tolist() == [2.0, 6.5, 6.5]
    pooled = 1.959964 * np.std([9, 7, 4, 6]) / 2
    assert (found.table["high"] - found.table["expected"]).tolist()[1:] == pytest.approx(
        [pooled, pooled], rel=1e-5
    )
    assert found.expected([0, 2.5, 9])[:, 0].tolist() == [2.0, 6.5, 6.5]


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_few_members_are_too_little_data(kept: int) -> None:
    frame = simulated_orders(300)
    few = frame[frame["member_id"].astype(int) < kept]
    found = contest(few, as_of=LAST_DAY, holdout_days=120)
    assert found.winner is None and "too little data" in found.sentence
    assert found.table["lift"].isna().all() and found.differences["difference"].isna().all()
    predicted = predict_value(few, found, as_of=LAST_DAY)
    assert len(predicted) == kept and predicted["expected_value"].isna().all()


def test_no_value_in_the_holdout_is_too_little_data(orders: pd.DataFrame) -> None:
    found = contest(orders, as_of="2027-01-01", holdout_days=90)
    assert found.buyers == 0 and found.winner is None and "too little data" in found.sentence


def test_a_model_that_cannot_run_is_named() -> None:
    """Everyone bought once before the split: there are no repeats to fit."""
    rng = np.random.default_rng(2)
    n, start = 400, pd.Timestamp("2025-01-01", tz="UTC")
    first = pd.DataFrame({"member_id": np.arange(n).astype(str), "gross": rng.gamma(2.0, 10.0, n)})
    first["paid_at"] = start + pd.to_timedelta(rng.integers(0, 250, n), unit="D")
    later = first.sample(100, random_state=1).assign(paid_at=start + pd.Timedelta(days=350))
    found = contest(pd.concat([first, later]), as_of=LAST_DAY, holdout_days=120, draws=100)
    rows = found.table.set_index("model")
    assert np.isnan(rows.loc[MODEL, "lift"]) and rows.loc[[PAST_VALUE, RFM_SCORE], "lift"].notna().all()
    assert "BG/NBD x Gamma-Gamma did not run" in found.sentence and found.winner is not None


def test_published_lifts_of_cdnow(reference_data: Path) -> None:
    names = ["member_id", "day", "units", "gross"]
    path = reference_data / "rfm" / "CDNOW_master.txt"
    raw = pd.read_csv(
        path, sep=r"\s+", header=None, skiprows=1, names=names, dtype={"member_id": str, "day": str}
    )
    paid = pd.to_datetime(raw["day"], format="%Y%m%d").dt.tz_localize("Asia/Shanghai")
    given_orders = raw.assign(paid_at=paid, order_id=raw.index.astype(str))
    found = contest(given_orders, as_of="1998-06-30", holdout_days=273)
    rows = found.table.set_index("model")
    assert (rows["n"] == 23_570).all() and str(found.split) == "1997-09-30"
    assert round(rows.loc[MODEL, "lift"], 2) == 5.16
    assert rows.loc[MODEL, ["low", "high"]].tolist() == pytest.approx([4.92, 5.39], abs=0.05)
    assert round(rows.loc[PAST_VALUE, "lift"], 2) == 4.98
    # published for a quintile sum that splits equals: 5.06 [4.86, 5.29]
    assert 4.86 < rows.loc[RFM_SCORE, "lift"] < 5.29
    assert rows.loc[RFM_SCORE, "low"] < 5.06 < rows.loc[RFM_SCORE, "high"]
    later = given_orders.loc[paid >= pd.Timestamp("1997-10-01", tz="Asia/Shanghai"), "gross"].sum()
    predicted = predict_value(given_orders, found, as_of=found.split)["expected_value"].sum()
    assert predicted == pytest.approx(later, rel=1e-6)
