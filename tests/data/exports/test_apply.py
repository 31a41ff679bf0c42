"""A mapping applied: each word by hand-counted rows, and every row accounted for whatever the mapping says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.data import engine, privacy, source
from helpers.data.exports.apply import mapped
from helpers.data.exports.mapping import Mapping
from helpers.errors import BadData

Rows = list[dict[str, Any]]


def folder(place: Path, mapping: str, **files: Rows | str) -> Path:
    """Write exports and their mapping; names of files are without suffix."""
    place.mkdir(exist_ok=True)
    for name, rows in files.items():
        with (place / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            if isinstance(rows, str):
                file.write(rows)
            else:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
    (place / "mapping.yml").write_text(mapping, encoding="utf-8")
    return place


def orders(columns: str = "", *, source: str = "", table: str = "", zone: str = "UTC") -> str:
    """Return a mapping of one source to orders; later columns replace the usual ones."""
    usual = {
        "order_id": "No",
        "member_id": "Who",
        "paid_at": "Paid",
        "gross": "Net",
        "currency": "{constant: CNY}",
    }
    usual |= dict(line.split(": ", 1) for line in columns.splitlines() if line)
    lines = [f"        {name}: {value}" for name, value in usual.items()] + [f"        {table}"] * bool(table)
    return (
        f"view: buyer\nzone: {zone}\nsources:\n  shop:\n    files: ['export*.csv']\n    {source}\n    tables:\n"
        "      orders:\n" + "\n".join(lines)
    )


def row(number: str, **cells: str) -> dict[str, str]:
    """Return one row of the usual export."""
    return {
        "No": number,
        "Who": "ann",
        "Paid": "2026-05-01 10:00:00",
        "Net": "10",
        "State": "ok",
        "Off": "1",
    } | cells


def opened(place: Path, table: str = "orders") -> pd.DataFrame:
    """Return a table in the order of its key."""
    frame = source.open(place).tables[table].execute()
    return frame.sort_values(list(frame.columns[:2])).reset_index(drop=True)


def account(place: Path) -> dict[str, int]:
    """Return the rows of the only table by reason."""
    frame = source.open(place).account
    assert frame is not None
    return dict(zip(frame["reason"], frame["rows"], strict=True))


def refused(place: Path) -> str:
    """Return why a folder does not open."""
    with pytest.raises(BadData) as caught:
        source.open(place)
    return str(caught.value)


def test_rows_stay_or_are_left_out_for_the_first_reason(tmp_path: Path) -> None:
    export = [
        row("1"),
        row("2", State="void"),
        row("3", State="void", Net=""),
        row("4", Net=""),
        row("5", State=" ok "),
    ]
    where = (
        "leave_out: {not paid: {State: [void, open]}, without a price: {Net: empty}}\n    expect: {State: ok}"
    )
    place = folder(tmp_path, orders(source=where), export=export)
    assert list(opened(place)["order_id"]) == ["1", "5"]
    assert account(place) == {"mapped": 2, "not paid": 2, "without a price": 1}
    export[0]["State"] = "maybe"
    assert "State: unknown word in 1 row" in refused(folder(tmp_path, orders(source=where), export=export))


def test_money_is_read_with_its_signs_and_computed(tmp_path: Path) -> None:
    cells = {"1": "￥1,234.5", "2": "$10", "3": "€ 3", "4": "1.2万", "5": "12.00元", "6": "-5"}
    export = [row(number, Net=net, Off="2") for number, net in cells.items()]
    columns = "gross: {sum: [Net, Off]}\nmargin: {sum: [Net], minus: [Off]}\n"
    columns += "discount: {least: [Off, {constant: '1.5'}]}"
    found = opened(folder(tmp_path, orders(columns), export=export))
    assert list(found["gross"]) == [1236.5, 12, 5, 12002, 14, -3]
    assert list(found["margin"]) == [1232.5, 8, 1, 11998, 10, -7]
    assert list(found["discount"]) == [1.5] * 6 and list(found["discount_assumed"]) == ["true"] * 6
    said = refused(folder(tmp_path, orders(columns), export=[row("1", Net="ten"), row("2", Net="")]))
    assert "orders.gross: unreadable number in 1 row, such as order_id='1', gross='ten'" in said
    assert "orders.gross: null required value in 1 row" in said


def test_a_missing_cell_is_nothing_until_the_mapping_says_what_it_means(tmp_path: Path) -> None:
    columns = "discount: {column: Off, empty: '0'}\nrefund: {column: Net, when: {State: back}, assumed: true}"
    place = folder(tmp_path, orders(columns), export=[row("1", Off=""), row("2", State="back")])
    found = opened(place)
    assert list(found["discount"]) == [0, 1]
    assert found["refund"].isna().tolist() == [True, False] and found["refund"][1] == 10
    assert "orders.refund: assumed or capped as the mapping says in rows: 1." in source.open(place).notes


def test_local_times_are_read_by_their_zone_and_gaps_and_folds_are_named(tmp_path: Path) -> None:
    times = ["2026-03-28 12:00:00", "2026-10-25 02:30:00", "2026-07-01T10:00:00+08:00"]
    export = [row(str(n), Paid=time) for n, time in enumerate(times)]
    place = folder(tmp_path, orders(zone="Europe/Berlin"), export=export)
    found = opened(place)["paid_at"].astype(str).tolist()
    assert found[0] == "2026-03-28 11:00:00" and found[2] == "2026-07-01 02:00:00"
    assert any("1 of them in the hour that comes twice" in note for note in source.open(place).notes)
    said = refused(
        folder(tmp_path, orders(zone="Europe/Berlin"), export=[row("1", Paid="2026-03-29 02:30:00")])
    )
    assert "local time that does not exist in 1 row" in said
    said = refused(folder(tmp_path, orders().replace("zone: UTC\n", ""), export=[row("1")]))
    assert "local time without a zone" in said


def test_formats_and_units_of_times_are_declared(tmp_path: Path) -> None:
    export = [row("1", Paid="05/03/2026 10:00", Off="1767225600000")]
    columns = 'paid_at: {column: Paid, format: "%d/%m/%Y %H:%M", zone: Asia/Shanghai}\n'
    columns += "ingested_at: {column: Off, unit: ms}"
    found = opened(folder(tmp_path, orders(columns), export=export)).iloc[0]
    assert (
        str(found["paid_at"]) == "2026-03-05 02:00:00" and str(found["ingested_at"]) == "2026-01-01 00:00:00"
    )
    assert "unreadable time" in refused(
        folder(tmp_path, orders(columns), export=[row("1", Paid="31/31/2026 10:00")])
    )


def test_words_are_translated_and_a_word_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    columns = "kind: {column: State, values: {ok: goods, 打赏: tip}}"
    place = folder(tmp_path, orders(columns), export=[row("1"), row("2", State="打赏")])
    assert list(opened(place)["kind"]) == ["goods", "tip"]
    said = refused(folder(tmp_path, orders(columns), export=[row("1", State="gift")]))
    assert "orders.kind: unknown word in 1 row" in said and "others: keep" in said
    free = "platform: {column: State, values: {ok: shop}, others: keep}"
    assert list(opened(folder(tmp_path, orders(free), export=[row("1", State="app")]))["platform"]) == ["app"]


def test_ids_of_several_columns_and_marks_of_spreadsheets(tmp_path: Path) -> None:
    export = [row('="0012345678901234567"'), row("'77"), row("`88\t")]
    found = opened(folder(tmp_path, orders(), export=export))
    assert list(found["order_id"]) == ["0012345678901234567", "77", "88"]
    place = folder(tmp_path, orders("order_id: {key: [No, Paid], numbered: true}"), export=[row("1")] * 3)
    assert opened(place)["order_id"].str[-2:].tolist() == ["-1", "-2", "-3"]


def test_contact_data_become_the_pseudonym_that_reveal_knows(tmp_path: Path) -> None:
    export = [{"Customer Email" if k == "Who" else k: v for k, v in row("1", Who="Ann@x.org").items()}]
    place = folder(tmp_path, orders("member_id: Customer Email"), export=export)
    assert list(opened(place)["member_id"]) == [privacy.pseudonym("ann@x.org")]
    said = refused(folder(tmp_path, orders("member_id: Who"), export=[row("1", Who="138****0000")]))
    other = folder(tmp_path, orders("member_id: {key: [Who, State]}"), export=[row("1", Who="138****0000")])
    assert "masked id in 1 row" in refused(other)
    assert "masked id in 1 row" in said and "Equal masks are not equal people" in said


def test_of_overlapping_exports_the_later_wins(tmp_path: Path) -> None:
    early, late = [row("1"), row("2", Net="5"), row("3")], [row("1"), row("2", Net="7"), row("4")]
    dated = "exported_at: {export_a.csv: 2026-06-02, export_b.csv: 2026-06-01}"
    place = folder(tmp_path, orders(source=dated), export_a=late, export_b=early)
    assert opened(place).set_index("order_id")["gross"].to_dict() == {"1": 10, "2": 7, "3": 10, "4": 10}
    assert account(place) == {"mapped": 4, "replaced by a later export": 2}
    undated = folder(tmp_path, orders(), export_a=late, export_b=early)
    assert "duplicate key in 1 row" in refused(undated)
    place = folder(tmp_path, orders(), export_a=early, export_b=early)
    assert account(place) == {"mapped": 3, "repeated": 3}


def test_rows_of_one_key_are_added_or_the_first_holds_when_the_mapping_says_so(tmp_path: Path) -> None:
    export = [row("1", Net="5"), row("1", Net="7", Who="bob"), row("2", Net="")]
    assert "duplicate key" in refused(folder(tmp_path, orders(), export=export[:2]))
    place = folder(tmp_path, orders(table="same_key: sum"), export=[*export[:2], row("2")])
    assert opened(place)[["member_id", "gross"]].to_numpy().tolist() == [["ann", 12], ["ann", 10]]
    assert account(place) == {"mapped": 2, "joined to the row of its key": 1}
    assert "null required value" in refused(
        folder(tmp_path, orders(table="same_key: sum"), export=[row("2"), export[2]])
    )
    files = {"export": export[:2], "export2": export[:1]}
    said = refused(folder(tmp_path, orders(table="same_key: sum"), **files))
    assert "duplicate key in 1 row. They are in several files of source shop: say exported_at" in said
    dated = "exported_at: {export.csv: 2026-06-01, export2.csv: 2026-06-02}"
    place = folder(tmp_path, orders(source=dated, table="same_key: sum"), **files)
    assert list(opened(place)["gross"]) == [5] and account(place)["replaced by a later export"] == 2
    (tmp_path / "export2.csv").unlink()
    place = folder(tmp_path, orders(table="same_key: first"), export=export[:2])
    assert list(opened(place)["gross"]) == [5] and account(place) == {"mapped": 1, "repeated": 1}


WIDE = """
zone: Asia/Shanghai
sources:
  works:
    files: ["w*.csv"]
    exported_at: {file_name: "%Y%m%d%H"}
    tables:
      content_daily:
        content_id: {key: [Title]}
        date: {exported: true}
        age_h: {hours_since: Published}
        plays: Plays
        completes: {rate: Done, of: Plays}
        totals: lifetime
  account:
    files: [days.csv]
    tables:
      metric_daily:
        date: Day
        scope_type: {constant: account}
        scope_id: {constant: ours}
        metrics: {fans: Fans, reads: Reads, finished: {numerator: Full, denominator: Reads}}
"""


def test_totals_become_differences_and_wide_columns_rows(tmp_path: Path) -> None:
    work = {"Title": "a", "Published": "2026-06-01 08:00:00", "Plays": "100", "Done": "12.5%"}
    days = [
        {"Day": "2026-06-01", "Fans": "5", "Reads": "8", "Full": "2"},
        {"Day": "2026-06-02", "Fans": "", "Reads": "4", "Full": "1"},
    ]
    later = work | {"Plays": "1.1万", "Done": "0.5"}
    place = folder(tmp_path, WIDE, w2026060209=[work], w2026060309=[later], days=days)
    content = opened(place, "content_daily").sort_values("age_h")
    assert content[["age_h", "plays", "completes"]].to_numpy().tolist() == [[25, 100, 13], [49, 10900, 5487]]
    assert content["date"].astype(str).tolist() == ["2026-06-02", "2026-06-03"]
    metrics = opened(place, "metric_daily").set_index(["date", "metric"])["value"]
    assert "metric_daily: cells without a value, which are no rows: 1." in source.open(place).notes
    assert [metrics.get(("2026-06-01", m)) for m in ("fans", "reads", "finished")] == [5, 8, 0.25] and len(
        metrics
    ) == 5
    frame = source.open(place).account
    assert frame is not None
    assert frame[["table", "reason", "rows"]].to_numpy().tolist() == [
        ["content_daily", "mapped", 2],
        ["metric_daily", "mapped", 2],
    ]
    said = refused(
        folder(tmp_path, WIDE, w2026060209=[work | {"Done": "12.5"}], w2026060309=[later], days=days)
    )
    assert "share above 1 in 1 row" in said


CHAT = """
zone: UTC
sources:
  chat:
    files: [chat.csv]
    tables:
      messages:
        only: {Kind: [text]}
        message_id: {key: [Who, At]}
        member_id: {column: Who, identity: chat}
        ts: At
      events:
        event_id: {key: [Who, At]}
        member_id: {column: Who, identity: chat}
        ts: At
        event: {column: Kind, values: {text: message, in: join}}
      members:
        member_id: {column: Who, identity: chat}
        joined_at: At
        region: Where
        first_seen: true
"""


def test_one_source_feeds_several_tables_and_identities_join_people(tmp_path: Path) -> None:
    chat = [
        {"Who": "u1", "At": "2026-05-02 00:00:00", "Kind": "text", "Where": ""},
        {"Who": "u2", "At": "2026-05-01 00:00:00", "Kind": "in", "Where": "SH"},
        {"Who": "u2", "At": "2026-05-03 00:00:00", "Kind": "text", "Where": "BJ"},
    ]
    same = [{"platform": "chat", "platform_user_id": "u1", "member_id": "ann"}]
    twice = [*same, {"platform": "chat", "platform_user_id": "u2", "member_id": "ann"}]
    members = opened(folder(tmp_path, CHAT, chat=chat, identities=twice), "members")
    assert members[["member_id", "region"]].to_numpy().tolist() == [["ann", "SH"]]
    place = folder(tmp_path, CHAT, chat=chat, identities=same)
    assert list(opened(place, "messages")["member_id"].sort_values()) == ["ann", "u2"]
    assert list(opened(place, "events")["event"].sort_values()) == ["join", "message", "message"]
    members = opened(place, "members")
    assert members[["member_id", "region"]].fillna("").to_numpy().tolist() == [["ann", ""], ["u2", "SH"]]
    assert members["joined_at"].astype(str).tolist() == ["2026-05-02", "2026-05-01"]
    frame = source.open(place).account
    assert frame is not None
    assert (frame.groupby("table")["rows"].sum() == 3).all()


WORDS = st.sampled_from(["ok", "void", "open", ""])
TESTS = st.dictionaries(
    st.sampled_from(["State", "Who", "Net"]),
    st.sampled_from(["empty", "given", "[ok, void]", "{not: [ok, a]}"]),
    min_size=1,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.tuples(st.sampled_from("abc"), WORDS, st.sampled_from(["1", "2", ""])), min_size=1, max_size=12
    ),
    files=st.integers(1, 2),
    reasons=st.lists(TESTS, max_size=2),
    only=st.none() | TESTS,
    same_key=st.sampled_from(["", "same_key: first", "same_key: sum"]),
    dated=st.booleans(),
)
def test_every_row_is_mapped_or_left_out_once(
    tmp_path: Path, cells: list[Any], files: int, reasons: list[Any], only: Any, same_key: str, dated: bool
) -> None:
    def flow(tests: dict[str, str]) -> str:
        return "{" + ", ".join(f"{name}: {said}" for name, said in tests.items()) + "}"

    left = ", ".join(f"reason {n}: {flow(tests)}" for n, tests in enumerate(reasons))
    where = (
        f"leave_out: {{{left}}}\n    "
        + "exported_at: {export0.csv: 2026-06-01, export1.csv: 2026-06-02}" * dated
    )
    table = same_key + (f"\n        only: {flow(only)}" if only else "")
    for old in tmp_path.glob("*.csv"):
        old.unlink()
    rows = [row(who, State=state, Net=net) for who, state, net in cells]
    place = folder(tmp_path, orders(source=where, table=table), **{f"export{n}": rows for n in range(files)})
    found = mapped(engine.connect(), place, Mapping.read(place / "mapping.yml"))
    assert found.account is not None
    counts = found.account.set_index("reason")["rows"]
    assert counts.sum() == len(cells) * files and counts.min() >= 0
    assert int(found.tables["orders"].count().execute()) == counts.get("mapped", 0)
