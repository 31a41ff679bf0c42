"""The outlook notebook on hard input: a clear message or "too little data", never a crash or a silent drop."""

from __future__ import annotations

import pytest

from helpers.errors import MissingTable
from tests.notebooks.test_retention import CASES, FAST, QUICK, folder, recorded


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_thin_data_are_marked_and_nothing_crashes(case, run_cells, tmp_path):
    run_cells("14_outlook", data=folder(tmp_path / "data", **CASES[case]), k_min=1, **FAST)
    found = recorded(tmp_path, "findings.json")
    assert len(found) == 7
    for finding in found.values():
        assert finding["sentence"]
        assert (finding["value"] is not None) == (finding["verdict"] != "too little data"), finding
    models = ("outlook.forecast_gain", "outlook.order_forecast_gain")
    assert {found[name]["verdict"] for name in models} == {"too little data"}


def test_without_actions_it_says_so(run_cells, tmp_path):
    with pytest.raises(MissingTable, match="events, messages or orders missing"):
        run_cells("14_outlook", data=folder(tmp_path / "data", members=CASES["two weeks"]["members"]))
