"""Intervals against statsmodels, scipy and published tables, and against planted truth."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.rates import confint_poisson

from helpers.stats.estimate import (
    clustered_interval,
    difference_of_proportions,
    drawn_estimate,
    garwood,
    holm,
    jeffreys,
    percentile_interval,
    proportion,
    unknown,
    wilson,
)


@pytest.mark.parametrize(("x", "n"), [(0, 10), (3, 10), (10, 10), (537, 1411), (1, 100_000)])
def test_wilson_and_jeffreys_equal_statsmodels(x, n):
    assert wilson(x, n, 0.9) == pytest.approx(proportion_confint(x, n, 0.1, "wilson"), abs=1e-12)
    low, high = jeffreys(x, n, 0.9)
    expected_low, expected_high = proportion_confint(x, n, 0.1, "jeffreys")
    assert low == pytest.approx(0 if x == 0 else expected_low, abs=1e-12)
    assert high == pytest.approx(1 if x == n else expected_high, abs=1e-12)


def test_garwood_equals_statsmodels_and_his_table():
    low, high = garwood([0, 1, 10, 50], [1, 1, 1, 1], 0.95)
    # Garwood (1936), as in any table of exact Poisson limits.
    assert np.round(low, 3).tolist() == [0, 0.025, 4.795, 37.111]
    assert np.round(high, 3).tolist() == [3.689, 5.572, 18.390, 65.919]
    for x in (1, 7, 300):
        theirs = confint_poisson(x, 12.5, method="exact-c", alpha=0.1)
        assert np.allclose(np.ravel(garwood([x], [12.5], 0.9)), theirs)


@pytest.mark.parametrize(("x1", "n1", "x0", "n0"), [(5, 20, 3, 25), (0, 30, 4, 30), (50, 90, 40, 110)])
def test_newcombe_equals_statsmodels(x1, n1, x0, n0):
    ours = difference_of_proportions(x1, n1, x0, n0)
    expected = confint_proportions_2indep(x1, n1, x0, n0, method="newcomb", compare="diff")
    assert (ours.low, ours.high) == pytest.approx(expected, abs=1e-12)
    assert ours.n == n1 + n0


def test_no_observations_give_no_number():
    assert not proportion(0, 0).known
    assert not difference_of_proportions(0, 0, 1, 2).known
    assert np.isnan(wilson(0, 0)).all()
    assert np.isnan(jeffreys(0, 0)).all()
    assert unknown(0, "share", 0.95).method == "too little data"


def test_more_successes_than_trials_is_an_error():
    with pytest.raises(ValueError, match="successes == 3, must be <= 2"):
        proportion(3, 2)


@pytest.mark.parametrize("interval", [wilson, jeffreys])
def test_average_coverage_over_shares_is_nominal(interval):
    """Exact average over 200 shares at n = 50: measured .9514 for Wilson and .9500 for Jeffreys."""
    n, shares = 50, (np.arange(200) + 0.5) / 200
    x = np.arange(n + 1)
    low, high = interval(x, n)
    mass = stats.binom.pmf(x[:, None], n, shares)
    covered = ((low[:, None] <= shares) & (shares <= high[:, None])) * mass
    assert covered.sum(axis=0).mean() == pytest.approx(0.95, abs=0.005)


def test_too_few_finite_draws_give_no_interval():
    assert np.isnan(percentile_interval([1.0, np.nan] * 15)).all()


def test_the_interval_of_draws_is_widened_to_a_value_outside() -> None:
    draws = np.arange(101.0)
    assert drawn_estimate(50.0, draws, 7, "share", "draws", 0.9)[:4] == pytest.approx((50.0, 5.0, 95.0, 7))
    assert drawn_estimate(99.0, draws, 7, "share", "draws", 0.9)[:3] == pytest.approx((99.0, 5.0, 99.0))
    assert drawn_estimate(-1.0, draws, 7, "share", "draws", 0.9)[:3] == pytest.approx((-1.0, -1.0, 95.0))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_wilson_bounds_of_none_and_of_all_are_exact(confidence: float) -> None:
    sizes = np.arange(1, 400)
    low, _ = wilson(np.zeros(len(sizes)), sizes, confidence)
    _, high = wilson(sizes, sizes, confidence)
    assert (low == 0).all()
    assert (high == 1).all()
    assert np.isnan(wilson(0, 0, confidence)).all()


def test_clusters_of_one_are_nearly_wilson() -> None:
    low, high = clustered_interval(120, 400, 120, 120, 400, 400)
    plain_low, plain_high = wilson(120, 400)
    assert float(low) == pytest.approx(float(plain_low), abs=0.002)
    assert float(high) == pytest.approx(float(plain_high), abs=0.002)


def test_a_member_counted_ten_times_is_one_member() -> None:
    """All or nothing: 40 members, each counted 10 times, 10 of them always retained."""
    low, high = clustered_interval(100, 400, 1000, 1000, 4000, 40)
    plain_low, plain_high = wilson(10, 40)
    assert float(high - low) == pytest.approx(float(plain_high - plain_low), rel=0.06)
    none_low, none_high = clustered_interval(0, 400, 0, 0, 4000, 40)
    assert (float(none_low), float(none_high)) == pytest.approx([float(b) for b in wilson(0, 40)])


def test_one_cluster_has_no_interval() -> None:
    assert np.isnan(clustered_interval(3, 10, 9, 30, 100, 1)).all()
    assert np.isnan(clustered_interval(0, 0, 0, 0, 0, 0)).all()


def test_clustered_intervals_cover_where_plain_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    sims, members, share = 3000, 60, 0.3
    rate = rng.beta(share * 4, (1 - share) * 4, (sims, members))
    n = rng.integers(1, 13, (sims, members))
    x = rng.binomial(n, rate)
    sums = [part.sum(axis=1) for part in (x, n, x * x, x * n, n * n)]
    low, high = clustered_interval(*sums, np.full(sims, members))
    plain_low, plain_high = wilson(sums[0], sums[1])
    assert 0.935 <= ((low <= share) & (share <= high)).mean() <= 0.965
    assert ((plain_low <= share) & (share <= plain_high)).mean() < 0.88


def test_holm_leaves_what_is_not_known_out_of_the_count():
    known = [0.04, 0.01, 0.03]
    corrected = holm([0.04, np.nan, 0.01, 0.03])
    assert np.isnan(corrected[1])
    assert corrected[[0, 2, 3]] == pytest.approx(
        [0.06, 0.03, 0.06]
    )  # by hand: 0.01 x 3, 0.03 x 2, then no less
    assert corrected[[0, 2, 3]] == pytest.approx(multipletests(known, method="holm")[1])
