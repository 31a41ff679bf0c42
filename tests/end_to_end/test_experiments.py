"""Published experiments as canonical tables with a registered design, through `playbook run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from helpers.cli import app
from helpers.methods.ab_test.plan import Plan
from helpers.study import Study
from tests.methods.ab_test.real_data import catlab, hillstrom, soc412, udacity

READ: dict[str, Callable[[Path], tuple[Study, Plan]]] = {
    "catlab": catlab,
    "soc412": soc412,
    "hillstrom": hillstrom,
    "udacity": udacity,
}


def written(study: Study, plan: Plan, folder: Path) -> dict[str, Any]:
    """Write the tables and the design of an experiment as an operator has them, and return the job that reads it."""
    for name, table in study.dataset.tables.items():
        folder.mkdir(parents=True, exist_ok=True)
        table.to_pandas().to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "experiments").mkdir()
    design = yaml.safe_dump(plan.model_dump(mode="json"), allow_unicode=True)
    (folder / "experiments" / f"{plan.experiment}.yml").write_text(design, "utf-8")
    asked = {"experiment": plan.experiment, "as_of": str(plan.end), "proof_runs": 200}
    return {"notebook": "ab_test", "label": folder.name, "data": str(folder), "parameters": asked}


@pytest.fixture(scope="module")
def reports(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("experiments")
    jobs = [written(*read(reference_data), root / name) for name, read in READ.items()]
    (root / "plan.yml").write_text(yaml.safe_dump({"jobs": jobs}), "utf-8")
    done = CliRunner().invoke(
        app, ["run", "--plan", str(root / "plan.yml"), "--reports", str(root / "reports")]
    )
    assert done.exit_code == 0, done.output
    return root / "reports" / "ab_test"


def findings(reports: Path, name: str) -> dict[str, dict[str, Any]]:
    found = json.loads((reports / name / "v1" / "findings.json").read_text("utf-8"))
    return {each["id"].removeprefix("ab_test."): each for each in found}


def evidence(reports: Path, name: str) -> dict[str, Any]:
    return pd.read_parquet(reports / name / "v1" / "tables" / "evidence.parquet").iloc[0].to_dict()


def test_catlab(reports: Path) -> None:
    found = findings(reports, "catlab")["effect"]
    low, value, high = np.log1p([found[name] for name in ("low", "value", "high")])
    assert value == pytest.approx(0.18790, abs=5e-6)
    error = (high - low) / 2 / stats.norm.isf(0.025)
    assert error == pytest.approx(0.0824, abs=5e-4)
    assert 2 * stats.norm.sf(value / error) == pytest.approx(0.0225, abs=5e-4)
    assert found["n"] == 1300 and found["verdict"] == "provisional", "the outcome is skewed"


def test_soc412(reports: Path) -> None:
    assert findings(reports, "soc412")["effect"]["n"] == 279
    told = evidence(reports, "soc412")
    assert (told["value"], told["se"]) == pytest.approx((0.41519, 0.18006), abs=5e-6)


def test_hillstrom(reports: Path) -> None:
    assert evidence(reports, "hillstrom")["value"] == pytest.approx(0.07659, abs=5e-6)
    card = pd.read_parquet(reports / "hillstrom" / "v1" / "tables" / "scorecard.parquet").set_index("metric")
    assert (card.loc["spend, Mens E-Mail", ["control", "variant"]] == ["0.65", "1.42"]).all()
    assert (card.loc["conversion, Womens E-Mail", ["control", "variant"]] == ["0.57 %", "0.88 %"]).all()
    page = (reports / "hillstrom" / "v1" / "report.html").read_text("utf-8")
    assert "no gain" in page


def test_udacity(reports: Path) -> None:
    found = findings(reports, "udacity")
    assert "−2.06 points (−2.91 to −1.20)" in found["effect"]["sentence"]
    assert found["effect"]["headline"].startswith("STOP"), "the guardrail is undecided"
    assert found["guardrail_1"]["verdict"] == "no clear change"
