"""What buyers will bring: published lifts of the purchase models on the CDNOW buyers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from helpers.data.source import as_table
from helpers.stats.btyd.cells import histories
from helpers.stats.btyd.value_ahead import value_ahead
from helpers.stats.concentration import lift


def test_published_lifts_of_cdnow(reference_data: Path) -> None:
    """Published for the top tenth in the 39 weeks held out: BG/NBD x Gamma-Gamma 5.16, past value 4.98."""
    names = ["member_id", "day", "units", "value"]
    text = {"member_id": str, "day": str}
    path = reference_data / "rfm" / "CDNOW_master.txt"
    raw = pd.read_csv(path, sep=r"\s+", skiprows=1, names=names, dtype=text)
    raw["day"] = pd.to_datetime(raw["day"], format="%Y%m%d").dt.date
    days, split = raw.groupby(["member_id", "day"], as_index=False)["value"].sum(), dt.date(1997, 9, 30)
    rows = as_table(days)
    members = histories(rows, split).to_pandas().sort_values("member_id", ignore_index=True)
    later = days[days["day"] > split].groupby("member_id")["value"].sum()
    came = later.reindex(members["member_id"]).fillna(0.0).to_numpy()
    model, why = value_ahead(members, rows, split, 273)
    assert len(members) == 23_570 and not why
    assert lift(model, came) == pytest.approx(5.16, abs=0.005)
    assert lift(members["value"].to_numpy(float), came) == pytest.approx(4.98, abs=0.005)
