"""A PostgreSQL server of the tests' own: made in a temporary folder, on a free port, gone with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helpers.data.tables import TABLES

PASSWORD = "wide-open/sesame@5432"
QUOTED = "wide-open%2Fsesame%405432"
"""The password of every role, and as a URL writes it."""
FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
TYPES = {
    "timestamp": "timestamptz",
    "date": "date",
    "integer": "bigint",
    "float": "double precision",
    "boolean": "boolean",
    "json": "jsonb",
    "list": "text[]",
}


def binaries() -> Path | None:
    """Return the folder of the server's programs, which Debian does not put on the path; None without a server."""
    places = [path for folder in FOLDERS for path in Path(folder).glob("*/bin/initdb")]
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve())
    whole = [path.parent for path in places if path.with_name("pg_isready").exists()]
    return max(whole, default=None)


@dataclass(frozen=True)
class Server:
    """A running server; each role has the same password."""

    port: int
    owner: str = "keeper"

    def url(self, database: str, role: str = "keeper") -> str:
        """Return the address of a database."""
        return f"postgres://{role}:{QUOTED}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", role: str = "keeper") -> Any:
        """Return a connection of the driver."""
        import psycopg

        place = {"host": "127.0.0.1", "port": self.port, "dbname": database}
        return psycopg.connect(**place, user=role, password=PASSWORD, autocommit=True)

    def ask(self, database: str, *statements: str) -> list[Any]:
        """Run statements; return the rows of the last one."""
        with contextlib.closing(self.connect(database)) as con:
            for statement in statements:
                cursor = con.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str, tables: dict[str, pa.Table]) -> str:
        """Make a database with tables of the contract in types that shops have; return its address."""
        self.ask("postgres", f'CREATE DATABASE "{name}"')
        return self.fill(name, tables)

    def admit(self, role: str, database: str, *, stores: bool = True, options: str = "") -> str:
        """Make a role that may read a database, and perhaps store temporary tables in it; return its address."""
        self.ask(
            database,
            f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
            f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC',
            f"GRANT pg_read_all_data TO {role}",
            *([f'GRANT TEMPORARY ON DATABASE "{database}" TO {role}'] if stores else []),
            *([f"ALTER ROLE {role} SET {options}"] if options else []),
        )
        return self.url(database, role)

    def fill(self, name: str, tables: dict[str, pa.Table]) -> str:
        """Fill a database, as `database` does."""
        with contextlib.closing(self.connect(name)) as con:
            for table, rows in tables.items():
                load(con, table, rows)
            con.execute("ANALYZE")
        return self.url(name)


def load(con: Any, name: str, rows: pa.Table) -> None:
    """Make a table and fill it: money is numeric, ids are varchar, instants have a zone."""
    spec = TABLES[name]
    kinds = {column: _type(spec, column, rows.schema.field(column).type) for column in rows.column_names}
    con.execute(f"CREATE TABLE {name} ({', '.join(f'{_q(c)} {kind}' for c, kind in kinds.items())})")
    columns = ", ".join(map(_q, kinds))
    with con.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
        for batch in rows.to_batches(50_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copy.write_row(row)


def _q(name: str) -> str:
    return f'"{name}"'


def _type(spec: Any, name: str, kind: pa.DataType) -> str:
    if name not in spec:
        plain = {"double": "double precision", "int64": "bigint", "bool": "boolean"}
        return plain.get(str(kind), "timestamptz" if pa.types.is_timestamp(kind) else "text")
    return "numeric" if name in spec.money else TYPES.get(spec[name].type, "varchar")


def files(folder: Path) -> dict[str, pa.Table]:
    """Return the tables of a folder of Parquet files."""
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def frames(tables: dict[str, pd.DataFrame]) -> dict[str, pa.Table]:
    """Return frames as Arrow tables."""
    return {name: pa.Table.from_pandas(frame, preserve_index=False) for name, frame in tables.items()}


@contextlib.contextmanager
def running(programs: Path) -> Iterator[Server]:
    """Make and start a server, as a user without rights where the tests run as root; stop and remove it after."""
    folder = Path(tempfile.mkdtemp(prefix="engines-"))
    user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if user:
        shutil.chown(folder, "nobody")
        shutil.chown(secret, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        **dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off"),
        "timezone": "America/New_York",  # nothing may rest on the server's own zone
    }
    started = None
    try:
        made = ["initdb", "-D", folder / "data", "-U", "keeper", "-A", "scram-sha-256", "--pwfile", secret]
        _do(programs, [*made, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], user)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [programs / "postgres", "-D", folder / "data", *options]
        with (folder / "log").open("wb") as log:
            started = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd="/", **user)
        waiting = [programs / "pg_isready", "-h", "127.0.0.1", "-p", port]
        deadline = time.monotonic() + 60
        while subprocess.run(list(map(str, waiting)), capture_output=True).returncode:
            assert started.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield Server(port)
    finally:
        if started:
            started.terminate()  # no new connections; those open go with SIGINT
            started.send_signal(2)
            started.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _do(programs: Path, command: Iterable[Any], user: dict[str, Any]) -> None:
    program, *arguments = map(str, command)
    done = subprocess.run(
        [str(programs / program), *arguments], capture_output=True, text=True, cwd="/", **user
    )
    assert done.returncode == 0, done.stderr
