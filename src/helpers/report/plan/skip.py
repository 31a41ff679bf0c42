"""Whether a run is needed at all: its series may have a version already that was made of the very same things."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from helpers.playbook import register
from helpers.playbook.earlier import REPORTS as REPORTS
from helpers.playbook.earlier import EarlierReports
from helpers.report.plan import provenance
from helpers.report.plan.desk import Plan, without_secrets
from helpers.report.plan.imports import changed
from helpers.report.publish import store
from helpers.report.publish.earlier import COMPARED, compared, earlier
from helpers.report.publish.manifest import Manifest, read_manifest
from helpers.sentences import say

DONE = ("succeeded", "not_run")
"""Ends that another run with the same key would come to again. What failed is tried once more."""
NAMED = 3


class Decision(NamedTuple):
    """Whether a plan is run, and why.

    Attributes
    ----------
    version : int or None
        The version that stands; None when the plan is run.
    reason : str
        In a few words: ``unchanged since v3``, ``parameters changed: bins``.
    """

    version: int | None
    reason: str


def read_by(plan: Plan, reports: Path) -> dict[str, str]:
    """Return the digest of each series of earlier reports that a plan may read, as they are now.

    What reads its own earlier reports looks after what was decided on them, so the register counts with these.
    """
    if not plan.reads_reports:
        return {}
    day, (language, own) = dt.date.fromisoformat(plan.values["as_of"]), plan.language
    found = EarlierReports(reports, day, plan.reads_reports, own, language).digests()
    decided = {register.FILE: register.digest(reports, day)} if own in plan.reads_reports else {}
    return found | decided


def keyed(plan: Plan, reports: Path) -> Plan:
    """Return a plan whose run key counts the earlier reports that it may read, when all it waits for is done."""
    found = read_by(plan, reports)
    key = provenance.run_key({"run": plan.run_key, "earlier reports": found}) if found else plan.run_key
    return replace(plan, earlier=found, run_key=key)


def decide(plan: Plan, reports: Path) -> Decision:
    """Return whether a plan is run, and why.

    Parameters
    ----------
    plan : Plan
        The run.
    reports : Path
        The reports folder; need not exist.

    Returns
    -------
    Decision
        A version stands when it is the newest of the series, has the plan's run key, ended as ``succeeded`` or
        ``not_run``, and all its files are there with the sizes that its manifest names.
    """
    there = store.numbers(reports, plan.series)
    if not there:
        return Decision(None, say("first version"))
    version, plan = there[-1], keyed(plan, reports)
    folder = reports / plan.series / f"v{version}"
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError):
        return Decision(None, say("the manifest of v{version} cannot be read", version=version))
    before, digest = earlier(reports, manifest), manifest.environment.get(COMPARED, "")
    digest = before.digest if before else digest  # one that was pruned changes nothing
    if manifest.run_key != compared(plan.run_key, digest):
        environment = plan.environment | ({COMPARED: digest} if digest else {})
        return Decision(None, _difference(replace(plan, environment=environment), manifest))
    if manifest.status not in DONE:
        return Decision(None, f"v{version} {say(manifest.status.replace('_', ' '))}")
    if moved := manifest.data.changed:
        return Decision(
            None,
            say("the data changed while v{version} was made: {names}", version=version, names=_few(moved)),
        )
    if not _complete(folder, manifest):
        return Decision(None, say("files of v{version} are missing or cut short", version=version))
    return Decision(version, say("unchanged since v{version}", version=version))


def _complete(folder: Path, manifest: Manifest) -> bool:
    """Whether every file is there with its size; a look at the folder, not at contents."""
    try:
        return all((folder / name).stat().st_size == entry.bytes for name, entry in manifest.files.items())
    except OSError:
        return False


def _difference(plan: Plan, manifest: Manifest) -> str:
    """Return what changed since a manifest was written: parameters, data, code, packages or environment."""
    values = {name: without_secrets(value) for name, value in plan.values.items()}
    before, after = manifest.code, plan.code
    names = {
        "parameters": changed(manifest.parameters, values),
        "data": changed(
            {name: table.sha256 for name, table in manifest.data.tables.items()},
            {name: table.sha256 for name, table in plan.tables.items()},
        ),
        "code": changed(
            before.modules | {"the notebook": before.notebook_sha256},
            after.modules | {"the notebook": after.notebook_sha256},
        ),
        "packages": changed(
            manifest.packages | {"lock": before.lock_sha256},
            provenance.packages() | {"lock": after.lock_sha256},
        ),
        "earlier reports": changed(manifest.earlier_reports, plan.earlier),
        # a version of an older project does not tell of its environment
        "environment": changed(manifest.environment or plan.environment, plan.environment),
    }
    if manifest.python != (python := platform.python_version()):
        names["environment"].insert(
            0, say("Python {before} to {after}", before=manifest.python, after=python)
        )
    return told(names)


def told(names: Mapping[str, list[str]]) -> str:
    """Return in a line what changed: the names of what did, by kind."""
    return "; ".join(
        say("{what} changed: {names}", what=say(name), names=_few(found))
        for name, found in names.items()
        if found
    ) or say("environment changed")


def _few(names: list[str]) -> str:
    rest, shown = len(names) - NAMED, ", ".join(names[:NAMED])
    return say("{names} and {rest} more", names=shown, rest=rest) if rest > 0 else shown
