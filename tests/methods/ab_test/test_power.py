"""Size and power, many comparisons at once, and the Bayesian reading."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from helpers.methods.ab_test.bayes import believe
from helpers.methods.ab_test.decide import Gain, Seen, decide
from helpers.methods.ab_test.outcomes import level_of_claims
from helpers.methods.ab_test.power import (
    Baseline,
    detectable,
    inflation_of_looks,
    needed,
)
from helpers.methods.ab_test.sequential import boundaries


@pytest.mark.parametrize(
    "base",
    [
        Baseline("proportion", 0.02, np.nan),
        Baseline("proportion", 0.3, np.nan, share=0.1, inflation=1.7),
        Baseline("mean", 1.5, 4.0, share=0.3),
        Baseline("mean", 250.0, 9e5, inflation=3.0),
        Baseline("ratio", 0.04, 0.2),
    ],
)
@pytest.mark.parametrize(("alpha", "wanted"), [(0.05, 0.8), (0.0125, 0.9)])
def test_what_is_detectable_is_detected(base: Baseline, alpha: float, wanted: float) -> None:
    units = 40_000
    lift = detectable(base, units, alpha, wanted)
    levels = np.array([base.mean, base.mean * (1 + lift)])
    spread = levels * (1 - levels) if base.kind == "proportion" else np.full(2, base.variance)
    # Of independent units in a test of fixed length there are as many as the inflation leaves.
    size = units / base.inflation * np.array([1 - base.share, base.share])
    distance = lift * base.mean / np.sqrt(spread / size @ [1, 1] * size[0] / 2)
    found = NormalIndPower().power(distance, size[0], alpha)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert needed(base, lift, alpha, wanted) == pytest.approx(units, abs=1)


def test_a_thousand_exposures_detect_only_a_doubling() -> None:
    assert detectable(Baseline("proportion", 0.02, np.nan), 2_000, 0.05, 0.8) == pytest.approx(
        1.08, abs=0.005
    )
    assert np.isnan(detectable(Baseline("proportion", 0.6, np.nan), 10, 0.05, 0.8))


def test_a_mean_is_never_taken_for_a_share() -> None:
    assert np.isnan(detectable(Baseline("mean", 1.5, np.nan), 1_000, 0.05, 0.8))


def test_looks_cost_few_units() -> None:
    looks = np.arange(1, 21) / 20
    assert inflation_of_looks(boundaries([1.0], 0.05, "obrien-fleming"), 0.05, 0.8) == pytest.approx(
        1, abs=1e-5
    )
    # Jennison and Turnbull (2000), table 7.4 for five looks: 1.024 to 1.03.
    assert inflation_of_looks(boundaries(looks[3::4], 0.05, "obrien-fleming"), 0.05, 0.8) == pytest.approx(
        1.025, abs=2e-3
    )
    assert inflation_of_looks(boundaries(looks, 0.05, "pocock"), 0.05, 0.8) > 1.2


def test_intervals_of_what_is_claimed_agree_with_the_claims() -> None:
    p = np.array([0.001, 0.02, np.nan, 0.04, 0.3])
    claimed = multipletests(p[[0, 1, 3, 4]], method="fdr_bh")[1] <= 0.05
    assert claimed.sum() == 2 and level_of_claims(p, 0.05) == pytest.approx(1 - 0.05 * 2 / 4)
    assert level_of_claims([0.5, 0.9], 0.05) == pytest.approx(0.975)
    assert level_of_claims([np.nan], 0.05) == 0.95


def test_probable_is_not_decided() -> None:
    found = believe([0.018], [0.01], 0.018)
    assert found.loc[0, ["chance", "chance_worth_having"]].tolist() == pytest.approx([0.964, 0.5], abs=5e-4)
    for confidence, reason in ((0.95, "running"), (0.90, "ship")):
        half = stats.norm.isf((1 - confidence) / 2) * 0.01
        assert decide(Seen(False, Gain("orders", 0.018, 0.018 - half, 0.018 + half))) == reason


def test_the_best_of_several_by_simulation() -> None:
    lift, error, shared = np.array([0.01, 0.03, 0.0]), np.array([0.01, 0.012, 0.01]), 5e-5
    found = believe(lift, error, 0.0, shared=shared)
    covariance = np.diag(error**2 - shared) + shared
    draws = np.random.default_rng(0).multivariate_normal(lift, covariance, 400_000)
    best = np.bincount(np.column_stack([np.zeros(len(draws)), draws]).argmax(axis=1), minlength=4) / len(
        draws
    )
    assert found["chance_best"].to_numpy() == pytest.approx(best[1:], abs=0.003)
    assert found["expected_loss"].to_numpy() == pytest.approx(np.maximum(-draws, 0).mean(axis=0), abs=3e-5)
