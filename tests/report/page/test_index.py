"""The index: what needs attention comes first, every version can be reached, and no script is needed."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from urllib.parse import unquote

import pytest

from helpers.playbook.finding import Point, finding
from helpers.report.page.index import index_html
from helpers.report.page.sparkline import trail
from helpers.report.publish.catalog import Catalog
from helpers.report.publish.manifest import Failure
from helpers.stats.estimate import Estimate
from tests.report.sample_records import catalog as sample_catalog
from tests.report.sample_records import version
from tests.report.structure import parse, problems


@pytest.fixture(scope="module")
def page() -> str:
    return index_html(sample_catalog())


def text_of(page: str) -> str:
    root, _ = parse(page)
    return root.find("main")[0].text


def test_index_is_sound(page: str) -> None:
    assert problems(page) == []


def test_failed_and_behind_come_first(page: str) -> None:
    attention, every = text_of(page).split("All series", 1)
    assert (
        attention.index("rfm/douyin v4") < attention.index("rfm/broken/v1") < attention.index("rfm/小红书 v1")
    )
    assert "✕ failed" in attention and "KeyError: 'monetry'" in attention
    assert "Version 3 is the last that succeeded. rfm/douyin/v3" in attention
    assert "As of 2026-05-31, 30 days before the newest day of any report, 2026-06-30." in attention
    assert "retention/all" not in attention and "○ not run" in every


def test_failed_series_shows_the_findings_of_its_last_good_version(page: str) -> None:
    block = text_of(page).split("All series", 1)[1].split("rfm/douyin", 1)[1].split("rfm/小红书")[0]
    assert "The newest version, 4: failed." in block
    assert "What follows is of version 3, the last that succeeded." in block
    assert (
        "▼ worse Net promotion rate \N{MINUS SIGN}4.3 % \N{MINUS SIGN}6.1 % to \N{MINUS SIGN}2.5 %" in block
    )


def test_a_series_begins_with_its_verdict_and_its_first_decision() -> None:
    catalog = sample_catalog()
    text = text_of(index_html(Catalog(series=catalog.series[:1])))
    assert (
        "Value of the top fifth: 61.7 %; do this first: keep the top tier close (核心成员). ▶ do "
        "Keep the top tier close (核心成员): CNY 12,480 (CNY 3,150 to CNY 24,900) · community lead · decision 1 of 4"
    ) in text


def test_every_version_can_be_reached(page: str) -> None:
    root, _ = parse(page)
    links = {unquote(link.get("href")) for link in root.find("a")}
    for series in sample_catalog().series:
        for entry in series.versions:
            assert f"{entry.path}/report.html" in links


def test_series_without_success_says_so() -> None:
    catalog = sample_catalog()
    only = catalog.series[1].model_copy(update={"versions": catalog.series[1].versions[:1], "latest": None})
    page = index_html(Catalog(series=[only]))
    assert problems(page) == []
    assert "No version has succeeded yet." in text_of(page)


def test_empty_folder_has_an_index() -> None:
    page = index_html(Catalog(series=[]))
    assert problems(page) == []
    assert "No report has been published yet." in text_of(page)
    assert "Nothing failed" in text_of(page)


def test_policy_lets_the_filter_run_and_nothing_else(page: str) -> None:
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert script and policy
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert (
        f"script-src &#39;sha256-{digest}&#39;" in policy[1] or f"script-src 'sha256-{digest}'" in policy[1]
    )
    assert "default-src 'none'" in policy[1]
    assert page.count("<script") == 1


def test_thousand_versions_stay_light() -> None:
    page = index_html(sample_catalog(copies=50))
    assert page.count("report.html") > 1_000
    assert len(page.encode()) <= 150_000
    assert problems(page) == []


def test_hostile_message_stays_text() -> None:
    catalog = sample_catalog()
    failed = catalog.series[1].versions[0]
    assert failed.failure
    message = "<script>alert(1)</script>\nsecond line"
    bad = failed.model_copy(update={"failure": failed.failure.model_copy(update={"message": message})})
    page = index_html(
        Catalog(series=[catalog.series[1].model_copy(update={"versions": [bad], "latest": None})])
    )
    assert problems(page) == []
    assert "<script>alert(1)</script>" in text_of(page) and "second line" not in page


def drawings(page: str) -> list[str]:
    root, _ = parse(page)
    return [node.get("aria-label") for node in root.find("svg")]


def moving(values: list[float | None], unit: str = "share") -> Catalog:
    """Return a catalogue of one series whose first headline takes these values, oldest first."""
    versions = []
    for number, value in enumerate(values, 1):
        entry = version("rfm/all", number, as_of=f"2026-06-{number:02d}", found=1)
        bounds = {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
        headline = entry.headlines[0].model_copy(update={"value": value, "unit": unit, **bounds})
        versions.insert(0, entry.model_copy(update={"headlines": [headline]}))
    whole = sample_catalog().series[0]
    return Catalog(series=[whole.model_copy(update={"versions": versions, "latest": len(values)})])


def test_sparkline_says_and_shows_where_a_number_went() -> None:
    page = index_html(moving([0.2, 0.3, None, 0.6]))
    assert drawings(page) == ["Value of the top fifth over 3 versions: from 20.0 % in v1 to 60.0 % in v4"]
    band, line = re.findall(r'<path d="([^"]+)"', page)
    # Lowest bound 0.1 lies at the bottom (y = 21), highest 0.7 at the top (y = 3); values at 18, 15 and 6.
    assert line == "M3 18l45-3 45-9"
    assert band == "M3 15l45-3 45-9 0 6-45 9-45 3"
    assert "<circle cy=6 />" in page
    assert problems(page) == []


def test_one_known_value_is_no_course() -> None:
    assert drawings(index_html(moving([0.2, None]))) == []
    assert drawings(index_html(moving([0.2]))) == []


def test_a_change_of_unit_is_no_course() -> None:
    catalog = moving([0.2, 0.3])
    newest = catalog.series[0].versions[0]
    other = newest.headlines[0].model_copy(update={"unit": "ratio"})
    versions = [newest.model_copy(update={"headlines": [other]}), catalog.series[0].versions[1]]
    series = catalog.series[0].model_copy(update={"versions": versions})
    assert drawings(index_html(Catalog(series=[series]))) == []


@pytest.mark.parametrize(
    ("own", "others", "late"),
    [
        (["2026-06-01"], "2026-06-08", False),
        (["2026-06-01"], "2026-06-09", True),
        (["2026-04-30", "2026-05-31"], "2026-06-30", False),  # monthly, so a month is no delay
        (["2026-03-31", "2026-04-30"], "2026-06-30", True),
        (["2026-06-01"], "not a day", False),
    ],
)
def test_behind_is_judged_by_the_rhythm_of_the_series(own: list[str], others: str, late: bool) -> None:
    versions = [version("rfm/a", number, as_of=day) for number, day in enumerate(own, 1)][::-1]
    one, *_ = sample_catalog().series
    series = [
        one.model_copy(update={"series": "rfm/a", "versions": versions, "latest": len(own)}),
        one.model_copy(
            update={"series": "rfm/b", "versions": [version("rfm/b", 1, as_of=others)], "latest": 1}
        ),
    ]
    attention = text_of(index_html(Catalog(series=series))).split("All series")[0]
    assert ("rfm/a" in attention) is late


def test_a_report_that_ran_and_does_not_any_more_is_a_concern() -> None:
    missing = Failure(kind="missing_table", cell=3, error="MissingTable", message="table orders missing")
    lost = version("rfm/all", 2, "not_run").model_copy(update={"failure": missing})
    one = sample_catalog().series[0]
    series = one.model_copy(update={"versions": [lost, version("rfm/all", 1)], "latest": 1})
    page = index_html(Catalog(series=[series]))
    assert problems(page) == []
    attention = text_of(page).split("All series")[0]
    assert "rfm/all v2 ○ not run A table that this report needs is not there." in attention
    assert "table orders missing Version 1 is the last that succeeded. rfm/all/v1" in attention
    assert "Nothing failed" not in attention


@pytest.mark.parametrize(
    ("as_of", "old"), [("2026-05-31", False), ("2026-05-30", True), ("not a day", False)]
)
def test_data_that_end_long_before_the_newest_run_are_said(as_of: str, old: bool) -> None:
    one = sample_catalog().series[0]
    series = one.model_copy(update={"versions": [version("rfm/all", 1, as_of=as_of)], "latest": 1})
    attention = text_of(index_html(Catalog(series=[series]))).split("All series")[0]
    said = "The newest day of any report is 2026-05-30, 32 days before the newest run, 2026-07-01."
    assert (said in attention) is old and ("Nothing failed, and no series is behind" in attention) is not old


def test_a_run_that_took_too_long_is_said_once() -> None:
    message = "the run timed out after 3 seconds"
    late = Failure(kind="timed_out", cell=3, error="CellTimeoutError", message=message)
    slow = version("rfm/all", 1, "timed_out").model_copy(update={"failure": late})
    series = sample_catalog().series[0].model_copy(update={"versions": [slow], "latest": None})
    attention = text_of(index_html(Catalog(series=[series]))).split("All series")[0]
    assert "timed out The run timed out after 3 seconds. No version" in attention


def test_page_of_the_last_change_is_linked_where_it_is() -> None:
    first, *rest = sample_catalog().series
    changed = first.model_copy(update={"diffs": ["v10-v12.html", "v11-v12.html", "v3-v4.html"]})
    root, _ = parse(index_html(Catalog(series=[changed, *rest])))
    links = [link for link in root.find("a") if "diffs" in link.get("href")]
    assert [(link.get("href"), link.text) for link in links] == [
        ("rfm/all/diffs/v11-v12.html", "what changed since version 11")
    ]


def test_weeks_of_a_number_are_a_line_with_a_tick_where_the_calendar_marks_one() -> None:
    size = Estimate(5.0, 4.0, 6.0, 30, "orders", "weeks", 0.95)
    one = finding(
        size, id="weekly_review.orders", metric="Orders", scope="all", sentence="So.", assumption="none"
    )
    values = [3.0, None, 7.0, 5.0]
    weeks = [dt.date(2026, 6, 1) + dt.timedelta(weeks=place) for place in range(4)]
    notes = ["", "", "promotion", ""]
    points = [Point(week=w, value=v, note=n) for w, v, n in zip(weeks, values, notes, strict=True)]
    drawn = str(trail(one.model_copy(update={"trail": tuple(points)})))
    assert drawn.count('class="note"') == 1 and "2026-06-15: promotion" in drawn
    assert "Orders over 4 weeks: from 3" in drawn and "to 5" in drawn
    path = re.search(r'<path d="M(\d+) (\d+)l', drawn)
    assert path is not None and int(path[2]) == 25, "the lowest value lies at the bottom"
    assert trail(one) == trail(one.model_copy(update={"trail": tuple(points[:2])})) == ""
