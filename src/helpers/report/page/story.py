"""From the cells of an executed notebook to the blocks of a page, in reading order."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import mistune
from markupsafe import Markup

from helpers.playbook.finding import Finding
from helpers.report.page.markup import Outline, escape, tidy
from helpers.report.page.wording import Mark
from helpers.report.publish.manifest import Manifest
from helpers.sentences import say

if TYPE_CHECKING:
    from nbformat import NotebookNode  # a tenth of a second, which a look at what is unchanged need not wait

LONG_TEXT = 12
LONG_NAME = 60
PICTURES = ("image/png", "image/jpeg")
# What helpers.report.record shows: the lists of findings and actions, and the files of a contact list.
_RECORDED = re.compile(r'<(ol|p) class="(findings|actions)">')
_CONTACTS = re.compile(r'<p class="contact-list">')
_FILE = re.compile(r"\blists/([a-z0-9_]+)\.(csv|parquet)\b")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_HEADING = re.compile(r"^#{1,6}\s+(.*)", re.MULTILINE)
_MARKDOWN = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "footnotes"])
_PYTHON = re.compile(
    r"(?P<comment>\#[^\n]*)|[rbfu]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")",
    re.DOTALL | re.IGNORECASE,
)


class Block(NamedTuple):
    """One piece of the story.

    Attributes
    ----------
    kind : str
        ``html`` (shown as it is), ``text``, ``note``, or ``folded`` (text behind a summary).
    html : str
        The content.
    summary : str
        What a fold is called.
    mark : Mark or None
        State beside the summary, such as ``not run``.
    anchor : str
        Id of the block, where something leads to it.
    """

    kind: str
    html: str
    summary: str = ""
    mark: Mark | None = None
    anchor: str = ""


class Failing(NamedTuple):
    """The cell that ended the run.

    Attributes
    ----------
    name : str
        Its number among the code cells, as in ``In [n]``, the heading it stands under, and what it is called.
    code : Markup
        Its source.
    last_line, traceback : str
        Last line of the traceback and all of it, without terminal colours, or empty.
    """

    name: str
    code: Markup
    last_line: str = ""
    traceback: str = ""


class Parameter(NamedTuple):
    """A line of the parameters cell: its default as Python source, and the comment beside it."""

    default: str
    meaning: str


def blocks(
    notebook: NotebookNode, manifest: Manifest, outline: Outline, findings: Sequence[Finding] = ()
) -> list[Block]:
    """Return the story of a notebook; headings are added to `outline` as they come.

    A sentence that the page has already shown as one of its `findings` becomes a link to it.
    """
    stated = {f'<p class="sentence">{escape(finding.sentence)}</p>': finding for finding in findings}
    status = {run.index: run.status for run in manifest.cells}
    failed = manifest.failure.cell if manifest.failure else None
    titled = False
    story: list[Block] = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            is_title = not titled and cell.source.lstrip().startswith("# ")
            titled |= is_title
            story += _prose(_without_title(cell.source, manifest) if is_title else cell.source, cell, outline)
        elif cell.cell_type == "code":
            if not (is_parameters(cell) and index != failed and status.get(index) == "completed"):
                story += _code(cell, status.get(index), _end(manifest) if index == failed else None)
            story += [_linked(block, stated) for block in _outputs(cell, outline)]
    return story


def _linked(block: Block, stated: Mapping[str, Finding]) -> Block:
    if _CONTACTS.match(block.html):
        return block._replace(html=_FILE.sub(r'<a href="\g<0>">\g<0></a>', block.html))
    finding = stated.get(block.html)
    if finding is None:
        return block
    link = f'<a href="#finding-{escape(finding.id)}">{escape(finding.metric)}</a>'
    return block._replace(html=f'<p class="sentence">{say("Finding: {link}", link=link)}</p>')


def contact_lists(notebook: NotebookNode) -> set[str]:
    """Return the names of the contact lists whose files the run announced."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    texts = (output.get("data", {}).get("text/html", "") for output in outputs)
    return {file[1] for text in texts if _CONTACTS.match(text) for file in _FILE.finditer(text)}


def failing_cell(notebook: NotebookNode, manifest: Manifest) -> Failing | None:
    """Return the cell that ended the run, or None when no cell had started."""
    index = manifest.failure.cell if manifest.failure else None
    if index is None:
        return None
    cell, name = notebook.cells[index], _cell_name(notebook, index)
    errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    if not errors:
        return Failing(name, highlight(cell.source))
    last = f"{errors[-1].ename}: {errors[-1].evalue}".rstrip(": ")
    return Failing(name, highlight(cell.source), last, _clean("\n".join(errors[-1].traceback)))


def _cell_name(notebook: NotebookNode, index: int) -> str:
    """Name a code cell as a reader finds it: by number, by heading, by its first comment or line."""
    cell, before = notebook.cells[index], notebook.cells[:index]
    counted = 1 + sum(one.cell_type == "code" and bool(one.source.strip()) for one in before)
    number, name = cell.get("execution_count") or counted, _cell_title(cell, named=True)
    headings = [
        text for one in before if one.cell_type == "markdown" for text in _HEADING.findall(one.source)
    ]
    if not headings:
        return say("Code cell {number}: {name}", number=number, name=name)
    return say(
        "Code cell {number}, under “{heading}”: {name}", number=number, heading=headings[-1], name=name
    )


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
    return not {"parameters", "injected-parameters"}.isdisjoint(cell["metadata"].get("tags", []))


def parameters(notebook: NotebookNode) -> dict[str, Parameter]:
    """Return default and meaning of each assignment of the parameters cell; none where it is no Python."""
    tagged = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    source = next(tagged, "")
    try:
        body = ast.parse(source).body
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return {}
    comments = {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}
    found = {}
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value:
            found[target.id] = Parameter(ast.unparse(value), comments.get(node.end_lineno or 0, ""))
    return found


def _without_title(source: str, manifest: Manifest) -> str:
    """Drop the heading and the question, its first paragraph, which the title block shows."""
    body = re.sub(r"\A\s*#\s[^\n]*\n?", "", source).strip()
    return body.partition("\n\n")[2] if manifest.question else body


def _prose(source: str, cell: Mapping[str, Any], outline: Outline) -> list[Block]:
    for name, bundle in cell.get("attachments", {}).items():
        for mime, data in bundle.items():
            source = source.replace(f"attachment:{name}", f"data:{mime};base64,{''.join(data)}")
    return _shown(str(_MARKDOWN(source)), outline)


def _shown(fragment: str, outline: Outline) -> list[Block]:
    text = tidy(fragment, outline).strip()
    return [Block("html", text)] if text else []


def _end(manifest: Manifest) -> Mark:
    """Return how the cell is marked in which the run came to its end."""
    said = say("this cell failed") if manifest.status == "failed" else say("the run ended here")
    return Mark(said, "○", "quiet") if manifest.status == "not_run" else Mark(said, "✕", "bad")


def _code(cell: Mapping[str, Any], status: str | None, end: Mark | None) -> Iterator[Block]:
    """Fold a cell under its first comment and its length.

    Its first line stands right beneath; only where the cell is what the reader looks for, as in a run that ended
    early, a cell without a comment is called by that line.
    """
    if not cell["source"].strip():
        return
    mark = end or (Mark(say("not run"), "○", "quiet") if status == "not_run" else None)
    title = _cell_title(cell, named=mark is not None)
    name = f"{say('Code')}: {title}" if title else say("Code")
    anchor = "failed-cell" if end else ""
    yield Block("folded", highlight(cell["source"]), _counted(name, cell["source"].strip()), mark, anchor)


def _cell_title(cell: Mapping[str, Any], *, named: bool) -> str:
    first = cell["source"].strip().partition("\n")[0].strip()
    if is_parameters(cell):
        given = "injected-parameters" in cell["metadata"]["tags"]
        first = say("parameters of this run") if given else say("parameters and their defaults")
    elif first.startswith("#") and first != "# NBVAL_CHECK_OUTPUT":
        first = first.lstrip("#% ")
    elif not named:
        first = ""
    first = first if len(first) <= LONG_NAME else f"{first[: LONG_NAME - 2].rstrip()} …"
    return first + ("…" if first.endswith(("(", "[", "{")) else "")


def _outputs(cell: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    streams: dict[str, str] = {}
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
        elif output["output_type"] == "error":
            yield Block("note", escape(say("The error is shown at the top of the report.")))
        elif not _RECORDED.match(output["data"].get("text/html", "")):  # these stand at the top of the page
            yield from _display(output, outline)
    for name, text in sorted(streams.items(), reverse=True):
        if text.strip():
            yield _folded(say("Printed output") if name == "stdout" else say("Warnings and messages"), text)


def _display(output: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    data: Mapping[str, Any] = output["data"]
    mime = next((mime for mime in ("text/html", "image/svg+xml", *PICTURES) if mime in data), "")
    if mime == "text/html":
        left_out = say("An interactive output was left out: this page runs no script.")
        yield from _shown(data[mime], outline) or [Block("text", escape(left_out))]
    elif mime:
        yield from _shown(_picture(mime, data[mime], output, outline), outline)
    elif "text/markdown" in data:
        yield from _shown(str(_MARKDOWN(data["text/markdown"])), outline)
    elif "text/plain" in data:
        text = _clean(data["text/plain"])
        short = text.count("\n") < LONG_TEXT
        yield Block("text", escape(text)) if short else _folded(say("Output as text"), text)


def _picture(mime: str, data: str, output: Mapping[str, Any], outline: Outline) -> str:
    """Return a picture with a text alternative, and with a visible note where its author gave it none."""
    metadata, note, undescribed = output.get("metadata", {}), "", ""
    text = metadata.get("alt") or metadata.get(mime, {}).get("alt")
    svg = re.sub(r"\A.*?(?=<svg)", "", data, flags=re.DOTALL) if mime == "image/svg+xml" else ""
    described = "aria-label" in svg or "<title" in svg
    if not (text or described):
        text = say("Picture before the first heading. Its author gave it no description.")
        if outline.headings:
            text = say(
                "Picture under “{heading}”. Its author gave it no description; read the text around it.",
                heading=outline.headings[-1].text,
            )
        note = f'<p class="note">{escape(say("No description was given for this picture."))}</p>'
        undescribed = " undescribed"
    if svg and not described:
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
    image = svg or f'<img src="data:{mime};base64,{"".join(data.split())}" alt="{escape(text)}">'
    return f'<figure class="chart{undescribed}">{image}{note}</figure>'


def _folded(name: str, text: str) -> Block:
    text = _clean(text).strip("\n")
    return Block("folded", escape(text), _counted(name, text))


def _counted(name: str, text: str) -> str:
    count = text.count("\n") + 1
    length = say("1 line") if count == 1 else say("{number:,} lines", number=count)
    return f"{name} ({length})"


def _clean(text: str) -> str:
    """Remove terminal colours and resolve carriage returns as a terminal would."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in _ANSI.sub("", text).split("\n"))
    return "\n".join(lines)
