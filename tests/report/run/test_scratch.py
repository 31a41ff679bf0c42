"""Folders for the time of a process: short enough for sockets, swept when left behind, never while in use."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.data import scratch
from helpers.report.run import engine, notebook
from helpers.report.run.kernels import kernel
from helpers.report.run.kernels.environment import kernel_environment

HOLDER = """import sys, tempfile
tempfile.tempdir = sys.argv[1]
from helpers.data import engine
connection = engine.connect()  # the typed tables of CSV files lie in its folder
print(connection.workspace.parent, flush=True)
sys.stdin.read()"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these sockets nor locks")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, and for what is too long for it too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files whose name is too long for a socket."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_is_swept_when_its_process_is_gone_and_not_before(temporary: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(temporary)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        scratch.sweep.__wrapped__(0)
        assert folder.is_dir()
        process.kill()
    scratch.sweep.__wrapped__(0)
    assert not folder.exists()


def test_the_folders_of_others_stay(temporary: Path) -> None:
    for name in ("playbook-notes", "playbook-2026", "other-scratch-1-abc"):
        (temporary / name).mkdir()
    own = scratch.folder()
    assert own is not None
    scratch.sweep.__wrapped__(0)
    assert own.path.exists() and len(list(temporary.iterdir())) == 4
    own.close()
    assert not own.path.exists() and len(list(temporary.iterdir())) == 3


@pytest.mark.parametrize("short", [True, False])
def test_where_names_are_too_long_sockets_are_elsewhere_or_none(
    long: Path,
    short: bool,
    build_notebook: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not short:
        monkeypatch.setattr(scratch, "SHORT", tmp_path / "not there")
    place = scratch.folder(room=6)
    assert (place is not None) is short
    if place:
        place.close()
        assert place.path.parent == scratch.SHORT
    nb = notebook.prepare(build_notebook("1"), {})
    outcome = engine.execute(nb, environment=kernel_environment(tmp_path, str(tmp_path)))
    assert outcome.status == "succeeded" and list(long.iterdir()) == []


def test_a_kernel_killed_for_want_of_memory_is_told_apart(
    tmp_path: Path, build_notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "own").write_text("12:pids:/other\n0::/group\n")
    events = tmp_path / "group" / "memory.events"
    events.write_text("low 0\noom 2\noom_kill 2\noom_group_kill 0\n")
    monkeypatch.setattr(kernel, "GROUPS", tmp_path)
    monkeypatch.setattr(kernel, "MEMBERSHIP", tmp_path / "own")
    assert kernel.kills() == 2
    count = f"open({str(events)!r}, 'w').write('oom_kill 3')\n"
    die = "import os; os.kill(os.getpid(), 9)"
    kinds = []
    for cell in (count + die, die):
        outcome = engine.execute(notebook.prepare(build_notebook(cell), {}))
        assert outcome.failure is not None and outcome.status == "kernel_died"
        kinds.append(outcome.failure.kind)
    assert kinds == ["out_of_memory", "kernel_died"]
    monkeypatch.setattr(kernel, "MEMBERSHIP", tmp_path / "nothing")
    assert kernel.kills() is None
