"""The earlier report that a report is compared with: the same question, asked of an earlier day."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from helpers.playbook.finding import Finding
from helpers.report.publish.manifest import Manifest, dump_json, read_findings, read_manifest

COMPARED = "the report it is compared with"
"""Its digest stands under this name in the environment of a manifest and enters the run key."""


class Earlier(NamedTuple):
    """What a series said of an earlier day: that day and its findings."""

    day: dt.date
    findings: list[Finding]

    @property
    def digest(self) -> str:
        """Short digest of both."""
        found = dump_json([one.model_dump(mode="json") for one in self.findings])
        return hashlib.sha256(f"{self.day} {found}".encode()).hexdigest()[:16]


def earlier(reports: Path, manifest: Manifest) -> Earlier | None:
    """Return what the newest version that succeeded and asked the same of an earlier day found, or None."""
    day, asked = _asked(manifest.parameters)
    folders = (path.parent for path in (reports / manifest.series).glob("v*/manifest.json"))
    for folder in sorted(folders, key=lambda path: (len(path.name), path.name), reverse=True):
        with contextlib.suppress(OSError, ValueError):  # damaged, or of another release
            other = read_manifest(folder)
            before, same = _asked(other.parameters)
            if other.status == "succeeded" and same == asked and before and day and before < day:
                return Earlier(before, read_findings(folder))
    return None


def compared(run_key: str, digest: str) -> str:
    """Return the run key of a report from that of its inputs and the digest of what it is compared with, if anything.

    No version is compared with one of its own day, so that it changes nothing for itself by being there.
    """
    return hashlib.sha256(f"{run_key} {digest}".encode()).hexdigest() if digest else run_key


def _asked(parameters: dict[str, Any]) -> tuple[dt.date | None, dict[str, Any]]:
    """Return the day a report is about, and what else was asked: other days move along with it."""
    days = {name: day_of(value) for name, value in parameters.items()}
    return days.get("as_of"), {
        name: parameters[name] for name in parameters if not days[name] and name not in ("data", "language")
    }


def day_of(text: object) -> dt.date | None:
    """Return a parameter as a day, or None where it is none, as in a report that was not run for that reason."""
    try:
        return dt.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
