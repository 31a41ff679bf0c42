"""What went into the activity, and what did not and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from helpers.data.contract import NOT_COUNTED
from helpers.sentences import say

LEFT_OUT = {
    "no interaction": "{n:,} rows of other actions",
    "staff": "{n:,} rows of staff",
    "bot": "{n:,} rows of bots",
    "after as_of": "{n:,} rows after the last day",
    "no member": "{n:,} rows without a member",
}
REMARKS = {
    "weighted": "{n:,} other events have value and do not count as interactions.",
    "refund": "{n:,} refunds lower the value on their own day and count as no order.",
    "not in members": "{n:,} counted rows are of ids that the members table lacks.",
    "kind not stated": "{n:,} orders do not state their kind and count as goods.",
}
# Unknown kinds of action that a sentence names; the table of kinds has them all.
NAMED = 12


@dataclass(frozen=True)
class ActivityAccount:
    """What went into the activity, and what did not and why.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per table and reason: table, reason, rows. Reasons: "counted" (interactions and orders in
        the activity), "weighted" (other events in it, which have value only), "refund" (negative value only),
        "no interaction" (events that are neither interactions nor weighted), "staff", "bot" (wins over
        staff), "after as_of", "no member" (empty member id), "not in members" (counted, but of ids that the
        members table lacks), "kind not stated" (counted as goods). Every row of events and orders is in
        exactly one of the reasons before "not in members".
    kinds : pandas.DataFrame
        One row per table and kind of action: table, action, rows, counts ("interaction", "order", …, or "nothing").
    weightless : tuple of str
        Kinds of orders that are there and weigh 0.
    unit : str
        Unit of the value: a currency, or "points", which any other mix than plain money adds up to.
    currency_stated : bool
        Whether the tables say in which currency their money is.
    """

    table: pd.DataFrame = field(repr=False)
    kinds: pd.DataFrame = field(repr=False)
    weightless: tuple[str, ...]
    unit: str
    currency_stated: bool = True

    def rows(self, reason: str) -> int:
        """Return the rows of all tables with a reason."""
        return int(self.table.loc[self.table["reason"] == reason, "rows"].sum())

    @property
    def unknown(self) -> str:
        """Which kinds of action count as nothing although nobody said so, and how to count them; empty if none."""
        found = self.kinds[(self.kinds["counts"] == "nothing") & ~self.kinds["action"].isin(NOT_COUNTED)]
        if found.empty:
            return ""
        found = found.head(NAMED)
        kinds = zip(found["action"], found["rows"], strict=True)
        each = [say("{name} ({n:,} rows)", name=name, n=n) for name, n in kinds]
        text = (
            "Not counted, because nothing says that they should be: {kinds}. To count them: count = {count}"
        )
        return say(text, kinds=", ".join(each), count=", ".join(["interaction", *found["action"]]))

    @property
    def sentence(self) -> str:
        """What was counted and what was left out."""
        counted = self.table[self.table["reason"] == "counted"].set_index("table")["rows"]
        orders = int(counted.get("orders", 0))
        text = "Counted: {events:,} interactions and {orders:,} orders; value is in {unit}."
        parts = [say(text, events=int(counted.sum()) - orders, orders=orders, unit=self.unit)]
        if not self.currency_stated:
            parts.append(say("No table states a currency, so money is taken to be {unit}.", unit=self.unit))
        left_out = [say(words, n=self.rows(r)) for r, words in LEFT_OUT.items() if self.rows(r)]
        if left_out:
            parts.append(say("Left out: {rows}.", rows=", ".join(left_out)))
        parts += [self.unknown] if self.unknown else []
        parts += [say(words, n=self.rows(r)) for r, words in REMARKS.items() if self.rows(r)]
        if self.weightless:
            kinds = ", ".join(self.weightless)
            parts.append(say("Orders of kind {kinds} are there and weigh 0.", kinds=kinds))
        return " ".join(parts)
