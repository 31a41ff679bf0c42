"""Whatever opens tables knows a mapping: folders, databases, run keys, health, first seen, reveal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.data import privacy, source
from helpers.data.content_cache import ContentCache
from helpers.data.fingerprint import columns, currencies, fingerprint
from helpers.data.health import health
from helpers.errors import BadData
from helpers.study import Study

MAPPING = """\
view: buyer
zone: Asia/Shanghai
sources:
  sales:
    files: [sales.csv]
    leave_out: {void: {state: void}}
    tables:
      orders:
        order_id: no
        member_id: {first: [customer_email, who]}
        paid_at: paid
        gross: {sum: [net, off]}
        discount: {column: off, empty: "0"}
        currency: {constant: CNY}
        kind: {column: state, values: {ok: goods}}
        extra: {channel: via}
"""
MEMBERS = """\
  people:
    files: [sales.csv]
    tables:
      members: {member_id: who, joined_at: paid, first_seen: true}
"""
SALES = """\
no,who,customer_email,paid,net,off,state,via
1,ann,A@x.org,2026-05-01 10:00:00,10.5,2,ok,app
2,bob,b@x.org,2026-05-02 10:00:00,5,,void,web
3,cy,,2026-05-03 00:30:00,7,1,ok,web
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with an export and its mapping."""
    (tmp_path / "mapping.yml").write_text(MAPPING)
    (tmp_path / "sales.csv").write_text(SALES)
    return tmp_path


def test_the_run_key_holds_the_mapping_and_the_files_of_each_table(shop: Path) -> None:
    first = fingerprint(shop)
    assert {name: found.rows for name, found in first.items()} == {"orders": 2}
    cache = ContentCache()
    assert currencies(shop, None, cache) == {"orders": {"CNY": 2}}
    assert {"channel", "gross", "kind"} <= set(columns(shop, None, cache)["orders"])
    (shop / "mapping.yml").write_text(MAPPING.replace("[net, off]", "[net]"))
    second = fingerprint(shop)
    (shop / "sales.csv").write_text(SALES.replace("10.5", "11"))
    third = fingerprint(shop)
    assert len({first["orders"].sha256, second["orders"].sha256, third["orders"].sha256}) == 3
    (shop / "costs.csv").write_text("cost_id,date,kind,amount,currency\n1,2026-05-01,ads,3,CNY\n")
    assert fingerprint(shop)["orders"] == third["orders"] and source.open(shop).costs.count().execute() == 1
    (shop / "mapping.yml").write_text(MAPPING.replace("no\n", "number\n"))
    with pytest.raises(BadData, match="has no column number"):
        fingerprint(shop)


def test_the_same_mapping_reads_tables_of_a_database(shop: Path) -> None:
    text = MAPPING.replace("files: [sales.csv]", "table: shop.sales")
    (shop / "shop.yml").write_text(text)
    with duckdb.connect(str(shop / "base.duckdb")) as con:
        con.execute(f"CREATE SCHEMA shop; CREATE TABLE shop.sales AS FROM read_csv('{shop}/sales.csv')")
    url = f"duckdb:///{shop}/base.duckdb?mapping=shop.yml"
    there, files = source.open(url), source.open(shop)
    assert there.account is not None and files.account is not None
    assert (
        there.account.set_index("reason")["rows"].to_dict()
        == files.account.set_index("reason")["rows"].to_dict()
    )
    one, other = (each.orders.order_by("order_id").execute() for each in (there, files))
    assert one.astype(str).equals(other[one.columns].astype(str))
    assert fingerprint(url)["orders"].rows == 2
    for wrong, said in (
        (text.replace("shop.sales", "shop.sale"), "the database has no table shop.sale"),
        (text.replace("net, off", "nett, off"), 'no column nett. Did you mean "net"'),
        (text.replace("zone: Asia/Shanghai\n", ""), "times without a zone: say zone"),
        (text.replace("kind: {column: state", "kind: {column: via"), "orders.kind: unknown word in 2 rows"),
        (text + "        same_key: first\n", "same_key, totals, metrics and first_seen are for files"),
    ):
        (shop / "shop.yml").write_text(wrong)
        with pytest.raises(BadData, match=said):
            source.open(url)


def test_health_tells_where_the_rows_went(shop: Path) -> None:
    said = "sales to orders: rows read: 3, mapped: 2, left out as void: 1."
    notes = health(source.open(shop)).notes
    assert said in notes and "orders: amounts are what buyers paid, without what platforms added." in notes
    shown = CliRunner().invoke(app, ["check", str(shop)]).output
    assert said in shown and "Where the rows of the exports went" in shown
    other = CliRunner().invoke(app, ["check", str(shop), "--mapping", "other.yml"])
    assert other.exit_code != 0


def test_members_first_seen_make_what_rests_on_joining_provisional(shop: Path) -> None:
    (shop / "mapping.yml").write_text(MAPPING + MEMBERS)
    study = Study.of(source.open(shop), dt.date(2026, 5, 31), needs_joining=True)
    assert not study.joining_known and "first seen stands for joining" in study.provisional
    members = source.open(shop).members.execute()
    assert members["joined_when_first_seen"].all() and len(members) == 3


def test_reveal_finds_the_way_back_to_the_export(shop: Path) -> None:
    ids = source.open(shop).orders.execute()["member_id"]
    assert set(ids) == {privacy.pseudonym("a@x.org"), "cy"}
    (shop / "list.csv").write_text("member_id\n" + "\n".join(map(privacy.pseudonym, ids)) + "\n")
    shown = CliRunner().invoke(app, ["reveal", str(shop / "list.csv"), "--data", str(shop)]).output
    assert set(shown.split()) == {"member_id", "A@x.org", "cy"}
