"""What a run is before it starts: a notebook, its series, checked parameters and the tables it will read.

Everything that can be checked without a kernel is checked here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.errors import BadParameters
from helpers.report import params, project
from helpers.report.manifest import TableFingerprint


@dataclass(frozen=True)
class Plan:
    """A run that has been checked and can start.

    Attributes
    ----------
    notebook : Path
        The notebook.
    series : str
        Such as ``rfm/douyin``.
    values : dict
        Effective value of every parameter, as JSON.
    given : dict
        Those to be injected; the others stay as the notebook's cell has them.
    tables : dict
        Fingerprint of each input table.
    """

    notebook: Path
    series: str
    values: dict[str, Any]
    given: dict[str, Any]
    tables: dict[str, TableFingerprint]


def plan(
    notebook: str | os.PathLike[str],
    *,
    data: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    label: str | None = None,
) -> Plan:
    """Check a run without starting anything; see `helpers.report.run.run` for the parameters.

    Raises
    ------
    BadParameters
        With every problem of every parameter.
    BadData
        When there is no data at the place named.
    """
    path = project.find_notebook(notebook)
    given = dict(parameters or {}) | ({} if data is None else {"data": data})
    if isinstance(given.get("data"), str):
        given["data"] = project.portable_data(given["data"], project.find_root(path.parent))
    model = params.validate(path, params.cell_defaults(path) | given)
    values = model.model_dump(mode="json")
    from helpers.data import source  # late: it loads the query engine, which the checks above do not need

    found = source.fingerprint(project.locate_data(model.data, path.parent))
    tables = {name: TableFingerprint(rows=table.rows, sha256=table.sha256) for name, table in found.items()}
    series = f"{project.method_name(path)}/{_label(label, model.segment)}"
    return Plan(path, series, values, {name: values[name] for name in given}, tables)


def _label(label: str | None, segment: str) -> str:
    text = label if label is not None else segment or "all"
    slug = re.sub(r"[^\w.-]+", "-", text.lower()).strip("-.")[:60]
    if not slug:
        raise BadParameters(f"label == {text!r}, must hold a letter or a digit")
    return slug
