"""From the cells of an executed notebook to the sections of a page, in reading order.

A section begins with a cell that begins with a heading. What a reader sees of it at once is decided by kind and
order: the first sentence or two, the first picture, or in its place the first small table, lists that an author set
out in prose, and links to contact lists. All else folds under one line, in the order of the notebook. A section
that would show nothing shows its prose. One that only records findings and actions is none: these stand at the top,
and its prose with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import mistune
from markupsafe import Markup

from helpers.report.page.markup import Outline, escape, plain, tidy
from helpers.report.page.wording import Mark
from helpers.report.publish.manifest import Manifest
from helpers.sentences import Verbatim, length, say

if TYPE_CHECKING:
    from nbformat import NotebookNode  # a tenth of a second, which a look at what is unchanged need not wait

SENTENCES, WORDS = 2, 45  # that a section shows at once; its first sentence always
PICTURES, TABLES, ALL_WORDS = 7, 5, 1_100  # that a story shows at once
ROWS, COLUMNS = 8, 7  # of a table that may stand unfolded
SILENT = "rules_silent"  # table of the rules that proposed nothing
LONG_TEXT = 12
LONG_NAME = 60
IMAGES = ("image/png", "image/jpeg")
# What helpers.report.record shows: the lists of findings and actions, and the files of a contact list.
_RECORDED = re.compile(r'<(ol|p) class="(findings|actions)">')
_CONTACTS = re.compile(r'<p class="contact-list">')
_FILE = re.compile(r"\blists/([a-z0-9_]+)\.(csv|parquet)\b")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_COUNTED = re.compile(
    r"\bCell In ?\[(\d+)\]"
)  # where IPython says the place of an error by the count of executions
_NAMED = re.compile(r"(?:Figure|Table) ([a-z0-9_]+):")
_SENTENCE = re.compile(r'<p class="sentence">(.*)</p>', re.DOTALL)
_STOP = re.compile(r"(?<=[.!?])\s+(?=[A-Z“0-9])|(?<=。)")
_TITLED = re.compile(r"(<h[23] .*?</h[23]>)(.*)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.*)", re.MULTILINE)
_MARKDOWN = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "footnotes"])


class Block(NamedTuple):
    """One piece of the story.

    Attributes
    ----------
    kind : str
        ``heading``, ``prose``, ``sentence``, ``picture``, ``table``, ``contacts``, ``output`` (of another kind, shown
        as it is), ``text``, ``note``, or ``folded`` (text behind a summary).
    html : str
        The content.
    summary : str
        What a fold is called; of a picture or a table the name of its file.
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


class Story(NamedTuple):
    """The sections of a page, the picture at its top, the silent rules, and what is said of findings and actions."""

    sections: list[Section]
    lead: Block | None
    silent: Block | None
    concluded: list[Block]


class Section(NamedTuple):
    """What stands under a heading: the `picture` and what is `shown` beside it, and `more` of it in a fold.

    The part before the first heading has none. `opened` says that the fold holds what the reader looks for.
    """

    heading: str
    shown: list[Block]
    picture: Block | None
    more: list[Block]
    opened: bool


@dataclass
class _Room:
    """What the page may still show at once."""

    pictures: int = PICTURES
    tables: int = TABLES
    words: int = ALL_WORDS


class Failing(NamedTuple):
    """The cell that ended the run.

    Attributes
    ----------
    name : str
        Its number among all cells, as the log says it, the heading it stands under, and what it is called.
    code : Markup
        Its source.
    last_line, traceback : str
        Last line of the traceback and all of it, without terminal colours, or empty.
    """

    name: str
    code: str
    last_line: str = ""
    traceback: str = ""


def story(notebook: NotebookNode, manifest: Manifest, outline: Outline, wanted: str = "") -> Story:
    """Return the story of a notebook.

    Parameters
    ----------
    notebook, manifest : NotebookNode, Manifest
        What ran and how it ended; a run that did not succeed keeps all its pictures in the story.
    outline : Outline
        Headings are added as they come.
    wanted : str
        Name of the picture for the top; without it, or where it was not drawn, the first there is.
    """
    groups: list[list[Block]] = [[]]
    silent, concluded = None, list[Block]()
    for block in _blocks(notebook, manifest, outline):
        if block.kind == "table" and block.summary == SILENT:
            silent = block
        elif block.kind == "recorded":
            bare = all(each.kind == "prose" and "<li>" not in each.html for each in groups[-1][1:])
            if bare and len(groups) > 1 and not concluded:
                concluded = groups.pop()[1:]
                outline.headings.pop()
        else:
            groups += [[]] if block.kind == "heading" else []
            groups[-1].append(block)
    drawn = [block for group in groups for block in group if block.kind == "picture" and block.summary]
    named = [block for block in drawn if block.summary == wanted] or drawn
    lead = named[0] if named and manifest.status == "succeeded" else None
    room = _Room()
    return Story([_section(group, lead, room) for group in groups if group], lead, silent, concluded)


def _section(group: Sequence[Block], lead: Block | None, room: _Room) -> Section:
    """Choose what of a section is shown at once."""
    titled = group[0].kind == "heading"
    shown: list[Block] = []
    more: list[Block] = []
    picture = None
    said = 0
    for block in group[titled:]:
        if block is lead:
            note = say("Its picture stands {link}.", link=f'<a href="#first">{escape(say("at the top"))}</a>')
            shown.append(Block("note", note))
        elif block.kind == "sentence" and room.words > 0 and said < SENTENCES:
            first, rest, count = _split(block, SENTENCES - said)
            said += count
            room.words -= length(plain(first.html))
            shown.append(first)
            more += [rest] if rest else []
        elif block.kind == "picture" and picture is None and room.pictures:
            picture = block
            room.pictures -= bool(block.summary)
        elif block.kind == "contacts" or (block.kind == "prose" and titled and "<li>" in block.html):
            shown.append(block)
        else:
            more.append(block)
    small = [block for block in more if block.kind == "table" and _is_small(block.html)]
    if picture is None and lead not in group and titled and small and room.tables:
        shown.append(small[0])
        room.tables -= 1
    elif titled and not shown and picture is None:
        shown = [block for block in more if block.kind == "prose"]
    more = [block for block in more if not any(block is other for other in shown)]
    return Section(group[0].html if titled else "", shown, picture, more, any(block.anchor for block in more))


def _split(block: Block, most: int) -> tuple[Block, Block | None, int]:
    """Return the first sentences of a paragraph, what is left of it, and how many the first are."""
    found = _SENTENCE.fullmatch(block.html)
    parts = _STOP.split(found[1]) if found else [block.html]
    count = 1
    while count < min(most, len(parts)) and length(" ".join(parts[: count + 1])) <= WORDS:
        count += 1
    if not found or count == len(parts):
        return block, None, count
    first, rest = (f'<p class="sentence">{" ".join(some)}</p>' for some in (parts[:count], parts[count:]))
    return block._replace(html=first), block._replace(html=rest), count


def _is_small(table: str) -> bool:
    return table.count("<tr") <= ROWS + 1 and table.count('scope="col"') <= COLUMNS


def _blocks(notebook: NotebookNode, manifest: Manifest, outline: Outline) -> Iterator[Block]:
    """Yield the pieces of a notebook in order; the cell of parameters is in the appendix."""
    status = {run.number: run.status for run in manifest.cells}
    failed = manifest.failure.cell if manifest.failure else None
    titled = False
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            is_title = not titled and cell.source.lstrip().startswith("# ")
            titled |= is_title
            yield from _prose(
                _without_title(cell.source, manifest) if is_title else cell.source, cell, outline
            )
        elif cell.cell_type == "code":
            code: list[Block] = []
            if not (is_parameters(cell) and number != failed and status.get(number) == "completed"):
                code = list(_code(cell, status.get(number), _end(manifest) if number == failed else None))
            yield from (*_outputs(cell, outline), *code)


def contact_lists(notebook: NotebookNode) -> set[str]:
    """Return the names of the contact lists whose files the run announced."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    texts = (output.get("data", {}).get("text/html", "") for output in outputs)
    return {file[1] for text in texts if _CONTACTS.match(text) for file in _FILE.finditer(text)}


def failing_cell(notebook: NotebookNode, manifest: Manifest) -> Failing | None:
    """Return the cell that ended the run, or None when no cell had started."""
    number = manifest.failure.cell if manifest.failure else None
    if number is None:
        return None
    cell, name = notebook.cells[number - 1], _cell_name(notebook, number)
    errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    if not errors:
        return Failing(name, cell.source)
    last = f"{errors[-1].ename}: {errors[-1].evalue}".rstrip(": ")
    numbers = {each.get("execution_count"): one for one, each in enumerate(notebook.cells, 1)}
    traceback = _clean("\n".join(errors[-1].traceback))
    traceback = _COUNTED.sub(lambda match: f"Cell {numbers.get(int(match[1]), '…')}", traceback)
    return Failing(name, cell.source, last, traceback)


def _cell_name(notebook: NotebookNode, number: int) -> str:
    """Name a code cell as a reader finds it: by number, by heading, by its first comment or line."""
    *before, cell = notebook.cells[:number]
    name = _cell_title(cell, named=True)
    headings = [
        text for one in before if one.cell_type == "markdown" for text in _HEADING.findall(one.source)
    ]
    if not headings:
        return say("Cell {number}: {name}", number=number, name=name)
    return say("Cell {number}, under “{heading}”: {name}", number=number, heading=headings[-1], name=name)


def inline(text: str) -> Markup:
    """Return one paragraph of markdown as inline HTML."""
    rendered = tidy(str(_MARKDOWN(text)), Outline()).strip()
    return Markup(rendered.removeprefix("<p>").removesuffix("</p>"))


def is_parameters(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell only sets parameters: the appendix lists them with value, default and meaning."""
    return not {"parameters", "injected-parameters"}.isdisjoint(cell["metadata"].get("tags", []))


def _without_title(source: str, manifest: Manifest) -> str:
    """Drop the heading and the question, its first paragraph, which the title block shows."""
    body = re.sub(r"\A\s*#\s[^\n]*\n?", "", source).strip()
    return body.partition("\n\n")[2] if manifest.question else body


def _prose(source: str, cell: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    for name, bundle in cell.get("attachments", {}).items():
        for mime, data in bundle.items():
            source = source.replace(f"attachment:{name}", f"data:{mime};base64,{''.join(data)}")
    text = tidy(str(_MARKDOWN(source)), outline).strip()
    if found := _TITLED.fullmatch(text):
        yield Block("heading", found[1])
        text = found[2].strip()
    if text:
        yield Block("prose", text)


def _shown(fragment: str, outline: Outline, name: str = "") -> list[Block]:
    """Return an output as a block of its kind; nothing is left of one that was only a script."""
    text = tidy(fragment, outline).strip()
    kinds = {
        '<figure class="chart': "picture",
        '<p class="no-chart': "picture",
        '<p class="sentence': "sentence",
    }
    kind = next((kind for start, kind in kinds.items() if text.startswith(start)), "output")
    if _CONTACTS.match(text):
        kind, text = "contacts", _FILE.sub(r'<a href="\g<0>">\g<0></a>', text)
    elif kind == "output" and "<table" in text:
        kind = "table"
    return [Block(kind, text, name)] if text else []


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
    yield Block("folded", escape(cell["source"]), _counted(name, cell["source"].strip()), mark, anchor)


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
    printed = ""
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":  # warnings and progress are for who looks into the notebook
            printed += output["text"] if output["name"] == "stdout" else ""
        elif output["output_type"] == "error":
            yield Block("note", escape(say("The error is shown at the top of the report.")))
        elif _RECORDED.match(output["data"].get("text/html", "")):
            yield Block("recorded", "")
        else:
            yield from _display(output, outline)
    if printed.strip():
        yield _folded(say("Printed output"), printed)


def _display(output: Mapping[str, Any], outline: Outline) -> Iterator[Block]:
    data: Mapping[str, Any] = output["data"]
    if "application/vnd.jupyter.widget-view+json" in data:  # such as a progress bar
        return
    mime = next((mime for mime in ("text/html", "image/svg+xml", *IMAGES) if mime in data), "")
    named = _NAMED.match("".join(data.get("text/plain", "")))
    if mime == "text/html":
        left_out = say("An interactive output was left out: this page runs no script.")
        yield from _shown(data[mime], outline, named[1] if named else "") or [Block("text", escape(left_out))]
    elif mime:
        yield from _shown(_picture(mime, data[mime], output), outline, say("picture"))
    elif "text/markdown" in data:
        yield from _shown(str(_MARKDOWN(data["text/markdown"])), outline)
    elif "text/plain" in data:
        text = _clean(data["text/plain"])
        short = text.count("\n") < LONG_TEXT
        yield Block("text", escape(text)) if short else _folded(say("Output as text"), text)


def _picture(mime: str, data: str, output: Mapping[str, Any]) -> str:
    """Return a picture with a text alternative, and with a visible note where its author gave it none."""
    metadata, note = output.get("metadata", {}), ""
    text = metadata.get("alt") or metadata.get(mime, {}).get("alt")
    svg = re.sub(r"\A.*?(?=<svg)", "", data, flags=re.DOTALL) if mime == "image/svg+xml" else ""
    described = "aria-label" in svg or "<title" in svg
    if not (text or described):
        text = say("Its author gave this picture no description; read the text around it.")
        note = f'<p class="note">{escape(text)}</p>'
    if svg and not described:
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
    image = svg or f'<img src="data:{mime};base64,{"".join(data.split())}" alt="{escape(text)}">'
    undescribed = " undescribed" if note else ""
    return f'<figure class="chart{undescribed}">{image}{note}</figure>'


def _folded(name: str, text: str) -> Block:
    text = _clean(text).strip("\n")
    return Block("folded", escape(text), _counted(name, text))


def _counted(name: str, text: str) -> str:
    count = text.count("\n") + 1
    length = say("1 line") if count == 1 else say("{number:,} lines", number=count)
    return say("{name} ({length})", name=Verbatim(name), length=length)


def _clean(text: str) -> str:
    """Remove terminal colours and resolve carriage returns as a terminal would."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in _ANSI.sub("", text).split("\n"))
    return "\n".join(lines)
