"""A reports folder that is full or cannot be written: a message, no damage, and the next run makes up for it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.report.plan.desk import Plan
from helpers.report.publish import catalog, store
from helpers.report.run import batch
from helpers.report.run.result import RunResult
from tests.report.plans import plan
from tests.report.run.chaos import flaws

BuildNotebook = Callable[..., Path]
forked = pytest.mark.usefixtures("forked")
CODE = """from helpers.report import params, record
import os, pathlib
import pandas as pd
parameters = params.read("01_rfm", globals())
record.table("numbers", pd.DataFrame({"n": range(10)}), "Numbers")
folder = pathlib.Path(os.environ["PLAYBOOK_RUN_FOLDER"])
(folder / "ballast").write_bytes(os.urandom(1_500_000) if parameters.seed == 2 else b"")"""


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root of a Linux system can mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "none", str(place))
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def run(path: Path, reports: Path, seed: int) -> tuple[RunResult, str]:
    """Run one plan and return what became of it, and what the reports folder refused in the end."""
    plans: list[Plan] = [plan(path, parameters={"seed": seed})]
    try:
        (result,) = batch.execute_all(plans, reports=reports, workers=1)
    except store.CannotPublish as error:
        return RunResult("rfm/all", "not_published", None, str(error)), str(error)
    return result, ""


def fill(disk: Path) -> Path:
    """Leave a few pages of the disk."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass
    return ballast


@forked
@pytest.mark.parametrize("free", [0, 8192, 24576])
def test_a_full_disk_is_a_message_and_is_made_up_for(
    project: Path, build_notebook: BuildNotebook, small_disk: Path, free: int
) -> None:
    path, reports = build_notebook(CODE), small_disk / "reports"
    assert run(path, reports, 1)[0].version == 1
    before = (reports / "rfm/all/v1/manifest.json").read_bytes()
    ballast = fill(small_disk)
    os.truncate(ballast, max(ballast.stat().st_size - free, 0))
    result, _ = run(path, reports, 3)
    assert (result.status, result.version) == ("not_published", None), result.line
    assert (
        result.line
        == f"rfm/all: not published: reports folder {reports} cannot be written: No space left on device"
    )
    assert flaws(reports) == [] and store.published(reports) == ["rfm/all/v1"]
    assert (reports / "rfm/all/v1/manifest.json").read_bytes() == before
    assert [each.name for each in reports.iterdir() if each.name.startswith(".")] == [], "staging is gone"
    ballast.unlink()
    assert run(path, reports, 3)[0].version == 2
    assert flaws(reports) == []
    assert json.loads((reports / "rfm/all/latest.json").read_bytes())["version"] == 2


@forked
def test_a_run_that_fills_the_disk_itself_spares_the_others(
    project: Path, build_notebook: BuildNotebook, small_disk: Path
) -> None:
    path, reports = build_notebook(CODE.replace("1_500_000", "9_000_000")), small_disk / "reports"
    result, _ = run(path, reports, 2)
    assert (result.status, result.good) in (("not_published", False), ("failed", False)), result.line
    assert "No space left on device" in result.line
    assert run(path, reports, 1)[0].status == "succeeded"
    assert catalog.build(reports).series[0].latest == store.numbers(reports, "rfm/all")[-1]


@forked
def test_a_folder_that_can_only_be_read(
    project: Path, build_notebook: BuildNotebook, small_disk: Path
) -> None:
    path, reports = build_notebook(CODE), small_disk / "reports"
    assert run(path, reports, 1)[0].version == 1
    mount("-o", "remount,ro", str(small_disk))
    result, refused = run(path, reports, 3)
    assert (
        result.line
        == f"rfm/all: not published: reports folder {reports} cannot be written: Read-only file system"
    )
    assert (refused, result.good) == ("", False)
    assert run(path, reports, 1)[0].status == "skipped", "what is there can still be seen to be there"
    assert flaws(reports) == [] and store.published(reports) == ["rfm/all/v1"]
    mount("-o", "remount,rw", str(small_disk))
    assert run(path, reports, 3)[0].version == 2


# The same without a disk of one's own: the system refuses this call with this error.
CALLS = {
    "mkdir": (Path, errno.EROFS, "Read-only file system"),
    "write_text": (Path, errno.ENOSPC, "No space left on device"),
    "rename": (Path, errno.EACCES, "Permission denied"),
    "fsync": (os, errno.EIO, "Input/output error"),
}


@pytest.mark.parametrize("call", CALLS)
def test_each_refusal_of_the_system_is_a_message(
    project: Path, build_notebook: BuildNotebook, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    from helpers.report.run import one_run
    from helpers.report.run.engine import Outcome

    monkeypatch.setattr(one_run.engine, "execute", lambda *_, **__: Outcome("succeeded", None, [], [], None))
    reports, path = project / "reports", build_notebook(CODE)
    assert one_run.execute(plan(path), reports).version == 1
    owner, number, says = CALLS[call]
    real = getattr(owner, call)

    def refuse(first: object, *arguments: object, **options: object) -> object:
        if call == "fsync" or (str(first).startswith(str(reports)) and not options.get("exist_ok")):
            raise OSError(
                number, os.strerror(number), None if call in ("write_text", "fsync") else str(first)
            )
        return real(first, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(owner, call, refuse)
        with pytest.raises(store.CannotPublish, match=f"reports folder .* cannot be written: {says}"):
            one_run.execute(plan(path), reports)
    assert store.published(reports) == ["rfm/all/v1"]
    assert [each.name for each in reports.iterdir() if each.name.startswith(".")] == []
    assert one_run.execute(plan(path), reports).version == 2


def test_a_catalogue_that_cannot_be_written_is_told_at_the_end(
    project: Path, put_version: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_version(project / "reports", "rfm/all", 1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "replace_file", refuse)
    with pytest.raises(store.CannotPublish, match="cannot be written: No space left"):
        batch._bring_up_to_date(project / "reports", ["rfm/all"])
