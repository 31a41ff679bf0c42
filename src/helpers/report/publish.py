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
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers.errors import PlaybookError

STAGING = ".staging-"
_VERSION = re.compile(r"v([1-9][0-9]*)")
_SERIES = re.compile(r"[a-z0-9_]+/[^/\\.\s][^/\\\s]*")
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM}
_mine: set[str] = set()  # staging folders this process is filling


class CannotPublish(PlaybookError):
    """The reports folder does not take the run."""

    kind = "error"


def published(reports: Path) -> list[str]:
    """Return the published versions as ``<series>/v<N>``, by series and number."""
    series = [f"{method}/{label}" for method in _folders(reports) for label in _folders(reports / method)]
    return [f"{name}/v{number}" for name in sorted(series) for number in _numbers(reports / name)]


def latest(reports: Path, series: str) -> int | None:
    """Return the newest version that succeeded, from the versions themselves; None when none has."""
    for number in reversed(_numbers(reports / series)):
        if _status(reports / series / f"v{number}") == "succeeded":
            return number
    return None


def _numbers(home: Path) -> list[int]:
    """Return the numbers of the versions in the folder of a series, smallest first."""
    found = (_VERSION.fullmatch(name) for name in _folders(home))
    return sorted(int(match[1]) for match in found if match and (home / match[0] / "manifest.json").is_file())


def _folders(place: Path) -> list[str]:
    """Return the folders in a place, but for hidden ones, which other processes make and remove."""
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _status(folder: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((folder / "manifest.json").read_bytes()).get("status"))
    return "unreadable"


def point_latest(reports: Path, series: str) -> int | None:
    """Let ``<series>/latest.json`` name the newest version that succeeded, and return it.

    A file rather than a symbolic link, because it also survives Windows and zip archives. After writing, the
    versions are looked at again, so that of two processes the last to write has seen what both published.
    """
    written = None
    while (newest := latest(reports, series)) != written:
        written = newest
        text = json.dumps({"path": f"v{newest}", "version": newest}, sort_keys=True) + "\n"
        replace_file(reports / series / "latest.json", text.encode())
    return written


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: readers see the old content or the new, also after a crash."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def staging(reports: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside the reports folder; what is still there at the end is removed.

    The name carries host and process id, by which a later run recognises what a killed process left behind.

    Raises
    ------
    CannotPublish
        When the reports folder cannot be written.
    """
    name = f"{STAGING}{_host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    folder = reports.resolve() / name
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CannotPublish(f"reports folder {reports} cannot be written: {error.strerror}") from error
    _mine.add(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _mine.discard(name)


def clean(reports: Path) -> list[str]:
    """Remove the staging folders of processes of this host that are no more; return their names."""
    gone = [path for path in reports.glob(f"{STAGING}*") if _abandoned(path.name)]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return sorted(path.name for path in gone)


def _abandoned(name: str) -> bool:
    import psutil

    host, _, rest = name.removeprefix(STAGING).rpartition("-")[0].rpartition("-")
    if host != _host() or not rest.isdigit():
        return False
    if int(rest) == os.getpid():  # an earlier process may have had our number
        return name not in _mine
    return not psutil.pid_exists(int(rest))


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
    if not _SERIES.fullmatch(series):
        raise CannotPublish(f"series {series!r} must look like 'rfm/all'")
    home = reports.resolve() / series
    try:
        home.mkdir(parents=True, exist_ok=True)
        version = _next(home)
        while True:
            finish(version)
            sync(folder)
            if _claim(folder, home / f"v{version}"):
                break
            version = max(version + 1, _next(home))
        for place in (home, home.parent, reports.resolve()):
            _sync_folder(place)
    except OSError as error:
        raise CannotPublish(f"{series} cannot be published under {reports}: {error.strerror}") from error
    return version


def _next(home: Path) -> int:
    numbers = (_VERSION.fullmatch(path.name) for path in home.iterdir())
    return max((int(number[1]) for number in numbers if number), default=0) + 1


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
            with Path(place, name).open("rb+") as file:
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
