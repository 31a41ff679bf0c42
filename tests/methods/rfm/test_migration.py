"""Migration against independent oracles, against planted chains and communities, and on public data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from helpers.data import source
from helpers.methods.rfm.forecast import backtest, forecast
from helpers.methods.rfm.migration import migration, net_promotion
from helpers.methods.rfm.periods import TierHistory, tier_history
from helpers.methods.rfm.tiers import TierScheme
from helpers.simulate import community
from helpers.stats.chain_tests import homogeneity, markov_order
from helpers.stats.estimate import jeffreys, wilson
from helpers.study.activity import activity, population

Counts = NDArray[np.float64]
MONTHLY = TierScheme.load("monthly_interactions")


def _moves(tables: Counts, labels: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        (f"2026-{pair + 1:02d}", labels[a], labels[b], int(table[a, b]))
        for pair, table in enumerate(tables)
        for a, b in np.ndindex(table.shape)
    ]
    return pd.DataFrame(rows, columns=["period", "from_tier", "to_tier", "n"])


def test_cells_are_shares_of_the_members_at_risk_with_jeffreys_bounds(labels) -> None:
    tables = np.array([[[8, 2, 0, 0], [3, 5, 2, 0], [0, 0, 0, 0], [0, 0, 1, 4]]] * 2, float)
    tables[1, 0, 0] = 18
    result = migration(_moves(tables, labels), 0.9, labels=labels)
    cell = result.matrix.set_index(["scope", "from_tier", "to_tier"])
    pooled, last = cell.loc[("pooled", "silent", "potential")], cell.loc[("last", "silent", "potential")]
    assert (pooled["n"], pooled["at_risk"], last["n"], last["at_risk"]) == (4, 30, 2, 20)
    assert pooled["share"] == pytest.approx(4 / 30)
    assert pooled["low"] == pytest.approx(stats.beta.ppf(0.05, 4.5, 26.5))
    assert pooled["high"] == pytest.approx(stats.beta.ppf(0.95, 4.5, 26.5))
    never = cell.loc[("pooled", "silent", "core")]
    assert never["low"] == 0 and never["high"] > 0
    assert cell.loc[("pooled", "active", "core"), ["share", "low", "high"]].isna().all()
    assert result.shares().loc["potential"].tolist() == [0.3, 0.5, 0.2, 0.0]
    assert result.shares("last", "n").loc["core", "core"] == 4


def test_net_promotion_counts_up_and_down_over_those_at_risk(labels) -> None:
    table = np.array([[60, 20, 5, 0], [30, 40, 10, 2], [0, 9, 8, 3], [0, 0, 4, 9]], float)
    result = migration(_moves(table[None], labels), labels=labels)
    net = result.rate()
    assert net.n == 200 and net.value == pytest.approx((20 + 5 + 10 + 2 + 3 - 30 - 9 - 4) / 200)
    assert net.low < net.value < net.high
    assert result.rate("promoted").value == pytest.approx(40 / 200)
    assert (result.rate("demoted").low, result.rate("demoted").high) == pytest.approx(wilson(43, 200))
    assert "no clear direction" in result.sentence and "n = 200" in result.sentence
    assert "of the 200 members present in both periods 20.0 % moved up" in result.sentence
    assert result.left == 0 and "left" not in result.sentence
    assert result.by_period["net_promotion"].tolist() == [net.value]


def test_members_who_left_are_told_and_not_counted(history_of) -> None:
    """Three left in the pair before the last, two in the last one (-1 is away)."""
    states = np.array([[0] * 40, [1] * 37 + [-1] * 3, [2] * 20 + [0] * 15 + [-1] * 5])
    history = history_of(states)
    result = migration(history)
    assert (result.left, result.rate().n, result.period) == (2, 35, "month")
    assert "of the 35 members present in both months" in result.sentence
    assert result.sentence.endswith("2 others left and are not counted.")


def test_net_promotion_interval_has_the_width_of_a_large_sample() -> None:
    table = 1e5 * np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.3, 0.7]])
    share_up, share_down, n = np.array([0.2, 0.3, 0.0]), np.array([0.0, 0.1, 0.3]), 3e5
    variance = (1e5 * (share_up + share_down - (share_up - share_down) ** 2)).sum() / n**2
    net = net_promotion(table, draws=40_000)
    assert (net.high - net.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=0.02)
    assert net.low < 0.1 / 3 < net.high


def test_homogeneity_equals_contingency_tables(matrices, run_chains, count_pairs) -> None:
    tables = count_pairs(run_chains(np.random.default_rng(3), matrices["lively"], 20_000, 5, 1))[0]
    statistic, df = 0.0, 0
    for tier in range(4):
        result = stats.chi2_contingency(tables[:, tier], lambda_="log-likelihood", correction=False)
        statistic, df = statistic + result.statistic, df + result.dof
    found = homogeneity(tables)
    assert (found.statistic, found.df) == (pytest.approx(statistic), df)
    assert found.method == "chi-square" and found.p_value == pytest.approx(stats.chi2.sf(statistic, df))


def test_sparse_tables_have_an_exact_test() -> None:
    # Two periods, one tier with two destinations: the exact conditional test is Fisher's with these margins.
    tables = np.zeros((2, 2, 2))
    tables[0, 0], tables[1, 0] = [7, 1], [2, 6]
    found = homogeneity(tables)
    assert found.method == "random tables with the same margins" and found.df == 1
    assert found.p_value == pytest.approx(stats.fisher_exact(tables[:, 0]).pvalue, abs=0.015)


@pytest.mark.parametrize(("name", "members", "least"), [("lively", 400, 1), ("sticky", 60, 0)])
def test_tests_reject_a_true_chain_in_five_per_cent_at_most(
    name, members, least, matrices, run_chains, count_pairs
) -> None:
    """80 chains; 99.9 % acceptance. With few members an exact test has to reject less than 5 %."""
    states = run_chains(np.random.default_rng(8), matrices[name], members, 5, 80)
    tables = count_pairs(states)
    same = [homogeneity(tables[i], seed=i).rejected for i in range(80)]
    order = [markov_order(_triples(states[i]), seed=i).rejected for i in range(80)]
    for rejected in (same, order):
        assert least <= sum(rejected) <= stats.binom.ppf(0.999, 80, 0.05)


def _triples(states: NDArray[np.int64]) -> Counts:
    """Count triples of codes (periods, members): shape (tier in the middle, before, after)."""
    counts = np.zeros((4, 4, 4))
    np.add.at(counts, (states[1:-1], states[:-2], states[2:]), 1)
    return counts


def test_a_changing_matrix_is_found(matrices, run_chains, count_pairs, labels, history_of) -> None:
    rng = np.random.default_rng(4)
    before = run_chains(rng, matrices["lively"], 1_500, 4, 1)[0]
    after = run_chains(rng, matrices["sticky"], 1_500, 4, 1)[0]
    tables = np.concatenate([count_pairs(before[None])[0], count_pairs(after[None])[0]])
    result = migration(_moves(tables, labels), labels=labels)
    assert result.homogeneity.rejected and result.homogeneity.effect > 0.1
    assert "Migration changes between periods: read the last pair" in result.homogeneity.sentence
    steady = migration(history_of(before))
    assert not steady.homogeneity.rejected and "may be used" in steady.homogeneity.sentence


def test_memory_of_two_periods_is_found(history_of) -> None:
    rng = np.random.default_rng(5)
    states = np.zeros((6, 2_000), dtype=np.int64)
    states[:2] = rng.integers(0, 4, (2, 2_000))
    for period in range(2, 6):
        keep = rng.random(2_000) < 0.4
        states[period] = np.where(keep, states[period - 2], rng.integers(0, 4, 2_000))
    result = migration(history_of(states))
    assert result.order.rejected and result.order.effect > 0.1
    assert "The tier before last matters: members" in result.order.sentence


@pytest.mark.parametrize("test", [homogeneity, markov_order])
def test_the_verdict_on_the_chain_follows_the_level(test) -> None:
    """Two tables whose difference has a p-value between one and ten per cent: the level decides what is said."""
    tables = np.array([[[60, 40], [40, 60]], [[45, 55], [44, 56]]], float)
    p_value = test(tables).p_value
    assert 0.01 < p_value < 0.1
    calm, alert = (test(tables, confidence=level) for level in (1 - p_value * 0.99, 1 - p_value * 1.01))
    assert not calm.rejected and alert.rejected and calm.p_value == alert.p_value
    assert calm.sentence.startswith("No sign that") and not alert.sentence.startswith("No sign that")


def test_migration_hands_its_level_to_the_tests_of_the_chain(history_of) -> None:
    states = np.random.default_rng(9).integers(0, 4, (5, 300))
    for level in (0.8, 0.99):
        found = migration(history_of(states), level)
        assert (found.homogeneity.confidence, found.order.confidence) == (level, level)


def test_large_samples_do_not_turn_trifles_into_news(labels) -> None:
    base = np.array([[0.8, 0.2, 0, 0], [0.3, 0.5, 0.2, 0], [0, 0.3, 0.5, 0.2], [0, 0, 0.4, 0.6]])
    shifted = base + 0.004 * np.array([[1, -1, 0, 0], [1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])
    result = homogeneity(np.array([base, shifted]) * 1e6)
    assert result.rejected and result.effect < 0.02 and "but little" in result.sentence


def test_too_little_data_is_said_and_bad_counts_are_named(labels, history_of) -> None:
    nothing = migration(history_of(np.zeros((0, 0), dtype=np.int64)))
    assert not nothing.rate().known and nothing.sentence.startswith("Too little data")
    assert nothing.matrix["share"].isna().all() and nothing.by_period.empty
    one = migration(history_of(np.array([[0], [1], [1]])))
    assert one.rate().value == 0.0 and one.rate().low < -0.3 and one.rate().high > 0.3
    for test in (nothing.homogeneity, nothing.order, one.homogeneity, one.order):
        assert test.sentence.startswith("Too little data") and not test.rejected
    moves = _moves(np.ones((1, 4, 4)), labels)
    with pytest.raises(ValueError, match="labels == None"):
        migration(moves)
    with pytest.raises(ValueError, match=r"4 rows name no tier of .*, such as 'core'"):
        migration(moves, labels=labels[:3])
    with pytest.raises(ValueError, match="1 counts are negative or missing"):
        migration(moves.assign(n=[-1, *moves["n"][1:]]), labels=labels)
    with pytest.raises(ValueError, match="column 'to_tier' is missing"):
        migration(moves.drop(columns="to_tier"), labels=labels)
    with pytest.raises(ValueError, match="rate == 'up'"):
        nothing.rate("up")


@pytest.mark.parametrize("name", ["lively", "sticky"])
@pytest.mark.parametrize("members", [30, 100, 300, 1_000])
def test_intervals_of_cells_cover_planted_chains(name, members, matrices, run_chains, count_pairs) -> None:
    """Layer one: 2,000 chains; a mean over cells that can happen, weighted alike."""
    matrix = matrices[name]
    counts = count_pairs(run_chains(np.random.default_rng(members), matrix, members, 2, 2_000))[:, 0]
    at_risk = np.broadcast_to(counts.sum(axis=2, keepdims=True), counts.shape)
    low, high = jeffreys(counts, at_risk)
    seen = (at_risk > 0) & (matrix > 0)
    coverage = ((low <= matrix) & (matrix <= high))[seen].mean()
    assert 0.94 <= coverage <= 0.97
    impossible = (at_risk > 0) & (matrix == 0)
    assert (low[impossible] == 0).all()


@pytest.mark.parametrize(
    ("members", "within"), [(30, (0.93, 0.99)), (300, (0.925, 0.975)), (3_000, (0.925, 0.975))]
)
@pytest.mark.parametrize("name", ["lively", "sticky"])
def test_interval_of_net_promotion_covers_planted_chains(
    name, members, within, matrices, run_chains, count_pairs
) -> None:
    """400 chains: two standard errors of the measurement are 2.2 points."""
    matrix = matrices[name]
    counts = count_pairs(run_chains(np.random.default_rng(members), matrix, members, 2, 400))[:, 0]
    expected = np.triu(matrix, 1).sum(axis=1) - np.tril(matrix, -1).sum(axis=1)
    hits = []
    for seed, table in enumerate(counts):
        net = net_promotion(table, draws=2_000, seed=seed)
        hits.append(net.low <= table.sum(axis=1) @ expected / table.sum() <= net.high)
    assert within[0] <= np.mean(hits) <= within[1]


def _of_community(
    seed: int, members: int, as_of: dt.date | None = None
) -> tuple[TierHistory, dict[str, Any]]:
    made = community(members, 184, seed, tables=("members", "events"))
    dataset = source.open(made.tables, check=False)
    day = as_of or dt.date.fromisoformat(made.truth["about"]["end"])
    log, people = activity(dataset, as_of=day), population(dataset, as_of=day)
    return tier_history(log, people, MONTHLY, as_of=day, report_tz="Asia/Shanghai"), made.truth["tiers"]


def _coverage(seeds: range, bands: bool = False) -> dict[str, list[bool]]:
    """Whether planted truth lies inside the intervals, over communities: cells, net promotion, sizes."""
    hits: dict[str, list[bool]] = {"cells": [], "net promotion": [], "bands": []}
    for seed in seeds:
        history, truth = _of_community(seed, 300 + 100 * (seed % 3))
        result = migration(history)
        pooled = result.matrix[result.matrix["scope"] == "pooled"]
        planted = np.array(truth["expected_matrix"]).ravel()
        hits["cells"] += pooled["low"].le(planted).mul(pooled["high"].ge(planted)).tolist()
        expected = np.sum([pair["expected"] for pair in truth["pairs"]], axis=0)
        net = result.rate(scope="pooled")
        planted_net = (np.triu(expected, 1).sum() - np.tril(expected, -1).sum()) / expected.sum()
        hits["net promotion"].append(net.low <= planted_net <= net.high)
        if bands:
            hits["bands"] += backtest(history, draws=500, seed=seed).cells["covered"].tolist()
    return hits


def test_counts_of_a_community_are_the_planted_moves() -> None:
    made = community(500, 184, 2, tables=("members", "events"))
    dataset = source.open(made.tables, check=False)
    as_of = dt.date.fromisoformat(made.truth["about"]["end"])
    people = population(dataset, as_of=as_of).to_pandas()
    # Planted truth takes a member who joined on the first day of a month for present in all of it.
    people["joined_day"] = pd.to_datetime(people["joined_day"]) - pd.Timedelta(days=1)
    log = activity(dataset, as_of=as_of)
    history = tier_history(log, people, MONTHLY, as_of=as_of, report_tz="Asia/Shanghai", since="2025-07-01")
    tables = history.transitions.groupby(["period", "from_tier", "to_tier"])["n"].sum()
    for pair in made.truth["tiers"]["pairs"]:
        square = tables.loc[pair["to"]].unstack().loc[list(MONTHLY.labels), list(MONTHLY.labels)]
        np.testing.assert_array_equal(square, pair["observed"])
        present = history.sizes[history.sizes["period"] == pair["from"]]["members"]
        assert present.tolist() == pair["at_risk"]


def test_intervals_cover_the_truth_of_communities() -> None:
    """Layer two, in small: 16 communities from tables to intervals, 256 cells.

    The cells of a row move together, so the measurement is taken for one of 64 independent rows: its standard
    error is at most sqrt(.95 * .05 / 64) = 2.7 points, and three of them are accepted.
    """
    hits = _coverage(range(16))
    assert len(hits["cells"]) == 256 and np.mean(hits["cells"]) >= 0.95 - 0.082
    assert sum(hits["net promotion"]) >= stats.binom.ppf(0.001, 16, 0.95)


@pytest.mark.slow
def test_intervals_cover_the_truth_of_two_hundred_communities() -> None:
    """Layer two: 240 communities from tables to intervals, 3,840 cells."""
    hits = _coverage(range(100, 340), bands=True)
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
    raw = pd.read_csv(
        reference_data / "rfm" / "CDNOW_master.txt",
        sep=r"\s+",
        skiprows=1,
        names=names,
        dtype={"member_id": str},
    )
    orders = pd.DataFrame({"order_id": [f"o{row}" for row in range(len(raw))], "member_id": raw["member_id"]})
    orders["paid_at"] = pd.to_datetime(raw["date"].astype(str)).dt.tz_localize("UTC")
    dataset = source.open({"orders": orders.assign(gross=raw["gross"], currency="USD")}, report_tz="UTC")

    def history(as_of: str) -> TierHistory:
        log = activity(dataset, as_of=as_of, report_tz="UTC")
        people = population(dataset, as_of=as_of, report_tz="UTC")
        scheme, window = TierScheme.load(QUARTERLY), {"window_days": 180, "count": "order"}
        return tier_history(log, people, scheme, period="quarter", as_of=as_of, report_tz="UTC", **window)

    return history


def test_published_migration_and_forecast_are_reproduced(buyers) -> None:
    history = buyers("1998-03-31")
    assert history.periods == ["1997Q2", "1997Q3", "1997Q4", "1998Q1"]
    assert set(history.sizes["present"]) == {23_570}
    known = buyers("1997-12-31")
    cells = migration(known).matrix.query("scope == 'last'").set_index(["from_tier", "to_tier"])
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
    expected = forecast(known, pairs=1).sizes.set_index("tier")["expected"].round().astype(int).to_dict()
    assert expected == {"silent": 17_654, "potential": 3_442, "active": 1_148, "core": 1_325}
    actual = history.sizes[history.sizes["period"] == "1998Q1"].set_index("tier")["members"].to_dict()
    assert actual == {"silent": 17_515, "potential": 3_618, "active": 1_116, "core": 1_321}
    tested = backtest(history, pairs=1).cells.query("period == '1998Q1'").set_index("tier")
    relative = (tested["error"].abs() / tested["actual"]).round(3)
    assert relative.to_dict() == {"silent": 0.008, "potential": 0.049, "active": 0.029, "core": 0.003}
    assert tested["covered"].all()
