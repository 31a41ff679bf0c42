"""Pictures and tables of two versions: rows matched by name, redrawn on one scale, the change said in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.report.diff import frames
from helpers.report.diff.frames import Measure
from helpers.report.diff.pictures import pictures
from helpers.report.diff.tables import table_diffs

VERSIONS = ("v1", "v2")
TIERS = pd.DataFrame(
    {
        "tier": ["silent", "core"],
        "n": [90, 10],
        "share": [0.9, 0.1],
        "low": [0.85, 0.07],
        "high": [0.94, 0.15],
        "note": ["x", "y"],
    }
)
CURVE = pd.DataFrame({"day": range(30), "kept_share": np.linspace(1, 0.4, 30), "low": 0.3, "high": 1.0})


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two empty version folders."""
    for version in VERSIONS:
        for kind in ("figures", "tables"):
            (tmp_path / version / kind).mkdir(parents=True)
    return tmp_path / "v1", tmp_path / "v2"


def put(sides: tuple[Path, Path], name: str, *both: pd.DataFrame, kind: str = "figures") -> tuple[Path, Path]:
    for folder, frame in zip(sides, both, strict=True):
        frame.to_parquet(folder / kind / f"{name}.parquet", index=False)
    return sides


def test_a_picture_of_categories_says_its_largest_change(sides: tuple[Path, Path]) -> None:
    after = TIERS.assign(share=[0.8, 0.12], low=[0.75, 0.09], high=[0.84, 0.16])
    found = pictures(*put(sides, "tier_pyramid", TIERS, after), VERSIONS)
    [one] = found.redrawn
    assert one.chart.title == "silent: share fell from 90.0 % to 80.0 %"
    assert one.chart.alt.startswith("Tier pyramid, v1 against v2: 2 of 2 numbers differ.")
    assert one.chart.title in one.chart.alt
    assert one.chart.data.to_dict("list") == {
        "tier": ["silent", "core"],
        "measure": ["share", "share"],
        "v1": ["90.0 %", "10.0 %"],
        "v2": ["80.0 %", "12.0 %"],
        "change": ["−10.0 points", "+2.0 points"],
    }
    [axes] = one.chart.axes
    before, now = (line for line in axes.lines if line.get_label() in VERSIONS)
    assert list(before.get_xdata()) == [0.9, 0.1] and list(now.get_xdata()) == [0.8, 0.12]
    assert before.get_markerfacecolor() != now.get_markerfacecolor()
    assert one.chart.svg() == one.chart.svg()


def test_where_a_category_may_mean_something_else_nothing_rises_or_falls(sides: tuple[Path, Path]) -> None:
    scores = pd.DataFrame({"r_score": [3, 4], "members": [200, 102]})
    put(sides, "rfm_grid", scores, scores.assign(members=[190, 317]))
    [one] = pictures(*sides, VERSIONS, ["parameters"]).redrawn
    assert one.chart.title == "r score 4: members 102 before, 317 after"
    assert one.chart.note.startswith(
        "The parameters changed, so rows of one name, such as a score or a tier, may"
    )
    assert not {"rose", "fell"} & set(f"{one.chart.title} {one.chart.alt} {one.chart.note}".split())
    [plain] = pictures(*sides, VERSIONS).redrawn
    assert plain.chart.title == "r score 4: members rose from 102 to 317"


def test_an_ordered_picture_is_drawn_as_lines(sides: tuple[Path, Path]) -> None:
    after = CURVE.assign(kept_share=CURVE["kept_share"].where(CURVE["day"] != 7, 0.31))
    [one] = pictures(*put(sides, "survival", CURVE, after), VERSIONS).redrawn
    assert one.chart.title == "day 7: kept share fell from 85.5 % to 31.0 %"
    [axes] = one.chart.axes
    assert [line.get_linestyle() for line in axes.lines] == ["--", "-"]
    assert len(axes.lines[1].get_xdata()) == 30
    assert len(axes.collections) == 2  # a band for each version


def test_days_and_groups_make_panels_on_one_scale(sides: tuple[Path, Path]) -> None:
    months = [f"2026-{month:02d}" for month in range(1, 8)]
    rows = [(group, month, 10.0 * place) for place, group in enumerate("abcdef", 1) for month in months]
    before = pd.DataFrame(rows, columns=["channel", "month", "orders"])
    changed = (before["channel"] == "e") & (before["month"] == "2026-03")
    after = before.assign(orders=before["orders"].mask(changed, 100.0))
    [one] = pictures(*put(sides, "channels", before, after), VERSIONS).redrawn
    panels = [axes for axes in one.chart.axes if axes.lines]
    assert [axes.get_title(loc="left") for axes in panels] == ["a", "b", "c", "e"]
    assert len({axes.get_ylim() for axes in panels}) == 1
    assert "The 4 lines with the largest change; left out: 2." in one.chart.note


def test_many_rows_leave_the_twelve_that_changed_most(sides: tuple[Path, Path]) -> None:
    before = pd.DataFrame({"city": [f"city {i:02d}" for i in range(40)], "members": 100.0})
    after = before.assign(members=before["members"] + np.arange(40))
    [one] = pictures(*put(sides, "cities", before, after), VERSIONS).redrawn
    assert list(one.chart.data["city"]) == [f"city {i}" for i in range(28, 40)]
    assert "The 12 rows with the largest change; left out: 28." in one.chart.note
    assert one.chart.title == "city 39: members rose from 100 to 139"


def test_what_is_unchanged_alone_or_without_names_is_said(sides: tuple[Path, Path]) -> None:
    put(sides, "same", TIERS, TIERS)
    nameless = pd.DataFrame({"x": [1.5, 2.5, 3.5], "y": [1.0, 2.0, 3.0]})
    put(sides, "cloud", nameless, nameless + 0.25)
    put(sides, "words", TIERS[["tier", "note"]], TIERS[["tier", "note"]])
    TIERS.to_parquet(sides[0] / "figures/old.parquet")
    TIERS.to_parquet(sides[1] / "figures/new.parquet")
    (sides[0] / "figures/torn.parquet").write_bytes(b"PAR1")
    TIERS.to_parquet(sides[1] / "figures/torn.parquet")
    found = pictures(*sides, VERSIONS)
    assert (found.redrawn, found.same) == ([], ["same"])
    assert (found.only_before, found.only_after) == (["old"], ["new"])
    assert [name for name, _ in found.skipped] == ["cloud", "torn", "words"]


def test_a_number_known_on_one_side_only_is_said(sides: tuple[Path, Path]) -> None:
    [one] = pictures(*put(sides, "x", TIERS, TIERS.assign(share=[0.9, np.nan])), VERSIONS).redrawn
    assert one.chart.title == "core: share is not known any more, and was 10.0 %"
    assert list(one.chart.data["change"]) == ["±0.0 points", "–"]


def test_intervals_belong_to_the_column_they_enclose(sides: tuple[Path, Path]) -> None:
    frame = pd.DataFrame(
        {
            "tier": ["a", "b"],
            "value": [2.0, 3.0],
            "standard_error": [0.1, 0.1],
            "low": [1.0, 2.0],
            "high": [3.0, 4.0],
        }
    )
    put(sides, "value", frame, frame)
    pair = frames.read("value", *(side / "figures" for side in sides))
    assert frames.measures(pair) == [Measure("value", "low", "high")]
    wide = frame.rename(columns={"low": "value_low", "high": "value_high"})
    put(sides, "wide", wide, wide)
    pair = frames.read("wide", *(side / "figures" for side in sides))
    assert frames.measures(pair) == [Measure("value", "value_low", "value_high")]


def test_tables_are_counted_and_their_largest_change_named(sides: tuple[Path, Path]) -> None:
    after = pd.concat([TIERS.assign(n=[45, 10]), TIERS.tail(1).assign(tier="new")]).drop(columns="note")
    put(sides, "tiers", TIERS, after.assign(extra=1), kind="tables")
    put(sides, "same", TIERS, TIERS, kind="tables")
    TIERS.to_parquet(sides[1] / "tables/fresh.parquet")
    found = table_diffs(*sides, VERSIONS)
    assert found.same == ["same"]
    fresh, tiers = found.changed
    assert (fresh.name, fresh.rows, fresh.changed) == ("fresh", "2", "only in v2")
    assert tiers == ("tiers", "2 → 3", "1 changed, 1 new", "+ extra; − note", "silent, n: 90 → 45")
