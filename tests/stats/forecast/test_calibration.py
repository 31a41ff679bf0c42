"""Metrics of probabilities and their recalibration against scikit-learn, statsmodels, brute force, planted truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special
from sklearn import metrics

from helpers.stats.estimate import Estimate, proportion
from helpers.stats.forecast import calibration


def drawn(n: int = 400, seed: int = 0, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Predictions with ties, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 2, n), digits).clip(0.02, 0.98)
    return (rng.random(n) < p).astype(int), p


def auc(y: np.ndarray, p: np.ndarray) -> Estimate:
    """Return the AUC of members with a row each."""
    return calibration.auc(y, p, np.arange(len(y)))


def test_auc_equals_scikit_learn() -> None:
    y, p = drawn()
    assert auc(y, p).value == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)


def test_auc_interval_equals_delong_by_brute_force() -> None:
    y, p = drawn(120)
    one, none = p[y == 1], p[y == 0]
    wins = (one[:, None] > none[None, :]) + 0.5 * (one[:, None] == none[None, :])
    s10, s01 = wins.mean(axis=1).var(ddof=1) / one.size, wins.mean(axis=0).var(ddof=1) / none.size
    found = auc(y, p)
    logit = lambda q: np.log(q / (1 - q))  # noqa: E731
    half = (logit(found.high) - logit(found.low)) / 2 / 1.959964 * found.value * (1 - found.value)
    assert half == pytest.approx(np.sqrt(s10 + s01), rel=0.02)  # n / (n - 1) once instead of twice


def test_auc_interval_widens_when_rows_repeat_and_members_are_known() -> None:
    y, p = drawn(150)
    member = np.arange(150)
    twice = [np.tile(v, 4) for v in (y, p, member)]
    once, naive, clustered = auc(y, p), auc(*twice[:2]), calibration.auc(*twice)
    width = [e.high - e.low for e in (once, naive, clustered)]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.05)
    assert width[2] == pytest.approx(width[0], rel=0.02)


def test_auc_interval_covers_planted_truth() -> None:
    from scipy import stats

    truth, hits = float(stats.norm.cdf(1 / np.sqrt(2))), 0
    rng = np.random.default_rng(5)
    for _ in range(300):
        y = np.r_[np.ones(40), np.zeros(60)]
        found = auc(y, rng.normal(y, 1.0))
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_auc_is_unknown_without_both_outcomes() -> None:
    assert not auc([1, 1], [0.2, 0.3]).known


def test_tenths_have_equal_counts_and_keep_ties_together() -> None:
    assert np.bincount(calibration.tenths(np.linspace(0.01, 0.99, 200)))[1:].tolist() == [20] * 10
    assert np.unique(calibration.tenths(np.full(50, 0.3))).size == 1


def test_intervals_of_groups_count_members_and_not_their_rows() -> None:
    y, p = drawn(3000, digits=9)
    four = [np.tile(each, 4) for each in (y, p, np.arange(3000))]
    once = calibration.by_group(calibration.tenths(p), y, p, np.arange(3000))
    naive = calibration.by_group(calibration.tenths(four[1]), *four[:2], np.arange(12_000))
    clustered = calibration.by_group(calibration.tenths(four[1]), *four)
    width = [(found["high"] - found["low"]).mean() for found in (once, naive, clustered)]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.05)
    assert width[2] == pytest.approx(width[0], rel=0.03)
    assert (clustered["n"] == 4 * once["n"]).all()
    wilson = proportion(int(y[calibration.tenths(p) == 4].sum()), 300)
    assert tuple(once.loc[3, ["low", "high"]]) == pytest.approx(wilson[1:3], abs=0.003)


def test_decile_error_by_brute_force_and_independent_of_row_order() -> None:
    y, p = drawn(500, digits=9)
    order = np.argsort(p)
    brute = np.mean([abs(y[b].mean() - p[b].mean()) for b in np.array_split(order, 10)])
    assert calibration.decile_error(y, p) == pytest.approx(brute, abs=1e-12)
    mixed = np.random.default_rng(1).permutation(500)
    assert calibration.decile_error(y[mixed], p[mixed]) == pytest.approx(brute, abs=1e-12)


def test_noise_floor_is_the_mean_error_of_perfect_predictions() -> None:
    found = [calibration.decile_error(*drawn(300, seed, 6)) for seed in range(200)]
    floor = calibration.decile_error_if_perfect(drawn(300, 0, 6)[1])
    assert floor == pytest.approx(np.mean(found), rel=0.06)
    assert floor > 0.03


def test_lift_by_hand_and_its_interval_is_clustered() -> None:
    y, p = np.repeat([1, 0], [20, 180]), np.linspace(1, 0, 200)
    found = calibration.lift(y, p, np.arange(200))
    assert found.value == pytest.approx(10.0)
    y, p = drawn(300)
    member = np.repeat(np.arange(60), 5)
    same = calibration.lift(y, p, member, draws=100), calibration.lift(y, p, member, draws=100)
    assert same[0] == same[1]


def test_bootstrap_means_are_centred_and_vary_as_members_do() -> None:
    y, p = drawn(400)
    losses = (p - y) ** 2
    found = calibration.bootstrap_mean(losses, np.arange(400), draws=400, seed=0)
    assert found.mean() == pytest.approx(losses.mean(), abs=0.005)
    assert found.std() == pytest.approx(losses.std() / 20, rel=0.15)
    twice = calibration.bootstrap_mean(np.tile(losses, 2), np.tile(np.arange(400), 2), draws=400, seed=0)
    assert twice.std() == pytest.approx(found.std())


def planted() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    p = special.expit(-1 + np.log1p(rng.integers(0, 30, 30_000)) / 2)
    landmark = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(30_000) // 2_500 * 30, unit="D")
    return pd.DataFrame({"landmark": landmark, "p": p, "silent": (rng.random(p.size) < p).astype(int)})


def test_window_shift_solves_its_equation() -> None:
    log_odds = np.linspace(-2, 2, 101)
    y = (np.arange(101) < 70).astype(float)
    shift = calibration.window_shift(log_odds, y)
    assert special.expit(log_odds + shift).mean() == pytest.approx(70 / 101, abs=1e-9)
    oracle = sm.GLM(y, np.ones((101, 1)), family=sm.families.Binomial(), offset=log_odds).fit()
    assert shift == pytest.approx(oracle.params[0], abs=1e-7)
    assert np.isfinite(calibration.window_shift(log_odds, np.zeros(101)))


def test_recalibration_finds_planted_overconfidence_and_trusts_little_evidence_little() -> None:
    table = planted()
    wrong = special.expit(0.5 + 2 * special.logit(table["p"]))
    curve = calibration.recalibration(table["landmark"], wrong, table["silent"])
    mended = special.expit(curve.log_odds(special.logit(wrong.to_numpy())))
    assert np.abs(mended - table["p"]).max() < 0.05
    assert np.abs(mended - table["p"]).mean() < 0.01
    few = table.iloc[:20]
    little = calibration.recalibration(few["landmark"], wrong.iloc[:20], few["silent"])
    assert abs(little.coefficients[1] - 1) < 0.3
    nothing = calibration.recalibration(*(table.iloc[:0][name] for name in ("landmark", "p", "silent")))
    assert nothing == ((), (0.0, 1.0))


def test_the_area_of_perfect_order_lies_inside_its_interval() -> None:
    y = np.repeat([0, 1], 20)
    found = calibration.auc(y, np.linspace(0, 1, 40), np.arange(40))
    assert found.value == 1 and found.low < 1 and found.high == 1
