"""The application that the commands join, and the options they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="playbook",
    help="From the tables of a community to a report with decisions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Notebooks = Annotated[Path | None, typer.Option(help="Folder of notebooks; default: the project's.")]
Reports = Annotated[Path | None, typer.Option(help="Reports folder; default: the project's.")]


def notebooks_folder(folder: Path | None) -> Path:
    """Return the folder of notebooks: as given, or that of the project."""
    from helpers.report import project

    root = project.find_root()
    return folder or (root / "notebooks" if root else Path("notebooks"))


def reports_folder(folder: Path | None, start: Path | None = None) -> Path:
    """Return the reports folder: as given, or that of the project at or above `start`, or the working folder."""
    from helpers.report import project

    return folder or (project.find_root(start) or Path.cwd()) / "reports"
