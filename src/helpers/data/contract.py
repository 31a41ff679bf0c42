"""The data contract: what the tables are, and one check that lists everything that breaks it.

The check runs inside the engine: per table one scan for all rules about single rows and one for the
key. Examples are fetched only for rules that are broken. Nothing is dropped or repaired.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import duckdb
import ibis.expr.types as ir

from helpers.data import rules
from helpers.data.schema import Table, describe_table
from helpers.data.tables import TABLES
from helpers.data.violation import ContractError, Violation

__all__ = ["INTERACTIONS", "NOT_COUNTED", "TABLES", "ContractError", "Violation", "check", "describe"]

# Kind of action that a row of the table of messages is.
MESSAGE = "message"
# Events that count as an interaction of a member unless others are named, written in any case.
INTERACTIONS = (
    *("like", "comment", "reply", "reaction", "share", "repost", "save"),
    *("post", "follow", "vote", "checkin", "task_done", MESSAGE),
)
# Events that are known and do not count unless they are named.
#
# Passive ones, what was done to the member, changes of membership, and steps of a purchase, which the orders table
# holds with their amounts.
NOT_COUNTED = (
    *("view", "click", "live_enter", "push_open", "push_sent"),
    *("join", "leave", "unfollow", "add_to_cart", "checkout", "pay"),
)

# How far after now a time may lie: a day in the report's zone may begin before it does in UTC.
CLOCK_TOLERANCE = dt.timedelta(days=1)


def describe() -> str:
    """Return all tables of the contract as Markdown, and which events count as activity."""
    counted = (
        f"## What counts as activity\n\nEvents of the kinds {', '.join(INTERACTIONS)}, written in any case; every "
        f"message; and orders where there are no others, or where `count` says so. Not {', '.join(NOT_COUNTED)}. The "
        "parameter `count` may name other kinds, such as `interaction, listen`."
    )
    return "\n".join([*map(describe_table, TABLES.values()), counted])


def check(tables: Mapping[str, ir.Table], *, now: dt.datetime | None = None) -> list[Violation]:
    """Return every violation of the contract in every table; an empty list when it holds.

    Parameters
    ----------
    tables : mapping of str to ibis.Table
        Tables by their name in the contract. Other names are an error of the caller.
    now : datetime, optional
        The instant that no observation may follow, up to `CLOCK_TOLERANCE`; default the current time.

    Returns
    -------
    list of Violation
        In the order of the tables, then of the columns.
    """
    latest = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).replace(tzinfo=None) + CLOCK_TOLERANCE
    return [found for name, table in tables.items() for found in _check_table(TABLES[name], table, latest)]


def _check_table(spec: Table, table: ir.Table, latest: dt.datetime) -> list[Violation]:
    """Check one table: its columns, then its rows, then its key.

    What its engine cannot read is a violation too, such as a damaged page of a file.
    """
    try:
        violations = rules.wrong_columns(spec, table)
        usable = {name for name in table.columns if name in spec} - {v.column for v in violations}
        violations += rules.broken_rows(spec, table, rules.row_rules(spec, table, usable, latest))
        if set(spec.key) <= usable:
            violations += rules.duplicate_keys(spec, table)
    except duckdb.Error as error:
        return [Violation(spec.name, "(file)", "unreadable file", 0, (), str(error).splitlines()[0])]
    return sorted(violations, key=lambda violation: spec.names.index(violation.column.split(", ")[0]))
