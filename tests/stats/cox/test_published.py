"""Telco customer churn (IBM) through canonical tables: the published Cox model, from grouped cells."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from statsmodels.duration.hazard_regression import PHReg

from helpers.data import source
from helpers.methods.retention.covariates import candidates
from helpers.methods.retention.drivers import drivers
from helpers.stats.cox.model import CoxModel
from helpers.study import Study

AS_OF = pd.Timestamp("2026-06-30")
COVARIATES = ["one_year", "two_year", "fibre", "no_internet", "security", "partner", "electronic_check"]
PUBLISHED = np.array([-1.87604, -3.62534, 0.16589, -0.44564, -0.69252, -0.62945, 0.42828])


@pytest.fixture(scope="module")
def telco(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "retention" / "Telco-Customer-Churn.csv")


def members(telco: pd.DataFrame) -> pd.DataFrame:
    """Return the table of members: a month of tenure is a day, and everybody is last seen on the same day."""
    noon = AS_OF.tz_localize("UTC") + pd.Timedelta(hours=4)
    churned = telco["Churn"] == "Yes"
    flags = {
        "one_year": telco["Contract"] == "One year",
        "two_year": telco["Contract"] == "Two year",
        "fibre": telco["InternetService"] == "Fiber optic",
        "no_internet": telco["InternetService"] == "No",
        "security": telco["OnlineSecurity"] == "Yes",
        "partner": telco["Partner"] == "Yes",
        "electronic_check": telco["PaymentMethod"] == "Electronic check",
    }
    frame = pd.DataFrame({"member_id": telco["customerID"]})
    frame["joined_at"] = noon - pd.to_timedelta(telco["tenure"], unit="D")
    frame["left_at"] = pd.Series([noon] * len(telco)).where(churned, pd.NaT)
    return frame.assign(**flags)


def study(telco: pd.DataFrame) -> Study:
    return Study.of(source.open({"members": members(telco)}, now=AS_OF.to_pydatetime()), "2026-06-30")


@pytest.fixture(scope="module")
def model(telco: pd.DataFrame) -> CoxModel:
    found = candidates(study(telco), COVARIATES)
    assert found.names == tuple(COVARIATES)
    cells = found.cells()
    assert len(cells) < len(telco) / 3
    return CoxModel(COVARIATES).fit(cells)


def test_published_coefficients(model: CoxModel) -> None:
    """All digits but the last two of two_year, where the published fit had stopped short of the maximum."""
    assert model.n_ == 7043 and model.events_ == 1869
    exact = np.array([name != "two_year" for name in COVARIATES])
    np.testing.assert_allclose(model.params_[exact], PUBLISHED[exact], rtol=0, atol=5.1e-6)
    np.testing.assert_allclose(model.params_, PUBLISHED, rtol=0, atol=1e-4)
    assert model.log_likelihood_ == pytest.approx(-14113.852, abs=5e-4)


def test_where_the_published_digits_differ_the_maximum_is_ours(telco: pd.DataFrame, model: CoxModel) -> None:
    """The published digits are those of lifelines' default stop; statsmodels, run to the end, has ours."""
    frame = members(telco)[COVARIATES].astype(float)
    exits = (telco["Churn"] == "Yes").astype(int)
    rows = frame.assign(tenure=telco["tenure"], left=exits)
    stopped = CoxPHFitter().fit(rows, "tenure", "left", batch_mode=True)
    np.testing.assert_allclose(stopped.params_, PUBLISHED, rtol=0, atol=5.1e-6)
    assert stopped.log_likelihood_ <= model.log_likelihood_
    other = PHReg(telco["tenure"].to_numpy(), frame, status=exits.to_numpy(), ties="efron").fit(disp=0)
    np.testing.assert_allclose(model.params_, other.params, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.standard_errors_, other.bse, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_story_of_the_published_data(telco: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[drivers.__module__], "TENURE_BREAKS", (0, 12, 36))
    found = drivers(study(telco), COVARIATES)
    assert set(found.named["covariate"]) == set(COVARIATES)
    assert found.named["covariate"].iloc[0] == "two_year"
    assert "one_year" in found.unsteady
    told = next(text for text in found.sentences if "change with tenure" in text)
    assert "“one year”" in told and "use the table by tenure" in told
    table = found.by_tenure
    fading = table[table["characteristic"] == "one year"]["hazard_ratio"].to_numpy()
    assert (np.diff(fading) > 0).all() and fading[-1] < 1
