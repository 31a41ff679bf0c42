"""The weekly frame from tables: a hand-counted community, and tables that cannot make one."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from helpers.errors import BadData, BadParameters, PlaybookError
from helpers.methods.budget.evidence import read_evidence
from helpers.methods.budget.weekly import weekly
from helpers.study import Study

MONDAY = pd.Timestamp("2026-01-05")
WEEKS = 10
DAYS = pd.date_range(MONDAY - pd.Timedelta(days=2), periods=7 * WEEKS + 5)
"""From a Saturday on: two days before the first whole week, three after the last."""


def tables() -> dict[str, pd.DataFrame]:
    """Return ten whole weeks: one line that changes, one that does not, one idle, one that ran twice."""
    week = (DAYS - MONDAY).days // 7
    cost = {
        "feed": np.where(week % 2, 30.0, 10.0), "tool": np.full(len(DAYS), 5.0),
        "idle": np.zeros(len(DAYS)), "star": np.where((week == 2) | (week == 6), 100.0, 0.0),
    }  # fmt: skip
    same = {"platform": "douyin", "impressions": 1_000, "currency": "CNY", "is_complete": True}
    each = [
        pd.DataFrame({"date": DAYS.date, "campaign_id": line, "creative_id": line, "cost": spend, **same})
        for line, spend in cost.items()
    ]
    daily = {
        "scope_type": "brand",
        "scope_id": "all",
        "metric": "sales",
        "value": 100.0 + week,
        "unit": "CNY",
    }
    metrics = pd.DataFrame({"date": DAYS.date, **daily})
    costs = pd.DataFrame(
        {"cost_id": ["1", "2", "3"], "kind": ["content", "content", "ads"], "currency": "CNY"}
    )
    costs = costs.assign(date=dt.date(2026, 1, 31), amount=[700.0, 320.0, 999.0])
    notes = pd.DataFrame(
        {"annotation_id": ["1", "2", "3"], "kind": ["promo", "experiment", "holiday"], "grade": ["S", None, None],
         "start": [dt.date(2026, 1, 10), dt.date(2026, 1, 10), dt.date(2026, 1, 24)],
         "end": [dt.date(2026, 1, 13), dt.date(2026, 1, 13), dt.date(2026, 1, 26)]}
    )  # fmt: skip
    posted = pd.to_datetime(["2026-01-06T01:00Z", "2026-01-06T02:00Z", "2026-01-11T18:00Z"])
    content = pd.DataFrame(
        {"content_id": ["1", "2", "3"], "published_at": posted, "format": ["live", "video", "video"],
         "length_s": [7_200.0, 60.0, 60.0], "creator_id": [None, "k1", None], "is_ad": [False, False, False]}
    )  # fmt: skip
    return {
        "ad_daily": pd.concat(each),
        "metric_daily": metrics,
        "costs": costs,
        "annotations": notes,
        "content": content,
    }


def study(frames: dict[str, pd.DataFrame]) -> Study:
    return Study.of(frames, DAYS[-1].date(), about_members=False)


def test_a_hand_counted_community() -> None:
    frame = weekly(study(tables()), "sales")
    assert frame.outcome.index.tolist() == list(pd.date_range(MONDAY, periods=WEEKS, freq="W-MON"))
    assert frame.outcome.tolist() == [7.0 * (100 + week) for week in range(WEEKS)] and frame.unit == "CNY"
    assert frame.spend.to_dict("list") == {"feed": [70.0, 210.0] * 5}
    assert frame.lines["kind"].to_dict() == {
        "feed": "curve",
        "idle": "idle",
        "star": "event",
        "tool": "fixed",
    }
    assert frame.lines["impressions"]["feed"] == 1_000 * len(DAYS)
    assert frame.fixed["tool"] == 35 and frame.fixed["content"] == pytest.approx(1_020 / (73 / 7))
    told = {
        name: (7 * column).round(9).tolist()[:5] for name, column in frame.calendar.items() if name != "star"
    }
    assert told == {
        "promo S": [2, 2, 0, 0, 0], "promo S>": [0, 1, 0, 0, 0],
        "holiday": [0, 0, 2, 1, 0], "<holiday": [2, 7, 5, 0, 0],
    }  # fmt: skip
    assert frame.calendar["star"].tolist() == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    # The last post is of Monday the 12th in Shanghai.
    assert frame.organic.iloc[:2].to_dict("list") == {
        "posts": [1, 1],
        "live_hours": [2, 0],
        "creator_posts": [1, 0],
    }
    assert list(weekly(study(tables()), "sales", by="platform").spend) == ["douyin"]


def test_the_last_days_that_are_not_complete_leave_their_week_out() -> None:
    frames = tables()
    late = pd.to_datetime(frames["ad_daily"]["date"]) >= MONDAY + pd.Timedelta(days=7 * WEEKS - 1)
    frames["ad_daily"]["is_complete"] = ~late
    assert len(weekly(study(frames), "sales").outcome) == WEEKS - 1


def without(name: str, first: int, last: int) -> dict[str, pd.DataFrame]:
    frames = tables()
    day = (pd.to_datetime(frames[name]["date"]) - MONDAY).dt.days
    return frames | {name: frames[name][~day.between(first, last)]}


def mixed() -> dict[str, pd.DataFrame]:
    frames = tables()
    frames["ad_daily"] = frames["ad_daily"].assign(currency=["USD"] + ["CNY"] * (len(frames["ad_daily"]) - 1))
    return frames


def negative() -> dict[str, pd.DataFrame]:
    frames = tables()
    frames["ad_daily"] = frames["ad_daily"].assign(cost=[-1.0, *frames["ad_daily"]["cost"].iloc[1:]])
    return frames


@pytest.mark.parametrize(
    ("frames", "outcome", "says"),
    [
        (
            without("ad_daily", 14, 20),
            "sales",
            "no row at all in 1 of 10 weeks, such as that of 2026-01-19",
        ),
        (without("metric_daily", 15, 15), "sales", "1 of 75 days of sales are missing, such as 2026-01-20"),
        (mixed(), "sales", "USD"),
        (
            tables(),
            "joy",
            "outcome == 'joy', must be margin, revenue, orders, or a metric of one scope; there is sales",
        ),
        (tables(), "margin", "orders"),
    ],
)
def test_what_cannot_make_a_frame_is_refused(
    frames: dict[str, pd.DataFrame], outcome: str, says: str
) -> None:
    with pytest.raises(PlaybookError, match=says):
        weekly(study(frames), outcome)


def test_negative_spend_does_not_open() -> None:
    with pytest.raises(BadData, match="cost"):
        weekly(study(negative()), "sales")
    with pytest.raises(BadParameters, match="by == 'creative'"):
        weekly(study(tables()), "sales", by="creative")


def test_statements_enter_or_say_why_not() -> None:
    rows = [
        ("e1", "lift", "feed", "2026-01-19", "2026-02-01", 14, 300.0, 60.0, "CNY", "experiment"),
        ("e2", "contribution", "feed", "2026-01-19", "2026-02-01", None, 300.0, 60.0, "CNY", "attribution"),
        ("e3", "roi", "feed", None, None, None, 2.0, 0.5, "per CNY", "belief"),
        ("e4", "lift", "tool", "2026-01-19", "2026-02-01", 14, 300.0, 60.0, "CNY", "experiment"),
        ("e5", "lift", "feed", "2025-01-19", "2025-02-01", 14, 300.0, 60.0, "CNY", "experiment"),
        ("e6", "lift", "feed", "2026-01-19", "2026-02-01", 14, 0.04, 0.01, "orders a touch", "experiment"),
        ("e7", "go_dark", "feed", "2026-01-19", "2026-02-01", 14, 300.0, 60.0, "CNY", "go_dark"),
    ]
    names = [
        "evidence_id",
        "estimand",
        "line",
        "start",
        "end",
        "carry_out_days",
        "value",
        "se",
        "unit",
        "kind",
    ]
    table = pd.DataFrame(rows, columns=names)
    for name in ("start", "end"):
        table[name] = pd.to_datetime(table[name]).dt.date
    table["carry_out_days"] = table["carry_out_days"].astype("Int64")
    asked = study(tables() | {"evidence": table})
    used, left = read_evidence(asked, weekly(asked, "sales"))
    assert [(each.evidence_id, each.first, each.last, each.carry_out) for each in used] == [
        ("e1", 2, 3, 2), ("e2", 2, 3, 14), ("e3", 0, 9, 14)
    ]  # fmt: skip
    # Half of what attribution credits is believed, the other half is its error.
    assert (used[1].value, used[1].se, used[1].stated) == (150.0, 150.0, 300.0)
    assert left["reason"].tolist() == [
        "tool is not among the paid lines judged here.", "Its days are not whole weeks among those looked at.",
        "It is stated in orders a touch, not in CNY.", "The line was not dark in that window.",
    ]  # fmt: skip
