"""Published survival figures of public data, reproduced through the canonical members table."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from helpers.data import source
from helpers.data.source import Dataset
from helpers.stats.survival.cells import cells
from helpers.stats.survival.compare import logrank
from helpers.stats.survival.curves import survival
from helpers.stats.survival.durations import exit_durations
from helpers.study.people import population

AS_OF = dt.date(2026, 6, 30)
NOON = pd.Timestamp("2026-06-30 04:00", tz="UTC")  # noon in Shanghai


def opened(members: pd.DataFrame) -> Dataset:
    """A checked dataset of members."""
    return source.open({"members": members}, now=dt.datetime(2026, 7, 1))


def members_of(tenure: pd.Series, left: pd.Series, **columns: pd.Series) -> pd.DataFrame:
    """Members who joined `tenure` days before the last day; who left did so on it."""
    frame = pd.DataFrame({"member_id": [f"m{i}" for i in range(len(tenure))]})
    frame["joined_at"] = NOON - pd.to_timedelta(tenure.to_numpy(), unit="D")
    frame["left_at"] = pd.Series(NOON, index=frame.index).where(left.to_numpy())
    return frame.assign(**{name: column.to_numpy() for name, column in columns.items()})


@pytest.fixture(scope="module")
def telco(reference_data: Path) -> pd.DataFrame:
    """Cells of the Telco customers; one day stands for one month of tenure."""
    raw = pd.read_csv(reference_data / "retention" / "Telco-Customer-Churn.csv")
    members = members_of(
        raw["tenure"], raw["Churn"] == "Yes", contract=raw["Contract"], internet=raw["InternetService"]
    )
    stays = population(opened(members), as_of=AS_OF)
    return cells(exit_durations(stays, as_of=AS_OF), ["contract", "internet"])


def test_telco_survival(telco: pd.DataFrame) -> None:
    curves = survival(telco)
    assert (curves.n, curves.events) == (7_043, 1_869)
    published = [0.945961, 0.884826, 0.843200, 0.788736, 0.708840, 0.592790]
    assert curves.at([1, 6, 12, 24, 48, 72])["survival"].round(6).tolist() == published


def test_telco_contracts(telco: pd.DataFrame) -> None:
    medians = survival(telco, "contract").summary.set_index("segment")["median"]
    assert medians["Month-to-month"] == 35
    test = logrank(telco, "contract")
    assert (round(test.chi_square, 4), test.degrees_of_freedom) == (2352.8725, 2)
    internet = telco[(telco["contract"] == "Month-to-month") & (telco["internet"] != "No")]
    found = survival(internet).summary.iloc[0]
    assert (found["n"], found["median"]) == (3_351, 34)


def test_withdrawals_from_courses(reference_data: Path) -> None:
    folder = reference_data / "retention"
    registered = pd.read_csv(folder / "OULAD_studentRegistration.csv")
    courses = pd.read_csv(folder / "OULAD_courses.csv")
    assert len(registered) == 32_593
    rows = registered.merge(courses, on=["code_module", "code_presentation"])
    gone, length = rows["date_unregistration"], rows["module_presentation_length"]
    there = ~(gone <= 0)
    # Who stayed was watched to the end of the course.
    members = members_of(
        gone.fillna(length)[there], gone.notna()[there], course=rows.loc[there, "code_module"]
    )
    stays = population(opened(members), as_of=AS_OF)
    curves = survival(cells(exit_durations(stays, as_of=AS_OF)))
    assert (curves.n, curves.events) == (29_496, 6_975)
    published = [0.989219, 0.953316, 0.931177, 0.893714, 0.866626, 0.789090]
    assert curves.at([7, 14, 30, 60, 90, 180])["survival"].round(6).tolist() == published
