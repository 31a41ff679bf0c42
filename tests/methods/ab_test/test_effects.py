"""Effects from moments: exact merging, agreement with scipy and statsmodels, published figures, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.weightstats import CompareMeans

from helpers.methods.ab_test.effects import NO_GAIN, Effect, adjusted, contrast, effect, fieller, reached
from helpers.methods.ab_test.moments import Moments
from tests.methods.ab_test.published import catlab, moments, soc412


def two(control: np.ndarray, variant: np.ndarray, *names: str) -> Moments:
    """Return the moments of two arms of rows, axes (arm, stratum)."""
    names = names or ("outcome",)
    rows = [np.asarray(arm, float).reshape(len(arm), len(names)) for arm in (control, variant)]
    frame = pd.DataFrame(np.concatenate(rows), columns=list(names))
    return moments(frame, pd.Series(np.repeat([0, 1], [len(control), len(variant)])))


def read(control: np.ndarray, variant: np.ndarray, kind: str = "mean", confidence: float = 0.95) -> Effect:
    return effect(contrast(two(control, variant), kind), kind, confidence, "likes")


def test_merging_is_exact_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    rows = 1e9 + rng.normal(size=(900, 2))
    parts = [Moments.of_rows(part, ("outcome", "before")) for part in np.split(rows, [1, 1, 300, 650])]
    stacked = Moments(
        parts[0].names,
        *(np.array([getattr(part, name) for part in parts]) for name in ("n", "mean", "cross")),
    )
    whole = stacked.merge(0)
    assert whole.n == 900
    assert whole.mean == pytest.approx(rows.mean(axis=0), rel=1e-15)
    centred = rows - rows.mean(axis=0)
    assert whole.cross == pytest.approx(centred.T @ centred, abs=1e-4)
    assert whole.variance() == pytest.approx(rows.var(axis=0, ddof=1), rel=1e-6)
    third = stacked.cumulate(0).at(3)
    assert third.cross == pytest.approx(Moments.of_rows(rows[:650], third.names).cross, abs=1e-4)


def test_two_hundred_random_cases_agree_with_scipy_and_statsmodels() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n0, n1 = rng.integers(5, 300, 2)
        confidence = (0.9, 0.925, 0.95)[seed % 3]
        control, variant = rng.gamma(4, 2, n0), rng.gamma(4, rng.uniform(1, 3), n1)
        found = read(control, variant, confidence=confidence)
        known = stats.ttest_ind(variant, control, equal_var=False)
        assert (found.difference.value / found.error, found.p) == pytest.approx(known[:2], rel=1e-9)
        bounds = CompareMeans.from_data(variant, control).tconfint_diff(1 - confidence, usevar="unequal")
        assert found.difference[1:3] == pytest.approx(bounds, rel=1e-9)
        assert found.difference.confidence == confidence
        assert found.relative.confidence == confidence
        by_logs = [np.var(arm, ddof=1) / len(arm) / arm.mean() ** 2 for arm in (control, variant)]
        half = stats.t.isf((1 - confidence) / 2, known.df) * np.sqrt(sum(by_logs))
        log = np.log(variant.mean() / control.mean())
        if np.sqrt(by_logs[0]) <= 0.1:
            assert found.relative[:3] == pytest.approx(np.expm1([log, log - half, log + half]), rel=1e-9)


def test_two_hundred_random_adjustments_are_regressions() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        arm = rng.permutation(np.arange(120) % 3 == 0)
        before = rng.normal(50, 9, (120, 2)) * [1, 1e4]
        y = before @ [0.3, 2e-5] + rng.normal(size=120) + 0.4 * arm
        rows = pd.DataFrame(np.column_stack([y, before]), columns=["outcome", "before", "views"])
        found = adjusted(moments(rows, pd.Series(arm)), "mean")
        fit = sm.OLS(y, sm.add_constant(np.column_stack([arm, before]))).fit()
        assert found.adjusted.difference == pytest.approx(fit.params[1], rel=1e-9)
        rest = y - before @ fit.params[2:]
        known = stats.ttest_ind(rest[arm], rest[~arm], equal_var=False)
        assert found.adjusted.p == pytest.approx(known.pvalue, rel=1e-9, abs=1e-12)
        assert found.gain == pytest.approx(1 - (found.adjusted.error / found.plain.error) ** 2)


def test_ratio_is_welch_on_its_linearised_values() -> None:
    rng = np.random.default_rng(1)
    arms = []
    for _ in range(2):
        views = rng.poisson(5, 5_000) + 1.0
        arms.append(np.column_stack([0.5 * views + rng.normal(0, 0.3, 5_000), views]))
    found = contrast(two(*arms, "outcome", "denominator"), "ratio")
    lines = [(y - y.sum() / d.sum() * d) / d.mean() + y.sum() / d.sum() for y, d in (arm.T for arm in arms)]
    known = stats.ttest_ind(lines[1], lines[0], equal_var=False)
    assert (found.p, found.degrees) == pytest.approx((known.pvalue, known.df), rel=1e-9)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(0.00070, abs=1e-5)


def test_ratio_can_be_adjusted_by_what_was_before() -> None:
    rng = np.random.default_rng(2)
    taste = rng.gamma(3, 1, 4_000)
    views = rng.poisson(20, 4_000) + 1.0
    rows = pd.DataFrame(
        {"outcome": rng.poisson(taste * views / 20), "denominator": views, "before": rng.poisson(taste)}
    )
    found = adjusted(moments(rows, pd.Series(np.arange(4_000) % 2)), "ratio")
    assert 0.1 < found.gain < 0.6
    assert found.adjusted.error < found.plain.error


def test_poisson_regression_with_robust_errors_has_the_error_of_the_log_ratio() -> None:
    rng = np.random.default_rng(3)
    y, arm = rng.negative_binomial(1, 0.3, 400), np.arange(400) % 2
    found = read(y[arm == 0], y[arm == 1])
    fit = sm.GLM(y, sm.add_constant(arm), family=sm.families.Poisson()).fit(cov_type="HC0")
    assert found.log_lift == pytest.approx((fit.params[1], fit.bse[1] * np.sqrt(200 / 199)), rel=1e-7)


def test_periods_of_a_ramp_do_not_fake_a_lift() -> None:
    def cell(n: int, events: int) -> Moments:
        share = events / n
        return Moments(
            ("outcome",), np.array(float(n)), np.array([share]), np.array([[events * (1 - share)]])
        )

    cells = [[cell(9_000, 180), cell(5_000, 250)], [cell(1_000, 20), cell(5_000, 250)]]
    ramp = Moments(
        ("outcome",),
        *(np.array([[getattr(c, part) for c in row] for row in cells]) for part in ("n", "mean", "cross")),
    )
    found = effect(contrast(ramp, "proportion"), "proportion", 0.95, "share")
    assert found.relative.value == pytest.approx(0, abs=1e-12)
    # Counted by hand: weights 10,000 and 10,000 of 20,000, variances p (1 - p) / (n - 1).
    variances = [0.25 * 0.02 * 0.98 * (1 / 8_999 + 1 / 999), 0.25 * 0.05 * 0.95 * (1 / 4_999 + 1 / 4_999)]
    assert found.error == pytest.approx(np.sqrt(sum(variances)), rel=1e-12)
    pooled = contrast(
        Moments(ramp.names, *(getattr(ramp.merge(1), part)[:, None] for part in ("n", "mean", "cross"))),
        "mean",
    )
    assert pooled.difference / pooled.levels[0] == pytest.approx(0.465, abs=1e-3)


def test_blocks_are_a_regression_with_block_effects(reference_data: Path) -> None:
    posts = soc412(reference_data)
    found = contrast(
        moments(posts[["comments"]].set_axis(["outcome"], axis=1), posts["treated"], posts["experimenter"]),
        "mean",
        blocked=True,
    )
    fit = ols("comments ~ treated + C(experimenter)", posts).fit(cov_type="HC1")
    assert (found.difference, found.error) == pytest.approx(
        (fit.params["treated"], fit.bse["treated"]), rel=1e-9
    )
    assert (found.difference, found.error) == pytest.approx((0.41519, 0.18006), abs=5e-6)


def test_catlab_is_read_as_published(reference_data: Path) -> None:
    kept = catlab(reference_data)
    sent = (kept["treatment"] == 1) & (kept["message_status"] == "sent")
    assert (len(kept), kept["treatment"].sum(), sent.sum()) == (1_300, 650, 587)
    for weeks, published in ((2, 0.18790), (3, 0.18184), (10, 0.14958)):
        rows = kept[[f"comments_{weeks}_weeks"]].set_axis(["outcome"], axis=1)
        found = effect(contrast(moments(rows, kept["treatment"]), "mean"), "mean", 0.95, "comments")
        assert found.log_lift[0] == pytest.approx(published, abs=5e-6)
    rows = kept[["comments_2_weeks"]].set_axis(["outcome"], axis=1)
    found = effect(contrast(moments(rows, kept["treatment"]), "mean"), "mean", 0.95, "comments")
    assert (found.log_lift[1], found.p) == pytest.approx((0.08240, 0.0274), abs=5e-5)
    # The published p is that of a normal; here it is that of Student's t.
    assert found.relative_p == pytest.approx(0.0225, abs=5e-4)
    delivered = moments(rows.assign(delivered=sent.astype(float)), kept["treatment"])
    few = reached(delivered, 0.95, "comments")
    assert few.value == pytest.approx(found.difference.value / (587 / 650), rel=1e-12)
    assert few.low > 0


def test_negative_binomial_figures_that_were_published(reference_data: Path) -> None:
    kept = catlab(reference_data)
    fit = sm.NegativeBinomial(kept["comments_2_weeks"], sm.add_constant(kept["treatment"])).fit(disp=0)
    assert (fit.params["treatment"], fit.bse["treatment"], fit.pvalues["treatment"]) == pytest.approx(
        (0.18790, 0.05747, 0.001077), abs=2e-5
    )


def test_what_does_not_explain_gains_nothing(reference_data: Path) -> None:
    mails = pd.read_csv(reference_data / "ab" / "hillstrom.csv")
    arm = mails["segment"].map({"No E-Mail": 0, "Mens E-Mail": 1, "Womens E-Mail": 2})
    three = moments(mails[["spend", "history"]].set_axis(["outcome", "before"], axis=1), arm)
    for place, difference, p in ((1, 0.7698, 1.2e-7), (2, 0.4244, 0.0011)):
        found = adjusted(three, "mean", arm=place)
        assert (found.plain.difference, found.plain.p) == pytest.approx((difference, p), rel=0.05)
        assert found.gain < NO_GAIN
    visits = moments(mails[["visit"]].set_axis(["outcome"], axis=1), arm)
    assert [contrast(visits, "proportion", arm=place).difference for place in (1, 2)] == pytest.approx(
        [0.07659, 0.04523], abs=5e-6
    )


def test_udacity_is_read_as_published(reference_data: Path) -> None:
    arms = [
        pd.read_csv(reference_data / "ab" / f"udacity_freetrial_{arm}.csv").dropna()
        for arm in ("control", "experiment")
    ]
    for column, low, value, high in (
        ("Enrollments", -0.0291, -0.0206, -0.0120),
        ("Payments", -0.0116, -0.0049, 0.0019),
    ):
        n = np.array([[arm["Clicks"].sum()] for arm in arms], float)
        mean = np.array([[arm[column].sum()] for arm in arms]) / n
        both = Moments(("outcome",), n, mean[..., None], (n * mean * (1 - mean))[..., None, None])
        found = effect(contrast(both, "proportion"), "proportion", 0.95, "share").difference
        assert found[:3] == pytest.approx((value, low, high), abs=5.1e-5)


def test_rare_events_have_a_p_and_few_have_none() -> None:
    def shares(events: int, others: int, n: int) -> Moments:
        size, mean = np.full((2, 1), float(n)), np.array([[events], [others]]) / n
        return Moments(("outcome",), size, mean[..., None], (size * mean * (1 - mean))[..., None, None])

    found = effect(contrast(shares(12, 160, 200_000), "proportion"), "proportion", 0.95, "share")
    assert found.difference.value / found.error == pytest.approx(11.29, abs=0.005)
    assert 0 < found.p < 1e-20
    few = effect(contrast(shares(9, 40, 1_000), "proportion"), "proportion", 0.95, "share")
    assert (few.difference.method, few.relative.method) == ("fewer than ten events in an arm",) * 2
    assert not few.difference.known and np.isnan(few.p)
    assert few.levels[0].known


@pytest.mark.parametrize(
    ("control", "variant", "relative"),
    [
        ([-10, -11, -9, -10], [-5, -6, -5, -4], "not defined: the control is not above 0"),
        ([-1, 1.1, -1, 1], [5, 6, 5, 4], "not defined: the control is too near 0 for an interval"),
    ],
)
def test_a_lift_on_nothing_is_not_defined(control: list[float], variant: list[float], relative: str) -> None:
    found = read(np.array(control), np.array(variant))
    assert found.difference.value == pytest.approx(np.mean(variant) - np.mean(control))
    assert found.difference.known
    assert not found.relative.known and found.relative.method == relative


@pytest.mark.parametrize(
    ("control", "variant", "reason"),
    [
        ([1, 1, 1, 1], [2, 2, 2, 2], "constant in both arms"),
        ([0.1] * 7, [0.1] * 7, "constant in both arms"),
        ([1], [2, 3], "fewer than two units in an arm"),
    ],
)
def test_what_cannot_be_told_says_why(control: list[float], variant: list[float], reason: str) -> None:
    found = read(np.array(control, float), np.array(variant, float))
    assert found.difference.method == found.relative.method == reason
    assert np.isnan([found.p, found.relative_p, *found.difference[:3]]).all()


def test_a_noisy_control_takes_fieller() -> None:
    rng = np.random.default_rng(4)
    control, variant = rng.exponential(1, 40), rng.exponential(2, 40)
    found = read(control, variant)
    assert found.relative.method == "Fieller"
    # Each bound is the ratio at which the test of "variant = ratio x control" is just significant.
    for bound in found.relative[1:3]:
        gap = variant.mean() - (1 + bound) * control.mean()
        error = np.sqrt(variant.var(ddof=1) / 40 + (1 + bound) ** 2 * control.var(ddof=1) / 40)
        known = stats.ttest_ind(variant, control, equal_var=False)
        assert abs(gap / error) == pytest.approx(stats.t.isf(0.025, known.df), rel=1e-9)
    assert np.isnan(fieller(np.array([0.1, 1.0]), np.eye(2), 1.96)).all()


def test_a_bound_widens_both_intervals_and_an_infinite_one_tells_nothing() -> None:
    rng = np.random.default_rng(5)
    found = contrast(two(rng.gamma(4, 1, 900), rng.gamma(4, 1, 900)), "mean")
    wide = effect(found, "mean", 0.95, "likes", bound=9.955)
    assert np.isfinite([*wide.difference[:3], *wide.relative[:3]]).all()
    assert wide.difference.high - wide.difference.value == pytest.approx(9.955 * wide.error, rel=0.03)
    assert (
        effect(found, "mean", 0.95, "likes", bound=np.inf).difference.method
        == "not read before the planned end"
    )


def test_delivery_that_does_not_differ_tells_nothing_of_the_reached() -> None:
    rng = np.random.default_rng(6)
    rows = pd.DataFrame({"outcome": rng.normal(size=200), "delivered": rng.integers(0, 2, 200)})
    found = reached(moments(rows, pd.Series(np.arange(200) % 2)), 0.95, "likes")
    assert not found.known and found.method == "delivery does not clearly differ between the arms"
