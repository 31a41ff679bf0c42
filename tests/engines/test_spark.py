"""The ways people reach Spark, and what they read when it breaks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.data import source
from helpers.data.fingerprint import fingerprint
from helpers.data.violation import ContractError
from helpers.errors import BadData, DatabaseFailed
from helpers.study.frames import materialise
from tests import golden
from tests.engines.conftest import TUNED, spark_url

pytestmark = pytest.mark.engines

COMMAND = str(Path(sys.executable).with_name("playbook"))
ROWS = {
    "event_id": ["e1", "e2", "e3"],
    "member_id": ["m1", "m2", "m2"],
    "ts": pd.to_datetime(["2026-03-01 15:59", "2026-03-01 16:00", "2026-03-02 00:00"], utc=True),
    "event": ["like", "comment", "like"],
}


def events(folder: Path, name: str = "events.parquet", **changed) -> str:
    """Write events in the types that pandas gives them; return the folder's address."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(ROWS | changed).to_parquet(folder / name, index=False)
    return spark_url(folder)


def test_a_folder_reads_as_it_does_without_spark(tmp_path):
    nothing = pa.table(pd.DataFrame(ROWS)).append_column("content_id", pa.nulls(3))
    url = events(tmp_path, "events/day=2026-03-01/a.parquet")
    (tmp_path / "events/day=2026-03-02").mkdir()
    other = nothing.set_column(0, "event_id", pa.array(["e4", "e5", "e6"]))
    pq.write_table(other, tmp_path / "events/day=2026-03-02/b*.parquet")
    here, there = (source.open(place).events.order_by("event_id") for place in (url, str(tmp_path)))
    assert dict(here.schema()) == dict(there.schema())
    pd.testing.assert_frame_equal(here.execute(), there.execute()[list(here.columns)])
    assert fingerprint(url) == fingerprint(str(tmp_path)), "known from the files, without Java"


def test_what_breaks_the_contract_is_told_as_of_files(tmp_path):
    url = events(tmp_path, event_id=["e1", "e1", None], ts=pd.to_datetime(["2099-01-01"] * 3, utc=True))
    told = []
    for place in (url, str(tmp_path)):
        with pytest.raises(ContractError) as error:
            source.open(place)
        told.append(error.value.violations)
    assert told[0] == told[1] and len(told[0]) >= 3


def test_times_without_a_zone_ask_for_it_and_are_read_in_it(tmp_path):
    url = events(tmp_path, ts=pd.to_datetime(["2026-03-01 23:59", "2026-03-02 00:00", None]))
    with pytest.raises(ContractError, match=r"events\.ts.*local_tz"):
        source.open(url)
    url = events(tmp_path, ts=pd.to_datetime(["2026-03-01 23:59", "2026-03-02 00:00", "2026-03-02 08:00"]))
    found = source.open(f"{url}&local_tz=Asia/Shanghai")
    assert any("read as local time of Asia/Shanghai" in note for note in found.notes)
    assert found.events.order_by("event_id").ts.execute().tolist() == [
        t.tz_localize(None) for t in ROWS["ts"]
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/nowhere/at/all", "does not exist"),
        ("{folder}?local=1", "local is no setting for an address"),
        ("{folder}?spark.hadoop.fs.s3a.secret.key=hidden-word", "secrets go to spark-defaults.conf"),
        ("{folder}?spark.driver.extraJavaOptions=-Dx.keyStorePassword%3Dhidden-word", "secrets go to"),
        (
            "{folder}?spark.hadoop.jdo.ConnectionURL=jdbc%3Amysql%3A%2F%2Fme%3Ahidden-word%40db",
            "secrets go to",
        ),
        ("{folder}?spark.hadoop.fs.azure.sas.a.b=hidden-word", "secrets go to"),
        ("{folder}?spark.master=local[7]", "Spark already runs in this process, at local[2]"),
        ("{folder}?mapping=shop.yml", "make views in Spark"),
    ],
)
def test_an_address_that_cannot_be_is_refused(place, words, tmp_path):
    url = events(tmp_path)
    source.open(url)
    with pytest.raises(BadData) as told:
        source.open(f"pyspark://{place.format(folder=tmp_path)}")
    assert words in str(told.value) and "hidden-word" not in str(told.value)


def test_text_in_a_folder_is_for_duckdb(tmp_path):
    (tmp_path / "orders.csv").write_text("order_id\n1\n")
    with pytest.raises(BadData, match="holds orders as text, and Spark reads Parquet"):
        source.open(spark_url(tmp_path))


def test_without_java_its_name_is_said(tmp_path, monkeypatch):
    url = events(tmp_path)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadData, match="Spark needs Java 17"):
        source.open(url)


def test_what_the_disk_says_is_no_dead_java():
    pytest.importorskip("pyspark")
    from helpers.data import spark

    full = spark.said(OSError(28, "No space left on device"))
    assert "No space left on device" in full and "Java process" not in full
    assert all(
        "its Java process is gone" in spark.said(gone) for gone in (ConnectionResetError(), EOFError())
    )


def test_a_file_that_goes_away_fails_where_it_is_asked_for(tmp_path):
    found = source.open(events(tmp_path))
    (tmp_path / "events.parquet").unlink()
    with pytest.raises(
        DatabaseFailed, match=r"^Spark: a file of a table is no longer there: .*events\.parquet"
    ):
        materialise(found.events.group_by("member_id").agg(n=found.events.count()))


@pytest.mark.slow
def test_a_database_of_the_metastore(tmp_path):
    """In a process of its own: where Spark finds its tables is settled when it starts."""
    spark_url()
    derby = f"jdbc:derby:;databaseName={tmp_path}/meta;create=true"
    places = {
        "spark.sql.warehouse.dir": f"{tmp_path}/house",
        "spark.hadoop.javax.jdo.option.ConnectionURL": derby,
    }
    url = f"pyspark:///?{urlencode(TUNED | places)}&database="
    script = tmp_path / "script.py"
    script.write_text(f"""
from helpers.data import source, spark
from helpers.data.fingerprint import fingerprint
url = {url!r}
con = spark.connect(url + "default")
con.raw_sql("CREATE DATABASE shop")
rows = "('e1', 'm1', timestamp '2026-03-01 15:59:00', 'like'), ('e2', 'm1', timestamp '2026-03-02 16:00:00', 'like')"
con.raw_sql("CREATE TABLE shop.events AS SELECT * FROM VALUES " + rows + " AS t(event_id, member_id, ts, event)")
con.disconnect()
before = fingerprint(url + "shop")
from pyspark import SparkContext
print(before["events"].rows, SparkContext._gateway, source.open(url + "shop").events.count().execute())
try:
    source.open(url + "default")
except Exception as error:
    print(error)
""")
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.startswith("2 None 2\n"), ran.stdout + ran.stderr
    assert "has no table of the contract" in ran.stdout


@pytest.fixture
def cluster(tmp_path) -> Iterator[str]:
    """A master and a worker of Spark's own on this machine; the address that the master says."""
    spark_url()
    import pyspark

    program = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    shared = ["--host", "127.0.0.1", "--webui-port", "0"]
    master = ["master.Master", *shared, "--port", "0"]
    worker = [
        "worker.Worker",
        *shared,
        "--cores",
        "2",
        "--memory",
        "1g",
        "--work-dir",
        str(tmp_path / "work"),
    ]
    with contextlib.ExitStack() as started:

        def start(arguments: list[str], until: str) -> str:
            log = tmp_path / f"{arguments[0]}.log"
            command = [program, f"org.apache.spark.deploy.{arguments[0]}", *arguments[1:]]
            with log.open("w") as file:
                process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
            started.callback(process.wait)
            started.callback(process.terminate)
            deadline = time.monotonic() + 60
            while not (found := re.search(until, log.read_text("utf-8"))):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.2)
            return found.group()

        address = start(master, r"spark://127\.0\.0\.1:\d+")
        start([*worker, address], "Successfully registered with master")
        yield address


@pytest.mark.slow
def test_a_cluster_by_its_address_gives_the_same_numbers(cluster, root, tmp_path):
    settings = {**TUNED, "spark.executor.memory": "768m", "spark.driver.host": "127.0.0.1"}
    del settings["spark.master"]
    url = f"py{cluster}{root / 'data' / 'sample'}?{urlencode(settings)}"
    command = [COMMAND, "run", "rfm", "--data", url, "--reports", str(tmp_path / "reports")]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (manifest,) = (tmp_path / "reports").rglob("manifest.json")
    golden.check("sample", "01_rfm", golden.published(manifest.parent))


def machines(pid: int) -> list[psutil.Process]:
    """Return the processes of Spark below a process, without the one that finds out how to start it."""
    found = []
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.name() == "java" and "org.apache.spark.launcher.Main" not in each.cmdline():
                found.append(each)
    return found


def run_until(root: Path, tmp_path: Path, breaks) -> tuple[str, str, str]:
    """Run a report of a copy of the sample, break something when Spark has begun to work; return what was told."""
    data, reports = tmp_path / "data", tmp_path / "reports"
    shutil.copytree(root / "data" / "sample", data)
    command = [COMMAND, "run", "rfm", "--data", spark_url(data), "--reports", str(reports)]
    environment = {**os.environ, "PLAYBOOK_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        deadline, java = time.monotonic() + 300, []
        while not java or sum(java[0].cpu_times()[:2]) < 12:
            assert run.poll() is None and time.monotonic() < deadline, (
                "the report was over before it was broken"
            )
            time.sleep(0.1)
            java = java or machines(run.pid)
        assert machines(run.pid) == java, "one Java for one report"
        breaks(data, java[0])
        printed, _ = run.communicate(timeout=300)
    assert run.returncode == 1, printed
    (manifest,) = reports.rglob("manifest.json")
    assert json.loads(manifest.read_text("utf-8"))["status"] == "failed"
    return printed, manifest.read_text("utf-8"), (manifest.parent / "report.html").read_text("utf-8")


def test_java_that_dies_on_the_way_is_a_truthful_failed_report(root, tmp_path):
    told = run_until(root, tmp_path, lambda data, java: java.kill())
    assert all("its Java process is gone" in text for text in told[1:]), told[0]


def test_a_job_that_fails_on_the_way_is_a_truthful_failed_report(root, tmp_path):
    def breaks(data: Path, _) -> None:
        for path in data.glob("*.parquet"):
            path.write_bytes(b"no longer Parquet")

    told = run_until(root, tmp_path, breaks)
    # The end of a file, or no Parquet at all: which of them depends on how far the report had come.
    assert all(re.search(r"Spark: a query failed: java\.\w+\.\w+", text) for text in told[1:]), told[0]
