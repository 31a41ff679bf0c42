"""One server for all tests of a worker, and the engines that must agree."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import ibis
import pytest

from helpers.data import engine as engines
from tests.engines import server as servers
from tests.golden import ROOT, hard

CHINESE = "LOCALE_PROVIDER icu ICU_LOCALE 'zh-Hans-CN'"


@pytest.fixture(scope="session")
def server() -> Iterator[servers.Server]:
    """A PostgreSQL server of the tests' own."""
    pytest.importorskip("psycopg")
    if (programs := servers.binaries()) is None:
        pytest.skip("no PostgreSQL server here: Debian's package is postgresql")
    with servers.running(programs) as found:
        yield found


@pytest.fixture(scope="session")
def sample_url(server: servers.Server) -> str:
    """The sample community in PostgreSQL."""
    return server.database("sample", servers.files(ROOT / "data" / "sample"))


@pytest.fixture(scope="session")
def hard_url(server: servers.Server) -> str:
    """A community that is hard on every method, in a database whose text is in the order of Chinese."""
    server.ask("postgres", f"CREATE DATABASE hard TEMPLATE template0 {CHINESE}")
    return server.fill("hard", servers.frames(hard.community()))


@dataclass(frozen=True)
class Engine:
    """An engine, and how a table of its own comes into being."""

    con: Any
    run: Callable[[str], Any]
    types: Mapping[str, str]

    def table(self, columns: Mapping[str, str], rows: Sequence[Sequence[Any]] = ()) -> ibis.Table:
        """Make a table with types of SQL, as the engine names them, and rows of Python's values."""
        name = f"made_{next(NUMBERS)}"
        kinds = {column: self.types.get(kind, kind) for column, kind in columns.items()}
        listed = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
        self.run(f"CREATE TABLE {name} ({listed})")
        for row in rows:
            cells = (_cell(cell, kind) for cell, kind in zip(row, kinds.values(), strict=True))
            self.run(f"INSERT INTO {name} VALUES ({', '.join(cells)})")
        return self.con.table(name)


class OfSpark(Engine):
    """Spark, whose tables are views: a statement for each row takes it seconds."""

    def table(self, columns: Mapping[str, str], rows: Sequence[Sequence[Any]] = ()) -> ibis.Table:
        """Make a table as that of any engine."""
        name = f"made_{next(NUMBERS)}"
        kinds = {column: self.types.get(kind, kind) for column, kind in columns.items()}
        listed = ", ".join(f"CAST(`{column}` AS {kind}) AS `{column}`" for column, kind in kinds.items())
        text = ", ".join(f"`{column}` string" for column in columns)
        cells = [[None if cell is None else str(cell) for cell in row] for row in rows]
        self.con._session.createDataFrame(cells, text).createOrReplaceTempView(f"text_{name}")
        self.run(f"CREATE TEMPORARY VIEW {name} AS SELECT {listed} FROM text_{name}")
        return self.con.table(name)


def _cell(cell: Any, kind: str) -> str:
    text = str(cell).replace("'", "''")
    return "NULL" if cell is None else f"CAST('{text}' AS {kind})"


NUMBERS = itertools.count()


def _duckdb(request: pytest.FixtureRequest) -> Engine:
    con = engines.connect()
    return Engine(con, con.raw_sql, {})


def _postgres(request: pytest.FixtureRequest, name: str = "plain", locale: str = "") -> Engine:
    server: servers.Server = request.getfixturevalue("server")
    from helpers.data import postgres

    if not server.ask("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        server.ask("postgres", f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
    con = postgres.connect(server.url(name))

    def run(query: str) -> None:
        with con.begin() as cursor:
            cursor.execute(query)

    return Engine(con, run, {})


TUNED = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}
"""Spark for data this small: most of its time goes to starting and compiling."""


def spark_url(folder: Path | str = "") -> str:
    """Return the address of Parquet in a folder, read by Spark; skip where that cannot be."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: make spark")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("no Java here: Debian's package is default-jre-headless")
    return f"pyspark://{folder}?{urlencode(TUNED)}"


def _spark(request: pytest.FixtureRequest) -> Engine:
    url = spark_url()
    from helpers.data import spark

    kinds = {
        "DOUBLE PRECISION": "DOUBLE",
        "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
        "TIMESTAMP": "TIMESTAMP_NTZ",
    }
    con = spark.connect(url)
    return OfSpark(con, con.raw_sql, {**kinds, "VARCHAR": "STRING"})


ENGINES: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "duckdb": _duckdb,
    "postgres": _postgres,
    "postgres in Chinese order": lambda request: _postgres(request, "chinese", CHINESE),
    "spark": _spark,
}
"""How each engine is reached; another one is another line."""


@pytest.fixture(params=list(ENGINES), scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return ENGINES[request.param](request)
