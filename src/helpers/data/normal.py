"""One normal form of tables: contract types, instants in UTC without a zone, no contact data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir

from helpers.data.schema import Table, is_withheld
from helpers.data.tables import TABLES

# Types of the contract that Ibis calls otherwise; JSON, and what the contract does not know, stay as they are.
IBIS_TYPES = {"category": "string", "integer": "int64", "float": "float64", "list": "array<string>"}


@ibis.udf.scalar.builtin(signature=(("timestamp('UTC')",), "int64"))
def epoch_us(instant):  # type: ignore[no-untyped-def]
    """Return the microseconds since 1970 of an instant; the engine's own function of that name."""


@ibis.udf.scalar.builtin(signature=(("int64",), "timestamp"))
def make_timestamp(microseconds):  # type: ignore[no-untyped-def]
    """Return the time without a zone of microseconds since 1970; the engine's own function of that name."""


def normal(
    tables: Mapping[str, ir.Table],
) -> tuple[dict[str, ir.Table], dict[str, tuple[str, ...]], list[str]]:
    """Return the tables in normal form, the columns withheld per table, and notes.

    The expressions stay lazy. A column that the contract does not know keeps its type, except that its
    instants are unzoned too.
    """
    cleaned, withheld, notes = {}, {}, []
    for name, table in tables.items():
        spec = TABLES[name]
        hidden = tuple(column for column in table.columns if is_withheld(spec, column))
        if hidden:
            withheld[name] = hidden
        fast = getattr(table.get_backend(), "name", "") == "duckdb"
        shown = [column for column in table.columns if column not in hidden]
        cleaned[name] = table.select(**{column: _cast(spec, table, column, fast) for column in shown})
        notes += _notes(spec, table)
    return cleaned, withheld, notes


def _cast(spec: Table, table: ir.Table, name: str, fast: bool) -> Any:
    value, type_ = table[name], spec[name].type if name in spec else "json"
    if value.type().is_timestamp() and (name not in spec or type_ == "timestamp"):
        return unzoned(value, fast)
    target = IBIS_TYPES.get(type_, type_)
    return value if type_ == "json" or value.type() == ibis.dtype(target) else value.cast(target)


def unzoned(value: Any, fast: bool = False) -> Any:
    """Return instants as microseconds in UTC without a zone.

    On DuckDB the plain cast asks the calendar library for every row; going through the number of
    microseconds gives the same value about six times faster.
    """
    if value.type().timezone is None:
        return value if value.type().scale in (None, 6) else value.cast("timestamp(6)")
    if fast:
        return make_timestamp(epoch_us(value))
    return value.cast("timestamp")


def _notes(spec: Table, table: ir.Table) -> list[str]:
    """Return what was taken on trust: instants without a zone, money without a currency."""
    schema, notes = table.schema(), []
    there = [column.name for column in spec.columns if column.type == "timestamp" and column.name in schema]
    bare = [name for name in there if schema[name].is_timestamp() and schema[name].timezone is None]
    if bare:
        notes.append(f"{spec.name}: {', '.join(bare)} without a time zone, taken as UTC.")
    money = [name for name in spec.money if name in schema]
    if money and "currency" not in schema:
        notes.append(f"{spec.name}: no currency column; {', '.join(money)} taken as one currency.")
    return notes
