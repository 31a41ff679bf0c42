"""Chinese: how fields are written, and that the catalogues keep to the style and to one translation a term."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import pytest

from helpers import locale, sentences
from helpers.sentences import amount_of, interval, lang, length, money, percent, quantity, say
from helpers.tables import heading

TERMS = {
    "too little data": "数据不足",
    "lift test": "投放测试",
    "guardrail": "护栏",
    "contact list": "名单",
    "Markov": "马尔可夫",
    "Bonferroni": "Bonferroni",
    "hazard ratio": "风险比",
    "bootstrap": "自助法",
    "Brier score": "布里尔分数",
    "net promotion": "净晋升",
    "top fifth": "前20%",
    "Gini": "基尼系数",
    "newcomer": "新成员",
    "resurrected": "回流",
    "dormant": "休眠",
    "segment": "分群",
    "cohort": "同期群",
    "covariate": "协变量",
    "fatigue": "疲劳",
    "response curve": "响应曲线",
    "campaign_id": "campaign_id",
    "last click": "最后点击",
    "impression": "曝光",
    "expected gain": "预期收益",
    "chance of reaching": "达成概率",
}
"""Terms that have one translation; an entry that cannot hold it, such as the name of a parameter, is named below."""
OTHERWISE = {
    "bootstrap": ("自助t法",),
    "cohort": ("先加入的",),
    "covariate": ("特征",),
    "expected gain": ("多赚",),
    "impression": ("ad_daily:impressions", "点击率"),
    "newcomer": ("新增", "人均"),
    "segment": ("segment",),
}
NEVER = (
    "赋能",
    "抓手",
    "闭环",
    "助力",
    "持续优化",
    "进一步提升",
    "存活",
    "您",
    "抱歉",
    "！",
    "被排除",
    "被认为",
    "漏掉了",
)
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:!?][\u4e00-\u9fff]|[\u4e00-\u9fff] [\u4e00-\u9fff]")


@pytest.fixture
def chinese() -> Iterator[None]:
    """Say everything in Chinese."""
    with locale.spoken("zh"):
        yield


def pairs() -> list[tuple[str, str]]:
    return sorted(locale.catalogue("zh").items())


def test_numbers_days_and_money_are_written_as_chinese_writes_them(chinese):
    assert say("{day}", day=dt.date(2026, 6, 30)) == say("{day}", day="2026-06-30") == "2026年6月30日"
    assert (
        say("{n:,}", n=9_999) == "9,999"
        and say("{n:,}", n=12_345) == "1.23万"
        and say("{n:,}", n=340e6) == "3.4亿"
    )
    assert say("{n:,d}", n=12_345) == "12,345"
    assert percent(0.475) == "47.5%" and interval(0.454, 0.497, "share") == "45.4%–49.7%"
    assert interval(-0.038, 0.013, "share") == "−3.8%至1.3%"
    assert (
        money(172, "CNY") == "￥172"
        and money(62_400, "CNY") == "￥6.24万"
        and money(-44.4, "CNY") == "−￥44.4"
    )
    assert quantity(62_400, "CNY", exact=True) == "￥62,400" and money(172, "USD") == "172美元"
    assert amount_of(2_985, "members") == "2,985名" and amount_of(7, "windows") == "7个窗口"


def test_a_time_stands_behind_its_day(chinese):
    assert say("{at}", at="2026-06-30 19:45:07") == say("{at}", at="2026-06-30T19:45") == "2026年6月30日19:45"
    assert say("{at}", at=dt.datetime(2026, 6, 30)) == "2026年6月30日"


def test_months_quarters_and_weeks_are_written_out_unless_they_name_a_column(chinese):
    assert say("{month}", month="2026-06") == "2026年6月" and say("{day!s:s}", day="2026-06") == "2026-06"
    assert say("{quarter}", quarter="2026-Q3") == "2026年第3季度"
    assert say("{week}", week="2026-W26") == "2026年第26周（6月22日至28日）"
    assert say("{week}", week="2026-W27") == "2026年第27周（6月29日至7月5日）"


def test_bounds_are_joined_by_a_dash_unless_one_is_negative_and_have_no_measure_word(chinese):
    bounds = "{value} ({low} to {high})"
    assert say(bounds, value="4.00", low="3.57", high="4.40") == "4.00（3.57–4.40）"
    assert say(bounds, value="49", low="−37", high="135") == "49（−37至135）"
    assert interval(331, 671, "orders") == "331–671" and interval(-7, 19, "members") == "−7至19"
    assert say("{first} to {last} ({days:,} days)", first="2026-04-02", last="2026-06-30", days=90) == (
        "2026年4月2日至2026年6月30日（90天）"
    )


def test_a_list_has_its_own_comma_and_a_query_stays_as_it_is(chinese):
    assert say("{names}", names="抖音, 微信") == "抖音、微信"
    assert say("{query}", query=sentences.Verbatim("SELECT a, b")) == "SELECT a, b"


def test_headings_and_words_of_the_code_are_translated_and_names_of_others_are_not(chinese):
    assert (
        heading("value_low") == "价值下限"
        and heading("day 7") == "第7天"
        and heading("gmv_2024") == "gmv 2024"
        and heading("up") == "升"
    )
    assert say("{model}", model="past value") == "过去的价值" and say("{model}", model="小店 A") == "小店 A"


def test_sentences_one_behind_the_other_leave_no_space(chinese):
    assert say("No exit is on record.\nNo exit is on record.") == "没有退群记录。没有退群记录。"
    assert length("两个字 ok") == 4 and lang() == "zh-Hans"


def test_another_thread_or_a_later_sentence_is_english_again():
    with locale.spoken("zh"):
        assert percent(0.5) == "50.0%"
    assert percent(0.5) == "50.0 %" and lang() == "en"


@pytest.mark.parametrize("term", TERMS)
def test_a_term_has_one_translation(term):
    allowed = (TERMS[term], *OTHERWISE.get(term, ()))
    words = [(re.sub(r"\{[^}]*\}", "", en), zh) for en, zh in pairs()]
    said = [(en, zh) for en, zh in words if re.search(rf"\b{term}", en, re.IGNORECASE)]
    assert said
    assert [pair for pair in said if not any(word in pair[1] for word in allowed)] == []


def test_no_entry_has_words_that_nobody_says_or_half_width_marks():
    assert [zh for _, zh in pairs() if any(word in zh for word in NEVER) or HALF_WIDTH.search(zh)] == []
