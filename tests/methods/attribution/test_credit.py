"""Intervals, credit below channels, and spend, against planted and counted truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadParameters, MissingTable
from helpers.methods.attribution.gates import bounds, gates
from helpers.methods.attribution.heuristics import rules, touch_shares
from helpers.methods.attribution.hierarchy import hierarchy
from helpers.methods.attribution.journeys import Definition, Journeys, journeys
from helpers.methods.attribution.markov import markov
from helpers.methods.attribution.money import spend
from helpers.methods.attribution.uncertainty import MODELS, credit, resampled
from tests.methods.attribution.tables import at, grouped, orders, study, told, touchpoints

CHANNELS = np.array(["抖音", "小红书", "微信", "微博", "direct"])


def lives(members: int, seed: int, per_member: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return touches and orders: members differ in how often they buy, channels in how often they are met."""
    rng = np.random.default_rng(seed)
    touched, bought = [], []
    for number in range(members):
        keen = rng.beta(1, 3)
        for start in np.sort(rng.uniform(-300, 20, rng.poisson(per_member))):
            path = rng.choice(CHANNELS, 1 + rng.poisson(1.5), p=[0.4, 0.25, 0.15, 0.15, 0.05])
            touched += [(f"m{number}", start + k / 10, name) for k, name in enumerate(path)]
            if rng.random() < keen:
                bought.append((f"m{number}", start + len(path) / 10, round(rng.gamma(2, 50), 2)))
    return touchpoints(*touched), orders(*bought)


@pytest.fixture(scope="module")
def found() -> Journeys:
    touches, bought = lives(1_500, 1)
    rng = np.random.default_rng(2)
    platform = touches["channel"].map({"抖音": "douyin", "小红书": "xhs", "微信": "wechat", "微博": "wechat"})
    account = touches["channel"].astype(str) + rng.choice(
        ["_a", "_b", "_c"], len(touches), p=[0.6, 0.39, 0.01]
    )
    touches = touches.assign(
        platform=platform.fillna("none"), account_id=account.where(rng.random(len(touches)) < 0.9),
        creator_id="达人", content_id=[f"c{n}" for n in rng.integers(0, 4, len(touches))], cost=2.0,
    )  # fmt: skip
    ads = pd.DataFrame({
        "date": pd.to_datetime(["2026-06-01", "2026-06-02", "2026-06-01", "2026-07-01"]),
        "platform": ["douyin", "wechat", "bilibili", "douyin"], "cost": [1000.37, 333.33, 77.0, 5.0],
    })  # fmt: skip
    return journeys(study(touchpoints=touches, orders=bought, ad_daily=ads, draws=200))


def test_intervals_hold_the_estimate_and_speak_of_every_model(found):
    told_ = credit(found, order=1)
    table = told_.table
    assert set(table["model"]) == set(MODELS)
    assert ((table["low"] <= table["conversions"]) & (table["conversions"] <= table["high"])).all()
    sums = table[table["model"] != "influenced"].groupby("model")[["conversions", "value"]].sum()
    np.testing.assert_allclose(sums["conversions"], found.attributed)
    np.testing.assert_allclose(sums["value"], found.cells["value"].sum())
    assert table.groupby("model")["p_top3"].sum().tolist() == pytest.approx([3.0] * len(MODELS))
    influenced = table[table["model"] == "influenced"]
    assert (influenced["conversions"] == influenced["n"]).all()
    of_all = found.touched.loc[influenced["node"]]
    np.testing.assert_allclose(influenced["value"], of_all["value"])
    assert told_.effects["removal"].between(0, 1).all()
    # The two channels that are met as often as each other are not to be reordered; the first is sure.
    pairs = {frozenset(pair) for pair in told_.undecided("markov")}
    assert frozenset({"微信", "微博"}) in pairs
    assert frozenset({"抖音", "小红书"}) not in pairs
    with pytest.raises(BadParameters, match="sharpe"):
        credit(found, models=("sharpe",))


def test_the_spread_of_resamples_is_that_of_other_communities():
    """By member: keen members buy again and again, and journeys drawn one by one would spread too little."""
    h = told(*lives(4_000, 3, per_member=4.0)).histories
    rng, first = np.random.default_rng(0), h.channels.index("抖音")
    models = {"markov": markov(h), "linear": rules(h)["linear"]}
    communities = rng.multinomial(h.members, np.full(40, 1 / 40)).T
    spread = [[model.of(members)[0, first] for model in models.values()] for members in communities]
    drawn = [
        [draws[:, 0, first].std() for draws in resampled(replace(h, members=members), models, 100, seed).values()]
        for seed, members in enumerate(communities[:6])
    ]  # fmt: skip
    estimated = np.mean(drawn, axis=0)
    assert estimated / np.std(spread, axis=0) == pytest.approx([1.0, 1.0], abs=0.25)
    credited = np.bincount(h.journey, touch_shares(h, "linear") * (h.code == first))
    alone = np.sqrt((h.members[h.history[h.last]] * credited**2).sum() / 40)
    assert estimated[1] > 1.15 * alone


def test_resamples_do_not_depend_on_how_many_are_held_at_once(found, monkeypatch):
    h = found.histories
    models = {"linear": rules(h)["linear"]}
    whole = resampled(h, models, 20, 1)["linear"]
    monkeypatch.setattr("helpers.methods.attribution.uncertainty.CHUNK_NUMBERS", 3 * len(h.members))
    np.testing.assert_array_equal(resampled(h, models, 20, 1)["linear"], whole)


def test_credit_below_channels_adds_up_to_theirs(found):
    whole = credit(found, ("markov", "linear", "influenced"), order=1)
    for model in ("markov", "linear"):
        table = hierarchy(found, whole, model)
        assert table["level"].unique().tolist() == ["platform", "channel", "account", "content"]
        own = whole.table[whole.table["model"] == model].set_index("node")
        for column in ("conversions", "value"):
            by_level = table.groupby("level")[column].sum()
            np.testing.assert_allclose(by_level, own[column].sum(), atol=1e-9)
            for level in ("channel", "account", "content"):
                sums = table[table["level"] == level].groupby("channel")[column].sum()
                np.testing.assert_allclose(sums, own[column].loc[sums.index], atol=1e-9)
        leaves = table[table["level"] == "content"]
        assert ((leaves["low"] <= leaves["conversions"]) & (leaves["conversions"] <= leaves["high"])).all()
    accounts = set(table[table["level"] == "account"]["account"])
    assert {"抖音_a", "抖音_b", "达人", "others"} <= accounts and "抖音_c" not in accounts
    # Members are counted once in each group; of few members there is no row but what is left over.
    assert (table["members"] <= table["n"]).all()
    few = table[(table["members"] < found.study.k_min) & table["level"].isin(["account", "content"])]
    assert set(few["content"].fillna(few["account"])) <= {"others"}
    whole_level = table[table["level"] == "channel"].set_index("channel")["members"]
    steps = found.steps.filter("converted")
    true = steps.group_by("channel").agg(n=steps.member_id.nunique()).to_pandas().set_index("channel")["n"]
    assert (whole_level <= true.loc[whole_level.index]).all() and (
        whole_level > 0.5 * true.loc[whole_level.index]
    ).all()
    # By the linear rule a leaf has just what its touches have.
    channels = table[table["level"] == "channel"].set_index("channel")
    h = found.histories
    linear = rules(h)["linear"].of(h.members)[0]
    np.testing.assert_allclose(channels["conversions"].loc[list(h.channels)], linear, atol=1e-9)


def test_a_channel_that_only_leads_to_another_keeps_the_credit_of_the_chain():
    found = grouped(("微博 > 抖音", 0, 5, 0.0), ("抖音", 20, 2, 50.0))
    whole = credit(found, ("markov",), order=1)
    own = whole.table.set_index("node")["conversions"]
    table = hierarchy(found, whole).set_index("channel")
    assert own["微博"] > 0
    np.testing.assert_allclose(table["conversions"].loc[own.index], own, atol=1e-9)
    np.testing.assert_allclose(table["value"].sum(), 50.0)


def test_spend_is_that_of_the_ledger_once(found):
    billed = spend(found)
    assert billed.sum() == pytest.approx(1000.37 + 333.33 + 77.0, abs=1e-9)
    assert billed["抖音"] == 1000.37 and billed["bilibili"] == 77.0
    touches = found.touches.filter(found.touches.platform == "wechat").channel.value_counts().to_pandas()
    share = touches.set_index("channel").iloc[:, 0]
    assert billed["微信"] == pytest.approx(333.33 * share["微信"] / share.sum())
    assert not {"小红书", "direct"} & set(billed.index)  # not on record is not nothing


def test_costs_of_touches_stand_for_the_ledger_and_currencies_are_not_mixed():
    touches = touchpoints(("m", 0, "抖音"), ("n", 1, "抖音"), ("n", 2, "微信")).assign(
        cost=[400.0, 600.0, None]
    )
    bought = orders(("n", 3, 5_000.0)).assign(currency="SEK")
    kept = {"touchpoints": touches.assign(currency="SEK"), "orders": bought}
    found = journeys(study(**kept, currency="SEK"))
    assert spend(found).to_dict() == {"抖音": 1_000.0}
    other = journeys(study(touchpoints=touches.assign(currency="USD"), orders=bought, currency="SEK"))
    with pytest.raises(BadParameters, match="touchpoints is in USD"):
        spend(other)
    free = journeys(study(touchpoints=touches.drop(columns="cost"), orders=bought, currency="SEK"))
    with pytest.raises(MissingTable, match="what was spent"):
        spend(free)


def test_bounds_hold_the_truth_when_two_fifths_are_not_matched():
    touches, bought = lives(3_000, 5)
    whole = told(touches, bought)
    h = whole.histories
    # A person is matched on a platform or not, whatever they buy; the ids of the others are of no member.
    rng = np.random.default_rng(6)
    pairs = touches["member_id"].astype(str) + touches["channel"].astype(str)
    lost = pairs.map(dict.fromkeys(pairs.unique(), False) | {p: rng.random() < 0.4 for p in pairs.unique()})
    seen = touches.assign(
        member_id=("x" + pairs).where(lost, touches["member_id"]), platform=touches["channel"]
    )
    members = pd.DataFrame({"member_id": touches["member_id"].unique(), "joined_at": at(-400)})
    found = journeys(study(touchpoints=seen, orders=bought, members=members))
    account = gates(found)
    assert account.by("platform")["share"].to_numpy() == pytest.approx([0.6] * 5, abs=0.06)
    assert account.unattributed > 0 and account.enough
    mine = found.histories
    for rule in ("first", "last", "linear", "decay"):
        true = dict(zip(h.channels, rules(h)[rule].of(h.members)[0], strict=True))
        given = pd.Series(rules(mine)[rule].of(mine.members)[0], list(mine.channels))
        table = bounds(account, given).set_index("node")
        assert all(table.loc[name, "low"] <= true[name] <= table.loc[name, "high"] for name in h.channels)
        assert (table["high"] - table["low"] < account.conversions).all()


def test_without_members_nobody_knows_who_is_matched():
    found = told(touchpoints(("m", 0, "抖音")), orders(("m", 1, 1.0)))
    account = gates(found)
    assert account.by("channel")["share"].isna().all() and not account.enough
    assert bounds(account, pd.Series({"抖音": 1.0}))[["low", "high"]].isna().all(axis=None)


def test_ids_of_nobody_are_no_journey_without_a_conversion():
    touches = touchpoints(("m", 0, "抖音"), ("guest", 0, "抖音"), ("nobody", 0, "抖音"))
    members = pd.DataFrame({"member_id": ["m"], "joined_at": [at(-9)]})
    found = journeys(study(touchpoints=touches, orders=orders(("guest", 1, 9.0)), members=members))
    assert int(found.histories.members.sum()) == 2
    assert gates(found).match[["touches", "matched"]].to_numpy().tolist() == [[3, 2]]


def test_one_order_has_credit_and_an_interval():
    found = grouped(("抖音", 1, 0, 5.0))
    table = credit(found, order=1).table
    assert (table["conversions"] == 1).all() and (table["low"] == 0).all() and (table["high"] >= 1).all()


def test_the_window_of_the_spend_is_that_of_the_orders():
    ads = pd.DataFrame(
        {"date": pd.to_datetime(["2026-06-20", "2026-06-21"]), "platform": "douyin", "cost": [8.0, 2.0]}
    )
    touches = touchpoints(("m", 22, "抖音")).assign(platform="douyin")
    tables = {"touchpoints": touches, "orders": orders(("m", 23, 10.0)), "ad_daily": ads}
    found = journeys(study(**tables), Definition(window_days=10))
    assert spend(found).to_dict() == {"抖音": 2.0}
