"""What is drafted of exports that nobody described: sure, proposed, or asked, and never guessed in silence."""

import pytest
import yaml
from typer.testing import CliRunner

from helpers.cli import app
from helpers.data import engine, source
from helpers.data.exports.draft import MAPPING, answered, draft, preview, runnable
from helpers.data.exports.guess import says
from helpers.data.exports.mapping import Mapping
from helpers.errors import BadData

ZONE = "In which time zone"


@pytest.fixture
def folder(tmp_path):
    """Write the only file of a folder."""

    def write(text, name="export.csv", encoding="utf-8"):
        place = tmp_path / "exports"
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(text.encode(encoding))
        return place

    return write


def drafted(folder):
    """Return the draft of a folder, its only source as read from YAML, and the questions."""
    con = engine.connect()
    found = draft(folder, con.workspace)
    path = folder.parent / MAPPING
    path.write_text(found.text, "utf-8")
    (spec,) = yaml.load(found.text, yaml.BaseLoader)["sources"].values()
    return found, spec, [question.text for question in Mapping.read(path).questions]


GERMAN = """Bestellnr;Kundennummer;Bestelldatum;Zahldatum;Status;Warenwert;Rabatt;Gesamtbetrag;Erstattung;Währung
B-1;K17;31.12.2025 14:05;31.12.2025 14:06;bezahlt;1.059,90;5,00;1.054,90;;EUR
B-2;K18;05.01.2026 09:00;;storniert;59,90;0,00;59,90;;EUR
B-3;K17;07.01.2026 10:00;07.01.2026 10:01;versendet;20,00;0,00;20,00;20,00;EUR
"""


def test_a_german_shop_leaves_only_its_zone_open(folder):
    place = folder(GERMAN)
    found, spec, questions = drafted(place)
    assert [ZONE in each for each in questions] == [True]
    assert spec["leave_out"]["not paid"] == {"Status": ["storniert"]}
    line = Mapping.read(place.parent / MAPPING).questions[0].line
    (place / MAPPING).write_text(answered(found.text, line, "Europe/Berlin"), "utf-8")
    orders = source.open(str(place)).tables["orders"].execute().set_index("order_id")
    assert orders.gross.to_dict() == {"B-1": 1059.9, "B-3": 20}
    assert orders.refund.to_dict() == {"B-1": 0, "B-3": 20} and orders.discount["B-1"] == 5
    assert str(orders.paid_at["B-1"]) == "2025-12-31 13:06:00"


@pytest.mark.parametrize(
    ("text", "table", "columns", "asked"),
    [
        # French messages, Japanese ads below a title and above a total, Spanish members, a log of milliseconds.
        (
            "pseudo;date;contenu;salon\nanna;2026-01-05 10:00;salut, toi;général\nbob_7;2026-01-05 10:01;oui;club\n",
            "messages",
            {"member_id": "pseudo", "ts": "date", "thread_id": "salon"},
            1,
        ),
        (
            'レポート\n2026/07/01\n日付,キャンペーン,広告ID,費用,表示回数\n2026/07/01,春,a1,"¥1,200",10\n'
            '2026/07/02,春,a1,¥8,9\n合計,,,"¥1,208",19\n',
            "ad_daily",
            {"date": "日付", "cost": "費用", "creative_id": "広告ID", "impressions": "表示回数"},
            2,
        ),
        (
            "id cliente,nombre,fecha de alta,ciudad\n1001,Ana,03/01/2026,Madrid\n1002,Luis,25/02/2026,Sevilla\n",
            "members",
            {
                "member_id": "id cliente",
                "joined_at": {"column": "fecha de alta", "format": "%d/%m/%Y"},
                "region": "ciudad",
            },
            1,
        ),
        (
            '{"uid":6912345678901234567,"evt":"like","t":1751328000123}\n{"uid":1,"evt":"share","t":1751328060123}\n',
            "events",
            {"member_id": "uid", "ts": {"column": "t", "unit": "ms"}, "event": "evt"},
            0,
        ),
        # Items of orders are added up; the day of a daily table is no member.
        (
            "order_no\tbuyer_email\tcreated\tline_total\n1\ta@x.org\t2026-01-05T10:00:00Z\t5.00\n"
            "1\ta@x.org\t2026-01-05T10:00:00Z\t7.50\n2\ta@x.org\t2026-01-06T10:00:00Z\t1.00\n",
            "orders",
            {"order_id": "order_no", "same_key": "sum", "gross": "line_total"},
            1,
        ),
        (
            "日期,新增会员,发帖数\n2026-06-01,10,50\n2026-06-02,12,60\n",
            "metric_daily",
            {"date": "日期", "metrics": {"新增会员": "新增会员", "发帖数": "发帖数"}},
            1,
        ),
        (
            "标题,发布时间,阅读量,点赞\n一,2026年05月19日15时39分28秒,5,1\n二,2026年05月20日15时39分28秒,6,2\n",
            "content",
            {"published_at": {"column": "发布时间", "format": "%Y年%m月%d日%H时%M分%S秒"}},
            3,
        ),
    ],
)
def test_unknown_exports_by_table(folder, text, table, columns, asked):
    found, spec, questions = drafted(folder(text))
    assert next(iter(spec["tables"])) == table and table in found.tables
    assert {word: spec["tables"][table].get(word) for word in columns} == columns
    assert len(questions) == asked and "not known" in found.files[0][1]


@pytest.mark.parametrize(
    ("column", "cells", "asked"),
    [
        ("手机号", ("138****0001", "139****0002"), "masked, or a name"),
        ("客户", ("张三", "李四"), "masked, or a name"),
        ("昵称", ("x1", "x2"), "masked, or a name"),
        ("颜色", ("red", "blue"), "who bought"),
        ("买家ID", ("6.91E+18", "6.91E+18"), "lost digits"),
    ],
)
def test_whom_orders_belong_to_is_not_guessed(folder, column, cells, asked):
    rows = "".join(f"E{n},{cell},2026-01-0{n} 10:00:00,￥1{n}.00\n" for n, cell in enumerate(cells, start=1))
    found, spec, questions = drafted(
        folder(f"订单编号,{column},付款时间,实付金额\n{rows}", encoding="gb18030")
    )
    assert any(asked in each for each in questions) and found.unsafe and "members" not in spec["tables"]
    assert dict(runnable(found.tables, ["01_rfm", "04_attribution"])) == {
        "01_rfm": "events or orders or messages",
        "04_attribution": "orders and touchpoints",
    }
    assert dict(runnable(["orders"], ["05_budget"]))["05_budget"] == "ad_daily"
    assert dict(runnable(["events", "messages"], ["01_rfm"]))["01_rfm"] == "", (
        "two ways in are one notebook that runs"
    )
    assert dict(runnable(["content", "content_daily"], [])) == {"08_content": says("to_come")}
    assert spec["tables"]["orders"]["currency"] == {"constant": "CNY"}


ORDERS = "order id,customer id,paid at,amount,status\nA,u1,{},9.50,{}\nB,u2,{},1.00,{}\n"


@pytest.mark.parametrize(
    ("cells", "asked"),
    [
        (("01/02/2026", "paid", "03/02/2026", "paid"), "%d/%m/%Y or %m/%d/%Y"),
        (("2026-01-02", "paid", "2026-01-03", "weird"), "weird (1)"),
        (("2026-01-02", "refunded", "2026-01-03", "paid"), "given back where it says refunded"),
    ],
)
def test_what_two_readings_allow_is_asked(folder, cells, asked):
    assert any(asked in each for each in drafted(folder(ORDERS.format(*cells)))[2])


def test_a_folder_of_nothing_says_what_is_lacking(folder):
    con = engine.connect()
    with pytest.raises(BadData, match=r"export.csv: not known; nearest to .* without a column for"):
        draft(folder("colour,size\nred,1\n"), con.workspace)


def test_a_known_export_with_a_renamed_column_asks_for_it(folder, root):
    text = (root / "tests/data/exports/samples/shopify_orders/orders_export_1.csv").read_text("utf-8")
    found, spec, questions = drafted(folder(text.replace("Refunded Amount", "Given back")))
    assert found.files[0][1] == "Shopify orders" and spec["files"] == ["export.csv"]
    assert [each for each in questions if "Refunded Amount" in each] == questions != []


def test_a_preview_passes_questions_over(folder):
    place = folder(GERMAN)
    con = engine.connect()
    tables = preview(con, place, draft(place, con.workspace).text).tables
    assert set(tables) == {"orders", "members"} and tables["orders"].count().execute() == 2


def test_the_command_writes_once_and_names_questions(folder):
    place = str(folder(GERMAN))
    said = CliRunner().invoke(app, ["map", place, "--yes"])
    assert said.exit_code == 0 and ZONE in said.output and "1060" not in said.output.replace(",", "")[:200]
    assert "01_rfm" in said.output and f"{MAPPING}:" in said.output
    again = CliRunner().invoke(app, ["map", place, "--yes"])
    assert again.exit_code != 0 and "already" in str(again.exception)
    refused = CliRunner().invoke(app, ["check", place])
    assert "open question" in str(refused.exception)


def test_what_two_exports_say_of_a_member_is_left_to_the_notebooks(folder):
    folder("user_id,ts,action\nu1,2026-01-01T09:00:00Z,view\nu2,2026-01-02T10:00:00Z,post\n", "events.csv")
    place = folder(
        "order_id,user_id,paid_at,amount,currency\n1,u1,2026-01-01T10:00:00Z,10,EUR\n", "orders.csv"
    )
    con = engine.connect()
    found = draft(place, con.workspace)
    assert found.tables == ["events", "orders"]
    assert set(preview(con, place, found.text).tables) == {"events", "orders"}


def test_numbers_of_a_file_have_a_decimal_comma_or_none(folder):
    text = "Tag;Kampagne;Kosten;Impressionen;Klicks\n2026-06-01;K;1.033,33;10.000;7\n2026-06-02;K;0,67;10;1\n"
    place = folder(text)
    con = engine.connect()
    table = preview(con, place, draft(place, con.workspace).text).tables["ad_daily"].execute()
    assert (table.cost.sum(), table.impressions.sum(), table.clicks.sum()) == (1034, 10010, 8)


def test_addresses_become_pseudonyms_whatever_their_column_is_called(folder):
    place = folder("投稿者,投稿日時,本文\na@x.jp,2026-06-01T10:00:00Z,hi\nb@x.jp,2026-06-01T11:00:00Z,yo\n")
    con = engine.connect()
    found = preview(con, place, draft(place, con.workspace).text)
    assert found.tables["messages"].member_id.execute().str.startswith("p_").all()


def test_a_row_that_cannot_be_followed_is_named(folder):
    con = engine.connect()
    place = folder(
        "order_id,user_id,paid_at,amount,currency\n1,u1,2026-01-01,10,EUR\n2,u2,2026-01-02,20,EUR,more\n"
    )
    with pytest.raises(BadData, match=r"export.csv has a row that cannot be followed: .* Line: 3"):
        draft(place, con.workspace)


def test_tables_in_shape_and_no_folder_need_no_mapping(folder):
    con = engine.connect()
    place = folder("order_id,member_id,paid_at,gross\n1,u1,2026-01-01T10:00:00Z,10\n", "orders.csv")
    with pytest.raises(BadData, match=r"orders.csv: a table in shape already"):
        draft(place, con.workspace)
    with pytest.raises(BadData, match=r"nothing here is no folder"):
        draft(place / "nothing here", con.workspace)


@pytest.mark.parametrize(("last", "told"), [("7.50", "sum"), ("5.00", "? 1 orders have several rows")])
def test_rows_of_one_order_are_added_up_or_asked_about(folder, last, told):
    rows = f"1,u1,2026-01-05,5.00,tea\n1,u1,2026-01-05,{last},cup\n2,u2,2026-01-06,1.00,cup\n"
    found, spec, _ = drafted(folder(f"order no,customer id,paid on,line total,product\n{rows}"))
    assert spec["tables"]["orders"]["same_key"].startswith(told) and "# not used: product" in found.text


def test_answers_need_not_be_yaml():
    assert answered("format: '? Which?'\n", 1, "%d/%m/%Y") == "format: '%d/%m/%Y'\n"
    assert answered("event: '? What?'\n", 1, "{constant: checkin}") == "event: {constant: checkin}\n"


def test_what_one_json_file_never_says_is_empty_there(folder):
    folder('[{"ts": "1772323201.5", "user_id": "U1", "message": "hi"}]', "a.json")
    place = folder('[{"ts": "1772323202.5", "user_id": "U2", "message": "hi", "likes": 3}]', "b.json")
    con = engine.connect()
    (place / MAPPING).write_text(draft(place, con.workspace).text, "utf-8")
    messages = source.open(str(place)).messages.execute().set_index("member_id")
    assert messages.likes.dropna().to_dict() == {"U2": 3} and len(messages) == 2
