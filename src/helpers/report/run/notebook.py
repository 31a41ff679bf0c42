"""The notebook as a document: parameters put in, bookkeeping taken out, identifiers that do not change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from helpers.errors import BadParameters
from helpers.sentences import say


def prepare(path: Path, values: Mapping[str, Any], words: Mapping[str, str] | None = None) -> Any:
    """Return a notebook node with a cell of parameters injected the papermill way.

    Parameters
    ----------
    path : Path
        The notebook.
    values : mapping
        Plain JSON values by name; none leaves the notebook as it is.
    words : mapping, optional
        Catalogue of another language, in which the prose stands as whole cells.

    Returns
    -------
    nbformat.NotebookNode
        Cell ids are those of the file. A file without ids, and the injected cell, get ids that depend on
        position and source alone, where nbformat would draw random ones.

    Raises
    ------
    BadParameters
        When the file is not a notebook.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        nb = load_notebook_node(str(path))
    except (ValueError, KeyError, nbformat.ValidationError) as error:
        raise BadParameters(say("{path} is not a notebook: {error}", path=path.name, error=error)) from None
    has_id = ["id" in cell for cell in raw["cells"]]
    for index, cell in enumerate(nb.cells):
        if not has_id[index]:
            cell["id"] = _id(f"{index}\n{cell.source}")
        if words and cell.cell_type == "markdown":
            cell.source = words.get(cell.source.strip(), cell.source)
    if values:
        nb = parameterize_notebook(nb, dict(values), kernel_name="python3", language="python")
        for cell in nb.cells:
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell["id"] = _id(f"injected-parameters\n{cell.source}")
    return nb


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def tidy(nb: Any) -> Any:
    """Take papermill's bookkeeping out of an executed notebook, in place, and return it."""
    nb.metadata.pop("papermill", None)
    for cell in nb.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    return nb


def to_text(nb: Any) -> str:
    """Return the text of the .ipynb file."""
    return nbformat.writes(nb) + "\n"


def heading(nb: Any) -> tuple[str, str]:
    """Return the title (first heading) and the question (first paragraph below it), as markdown."""
    for cell in nb.cells:
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("# "):
            title, _, rest = cell.source.strip().partition("\n")
            paragraph = rest.strip().partition("\n\n")[0]
            lines = [line.strip().lstrip(">").strip() for line in paragraph.splitlines()]
            starts_a_part = not lines or lines[0].startswith(("#", "-", "*", "|", "```"))
            return title.lstrip("# ").strip(), "" if starts_a_part else " ".join(lines)
    return "", ""


def read(text: str) -> Any:
    """Return the notebook node of the text of an .ipynb file."""
    return nbformat.reads(text, as_version=4)
