"""Tables of two versions: rows matched by name and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.report.diff.page import TableDiff, table_diff, table_diffs

TIERS = pd.DataFrame({"tier": ["silent", "core"], "n": [90, 10], "share": [0.9, 0.1], "note": ["x", "y"]})
DAYS = pd.DataFrame(
    {
        "day": pd.to_datetime(["2026-06-01", "2026-06-02"] * 2),
        "age": [7.0, 7.0, 14.0, 14.0],
        "kept": [4, 3, 2, 1],
    }
)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two empty version folders."""
    for version in ("v1", "v2"):
        (tmp_path / version / "tables").mkdir(parents=True)
    return tmp_path / "v1", tmp_path / "v2"


def put(sides: tuple[Path, Path], name: str, *both: pd.DataFrame) -> list[Path]:
    files = [side / f"tables/{name}.parquet" for side in sides]
    for file, frame in zip(files, both, strict=True):
        frame.to_parquet(file, index=False)
    return files


def test_tables_and_their_rows_are_counted(sides: tuple[Path, Path]) -> None:
    after = pd.concat([TIERS.assign(n=[45, 10]), TIERS.tail(1).assign(tier="new")]).drop(columns="note")
    put(sides, "tiers", TIERS, after.assign(extra=1))
    put(sides, "same", TIERS, TIERS)
    TIERS.to_parquet(sides[1] / "tables/fresh.parquet")
    changed, same = table_diffs(*sides, ("v1", "v2"))
    assert same == ["same"]
    assert changed == [
        TableDiff("fresh", "2", "only in v2"),
        ("tiers", "2 → 3", "1 changed, 1 new"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (TIERS, TIERS.assign(share=[0.9, np.nan]), "1 changed"),
        (TIERS, TIERS.assign(note=["x", "z"]), "1 changed"),
        (TIERS, TIERS.iloc[::-1], "other columns or order"),
        (TIERS, TIERS.assign(share=[0.8, 0.1], n=[90, 20]), "2 changed"),
        (DAYS, DAYS.assign(kept=[4, 3, 0, 1]), "1 changed"),
    ],
    ids=["unknown", "text", "order", "two rows", "two keys"],
)
def test_rows_are_matched_by_their_names(
    sides: tuple[Path, Path], before: pd.DataFrame, after: pd.DataFrame, changed: str
) -> None:
    assert table_diff(*put(sides, "x", before, after)).changed == changed


def test_what_cannot_be_matched_is_said(sides: tuple[Path, Path]) -> None:
    nameless = pd.DataFrame({"x": [1, 1], "y": [2, 2]})
    old, new = put(sides, "cloud", nameless, nameless.assign(y=3))
    assert "no names of their own" in table_diff(old, new).changed
    old.write_bytes(b"PAR1")
    assert table_diff(old, new) == TableDiff("cloud", "", "its numbers cannot be read")
