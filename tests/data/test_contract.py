"""The contract names every defect with its table, column, count and examples, and all of them at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.data import contract, source
from helpers.data.contract import TABLES, ContractError, Violation
from helpers.errors import BadData

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)


def orders(**columns: Any) -> pd.DataFrame:
    """Four sound orders, with some columns replaced."""
    frame = pd.DataFrame(
        {
            "order_id": ["a", "b", "c", "d"],
            "member_id": ["1", "1", "2", "3"],
            "paid_at": pd.to_datetime(["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"], utc=True),
            "gross": [10.0, 20.0, 30.0, 40.0],
            "currency": "CNY",
        }
    )
    return frame.assign(**columns)


def violations(**tables: pd.DataFrame) -> list[Violation]:
    with pytest.raises(ContractError) as caught:
        source.open(tables, now=NOW)
    return list(caught.value.violations)


def only(frame: pd.DataFrame, table: str = "orders") -> Violation:
    """Return the single violation of a table."""
    found = violations(**{table: frame})
    assert len(found) == 1, [v.sentence for v in found]
    return found[0]


def test_sound_tables_pass() -> None:
    assert source.open({"orders": orders()}, now=NOW).orders.count().execute() == 4


DEFECTS = [
    (dict(discount=[1.0, -2.0, -3.0, 4.0]), "discount", "impossible value", 2, {"order_id": "b"}),
    (dict(gross=[1.0, np.inf, 3.0, 4.0]), "gross", "impossible value", 1, {"order_id": "b", "gross": np.inf}),
    (dict(gross=[1.0, None, 3.0, 4.0]), "gross", "null required value", 1, {"order_id": "b", "gross": None}),
    (
        dict(kind=["tip", "gift", None, "tip"]),
        "kind",
        "impossible value",
        1,
        {"order_id": "b", "kind": "gift"},
    ),
    (
        dict(refund=[0.0, 20.0, 31.0, None]),
        "refund",
        "broken invariant",
        1,
        {"order_id": "c", "gross": 30.0, "refund": 31.0},
    ),
    (
        dict(member_id=["1e18", "1.23E+18", "1.5E18", "3e+5"]),
        "member_id",
        "damaged id",
        4,
        {"order_id": "a", "member_id": "1e18"},
    ),
    (
        dict(member_id=["1e3", "13085.0", "a.0", "5.00"]),
        "member_id",
        "id with a decimal point",
        2,
        {"order_id": "b", "member_id": "13085.0"},
    ),
    (
        dict(member_id=["NULL", "nan", "#N/A", "nana"]),
        "member_id",
        "null written as a word",
        3,
        {"order_id": "a", "member_id": "NULL"},
    ),
    (
        dict(currency=["CNY", None, "CNY", None]),
        "currency",
        "amount without a currency",
        2,
        {"order_id": "b"},
    ),
    (dict(currency="yuan"), "currency", "impossible value", 4, {"order_id": "a", "currency": "yuan"}),
    (dict(order_id=["a", None, "c", "d"]), "order_id", "null key", 1, {"order_id": None}),
    (dict(order_id=["a", "b", "b", "b"]), "order_id", "duplicate key", 2, {"order_id": "b", "rows": 3}),
    (dict(gross=["1", "2", "3", "4"]), "gross", "wrong type", 4, {"order_id": "a", "gross": "1"}),
    (dict(member_id=[1, 2, 3, 4]), "member_id", "wrong type", 4, {"order_id": "a", "member_id": 1}),
    (
        dict(currency=["CNY", "USD", "CNY", None]),
        "currency",
        "mixed currencies",
        1,
        {"currency": "CNY", "rows": 2},
    ),
]


@pytest.mark.parametrize(("columns", "column", "rule", "count", "example"), DEFECTS)
def test_each_defect_is_named(
    columns: dict[str, Any], column: str, rule: str, count: int, example: dict[str, Any]
) -> None:
    found = only(orders(**columns))
    assert (found.table, found.column, found.rule, found.count) == ("orders", column, rule, count)
    assert found.examples[0].items() >= example.items()
    assert found.advice and f"orders.{column}: {rule}" in found.sentence


def test_times_before_any_community_and_after_now() -> None:
    times = ["1970-01-01", "2025-06-03", "2025-06-01T20:00", "2025-01-01"]
    past, future = violations(orders=orders(paid_at=pd.to_datetime(times, utc=True, format="ISO8601")))
    assert (past.rule, past.count, past.examples[0]["order_id"]) == ("impossible value", 1, "a")
    # Twenty hours after now is within the day that time zones differ by.
    assert (future.rule, future.count, future.examples[0]["order_id"]) == ("time in the future", 1, "b")


def test_planned_days_may_lie_in_the_future() -> None:
    plan = pd.DataFrame({"annotation_id": ["x"], "kind": ["promo"]})
    plan["start"] = plan["end"] = [dt.date(2025, 11, 11)]
    assert "annotations" in source.open({"annotations": plan}, now=NOW)


def test_missing_column_offers_the_nearest_name() -> None:
    found = only(orders().rename(columns={"paid_at": "payed_at"}))
    assert (found.column, found.rule, found.count) == ("paid_at", "missing column", 0)
    assert 'Did you mean "payed_at"?' in found.sentence


def test_members_cannot_leave_before_they_join() -> None:
    frame = pd.DataFrame({"member_id": ["1", "2"]})
    frame["joined_at"] = pd.to_datetime(["2025-01-02", "2025-01-02"], utc=True)
    frame["left_at"] = pd.to_datetime(["2025-01-01", None], utc=True)
    found = only(frame, "members")
    assert (found.column, found.rule, found.count) == ("left_at", "broken invariant", 1)


def test_whole_numbers_and_days() -> None:
    frame = pd.DataFrame(
        {
            "date": pd.to_datetime(["2025-01-01 00:00", "2025-01-02 08:00"]),
            "platform": "douyin",
            "campaign_id": "1",
            "creative_id": "1",
            "cost": [1, 2],
            "clicks": [1.0, 2.5],
        }
    )
    found = {v.column: v for v in violations(ad_daily=frame)}
    assert found["date"].rule == "day with a time of day" and found["date"].count == 1
    assert found["clicks"].rule == "not a whole number" and found["clicks"].examples[0]["clicks"] == 2.5


def test_optional_hour_refines_the_key() -> None:
    frame = pd.DataFrame(
        {
            "date": [dt.date(2025, 1, 1)] * 3,
            "platform": "x",
            "campaign_id": "1",
            "creative_id": "1",
            "cost": 1.0,
        }
    )
    assert only(frame, "ad_daily").count == 2
    assert "ad_daily" in source.open({"ad_daily": frame.assign(hour=[0, 1, 2])}, now=NOW)


def test_a_unit_may_stand_in_two_arms_and_not_twice_in_one() -> None:
    frame = pd.DataFrame({"exp_id": "x", "unit_id": ["1", "1", "2"], "arm": ["a", "b", "a"]})
    frame["assigned_at"] = pd.to_datetime("2025-01-01", utc=True)
    assert "assignments" in source.open({"assignments": frame}, now=NOW)
    found = only(pd.concat([frame, frame]), "assignments")
    assert (found.rule, found.column) == ("duplicate key", "exp_id, unit_id, arm")
    assert only(frame.assign(probability=[0.5, 0.5, 50.0]), "assignments").rule == "impossible value"


def test_outcomes_may_be_missing_and_moments_of_arms_are_counts() -> None:
    outcomes = pd.DataFrame({"exp_id": "x", "unit_id": ["1", "2"], "metric": "likes", "value": [1.0, None]})
    assert "unit_outcomes" in source.open({"unit_outcomes": outcomes}, now=NOW)
    days = pd.DataFrame(
        {"exp_id": "x", "arm": "a", "date": [dt.date(2025, 1, 1)], "metric": "ctr", "sum": 3.0}
    )
    found = only(days.assign(n=[-1]), "arm_daily")
    assert (found.column, found.rule) == ("n", "impossible value")
    said = pd.DataFrame(
        {"evidence_id": ["1"], "estimand": "lift", "line": "douyin", "value": 0.1, "se": 0.02}
    )
    found = only(said.assign(unit="share", kind="hearsay"), "evidence")
    assert (found.column, found.rule) == ("kind", "impossible value")


def test_column_that_mixes_types() -> None:
    found = only(orders(member_id=["1", 2, "3", "4"]))
    assert (found.column, found.rule, found.count) == ("member_id", "wrong type", 1)
    assert "str, int" in found.advice


def test_column_of_nothing_has_no_wrong_type() -> None:
    dataset = source.open({"orders": orders(margin=[None] * 4, coupon_code=[None] * 4)}, now=NOW)
    assert dataset.orders.schema()["margin"].is_float64()


def test_all_tables_in_one_error() -> None:
    found = violations(orders=orders(discount=-1.0), members=orders()[["member_id"]])
    assert {v.table for v in found} == {"orders", "members"}
    assert {v.rule for v in found} == {"impossible value", "missing column", "duplicate key"}
    error = ContractError(found)
    assert isinstance(error, BadData)
    assert str(error).count("\n- ") == len(found) == 3


def test_free_text_never_stands_in_a_message() -> None:
    frame = pd.DataFrame({"message_id": ["1"], "ts": pd.to_datetime(["2025-01-01"], utc=True), "text": [7]})
    found = only(frame, "messages")
    assert found.examples == ({"message_id": "1", "text": "(withheld)"},)


def test_a_published_run_shows_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    found = only(orders(member_id=["1", "2", "13800138000.0", "4"]))
    assert "13800138000.0" in found.sentence
    monkeypatch.setenv("PLAYBOOK_RUN_FOLDER", "somewhere")
    assert "13800138000" not in found.sentence and "in 1 row, which `playbook check` shows." in found.sentence


def test_more_than_three_rows_show_three_examples() -> None:
    found = only(orders(discount=-1.0))
    assert found.count == 4 and [row["order_id"] for row in found.examples] == ["a", "b", "c"]


def test_every_table_is_declared_and_documented() -> None:
    assert len(TABLES) == 28
    everything = contract.describe()
    for name, table in TABLES.items():
        assert f"## {name}\n" in everything
        assert set(table.key) <= {column.name for column in table.columns if column.required}
        assert {"source", "ingested_at"} <= set(table.names)
        for invariant in table.invariants:
            assert set(invariant.needs) <= set(table.names) and invariant.sentence in everything
    assert TABLES["messages"]["text"].privacy == "P3"


def test_interactions_are_what_members_do_for_others_to_see() -> None:
    assert {"like", "comment", "share", "save", "post", "follow", "checkin", "task_done"} <= set(
        contract.INTERACTIONS
    )
    passive = {"view", "click", "push_sent", "push_open", "live_enter", "join", "leave", "unfollow", "pay"}
    assert not passive & set(contract.INTERACTIONS)


def test_a_negative_order_is_a_refund_and_a_refund_has_its_day() -> None:
    back = pd.DataFrame(
        {"order_id": ["a", "a"], "refunded_at": orders()["paid_at"][2:], "amount": [4.0, 5.0]}
    )
    tables = {
        "orders": orders(gross=[10.0, -4.0, 30.0, 40.0], refund=0.0),
        "refunds": back.assign(currency="CNY"),
    }
    assert source.open(tables, now=NOW).refunds.amount.sum().execute() == 9
    found = only(back.assign(refunded_at=NOW, amount=[4.0, -5.0]).head(2).iloc[[1]], "refunds")
    assert (found.column, found.rule, found.count) == ("amount", "impossible value", 1)


def test_a_frame_with_a_column_twice() -> None:
    found = only(orders(Gross=1.0))
    assert (found.column, found.rule) == ("gross, Gross", "duplicate column")
    assert only(pd.DataFrame()).rule == "empty frame"
