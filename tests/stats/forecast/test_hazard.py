"""Person-period models: planted coefficients, the shift, what is carried over, recalibration, determinism."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special

from helpers.stats.forecast import hazard
from helpers.stats.forecast.hazard import Hazard

FEATURES = ("days_since_last", "tenure_days")


def planted(rows: int = 6000, windows: int = 12, level: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Rows whose log odds are -1 + log1p(days) / 2, plus a level per window of standard deviation `level`."""
    rng = np.random.default_rng(seed)
    at = np.repeat(np.arange(windows), rows // windows)
    days = rng.integers(0, 30, at.size).astype(float)
    shift = np.cumsum(rng.normal(0, level, windows))[at]
    p = special.expit(-1 + np.log1p(days) / 2 + shift)
    return pd.DataFrame(
        {
            "landmark": pd.Timestamp("2025-01-01") + pd.to_timedelta(30 * at, unit="D"),
            "days_since_last": days,
            "tenure_days": rng.integers(0, 500, at.size).astype(float),
            "p": p,
            "silent": (rng.random(at.size) < p).astype(int),
        }
    )


@pytest.mark.parametrize("kind", ["logit", "boosting", "blend"])
def test_models_find_the_planted_probabilities(kind: hazard.Kind) -> None:
    table = planted(20_000)
    found = Hazard(table, FEATURES).probability(planted(6000, seed=1), kind)
    assert np.abs(found - planted(6000, seed=1)["p"]).mean() < 0.03
    assert found.mean() == pytest.approx(table["silent"].mean(), abs=0.01)


def test_logit_without_penalty_equals_statsmodels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazard, "PENALTY", 1e8)
    table = planted(3000)
    x = sm.add_constant(hazard.design(table, FEATURES))
    oracle = sm.Logit(table["silent"], x).fit(disp=0).predict(x)
    assert Hazard(table, FEATURES).probability(table) == pytest.approx(np.asarray(oracle), abs=2e-4)


def test_fits_are_byte_identical() -> None:
    table = planted(2000)
    first, second = (Hazard(table, FEATURES).log_odds(table, "blend") for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_window_shift_solves_its_equation() -> None:
    log_odds = np.linspace(-2, 2, 101)
    y = (np.arange(101) < 70).astype(float)
    shift = hazard.window_shift(log_odds, y)
    assert special.expit(log_odds + shift).mean() == pytest.approx(70 / 101, abs=1e-9)
    oracle = sm.GLM(y, np.ones((101, 1)), family=sm.families.Binomial(), offset=log_odds).fit()
    assert shift == pytest.approx(oracle.params[0], abs=1e-7)
    assert np.isfinite(hazard.window_shift(log_odds, np.zeros(101)))


def test_noise_is_not_carried_over_but_a_level_is() -> None:
    rng, weights = np.random.default_rng(0), {"noise": [], "level": []}
    variance = np.full(24, 0.02)
    for _ in range(100):
        noise = rng.normal(0, np.sqrt(0.02), 24)
        walk = np.zeros(24)
        for at in range(1, 24):
            walk[at] = 0.9 * walk[at - 1] + rng.normal(0, 0.2)
        weights["noise"].append(hazard.carry_over(noise, variance))
        weights["level"].append(hazard.carry_over(walk + noise, variance))
    assert np.mean(weights["noise"]) < 0.2
    assert np.mean(weights["level"]) > 0.5
    assert hazard.carry_over(np.array([0.3, 0.3]), np.array([0.01, 0.01])) == 0


def test_reset_intercept_follows_the_last_window() -> None:
    table = planted(12_000, level=0.4, seed=3)
    model = Hazard(table, FEATURES)
    found, last = model.shifts(), table[table["landmark"] == table["landmark"].max()]
    moved = model.probability(last, reset=True).mean() - model.probability(last).mean()
    assert 0 < found.weight <= 1
    assert np.sign(moved) == np.sign(found.table["shift"].iloc[-1])
    assert found.table["observed"].iloc[-1] == pytest.approx(last["silent"].mean())


def test_recalibration_finds_planted_overconfidence_and_trusts_little_evidence_little() -> None:
    table = planted(30_000)
    wrong = special.expit(0.5 + 2 * special.logit(table["p"]))
    curve = hazard.recalibration(table["landmark"], wrong, table["silent"])
    mended = special.expit(curve.log_odds(special.logit(wrong.to_numpy())))
    assert np.abs(mended - table["p"]).max() < 0.05
    assert np.abs(mended - table["p"]).mean() < 0.01
    few = table.iloc[:20]
    little = hazard.recalibration(few["landmark"], wrong.iloc[:20], few["silent"])
    assert abs(little.coefficients[1] - 1) < 0.3
    nothing = hazard.recalibration(*(table.iloc[:0][name] for name in ("landmark", "p", "silent")))
    assert nothing == ((), (0.0, 1.0), 0)


def test_enough_asks_for_rows_and_both_outcomes() -> None:
    table = planted(1200)
    assert hazard.enough(table, "silent")
    assert not hazard.enough(table.assign(silent=0), "silent")
    assert not hazard.enough(table.iloc[:50], "silent")


def test_coefficients_name_every_column() -> None:
    found = Hazard(planted(2000), FEATURES).coefficients
    assert set(FEATURES) <= set(found["term"])
    assert found["coefficient"].abs().is_monotonic_decreasing
