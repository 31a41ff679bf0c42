"""Pages in a real browser: they lay out without sideways scrolling, draw Chinese, and ask no network for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.report.index import index_html
from helpers.report.page import report_html
from tests.report import sample_pages, sample_records


def unfinished(page: tuple) -> str:
    """Render a page of a run that did not succeed."""
    notebook, manifest = page
    return report_html(notebook, manifest, [], [])


PAGES = {
    "succeeded": sample_pages.rendered,
    "failed": lambda: unfinished(sample_pages.failed()),
    "not run": lambda: unfinished(sample_pages.not_run()),
    "index": lambda: index_html(sample_records.catalog()),
}

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
MEASURE = (
    "<script>const r = performance.getEntriesByType('resource').length, d = document.documentElement;"
    "document.title = [d.scrollWidth, innerWidth, r, document.querySelectorAll('svg').length].join(' ')</script>"
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]


@pytest.mark.parametrize("width", [600, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_requests_nothing(name: str, width: int, tmp_path: Path) -> None:
    page = PAGES[name]()
    # The measuring script stands in a copy, freed of the policy that would rightly refuse it.
    copy = re.sub(r"<meta[^>]*Content-Security-Policy[^>]*>", "", page).replace(
        "</body>", f"{MEASURE}</body>"
    )
    path = tmp_path / "page.html"
    path.write_text(copy, "utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    done = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    title = re.search(r"<title>([^<]*)</title>", done.stdout)
    assert title is not None
    scroll_width, inner_width, requests, drawings = map(int, title[1].split())
    assert scroll_width <= inner_width
    assert requests == 0
    assert drawings == page.count("<svg ")
