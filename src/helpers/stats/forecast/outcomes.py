"""What may be asked of the next period, of whom, and in which words.

- active members: will they fall ``silent`` (no counted action);
- dormant members: will they have ``returned`` (a counted action);
- everybody present, with rows that count orders: will they have ``ordered``.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from helpers.checks import check_scalar
from helpers.errors import BadParameters
from helpers.stats.forecast.landmarks import Landmarks
from helpers.stats.forecast.period_features import ACTIVE, DORMANT

PRESENT = "present"
SILENT, RETURNED, ORDERED = "silent", "returned", "ordered"


class Words(NamedTuple):
    """How sentences name an outcome: who it happens to, what is predicted, and its lift at 10 %."""

    who: str
    what: str
    lift: str


OUTCOMES = {ACTIVE: SILENT, DORMANT: RETURNED, PRESENT: ORDERED}
"""Outcome by the members it is asked of."""

WORDS = {
    SILENT: Words(
        "Who falls silent",
        "silence",
        "The tenth at highest risk fell silent {lift} times as often as all active members (n = {n} times judged).",
    ),
    RETURNED: Words(
        "Who comes back",
        "who comes back",
        "The tenth most likely to return did so {lift} times as often as all dormant members (n = {n} times judged).",
    ),
    ORDERED: Words(
        "Who orders",
        "who orders",
        "The tenth most likely to order did so {lift} times as often as all members present (n = {n} times judged).",
    ),
}


def outcome_of(rows: Landmarks, state: str) -> str:
    """Return the outcome that is asked of the members in a state.

    Raises
    ------
    BadParameters
        When the state is none, or who orders is asked of rows that count something else or lack the dormant.
    """
    check_scalar(state, "state", in_=tuple(OUTCOMES))
    if state == PRESENT and rows.count != "order":
        raise BadParameters(f"rows.count == {rows.count!r}, must be 'order' to ask who orders.")
    if state == PRESENT and not rows.dormant:
        raise BadParameters("rows.dormant == False, must be True to ask everybody present.")
    return OUTCOMES[state]


def at_risk(rows: Landmarks, state: str) -> pd.DataFrame:
    """Return the rows of closed windows of members in a state, with the column of their outcome."""
    outcome, table = outcome_of(rows, state), rows.table
    table = table if state == PRESENT else table[table["state"] == state]
    return table if outcome in table else table.assign(**{outcome: 1 - table["silent"]})
