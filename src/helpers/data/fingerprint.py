"""Fingerprints of tables: which content a report was made from.

Files that have not changed are known from a cache, without an engine; see `content_cache`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers.data import address, layout
from helpers.data.content_cache import ContentCache, code_digest
from helpers.data.tables import TABLES
from helpers.errors import BadData

if TYPE_CHECKING:
    import ibis.expr.types as ir

_HERE = Path(__file__).parent
PRIME = 2_147_483_647
"""Row hashes are summed modulo this, so that the sum of a billion rows fits into 64 bits."""


class TableFingerprint(NamedTuple):
    """Rows of a table, and a hash of its content that changes when the content does."""

    rows: int
    sha256: str


def fingerprint(
    data: Any, tables: Iterable[str] | None = None, *, cache: ContentCache | None = None
) -> dict[str, TableFingerprint]:
    """Return a fingerprint of each table of the contract.

    Parameters
    ----------
    data : str, path or mapping
        As in ``open``.
    tables : iterable of str, optional
        Only these.
    cache : ContentCache, optional
        Shared by the runs of a batch; by default a fresh look, which is not remembered.

    Returns
    -------
    dict of str to TableFingerprint
        For files, SHA-256 over the names within the table's folder, sizes and contents. For tables in an
        engine, SHA-256 over the schema, the number of rows and two sums of row hashes, which do not depend on
        the order of rows; the engine's hash may change with its version. A DuckDB file that has not changed is
        not asked again.

    Raises
    ------
    BadData
        When there is no such place, or a table is there twice.
    ContractError
        When the rows of a file cannot be counted.
    """
    place = address.parse(data)
    wanted = set(TABLES if tables is None else tables)
    known = cache or ContentCache()
    if place.path is not None and place.kind == "folder":
        return _of_folder(place.path, wanted, known)
    key = _engine_key(place, wanted, known)
    find = partial(_of_engine, place, wanted)
    found = known.fact(key, find) if key else find()
    return {name: TableFingerprint(*entry) for name, entry in found.items()}


def _of_folder(folder: Path, wanted: set[str], cache: ContentCache) -> dict[str, TableFingerprint]:
    files, _, unread = layout.layout(folder)
    found = {}
    if lost := [f"{name}: {said}" for name, said in unread.items() if name in wanted]:
        raise BadData(" ".join(lost))
    for name, parts in sorted(files.items()):
        if name in wanted:
            digest = _digest(folder, parts, cache)
            key = f"rows {code_digest(_HERE)} {name} {digest}"
            rows = cache.fact(key, partial(_rows, folder, name, parts))
            found[name] = TableFingerprint(rows, digest)
    return found


def _digest(folder: Path, parts: list[Path], cache: ContentCache) -> str:
    """Hash the contents of files; the name of each part is content too, since it may hold a day."""
    total = hashlib.sha256()
    for part in parts:
        name = f"{part.relative_to(folder).as_posix()}\0{cache.digest(part)}\0"
        total.update(name.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _rows(folder: Path, name: str, parts: list[Path]) -> int:
    """Count rows: Parquet files say it themselves, CSV files are parsed, as lines may be quoted."""
    if layout.is_parquet(parts[0]):
        return sum(map(_parquet_rows, parts))
    from helpers.data import csv_tables, engine

    return csv_tables.count(engine.connect(), TABLES[name], parts, folder)


def _parquet_rows(part: Path) -> int:
    import pyarrow as pa  # late: a known file needs no engine
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(part).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{part} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _engine_key(place: address.Address, wanted: set[str], cache: ContentCache) -> str | None:
    """Return the name of a DuckDB file's content; None where only the engine knows the content.

    What a running writer has not merged into the file yet lies next to it; such a file is asked.
    """
    file = place.path
    if place.kind != "duckdb" or file is None or file.with_name(f"{file.name}.wal").exists():
        return None
    return f"duckdb {code_digest(_HERE)} {cache.digest(file)} {','.join(sorted(wanted))}"


def _of_engine(place: address.Address, wanted: set[str]) -> dict[str, list[Any]]:
    from helpers.data import engine, reading  # late: they load the query engine

    found = engine.tables(place, wanted, reading.Options())
    return {name: _of_table(table) for name, table in found.tables.items()}


def _of_table(table: ir.Table) -> list[Any]:
    """Hash a table inside its engine, in one scan; return rows and hash."""
    import ibis

    parts = [table[name].cast("string").fill_null("\x00") for name in table.columns]
    row = ibis.literal("\x1f").join(parts).hash()
    low, high = ((part % PRIME).cast("int64").sum() for part in (row, row // PRIME))
    values = table.aggregate(rows=table.count(), low=low, high=high).execute().iloc[0]
    text = f"{table.schema()}|{values['rows']}|{values['low']}|{values['high']}"
    return [int(values["rows"]), hashlib.sha256(text.encode()).hexdigest()]
