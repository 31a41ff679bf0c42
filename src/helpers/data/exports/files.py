"""Files of any shape as rows of text that the engine reads: what a file is, its content says, not its name.

Nothing is parsed here: an id of 19 digits stays the text it is. What a spreadsheet has rounded to ``1.23E+18`` has
lost its digits for good, and `LOST_DIGITS` is what such a text looks like.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import Any
from xml.etree import ElementTree

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.data import csv_files
from helpers.data.csv_files import DELIMITERS, UnreadableFileError
from helpers.data.exports import workbook
from helpers.data.violation import counted
from helpers.data.views import identifier, listed, quoted

__all__ = ["LOST_DIGITS", "RawFile", "UnreadableFileError", "clean", "open_file"]

LOST_DIGITS = r"\d(\.\d+)?[eE]\+?\d{2}"

# Rows among which the one with the names is looked for; bank exports put some 25 above it.
HEADER_SEARCH = 40
# Bytes up to which a file is read once more to see whether its rows have one width; a larger one must.
SMALL = 1 << 25
# Columns that nested JSON is laid out to; deeper ones stay JSON text.
MOST_COLUMNS, DEEPEST = 400, 4

# Text that is no name: amounts, dates, ids, links, addresses.
VALUE = re.compile(
    r"[-+=\"'`￥¥$€#]*\d[\d\s.,:/+TZ%年月日时分秒-]*[\"']?|.*(://|\d{6}|[^\s@]@\w).*|(?i:true|false)"
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
    notes : tuple of str
        What was not plain: its encoding, lines above the column names.
    """

    path: Path
    part: str
    query: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

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
    opened = _Opened(path, workspace, frozenset(map(clean, expected)))
    try:
        found = tuple(opened.grids(path, "", ()))
    except UnreadableFileError:
        raise
    except (OSError, EOFError, KeyError, zlib.error, csv.Error, zipfile.BadZipFile) as error:
        raise UnreadableFileError(f"{path.name} cannot be read: {error}.") from None
    except (ElementTree.ParseError, duckdb.Error, RuntimeError) as error:
        raise UnreadableFileError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None
    if not found:
        raise UnreadableFileError(f"{path.name} is empty, or has no row of column names.")
    return found


def clean(name: str) -> str:
    """Return a column name as it is compared: NFKC, without blanks, BOM, quotes or backticks around it."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", name)).strip(" \ufeff=\"'`")


@dataclass(frozen=True)
class _Opened:
    """A file on its way to grids of text."""

    path: Path
    workspace: Path
    expected: frozenset[str]

    def grids(self, place: Path, part: str, notes: tuple[str, ...]) -> Iterator[RawFile]:
        """Yield what lies at a place, unpacking what is packed."""
        with place.open("rb") as file:
            head = file.read(8)
        if head.startswith(b"PK\x03\x04"):
            yield from self._archive(place, part)
        elif head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
            kind = "gzip" if head.startswith(b"\x1f\x8b") else "zstd"
            with pa.input_stream(str(place), kind) as stream:
                yield from self.grids(self._copied(stream), part, notes)
        elif head.startswith(b"PAR1"):
            yield self._parquet(place, part)
        elif head.startswith(b"\xd0\xcf\x11\xe0"):
            raise UnreadableFileError(
                f"{self.path.name} is a workbook of the old Excel kind: save it as .xlsx or CSV."
            )
        elif head:
            yield from self._text(place, part)

    def _copied(self, stream: Any) -> Path:
        target = self._fresh()
        with target.open("wb") as out:
            copyfileobj(stream, out)
        return target

    def _fresh(self) -> Path:
        return self.workspace / f"export-{len(list(self.workspace.iterdir()))}"

    def _archive(self, place: Path, part: str) -> Iterator[RawFile]:
        with zipfile.ZipFile(place) as archive:
            if workbook.is_workbook(archive):
                for sheet, rows in workbook.sheets(archive):
                    yield from self._grid(self._written(rows), _joined(part, sheet), ())
                return
            for member in archive.infolist():
                name = member.filename
                if not member.flag_bits & 0x800:  # not marked as UTF-8: what Chinese tools write is GBK
                    name = name.encode("cp437", "replace").decode("gb18030", "replace")
                if not member.is_dir() and not re.search(r"(^|/)[._]", name):
                    with archive.open(member) as stream:
                        yield from self.grids(self._copied(stream), _joined(part, name), ())

    def _written(self, rows: Iterable[Iterable[str]]) -> Path:
        """Write rows as plain CSV, without those that are empty."""
        target = self._fresh()
        with target.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(row for row in map(list, rows) if any(row))
        return target

    def _text(self, place: Path, part: str) -> Iterator[RawFile]:
        encoding, alike = csv_files.encoding(place)
        with place.open(encoding=encoding) as file:
            first = file.read(4096).lstrip(" \t\r\n\ufeff")[:40]
        notes = (
            (f"{self.path.name}: read as {encoding.upper()}.",) if encoding in ("gb18030", "utf-16") else ()
        )
        nested = first.startswith("{") or re.match(r"\[\s*[{\]]", first)
        if notes or not alike or (nested and encoding != "utf-8"):
            target = self._fresh()
            with target.open("w", encoding="utf-8", newline="") as out, place.open(encoding=encoding) as file:
                copyfileobj(file, out)
            place = target
        if first.startswith("<"):
            yield from self._grid(self._written(_table(place.read_text("utf-8-sig"))), part, notes)
        elif nested:
            size = max(2 * place.stat().st_size, 1 << 24)
            reader = (
                f"SELECT json AS j FROM read_json_objects({listed([place])}, maximum_object_size = {size})"
            )
            yield self._records(reader, part, notes)
        else:
            yield from self._grid(place, part, notes)

    def _grid(self, place: Path, part: str, notes: tuple[str, ...]) -> Iterator[RawFile]:
        """Find the delimiter and the row of names of a UTF-8 file; yield nothing when it has no rows."""
        with place.open(encoding="utf-8-sig", newline="") as file:
            lines = list(itertools.islice(file, 3 * HEADER_SEARCH))
        candidates = [found for delimiter in DELIMITERS for found in self._headers(lines, delimiter)]
        if not candidates:
            return
        _, delimiter, above, names, even = max(candidates, key=lambda each: each[0])
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
        how = "auto_detect = false, header = true, quote = '\"', escape = '\"', strict_mode = false"
        reader = f"read_csv({listed([place])}, {how}, skip = {above}, delim = {quoted(delimiter)}"
        reader += f", columns = {{{columns}}}, max_line_size = 10000000"
        if not even or (place.stat().st_size < SMALL and _fails(f"SELECT count(*) FROM {reader})")):
            reader += ", null_padding = true, parallel = false"
        if above:
            notes += (f"{self.path.name}: {counted(above, 'line')} above the column names left out.",)
        yield RawFile(self.path, part, f"SELECT * FROM {reader})", names, notes)

    def _headers(self, lines: list[str], delimiter: str) -> Iterator[tuple[Any, ...]]:
        """Yield every row that may hold the names, with its rank: known names, then one width below, then words."""
        reader, above, rows = csv.reader(lines, delimiter=delimiter), 0, []
        for row in reader:
            rows.append((above, row))
            above = reader.line_num
        for index, (above, row) in enumerate(rows[:HEADER_SEARCH]):
            widths = Counter(len(each) for _, each in rows[index + 1 :] if any(each))
            width = max(len(row), widths.most_common(1)[0][0] if widths else 0)
            cells = {clean(cell) for cell in row} - {""}
            words = sum(not VALUE.fullmatch(cell) for cell in cells)
            values = len(cells) - words
            rank = (len(cells & self.expected), words > 1, words - 3 * values - (width - len(row)), -index)
            if words:
                names = _unlike([clean(cell) for cell in row] + [""] * (width - len(row)))
                yield rank, delimiter, above, names, len(widths) < 2 and set(widths) <= {width}

    def _parquet(self, place: Path, part: str) -> RawFile:
        reader = f"read_parquet({listed([place])})"
        schema = pq.read_schema(place)
        if any(map(pa.types.is_nested, schema.types)):
            return self._records(f"SELECT to_json(t) AS j FROM {reader} t", part)
        names = _unlike(map(clean, schema.names))
        texts = [
            f"nullif(CAST({identifier(old)} AS VARCHAR), '') AS {identifier(new)}"
            for old, new in zip(schema.names, names, strict=True)
        ]
        return RawFile(self.path, part, f"SELECT {', '.join(texts)} FROM {reader}", names)

    def _records(self, query: str, part: str, notes: tuple[str, ...] = ()) -> RawFile:
        """Lay JSON out: one row for each record, one column for each value in it."""
        with duckdb.connect() as con:
            structure = _structure(con, query)
            where, top = _list_of_records(structure), {}
            if where and con.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM ({query}) LIMIT 2)"
            ).fetchone() == (1,):
                top = structure
                query = f"SELECT j AS t, unnest(json_extract(j, {quoted(_path(where) + '[*]')})) AS j FROM ({query})"
                structure = _structure(con, query)
            columns = {f"top.{name}": sql for name, sql in _leaves(con, query, top, "t", ())}
            columns |= dict(_leaves(con, query, structure, "j", ()))
        names = _unlike(map(clean, columns))
        selected = ", ".join(
            f"{sql} AS {identifier(name)}" for name, sql in zip(names, columns.values(), strict=True)
        )
        return RawFile(self.path, part, f"SELECT {selected} FROM ({query})", names, notes)


def _joined(part: str, name: str) -> str:
    return f"{part}/{PurePosixPath(name).name}" if part else name


def _fails(query: str) -> bool:
    with duckdb.connect() as con:
        try:
            con.execute(query)
        except duckdb.Error:
            return True
        return False


def _unlike(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that differ, as an engine sees them that takes two cases of a letter for one."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for position, name in enumerate(names, start=1):
        name = name or f"unnamed_{position}"
        seen[name.lower()] += 1
        found.append(name if seen[name.lower()] == 1 else f"{name}_{seen[name.lower()]}")
    return tuple(found)


class _Rows(HTMLParser):
    """Rows of the cells of all tables of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        self.inside = tag in ("td", "th") or (self.inside and tag not in ("tr", "table"))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th", "tr", "table")

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()


def _table(text: str) -> list[list[str]]:
    parser = _Rows()
    parser.feed(text)
    return parser.rows


def _path(keys: Iterable[str]) -> str:
    """Return the path of a value in JSON."""
    return "$" + "".join("." + json.dumps(key, ensure_ascii=False) for key in keys)


def _structure(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return which keys the records have, at every depth."""
    found = con.execute(f"SELECT json_group_structure(j) FROM ({query})").fetchone()
    return json.loads(found[0]) if found and found[0] else {}


def _list_of_records(structure: Any, keys: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the keys that lead to the list of objects with most columns; none when there is no such list."""
    found: list[tuple[int, tuple[str, ...]]] = []
    for key, inner in structure.items() if isinstance(structure, dict) and len(keys) < 3 else ():
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            found.append((len(inner[0]), (*keys, key)))
        elif isinstance(inner, dict) and (deeper := _list_of_records(inner, (*keys, key))):
            found.append((0, deeper))
    return max(found, key=lambda each: each[0])[1] if found else ()


def _leaves(
    con: duckdb.DuckDBPyConnection, query: str, structure: Any, column: str, keys: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield the name and the SQL of each value of a record that is no list of records itself."""
    for key, inner in structure.items():
        path, at = _path((*keys, key)), (*keys, key)
        name = ".".join(at)
        if isinstance(inner, dict) and inner and len(at) < DEEPEST and len(inner) < MOST_COLUMNS:
            yield from _leaves(con, query, inner, column, at)
            continue
        objects = isinstance(inner, list) and inner and isinstance(inner[0], dict)
        if objects and inner[0].keys() == {"key", "value"}:
            listed_ = f"unnest(json_extract_string({column}, {quoted(path + '[*].key')})) AS k"
            for (each,) in con.execute(f"SELECT DISTINCT {listed_} FROM ({query}) ORDER BY k").fetchall():
                yield f"{name}.{each}", _of_key(column, path, each, inner[0]["value"])
            continue
        if objects and column == "j":
            for each in [each for each, kind in inner[0].items() if isinstance(kind, str)]:
                values = f"json_extract_string({column}, {quoted(path + '[*].' + json.dumps(each))})"
                yield f"{name}.{each}", f"CAST(list_sum(TRY_CAST({values} AS DECIMAL(30, 6)[])) AS VARCHAR)"
        if not (objects and column == "t"):
            yield name, f"nullif(json_extract_string({column}, {quoted(path)}), '')"


def _of_key(column: str, path: str, key: str, value: Any) -> str:
    """Return SQL for the value of one key in a list of keys and values, of whichever type it is."""
    found = f"CAST(json_extract({column}, {quoted(path + '[*]')}) AS JSON[])"
    found = f"([x FOR x IN {found} IF x->>'key' = {quoted(key)}])[1]"
    paths = [f"$.value.{kind}" for kind in value] if isinstance(value, dict) else ["$.value"]
    return f"coalesce({', '.join(f'{found}->>{quoted(each)}' for each in paths)})"
