"""Effects from moments: exact merging, agreement with scipy and statsmodels, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.weightstats import CompareMeans

from helpers.methods.ab_test.effects import Effect, contrast, effect, fieller, reached
from helpers.methods.ab_test.moments import Moments
from tests.methods.ab_test.of_rows import moments, of_rows


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
    parts = [of_rows(part, ("outcome", "before")) for part in np.split(rows, [1, 1, 300, 650])]
    stacked = Moments(
        parts[0].names,
        *(np.array([getattr(part, name) for part in parts]) for name in ("n", "mean", "cross")),
    )
    whole = stacked.merge(0)
    assert whole.n == 900
    assert whole.mean == pytest.approx(rows.mean(axis=0), rel=1e-15)
    centred = rows - rows.mean(axis=0)
    assert whole.cross == pytest.approx(centred.T @ centred, abs=1e-4)
    third = stacked.cumulate(0).at(3)
    assert third.cross == pytest.approx(of_rows(rows[:650], third.names).cross, abs=1e-4)


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
        adjusted = contrast(moments(rows, pd.Series(arm)), "mean")
        fit = sm.OLS(y, sm.add_constant(np.column_stack([arm, before]))).fit()
        assert adjusted.difference == pytest.approx(fit.params[1], rel=1e-9)
        rest = y - before @ fit.params[2:]
        known = stats.ttest_ind(rest[arm], rest[~arm], equal_var=False)
        assert adjusted.p == pytest.approx(known.pvalue, rel=1e-9, abs=1e-12)


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
    whole = moments(rows, pd.Series(np.arange(4_000) % 2))
    gain = 1 - (contrast(whole, "ratio").error / contrast(whole.plain, "ratio").error) ** 2
    assert 0.1 < gain < 0.6


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


def test_blocks_are_a_regression_with_block_effects() -> None:
    rng = np.random.default_rng(7)
    posts = pd.DataFrame({"block": np.repeat(np.arange(30), rng.integers(2, 9, 30))})
    posts["arm"] = rng.integers(0, 2, len(posts))
    posts["y"] = rng.normal(size=len(posts)) + posts["block"] + posts["arm"] * rng.normal(1, 1, len(posts))
    both = posts[posts.groupby("block")["arm"].transform("nunique") == 2]
    found = contrast(
        moments(posts[["y"]].set_axis(["outcome"], axis=1), posts["arm"], posts["block"]),
        "mean",
        blocked=True,
    )
    fit = ols("y ~ arm + C(block)", both).fit(cov_type="HC1")
    assert (found.difference, found.error) == pytest.approx((fit.params["arm"], fit.bse["arm"]), rel=1e-9)
    assert (found.degrees, found.n.sum()) == (fit.df_resid, len(both)) and len(both) < len(posts)


def test_effect_on_the_reached_is_that_on_all_by_the_share_reached() -> None:
    rng = np.random.default_rng(8)
    arm = np.arange(1_300) % 2
    rows = pd.DataFrame({"outcome": rng.poisson(2, 1_300), "delivered": arm * (np.arange(1_300) >= 126)})
    found, whole = (moments(rows[names], pd.Series(arm)) for names in (["outcome", "delivered"], ["outcome"]))
    told, all_of_them = reached(found, 0.95, "comments"), contrast(whole, "mean")
    assert told.value == pytest.approx(all_of_them.difference / (587 / 650), rel=1e-12)
    # With so clear a delivery the interval is nearly that of the whole, stretched.
    half = stats.t.isf(0.025, all_of_them.degrees) * all_of_them.error / (587 / 650)
    assert (told.high - told.low) / 2 == pytest.approx(half, rel=0.02)


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
    assert np.isnan([found.p, *found.log_lift, *found.difference[:3]]).all()


@pytest.mark.parametrize("names", [("outcome",), ("outcome", "denominator"), ("outcome", "before")])
@pytest.mark.parametrize("blocked", [False, True])
def test_nothing_and_nearly_nothing_are_told_without_a_warning(names: tuple[str, ...], blocked: bool) -> None:
    sizes = np.array([[0, 0, 1, 1, 0, 3], [0, 2, 1, 3, 5, 3]], float)[..., None]
    mean = np.zeros((2, 6, 1, len(names)))
    for value in (0.0, 1.0):
        every = contrast(
            Moments(names, sizes, mean + value, np.zeros((*mean.shape, len(names)))), "mean", blocked=blocked
        )
        assert np.isnan(every.p).all() and np.isnan(every.z).all()
        told = [effect(every.at(look), "mean", 0.95, "likes") for look in range(6)]
        assert not any(each.difference.known or each.relative.known for each in told)
        assert all(each.difference.method for each in told)


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
