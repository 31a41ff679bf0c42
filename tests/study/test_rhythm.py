"""How long a member may do nothing before it is called silence follows what counts and how often members act."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from helpers.study import Study

LAST = dt.date(2026, 6, 30)


def study(gaps: list[int], kind: str = "interaction", once: int = 0) -> Study:
    """One member for each gap, who acted three times at that distance, and members who acted once."""
    rows = [(f"m{k}", LAST - dt.timedelta(days=n * gap)) for k, gap in enumerate(gaps) for n in range(3)]
    rows += [(f"once{k}", LAST) for k in range(once)]
    frame = pd.DataFrame(rows, columns=["member_id", "day"]).assign(kind=kind)
    return Study.of({"activity": frame}, LAST, count=kind)


def test_the_rhythm_is_the_mean_gap_of_the_median_member_who_came_back() -> None:
    found = study([2] * 10 + [40] * 11, once=50)
    assert found.rhythm_days == 40
    assert found.at(LAST - dt.timedelta(days=60)).rhythm_days == 40, "the same on whichever day is looked at"
    uneven = pd.DataFrame(
        {"member_id": "a", "day": [LAST, LAST - dt.timedelta(days=1), LAST - dt.timedelta(days=9)]}
    )
    frame = pd.concat([uneven.assign(member_id=f"m{k}") for k in range(20)]).assign(kind="order")
    assert Study.of({"activity": frame}, LAST, count="order").rhythm_days == 4.5


def test_too_few_who_came_back_have_no_rhythm() -> None:
    for kind, days in (("interaction", 30), ("order", 90)):
        found = study([5] * 19, kind, once=100)
        assert found.rhythm_days is None
        assert found.silence_days == days
        assert "too few came back" in found.silence_sentence


@pytest.mark.parametrize(
    ("gap", "days"), [(1, 30), (9, 30), (14, 30), (16, 60), (31, 90), (45, 120), (70, 180), (300, 365)]
)
def test_silence_is_three_times_the_rhythm_as_one_says_it(gap: int, days: int) -> None:
    found = study([gap] * 20, "order")
    assert found.silence_days == days
    assert f"silent after {days} days" in found.silence_sentence
    assert f"every {gap} days" in found.silence_sentence
