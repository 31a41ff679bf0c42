"""A batch on the workers of a Dask cluster: the same reports, and what happens when a part of the cluster ends."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from helpers.errors import BadParameters, MissingSecret
from helpers.report.plan.desk import Plan
from helpers.report.publish import store
from helpers.report.run import batch, cluster, kernels
from tests.report.plans import plan
from tests.report.run.test_batch import checked, ended

distributed = pytest.importorskip("distributed")
BuildNotebook = Callable[..., Path]
STARTS = """import os, time
from pathlib import Path
with open('../starts', 'a') as file:
    file.write(f'{seed} {os.getpid()}\\n')"""
KILL = "os.kill(os.getppid(), 9); time.sleep(60)"  # the parent of an ordinary kernel is its worker
ORDINARY = (kernels.VARIABLE, "ordinary")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a cluster of two workers of one thread; of workers that die it allows a job one."""
    import dask

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**options, env=dict([ORDINARY])) as made,
    ):
        yield made.scheduler_address


def starts(project: Path) -> list[tuple[int, int]]:
    """Return seed and process of each kernel that came to its first cell."""
    path = project / "starts"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(seed), int(pid)) for seed, pid in map(str.split, lines)]


def contents(folder: Path) -> dict[str, Any]:
    """Return the files of a version, its manifest without what differs between two runs of the same."""
    found: dict[str, Any] = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    found["manifest.json"] = json.loads(found["manifest.json"]) | {"bookkeeping": None}
    return found


def test_a_cluster_makes_the_same_bytes_and_a_failed_run_touches_no_other(
    project: Path, build_notebook: BuildNotebook, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*ORDINARY)
    say = "assert seed != 2, 'two'\nprint('seed', seed)"
    plans, told = checked(build_notebook(STARTS, say), 1, 2, 3), []
    plans[2] = dataclasses.replace(plans[2], after=(plans[1].series,))
    here, there = project / "reports", project / "of the cluster"
    local = batch.execute_all(plans, reports=here, workers=2)
    results = batch.execute_all(plans, reports=there, cluster=scheduler, progress=told.append)
    assert [(each.status, each.version) for each in results] == [(each.status, 1) for each in local]
    assert [each.status for each in results] == ["succeeded", "failed", "succeeded"]
    for series in (each.series for each in plans):
        assert contents(here / series / "v1") == contents(there / series / "v1"), series
    last = [event for event in told if event.run == 2]
    assert (last[0].kind, last[-1].kind) == ("start", "done")
    assert any(event.kind == "cell" and event.cell == event.cells == 5 for event in last)
    assert told.index(last[0]) > told.index(next(e for e in told if (e.run, e.kind) == (1, "done")))
    assert batch.execute_all(plans[:1], reports=there, cluster="tcp://nobody:1")[0].status == "skipped"
    assert not list(there.glob(f"{store.STAGING}*"))


def test_a_killed_worker_repeats_its_job_and_no_other(
    project: Path, build_notebook: BuildNotebook, scheduler: str
) -> None:
    once = f"if seed == 1 and not Path('../killed').exists():\n    Path('../killed').touch(); {KILL}"
    plans = checked(build_notebook(STARTS, once), 1, 2)
    results = batch.execute_all(plans, reports=project / "reports", cluster=scheduler)
    assert [each.status for each in results] == ["succeeded"] * 2, [each.line for each in results]
    assert Counter(seed for seed, _ in starts(project)) == {1: 2, 2: 1}
    assert store.published(project / "reports") == [f"rfm/seed-{seed}/v1" for seed in (1, 2)]
    assert not list((project / "reports").glob(f"{store.STAGING}*"))
    assert ended(*(pid for _, pid in starts(project)))


def test_a_job_that_kills_each_worker_is_given_up_with_the_reason(
    project: Path, build_notebook: BuildNotebook, scheduler: str
) -> None:
    plans = checked(build_notebook(STARTS, f"if seed == 1: {KILL}"), 1, 2)
    results = batch.execute_all(plans, reports=project / "reports", cluster=scheduler)
    assert [each.status for each in results] == ["not_published", "succeeded"]
    said = (
        "rfm/seed-1: not published: each worker that made it died, 2 in all, as they do when memory runs out"
    )
    assert results[0].line.startswith(f"{said}; the last was tcp://")
    assert Counter(seed for seed, _ in starts(project)) == {1: 2, 2: 1}
    assert store.published(project / "reports") == ["rfm/seed-2/v1"]


def test_a_secret_stays_where_it_is_and_is_missed_on_a_worker_that_has_it_not(
    project: Path, build_notebook: BuildNotebook, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secrets = (
        build_notebook("seed"),
        {"SHOP_TABLES": str(project / "tables"), "PLAYBOOK_SALT": "sesame-72"},
    )
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    named = plan(path, data="${SHOP_TABLES}", label="named")
    salted = plan(path, label="salted")
    results = batch.execute_all([named, salted], reports=project / "reports", cluster=scheduler)
    assert [each.status for each in results] == ["not_published"] * 2
    assert (
        "worker tcp://" in results[0].line
        and "SHOP_TABLES: the environment variable is not set" in results[0].line
    )
    assert results[0].failure is not None and results[0].failure.kind == "missing_secret"
    assert "it would make another report (environment changed: PLAYBOOK_SALT)" in results[1].line
    assert store.published(project / "reports") == []
    job = pickle.dumps(_job(named, project)).decode("latin1")
    assert "${SHOP_TABLES}" in job and not [value for value in secrets.values() if value in job]
    with distributed.Client(scheduler, set_as_default=False) as client:
        logs = str(client.get_worker_logs()) + str(client.get_scheduler_logs())
    assert not [value for value in secrets.values() if value in logs]


def _job(made: Plan, project: Path) -> cluster.Job:
    return cluster.Job(made, 0, "b", project / "notebooks", cluster._seen(made), 0, "en")


def test_a_worker_that_sees_something_else_makes_no_report(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(build_notebook("seed"))
    job = _job(made, project)
    cluster._check(job)

    def refused(job: cluster.Job) -> str:
        with pytest.raises(cluster.ClusterFailed) as told:
            cluster._check(job)
        return str(told.value)

    assert "does not share the reports folder" in refused(job._replace(marker=project / "elsewhere"))
    other = {"packages": job.seen["packages"] | {"pandas": "1.0"}}
    assert "(packages changed: pandas)" in refused(job._replace(seen={**job.seen, **other}))
    absent = dataclasses.replace(made, notebook=project / "notebooks" / "02_absent.ipynb")
    assert "there is no" in refused(job._replace(plan=absent))
    with monkeypatch.context() as patched:
        patched.setitem(cluster._LOADED, "helpers.sentences", "what it was when the worker started")
        assert "(code changed: helpers.sentences)" in refused(job)
    with monkeypatch.context() as patched:
        patched.delenv("SHOP", raising=False)
        away = dataclasses.replace(made, values=made.values | {"data": "${SHOP}"})
        with pytest.raises(MissingSecret, match="SHOP"):
            cluster._check(job._replace(plan=away))
    table = project / "tables" / "orders.parquet"
    table.rename(table.with_name("members.parquet"))
    assert "(data changed: members, orders)" in refused(job)


def test_threads_of_a_worker_look_at_their_jobs_one_by_one(
    project: Path, build_notebook: BuildNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 loses count in a syntax tree when another thread begins one, as a look at garbage lets it."""
    jobs = [_job(each, project) for each in checked(build_notebook(*["x = [[[1]]] + [[[2]]]"] * 40), 1, 2)]
    monkeypatch.setenv("PLAYBOOK_CACHE", str(tmp_path / "nothing is known of files yet"))
    before = gc.get_threshold()
    gc.callbacks.append(lambda *_: time.sleep(1e-5))
    gc.set_threshold(200)
    try:
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(cluster._check, jobs)) == [None] * 2
    finally:
        gc.callbacks.pop()
        gc.set_threshold(*before)


def test_a_password_in_an_address_is_not_sent(project: Path, build_notebook: BuildNotebook) -> None:
    made = plan(build_notebook("seed"))
    made = dataclasses.replace(made, values=made.values | {"data": "postgres://me:open-sesame@host/base"})
    with pytest.raises(BadParameters, match="holds a password, which is not sent") as told:
        batch.execute_all([made], reports=project / "reports", cluster="tcp://127.0.0.1:1")
    assert "open-sesame" not in str(told.value)


def test_a_cluster_that_does_not_answer_is_wrong_usage(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 0.5)
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        with pytest.raises(BadParameters, match=f"the cluster {address} cannot be used"):
            batch.execute_all([plan(build_notebook("seed"))], reports=project / "reports", cluster=address)
    assert store.published(project / "reports") == []
    assert not list((project / "reports").glob(f"{store.STAGING}*"))


def test_ctrl_c_ends_what_workers_have_in_hand(
    project: Path, build_notebook: BuildNotebook, scheduler: str
) -> None:
    path = build_notebook(STARTS, "time.sleep(600)")
    command = [sys.executable, "-m", "helpers.cli", "run", str(path), "--cluster", scheduler]
    command += ["--reports", str(project / "reports")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        wait_for(lambda: bool(starts(project)) or driver.poll() is not None)
        driver.send_signal(signal.SIGINT)
        _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130 and "Traceback" not in said, said
    assert said.splitlines() == [
        "rfm/all: start",
        "stopped; what was published stands, and the next run does the rest",
    ]
    ((_, kernel),) = starts(project)
    assert not psutil.pid_exists(kernel), "the command waits until it has ended"
    assert store.published(project / "reports") == [] and not list((project / "reports").glob(".*"))


def test_a_lost_scheduler_is_the_reason_of_each_run_that_is_left(
    project: Path, build_notebook: BuildNotebook, tmp_path: Path
) -> None:
    where = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "dask"]
    known = ["--scheduler-file", str(where)]
    with (
        subprocess.Popen([*command, "scheduler", *known, "--port", "0", "--no-dashboard"]) as scheduler,
        subprocess.Popen([*command, "worker", *known, "--nthreads", "1"], env=os.environ | dict([ORDINARY])),
        ThreadPoolExecutor() as beside,
    ):
        try:
            wait_for(where.exists)
            address = json.loads(where.read_text())["address"]
            plans = checked(build_notebook(STARTS, "time.sleep(600)"), 1, 2)
            running = beside.submit(batch.execute_all, plans, reports=project / "reports", cluster=address)
            wait_for(lambda: bool(starts(project)) or running.done())
        finally:
            scheduler.kill()  # and the worker goes with it
        results = running.result(60)
    lost = "not published: the connection to the scheduler of the cluster was lost"
    assert [each.line for each in results] == [f"{each.series}: {lost}" for each in plans]
    assert ended(*(pid for _, pid in starts(project)))
    assert store.published(project / "reports") == []


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)
