"""Metrics of probabilities against scikit-learn, statsmodels, brute force, and planted truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn import metrics

from helpers.stats.forecast import calibration


def drawn(n: int = 400, seed: int = 0, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Predictions with ties, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 2, n), digits).clip(0.02, 0.98)
    return (rng.random(n) < p).astype(int), p


def test_auc_brier_and_log_score_equal_scikit_learn() -> None:
    y, p = drawn()
    assert calibration.auc(y, p).value == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)
    assert calibration.brier_losses(y, p).mean() == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)
    assert calibration.log_losses(y, p).mean() == pytest.approx(metrics.log_loss(y, p), abs=1e-12)


def test_auc_interval_equals_delong_by_brute_force() -> None:
    y, p = drawn(120)
    one, none = p[y == 1], p[y == 0]
    wins = (one[:, None] > none[None, :]) + 0.5 * (one[:, None] == none[None, :])
    s10, s01 = wins.mean(axis=1).var(ddof=1) / one.size, wins.mean(axis=0).var(ddof=1) / none.size
    found = calibration.auc(y, p)
    logit = lambda q: np.log(q / (1 - q))  # noqa: E731
    half = (logit(found.high) - logit(found.low)) / 2 / 1.959964 * found.value * (1 - found.value)
    assert half == pytest.approx(np.sqrt(s10 + s01), rel=0.02)  # n / (n - 1) once instead of twice


def test_auc_interval_widens_when_rows_repeat_and_members_are_known() -> None:
    y, p = drawn(150)
    member = np.arange(150)
    twice = [np.tile(v, 4) for v in (y, p, member)]
    once, naive, clustered = calibration.auc(y, p), calibration.auc(*twice[:2]), calibration.auc(*twice)
    width = [e.high - e.low for e in (once, naive, clustered)]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.05)
    assert width[2] == pytest.approx(width[0], rel=0.02)


def test_auc_interval_covers_planted_truth() -> None:
    from scipy import stats

    truth, hits = float(stats.norm.cdf(1 / np.sqrt(2))), 0
    rng = np.random.default_rng(5)
    for _ in range(300):
        y = np.r_[np.ones(40), np.zeros(60)]
        found = calibration.auc(y, rng.normal(y, 1.0))
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_auc_is_unknown_without_both_outcomes() -> None:
    assert not calibration.auc([1, 1], [0.2, 0.3]).known


def test_deciles_have_equal_counts_and_keep_ties_together() -> None:
    p = np.linspace(0.01, 0.99, 200)
    assert calibration.deciles(p > 0.5, p)["n"].tolist() == [20] * 10
    assert np.unique(calibration.groups(np.full(50, 0.3))).size == 1


def test_intervals_of_deciles_count_members_and_not_their_rows() -> None:
    y, p = drawn(3000, digits=9)
    member = np.arange(3000)
    four = [np.tile(each, 4) for each in (y, p, member)]
    once, naive, clustered = (
        calibration.deciles(y, p),
        calibration.deciles(*four[:2]),
        calibration.deciles(*four),
    )
    width = [(found["high"] - found["low"]).mean() for found in (once, naive, clustered)]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.05)
    assert width[2] == pytest.approx(width[0], rel=0.03)
    assert (clustered["n"] == 4 * once["n"]).all()
    alone = calibration.deciles(y, p, member)
    assert np.allclose(alone[["low", "high"]], once[["low", "high"]], atol=0.003)


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


def test_calibration_line_equals_statsmodels() -> None:
    y, p = drawn(600)
    log_odds = np.log(p / (1 - p))
    intercept, slope = calibration.calibration_line(y, p)
    family = sm.families.Binomial()
    level = sm.GLM(y, np.ones((y.size, 1)), family=family, offset=log_odds).fit()
    line = sm.GLM(y, sm.add_constant(log_odds), family=family).fit()
    assert intercept == pytest.approx(level.params[0], abs=1e-8)
    assert slope == pytest.approx(line.params[1], abs=1e-8)


def test_calibration_line_finds_planted_overconfidence() -> None:
    rng = np.random.default_rng(2)
    log_odds = rng.normal(0, 1, 40_000)
    y = rng.random(40_000) < 1 / (1 + np.exp(-(0.3 + log_odds)))
    intercept, slope = calibration.calibration_line(y, 1 / (1 + np.exp(-2 * log_odds)))
    assert slope == pytest.approx(0.5, abs=0.03)
    assert intercept > 0.2


def test_lift_by_hand_and_its_interval_is_clustered() -> None:
    y, p = np.repeat([1, 0], [20, 180]), np.linspace(1, 0, 200)
    found = calibration.lift(y, p)
    assert found.value == pytest.approx(10.0)
    y, p = drawn(300)
    member = np.repeat(np.arange(60), 5)
    same = calibration.lift(y, p, member, draws=100), calibration.lift(y, p, member, draws=100)
    assert same[0] == same[1]


def test_bootstrap_means_are_paired_and_centred() -> None:
    y, p = drawn(400)
    losses = np.column_stack([calibration.brier_losses(y, p), calibration.brier_losses(y, p) + 0.01])
    found = calibration.bootstrap_means(losses, np.repeat(np.arange(100), 4), draws=300)
    assert np.allclose(found[:, 1] - found[:, 0], 0.01)
    assert found[:, 0].mean() == pytest.approx(losses[:, 0].mean(), abs=0.01)


def test_d_calibration_holds_its_level_and_sees_a_wrong_model() -> None:
    rng = np.random.default_rng(3)
    rejected = {"right": 0, "wrong": 0}
    for _ in range(200):
        time, censored = rng.exponential(1.0, 400), rng.exponential(2.0, 400)
        seen, at = time <= censored, np.minimum(time, censored)
        for name, rate in (("right", 1.0), ("wrong", 0.6)):
            survival = np.exp(-rate * at)
            rejected[name] += calibration.d_calibration(survival, survival, seen).p_value < 0.05
    assert rejected["right"] / 200 <= 0.09
    assert rejected["wrong"] / 200 >= 0.95


def test_d_calibration_of_uncensored_times_is_the_plain_chi_square() -> None:
    from scipy import stats

    survival = np.random.default_rng(4).beta(1.3, 1, 500)
    found = calibration.d_calibration(survival, survival, np.ones(500, bool))
    counts = np.histogram(survival, np.linspace(0, 1, 11))[0]
    oracle = stats.chisquare(counts)
    assert (found.statistic, found.p_value) == pytest.approx((oracle.statistic, oracle.pvalue))
    assert found.table["observed"].sum() == pytest.approx(500)


def test_d_calibration_says_nothing_on_few_episodes() -> None:
    assert np.isnan(calibration.d_calibration([0.4], [0.4], [True]).p_value)


def test_episodes_end_with_the_first_silence_or_gap() -> None:
    days = pd.to_datetime(["2026-01-01", "2026-01-31", "2026-03-02"])
    table = pd.DataFrame(
        {
            "landmark": [*days, days[0], days[2], days[1]],
            "member_id": ["a", "a", "a", "b", "b", "c"],
            "silent": [0, 1, 0, 0, 1, 1],
        }
    )
    found = calibration.episodes(table, [0.2, 0.5, 0.9, 0.1, 0.3, 0.4]).set_index("member_id")
    assert found.loc["a", ["before", "after"]].tolist() == pytest.approx([0.8, 0.4])
    assert found["event"].to_dict() == {"a": True, "b": False, "c": True}
    assert found.loc["b", "after"] == pytest.approx(0.9)
