"""CSV files before they are parsed: their encoding, their delimiter, and the row with the names."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from helpers.data.schema import Table
from helpers.data.violation import counted
from helpers.errors import BadData
from helpers.sentences import say

# Characters held at a time.
CHUNK = 1 << 20

DELIMITERS = ",\t;|"
# Rows among which the one with the column names is looked for.
HEADER_SEARCH = 5

# Share of double-byte characters that real Chinese text keeps within the common set GB2312; text in
# another legacy encoding that happens to decode as GB18030 falls far below.
TYPICAL = 0.8


class UnreadableFileError(BadData):
    """A file is empty, damaged or in an unknown encoding."""


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
    return gzip.open(path, "rb") if is_packed(path) else path.open("rb")  # type: ignore[return-value]


def is_packed(path: Path) -> bool:
    """Whether a file is packed by its name."""
    return path.suffix.lower() == ".gz"


def _text(path: Path, name: str, newline: str | None = "") -> io.TextIOWrapper:
    """Open the text of a file in an encoding, with its line ends as they are, or with one kind of them: None."""
    return io.TextIOWrapper(_stream(path), encoding=name, newline=newline)


def _pieces(path: Path, name: str, newline: str | None = "") -> Iterator[str]:
    """Yield the text of a file in pieces of bounded size."""
    with _text(path, name, newline) as file:
        while piece := file.read(CHUNK):
            yield piece


def _ends_alike(path: Path, name: str) -> bool:
    """Decode a file and return whether all of its lines end with a line feed, or all with both signs."""
    returns = feeds = pairs = 0
    last = ""
    for piece in _pieces(path, name):
        returns, feeds = returns + piece.count("\r"), feeds + piece.count("\n")
        pairs += piece.count("\r\n") if returns else 0
        pairs += last.endswith("\r") and piece.startswith("\n")
        last = piece
    return returns == 0 or returns == feeds == pairs


def encoding(path: Path) -> tuple[str, bool]:
    """Return the encoding of a file and whether all of its lines end alike.

    Encodings are ``utf-8``, ``utf-8-sig``, ``utf-16`` and ``gb18030``. The whole file is decoded, because the first
    Chinese name may stand in the last row.

    Raises
    ------
    UnreadableFileError
        When the file is in none of these.
    """
    with _stream(path) as file:
        head = file.read(4)
    marked = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else ""
    marked = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else marked
    for name in (marked,) if marked else ("utf-8", "gb18030"):
        try:
            alike = _ends_alike(path, name)
            if name != "gb18030" or _common_share(path) >= TYPICAL:
                return name, alike
        except UnicodeError:
            continue
    text = "The encoding of {path} is unclear: it is neither UTF-8 nor GBK. Save it as UTF-8."
    if marked:
        text = (
            "The encoding of {path} is unclear: it is marked as {code} and is not, or is cut off. Save it "
            "as UTF-8."
        )
    raise UnreadableFileError(say(text, path=path.name, code=(marked or "").upper()))


def _common_share(path: Path) -> float:
    """Return the share of non-ASCII characters that GB2312 has, over the whole file."""
    common = total = 0
    for piece in _pieces(path, "gb18030"):
        foreign = [character for character in piece if character > "\x7f"]
        total += len(foreign)
        common += len("".join(foreign).encode("gb2312", "ignore")) // 2
    return common / total if total else 1.0


def prepare(path: Path, spec: Table, root: Path, folder: Path, notes: list[str]) -> CsvFile:
    """Return a file that the engine can read, and note what was not plain about it.

    Files in another encoding or with several kinds of line ends are written anew below `folder`, piece by piece, and
    keep the folders in which they lie below `root`.

    Raises
    ------
    UnreadableFileError
        When the file cannot be read.
    """
    try:
        fresh = folder / f"{len(list(folder.iterdir()))}"
        place = fresh / re.sub(r"(?i)\.gz$", "", path.relative_to(root).as_posix())
        file = inspect(readable(path, path.name, place, notes), spec)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise UnreadableFileError(
            say("{path} cannot be read: {error}.", path=path.name, error=error)
        ) from None
    if file.skipped_lines:
        notes.append(
            say(
                "{file}: {lines} above the column names left out.",
                file=path.name,
                lines=counted(file.skipped_lines, "line"),
            )
        )
    return file


def readable(path: Path, name: str, target: Path, notes: list[str], marked: bool = True) -> Path:
    """Return a file in UTF-8, `marked` as such or not, with lines that end alike: itself, or a new one.

    Notes say of `name` why it had to be a new one.
    """
    written, alike = encoding(path)
    legacy = written in ("gb18030", "utf-16")
    notes += [say("{file}: read as {code}.", file=name, code=written.upper())] if legacy else []
    notes += (
        []
        if alike
        else [say("{file}: lines end in more than one way, each read as an end of line.", file=name)]
    )
    if alike and (written == "utf-8" or (marked and not legacy)):
        return path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as out:
        out.writelines(_pieces(path, written, newline=None))
    return target


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
        raise UnreadableFileError(say("{path} is empty: it has no row of column names.", path=path.name))
    found = []
    for delimiter in DELIMITERS:
        first = itertools.islice(rows(lines, delimiter), HEADER_SEARCH + 1)
        stripped = [(skipped, tuple(cell.strip(" \t\ufeff\u3000") for cell in row)) for skipped, row in first]
        for index, (skipped, row) in enumerate(stripped[:HEADER_SEARCH]):
            rank = (sum(name in spec for name in row), -index, len(row))
            following = stripped[index + 1][1] if index + 1 < len(stripped) else ()
            # A column without a name, such as after a trailing comma, is named by its position.
            names = tuple(name or f"unnamed_{position}" for position, name in enumerate(row, start=1))
            found.append((rank, CsvFile(path, delimiter, names, skipped, following)))
    return max(found, key=lambda each: each[0])[1]


def rows(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows, each with the number of lines above it."""
    reader, above = csv.reader(lines, delimiter=delimiter), 0
    for row in reader:
        yield above, row
        above = reader.line_num
