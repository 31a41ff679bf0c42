"""Lives of groups: by hand, against a walk through the days, and a planted median."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData
from helpers.methods.retention.group_life import group_life

START = dt.date(2025, 1, 1)


def log(acts: list[tuple[str, int]]) -> pd.DataFrame:
    """Member-days from (member, days after the start)."""
    frame = pd.DataFrame(acts, columns=["member_id", "day"])
    return frame.assign(day=pd.to_datetime([START + dt.timedelta(days=day) for day in frame["day"]]))


def people(**groups: str | None) -> pd.DataFrame:
    """Members from member=group."""
    return pd.DataFrame({"member_id": list(groups), "group_id": list(groups.values())}).astype(object)


def after(days: int) -> dt.date:
    """A day after the start."""
    return START + dt.timedelta(days=days)


def test_a_life_by_hand() -> None:
    # Two active members within five days are needed: from day 2 (a and b) to day 8 (b on 3, a on 4 was enough
    # until day 7; on day 8 only a on 4 is within days 4 to 8, as b's day 3 is out).
    acts = [("a", 0), ("b", 2), ("b", 3), ("a", 4), ("c", 0), ("x", 1)]
    members = people(a="g", b="g", c="h", d="h", x=None)
    found = group_life(log(acts), members, as_of=after(30), minimum_active=2, window_days=5)
    row = found.groups.iloc[0]
    assert row["group"] == "g" and (row["entry_day"], row["tenure_days"], row["exited"]) == (2, 8, True)
    assert row["silent_from"].date() == after(8) and row["alive_from"].date() == after(2)
    assert (found.never_alive, found.without_group, len(found.groups)) == (1, 1, 1)
    assert "Too little data" in found.sentence and not found.median.known
    alive = group_life(log(acts), members, as_of=after(7), minimum_active=2, window_days=5).groups.iloc[0]
    assert (alive["tenure_days"], alive["exited"]) == (7, False) and pd.isna(alive["silent_from"])


def test_life_begins_with_the_first_member() -> None:
    members = people(a="g", b="g").assign(joined_day=pd.to_datetime([after(-10), after(3)]))
    found = group_life(log([("a", 0), ("b", 2)]), members, as_of=after(30), minimum_active=2, window_days=5)
    row = found.groups.iloc[0]
    assert (row["entry_day"], row["tenure_days"]) == (12, 15)


def test_lives_equal_a_walk_through_the_days() -> None:
    rng = np.random.default_rng(8)
    acts, groups = [], {}
    for group in range(40):
        for member in range(6):
            name = f"m{group}x{member}"
            groups[name] = f"g{group}"
            acts += [(name, int(day)) for day in rng.integers(0, rng.integers(5, 120), rng.integers(1, 12))]
    found = group_life(log(acts), people(**groups), as_of=after(100), minimum_active=3, window_days=14)
    lives = found.groups.set_index("group")
    expected = {group: _walk(acts, groups, group, 100, 3, 14) for group in set(groups.values())}
    assert found.never_alive == sum(life is None for life in expected.values())
    for group, life in expected.items():
        if life is not None:
            row = lives.loc[group]
            assert (row["entry_day"], row["tenure_days"], row["exited"]) == life
    assert lives["exited"].sum() > 5


def _walk(
    acts: list[tuple[str, int]], groups: dict[str, str], group: str, last: int, minimum: int, window: int
) -> tuple[int, int, bool] | None:
    """The definition, day by day."""
    mine = [(name, day) for name, day in acts if groups[name] == group and day <= last]
    first, alive_from = min(day for _, day in mine), None
    for day in range(first, last + 1):
        alive = len({name for name, at in mine if day - window < at <= day}) >= minimum
        if alive and alive_from is None:
            alive_from = day
        if not alive and alive_from is not None:
            return alive_from - first, day - first, True
    return None if alive_from is None else (alive_from - first, last - first, False)


@pytest.mark.parametrize(("median", "verdict"), [(60, "holds"), (600, "does not hold"), (182, "cannot tell")])
def test_the_claim_of_half_a_year(median: int, verdict: str) -> None:
    rng = np.random.default_rng(9)
    acts, groups = [], {}
    for group in range(60):
        life = int(rng.exponential(median / np.log(2)))
        for member in range(3):
            groups[f"m{group}x{member}"] = f"g{group}"
            acts += [(f"m{group}x{member}", day) for day in range(0, min(life, 1_500) + 1, 5)]
    found = group_life(log(acts), people(**groups), as_of=after(1_500), window_days=7)
    assert found.shorter_than_half_a_year == verdict
    assert found.median.low <= median + 7 + 5 and found.median.high >= median
    assert {"holds": "holds here", "does not hold": "does not hold here", "cannot tell": "cannot be told"}[
        verdict
    ] in found.sentence


def test_no_activity_and_missing_columns() -> None:
    nothing = pd.DataFrame(
        {"member_id": pd.Series([], dtype=object), "day": pd.Series([], dtype="datetime64[us]")}
    )
    found = group_life(nothing, people(a="g"), as_of=after(3))
    assert found.never_alive == 1 and "Too little data" in found.sentence
    assert found.shorter_than_half_a_year == "too little data"
    with pytest.raises(BadData, match="column group_id missing"):
        group_life(nothing, pd.DataFrame({"member_id": ["a"]}), as_of=after(3))
    with pytest.raises(BadData, match="member_days: column day missing"):
        group_life(nothing[["member_id"]], people(a="g"), as_of=after(3))
