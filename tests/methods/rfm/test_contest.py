"""Value contest: lift by hand, bootstrap against a plain loop, planted winners, CDNOW, too little data."""

from __future__ import annotations

from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.methods.rfm.contest import (
    MODEL,
    PAST_VALUE,
    RFM_SCORE,
    Contest,
    _differences,
    contest,
    predict_value,
)
from helpers.methods.rfm.contest_result import SMALLEST_GAIN
from helpers.methods.rfm.current import prospects
from helpers.methods.rfm.findings import contest_gain
from helpers.methods.rfm.score_value import ScoreValue, newcomers
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.bg_nbd import Parameters, simulate
from helpers.stats.btyd.cells import cells, transactions


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
    kept = "Plain RFM is enough" if held.enough else "No score is shown to be better than plain RFM"
    assert held.sentence.startswith(kept if held.winner == RFM_SCORE else f"{held.winner} beats")
    assert "RFM of orders over" in held.sentence and "who had bought by 2025-10-07" in held.sentence


@pytest.mark.parametrize(
    ("high", "enough"),
    [((0.3, 0.49), True), ((0.3, 0.51), False), ((0.3, np.nan), False), ((-1, -0.1), True)],
)
def test_plain_rfm_is_enough_only_when_no_gain_worth_having_is_left(
    held: Contest, high: tuple[float, float], enough: bool
) -> None:
    """The lift of RFM is 5, so a gain of 0.5 is worth having; an open question is not an answer."""
    table = held.table.assign(lift=5.0, low=4.5, high=5.5)
    gaps = held.differences.assign(difference=-1.5, low=-2.0, high=high, wins=False)
    found = Contest(**{**vars(held), "table": table, "differences": gaps, "winner": RFM_SCORE})
    assert SMALLEST_GAIN == 0.1 and found.enough is enough
    assert found.sentence.startswith("Plain RFM is enough: no other score gains 0.50") is enough
    if high[1] == 0.51:
        assert "a gain of up to 0.51 cannot be excluded, so the simplest is kept" in found.sentence
    winner = Contest(**{**vars(found), "winner": MODEL})
    assert not winner.enough


def test_differences_are_adjusted_for_two_challengers(orders: pd.DataFrame, held: Contest) -> None:
    """At 90 % together, each is the interval of a single comparison at 95 %, and narrower than at 95 % together."""
    found = contest(orders, as_of=LAST_DAY, holdout_days=120, draws=200, confidence=0.9)
    ninety, more = (each.differences.set_index("model") for each in (found, held))
    width = (ninety["high"] - ninety["low"]) / (more["high"] - more["low"])
    assert (ninety["low"] > more["low"]).all() and (ninety["high"] < more["high"]).all()
    assert width.to_numpy() == pytest.approx(1.960 / 2.241, abs=0.1)  # z at tails of 2.5 % and 1.25 %
    frame = pd.DataFrame({"model": [PAST_VALUE, RFM_SCORE, MODEL], "lift": [2.0, 1.0, np.nan], "n": 500})
    drawn = np.random.default_rng(1).normal(1, 1, 4000)
    gap = _differences(frame, {PAST_VALUE: 1 + drawn, RFM_SCORE: np.ones(4000)}, 0.9).iloc[0]
    assert [gap.low, gap.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


def everyone(orders: pd.DataFrame, more: int = 0) -> pd.DataFrame:
    """A population that joined on the day of its first order, and `more` that never ordered."""
    first = orders.groupby("member_id")["paid_at"].min().dt.tz_convert("Asia/Shanghai").dt.tz_localize(None)
    found = first.dt.normalize().rename("joined_day").reset_index()
    extra = pd.DataFrame(
        {"member_id": [f"new{i}" for i in range(more)], "joined_day": pd.Timestamp("2025-01-01")}
    )
    return pd.concat([found, extra], ignore_index=True).assign(left_day=pd.Timestamp("2030-01-01"))


def test_leavers_change_nothing_when_the_population_is_given(orders: pd.DataFrame) -> None:
    """300 heavy buyers who left before the split: to know that they bring nothing is no skill."""
    gone = orders[orders["member_id"].astype(int) < 300]
    gone = gone[gone["paid_at"] < pd.Timestamp("2025-08-01", tz="Asia/Shanghai")]
    gone = gone.assign(member_id="gone" + gone["member_id"], gross=gone["gross"] * 50)
    both, here = pd.concat([orders, gone]), everyone(orders)
    left = everyone(gone).assign(left_day=pd.Timestamp("2025-09-01"))
    later = here.assign(left_day=pd.Timestamp("2025-12-01"))  # present at the split, so they count
    options = {"as_of": LAST_DAY, "holdout_days": 120, "draws": 50}
    alone = contest(orders, **options, population=here)
    found = contest(both, **options, population=pd.concat([later, left]))
    pd.testing.assert_frame_equal(found.table, alone.table)
    pd.testing.assert_frame_equal(found.differences, alone.differences)
    assert found.sentence == alone.sentence
    assert "1,500 members who were present on 2025-10-07 and had bought by then" in found.sentence
    blind = contest(both, **options)
    assert blind.table["n"].max() > 1500 and blind.table["lift"].tolist() != found.table["lift"].tolist()
    predicted = predict_value(both, found, as_of=LAST_DAY, population=pd.concat([here, left]))
    assert not predicted["member_id"].str.startswith("gone").any() and len(predicted) == 1500
    with pytest.raises(BadParameters, match="population missing"):
        predict_value(both, found, as_of=LAST_DAY)


def test_members_who_never_bought_are_worth_what_such_members_brought(orders: pd.DataFrame) -> None:
    """Planted: 400 present members without an order, 80 of whom spend 50 in the hold-out: 10 each."""
    when = pd.Timestamp("2025-11-01", tz="Asia/Shanghai")
    first = pd.DataFrame({"member_id": [f"new{i}" for i in range(80)], "paid_at": when, "gross": 50.0})
    given_orders, people = pd.concat([orders, first]), everyone(orders, 400)
    options = {"as_of": LAST_DAY, "holdout_days": 120, "draws": 400}
    found = contest(given_orders, **options, population=people)
    assert (found.table["n"] == 1500).all() and found.newcomers.n == 400
    assert found.newcomers.value == pytest.approx(10.0)
    half = 1.96 * 50 * np.sqrt(0.2 * 0.8 / 400)
    assert [found.newcomers.low, found.newcomers.high] == pytest.approx([10 - half, 10 + half], abs=0.5)
    split = pd.Timestamp(found.split, tz="Asia/Shanghai") + pd.Timedelta(days=1)
    total = given_orders.loc[given_orders["paid_at"] >= split, "gross"].sum()
    assert found.newcomer_share == pytest.approx(4000 / total)
    assert "came from members without an earlier order, whom no score sees" in found.sentence
    blind = contest(given_orders, **options)
    assert (
        not blind.newcomers.known and np.isnan(blind.newcomer_share) and "no score sees" not in blind.sentence
    )

    model = BetaGeometricNBD().fit(cells(given_orders, as_of=LAST_DAY))
    members = ibis.memtable(people[["member_id"]].assign(tier="core"))
    when_known = {"as_of": LAST_DAY, "report_tz": "Asia/Shanghai"}
    rows = prospects(members, given_orders, found, model, **when_known).set_index("member_id")
    never = rows[~rows["bought"]]
    assert len(never) == 320 and (never["past_value"] == 0).all() and never["p_alive"].isna().all()
    assert (never["expected_value"] == found.newcomers.value).all()
    assert (never["expected_low"] == found.newcomers.low).all()
    days = transactions(given_orders).group_by("member_id").agg(n=ibis._.count()).to_pandas()
    often = days.set_index("member_id")["n"].reindex(rows.index).fillna(0)
    assert (rows["p_alive"].notna() == (often > 1)).all()
    assert (rows["expected_low"] <= rows["expected_value"]).all() and rows["expected_high"].notna().all()
    nothing = Contest(**{**vars(found), "winner": None})
    assert prospects(members, given_orders, nothing, model, **when_known)["expected_value"].isna().all()


@pytest.mark.parametrize(("n", "values"), [(19, [5.0] * 10), (400, [5.0] * 4), (0, [])])
def test_few_newcomers_are_not_known(n: int, values: list[float]) -> None:
    found = newcomers(np.array(values), n, unit="value per member")
    assert not found.known and found.n == n


def test_a_challenger_that_could_not_run_does_not_hide_the_known_gain(held: Contest) -> None:
    gaps = held.differences.assign(difference=[0.2, np.nan], low=[0.1, np.nan], high=[0.3, np.nan])
    found = contest_gain(Contest(**{**vars(held), "differences": gaps}), "all members")
    assert (found.value, found.low, found.high) == (0.2, 0.1, 0.3)


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
    assert found.winner == RFM_SCORE
    assert found.sentence.startswith(
        "Plain RFM is enough"
        if found.enough
        else "No score is shown to be better than plain RFM; a gain of up to"
    )
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
    assert found.winner == MODEL and found.sentence.startswith(f"{MODEL} beats plain RFM")
    gain = found.differences.set_index("model").loc[MODEL, ["difference", "low", "high"]].astype(float)
    # published .143 [.052, .227] at 95 %; at 97.5 % for each of two comparisons it still excludes 0
    assert gain.tolist() == pytest.approx([0.143, 0.04, 0.24], abs=0.03) and gain["low"] > 0
    later = given_orders.loc[paid >= pd.Timestamp("1997-10-01", tz="Asia/Shanghai"), "gross"].sum()
    predicted = predict_value(given_orders, found, as_of=found.split)["expected_value"].sum()
    assert predicted == pytest.approx(later, rel=1e-6)
