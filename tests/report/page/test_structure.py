"""The structural checks find what they are for: a sound page passes, and each defect planted in it is named."""

from __future__ import annotations

import pytest

from helpers.report.page.report import report_html
from tests.report import sample_pages
from tests.report.structure import PAGE_LIMIT, TEXT_LIMIT, problems, warnings, weight

PAGE = """<!doctype html>
<html lang="en"><head><meta name="viewport" content="width=device-width"><title>Page</title>
<style>p { color: red; background: url(#paint) }</style></head>
<body><a href="#main">Skip</a><nav aria-label="Contents"><a href="#part">Part</a></nav>
<main id="main"><h1>Page</h1><h2 id="part">Part</h2><p>See <a href="https://example.org/paper">the paper</a>.</p>
<img src="data:image/png;base64,AA==" alt="Half of the members left within thirty days of joining.">
<svg role="img" aria-labelledby="t d"><title id="t">Leaving</title><desc id="d">
Half of the members left in June.</desc></svg>
<div role="region" tabindex="0" aria-label="Numbers"><table><caption>Members</caption>
<tr><th scope="col">tier</th></tr><tr><td>core</td></tr></table></div>
<details><summary>More</summary><p>text</p></details>
<label for="words">Filter</label><input id="words">
</main></body></html>"""

DEFECTS = [
    ("<!doctype html>", "", "doctype"),
    (' lang="en"', "", "names no language"),
    ("<title>Page</title>", "", "no <title>"),
    ("width=device-width", "width=device-width, user-scalable=no", "enlarged"),
    ("<main id", '<main id="other"></main><main id', "2 <main>"),
    (' aria-label="Contents"', "", "<nav> has no name"),
    ('<a href="#main">Skip</a>', "", "does not skip"),
    ("<h1>Page</h1>", "<h1>Page</h1><h1>Two</h1>", "2 <h1>"),
    ('<h2 id="part">Part</h2>', '<h3 id="part">Part</h3>', "skips a level"),
    ('<h2 id="part">Part</h2>', '<h2 id="part"> </h2>', "is empty"),
    ("Half of the members left within thirty days of joining.", "Members who left", "of 16 characters"),
    ("Half of the members left in June.", "Half", "text alternative"),
    ('<svg role="img"', "<svg", "has no role"),
    ("<details>", '<figure class="undescribed">x</figure><details>', "author gave no description"),
    ("<caption>Members</caption>", "", "no caption"),
    (' scope="col"', "", "no scope"),
    ('<th scope="col">tier</th>', "<td>tier</td>", "no header cell"),
    (' tabindex="0"', "", "region that scrolls"),
    ('id="part"', 'id="main"', "used 2 times"),
    ('href="#part"', 'href="#gone"', 'leads to "#gone"'),
    ('aria-labelledby="t d"', 'aria-labelledby="t gone"', "names no element"),
    ("<summary>More</summary>", "", "does not start with a <summary>"),
    ('<a href="#part">Part</a>', '<a href="#part"></a>', "has no name"),
    ('<label for="words">Filter</label>', "", "has no label"),
    (
        'src="data:image/png;base64,AA=="',
        'src="https://example.org/a.png"',
        "loads https://example.org/a.png",
    ),
    ('src="data:image/png;base64,AA=="', 'src="//example.org/a.png"', "loads //example.org/a.png"),
    ("url(#paint)", "url(https://example.org/a.png)", "loads https://example.org/a.png"),
    ("<style>", "<style>@import 'https://example.org/a.css';", "loads https://example.org/a.css"),
    ("https://example.org/paper", "javascript:go()", "loads javascript:go()"),
    ("<details>", "<noscript>Switch scripts on</noscript><details>", "stands alone"),
    ("<details>", '<script src="a.js"></script><details>', "small addition"),
    ("<p>text</p>", '<p onclick="go()">text</p>', "needs a script: onclick"),
    ("<details>", "<div hidden><p>text</p></div><details>", "only a script could show"),
    ("</p>\n<img", "</b>\n<img", "closes"),
    ("</main></body></html>", "", "never closed"),
]


def test_sound_page_has_no_problem() -> None:
    assert problems(PAGE) == []


@pytest.mark.parametrize(
    ("sound", "broken", "message"), DEFECTS, ids=[f"{d[2]}-{i}" for i, d in enumerate(DEFECTS)]
)
def test_planted_defect_is_named(sound: str, broken: str, message: str) -> None:
    assert sound in PAGE
    found = problems(PAGE.replace(sound, broken, 1))
    assert any(message in line for line in found), found


def test_size_is_counted_in_bytes() -> None:
    size = len(PAGE.encode())
    assert problems(PAGE, limit=size) == []
    assert problems(PAGE.replace("Skip", "略"), limit=size - 2) == [
        f"the page weighs {size - 1:,} bytes, must be <= {size - 2:,}"
    ]


def test_weight_tells_pictures_from_the_rest() -> None:
    nb = sample_pages.notebook()
    page = report_html(nb, sample_pages.manifest(nb), sample_pages.findings(), sample_pages.actions())
    total, figures = weight(page)
    assert total == len(page.encode())
    assert 0 < figures < total
    assert page.count('<figure class="chart">') == 2


def test_heavy_page_is_warned_of_and_a_very_heavy_one_is_an_error() -> None:
    room = TEXT_LIMIT - len(PAGE.encode())
    picture = f'<figure class="chart"><p>{"x" * 9_000}</p></figure>'
    assert warnings(PAGE.replace("text", "text" + room * "x", 1)) == []
    assert warnings(PAGE.replace("<details>", f"{picture}<details>")) == []
    heavy = PAGE.replace("text", "text" + (room + 1) * "x", 1)
    assert warnings(heavy) == ["the page weighs 75,001 bytes without pictures, should be <= 75,000"]
    assert problems(heavy) == []
    assert any("must be <= 500,000" in line for line in problems(PAGE.replace("text", PAGE_LIMIT * "x", 1)))


def test_picture_without_its_data_is_warned_of() -> None:
    bare = PAGE.replace("<img", "<figure><img").replace('joining.">', 'joining."></figure>')
    assert warnings(bare) == ["<figure> has no table with its data"]
    nb = sample_pages.notebook()
    assert warnings(report_html(nb, sample_pages.manifest(nb), sample_pages.findings(), [])) == []
