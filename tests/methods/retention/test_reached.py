"""The day on which a member had done something n times."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers.errors import BadParameters
from helpers.methods.retention.reached import add_reached_day


def test_the_nth_counted_action_after_joining() -> None:
    days = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-03", "2026-01-09", "2026-01-02"])
    rows = pd.DataFrame(
        {
            "member_id": ["a", "a", "a", "a", "b"],
            "ts": days + pd.to_timedelta([1, 2, 3, 4, 5], unit="h"),
            "day": days,
            "kind": ["interaction", "interaction", "order", "interaction", "interaction"],
        }
    )
    stays = pd.DataFrame({"member_id": ["a", "b", "c"], "joined_day": pd.to_datetime(["2026-01-02"] * 3)})
    stays["joined_day"] = stays["joined_day"].dt.date

    def reached(**options) -> dict:
        found = add_reached_day(stays, rows, **options).to_pandas().set_index("member_id")["reached_day"]
        return {name: None if pd.isna(day) else int(day) for name, day in found.items()}

    assert reached(actions=1) == {"a": 0, "b": 0, "c": None}
    assert reached(actions=2) == {"a": 1, "b": None, "c": None}
    assert reached(actions=3) == {"a": 7, "b": None, "c": None}
    assert reached(actions=3, count="all") == {"a": 1, "b": None, "c": None}
    with pytest.raises(BadParameters, match="actions == 0"):
        reached(actions=0)
