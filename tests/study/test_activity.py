"""Activity: what counts, on which day, with which value, and what is left out and said so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.data import fingerprint, source
from helpers.data.content_cache import ContentCache
from helpers.data.contract import INTERACTIONS
from helpers.errors import BadParameters, MissingTable
from helpers.simulate import community
from helpers.study import Study
from helpers.study.account import ActivityAccount
from helpers.study.parameters import CommonParameters
from helpers.study.people import population

AS_OF = "2026-03-31"


def activity(dataset: source.Dataset, as_of: str, **settings: object) -> object:
    """Return the activity of a study of a dataset."""
    return Study.of(dataset, as_of, **settings).activity


def account(dataset: source.Dataset, as_of: str, **settings: object) -> ActivityAccount:
    """Return what went into it."""
    return Study.of(dataset, as_of, **settings).account


def utc(*texts: str) -> pd.DatetimeIndex:
    """Return UTC instants."""
    return pd.to_datetime(list(texts), utc=True)


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """Six events and four orders: a view, a bot, someone from staff, a stranger and a late row among them."""
    events = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(7)],
            "member_id": ["a", "a", "a", "b", "bot", "stranger", "a"],
            "ts": utc(
                "2026-03-30 15:59:59",
                "2026-03-30 16:00:00",
                "2026-03-31 15:59:59",
                "2026-03-01 00:00:00",
                "2026-03-01 00:00:00",
                "2026-03-02 00:00:00",
                "2026-03-31 16:00:00",
            ),
            "event": ["like", "view", "share", "comment", "like", "like", "like"],
        }
    )
    orders = pd.DataFrame(
        {
            "order_id": ["o1", "o2", "o3", "o4"],
            "member_id": ["a", "b", "staff", "b"],
            "paid_at": utc("2026-03-05", "2026-03-06", "2026-03-07", "2026-04-02"),
            "gross": [100.0, 50.0, 10.0, 5.0],
            "discount": [20.0, None, 0.0, 0.0],
            "refund": [None, 5.0, 0.0, 0.0],
            "currency": "CNY",
            "kind": ["goods", "tip", "tip", "tip"],
        }
    )
    members = pd.DataFrame(
        {
            "member_id": ["a", "b", "c", "staff", "bot", "late"],
            "joined_at": utc(*["2026-01-01"] * 5, "2026-05-01"),
            "left_at": utc("NaT", "2026-03-15", "2026-04-15", "NaT", "NaT", "NaT"),
            "is_staff": [False, False, None, True, True, False],
            "is_bot": [False, None, False, False, True, False],
        }
    )
    return {"events": events, "orders": orders, "members": members}


@pytest.fixture
def opened(frames: dict[str, pd.DataFrame]) -> Callable[..., source.Dataset]:
    """Open the frames, some of them or with changes."""

    def make(*names: str, **changes: pd.DataFrame) -> source.Dataset:
        chosen = {name: frames[name] for name in names or frames}
        return source.open({**chosen, **changes})

    return make


def fetch(table: object) -> pd.DataFrame:
    """Return a lazy activity as a frame in a fixed order."""
    frame = table.to_pandas()  # type: ignore[attr-defined]
    return frame.sort_values(["member_id", "ts", "action"], ignore_index=True)


def test_rows_days_and_net_money(opened: Callable[..., source.Dataset]) -> None:
    found = fetch(activity(opened(), as_of=AS_OF, report_tz="Asia/Shanghai"))
    expected = [
        ("a", "order", "goods", 80.0, dt.date(2026, 3, 5)),
        ("a", "interaction", "like", 0.0, dt.date(2026, 3, 30)),
        ("a", "interaction", "share", 0.0, dt.date(2026, 3, 31)),
        ("b", "interaction", "comment", 0.0, dt.date(2026, 3, 1)),
        ("b", "order", "tip", 45.0, dt.date(2026, 3, 6)),
        ("stranger", "interaction", "like", 0.0, dt.date(2026, 3, 2)),
    ]
    days = pd.to_datetime(found["day"]).dt.date
    columns = [found[c] for c in ("member_id", "kind", "action", "value")]
    assert list(zip(*columns, days, strict=True)) == expected


def test_days_follow_the_time_zone(opened: Callable[..., source.Dataset]) -> None:
    found = fetch(activity(opened("events"), as_of="2026-03-30", report_tz="UTC"))
    likes = found[(found["member_id"] == "a") & (found["action"] == "like")]
    assert pd.to_datetime(likes["day"]).dt.date.tolist() == [dt.date(2026, 3, 30)]
    assert "share" not in set(found["action"])


def test_weights_are_the_whole_mix(opened: Callable[..., source.Dataset]) -> None:
    found = fetch(activity(opened(), as_of=AS_OF, value_weights={"tip": 0.5, "share": 2, "view": 0.1}))
    value = found.set_index(["member_id", "action"])["value"].to_dict()
    assert value == {
        ("a", "goods"): 0.0,
        ("a", "like"): 0.0,
        ("a", "view"): 0.1,
        ("a", "share"): 2.0,
        ("b", "comment"): 0.0,
        ("b", "tip"): 22.5,
        ("stranger", "like"): 0.0,
    }
    assert set(found.loc[found["action"] == "view", "kind"]) == {"weighted"}


def test_account_explains_every_row(opened: Callable[..., source.Dataset]) -> None:
    found = account(opened(), as_of=AS_OF, value_weights={"goods": 1})
    rows = found.table.set_index(["table", "reason"])["rows"].to_dict()
    assert rows == {
        ("events", "after as_of"): 1,
        ("events", "bot"): 1,
        ("events", "counted"): 4,
        ("events", "no interaction"): 1,
        ("events", "not in members"): 1,
        ("orders", "after as_of"): 1,
        ("orders", "counted"): 2,
        ("orders", "staff"): 1,
    }
    assert found.weightless == ("tip",)
    assert "Counted: 4 interactions and 2 orders; value is in CNY." in found.sentence
    for part in ("1 rows of bots", "1 rows of staff", "2 rows after the last day", "kind tip", "lacks"):
        assert part in found.sentence


def test_account_agrees_with_activity_on_a_simulated_community() -> None:
    tables = community(300, 60, 5, tables=["members", "events", "orders"]).tables
    dataset = source.open(tables)
    weights = {"goods": 1, "view": 0.01}
    found = account(dataset, as_of="2025-08-20", value_weights=weights)
    rows = fetch(activity(dataset, as_of="2025-08-20", value_weights=weights))
    assert found.rows("counted") == (rows["kind"] != "weighted").sum()
    assert found.rows("weighted") == (rows["kind"] == "weighted").sum() > 0
    kept = found.table[~found.table["reason"].isin(["not in members", "kind not stated"])]
    assert kept["rows"].sum() == len(tables["events"]) + len(tables["orders"])
    members = tables["members"]
    people = members[~(members["is_staff"] | members["is_bot"])]["member_id"]
    events = tables["events"]
    local = (events["ts"].dt.tz_convert("Asia/Shanghai")).dt.strftime("%Y-%m-%d")
    expected = events["event"].isin(INTERACTIONS) & (local <= "2025-08-20") & events["member_id"].isin(people)
    assert (rows["kind"] == "interaction").sum() == expected.sum() > 0


def test_orders_without_kind_are_goods_and_say_so(frames: dict[str, pd.DataFrame]) -> None:
    dataset = source.open({"orders": frames["orders"].drop(columns=["kind", "discount", "refund"])})
    found = fetch(activity(dataset, as_of=AS_OF, value_weights={"goods": 2}))
    assert found["value"].tolist() == [200.0, 100.0, 20.0]
    assert "3 orders do not state their kind and count as goods" in account(dataset, as_of=AS_OF).sentence


def test_population_from_members(opened: Callable[..., source.Dataset]) -> None:
    found = population(opened(), as_of=AS_OF).to_pandas().set_index("member_id")
    assert sorted(found.index) == ["a", "b", "c"]
    left = pd.to_datetime(found["left_day"])
    assert left["b"] == pd.Timestamp("2026-03-15")
    assert left[["a", "c"]].isna().all()


def test_population_from_activity(opened: Callable[..., source.Dataset]) -> None:
    found = Study.of(opened("events", "orders"), AS_OF).population.to_pandas().set_index("member_id")
    joined = pd.to_datetime(found["joined_day"]).dt.strftime("%Y-%m-%d").to_dict()
    assert joined == {
        "a": "2026-03-05",
        "b": "2026-03-01",
        "bot": "2026-03-01",
        "staff": "2026-03-07",
        "stranger": "2026-03-02",
    }
    assert found["left_day"].isna().all()


@pytest.mark.parametrize(
    ("weights", "unit"),
    [
        (None, "CNY"),
        ({"goods": 1, "tip": 1}, "CNY"),
        ({"goods": 1, "tip": 0, "share": 0}, "CNY"),
        ({"goods": 1, "tip": 0.5}, "points"),
        ({"goods": 1, "share": 2}, "points"),
    ],
)
def test_unit(opened: Callable[..., source.Dataset], weights: dict[str, float] | None, unit: str) -> None:
    assert account(opened(), as_of=AS_OF, value_weights=weights).unit == unit


def test_unit_without_orders_is_points(opened: Callable[..., source.Dataset]) -> None:
    assert account(opened("events"), as_of=AS_OF).unit == "points"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"shere": 1}, r"'shere'.*goods, tip, comment, like, share, view.*Did you mean \"share\""),
    ],
)
def test_bad_weights(opened: Callable[..., source.Dataset], weights: dict[str, float], message: str) -> None:
    with pytest.raises(BadParameters, match=message):
        activity(opened(), as_of=AS_OF, value_weights=weights)


def test_known_names_that_are_absent_are_accepted(opened: Callable[..., source.Dataset]) -> None:
    found = activity(opened(), as_of=AS_OF, value_weights={"membership": 1, "repost": 1})
    assert fetch(found)["value"].sum() == 0


def test_neither_events_nor_orders(opened: Callable[..., source.Dataset]) -> None:
    with pytest.raises(MissingTable, match="events, messages or orders missing"):
        activity(opened("members"), as_of=AS_OF)


def test_bad_day(opened: Callable[..., source.Dataset]) -> None:
    with pytest.raises(BadParameters, match='must be a day such as "2026-06-30"'):
        activity(opened(), as_of="end of March")


def test_a_refund_lowers_value_on_its_own_day_and_is_no_order(
    opened: Callable[..., source.Dataset], frames: dict[str, pd.DataFrame]
) -> None:
    more = pd.DataFrame(
        {"order_id": ["C1"], "member_id": ["b"], "paid_at": utc("2026-03-08"), "gross": [-40.0]}
    )
    orders = pd.concat([frames["orders"], more.assign(currency="CNY")], ignore_index=True)
    refunds = pd.DataFrame(
        {"order_id": ["o1", "o2", "lost"], "refunded_at": utc(*["2026-03-20"] * 2, "2026-03-21")}
    )
    dataset = opened("orders", "members", orders=orders, refunds=refunds.assign(amount=[30.0, 5.0, 1.0]))
    before, after = (fetch(activity(dataset, as_of=day)) for day in ("2026-03-19", "2026-03-20"))
    assert before.groupby("member_id")["value"].sum().to_dict() == {"a": 80.0, "b": 5.0}
    assert after.groupby("member_id")["value"].sum().to_dict() == {"a": 50.0, "b": 0.0}
    study = Study.of(dataset, "2026-03-31")
    assert study.counted.count().execute() == 2 and study.purchases.count().execute() == 2
    for part in ("3 refunds lower the value", "1 rows without a member"):
        assert part in study.account.sentence


def test_money_in_another_currency_is_refused(tmp_path: Path, frames: dict[str, pd.DataFrame]) -> None:
    class Parameters(CommonParameters):
        tables = ("orders",)

    frames["orders"].assign(currency="USD").to_csv(tmp_path / "orders.csv", index=False)
    with pytest.raises(BadParameters, match=r"currency == 'CNY', but orders is in USD \(4 rows\)"):
        Study.open(Parameters(data=str(tmp_path)))
    fingerprint.check_currency(fingerprint.currencies(tmp_path, None, ContentCache()), "USD")
    for name, kind in (("a.parquet", "USD"), ("b.parquet", "EUR")):
        (tmp_path / "orders").mkdir(exist_ok=True)
        frames["orders"].assign(currency=kind).to_parquet(tmp_path / "orders" / name)
    (tmp_path / "orders.csv").unlink()
    found = fingerprint.currencies(tmp_path, None, ContentCache())
    with pytest.raises(BadParameters, match=r"USD \(4 rows\), EUR \(4 rows\)"):
        fingerprint.check_currency(found, "USD")


def test_money_without_a_currency_is_taken_to_be_in_that_of_the_report(
    opened: Callable[..., source.Dataset],
) -> None:
    orders = opened("orders").orders.drop("currency").to_pandas()
    study = Study.of({"orders": orders}, AS_OF, currency="EUR")
    assert study.unit == "EUR"
    assert "No table states a currency, so money is taken to be EUR." in study.account.sentence
    assert "states a currency" not in Study.of(opened(), AS_OF).account.sentence
