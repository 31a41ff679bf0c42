"""The contestants: planted coefficients, determinism, enough rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special

from helpers.stats.forecast import models
from helpers.stats.forecast.models import BLEND, LOGIT, Models, can_be_fitted, design

FEATURES = ("days_since_last", "tenure_days")


def planted(rows: int = 6000, windows: int = 12, seed: int = 0) -> pd.DataFrame:
    """Rows whose log odds are -1 + log1p(days) / 2."""
    rng = np.random.default_rng(seed)
    at = np.repeat(np.arange(windows), rows // windows)
    days = rng.integers(0, 30, at.size).astype(float)
    p = special.expit(-1 + np.log1p(days) / 2)
    return pd.DataFrame(
        {
            "landmark": pd.Timestamp("2025-01-01") + pd.to_timedelta(30 * at, unit="D"),
            "days_since_last": days,
            "tenure_days": rng.integers(0, 500, at.size).astype(float),
            "p": p,
            "silent": (rng.random(at.size) < p).astype(int),
        }
    )


def fitted(table: pd.DataFrame) -> Models:
    return Models(SimpleNamespace(features=FEATURES), table, "silent")


@pytest.mark.parametrize("model", [LOGIT, BLEND])
def test_models_find_the_planted_probabilities(model: str) -> None:
    table = planted(20_000)
    found = fitted(table).probability(model, planted(6000, seed=1))
    assert np.abs(found - planted(6000, seed=1)["p"]).mean() < 0.03
    assert found.mean() == pytest.approx(table["silent"].mean(), abs=0.01)


def test_logit_without_penalty_equals_statsmodels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "PENALTY", 1e8)
    table = planted(3000)
    x = sm.add_constant(design(table, FEATURES))
    oracle = sm.Logit(table["silent"], x).fit(disp=0).predict(x)
    assert fitted(table).probability(LOGIT, table) == pytest.approx(np.asarray(oracle), abs=2e-4)


def test_fits_are_byte_identical() -> None:
    table = planted(2000)
    first, second = (fitted(table).probability(BLEND, table) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_enough_asks_for_rows_and_both_outcomes() -> None:
    table = planted(1200)
    assert can_be_fitted(table, "silent")
    assert not can_be_fitted(table.assign(silent=0), "silent")
    assert not can_be_fitted(table.iloc[:50], "silent")
