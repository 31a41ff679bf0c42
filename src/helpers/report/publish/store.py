"""Publishing: a version appears whole or not at all, whatever is killed and whoever else publishes.

A run is built in a hidden staging folder inside the reports folder, so on the same file system. Its files are
flushed to disk and the folder is then renamed to ``<series>/v<N>``. A rename onto a folder that holds something
fails, so two processes that want the same number are told apart by the operating system and the later one takes
the next number. ``latest.json`` and everything else outside the version folders is derived from them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from helpers.data import scratch
from helpers.errors import PlaybookError
from helpers.sentences import say

STAGING = ".staging-"
_LEFT = (f"{STAGING}*", ".*.json-*", ".*.html-*")
_VERSION = re.compile(r"v([1-9][0-9]*)")
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM}


class CannotPublish(PlaybookError):
    """The reports folder does not take the run."""

    kind = "error"


def published(reports: Path) -> list[str]:
    """Return the published versions as ``<series>/v<N>``, by series and number."""
    series = [f"{method}/{label}" for method in _folders(reports) for label in _folders(reports / method)]
    return [f"{name}/v{number}" for name in sorted(series) for number in numbers(reports, name)]


def numbers(reports: Path, series: str) -> list[int]:
    """Return the numbers of the published versions of a series, smallest first."""
    home = reports / series
    found = (_VERSION.fullmatch(name) for name in _folders(home))
    return sorted(int(match[1]) for match in found if match and (home / match[0] / "manifest.json").is_file())


def latest(reports: Path, series: str) -> int | None:
    """Return the newest version that succeeded, from the versions themselves; None when none has."""
    for number in reversed(numbers(reports, series)):
        with contextlib.suppress(OSError, ValueError):
            manifest = json.loads((reports / series / f"v{number}" / "manifest.json").read_bytes())
            if manifest.get("status") == "succeeded":
                return number
    return None


def _folders(place: Path) -> list[str]:
    """Return the folders in a place, but for hidden ones, which other processes make and remove."""
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def point_latest(reports: Path, series: str) -> int | None:
    """Let ``<series>/latest.json`` name the newest version that succeeded, and return it.

    A file rather than a symbolic link, because it also survives Windows and zip archives. After writing, the
    versions are looked at again, so that of two processes the last to write has seen what both published. Where
    the file is right already nothing is written; where a process was killed before it came to this, it is mended.
    """
    pointer = reports / series / "latest.json"
    written = pointer.read_bytes() if pointer.is_file() else None
    while (newest := latest(reports, series)) is not None:
        wanted = json.dumps({"path": f"v{newest}", "version": newest}, sort_keys=True).encode() + b"\n"
        if wanted == written:
            return newest
        replace_file(pointer, wanted, reports)
        written = wanted
    pointer.unlink(missing_ok=True)
    return None


def replace_file(path: Path, content: bytes, place: Path | None = None) -> None:
    """Write a file in one step: readers see the old content or the new, also after a crash.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What it is to hold.
    place : Path, optional
        Folder of the same file system in which the new file is prepared; by default that of the file. `clean`
        removes from a reports folder what a killed process has left there.
    """
    prefix, place = f".{path.name}-{_owner()}-", place or path.parent
    new, lock = scratch.held(partial(_empty_file, prefix, place))
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        scratch.let_go(lock)
    _sync_folder(path.parent)


def _empty_file(prefix: str, place: Path) -> Path:
    path = place / f"{prefix}{uuid.uuid4().hex[:12]}"
    path.touch(exist_ok=False)
    return path


@contextlib.contextmanager
def staging(reports: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside the reports folder; what is still there at the end is removed.

    The process holds a lock on the folder, by which a later run recognises what a killed process left behind.

    Raises
    ------
    CannotPublish
        When the reports folder cannot be written.
    """

    def make() -> Path:
        folder = reports.resolve() / f"{STAGING}{_owner()}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        return folder

    try:
        folder, lock = scratch.held(make)
    except OSError as error:
        raise refusal(reports, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        scratch.let_go(lock)


def refusal(reports: Path, error: OSError) -> CannotPublish:
    """Return the error that tells why the reports folder, or another place, did not take a run."""
    place, filename = say("reports folder {folder}", folder=reports), error.filename
    if isinstance(filename, str) and not Path(filename).is_relative_to(reports.resolve()):
        place = filename
    return CannotPublish(
        say("{place} cannot be written: {reason}", place=place, reason=error.strerror or error)
    )


def clean(reports: Path) -> None:
    """Remove what processes of this host that are no more have left half done.

    These are staging folders, and files that were to replace another. Locks may not reach from host to host.
    """
    for path in [path for pattern in _LEFT for path in reports.glob(pattern)]:
        host = path.name.rpartition("-")[0].rpartition("-")[0]
        if host.endswith(f"-{_host()}"):
            with scratch.left_behind(path) as free:
                if free:
                    shutil.rmtree(path, ignore_errors=True)  # leaves a file
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)


def _owner() -> str:
    return f"{_host()}-{os.getpid()}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def publish(folder: Path, reports: Path, series: str, finish: Callable[[int], None]) -> int:
    """Turn a staging folder into the next version of a series.

    Parameters
    ----------
    folder : Path
        The staging folder, complete but for what depends on the version number.
    reports : Path
        The reports folder.
    series : str
        Such as ``rfm/douyin``.
    finish : callable
        Called with the version number before each attempt; writes what depends on it into `folder`.

    Returns
    -------
    int
        The version number.

    Raises
    ------
    CannotPublish
        When the file system refuses; what was published before is untouched.
    """
    home = reports.resolve() / series
    try:
        home.mkdir(parents=True, exist_ok=True)
        version = 0
        while not version or not _claim(folder, home / f"v{version}"):
            taken = (_VERSION.fullmatch(path.name) for path in home.iterdir())
            version = max((int(match[1]) for match in taken if match), default=0) + 1
            finish(version)
            sync(folder)
        for place in (home, home.parent, reports.resolve()):
            _sync_folder(place)
    except OSError as error:
        raise refusal(reports, error) from error
    return version


def _claim(folder: Path, target: Path) -> bool:
    """Rename `folder` to `target`, or say that the name is taken."""
    try:
        folder.rename(target)
    except OSError as error:
        # Windows says "access denied" where POSIX says "not empty"; a true denial has no such target.
        if error.errno in _TAKEN and target.exists():
            return False
        raise
    return True


def sync(folder: Path) -> None:
    """Flush every file and folder below `folder` to disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            # Windows flushes only what may be written; elsewhere a file may be one that can only be read.
            with Path(place, name).open("rb+" if os.name == "nt" else "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(place))


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows gives no handle on a folder; its renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
