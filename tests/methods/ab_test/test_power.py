"""Size and power, many comparisons at once, and the Bayesian reading."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from helpers.errors import BadParameters
from helpers.methods.ab_test.bayes import believe, expected_loss
from helpers.methods.ab_test.power import (
    Baseline,
    detectable,
    inflation_of_looks,
    needed,
    power,
)
from helpers.methods.ab_test.sequential import boundaries
from helpers.methods.ab_test.several import mostly, together


@pytest.mark.parametrize(
    "base",
    [
        Baseline("proportion", 0.02),
        Baseline("proportion", 0.3, share=0.1, inflation=1.7),
        Baseline("mean", 1.5, 4.0, share=0.3),
        Baseline("mean", 250.0, 9e5, inflation=3.0),
        Baseline("ratio", 0.04, 0.2),
    ],
)
@pytest.mark.parametrize(("alpha", "wanted"), [(0.05, 0.8), (0.0125, 0.9)])
def test_what_is_detectable_is_detected(base: Baseline, alpha: float, wanted: float) -> None:
    units = 40_000
    lift = detectable(base, units, alpha, wanted)
    assert power(base, lift, units, alpha) == pytest.approx(wanted, abs=1e-6)
    absolute = lift * base.mean
    assert power(base, absolute / base.mean, units, alpha) == pytest.approx(wanted, abs=1e-6)
    assert needed(base, lift, alpha, wanted) == pytest.approx(units, abs=1)


def test_power_of_a_mean_is_that_of_statsmodels() -> None:
    for lift, share in ((0.02, 0.5), (0.05, 0.2)):
        known = NormalIndPower().power(lift * 1.5 / 2, 8_000 * (1 - share), 0.05, ratio=share / (1 - share))
        assert power(Baseline("mean", 1.5, 4.0, share), lift, 8_000, 0.05) == pytest.approx(known, rel=1e-9)


def test_a_thousand_exposures_detect_only_a_doubling() -> None:
    assert detectable(Baseline("proportion", 0.02), 2_000, 0.05, 0.8) == pytest.approx(1.08, abs=0.005)
    assert np.isnan(detectable(Baseline("proportion", 0.6), 10, 0.05, 0.8))


def test_a_mean_needs_its_variance() -> None:
    with pytest.raises(BadParameters, match="variance == None"):
        power(Baseline("mean", 1.5), 0.1, 1_000, 0.05)


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


def test_corrections_are_those_of_statsmodels_with_intervals_that_agree() -> None:
    p = np.array([0.001, 0.02, np.nan, 0.04, 0.3])
    known = [0, 1, 3, 4]
    all_of_them, most = together(p, 0.05), mostly(p, 0.05)
    assert all_of_them.p[known] == pytest.approx(multipletests(p[known], method="holm")[1])
    assert most.p[known] == pytest.approx(multipletests(p[known], method="fdr_bh")[1])
    assert (all_of_them.found.tolist(), most.found.tolist()) == (
        [True] + [False] * 4,
        [True, True] + [False] * 3,
    )
    assert all_of_them.confidence == pytest.approx(1 - 0.05 / 4)
    assert most.confidence == pytest.approx(1 - 0.05 * 2 / 4)
    assert mostly([0.5, 0.9], 0.05).confidence == pytest.approx(0.975)


def test_probable_is_not_decided() -> None:
    found = believe([0.018], [0.01], 0.95)
    assert found.chance[0] == pytest.approx(0.964, abs=5e-4)
    assert not found.decided[0]
    assert believe([0.018], [0.01], 0.90).decided[0]
    assert found.above(0.018) == pytest.approx(0.5)


def test_the_best_of_several_by_simulation() -> None:
    lift, error, shared = np.array([0.01, 0.03, 0.0]), np.array([0.01, 0.012, 0.01]), 5e-5
    found = believe(lift, error, 0.95, shared=shared)
    covariance = np.diag(error**2 - shared) + shared
    draws = np.random.default_rng(0).multivariate_normal(lift, covariance, 400_000)
    best = np.bincount(np.column_stack([np.zeros(len(draws)), draws]).argmax(axis=1), minlength=4) / len(
        draws
    )
    assert found.best == pytest.approx(best, abs=0.003)
    assert found.best.sum() == pytest.approx(1, abs=1e-3)
    assert found.loss == pytest.approx(np.maximum(-draws, 0).mean(axis=0), abs=3e-5)


def test_expected_loss_is_stable_far_in_the_tail() -> None:
    for u in (-6.0, -1.0, 0.0, 0.5, 3.0, 8.0, 20.0, 35.0):
        # The integral with its leading exponent taken out, which no cancellation touches.
        known = integrate.quad(lambda x, u=u: x * np.exp(-(x**2) / 2 - u * x), 0, np.inf)[0] * stats.norm.pdf(
            u
        )
        assert expected_loss(2 * u, 2.0) / 2 == pytest.approx(known, rel=1e-9)
