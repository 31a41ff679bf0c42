"""Gamma-Gamma: published figures, lifetimes and integration as oracles, planted truth, odd data."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from helpers.stats.btyd.cells import histories, spend_cells
from helpers.stats.btyd.maximum_likelihood import information_at
from helpers.stats.btyd.spend import GammaGamma, SpendLikelihood, SpendParameters, weighted_correlation
from helpers.study.days import purchase_days

TRUTH = SpendParameters(5.0, 4.0, 20.0)


def spending(parameters: SpendParameters, n: int, seed: int) -> pd.DataFrame:
    """Members with geometric repeats and Gamma values."""
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.3, n)
    scale = rng.gamma(parameters.q, 1 / parameters.v, n)
    return pd.DataFrame({"x": x, "mean_repeat_value": rng.gamma(parameters.p * x) / scale / x})


@pytest.fixture(scope="module")
def cdnow(reference_data: Path) -> pd.DataFrame:
    """Histories of the CDNOW sample after 39 weeks, from the raw file."""
    names = ["master", "member_id", "day", "units", "value"]
    path = reference_data / "rfm" / "CDNOW_sample.txt"
    raw = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"member_id": str, "day": str})
    log = raw.assign(day=pd.to_datetime(raw["day"], format="%Y%m%d"), kind="order")
    return histories(purchase_days(log), dt.date(1997, 9, 30)).to_pandas()


def test_published_parameters_of_cdnow(cdnow: pd.DataFrame) -> None:
    """The note prints two decimals: 6.25, 3.74, 15.44; so do the unrounded dollars of the raw file."""
    model = GammaGamma().fit(cdnow)
    assert [round(v, 2) for v in model.params_] == [6.25, 3.74, 15.44]
    assert list(model.params_) == pytest.approx([6.2496, 3.7442, 15.4435], abs=5e-5)
    assert model.members_ == 946 and model.converged_ and model._fit.precise
    compressed = GammaGamma().fit(spend_cells(cdnow))
    assert list(compressed.params_) == pytest.approx(list(model.params_), rel=1e-8)


def test_the_other_figure_in_circulation_comes_from_means_rounded_to_cents(cdnow: pd.DataFrame) -> None:
    """15.45 is the fit to mean values that were rounded half up to whole cents before the fit."""
    cents = np.floor(cdnow["mean_repeat_value"] * 100 + 0.5 + 1e-9) / 100
    model = GammaGamma().fit(cdnow.assign(mean_repeat_value=cents))
    assert [round(v, 2) for v in model.params_] == [6.25, 3.74, 15.45]


def test_published_correlation_of_cdnow(cdnow: pd.DataFrame) -> None:
    model = GammaGamma().fit(cdnow)
    repeaters = cdnow[cdnow["x"] > 0]
    direct = np.corrcoef(repeaters["x"], repeaters["mean_repeat_value"])[0, 1]
    assert model.independence_.value == pytest.approx(direct, rel=1e-12)
    assert round(model.independence_.value, 2) == 0.11
    assert "hardly go together" in model.sentence and "946" in model.sentence


def test_lifetimes_agrees(cdnow: pd.DataFrame) -> None:
    lifetimes = pytest.importorskip("lifetimes")
    repeaters = cdnow[cdnow["x"] > 0]
    model = GammaGamma().fit(repeaters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = lifetimes.GammaGammaFitter().fit(repeaters["x"], repeaters["mean_repeat_value"])
        assert list(model.params_) == pytest.approx(oracle.params_.tolist(), rel=2e-3)
        oracle.params_ = pd.Series(model.params_._asdict())
        value = oracle.conditional_expected_average_profit(cdnow["x"], cdnow["mean_repeat_value"].fillna(0))
        likelihood = -oracle._negative_log_likelihood(
            np.log(list(model.params_)),
            repeaters["x"].to_numpy(),
            repeaters["mean_repeat_value"].to_numpy(),
            np.ones(len(repeaters)),
            0.0,
        ) * len(repeaters)
    assert model.expected_value(cdnow["x"], cdnow["mean_repeat_value"]) == pytest.approx(
        value.to_numpy(), rel=1e-12
    )
    assert model.log_likelihood_ == pytest.approx(likelihood, rel=1e-12)


def test_likelihood_and_expectation_by_integration() -> None:
    """One member with x = 3 of mean 12: integrate over nu."""
    p, q, v = TRUTH
    x, mean = 3, 12.0
    joint = lambda nu: stats.gamma.pdf(mean, p * x, scale=1 / (x * nu)) * stats.gamma.pdf(nu, q, scale=1 / v)  # noqa: E731
    density = integrate.quad(joint, 0, 10, epsabs=0, epsrel=1e-11, points=[0.2, 0.5])[0]
    one = SpendLikelihood(np.array([3.0]), np.array([mean]), np.array([1.0]))
    assert -one(np.log(TRUTH))[0] == pytest.approx(np.log(density), abs=1e-8)
    model = GammaGamma().fit(spending(TRUTH, 200, 1))
    model.params_ = TRUTH
    expected = integrate.quad(
        lambda nu: joint(nu) * p / nu, 1e-9, 10, epsabs=0, epsrel=1e-11, points=[0.2, 0.5]
    )[0]
    assert float(model.expected_value(x, mean)) == pytest.approx(expected / density, rel=1e-6)
    assert float(model.expected_value(0, np.nan)) == pytest.approx(p * v / (q - 1))


@pytest.mark.parametrize("theta", [np.log(TRUTH), np.array([-1.0, 2.0, 0.5])])
def test_gradient_and_hessian_against_differences(theta: NDArray[np.float64]) -> None:
    frame = spending(TRUTH, 300, 2)
    weights = np.arange(1.0, 301.0)
    likelihood = SpendLikelihood(frame["x"].to_numpy(float), frame["mean_repeat_value"].to_numpy(), weights)
    value, gradient = likelihood(theta)
    up, down = ([likelihood(theta + s * e) for e in 1e-5 * np.eye(3)] for s in (1, -1))
    slopes = np.array([(u[0] - d[0]) / 2e-5 for u, d in zip(up, down, strict=True)])
    assert gradient == pytest.approx(slopes, rel=1e-5, abs=1e-4 * abs(value) * 1e-5)
    curves = np.array([(u[1] - d[1]) / 2e-5 for u, d in zip(up, down, strict=True)])
    assert np.abs(information_at(likelihood, theta) - curves).max() < 1e-6 * np.abs(curves).max()


def test_weights_are_repeated_members() -> None:
    frame = spending(TRUTH, 400, 3)
    weights = np.random.default_rng(3).integers(1, 4, len(frame))
    repeated = GammaGamma().fit(frame.loc[frame.index.repeat(weights)])
    weighted = GammaGamma().fit(frame.assign(members=weights))
    assert list(weighted.params_) == pytest.approx(list(repeated.params_), rel=1e-7)
    assert weighted.independence_[:4] == pytest.approx(repeated.independence_[:4], rel=1e-9)
    assert weighted.summary["n"].tolist() == [weights.sum()] * 3


def test_planted_truth_is_recovered_and_currency_only_scales_v() -> None:
    frame = spending(TRUTH, 30_000, 4)
    model = GammaGamma().fit(frame)
    error = model.summary["standard_error"] / model.summary["value"]  # of the logarithm
    z = (np.log(model.summary["value"]) - np.log(TRUTH)) / error
    assert (z.abs() < 4).all() and (error < 0.1).all()
    mean = TRUTH.p * TRUTH.v / (TRUTH.q - 1)
    assert model.mean_.low < mean < model.mean_.high
    dear = GammaGamma().fit(frame.assign(mean_repeat_value=frame["mean_repeat_value"] * 1e5))
    assert list(dear.params_) == pytest.approx(
        [model.params_.p, model.params_.q, model.params_.v * 1e5], rel=1e-5
    )


@pytest.mark.slow
def test_intervals_cover_the_planted_truth() -> None:
    inside = []
    for seed in range(200):
        model = GammaGamma().fit(spending(TRUTH, 500, seed))
        if model._fit.precise:
            inside.append((model.summary["low"] < TRUTH) & (model.summary["high"] > TRUTH))
    coverage = np.mean(inside, axis=0)
    assert len(inside) >= 190 and (coverage > 0.905).all() and 0.92 <= coverage.mean() <= 0.98


def test_correlation_interval_covers_where_the_classical_one_does_not() -> None:
    """Independent but heavy-tailed in both: the true correlation is 0."""
    rng = np.random.default_rng(8)
    robust, classical, trials, n = 0, 0, 600, 400
    for _ in range(trials):
        shared = np.exp(rng.normal(size=n))  # uncorrelated, but spread out together
        x, y = rng.normal(size=n) * shared, rng.normal(size=n) * shared
        found = weighted_correlation(x, y, np.ones(n), 0.95)
        robust += found.low < 0 < found.high
        classical += abs(np.arctanh(found.value)) < 1.96 / np.sqrt(n - 3)
    assert robust / trials > 0.88 and classical / trials < 0.80


def test_dependence_is_named() -> None:
    rng = np.random.default_rng(5)
    x = rng.geometric(0.2, 3000)
    together = pd.DataFrame({"x": x, "mean_repeat_value": x * 10 + rng.gamma(2.0, 5.0, 3000)})
    assert "against the assumption" in GammaGamma().fit(together).independence_sentence
    few = together.sample(25, random_state=1).assign(mean_repeat_value=rng.gamma(2.0, 5.0, 25))
    assert "not clear" in GammaGamma().fit(few).independence_sentence


def test_values_that_are_not_positive_are_set_aside_and_counted() -> None:
    frame = spending(TRUTH, 500, 6)
    odd = pd.concat([frame, pd.DataFrame({"x": [2, 1, 0], "mean_repeat_value": [0.0, -3.0, np.nan]})])
    model = GammaGamma().fit(odd)
    assert model.params_ == GammaGamma().fit(frame).params_
    assert model.set_aside_ == 2 and "Members with repeats of no positive value" in model.message_
    assert np.isfinite(model.expected_value([2, 1], [0.0, -3.0])).all()


@pytest.mark.parametrize(
    ("frame", "source"),
    [
        (pd.DataFrame({"x": [], "mean_repeat_value": []}, dtype=float), "too little data"),
        (pd.DataFrame({"x": [0, 0], "mean_repeat_value": [np.nan, np.nan]}), "too little data"),
        (pd.DataFrame({"x": [2, 3], "mean_repeat_value": [5.0, 7.0]}), "observed means"),
        (pd.DataFrame({"x": [1] * 500, "mean_repeat_value": [9.9] * 500}), None),
    ],
)
def test_odd_data_give_a_result_and_no_warning(frame: pd.DataFrame, source: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GammaGamma().fit(frame)
        value = model.expected_value([0, 2], [np.nan, 5.0])
        text = model.sentence + model.independence_sentence
    assert source is None or model.source_ == source
    assert "too little data" in model.source_ or np.isfinite(value).all()
    assert text and len(model.summary) == 3


def test_no_mean_is_a_result_with_a_fallback() -> None:
    model = GammaGamma().fit(spending(SpendParameters(5.0, 0.7, 20.0), 3000, 9))
    assert model.params_.q < 1 and "no mean" in model.message_ and model.source_ == "observed means"
    assert model.expected_value(3, 17.0) == 17.0


def test_the_worth_of_a_purchase_is_said_in_its_unit() -> None:
    rng = np.random.default_rng(4)
    value = rng.gamma(6.0, 15.0 / rng.gamma(4.0, 1.0, 600))
    frame = pd.DataFrame({"x": rng.integers(1, 6, 600), "mean_repeat_value": value})
    model = GammaGamma(unit="CNY").fit(frame)
    assert f"worth CNY {model.mean_.value:.1f} (CNY {model.mean_.low:.1f} to CNY" in model.sentence
