"""Sheets of an ``.xlsx`` workbook as rows of text, read from its XML: cells as they are stored, dates as days.

Readers of workbooks turn ids into floats, and some stop at styles that an exporting shop has written wrongly. Numbers
stay the text that is stored here, so that one with lost digits can still be told: ``6.91234567890123E+18``.
Source: ECMA-376, part 1, 18.3 (cells), 18.4 (shared strings), 18.8.30 (formats that mean a date).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from posixpath import join, normpath
from xml.etree.ElementTree import Element, fromstring, iterparse
from zipfile import ZipFile

BOOK = "xl/workbook.xml"
# Built-in formats of dates and times, East Asian ones among them.
DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
EPOCH = dt.datetime(1899, 12, 30)


def sheets(archive: ZipFile) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """Yield each sheet of a workbook: its name and its rows."""
    relations = _part(archive, "xl/_rels/workbook.xml.rels")
    targets = {each.get("Id"): each.get("Target", "") for each in relations}
    texts = [_text(each) for each in _part(archive, "xl/sharedStrings.xml")]
    dated = _dated(archive)
    for sheet in _part(archive, BOOK).iterfind("{*}sheets/{*}sheet"):
        place = normpath(join("xl", targets[sheet.get(RELATION)])).removeprefix("/")
        yield sheet.get("name", ""), _rows(archive, place, texts, dated)


def _part(archive: ZipFile, name: str) -> Element:
    """Return a part of the workbook; an empty one when it is not there."""
    return fromstring(archive.read(name)) if name in archive.namelist() else Element(name)


def _text(element: Element) -> str:
    """Return a text of one or several runs, without what says how Chinese is pronounced."""
    runs = (*element.iterfind("{*}t"), *element.iterfind("{*}r/{*}t"))
    return "".join(each.text or "" for each in runs)


def _dated(archive: ZipFile) -> set[str]:
    """Return the numbers of the cell styles that show a date."""
    dates, styles = {str(number) for number in DATES}, _part(archive, "xl/styles.xml")
    for each in styles.iterfind("{*}numFmts/{*}numFmt"):
        code = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", each.get("formatCode", ""))
        if re.search("[ymdhs年月日]", code.lower()):
            dates.add(each.get("numFmtId", ""))
    cells = enumerate(styles.iterfind("{*}cellXfs/{*}xf"))
    return {str(index) for index, style in cells if style.get("numFmtId") in dates}


def _rows(archive: ZipFile, name: str, texts: list[str], dated: set[str]) -> Iterator[list[str]]:
    with archive.open(name) as file:
        for _, row in iterparse(file):
            if row.tag.endswith("}row"):
                cells: dict[int, str] = {}
                for cell in row.iterfind("{*}c"):
                    cells[_column(cell.get("r", "")) or max(cells, default=0) + 1] = _cell(cell, texts, dated)
                yield [cells.get(position, "") for position in range(1, max(cells, default=0) + 1)]
                row.clear()


def _column(place: str) -> int:
    """Return the position of a column, 28 for ``AB7``."""
    number = 0
    for letter in place.rstrip("0123456789"):
        number = 26 * number + ord(letter) - 64
    return number


def _cell(cell: Element, texts: list[str], dated: set[str]) -> str:
    kind, value = cell.get("t", "n"), cell.findtext("{*}v") or ""
    if kind == "inlineStr":
        return "".join(map(_text, cell.iterfind("{*}is")))
    if kind != "n" or not value:
        return texts[int(value)] if kind == "s" else {"b0": "false", "b1": "true"}.get(kind + value, value)
    if cell.get("s") in dated:
        moment = EPOCH + dt.timedelta(seconds=round(float(value) * 86400))
        return f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00")
    # A workbook writes 0.1 with all the digits of its double.
    return repr(float(value)) if "." in value and "E" not in value.upper() else value
