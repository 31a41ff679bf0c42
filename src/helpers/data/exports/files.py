"""Files of any shape as rows of text that the engine reads: what a file is, its content says, not its name.

Nothing is parsed here: an id of 19 digits stays the text it is. What a spreadsheet has rounded to ``1.23E+18`` has
lost its digits for good, and `LOST_DIGITS` is what such a text looks like.
"""

from __future__ import annotations

import csv
import html
import itertools
import json
import re
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from xml.etree import ElementTree

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.data import csv_files
from helpers.data.csv_files import DELIMITERS, UnreadableFileError
from helpers.data.exports import workbook
from helpers.data.views import identifier, listed, quoted, varchar
from helpers.data.violation import counted
from helpers.sentences import say

LOST_DIGITS = r"\d(\.\d+)?[eE]\+?\d{2}"

# Rows among which the one with the names is looked for; bank exports put some 25 above it.
HEADER_SEARCH = 40
# Bytes up to which a row may have fewer cells than there are names; in a larger file all must have one width.
SMALL = 1 << 25
# Names up to which nested JSON is laid out, and how deep; what is below stays JSON text.
MOST_NAMES, DEEPEST = 400, 4

# Text that is no name: amounts, dates, ids, links, addresses.
VALUE = re.compile(
    r"[-+=\"'`￥¥$€#]*\d[\d\s.,:/+TZ%年月日时分秒-]*[\"']?|.*(://|\d{6}|[^\s@]@\w).*|(?i:true|false)"
)
DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, KeyError, RuntimeError, zlib.error, csv.Error)
DAMAGE += (zipfile.BadZipFile, tarfile.TarError, ElementTree.ParseError, duckdb.Error)

# Members of an archive that hold no rows, and days of one channel, of which each is a file of its own.
BESIDE = r"(?i)(^|/)([.]|_(?!chat\.))|\.(jpe?g|png|gif|webp|svg|mp4|mov|webm|mp3|m4a|opus|ogg|pdf|vcf)$"
DAYS, ALL_DAYS = r"(.*/)?[^/]+/\d{4}-\d\d-\d\d\.json", "*/*.json"
# A line of a chat as a phone writes it, ``25/09/2026, 14:22 - Ann: text`` or ``[25.09.26, 14:22:10] Ann: text``.
CHAT = re.compile(
    r"\[?(\d{1,4}([./-])\d{1,2}\2\d{1,4},? \d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?)(?:\]| -) (?:([^:\"“]+): )?(.*)"
)


@dataclass(frozen=True)
class RawFile:
    """One grid of text: a file, a sheet of a workbook, or a member of an archive.

    Attributes
    ----------
    path : Path
        The file of the folder.
    part : str
        Sheet or member of the archive; empty for a plain file.
    query : str
        SQL of DuckDB that yields every row with every cell as text, as it is written: a SELECT without a semicolon,
        fit for ``FROM ({query})``. Empty cells are null; ids keep all of their digits.
    names : tuple of str
        Column names of `query`, as `clean` writes them; a second column of one name is ``name_2``, one without a name
        ``unnamed_3`` by its position. Nested JSON is flat: ``author.id``; lists of key and value are
        ``event_params.ga_session_id``; the list of records is the rows, with what stands around it as ``top.name``;
        numbers in other lists of objects are added up, ``line_items.total``; what is left stays JSON text.
    notes : sequence of str
        What was not plain: its encoding, lines above the column names.
    sparse : bool
        Whether a name that is not there means that no record says it, as in JSON.
    """

    path: Path
    part: str
    query: str
    names: tuple[str, ...]
    notes: Sequence[str] = ()
    sparse: bool = False

    def columns(self, names: Iterable[str]) -> str:
        """Return SQL of some columns; one that JSON never speaks of is empty."""
        texts = (
            identifier(n) if n in self.names else f"CAST(NULL AS VARCHAR) AS {identifier(n)}" for n in names
        )
        return f"SELECT {', '.join(texts)} FROM ({self.query})"

    @property
    def name(self) -> str:
        """The file's name, with the sheet or member behind it: ``orders.zip/orders_1.csv``."""
        return f"{self.path.name}/{self.part}" if self.part else self.path.name


def open_file(path: Path, workspace: Path, expected: Collection[str] = ()) -> tuple[RawFile, ...]:
    """Return what a file holds, most often one grid.

    Parameters
    ----------
    path : Path
        Text with separators, ``.xlsx``, an HTML table, JSON, JSON lines, Parquet; or these packed as zip, gz, zst.
    workspace : Path
        Folder for what must be written anew: archives, workbooks, other encodings. A plain UTF-8 file stays in place.
    expected : collection of str
        Column names that the header row is known by, as in `names`; without them it is found by its form.

    Raises
    ------
    UnreadableFileError
        When the file is empty, damaged, in an unknown encoding, or of a kind that cannot be read.
    """
    try:
        found = tuple(_Opened(path, workspace, frozenset(map(clean, expected))).grids(path, ""))
    except DAMAGE as error:
        raise UnreadableFileError(
            say("{path} cannot be read: {error}.", path=path.name, error=str(error).splitlines()[0])
        ) from None
    if not found:
        raise UnreadableFileError(say("{path} is empty, or has no row of column names.", path=path.name))
    return found


@lru_cache(1 << 14)
def clean(name: str) -> str:
    """Return a column name as it is compared: NFKC, without blanks, BOM, quotes or backticks around it."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", name)).strip(" \ufeff=\"'`")


@dataclass(frozen=True)
class _Opened:
    """A file on its way to grids of text."""

    path: Path
    workspace: Path
    expected: frozenset[str]

    def grids(self, place: Path, part: str) -> Iterator[RawFile]:
        """Yield what lies at a place, unpacking what is packed."""
        with place.open("rb") as file:
            head = file.read(8)
        if head.startswith(b"PK\x03\x04"):
            yield from self._archive(place, part)
        elif head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
            kind = "gzip" if head.startswith(b"\x1f\x8b") else "zstd"
            with pa.input_stream(str(place), kind) as stream:
                yield from self.grids(self._copied(stream), part)
        elif head.startswith(b"PAR1"):
            yield self._parquet(place, part)
        elif head.startswith(b"\xd0\xcf\x11\xe0"):
            raise UnreadableFileError(
                say("{path} is an old Excel workbook: save it as .xlsx or CSV.", path=self.path.name)
            )
        elif head and tarfile.is_tarfile(place):
            with tarfile.open(place) as packed:
                for each in packed:
                    if (stream := packed.extractfile(each)) and not re.search(BESIDE, each.name):
                        yield from self.grids(self._copied(stream), f"{part}/{each.name}".strip("/"))
        elif head:
            yield from self._text(place, part)

    def _fresh(self) -> Path:
        return self.workspace / f"export-{len(list(self.workspace.iterdir()))}"

    def _copied(self, stream: Any) -> Path:
        target = self._fresh()
        with target.open("wb") as out:
            copyfileobj(stream, out)
        return target

    def _written(self, rows: Iterable[Iterable[str]]) -> Path:
        """Write rows as plain CSV, without those that are empty."""
        target = self._fresh()
        with target.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(row for row in map(list, rows) if any(row))
        return target

    def _archive(self, place: Path, part: str) -> Iterator[RawFile]:
        above = f"{part}/" if part else ""
        with zipfile.ZipFile(place) as archive:
            if workbook.BOOK in archive.namelist():
                for sheet, rows in workbook.sheets(archive):
                    yield from self._grid(self._written(rows), above + sheet, [])
                return
            days = [name for name in archive.namelist() if re.fullmatch(DAYS, name)]
            if days:
                archive.extractall(folder := self._fresh(), days)
                yield self._records(_objects([folder / day for day in days]), above + ALL_DAYS, [], False)
            for member in archive.infolist():
                name = member.filename
                if not member.flag_bits & 0x800:  # not marked as UTF-8: what Chinese tools write is GBK
                    name = name.encode("cp437", "replace").decode("gb18030", "replace")
                if not (member.is_dir() or member.filename in days or re.search(BESIDE, name)):
                    with archive.open(member) as stream:
                        yield from self.grids(self._copied(stream), above + name)

    def _text(self, place: Path, part: str) -> Iterator[RawFile]:
        notes: list[str] = []
        place = csv_files.readable(place, self.path.name, self._fresh(), notes, marked=False)
        with place.open(encoding="utf-8") as file:
            first = file.read(4096).lstrip()[:40]
        if re.match(r"{|\[\s*[{\]]", first):
            yield self._records(_objects([place]), part, notes, first.startswith("{"))
        else:
            ways = {"<": _table, "chat": _chat}
            if way := ways.get("chat" if CHAT.match(_unmarked(first)) else first[:1]):
                place = self._written(way(place.read_text("utf-8")))
            yield from self._grid(place, part, notes)

    def _grid(self, place: Path, part: str, notes: list[str]) -> Iterator[RawFile]:
        """Find the delimiter and the row of names of a UTF-8 file; yield nothing when it has none."""
        with place.open(encoding="utf-8", newline="") as file:
            lines = list(itertools.islice(file, 3 * HEADER_SEARCH))
        found = [each for delimiter in DELIMITERS for each in _headers(lines, delimiter, self.expected)]
        if not found:
            return
        _, delimiter, above, names = max(found, key=lambda each: each[0])
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
        how = "auto_detect = false, header = true, quote = '\"', escape = '\"'"
        if place.stat().st_size < SMALL:
            how += ", null_padding = true, parallel = false"
        reader = f"read_csv({listed([place])}, {how}, skip = {above}, delim = {quoted(delimiter)}"
        if above:
            notes.append(
                say(
                    "{file}: {lines} above the column names left out.",
                    file=self.path.name,
                    lines=counted(above, "line"),
                )
            )
        yield RawFile(self.path, part, f"SELECT * FROM {reader}, columns = {{{columns}}})", names, notes)

    def _parquet(self, place: Path, part: str) -> RawFile:
        reader, schema = f"read_parquet({listed([place])})", pq.read_schema(place)
        if any(map(pa.types.is_nested, schema.types)):
            return self._records(f"SELECT to_json(t) AS j FROM {reader} t", part, [], False)
        texts = {name: f"nullif({varchar(name)}, '')" for name in schema.names}
        return self._selected(texts, reader, part, [])

    def _records(self, query: str, part: str, notes: list[str], is_document: bool) -> RawFile:
        """Lay JSON out: one row for each record, or each in the list of a document, one column for each value."""
        with duckdb.connect() as con:
            structure, texts = _structure(con, query), {}
            rows = con.execute(f"SELECT 1 FROM ({query}) LIMIT 2").fetchall()
            if is_document and len(rows) == 1 and (records := max(_lists(structure), default=None)):
                lists = f"unnest(json_extract(j, {quoted(_path(*records[1]) + '[*]')}))"
                query = f"SELECT j AS t, {lists} AS j FROM ({query})"
                texts = {f"top.{name}": sql for name, sql in _leaves(con, query, structure, "t")}
                structure = _structure(con, query)
            texts |= {"top.folder": "f"} if ALL_DAYS in part else {}
            texts |= dict(_leaves(con, query, structure, "j"))
        return replace(self._selected(texts, f"({query})", part, notes), sparse=True)

    def _selected(self, texts: dict[str, str], relation: str, part: str, notes: list[str]) -> RawFile:
        names = _unlike(map(clean, texts))
        pairs = zip(texts.values(), names, strict=True)
        selected = ", ".join(f"{sql} AS {identifier(name)}" for sql, name in pairs)
        return RawFile(self.path, part, f"SELECT {selected} FROM {relation}", names, notes)


def _headers(lines: list[str], delimiter: str, expected: frozenset[str]) -> Iterator[tuple[Any, ...]]:
    """Yield every row that may hold the names, with its rank: known names first, then words and few values."""
    rows = list(csv_files.rows(lines, delimiter))
    for index, (above, row) in enumerate(rows[:HEADER_SEARCH]):
        widths = Counter(len(each) for _, each in rows[index + 1 :] if any(each))
        blanks = max(widths.most_common(1)[0][0] - len(row), 0) if widths else 0
        cells = {clean(cell) for cell in row} - {""}
        words, known = sum(not VALUE.fullmatch(cell) for cell in cells), len(cells & expected)
        if words:
            rank = (known if known > 1 else 0, words > 1, 4 * words - 3 * len(cells) - blanks, -index)
            yield rank, delimiter, above, _unlike([clean(cell) for cell in row] + [""] * blanks)


def _unlike(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that differ, as an engine sees them that takes two cases of a letter for one."""
    found: dict[str, str] = {}
    for position, given in enumerate(names, start=1):
        first = given or f"unnamed_{position}"
        options = itertools.chain([first], (f"{first}_{count}" for count in itertools.count(2)))
        free = next(each for each in options if each.lower() not in found)
        found[free.lower()] = free
    return tuple(found.values())


def _table(text: str) -> Iterator[list[str]]:
    """Yield the rows of all tables of a page."""
    for row in re.findall(r"(?is)<tr\b.*?(?=<tr\b|</table|$)", text):
        cells = re.findall(r"(?is)<t[dh]\b[^>]*>(.*?)(?=<t[dh]\b|</t[dhr]|$)", row)
        yield [html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in cells]


def _unmarked(line: str) -> str:
    """Return a line of a chat without marks of direction and with plain blanks."""
    return re.sub("[\u200e\u200f\u202a-\u202e]", "", line).replace("\u202f", " ").replace("\xa0", " ")


def _chat(text: str) -> Iterator[list[str]]:
    """Yield when, who and what of a chat; a line without a time goes on with what was said above."""
    row = ["chat.time", "chat.sender", "chat.text"]
    for line in text.splitlines():
        if not (begins := CHAT.match(_unmarked(line))):
            row[2] += f"\n{line}"
            continue
        yield row
        row = [begins[1], begins[3] or "", begins[4]]
    yield row


def _objects(places: Sequence[Path]) -> str:
    """Return SQL of the JSON in some files, each record with the folder of its file."""
    whole = f"filename = true, maximum_object_size = {2 * max(each.stat().st_size for each in places) + (1 << 24)}"
    folder = "regexp_extract(filename, '([^/]+)/[^/]+$', 1) AS f"
    return f"SELECT json AS j, {folder} FROM read_json_objects({listed(places)}, {whole})"


def _path(*keys: str) -> str:
    """Return the path of a value in JSON."""
    return "$" + "".join("." + json.dumps(key, ensure_ascii=False) for key in keys)


def _structure(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return which keys the records have, at every depth."""
    [(found,)] = con.execute(f"SELECT json_group_structure(j) FROM ({query})").fetchall()
    return json.loads(found or "{}")


def _lists(structure: Any, *keys: str) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield the lists of objects in a document: a rank, outer ones and many columns first, and the keys to them."""
    for key, inner in structure.items():
        if isinstance(inner, dict):
            yield from _lists(inner, *keys, key)
        elif _are_objects(inner):
            yield (not keys, len(inner[0])), (*keys, key)


def _are_objects(structure: Any) -> bool:
    return isinstance(structure, list) and isinstance(structure[0], dict)


def _leaves(con: Any, query: str, structure: Any, column: str, *keys: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the SQL of each value in the records."""
    for key, inner in structure.items():
        path, name = _path(*keys, key), ".".join((*keys, key))
        if isinstance(inner, dict) and inner and len(keys) + 1 < DEEPEST and len(inner) < MOST_NAMES:
            yield from _leaves(con, query, inner, column, *keys, key)
        elif not _are_objects(inner):
            yield name, f"nullif(json_extract_string({column}, {quoted(path)}), '')"
        elif inner[0].keys() == {"key", "value"}:
            named = f"unnest(json_extract_string({column}, {quoted(path + '[*].key')}))"
            for (each,) in con.execute(f"SELECT DISTINCT {named} AS k FROM ({query}) ORDER BY k").fetchall():
                yield f"{name}.{each}", _of_key(column, path, each, inner[0]["value"])
        elif column == "j":  # numbers of a list belong to their record as a sum
            for each in [each for each, kind in inner[0].items() if isinstance(kind, str)]:
                values = f"json_extract_string(j, {quoted(path + '[*].' + json.dumps(each))})"
                total = f"CAST(list_sum(TRY_CAST({values} AS DECIMAL(30, 6)[])) AS VARCHAR)"
                yield f"{name}.{each}", f"regexp_replace({total}, '\\.?0+$', '')"


def _of_key(column: str, path: str, key: str, value: Any) -> str:
    """Return SQL for the value of one key in a list of keys and values, of whichever type it is."""
    listed_ = f"CAST(json_extract({column}, {quoted(path + '[*]')}) AS JSON[])"
    found = f"([x FOR x IN {listed_} IF x->>'key' = {quoted(key)}])[1]"
    paths = [f"$.value.{kind}" for kind in value] if isinstance(value, dict) else ["$.value"]
    return f"coalesce({', '.join(f'{found}->>{quoted(each)}' for each in paths)})"
