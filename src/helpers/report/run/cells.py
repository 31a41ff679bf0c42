"""The status of each cell while a notebook runs, kept where papermill keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NotebookExecutionManager

from helpers.report.publish.manifest import Failure
from helpers.report.publish.store import replace_file

NOT_RUN = "not_run"
OnCell = Callable[[int, int], None]
"""Told the number of the cell that starts, counted from 1, and the number of cells."""


class TruthfulManager(NotebookExecutionManager):
    """Keeps the status of cells in the metadata where papermill keeps it, and promotes none to completed."""

    on_cell: OnCell | None = None

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Open a cell and say so."""
        super().cell_start(cell, cell_index, **kwargs)
        if self.on_cell and cell_index is not None:
            self.on_cell(cell_index + 1, len(self.nb.cells))

    def save(self, **kwargs: Any) -> None:
        """Save in one step, so that a kill leaves the notebook as last saved."""
        path = self.output_path
        if path and "://" not in str(path) and path != "-":
            replace_file(Path(path), nbformat.writes(self.nb).encode())
            self.last_save_time = self.now()
        else:
            super().save(**kwargs)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Close a cell with the status it has reached; only a cell still running has completed."""
        record = cell.metadata.papermill
        if record["status"] == self.RUNNING:
            record["status"] = self.COMPLETED
        record["end_time"] = self.now().isoformat()
        self.save()
        if self.pbar:
            self.pbar.update(1)

    def notebook_complete(self, **kwargs: Any) -> None:
        """Close the notebook: cells that never started say so."""
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        for cell in self.nb.cells:
            if cell.metadata.papermill["status"] == self.PENDING:
                cell.metadata.papermill["status"] = NOT_RUN
        self.cleanup_pbar()
        self.save()

    def fail(self, cell: Any, status: str, failure: Failure) -> None:
        """Note that the run ends with this cell."""
        stands_for_missing_data = failure.kind == "missing_table"
        cell.metadata.papermill["status"] = NOT_RUN if stands_for_missing_data else status
        cell.metadata.papermill["exception"] = True  # what papermill itself looks at to raise
        self.nb.metadata.papermill["exception"] = True
        self.nb.metadata.papermill["status"] = NOT_RUN if stands_for_missing_data else status
        self.nb.metadata.papermill["failure"] = failure.model_dump(mode="json")
