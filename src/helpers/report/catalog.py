"""The catalogue of all published versions: ``reports/catalog.json`` and ``reports/index.html``.

Both are derived from the version folders and can be thrown away at any time: the manifests are the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from helpers.playbook.finding import Direction, Verdict
from helpers.report import publish
from helpers.report.manifest import (
    Failure,
    Manifest,
    Record,
    RunStatus,
    dump_json,
    read_findings,
    read_manifest,
)

HEADLINES = 5


class Headline(Record):
    """A finding as an index shows it."""

    id: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    direction: Direction
    verdict: Verdict
    sentence: str


class CatalogVersion(Record):
    """One published version."""

    version: int
    path: str = Field(description="Folder relative to reports/, with forward slashes: 'rfm/douyin/v3'")
    status: RunStatus
    failure: Failure | None
    started_at: str = Field(description="ISO 8601, UTC")
    finished_at: str = Field(description="ISO 8601, UTC")
    seconds: float
    as_of: str | None = Field(description="Parameter as_of, ISO date")
    data_url: str
    run_key: str
    findings: int = Field(description="Number of findings recorded")
    headlines: list[Headline] = Field(description=f"The first {HEADLINES} findings, in the notebook's order")


class CatalogSeries(Record):
    """A notebook plus a label, with all its versions."""

    series: str
    notebook: str
    label: str
    title: str
    question: str
    latest: int | None = Field(description="Newest version that succeeded; None when none has")
    versions: list[CatalogVersion] = Field(description="Newest first, never empty")


class Catalog(Record):
    """All series, by name."""

    schema_version: Literal[1] = 1
    series: list[CatalogSeries]
    unreadable: list[str] = Field(default=[], description="Version folders whose manifest cannot be read")


def _version(path: str, folder: Path, manifest: Manifest) -> CatalogVersion:
    findings = read_findings(folder)
    run = manifest.bookkeeping
    if run is None:
        raise ValueError(f"{path}/manifest.json has no bookkeeping")
    headlines = [Headline(**f.model_dump(include=set(Headline.model_fields))) for f in findings[:HEADLINES]]
    as_of = manifest.parameters.get("as_of")
    return CatalogVersion(
        version=run.version,
        path=path,
        status=manifest.status,
        failure=manifest.failure,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=run.seconds,
        as_of=str(as_of) if as_of else None,
        data_url=manifest.data.url,
        run_key=manifest.run_key,
        findings=len(findings),
        headlines=headlines,
    )


def _series(name: str, versions: list[tuple[Manifest, CatalogVersion]]) -> CatalogSeries:
    versions = sorted(versions, key=lambda pair: -pair[1].version)
    newest = versions[0][0]
    succeeded = [version.version for _, version in versions if version.status == "succeeded"]
    return CatalogSeries(
        series=name,
        notebook=newest.notebook,
        label=newest.label,
        title=newest.title,
        question=newest.question,
        latest=max(succeeded, default=None),
        versions=[version for _, version in versions],
    )


def build(reports: Path) -> Catalog:
    """Read every published version under a reports folder.

    Parameters
    ----------
    reports : Path
        The reports folder; need not exist.

    Returns
    -------
    Catalog
        A function of the folder's content alone. A version that cannot be read is listed in `unreadable`.
    """
    by_series: dict[str, list[tuple[Manifest, CatalogVersion]]] = {}
    unreadable = []
    for path in publish.published(reports):
        folder = reports / path
        try:
            manifest = read_manifest(folder)
            entry = _version(path, folder, manifest)
        except (OSError, ValueError, ValidationError):
            unreadable.append(path)
            continue
        by_series.setdefault(path.rpartition("/")[0], []).append((manifest, entry))
    series = [_series(name, versions) for name, versions in sorted(by_series.items())]
    return Catalog(series=series, unreadable=unreadable)


def _index_html(catalog: Catalog) -> str:
    from helpers.report.index import index_html  # late: the page needs a template engine, `load` does not

    return index_html(catalog)


def rebuild(reports: Path, *, render: Callable[[Catalog], str] = _index_html) -> Catalog:
    """Write ``catalog.json`` and ``index.html`` from the published versions.

    Safe beside other processes: each file is replaced in one step, and the folder is looked at again after
    writing, so that whoever writes last has seen everything that was published before its write.

    Parameters
    ----------
    reports : Path
        The reports folder.
    render : callable, optional
        Makes the index page from the catalogue.

    Returns
    -------
    Catalog
        What was written.
    """
    reports.mkdir(parents=True, exist_ok=True)
    while True:
        seen = publish.published(reports)
        catalog = build(reports)
        publish.replace_file(reports / "catalog.json", dump_json(catalog.model_dump(mode="json")).encode())
        publish.replace_file(reports / "index.html", render(catalog).encode())
        if publish.published(reports) == seen:
            return catalog
