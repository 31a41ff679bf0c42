"""Real input with published figures: the CDNOW buyers as a canonical `orders` table, through `playbook run`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.cli import app


def as_orders(raw: pd.DataFrame, folder: Path) -> Path:
    """Write raw purchases (member, day, gross) as a canonical CSV table, as an operator would have it."""
    day = pd.to_datetime(raw["day"], format="%Y%m%d").dt.strftime("%Y-%m-%dT00:00:00+08:00")
    orders = pd.DataFrame(
        {"order_id": "o" + raw.index.astype(str), "member_id": raw["member"], "paid_at": day}
    )
    orders.assign(gross=raw["gross"], currency="USD").to_csv(folder / "orders.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def cdnow(reference_data, tmp_path_factory) -> Path:
    """All 23,570 buyers."""
    names = ["member", "day", "n", "gross"]
    raw = pd.read_csv(reference_data / "rfm/CDNOW_master.txt", sep=r"\s+", names=names, skiprows=1, dtype=str)
    return as_orders(raw, tmp_path_factory.mktemp("cdnow"))


@pytest.fixture(scope="module")
def cdnow_sample(reference_data, tmp_path_factory) -> Path:
    """The tenth of them that the purchase models were published on."""
    names = ["master", "member", "day", "n", "gross"]
    raw = pd.read_csv(reference_data / "rfm/CDNOW_sample.txt", sep=r"\s+", names=names, dtype=str)
    return as_orders(raw, tmp_path_factory.mktemp("cdnow_sample"))


# The first report is as of the last day, 39 weeks held out; the second as of the end of the year before.
PLAN = """
parameters: {{currency: USD}}
jobs:
  - {{notebook: rfm, label: value, data: {all}, parameters: {{period: quarter, as_of: 1998-06-30,
      window_days: 273, holdout_days: 273}}}}
  - {{notebook: rfm, label: moves, data: {all}, parameters: {{period: quarter, as_of: 1997-12-31,
      tier_scheme: {scheme}, tier_window_days: 180}}}}
  - {{notebook: rfm, label: models, data: {sample}, parameters: {{period: quarter, as_of: 1997-09-30,
      holdout_days: 91}}}}
"""


@pytest.fixture(scope="module")
def published(cdnow, cdnow_sample, tmp_path_factory) -> Path:
    """Run a plan of three reports on the buyers, so that the libraries are imported once."""
    folder = tmp_path_factory.mktemp("plan")
    (folder / "recent_buyers.yml").write_text(RECENT_BUYERS, "utf-8")
    places = {"all": cdnow, "sample": cdnow_sample, "scheme": folder / "recent_buyers.yml"}
    (folder / "cdnow.yml").write_text(PLAN.format(**places), "utf-8")
    arguments = ["run", "--plan", str(folder / "cdnow.yml"), "--reports", str(folder / "reports")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return folder / "reports/rfm"


@pytest.fixture(scope="module")
def report(published) -> Path:
    """The report as of the last day."""
    return published / "value/v1"


@pytest.fixture(scope="module")
def moves(published) -> pd.DataFrame:
    """Moves from the third to the fourth quarter of 1997."""
    found = pd.read_parquet(published / "moves/v1/tables/last_moves.parquet")
    return found.set_index(["from_tier", "to_tier"])


RECENT_BUYERS = """
name: recent_buyers
title: Buyers by orders in 180 days and days since the last
window_days: 180
match: first
tiers:
  - {id: silent, when: {}}
  - {id: potential, when: {frequency: [1, null]}}
  - {id: active, when: {frequency: [2, null], recency_days: [0, 91]}}
  - {id: core, when: {frequency: [3, null], recency_days: [0, 61]}}
"""

PUBLISHED_MOVES = {
    ("core", "core"): (0.537, 0.510, 0.563),
    ("active", "core"): (0.248, 0.225, 0.271),
    ("potential", "silent"): (0.498, 0.483, 0.512),
    ("silent", "silent"): (0.916, 0.912, 0.921),
}


@pytest.mark.parametrize("move", PUBLISHED_MOVES, ids="-".join)
def test_published_moves_between_tiers_are_reproduced(moves, move):
    share, low, high = PUBLISHED_MOVES[move]
    found = moves.loc[move]
    assert found["share"] == pytest.approx(share, abs=0.0006)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.002)


def test_every_buyer_is_in_exactly_one_tier_of_every_quarter(report):
    pyramid = pd.read_parquet(report / "figures/tier_pyramid.parquet")
    assert pyramid["members"].sum() == 23_570
    assert pyramid["share"].astype(float).sum() == pytest.approx(1)


def test_the_carried_share_and_the_holdout_concentration(report):
    """Published for the master file: 62.9 % in calibration, 93.9 % in the hold-out ranked by itself."""
    rows = pd.read_parquet(report / "tables/concentration.parquet")
    shares = rows.set_index("label")["share"]
    assert shares["in the window"] == pytest.approx(0.629, abs=0.001)
    assert shares["in the hold-out"] == pytest.approx(0.939, abs=0.001)


def test_the_published_purchase_models(published):
    """Published: BG/NBD .243 4.414 .793 2.426; Gamma-Gamma 6.25 3.74 15.44, which has two decimals only."""
    rows = pd.read_parquet(published / "models/v1/tables/purchase_models.parquet")
    fitted = rows.set_index(["model", "parameter"])["value"]
    assert fitted["BG/NBD"].round(3).to_dict() == {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    assert fitted["Gamma-Gamma"].round(2).to_dict() == {"p": 6.25, "q": 3.74, "v": 15.44}
