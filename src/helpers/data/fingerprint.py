"""Fingerprints of tables: which content a report was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from helpers.data import address, csv_tables, engine, reading
from helpers.data.tables import TABLES
from helpers.data.violation import ContractError

CHUNK = 1 << 20
PRIME = 2_147_483_647
"""Row hashes are summed modulo this, so that the sum of a billion rows fits into 64 bits."""


class TableFingerprint(NamedTuple):
    """Rows of a table, and a hash of its content that changes when the content does."""

    rows: int
    sha256: str


def fingerprint(data: Any, tables: Iterable[str] | None = None) -> dict[str, TableFingerprint]:
    """Return a fingerprint of each table of the contract.

    Parameters
    ----------
    data : str, path or mapping
        As in ``open``.
    tables : iterable of str, optional
        Only these.

    Returns
    -------
    dict of str to TableFingerprint
        For files, SHA-256 over the names within the table's folder and the bytes, streamed. For
        tables in an engine, SHA-256 over the schema, the number of rows and two sums of row hashes,
        which do not depend on the order of rows; the engine's hash may change with its version.
    """
    place = address.parse(data)
    wanted = None if tables is None else set(tables)
    if place.path is not None and place.kind == "folder":
        return _of_folder(place.path, wanted)
    found = engine.tables(place, wanted, reading.Options())
    return {name: _of_table(table) for name, table in found.tables.items()}


def _of_folder(folder: Path, wanted: set[str] | None) -> dict[str, TableFingerprint]:
    files, _ = reading.layout(folder)
    return {
        name: TableFingerprint(_rows(folder, name, parts), _digest(folder, parts))
        for name, parts in sorted(files.items())
        if wanted is None or name in wanted
    }


def _digest(folder: Path, parts: list[Path]) -> str:
    """Hash the bytes of files; the name of each part is content too, since it may hold a day."""
    total = hashlib.sha256()
    for part in parts:
        total.update(f"{part.relative_to(folder).as_posix()}\0{part.stat().st_size}\0".encode())
        with part.open("rb") as file:
            while piece := file.read(CHUNK):
                total.update(piece)
    return total.hexdigest()


def _rows(folder: Path, name: str, parts: list[Path]) -> int:
    """Count rows: Parquet files say it themselves, CSV files are parsed, as lines may be quoted."""
    if parts[0].suffix == ".parquet":
        return sum(pq.read_metadata(part).num_rows for part in parts)
    try:
        return csv_tables.count(engine.connect(), TABLES[name], parts, folder)
    except duckdb.Error as error:
        raise ContractError([csv_tables.malformed(TABLES[name], error)]) from None


def _of_table(table: ir.Table) -> TableFingerprint:
    """Hash a table inside its engine, in one scan."""
    parts = [table[name].cast("string").fill_null("\x00") for name in table.columns]
    row = ibis.literal("\x1f").join(parts).hash()
    sums = table.aggregate(
        rows=table.count(),
        low=(row % PRIME).cast("int64").sum(),
        high=((row // PRIME) % PRIME).cast("int64").sum(),
    )
    values = sums.execute().iloc[0]
    text = f"{table.schema()}|{values['rows']}|{values['low']}|{values['high']}"
    return TableFingerprint(int(values["rows"]), hashlib.sha256(text.encode()).hexdigest())
