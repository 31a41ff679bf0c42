"""Make HTML that came out of a notebook fit to stand in a report.

Outputs are written by many hands. Here they are balanced, stripped of everything that runs or loads, and given
what a reader without eyes or with a small screen needs: headings in order, captions, header scopes, regions that
scroll, ids of their own.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple

from helpers.sentences import say

VOID = re.compile(r"area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr")
DROPPED = re.compile(r"script|style|iframe|object|embed|link|base|meta|form|button|input|noscript|title")
HEADING = re.compile(r"h[1-6]")
_LOADING = re.compile(r"src|srcset|poster|data|background|action|formaction|ping|(xlink:)?href")
_IDS = re.compile(r"""\bid=["']([^"']+)["']""")
_LINK = re.compile(r"^(#|https?://|mailto:|[^:/?#]+([/?#]|$))", re.IGNORECASE)


class Heading(NamedTuple):
    """One line of the table of contents."""

    level: int
    id: str
    text: str


@dataclass
class Outline:
    """What a page has used so far: ids and headings.

    Attributes
    ----------
    ids : set of str
        Ids taken; those of the page's own parts are put in first.
    headings : list of Heading
        Headings in reading order, levels never skipped; the page's own ``h1`` is not among them.
    names : Counter
        Names of tables and pictures, so that two of them can be told apart by ear.
    """

    ids: set[str] = field(default_factory=set)
    headings: list[Heading] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def claim(self, name: str) -> str:
        """Return the name, or the name with the first number that makes it unique."""
        unique, number = name, 1
        while unique in self.ids:
            number += 1
            unique = f"{name}-{number}"
        self.ids.add(unique)
        return unique

    def caption(self) -> str:
        """Return a caption for a table that brings none: where it stands."""
        if not self.headings:
            return say("Table")
        return say("Table under “{heading}”", heading=self.headings[-1].text)

    def named(self, name: str) -> str:
        """Return the name, with a number when it has been given before."""
        self.names[name] += 1
        return name if self.names[name] == 1 else say("{name} ({number})", name=name, number=self.names[name])

    def heading(self, level: int, text: str) -> Heading:
        """Add a heading one level below the last at most, and below the title of the page always."""
        last = self.headings[-1].level if self.headings else 1
        # The id that JupyterLab gives, so that a link within a notebook leads to the same place here.
        entry = Heading(max(2, min(level, last + 1)), self.claim(re.sub(r"\s+", "-", text)), text)
        self.headings.append(entry)
        return entry


def escape(text: object) -> str:
    """Return text safe in HTML and in attributes."""
    return html.escape(str(text), quote=True)


def plain(fragment: str) -> str:
    """Return the text of a fragment without markup."""
    return html.unescape(" ".join(re.sub(r"<[^>]*>", "", fragment).split()))


def tidy(fragment: str, outline: Outline) -> str:
    """Return the fragment fit for a page.

    Parameters
    ----------
    fragment : str
        HTML of an output or of a markdown cell.
    outline : Outline
        Ids, headings and names used so far; extended in place.
    """
    return _Tidier(outline).run(_own_ids(fragment, outline))


def _own_ids(fragment: str, outline: Outline) -> str:
    """Rename every id of the fragment when one of them is taken, together with what refers to it."""
    ids = set(_IDS.findall(fragment))
    if ids & outline.ids:
        prefix, number = "", 1
        while not prefix or {prefix + name for name in ids} & outline.ids:
            number += 1
            prefix = f"p{number}-"
        names = "|".join(re.escape(name) for name in sorted(ids, key=len, reverse=True))
        one = rf"""(\bid=["']|href=["']#|url\(["']?#|\bfor=["'])({names})(?=["')])"""
        fragment = re.sub(one, rf"\g<1>{prefix}\g<2>", fragment)
        fragment = re.sub(
            r"""(aria-(?:labelledby|describedby|controls)=["'])([^"']*)""",
            lambda match: match[1] + " ".join(prefix * (name in ids) + name for name in match[2].split()),
            fragment,
        )
        ids = {prefix + name for name in ids}
    outline.ids |= ids
    return fragment


class _Tidier(HTMLParser):
    """Copies a fragment to ``out``, tag by tag, mending on the way."""

    def __init__(self, outline: Outline) -> None:
        super().__init__(convert_charrefs=False)
        self.outline = outline
        self.out: list[str] = []
        self.open: list[str] = []
        self.dropping = 0
        self.tables: list[_Table] = []
        self.heading: tuple[int, int] | None = None
        self.picture = 0
        self.cell: int | None = None

    def run(self, fragment: str) -> str:
        self.feed(fragment)
        self.close()
        while self.open:
            self._close(self.open[-1])
        return "".join(self.out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=VOID.fullmatch(tag) is not None)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=True)

    def _start(self, tag: str, attrs: list[tuple[str, str | None]], *, closed: bool) -> None:
        if self._drops(tag):
            self.dropping += not closed
            return
        if self.dropping:
            return
        if HEADING.fullmatch(tag):
            self.heading = (len(self.out), int(tag[1]))
        if tag == "table":
            self.tables.append(_Table(len(self.out), scrolls="region" in self.open))
        if tag == "caption" and self.tables:
            self.tables[-1].caption = len(self.out) + 1
        if tag in ("td", "th"):
            self.cell = len(self.out)
        if tag == "svg" and "svg" not in self.open:
            self.picture = len(self.out)
        self.out.append(self._mend(tag, attrs))
        if not closed:
            marked = tag == "div" and ("role", "region") in attrs
            self.open.append("region" if marked else tag)

    def _drops(self, tag: str) -> bool:
        kept = tag in ("style", "title") and "svg" in self.open
        return DROPPED.fullmatch(tag) is not None and not kept

    def _mend(self, tag: str, attrs: list[tuple[str, str | None]]) -> str:
        """Return the start tag: as it was written when it is in order, else written anew."""
        mended = [(name, value) for name, value in attrs if not _runs_or_loads(tag, name, value or "")]
        if tag == "table":
            mended = [(name, value) for name, value in mended if name not in ("border", "style")]
        if tag == "th" and "scope" not in dict(attrs):
            mended.append(("scope", "col" if "thead" in self.open else "row"))
        if tag == "img":
            return self._image(dict(attrs))
        if mended == attrs:
            return self.get_starttag_text() or ""
        return f"<{tag}{_attributes(mended)}>"

    def _image(self, attributes: dict[str, str | None]) -> str:
        source, text = attributes.get("src") or "", attributes.get("alt") or ""
        if not source.startswith("data:image/"):
            return f"<em>[{escape(text or source)}]</em>"
        return self._scrolling(text, f"<img{_attributes([('src', source), ('alt', text)])}>")

    def handle_endtag(self, tag: str) -> None:
        if self._drops(tag) or self.dropping:
            self.dropping = max(0, self.dropping - self._drops(tag))
            return
        name = "region" if tag == "div" and "region" in self.open[-1:] else tag
        if name not in self.open:
            return
        while self.open[-1] != name:
            self._close(self.open[-1])
        self._close(name)

    def _close(self, name: str) -> None:
        self.open.pop()
        if HEADING.fullmatch(name) and self.heading:
            self._finish_heading()
        elif name in ("td", "th"):
            self._finish_cell(name)
        else:
            self.out.append(f"</{'div' if name == 'region' else name}>")
        if name == "table" and self.tables:
            self._finish_table(self.tables.pop())
        if name == "svg" and "svg" not in self.open:
            self._finish_drawing()

    def _finish_heading(self) -> None:
        assert self.heading
        start, level = self.heading
        self.heading = None
        inner = "".join(self.out[start + 1 :]).strip()
        if not plain(inner):
            del self.out[start:]
            return
        entry = self.outline.heading(level, plain(inner))
        self.out[start:] = [f'<h{entry.level} id="{escape(entry.id)}">{inner}</h{entry.level}>']

    def _finish_drawing(self) -> None:
        drawing = "".join(self.out[self.picture :])
        title = re.search(r"<title[^>]*>(.*?)</title>", drawing, flags=re.DOTALL)
        self.out[self.picture :] = [self._scrolling(plain(title[1]) if title else "", drawing)]

    def _scrolling(self, name: str, picture: str) -> str:
        """Put a picture on paper of its own, in a group that the keyboard can scroll on a small screen."""
        label = self.outline.named(say("Picture: {name}", name=name) if name else say("Picture"))
        width = re.match(r"<svg[^>]*max-width:\s*([\d.]+)px", picture)
        paper = f' style="max-width:calc({width[1]}px + 1.5rem)"' if width else ""
        return (
            f'<div class="scroll" role="group" tabindex="0" aria-label="{escape(label)}" '
            f'data-hint="{escape(say("scrolls sideways"))}"><div class="picture"{paper}>{picture}</div></div>'
        )

    def _finish_cell(self, name: str) -> None:
        """Turn a header that names nothing, such as a corner, into a plain cell."""
        start, self.cell = self.cell, None
        if name == "th" and start is not None and not plain("".join(self.out[start + 1 :])):
            self.out[start:] = ["<td></td>"]
        else:
            self.out.append(f"</{name}>")

    def _finish_table(self, table: _Table) -> None:
        """Name the table and let it scroll in a region that the keyboard can reach."""
        given = (
            "" if table.caption is None else plain("".join(self.out[table.caption :]).split("</caption>")[0])
        )
        name = self.outline.named(given or self.outline.caption())
        if table.caption is None:
            self.out.insert(table.start + 1, f"<caption>{escape(name)}</caption>")
        if not table.scrolls:
            region = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">'
            self.out[table.start] = region + self.out[table.start]
            self.out.append("</div>")

    def handle_data(self, data: str) -> None:
        if not self.dropping:
            self.out.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")


@dataclass
class _Table:
    """A table that is being copied: where it starts, where its caption starts, whether it already scrolls."""

    start: int
    scrolls: bool
    caption: int | None = None


def _runs_or_loads(tag: str, name: str, value: str) -> bool:
    """Tell whether an attribute would run a script or ask a network; the address of a link does neither."""
    if tag == "a" and name == "href":
        return not _LINK.match(value)
    loads = _LOADING.fullmatch(name) and not value.startswith(("#", "data:image/"))
    return name.startswith("on") or bool(loads)


def _attributes(pairs: list[tuple[str, str | None]]) -> str:
    return "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in pairs)
