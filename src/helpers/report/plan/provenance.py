"""Where a run came from: identity of lock and packages, state of git, and the run key."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from helpers.report.plan import imports
from helpers.report.publish.manifest import Code

DISTRIBUTION = "community-playbook"
LOCK = "requirements.lock"
_DISTRIBUTIONS = (".dist-info", ".egg-info", ".egg-link")
_PACKAGE = Path(__file__).resolve().parents[2]


class Git(NamedTuple):
    """State of the working tree; None where there is no git."""

    commit: str | None
    dirty: bool | None


def code(notebook: Path, root: Path | None, sources: imports.Sources | None = None) -> Code:
    """Return the identity of notebook, the sources it depends on, and lock, by content.

    Parameters
    ----------
    notebook : Path
        The notebook.
    root : Path, optional
        The project it belongs to.
    sources : Sources, optional
        Shared by the notebooks of a batch.
    """
    locks = (folder / LOCK for folder in (root, _PACKAGE.parents[1]) if folder)
    lock = next((path for path in locks if path.is_file()), None)
    return Code(
        notebook_sha256=_source_digest(notebook),
        modules=imports.modules_of(notebook, sources),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock else None,
    )


def _source_digest(notebook: Path) -> str:
    """Return the SHA-256 of the cells of a notebook as they are written, whatever they once printed."""
    cells = json.loads(notebook.read_bytes())["cells"]
    said = [[cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])] for cell in cells]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Return the versions of the packages that the project depends on directly, and its own."""
    try:
        wanted = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    names = {match[0] for item in wanted if "extra ==" not in item and (match := re.match(r"[\w.-]+", item))}
    return {name: metadata.version(name) for name in sorted(names | {DISTRIBUTION})}


@lru_cache(maxsize=1)
def installed() -> str:
    """Return a digest of every distribution that is installed, by name and version.

    They are taken from the names of their folders, which is a hundred times as fast as reading what is in them.
    """
    found = set()
    for place in {Path(each).absolute() for each in sys.path} - {
        Path.cwd()
    }:  # a kernel works in another folder
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            found |= {entry.name.lower() for entry in entries if entry.name.endswith(_DISTRIBUTIONS)}
    return _digest(sorted(found))


def environment(others: Iterable[str] = ()) -> dict[str, str]:
    """Return what determines a result beside code, parameters, tables and direct dependencies; by name.

    Parameters
    ----------
    others : iterable of str
        Names in the folder of data that are no tables.

    Notes
    -----
    The values only tell whether something is the same. That of the salt is too short to test guesses with.
    """
    salt, path = os.environ.get("PLAYBOOK_SALT", ""), os.environ.get("PYTHONPATH", "")
    return {
        "installed packages": installed()[:16],
        "PYTHONPATH": _digest(path)[:16] if path else "",
        "PLAYBOOK_SALT": _digest(salt)[:2] if salt else "",
        "other files in the folder of data": _digest(sorted(others))[:16],
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def git(root: Path | None) -> Git:
    """Return the commit of the working tree and whether it holds changes."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return Git(None, None)
    changes = _git(root, "--no-optional-locks", "status", "--porcelain")
    return Git(commit, None if changes is None else bool(changes))


def _git(root: Path | None, *arguments: str) -> str | None:
    if root is None:
        return None
    command = ["git", "-c", "safe.directory=*", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def run_key(identity: dict[str, Any]) -> str:
    """Return the key under which equal runs are equal.

    Parameters
    ----------
    identity : dict
        JSON of everything that determines the result: code, parameters, data, packages. The interpreter and
        the salt of pseudonyms are added here.
    """
    salt = _digest(os.environ.get("PLAYBOOK_SALT", ""))
    return _digest(identity | {"python": platform.python_version(), "salt": salt})
