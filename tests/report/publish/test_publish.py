"""Publishing: whole or not at all, also when killed, also when two publish at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.data import scratch
from helpers.report.publish import store

# Publishes version after version of two series; each version's manifest names the hash of its payload.
WRITER = """
import hashlib, json, sys
from pathlib import Path
from helpers.report.publish import store

reports, rounds = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for number in range(rounds):
    store.clean(reports)
    with store.staging(reports) as folder:
        payload = str(number).encode() * 50_000
        (folder / "tables").mkdir()
        (folder / "tables" / "t.parquet").write_bytes(payload)
        status = "failed" if number % 3 == 2 else "succeeded"

        def finish(version):
            manifest = {"version": version, "status": status, "sha256": hashlib.sha256(payload).hexdigest()}
            (folder / "manifest.json").write_text(json.dumps(manifest))

        store.publish(folder, reports, "rfm/all", finish)
    store.point_latest(reports, "rfm/all")
"""


def start(reports: Path, rounds: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(reports), str(rounds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def check_intact(reports: Path) -> list[int]:
    """Every version is whole; the numbers are without a gap; latest names one that succeeded."""
    numbers = [int(path.rpartition("/v")[2]) for path in store.published(reports)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == len(list(reports.glob("rfm/all/v*"))), "a version folder without a manifest"
    for number in numbers:
        folder = reports / "rfm" / "all" / f"v{number}"
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["version"] == number
        assert (
            hashlib.sha256((folder / "tables" / "t.parquet").read_bytes()).hexdigest() == manifest["sha256"]
        )
    pointer = reports / "rfm" / "all" / "latest.json"
    if pointer.exists():
        named = json.loads(pointer.read_text())["version"]
        assert json.loads((reports / f"rfm/all/v{named}/manifest.json").read_text())["status"] == "succeeded"
    return numbers


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_any_moment_leaves_published_versions_intact(tmp_path: Path, seed: int) -> None:
    process = start(tmp_path, 10_000)
    time.sleep(random.Random(seed).uniform(0.0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = check_intact(tmp_path)
    start(tmp_path, 2).wait()
    assert len(check_intact(tmp_path)) == len(before) + 2
    assert not list(tmp_path.glob(f"{store.STAGING}*")), "staging of the dead process is still there"
    assert json.loads((tmp_path / "rfm/all/latest.json").read_text())["version"] == len(before) + 2


def test_two_processes_at_once_claim_different_versions(tmp_path: Path) -> None:
    writers = [start(tmp_path, 25) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    numbers = check_intact(tmp_path)
    assert len(numbers) == 50
    good = [
        n
        for n in numbers
        if json.loads((tmp_path / f"rfm/all/v{n}/manifest.json").read_text())["status"] == "succeeded"
    ]
    assert json.loads((tmp_path / "rfm/all/latest.json").read_text())["version"] == max(good)


def test_latest_moves_only_on_success(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    put_version(tmp_path, "rfm/all", 1, status="failed")
    assert store.point_latest(tmp_path, "rfm/all") is None
    assert not (tmp_path / "rfm/all/latest.json").exists()
    put_version(tmp_path, "rfm/all", 2)
    assert store.point_latest(tmp_path, "rfm/all") == 2
    for version, status in ((3, "not_run"), (4, "timed_out"), (5, "kernel_died")):
        put_version(tmp_path, "rfm/all", version, status=status)
        assert store.point_latest(tmp_path, "rfm/all") == 2
    put_version(tmp_path, "rfm/all", 10)
    assert store.point_latest(tmp_path, "rfm/all") == 10


def test_versions_are_ordered_by_number(tmp_path: Path, put_version: Callable[..., Path]) -> None:
    for version in (10, 9, 1):
        put_version(tmp_path, "rfm/all", version)
    (tmp_path / "rfm" / "all" / "v2").mkdir()  # nothing in it, so not published
    assert store.published(tmp_path) == ["rfm/all/v1", "rfm/all/v9", "rfm/all/v10"]


def test_an_exception_while_staging_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), store.staging(tmp_path) as folder:
        folder.write_text("a folder is no file")
    assert list(tmp_path.iterdir()) == []


def test_clean_removes_what_the_dead_have_left_and_spares_the_living_and_other_hosts(tmp_path: Path) -> None:
    own = f"{store._host()}-1"
    (tmp_path / f"{store.STAGING}{own}-abc").mkdir()
    (tmp_path / f".catalog.json-{own}-abc").write_text("half")
    kept = [tmp_path / f"{store.STAGING}elsewhere-1-abc", tmp_path / ".latest.json-elsewhere-1-abc"]
    for path in kept:
        path.mkdir()
    with store.staging(tmp_path) as folder:
        store.clean(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([*kept, folder])


def test_where_there_are_no_locks_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_locked", lambda *_, **__: None)
    folders = [tmp_path / f"{store.STAGING}{store._host()}-1-{name}" for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    os.utime(folders[0], (1_700_000_000, 1_700_000_000))
    store.clean(tmp_path)
    assert list(tmp_path.iterdir()) == [folders[1]]


@pytest.mark.parametrize(
    "pointer", [None, '{"path": "v1", "version": 1}', "{", '{"path": "v9", "version": 9}']
)
def test_a_pointer_is_mended(tmp_path: Path, put_version: Callable[..., Path], pointer: str | None) -> None:
    for version in (1, 2):
        put_version(tmp_path, "rfm/all", version)
    path = tmp_path / "rfm/all/latest.json"
    if pointer is not None:
        path.write_text(pointer)
    assert store.point_latest(tmp_path, "rfm/all") == 2
    assert json.loads(path.read_bytes()) == {"path": "v2", "version": 2}
    before = path.stat().st_mtime_ns
    assert store.point_latest(tmp_path, "rfm/all") == 2 and path.stat().st_mtime_ns == before
    shutil.rmtree(tmp_path / "rfm/all/v1")
    shutil.rmtree(tmp_path / "rfm/all/v2")
    assert store.point_latest(tmp_path, "rfm/all") is None and not path.exists()


def test_files_that_can_only_be_read_are_published(tmp_path: Path) -> None:
    with store.staging(tmp_path) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "a.txt").chmod(0o444)
        assert store.publish(folder, tmp_path, "rfm/all", lambda version: None) == 1
    assert (tmp_path / "rfm/all/v1/a.txt").read_text() == "a"


def test_replace_file_keeps_the_old_content_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.json"
    before = os.umask(0o027)
    store.replace_file(path, b"old")
    os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640, "the umask decides who reads it"

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        store.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["catalog.json"]


def test_a_reports_folder_that_refuses_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with (
        pytest.raises(store.CannotPublish, match="cannot be written"),
        store.staging(tmp_path / "reports"),
    ):
        pass


def test_clean_spares_whoever_holds_the_lock(tmp_path: Path) -> None:
    process = start(tmp_path, 100_000)
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            store.clean(tmp_path)
        assert process.poll() is None, "its folder was taken away"
    finally:
        process.kill()
        process.communicate()
    store.clean(tmp_path)
    assert not list(tmp_path.glob(".*"))
    check_intact(tmp_path)
