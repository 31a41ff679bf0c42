"""Write a page in fewer bytes without changing what it says.

HTML lets the end tags of cells, rows, list items and many paragraphs go without saying,
 plain attribute values need no quotation marks
and quotation marks no escape in text; a style sheet may leave out what the page does not use. In a report full of
tables and code that is a fifth of the page. Drawings and scripts stay as they are.
"""

from __future__ import annotations

import re
from itertools import count, product
from string import ascii_lowercase

from helpers.report.page.markup import ENDS_PARAGRAPH, IMPLIED

_PIECE = re.compile(
    r"(?P<verbatim><(style|script|svg|textarea)\b.*?</\2>)"
    r"""|</(?P<end>[a-z0-9]+)\s*>|(?P<tag><(?:[^>"']|"[^"]*"|'[^']*')*>)|(?P<text>[^<]+)""",
    re.DOTALL,
)
_BLOCK = (
    "p|ul|ol|li|dl|dt|dd|div|section|nav|main|header|footer|h[1-6]|table|thead|tbody|tr|th|td|details|summary"
)
_GAP = re.compile(rf"(</?(?:{_BLOCK})\b[^<>]*>)\n+")
_PARAGRAPH = re.compile(
    rf"</p>(?=<(?:{'|'.join(sorted(ENDS_PARAGRAPH))})\b|</(?:blockquote|details|div|figure|li|section)>)"
)
_STYLE = re.compile(r"(?<=<style>).*?(?=</style>)", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{[^{}]*\}")
_NAMED = re.compile(
    r"(?<![\w:.-])[a-z][a-z0-9]*(?![\w-])|\.[a-z][\w-]*"
)  # elements and classes of a selector
_QUOTED = re.compile(r""" ([a-z-]+)="([^\s"'=<>`]*[^\s"'=<>`/])"(?=[ >])""")
_QUOTES = re.compile(r"&(?:quot|#34|#x22);|(&(?:apos|#39|#x27);)")


def compact(html: str) -> str:
    """Return the same page without implied end tags, needless quotes and rules for classes that it does not use.

    Parameters
    ----------
    html : str
        A page whose every element is closed, as the templates write it.
    """
    classes = {name for names in re.findall(r'\bclass="([^"]*)"', html) for name in names.split()}
    used = {f".{name}" for name in classes} | set(re.findall(r"<([a-z][a-z0-9]*)", html)) | {"page"}
    html = _STYLE.sub(lambda sheet: _sheet(sheet[0], used), html, count=1)
    return _PIECE.sub(_shorter, _PARAGRAPH.sub("", _GAP.sub(r"\1", html)))


def _sheet(sheet: str, used: set[str]) -> str:
    """Return a style sheet for a page with these classes and elements, its custom properties under short names."""
    sheet = _RULE.sub(lambda rule: _used(rule, used), sheet)
    names = list(dict.fromkeys(re.findall(r"var\(--([a-z-]+)", sheet)))
    sheet = re.sub(r"--([a-z-]+):[^;}]*;?", lambda one: one[0] if one[1] in names else "", sheet).replace(
        ";}", "}"
    )
    letters = ("".join(each) for length in count(1) for each in product(ascii_lowercase, repeat=length))
    short = dict(zip(names, letters, strict=False))
    return re.sub(r"--([a-z-]+)", lambda name: f"--{short[name[1]]}", sheet)


def _used(rule: re.Match[str], used: set[str]) -> str:
    """Return a rule of a style sheet with those of its selectors whose classes and elements are on the page."""
    if rule[1].lstrip().startswith("@"):
        return rule[0]
    selectors = re.split(r",(?![^(]*\))", rule[1])
    kept = [
        one for one in selectors if used.issuperset(_NAMED.findall(re.sub(r"\[[^]]*\]|\([^)]*\)", "", one)))
    ]
    return ",".join(kept) + rule[0][len(rule[1]) :] if kept else ""


def _shorter(piece: re.Match[str]) -> str:
    if piece["end"] in IMPLIED:
        return ""
    if piece["tag"] and "'" not in piece["tag"]:
        return _QUOTED.sub(r" \1=\2", piece["tag"])
    if piece["text"]:
        return _QUOTES.sub(lambda quote: "'" if quote[1] else '"', piece["text"])
    return piece[0]
