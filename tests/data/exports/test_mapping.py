"""A mapping is validated whole: each mistake with its line and what may have been meant, each question kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.data import source
from helpers.data.exports.mapping import Mapping
from helpers.errors import BadData
from helpers.located_yaml import InvalidFile

WRONG = """\
exprot: shopify
zone: Asia/Shangai
sources:
  shop:
    files: [a.csv]
    leave_out: {void: {State: {nto: [a]}}}
    tables:
      orders:
        order_id: No
        member_id: Who
        paid_att: Paid
        gross: {sum: [Net, Off], per: 100}
        discount: {column: Off, unit: sec}
        platform: Buyer Email
        same_key: last
      ordrs: {}
  more:
    tables:
      content_daily: {content_id: Id, date: {exported: true}, first_seen: true}
"""
MISTAKES = (
    '1:1: unknown key "exprot" in the mapping. Did you mean "export"?',
    "2:7: zone == 'Asia/Shangai', must be an IANA time zone such as 'Asia/Shanghai'. Did you mean \"Asia/Shanghai\"?",
    '6:32: unknown key "nto" in a condition. Did you mean "not"?',
    "9:9: orders needs paid_at",
    "9:9: platform: Buyer Email is personal: it may become an id, such as member_id, and nothing else",
    '11:9: unknown key "paid_att" in orders. Did you mean "paid_at"?',
    "12:16: a value needs one of",
    "13:39: sec must be one of s, ms, us",
    "15:19: last must be one of first, sum",
    '16:7: unknown key "ordrs" in tables. Did you mean "orders"?',
    "18:5: source more needs files, or the table of a database; and tables, which it feeds",
    "18:5: source more needs exported_at: some of its tables depend on when it was exported",
    "19:22: first_seen is a word of members alone",
    "1:1: orders hold money: say whose, view: buyer (what was paid) or view: merchant",
)
OPEN = """\
view: buyer
zone: "? In which zone is the shop?"
sources:
  shop:
    files: [a.csv]
    tables:
      orders: {order_id: No, member_id: "?", paid_at: Paid, gross: Net, currency: {constant: "? Which currency?"}}
"""


def test_every_mistake_is_listed_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(WRONG)
    with pytest.raises(InvalidFile) as caught:
        Mapping.read(tmp_path / "mapping.yml")
    said = [f"{m.where.line}:{m.where.column}: {m.text}" for m in caught.value.mistakes]
    for expected in MISTAKES:
        assert any(each.startswith(expected) for each in said), (expected, said)
    assert len(said) == len(MISTAKES)


def test_questions_are_no_mistakes_but_nothing_is_read_before_they_are_answered(tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(OPEN)
    (tmp_path / "a.csv").write_text("No,Paid,Net\n1,2026-05-01 10:00,5\n")
    asked = Mapping.read(tmp_path / "mapping.yml").questions
    assert [(each.line, each.place, each.text) for each in asked] == [
        (2, "zone", "In which zone is the shop?"),
        (7, "sources.shop.tables.orders.member_id", "not answered"),
        (7, "sources.shop.tables.orders.currency.constant", "Which currency?"),
    ]
    with pytest.raises(
        BadData, match=r"3 open questions(?s:.)*mapping.yml:2: zone: In which zone is the shop\?"
    ):
        source.open(tmp_path)


def test_what_a_mapping_names_must_be_there(tmp_path: Path) -> None:
    text = (
        OPEN.replace('"? In which zone is the shop?"', "UTC")
        .replace('"?"', "Whoo")
        .replace("? Which currency?", "CNY")
    )
    (tmp_path / "mapping.yml").write_text(text)
    with pytest.raises(BadData, match=r"source shop: there is no file a\.csv in"):
        source.open(tmp_path)
    (tmp_path / "a.csv").write_text("No,Who,Paid,Net\n1,ann,2026-05-01 10:00,5\n")
    with pytest.raises(BadData, match=r'a.csv has no column Whoo\. Did you mean "Who"\?'):
        source.open(tmp_path)
    (tmp_path / "mapping.yml").write_text(text.replace("Whoo", "Who"))
    assert source.open(tmp_path).orders.count().execute() == 1
    (tmp_path / "orders.csv").write_text("order_id\n1\n")
    with pytest.raises(BadData, match=r"orders lies there and is fed by mapping\.yml: keep one of them"):
        source.open(tmp_path)
    with pytest.raises(Exception, match=r"mapping .*other\.yml cannot be read"):
        source.open(f"{tmp_path}?mapping=other.yml")
