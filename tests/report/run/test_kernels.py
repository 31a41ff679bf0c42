"""Forked kernels: as fresh as any other, with the same results, and gone with whoever asked for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from helpers.errors import BadParameters
from helpers.report.run import engine, kernels, notebook
from helpers.report.run.kernels import server as server_module
from helpers.report.run.kernels.client import LOST, ForkServer
from helpers.report.run.kernels.environment import kernel_environment
from tests.report.run.forked_functions import die_of, exit_with, fail, raise_exit, sleep_with_a_child

ROOT = Path(__file__).parents[3]
BuildNotebook = Callable[..., Path]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# What a notebook can see of its process, and must find the same in a forked kernel.
SEEN = """
import ctypes, gc, json, locale, logging, os, random, signal, sys, threading, time, warnings
import matplotlib
import ipykernel.debugger, numpy, pandas, seaborn, sklearn
seen = {
    "arguments": [os.path.basename(sys.argv[0]), sys.argv[1], len(sys.argv)],
    "environment": {k: v for k, v in os.environ.items() if k not in (%s)},
    "folder": os.getcwd(), "path": sys.path, "zone": [time.tzname, time.localtime(0)[3]],
    "locale": locale.setlocale(locale.LC_ALL), "encoding": [sys.stdout.encoding, sys.getfilesystemencoding()],
    "hash": hash("a"), "flags": str(sys.flags), "leads its session": os.getsid(0) == os.getpid() == os.getpgid(0),
    "signals": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP)],
    "style": {k: str(v) for k, v in matplotlib.rcParams.items()}, "backend": matplotlib.get_backend(),
    "threads": sorted(t.name for t in threading.enumerate() if not t.name.startswith("Thread-")), "main": __name__,
    "loggers": [str(h) for h in logging.root.handlers], "level": logging.root.level,
    "collector": [gc.isenabled(), gc.get_threshold()],
    "pandas": {k: str(pandas.get_option(k)) for k in ("display.max_rows", "mode.copy_on_write")},
    "errors": numpy.geterr(), "recursion": sys.getrecursionlimit(), "blocked": len(signal.pthread_sigmask(0, [])),
}
print(json.dumps(seen))"""
DIFFER = ("PLAYBOOK_RUN_FOLDER", "IPYTHONDIR", "JPY_PARENT_PID", "PYTEST_CURRENT_TEST")


@pytest.fixture
def light() -> Iterator[ForkServer]:
    """A fork server that has imported next to nothing, and so starts at once and may be killed."""
    environment = kernel_environment("", "") | {"PYTHONPATH": str(ROOT)}
    with closing(ForkServer(environment, modules=["json"])) as server:
        yield server


def gone(*pids: int) -> bool:
    """Wait until processes have ended."""
    until = time.monotonic() + 20
    while any(running(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(running(pid) for pid in pids)


def running(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def run(path: Path, folder: Path, server: ForkServer | None, **options: Any) -> tuple[engine.Outcome, Any]:
    nb = notebook.prepare(path, {})
    environment = kernel_environment(folder, str(folder / "ipython")) | options.pop("environment", {})
    outcome = engine.execute(nb, environment=environment, folder=str(folder), server=server, **options)
    return outcome, nb


def test_a_forked_kernel_is_a_fresh_process(
    build_notebook: BuildNotebook, tmp_path: Path, fork_server: ForkServer
) -> None:
    path = build_notebook(SEEN % ", ".join(map(repr, DIFFER)))
    seen = []
    for server in (fork_server, None):
        outcome, nb = run(path, tmp_path, server)
        assert outcome.status == "succeeded", outcome
        seen.append(json.loads(nb.cells[2].outputs[0].text))
    forked, ordinary = seen
    assert forked.keys() == ordinary.keys()
    for name in ordinary:
        assert forked[name] == ordinary[name], name
    assert forked["folder"] == str(tmp_path)


def test_no_two_kernels_share_random_numbers(
    build_notebook: BuildNotebook, tmp_path: Path, fork_server: ForkServer
) -> None:
    path = build_notebook(
        "import random, numpy, uuid\nprint(random.random(), numpy.random.rand(), uuid.uuid4())"
    )
    drawn = [run(path, tmp_path, fork_server)[1].cells[2].outputs[0].text.split() for _ in range(2)]
    assert all(one != two for one, two in zip(*drawn, strict=True))


def test_the_server_has_one_thread_and_knows_when_it_has_more(fork_server: ForkServer) -> None:
    fork_server.fork(bool).wait(60)  # the imports are done
    tasks = Path(f"/proc/{fork_server.process.pid}/task")
    if tasks.is_dir():
        assert len(list(tasks.iterdir())) == 1
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(server_module.Threads, match="a safe fork needs 1"):
            server_module.preload(["json"])
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        (exit_with, (0,), 0),
        (exit_with, (7,), 7),
        (raise_exit, (), 1),
        (fail, (), 1),
        (die_of, (signal.SIGKILL,), -9),
        (die_of, (signal.SIGSEGV,), -11),
        (die_of, (signal.SIGTERM,), -15),
    ],
)
def test_the_end_of_a_process_is_told_as_it_was(
    light: ForkServer, function: Callable[..., int], arguments: tuple[int, ...], code: int
) -> None:
    child = light.fork(function, *arguments)
    assert child.wait(20) == code == child.poll()


def test_letting_go_of_a_process_ends_it_and_what_it_has_started(light: ForkServer) -> None:
    child = light.fork(sleep_with_a_child)
    pids = json.loads(child.channel.recv(100))
    assert all(map(running, pids)) and child.poll() is None
    child.close()
    assert gone(*pids)
    assert light.process.poll() is None


def test_when_the_server_is_killed_all_it_forked_is_gone_and_another_is_started(light: ForkServer) -> None:
    child = light.fork(sleep_with_a_child)
    pid, _ = json.loads(child.channel.recv(100))
    light.process.kill()
    assert child.wait(20) == LOST
    assert gone(pid)
    light.process.wait()
    assert light.fork(exit_with, 7).wait(20) == 7


DRIVER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from helpers.report.run.kernels.client import ForkServer
from tests.report.run.forked_functions import sleep_with_a_child
server = ForkServer(dict(os.environ, PYTHONPATH=sys.argv[1]), modules=["json"])
child = server.fork(sleep_with_a_child)
print(json.dumps([server.process.pid, *json.loads(child.channel.recv(100))]), flush=True)
time.sleep(60)
"""


def test_when_the_driver_is_killed_nothing_is_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pids = json.loads(driver.stdout.readline())
        assert all(map(running, pids))
        driver.kill()
        assert gone(*pids)


def test_a_kernel_whose_server_is_killed_has_died(
    build_notebook: BuildNotebook, tmp_path: Path, light: ForkServer
) -> None:
    kill = "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"
    outcome, _ = run(build_notebook(kill, "1"), tmp_path, light)
    assert (outcome.status, outcome.failure and outcome.failure.cell) == ("kernel_died", 3)
    assert outcome.failure is not None and "killed by SIGKILL" in outcome.failure.message


def test_where_no_server_answers_kernels_are_ordinary(build_notebook: BuildNotebook, tmp_path: Path) -> None:
    with closing(ForkServer(kernel_environment("", ""), modules=["json"])) as gone_server:
        pass
    outcome, nb = run(build_notebook("import os\nprint(os.getppid())"), tmp_path, gone_server)
    assert (outcome.status, nb.cells[2].outputs[0].text) == ("succeeded", f"{os.getpid()}\n")


def test_how_kernels_start_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("ordinary", "fork"):
        monkeypatch.setenv(kernels.VARIABLE, word)
        assert kernels.mode() == kernels.mode(runs=1) == word
    monkeypatch.setenv(kernels.VARIABLE, "quick")
    with pytest.raises(BadParameters, match="must be 'fork' or 'ordinary'"):
        kernels.mode()
    monkeypatch.delenv(kernels.VARIABLE)
    for platform, expected in (("linux", "fork"), ("darwin", "ordinary"), ("win32", "ordinary")):
        monkeypatch.setattr(sys, "platform", platform)
        assert (kernels.mode(), kernels.mode(runs=1)) == (expected, "ordinary")
    monkeypatch.setenv(kernels.VARIABLE, "fork")
    monkeypatch.delattr(os, "fork")
    with pytest.raises(BadParameters, match="cannot fork"):
        kernels.mode()
