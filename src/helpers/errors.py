"""Errors that are messages to a person: a report and a notebook show their text, never a traceback."""

from __future__ import annotations

from typing import ClassVar


class PlaybookError(Exception):
    """Base of all errors that tell a user what to mend.

    Attributes
    ----------
    kind : str
        Failure kind as written to the manifest, such as ``"bad_data"``.
    """

    kind: ClassVar[str] = "error"

    def _render_traceback_(self) -> list[str]:
        """Let IPython print the message alone, because a traceback would say nothing to its reader."""
        return [f"{type(self).__name__}: {self}"]


class BadData(PlaybookError):
    """The tables break the data contract."""

    kind = "bad_data"


class DatabaseFailed(PlaybookError):
    """The database broke off, or refused a question."""


class TooManyRows(PlaybookError):
    """A result has more rows than any method needs, and would fill the memory."""


class MissingTable(PlaybookError):
    """A table that a notebook needs is not there: the run ends as ``not_run``, which is no failure."""

    kind = "missing_table"


class TooFewMembers(PlaybookError):
    """A report would be about fewer than ``k_min`` members: the run ends as ``not_run``, which is no failure."""

    kind = "too_few_members"


class NothingCounts(PlaybookError):
    """Nothing on record counts as activity: the run ends as ``not_run``, which is no failure."""

    kind = "nothing_counts"


class BadParameters(PlaybookError):
    """A parameter is unknown, of the wrong type or out of bounds."""

    kind = "bad_parameters"


class MissingSecret(PlaybookError):
    """A secret that a run needs is not set in the environment."""

    kind = "missing_secret"
