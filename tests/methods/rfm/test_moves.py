"""Moves between tiers: by hand, against planted communities, lifelines, and published figures."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lifelines
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from helpers.data import source
from helpers.methods.rfm import moves
from helpers.methods.rfm.history import TierHistory, tier_history
from helpers.methods.rfm.moves import forecast, migration
from helpers.methods.rfm.tiers import TierScheme
from helpers.methods.rfm.time_to_top import time_to_top
from helpers.sentences import interval, number
from helpers.simulate import community
from helpers.stats.chains import Steps, net_promotion
from helpers.study import Study
from tests.planted_chains import (
    AWAY,
    FRESH,
    LIVELY,
    MATRICES,
    STICKY,
    asked,
    flows_of,
    history_of,
    run_chains,
    sizes_of,
)  # fmt: skip

top = sys.modules["helpers.methods.rfm.time_to_top"]
Counts = NDArray[np.float64]
MONTHLY = TierScheme.load("monthly_interactions")
STUDY = asked()


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough draws where many histories are simulated."""
    monkeypatch.setattr(moves, "DRAWS", 500)
    monkeypatch.setattr(top, "DRAWS", 500)


def of_tables(*tables: Counts) -> TierHistory:
    """A history with these counts of moves, one pair of months each."""
    empty = history_of(np.zeros((len(tables) + 1, 0), dtype=np.int64))
    found = empty.moves.copy()
    found[:, : len(empty.labels), : len(empty.labels)] = tables
    return dataclasses.replace(empty, moves=found)


# --- migration ---------------------------------------------------------------------------------------


def test_cells_are_shares_of_the_members_at_risk_with_jeffreys_bounds() -> None:
    tables = np.array([[[8, 2, 0, 0], [3, 5, 2, 0], [0, 0, 0, 0], [0, 0, 1, 4]]] * 2, float)
    tables[1, 0, 0] = 18
    result = migration(asked(confidence=0.9), of_tables(*tables))
    cell = result.matrix.set_index(["scope", "from_tier", "to_tier"])
    pooled, last = cell.loc[("pooled", "silent", "potential")], cell.loc[("last", "silent", "potential")]
    assert (pooled["n"], pooled["at_risk"], last["n"], last["at_risk"]) == (4, 30, 2, 20)
    assert pooled["share"] == pytest.approx(4 / 30)
    assert pooled["low"] == pytest.approx(stats.beta.ppf(0.05, 4.5, 26.5))
    assert pooled["high"] == pytest.approx(stats.beta.ppf(0.95, 4.5, 26.5))
    never = cell.loc[("pooled", "silent", "core")]
    assert never["low"] == 0 and never["high"] > 0
    assert cell.loc[("pooled", "active", "core"), ["share", "low", "high"]].isna().all()
    assert result.matrix.query("scope == 'pooled' and from_tier == 'potential'")["share"].tolist() == [
        0.3,
        0.5,
        0.2,
        0.0,
    ]


def test_net_promotion_counts_up_and_down_over_those_at_risk() -> None:
    table = np.array([[60, 20, 5, 0], [30, 40, 10, 2], [0, 9, 8, 3], [0, 0, 4, 9]], float)
    result = migration(STUDY, of_tables(table))
    net = result.net
    assert net.n == 200 and net.value == pytest.approx((20 + 5 + 10 + 2 + 3 - 30 - 9 - 4) / 200)
    assert net.low < net.value < net.high
    assert (result.up, result.down, result.left) == (40, 43, 0)
    assert "40 moved up a tier and 43 down: neither clearly outweighs." in result.sentence
    assert "others left" not in result.sentence
    (found,) = result.found()
    assert found.headline == "about as many fall a tier as climb one" and found.picture == "migration"
    chart = migration(STUDY, of_tables(10 * table)).figure()
    assert chart.svg().count(" %</text>") == chart.data["share"].notna().sum() > 4
    assert chart.title == "69.2 % of core members stay there for another month"


def test_members_who_left_are_told_and_not_counted() -> None:
    """Three left in the pair before the last, two in the last one (-1 is away)."""
    states = np.array([[0] * 40, [1] * 37 + [-1] * 3, [2] * 20 + [0] * 15 + [-1] * 5])
    result = migration(STUDY, history_of(states))
    assert (result.left, result.net.n) == (2, 35)
    assert result.sentence.startswith("Of 35 members present in 2026-03 and the month before, 20 moved up")
    assert result.sentence.endswith("fewer than 10 others left and are not counted.")


def test_of_few_who_moved_neither_number_is_told_beside_the_rate() -> None:
    """12 up and 4 down of 40 would be 20 %: the rate and the 12 give the 4 away."""
    result = migration(STUDY, of_tables(np.array([[12, 12, 0, 0], [4, 12, 0, 0], [0] * 4, [0] * 4], float)))
    assert "fewer than 10 moved up a tier or down one" in result.sentence and "12" not in result.sentence


def test_a_changing_matrix_is_found() -> None:
    rng = np.random.default_rng(4)
    before, after = (run_chains(rng, matrix, 1_500, 4)[0] for matrix in (LIVELY, STICKY))
    tables = np.concatenate([history_of(states).moves[:, :-1, :-1] for states in (before, after)])
    result = migration(STUDY, of_tables(*tables))
    assert result.homogeneity.p_value < 0.05 and result.homogeneity.effect > 0.1
    assert "Moves differ between months: the last ones count" in result.homogeneity_sentence
    steady = migration(STUDY, history_of(before))
    assert steady.homogeneity.p_value >= 0.05 and "may be used" in steady.homogeneity_sentence


def test_the_verdict_on_the_chain_follows_the_level() -> None:
    """Two tables whose difference has a p-value between one and ten per cent: the level decides what is said."""
    tables = np.zeros((2, 4, 4))
    tables[:, :2, :2] = [[[60, 40], [40, 60]], [[45, 55], [44, 56]]]
    p_value = migration(STUDY, of_tables(*tables)).homogeneity.p_value
    assert 0.01 < p_value < 0.1
    levels = (1 - p_value * 0.99, 1 - p_value * 1.01)
    calm, alert = (migration(asked(confidence=level), of_tables(*tables)) for level in levels)
    assert calm.homogeneity == alert.homogeneity
    assert calm.homogeneity_sentence.startswith("Moves are not shown to differ")
    assert not alert.homogeneity_sentence.startswith("Moves are not shown to differ")


def test_large_samples_do_not_turn_trifles_into_news() -> None:
    base = np.array([[0.8, 0.2, 0, 0], [0.3, 0.5, 0.2, 0], [0, 0.3, 0.5, 0.2], [0, 0, 0.4, 0.6]])
    shifted = base + 0.004 * np.array([[1, -1, 0, 0], [1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])
    result = migration(STUDY, of_tables(base * 1e6, shifted * 1e6))
    assert result.homogeneity.p_value < 0.05 and result.homogeneity.effect < 0.02
    assert "but little" in result.homogeneity_sentence


def test_too_little_data_to_tell_moves_is_said() -> None:
    nothing = migration(STUDY, history_of(np.zeros((0, 0), dtype=np.int64)))
    assert not nothing.net.known and nothing.sentence.startswith("Too little data")
    assert nothing.matrix["share"].isna().all()
    one = migration(STUDY, history_of(np.array([[0], [1], [1]])))
    assert one.net.value == 0.0 and one.net.low < -0.3 and one.net.high > 0.3
    for found in (nothing, one):
        assert found.homogeneity_sentence.startswith("Too little data")


# --- planted communities and published figures -------------------------------------------------------


def _of_community(seed: int, members: int) -> tuple[TierHistory, dict[str, Any]]:
    made = community(members, 184, seed, tables=("members", "events"))
    dataset = source.open(made.tables, check=False)
    day = dt.date.fromisoformat(made.truth["about"]["end"])
    return tier_history(Study.of(dataset, day), MONTHLY), made.truth["tiers"]


def _coverage(seeds: range) -> dict[str, list[bool]]:
    """Whether planted truth lies inside the intervals, over communities: cells, net promotion, sizes."""
    hits: dict[str, list[bool]] = {"cells": [], "net promotion": [], "bands": []}
    for seed in seeds:
        history, truth = _of_community(seed, 300 + 100 * (seed % 3))
        result = migration(STUDY, history)
        pooled = result.matrix[result.matrix["scope"] == "pooled"]
        planted = np.array(truth["expected_matrix"]).ravel()
        hits["cells"] += pooled["low"].le(planted).mul(pooled["high"].ge(planted)).tolist()
        expected = np.sum([pair["expected"] for pair in truth["pairs"]], axis=0)
        net = net_promotion(history.moves.sum(axis=0)[:-1, :-1], 0.95, seed=0)
        planted_net = (np.triu(expected, 1).sum() - np.tril(expected, -1).sum()) / expected.sum()
        hits["net promotion"].append(net.low <= planted_net <= net.high)
        hits["bands"] += forecast(asked(seed=seed), history).cells["covered"].tolist()
    return hits


def test_counts_of_a_community_are_the_planted_moves() -> None:
    made = community(500, 184, 2, tables=("members", "events"))
    dataset = source.open(made.tables, check=False)
    as_of = dt.date.fromisoformat(made.truth["about"]["end"])
    study = Study.of(dataset, as_of)
    people = study.population.to_pandas()
    # Planted truth takes a member who joined on the first day of a month for present in all of it.
    people["joined_day"] = pd.to_datetime(people["joined_day"]) - pd.Timedelta(days=1)
    given = {"activity": study.activity, "population": people}
    history = tier_history(Study.of(given, as_of, history_from="2025-07-01"), MONTHLY)
    tables = flows_of(history).set_index("period")
    for pair in made.truth["tiers"]["pairs"]:
        square = tables.loc[pair["to"]].pivot(index="from_state", columns="to_state", values="n")
        square = square.loc[list(MONTHLY.labels), list(MONTHLY.labels)]
        np.testing.assert_array_equal(square, pair["observed"])
        present = sizes_of(history)[sizes_of(history)["period"] == pair["from"]]["members"]
        assert present.tolist() == pair["at_risk"]


@pytest.mark.slow
def test_intervals_cover_the_truth_of_two_hundred_communities(few_draws) -> None:
    """Layer two: 240 communities from tables to intervals, 3,840 cells."""
    hits = _coverage(range(100, 340))
    assert 0.93 <= np.mean(hits["cells"]) <= 0.97
    assert 0.93 <= np.mean(hits["net promotion"]) <= 0.985
    assert 0.87 <= np.mean(hits["bands"]) <= 0.97


# The published figures rest on tiers at the end of each quarter, over the 180 days before: any order makes a
# potential, two orders with the last at most 90 days ago an active, three with the last at most 60 a core.
QUARTERLY = {
    "name": "recent_buyers",
    "window_days": 180,
    "match": "first",
    "tiers": [
        {"id": "silent", "when": {}},
        {"id": "potential", "when": {"frequency": [1, None]}},
        {"id": "active", "when": {"frequency": [2, None], "recency_days": [0, 91]}},
        {"id": "core", "when": {"frequency": [3, None], "recency_days": [0, 61]}},
    ],
}


@pytest.fixture(scope="module")
def buyers(reference_data: Path) -> Callable[[str], TierHistory]:
    """History of 23,570 buyers by quarter, from a public record of orders, up to a day."""
    names = ["member_id", "date", "items", "gross"]
    path = reference_data / "rfm" / "CDNOW_master.txt"
    raw = pd.read_csv(path, sep=r"\s+", skiprows=1, names=names, dtype={"member_id": str})
    orders = pd.DataFrame({"order_id": [f"o{row}" for row in range(len(raw))], "member_id": raw["member_id"]})
    orders["paid_at"] = pd.to_datetime(raw["date"].astype(str)).dt.tz_localize("UTC")
    dataset = source.open({"orders": orders.assign(gross=raw["gross"], currency="USD")}, report_tz="UTC")

    def history(as_of: str) -> TierHistory:
        study = Study.of(dataset, as_of, report_tz="UTC")
        return tier_history(study, TierScheme.load(QUARTERLY), period="quarter", window_days=180)

    return history


def test_published_migration_and_forecast_are_reproduced(buyers) -> None:
    history = buyers("1998-03-31")
    assert history.periods == ["1997Q2", "1997Q3", "1997Q4", "1998Q1"]
    assert set(sizes_of(history).groupby("period")["members"].sum()) == {23_570}
    known = buyers("1997-12-31")
    cells = migration(STUDY, known).matrix.query("scope == 'last'").set_index(["from_tier", "to_tier"])
    published = {
        ("core", "core"): (0.537, 0.510, 0.563),
        ("active", "core"): (0.248, 0.225, 0.271),
        ("potential", "silent"): (0.498, 0.483, 0.512),
        ("silent", "silent"): (0.916, 0.912, 0.921),
    }
    for cell, (share, low, high) in published.items():
        found = cells.loc[cell]
        assert found["share"] == pytest.approx(share, abs=5e-4)
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1.5e-3)
    sizes = sizes_of(history).pivot(index="period", columns="tier", values="members")[list(known.labels)]
    steps = Steps.of(known.moves[-1:])  # published from the last pair alone
    start = np.r_[sizes.loc["1997Q4"], 0.0]
    expected = (start @ steps.shares)[:4]
    assert expected.round().tolist() == [17_654, 3_442, 1_148, 1_325]
    actual = sizes.loc["1998Q1"].to_numpy()
    assert actual.tolist() == [17_515, 3_618, 1_116, 1_321]
    assert (np.abs(expected - actual) / actual).round(3).tolist() == [0.008, 0.049, 0.029, 0.003]


# --- forecast ----------------------------------------------------------------------------------------


def _with_comers_and_goers(states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Let some members join in some period (seen as fresh, then by tier) and some leave for good."""
    changed = states.copy()
    periods, members = states.shape
    for member in range(members):
        if rng.random() < 0.4:
            joins = int(rng.integers(0, periods))
            changed[:joins, member] = AWAY
            changed[joins, member] = FRESH
        if rng.random() < 0.2:
            changed[int(rng.integers(1, periods + 1)) :, member] = AWAY
    return changed


def test_forecast_is_sizes_times_shares() -> None:
    silent_potential = np.array([[0] * 60 + [1] * 40, [0] * 45 + [1] * 15 + [0] * 10 + [1] * 30])
    result = forecast(STUDY, history_of(silent_potential))
    sizes = result.sizes.set_index("tier")
    # 55 silent of whom 3/4 stay, 45 potential of whom 1/4 fall back.
    assert sizes.loc["silent", "expected"] == pytest.approx(55 * 0.75 + 45 * 0.25)
    assert sizes.loc["potential", "expected"] == pytest.approx(55 * 0.25 + 45 * 0.75)
    assert sizes["last"].tolist() == [55, 45, 0, 0] and sizes.loc["silent", "change"] == pytest.approx(-2.5)
    assert np.isnan(result.variation)
    assert result.sentence.startswith("Nobody is in core, nor is anybody expected there")
    swapped = forecast(STUDY, history_of(3 - silent_potential))
    assert "One pair of months cannot show how much they differ" in swapped.sentence
    assert not sizes.loc["core", "known"] and sizes.loc["silent", "known"]


def test_joiners_and_leavers_are_forecast_and_stated() -> None:
    rng = np.random.default_rng(21)
    states = _with_comers_and_goers(run_chains(rng, LIVELY, 900, 5)[0], rng)
    history = history_of(states)
    result = forecast(STUDY, history)
    flows = flows_of(history).groupby(["from_state", "to_state"])["n"].sum().unstack()
    shares = flows.div(flows.sum(axis=1), axis=0)
    start = sizes_of(history)[sizes_of(history)["period"] == history.periods[-1]].set_index("tier")["members"]
    start["(joined)"] = history.newcomers
    expected = start @ shares.loc[start.index]
    np.testing.assert_allclose(result.sizes["expected"], expected[result.sizes["tier"]])
    assert history.newcomers == (states[-1] == FRESH).sum() > 0
    assert "Newcomers of the last month and leavers are counted in." in list(result.parts())[-1].note


@pytest.mark.parametrize(
    ("name", "members", "pairs"),
    [
        ("lively", 60, 3),
        ("sticky", 400, 1),
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("lively", 400, 1), ("lively", 2_000, 2), ("sticky", 60, 3), ("sticky", 2_000, 2)]
        ],
    ],
)
def test_bands_cover_the_next_period(name, members, pairs, few_draws) -> None:
    """100 chains, 400 sizes: bands of 90 % may hold 86 to 98.5 % (they end at whole numbers)."""
    rng = np.random.default_rng(members + pairs)
    inside = []
    for seed, states in enumerate(run_chains(rng, MATRICES[name], members, pairs + 2, 100)):
        result = forecast(asked(seed=seed), history_of(states[:-1]))
        actual = np.bincount(states[-1], minlength=4)
        inside.append((result.sizes["low"] <= actual) & (actual <= result.sizes["high"]))
    assert 0.86 <= np.mean(inside) <= 0.985


def test_bands_widen_when_periods_differ(few_draws) -> None:
    rng = np.random.default_rng(9)
    inside, naive = [], []
    for seed in range(50):
        state = [rng.choice(4, 1_000, p=[0.55, 0.3, 0.11, 0.04])]
        for _period in range(7):
            moved = np.array([rng.dirichlet(30 * row + 1e-3) for row in LIVELY])
            edges = moved.cumsum(axis=1)[:, :-1]
            state.append((rng.random(1_000)[:, None] >= edges[state[-1]]).sum(axis=1))
        actual = np.bincount(state[-1], minlength=4)
        for found, known in ((inside, state[:-1]), (naive, state[-3:-1])):
            sizes = forecast(asked(seed=seed), history_of(np.array(known))).sizes
            found.append((sizes["low"] <= actual) & (actual <= sizes["high"]))
    assert 0.8 <= np.mean(inside) <= 0.99
    assert np.mean(naive) < 0.6


def test_backtest_repeats_past_forecasts() -> None:
    states = run_chains(np.random.default_rng(12), LIVELY, 500, 7)[0]
    result = forecast(asked(seed=3), history_of(states))
    assert result.cells["period"].nunique() == 5 and len(result.cells) == 20
    one = result.cells[result.cells["period"] == "2026-05"].set_index("tier")
    known = forecast(asked(seed=3), history_of(states[:4])).sizes.set_index("tier")
    np.testing.assert_allclose(one["expected"], known["expected"])
    assert one["actual"].tolist() == np.bincount(states[4], minlength=4).tolist()
    assert one["naive"].tolist() == np.bincount(states[3], minlength=4).tolist()
    cells = result.cells
    error, naive = (number(cells[c].abs().mean()) for c in ("error", "naive_error"))
    assert f"missed tier sizes by {error} members on average" in result.tested_sentence
    assert f"“as last period” by {naive}. " in result.tested_sentence
    assert "earlier periods (5)" in result.tested_sentence and "of 20 sizes fell" in result.tested_sentence
    for level in (0.8, 0.95):  # of the share of bands that held, not of the bands
        judged = forecast(asked(seed=3, confidence=level), history_of(states))
        ends = proportion_confint(5 * cells["covered"].mean(), 5, 1 - level, "wilson")
        assert f"band ({interval(*ends, 'share')})" in judged.tested_sentence
        assert judged.cells.equals(cells)


def test_forecast_beats_the_naive_one_when_tiers_are_moving() -> None:
    rng, states = np.random.default_rng(6), [np.full(3_000, 3)]
    edges = LIVELY.cumsum(axis=1)[:, :-1]
    for _period in range(5):
        states.append((rng.random(3_000)[:, None] >= edges[states[-1]]).sum(axis=1))
    result = forecast(STUDY, history_of(np.array(states)))
    assert result.cells["period"].nunique() == 4
    later = result.cells[result.cells["period"] > "2026-03"]
    assert later["error"].abs().sum() < 0.5 * later["naive_error"].abs().sum()


@pytest.mark.parametrize("periods", [0, 1])
def test_short_histories_say_that_there_is_too_little(periods) -> None:
    history = history_of(np.zeros((periods, 5), dtype=np.int64))
    result, way = forecast(STUDY, history), time_to_top(STUDY, history)
    assert result.sentence.startswith("Too little data")
    assert result.sizes["expected"].isna().all() and result.sizes["tier"].tolist() == list(history.labels)
    assert result.cells.empty and result.tested_sentence.startswith("Too little data")
    two = forecast(STUDY, history_of(np.zeros((3, 5), dtype=np.int64)))
    assert "earlier periods (1)" in two.tested_sentence
    assert "Too little data to say whether the bands hold" in two.tested_sentence
    assert not way.time.known and not way.chance.known
    assert way.sentence.startswith("Too little data")


def test_a_tier_without_history_gets_the_widest_band() -> None:
    states = np.array([[0] * 50 + [1] * 50, [0] * 40 + [1] * 57 + [3] * 3])
    sizes = forecast(STUDY, history_of(states)).sizes
    assert sizes["expected"].sum() == pytest.approx(100)
    assert sizes.set_index("tier")["known"].to_dict() == {
        "silent": True, "potential": True, "active": False, "core": False,
    }  # fmt: skip
    assert sizes.set_index("tier").loc["core", "high"] >= 3


# --- time to the top ---------------------------------------------------------------------------------


def test_times_and_chances_equal_the_chain_in_a_large_sample() -> None:
    history = history_of(run_chains(np.random.default_rng(1), LIVELY, 40_000, 4)[0])
    result = time_to_top(STUDY, history)
    tables = history.moves.sum(axis=0)[:-1, :-1]
    empirical = tables / tables.sum(axis=1, keepdims=True)
    expected = np.linalg.inv(np.eye(3) - empirical[:3, :3]).sum(axis=1)  # the fundamental matrix
    assert result.time.value == pytest.approx(expected[2], rel=1e-6)
    absorbing = empirical.copy()
    absorbing[3] = [0, 0, 0, 1]
    assert result.chance.value == pytest.approx(np.linalg.matrix_power(absorbing, 6)[2, 3])
    for found in (result.time, result.chance):
        assert found.low < found.value < found.high


def test_a_ladder_takes_the_sum_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each month half of a tier steps up: two months a step."""
    start_of = np.repeat([0, 1, 2], 200)
    history = history_of(np.array([start_of, start_of + np.tile([0, 1], 300)]))
    result = time_to_top(STUDY, history)
    assert result.time.value == pytest.approx(2) and result.chance.value == pytest.approx(1 - 0.5**6)
    start = "Within 6 months a member in active reaches core with a chance of 98.4 % ("
    assert result.sentence.startswith(start)
    assert "If moves stay as they are, whoever stays takes 2 (" in result.sentence
    assert "first seen there" not in result.sentence  # one pair of months is followed for one month only
    monkeypatch.setattr(top, "TOLD", 1)
    month = time_to_top(STUDY, history)
    assert month.observed.value == 0.5 and "Of 200 who were first seen there, 50.0 % (" in month.sentence


@pytest.mark.parametrize(("told", "share"), [(1, 1 / 3), (40, 1 / 2)])
def test_members_who_leave_do_not_arrive(told: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From active a third each leaves, stays, steps up: two months for those who stay, half arrive."""
    monkeypatch.setattr(top, "TOLD", told)
    result = time_to_top(STUDY, history_of(np.array([np.full(300, 2), np.repeat([AWAY, 2, 3], 100)])))
    assert result.time.value == pytest.approx(2) and result.chance.value == pytest.approx(share)
    assert result.observed.value == pytest.approx(1 / 3) if told == 1 else not result.observed.known


@pytest.mark.parametrize(
    ("name", "members", "pairs"),
    [
        ("lively", 300, 4),
        pytest.param("lively", 2_000, 2, marks=pytest.mark.slow),
        pytest.param("sticky", 2_000, 3, marks=pytest.mark.slow),
    ],
)
def test_intervals_cover_the_chain(name, members, pairs, few_draws) -> None:
    """100 chains: two standard errors are 4 points."""
    matrix = MATRICES[name]
    expected, absorbing = np.linalg.inv(np.eye(3) - matrix[:3, :3]).sum(axis=1)[2], matrix.copy()
    absorbing[3] = [0, 0, 0, 1]
    chance = np.linalg.matrix_power(absorbing, 6)[2, 3]
    times, chances = [], []
    chains = run_chains(np.random.default_rng(members), matrix, members, pairs + 1, 100)
    for seed, states in enumerate(chains):
        result = time_to_top(asked(seed=seed), history_of(states))
        times.append(result.time.low <= expected <= result.time.high)
        chances.append(result.chance.low <= chance <= result.chance.high)
    assert np.mean(times) >= 0.9
    assert np.mean(chances) >= 0.9


@pytest.mark.parametrize("told", [1, 2, 4, 6])
def test_observed_shares_equal_kaplan_meier(told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    states = run_chains(rng, LIVELY, 400, 9)[0]
    for member in range(150):
        joins = int(rng.integers(0, 8))
        states[:joins, member], states[joins, member] = AWAY, FRESH
    history = history_of(states)
    monkeypatch.setattr(top, "TOLD", told)
    rows = history.passages[history.passages["from_tier"] == "active"]
    fitter = lifelines.KaplanMeierFitter()
    seen = rows[rows["periods"] > 0]
    fitter.fit(seen["periods"], seen["reached"], weights=seen["members"])
    observed = time_to_top(STUDY, history).observed
    assert observed.value == pytest.approx(1 - fitter.predict(told), abs=1e-12)
    assert observed.low < observed.value < observed.high and observed.n == rows["members"].sum()


def test_no_path_is_infinite_and_unseen_rows_are_unknown() -> None:
    """Active never reaches core; then a member moves to potential, about which nothing is known."""
    states = np.array([[2] * 40 + [3] * 5, [2] * 40 + [3] * 5])
    result = time_to_top(STUDY, history_of(states))
    assert np.isinf(result.time.value) and np.isinf(result.time.high) and 1 < result.time.low < np.inf
    assert (result.chance.value, result.chance.low) == (0, 0) and 0 < result.chance.high < 0.5
    assert "No path from active to core has been seen." in result.sentence
    states[1, 0] = 1
    unknown = time_to_top(STUDY, history_of(states))
    assert not unknown.time.known and unknown.sentence == "Too little data on how members reach core."
