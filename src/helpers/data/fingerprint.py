"""Fingerprints of tables: which content a report was made from.

Files that have not changed are known from a cache, without an engine; see `content_cache`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers.data import address, layout
from helpers.data.content_cache import ContentCache, code_digest
from helpers.data.exports import folder as exports
from helpers.data.schema import is_withheld
from helpers.data.tables import TABLES
from helpers.data.views import folder_keys
from helpers.data.violation import ContractError
from helpers.errors import BadData, BadParameters
from helpers.sentences import say

if TYPE_CHECKING:
    import ibis.expr.types as ir

_HERE = Path(__file__).parent
# Row hashes are summed modulo this, so that the sum of a billion rows fits into 64 bits.
PRIME = 2_147_483_647


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
    found = _entries(data, tables, cache or ContentCache())
    return {name: TableFingerprint(*entry[:2]) for name, entry in found.items()}


def present(data: Any, tables: Iterable[str]) -> set[str]:
    """Return those of the tables that are at a place now; none are counted."""
    with _opened(address.parse(data), set(tables)) as found:
        return set(found)


def columns(data: Any, tables: Iterable[str] | None, cache: ContentCache) -> dict[str, list[str]]:
    """Return the columns of each table that a study sees; errors are those of `fingerprint`."""
    found = _entries(data, tables, cache).items()
    return {name: [each for each in entry[2] if not is_withheld(TABLES[name], each)] for name, entry in found}


def _entries(data: Any, tables: Iterable[str] | None, cache: ContentCache) -> dict[str, list[Any]]:
    """Return rows, hash and columns of each table."""
    place = address.parse(data)
    wanted = set(TABLES if tables is None else tables)
    if place.in_files:
        return _of_folder(place, wanted, cache)
    key = _engine_key(place, wanted, cache)
    find = partial(_of_engine, place, wanted)
    return dict(cache.fact(key, find) if key else find())


def _of_folder(place: address.Address, wanted: set[str], cache: ContentCache) -> dict[str, list[Any]]:
    folder, found = place.path, {}
    assert folder is not None
    (files, _, unread), mapping, mapped = exports.look(place)
    if lost := [f"{name}: {said}" for name, said in unread.items() if name in wanted]:
        raise BadData(" ".join(lost))
    for name, parts in sorted({**files, **mapped}.items()):
        if name not in wanted:
            continue
        digest, find = digest_of(folder, parts, cache), partial(_shape, folder, name, parts)
        if mapping and name in mapped:
            content = f"{mapping.text}\0{code_digest(_HERE / 'exports')}\0{digest}"
            digest, find = hashlib.sha256(content.encode()).hexdigest(), partial(_mapped_shape, place, name)
        money, names = cache.fact(f"shape {code_digest(_HERE)} {name} {digest}", find)
        found[name] = [sum(money.values()), digest, names, money]
    return found


def _mapped_shape(place: address.Address, name: str) -> list[Any]:
    """Return rows by currency and columns of a table that comes through a mapping."""
    from helpers.data import engine, reading  # late: they load the query engine

    found = engine.tables(place, {name}, reading.Options.of(place.options, None, None))
    if found.violations:
        raise ContractError(found.violations)
    table = found.tables[name]
    if not TABLES[name].money or "currency" not in table.columns:
        return [{"": int(table.count().execute())}, list(table.columns)]
    counts = table.group_by("currency").aggregate(rows=table.count()).execute()
    money = zip(counts["currency"].fillna(""), counts["rows"].map(int), strict=True)
    return [dict(money), list(table.columns)]


def currencies(data: Any, tables: Iterable[str] | None, cache: ContentCache) -> dict[str, dict[str, int]]:
    """Return the rows of each table of a folder by currency; of another kind of place only its engine knows."""
    entries = _entries(data, tables, cache) if address.parse(data).in_files else {}
    return {name: entry[3] for name, entry in entries.items()}


def check_currency(found: Mapping[str, Mapping[str, int]], currency: str) -> None:
    """Refuse tables with money in another currency than that of a report.

    Raises
    ------
    BadParameters
        With every currency of such tables and its number of rows.
    """
    named = []
    for name, counts in found.items():
        if set(counts) - {"", currency}:
            rows = [(code, n) for code, n in counts.items() if code]
            shown = ", ".join(say("{code} ({n:,} rows)", code=code, n=n) for code, n in rows)
            named.append(say("{table} is in {currencies}", table=name, currencies=shown))
    if named:
        text = (
            "currency == {currency!r}, but {named}. Name the currency of the data, currency=…, or convert "
            "the amounts "
            "first."
        )
        raise BadParameters(say(text, currency=currency, named="; ".join(named)))


def digest_of(folder: Path, parts: list[Path], cache: ContentCache) -> str:
    """Hash the contents of files; the name of each part is content too, since it may hold a day."""
    named = (f"{part.relative_to(folder).as_posix()}\0{cache.digest(part)}\0" for part in parts)
    return hashlib.sha256("".join(named).encode("utf-8", "surrogateescape")).hexdigest()


def _shape(folder: Path, name: str, parts: list[Path]) -> list[Any]:
    """Return rows by currency and columns: CSV files are parsed, as lines may be quoted."""
    if not layout.is_parquet(parts[0]):
        from helpers.data import csv_tables, engine  # late: a known file needs no engine

        return csv_tables.shape(engine.connect(), TABLES[name], parts, folder)
    import pyarrow as pa
    import pyarrow.parquet as pq

    money: Counter[str] = Counter()
    names: list[str] = []
    for part in parts:
        try:
            with pq.ParquetFile(part) as file:
                names += file.schema_arrow.names
                if TABLES[name].money and "currency" in file.schema_arrow.names:
                    counts = file.read(columns=["currency"])["currency"].value_counts().to_pylist()
                    money.update({str(each["values"] or ""): each["counts"] for each in counts})
                else:
                    money[""] += file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise BadData(
                say("{part} cannot be read as Parquet: {error}", part=part, error=str(error).splitlines()[0])
            ) from None
    return [dict(money), list(dict.fromkeys([*names, *folder_keys(parts, folder)]))]


def _engine_key(place: address.Address, wanted: set[str], cache: ContentCache) -> str | None:
    """Return the name of a DuckDB file's content; None where only the engine knows the content.

    What a running writer has not merged into the file yet lies next to it; such a file is asked.
    """
    file = place.path
    if place.kind != "duckdb" or file is None or file.with_name(f"{file.name}.wal").exists():
        return None
    mapping = f" {cache.digest(place.mapping)} {code_digest(_HERE / 'exports')}" if place.mapping else ""
    return f"duckdb {code_digest(_HERE)} {cache.digest(file)} {','.join(sorted(wanted))}{mapping}"


def _of_engine(place: address.Address, wanted: set[str]) -> dict[str, list[Any]]:
    with _opened(place, wanted) as found:
        return {name: _of_table(table) for name, table in found.items()}


@contextlib.contextmanager
def _opened(place: address.Address, wanted: set[str]) -> Iterator[dict[str, ir.Table]]:
    """Give the tables of a place, and end its session of Spark, or its snapshot, when they are no longer needed."""
    from helpers.data import engine, reading  # late: they load the query engine

    found = engine.tables(place, wanted, reading.Options()).tables
    try:
        yield found
    finally:
        for table in list(found.values())[:1]:
            table.get_backend().disconnect()


def _of_table(table: ir.Table) -> list[Any]:
    """Hash a table inside its engine, in one scan; return rows, hash and columns."""
    from helpers.data.dialect import row_hash  # late: it loads the query engine

    row = row_hash(table, table.columns)
    low, high = ((part % PRIME).cast("int64").sum() for part in (row, row // PRIME))
    values = table.aggregate(rows=table.count(), low=low, high=high).execute().iloc[0]
    text = f"{table.schema()}|{values['rows']}|{values['low']}|{values['high']}"
    return [int(values["rows"]), hashlib.sha256(text.encode()).hexdigest(), list(table.columns)]
