"""Parquet files as a lazy table, after a look at what each part says of itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.data.reading import Found
from helpers.data.schema import Table
from helpers.data.views import create, duplicates, folder_keys, keyed, listed
from helpers.data.violation import Violation, counted

NUMBERS = ("int", "uint", "halffloat", "float", "double", "decimal")
# What Arrow types hold, where their names differ and what they hold does not.
KINDS = {
    **dict.fromkeys(NUMBERS, "numbers"),
    "large_string": "string",
    "timestamp": "times without a zone",
    "null": "",
}


def add(con: Any, spec: Table, parts: Sequence[Path], root: Path, found: Found) -> None:
    """Add a view over Parquet files to `found`, or what keeps their parts from being one table."""
    schemas: dict[pa.Schema, int] = Counter()
    said: list[Violation] = []
    for part in parts:
        try:
            with pq.ParquetFile(part) as file:
                schemas[file.schema_arrow.remove_metadata()] += file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            reason = f"{part.name} cannot be read as Parquet: {str(error).splitlines()[0]}"
            said.append(Violation(spec.name, "(file)", "unreadable file", 0, (), reason))
    for schema in schemas:
        said += duplicates(spec, schema.names, "A file")
    said += _unlike(spec, schemas)
    if not said:
        try:
            names = {name for schema in schemas for name in schema.names}
            reader = f"read_parquet({listed(parts)}, union_by_name = true"
            relation, said = keyed(con, spec, reader, names, folder_keys(parts, root))
            found.tables[spec.name] = create(con, spec, relation, found.notes)
        except duckdb.Error as error:
            said.append(Violation(spec.name, "(file)", "unreadable file", 0, (), str(error).splitlines()[0]))
    found.violations += said


def _unlike(spec: Table, schemas: dict[pa.Schema, int]) -> Iterator[Violation]:
    """Return columns that are of one kind in some parts and of another elsewhere; an engine would cast them."""
    rows: dict[str, Counter[str]] = {}
    for schema, count in schemas.items():
        for column in schema:
            if kind := _kind(column.type):
                rows.setdefault(column.name, Counter())[kind] += count
    for name, kinds in rows.items():
        (_, _), *others = kinds.most_common()
        if others:
            shown = ", ".join(f"{kind} in {counted(count, 'row')}" for kind, count in kinds.most_common())
            advice = f"The parts disagree: {shown}. Write all of them with one type."
            yield Violation(spec.name, name, "parts of unlike types", sum(n for _, n in others), (), advice)


def _kind(type_: pa.DataType) -> str:
    """Return what an Arrow type holds, as far as mixing goes; a column of nothing is of no kind."""
    written = str(type_.value_type if pa.types.is_dictionary(type_) else type_)
    kind = re.split(r"[\[(<\d]", written)[0]
    return "times with a zone" if "tz=" in written else KINDS.get(kind, kind)
