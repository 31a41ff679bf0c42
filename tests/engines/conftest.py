"""One server for all tests of a worker, and the engines that must agree."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


ENGINES: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "duckdb": _duckdb,
    "postgres": _postgres,
    "postgres in Chinese order": lambda request: _postgres(request, "chinese", CHINESE),
}
"""How each engine is reached; another one is another line."""


@pytest.fixture(params=list(ENGINES), scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return ENGINES[request.param](request)
