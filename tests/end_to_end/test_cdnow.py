"""Real input with published figures: the CDNOW buyers as a canonical `orders` table, through `playbook run`."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.cli import app


@pytest.fixture(scope="module")
def cdnow(reference_data, tmp_path_factory) -> Path:
    """A folder with one CSV file, as an operator would have it."""
    raw = pd.read_csv(
        reference_data / "rfm/CDNOW_master.txt",
        sep=r"\s+",
        names=["member", "day", "n", "gross"],
        skiprows=1,
        dtype=str,
    )
    folder = tmp_path_factory.mktemp("cdnow")
    day = pd.to_datetime(raw["day"], format="%Y%m%d").dt.strftime("%Y-%m-%dT00:00:00+08:00")
    orders = pd.DataFrame(
        {
            "order_id": "o" + raw.index.astype(str),
            "member_id": raw["member"],
            "paid_at": day,
            "gross": raw["gross"],
            "currency": "USD",
        }
    )
    orders.to_csv(folder / "orders.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def report(cdnow, tmp_path_factory) -> Path:
    """The report as of the last day, 39 weeks held out, quarters as periods."""
    reports = tmp_path_factory.mktemp("reports")
    (cdnow / "tiers.yml").write_text(SCHEME, "utf-8")
    arguments = ["run", "01_rfm", "--data", str(cdnow), "--reports", str(reports), "--label", "cdnow"]
    for setting in (
        "as_of=1998-06-30",
        "currency=USD",
        "period=quarter",
        "window_days=273",
        "holdout_days=273",
        f"tier_scheme={cdnow / 'tiers.yml'}",
    ):
        arguments += ["-p", setting]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return reports / "rfm/cdnow/v1"


SCHEME = """
name: purchases_a_quarter
title: Buyers by purchases in a quarter
tiers:
  - {id: silent, when: {frequency: [0, 1]}}
  - {id: potential, when: {frequency: [1, 2]}}
  - {id: active, when: {frequency: [2, 3]}}
  - {id: core, when: {frequency: [3, null]}}
"""


def test_lifts_and_plain_rfm_verdict(report):
    """Published: BG/NBD x Gamma-Gamma 5.16 [4.92, 5.39], RFM sum 5.06 [4.86, 5.29], past value 4.98."""
    lifts = pd.read_parquet(report / "figures/value_contest.parquet").set_index("model")["lift"]
    assert 4.86 <= lifts["RFM score"] <= 5.29
    assert 4.92 <= lifts["BG/NBD x Gamma-Gamma"] <= 5.39
    assert lifts["past value"] == pytest.approx(4.98, abs=0.1)
    findings = {f["id"]: f for f in json.loads((report / "findings.json").read_text("utf-8"))}
    assert findings["rfm.model_gain"]["verdict"] == "no clear change"
    assert "Plain RFM is enough" in findings["rfm.model_gain"]["sentence"]


def test_every_buyer_is_in_exactly_one_tier_of_every_quarter(report):
    pyramid = pd.read_parquet(report / "figures/tier_pyramid.parquet")
    assert pyramid["members"].sum() == 23_570
    assert pyramid["share"].sum() == pytest.approx(1)


def test_the_carried_share_and_the_holdout_concentration(report):
    """Published for the master file: 62.9 % in calibration, 93.9 % in the hold-out ranked by itself."""
    rows = pd.read_parquet(report / "tables/concentration.parquet")
    shares = rows[rows["statistic"].str.startswith("share")].set_index("label")["value"]
    assert shares["in the window"] == pytest.approx(0.629, abs=0.001)
    assert shares["in the hold-out"] == pytest.approx(0.939, abs=0.001)
