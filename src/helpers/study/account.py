"""What went into the activity of members, what did not, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import pandas as pd

from helpers.data.source import Dataset
from helpers.sentences import say
from helpers.study.activity import (
    SIDES,
    check_weights,
    excluded,
    flag,
    present_kinds,
    side,
    value_unit,
)
from helpers.study.frames import as_day

__all__ = ["ActivityAccount", "account"]


@dataclass(frozen=True)
class ActivityAccount:
    """What went into the activity, and what did not and why.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per table and reason: table, reason, rows. Reasons: "counted" (interactions and orders in
        the activity), "weighted" (other events in it, which have value only),
        "no interaction" (events that are neither interactions nor weighted), "staff", "bot" (wins over
        staff), "after as_of", "no member" (empty member id), "not in members" (counted, but of ids that the
        members table lacks), "kind not stated" (counted as goods). Every row of events and orders is in
        exactly one of the reasons before "not in members".
    weights : dict of str to float
        Weights that apply; what is not named weighs 0.
    weightless : tuple of str
        Kinds of orders that are there and weigh 0.
    unit : str
        Unit of the value: a currency, or "points" when a weight is not 1 or an event is weighted.
    members_excluded : int
        Staff and bots in the members table.
    """

    table: pd.DataFrame = field(repr=False)
    weights: dict[str, float]
    weightless: tuple[str, ...]
    unit: str
    members_excluded: int

    def rows(self, reason: str) -> int:
        """Return the rows of all tables with a reason."""
        return int(self.table.loc[self.table["reason"] == reason, "rows"].sum())

    @property
    def sentence(self) -> str:
        """What was counted and what was left out."""
        counted = self.table[self.table["reason"] == "counted"].set_index("table")["rows"]
        events, orders = (int(counted.get(name, 0)) for name in SIDES)
        parts = [
            say("Counted: {events:,} interactions and {orders:,} orders; value is in {unit}.",
                events=events, orders=orders, unit=self.unit)
        ]  # fmt: skip
        left_out = [say(words, n=self.rows(r)) for r, words in LEFT_OUT.items() if self.rows(r)]
        if left_out:
            parts.append(say("Left out: {rows}.", rows=", ".join(left_out)))
        parts += [say(words, n=self.rows(r)) for r, words in REMARKS.items() if self.rows(r)]
        if self.weightless:
            kinds = ", ".join(self.weightless)
            parts.append(say("Orders of kind {kinds} are there and weigh 0.", kinds=kinds))
        return " ".join(parts)


LEFT_OUT = {
    "no interaction": "{n:,} rows of other events",
    "staff": "{n:,} rows of staff",
    "bot": "{n:,} rows of bots",
    "after as_of": "{n:,} rows after the last day",
    "no member": "{n:,} rows without a member",
}
REMARKS = {
    "weighted": "{n:,} other events have value and do not count as interactions.",
    "not in members": "{n:,} counted rows are of ids that the members table lacks.",
    "kind not stated": "{n:,} orders do not state their kind and count as goods.",
}


def account(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    value_weights: Mapping[str, float] | None = None,
) -> ActivityAccount:
    """Count what :func:`activity` uses and what it leaves out; arguments and errors as there."""
    weights = check_weights(dataset, value_weights)
    day = ibis.date(as_day(as_of))
    parts = []
    for name in (t for t in SIDES if t in dataset):
        rows = side(dataset, name, report_tz, weights, everything=True)
        parts.append(_reasons(rows, dataset, day).mutate(table=ibis.literal(name)))
    found = (ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pandas()
    kinds = present_kinds(dataset)
    staff_and_bots = 0
    if "members" in dataset:
        staff_and_bots = int(dataset.members.filter(excluded(dataset.members)).count().execute())
    return ActivityAccount(
        table=_account_table(found),
        weights=weights,
        weightless=tuple(k for k in kinds if not weights.get(k)),
        unit=value_unit(dataset, value_weights),
        members_excluded=staff_and_bots,
    )


def _reasons(rows: ibis.Table, dataset: Dataset, day: ibis.ir.DateScalar) -> ibis.Table:
    """Return rows per reason, split by whether the member is listed and the kind is stated."""
    if "members" in dataset:
        members = dataset.members
        flags = members.select("member_id", staff=flag(members, "is_staff"), bot=flag(members, "is_bot"))
        flags = flags.mutate(listed=ibis.literal(True))
        rows = rows.left_join(flags, "member_id").drop("member_id_right")
    else:
        rows = rows.mutate(staff=ibis.literal(False), bot=ibis.literal(False), listed=ibis.literal(True))
    reason = ibis.cases(
        (rows.member_id.isnull(), "no member"),
        (rows.kind.isnull(), "no interaction"),
        (rows.bot.fill_null(False), "bot"),
        (rows.staff.fill_null(False), "staff"),
        (rows.day > day, "after as_of"),
        (rows.kind == "weighted", "weighted"),
        else_="counted",
    )
    rows = rows.mutate(reason=reason, listed=rows.listed.fill_null(False))
    return rows.group_by("reason", "listed", "stated").agg(rows=rows.count())


def _account_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return rows per table and reason, and the two remarks about counted rows as reasons of their own."""
    counted = found[found["reason"] == "counted"]
    remarks = [
        counted[~counted["listed"].astype(bool)].assign(reason="not in members"),
        counted[~counted["stated"].astype(bool)].assign(reason="kind not stated"),
    ]
    every = pd.concat([found, *[r for r in remarks if len(r)]], ignore_index=True)
    return every.groupby(["table", "reason"], as_index=False)[["rows"]].sum()
