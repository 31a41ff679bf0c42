"""Whether an accepted action did what it was accepted for: its check weeks against its fixed baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal, NamedTuple

import pandas as pd

from helpers.playbook.register import Entry
from helpers.stats.estimate import Estimate

Outcome = Literal["verified", "refuted", "no clear change", "not measurable", "not due"]


class Verified(NamedTuple):
    """What became of an accepted action.

    Attributes
    ----------
    entry : Entry
        The action.
    verdict : str
        *verified* and *refuted* when the whole interval lies on one side of zero; *not measurable* without the weeks
        or after a change of definition; *not due* before the check date.
    effect : Estimate
        Relative change (share) of the check weeks against the baseline, less that of the control where there is one.
    reason : str
        Why it is not measurable.
    shared : tuple of str
        Ids of other accepted actions on the same metric and scope in overlapping weeks: one effect, theirs together.
    """

    entry: Entry
    verdict: Outcome
    effect: Estimate
    reason: str = ""
    shared: tuple[str, ...] = ()


def verify(entry: Entry, history: pd.DataFrame, as_of: dt.date, confidence: float = 0.95) -> Verified:
    """Judge one accepted action by the weekly history: metric, scope, window_start, current, definition_id."""
    raise NotImplementedError


def verify_all(
    entries: Iterable[Entry], history: pd.DataFrame, as_of: dt.date, confidence: float = 0.95
) -> tuple[Verified, ...]:
    """Judge all accepted actions; those on one metric in overlapping weeks share an effect, which is counted once."""
    raise NotImplementedError
