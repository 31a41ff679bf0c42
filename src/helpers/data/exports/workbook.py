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
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

BOOK = "xl/workbook.xml"
# Built-in formats of dates and times, East Asian ones among them.
DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
EPOCH = dt.datetime(1899, 12, 30)


def sheets(archive: ZipFile) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """Yield each sheet of a workbook: its name and its rows."""
    targets = {
        each.get("Id"): each.get("Target", "") for each in _parts(archive, "xl/_rels/workbook.xml.rels")
    }
    texts = [_text(each) for each in _parts(archive, "xl/sharedStrings.xml") if _tag(each) == "si"]
    dated = _dated(archive)
    for sheet in _parts(archive, BOOK):
        if _tag(sheet) == "sheet":
            place = normpath(join("xl", targets[sheet.get(RELATION)])).removeprefix("/")
            yield sheet.get("name", ""), _rows(archive, place, texts, dated)


def _tag(element: Any) -> str:
    return element.tag.rpartition("}")[2]


def _parts(archive: ZipFile, name: str) -> list[Any]:
    """Return the elements of a part of the workbook; none when it is not there."""
    return list(ElementTree.fromstring(archive.read(name)).iter()) if name in archive.namelist() else []


def _text(element: Any) -> str:
    """Return the text of a cell or shared string, without what says how Chinese is pronounced."""
    said = {each for run in element.iter() if _tag(run) == "rPh" for each in run.iter()}
    return "".join(each.text or "" for each in element.iter() if _tag(each) == "t" and each not in said)


def _dated(archive: ZipFile) -> set[str]:
    """Return the numbers of the cell styles that show a date."""
    dates, dated = {str(number) for number in DATES}, set()
    for each in _parts(archive, "xl/styles.xml"):
        code = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", each.get("formatCode", ""))
        if _tag(each) == "numFmt" and re.search("[ymdhs年月日]", code.lower()):
            dates.add(each.get("numFmtId"))
        if _tag(each) == "cellXfs":
            dated = {str(index) for index, style in enumerate(each) if style.get("numFmtId") in dates}
    return dated


def _rows(archive: ZipFile, name: str, texts: list[str], dated: set[str]) -> Iterator[list[str]]:
    with archive.open(name) as file:
        for _, row in ElementTree.iterparse(file):
            if _tag(row) == "row":
                cells: dict[int, str] = {}
                for cell in [each for each in row if _tag(each) == "c"]:
                    cells[_column(cell.get("r", "")) or max(cells, default=0) + 1] = _cell(cell, texts, dated)
                yield [cells.get(position, "") for position in range(1, max(cells, default=0) + 1)]
                row.clear()


def _column(place: str) -> int:
    """Return the position of a column, 28 for ``AB7``."""
    number = 0
    for letter in place.rstrip("0123456789"):
        number = 26 * number + ord(letter) - 64
    return number


def _cell(cell: Any, texts: list[str], dated: set[str]) -> str:
    kind, value = cell.get("t", "n"), next((each.text or "" for each in cell if _tag(each) == "v"), "")
    if kind == "inlineStr":
        return _text(cell)
    if kind != "n" or not value:
        return texts[int(value)] if kind == "s" else {"b0": "false", "b1": "true"}.get(kind + value, value)
    if cell.get("s") in dated:
        moment = EPOCH + dt.timedelta(seconds=round(float(value) * 86400))
        return f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00")
    # A workbook writes 0.1 with all the digits of its double.
    return repr(float(value)) if "." in value and "E" not in value.upper() else value
