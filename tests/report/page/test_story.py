"""Cells on the page: nothing in them runs, loads or breaks the page, and each has what a reader needs."""

from __future__ import annotations

import pandas as pd
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from tests.report import sample_pages
from tests.report.sample_pages import rendered, text_of
from tests.report.structure import problems

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="


def with_output(output: NotebookNode) -> NotebookNode:
    """Return the sample notebook with one more cell that shows `output`."""
    nb = sample_pages.notebook()
    nb.cells.append(new_code_cell("show()", outputs=[output]))
    return nb


@pytest.mark.parametrize(
    ("html", "gone"),
    [
        ("<p>a</p><script>alert(1)</script>", "alert"),
        ('<p onclick="alert(1)">a</p>', "alert"),
        ('<a href="javascript:alert(1)">a</a>', "alert"),
        ('<iframe src="https://example.org"></iframe><p>a</p>', "example.org"),
        ('<p>a</p><link rel="stylesheet" href="https://example.org/x.css">', "example.org"),
        ('<svg role="img" aria-label="x"><image href="https://example.org/x.png"/></svg><p>a</p>', "x.png"),
        ("<p>a</p><style>@import 'https://example.org/x.css';</style>", "example.org"),
    ],
)
def test_output_that_runs_or_loads_is_cut(html: str, gone: str) -> None:
    page = rendered(with_output(sample_pages.shown(html)))
    assert gone not in page.split('id="Data-and-its-health"')[1]
    assert ">a<" in page


def test_output_that_was_only_a_script_leaves_a_word() -> None:
    text = text_of(rendered(with_output(sample_pages.shown("<script>plot()</script>"))))
    assert "An interactive output was left out" in text


@pytest.mark.parametrize(
    "html",
    [
        "</main></body></html><p>a",
        "<div><p>a</div></section>",
        "<table><tr><td>a",
        "<h2>a",
        "a</p>",
        "<table><tr><td>2026-06-30<td>2026-06-30</table>",
    ],
)
def test_unbalanced_output_cannot_break_the_page(html: str) -> None:
    found = problems(rendered(with_output(sample_pages.shown(html))))
    assert [line for line in found if "closes" in line or "closed" in line or "<main>" in line] == []


def test_plain_pandas_table_gets_caption_scopes_and_region() -> None:
    frame = pd.DataFrame({"members": [1, 2]}, index=["core", "active"])
    page = rendered(with_output(sample_pages.shown(frame.to_html())))
    assert problems(page) == []
    assert "Table under “What could be wrong”" in page


def test_headings_are_put_in_order() -> None:
    nb = sample_pages.notebook()
    nb.cells += [
        new_markdown_cell("# A second title\n\n#### Far below"),
        new_markdown_cell("## Data and its health"),
    ]
    page = rendered(nb)
    assert problems(page) == []
    assert '<h2 id="A-second-title">' in page and '<h3 id="Far-below">' in page
    assert '<h2 id="Data-and-its-health-2">' in page


def test_heading_may_not_take_an_id_of_the_page() -> None:
    nb = sample_pages.notebook()
    nb.cells.append(
        new_markdown_cell("## findings\n\n## 结论 一\n\nSee [above](#结论-一) and [there](#findings).")
    )
    page = rendered(nb)
    assert problems(page) == []
    assert 'id="findings-2"' in page and 'id="结论-一"' in page


def test_same_picture_twice_keeps_ids_apart() -> None:
    chart = sample_pages.chart_html("Most members are active", "bar")
    page = rendered(with_output(sample_pages.shown(chart)))
    assert problems(page) == []
    assert page.count("<svg") - page.count('<svg class="strip') == 3


def test_picture_without_description_is_told() -> None:
    page = rendered(with_output(new_output("display_data", data={"image/png": PNG})))
    assert "gave this picture no description" in page
    assert any("author gave no description" in line for line in problems(page))
    alt = "Half of the members left within thirty days of joining."
    output = new_output("display_data", data={"image/png": PNG}, metadata={"image/png": {"alt": alt}})
    assert problems(rendered(with_output(output))) == []


def test_bare_svg_is_described_from_its_metadata() -> None:
    svg = '<?xml version="1.0"?><!DOCTYPE svg><svg viewBox="0 0 1 1"><path d="M0 0"/></svg>'
    alt = "Half of the members left within thirty days of joining."
    page = rendered(
        with_output(new_output("display_data", data={"image/svg+xml": svg}, metadata={"alt": alt}))
    )
    assert problems(page) == []
    assert 'viewBox="0 0 1 1"' in page


def test_long_text_is_folded_and_short_text_is_not() -> None:
    short = rendered(with_output(new_output("execute_result", data={"text/plain": "42"}, execution_count=1)))
    assert "<pre>42</pre>" in short
    output = new_output(
        "execute_result", data={"text/plain": "\n".join(map(str, range(40)))}, execution_count=1
    )
    assert "Output as text (40 lines)" in rendered(with_output(output))


def test_what_programs_print_of_themselves_is_left_to_the_notebook() -> None:
    warning = new_output("stream", name="stderr", text="FutureWarning: old\n 10%|#|\r100%|###|\n")
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "FloatProgress(value=0.5)"}
    for output in (warning, new_output("display_data", data=widget)):
        page = rendered(with_output(output))
        assert not any(word in page for word in ("FutureWarning", "100%|", "FloatProgress"))
    printed = rendered(with_output(new_output("stream", name="stdout", text="\x1b[31m 10%\r 50%\r100%\n")))
    assert "100%" in printed and "50%" not in text_of(printed).split("show()")[1].split("Appendix")[0]


def test_a_section_that_only_records_stands_where_the_findings_are() -> None:
    nb = sample_pages.notebook()
    *cells, recorded, proposed = nb.cells
    said = new_markdown_cell("## Findings and actions\n\nEach action names its day.")
    nb.cells = [*cells, said, recorded, proposed]
    text = text_of(rendered(nb))
    assert "Findings and actions" not in text and "FINDINGS AGAIN" not in text
    found = text.index("Each action names its day.")
    assert text.rindex("Findings", 0, found) < found < text.index("Appendix: how to check")
    nb.cells[-3] = new_markdown_cell("## Findings and actions\n\n- Of one kind.")
    assert "Findings and actions" in text_of(rendered(nb)), "a list is something to read"


def test_a_table_leads_to_its_file() -> None:
    table = pd.DataFrame({"tier": ["core"], "members": [1]}).to_html()
    page = rendered(with_output(sample_pages.shown(table, "Table tiers_now: 1 rows")))
    assert '<a href="tables/tiers_now.csv">As CSV<span class="vh">: tiers now</span></a>' in page
