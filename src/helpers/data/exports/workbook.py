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


def is_workbook(archive: ZipFile) -> bool:
    """Whether an archive is a workbook."""
    return BOOK in archive.namelist()


def sheets(archive: ZipFile) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """Yield each sheet that is shown: its name and its rows."""
    relations = {
        each.get("Id"): each.get("Target", "") for each in _parts(archive, "xl/_rels/workbook.xml.rels")
    }
    texts = [_text(each) for each in _parts(archive, "xl/sharedStrings.xml") if _tag(each) == "si"]
    book = _parts(archive, BOOK)
    since_1904 = any(each.get("date1904") in ("1", "true") for each in book if _tag(each) == "workbookPr")
    dated = _dated(archive)
    for sheet in [
        each for each in book if _tag(each) == "sheet" and each.get("state", "visible") == "visible"
    ]:
        target = normpath(join("xl", relations[sheet.get(RELATION)])).removeprefix("/")
        yield sheet.get("name", ""), _rows(archive, target, texts, dated, since_1904)


def _tag(element: Any) -> str:
    return element.tag.rpartition("}")[2]


def _parts(archive: ZipFile, name: str) -> list[Any]:
    """Return the elements of a part of the workbook; none when it is not there."""
    return list(ElementTree.fromstring(archive.read(name)).iter()) if name in archive.namelist() else []


def _text(element: Any) -> str:
    """Return the text of a cell or shared string, without what says how Chinese is pronounced."""
    phonetic = {text for run in element.iter() if _tag(run) == "rPh" for text in run.iter()}
    return "".join(each.text or "" for each in element.iter() if _tag(each) == "t" and each not in phonetic)


def _dated(archive: ZipFile) -> set[str]:
    """Return the numbers of the cell styles that show a date."""
    formats: dict[str, str] = {}
    styles: list[str] = []
    for each in _parts(archive, "xl/styles.xml"):
        if _tag(each) == "numFmt":
            formats[each.get("numFmtId")] = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", each.get("formatCode", ""))
        if _tag(each) == "cellXfs":
            styles = [style.get("numFmtId", "0") for style in each]
    shown = {number for number, code in formats.items() if re.search("[ymdhs年月日]", code.lower())}
    return {str(index) for index, number in enumerate(styles) if number in shown or int(number) in DATES}


def _rows(
    archive: ZipFile, name: str, texts: list[str], dated: set[str], since_1904: bool
) -> Iterator[list[str]]:
    with archive.open(name) as file:
        for _, row in ElementTree.iterparse(file):
            if _tag(row) != "row":
                continue
            cells: list[str] = []
            for cell in [each for each in row if _tag(each) == "c"]:
                position = _column(cell.get("r", "")) or len(cells) + 1
                cells += [""] * (position - 1 - len(cells))
                cells.append(_cell(cell, texts, dated, since_1904))
            yield cells
            row.clear()


def _column(place: str) -> int:
    """Return the position of a column, 28 for ``AB7``."""
    number = 0
    for letter in place.rstrip("0123456789"):
        number = 26 * number + ord(letter) - 64
    return number


def _cell(cell: Any, texts: list[str], dated: set[str], since_1904: bool) -> str:
    kind, value = cell.get("t", "n"), next((each.text or "" for each in cell if _tag(each) == "v"), "")
    if kind == "s":
        return texts[int(value)]
    if kind == "inlineStr":
        return _text(cell)
    if kind != "n" or not value:
        return {"b0": "false", "b1": "true"}.get(kind + value, value)
    if cell.get("s") in dated:
        return _date(float(value), since_1904)
    # A workbook writes 0.1 with all the digits of its double.
    return repr(float(value)) if "." in value and "E" not in value.upper() else value


def _date(serial: float, since_1904: bool) -> str:
    """Return a day, or a day and time, from days since 1899-12-30 (or 1904-01-01)."""
    start = dt.datetime(1904, 1, 1) if since_1904 else dt.datetime(1899, 12, 30)
    moment = start + dt.timedelta(seconds=round(serial * 86400))
    return f"{moment:%Y-%m-%d}" if serial == int(serial) else f"{moment:%Y-%m-%d %H:%M:%S}"
