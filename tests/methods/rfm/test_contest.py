"""Value contest: planted winners, CDNOW, what a prediction adds up to, who is alive, too little data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.methods.rfm.contest import (
    MODEL,
    PAST_VALUE,
    RFM_SCORE,
    SMALLEST_GAIN,
    Contest,
    _differences,
    contest,
    predict_value,
    value_by_score,
)
from helpers.methods.rfm.history import tier_history
from helpers.methods.rfm.members import current_tiers, prospects
from helpers.methods.rfm.purchase_models import purchase_models
from helpers.methods.rfm.tiers import TierScheme
from helpers.stats.btyd.bg_nbd import Parameters
from helpers.study import Study
from tests.stats.buyers import simulate

LAST_DAY, HOLDOUT = "2026-02-04", 120


def simulated_orders(members: int = 1500, days: int = 400, seed: int = 0) -> pd.DataFrame:
    """Members of the BG/NBD story with a Gamma level of value, who join in the first half."""
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, days // 2, members)
    level = rng.gamma(3.0, 10.0, members)
    again, after = simulate(Parameters(0.8, 4.0, 0.8, 3.0), (days - 1 - joined) / 7, seed)
    who = np.concatenate([np.arange(members), again])
    when = np.concatenate([joined, joined[again] + 7 * after])
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.floor(when), unit="D")
    value = np.round(rng.gamma(4.0, 0.25, who.size) * level[who], 2)
    return pd.DataFrame({"member_id": who.astype(str), "day": day, "kind": "order", "value": value})


def everyone(orders: pd.DataFrame, more: int = 0) -> pd.DataFrame:
    """A population that joined on the day of its first order, and `more` that never ordered."""
    found = orders.groupby("member_id")["day"].min().rename("joined_day").reset_index()
    ids = [f"new{i}" for i in range(more)]
    extra = pd.DataFrame({"member_id": ids, "joined_day": pd.Timestamp("2025-01-01")})
    return pd.concat([found, extra], ignore_index=True).assign(left_day=pd.NaT)


def study(orders: pd.DataFrame, people: pd.DataFrame | None = None, **settings: object) -> Study:
    frames = {"activity": orders, "population": everyone(orders) if people is None else people}
    return Study.of(frames, **{"as_of": LAST_DAY, "count": "order", "draws": 200} | settings)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """A community of 1,500 buyers over 400 days."""
    return simulated_orders()


@pytest.fixture(scope="module")
def held(orders: pd.DataFrame) -> Contest:
    """Its contest over the last 120 days."""
    return contest(study(orders), HOLDOUT)


def test_result_is_tidy_deterministic_and_blind_to_row_order(orders: pd.DataFrame, held: Contest) -> None:
    assert held.table["model"].tolist() == [PAST_VALUE, RFM_SCORE, MODEL]
    assert (held.table["n"] == 1500).all()
    assert (held.table["low"] < held.table["lift"]).all() and (held.table["lift"] < held.table["high"]).all()
    money = held.table.set_index("model").drop(RFM_SCORE)
    assert (money["calibration_low"] < money["calibration"]).all() and money["calibration"].between(
        0.3, 3
    ).all()
    assert np.isnan(held.table.set_index("model").loc[RFM_SCORE, "calibration"])
    again = contest(study(orders.sample(frac=1, random_state=5)), HOLDOUT)
    pd.testing.assert_frame_equal(held.table, again.table)
    pd.testing.assert_frame_equal(held.differences, again.differences)
    assert held.sentence == again.sentence and "1,500" in held.sentence


def test_the_holdout_is_never_looked_at_when_scoring(orders: pd.DataFrame, held: Contest) -> None:
    """Other values after the split change outcomes, but no prediction: its total stays."""
    after = orders["day"] > pd.Timestamp(held.split)
    shuffled = orders["value"].sample(frac=1, random_state=1).to_numpy()
    other = study(orders.assign(value=np.where(after, shuffled, orders["value"])), draws=20)
    found = contest(other, HOLDOUT)
    assert found.table["lift"].tolist() != held.table["lift"].tolist()
    totals = []
    for each, when in ((found, other), (held, study(orders))):
        came = when.activity.filter(when.activity.day > held.split).value.sum().to_pandas()
        totals.append((each.table["calibration"] * came).tolist())
    assert totals[0] == pytest.approx(totals[1], nan_ok=True)


def test_a_win_needs_an_interval_above_zero(held: Contest) -> None:
    wins = held.differences["low"] > 0
    assert held.differences["wins"].tolist() == wins.tolist()
    assert (held.winner == RFM_SCORE) == (not wins.any())
    kept = "Plain RFM is enough" if held.enough else "No score is shown to beat plain RFM"
    assert held.sentence.startswith(kept if held.winner == RFM_SCORE else f"{held.winner} beats")
    assert "who had bought by 2025-10-07, the top 10 % by RFM of orders brought" in held.sentence
    chart = held.figure()
    assert chart.title.startswith(f"Ranked by {held.winner}, the score to use, the top 10 % bring")
    assert {PAST_VALUE, RFM_SCORE} <= {tick.get_text() for tick in chart.axes[0].get_yticklabels()}


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
        assert "which is kept; gains above 0.51 are excluded" in found.sentence
    winner = Contest(**{**vars(found), "winner": MODEL})
    assert not winner.enough


def test_differences_are_adjusted_for_two_challengers(orders: pd.DataFrame, held: Contest) -> None:
    """At 90 % together, each is the interval of a single comparison at 95 %, and narrower than at 95 % together."""
    found = contest(study(orders, confidence=0.9), HOLDOUT)
    ninety, more = (each.differences.set_index("model") for each in (found, held))
    width = (ninety["high"] - ninety["low"]) / (more["high"] - more["low"])
    assert (ninety["low"] > more["low"]).all() and (ninety["high"] < more["high"]).all()
    assert width.to_numpy() == pytest.approx(1.960 / 2.241, abs=0.1)  # z at tails of 2.5 % and 1.25 %
    frame = pd.DataFrame({"model": [PAST_VALUE, RFM_SCORE, MODEL], "lift": [2.0, 1.0, np.nan], "n": 500})
    drawn = np.random.default_rng(1).normal(1, 1, 4000)
    gap = _differences(frame, {PAST_VALUE: 1 + drawn, RFM_SCORE: np.ones(4000)}, 0.9).iloc[0]
    assert [gap.low, gap.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


def test_leavers_change_nothing(orders: pd.DataFrame) -> None:
    """300 heavy buyers who left before the split: to know that they bring nothing is no skill."""
    gone = orders[orders["member_id"].astype(int) < 300]
    gone = gone[gone["day"] < "2025-08-01"]
    gone = gone.assign(member_id="gone" + gone["member_id"], value=gone["value"] * 50)
    both, here = pd.concat([orders, gone]), everyone(orders)
    left = everyone(gone).assign(left_day=pd.Timestamp("2025-09-01"))
    later = here.assign(left_day=pd.Timestamp("2026-03-01"))  # present at the split, so they count
    alone = contest(study(orders, draws=50), HOLDOUT)
    found = contest(study(both, pd.concat([later, left]), draws=50), HOLDOUT)
    pd.testing.assert_frame_equal(found.table, alone.table)
    pd.testing.assert_frame_equal(found.differences, alone.differences)
    assert found.sentence == alone.sentence
    assert "Of 1,500 members who had bought by 2025-10-07" in found.sentence
    predicted = predict_value(study(both, pd.concat([later, left])), found)
    assert not predicted["member_id"].str.startswith("gone").any() and len(predicted) == 1500


def test_members_who_never_bought_are_worth_what_such_members_brought(orders: pd.DataFrame) -> None:
    """Planted: 400 present members without an order, 80 of whom spend 50 in the hold-out: 10 each."""
    first = pd.DataFrame({"member_id": [f"new{i}" for i in range(80)], "day": pd.Timestamp("2025-11-01")})
    given = pd.concat([orders, first.assign(kind="order", value=50.0)])
    people = everyone(orders, 400)
    known = study(given, people, draws=400)
    found = contest(known, HOLDOUT)
    assert (found.table["n"] == 1500).all() and found.newcomers.n == 400
    assert found.newcomers.value == pytest.approx(10.0)
    half = 1.96 * 50 * np.sqrt(0.2 * 0.8 / 400)
    assert [found.newcomers.low, found.newcomers.high] == pytest.approx([10 - half, 10 + half], abs=0.5)
    total = given.loc[given["day"] > pd.Timestamp(found.split), "value"].sum()
    assert found.newcomer_share == pytest.approx(4000 / total)
    assert "of all value came from members without an earlier order" in found.sentence

    model = purchase_models(known)
    members = current_tiers(known, tier_history(known, TierScheme.load("monthly_interactions")), 30)
    rows = prospects(known, members, found, model).set_index("member_id")
    never = rows[~rows["bought"]]
    assert len(never) == 320 and (never["past_value"] == 0).all() and never["p_alive"].isna().all()
    assert (never["expected_value"] == found.newcomers.value).all()
    assert (never["expected_low"] == found.newcomers.low).all()
    often = given.groupby("member_id")["day"].nunique().reindex(rows.index).fillna(0)
    assert (rows["p_alive"].notna() == (often > 1)).all()
    assert (rows["expected_low"] <= rows["expected_value"]).all() and rows["expected_high"].notna().all()
    nothing = Contest(**{**vars(found), "winner": None})
    assert prospects(known, members, nothing, model)["expected_value"].isna().all()


@pytest.mark.parametrize(("n", "buyers"), [(19, 10), (400, 4), (0, 0)])
def test_few_newcomers_are_not_known(orders: pd.DataFrame, n: int, buyers: int) -> None:
    few = orders[orders["member_id"].astype(int) < 150]
    first = pd.DataFrame({"member_id": [f"new{i}" for i in range(buyers)], "day": pd.Timestamp("2025-11-01")})
    given = pd.concat([few, first.assign(kind="order", value=5.0)])
    found = contest(study(given, everyone(few, n), draws=20), HOLDOUT).newcomers
    assert not found.known and found.n == n


def test_a_challenger_that_could_not_run_does_not_hide_the_known_gain(held: Contest) -> None:
    gaps = held.differences.assign(difference=[0.2, np.nan], low=[0.1, np.nan], high=[0.3, np.nan])
    found = Contest(**{**vars(held), "differences": gaps}).gain
    assert (found.value, found.low, found.high) == (0.2, 0.1, 0.3)


def test_value_without_memory_leaves_plain_rfm() -> None:
    """The hold-out value of a member has nothing to do with its past: no score may win."""
    rng = np.random.default_rng(7)
    frame = simulated_orders(800, seed=7)
    past = frame[frame["day"] <= "2025-10-07"]
    late = pd.DataFrame({"member_id": rng.choice(past["member_id"].unique(), 600), "kind": "order"})
    late = late.assign(day=pd.Timestamp("2025-10-13"), value=rng.gamma(2, 10, 600))
    found = contest(study(pd.concat([past, late]), draws=300), HOLDOUT)
    assert found.winner == RFM_SCORE
    assert found.sentence.startswith(
        "Plain RFM is enough"
        if found.enough
        else "No score is shown to beat plain RFM, which is kept; gains above"
    )
    assert (found.table["low"].dropna() < 1.15).all()


def test_predictions_add_up_on_the_holdout(orders: pd.DataFrame, held: Contest) -> None:
    """At the split itself, for the hold-out itself, the calibrated total is the actual total."""
    actual = orders.loc[orders["day"] > pd.Timestamp(held.split), "value"].sum()
    for winner in (PAST_VALUE, RFM_SCORE, MODEL):
        found = predict_value(study(orders).at(held.split), Contest(**{**vars(held), "winner": winner}))
        assert found["expected_value"].sum() == pytest.approx(actual, rel=1e-9)
        assert found["member_id"].is_unique and (found["model"] == winner).all()
        assert (found["low"] <= found["expected_value"]).all()
        assert (found["expected_value"] <= found["high"]).all()


def test_value_by_score_pools_what_is_out_of_order() -> None:
    found = value_by_score([1, 1, 2, 2, 3, 3], [1.0, 3.0, 9.0, 7.0, 4.0, 6.0], 0.95)
    assert found["mean"].tolist() == [2.0, 8.0, 5.0]
    assert found["expected"].tolist() == [2.0, 6.5, 6.5]
    pooled = 1.959964 * np.std([9, 7, 4, 6]) / 2
    assert (found["high"] - found["expected"]).tolist()[1:] == pytest.approx([pooled, pooled], rel=1e-5)


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_few_members_are_too_little_data(kept: int) -> None:
    frame = simulated_orders(300)
    few = frame[frame["member_id"].astype(int) < kept]
    found = contest(study(few), HOLDOUT)
    assert found.winner is None and "too little data" in found.sentence
    assert found.table["lift"].isna().all() and found.differences["difference"].isna().all()
    predicted = predict_value(study(few), found)
    assert len(predicted) == kept and predicted["expected_value"].isna().all()


def test_no_value_in_the_holdout_is_too_little_data(orders: pd.DataFrame) -> None:
    found = contest(study(orders, as_of="2027-01-01"), 90)
    assert found.buyers == 0 and found.winner is None and "too little data" in found.sentence


def test_a_model_that_cannot_run_is_named() -> None:
    """Everyone bought once before the split: there are no repeats to fit."""
    rng = np.random.default_rng(2)
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 250, 400), unit="D")
    first = pd.DataFrame({"member_id": np.arange(400).astype(str), "day": day, "kind": "order"})
    first["value"] = rng.gamma(2.0, 10.0, 400)
    later = first.sample(100, random_state=1).assign(day=pd.Timestamp("2025-12-17"))
    found = contest(study(pd.concat([first, later]), draws=100), HOLDOUT)
    rows = found.table.set_index("model")
    assert np.isnan(rows.loc[MODEL, "lift"]) and rows.loc[[PAST_VALUE, RFM_SCORE], "lift"].notna().all()
    assert "BG/NBD x Gamma-Gamma did not run" in found.sentence and found.winner is not None


def test_published_lifts_of_cdnow(reference_data: Path) -> None:
    names = ["member_id", "day", "units", "value"]
    path = reference_data / "rfm" / "CDNOW_master.txt"
    raw = pd.read_csv(
        path, sep=r"\s+", header=None, skiprows=1, names=names, dtype={"member_id": str, "day": str}
    )
    given = raw.assign(day=pd.to_datetime(raw["day"], format="%Y%m%d"), kind="order")
    known = study(given, as_of="1998-06-30", draws=1000)
    found = contest(known, 273)
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
    later = given.loc[given["day"] >= "1997-10-01", "value"].sum()
    predicted = predict_value(known.at(found.split), found)["expected_value"].sum()
    assert predicted == pytest.approx(later, rel=1e-6)


def few_orders(members: int, seed: int) -> pd.DataFrame:
    """Orders of members of the model's story, who all first buy on the first day."""
    again, after = simulate(Parameters(0.8, 6.0, 0.8, 2.5), np.full(members, 52.0), seed)
    who, when = np.concatenate([np.arange(members), again]), np.concatenate([np.zeros(members), 7 * after])
    day = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.floor(when), unit="D")
    return pd.DataFrame({"member_id": who.astype(str), "day": day, "kind": "order", "value": 1.0})


def test_only_present_members_are_counted_as_alive() -> None:
    """Of 1,200 buyers a third left."""
    orders = few_orders(1200, 3)
    ids = np.arange(1200)
    people = pd.DataFrame({"member_id": ids.astype(str), "joined_day": pd.Timestamp("2025-01-01")})
    people["left_day"] = pd.Series(np.where(ids % 3 == 0, "2025-06-01", None)).astype("datetime64[ns]")
    frames, settings = {"activity": orders, "population": people}, {"as_of": "2025-12-31", "count": "order"}
    known = Study.of(frames, **settings)
    found = purchase_models(known)
    by_member = orders.groupby(orders["member_id"].astype(int))["day"].agg(["min", "max", "nunique"])
    here = by_member[by_member.index % 3 != 0]
    end = pd.Timestamp("2025-12-31")
    again = here[here["nunique"] > 1]
    weeks = [(again[c] - again["min"]).dt.days / 7 for c in ("max",)] + [(end - again["min"]).dt.days / 7]
    oracle = found.alive.probability_alive(again["nunique"] - 1, weeks[0], weeks[1])
    share = found.still_active
    assert share.value == pytest.approx(oracle.mean(), rel=1e-9)
    assert (share.n, found.once) == (
        len(again),
        len(here) - len(again),
    ) and share.low < share.value < share.high
    assert f"Of {len(again)} present members who bought more than once" in found.sentence
    assert f"{found.once} bought once, whom the model cannot judge." in found.sentence
    wide = purchase_models(Study.of(frames, **settings, confidence=0.99)).still_active
    assert wide.low < share.low and wide.confidence == 0.99
    nobody = purchase_models(Study.of(frames | {"population": people.iloc[:0]}, **settings))
    assert not nobody.still_active.known and "too little data" in nobody.sentence
