"""Folders for the time of a process, and how it is seen that one is left behind.

Whoever makes a folder holds a lock on it. The system lets go of the lock when the process ends, however that may
be, so a folder whose lock can be taken belongs to nobody. That also holds between containers that have one host
name and their own process ids.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# Bytes of a path of a socket; Linux allows 107 and macOS 103.
LONGEST = 100

# Where folders for sockets are made when the folder for temporary files has too long a name.
SHORT = Path("/tmp")

PREFIX = "playbook-scratch-"
_RANDOM = 8  # characters that tempfile adds
_DAY = 86400


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


def folder(*, room: int = 0) -> Scratch | None:
    """Make a folder where temporary files are.

    Parameters
    ----------
    room : int
        Bytes of the longest name of a socket in it; 0 when there will be none.

    Returns
    -------
    Scratch or None
        None when no place is short enough, or takes it.
    """
    sweep(os.getpid())
    for parent in (Path(tempfile.gettempdir()), SHORT):
        if not room or len(os.fsencode(parent / PREFIX)) + _RANDOM + 1 + room <= LONGEST:
            with contextlib.suppress(OSError):
                return Scratch(*held(partial(tempfile.mkdtemp, prefix=PREFIX, dir=parent)))
    return None


def held(make: Callable[[], str | Path]) -> tuple[Path, int | None]:
    """Make a folder or file and lock it until `let_go` or the end of this process; the lock may be None."""
    while True:
        path = Path(make())
        lock = None
        with contextlib.suppress(OSError):  # Windows opens no folder
            lock = os.open(path, os.O_RDONLY)
            _locked(lock, exclusive=False)
        if path.exists():  # else somebody took it for left behind before the lock was there
            return path, lock
        let_go(lock)


def let_go(lock: int | None) -> None:
    """Let go of a lock."""
    if lock is not None:
        os.close(lock)


def _locked(handle: int, *, exclusive: bool) -> bool | None:
    """Whether a lock could be taken; None where the system, or the file system, has none."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
            except BlockingIOError:
                return False
            return True
    return None


@contextlib.contextmanager
def left_behind(path: Path) -> Iterator[bool]:
    """Say whether nobody holds a folder or file, and keep others from it meanwhile.

    Where there are no locks, what was not touched for a day is left behind.
    """
    handle, free = None, None
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        free = _locked(handle, exclusive=True)
    try:
        if free is None:
            with contextlib.suppress(OSError):
                free = time.time() - path.stat().st_mtime > _DAY
        yield bool(free) and path.exists()
    finally:
        let_go(handle)


@lru_cache(maxsize=1)
def sweep(pid: int) -> None:
    """Remove the folders of processes that are no more, where temporary files are.

    It is done at the first folder of a process; a forked one has a number of its own.
    """
    for parent in {Path(tempfile.gettempdir()), SHORT}:
        for path in parent.glob(f"{PREFIX}*"):
            with left_behind(path) as free:
                if free:
                    shutil.rmtree(path, ignore_errors=True)
