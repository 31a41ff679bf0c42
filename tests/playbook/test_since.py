"""Which findings may be compared: a scope may differ by its days, in both ways of writing them."""

import pytest

from helpers import locale
from helpers.playbook.since import incomparable
from tests.playbook.test_finding import finding


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("全部成员，截至2026年5月31日（Asia/Shanghai）", "全部成员，截至2026年6月30日（Asia/Shanghai）"),
        ("all members, as of 2026-05-31", "all members, as of 2026-06-30"),
        ("全部，2026年第25周（6月15日至21日）", "全部，2026年第26周（6月22日至28日）"),
        ("全部，2026年5月", "全部，2026年6月"),
        ("2026年4月2日至2026年6月30日（90天）", "2026年1月2日至2026年4月1日（90天）"),
    ],
)
def test_a_scope_may_differ_by_its_days(before, after):
    assert incomparable(finding(scope=before), finding(scope=after)) == ""


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("抖音成员，截至2026年5月31日", "全部成员，截至2026年6月30日", "统计范围不同"),
        ("2026年4月2日至2026年6月30日", "2026年6月1日至2026年6月30日", "时段长度不同"),
    ],
)
def test_other_scopes_and_periods_of_another_length_are_never_subtracted(before, after, why):
    with locale.spoken("zh"):
        found = incomparable(finding(scope=before), finding(scope=after))
    assert found.startswith(why)
