"""Small cells cannot be solved for from the rest of a table and its totals."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.methods.retention.day_n import retention
from helpers.methods.retention.kept_back import rows_kept_back

FIRST, AS_OF = dt.date(2026, 1, 1), dt.date(2026, 4, 30)


def long(table: dict[str, list[int]], keys: list[str]) -> pd.DataFrame:
    """Return cells of a table of groups (keys joined by "/") by windows."""
    rows = [
        (*name.split("/"), window, count)
        for name, counts in table.items()
        for window, count in enumerate(counts)
    ]
    return pd.DataFrame(rows, columns=[*keys, "window", "eligible"])


def test_a_row_is_hidden_in_all_windows_with_one_partner_for_all() -> None:
    cells = long(
        {"a": [116, 116, 4], "b": [120, 119, 110], "c": [40, 39, 38], "d": [300, 290, 280]}, ["cohort"]
    )
    found = rows_kept_back(cells, ["cohort"], "window", "eligible", 10)
    assert set(found["cohort"]) == {"a", "c"}  # "c" is the smallest other one
    assert rows_kept_back(cells, ["cohort"], "window", "eligible", 4).empty


def test_several_tiny_rows_need_a_partner_only_when_they_are_few_together() -> None:
    tiny = long({"a": [4], "b": [3], "c": [40], "d": [50]}, ["cohort"])
    assert set(rows_kept_back(tiny, ["cohort"], "window", "eligible", 10)["cohort"]) == {"a", "b", "c"}
    enough = long({"a": [6], "b": [7], "c": [40]}, ["cohort"])
    assert set(rows_kept_back(enough, ["cohort"], "window", "eligible", 10)["cohort"]) == {"a", "b"}


@pytest.mark.parametrize("seed", range(5))
def test_no_hidden_cell_follows_from_any_total(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"c{i}/s{j}" for i in range(4) for j in range(3)]
    cells = long({name: rng.integers(0, 60, 2).tolist() for name in names}, ["cohort", "segment"])
    back = rows_kept_back(cells, ["cohort", "segment"], "window", "eligible", 10)
    hidden = cells.merge(back.assign(hidden=True), "left", ["cohort", "segment"])
    hidden["hidden"] = hidden["hidden"].notna()
    assert hidden.loc[hidden["eligible"].between(1, 9), "hidden"].all()
    for keys in (["window"], ["window", "cohort"], ["window", "segment"]):
        for _, part in hidden[hidden["eligible"] > 0].groupby(keys):
            if part["hidden"].any() and not part["hidden"].all():
                gone = part.loc[part["hidden"], "eligible"]
                assert len(gone) >= 2 and gone.sum() >= 10


def community(sizes: dict[dt.date, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    joined = [day for day, size in sizes.items() for _ in range(size)]
    ids = [f"m{i}" for i in range(len(joined))]
    people = pd.DataFrame({"member_id": ids, "joined_day": joined, "left_day": None})
    people["platform"] = np.where(np.arange(len(ids)) % 3 == 0, "x", "y")
    log = people.rename(columns={"joined_day": "day"})[["member_id", "day"]].assign(kind="interaction")
    return log, people


def test_a_kept_back_cohort_shows_its_size_in_no_window() -> None:
    sizes = {
        dt.date(2026, 1, 5): 80,
        dt.date(2026, 2, 5): 116,
        dt.date(2026, 3, 5): 95,
        dt.date(2026, 4, 27): 6,
    }
    log, people = community(sizes)
    found = retention(log, people, as_of=AS_OF, days=(1, 30), history_from=FIRST)
    table = found.readable(10).set_index("cohort")
    assert table.loc["2026-04", "D1"] == "fewer than 10"
    assert table.loc["2026-01"].tolist() == ["kept back", "kept back"]
    # On D30 April is not due and January alone would follow from the total: March is kept back as well.
    assert table.loc["2026-03"].tolist() == ["kept back", "kept back"]
    assert "n = 116" in table.loc["2026-02", "D1"] and "n = 116" in table.loc["2026-02", "D30"]
    assert not any("80" in text for text in table.to_numpy().ravel())


def test_segments_without_cohorts_and_neither() -> None:
    log, people = community({dt.date(2026, 1, 5): 90})
    asked = {"as_of": AS_OF, "days": (1, 30), "history_from": FIRST, "cohort": None}
    table = retention(log, people, segments=["platform"], **asked).readable(10)
    assert table.columns.tolist() == ["platform", "D1", "D30"]
    assert "n = 30)" in table.loc[table["platform"] == "x", "D1"].iloc[0]
    assert (retention(log, people, segments=["platform"], **asked).readable(40)["D1"] != "").all()
    whole = retention(log, people, **asked)
    assert "n = 90)" in whole.readable(10)["D1"].iloc[0]
    assert whole.readable(100)["D1"].iloc[0] == "fewer than 100"
    assert whole.wide().shape == (1, 2)
