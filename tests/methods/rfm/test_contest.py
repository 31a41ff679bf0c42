"""Value contest: planted winners, what decides a win, the values of the lists, who is alive, too little data."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pandas as pd
import pytest

from helpers.methods import outlook
from helpers.methods.rfm.contest import RFM_SCORE, SMALLEST_GAIN, Contest, contest, value_forecast
from helpers.methods.rfm.history import tier_history
from helpers.methods.rfm.members import current_tiers, prospects
from helpers.methods.rfm.purchase_models import purchase_models
from helpers.methods.rfm.tiers import TierScheme
from helpers.playbook.standard_lists import standard_lists
from helpers.stats.btyd.bg_nbd import Parameters
from helpers.stats.forecast.value_judging import PAST, SURVIVAL
from helpers.study import Study
from tests.stats.buyers import simulate

LAST_DAY, HOLDOUT = "2026-02-04", 90


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


def run(known: Study, days: int = HOLDOUT) -> Contest:
    return contest(known, value_forecast(known, days))


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """A community of 1,500 buyers over 400 days."""
    return simulated_orders()


@pytest.fixture(scope="module")
def held(orders: pd.DataFrame) -> Contest:
    """Its contest over the last 90 days."""
    return run(study(orders))


def test_result_is_tidy_deterministic_and_blind_to_row_order(orders: pd.DataFrame, held: Contest) -> None:
    assert held.table["model"].tolist() == [PAST, RFM_SCORE, SURVIVAL]
    assert (held.table["n"] == 1500).all() and held.n == 1500
    assert (held.table["low"] < held.table["lift"]).all() and (held.table["lift"] < held.table["high"]).all()
    gains = held.table.set_index("model")["gain"]
    lifts = held.table.set_index("model")["lift"]
    assert np.isnan(gains[RFM_SCORE]) and gains[PAST] == pytest.approx(lifts[PAST] - lifts[RFM_SCORE])
    again = run(study(orders.sample(frac=1, random_state=5)))
    pd.testing.assert_frame_equal(held.table, again.table)
    assert held.sentence == again.sentence and "1,500" in held.sentence


def test_the_holdout_is_never_looked_at_when_scoring(orders: pd.DataFrame, held: Contest) -> None:
    """Other values after the split change outcomes, but no score: what was foretold stays."""
    after = orders["day"] > pd.Timestamp(held.split)
    shuffled = orders["value"].sample(frac=1, random_state=1).to_numpy()
    other = study(orders.assign(value=np.where(after, shuffled, orders["value"])), draws=20)
    assert run(other).table["lift"].tolist() != held.table["lift"].tolist()
    foretold = []
    for each in (other, study(orders)):
        windows = value_forecast(each, HOLDOUT).windows
        foretold.append(windows.loc[windows["split"] == held.split, "predicted"].tolist())
    assert foretold[0] == foretold[1]


def test_a_win_needs_an_interval_above_zero(held: Contest) -> None:
    wins = held.table["gain_low"] > 0
    assert (held.winner == RFM_SCORE) == (not wins.any())
    assert f"Of 1,500 members present on {held.split}, the top 10 % by RFM of orders brought" in held.sentence
    chart = held.figure()
    assert chart.title.startswith(f"Ranked by the {held.winner}, the top 10 % bring")
    assert {PAST, RFM_SCORE} <= {tick.get_text() for tick in chart.figure.axes[0].get_yticklabels()}


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-1.0, 0.49, "Plain RFM is enough: no other score gains 0.50 or more"),
        (-1.0, 0.51, "No score is shown to beat plain RFM; gains above 0.51 are excluded."),
        (0.1, 0.51, "The stay-and-spend forecast beats plain RFM."),
    ],
)
def test_plain_rfm_is_enough_only_when_no_gain_worth_having_is_left(
    held: Contest, low: float, high: float, said: str
) -> None:
    """The lift of RFM is 5, so a gain of 0.5 is worth having; an open question is not an answer."""
    table = held.table.assign(lift=[5.0, 5.0, 5.2], gain=[0.0, np.nan, 0.2])
    table = table.assign(gain_low=[-1.0, np.nan, low], gain_high=[0.2, np.nan, high])
    found = dataclasses.replace(held, table=table)
    assert SMALLEST_GAIN == 0.1 and found.sentence.startswith(said)
    assert (found.gain.value, found.gain.low, found.gain.high) == (0.2, low, high)


def test_differences_are_adjusted_for_two_challengers(orders: pd.DataFrame) -> None:
    """At 90 % together, each is the interval of a single comparison at 95 %, and narrower than at 95 % together."""
    ninety, more = (run(study(orders, draws=1500, confidence=level)).table.dropna() for level in (0.9, 0.95))
    width = (ninety["gain_high"] - ninety["gain_low"]) / (more["gain_high"] - more["gain_low"])
    assert (ninety["gain_low"] > more["gain_low"]).all() and (ninety["gain_high"] < more["gain_high"]).all()
    assert width.to_numpy() == pytest.approx(1.960 / 2.241, abs=0.1)  # z at tails of 2.5 % and 1.25 %


def test_who_left_before_the_split_is_not_judged(orders: pd.DataFrame) -> None:
    """To know that heavy buyers who are gone bring nothing is no skill."""
    gone = orders[(orders["member_id"].astype(int) < 300) & (orders["day"] < "2025-08-01")]
    gone = gone.assign(member_id="gone" + gone["member_id"], value=gone["value"] * 50)
    left = everyone(gone).assign(left_day=pd.Timestamp("2025-09-01"))
    found = run(study(pd.concat([orders, gone]), pd.concat([everyone(orders), left]), draws=20))
    assert found.n == 1500 and f"Of 1,500 members present on {found.split}" in found.sentence


def test_value_without_memory_leaves_plain_rfm() -> None:
    """What a member brings in a window has nothing to do with its past: no score may win."""
    rng = np.random.default_rng(7)
    ids, day = np.arange(800).astype(str), pd.Timestamp("2025-01-01")
    bought = pd.DataFrame(
        {"member_id": rng.choice(ids, 6000), "kind": "order", "value": rng.gamma(2, 10, 6000)}
    )
    bought = bought.assign(day=day + pd.to_timedelta(rng.integers(0, 400, 6000), unit="D"))
    people = pd.DataFrame({"member_id": ids, "joined_day": day, "left_day": pd.NaT})
    found = run(study(bought, people, draws=300))
    assert found.winner == RFM_SCORE and (found.table["low"] < 1.15).all()


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_few_members_are_too_little_data(kept: int) -> None:
    frame = simulated_orders(300)
    found = run(study(frame[frame["member_id"].astype(int) < kept]))
    assert found.winner is None and "too little data" in found.sentence and found.table.empty
    assert not found.gain.known and "too little data" in found.figure().reason


def test_no_value_in_the_holdout_is_too_little_data(orders: pd.DataFrame) -> None:
    found = run(study(orders, as_of="2027-01-01"))
    assert found.winner is None and "too little data" in found.sentence


@pytest.fixture(scope="module")
def listed(orders: pd.DataFrame) -> tuple[Study, pd.DataFrame]:
    """The members that lists are chosen from, among them 400 without an order, 80 of whom bought lately."""
    first = pd.DataFrame({"member_id": [f"new{i}" for i in range(80)], "day": pd.Timestamp("2025-11-20")})
    given = pd.concat([orders, first.assign(kind="order", value=50.0)])
    known = study(given, everyone(orders, 400))
    members = current_tiers(known, tier_history(known, TierScheme.load("monthly_interactions")), 30)
    people = prospects(known, members, value_forecast(known, HOLDOUT), purchase_models(known))
    return known, people.to_pandas()


def test_lists_are_chosen_from_everybody_present(listed: tuple[Study, pd.DataFrame]) -> None:
    known, rows = listed
    rows = rows.set_index("member_id")
    never = rows[~rows["bought"]]
    assert len(rows) == 1900 and len(never) == 320 and never["p_alive"].isna().all()
    assert (never["expected_value"] > 0).all() and rows["expected_value"].notna().all()
    often = known.purchases.to_pandas().groupby("member_id")["day"].nunique().reindex(rows.index).fillna(0)
    assert (rows["p_alive"].notna() == (often > 1)).all()


def test_a_member_has_one_expected_value_in_all_notebooks(listed: tuple[Study, pd.DataFrame]) -> None:
    known, rows = listed
    there = outlook.member_value(known, horizon_days=HOLDOUT)
    mine = rows.set_index("member_id")["expected_value"]
    assert mine.to_dict() == there.ahead.to_pandas().set_index("member_id")["expected_value"].to_dict()
    lists = standard_lists(known, rows, ("silent", "potential", "active", "core"), 0.1, there)
    members = rows[rows["bought"] & ((rows["tier"] == "silent") | (rows["p_alive"] < 0.5))]["expected_value"]
    recall, (low, high) = lists["recall"].mean_value, there.spread.factors(members.sum())
    assert recall.value == pytest.approx(members.mean())
    assert [recall.low, recall.high] == pytest.approx([low * members.mean(), high * members.mean()])


def test_without_a_forecast_nothing_is_expected(orders: pd.DataFrame) -> None:
    known = study(orders)
    members = current_tiers(known, tier_history(known, TierScheme.load("monthly_interactions")), 30)
    nothing = value_forecast(known, 200)  # a history of three horizons is needed
    rows = prospects(known, members, nothing, purchase_models(known)).to_pandas()
    assert len(rows) == 1500 and rows["expected_value"].isna().all()
    found = standard_lists(known, rows, ("silent", "potential", "active", "core"), 0.1, nothing)
    assert not found["recall"].mean_value.known and found["recall"].days == 200


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
    assert f"Of {len(again)} present members with orders on more than one day" in found.sentence
    assert f"{found.once} have them on a single day, whom the model cannot judge." in found.sentence
    wide = purchase_models(Study.of(frames, **settings, confidence=0.99)).still_active
    assert wide.low < share.low and wide.confidence == 0.99
    nobody = purchase_models(Study.of(frames | {"population": people.iloc[:0]}, **settings))
    assert not nobody.still_active.known and "too little data" in nobody.sentence


def test_counts_a_long_time_ahead_are_judged_on_a_hold_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody bought on the first day of a year; at half of it the models foretell the other half."""
    known = study(few_orders(600, 5), as_of="2025-12-31")
    found = purchase_models(known)
    rows, split = known.purchases.to_pandas(), pd.Timestamp("2025-12-31") - pd.Timedelta(days=found.days)
    assert found.days == 182 and found.held_out["model"].tolist()[0] == "BG/NBD"
    assert found.held_out["error"].is_monotonic_increasing and (found.held_out["n"] == 600).all()
    came = (pd.to_datetime(rows["day"]) > split).sum()
    assert (found.held_out["actual"] == came).all() and 0.7 < came / found.held_out["expected"].iloc[0] < 1.4
    assert f"and {came:,} came" in found.ahead_sentence and "among 600 members" in found.ahead_sentence
    monkeypatch.setattr(importlib.import_module("helpers.methods.rfm.purchase_models"), "MOST_FITTED", 300)
    some = purchase_models(known)
    assert f"Of 600 members with orders a random {some.sample} are looked at. Of" in some.sentence
    assert some.sample == some.held_out["n"].iloc[0] and 250 < some.sample < 350
    assert some.ahead == pytest.approx(found.ahead, rel=0.2)
    few = purchase_models(study(few_orders(40, 5), as_of="2025-12-31"))
    assert few.held_out.empty and not any("are expected, of all" in str(part) for part in few.parts())
