"""Run a notebook's cells in this process: the same code as in a kernel, without waiting for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

RunCells = Callable[..., dict[str, Any]]


@pytest.fixture
def run_cells(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunCells:
    """Execute all code cells of a notebook with other parameters, or those up to the first that has the text `until`.

    What it records goes to ``tmp_path``.
    """
    monkeypatch.setenv("PLAYBOOK_RUN_FOLDER", str(tmp_path / "run"))
    monkeypatch.chdir(root)

    def run(name: str = "01_rfm", until: str | None = None, **parameters: Any) -> dict[str, Any]:
        notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
            exec(compile(cell.source, f"{name}, code cell {number + 1}", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                unknown = set(parameters) - set(namespace)
                assert not unknown, f"the parameters cell has no {unknown}"
                namespace.update(parameters)
            if until and until in cell.source:
                return namespace
        assert not until, f"no cell has {until}"
        return namespace

    return run
