"""axe-core and a real browser over every kind of page: phone and desktop, light and dark, success and failure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import locale
from helpers.playbook.finding import Finding
from helpers.report import diff
from helpers.report.page.index import index_html
from helpers.report.page.report import report_html
from helpers.report.plan import plan_file
from helpers.report.publish.manifest import dump_json
from helpers.report.run.batch import execute_all
from helpers.report.run.one_run import execute
from tests import latin
from tests.browser.chromium import COMMAND, Chromium, Page
from tests.browser.five_minutes import too_much
from tests.report import sample_pages, sample_records
from tests.report.plans import plan
from tests.report.structure import parse, problems

AXE = Path(__file__).resolve().parents[3] / ".axe/node_modules/axe-core/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = (
    "axe.run(document, {runOnly: %s, resultTypes: ['violations']}).then(found => found.violations.map("
    "v => v.id + ': ' + v.help + ' | ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')))"
)
OPEN = "document.querySelectorAll('details').forEach(fold => fold.open = true)"


def unfinished(page: tuple[Any, Any]) -> str:
    """Render the page of a run that did not succeed."""
    return report_html(*page, [], [])


def compared() -> str:
    """Render the page that compares two versions, the second with other parameters and lower numbers."""
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder)
        for number in (1, 2):
            home = reports / f"rfm/douyin/v{number}"
            (home / "figures").mkdir(parents=True)
            run = sample_pages.bookkeeping().model_copy(update={"version": number})
            nb = sample_pages.notebook()
            manifest = sample_pages.manifest(nb, bookkeeping=run)
            values = manifest.parameters | {"window_days": 90 * number}
            text = manifest.model_copy(update={"parameters": values}).to_json()
            (home / "manifest.json").write_text(text, "utf-8")
            found = [_scaled(finding, 1 / number) for finding in sample_records.findings()]
            (home / "findings.json").write_text(
                dump_json([f.model_dump(mode="json") for f in found]), "utf-8"
            )
            chart = sample_pages.chart("Most members are active", "bar")
            chart.data.to_parquet(home / "figures/pyramid.parquet")
            (home / "figures/pyramid.svg").write_text(chart.svg(), "utf-8")
        return diff.write(diff.compare(*diff.resolve(reports, "rfm/douyin"))).read_text("utf-8")


def _scaled(finding: Finding, factor: float) -> Finding:
    numbers = {name: getattr(finding, name) for name in ("value", "low", "high")}
    scaled = {name: None if number is None else number * factor for name, number in numbers.items()}
    return finding.model_copy(update=scaled if finding.id != "rfm.net_promotion_rate" else {})


PAGES: dict[str, Callable[[], str]] = {
    "succeeded": sample_pages.rendered,
    "failed": lambda: unfinished(sample_pages.failed()),
    "not run": lambda: unfinished(sample_pages.not_run()),
    "index": lambda: index_html(sample_records.catalog()),
    "comparison": compared,
    "empty index": lambda: index_html(sample_records.catalog().model_copy(update={"series": []})),
}

REAL = sorted(path.stem for path in Path(__file__).parents[3].glob("notebooks/[0-9]*.ipynb"))
REPORT = {
    1280: [".verdict", ".card", ".first > figure .picture", ".tiles"],
    390: [".verdict", ".card .terms", ".card .terms + p"],
}
FAILED = {1280: [".banner"], 390: [".banner .message"]}
INDEX = {1280: [".series .said", ".series .said + p"], 390: ["#attention ~ ul"]}
FIRST = {
    "succeeded": REPORT,
    "failed": FAILED,
    "not run": FAILED,
    "index": INDEX,
    "comparison": {1280: [".verdict", ".tiles"], 390: [".verdict", ".tiles li"]},
    "empty index": {},
}
"""What the first screen of each page must hold, by its width."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(COMMAND is None, reason="Chromium is not installed (Debian: chromium)"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert COMMAND
    with Chromium(COMMAND) as chromium, chromium.page() as tab:
        yield tab


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {name: folder / f"{name.replace(' ', '-')}.html" for name in PAGES}
    for name, path in paths.items():
        path.write_text(PAGES[name](), "utf-8")
    return paths


def violations(page: Page, rules: list[str]) -> list[str]:
    page.evaluate(OPEN)
    page.evaluate(AXE.read_text("utf-8") + "; 0")
    return list(page.evaluate(RUN % rules))


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: run `make axe`")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_rule_of_wcag_or_best_practice_is_broken(
    page: Page, files: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    page.look(width, dark=dark)
    page.open(files[name])
    assert violations(page, [*WCAG, "best-practice"]) == []


@pytest.fixture(scope="session")
def real(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of the notebooks themselves, run over the sample."""
    reports = tmp_path_factory.mktemp("reports")
    paths = {}
    for name in REAL:
        made = plan(root / "notebooks" / f"{name}.ipynb", data=str(root / "data/sample"))
        done = execute(made, reports=reports)
        assert done.status == "succeeded", done.manifest.failure
        paths[name] = reports / done.manifest.series / "v1/report.html"
    return paths


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_five_minutes(page: Page, files: dict[str, Path], name: str) -> None:
    assert too_much(page, files[name], FIRST[name]) == []


@pytest.mark.parametrize("name", REAL)
def test_a_real_report_is_read_in_five_minutes(page: Page, real: dict[str, Path], name: str) -> None:
    assert too_much(page, real[name], REPORT) == []


def test_what_takes_longer_is_told(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "long.html"
    table, picture = "<table><tr><td>a</table>", '<svg width="300" height="9"></svg>'
    fold = f"<details><summary>b c</summary>{1_000 * 'd '}{9 * table}</details>"
    path.write_text(f"<!doctype html>{fold}{2_492 * 'e '}{6 * table}{8 * picture}<p class=end>f</p>")
    assert [line for line in too_much(page, path, {}) if line] == ["2,501 words, must be <= 2,500"] * 2
    path.write_text(f"<!doctype html>{7 * table}{9 * picture}<p class=end style='margin-top: 900px'>f</p>")
    found = too_much(page, path, {1280: [".end", ".none"]})
    assert found[:2] == ["9 pictures, must be <= 8", "7 tables, must be <= 6"]
    assert ".end ends at" in found[2] and ".none ends at None" in found[3]


@pytest.fixture(scope="session")
def chinese(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of all notebooks in Chinese, their index, and a comparison with a version of other parameters."""
    reports = tmp_path_factory.mktemp("chinese")
    given: dict[str, Any] = {"data": str(root / "data/sample"), "language": "zh"}
    other = plan(root / "notebooks/01_rfm.ipynb", parameters=given | {"window_days": 60})
    runs = plan_file.of_notebooks([root / "notebooks" / f"{name}.ipynb" for name in REAL], parameters=given)
    done = [execute(other, reports=reports), *execute_all(runs, reports=reports)]
    assert {each.status for each in done} == {"succeeded"}
    paths = {made.series: max(reports.glob(f"{made.series}/v*/report.html")) for made in runs}
    with locale.spoken("zh"):
        compared = diff.write(diff.compare(*diff.resolve(reports, "rfm/all.zh")))
    return paths | {"index": reports / "index.html", "comparison": compared}


CHINESE = [f"{name.partition('_')[2]}/all.zh" for name in REAL]
OUTSIDE = """[...document.querySelectorAll('figure svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return box.width ? [...svg.querySelectorAll('text')].filter(text => {
    const at = text.getBoundingClientRect();
    return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
  }).map(text => text.textContent) : [];
})"""
"""Texts of pictures that leave their picture, by more than a pixel."""
CUT = """[...document.querySelectorAll('main *')].filter(e => e.clientWidth && !e.closest('svg, .vh')
  && getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 90))"""
"""Elements that hide a part of what is in them: on paper nobody scrolls."""


@pytest.mark.parametrize("name", CHINESE)
def test_a_chinese_report_is_read_in_five_minutes_and_its_pictures_hold_their_words(
    page: Page, chinese: dict[str, Path], name: str
) -> None:
    assert too_much(page, chinese[name], REPORT) == []
    for width in (390, 1280):
        page.look(width)
        page.open(chinese[name])
        page.evaluate(OPEN)
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"


@pytest.mark.parametrize("name", CHINESE)
def test_a_chinese_report_is_chinese_and_whole_on_paper(
    page: Page, chinese: dict[str, Path], name: str
) -> None:
    page.look(794)
    page.open(chinese[name])
    page.call("Emulation.setEmulatedMedia", media="print")
    shown = page.evaluate(
        "[...document.querySelectorAll('details > *')].every(e => e.getClientRects().length)"
    )
    assert shown and page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 794


def test_words_outside_a_picture_and_what_is_cut_are_seen(page: Page, tmp_path: Path) -> None:
    path, wide = tmp_path / "page.html", "<div style='width: 500px'>b</div>"
    path.write_text(
        "<!doctype html><main><figure><svg width=90 height=40><text x=80 y=20>层级层级</text></svg></figure>"
        f"<div style='width: 90px; overflow-x: auto' id=cut>{wide}</div><div style='width: 900px'>{wide}</div></main>"
    )
    page.look(1280)
    page.open(path)
    assert page.evaluate(OUTSIDE) == ["层级层级"] and len(page.evaluate(CUT)) == 1


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: run `make axe`")
@pytest.mark.parametrize("name", [*CHINESE[:1], "index", "comparison"])
def test_chinese_pages_break_no_rule(page: Page, chinese: dict[str, Path], name: str) -> None:
    for width, dark in ((1280, False), (390, True)):
        page.look(width, dark=dark)
        page.open(chinese[name])
        assert violations(page, [*WCAG, "best-practice"]) == []
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    names = latin.names_of(Path("data/sample"), chinese["rfm/all.zh"].with_name("manifest.json"))
    assert latin.untranslated(chinese[name].read_text("utf-8"), names) == {}


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: run `make axe`")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", REAL)
def test_real_reports_break_no_rule(
    page: Page, real: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    page.look(width, dark=dark)
    page.open(real[name])
    assert violations(page, [*WCAG, "best-practice"]) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems(real[name].read_text("utf-8")) == []


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: run `make axe`")
def test_axe_sees_what_is_wrong(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        '<!doctype html><html><body style="color: #999"><img src="data:,"><p>grey</p></body></html>'
    )
    page.look(1280)
    page.open(path)
    found = " ".join(violations(page, WCAG))
    assert all(rule in found for rule in ("image-alt", "html-has-lang", "color-contrast"))


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(page: Page, files: dict[str, Path], name: str, width: int) -> None:
    page.look(width)
    page.open(files[name])
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_requested(page: Page, files: dict[str, Path], name: str) -> None:
    page.look(1280)
    page.call("Network.enable")
    page.open(files[name])
    asked = [
        e["params"]["request"]["url"]
        for e in page.chromium.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [files[name].as_uri()]
    assert page.evaluate("document.querySelectorAll('svg').length") == files[name].read_text("utf-8").count(
        "<svg"
    )


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_all_of_it_can_be_read(page: Page, files: dict[str, Path], name: str) -> None:
    page.look(1280)
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(files[name])
        read = page.evaluate("document.body.innerText")
        box = page.evaluate("getComputedStyle(document.querySelector('#filter') || document.body).display")
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    root, _ = parse(files[name].read_text("utf-8"))
    missing = [
        node.text
        for node in root.find("h1", "h2", "h3", "summary")
        if "".join(node.text.split()) not in "".join(read.split())
        and "details" not in [each.tag for each in node.ancestors()][node.tag == "summary" :]
    ]
    assert [text for text in missing if text] == []
    assert box == ("none" if "index" in name else "block")


def test_folds_open_on_paper(page: Page, files: dict[str, Path]) -> None:
    page.look(794)
    page.open(files["succeeded"])
    page.call("Emulation.setEmulatedMedia", media="print")
    heights = page.evaluate(
        "[...document.querySelectorAll('details > pre')].map(code => code.getClientRects().length)"
    )
    assert heights and all(heights)


def test_filter_and_arrow_keys(page: Page, files: dict[str, Path]) -> None:
    page.look(1280)
    page.open(files["index"])
    shown = "[...document.querySelectorAll('#series > li h3 a')].filter(a => a.offsetParent).map(a => a.innerText)"
    focused = "document.activeElement.innerText"
    assert page.evaluate(shown) == ["rfm/all", "rfm/douyin", "rfm/小红书", "retention/all"]
    page.evaluate(
        "document.getElementById('words').focus(); document.execCommand('insertText', false, 'rfm')"
    )
    assert page.evaluate(shown) == ["rfm/all", "rfm/douyin", "rfm/小红书"]
    assert page.evaluate("document.querySelector('output').innerText") == "3 shown"
    for key, link in [("ArrowDown", "rfm/all"), ("ArrowDown", "rfm/douyin"), ("ArrowUp", "rfm/all")]:
        page.press(key)
        assert page.evaluate(focused) == link
    page.evaluate("state.value = 'failed'; state.dispatchEvent(new Event('change')); 0")
    assert page.evaluate(shown) == ["rfm/douyin"]
