"""Open a place where tables are: a folder, a database, or pandas frames.

``open`` returns a `Dataset` of lazy Ibis tables that satisfy the contract. Instants are UTC: timestamp
columns come out without a zone and mean UTC, which every engine compares and shifts fastest.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data import address, contract, engine, reading
from helpers.data.clock import local_date, local_time, zone
from helpers.data.content_cache import ContentCache, code_digest
from helpers.data.dialect import md5
from helpers.data.exports import folder
from helpers.data.fingerprint import TableFingerprint, digest_of, fingerprint
from helpers.data.schema import Table, is_withheld
from helpers.errors import BadParameters, MissingTable
from helpers.sentences import say

__all__ = ["Dataset", "TableFingerprint", "as_table", "fingerprint", "local_date", "local_time", "open"]

# Types of the contract that Ibis calls otherwise; JSON, and what the contract does not know, stay as they are.
IBIS_TYPES = {"category": "string", "integer": "int64", "float": "float64", "list": "array<string>"}


class MissingTableError(MissingTable, AttributeError):
    """A table of the contract is asked for by attribute and is not there."""


@dataclass(eq=False, repr=False)
class Dataset:
    """Tables of a community, as attributes: ``dataset.orders`` is a lazy Ibis table.

    Attributes
    ----------
    tables : dict of str to ibis.Table
        The tables by name, in the order of the contract.
    url : str
        Where the tables came from, without secrets.
    withheld : dict of str to tuple of str
        Per table the columns with free text or contact data, which are not exposed.
    unrecognised : tuple of str
        Files that are no table of the contract, each with a hint.
    notes : tuple of str
        What the loader understood and did not take for granted, such as a time without a zone.
    report_tz : str
        Time zone of calendar days.
    account : pandas.DataFrame, optional
        Of tables that came through a mapping, ``source, table, reason, rows``: where the rows of each source went.
    """

    tables: Mapping[str, ir.Table]
    url: str = "memory"
    withheld: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unrecognised: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    report_tz: str = "Asia/Shanghai"
    account: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        names = (*contract.TABLES, *self.tables)
        self.tables = {name: self.tables[name] for name in names if name in self.tables}

    def __contains__(self, name: object) -> bool:
        """Whether a table is there."""
        return name in self.tables

    def __getitem__(self, name: str) -> ir.Table:
        """Return a table, or raise MissingTable, for which a notebook reports that it was not run."""
        if name not in self.tables:
            raise MissingTable(say("table {name} missing", name=name))
        return self.tables[name]

    def __getattr__(self, name: str) -> ir.Table:
        """Return a table, or say that it is missing."""
        tables = self.__dict__.get("tables", {})
        if name in tables:
            return tables[name]
        if name in contract.TABLES:
            raise MissingTableError(say("table {name} missing", name=name))
        raise AttributeError(f"A dataset has no {name!r}.{did_you_mean(name, contract.TABLES)}")

    def __dir__(self) -> list[str]:
        """Offer the tables to completion."""
        return [*super().__dir__(), *self.tables]

    def __repr__(self) -> str:
        """Name the place and the tables."""
        return f"Dataset({self.url!r}: {', '.join(self.tables)})"

    def replace(self, **tables: ir.Table | pd.DataFrame) -> Dataset:
        """Return a dataset in which some tables are others, for a filter or a covariate."""
        changed = {name: as_table(table) for name, table in tables.items()}
        return dataclasses.replace(self, tables={**self.tables, **changed})

    def noted(self, *notes: str) -> Dataset:
        """Return the dataset with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))


def open(
    data: Any,
    *,
    check: bool = True,
    tables: Iterable[str] | None = None,
    report_tz: str = "Asia/Shanghai",
    now: dt.datetime | None = None,
    local_tz: str | None = None,
    epoch: Mapping[str, str] | None = None,
) -> Dataset:
    """Open tables and check them against the contract.

    Parameters
    ----------
    data : str, path, or mapping of str to pandas.DataFrame
        A folder of Parquet or CSV; ``duckdb:///file``; any other Ibis URL; or frames by table name.
        A folder may declare how its times are written: ``exports?local_tz=Asia/Shanghai``. Exports are read through
        the ``mapping.yml`` in their folder, or the one named: ``exports?mapping=other.yml``.
    check : bool
        Whether to check the contract. Text that cannot be read is an error in any case.
    tables : iterable of str, optional
        Open only these tables; others are neither read nor checked.
    report_tz : str
        Time zone of calendar days.
    now : datetime, optional
        The instant that no observation may follow (plus one day); default the current time.
    local_tz : str, optional
        The zone of times that are written without one. Without it such text is a violation.
    epoch : mapping of str to str, optional
        Columns that hold a number since 1970 and its unit, such as ``{"events.ts": "ms"}``.

    Raises
    ------
    contract.ContractError
        With every violation of every table.
    BadData
        When there is no such place, or no table in it.
    BadParameters
        When an option is wrong.
    """
    zone(report_tz)
    wanted = _wanted(tables)
    place = address.parse(data)
    options = reading.Options.of(place.options, local_tz, epoch)
    found = engine.tables(place, wanted, options)
    violations = found.violations
    if check:
        remembered = place.kind == "folder" and found.account is None and now is None
        broken = _of_files(place, found, options) if remembered else contract.check(found.tables, now=now)
        violations = _violations(found, broken)
    if violations:
        raise contract.ContractError(violations)
    cleaned, withheld, notes = _normal(found.tables)
    near = engine.reachable(cleaned, notes)
    said = (*found.notes, *notes)
    return Dataset(near, place.shown, withheld, found.unrecognised, said, report_tz, found.account)


def _of_files(
    place: address.Address, found: reading.Found, options: reading.Options
) -> list[contract.Violation]:
    """Return what breaks the contract in files; those that held it before and are unchanged are not asked again."""
    assert place.path is not None
    cache, broken = ContentCache.of_user(), []
    (files, *_), *_ = folder.look(place)
    code = code_digest(Path(__file__).parent)
    for name, table in found.tables.items():
        key = f"sound {code} {options} {name} {digest_of(place.path, files[name], cache)}"
        broken += _unless_known(cache, key, name, table)
    cache.save()
    return broken


def _unless_known(cache: ContentCache, key: str, name: str, table: ir.Table) -> list[contract.Violation]:
    # What held the contract once holds it on a later day too.
    said: list[contract.Violation] = []

    def holds() -> bool:
        said.extend(contract.check({name: table}))
        return not said

    return said if cache.fact(key, holds) or said else contract.check({name: table})


def _violations(found: reading.Found, rows: list[contract.Violation]) -> list[contract.Violation]:
    """Return what could not be read and what breaks the contract in the rows, each mistake once."""
    # What could not be read is null or not there, and that is not a second mistake; what is null besides is one.
    echoes = ("null key", "null required value", "missing column")
    unread: Counter[tuple[str, str]] = Counter()
    for v in found.violations:
        unread.update({(v.table, column): v.count for column in v.column.split(", ")})
    broken = []
    for v in rows:
        known = (v.table, v.column) in unread and v.rule in echoes
        left = v.count - unread[v.table, v.column] if known else v.count
        broken += [dataclasses.replace(v, count=left)] if left > 0 or not known else []
    return found.violations + broken


def _wanted(tables: Iterable[str] | None) -> tuple[str, ...]:
    """Check the names of the tables to open; all by default."""
    names = (tables,) if isinstance(tables, str) else tuple(contract.TABLES if tables is None else tables)
    for name in names:
        if name not in contract.TABLES:
            hint = did_you_mean(name, contract.TABLES)
            raise BadParameters(
                say("tables names {name!r}, which the contract does not have.{hint}", name=name, hint=hint)
            )
    return names


@ibis.udf.scalar.builtin(signature=(("timestamp('UTC')",), "int64"))
def epoch_us(instant):  # type: ignore[no-untyped-def]
    """Return the microseconds since 1970 of an instant; the engine's own function of that name."""


@ibis.udf.scalar.builtin(signature=(("int64",), "timestamp"))
def make_timestamp(microseconds):  # type: ignore[no-untyped-def]
    """Return the time without a zone of microseconds since 1970; the engine's own function of that name."""


def _normal(
    tables: Mapping[str, ir.Table],
) -> tuple[dict[str, ir.Table], dict[str, tuple[str, ...]], list[str]]:
    """Return the tables in normal form, the columns withheld per table, and notes.

    The expressions stay lazy. A column that the contract does not know keeps its type, except that its
    instants are unzoned too.
    """
    cleaned, withheld, notes = {}, {}, []
    for name, table in tables.items():
        spec = contract.TABLES[name]
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
        return _unzoned(value, fast)
    target = IBIS_TYPES.get(type_, type_)
    return value if type_ == "json" or value.type() == ibis.dtype(target) else value.cast(target)


def _unzoned(value: Any, fast: bool = False) -> Any:
    """Return instants as microseconds in UTC without a zone.

    On DuckDB the plain cast asks the calendar library for every row; going through the number of
    microseconds gives the same value about six times faster.
    """
    if value.type().timezone is None:
        # One type whatever the file says, or tables of two files could not be put together.
        return value if value.type().scale is None else value.cast("timestamp")
    if fast:
        return make_timestamp(epoch_us(value))
    return value.cast("timestamp")


def _notes(spec: Table, table: ir.Table) -> list[str]:
    """Return what was taken on trust: instants without a zone, money without a currency."""
    schema, notes = table.schema(), []
    there = [column.name for column in spec.columns if column.type == "timestamp" and column.name in schema]
    bare = [name for name in there if schema[name].is_timestamp() and schema[name].timezone is None]
    if bare:
        notes.append(
            say(
                "{table}: {columns} without a time zone, taken as UTC.",
                table=spec.name,
                columns=", ".join(bare),
            )
        )
    money = [name for name in spec.money if name in schema]
    if money and "currency" not in schema:
        text = "{table}: no currency column; {columns} taken as one currency."
        notes.append(say(text, table=spec.name, columns=", ".join(money)))
    return notes


def as_table(table: ir.Table | pd.DataFrame) -> ir.Table:
    """Return an Ibis table, from one or from a pandas frame.

    Zoned timestamps of a frame become UTC without a zone, so that frames and files give equal results.
    """
    if isinstance(table, ir.Table):
        return table
    if not isinstance(table, pd.DataFrame):
        kind = type(table).__name__
        raise BadParameters(
            say("a table must be an Ibis table or a pandas DataFrame, not a {kind}.", kind=kind)
        )
    zoned = table.select_dtypes("datetimetz")
    return ibis.memtable(table.assign(**{str(name): zoned[name].dt.tz_convert(None) for name in zoned}))


def of_sample(table: ibis.Table, share: float, seed: int, by: str = "member_id") -> ibis.Table:
    """Return the rows of a share of members, drawn by a hash of their ids: the same in each table and engine."""
    if share >= 1:
        return table
    drawn = md5(ibis.literal(f"{seed} ") + table[by])
    return table.filter(drawn < f"{round(share * 16**8):08x}")


def pulled(table: ibis.Table) -> pd.DataFrame:
    """Return a table in memory through Arrow, which keeps days and what is missing out of Python objects."""
    frame = table.to_pyarrow().to_pandas(date_as_object=False)
    return frame.astype(dict.fromkeys(frame.select_dtypes("datetime"), "datetime64[ns]"))
