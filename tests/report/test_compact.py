"""Compacting a page changes its bytes and nothing that a reader or a parser gets of it."""

from __future__ import annotations

import pytest

from helpers.report.compact import compact
from tests.report.structure import Node, parse


def page(body: str, style: str = "") -> str:
    return f"<!doctype html><style>{style}</style><body>{body}</body>"


def tree(node: Node) -> tuple[object, ...]:
    parts = [part if isinstance(part, str) else tree(part) for part in node.content]
    return node.tag, node.attributes, [part for part in parts if not isinstance(part, str) or part.strip()]


@pytest.mark.parametrize(
    "body",
    [
        '<table><thead><tr><th scope="col">a</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>',
        "<ul><li>a<ol><li>b</li><li>c</li></ol></li><li>d</li></ul>",
        "<dl><dt>a</dt><dd>b</dd><dt>c</dt><dd>d</dd></dl>",
        '<p title="it\'s" id="x">&quot;a&quot; &amp; &#x27;b&#39; &lt;td&gt;&lt;/td&gt;</p>',
        '<a href="a/">folder</a><a href="?a=1&amp;b=2">query</a><p title="">empty</p>',
        '<a title="a > b" href="#x">sign</a>',
        "<pre>&quot;kept&quot;\n\n  lines</pre>",
        "<p>one <b>two</b>\n<i>three</i></p>",
    ],
)
def test_the_tree_stays_the_same(body: str) -> None:
    short = compact(page(body))
    assert len(short) <= len(page(body))
    assert tree(parse(short)[0]) == tree(parse(page(body))[0])
    assert parse(short)[1] == []


def test_drawings_and_scripts_stay_as_they_are() -> None:
    body = '<svg role="img"><text>&quot;</text></svg><script>if (a) b = "</td>"</script>'
    assert body in compact(page(body))


def test_style_keeps_what_the_page_uses() -> None:
    style = (
        "p,.a,.b,hr{margin:0}.b,h4{color:red}@media print{.b{top:0}.a .c,li.a{top:1px}}.a:not(.b,p){top:2px}"
    )
    assert "<style>p,.a{margin:0}@media print{li.a{top:1px}}.a:not(.b,p){top:2px}</style>" in compact(
        page('<ul><li class="a">x</li></ul><p>y</p>', style)
    )


def test_colours_get_short_names() -> None:
    style = ":root{--paper:#fff;--ink:#000;--unused:#111}p{color:var(--ink);background:var(--paper)}"
    assert "<style>:root{--b:#fff;--a:#000}p{color:var(--a);background:var(--b)}</style>" in compact(
        page("<p>x</p>", style)
    )
