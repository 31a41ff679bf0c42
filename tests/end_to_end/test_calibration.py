"""The loop: what an A/B test finds of a channel changes attribution and budget, in one plan, and says so."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from helpers.cli import app
from helpers.methods.ab_test.plan import plan_of

pytestmark = pytest.mark.slow
START, END, LOST = dt.date(2026, 3, 2), dt.date(2026, 4, 26), 0.35
CHANNEL, LINE = "小红书", "xhs_note"
PLAN = """
data: {data}
parameters: {{as_of: 2026-06-30}}
jobs:
  - notebook: attribution
  - notebook: budget
    parameters: {{outcome: orders, turnover: 300}}
"""
TEST = """  - notebook: ab_test
    label: xhs
    parameters: {experiment: xhs_dark, proof_runs: 200}
"""


@pytest.fixture(scope="module")
def folder(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a test: half of the members saw nothing of a channel, and lost a third of their orders."""
    root = tmp_path_factory.mktemp("calibration")
    shutil.copytree(sample, root / "data")
    rng = np.random.default_rng(5)
    members = pd.read_parquet(root / "data/members.parquet", columns=["member_id"])["member_id"]
    shown = pd.Series(rng.random(len(members)) < 0.5, index=members)
    begin = pd.Timestamp(START, tz="Asia/Shanghai").tz_convert("UTC")
    known = pd.read_parquet(root / "data/assignments.parquet")
    rows = pd.DataFrame({
        "exp_id": "xhs_dark", "unit_id": members, "unit_type": "member", "assigned_at": begin,
        "arm": np.where(shown, "shown", "dark"),
    })  # fmt: skip
    pd.concat([known, rows]).to_parquet(root / "data/assignments.parquet")
    orders = pd.read_parquet(root / "data/orders.parquet")
    dark = ~orders["member_id"].map(shown).fillna(True).astype(bool)
    gone = dark & (orders["paid_at"] >= begin) & (rng.random(len(orders)) < LOST)
    orders[~gone].to_parquet(root / "data/orders.parquet")
    plan = plan_of({
        "experiment": "xhs_dark", "arms": ["dark", "shown"], "factors": ["the channel"], "looks": 1,
        "allocation": [{"start": START, "shares": [0.5, 0.5]}], "start": START, "end": END, "outcome_days": 55,
        "primary": {"name": "orders", "source": "orders"}, "smallest_effect": 0.1, "lines": [CHANNEL, LINE],
        "registered_at": dt.datetime.combine(START, dt.time(), ZoneInfo("Asia/Shanghai")),
    })  # fmt: skip
    design = plan.model_dump(mode="json") | {"sha256": plan.digest}
    (root / "data/experiments/xhs_dark.yml").write_text(yaml.safe_dump(design, allow_unicode=True), "utf-8")
    return root


def made(folder: Path, jobs: str) -> Path:
    (folder / "plan.yml").write_text(PLAN.format(data=folder / "data") + jobs, "utf-8")
    reports = folder / "reports"
    done = CliRunner().invoke(app, ["run", "--plan", str(folder / "plan.yml"), "--reports", str(reports)])
    assert done.exit_code == 0, done.output
    return reports


def table(reports: Path, version: str, name: str) -> pd.DataFrame:
    return pd.read_parquet(reports / version / "tables" / f"{name}.parquet")


def test_a_lift_changes_attribution_and_budget(folder: Path) -> None:
    made(folder, "")
    reports = made(folder, TEST)
    lift = table(reports, "ab_test/xhs/v1", "evidence").set_index("line")
    assert lift.loc[CHANNEL, "value"] > 3 * lift.loc[CHANNEL, "se"] > 0

    before, after = (
        table(reports, f"attribution/all/v{version}", "added").set_index("channel") for version in (1, 2)
    )
    assert not before.loc[CHANNEL, "tested"] and after.loc[CHANNEL, "tested"]
    assert before.loc[CHANNEL, "low"] < 0 < after.loc[CHANNEL, "low"]
    assert after.loc["微信", "added"] > 1.2 * before.loc["微信", "added"], (
        "channels without a test move in part"
    )
    tests = table(reports, "attribution/all/v2", "lift_tests").set_index("report")
    assert tests.loc["ab_test/xhs v1", "channel"] == CHANNEL
    assert CHANNEL not in table(reports, "attribution/all/v1", "lift_tests")["channel"].tolist()

    moved = table(reports, "budget/all/v2", "evidence").set_index("report").loc["ab_test/xhs v1"]
    assert moved["line"] == LINE and moved["value"] == pytest.approx(lift.loc[LINE, "value"])
    assert moved["with"] - moved["without"] > moved["without_se"] > moved["with_se"]

    for series in ("attribution/all", "budget/all"):
        manifest = json.loads((reports / series / "v2/manifest.json").read_bytes())
        assert list(manifest["earlier_reports"]) == ["ab_test/xhs"]
        assert "ab_test/xhs v1" in (reports / series / "v2/report.html").read_text("utf-8")
    assert not (made(folder, TEST) / "budget/all/v3").exists(), "nothing new was said"
