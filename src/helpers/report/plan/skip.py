"""Whether a run is needed at all: its series may have a version already that was made of the very same things."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from helpers.report.plan import provenance
from helpers.report.plan.desk import Plan, without_secrets
from helpers.report.plan.imports import changed
from helpers.report.publish import store

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


def up_to_date(plan: Plan, reports: Path) -> int | None:
    """Return the newest version of a plan's series when a run would only make it once more.

    Parameters
    ----------
    plan : Plan
        The run.
    reports : Path
        The reports folder; need not exist.

    Returns
    -------
    int or None
        The version, when it has the plan's run key, ended as ``succeeded`` or ``not_run``, and all its files are
        there with the sizes that its manifest names. None when the run is needed.
    """
    return decide(plan, reports).version


def decide(plan: Plan, reports: Path) -> Decision:
    """Return whether a plan is run, and why; see `up_to_date`."""
    there = store.numbers(reports, plan.series)
    if not there:
        return Decision(None, "first version")
    version = there[-1]
    folder = reports / plan.series / f"v{version}"
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict):
        return Decision(None, f"the manifest of v{version} cannot be read")
    if manifest.get("run_key") != plan.run_key:
        return Decision(None, _difference(plan, manifest))
    if manifest.get("status") not in DONE:
        return Decision(None, f"v{version} {str(manifest.get('status')).replace('_', ' ')}")
    if moved := _mapping(manifest, "data").get("changed"):
        return Decision(None, f"the data changed while v{version} was made: {_few(list(moved))}")
    if not _complete(folder, manifest.get("files")):
        return Decision(None, f"files of v{version} are missing or cut short")
    return Decision(version, f"unchanged since v{version}")


def _complete(folder: Path, files: Any) -> bool:
    """Whether every file is there with its size; a look at the folder, not at contents."""
    if not isinstance(files, Mapping):
        return False
    try:
        return all((folder / name).stat().st_size == entry["bytes"] for name, entry in files.items())
    except (OSError, KeyError, TypeError):
        return False


def _difference(plan: Plan, manifest: Mapping[str, Any]) -> str:
    """Return what changed since a manifest was written: parameters, data, code, packages or environment."""
    before = {name: _mapping(manifest, name) for name in ("parameters", "data", "code", "packages")}
    tables = {name: table.sha256 for name, table in plan.tables.items()}
    old_tables = {name: entry.get("sha256") for name, entry in _mapping(before["data"], "tables").items()}
    code = plan.code.modules | {"the notebook": plan.code.notebook_sha256}
    old_code = _mapping(before["code"], "modules") | {"the notebook": before["code"].get("notebook_sha256")}
    lock = {"lock": str(plan.code.lock_sha256)} | provenance.packages()
    old_lock = {"lock": str(before["code"].get("lock_sha256"))} | before["packages"]
    values = {name: json.dumps(without_secrets(value), sort_keys=True) for name, value in plan.values.items()}
    old_values = {name: json.dumps(value, sort_keys=True) for name, value in before["parameters"].items()}
    parts = {
        "parameters": changed(old_values, values),
        "data": changed(old_tables, tables),
        "code": changed(old_code, code),
        "packages": changed(old_lock, lock),
    }
    found = [f"{name} changed: {_few(names)}" for name, names in parts.items() if names]
    return "; ".join(found + _environment(plan, manifest)) or "environment changed"


def _environment(plan: Plan, manifest: Mapping[str, Any]) -> list[str]:
    """Return which parts of the environment changed; nothing of a version that does not tell of its own."""
    before, after = _mapping(manifest, "environment"), dict(plan.environment)
    names = changed(before, after) if before else []
    if (python := manifest.get("python")) != platform.python_version():
        names = [f"Python {python} to {platform.python_version()}", *names]
    return [f"environment changed: {_few(names)}"] if names else []


def _mapping(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return dict(found) if isinstance(found, Mapping) else {}


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
