"""What is known of files from an earlier look, so that an unchanged file is not read again.

The cache is one small JSON file in the user's cache folder. It can be deleted at any time: whatever is in it can be
found out again. A file counts as unchanged when path, size, inode and both of its times are. A file changed within
the last two seconds is not trusted, because it can change once more without its times showing it. Two processes may
write at once: each replaces the whole file in one step, and what one of them learned and the other overwrote is
found out again next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

# Environment variable that names another folder for the cache.
CACHE_FOLDER = "PLAYBOOK_CACHE"

SCHEMA = 1
TRUSTED_AFTER_NS = 2_000_000_000
# Number of files that are remembered; beyond it the cache begins anew.
LARGEST = 50_000


def cache_folder() -> Path:
    """Return the folder of caches: ``PLAYBOOK_CACHE``, or that of the user as the system has it."""
    if named := os.environ.get(CACHE_FOLDER):
        return Path(named)
    windows, others = ("LOCALAPPDATA", "~/AppData/Local"), ("XDG_CACHE_HOME", "~/.cache")
    variable, usual = windows if sys.platform == "win32" else others
    return Path(os.environ.get(variable) or usual).expanduser() / "community-playbook"


class ContentCache:
    """Digests of files and facts about contents, for one batch.

    Within the batch each file is read at most once, so all its runs speak of the same state of the data.

    Parameters
    ----------
    path : Path, optional
        The JSON file; by default nothing is known at the start and nothing is kept.

    Attributes
    ----------
    read : int
        Files whose content was read because nothing trustworthy was known.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.read = 0
        self._files, self._facts = self._load()
        self._seen: dict[str, str] = {}
        self._changed = False

    @classmethod
    def of_user(cls) -> ContentCache:
        """Return the cache that is kept for this user."""
        return cls(cache_folder() / "contents.json")

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file's content."""
        name = os.fspath(path)
        if name not in self._seen:
            self._seen[name] = self._digest(name)
        return self._seen[name]

    def _digest(self, name: str) -> str:
        now, state = time.time_ns(), _state(name)
        known = self._files.get(name)
        if known and known[:-1] == state:
            return str(known[-1])
        self.read += 1
        content = _sha256(name)
        if now - max(state[1], state[2]) > TRUSTED_AFTER_NS and _state(name) == state:
            self._files[name] = [*state, content]
            self._changed = True
        return content

    def fact(self, key: str, find: Callable[[], Any]) -> Any:
        """Return what is known about content, and find it out when it is not.

        Parameters
        ----------
        key : str
            Names the content by its digest, and what is asked.
        find : callable
            Returns the answer, as JSON can hold it.
        """
        if key not in self._facts:
            self._facts[key] = find()
            self._changed = True
        return self._facts[key]

    def save(self) -> None:
        """Write what was learned; a folder that cannot be written only costs time."""
        if self.path is None or not self._changed:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files, facts = self._load()  # of another process that saved meanwhile
            files, facts = files | self._files, facts | self._facts
            if len(files) + len(facts) > LARGEST:
                files, facts = self._files, self._facts
            text = json.dumps({"schema": SCHEMA, "files": files, "facts": facts})
            handle, name = tempfile.mkstemp(prefix=".contents-", dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self.path)
            self._changed = False

    def _load(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.path is None:
            return {}, {}
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            found = json.loads(self.path.read_bytes())
            if found.get("schema") == SCHEMA:
                return dict(found["files"]), dict(found["facts"])
        return {}, {}


@lru_cache(maxsize=8)
def code_digest(folder: Path) -> str:
    """Return the SHA-256 of the Python files in a folder, for facts that other code might not find in a content."""
    named = (f"{path.name}\0{_sha256(os.fspath(path))}\0" for path in sorted(folder.glob("*.py")))
    return hashlib.sha256("".join(named).encode()).hexdigest()


def _state(name: str) -> list[int]:
    """Return what changes when a file does: size, times of content and of entry, inode."""
    status = Path(name).stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _sha256(name: str) -> str:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
