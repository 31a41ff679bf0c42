"""The engines behind a dataset: DuckDB in memory or on file, or any other that Ibis can connect to."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Mapping as Mapping_
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.data import csv_tables, layout, scratch
from helpers.data.address import HIDDEN, Address
from helpers.data.exports import apply, database, folder
from helpers.data.exports.mapping import Mapping
from helpers.data.guard import DuckDB, guarded
from helpers.data.reading import Found, Options
from helpers.data.schema import Table
from helpers.data.tables import TABLES
from helpers.data.views import create, duplicates, few, folder_keys, identifier, keyed, listed, quoted
from helpers.data.violation import RUN_FOLDER, Violation, counted
from helpers.errors import BadData, BadParameters, DatabaseFailed
from helpers.sentences import say

SETTINGS = {
    # DuckDB fetches extensions when a query needs them; here nothing is downloaded at run time.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
# What needs more goes to disk for a while: memory then grows with the community slowly, and time hardly. A table of a
# hundred million rows cannot be grouped in that alone, so there is room for what the files take, up to a bound.
LEAST_MB, MOST_ADDED_MB = 192 * max(os.cpu_count() or 1, 2), 3_000

EXTRAS = {"postgres": "postgres", "postgresql": "postgres", "pyspark": "spark"}

# Rows that are copied from a database whose role may not store; a member-day of a million members is more.
MOST_COPIED = 20_000_000

NUMBERS = ("int", "uint", "halffloat", "float", "double", "decimal")
# What Arrow types hold, where their names differ and what they hold does not.
KINDS = {
    **dict.fromkeys(NUMBERS, "numbers"),
    "large_string": "string",
    "timestamp": "times without a zone",
    "null": "",
}


def connect(path: Path | None = None) -> Any:
    """Return an Ibis connection to DuckDB, in memory or read-only on a file.

    Its ``workspace`` is a folder for as long as the connection lives.
    """
    place = {} if path is None else {"database": path, "read_only": True}
    home = _home(os.getpid())
    con = DuckDB().connect(**place, temp_directory=str(home / "spill"), **SETTINGS)
    give_room(con, [path] if path else [])
    if con.raw_sql("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        con.raw_sql("SET enable_progress_bar = false")  # it would stand in the report
    con.workspace = Path(tempfile.mkdtemp(dir=home))
    weakref.finalize(con, shutil.rmtree, con.workspace, True)
    return con


def give_room(con: Any, files: Collection[Path]) -> None:
    """Let DuckDB take memory as what is in files needs it."""
    added = min(sum(file.stat().st_size for file in files) // 1_000_000, MOST_ADDED_MB)
    con.raw_sql(f"SET memory_limit = '{LEAST_MB + added}MB'")


@lru_cache(maxsize=1)
def _home(pid: int) -> Path:
    """Return the folder of temporary files of a process, which the next one removes when this one is killed."""
    own = scratch.folder()
    if own is None:
        raise BadData(say("There is no folder for temporary files that can be written: set TMPDIR."))
    atexit.register(own.close)
    return own.path


def tables(place: Address, wanted: Collection[str], options: Options) -> Found:
    """Return the tables of a place as lazy Ibis tables, before any check."""
    if place.kind == "memory":
        found = _from_frames(place, wanted)
    elif place.kind == "folder":
        found = _from_folder(connect(), place, wanted, options)
    elif place.in_files:
        found = options.zoned(_from_folder(_other(place), place, wanted, options))
    else:
        found = _from_database(_other(place), place, wanted)
        found = options.zoned(found) if place.kind == "database" else found
    return options.declared(found)


def _other(place: Address) -> Any:
    """Connect to a file of DuckDB or any other Ibis URL; the message of a failure holds no secret."""
    scheme = place.url.split("://")[0]
    try:
        if EXTRAS.get(scheme) == "postgres":
            from helpers.data import postgres  # late: the driver is an extra

            return postgres.connect(place.url)
        if EXTRAS.get(scheme) == "spark":
            from helpers.data import spark  # late: it is an extra

            if "mapping" in place.options:
                raise BadData(say("A mapping is for files, DuckDB and PostgreSQL: make views in Spark."))
            return spark.connect(place.url)
        return connect(place.path) if place.path else guarded(ibis.connect(place.url))
    except (ImportError, ModuleNotFoundError):
        extra = EXTRAS.get(scheme.split("+")[0])
        name = f"community-playbook[{extra}]" if extra else f"ibis-framework[{scheme}]"
        text = "{place} needs a driver that is not installed: pip install '{name}'."
        raise BadData(say(text, place=place.shown, name=name)) from None
    except Exception as error:  # every driver has errors of its own
        reason = _without(str(error).split("\n")[0], place)
        raise BadData(say("Cannot open {place}: {reason}", place=place.shown, reason=reason)) from None


def _without(text: str, place: Address) -> str:
    """Remove the URL and its password, as written and as decoded, from a driver's message."""
    text = text.replace(place.url, place.shown) if place.url else text
    user, at, _ = place.url.split("://", 1)[-1].rpartition("@")
    secret = user.partition(":")[2] if at else ""
    for form in {secret, unquote(secret)} - {""}:
        text = text.replace(form, HIDDEN)
    return text


def _from_folder(con: Any, place: Address, wanted: Collection[str], options: Options) -> Found:
    """Return the tables of a folder as views in DuckDB, or in Spark, which reads Parquet alone.

    Raises
    ------
    BadData
        When the folder has no table of the contract.
    """
    assert place.path is not None
    path = place.path
    (files, others, unread), mapping, parts_of = folder.look(place)
    if con.name == "duckdb":
        give_room(con, {part for parts in (*files.values(), *parts_of.values()) for part in parts})
    if not files and not unread and not parts_of:
        text = "{path} has no table of the contract. It is empty. The contract knows {tables}."
        if others:
            text = "{path} has no table of the contract. It has {others}. The contract knows {tables}."
        raise BadData(say(text, path=path, others=", ".join(others), tables=", ".join(TABLES)))
    lost = [name for name in wanted if name in unread]
    said = [Violation(name, "(file)", "unread file", 0, (), unread[name]) for name in lost]
    found = Found({}, said, unrecognised=others)
    used = folder.with_identities(mapping, wanted) if mapping else wanted
    for name, parts in files.items():
        if name not in used:
            continue
        kinds = {layout.is_parquet(part) for part in parts}
        if len(kinds) > 1:
            raise BadData(say("{path} mixes Parquet and CSV. Keep one of them.", path=path / name))
        if kinds == {False} and place.url:
            text = (
                "{path} holds {table} as text, and Spark reads Parquet: write that, or name the folder alone."
            )
            raise BadData(say(text, path=path, table=name))
        if kinds == {True}:
            _add_parquet(con, TABLES[name], parts, path, found)
        else:
            csv_tables.add(con, TABLES[name], parts, path, options, found)
    if mapping:
        apply.mapped(con, path, mapping, wanted, found)
    found.tables = {name: table for name, table in found.tables.items() if name in wanted}
    return found


def _add_parquet(con: Any, spec: Table, parts: Sequence[Path], root: Path, found: Found) -> None:
    """Add a view over Parquet files to `found`, or what keeps their parts from being one table."""
    schemas: dict[pa.Schema, int] = Counter()
    said: list[Violation] = []
    for part in parts:
        try:
            with pq.ParquetFile(part) as file:
                schemas[file.schema_arrow.remove_metadata()] += file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            reason = say(
                "{part} cannot be read as Parquet: {error}", part=part.name, error=str(error).splitlines()[0]
            )
            said.append(Violation(spec.name, "(file)", "unreadable file", 0, (), reason))
    for schema in schemas:
        said += duplicates(spec, schema.names, say("A file"))
    said += _unlike(spec, schemas)
    if not said:
        try:
            if con.name == "duckdb":
                names = {name for schema in schemas for name in schema.names}
                reader = f"read_parquet({listed(parts)}, union_by_name = true"
                relation, said = keyed(con, spec, reader, names, folder_keys(parts, root))
                found.tables[spec.name] = create(con, spec, relation, found.notes)
            else:
                table = con.parquet(spec, parts, schemas, root)
                found.tables[spec.name] = table.select(few(spec, table.columns, found.notes))
        except (duckdb.Error, DatabaseFailed) as error:
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
            shown = ", ".join(
                say("{kind} in {rows}", kind=kind, rows=counted(count, "row"))
                for kind, count in kinds.most_common()
            )
            advice = say("The parts disagree: {shown}. Write all of them with one type.", shown=shown)
            yield Violation(spec.name, name, "parts of unlike types", sum(n for _, n in others), (), advice)


def _kind(type_: pa.DataType) -> str:
    """Return what an Arrow type holds, as far as mixing goes; a column of nothing is of no kind."""
    written = str(type_.value_type if pa.types.is_dictionary(type_) else type_)
    kind = re.split(r"[\[(<\d]", written)[0]
    return "times with a zone" if "tz=" in written else KINDS.get(kind, kind)


def _from_database(con: Any, place: Address, wanted: Collection[str]) -> Found:
    """Return the tables of the contract that a database has in its current schema."""
    in_file = place.kind == "duckdb"
    names = [row[0] for row in con.raw_sql("SHOW TABLES").fetchall()] if in_file else con.list_tables()
    mapping = Mapping.read(place.mapping) if place.mapping else None
    fed = {target.table for each in mapping.sources for target in each.tables} if mapping else set()
    if not set(names) & set(TABLES) and not mapping:
        shown = ", ".join(sorted(names)) or "none that may be read"
        raise BadData(
            say(
                "{place} has no table of the contract. Its tables: {tables}. The contract knows {known}.",
                place=place.shown,
                tables=shown,
                known=", ".join(TABLES),
            )
        )
    found = Found({}, unrecognised=() if mapping else layout.unknown(set(names) - set(TABLES)))
    home = con.raw_sql("SELECT current_database(), current_schema()").fetchall()[0] if in_file else ()
    for name in sorted((set(names) & set(TABLES) & set(wanted)) - fed):
        relation = ".".join(map(identifier, (*home, name)))
        found.tables[name] = create(con, TABLES[name], relation, found.notes) if in_file else con.table(name)
    if mapping:
        database.add(con, mapping, wanted, found)
    return found


def _stores(con: Any) -> bool:
    return not hasattr(con, "may_store") or con.may_store()


def copies(place: Address) -> bool:
    """Return whether `reachable` copies what is at a place."""
    if EXTRAS.get(place.url.split("://")[0]) != "postgres":  # the others need no right of their own
        return False
    con = _other(place)
    try:
        return not _stores(con)
    finally:
        con.disconnect()  # the snapshot of the plan is no longer needed


def reachable(tables: Mapping_[str, Any], notes: list[str]) -> Mapping_[str, Any]:
    """Return tables whose engine may store what it computes; of a role that may not, copies of them in DuckDB.

    Raises
    ------
    BadData
        When there are more rows than are copied: it names the right that is missing.
    """
    engines = {id(table.get_backend()): table.get_backend() for table in tables.values()}
    if all(map(_stores, engines.values())):
        return tables
    counts = {name: int(table.count().execute()) for name, table in tables.items()}
    shown = ", ".join(
        say("{rows} of {table}", rows=counted(rows, "row"), table=name) for name, rows in counts.items()
    )
    if sum(counts.values()) > MOST_COPIED:
        raise BadData(
            say(
                "The role may not make temporary tables, and {shown} are too many to copy here (at most "
                "{most:,}). Ask for it (GRANT TEMPORARY ON DATABASE), or read from a server that is no "
                "replica.",
                shown=shown,
                most=MOST_COPIED,
            )
        )
    # In a run, whoever planned it has said so, and this would be an output of a cell.
    if RUN_FOLDER not in os.environ:
        print(
            say("The role may not make temporary tables: {shown} are copied first.", shown=shown),
            file=sys.stderr,
        )
    notes.append(
        say(
            "The role may not make temporary tables: {shown} were copied, and everything is counted here.",
            shown=shown,
        )
    )
    con, found = connect(), {}
    for name, every in tables.items():
        path, table = con.workspace / f"{name}.parquet", every.select(few(TABLES[name], every.columns, notes))
        with table.to_pyarrow_batches(chunk_size=50_000) as rows, pq.ParquetWriter(path, rows.schema) as file:
            for batch in rows:
                file.write_batch(batch)
        copied = create(con, TABLES[name], f"read_parquet({quoted(str(path))})", notes)
        found[name] = copied.cast(table.schema())  # a file says of instants how exact they are
    return found


def _from_frames(place: Address, wanted: Collection[str]) -> Found:
    """Register frames in a fresh engine; a frame that is no table of the contract is listed."""
    con = connect()
    found = Found({}, unrecognised=layout.unknown(place.frames.keys() - set(TABLES)))
    for name, frame in place.frames.items():
        if name in TABLES and name in wanted:
            arrow = _arrow(name, frame, found.violations)
            if arrow.num_columns:
                con.con.register(f"frame_{name}", arrow)
                found.tables[name] = create(con, TABLES[name], identifier(f"frame_{name}"), found.notes)
            elif not found.violations:
                nothing = Violation(name, "(frame)", "empty frame", 0, (), say("It has no columns."))
                found.violations.append(nothing)
    return found


def _arrow(name: str, frame: Any, violations: list[Violation]) -> pa.Table:
    """Return a frame as an Arrow table without the columns that mix types, which are violations."""
    if isinstance(frame, pa.Table):
        return frame
    if not isinstance(frame, pd.DataFrame):
        raise BadParameters(
            say(
                "data: table {name} must be a pandas DataFrame or an Arrow table, not a {kind}; files and "
                "databases are opened by their folder or address.",
                name=name,
                kind=type(frame).__name__,
            )
        )
    columns = {}
    violations += (twice := duplicates(TABLES[name], map(str, frame.columns), say("The frame")))
    for label in () if twice else frame.columns:
        series = frame[label]
        try:
            columns[str(label)] = pa.array(series, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            kinds = series.dropna().map(lambda value: type(value).__name__).value_counts()
            advice = say("The column mixes {kinds}: cast it to one type.", kinds=", ".join(kinds.index))
            count = int(kinds.iloc[1:].sum())
            violations.append(Violation(name, str(label), "wrong type", count, (), advice))
    return pa.table(columns)
