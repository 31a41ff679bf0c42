"""Exports in forms that nobody described, of all the world: what is drafted, what is asked, and what comes out.

The numbers are counted by hand from the files of ``unseen/``.
"""

import gzip
from pathlib import Path

import pytest

from helpers.data import engine, source
from helpers.data.exports.draft import MAPPING, answered, draft
from helpers.data.exports.mapping import Mapping

UNSEEN = Path(__file__).parent / "unseen"
PLAIN, UTF_16 = str.encode, lambda text: text.encode("utf-16")
NOT_ALL = "leave_out.no message of a member."


@pytest.mark.parametrize(
    ("name", "packed", "answers", "counted"),
    [
        # A shop of Spain: status last known by its owner, one order without a buyer, money given back in a column.
        (
            "pedidos.csv",
            PLAIN,
            {
                "zone": "Europe/Madrid",
                "leave_out.not paid.Estado": "[Cancelado]",
                "tables.orders.currency.constant": "EUR",
            },
            {"orders": (4, {"gross": 1230.59, "discount": 10.5, "refund": 51.22}), "members": (3, {})},
        ),
        # A negative amount is what was given back; days before months.
        (
            "Rechnungen.csv",
            PLAIN,
            {"zone": "Europe/Berlin"},
            {"orders": (4, {"gross": 2346.83}), "members": (3, {})},
        ),
        (
            "受注一覧.csv",
            UTF_16,
            {
                "zone": "Asia/Tokyo",
                "tables.orders.refund": "{column: 合計金額, when: {ステータス: 返金済み}}",
            },
            {"orders": (3, {"gross": 33510, "discount": 500, "refund": 5000}), "members": (2, {})},
        ),
        ("adherents.txt", UTF_16, {"zone": "Europe/Paris"}, {"members": (3, {})}),
        (
            "聊天记录.csv",
            PLAIN,
            {"zone": "Asia/Shanghai", NOT_ALL + "类型": "[系统消息]"},
            {"messages": (3, {}), "members": (3, {})},
        ),
        (
            "稿件数据.csv",
            PLAIN,
            {
                "exported_at.稿件数据.csv": "2026-06-05T09:00+08:00",
                "zone": "Asia/Shanghai",
                "tables.content.platform.constant": "bilibili",
            },
            {"content": (2, {}), "content_daily": (2, {"plays": 18502, "likes": 842, "saves": 95})},
        ),
        # Comments are no works, and whoever wrote them is told by an id, not by a nickname.
        ("评论.csv", PLAIN, {"zone": "Asia/Shanghai"}, {"messages": (3, {"likes": 76}), "members": (2, {})}),
        # A day of Slack outside its zip is known.
        (
            "general.json",
            PLAIN,
            {},
            {"messages": (3, {}), "events": (1, {}), "members": (3, {})},
        ),
        (
            "phpbb_posts.tsv",
            PLAIN,
            {NOT_ALL + "post_deleted": "['1']"},
            {"messages": (2, {}), "members": (2, {})},
        ),
        # What was given back is no sale, and neither is what is still open.
        (
            "crm.csv",
            PLAIN,
            {"zone": "America/New_York", "leave_out.no sale, or given back.Type": "[Refund]"},
            {"orders": (2, {"gross": 2092.13}), "members": (2, {})},
        ),
        (
            "주문내역.xls",
            PLAIN,
            {
                "zone": "Asia/Seoul",
                "tables.orders.refund": "{column: 결제금액, when: {주문상태: 환불}}",
                "tables.orders.currency.constant": "KRW",
            },
            {"orders": (3, {"gross": 50000, "refund": 10000}), "members": (2, {})},
        ),
        (
            "siparişler.csv",
            PLAIN,
            {
                "zone": "Europe/Istanbul",
                "tables.orders.refund": "{column: Tutar, format: '1.234,56', when: {Durum: İade edildi}}",
            },
            {"orders": (2, {"gross": 1349.9, "refund": 99}), "members": (2, {})},
        ),
        (
            "events.csv",
            lambda text: gzip.compress(text.encode()),
            {},
            {"events": (3, {}), "members": (2, {})},
        ),
        (
            "campagne.csv",
            PLAIN,
            {},
            {"ad_daily": (3, {"cost": 1070.32, "impressions": 85445, "clicks": 893, "conversions": 24})},
        ),
    ],
)
def test_only_what_its_owner_knows_is_asked_and_the_numbers_are_right(
    tmp_path, name, packed, answers, counted
):
    (tmp_path / name).write_bytes(packed((UNSEEN / name).read_text("utf-8")))
    con = engine.connect()
    found = draft(tmp_path, con.workspace)
    assert sorted(found.tables) == sorted(counted)
    path, text = tmp_path / MAPPING, found.text
    path.write_text(text, "utf-8")
    asked = {each.place.split(".", 2)[2]: each.line for each in Mapping.read(path).questions}
    assert sorted(asked) == sorted(answers)
    for place, line in asked.items():
        text = answered(text, line, answers[place])
    path.write_text(text, "utf-8")
    tables = {each: table.execute() for each, table in source.open(str(tmp_path)).tables.items()}
    assert {each: len(table) for each, table in tables.items()} == {
        each: rows for each, (rows, _) in counted.items()
    }
    sums = {
        each: {column: tables[each][column].sum() for column in right} for each, (_, right) in counted.items()
    }
    assert sums == {each: pytest.approx(right) for each, (_, right) in counted.items()}
