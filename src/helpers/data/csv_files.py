"""CSV files before they are parsed: their encoding, their delimiter, and the row with the names."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from helpers.data.schema import Table
from helpers.errors import BadData

CHUNK = 1 << 20
"""Characters held at a time."""

DELIMITERS = ",\t;|"
HEADER_SEARCH = 5
"""Rows among which the one with the column names is looked for."""

TYPICAL = 0.8
"""Share of double-byte characters that real Chinese text keeps within the common set GB2312; text in
another legacy encoding that happens to decode as GB18030 falls far below."""


class UnreadableFileError(BadData):
    """A file is empty or in an unknown encoding."""


@dataclass(frozen=True)
class CsvFile:
    """A file that DuckDB can read: UTF-8, with its delimiter, its names and the lines above them."""

    path: Path
    delimiter: str
    names: tuple[str, ...]
    skipped_lines: int
    first_row: tuple[str, ...]


def _stream(path: Path) -> IO[bytes]:
    """Open the bytes of a file, unpacked."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _text(path: Path, name: str) -> io.TextIOWrapper:
    """Open the text of a file in an encoding, with its line ends as they are."""
    return io.TextIOWrapper(_stream(path), encoding=name, newline="")


def _pieces(path: Path, name: str) -> Iterator[str]:
    """Yield the text of a file in pieces of bounded size."""
    with _text(path, name) as file:
        while piece := file.read(CHUNK):
            yield piece


def encoding(path: Path) -> str:
    """Return the encoding of a file: ``utf-8``, ``utf-8-sig``, ``utf-16`` or ``gb18030``.

    The whole file is decoded, because the first Chinese name may stand in the last row.

    Raises
    ------
    UnreadableFileError
        When the file is in none of these.
    """
    with _stream(path) as file:
        head = file.read(4)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    with contextlib.suppress(UnicodeDecodeError):
        for _ in _pieces(path, "utf-8"):
            pass
        return "utf-8"
    with contextlib.suppress(UnicodeDecodeError):
        if _common_share(path) >= TYPICAL:
            return "gb18030"
    raise UnreadableFileError(
        f"The encoding of {path.name} is unclear: it is neither UTF-8 nor GBK. Save it as UTF-8."
    )


def _common_share(path: Path) -> float:
    """Return the share of non-ASCII characters that GB2312 has, over the whole file."""
    common = total = 0
    for piece in _pieces(path, "gb18030"):
        foreign = [character for character in piece if character > "\x7f"]
        total += len(foreign)
        common += len("".join(foreign).encode("gb2312", "ignore")) // 2
    return common / total if total else 1.0


def as_utf8(path: Path, folder: Path) -> tuple[Path, str]:
    """Return a UTF-8 file with the same text, and the encoding of the original.

    Files in another encoding are written anew below `folder`, piece by piece.
    """
    name = encoding(path)
    if name in ("utf-8", "utf-8-sig"):
        return path, name
    target = folder / f"{len(list(folder.iterdir()))}_{path.name.removesuffix('.gz')}"
    with target.open("w", encoding="utf-8", newline="") as out:
        out.writelines(_pieces(path, name))
    return target, name


def inspect(path: Path, spec: Table) -> CsvFile:
    """Find the delimiter and the row of column names of a UTF-8 file.

    The row of names is the one among the first rows that has most names of the contract; exports of
    creator centres put a row of group titles above it.

    Raises
    ------
    UnreadableFileError
        When the file is empty.
    """
    with _text(path, "utf-8-sig") as file:
        lines = list(itertools.islice(file, 4 * HEADER_SEARCH))
    if not any(line.strip() for line in lines):
        raise UnreadableFileError(f"{path.name} is empty: it has no row of column names.")
    found = []
    for delimiter in DELIMITERS:
        rows = _first_rows(lines, delimiter)
        for index, (skipped, row) in enumerate(rows[:HEADER_SEARCH]):
            rank = (sum(name in spec for name in row), -index, len(row))
            following = rows[index + 1][1] if index + 1 < len(rows) else ()
            found.append((rank, CsvFile(path, delimiter, _named(row), skipped, following)))
    return max(found, key=lambda each: each[0])[1]


def _first_rows(lines: list[str], delimiter: str) -> list[tuple[int, tuple[str, ...]]]:
    """Return the first rows, each with the number of lines above it."""
    reader = csv.reader(lines, delimiter=delimiter)
    rows, above = [], 0
    for row in itertools.islice(reader, HEADER_SEARCH + 1):
        rows.append((above, tuple(cell.strip(" \t\ufeff\u3000") for cell in row)))
        above = reader.line_num
    return rows


def _named(row: tuple[str, ...]) -> tuple[str, ...]:
    """Give columns without a name, such as after a trailing comma, a name by their position."""
    return tuple(name or f"unnamed_{position}" for position, name in enumerate(row, start=1))
