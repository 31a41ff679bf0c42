"""The command ``playbook``.

Exit codes: 0 when all runs succeeded, were skipped or were not run for want of a table; 1 when some run failed;
2 for bad usage, an invalid plan, invalid parameters or invalid data; 130 after Ctrl-C and 143 after a request to end.
Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import errno
import sys
import traceback

import typer

from helpers import locale
from helpers.cli import actions, runs, tables, versions  # noqa: F401  each adds its commands, in this order
from helpers.cli.application import app
from helpers.errors import PlaybookError
from helpers.sentences import shortened

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; a known error is a message without secrets, exit code 2 where it is about input, else 1."""
    if (language := locale.of_terminal()) != "en":
        locale.use(language)
    try:
        app()
    except PlaybookError as error:
        typer.echo(_masked(f"{error}"), err=True)
        sys.exit(1 if error.kind == "error" else 2)  # an error of no other kind is none of the user's input
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            typer.echo(_masked(shortened(f"{error.strerror}: {error.filename}", 200)), err=True)
            sys.exit(2)
        typer.echo(_masked(traceback.format_exc()), err=True, nl=False)
        sys.exit(1)


def _masked(text: str) -> str:
    from helpers.report import redact

    return redact.mask(text, *sys.argv)
