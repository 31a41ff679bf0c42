"""Clusters, re-randomisation and the proof in the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.methods.ab_test.clusters import by_look, cluster_contrast
from helpers.methods.ab_test.effects import contrast, effect
from helpers.methods.ab_test.moments import Moments
from helpers.methods.ab_test.randomise import Mechanism, cluster_runs, prove, randomisation_p, unit_runs
from helpers.methods.ab_test.sequential import boundaries
from tests.methods.ab_test.of_rows import moments, of_rows


def matrix_cr2(y: np.ndarray, cluster: np.ndarray, treated: np.ndarray) -> tuple[float, float, float]:
    """Return estimate, CR2 error and Satterthwaite's degrees by the matrices of Bell and McCaffrey."""
    design = np.column_stack([np.ones(len(y)), treated[cluster]])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ y
    maker = np.eye(len(y)) - design @ bread @ design.T
    meat, ways = np.zeros((2, 2)), []
    for place in range(cluster.max() + 1):
        rows = cluster == place
        values, vectors = np.linalg.eigh(maker[np.ix_(rows, rows)])
        adjust = vectors @ np.diag(values**-0.5) @ vectors.T
        score = design[rows].T @ adjust @ (y - design @ beta)[rows]
        meat += np.outer(score, score)
        ways.append((maker[:, rows] @ adjust @ design[rows] @ bread)[:, 1])
    gram = np.array(ways) @ np.array(ways).T
    return beta[1], np.sqrt((bread @ meat @ bread)[1, 1]), np.trace(gram) ** 2 / (gram**2).sum()


def test_clusters_are_cr2_in_matrices() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = rng.integers(3, 30, 12)
        cluster, treated = np.repeat(np.arange(12), size), rng.permutation(np.arange(12) < 4)
        y = rng.normal(size=len(cluster)) + rng.normal(size=12)[cluster] + treated[cluster]
        found = cluster_contrast(np.bincount(cluster, y), size, treated)
        assert (found.difference, found.error, found.degrees) == pytest.approx(
            matrix_cr2(y, cluster, treated.astype(float)), rel=1e-9
        )


def test_clusters_of_one_size_are_welch_on_their_means() -> None:
    rng = np.random.default_rng(0)
    totals, treated = rng.normal(100, 20, 14), np.arange(14) % 3 == 0
    found = cluster_contrast(totals, np.full(14, 10), treated)
    known = stats.ttest_ind(totals[treated] / 10, totals[~treated] / 10, equal_var=False)
    assert found.difference / found.error == pytest.approx(known.statistic, rel=1e-12)
    of_one_size = (1 / 5 + 1 / 9) ** 2 / (1 / (5**2 * 4) + 1 / (9**2 * 8))
    assert found.degrees == pytest.approx(of_one_size, rel=1e-12)


def test_too_few_clusters_are_refused_at_each_look() -> None:
    totals = pd.DataFrame(
        [
            (arm, look, f"c{arm}{which}", 10, 5.0 + which)
            for arm in (0, 1)
            for look, which in ((0, 0), (0, 1), (1, 2), (1, 0))
        ],
        columns=["arm", "look", "cluster", "n", "outcome"],
    )
    found = by_look(totals, 3)
    reasons = [effect(found.at(look), "mean", 0.95, "likes").difference.method for look in range(3)]
    assert reasons == ["fewer than six clusters, or than two in an arm", "Welch", "Welch"]
    # By hand: clusters of 20, 10 and 10 units with 10, 6 and 7.
    assert found.levels[1] == pytest.approx([23 / 40] * 2)
    assert found.n[2].tolist() == [40, 40]
    residuals = (np.array([10, 6, 7]) - 23 / 40 * np.array([20, 10, 10])) ** 2 / (
        1 - np.array([20, 10, 10]) / 40
    )
    assert found.covariance[1, 0, 0] == pytest.approx(residuals.sum() / 40**2)


def test_randomisation_agrees_with_all_assignments() -> None:
    rng = np.random.default_rng(1)
    y, treated = rng.normal(size=10), np.arange(10) % 2 == 0
    found = randomisation_p(y, Mechanism(treated, np.zeros(10, int)), seed=1)
    known = stats.permutation_test(
        (y[treated], y[~treated]), lambda a, b: a.mean() - b.mean(), n_resamples=np.inf
    )
    assert found == pytest.approx(known.pvalue, abs=4 * np.sqrt(0.25 / 4_000))
    # Two blocks of four, counted by hand: 6 x 6 assignments, of which the recorded one is the most extreme.
    blocks = Mechanism(np.array([1, 1, 0, 0, 1, 1, 0, 0], bool), np.repeat([0, 1], 4))
    found = randomisation_p([5, 6, 1, 2, 15, 16, 11, 12], blocks, seed=1)
    assert found == pytest.approx(2 / 36, abs=4 * np.sqrt(2 / 36 / 4_000))


def test_a_ramp_is_compared_within_its_periods() -> None:
    rng = np.random.default_rng(5)
    chance = np.repeat([0.1, 0.5], 500)
    treated = rng.random(1_000) < chance
    y = rng.poisson(np.where(chance < 0.3, 1, 9))
    late = chance > 0.3
    found = randomisation_p(y, Mechanism(treated, (chance > 0.3).astype(int), chance), seed=1)
    periods = moments(pd.DataFrame({"outcome": y}), pd.Series(treated), pd.Series(late))
    assert found == pytest.approx(float(contrast(periods, "mean", blocked=True).p), abs=0.05)


def test_drawn_assignments_keep_the_design() -> None:
    treated, block = np.arange(90) % 3 == 0, np.arange(90) // 9
    shuffled = np.concatenate(list(Mechanism(treated, block).draws(40, 1)))
    assert (shuffled.reshape(40, 10, 9).sum(axis=2) == 3).all()
    chance = np.where(block < 5, 0.1, 0.5)
    one_by_one = np.concatenate(list(Mechanism(treated, block // 5, chance).draws(4_000, 1)))
    assert one_by_one.mean(axis=0) == pytest.approx(chance, abs=4.5 * np.sqrt(0.25 / 4_000))
    again = np.concatenate(list(Mechanism(treated, block // 5, chance).draws(4_000, 1)))
    assert np.array_equal(one_by_one, again)


def test_runs_of_the_proof_are_readings_of_re_randomised_rows() -> None:
    rng = np.random.default_rng(2)
    units = pd.DataFrame(
        {"outcome": rng.poisson(2, 300), "before": rng.normal(size=300), "look": np.arange(300) % 3}
    )
    stratum = (np.arange(300) >= 100).astype(int)
    mechanism = Mechanism(rng.random(300) < 0.5, stratum, np.where(stratum, 0.5, 0.3))
    runs = next(unit_runs(units, ("outcome", "before"), "mean", mechanism, 4, 5, seed=3))
    drawn = next(mechanism.draws(5, 3, 2))
    rows = units[["outcome", "before"]].to_numpy(float)
    for run, look in ((0, 0), (4, 2), (4, 3)):
        upto = (units["look"] <= look).to_numpy()
        cells = [
            [
                of_rows(rows[upto & (drawn[run] == arm) & (stratum == s)], ("outcome", "before"))
                for s in (0, 1)
            ]
            for arm in (0, 1)
        ]
        parts = (
            np.array([[getattr(c, part) for c in row] for row in cells]) for part in ("n", "mean", "cross")
        )
        known = contrast(Moments(("outcome", "before"), *parts), "mean")
        assert (runs.difference[run, look], runs.error[run, look]) == pytest.approx(
            (known.difference, known.error)
        )


def test_the_proof_shows_what_peeking_costs() -> None:
    rng = np.random.default_rng(3)
    n, fractions = 6_000, np.arange(1, 21) / 20
    units = pd.DataFrame({"outcome": rng.negative_binomial(1, 0.3, n), "look": rng.integers(0, 20, n)})
    mechanism = Mechanism(rng.random(n) < 0.5, np.zeros(n, int), np.full(n, 0.5))
    found = prove(
        unit_runs(units, ("outcome",), "mean", mechanism, 20, 1_000, seed=1),
        boundaries(fractions, 0.05, "obrien-fleming"),
        0.05,
        0.1,
    )
    assert found.false_alarms.value < 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / 1_000)
    assert found.naive.value > 0.2
    # Drift of a lift of a tenth, whose power the mean and the spread of the outcome tell.
    drift = 0.1 * units["outcome"].mean() / units["outcome"].std() / np.sqrt(4 / n)
    assert found.power.value == pytest.approx(stats.norm.sf(1.99 - drift), abs=0.06)
    assert found.covered.value > 0.94
    assert (np.diff(found.by_look, axis=0) >= 0).all()
    assert found.by_look[-1].tolist() == [found.false_alarms.value, found.naive.value]
    assert found.naive.n == 1_000


def test_the_proof_of_clusters() -> None:
    rng = np.random.default_rng(4)
    size = rng.integers(5, 30, (4, 16)).cumsum(axis=0)
    outcome = size * rng.lognormal(0, 0.5, 16)
    mechanism = Mechanism(np.arange(16) % 2 == 0, np.zeros(16, int))
    bounds = boundaries(np.arange(1, 5) / 4, 0.05, "obrien-fleming")
    found = prove(cluster_runs(outcome, size, mechanism, 600, seed=1), bounds, 0.05, -0.3)
    assert found.false_alarms.value < 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / 600)
    assert 0.02 < found.power.value < 0.6
