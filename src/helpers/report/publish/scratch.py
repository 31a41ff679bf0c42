"""Folders for the time of a process: private, short enough for sockets, and swept when they are left behind.

Whoever makes a folder holds a lock on it. The system lets go of the lock when the process ends, however that may
be, so a folder whose lock can be taken belongs to nobody. That also holds between containers that have one host
name and their own process ids.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

LONGEST = 100
"""Bytes of a path of a socket; Linux allows 107 and macOS 103."""

SHORT = Path("/tmp")
"""Where folders for sockets are made when the folder for temporary files has too long a name."""

_NAME = re.compile(r"playbook-[a-z]+-(\d+)-\w+")
_RANDOM = 8  # characters that tempfile adds


class Scratch:
    """A folder of this process; `close` removes it and all that is in it.

    Attributes
    ----------
    path : Path
        The folder; nobody but this user can look into it.
    """

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path, self._lock = path, lock

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        let_go(self._lock)
        self._lock = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def folder(kind: str, place: Path | None = None, *, room: int = 0) -> Scratch | None:
    """Make a folder.

    Parameters
    ----------
    kind : str
        What it is for, in small letters; part of its name.
    place : Path, optional
        Where to; by default where temporary files are.
    room : int
        Bytes of the longest name of a socket in it; 0 when there will be none.

    Returns
    -------
    Scratch or None
        None when no place is short enough, or takes it.
    """
    if place is None:
        _sweep_once(os.getpid())
    prefix = f"playbook-{kind}-{os.getpid()}-"
    for parent in (place or Path(tempfile.gettempdir()), SHORT):
        length = len(os.fsencode(parent / prefix)) + _RANDOM + 1 + room
        if not room or length <= LONGEST:
            with contextlib.suppress(OSError):
                return _made(parent, prefix)
    return None


def _made(parent: Path, prefix: str) -> Scratch:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = hold(path)
        if path.is_dir():  # else somebody has swept it before the lock was there
            return Scratch(path, lock)
        let_go(lock)


def hold(path: Path) -> int | None:
    """Lock a folder or file until `let_go` or the end of this process; None where the system cannot."""
    if sys.platform == "win32":
        return None
    import fcntl

    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            return handle
        except OSError:  # a file system without locks
            os.close(handle)
    return None


def let_go(handle: int | None) -> None:
    """Let go of what `hold` returned."""
    if handle is not None:
        os.close(handle)


@contextlib.contextmanager
def seized(path: Path) -> Iterator[bool | None]:
    """Say whether nobody holds a folder or file, and keep others from it meanwhile; None when nobody can tell."""
    if sys.platform == "win32":
        yield None
        return
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        free: bool | None = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:
            free = None
        yield free
    finally:
        os.close(handle)


@lru_cache(maxsize=1)
def _sweep_once(pid: int) -> None:
    """Sweep at the first folder of a process; a forked one has a number of its own."""
    sweep()


def sweep() -> list[str]:
    """Remove the folders of processes that are no more, where temporary files are; return their names."""
    swept = []
    for parent in {Path(tempfile.gettempdir()), SHORT}:
        for path in parent.glob("playbook-*-*-*"):
            if (match := _NAME.fullmatch(path.name)) and _ended(int(match[1])):
                with seized(path) as free:
                    if free:
                        shutil.rmtree(path, ignore_errors=True)
                        swept.append(path.name)
    return sorted(swept)


def _ended(pid: int) -> bool:
    import psutil

    return pid == os.getpid() or not psutil.pid_exists(pid)
