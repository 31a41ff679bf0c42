"""The retention notebook on hard input: a clear message or "too little data", never a crash or a silent drop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, MissingTable, NothingCounts

FAST = {"bootstrap_draws": 100}
END = pd.Timestamp("2026-06-30", tz="Asia/Shanghai")


def instants(days: list) -> pd.Series:
    found = pd.to_datetime(
        pd.Series([None if d is None else pd.Timestamp(d) for d in days], dtype="object"), utc=True
    )
    return found.astype("datetime64[us, UTC]")


def members(joined: list, left: list | None = None) -> pd.DataFrame:
    """Members m0, m1, … who joined and left on the days given."""
    return pd.DataFrame(
        {
            "member_id": pd.Series([f"m{number}" for number in range(len(joined))], dtype="string"),
            "joined_at": instants(joined),
            "left_at": instants(left if left is not None else [None] * len(joined)),
            "source": pd.Series(["search"] * len(joined), dtype="string"),
        }
    )


def events(who: list[int], days: list) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_id": pd.Series([f"e{number}" for number in range(len(who))], dtype="string"),
            "member_id": pd.Series([f"m{number}" for number in who], dtype="string"),
            "ts": instants(days),
            "event": pd.Series(["like"] * len(who), dtype="string"),
        }
    )


def crowd(n: int, days: int, *, leave: float, seed: int = 3) -> dict[str, pd.DataFrame]:
    """Members who join over some days, act on a third of their days and leave at a constant hazard."""
    rng = np.random.default_rng(seed)
    begin = END - pd.Timedelta(days=days - 1)
    joined = rng.integers(0, days, n)
    stay = rng.geometric(leave, n) if leave else np.full(n, days)
    gone = joined + stay < days
    left = [
        begin + pd.Timedelta(days=int(j + s), hours=5) if g else None
        for j, s, g in zip(joined, stay, gone, strict=True)
    ]
    who, when = [], []
    for number in range(n):
        for day in range(joined[number], min(joined[number] + stay[number], days)):
            if rng.random() < 1 / 3:
                who.append(number)
                when.append(begin + pd.Timedelta(days=int(day), hours=4))
    start = [begin + pd.Timedelta(days=int(j), hours=1) for j in joined]
    return {"members": members(start, left), "events": events(who, when)}


def folder(path: Path, **tables: pd.DataFrame) -> str:
    path.mkdir()
    for name, frame in tables.items():
        frame.to_parquet(path / f"{name}.parquet")
    return str(path)


def recorded(tmp_path: Path, name: str) -> dict[str, dict]:
    rows = json.loads((tmp_path / "run" / name).read_text("utf-8"))
    return {row["id"]: row for row in rows}


CASES = {
    "one member": {
        "members": members(["2026-05-01"]),
        "events": events([0, 0], ["2026-05-02", "2026-06-01"]),
    },
    "two weeks": crowd(60, 14, leave=0.05),
    "three months, without a source": crowd(200, 90, leave=0.01)
    | {"members": crowd(200, 90, leave=0.01)["members"].drop(columns="source")},
    "one cohort, nobody left": {
        "members": members(["2026-04-01T04:00"] * 80),
        "events": events(
            list(range(80)) * 3, ["2026-04-01T05:00"] * 80 + ["2026-05-02"] * 80 + ["2026-06-20"] * 80
        ),
    },
    "everybody left at once": {
        "members": members(["2026-06-05T04:00"] * 60, ["2026-06-05T09:00"] * 60),
        "events": events(list(range(60)), ["2026-06-05T05:00"] * 60),
    },
    "joined before the log began": crowd(200, 60, leave=0.01)
    | {
        "members": crowd(200, 60, leave=0.01)["members"].assign(
            joined_at=lambda rows: rows["joined_at"] - pd.Timedelta(days=300)
        )
    },
}


QUICK = ("one member", "three months, without a source", "joined before the log began")


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_thin_data_are_marked_and_nothing_crashes(case, run_cells, tmp_path):
    run_cells("02_retention", data=folder(tmp_path / "data", **CASES[case]), k_min=1, **FAST)
    found = recorded(tmp_path, "findings.json")
    assert len(found) == 9
    for finding in found.values():
        assert finding["sentence"]
        assert (finding["value"] is not None) == (finding["verdict"] != "too little data"), finding
    models = ("retention.strongest_driver", "retention.cohort_growth")
    assert {found[name]["verdict"] for name in models} == {"too little data"}


NOTHING = {"members": members(["2026-05-01", "2026-05-02"]), "events": events([], [])}


def test_where_nobody_did_anything_nothing_is_run(run_cells, tmp_path):
    with pytest.raises(NothingCounts, match="No action that counts is on record"):
        run_cells("02_retention", data=folder(tmp_path / "data", **NOTHING), k_min=1)


def test_without_actions_it_says_so(run_cells, tmp_path):
    with pytest.raises(MissingTable, match="events, messages or orders missing"):
        run_cells("02_retention", data=folder(tmp_path / "data", members=CASES["two weeks"]["members"]))


def test_a_leave_before_a_join_is_refused_without_the_member(run_cells, tmp_path):
    wrong = members(["2026-05-02", "2026-05-01"], ["2026-05-01", None])
    data = folder(tmp_path / "data", members=wrong, events=events([1], ["2026-05-03"]))
    with pytest.raises(BadData, match="left_at") as refused:
        run_cells("02_retention", data=data, **FAST)
    assert "in 1 row, which `playbook check` shows" in str(refused.value)  # messages end in reports and logs
