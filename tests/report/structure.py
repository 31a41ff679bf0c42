"""Structural accessibility of a page, checked without a browser.

The checks cover what can be read off the markup: language, title, landmarks, heading order, text alternatives,
table captions and header scopes, links and ids, and that the page asks no network and needs no script. They
follow WCAG 2.2 success criteria 1.1.1, 1.3.1, 2.1.1, 2.4.1, 2.4.2, 2.4.6, 3.1.1 and 4.1.2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import unquote

from helpers.report.page.markup import VOID
from helpers.sentences import width

PAGE_LIMIT = 500_000
TEXT_LIMIT = 75_000  # bytes of a report without its pictures
ALTERNATIVE_LENGTH = 40
SCRIPT_LIMIT = 2_500
INLINE = re.compile(r"a|abbr|b|cite|code|em|i|kbd|mark|q|s|small|span|strong|sub|sup|time|u|var")
LOADING = re.compile(r"src|srcset|poster|data|background|action|formaction|ping|manifest")
SCOPES = frozenset({"col", "row", "colgroup", "rowgroup"})
_OUTSIDE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//|^\s*(?!data:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]?([^'\";]+)", re.IGNORECASE)


@dataclass(eq=False)
class Node:
    """An element with its attributes, text and children."""

    tag: str
    attributes: dict[str, str]
    parent: Node | None = None
    content: list[Node | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        """Walk the element and everything in it, in document order."""
        yield self
        for child in self.children:
            yield from child

    @property
    def children(self) -> list[Node]:
        """Elements directly in this one."""
        return [part for part in self.content if isinstance(part, Node)]

    def find(self, *tags: str) -> list[Node]:
        """Return the descendants with one of the tags."""
        return [node for node in self if node.tag in tags and node is not self]

    def ancestors(self) -> Iterator[Node]:
        """Walk from the parent to the root."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def get(self, name: str) -> str:
        """Return an attribute, or an empty string."""
        return self.attributes.get(name, "").strip()

    @property
    def text(self) -> str:
        """All text in the element, with white space folded."""
        return " ".join("".join(self._strings()).split())

    def _strings(self) -> Iterator[str]:
        for part in self.content:
            if isinstance(part, str):
                yield part
            else:
                gap = "" if INLINE.fullmatch(part.tag) else " "
                yield from (gap, *part._strings(), gap)

    @property
    def where(self) -> str:
        """Short name for messages."""
        mark = f"#{self.get('id')}" if self.get("id") else f" “{self.text[:40]}”" if self.text else ""
        return f"<{self.tag}>{mark}"


class Weight(NamedTuple):
    """Size of a page in bytes: all of it, and the part that is pictures with their data tables."""

    total: int
    figures: int


class _Tree(HTMLParser):
    """Builds a tree and remembers markup that does not close as it opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("#document", {})
        self.current = self.root
        self.problems: list[str] = []
        self.doctype = ""

    def handle_decl(self, decl: str) -> None:
        self.doctype = decl.lower()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, self.current)
        self.current.content.append(node)
        if len(node.attributes) < len(attrs):
            self.problems.append(f"{node.where} names an attribute twice")
        if not VOID.fullmatch(tag):
            self.current = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if not VOID.fullmatch(tag):
            self._leave()

    def _leave(self) -> None:
        self.current = self.current.parent or self.root

    def handle_endtag(self, tag: str) -> None:
        if self.current.tag != tag:
            self.problems.append(f"</{tag}> closes {self.current.where}")
            if not any(node.tag == tag for node in self.current.ancestors()):
                return
            while self.current.tag != tag:
                self._leave()
        self._leave()

    def handle_data(self, data: str) -> None:
        self.current.content.append(data)


def parse(html: str) -> tuple[Node, list[str]]:
    """Return the tree of a page and what is wrong with its syntax."""
    tree = _Tree()
    tree.feed(html)
    tree.close()
    if tree.doctype != "doctype html":
        tree.problems.insert(0, "the page does not start with <!doctype html>")
    if tree.current is not tree.root:
        tree.problems.append(f"{tree.current.where} is never closed")
    return tree.root, tree.problems


def weight(html: str) -> Weight:
    """Return the weight of a page in bytes of UTF-8."""
    figures = re.findall(r'<figure class="chart.*?</figure>', html, flags=re.DOTALL)
    return Weight(len(html.encode()), sum(len(figure.encode()) for figure in figures))


def problems(html: str, *, limit: int = PAGE_LIMIT) -> list[str]:
    """Return everything that is wrong with the structure of a page; an empty list when nothing is.

    Parameters
    ----------
    html : str
        The whole page.
    limit : int
        Largest size in bytes of UTF-8.
    """
    root, found = parse(html)
    for check in (
        _document,
        _landmarks,
        _headings,
        _alternatives,
        _tables,
        _ids_and_links,
        _names,
        _network,
        _scripts,
    ):
        found.extend(check(root))
    size = len(html.encode())
    if size > limit:
        found.append(f"the page weighs {size:,} bytes, must be <= {limit:,}")
    return found


def warnings(html: str) -> list[str]:
    """Return what could be better on a sound report: its weight without pictures, and pictures without their data.

    Parameters
    ----------
    html : str
        The whole page.
    """
    found = []
    size = weight(html)
    if size.total - size.figures > TEXT_LIMIT:
        found.append(
            f"the page weighs {size.total - size.figures:,} bytes without pictures, should be <= {TEXT_LIMIT:,}"
        )
    for node in parse(html)[0].find("figure"):
        if node.find("svg", "img") and not node.find("table"):
            found.append(f"{node.where} has no table with its data")
    return found


def _document(root: Node) -> Iterator[str]:
    pages = root.find("html")
    if len(pages) != 1 or not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", pages[0].get("lang")):
        yield "<html> names no language"
    if not any(node.text for node in root.find("title") if not _inside(node, "svg")):
        yield "the page has no <title>"
    views = [node.get("content") for node in root.find("meta") if node.get("name") == "viewport"]
    if not views or re.search(r"user-scalable\s*=\s*(no|0)|maximum-scale", views[0]):
        yield "the page has no viewport that can be enlarged"


def _landmarks(root: Node) -> Iterator[str]:
    mains = root.find("main")
    if len(mains) != 1:
        yield f"the page has {len(mains)} <main>, must have 1"
    navigations = root.find("nav")
    if not navigations:
        yield "the page has no <nav>"
    for node in navigations:
        if not (node.get("aria-label") or node.get("aria-labelledby")):
            yield "<nav> has no name"
    links = root.find("a")
    first = links[0].get("href") if links else ""
    if first not in {f"#{main.get('id')}" for main in mains if main.get("id")}:
        yield "the first link does not skip to the main part"


def _headings(root: Node) -> Iterator[str]:
    headings = root.find("h1", "h2", "h3", "h4", "h5", "h6")
    count = sum(node.tag == "h1" for node in headings)
    if count != 1:
        yield f"the page has {count} <h1>, must have 1"
    previous = 0
    for node in headings:
        level = int(node.tag[1])
        if level > previous + 1:
            yield (
                f"{node.where} skips a level after <h{previous}>"
                if previous
                else f"{node.where} comes before <h1>"
            )
        if not node.text:
            yield f"{node.where} is empty"
        previous = level


def _alternatives(root: Node) -> Iterator[str]:
    for node in root.find("svg", "img"):
        if _silent(node) or _inside(node, "svg"):
            continue
        if node.tag == "svg" and node.get("role") != "img":
            yield f"{node.where} has no role"
        text = _alternative(root, node)
        size = width(text)
        if size < ALTERNATIVE_LENGTH:
            yield f"{node.where} has a text alternative of {size} characters, must be >= {ALTERNATIVE_LENGTH}"
    for node in root.find("figure"):
        if "undescribed" in node.get("class").split():
            yield f"{node.where} holds a picture whose author gave no description"


def _alternative(root: Node, node: Node) -> str:
    """Return the longest of the texts that a screen reader is given."""
    if node.tag == "img":
        return node.get("alt")
    named = f"{node.get('aria-labelledby')} {node.get('aria-describedby')}".split()
    texts = [" ".join(other.text for other in root if other.get("id") in named)] if named else []
    texts += [node.get("aria-label")]
    texts += [child.text for child in node.children if child.tag in ("title", "desc")]
    return max(texts, key=len)


def _tables(root: Node) -> Iterator[str]:
    for table in root.find("table"):
        if table.get("role") in ("presentation", "none"):
            continue
        captions = [child for child in table.children if child.tag == "caption"]
        if len(captions) != 1 or not captions[0].text:
            yield f"{table.where} has no caption"
        headers = table.find("th")
        if not headers:
            yield f"{table.where} has no header cell"
        yield from (
            f"{table.where}: {th.where} has no scope" for th in headers if th.get("scope") not in SCOPES
        )
        if not any(_is_scroll_region(node) for node in table.ancestors()):
            yield f"{table.where} is not in a focusable region that scrolls"


def _is_scroll_region(node: Node) -> bool:
    return node.get("tabindex") == "0" and node.get("role") == "region" and bool(_label(node))


def _label(node: Node) -> str:
    return node.get("aria-label") or node.get("aria-labelledby")


def _ids_and_links(root: Node) -> Iterator[str]:
    ids = Counter(node.get("id") for node in root if "id" in node.attributes)
    yield from (f'id "{name}" is used {count} times' for name, count in ids.items() if count > 1)
    if "" in ids:
        yield "an id is empty"
    for node in root:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            yield from (
                f'{name} of {node.where} names no element: "{x}"'
                for x in node.get(name).split()
                if x not in ids
            )
        reference = node.get("href") or node.get("xlink:href")
        if reference.startswith("#") and unquote(reference[1:]) not in ids:
            yield f'{node.where} leads to "{reference}", which is not on the page'


def _names(root: Node) -> Iterator[str]:
    labelled = {node.get("for") for node in root.find("label")}
    for node in root.find("a", "button", "summary", "details", "input", "select", "textarea"):
        if node.tag == "details":
            if not node.children or node.children[0].tag != "summary":
                yield "<details> does not start with a <summary>"
        elif node.tag in ("input", "select", "textarea"):
            if node.get("id") not in labelled and not _label(node):
                yield f"{node.where} has no label"
        elif not node.text and not _label(node):
            yield f"{node.where} has no name"


def _network(root: Node) -> Iterator[str]:
    for node in root:
        for name, value in node.attributes.items():
            outside = _OUTSIDE.match(value)
            linked = name in ("href", "xlink:href") and (
                node.tag != "a" or value.lower().startswith("javascript:")
            )
            if (LOADING.fullmatch(name) or linked) and outside:
                yield f"{node.where} loads {value[:80]}"
        for sheet in (node.get("style"), *(node._strings() if node.tag == "style" else ())):
            for match in _CSS_URL.finditer(sheet):
                if not (match[1] or "").startswith(("#", "data:")):
                    yield f"style of {node.where} loads {(match[1] or match[2])[:80]}"
        if node.tag in ("iframe", "object", "embed", "link", "base", "noscript", "frame", "portal"):
            yield f"{node.where} does not belong in a page that stands alone"


def _scripts(root: Node) -> Iterator[str]:
    for node in root:
        if node.tag == "script" and (node.attributes or len(node.text) > SCRIPT_LIMIT):
            yield "<script> is more than a small addition"
        events = [name for name in node.attributes if name.startswith("on")]
        if events:
            yield f"{node.where} needs a script: {events[0]}"
        if "hidden" in node.attributes and node.find("p", "table", "figure", "ul", "ol", "h2", "h3", "a"):
            yield f"{node.where} hides something that only a script could show"


def _silent(node: Node) -> bool:
    hidden = any(other.get("aria-hidden") == "true" for other in (node, *node.ancestors()))
    return hidden or node.get("role") in ("presentation", "none")


def _inside(node: Node, tag: str) -> bool:
    return any(other.tag == tag for other in node.ancestors())
