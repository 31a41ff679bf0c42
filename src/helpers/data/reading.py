"""Folders of Parquet and CSV files as lazy typed tables; `layout` says which file belongs to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from helpers.checks import did_you_mean
from helpers.data import cells, csv_tables
from helpers.data.clock import zone
from helpers.data.layout import layout
from helpers.data.schema import Table
from helpers.data.tables import TABLES
from helpers.data.views import create, partitions, quoted
from helpers.data.violation import Violation
from helpers.errors import BadData, BadParameters


@dataclass
class Found:
    """Tables as they were found, with what there is to say about them."""

    tables: dict[str, ir.Table]
    violations: list[Violation] = field(default_factory=list)
    unrecognised: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """How times are written where they do not say it themselves.

    Attributes
    ----------
    local_tz : str or None
        Zone of times without one.
    epoch : mapping of str to str
        From ``table.column`` to the unit of a number since 1970.
    """

    local_tz: str | None = None
    epoch: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Mapping[str, str], local_tz: str | None, epoch: Mapping[str, str] | None) -> Options:
        """Join options of an address with arguments, which win, and check them."""
        for name in written:
            if name not in ("local_tz", "epoch"):
                hint = did_you_mean(name, ("local_tz", "epoch"))
                raise BadParameters(f"{name} is no option of a folder; options are local_tz and epoch.{hint}")
        pairs = [part.partition(":") for part in written.get("epoch", "").split(",") if part]
        units = {column: unit for column, _, unit in pairs} | dict(epoch or {})
        for column, unit in units.items():
            table, _, name = column.partition(".")
            known = table in TABLES and name in TABLES[table] and TABLES[table][name].type == "timestamp"
            if not known:
                raise BadParameters(
                    f"epoch names {column!r}, must be a timestamp column such as 'events.ts'."
                )
            if unit not in cells.EPOCH_MICROSECONDS:
                raise BadParameters(f"epoch[{column!r}] == {unit!r}, must be one of 's', 'ms', 'us'.")
        place = local_tz or written.get("local_tz") or None
        if place is not None:
            zone(place, "local_tz")
        return cls(place, units)

    def declared(self, found: Found) -> Found:
        """Read declared numbers since 1970 as instants, in tables that hold them as numbers."""
        for where, unit in self.epoch.items():
            name, _, column = where.partition(".")
            table = found.tables.get(name)
            if table is None or column not in table.columns or not table[column].type().is_numeric():
                continue
            microseconds = (table[column] * cells.EPOCH_MICROSECONDS[unit]).cast("int64")
            instant = ibis.timestamp("1970-01-01T00:00:00") + microseconds.as_interval("us")
            found.tables[name] = table.mutate(**{column: instant.cast("timestamp('UTC')")})
            found.notes += (f"{where}: read as {unit} since 1970.",)
        return found


def folder(con: Any, path: Path, wanted: Iterable[str] | None, options: Options) -> Found:
    """Return the tables of a folder as views in a DuckDB connection.

    Raises
    ------
    BadData
        When the folder has no table of the contract.
    """
    files, others = layout(path)
    if not files:
        hint = f" It has {', '.join(others)}." if others else " It is empty."
        raise BadData(f"{path} has no table of the contract.{hint} The contract knows {', '.join(TABLES)}.")
    found = Found({}, unrecognised=others)
    for name, parts in files.items():
        if wanted is not None and name not in wanted:
            continue
        kinds = {"parquet" if part.suffix == ".parquet" else "csv" for part in parts}
        if len(kinds) > 1:
            raise BadData(f"{path / name} mixes Parquet and CSV. Keep one of them.")
        if kinds == {"parquet"}:
            _parquet(con, TABLES[name], parts, path, found)
        else:
            csv_tables.add(con, TABLES[name], parts, path, options, found)
    return found


def _parquet(con: Any, spec: Table, parts: list[Path], root: Path, found: Found) -> None:
    """Add a view over Parquet files; folders such as ``date=2025-01-01`` become columns."""
    listed = ", ".join(quoted(str(part)) for part in parts)
    reader = f"read_parquet([{listed}], union_by_name = true, {partitions(spec, parts, root)})"
    try:
        found.tables[spec.name] = create(con, spec, reader)
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        found.violations.append(Violation(spec.name, "(file)", "unreadable file", 0, (), said))
