"""The RFM notebook on hard input: a clear message or a "too little data" mark, never a crash or a silent drop."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters, MissingTable, NothingCounts, TooFewMembers

FAST = {"bootstrap_draws": 100}


def orders(members: list[str], days: list[str], gross: list[float] | None = None) -> pd.DataFrame:
    paid = pd.to_datetime(pd.Series(days), utc=True).astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "order_id": pd.Series([f"o{number}" for number in range(len(members))], dtype="string"),
            "member_id": pd.Series(members, dtype="string"),
            "paid_at": paid,
            "gross": pd.Series(gross if gross is not None else [10.0] * len(members), dtype="float64"),
            "currency": pd.Series(["CNY"] * len(members), dtype="string"),
        }
    )


def folder(path: Path, **tables: pd.DataFrame) -> str:
    path.mkdir()
    for name, frame in tables.items():
        frame.to_parquet(path / f"{name}.parquet")
    return str(path)


def recorded(tmp_path: Path, name: str) -> list[dict]:
    return json.loads((tmp_path / "run" / name).read_text("utf-8"))


def many(members: int = 60, days: int = 14) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    who = [f"m{number:03d}" for number in rng.integers(0, members, 4 * members)]
    when = pd.Timestamp("2026-06-30") - pd.to_timedelta(rng.integers(0, days, len(who)), "D")
    return orders(who, [str(day) for day in when], list(rng.gamma(2.0, 30.0, len(who)).round(2)))


CASES = {
    "one member": orders(["m1"], ["2026-06-01"]),
    "one member, many orders": orders(["m1"] * 5, [f"2026-0{month}-01" for month in range(2, 7)]),
    "all ties": orders([f"m{n}" for n in range(80)], ["2026-06-15"] * 80),
    "two-week history": many(),
    "no value at all": orders(
        [f"m{n}" for n in range(30)] * 2, ["2026-05-02"] * 30 + ["2026-06-02"] * 30, [0.0] * 60
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_thin_data_are_marked_and_nothing_crashes(case, run_cells, tmp_path):
    run_cells(data=folder(tmp_path / "data", orders=CASES[case]), k_min=1, **FAST)
    found = {finding["id"]: finding for finding in recorded(tmp_path, "findings.json")}
    assert len(found) == 8
    assert found["rfm.net_promotion_rate"]["sentence"]
    for finding in found.values():
        known = finding["value"] is not None
        assert known == (finding["verdict"] != "too little data"), finding
    if case in ("one member", "one member, many orders"):
        changes = (
            "rfm.top_share",
            "rfm.carried_share",
            "rfm.tier_value_ratio",
            "rfm.model_gain",
            "rfm.segment_stability",
        )
        assert {found[name]["verdict"] for name in changes} == {"too little data"}


def test_of_nobody_nothing_is_said(run_cells, tmp_path):
    with pytest.raises(NothingCounts, match="No action that counts"):
        run_cells(data=folder(tmp_path / "data", orders=orders([], [])))
    with pytest.raises(TooFewMembers, match="fewer than 10 members"):
        run_cells(data=folder(tmp_path / "few", orders=CASES["one member"]))


def test_a_missing_table_is_named(run_cells, tmp_path):
    members = pd.DataFrame({"member_id": ["m1"], "joined_at": pd.to_datetime(["2026-01-01"], utc=True)})
    with pytest.raises(MissingTable, match="events, messages or orders missing"):
        run_cells(data=folder(tmp_path / "data", members=members))


def test_a_day_long_after_the_last_action_is_refused_instead_of_calling_everybody_silent(run_cells, tmp_path):
    with pytest.raises(BadParameters, match=r"365 days after the last counted action \(2026-06-15\)"):
        run_cells(data=folder(tmp_path / "data", orders=CASES["all ties"]), as_of="2027-06-15", **FAST)


def test_what_the_loader_says_reaches_the_report(run_cells, tmp_path, capsys):
    path = folder(tmp_path / "data", orders=CASES["all ties"])
    (tmp_path / "data" / "order.csv").write_text("a,b\n1,2\n", "utf-8")
    run_cells(data=path, until="show(study)", **FAST)
    assert "order.csv" in capsys.readouterr().out


BROKEN = {
    "future timestamps": (orders(["m1", "m2"], ["2026-06-01", "2199-01-01"]), "paid_at"),
    "missing column": (orders(["m1"], ["2026-06-01"]).drop(columns="gross"), "gross"),
    "duplicate keys": (orders(["m1", "m2"], ["2026-06-01"] * 2).assign(order_id="o1"), "order_id"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_tables_are_refused_with_table_column_and_example(case, run_cells, tmp_path):
    frame, column = BROKEN[case]
    with pytest.raises(BadData, match=column) as refused:
        run_cells(data=folder(tmp_path / "data", orders=frame), **FAST)
    assert "orders" in str(refused.value)


SAMPLED = {
    "helpers.methods.rfm.members": "MOST_COMPARED",
    "helpers.methods.rfm.purchase_models": "MOST_FITTED",
    "helpers.methods.rfm.segments": "FIT_LIMIT",
    "helpers.stats.forecast.landmarks": "MOST_PRESENT",
    "helpers.stats.forecast.value": "MOST_MEMBERS",
}


def test_with_samples_far_below_the_members_no_answer_has_a_row_for_each(run_cells, monkeypatch):
    """Of 3,000 members 600 are drawn; cells of value and of days are the most that leaves the engine."""
    for module, bound in SAMPLED.items():
        monkeypatch.setattr(importlib.import_module(module), bound, 600)
    monkeypatch.setattr("helpers.data.guard.MOST_PULLED", 1_200)
    run_cells("01_rfm")
