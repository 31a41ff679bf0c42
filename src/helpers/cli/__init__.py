"""The command ``playbook``.

Exit codes: 0 when all runs succeeded, were skipped or were not run for want of a table; 1 when some run failed;
2 for bad usage, an invalid plan, invalid parameters or invalid data; 130 after Ctrl-C and 143 after a request to end.
Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import sys

import typer

from helpers.cli import runs, tables, versions  # noqa: F401  each adds its commands, in this order
from helpers.cli.application import app
from helpers.errors import PlaybookError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; what a user has to mend is a message on stderr and exit code 2."""
    try:
        app()
    except PlaybookError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(2)
