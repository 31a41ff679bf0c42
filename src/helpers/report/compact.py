"""Write a page in fewer bytes without changing what it says.

HTML lets the end tags of cells, rows and list items go without saying, plain attribute values need no quotation marks
and quotation marks no escape in text; a style sheet may leave out what the page does not use. In a report full of
tables and code that is a fifth of the page. Drawings and scripts stay as they are.
"""

from __future__ import annotations

import re
from itertools import count, product
from string import ascii_lowercase

from helpers.report.markup import IMPLIED

_PIECE = re.compile(
    r"(?P<verbatim><(style|script|svg|textarea)\b.*?</\2>)"
    r"""|</(?P<end>[a-z0-9]+)\s*>|(?P<tag><(?:[^>"']|"[^"]*"|'[^']*')*>)|(?P<text>[^<]+)""",
    re.DOTALL,
)
_BLOCK = (
    "p|ul|ol|li|dl|dt|dd|div|section|nav|main|header|footer|h[1-6]|table|thead|tbody|tr|th|td|details|summary"
)
_GAP = re.compile(rf"(</?(?:{_BLOCK})\b[^<>]*>)\n+")
_STYLE = re.compile(r"(?<=<style>).*?(?=</style>)", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{[^{}]*\}")
# Classes keep their quotation marks: they are what tests and readers of the source look for.
_QUOTED = re.compile(r""" (?!class=)([a-z-]+)="([^\s"'=<>`]*[^\s"'=<>`/])"(?=[ >])""")
_QUOTES = re.compile(r"&(?:quot|#34|#x22);|(&(?:apos|#39|#x27);)")


def compact(html: str) -> str:
    """Return the same page without implied end tags, needless quotes and rules for classes that it does not use.

    Parameters
    ----------
    html : str
        A page whose every element is closed, as the templates write it.
    """
    classes = {name for names in re.findall(r'\bclass="([^"]*)"', html) for name in names.split()}
    html = _STYLE.sub(lambda sheet: _sheet(sheet[0], classes), html, count=1)
    return _PIECE.sub(_shorter, _GAP.sub(r"\1", html))


def _sheet(sheet: str, classes: set[str]) -> str:
    """Return a style sheet for a page with these classes, its custom properties under short names."""
    sheet = _RULE.sub(lambda rule: _used(rule, classes), sheet)
    names = list(dict.fromkeys(re.findall(r"--([a-z-]+)", sheet)))
    letters = ("".join(each) for length in count(1) for each in product(ascii_lowercase, repeat=length))
    short = dict(zip(names, letters, strict=False))
    return re.sub(r"--([a-z-]+)", lambda name: f"--{short[name[1]]}", sheet)


def _used(rule: re.Match[str], classes: set[str]) -> str:
    """Return a rule of a style sheet with those of its selectors whose classes are on the page."""
    selectors = re.split(r",(?![^(]*\))", rule[1])
    kept = [one for one in selectors if classes.issuperset(re.findall(r"\.([a-z][\w-]*)", one))]
    return ",".join(kept) + rule[0][len(rule[1]) :] if kept else ""


def _shorter(piece: re.Match[str]) -> str:
    if piece["end"] in IMPLIED:
        return ""
    if piece["tag"] and "'" not in piece["tag"]:
        return _QUOTED.sub(r" \1=\2", piece["tag"])
    if piece["text"]:
        return _QUOTES.sub(lambda quote: "'" if quote[1] else '"', piece["text"])
    return piece[0]
