"""The ways people connect to PostgreSQL: with few rights, to a busy server, and what they read when it breaks."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import ibis
import nbformat
import pandas as pd
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from helpers.data import engine, source
from helpers.data.violation import ContractError
from helpers.errors import BadData, DatabaseFailed
from helpers.study.frames import materialise
from tests import golden
from tests.engines.server import PASSWORD, QUOTED
from tests.report.plans import plan

postgres = pytest.importorskip("helpers.data.postgres", reason="psycopg is not installed")
pytestmark = pytest.mark.engines

COMMAND = str(Path(sys.executable).with_name("playbook"))


@pytest.fixture(scope="module")
def no_temporary(server, hard_url) -> str:
    """The address of a role that may read and not store."""
    return server.admit("looker", "hard", stores=False)


@pytest.fixture(scope="module")
def read_only(server, hard_url) -> str:
    """The address of a role whose transactions are read-only, as those on a replica are."""
    return server.admit("replica", "hard", options="default_transaction_read_only = on")


@pytest.fixture(scope="module")
def sample_reader(server, sample_url) -> str:
    """The address of a role that may read the sample and not store."""
    return server.admit("browser", "sample", stores=False)


@pytest.mark.parametrize("role", ["no_temporary", "read_only"])
def test_a_role_that_may_not_store_has_its_rows_copied_and_is_told(role, request, tmp_path, capsys):
    url = request.getfixturevalue(role)
    found = source.open(url, tables=["orders", "members"])
    said_before = capsys.readouterr().err
    rows = {name: int(table.count().execute()) for name, table in found.tables.items()}
    said = f"{rows['members']} rows of members, {rows['orders']} rows of orders were copied"
    assert any(said in note for note in found.notes), found.notes
    copied = said.removesuffix(" were copied")
    assert said_before == f"The role may not make temporary tables: {copied} are copied first.\n"
    assert {table.get_backend().name for table in found.tables.values()} == {"duckdb"}
    golden.check("hard", "01_rfm", golden.run("hard", "01_rfm", tmp_path, data=url))


def test_a_batch_says_how_many_rows_it_copies_before_it_does(no_temporary, hard_url, root):
    first, again, stores = (
        plan(root / "notebooks" / "01_rfm.ipynb", data=url) for url in (no_temporary, no_temporary, hard_url)
    )
    rows = ", ".join(f"{table.rows:,} rows of {name}" for name, table in first.tables.items())
    assert first.notice() == f"rfm/all: the role may not make temporary tables, so {rows} are copied first"
    assert (first.run_key, stores.notice()) == (again.run_key, "")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", ["03_ab_test", "04_attribution", "05_budget"])
def test_a_role_that_may_not_store_reads_the_same_numbers(notebook, sample_reader, root, tmp_path):
    url = f"{sample_reader}?beside={root / 'data' / 'sample'}"
    golden.check("sample", notebook, golden.run("sample", notebook, tmp_path, data=url))


def test_too_many_rows_to_copy_name_the_right_that_is_missing(no_temporary, monkeypatch):
    monkeypatch.setattr(engine, "MOST_COPIED", 100)
    with pytest.raises(BadData, match=r"GRANT TEMPORARY") as told:
        source.open(no_temporary, tables=["events"])
    assert "rows of events are too many to copy here (at most 100)" in str(told.value)


def test_of_a_very_wide_table_the_first_columns_are_copied(server, no_temporary):
    extra = ", ".join(f"{n} AS extra_{n}" for n in range(205))
    server.ask(
        "hard", "CREATE SCHEMA wide", f"CREATE TABLE wide.orders AS SELECT *, {extra} FROM public.orders"
    )
    server.ask("hard", "GRANT USAGE ON SCHEMA wide TO looker", "GRANT SELECT ON wide.orders TO looker")
    found = source.open(f"{no_temporary}/wide", tables=["orders"])
    assert "extra_199" in found.orders.columns and "extra_204" not in found.orders.columns
    assert sum("columns outside the contract, 200 of them read" in note for note in found.notes) == 1


def test_a_mapping_reads_through_a_role_that_may_not_store(no_temporary, tmp_path, monkeypatch):
    columns = {name: name for name in ("order_id", "member_id", "paid_at", "gross", "currency")}
    sources = {"paid": {"table": "orders", "tables": {"orders": columns}}}
    text = yaml.safe_dump({"view": "buyer", "zone": "Asia/Shanghai", "sources": sources})
    (tmp_path / "shop.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    found = source.open(f"{no_temporary}?mapping=shop.yml", tables=["orders"])
    plain = source.open(no_temporary, tables=["orders"])
    assert found.orders.gross.sum().execute() == plain.orders.gross.sum().execute() > 0


def test_all_queries_of_a_report_see_the_same_rows(server, hard_url):
    found = source.open(hard_url, tables=["events"])
    before = int(found.events.count().execute())
    server.ask("hard", "INSERT INTO events SELECT 'late' || event_id, member_id, ts, event FROM events")
    try:
        assert int(found.events.count().execute()) == before
        assert int(source.open(hard_url, tables=["events"]).events.count().execute()) == 2 * before
    finally:
        server.ask("hard", "DELETE FROM events WHERE event_id LIKE 'late%'")


def test_times_without_a_zone_ask_for_it_and_are_read_in_it(server, hard_url):
    wall = "(ts AT TIME ZONE 'Asia/Shanghai')"
    server.ask(
        "hard",
        "CREATE SCHEMA wall",
        f"CREATE TABLE wall.events AS SELECT event_id, member_id, {wall} AS ts, event FROM public.events",
    )
    with pytest.raises(ContractError, match=r"local time without a zone") as told:
        source.open(f"{hard_url}/wall")
    assert "events.ts" in str(told.value) and "local_tz" in str(told.value)
    for days in (f"{hard_url}/wall?local_tz=Asia/Shanghai", f"{hard_url}/wall?local_tz=UTC"):
        found = source.open(days)
        assert any("read as local time of" in note for note in found.notes)
    here = source.open(f"{hard_url}/wall?local_tz=Asia/Shanghai").events
    there = source.open(hard_url, tables=["events"]).events
    days = [_days(table) for table in (here, there, source.open(f"{hard_url}/wall?local_tz=UTC").events)]
    assert days[0] == days[1] != days[2]


def _days(table: ibis.Table) -> Counter[dt.datetime]:
    found = table.ts.value_counts(name="n").execute()
    return Counter(dict(zip(found["ts"].dt.to_pydatetime(), found["n"].tolist(), strict=True)))


def test_what_is_stored_is_planned_with_its_real_size(hard_url):
    events = source.open(hard_url, tables=["events"]).events
    stored = materialise(events.group_by("member_id").agg(n=events.count()))
    con, name = (
        events.get_backend(),
        stored.op().parent.name if hasattr(stored.op(), "parent") else stored.op().name,
    )
    with con.begin() as cursor:
        (seen,) = cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s", (name,)).fetchone()
    assert seen == stored.count().execute() > 100


def test_a_lookup_goes_in_by_one_copy(hard_url, monkeypatch):
    from psycopg import Cursor

    events = source.open(hard_url, tables=["events"]).events
    lookup = source.as_table(pd.DataFrame({"member_id": [f"m{n}" for n in range(5_000)], "n": range(5_000)}))
    statements, execute = [], Cursor.execute
    monkeypatch.setattr(Cursor, "execute", lambda *a, **n: statements.append(a[1]) or execute(*a, **n))
    assert events.semi_join(lookup, "member_id").count().execute() == events.count().execute()
    assert len(statements) <= 5, statements
    assert not any("INSERT" in str(each) for each in statements)


def test_a_notebook_left_open_lets_go(hard_url):
    with source.open(hard_url, tables=["orders"]).orders.get_backend().begin() as cursor:
        said = cursor.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert said == ("30min",)


def _broken(server, url, statement: str) -> str:
    """Return the message of a question before which something happens; `{pid}` is its process in the server."""
    con = postgres.connect(url)
    table = con.table("events")
    pid = con.con.info.backend_pid
    server.ask("broken", statement.format(pid=pid))
    with pytest.raises(DatabaseFailed) as told:
        table.count().execute()
    return str(told.value)


@pytest.fixture
def broken_url(server):
    """A database for one test to break."""
    from tests.engines.server import frames
    from tests.golden import hard

    yield server.database("broken", frames(hard.community()))
    server.ask("postgres", "DROP DATABASE broken WITH (FORCE)")


def test_the_words_of_the_driver_become_ours(server, broken_url):
    killed = _broken(server, broken_url, "SELECT pg_terminate_backend({pid})")
    assert killed == "PostgreSQL: the database was shut down or closed the connection. Run the report again."
    dropped = _broken(server, broken_url, "DROP TABLE events")
    assert dropped.startswith("PostgreSQL: a table is no longer in the database: ") and "events" in dropped


def test_a_query_that_takes_too_long_says_who_ended_it(hard_url):
    con = postgres.connect(hard_url)
    with pytest.raises(DatabaseFailed, match=r"cancelled a query that took too long \(statement_timeout\)"):
        con.raw_sql("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("SerializationFailure", "gave up the report's snapshot"),
        ("DiskFull", "no room left for this query, on disk or in memory: of the driver"),
        ("IdleInTransactionSessionTimeout", "idle for more than 30min"),
        ("UndefinedColumn", "a column is no longer in the database: of the driver"),
        ("OperationalError", "the connection to the database was lost"),
        ("DivisionByZero", "PostgreSQL: of the driver"),
    ],
)
def test_each_kind_of_failure_has_its_words(error, words):
    import psycopg

    raised = getattr(psycopg.errors, error, None) or getattr(psycopg, error)
    assert words in postgres.said(raised("of the driver\nand more of it"))


def test_a_role_without_rights_and_a_wrong_password_are_named_without_secrets(server, broken_url):
    server.ask("broken", f"CREATE ROLE outsider LOGIN PASSWORD '{PASSWORD}'")
    outside = server.url("broken", "outsider")
    with pytest.raises(BadData, match="Its tables: none that may be read"):
        source.open(outside, tables=["orders"])
    server.ask("broken", "GRANT SELECT ON events TO outsider")
    told = _broken(server, outside, "REVOKE SELECT ON events FROM outsider")
    assert told == (
        "PostgreSQL: the role may not do that: permission denied for table events. "
        "Ask for the right to read the table (GRANT SELECT)."
    )
    wrong = quote("not-the-password")
    with pytest.raises(BadData, match="password authentication failed") as told:
        source.open(server.url("broken").replace(QUOTED, wrong))
    assert wrong not in str(told.value) and "***" in str(told.value)


def test_a_connection_lost_on_the_way_is_a_truthful_failed_report(server, sample_url, root, tmp_path):
    reports = tmp_path / "reports"
    address = sample_url.replace(QUOTED, "${SHOP_PASSWORD}")
    command = [COMMAND, "run", "rfm", "--data", address, "--reports", str(reports)]
    environment = {**os.environ, "SHOP_PASSWORD": PASSWORD, "PLAYBOOK_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        working = "datname = 'sample' AND pid <> pg_backend_pid() AND query LIKE '%ibis_cached%'"
        deadline = time.monotonic() + 300
        while not server.ask("sample", f"SELECT pid FROM pg_stat_activity WHERE {working}"):
            assert run.poll() is None and time.monotonic() < deadline, "the report was over before it was cut"
            time.sleep(0.1)
        server.ask("sample", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {working}")
        printed, _ = run.communicate(timeout=300)
    assert run.returncode == 1, printed
    (manifest,) = reports.rglob("manifest.json")
    told = json.loads(manifest.read_text("utf-8"))
    assert told["status"] == "failed"
    assert "the database was shut down or closed the connection" in manifest.read_text("utf-8")
    page = (manifest.parent / "report.html").read_text("utf-8")
    assert "shut down or closed the connection" in page
    written = [path for path in reports.rglob("*") if path.is_file()]
    secrets = [form.encode() for form in (PASSWORD, QUOTED)]
    assert not [path for path in written if any(secret in path.read_bytes() for secret in secrets)]
    assert not any(secret.decode() in printed for secret in secrets)


WAIT = """import time
from pathlib import Path
Path("at").touch()
while Path("at").exists():
    time.sleep(0.02)"""
OPEN = """from helpers.data import source
found = source.open(data, tables=["members", "orders"])
found["orders"]"""
SCHEMA = """import os
from helpers.data import postgres
found = postgres.connect(os.environ["SHOP"]).table("orders")"""
COUNT = "print(found.orders.count().execute(), 'orders')"
ENDS = {
    "dropped before it is opened": (
        [WAIT, OPEN, COUNT],
        "CREATE TABLE kept AS TABLE orders; DROP TABLE orders",
        "Gone since the run was planned: orders. Run it again.",
    ),
    "dropped before it is read": (
        [SCHEMA, WAIT, "found.execute()"],
        "DROP TABLE orders",
        'PostgreSQL: a table is no longer in the database: relation "orders" does not exist',
    ),
    "cut off between two cells": (
        [OPEN, WAIT, COUNT],
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'broken' AND pid <> pg_backend_pid()",
        "PostgreSQL: the database was shut down or closed the connection. Run the report again.",
    ),
}
"""Cells, what another session does while they wait, and what the report says of it."""


@pytest.fixture
def run_while(server, broken_url, tmp_path):
    """Run a notebook of these cells as the command does, and something else while it waits."""
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    environment = {**os.environ, "SHOP": broken_url, "PLAYBOOK_CACHE": str(tmp_path / "cache")}

    def run(cells, meanwhile=lambda: None):
        path, waits = root / "notebooks" / "01_rfm.ipynb", root / "notebooks" / "at"
        head = new_code_cell('data: str = "tables"', metadata={"tags": ["parameters"]}, id="parameters")
        code = [new_code_cell(cell, id=f"cell-{number}") for number, cell in enumerate(cells)]
        nbformat.write(new_notebook(cells=[head, *code]), path)
        command = [COMMAND, "run", str(path), "--data", "${SHOP}", "--reports", str(root / "reports")]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, env=environment, cwd=root, **options) as running:
            deadline = time.monotonic() + 120
            while not waits.exists() and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            try:
                meanwhile()
            finally:
                waits.unlink(missing_ok=True)
            printed, _ = running.communicate(timeout=120)
        return running.returncode, printed, root / "reports"

    return run


@pytest.mark.parametrize("end", list(ENDS))
def test_what_breaks_between_cells_is_a_failed_report_and_the_next_run_makes_it(end, server, run_while):
    cells, statement, said = ENDS[end]
    code, printed, reports = run_while(cells, lambda: server.ask("broken", *statement.split("; ")))
    assert code == 1 and "0 succeeded, 0 skipped, 0 not run, 1 failed" in printed, printed
    told = json.loads((reports / "rfm" / "all" / "v1" / "manifest.json").read_text("utf-8"))
    assert told["status"] == "failed" and told["failure"]["message"].startswith(said), told["failure"]
    assert said.split(": ")[1].split(".")[0] in printed
    assert not list(reports.glob(".*")) and not (reports / "rfm" / "all" / "latest.json").exists()
    secrets = [form.encode() for form in (PASSWORD, QUOTED)]
    written = [path for path in reports.rglob("*") if path.is_file()]
    assert not [path for path in written if any(secret in path.read_bytes() for secret in secrets)]
    assert not any(secret.decode() in printed for secret in secrets)
    if "kept" in statement:
        server.ask("broken", "ALTER TABLE kept RENAME TO orders")
        assert run_while([OPEN, COUNT])[0] == 0
        assert json.loads((reports / "rfm" / "all" / "latest.json").read_text())["version"] == 2


def test_a_table_that_a_report_reads_cannot_be_dropped_or_emptied_under_it(server, run_while):
    import psycopg

    def meanwhile():
        for statement in ("DROP TABLE orders", "TRUNCATE orders"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                server.ask("broken", "SET lock_timeout = 300", statement)

    code, printed, reports = run_while([OPEN, WAIT, COUNT], meanwhile)
    assert code == 0, printed
    (rows,) = server.ask("broken", "SELECT count(*) FROM orders")[0]
    assert f"{rows} orders" in (reports / "rfm" / "all" / "v1" / "notebook.ipynb").read_text("utf-8")
