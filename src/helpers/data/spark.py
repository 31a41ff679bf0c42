"""Spark as a report needs it: one session, tables of a folder or a metastore, answers as Arrow, messages of ours."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ibis
import ibis.expr.datatypes as dt
import pandas as pd
import pyarrow as pa
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkSchema, PySparkType
from ibis.backends.sql.compilers.base import NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.expr.schema import Schema
from ibis.formats.pandas import PandasData
from ibis.formats.pyarrow import PyArrowData
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType, TimestampType

from helpers.data.address import SECRET_QUERY, holds_secret
from helpers.data.guard import Guard
from helpers.data.schema import Table
from helpers.data.views import folder_keys
from helpers.errors import BadData, DatabaseFailed
from helpers.sentences import say

SETTINGS = {
    "spark.app.name": "community-playbook",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",  # the default of Spark 3, which the other engines come nearest to
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",  # its other way loses whole numbers with gaps
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# On this machine alone: nobody else is talked to, and a task for each processor is enough.
LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
}
# What Spark calls the types of the contract; all others are text.
KINDS = {
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "list": "ARRAY<STRING>",
}
# Up to here whole numbers and halves of them are floats, and above it every float is whole.
WHOLE = 2**52
WORDS = {
    "TABLE_OR_VIEW_NOT_FOUND": "a table is no longer there: {said}.\nRun the report again.",
    "FileNotFoundException": "a file of a table is no longer there: {said}.\nRun the report again.",
    "OutOfMemoryError": "Java had too little memory: {said}.\nGive it more, as in ?spark.driver.memory=8g.",
    "(gone)": "its Java process is gone, often for want of memory.\nRun the report again.",
    "": "a query failed: {said}.",
}


def said(error: Exception) -> str:
    """Return what happened to a query, in words for a reader of a report: the first line of the last cause."""
    text = str(error).strip()
    causes = re.findall(r"(?m)^Caused by: (.*)", f"{text}\n{getattr(error, 'stackTrace', '')}")
    first = causes[-1] if causes else text.split("\n")[0]
    gone = isinstance(error, ConnectionError | EOFError) or type(error) in (Py4JError, Py4JNetworkError)
    found = "(gone)" if gone else next(known for known in WORDS if known in f"{first} {text}")
    return f"Spark: {say(WORDS[found], said=first)}"


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """Turn errors of Spark into messages to a person."""
    try:
        yield
    except (PySparkException, Py4JError, OSError, EOFError) as error:
        raise DatabaseFailed(said(error)) from None


class Compiler(PySparkCompiler):
    """Writes what Ibis would write otherwise than for the other engines."""

    __slots__ = ()

    visit_IsNull = SQLGlotCompiler.visit_IsNull  # noqa: N815 - NaN is a value
    visit_NotNull = SQLGlotCompiler.visit_NotNull  # noqa: N815

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: Any) -> Any:  # noqa: N802
        """Write a constant; one such as 0.5 is a decimal here, and so would be what is stored of it."""
        written = super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        return self.cast(written, dtype) if dtype.is_floating() and math.isfinite(value) else written

    def visit_Least(self, op: Any, *, arg: Sequence[Any]) -> Any:  # noqa: N802
        """Return the least of some values, which may be one."""
        return super().visit_Least(op, arg=arg) if len(arg) > 1 else arg[0]

    def visit_Greatest(self, op: Any, *, arg: Sequence[Any]) -> Any:  # noqa: N802
        """Return the greatest of some values, which may be one."""
        return super().visit_Greatest(op, arg=arg) if len(arg) > 1 else arg[0]

    def visit_CountStar(self, op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Count rows: none of them is zero, where a sum would be nothing."""
        return self.f.count(sge.Star() if where is None else self.if_(where, 1, NULL))

    def visit_ArrayCollect(self, op: Any, *, arg: Any, where: Any, order_by: Any, **how: Any) -> Any:  # noqa: N802
        """Collect values in an order: as the last part of records, which Spark sorts by their parts."""
        if not order_by or op.distinct or not all(key.ascending for key in op.order_by):
            return super().visit_ArrayCollect(op, arg=arg, where=where, order_by=order_by, **how)
        # What is missing comes last.
        keys = [part for key in order_by for part in (key.this.is_(NULL), key.this)]
        named = [(f"key{n}", key) for n, key in enumerate(keys)] + [("value", arg)]
        record = self.f.named_struct(*(part for each in named for part in each))
        kept = [*([] if where is None else [where]), *([] if op.include_null else [arg.is_(sg.not_(NULL))])]
        rows = self.f.array_sort(
            self.f.collect_list(self.if_(sg.and_(*kept), record, NULL) if kept else record)
        )
        each = sg.to_identifier("each")
        value = sge.Dot.build([each, sg.to_identifier("value")])
        return self.f.transform(rows, sge.Lambda(this=value, expressions=[each]))

    def visit_Hash(self, op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Return a hash of 64 bits instead of 32."""
        return self.f.xxhash64(arg)

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:  # noqa: N802
        """Call a function of the engine; rounding down makes an integer here, which infinity and NaN are not."""
        called = super().visit_ScalarUDF(op, **arguments)
        if op.__func_name__ != "floor":
            return called
        (arg,) = arguments.values()
        return self.if_(self.f.abs(arg) < WHOLE, self.cast(called, dt.float64), arg)


def connect(url: str) -> Spark:
    """Connect to Spark on this machine or to a cluster; settings of the address that begin with ``spark.`` count.

    Raises
    ------
    BadData
        When Java is not there, Spark already runs elsewhere, or the address says what it may not.
    """
    place, con = urlsplit(url), Spark()
    assert ibis.pyspark  # its loading makes the options that its compiler reads
    settings = dict(parse_qsl(place.query))
    database = settings.pop("database", "")
    for name, value in settings.items():
        if not name.startswith("spark.") or SECRET_QUERY.search(f"?{name}=") or holds_secret(value):
            text = "{name} is no setting for an address: spark.… is, and secrets go to spark-defaults.conf."
            raise BadData(say(text, name=name))
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise BadData(say("Spark needs Java 17, and there is none; on Debian install default-jre-headless."))
    master = settings.setdefault("spark.master", f"spark://{place.netloc}" if place.netloc else "local[*]")
    hive = {"spark.sql.catalogImplementation": "hive"} if database else {}
    con.owns = SparkContext._gateway is None
    con.do_connect(session(SETTINGS | (LOCAL if master.startswith("local") else {}) | hive | settings))
    if database:
        con.raw_sql(f"USE {sg.parse_one(database, into=sge.Table).sql('spark', identify=True)}")
    return con


def session(settings: Mapping[str, str]) -> SparkSession:
    """Return a session with its own views in the one Spark of this process; Java's log stays out of the report."""
    active = SparkContext._active_spark_context
    if active and active.master != settings["spark.master"]:
        text = "Spark already runs in this process, at {master}. Restart the kernel for another."
        raise BadData(say(text, master=active.master))
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    if SparkContext._gateway is None:
        with Path(os.devnull).open("w") as nowhere:
            streams = {"stdout": nowhere, "stderr": nowhere}
            SparkContext._ensure_initialized(gateway=launch_gateway(conf, streams))
    return SparkSession.builder.config(conf=conf).getOrCreate().newSession()


class Answers(Backend):
    """Ibis' Spark, whose whole numbers, NaN and times are those of the other engines."""

    compiler = Compiler()
    owns = False

    def disconnect(self) -> None:
        """End Spark, and Java with it, unless they were there before."""
        if self.owns:
            gateway = SparkContext._gateway
            super().disconnect()
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait()
            SparkContext._gateway = SparkContext._jvm = None

    def raw_sql(self, query: Any, **options: Any) -> Any:
        """Run a query; see `said` for what its failure says."""
        with speaking():
            return super().raw_sql(query, **options)

    def list_tables(self, **_: Any) -> list[str]:
        """Return the tables of the current database."""
        with speaking():
            return [row["tableName"] for row in self.raw_sql("SHOW TABLES").collect()]

    def get_schema(self, table_name: str, **_: Any) -> Schema:
        """Return the columns of a table of the current database."""
        with speaking():
            return _columns(self._session.table(_quoted(table_name)).schema)

    def parquet(self, spec: Table, parts: Sequence[Path], schemas: Iterable[pa.Schema], root: Path) -> Any:
        """Return Parquet files as a table; the names of their folders, such as ``day=2025-01-01``, are columns.

        Times in nanoseconds, which Spark does not know, are read as microseconds.
        """
        kinds = {field.name: field.type for each in schemas for field in each}
        keys = folder_keys(parts, root)
        if both := sorted(kinds.keys() & set(keys)):
            text = "{columns} stands in the files and in the names of their folders: leave it out of one."
            raise DatabaseFailed(say(text, columns=", ".join(both)))
        with speaking():
            reader = self._session.read.option("mergeSchema", len(parts) > 1)
            reader = reader.option("basePath", f"file:{root}") if keys else reader
            frame = reader.parquet(*map(_literally, parts))
            columns = [_typed(spec, name, kinds.get(name)) for name in frame.columns]
            frame.selectExpr(*columns).createOrReplaceTempView(spec.name)
        return self.table(spec.name)

    def to_pyarrow(self, expr: Any, /, *, params: Any = None, limit: Any = None, **_: Any) -> Any:
        """Return a result in the types that the expression has; NaN stays apart from what is missing."""
        table = expr.as_table()
        with speaking():
            self._run_pre_execute_hooks(table)
            frame = self.raw_sql(self.compile(table, params=params, limit=limit))
            batches = frame._collect_as_arrow()
        rows = pa.Table.from_batches(batches, None if batches else table.schema().to_pyarrow())
        for at, (name, kind) in enumerate(table.schema().items()):
            if kind.is_null():  # a type that Spark's columns of nothing have lost
                rows = rows.set_column(at, name, pa.nulls(len(rows)))
        return expr.__pyarrow_result__(PyArrowData.convert_table(rows, table.schema()))

    def execute(self, expr: Any, /, **options: Any) -> Any:
        """Return a result as pandas has it, whole numbers also beside missing ones."""
        table = expr.as_table()
        rows = self.to_pyarrow(table, **options)
        gaps = {
            each: rows[each].null_count or pa.types.is_nested(rows[each].type) for each in rows.column_names
        }
        frame = pd.DataFrame(
            {n: rows[n].to_pylist() if gap else rows[n].to_pandas() for n, gap in gaps.items()}
        )
        return expr.__pandas_result__(PandasData.convert_table(frame, table.schema()))

    def _get_schema_using_query(self, query: str) -> Schema:
        return _columns(self.raw_sql(query).schema)

    def _create_cached_table(self, name: str, expr: Any) -> Any:
        """Compute a table now, so that what fails does so where it belongs."""
        with speaking():
            self._run_pre_execute_hooks(expr)
            super()._create_cached_table(name, expr)
            self._cached_dataframes[name].count()
        return self.table(name)

    def _drop_cached_table(self, name: str) -> None:
        """Nothing is left to drop where Java is gone."""
        with contextlib.suppress(PySparkException, Py4JError, OSError):
            super()._drop_cached_table(name)

    def _register_in_memory_table(self, op: Any) -> None:
        """Send a frame as Arrow, which keeps whole numbers beside missing ones; a column of nothing is text."""
        kinds = Schema({name: dt.string if kind.is_null() else kind for name, kind in op.schema.items()})
        rows = op.data.to_pyarrow(op.schema).cast(kinds.to_pyarrow())
        frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
        with speaking():
            made = self._session.createDataFrame(frame, schema=PySparkSchema.from_ibis(kinds))
            made.createOrReplaceTempView(op.name)


class Spark(Guard, Answers):
    """Spark whose results are guarded."""


def _columns(struct: StructType) -> Schema:
    """Return the columns of a table: a time is an instant, unless its type says that it has no zone."""
    instant = dt.Timestamp("UTC")
    kinds = ((field.name, field.dataType) for field in struct.fields)
    return Schema({
        name: instant if isinstance(kind, TimestampType) else PySparkType.to_ibis(kind) for name, kind in kinds
    })  # fmt: skip


def _typed(spec: Table, name: str, kind: pa.DataType | None) -> str:
    """Return SQL for a column of Parquet, of a type of Arrow or out of a folder's name."""
    column, target = _quoted(name), KINDS.get(spec[name].type, "STRING") if name in spec else "STRING"
    if kind is None or pa.types.is_null(kind):
        return f"CAST({column} AS {target}) AS {column}"
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        target = "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
        return f"CAST(timestamp_micros({column} DIV 1000) AS {target}) AS {column}"
    return column


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literally(path: Path) -> str:
    """Return a path of this machine, whatever Spark's own disk is; a star in it is part of a name and no pattern."""
    return "file:" + "".join(f"\\{sign}" if sign in "*?[]{}\\" else sign for sign in str(path))
