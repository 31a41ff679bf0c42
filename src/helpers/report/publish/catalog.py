"""The catalogue of all published versions, ``reports/catalog.json``; ``helpers.report.page.index`` writes it.

It is derived from the version folders and can be thrown away at any time: the manifests are the truth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from helpers.playbook.action import Action
from helpers.playbook.finding import Finding
from helpers.report.publish import store
from helpers.report.publish.manifest import (
    Failure,
    Manifest,
    Record,
    RunStatus,
    read_actions,
    read_findings,
    read_manifest,
)

HEADLINES = 5
DIFFS = "diffs"  # folder of a series where pages that compare two versions lie


class CatalogVersion(Record):
    """One published version."""

    version: int
    path: str = Field(description="Folder relative to reports/, with forward slashes: 'rfm/douyin/v3'")
    status: RunStatus
    failure: Failure | None
    finished_at: str = Field(description="ISO 8601, UTC")
    as_of: str | None = Field(description="Parameter as_of, ISO date")
    headlines: list[Finding] = Field(description=f"The first {HEADLINES} findings, in the notebook's order")
    decision: Action | None = Field(default=None, description="The best of the proposed actions")
    decisions: int = Field(default=0, description="Number of actions proposed")


class CatalogSeries(Record):
    """A notebook plus a label, with all its versions."""

    series: str
    notebook: str
    label: str
    title: str
    question: str
    latest: int | None = Field(description="Newest version that succeeded; None when none has")
    versions: list[CatalogVersion] = Field(description="Newest first, never empty")
    diffs: list[str] = Field(default=[], description="Pages that compare two versions, in <series>/diffs")


class Catalog(Record):
    """All series, by name."""

    schema_version: Literal[3] = 3
    series: list[CatalogSeries]
    unreadable: list[str] = Field(default=[], description="Version folders whose manifest cannot be read")


def _version(path: str, folder: Path, manifest: Manifest) -> CatalogVersion:
    findings, actions = read_findings(folder), read_actions(folder)
    run = manifest.bookkeeping
    if run is None:
        raise ValueError(f"{path}/manifest.json has no bookkeeping")
    as_of = manifest.parameters.get("as_of")
    return CatalogVersion(
        version=run.version,
        path=path,
        status=manifest.status,
        failure=manifest.failure,
        finished_at=run.finished_at,
        as_of=str(as_of) if as_of else None,
        headlines=findings[:HEADLINES],
        decision=min(actions, key=lambda action: action.rank, default=None),
        decisions=len(actions),
    )


def _series(home: Path, newest: Manifest, versions: list[CatalogVersion]) -> CatalogSeries:
    succeeded = [version.version for version in versions if version.status == "succeeded"]
    return CatalogSeries(
        series=newest.series,
        notebook=newest.notebook,
        label=newest.label,
        title=newest.title,
        question=newest.question,
        latest=max(succeeded, default=None),
        versions=versions,
        diffs=sorted(path.name for path in (home / DIFFS).glob("v*-v*.html")),
    )


def build(reports: Path, known: Mapping[str, CatalogVersion] | None = None) -> Catalog:
    """Read every published version under a reports folder.

    Parameters
    ----------
    reports : Path
        The reports folder; need not exist.
    known : mapping, optional
        Versions by path that need not be read again, from :func:`unchanged`. Without it all are read.

    Returns
    -------
    Catalog
        A function of the folder's content alone. A version that cannot be read is listed in `unreadable`.
    """
    series, unreadable = [], []
    for name, paths in itertools.groupby(store.published(reports), lambda path: path.rpartition("/")[0]):
        newest: Manifest | None = None
        versions = []
        for path in reversed(list(paths)):
            entry = known.get(path) if known and newest else None
            if entry is None:
                try:
                    manifest = read_manifest(reports / path)
                    entry = _version(path, reports / path, manifest)
                except (OSError, ValueError, ValidationError):
                    unreadable.append(path)
                    continue
                newest = newest or manifest
            versions.append(entry)
        if newest:
            series.append(_series(reports / name, newest, versions))
    return Catalog(series=series, unreadable=sorted(unreadable))


def listed(reports: Path) -> set[str] | None:
    """Return the versions that ``catalog.json`` lists; None when it cannot be read."""
    last = _last(reports)
    if last is None:
        return None
    return {version.path for series in last.series for version in series.versions} | {*last.unreadable}


def unchanged(reports: Path) -> dict[str, CatalogVersion]:
    """Return the versions of the last ``catalog.json`` whose manifests are older than it.

    A published version never changes, so with a thousand of them only the new ones need to be read. One that was
    removed and whose number was given again is newer than the catalogue, and so is read again.
    """
    last, written = _last(reports), _modified(reports / "catalog.json")
    entries = (version for series in last.series for version in series.versions) if last else ()
    return {
        entry.path: entry for entry in entries if _modified(reports / entry.path / "manifest.json") < written
    }


def _last(reports: Path) -> Catalog | None:
    try:
        return Catalog.model_validate_json((reports / "catalog.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return math.inf
