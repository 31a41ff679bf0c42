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
from helpers.report.publish import scratch

STAGING = ".staging-"
_LEFT = (f"{STAGING}*", ".*.json-*", ".*.html-*")
_VERSION = re.compile(r"v([1-9][0-9]*)")
_SERIES = re.compile(r"[a-z0-9_]+/[^/\\.\s][^/\\\s]*")
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM}
_mine: set[str] = set()  # staging folders and files that this process is filling


class CannotPublish(PlaybookError):
    """The reports folder does not take the run."""

    kind = "error"


def published(reports: Path) -> list[str]:
    """Return the published versions as ``<series>/v<N>``, by series and number."""
    series = [f"{method}/{label}" for method in _folders(reports) for label in _folders(reports / method)]
    return [f"{name}/v{number}" for name in sorted(series) for number in _numbers(reports / name)]


def numbers(reports: Path, series: str) -> list[int]:
    """Return the numbers of the published versions of a series, smallest first."""
    return _numbers(reports / series)


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
    versions are looked at again, so that of two processes the last to write has seen what both published. Where
    the file is right already nothing is written; where a process was killed before it came to this, it is mended.
    """
    pointer = reports / series / "latest.json"
    written = _read(pointer)
    while (newest := latest(reports, series)) is not None:
        wanted = json.dumps({"path": f"v{newest}", "version": newest}, sort_keys=True).encode() + b"\n"
        if wanted == written:
            return newest
        replace_file(pointer, wanted, reports)
        written = wanted
    pointer.unlink(missing_ok=True)
    return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
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
    handle, name, lock = _temporary(path.name, place or path.parent)
    _mine.add(Path(name).name)
    try:
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            scratch.let_go(lock)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    finally:
        _mine.discard(Path(name).name)
    _sync_folder(path.parent)


def _temporary(name: str, place: Path) -> tuple[int, str, int | None]:
    """Return handle, path and lock of a new file."""
    while True:
        handle, path = tempfile.mkstemp(prefix=f".{name}-{_owner()}-", dir=place)
        lock = scratch.hold(Path(path))
        if Path(path).exists():  # else somebody took it for abandoned before the lock was there
            return handle, path, lock
        os.close(handle)
        scratch.let_go(lock)


@contextlib.contextmanager
def staging(reports: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside the reports folder; what is still there at the end is removed.

    The name carries host and process id, and the process holds a lock on the folder, by which a later run recognises
    what a killed process left behind.

    Raises
    ------
    CannotPublish
        When the reports folder cannot be written.
    """
    name = f"{STAGING}{_owner()}-{uuid.uuid4().hex[:12]}"
    folder = reports.resolve() / name
    _mine.add(name)
    try:
        try:
            lock = _make(folder)
        except OSError as error:
            raise refusal(reports, error) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            scratch.let_go(lock)
    finally:
        _mine.discard(name)


def _make(folder: Path) -> int | None:
    """Make a folder and return the lock on it."""
    while True:
        folder.mkdir(parents=True)
        lock = scratch.hold(folder)
        if folder.is_dir():  # else somebody took it for abandoned before the lock was there
            return lock
        scratch.let_go(lock)


def refusal(reports: Path, error: OSError) -> CannotPublish:
    """Return the error that tells why the reports folder, or another place, did not take a run."""
    place, filename = f"reports folder {reports}", error.filename
    if isinstance(filename, str) and not Path(filename).is_relative_to(reports.resolve()):
        place = filename
    return CannotPublish(f"{place} cannot be written: {error.strerror or error}")


def clean(reports: Path) -> list[str]:
    """Remove what processes of this host that are no more have left half done; return the names.

    These are staging folders, and files that were to replace another.
    """
    left = []
    for path in (path for pattern in _LEFT for path in reports.glob(pattern) if _abandoned(path)):
        with scratch.seized(path) as free:
            # Where one host name stands for several, a number that is not known here says nothing: the lock decides.
            if free is False or not path.exists():
                continue
            left.append(path.name)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
    return sorted(left)


def _abandoned(path: Path) -> bool:
    """Whether the process that the name of a hidden file or folder speaks of is gone."""
    import psutil

    owner, _, number = path.name.rpartition("-")[0].rpartition("-")
    if not owner.endswith(f"-{_host()}") or not number.isdigit():
        return False
    if int(number) == os.getpid():  # an earlier process may have had our number
        return path.name not in _mine
    try:
        process = psutil.Process(int(number))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # An earlier process may have had that number too. Clocks are set, so a minute decides nothing.
        return bool(process.create_time() > path.stat().st_mtime + 60)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True
    except psutil.AccessDenied:
        return False


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
        raise refusal(reports, error) from error
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
