"""Redaction of the files of a run: texts and tables are masked, what cannot be is held back.

- A text, by its name or because it is one, is masked.
- Parquet is masked in every column that holds texts, however deep, and in its names and notes, and written anew.
- Any other file is searched as it is, and unpacked where it is a ZIP archive (such as a workbook) or gzip. One that
  holds a secret is not published; a note says so in its place.
- The name of a file or folder that holds a secret is changed.
- A link is replaced by what it points at; what is neither file nor folder is removed.

Numbers are not looked at. Formats that compress in ways of their own cannot be.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.report.redact import Redactor

MASKED = "masked"  # the sign of the mask itself is none for the names of files
WITHHELD = "This file held a secret and was not published.\n"
TEXT_SUFFIXES = frozenset({".ipynb", ".html", ".json", ".csv", ".svg", ".txt", ".md"})
JSON_SUFFIXES = frozenset({".ipynb", ".json"})


def redact_folder(folder: Path, redactor: Redactor) -> None:
    """Redact all files below a folder, in place; files without a finding are not touched."""
    for path in sorted(folder.rglob("*")):
        _materialise(path)
        if path.is_file():
            _redact_file(path, redactor)
    for path in sorted(folder.rglob("*"), reverse=True):  # what lies in a folder comes before the folder
        name = redactor.text(path.name)
        if name != path.name:
            path.rename(_free(path.with_name(name.replace("***", MASKED))))


def _materialise(path: Path) -> None:
    """Put the content of a file in place of a link to it; remove what can be neither kept nor read later."""
    if path.is_symlink():
        content = path.read_bytes() if path.is_file() else None
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    elif path.exists() and not (path.is_file() or path.is_dir()):
        path.unlink()


def _free(path: Path) -> Path:
    candidates = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 10_000))
    return path if not path.exists() else next(each for each in candidates if not each.exists())


def _redact_file(path: Path, redactor: Redactor) -> None:
    content = path.read_bytes()
    if path.suffix == ".parquet":
        try:
            _redact_parquet(path, redactor)
            return
        except pa.ArrowException:  # not Parquet but for its name
            pass
    is_text = path.suffix in TEXT_SUFFIXES or _is_text(content)
    if is_text:
        before = content.decode("utf-8", "surrogateescape")
        mask = redactor.json if path.suffix in JSON_SUFFIXES else redactor.text
        if (after := mask(before)) != before:
            content = after.encode("utf-8", "surrogateescape")
            path.write_bytes(content)
    wide = {form.encode("utf-16-le", "surrogatepass") for form in redactor.forms}
    plain = set() if is_text else {form.encode("utf-8", "surrogatepass") for form in redactor.forms}
    if any(form in part for part in _parts(path, content) for form in wide | plain):
        path.unlink()
        path.with_name(f"{path.name}.withheld.txt").write_text(WITHHELD, encoding="utf-8")


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _parts(path: Path, content: bytes) -> Iterator[bytes]:
    """Return the content of a file, and what it holds packed."""
    yield content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif content.startswith(b"\x1f\x8b"):
        try:
            yield gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table so that equal tables give equal bytes: no notes of pandas, microseconds, one codec."""
    table = table.replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd", coerce_timestamps="us", allow_truncated_timestamps=True)


def _redact_parquet(path: Path, redactor: Redactor) -> None:
    """Mask the texts of a table, and write it anew if there was anything to mask."""
    with pq.ParquetFile(path) as file:
        table = file.read()
        notes = [file.metadata.metadata, *(field.metadata for field in table.schema)]
    before = table.columns
    columns = [_column(column, redactor.text) for column in before]
    names = _unique([redactor.text(name) for name in table.column_names])
    noted = [text for note in notes if note for pair in note.items() for text in map(_text, pair)]
    changed = any(new is not old for new, old in zip(columns, before, strict=True))
    if changed or names != table.column_names or any(redactor.text(text) != text for text in noted):
        write_parquet(pa.table(columns, names=names), path)


def _unique(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        found.append(name if name not in found else f"{name} {found.count(name) + len(found)}")
    return found


def _column(column: pa.ChunkedArray, mask: Callable[[str], str]) -> pa.ChunkedArray:
    """Return a column with its texts masked; the column itself when there is nothing to mask."""
    kind, types = column.type, pa.types
    if types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        encoded = types.is_dictionary(kind)
        plain = column.cast(kind.value_type if encoded else kind.storage_type)
        if (new := _column(plain, mask)) is plain:
            return column
        return new.dictionary_encode() if encoded else new
    of_text = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if any(is_kind(kind) for is_kind in of_text):
        joined = "\n".join(map(_text, column.unique().drop_null().to_pylist()))
        if mask(joined) == joined:  # as nearly always
            return column
    elif not types.is_nested(kind):
        return column
    values = column.to_pylist()
    masked = [_value(value, mask) for value in values]
    return column if masked == values else pa.chunked_array([pa.array(masked, kind)])


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _value(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value as Arrow gives it, with every text in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, bytes):
        return mask(_text(value)).encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: _value(item, mask) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_value(item, mask) for item in value)
    return value
