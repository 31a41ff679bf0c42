"""The register of actions: what was proposed, decided and checked, in a file beside the reports that only grows.

``actions.jsonl`` holds one event a line: proposed (with a snapshot of the action, so that a report may be pruned),
accepted, rejected, closed. States are derived. What reports propose and nobody has decided needs no event: it is read
from their ``actions.json``, and expires when its check date passes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from helpers.playbook.earlier import EarlierReport

FILE = "actions.jsonl"
State = Literal["proposed", "accepted", "rejected", "expired", "closed"]


class Entry(NamedTuple):
    """An action with what became of it; fields up to `baseline` are fixed when it is accepted.

    Attributes
    ----------
    id : str
        Such as ``retention/all/retention.cap_pushes@2026-06-30``: series, action, day it was proposed.
    created : date
        Day of the report that proposed it.
    state : str
        proposed, accepted, rejected, expired (not decided before its check date) or closed, as of the day asked.
    decided : date or None
        Day on which it was accepted or rejected; `why` and `who` belong to the last decision.
    metric : str
        Weekly metric that will tell, or ``series#finding``.
    control : str
        Scope of the same metric that the action does not touch; empty for none.
    check_on : date
        Last day of the weeks that are compared with the baseline.
    baseline : tuple of (date, float)
        Mondays and values of the eight weeks before the week that triggered the action.
    """

    id: str
    title: str
    created: dt.date
    state: State
    owner: str
    expected_value: float | None
    low: float | None
    high: float | None
    unit: str
    confidence_class: str
    call: str
    check_on: dt.date
    decided: dt.date | None = None
    who: str = ""
    why: str = ""
    due: dt.date | None = None
    metric: str = ""
    scope: str = ""
    control: str = ""
    direction: str = "neither"
    definition: str = ""
    baseline: tuple[tuple[dt.date, float], ...] = ()


class Register(NamedTuple):
    """All actions known on a day.

    Attributes
    ----------
    entries : tuple of Entry
        Newest first; an open proposal once a series and action.
    digest : str
        Of the events that were read; it belongs to the run key of a report that reads them.
    """

    entries: tuple[Entry, ...]
    digest: str

    @classmethod
    def read(
        cls,
        reports: Path,
        as_of: dt.date,
        *,
        proposed_by: Iterable[EarlierReport] = (),
        actions_table: pd.DataFrame | None = None,
    ) -> Register:
        """Read the register as it stood at the end of a day; rows of the table ``actions`` override the same id."""
        raise NotImplementedError

    def of(self, *states: State) -> tuple[Entry, ...]:
        """Return the entries in one of these states."""
        return tuple(entry for entry in self.entries if entry.state in states)
