"""CSV text is understood or named precisely, never guessed."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import random
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from helpers.data import cells, engine, source, views
from helpers.data.contract import ContractError, Violation
from helpers.data.schema import Column
from helpers.errors import BadData, BadParameters

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
HEADER = "order_id,member_id,paid_at,gross"
Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write files, given as path and content, into a folder and return it."""

    def writer(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return writer


def orders(*rows: str, header: str = HEADER) -> dict[str, str | bytes]:
    return {"orders.csv": "\n".join([header, *rows]) + "\n"}


def violations(folder: object, **options: object) -> list[Violation]:
    with pytest.raises(ContractError) as caught:
        source.open(folder, now=NOW, **options)  # type: ignore[arg-type]
    return list(caught.value.violations)


def only(folder: object, **options: object) -> Violation:
    found = violations(folder, **options)
    assert len(found) == 1, [v.sentence for v in found]
    return found[0]


def frame(folder: object, table: str = "orders", **options: object) -> pd.DataFrame:
    return source.open(folder, now=NOW, **options)[table].execute()  # type: ignore[arg-type]


NUMBERS = {
    "1234.5": 1234.5,
    '"1,234"': 1234.0,
    '"1,234,567.25"': 1234567.25,
    "1.2万": 12000.0,
    "3.4w": 34000.0,
    "3.4W": 34000.0,
    "2亿": 2e8,
    '"1,234.5万"': 12345000.0,
    "-3": -3.0,
    "1e5": 1e5,
    " 7 ": 7.0,
    "-": None,
    "--": None,
    "": None,
}


def test_numbers_are_understood(write: Writer) -> None:
    rows = [f"{i},1,2025-01-05T08:00Z,1,{text}" for i, text in enumerate(NUMBERS)]
    read = frame(write(orders(*rows, header=HEADER + ",margin"))).set_index("order_id")["margin"]
    for i, (text, value) in enumerate(NUMBERS.items()):
        assert pd.isna(read[str(i)]) if value is None else read[str(i)] == value, text


def test_other_numbers_are_named(write: Writer) -> None:
    texts = ["abc", '"1,23"', "3万+", "1.2.3", "¥5", "1_000", "0x1A", "(5)", "1 2", "１２"]
    rows = [f"{i},1,2025-01-05T08:00Z,{text}" for i, text in enumerate(["3", *texts])]
    found = only(write(orders(*rows)))
    assert (found.column, found.rule, found.count) == ("gross", "unreadable number", len(texts))
    assert found.examples[:2] == ({"order_id": "1", "gross": "abc"}, {"order_id": "2", "gross": "1,23"})


def test_percentages(write: Writer) -> None:
    found = only(write(orders("1,1,2025-01-05T08:00Z,12.3%")))
    assert (found.rule, found.count) == ("percentage", 1) and "numerator" in found.advice
    share = "creator_id,as_of,target_share,followers\n007,2025-01-05,12.3%,1.2万\n"
    read = frame(write({"orders.csv": HEADER, "creators.csv": share}), "creators")
    assert read["target_share"][0] == pytest.approx(0.123)
    assert (read["creator_id"][0], read["followers"][0]) == ("007", 12000)


def reference(text: str) -> Decimal | None:
    """Read a number as the documentation says, independently of the engine; None when it must not be."""
    unit = re.fullmatch(r"([+-]?)(.*?)\s?([万wW亿]?)", text, flags=re.ASCII | re.DOTALL)
    assert unit is not None
    sign, digits, scale = unit.groups()
    if not re.fullmatch(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", digits, flags=re.ASCII):
        return None
    factor = {"": 1, "万": 10**4, "w": 10**4, "W": 10**4, "亿": 10**8}[scale]
    return Decimal(sign + digits.replace(",", "")) * factor


def numeric_texts(count: int) -> list[str]:
    """Texts that look like numbers, many of them not quite."""
    draw = random.Random(7)

    def some(low: int, high: int) -> str:
        return "".join(draw.choices("0123456789", k=draw.randint(low, high)))

    units = ("", "", *(blank + letter for blank in ("", " ") for letter in "万wW亿k"))
    texts = []
    for _ in range(count):
        groups = [some(1, 6), *(some(2, 4) for _ in range(draw.choice((0, 0, 1, 2))))]
        fraction = draw.choice(("", f".{some(1, 4)}"))
        texts.append(draw.choice(("", "", "+", "-")) + ",".join(groups) + fraction + draw.choice(units))
    return texts


def test_number_parser_equals_the_reference() -> None:
    plain = ["1,234", "12,34", "1.2万", "3.4w", "2 亿", "1,234.5亿", "0001", "1,234,567", "5k"]
    texts = plain + numeric_texts(3_000)
    cell = cells.cell(Column("x", "float"))
    rows = duckdb.execute(f"SELECT x, {cell.value} FROM (SELECT unnest(?) AS x)", [texts]).fetchall()
    assert len(rows) == len(texts)
    for text, value in rows:
        expected = reference(text)
        assert value == (None if expected is None else pytest.approx(float(expected), rel=1e-12)), text
    assert 0.2 < sum(value is None for _, value in rows) / len(rows) < 0.8


TIMES = {
    "2025-01-05T08:00:00Z": "2025-01-05 08:00",
    "2025-01-05T08:00:00.250+08:00": "2025-01-05 00:00:00.25",
    "2025-01-05 08:00 +0800": "2025-01-05 00:00",
    "2025/1/5 8:00+08:00": "2025-01-05 00:00",
    "2025-01-05 08:00:00 UTC": "2025-01-05 08:00",
    "2025-01-05T08:00-03:30": "2025-01-05 11:30",
}


def test_times_with_an_offset_are_instants(write: Writer) -> None:
    read = frame(write(orders(*(f"{i},1,{text},5" for i, text in enumerate(TIMES)))))
    assert list(read.sort_values("order_id")["paid_at"]) == [pd.Timestamp(each) for each in TIMES.values()]


def test_local_times_need_a_declared_zone(write: Writer) -> None:
    folder = write(orders("1,1,2025-01-05 08:00:00,5", "2,1,2025/1/5 8:00,5", "3,1,2025年1月5日 08:00,5"))
    found = only(folder)
    assert (found.column, found.rule, found.count) == ("paid_at", "local time without a zone", 3)
    assert found.examples[0] == {"order_id": "1", "paid_at": "2025-01-05 08:00:00"}
    assert "local_tz='Asia/Shanghai'" in found.advice
    for options in (
        {"data": folder, "local_tz": "Asia/Shanghai"},
        {"data": f"{folder}?local_tz=Asia/Shanghai"},
    ):
        dataset = source.open(**options, now=NOW)
        assert set(dataset.orders.execute()["paid_at"]) == {pd.Timestamp("2025-01-05 00:00")}
        assert any("3 times without a zone read as Asia/Shanghai" in note for note in dataset.notes)


def test_mixed_zones_in_one_column(write: Writer) -> None:
    folder = write(orders("1,1,2025-01-05T08:00Z,5", "2,1,2025-01-05 08:00,5", "3,1,2025-01-06T08:00Z,5"))
    found = only(folder)
    assert (found.rule, found.count) == ("mixed times with and without a zone", 1)
    assert [row["order_id"] for row in found.examples] == ["2", "1"]
    assert "2 rows with an offset and 1 without" in found.advice


def test_summer_time(write: Writer) -> None:
    rows = ("1,1,2024-03-10 02:30,5", "2,1,2024-11-03 01:30,5", "3,1,2024-07-01 12:00,5")
    found = only(write(orders(*rows)), local_tz="America/New_York")
    assert (found.rule, found.count) == ("local time that does not exist", 1)
    dataset = source.open(write(orders(*rows[1:])), now=NOW, local_tz="America/New_York")
    assert dataset.orders.execute()["paid_at"][1] == pd.Timestamp("2024-07-01 16:00")
    assert any("1 of them" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("unit", "number"), [("s", "1736064000"), ("ms", "1736064000000"), ("us", "1736064000000000")]
)
def test_numbers_since_1970_must_be_declared(write: Writer, unit: str, number: str) -> None:
    folder = write(orders(f"1,1,{number},5"))
    found = only(folder)
    assert (found.rule, found.count) == ("number instead of a time", 1)
    assert "epoch={'orders.paid_at': 's'}" in found.advice
    declared = {"epoch": {"orders.paid_at": unit}} if unit == "s" else {}
    folder = folder if declared else f"{folder}?epoch=orders.paid_at:{unit}"  # type: ignore[assignment]
    assert frame(folder, **declared)["paid_at"][0] == pd.Timestamp("2025-01-05 08:00")


def test_other_times_are_named(write: Writer) -> None:
    texts = ("2025-02-30T08:00Z", "05/01/2025 08:00", "yesterday")
    found = only(write(orders(*(f"{text},1,{text},5" for text in texts))))
    assert (found.rule, found.count) == ("unreadable time", 3)


def test_days_and_booleans(write: Writer) -> None:
    head = "date,scope_type,scope_id,metric,value,is_complete\n"
    rows = (
        "20250101,a,a,m,1,是",
        "2025/1/2,a,a,m,1,0",
        "2025年1月3日,a,a,m,1,TRUE",
        "2025-01-04 00:00:00,a,a,m,1,",
    )
    read = frame(write({"metric_daily.csv": head + "\n".join(rows)}), "metric_daily")
    assert list(pd.to_datetime(read["date"]).dt.day) == [1, 2, 3, 4]
    assert list(read["is_complete"][:3]) == [True, False, True] and pd.isna(read["is_complete"][3])
    bad = write({"metric_daily.csv": head + "2025-01-01 08:00,a,a,m,1,maybe\n2025-13-01,a,b,m,1,\n"})
    rules = {(v.column, v.rule) for v in violations(bad)}
    assert rules == {
        ("date", "day with a time of day"),
        ("date", "unreadable day"),
        ("is_complete", "unreadable boolean"),
    }


def test_ids_keep_their_zeros_and_spreadsheet_marks_are_named(write: Writer) -> None:
    dataset = source.open(write(orders("007,\t012345678901234567\t,2025-01-05T08:00Z,5")), now=NOW)
    read = dataset.orders.execute()
    assert (read["order_id"][0], read["member_id"][0]) == ("007", "012345678901234567")
    assert any("1 row with blanks or tabs around an id" in note for note in dataset.notes)
    found = violations(write(orders("'7,1.23E+18,2025-01-05T08:00Z,5", "=8,2,2025-01-05T08:00Z,5")))
    assert [(v.column, v.rule, v.count) for v in found] == [
        ("order_id", "spreadsheet mark around an id", 2),
        ("member_id", "damaged id", 1),
    ]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("utf-8", False), ("utf-8-sig", True), ("utf-16", False), ("gbk", True), ("gb18030", False)],
)
def test_encodings(write: Writer, encoding: str, packed: bool) -> None:
    text = f"{HEADER},platform\n" + "".join(f"{i},1,2025-01-05T08:00Z,5,抖音社区\n" for i in range(300))
    content = text.encode(encoding)
    folder = write({"orders.csv.gz": gzip.compress(content)} if packed else {"orders.csv": content})
    dataset = source.open(folder, now=NOW)
    assert dataset.orders.platform.nunique().execute() == 1
    assert dataset.orders.platform.max().execute() == "抖音社区"
    assert any("read as" in note for note in dataset.notes) == (encoding not in ("utf-8", "utf-8-sig"))


def test_an_unclear_encoding_is_named(write: Writer) -> None:
    text = f"{HEADER},platform\n1,1,2025-01-05T08:00Z,5,café crème à la carte\n"
    found = only(write({"orders.csv": text.encode("latin-1")}))
    assert (found.rule, found.table) == ("unreadable file", "orders")


def test_two_row_headers(write: Writer) -> None:
    titles = f"订单信息,,,金额\n{HEADER}\n1,1,2025-01-05T08:00Z,5\n"
    dataset = source.open(write({"orders.csv": titles}), now=NOW)
    assert dataset.orders.count().execute() == 1
    assert any("1 line above the column names left out" in note for note in dataset.notes)
    found = only(write(orders("订单号,会员号,支付时间,金额", "1,1,2025-01-05T08:00Z,5")))
    assert (found.column, found.rule) == ("paid_at, gross", "two-row header")
    assert found.examples[0] == {"paid_at": "支付时间", "gross": "金额"}


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(write: Writer, delimiter: str) -> None:
    lines = [HEADER, "1,1,2025-01-05T08:00Z,5"]
    assert len(frame(write({"orders.csv": "\n".join(lines).replace(",", delimiter)}))) == 1


def test_malformed_rows_duplicate_columns_and_empty_files(write: Writer) -> None:
    short = only(write(orders("1,1,2025-01-05T08:00Z,5", *["2,3"] * 10)))
    assert (short.rule, short.count, short.examples[0]["line"]) == ("malformed row", 10, 3)
    for second in ("gross", "Gross"):
        twice = only(write(orders("1,1,2025-01-05T08:00Z,5,6", header=f"{HEADER},{second}")))
        assert (twice.column.split(", ")[-1], twice.rule) == (second, "duplicate column")
    assert only(write({"orders.csv": ""})).rule == "unreadable file"
    (write({}) / "orders.csv").unlink()
    assert only(write({"orders.parquet": b"no parquet"})).rule == "unreadable file"


def test_several_tables_and_files_in_one_error(write: Writer) -> None:
    files = orders("1,1,2025-01-05 08:00,12%") | {"events.csv": b"", "costs.csv": "cost_id\n1\n"}
    found = violations(write(files))
    assert {v.table for v in found} == {"orders", "events", "costs"}
    assert {"local time without a zone", "percentage", "unreadable file", "missing column"} <= {
        v.rule for v in found
    }


def test_text_is_an_error_even_without_the_check(write: Writer) -> None:
    with pytest.raises(ContractError, match="unreadable number"):
        source.open(write(orders("1,1,2025-01-05T08:00Z,abc")), check=False)


def test_an_empty_table_is_valid(write: Writer) -> None:
    folder = write(orders())
    assert frame(folder).empty
    assert source.open(folder).orders.schema()["paid_at"].is_timestamp()


def test_columns_outside_the_contract(write: Writer) -> None:
    folder = write(orders("1,1,2025-01-05T08:00Z,5,12.5,007,a", header=HEADER + ",spend,code,vip"))
    dataset = source.open(folder, now=NOW)
    assert dataset.orders.execute().loc[0, ["spend", "code", "vip"]].tolist() == [12.5, "007", "a"]
    assert any("orders.spend: not in the contract, read as a number" in note for note in dataset.notes)


def test_contact_data_are_not_even_in_the_temporary_file(write: Writer) -> None:
    rows = "m1,2025-01-05T08:00Z,secret words,13800138000\n"
    dataset = source.open(write({"messages.csv": "message_id,ts,text,phone\n" + rows}), now=NOW)
    assert dataset.withheld == {"messages": ("text", "phone")} and dataset.messages.count().execute() == 1
    copy = Path(dataset.messages.get_backend().workspace) / "messages.parquet"
    assert copy.is_file()
    assert not {"secret words", "13800138000"} & set(pd.read_parquet(copy).astype(str).to_numpy().ravel())


def test_partitions(write: Writer) -> None:
    head = "platform,campaign_id,creative_id,cost"
    folder = write(
        {
            "ad_daily/date=2025-01-01/a.csv": f"{head}\ndouyin,1,1,5\n",
            "ad_daily/date=2025-01-02/a.csv": f"{head},clicks\ndouyin,1,1,5,7\n",
        }
    )
    read = frame(folder, "ad_daily")
    assert list(pd.to_datetime(read["date"]).dt.day) == [1, 2] and read["clicks"][1] == 7
    parts = pd.DataFrame({"platform": "x", "campaign_id": "1", "creative_id": "1", "cost": [1.0]})
    for day in ("2025-01-01", "2025-01-02"):
        (folder / "pq/ad_daily" / f"date={day}").mkdir(parents=True)
        parts.to_parquet(folder / "pq/ad_daily" / f"date={day}" / "a.parquet")
    assert list(pd.to_datetime(frame(folder / "pq", "ad_daily")["date"]).dt.day) == [1, 2]


def test_names_that_the_reader_uses_itself(write: Writer) -> None:
    odd = "__padded,value of gross,verdict on gross,a.b,filename"
    read = frame(write(orders("1,1,2025-01-05T08:00Z,5,a,b,c,d,e", header=f"{HEADER},{odd}")))
    assert read.loc[0, odd.split(",")].tolist() == list("abcde")
    found = only(write(orders("1,1,2025-01-05T08:00Z,5,6", header=f"{HEADER},a\x01b")))
    assert (found.column, found.rule) == (r"a\x01b", "unreadable column name")


def test_of_columns_outside_the_contract_the_first_are_read_and_the_others_named(write: Writer) -> None:
    names = [f"x{i}" for i in range(views.MOST_OTHERS + 50)]
    row = "1,1,2025-01-05T08:00Z,5" + ",7" * len(names)
    dataset = source.open(write(orders(row, header=",".join([HEADER, *names]))), now=NOW)
    assert len(dataset.orders.columns) == 4 + views.MOST_OTHERS
    assert any("x200 to x249 (50)" in note for note in dataset.notes)


def test_ids_of_a_spreadsheet_or_of_an_open_quotation_mark_are_named(write: Writer) -> None:
    rows = ("1,NULL,2025-01-05T08:00Z,5", "2,,2025-01-05T08:00Z,5", "3,13085.0,2025-01-05T08:00Z,5")
    found = {v.rule: v.count for v in violations(write(orders(*rows)))}
    assert found == {"null required value": 1, "null written as a word": 1, "id with a decimal point": 1}
    swallowed = ('1,"a', '2,b",2025-01-05T08:00Z,5')
    assert only(write(orders(*swallowed))).rule == "line break in a name"


def test_offsets_that_no_clock_has_are_named(write: Writer) -> None:
    rows = [f"{i},1,2025-01-05T08:00{offset},5" for i, offset in enumerate(("+14:00", "-12:00", "+99:00"))]
    found = only(write(orders(*rows, "9,1,2025-01-05 08:00 -13:00,5")))
    assert (found.rule, found.count) == ("unreadable time", 2)


@pytest.mark.parametrize("ends", ["\r\n|\n", "\n|\r\n", "\r|\r"])
def test_line_ends(write: Writer, ends: str) -> None:
    first, second = ends.split("|")
    text = f"{HEADER}{first}1,1,2025-01-05T08:00Z,5{second}2,1,2025-01-05T08:00Z,5{second}"
    dataset = source.open(write({"orders.csv": text}), now=NOW)
    assert sorted(dataset.orders.order_id.execute()) == ["1", "2"]
    assert any("lines end in more than one way" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "cut", [b"\xff\xfeo\x00r", b"\xef\xbb\xbforder\xff", gzip.compress(b"x" * 999, mtime=0)[:-9]]
)
def test_files_that_are_cut_off_are_named(write: Writer, cut: bytes) -> None:
    folder = write({"orders.csv.gz" if cut.startswith(b"\x1f\x8b") else "orders.csv": cut})
    assert only(folder).rule == "unreadable file"
    with pytest.raises(BadData):
        source.fingerprint(folder)


def test_other_files_in_the_folder_of_a_table_are_read_or_named(write: Writer) -> None:
    row = "2025-01-05T08:00Z,5\n"
    files = {
        "orders/a*.csv": f"{HEADER}\n1,1,{row}",
        "orders/ab.CSV": f"{HEADER}\n2,1,{row}",
        "orders/c.tsv": f"{HEADER}\n3,1,{row}".replace(",", "\t"),
        "orders/.hidden.csv": f"{HEADER}\n4,1,{row}",
        "orders/_temporary/d.csv": f"{HEADER}\n5,1,{row}",
        ".orders.csv": "",
    }
    folder = write(dict(files))
    assert sorted(frame(folder)["order_id"]) == ["1", "2", "3"]
    write({"orders/e.csv.zst": b"", "orders/deep/f.xlsx": b""})
    (folder / "orders/g.csv").symlink_to("nowhere.csv")
    (folder / "orders/h").symlink_to(folder)
    os.mkfifo(folder / "orders/i.csv")
    found = only(folder)
    assert (found.rule, found.column) == ("unread file", "(file)")
    assert "orders/deep/f.xlsx, orders/e.csv.zst, orders/g.csv and 2 more" in found.advice
    with pytest.raises(BadData, match="Not read"):
        source.fingerprint(folder)
    assert "costs" in source.open(write({"costs.csv": "cost_id,date,kind,amount\n"}), tables=["costs"])


def test_folders_that_name_a_column(write: Writer) -> None:
    row = "1,2025-01-05T08:00Z,5"
    files = {
        "orders/currency=USD/a.csv": f"{HEADER},currency\n1,{row},USD\n2,{row},\n",
        "orders/currency=USD/b.csv": f"{HEADER},platform\n3,{row},抖音社区\n".encode("gbk"),
        "orders/c.csv": f"{HEADER},currency\n4,{row},USD\n",
    }
    assert set(frame(write(dict(files)))["currency"]) == {"USD"}
    found = only(write({"orders/currency=USD/a.csv": f"{HEADER},currency\n1,{row},USD\n2,{row},CNY\n"}))
    assert (found.column, found.rule, found.count) == ("currency", "folder name against file", 1)


def parquet(folder: Path, **parts: pd.DataFrame) -> Path:
    for name, part in parts.items():
        (folder / "orders").mkdir(exist_ok=True)
        part.to_parquet(folder / "orders" / f"{name}.parquet")
    return folder


def test_parts_of_unlike_kinds_are_named(tmp_path: Path) -> None:
    sound = pd.DataFrame({"order_id": ["007", "8"], "member_id": "1", "gross": 1.0})
    sound["paid_at"] = pd.to_datetime(["2025-01-05"] * 2, utc=True)
    naive = sound.assign(
        order_id=["9", "10"], paid_at=sound["paid_at"].dt.tz_localize(None), margin=[None] * 2
    )
    whole = sound.assign(order_id=[7, 11], margin=1.5).head(1)
    found = {v.column: v for v in violations(parquet(tmp_path, a=sound, b=naive, c=whole))}
    assert {v.rule for v in found.values()} == {"parts of unlike types"} and found.keys() == {
        "order_id",
        "paid_at",
    }
    assert (found["order_id"].count, found["paid_at"].count) == (1, 2)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    many = pd.DataFrame({"order_id": [f"{i:09d}" for i in range(9_999)], "member_id": "1", "gross": 1.0})
    many["paid_at"] = pd.Timestamp("2025-01-05", tz="UTC")
    path = parquet(tmp_path, a=many) / "orders/a.parquet"
    content = bytearray(path.read_bytes())
    content[200:4_000] = bytes(3_800)
    path.write_bytes(bytes(content))
    assert only(tmp_path).rule == "unreadable file"


def test_files_that_are_no_table_are_listed(write: Writer) -> None:
    files = orders() | {"order.csv": "", "notes.xlsx": "", "truth.json": "{}", "README.md": ""}
    dataset = source.open(write(files))
    assert dataset.unrecognised == ("notes.xlsx", 'order.csv Did you mean "orders"?')


def test_a_table_that_is_there_twice(write: Writer) -> None:
    with pytest.raises(BadData, match=re.escape("orders as orders.csv and orders.csv.gz")):
        source.open(write(orders() | {"orders.csv.gz": gzip.compress(HEADER.encode())}))


def test_options_are_checked(write: Writer) -> None:
    folder = write(orders())
    with pytest.raises(BadParameters, match=r"local_tz == 'Asia/Shanghia'.*Did you mean \"Asia/Shanghai\""):
        source.open(folder, local_tz="Asia/Shanghia")
    with pytest.raises(BadParameters, match=r"events\.tss"):
        source.open(folder, epoch={"events.tss": "s"})
    with pytest.raises(BadParameters, match="must be one of 's', 'ms', 'us'"):
        source.open(folder, epoch={"events.ts": "ns"})
    with pytest.raises(BadParameters, match='Did you mean "local_tz"'):
        source.open(f"{folder}?localtz=UTC")


def test_nothing_is_downloaded() -> None:
    con = engine.connect()
    names = ("autoinstall_known_extensions", "autoload_known_extensions")
    values = con.con.execute(f"SELECT {', '.join(f'current_setting({n!r})' for n in names)}").fetchone()
    assert values == (False, False)
    # Time zones work with what the wheel carries: nothing is installed, and a query that needs an
    # extension from the network fails at once instead of fetching it.
    assert con.con.execute(
        "SELECT timezone('Asia/Shanghai', TIMESTAMPTZ '2025-01-01 20:00Z')"
    ).fetchone() == (dt.datetime(2025, 1, 2, 4),)
    installed = "installed AND install_mode <> 'STATICALLY_LINKED'"
    query = f"SELECT extension_name FROM duckdb_extensions() WHERE {installed}"
    assert con.con.execute(query).fetchall() == []
    with pytest.raises(duckdb.Error):
        con.con.execute("SELECT * FROM 'https://example.invalid/orders.parquet'")
