"""Commands about what is published: ``list``, ``show``, ``diff``, ``prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.cli import output
from helpers.cli.application import Reports, app, reports_folder
from helpers.errors import BadData
from helpers.sentences import say

if TYPE_CHECKING:
    from helpers.playbook.finding import Finding
    from helpers.report.publish.manifest import Manifest

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_(reports: Reports = None, json: Json = False) -> None:
    """Print every series with its newest version."""
    from helpers.report.publish import catalog
    from helpers.report.publish.manifest import dump_json

    found = catalog.build(reports_folder(reports))
    if json:
        typer.echo(dump_json(found.model_dump(mode="json")), nl=False)
        return
    rows = []
    for series in found.series:
        newest = series.versions[0]
        latest = f"v{series.latest}" if series.latest else "–"
        reason = newest.failure.headline if newest.failure else ""
        state = newest.status.replace("_", " ")
        rows.append((series.series, f"v{newest.version}", state, newest.finished_at[:19], latest, reason))
    output.table("Series", ("series", "newest", "status", "finished (UTC)", "latest good", "reason"), rows)
    for path in found.unreadable:
        typer.echo(f"{path}: manifest cannot be read", err=True)


@app.command()
def show(
    series: Annotated[str, typer.Argument(metavar="SERIES[@vN]", help="Such as rfm/all or rfm/all@v3.")],
    reports: Reports = None,
    json: Json = False,
) -> None:
    """Print one version, by default the newest: status, parameters, findings, files."""
    from helpers.report.diff.address import find
    from helpers.report.publish.manifest import dump_json, read_actions, read_findings, read_manifest

    home = reports_folder(reports)
    name, number = find(home, series, newest=True)
    folder = home / name / f"v{number}"
    try:
        manifest, findings, actions = read_manifest(folder), read_findings(folder), read_actions(folder)
    except (OSError, ValueError) as error:
        raise BadData(say("{folder} cannot be read: {error}", folder=folder, error=error)) from None
    if json:
        whole = {
            "manifest": manifest.model_dump(mode="json"),
            "findings": [finding.model_dump(mode="json") for finding in findings],
            "actions": [action.model_dump(mode="json") for action in actions],
        }
        typer.echo(dump_json(whole), nl=False)
        return
    _show_status(manifest)
    output.table("Parameters", ("name", "value"), sorted(manifest.parameters.items()))
    output.table("Findings", ("finding", "value", "interval", "n", "verdict"), map(_finding, findings))
    output.table("Files", ("file", "bytes"), [(n, f"{f.bytes:,}") for n, f in manifest.files.items()])
    typer.echo(str(folder))


def _show_status(manifest: Manifest) -> None:
    typer.echo(
        f"{manifest.series} v{manifest.version}: {manifest.status.replace('_', ' ')}. {manifest.title}"
    )
    if kept := manifest.bookkeeping:
        typer.echo(
            f"started {kept.started_at[:19]} UTC, {kept.seconds:.1f} s, run key {manifest.run_key[:12]}"
        )
    if failure := manifest.failure:
        where = f", cell {failure.cell}" if failure.cell is not None else ""
        typer.echo(f"{failure.kind.replace('_', ' ')}{where}: {failure.headline}")


def _finding(found: Finding) -> tuple[Any, ...]:
    from helpers.report.page.wording import interval, quantity

    bounds = interval(found.low, found.high, found.unit)
    return found.metric, quantity(found.value, found.unit), bounds, f"{found.n:,}", found.verdict


@app.command()
def diff(
    first: Annotated[
        str | None, typer.Argument(metavar="[A]", help="Such as rfm/all@v2; alone, against the one before.")
    ] = None,
    second: Annotated[str | None, typer.Argument(metavar="[B]", help="Such as rfm/all@v3.")] = None,
    reports: Reports = None,
) -> None:
    """Compare two versions: what changed, why, and whether the findings moved beyond chance."""
    from helpers.report import diff as comparison

    comparison.command(first, second, reports=reports_folder(reports), table=output.table, echo=typer.echo)


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="Versions to keep of each series.")],
    reports: Reports = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
) -> None:
    """Remove old versions; the newest and the latest good one of each series always stay."""
    from helpers.report import housekeeping

    gone = housekeeping.prune(reports_folder(reports), keep, dry_run=dry_run)
    for version in gone:
        typer.echo(f"{version.path}: {version.size:,} bytes")
    would = "would be " if dry_run else ""
    plural = "" if len(gone) == 1 else "s"
    typer.echo(
        f"{len(gone)} version{plural} {would}removed, {sum(v.size for v in gone):,} bytes {would}freed"
    )
