"""Known exports: each sample, written by us in the documented form, is recognised and counted as by hand."""

import datetime as dt
import re
import shutil

import duckdb
import pandas as pd
import pytest

from helpers.data import csv_files, source
from helpers.data.exports.draft import MAPPING, answered, draft, runnable
from helpers.data.exports.files import open_file
from helpers.data.exports.guess import says
from helpers.data.exports.mapping import Mapping
from helpers.data.exports.recognise import known, recognise
from helpers.data.tables import TABLES
from helpers.data.violation import ContractError
from helpers.errors import PlaybookError
from helpers.study import Study
from helpers.study.activity import SIDES

ANSWERS = {
    "In which time zone": "Europe/Berlin",
    "0624.xlsx": "2026-06-24T20:00+08:00",
    "Which one day": "2026-07-01",
    "repeat the amount": "first",
    "Is money in": '{product: [cost, {constant: "0.01"}]}',
    "currency is the ad account": "USD",
    "When was it exported": "2026-07-01T20:00+08:00",
    "Which account": "ours",
    "Which page": "ours",
    "Which server": "ours",
    "Which forum": "ours",
    "How are its days written": "%m月%d日",
    "hen answer lifetime": "lifetime",
    "column: chat.sender": "{column: chat.sender, hash: true}",
    "column: talker": "{column: talker, hash: true}",
    "Refunds are words": "{column: order_subtotal, when: {status: [refunded, wc-refunded]}, assumed: true}",
}
UNSEEN = says("unverified", "")
# Known exports that come with another, in its sample; those of which no report needs anything do, too.
WITH = {"linkedin_days": "linkedin_posts"}
# Exports with no member who is surely one person, so that their owner must say who is.
ASKED = ("wechat_chat_weflow", "whatsapp")
# By sample: rows of each table, sums of columns, and how many of each reason for a row that is not mapped.
COUNTED = {
    "alipay_business": ({"metric_daily": 4}, {"value": 163}, {"lines of remarks": 4}),
    "alipay_ledger": (
        {"metric_daily": 4},
        {"value": 163.57},
        {"lines of remarks": 4, "moved to the bank": 1},
    ),
    "alipay_personal": ({"metric_daily": 2}, {"value": 88}, {"money that went out, or neither": 3}),
    # What was uploaded an hour late lies in the next file; somebody without an id of the shop is one too.
    "amplitude": ({"events": 3, "members": 2}, {}, {"repeated": 1}),
    "activity_log": ({"events": 3, "members": 2}, {}, {"repeated": 1}),
    "bilibili_works": ({"content": 3, "content_daily": 3}, {"plays": 1800, "likes": 49, "follows": 9}, {}),
    "channels_videos": (
        {"content": 2, "content_daily": 2},
        {"plays": 1200, "completes": 144, "watch_seconds": 16330, "likes": 33},
        {},
    ),
    "discord_activity": ({"metric_daily": 2}, {"value": 250}, {}),
    "discord_csv": ({"messages": 3, "members": 2}, {}, {}),
    "discord_joins": ({"metric_daily": 6}, {"value": 16}, {}),
    "discord_json": ({"messages": 3, "events": 1, "members": 2}, {}, {"written by a bot": 1, "repeated": 1}),
    "discord_leavers": ({"metric_daily": 2}, {"value": 7}, {"joined to the row of its key": 1}),
    "discord_membership": ({"metric_daily": 2}, {"value": 1999}, {}),
    "discord_newcomers": ({"metric_daily": 3}, {"value": 18}, {}),
    "discord_visitors": ({"metric_daily": 2}, {"value": 580}, {}),
    "discourse_posts": ({"messages": 2}, {"likes": 3}, {"deleted": 1, "user of the system": 1}),
    "discourse_report": ({"metric_daily": 3}, {"value": 35}, {}),
    "discourse_users": (
        {"members": 3},
        {"is_staff": 1},
        {"never joined, made for an e-mail": 1, "user of the system": 1},
    ),
    "discuz_members": ({"members": 3}, {"is_staff": 1}, {}),
    "discuz_posts": (
        {"messages": 3, "members": 2},
        {},
        {"deleted, or not approved": 1, "written by a guest": 1},
    ),
    "douyin_mcn_works": ({"content": 2, "content_daily": 2}, {"plays": 12800, "follows": 14}, {}),
    "douyin_aftersale": ({"metric_daily": 2}, {"value": 1070.5}, {"not given back, or not yet": 2}),
    "douyin_ledger": ({"metric_daily": 2}, {"value": 1147.75}, {"moved to the bank": 1}),
    "douyin_orders": ({"metric_daily": 2}, {"value": 170}, {"not paid": 1}),
    # 1,000 plays, then 1,500 in all: the second export adds 500.
    "douyin_works": (
        {"content": 3, "content_daily": 4},
        {"plays": 1700, "completes": 375, "bounce_2s": 450, "likes": 140, "follows": 2},
        {"not published, so without numbers": 2},
    ),
    "facebook_posts": (
        {"content": 3, "content_daily": 3},
        {"plays": 400, "impressions": 950, "likes": 52, "watch_seconds": 2600, "clicks": 30, "age_h": 891},
        {},
    ),
    "ga4_events": (
        {"events": 7, "orders": 1, "members": 2},
        {"gross": 30.5},
        {"no consent, so no id": 1, "repeated": 1, "purchase with a number that says nothing": 1},
    ),
    "google_ads": (
        {"ad_daily": 2},
        {"cost": 1034, "impressions": 10010, "clicks": 120, "conversions": 3.75, "revenue": 210},
        {"row of totals": 2},
    ),
    "instagram_posts": (
        {"content": 2, "content_daily": 2},
        {"plays": 1200, "impressions": 300, "saves": 16},
        {"not a total": 1},
    ),
    "kuaishou_works": ({"content": 2, "content_daily": 2}, {"plays": 1000, "completes": 125}, {}),
    "linkedin_posts": (
        {"content": 2, "content_daily": 2, "metric_daily": 10},
        {"impressions": 1300, "plays": 120, "is_ad": 1, "value": 253},
        {},
    ),
    "mastodon": ({"content": 2}, {}, {"shared, and so of another account": 1}),
    # The order that is in two rows counts once, with 126 - 6.
    "jd_orders": (
        {"orders": 3, "members": 2},
        {"gross": 210},
        {
            "not paid, a time of the year 1": 1,
            "cancelled, or split into other orders": 1,
            "repeated": 1,
        },
    ),
    "jd_settlement": ({"metric_daily": 4}, {"value": 160}, {"fee or postage, no goods": 1}),
    "meta_ads": (
        {"ad_daily": 3},
        {"cost": 35.5, "impressions": 3100, "clicks": 41, "revenue": 150},
        {"row of totals": 1},
    ),
    "meta_ads_zh": ({"ad_daily": 1}, {"cost": 10.25, "conversions": 2}, {}),
    "meta_days": ({"metric_daily": 4}, {"value": 147}, {}),
    "mixpanel": ({"events": 3, "members": 2}, {}, {"repeated": 1}),
    "oceanengine_units": (
        {"ad_daily": 3},
        {"cost": 2000.5, "conversions": 20, "conversions_billed": 19},
        {"row of totals": 1},
    ),
    "patreon_members": ({"members": 2}, {}, {"follows for free, without a day": 1}),
    "pugongying_creators": (
        {"creators": 2},
        {"followers": 782000, "active_fans": 479210, "median_reads": 4700, "price": 3000},
        {},
    ),
    "qq_chat": ({"messages": 2, "members": 2}, {}, {"taken back": 1}),
    "reddit_comments": ({"messages": 3, "members": 2}, {}, {"written by a bot": 1}),
    "reddit_posts": ({"content": 2, "events": 1, "members": 1}, {}, {"written by a bot": 1}),
    "oceanengine_api": (
        {"ad_daily": 2},
        {"cost": 150.25, "impressions": 4010, "conversions": 4, "conversions_billed": 3},
        {"joined to the row of its key": 1},
    ),
    "pinduoduo_orders": ({"metric_daily": 1}, {"value": 65}, {"not paid": 1}),
    "pinduoduo_ads": (
        {"ad_daily": 3},
        {"cost": 210.5, "impressions": 18400, "clicks": 354, "revenue": 1600},
        {"row of totals": 1},
    ),
    "posthog": ({"events": 4, "members": 2}, {}, {"about a person, and no action": 1, "repeated": 1}),
    "qianchuan_materials": (
        {"ad_daily": 2},
        {"cost": 1280.5, "impressions": 32000, "conversions": 12, "revenue": 3000, "video_completes": 960},
        {"row of totals, named": 1},
    ),
    # Shipping that was given back too is cut off the refund: 5 of #1001 and 20 of #1004.
    "shopify_orders": (
        {"orders": 4, "members": 2},
        {"gross": 188, "discount": 10, "refund": 25},
        {"further line of an order": 2, "not paid": 2, "nobody to count it for, no e-mail": 1, "repeated": 1},
    ),
    "slack": (
        {"messages": 4, "events": 2, "members": 3},
        {"likes": 3},
        {"written by a bot": 1, "notice of a channel": 2, "repeated": 1},
    ),
    "stripe_payments": (
        {"orders": 3, "members": 2},
        {"gross": 79.99, "refund": 30},
        {"not paid": 1, "nobody to count it for, no customer id": 1},
    ),
    "substack_posts": ({"content": 1}, {}, {"draft": 1}),
    # 19.99 + 1,050 of sales, 20 of refunds and 4.63 of fees in dollars; 1,000 and 36 in yen.
    "stripe_balance": ({"metric_daily": 9}, {"value": 2130.62}, {"paid out to the bank": 1}),
    "substack_readers": ({"members": 2}, {}, {}),
    "taobao_items": ({"metric_daily": 4}, {"value": 181}, {"not paid": 1}),
    # The later file says that the order of 100 was given back; 108 with its postage are cut off at 100.
    "taobao_orders": (
        {"orders": 4, "members": 3},
        {"gross": 220, "refund": 170},
        {"not paid": 2, "replaced by a later export": 1},
    ),
    "taobao_products": ({"metric_daily": 4}, {"value": 2324.5}, {}),
    "telegram": (
        {"messages": 2, "events": 1},
        {"likes": 4},
        {"written by an account that is gone": 1},
    ),
    "tiktok_days": ({"metric_daily": 10}, {"value": 97}, {}),
    "tiktok_follower_days": ({"metric_daily": 2}, {"value": 1998}, {}),
    "tiktok_videos": ({"content": 2, "content_daily": 2}, {"plays": 590, "likes": 16}, {}),
    "tiktok_viewer_days": ({"metric_daily": 2}, {"value": 35}, {}),
    "wechat_articles": (
        {"content": 2, "content_daily": 2},
        {"reach": 1000, "completes": 600, "follows": 5},
        {},
    ),
    "wechat_chat_ciphertalk": ({"messages": 3, "members": 2}, {}, {"notice of the chat": 1}),
    "wechat_chat_weflow": ({"messages": 2}, {}, {"notice of the chat": 1}),
    "wechat_follower_days": ({"metric_daily": 6}, {"value": 2043}, {}),
    "wechat_reading_days": (
        {"metric_daily": 8},
        {"value": 146},
        {"a row of another table": 2, "below the end of the block": 2},
    ),
    "wecom_contacts": ({"metric_daily": 2}, {"value": 3}, {"joined to the row of its key": 1}),
    "whatsapp": ({"messages": 3}, {}, {"notice of the group": 3}),
    "tencent_ads": (
        {"ad_daily": 2},
        {"cost": 130, "impressions": 1600, "clicks": 16, "conversions": 3, "deep_conversions": 1},
        {"joined to the row of its key": 1},
    ),
    "tencent_ads_page": (
        {"ad_daily": 2},
        {"cost": 130, "impressions": 1600, "clicks": 16, "conversions": 3, "deep_conversions": 1},
        {"row of totals": 1},
    ),
    "tiktok_ads": (
        {"ad_daily": 3},
        {"cost": 1030.5, "impressions": 21000, "clicks": 42, "conversions": 5, "revenue": 150},
        {"row of totals, named": 1},
    ),
    # The refund of the second day is that of an order of the first.
    "wechat_pay": (
        {"orders": 3, "members": 2, "refunds": 1},
        {"gross": 149.9, "discount": 5, "amount": 40},
        {"lines of sums": 4, "revoked": 1, "refund that failed": 1},
    ),
    "wechat_personal": (
        {"metric_daily": 2},
        {"value": 1168},
        {"money that went out, or neither": 2, "given back in whole": 1},
    ),
    "woocommerce_orders": ({"orders": 3, "members": 2}, {"gross": 65, "refund": 30}, {"not paid": 2}),
    "woocommerce_rest": (
        {"orders": 2, "members": 2},
        {"gross": 35, "discount": 3, "refund": 9},
        {"not paid": 1},
    ),
    "x_days": ({"metric_daily": 18}, {"value": 649}, {}),
    "x_posts": (
        {"content": 2, "content_daily": 2},
        {"impressions": 600, "shares": 5, "saves": 3, "clicks": 9},
        {},
    ),
    "x_video_days": ({"metric_daily": 2}, {"value": 160.5}, {}),
    "xiaohongshu_days": ({"metric_daily": 4}, {"value": 429}, {}),
    "xiaohongshu_notes": (
        {"content": 3, "content_daily": 5},
        {"plays": 560, "clicks": 435, "likes": 41, "saves": 15},
        {"replaced by a later export": 2},
    ),
    "xingtu_creators": ({"creators": 2}, {"price": 28000}, {}),
    "youtube_videos": (
        {"content": 2, "content_daily": 2, "metric_daily": 2},
        {"plays": 1230, "clicks": 525, "watch_seconds": 221400, "follows": 9, "value": 38},
        {"row of totals": 1},
    ),
    "youzan_customers": (
        {"members": 2},
        {},
        {"imported from elsewhere, so not joined that day": 1, "nobody to count, no phone": 1, "repeated": 1},
    ),
    "youzan_orders": (
        {"orders": 3, "members": 2},
        {"gross": 1158, "discount": 64, "refund": 99},
        {"not paid": 1, "nobody to count it for, no phone": 1},
    ),
    "zhihu_days": ({"metric_daily": 13}, {"value": 275}, {}),
}


@pytest.fixture
def folder(request, root, tmp_path):
    """A copy of a sample."""
    return shutil.copytree(root / "tests/data/exports/samples" / request.param, tmp_path / "exports")


def write(folder, text):
    """Write a mapping with its questions answered, as far as answers are known; return what stays open."""
    path = folder / MAPPING
    path.write_text(text, "utf-8")
    for question in Mapping.read(path).questions:
        said = f"{question.place} {question.text}"
        if answer := next((answer for start, answer in ANSWERS.items() if start in said), None):
            text = answered(text, question.line, answer)
    path.write_text(text, "utf-8")
    return Mapping.read(path).questions


def title_of(export):
    return export.title + UNSEEN * bool(export.verified)


def tables(dataset):
    return {name: table.execute() for name, table in dataset.tables.items()}


def test_every_known_export_has_a_sample(root):
    assert {each.name for each in known() if each.source} == COUNTED.keys() - {"meta_ads_zh"} | WITH.keys()
    assert {path.name for path in (root / "tests/data/exports/samples").iterdir()} == COUNTED.keys()


@pytest.mark.parametrize(("folder", "counted"), COUNTED.items(), indirect=["folder"], ids=COUNTED)
def test_a_sample_is_counted_as_by_hand(folder, workspace, counted, request):
    rows, sums, left_out = counted
    drafted = draft(folder, workspace)
    name = request.node.callspec.id.removesuffix("_zh")
    here = [each for each in known() if name in (each.name, WITH.get(each.name))]
    beside = {title_of(each) for each in known() if not each.source}
    titles = {title for _, title in drafted.files if not title.startswith("not known")}
    assert titles - beside == set(map(title_of, here))
    assert not write(folder, drafted.text)
    dataset = source.open(str(folder))
    found = tables(dataset)
    assert {name: len(table) for name, table in found.items()} == rows
    assert sorted(drafted.tables) == (sorted(rows) if name not in ASKED else [])
    for column, total in sums.items():
        told = [table[column].sum() for table in found.values() if column in table]
        assert told == [pytest.approx(total)], column
    first = dataset.account[dataset.account.table == next(iter(rows))]
    reasons = dict(zip(dataset.account.reason, dataset.account.rows, strict=True))
    assert {reason: reasons[reason] for reason in left_out} == left_out
    assert first.rows.sum() == max(dataset.account.groupby("table").rows.sum())
    if any(not lack for _, lack in runnable(drafted.tables, ["01_rfm"])):
        study = Study.of(dataset, dt.date(2026, 12, 31), report_tz="Asia/Shanghai", count="all")
        assert study.account.kinds.rows.sum() == sum(
            len(found[side]) for side in (*SIDES, "refunds") if side in found
        )


@pytest.mark.parametrize("folder", ["tiktok_videos"], indirect=True)
def test_a_day_without_a_year_is_the_last_before_the_export(folder, workspace):
    write(folder, draft(folder, workspace).text)
    published = source.open(str(folder)).content.execute().published_at
    assert sorted(published.astype(str)) == ["2025-12-24", "2026-07-01"]


@pytest.mark.parametrize("folder", ["whatsapp"], indirect=True)
def test_days_of_a_chat_that_may_be_months_are_asked_for_once(folder, workspace):
    (path,) = folder.iterdir()
    path.write_text(re.sub(r"2[56]/09", "05/09", path.read_text("utf-8")), "utf-8")
    asked = [each.text for each in write(folder, draft(folder, workspace).text)]
    assert len(asked) == 1 and "05/09/2026, 09:10: %d/%m/%Y, %H:%M or %m/%d/%Y, %H:%M" in asked[0]


@pytest.mark.parametrize("folder", ["channels_videos"], indirect=True)
def test_a_day_that_a_spreadsheet_turned_into_a_number_is_refused(folder, workspace):
    (path,) = folder.iterdir()
    path.write_text(path.read_text("utf-8-sig").replace("2026/05/29", "46171"), "utf-8")
    write(folder, draft(folder, workspace).text)
    with pytest.raises(ContractError, match=r"published_at: unreadable time in 1 row, such as .*46171"):
        source.open(str(folder))


@pytest.mark.parametrize("folder", ["douyin_mcn_works"], indirect=True)
def test_an_account_that_a_spreadsheet_rounded_is_asked_for(folder, workspace):
    (path,) = folder.iterdir()
    path.write_text(path.read_text("utf-8").replace("100449000000001", "1.00449E+14"), "utf-8")
    (asked,) = write(folder, draft(folder, workspace).text)
    assert asked.place.endswith("account_id") and "lost digits" in asked.text


@pytest.mark.parametrize(
    ("folder", "whole", "masked"),
    [
        ("youzan_orders", r"138(\d{4})(\d{4})", r"138****\2"),
        ("taobao_orders", r",(?:tb_|[小猫]).*?,", ",t**1,"),
    ],
    indirect=["folder"],
)
def test_masked_buyers_are_no_key(folder, workspace, whole, masked):
    for path in folder.iterdir():
        text = csv_files.readable(path, path.name, workspace / path.name, [], marked=False).read_text("utf-8")
        path.write_text(re.sub(whole, masked, text), "utf-8")
    drafted = draft(folder, workspace)
    assert drafted.tables == [] and "no member who is surely one person" in drafted.unsafe[0]
    assert ["member_id" in each.place for each in write(folder, drafted.text)] == [True]


@pytest.mark.parametrize("folder", ["douyin_orders", "pinduoduo_orders"], indirect=True)
def test_a_shop_without_buyers_says_so(folder, workspace):
    assert "repeat orders" in draft(folder, workspace).unsafe[0]


def without(raw, column, path):
    """Write the rows of a grid, in order, without a column."""
    excluded = f'EXCLUDE ("{column}")' if column else ""
    duckdb.execute(f"COPY (SELECT * {excluded} FROM ({raw.query})) TO '{path}' (FORMAT csv, HEADER)")


def assert_no_wrong_number(folder, workspace, column, whole):
    """Check that an export without a column is refused, or asked about, or told as with it."""
    try:
        drafted = draft(folder, workspace)
        if write(folder, drafted.text):
            return
        found = tables(source.open(str(folder)))
    except PlaybookError:
        return
    for name, table in found.items():
        if name not in whole:  # what it is was lost with the column
            assert all(title.startswith("not known") for _, title in drafted.files)
            continue
        there = [each for each in whole[name].columns if each in table.columns]
        keys = [each for each in TABLES[name].key if each in there]
        pd.testing.assert_frame_equal(
            *(each[there].sort_values(keys, ignore_index=True) for each in (table, whole[name])),
            obj=f"{column}: {name}",
        )


# The columns of a chat in text are made when it is read, so that none can be missing.
QUICK = ("youzan_customers", "whatsapp")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in COUNTED if name not in QUICK]


@pytest.mark.parametrize("folder", ["youzan_customers", *SLOW], indirect=True)
def test_a_missing_column_is_a_question_and_never_a_wrong_number(folder, workspace):
    grids = open_file(max(folder.iterdir(), key=lambda path: path.stat().st_size), workspace)
    raw = next(each for each in grids if (match := recognise(each.names)) and match[0].source)
    path = folder.parent / "less" / f"{raw.path.stem}.csv"
    path.parent.mkdir()
    without(raw, None, path)
    assert not write(path.parent, draft(path.parent, workspace).text)
    whole = tables(source.open(str(path.parent)))
    for column in raw.names:
        (path.parent / MAPPING).unlink(missing_ok=True)
        without(raw, column, path)
        assert_no_wrong_number(path.parent, workspace, column, whole)
