"""From the cells of an executed notebook to the blocks of a page, in reading order."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import mistune
from markupsafe import Markup
from nbformat import NotebookNode

from helpers.playbook.finding import Finding
from helpers.report.page.markup import Outline, escape, tidy
from helpers.report.page.wording import Mark, word
from helpers.report.publish.manifest import Manifest

LONG_TEXT = 12
LONG_NAME = 60
_RECORDED = re.compile(r'<(ol|p) class="(findings|actions)">')
# By helpers.report.record: the files of a contact list, beside the report.
_CONTACTS = re.compile(r'<p class="contact-list">')
_FILE = re.compile(r"\blists/([a-z0-9_]+)\.(csv|parquet)\b")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_MARKDOWN = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "footnotes"])
_PYTHON = re.compile(
    r"(?P<comment>\#[^\n]*)|[rbfu]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    """One piece of the story.

    Attributes
    ----------
    kind : str
        ``html`` (shown as it is), ``code``, ``folded`` (text behind a summary), ``text`` or ``failed``.
    html : Markup
        The content.
    summary : str
        What a fold is called.
    mark : Mark or None
        State beside the summary, such as ``not run``.
    anchor : str
        Id of the block, where something leads to it.
    """

    kind: str
    html: Markup = field(default_factory=Markup)
    summary: str = ""
    mark: Mark | None = None
    anchor: str = ""


@dataclass(frozen=True)
class Failing:
    """The cell that ended the run.

    Attributes
    ----------
    name : str
        Its number among the code cells, as in ``In [n]``, the heading it stands under, and what it is called.
    code : Markup
        Its source.
    last_line : str
        Last line of the traceback, or empty.
    traceback : str
        All of it, without terminal colours, or empty.
    """

    name: str
    code: Markup
    last_line: str = ""
    traceback: str = ""


def blocks(
    notebook: NotebookNode, manifest: Manifest, outline: Outline, findings: Sequence[Finding] = ()
) -> list[Block]:
    """Return the story of a notebook; headings are added to `outline` as they come.

    A sentence that the page has already shown as one of its `findings` becomes a link to it.
    """
    stated = {f'<p class="sentence">{escape(finding.sentence)}</p>': finding for finding in findings}
    status = {run.index: run.status for run in manifest.cells}
    failed = manifest.failure.cell if manifest.failure else None
    title = _title_cell(notebook)
    story: list[Block] = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            source = _without_title(cell.source, manifest) if index == title else cell.source
            story += _prose(source, cell, outline)
        elif cell.cell_type == "code":
            if not (is_parameters(cell) and index != failed and status.get(index) == "completed"):
                story += _code(
                    cell, status.get(index, "completed"), _end(manifest) if index == failed else None
                )
            story += [_linked(block, stated) for block in _outputs(cell, outline)]
    return story


def _linked(block: Block, stated: Mapping[str, Finding]) -> Block:
    if _CONTACTS.match(block.html):
        return replace(block, html=Markup(_FILE.sub(r'<a href="\g<0>">\g<0></a>', str(block.html))))
    finding = stated.get(str(block.html))
    if finding is None:
        return block
    link = f'<a href="#finding-{escape(finding.id)}">{escape(finding.metric)}</a>'
    return Block("html", Markup(f'<p class="sentence">{word("finding_above", link=link)}</p>'))


def contact_lists(notebook: NotebookNode) -> list[str]:
    """Return the names of the contact lists whose files the run announced."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    texts = (_join(output.get("data", {}).get("text/html", "")) for output in outputs)
    return [
        file[1]
        for text in texts
        if _CONTACTS.match(text)
        for file in _FILE.finditer(text)
        if file[2] == "csv"
    ]


def failing_cell(notebook: NotebookNode, manifest: Manifest) -> Failing | None:
    """Return the cell that ended the run, or None when no cell had started."""
    index = manifest.failure.cell if manifest.failure else None
    if index is None or index >= len(notebook.cells):
        return None
    cell = notebook.cells[index]
    errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    name = _cell_name(notebook, index)
    if not errors:
        return Failing(name, highlight(cell.source))
    error = errors[-1]
    last = f"{error.ename}: {error.evalue}".rstrip(": ")
    return Failing(name, highlight(cell.source), last, _clean("\n".join(error.traceback)))


def _cell_name(notebook: NotebookNode, index: int) -> str:
    """Name a code cell as a reader finds it: by number, by heading, by its first comment or line."""
    cell, before = notebook.cells[index], notebook.cells[:index]
    counted = 1 + sum(one.cell_type == "code" and bool(one.source.strip()) for one in before)
    number = cell.get("execution_count") or counted
    headings = [
        line.lstrip("# ")
        for one in before
        if one.cell_type == "markdown"
        for line in one.source.splitlines()
        if re.match(r"#{1,6}\s", line)
    ]
    values = {"number": number, "name": _cell_title(cell, named=True)}
    return word("cell_under", heading=headings[-1], **values) if headings else word("cell", **values)


def highlight(source: str) -> Markup:
    """Return Python source as HTML with comments in ``<i>``; a sign ``#`` within a string starts none."""
    parts, end = [], 0
    for match in _PYTHON.finditer(source):
        if match["comment"]:
            parts.append(f"{escape(source[end : match.start()])}<i>{escape(match[0])}</i>")
            end = match.end()
    return Markup("".join([*parts, escape(source[end:])]))


def inline(text: str) -> Markup:
    """Return one paragraph of markdown as inline HTML."""
    rendered = tidy(str(_MARKDOWN(text)), Outline()).strip()
    return Markup(rendered.removeprefix("<p>").removesuffix("</p>"))


def is_parameters(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell only sets parameters: the appendix lists them with value, default and meaning."""
    tags = cell.get("metadata", {}).get("tags", [])
    return "parameters" in tags or "injected-parameters" in tags


def parameter_defaults(notebook: NotebookNode) -> dict[str, str]:
    """Return the default of each assignment of the parameters cell, as Python source."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            try:
                body = ast.parse(cell.source).body
            except SyntaxError:
                return {}
            values = ((_target(node), getattr(node, "value", None)) for node in body)
            return {name: ast.unparse(value) for name, value in values if name and value is not None}
    return {}


def parameter_meanings(notebook: NotebookNode) -> dict[str, str]:
    """Return the comment that stands beside each assignment of the parameters cell."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            return _comments(cell.source)
    return {}


def _comments(source: str) -> dict[str, str]:
    try:
        lines = {node.end_lineno: _target(node) for node in ast.parse(source).body}
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return {}
    comments = {
        token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT
    }
    return {name: comments[line] for line, name in lines.items() if name and line in comments}


def _target(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        node_target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        node_target = node.target
    else:
        return ""
    return node_target.id if isinstance(node_target, ast.Name) else ""


def _title_cell(notebook: NotebookNode) -> int:
    titles = (
        i
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and _starts_title(cell.source)
    )
    return next(titles, -1)


def _starts_title(source: str) -> bool:
    return source.lstrip().startswith("# ")


def _without_title(source: str, manifest: Manifest) -> str:
    """Drop the heading and the question from the first cell, because the title block shows them."""
    body = re.sub(r"\A\s*#\s[^\n]*\n?", "", source).strip()
    first, _, rest = body.partition("\n\n")
    return rest if manifest.question and _words(first) == _words(manifest.question) else body


def _words(text: str) -> str:
    return " ".join(re.sub(r"(?m)^\s*>\s?", "", text).split())


def _prose(source: str, cell: Mapping[str, Any], outline: Outline) -> list[Block]:
    for name, bundle in cell.get("attachments", {}).items():
        for mime, data in bundle.items():
            source = source.replace(f"attachment:{name}", f"data:{mime};base64,{''.join(data)}")
    return _shown(str(_MARKDOWN(source)), outline) if source.strip() else []


def _shown(fragment: str, outline: Outline) -> list[Block]:
    text = tidy(fragment, outline).strip()
    return [Block("html", Markup(text))] if text else []


def _end(manifest: Manifest) -> Mark:
    """Return how the cell is marked in which the run came to its end."""
    if manifest.status == "not_run":
        return Mark(word("ended_here"), "○", "quiet")
    return Mark(word("failed_here" if manifest.status == "failed" else "ended_here"), "✕", "bad")


def _code(cell: Mapping[str, Any], status: str, end: Mark | None) -> Iterator[Block]:
    if not cell["source"].strip():
        return
    mark = end or (Mark(word("not_run"), "○", "quiet") if status == "not_run" else None)
    anchor = "failed-cell" if end else ""
    yield Block("code", highlight(cell["source"]), code_summary(cell, named=mark is not None), mark, anchor)


def code_summary(cell: Mapping[str, Any], *, named: bool = False) -> str:
    """Return what a folded cell is called: its first comment and its length.

    A cell without a comment is called by its length alone, because its first line stands right beneath; where
    the cell is what the reader looks for, as in a run that ended early, `named` adds that line.
    """
    count = len(cell["source"].strip().splitlines())
    length = word("line") if count == 1 else word("lines", number=count)
    first = _cell_title(cell, named=named)
    return f"{word('code')}: {first} ({length})" if first else f"{word('code')} ({length})"


def _cell_title(cell: Mapping[str, Any], *, named: bool) -> str:
    lines = [line.strip() for line in cell["source"].strip().splitlines()] or [""]
    commented = lines[0].startswith("#") and lines[0] != "# NBVAL_CHECK_OUTPUT"
    first = lines[0].lstrip("#% ") if commented else lines[0] if named else ""
    if is_parameters(cell):
        given = "injected-parameters" in cell["metadata"]["tags"]
        first = word("parameters_given" if given else "parameters_default")
    first = first if len(first) <= LONG_NAME else f"{first[: LONG_NAME - 2].rstrip()} …"
    return first + ("…" if first.endswith(("(", "[", "{")) else "")


def _outputs(cell: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    streams: dict[str, str] = {}
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
        elif output["output_type"] == "error":
            yield Block("failed", Markup(escape(word("see_top"))))
        elif not is_recorded(output):
            yield from _display(output, outline)
    for name, text in sorted(streams.items(), reverse=True):
        if text.strip():
            yield _folded(word("printed" if name == "stdout" else "messages"), text)


def is_recorded(output: Mapping[str, Any]) -> bool:
    """Tell whether an output repeats findings or actions that the page shows at its top.

    They are known by the list that :mod:`helpers.report.record` displays: ``<ol class="findings">``, ``<p …>``
    when there are none, and the same for ``actions``.
    """
    return _RECORDED.match(_join(output["data"].get("text/html", ""))) is not None


def _display(output: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    data: Mapping[str, Any] = output["data"]
    if "text/html" in data:
        shown = _shown(_join(data["text/html"]), outline)
        yield from shown or [Block("text", Markup(escape(word("left_out"))))]
    elif "image/svg+xml" in data:
        svg = re.sub(r"\A.*?(?=<svg)", "", _join(data["image/svg+xml"]), flags=re.DOTALL)
        yield from _shown(_described_svg(svg, output, outline), outline)
    elif any(mime in data for mime in ("image/png", "image/jpeg")):
        mime = "image/png" if "image/png" in data else "image/jpeg"
        yield from _shown(_picture(mime, _join(data[mime]), output, outline), outline)
    elif "text/markdown" in data:
        yield from _shown(str(_MARKDOWN(_join(data["text/markdown"]))), outline)
    elif "text/plain" in data:
        yield _plain_text(_clean(_join(data["text/plain"])))


def _described_svg(svg: str, output: Mapping[str, Any], outline: Outline) -> str:
    if "aria-label" in svg or "<title" in svg:
        return f'<figure class="chart">{svg}</figure>'
    text, note, undescribed = _description(output, "image/svg+xml", outline)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
    return f'<figure class="chart{undescribed}">{svg}{note}</figure>'


def _picture(mime: str, base64: str, output: Mapping[str, Any], outline: Outline) -> str:
    text, note, undescribed = _description(output, mime, outline)
    image = f'<img src="data:{mime};base64,{"".join(base64.split())}" alt="{escape(text)}">'
    return f'<figure class="chart{undescribed}">{image}{note}</figure>'


def _description(output: Mapping[str, Any], mime: str, outline: Outline) -> tuple[str, str, str]:
    """Return the text alternative, a visible note where there is none, and a class that says so."""
    metadata = output.get("metadata", {})
    text = metadata.get("alt") or metadata.get(mime, {}).get("alt") or ""
    if text:
        return text, "", ""
    headings = outline.headings
    return (
        word("undescribed", heading=headings[-1].text) if headings else word("undescribed_first"),
        f'<p class="note">{escape(word("undescribed_note"))}</p>',
        " undescribed",
    )


def _plain_text(text: str) -> Block:
    if text.count("\n") < LONG_TEXT:
        return Block("text", Markup(escape(text)))
    return _folded(word("output"), text)


def _folded(name: str, text: str) -> Block:
    text = _clean(text).strip("\n")
    count = text.count("\n") + 1
    length = word("line") if count == 1 else word("lines", number=count)
    return Block("folded", Markup(escape(text)), f"{name} ({length})")


def _clean(text: str) -> str:
    """Remove terminal colours and resolve carriage returns as a terminal would."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in _ANSI.sub("", text).split("\n"))
    return "\n".join(lines)


def _join(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
