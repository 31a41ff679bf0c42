"""BG/NBD: published figures, lifetimes and quadrature as oracles, planted truth, and fits that cannot work."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, special, stats

from helpers.stats.btyd import bg_nbd
from helpers.stats.btyd.alive import LEAST_LEAVING, BetaGeometricNBD
from helpers.stats.btyd.bg_nbd import Likelihood, Parameters
from helpers.stats.btyd.cells import Cells, cells
from helpers.stats.btyd.maximum_likelihood import information_at
from helpers.study.days import purchase_days
from tests.stats.buyers import simulate

TRUTH = Parameters(0.8, 6.0, 0.8, 2.5)


def histories(parameters: Parameters, age: NDArray[np.float64], seed: int) -> pd.DataFrame:
    """Simulated members as x, t_x, T."""
    member, when = simulate(parameters, age, seed)
    last = np.zeros(age.size)
    np.maximum.at(last, member, when)
    return pd.DataFrame({"x": np.bincount(member, minlength=age.size), "t_x": last, "T": age})


def ages(members: int, seed: int, longest: float = 60.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(10, longest, members)


@pytest.fixture(scope="module")
def sample(reference_data: Path) -> Cells:
    """The 2,357 buyers of the CDNOW sample after 39 weeks, from the raw file."""
    names = ["master", "member_id", "day", "units", "value"]
    path = reference_data / "rfm" / "CDNOW_sample.txt"
    raw = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"member_id": str, "day": str})
    log = raw.assign(day=pd.to_datetime(raw["day"], format="%Y%m%d"), kind="order")
    return cells(purchase_days(log), as_of=dt.date(1997, 9, 30))


@pytest.fixture(scope="module")
def fitted(sample: Cells) -> BetaGeometricNBD:
    """The model on that sample."""
    return BetaGeometricNBD().fit(sample)


def test_published_parameters_of_cdnow(fitted: BetaGeometricNBD) -> None:
    assert [round(v, 3) for v in fitted.params_] == [0.243, 4.414, 0.793, 2.426]
    assert round(fitted.log_likelihood_, 1) == -9582.4
    assert fitted.converged_ and fitted._fit.precise and fitted.source_ == "BG/NBD"
    assert (fitted.members_, fitted.repeaters_) == (2357, 946)


def test_published_parameters_from_the_summary_file(reference_data: Path) -> None:
    summary = pd.read_csv(reference_data / "rfm" / "cdnow_customers_summary.csv")
    model = BetaGeometricNBD().fit(summary.rename(columns={"frequency": "x", "recency": "t_x"}))
    assert [round(v, 3) for v in model.params_] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood_, 1) == -9582.4


def test_published_forecast_of_cdnow(fitted: BetaGeometricNBD) -> None:
    # Fader, Hardie and Lee's spreadsheet note: member with x = 2, t_x = 30.43, T = 38.86 makes 1.226 in 39 weeks
    assert fitted.expected_transactions(39, 2, 30.43, 38.86) == pytest.approx(1.226, abs=5e-4)


def test_lifetimes_agrees(sample: Cells, fitted: BetaGeometricNBD) -> None:
    lifetimes = pytest.importorskip("lifetimes")
    table = sample.table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = lifetimes.BetaGeoFitter()
        oracle.fit(table["x"], table["t_x"], table["T"], weights=table["members"])
        assert list(fitted.params_) == pytest.approx(oracle.params_.tolist(), rel=1e-3)
        columns = [table[c].to_numpy() for c in ("x", "t_x", "T")]
        # predictions at the same parameters, so that they can be compared to many digits
        oracle.params_ = pd.Series(fitted.params_._asdict())
        alive = np.asarray(oracle.conditional_probability_alive(*columns)).ravel()
        expected = oracle.conditional_expected_number_of_purchases_up_to_time(39, *columns)
        log_params = np.log(list(fitted.params_))
        oracle_likelihood = (
            -oracle._negative_log_likelihood(log_params, *columns, table["members"].to_numpy(), 0.0)
            * table["members"].sum()
        )
    assert fitted.probability_alive(*columns) == pytest.approx(alive, rel=1e-10)
    assert fitted.expected_transactions(39, *columns) == pytest.approx(np.asarray(expected), rel=1e-9)
    assert fitted.log_likelihood_ == pytest.approx(oracle_likelihood, rel=1e-12)


def expectation_by_quadrature(p: Parameters, t: float, x: float, age: float) -> float:
    """Integrate the expectation of a living member over the chance of leaving, split at 1/2, on log scales."""
    r, alpha, a, b = p
    size, horizon = r + x, t / (alpha + age)
    given = lambda q: -np.expm1(-size * np.log1p(q * horizon)) / q if q > 1e-280 else size * horizon  # noqa: E731
    constant = special.betaln(a, b + x)
    low = integrate.quad(
        lambda u: given(np.exp(u)) * np.exp(a * u + (b + x - 1) * np.log1p(-np.exp(u)) - constant),
        -45 / min(a, 1) - np.log(b + x + 1), np.log(0.5), limit=300, epsabs=0, epsrel=1e-10,
    )[0]  # fmt: skip
    high = integrate.quad(
        lambda u: given(-np.expm1(u)) * np.exp((a - 1) * np.log(-np.expm1(u)) + (b + x) * u - constant),
        -45 / min(b + x, 1), np.log(0.5), limit=300, epsabs=0, epsrel=1e-10,
    )[0]  # fmt: skip
    return low + high


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize("a", [0.05, 0.4, 1 - 3e-5, 1.0, 1 + 1e-6, 2.0, 30.0])
@pytest.mark.parametrize("b", [0.05, 0.6, 5.0])
def test_expected_transactions_against_quadrature(a: float, b: float) -> None:
    for r, x, t in ((0.05, 0, 2.0), (0.05, 3, 100.0), (2.0, 0, 30.0), (2.0, 1, 39.0), (0.7, 400, 39.0)):
        p = Parameters(r, 5.0, a, b)
        found = bg_nbd.expected_if_alive(p, t, np.array([float(x)]), np.array([50.0]))[0]
        assert found == pytest.approx(expectation_by_quadrature(p, t, x, 50.0), rel=1e-7)


def test_likelihood_of_one_member_by_integration() -> None:
    """The density of x = 2, t_x, T from the story itself: integrate over rates and chances of leaving."""
    r, alpha, a, b = 1.3, 4.0, 0.9, 2.2
    x, t_x, age = 2, 3.0, 9.0
    rates, leaves = stats.gamma(r, scale=1 / alpha), stats.beta(a, b)
    mean = lambda law, f: law.expect(f, epsabs=0, epsrel=1e-11)  # noqa: E731
    stays = mean(leaves, lambda p: (1 - p) ** x) * mean(rates, lambda v: v**x * np.exp(-v * age))
    goes = mean(leaves, lambda p: p * (1 - p) ** (x - 1)) * mean(rates, lambda v: v**x * np.exp(-v * t_x))
    direct = np.log(stays + goes)
    one = Likelihood(np.array([x]), np.array([t_x]), np.array([age]), np.array([1.0]))
    assert -one(np.log([r, alpha, a, b]))[0] == pytest.approx(direct, abs=1e-8)


@pytest.mark.parametrize(
    "theta", [np.log(TRUTH), np.array([0.5, 1.0, -0.5, 0.3]), np.array([3.0, -2.0, 4.0, 6.0])]
)
def test_gradient_and_hessian_against_differences(theta: NDArray[np.float64]) -> None:
    frame = histories(TRUTH, ages(400, 5), 5)
    likelihood = Likelihood(*(frame[c].to_numpy() for c in ("x", "t_x", "T")), np.arange(1.0, 401.0))
    value, gradient = likelihood(theta)
    steps = 1e-5 * np.eye(4)
    up, down = ([likelihood(theta + s * e) for e in steps] for s in (1, -1))
    slopes = [(u[0] - d[0]) / 2e-5 for u, d in zip(up, down, strict=True)]
    assert gradient == pytest.approx(np.array(slopes), rel=1e-5, abs=1e-9 * abs(value) / 1e-5)
    curves = np.array([(u[1] - d[1]) / 2e-5 for u, d in zip(up, down, strict=True)])
    hessian = information_at(likelihood, theta)
    assert np.abs(hessian - curves).max() < 1e-6 * np.abs(curves).max()
    assert np.allclose(hessian, hessian.T)


def test_compression_changes_nothing() -> None:
    frame = histories(TRUTH, np.round(ages(1500, 2)), 2).round({"t_x": 0})
    frame["t_x"] = np.where(frame["x"] > 0, frame["t_x"].clip(lower=1), 0).clip(max=frame["T"])
    packed = frame.groupby(["x", "t_x", "T"], as_index=False).size().rename(columns={"size": "members"})
    assert len(packed) < len(frame)
    rows, few = BetaGeometricNBD().fit(frame), BetaGeometricNBD().fit(packed.sample(frac=1, random_state=1))
    assert list(rows.params_) == pytest.approx(list(few.params_), rel=1e-6)
    assert rows.log_likelihood_ == pytest.approx(few.log_likelihood_, rel=1e-12)
    again = BetaGeometricNBD().fit(packed)
    assert again.params_ == BetaGeometricNBD().fit(packed).params_


def test_time_unit_only_scales_alpha(sample: Cells, fitted: BetaGeometricNBD) -> None:
    days = sample.table.assign(t_x=sample.table["t_x"] * 7, T=sample.table["T"] * 7)
    in_days = BetaGeometricNBD().fit(days)
    r, alpha, a, b = fitted.params_
    assert list(in_days.params_) == pytest.approx([r, 7 * alpha, a, b], rel=1e-6)
    repeats = float((sample.table["x"] * sample.table["members"]).sum())
    assert in_days.log_likelihood_ == pytest.approx(fitted.log_likelihood_ - repeats * np.log(7), rel=1e-12)


def test_planted_truth_is_recovered() -> None:
    age = ages(20_000, 11)
    model = BetaGeometricNBD().fit(histories(TRUTH, age, 11))
    table = model.summary
    error = table["standard_error"] / table["value"]  # of the logarithm
    z = (np.log(table["value"]) - np.log(TRUTH)) / error
    assert (z.abs() < 4).all() and (error < 0.2).all()


def test_forecast_and_alive_match_what_simulated_members_do() -> None:
    """Simulate 70 weeks and fit on the first 40: the next 30 must come out as forecast, by class of x."""
    n, now, later = 60_000, 40.0, 30.0
    member, when = simulate(TRUTH, np.full(n, now + later), 3)
    seen = when <= now
    last = np.zeros(n)
    np.maximum.at(last, member[seen], when[seen])
    x, future = (np.bincount(member[part], minlength=n) for part in (seen, ~seen))
    model = BetaGeometricNBD().fit(pd.DataFrame({"x": x, "t_x": last, "T": now}))
    forecast = model.expected_transactions(later, x, last, np.full(n, now))
    alive = model.probability_alive(x, last, np.full(n, now))
    assert (alive >= 0).all() and (alive <= 1).all() and (alive[x == 0] == 1).all()
    for low, high in ((0, 1), (1, 3), (3, 8), (8, 999)):
        group = (x >= low) & (x < high)
        error = future[group].std() / np.sqrt(group.sum())
        assert forecast[group].mean() == pytest.approx(future[group].mean(), abs=4 * error + 0.02)
    # a buyer who is forecast as gone with confidence hardly ever returns
    assert (future[alive < 0.1] > 0).mean() < 0.1


@pytest.mark.slow
def test_intervals_cover_the_planted_truth() -> None:
    """200 small communities: log-scale Wald intervals hold each parameter 91 to 99 % of the time."""
    inside = []
    for seed in range(200):
        model = BetaGeometricNBD().fit(histories(TRUTH, ages(600, 1000 + seed), seed))
        if model._fit.precise:
            inside.append((model.summary["low"] < TRUTH) & (model.summary["high"] > TRUTH))
    assert len(inside) >= 190
    coverage = np.mean(inside, axis=0)
    assert (coverage > 0.905).all() and 0.93 <= coverage.mean() <= 0.97


def spread_out(seed: int, members: int = 300, days: int = 300) -> pd.DataFrame:
    """Orders of members who buy at the same rate for ever."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, members, 6 * members)
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, days, who.size), unit="D")
    return pd.DataFrame({"member_id": who.astype(str), "day": day, "kind": "order", "value": 1.0})


def test_nobody_leaves_is_a_result_with_a_fallback() -> None:
    model = BetaGeometricNBD().fit(cells(purchase_days(spread_out(1)), as_of=dt.date(2026, 10, 27)))
    a, b = model.params_[2:]
    assert model.converged_ and not model._fit.precise and a / (a + b) < LEAST_LEAVING
    assert model.source_ == "repeat shares" and "nobody seems to leave" in model.message_
    alive = model.alive_among([1, 3], [20.0, 30.0], [30.0, 40.0])
    assert alive.known and alive.low < alive.value < alive.high
    found = model.probability_alive([1, 3], [20.0, 30.0], [30.0, 40.0])
    assert ((found > 0) & (found <= 1)).all()
    assert (model.expected_transactions(10, [1, 3], [20.0, 30.0], [30.0, 40.0]) > 0).all()
    assert np.isfinite(model.summary["value"]).all()


def test_a_frame_without_transactions_has_no_fallback_and_says_too_little_data() -> None:
    frame = pd.DataFrame({"x": [0, 1], "t_x": [0.0, 2.0], "T": [5.0, 5.0], "members": [30, 5]})
    model = BetaGeometricNBD().fit(frame)
    assert not model.converged_ and model.source_ == "too little data"
    assert "Only 5 of 35 members came back" in model.message_ and not model.alive_among([1], [2], [5]).known
    assert np.isnan(model.probability_alive([0, 1], [0, 2], [5, 5])).all()
    assert np.isnan(model.expected_transactions(1, 1, 2, 5))
    assert model.summary[["value", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [], "t_x": [], "T": []}, dtype=float),
        pd.DataFrame({"x": [0], "t_x": [0.0], "T": [0.0]}),
        pd.DataFrame({"x": [0], "t_x": [0.0], "T": [10.0], "members": [5000]}),
        pd.DataFrame({"x": [3], "t_x": [9.0], "T": [10.0], "members": [5000]}),
        pd.DataFrame({"x": [1], "t_x": [0.1], "T": [500.0], "members": [5000]}),
        pd.DataFrame({"x": [400, 0], "t_x": [51.9, 0.0], "T": [52.0, 52.0], "members": [40, 1]}),
    ],
)
def test_odd_data_give_a_result_and_no_warning(frame: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BetaGeometricNBD().fit(frame)
        alive = model.probability_alive([0, 2], [0.0, 4.0], [5.0, 5.0])
        model.expected_transactions(5.0, [0, 2], [0.0, 4.0], [5.0, 5.0])
    assert model.message_ and len(model.summary) == 4
    assert np.isnan(alive).all() or ((alive >= 0) & (alive <= 1)).all()


def test_equal_rates_keep_predictions_and_say_so() -> None:
    """With one rate for all, r runs away along a ridge; what the model predicts stays right."""
    rng = np.random.default_rng(4)
    frame = histories(Parameters(1e6, 4e6, 1.0, 4.0), rng.uniform(20, 40, 3000), 4)
    model = BetaGeometricNBD().fit(frame)
    if not model._fit.precise:
        assert "all but buy at the same rate" in model.message_
    assert model.source_ == "BG/NBD" and model.params_.r > 20
    assert model.params_.r / model.params_.alpha == pytest.approx(0.25, rel=0.05)
    new = model.expected_transactions(10.0, 0, 0.0, 0.0)
    direct = expectation_by_quadrature(Parameters(1e6, 4e6, 1.0, 4.0), 10.0, 0, 0.0)
    assert float(new) == pytest.approx(direct, rel=0.05)


def test_share_alive_has_its_interval_and_denominator(sample: Cells, fitted: BetaGeometricNBD) -> None:
    each = sample.table.loc[sample.table.index.repeat(sample.table["members"])]
    x, t_x, age = (each[c].to_numpy() for c in ("x", "t_x", "T"))
    alive = fitted.alive_among(x, t_x, age)
    again = x > 0
    assert alive.n == 946
    assert alive.value == pytest.approx(fitted.probability_alive(x[again], t_x[again], age[again]).mean())
    assert alive.low < alive.value < alive.high < alive.low + 0.15
