"""The index: what needs attention comes first, every version can be reached, and no script is needed."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import unquote

import pytest

from helpers.report.catalog import Catalog
from helpers.report.index import index_html
from helpers.report.structure import parse, problems
from tests.report.sample_records import catalog as sample_catalog


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
    assert "As of 2026-05-31, while other reports are as of 2026-06-30." in attention
    assert "retention/all" not in attention and "○ not run" in every


def test_failed_series_shows_the_findings_of_its_last_good_version(page: str) -> None:
    block = text_of(page).split("All series", 1)[1].split("rfm/douyin", 1)[1].split("rfm/小红书")[0]
    assert "Findings of version 3, the last that succeeded:" in block
    assert "worse: More slid down" in block
    assert "and 2 more in the report" in block


def test_every_version_can_be_reached(page: str) -> None:
    root, _ = parse(page)
    links = {unquote(link.get("href")) for link in root.find("a")}
    for series in sample_catalog().series:
        for version in series.versions:
            assert f"{version.path}/report.html" in links


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
