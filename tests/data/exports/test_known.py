"""Known exports: each sample, written by us in the documented form, is recognised and counted as by hand."""

import datetime as dt
import re
import shutil

import duckdb
import pandas as pd
import pytest

from helpers.data import source
from helpers.data.exports.draft import MAPPING, answered, draft, runnable
from helpers.data.exports.files import open_file
from helpers.data.exports.guess import says
from helpers.data.exports.mapping import Mapping
from helpers.data.exports.recognise import known
from helpers.errors import PlaybookError
from helpers.study import Study
from helpers.study.activity import SIDES

ANSWERS = {
    "In which time zone": "Europe/Berlin",
    "0624.xlsx": "2026-06-24T20:00+08:00",
    "When was it exported": "2026-07-01T20:00+08:00",
    "Refunds are words": "{column: order_subtotal, when: {status: [refunded, wc-refunded]}, assumed: true}",
}
UNSEEN = says("unverified", "")
# By sample: rows of each table, sums of columns, and how many of each reason for a row that is not mapped.
COUNTED = {
    "activity_log": ({"events": 3, "members": 2}, {}, {"repeated": 1}),
    "discord_csv": ({"messages": 3, "members": 2}, {}, {}),
    "discord_json": ({"messages": 3, "events": 1, "members": 2}, {}, {"written by a bot": 1, "repeated": 1}),
    "discourse_posts": ({"messages": 2}, {"likes": 3}, {"deleted": 1, "user of the system": 1}),
    "discourse_users": (
        {"members": 3},
        {"is_staff": 1},
        {"never joined, made for an e-mail": 1, "user of the system": 1},
    ),
    "douyin_orders": ({"metric_daily": 2}, {"value": 170}, {"not paid": 1}),
    # 1,000 plays, then 1,500 in all: the second export adds 500.
    "douyin_works": (
        {"content": 3, "content_daily": 4},
        {"plays": 1700, "completes": 375, "bounce_2s": 450, "likes": 140, "follows": 2},
        {"not published, so without numbers": 2},
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
    "meta_ads": (
        {"ad_daily": 3},
        {"cost": 35.5, "impressions": 3100, "clicks": 41, "revenue": 150},
        {"row of totals": 1},
    ),
    "meta_ads_zh": ({"ad_daily": 1}, {"cost": 10.25, "conversions": 2}, {}),
    "oceanengine_units": (
        {"ad_daily": 3},
        {"cost": 2000.5, "conversions": 20, "conversions_billed": 19},
        {"row of totals": 1},
    ),
    "pinduoduo_orders": ({"metric_daily": 1}, {"value": 65}, {"not paid": 1}),
    # Shipping that was given back too is cut off the refund: 5 of #1001 and 20 of #1004.
    "shopify_orders": (
        {"orders": 4, "members": 2},
        {"gross": 188, "discount": 10, "refund": 25},
        {"further line of an order": 2, "not paid": 2, "nobody to count it for, no e-mail": 1, "repeated": 1},
    ),
    "stripe_payments": (
        {"orders": 3, "members": 2},
        {"gross": 79.99, "refund": 30},
        {"not paid": 1, "nobody to count it for, no customer id": 1},
    ),
    "telegram": (
        {"messages": 2, "events": 1},
        {"likes": 4},
        {"written by an account that is gone": 1},
    ),
    "woocommerce_orders": ({"orders": 3, "members": 2}, {"gross": 65, "refund": 30}, {"not paid": 2}),
    "woocommerce_rest": (
        {"orders": 2, "members": 2},
        {"gross": 35, "discount": 3, "refund": 9},
        {"not paid": 1},
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
}


@pytest.fixture
def folder(request, root, tmp_path):
    """A copy of a sample."""
    return shutil.copytree(root / "tests/data/exports/samples" / request.param, tmp_path / "exports")


@pytest.fixture
def workspace(tmp_path):
    """Where files are written anew."""
    place = tmp_path / "workspace"
    place.mkdir()
    return place


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


def tables(dataset):
    return {name: table.execute() for name, table in dataset.tables.items()}


def test_every_known_export_has_a_sample(root):
    assert {each.name for each in known()} == COUNTED.keys() - {"meta_ads_zh"}
    assert {path.name for path in (root / "tests/data/exports/samples").iterdir()} == COUNTED.keys()


@pytest.mark.parametrize(("folder", "counted"), COUNTED.items(), indirect=["folder"], ids=COUNTED)
def test_a_sample_is_counted_as_by_hand(folder, workspace, counted, request):
    rows, sums, left_out = counted
    drafted = draft(folder, workspace)
    name = request.node.callspec.id.removesuffix("_zh")
    (export,) = (each for each in known() if each.name == name)
    assert {title.removesuffix(UNSEEN * bool(export.verified)) for _, title in drafted.files} == {
        export.title
    }
    assert not write(folder, drafted.text)
    dataset = source.open(str(folder))
    found = tables(dataset)
    assert {name: len(table) for name, table in found.items()} == rows
    assert sorted(drafted.tables) == sorted(rows)
    for column, total in sums.items():
        told = [table[column].sum() for table in found.values() if column in table]
        assert told == [pytest.approx(total)], column
    first = dataset.account[dataset.account.table == next(iter(rows))]
    reasons = dict(zip(dataset.account.reason, dataset.account.rows, strict=True))
    assert {reason: reasons[reason] for reason in left_out} == left_out
    assert first.rows.sum() == max(dataset.account.groupby("table").rows.sum())
    if any(not lack for _, lack in runnable(drafted.tables, ["01_rfm"])):
        study = Study.of(dataset, dt.date(2026, 12, 31), report_tz="Asia/Shanghai", count="all")
        assert study.account.kinds.rows.sum() == sum(len(found[side]) for side in SIDES if side in found)


@pytest.mark.parametrize("folder", ["youzan_orders"], indirect=True)
def test_masked_phones_are_no_key(folder, workspace):
    path = next(folder.iterdir())
    path.write_text(re.sub(r"138(\d{4})(\d{4})", r"138****\2", path.read_text("utf-8")), "utf-8")
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
        there = [each for each in whole[name].columns if each in table.columns]
        keys = [
            each
            for each in ("order_id", "message_id", "event_id", "content_id", "member_id", "date")
            if each in there
        ]
        pd.testing.assert_frame_equal(
            *(each[there].sort_values(keys, ignore_index=True) for each in (table, whole[name])),
            obj=f"{column}: {name}",
        )


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in COUNTED if name != "youzan_customers"]


@pytest.mark.parametrize("folder", ["youzan_customers", *SLOW], indirect=True)
def test_a_missing_column_is_a_question_and_never_a_wrong_number(folder, workspace):
    (raw,) = open_file(max(folder.iterdir(), key=lambda path: path.stat().st_size), workspace)
    path = folder.parent / "less" / f"{raw.path.stem}_0624.xlsx.csv"
    path.parent.mkdir()
    without(raw, None, path)
    assert not write(path.parent, draft(path.parent, workspace).text)
    whole = tables(source.open(str(path.parent)))
    for column in raw.names:
        (path.parent / MAPPING).unlink(missing_ok=True)
        without(raw, column, path)
        assert_no_wrong_number(path.parent, workspace, column, whole)
