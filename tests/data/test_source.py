"""Every kind of place gives the same lazy tables, without contact data and without secrets."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
import zoneinfo
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
import pytest

from helpers.data import engine, source
from helpers.data.source import Dataset
from helpers.errors import BadData, BadParameters, MissingTable


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    orders = pd.DataFrame(
        {
            "order_id": ["01", "02", "03"],
            "member_id": ["007", "008", "007"],
            "paid_at": pd.to_datetime(
                ["2025-01-01 20:00:00", "2025-01-02 01:00:00", "2025-01-03 15:59:59"], utc=True
            ),
            "gross": [10.5, 20.0, 30.0],
            "currency": "CNY",
            "kind": pd.Categorical(["tip", "goods", "goods"]),
            "phone": ["13800138000", None, "1"],
            "vip": [True, False, True],
        }
    )
    members = pd.DataFrame(
        {"member_id": ["007", "008"], "joined_at": pd.to_datetime(["2024-01-01"] * 2, utc=True)}
    )
    return {"orders": orders, "members": members}


@pytest.fixture
def folder(tmp_path: Path, frames: dict[str, pd.DataFrame]) -> Path:
    frames["orders"].to_parquet(tmp_path / "orders.parquet")
    frames["members"].to_csv(tmp_path / "members.csv", index=False)
    return tmp_path


def file_of(folder: Path) -> Path:
    """Write the same tables to a DuckDB file."""
    path = folder / "community.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"CREATE TABLE orders AS FROM '{folder}/orders.parquet'")
        con.execute("CREATE TABLE members AS SELECT '007' AS member_id, TIMESTAMP '2024-01-01' AS joined_at")
        con.execute("CREATE TABLE scratch AS SELECT 1 AS x")
    return path


def test_frames_folder_and_database_give_equal_tables(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    path = file_of(folder)
    places = [frames, folder, str(folder), f"file://{folder}", f"duckdb://{path}", path]
    results = [source.open(place).orders.order_by("order_id") for place in places]
    for table in results[1:]:
        assert table.schema() == results[0].schema()
        pd.testing.assert_frame_equal(table.execute(), results[0].execute())
    assert results[0].execute()["paid_at"][0] == pd.Timestamp("2025-01-01 20:00")


def test_opening_is_lazy_and_reads_only_the_columns_asked_for(folder: Path) -> None:
    dataset = source.open(folder)
    plan = dataset.orders.get_backend().con.execute(
        "EXPLAIN " + ibis.to_sql(dataset.orders.aggregate(total=dataset.orders.gross.sum()), dialect="duckdb")
    )
    text = plan.fetchall()[0][1]
    assert "READ_PARQUET" in text.upper() and "gross" in text
    assert "currency" not in text and "paid_at" not in text


def test_a_database_lists_what_is_no_table(folder: Path) -> None:
    dataset = source.open(f"duckdb://{file_of(folder)}")
    assert list(dataset.tables) == ["members", "orders"] and dataset.unrecognised == ("scratch",)
    assert any("members: joined_at without a time zone, taken as UTC" in note for note in dataset.notes)


def test_contact_data_and_free_text_are_withheld(frames: dict[str, pd.DataFrame]) -> None:
    hidden = ["wechat_id", "手机号", "邮箱", "Email", "ip_address", "id_card", "user_phone"]
    frames["orders"] = frames["orders"].assign(
        **dict.fromkeys(hidden, "x"), zip_code="1", telling="a", qq_share=1.0
    )
    frames["messages"] = pd.DataFrame(
        {"message_id": ["1"], "text": ["hi"], "ts": [pd.Timestamp("2025-01-01", tz="UTC")]}
    )
    dataset = source.open(frames)
    assert set(dataset.withheld["orders"]) == {*hidden, "phone"} and dataset.withheld["messages"] == ("text",)
    assert {"zip_code", "telling", "qq_share", "vip"} <= set(dataset.orders.columns)
    assert "text" not in dataset.messages.columns


def test_dataset_as_a_collection(folder: Path) -> None:
    dataset = source.open(folder)
    assert list(dataset.tables) == ["members", "orders"] and "orders" in dataset and "events" not in dataset
    assert isinstance(dataset["orders"], ibis.expr.types.Table) and "orders" in dir(dataset)
    with pytest.raises(MissingTable, match=r"^table events missing$"):
        _ = dataset["events"]
    with pytest.raises(MissingTable, match=r"^table events missing$"):
        _ = dataset.events
    assert not hasattr(dataset, "events")
    with pytest.raises(AttributeError, match='Did you mean "orders"'):
        _ = dataset.order
    one = dataset.replace(orders=dataset.orders.filter(dataset.orders.gross > 15))
    assert (one.orders.count().execute(), dataset.orders.count().execute()) == (2, 3)
    assert isinstance(one, Dataset) and one.withheld == dataset.withheld and one.url == dataset.url


def test_only_named_tables_are_read(folder: Path) -> None:
    (folder / "events.csv").write_bytes(b"")
    assert source.open(folder, tables=["orders"]).tables.keys() == {"orders"}
    assert source.open(folder, tables=["orders", "costs"]).tables.keys() == {"orders"}
    with pytest.raises(BadParameters, match='Did you mean "orders"'):
        source.open(folder, tables=["order"])


def test_files_that_held_the_contract_are_not_asked_again_until_they_change(
    folder: Path, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYBOOK_CACHE", str(folder / "cache"))
    old = dt.datetime(2026, 1, 1).timestamp()
    for name in ("orders.parquet", "members.csv"):
        os.utime(folder / name, (old, old))
    asked: list[str] = []
    check = source.contract.check
    monkeypatch.setattr(
        source.contract, "check", lambda tables, **how: asked.extend(tables) or check(tables, **how)
    )
    for expected in (["orders", "members"], []):
        asked.clear()
        source.open(folder)
        assert sorted(asked) == sorted(expected)
    source.open(folder, now=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert sorted(asked) == ["members", "orders"]
    asked.clear()
    frames["orders"].assign(gross=-1e400).to_parquet(folder / "orders.parquet")
    for _ in range(2):  # what breaks it is told each time
        with pytest.raises(BadData, match=r"orders\.gross: impossible value in 3 rows"):
            source.open(folder)
    assert asked == ["orders", "orders"]


def test_places_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="does not exist"):
        source.open(tmp_path / "nowhere")
    with pytest.raises(BadData, match=r"no table of the contract\. It is empty"):
        source.open(tmp_path)
    (tmp_path / "order.csv").write_text("x")
    with pytest.raises(BadData, match=r'order\.csv Did you mean "orders"'):
        source.open(tmp_path)
    with pytest.raises(BadData, match="no DuckDB file"):
        source.open(f"duckdb://{tmp_path}/none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()
    with pytest.raises(BadData, match="is a file"):
        source.open(tmp_path / "order.csv")
    with pytest.raises(BadParameters, match="data == 3"):
        source.open(3)


def test_a_missing_driver_names_its_extra_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "helpers.data.postgres", raising=False)
    monkeypatch.delattr("helpers.data.postgres", raising=False)
    with pytest.raises(BadData) as caught:
        source.open("postgres://anna:geheim@host/db?sslpassword=geheim")
    assert "community-playbook[postgres]" in str(caught.value)
    assert "geheim" not in str(caught.value) and "anna:***@host" in str(caught.value)


def test_a_driver_that_repeats_the_password_is_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(url: str) -> None:
        raise RuntimeError(f"cannot reach {url} with password geheim@1")

    monkeypatch.setattr(engine.ibis, "connect", connect)
    with pytest.raises(BadData) as caught:
        source.open("mysql://anna:geheim@1@host/db")
    assert "geheim" not in str(caught.value) and "cannot reach" in str(caught.value)


def test_an_encoded_password_is_silenced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(url: str) -> None:
        raise RuntimeError("login failed for ge/heim")

    monkeypatch.setattr(engine.ibis, "connect", connect)
    with pytest.raises(BadData) as caught:
        source.open("mysql://anna:ge%2Fheim@host/db")
    assert "heim" not in str(caught.value)


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)
def test_local_days_equal_those_of_the_zone_database(zone: str) -> None:
    rng = np.random.default_rng(7)
    start, end = pd.Timestamp("1995-01-01").value, pd.Timestamp("2039-12-31").value
    instants = pd.Series(pd.to_datetime(rng.integers(start, end, 1000) // 1000 * 1000))
    place = zoneinfo.ZoneInfo(zone)
    expected = [
        t.to_pydatetime().replace(tzinfo=dt.UTC).astimezone(place).replace(tzinfo=None) for t in instants
    ]
    utc = instants.dt.tz_localize("UTC")
    table = source.as_table(pd.DataFrame({"ts": instants, "utc": utc, "local": utc.dt.tz_convert(zone)}))
    wall, day = source.local_time(table.ts, zone), source.local_date(table.ts, zone)
    result = table.mutate(wall=wall, day=day).execute().set_index("ts").loc[instants]
    assert [moment.to_pydatetime() for moment in result["wall"]] == expected
    assert list(pd.to_datetime(result["day"]).dt.date) == [moment.date() for moment in expected]
    assert list(result["utc"]) == list(result["local"]) == list(result.index)


def test_local_days_are_written_for_every_engine() -> None:
    table = ibis.table({"ts": "timestamp('UTC')"}, name="t")
    day = table.select(day=source.local_date(table.ts, "Europe/Berlin"))
    change = re.compile(r"2021-03-28|2021, 3, 28")
    for dialect in ("duckdb", "postgres", "pyspark"):
        sql = ibis.to_sql(day, dialect=dialect)
        assert change.search(sql) and "timezone" not in sql.lower()


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(BadParameters, match='Did you mean "Asia/Shanghai"'):
        source.open({}, report_tz="Asia/Shangai")


def test_tables_or_frames_only(frames: dict[str, pd.DataFrame]) -> None:
    table = source.as_table(frames["orders"])
    assert source.as_table(table) is table and table.paid_at.type().timezone is None
    with pytest.raises(BadParameters, match="not a list"):
        source.as_table([1])  # type: ignore[arg-type]


def test_a_path_in_place_of_a_frame_is_refused() -> None:
    with pytest.raises(BadParameters, match=r"table members must be a pandas DataFrame .* not a str"):
        source.open({"members": "exports/members.parquet"})


def test_fingerprints_follow_the_content(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    first = source.fingerprint(folder)
    assert {name: print_.rows for name, print_ in first.items()} == {"orders": 3, "members": 2}
    assert all(re.fullmatch("[0-9a-f]{64}", print_.sha256) for print_ in first.values())
    os.utime(folder / "members.csv", (0, 0))
    assert source.fingerprint(str(folder)) == first
    with (folder / "members.csv").open("a") as file:
        file.write("009,2024-01-02 00:00:00+00:00\n")
    second = source.fingerprint(folder)
    assert second["members"].rows == 3 and second["members"] != first["members"]
    assert second["orders"] == first["orders"]


def test_fingerprints_of_frames_forget_the_order_of_rows(frames: dict[str, pd.DataFrame]) -> None:
    first = source.fingerprint(frames)["orders"]
    shuffled = frames["orders"].iloc[[2, 0, 1]].reset_index(drop=True)
    assert source.fingerprint({"orders": shuffled})["orders"] == first
    for column, value in (("gross", 11.0), ("phone", None), ("vip", False)):
        changed = frames["orders"].copy()
        changed.loc[0, column] = value
        assert source.fingerprint({"orders": changed})["orders"] != first


def test_declared_numbers_since_1970(frames: dict[str, pd.DataFrame]) -> None:
    seconds = (frames["orders"]["paid_at"] - pd.Timestamp("1970-01-01", tz="UTC")) // pd.Timedelta(seconds=1)
    numbers = frames["orders"].assign(paid_at=seconds)
    dataset = source.open({"orders": numbers}, epoch={"orders.paid_at": "s"})
    expected = source.open(frames).orders.paid_at.execute()
    pd.testing.assert_series_equal(dataset.orders.paid_at.execute(), expected)
