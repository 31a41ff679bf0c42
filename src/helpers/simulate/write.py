"""Writing a community as Parquet, in memory that does not grow with its size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.errors import BadParameters

ROW_GROUP = 100_000
TRUTH = "truth.json"
STAGING = ".simulating"
DELTA_STRINGS = ("event_id", "order_id", "touch_id")

Progress = Callable[[int, int], None]


def check_folder(out: Path, tables: Collection[str]) -> None:
    """Refuse a folder that holds tables which no simulation wrote.

    Raises
    ------
    BadParameters
        When the folder holds tables but no ``truth.json``: it is not a simulated community.
    """
    theirs = [p for p in out.glob("*.*") if p.name.split(".")[0] in tables and p.suffix != ".parquet"]
    found = _tables_in(out, tables) + sorted(theirs)
    if found and (theirs or not (out / TRUTH).exists()):
        names = ", ".join(path.name for path in found)
        raise BadParameters(f"{out} holds {names}, which no simulation wrote; it is left as it is.")


def _tables_in(out: Path, tables: Collection[str]) -> list[Path]:
    paths = sorted(out.iterdir()) if out.is_dir() else []
    return [path for path in paths if path.stem in tables and path.suffix in ("", ".parquet")]


class TableWriter:
    """Writes one table, a row group at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self.pending: list[pa.Table] = []
        self.writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Take rows."""
        self.pending.append(table)
        self.rows += len(table)
        if sum(map(len, self.pending)) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        table, self.pending = pa.concat_tables(self.pending).unify_dictionaries(), []
        self.writer = self.writer or pq.ParquetWriter(self.path, table.schema, **writer_options(table.schema))
        self.writer.write_table(table, row_group_size=max(len(table), 1))

    def close(self) -> None:
        """Write what is left."""
        if self.pending:
            self._flush()
        if self.writer is not None:
            self.writer.close()


def writer_options(schema: pa.Schema) -> dict[str, Any]:
    """Return Parquet options: zstd, dictionaries where values repeat, deltas for running numbers and times."""
    encodings = {name: "DELTA_BYTE_ARRAY" for name in schema.names if name in DELTA_STRINGS}
    encodings |= {name: "DELTA_BINARY_PACKED" for name in schema.names if name == "ts"}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [name for name in schema.names if name not in encodings],
        "column_encoding": encodings or None,
        "store_schema": False,
    }


@contextmanager
def table_writers(folder: Path, names: Collection[str]) -> Iterator[dict[str, TableWriter]]:
    """Give writers into a staging folder, whose tables replace those of an earlier simulation at the end.

    An error takes the staging folder away again and leaves the earlier tables.
    """
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    writers = {name: TableWriter(staging / f"{name}.parquet") for name in names}
    try:
        try:
            yield writers
        finally:
            for writer in writers.values():
                writer.close()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    for path in _tables_in(folder, names):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in sorted(staging.iterdir()):
        path.replace(folder / path.name)
    staging.rmdir()


def write_truth(out: Path, truth: dict[str, Any]) -> None:
    """Write ``truth.json``, with sorted keys so that equal truths are equal bytes."""
    text = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    (out / TRUTH).write_text(text + "\n", encoding="utf-8")
