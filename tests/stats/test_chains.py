"""Chains against contingency tables, exact tests, closed forms, and coverage on planted chains."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.chains import (
    Steps,
    between_period_variation,
    expected_steps,
    homogeneity,
    net_promotion,
    reach,
    reached_within,
)
from helpers.stats.estimate import jeffreys
from tests.planted_chains import LIVELY, MATRICES, STICKY, count_pairs, run_chains

Counts = NDArray[np.float64]


def test_net_promotion_interval_has_the_width_of_a_large_sample() -> None:
    table = 1e5 * np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.3, 0.7]])
    share_up, share_down, n = np.array([0.2, 0.3, 0.0]), np.array([0.0, 0.1, 0.3]), 3e5
    variance = (1e5 * (share_up + share_down - (share_up - share_down) ** 2)).sum() / n**2
    net = net_promotion(table, 0.95, seed=0, draws=40_000)
    assert (net.high - net.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=0.02)
    assert net.low < 0.1 / 3 < net.high


def test_homogeneity_equals_contingency_tables() -> None:
    tables = count_pairs(run_chains(np.random.default_rng(3), LIVELY, 20_000, 5))[0]
    statistic, df = 0.0, 0
    for tier in range(4):
        result = stats.chi2_contingency(tables[:, tier], lambda_="log-likelihood", correction=False)
        statistic, df = statistic + result.statistic, df + result.dof
    found = homogeneity(tables)
    assert (found.statistic, found.df) == (pytest.approx(statistic), df)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, df))


def test_sparse_tables_have_an_exact_test() -> None:
    # Two periods, one tier with two destinations: the exact conditional test is Fisher's with these margins.
    tables = np.zeros((2, 2, 2))
    tables[0, 0], tables[1, 0] = [7, 1], [2, 6]
    found = homogeneity(tables)
    assert found.df == 1
    assert found.p_value == pytest.approx(stats.fisher_exact(tables[:, 0]).pvalue, abs=0.015)
    assert not homogeneity(np.zeros((0, 4, 4))).df and np.isnan(homogeneity(np.zeros((0, 4, 4))).effect)


@pytest.mark.parametrize(("name", "members", "least"), [("lively", 400, 1), ("sticky", 60, 0)])
def test_tests_reject_a_true_chain_in_five_per_cent_at_most(name: str, members: int, least: int) -> None:
    """80 chains; 99.9 % acceptance. With few members an exact test has to reject less than 5 %."""
    states = run_chains(np.random.default_rng(8), MATRICES[name], members, 5, 80)
    tables = count_pairs(states)
    same = [homogeneity(tables[i], seed=i).p_value < 0.05 for i in range(80)]
    assert least <= sum(same) <= stats.binom.ppf(0.999, 80, 0.05)


def test_a_matrix_that_changes_is_found() -> None:
    rng = np.random.default_rng(5)
    rows = np.array([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2]])
    tables = np.array([[rng.multinomial(500, row)] for row in rows])
    found = homogeneity(tables)
    assert found.p_value < 0.05 and found.effect > 0.1


@pytest.mark.parametrize("name", ["lively", "sticky"])
@pytest.mark.parametrize("members", [30, 100, 300, 1_000])
def test_intervals_of_cells_cover_planted_chains(name: str, members: int) -> None:
    """Layer one: 2,000 chains; a mean over cells that can happen, weighted alike."""
    matrix = MATRICES[name]
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
@pytest.mark.parametrize("matrix", [LIVELY, STICKY], ids=["lively", "sticky"])
def test_interval_of_net_promotion_covers_planted_chains(matrix: Counts, members: int, within) -> None:
    """400 chains: two standard errors of the measurement are 2.2 points."""
    counts = count_pairs(run_chains(np.random.default_rng(members), matrix, members, 2, 400))[:, 0]
    expected = np.triu(matrix, 1).sum(axis=1) - np.tril(matrix, -1).sum(axis=1)
    hits = []
    for seed, table in enumerate(counts):
        net = net_promotion(table, 0.95, seed=seed, draws=2_000)
        hits.append(net.low <= table.sum(axis=1) @ expected / table.sum() <= net.high)
    assert within[0] <= np.mean(hits) <= within[1]


def test_variation_between_periods_is_recovered() -> None:
    rng, rho = np.random.default_rng(1), 0.05
    found = []
    for _repeat in range(60):
        rows = rng.dirichlet(np.array([0.6, 0.3, 0.1]) * (1 / rho - 1), 12)
        flows = np.zeros((12, 1, 3))
        flows[:, 0] = [rng.multinomial(300, row) for row in rows]
        found.append(between_period_variation(flows))
    assert np.mean(found) == pytest.approx(rho, rel=0.12)
    still = np.array([rng.multinomial(300, [0.6, 0.3, 0.1]) for _ in range(2_000)])[:, None]
    assert between_period_variation(still) < 0.0005
    assert np.isnan(between_period_variation(still[:1]))


def test_simulated_moves_have_posterior_and_multinomial_spread() -> None:
    flows = np.zeros((1, 2, 2))
    flows[0, 0] = [30, 70]
    simulated = Steps.of(flows).simulate(np.array([200.0, 0.0]), draws=40_000, seed=1)
    a, b, n = 30.5, 70.5, 200  # beta-binomial with the prior 1/2 per destination
    assert simulated.sum(axis=1).tolist() == [200.0] * 40_000
    assert simulated[:, 0].mean() == pytest.approx(n * a / (a + b), rel=0.01)
    spread = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))
    assert simulated[:, 0].var() == pytest.approx(spread, rel=0.03)


def test_steps_and_chances_are_those_of_the_absorbing_chain() -> None:
    """Expected steps by adding up the chances of not being there yet; chances by powers of the matrix."""
    for matrix in (LIVELY, STICKY):
        inner, left, total = matrix[:3, :3], np.ones(3), np.zeros(3)
        for _step in range(60_000):
            total, left = total + left, inner @ left
        np.testing.assert_allclose(expected_steps(matrix[:3]), total, rtol=1e-6)
        absorbing = matrix.copy()
        absorbing[3] = [0, 0, 0, 1]
        for steps in (1, 3, 12):
            power = np.linalg.matrix_power(absorbing, steps)[:3, 3]
            np.testing.assert_allclose(reached_within(matrix[:3], steps), power)
    leaving = np.array([[1 / 3, 1 / 3, 1 / 3]])  # stays, arrives, leaves
    assert (reached_within(leaving, 1), reached_within(leaving, 40)) == pytest.approx((1 / 3, 1 / 2))


def test_what_was_never_seen_is_not_known_to_arrive() -> None:
    """The two lowest only exchange members; the third was never seen."""
    counts = np.array([[30.0, 10, 0, 0], [20, 20, 0, 0], [0, 0, 0, 0]])
    known, sure = reach(counts)
    assert known.tolist() == [True, True, False] and sure.tolist() == [False, False, False]
    counts[0, 2] = 1
    assert not reach(counts)[0].any()
