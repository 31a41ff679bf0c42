"""Activity of members: interactions and orders as one lazy table of weighted values.

What counts
-----------
- An event of a kind that counts is an ``interaction``: by default those of
  :data:`helpers.data.contract.INTERACTIONS`, else those that were named. Names are matched without case.
- A message (comment or chat) is an ``interaction`` too, of the kind ``message``; one at the same instant as an event
  that counts, of the same member, is that event.
- Every row of orders is an ``order`` of net money: gross - discount - refund, where an empty discount or
  refund is 0. An order whose kind is not stated is taken as goods, and how many is reported.
- A row of the table of refunds, and an order with a negative price, is a ``refund``: negative value of whoever placed
  the order on the day of the refund, which neither recency nor frequency sees.
- An event with a weight that is no interaction (a view, say) is ``weighted``: it has value, but neither
  recency nor frequency sees it.
- Staff and bots (flags of the members table) are left out, as are rows after the day ``as_of``.

Value weights are a whole mix, not a change to one: what the mix does not name weighs 0. The default mix
weighs every kind of order 1 and every event 0, so that value is net money.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS, MESSAGE, TABLES
from helpers.data.source import Dataset, local_date
from helpers.errors import BadParameters, MissingTable
from helpers.sentences import say
from helpers.study.account import ActivityAccount
from helpers.study.people import excluded, flag

ORDER_KINDS: tuple[str, ...] = TABLES["orders"]["kind"].allowed
UNSTATED_KIND = "goods"
SIDES = ("events", "messages", "orders")
COLUMNS = ("member_id", "ts", "day", "kind", "action", "value", "stated", "table")


@dataclass(frozen=True)
class Log:
    """The tables of what members did, and what of it counts.

    Attributes
    ----------
    dataset : Dataset
        With events, messages, orders or several of them.
    as_of : date
        Last calendar day in `report_tz` that counts.
    report_tz : str
        Time zone of calendar days.
    value_weights : mapping of str to float, optional
        Weight per kind of order (goods, membership, tip: per unit of money) or per event name (per event).
        Default: every kind of order 1.
    interactions : tuple of str
        Kinds of events that count, in lower case.
    """

    dataset: Dataset
    as_of: dt.date
    report_tz: str
    value_weights: Mapping[str, float] | None = None
    interactions: tuple[str, ...] = INTERACTIONS

    @cached_property
    def weights(self) -> dict[str, float]:
        """The weights that apply; names of events in lower case.

        Raises
        ------
        BadParameters
            When a weight names nothing that is there.
        """
        if self.value_weights is None:
            return dict.fromkeys((*ORDER_KINDS, *order_kinds(self.dataset)), 1.0)
        given = {name.lower(): float(weight) for name, weight in self.value_weights.items()}
        check_kinds("value_weights", given, self.dataset)
        return given

    def activity(self) -> ibis.Table:
        """Return interactions and orders as one lazy table, one row per action.

        Returns
        -------
        ibis.Table
            member_id (string), ts (UTC), day (date in `report_tz`), kind ("interaction", "order", "refund",
            "weighted"), action (event name in lower case, or kind of order), value (float, already weighted).
        """
        require_actions(self.dataset)
        rows = self._rows
        rows = rows.filter(rows.kind.notnull(), rows.member_id.notnull(), rows.day <= ibis.date(self.as_of))
        rows = rows.drop("stated", "table")
        if "members" not in self.dataset or not {"is_staff", "is_bot"} & set(self.dataset.members.columns):
            return rows
        return rows.anti_join(self.dataset.members.filter(excluded(self.dataset.members)), "member_id")

    def account(self, currency: str = "money") -> ActivityAccount:
        """Count what is in the activity and what is left out; money of no stated currency is taken to be in this."""
        rows = self._rows
        staff = bot = ibis.literal(False)
        listed: ibis.Value = ibis.literal(True)
        if "members" in self.dataset:
            members = self.dataset.members
            is_staff, is_bot = flag(members, "is_staff"), flag(members, "is_bot")
            flags = members.select(of="member_id", staff=is_staff, bot=is_bot)
            rows = rows.left_join(flags, rows.member_id == flags.of)
            staff, bot, listed = rows.staff.fill_null(False), rows.bot.fill_null(False), rows.of.notnull()
        reason = ibis.cases(
            (rows.member_id.isnull(), "no member"),
            (rows.kind.isnull(), "no interaction"),
            (bot, "bot"),
            (staff, "staff"),
            (rows.day > ibis.date(self.as_of), "after as_of"),
            (rows.kind.isin(["weighted", "refund"]), rows.kind),
            else_="counted",
        )
        keys = {"reason": reason, "listed": listed, "counts": rows.kind.fill_null("nothing")}
        cells = rows.group_by("table", "action", "stated", **keys).agg(rows=rows.count()).to_pandas()
        counted = cells[cells["reason"] == "counted"]
        # Two remarks about counted rows are reasons of their own.
        strange, unstated = counted[~counted["listed"].astype(bool)], counted[~counted["stated"].astype(bool)]
        remarks = [strange.assign(reason="not in members"), unstated.assign(reason="kind not stated")]
        every = pd.concat([cells, *(part for part in remarks if len(part))], ignore_index=True)
        mix = self.weights.items()
        plain = all(weight in (0, 1) and (name in ORDER_KINDS or not weight) for name, weight in mix)
        stated, of_money = _distinct(self.dataset, "orders", "currency"), plain and "orders" in self.dataset
        kinds = cells.groupby(["table", "action", "counts"], as_index=False)[["rows"]].sum()
        kinds = kinds.sort_values(["table", "rows"], ascending=[True, False], ignore_index=True)
        return ActivityAccount(
            table=every.groupby(["table", "reason"], as_index=False)[["rows"]].sum(),
            kinds=kinds[["table", "action", "rows", "counts"]],
            weightless=tuple(kind for kind in order_kinds(self.dataset) if not self.weights.get(kind)),
            unit=(stated or [currency])[0] if of_money else "points",
            currency_stated=bool(stated) or not of_money,
        )

    @property
    def _rows(self) -> ibis.Table:
        """All actions in the shape of activity; with the table they are of, and whether kinds are stated.

        The kind is missing where an action does not count.
        """
        made = {"events": self._events, "messages": self._messages, "orders": self._orders}
        parts = [make() for name, make in made.items() if name in self.dataset]
        parts += [self._refunds()] if {"orders", "refunds"} <= self.dataset.tables.keys() else []
        rows = [part.mutate(day=local_date(part.ts, self.report_tz)).select(*COLUMNS) for part in parts]
        return ibis.union(*rows) if len(rows) > 1 else rows[0]

    def _events(self) -> ibis.Table:
        rows = self.dataset.events.mutate(action=self.dataset.events.event.cast("string").lower())
        valued = {n: w for n, w in self.weights.items() if w and n not in ORDER_KINDS}
        other = [name for name in valued if name not in self.interactions]
        branches = [(rows.action.isin(self.interactions), "interaction")]
        branches += [(rows.action.isin(other), "weighted")] if other else []
        return _shaped(rows, "events", ibis.cases(*branches), rows.action, _weight(rows.action, valued))

    def _messages(self) -> ibis.Table:
        """Return messages as interactions, without those that are events that count: equal in member and instant."""
        rows = self.dataset.messages
        if "events" in self.dataset:
            events = self.dataset.events
            events = events.filter(events.event.cast("string").lower().isin(self.interactions))
            # Those few that are equal first: of all events a join would keep every key in memory.
            rows = rows.anti_join(events.semi_join(rows, ["member_id", "ts"]), ["member_id", "ts"])
        kind = ibis.literal("interaction") if MESSAGE in self.interactions else ibis.null("string")
        value = ibis.literal(self.weights.get(MESSAGE, 0.0), "float64")
        return _shaped(rows, "messages", kind, ibis.literal(MESSAGE), value)

    def _orders(self) -> ibis.Table:
        rows = self.dataset.orders
        minus = [rows[c].fill_null(0.0) for c in ("discount", "refund") if c in rows.columns]
        net = reduce(lambda a, b: a - b, minus, rows.gross).cast("float64")
        action, kind = _kind_of(rows), ibis.cases((rows.gross < 0, "refund"), else_="order")
        rows = rows.mutate(stated=rows.kind.notnull() if "kind" in rows.columns else ibis.literal(False))
        return _shaped(rows, "orders", kind, action, net * _weight(action, self.weights), "paid_at")

    def _refunds(self) -> ibis.Table:
        """Return refunds as negative value of whoever placed the order; one of an unknown order has no member."""
        orders, refunds = self.dataset.orders, self.dataset.refunds
        bought = orders.select("order_id", "member_id", action=_kind_of(orders))
        rows = refunds.select("order_id", "refunded_at", "amount").left_join(bought, "order_id")
        value = -rows.amount.cast("float64") * _weight(rows.action, self.weights)
        return _shaped(rows, "refunds", ibis.literal("refund"), rows.action, value, "refunded_at")


def _shaped(
    rows: ibis.Table, table: str, kind: ibis.Value, action: ibis.Value, value: ibis.Value, time: str = "ts"
) -> ibis.Table:
    """Return rows of a table as actions; their kinds are stated unless they say otherwise."""
    stated = rows.stated if table == "orders" else ibis.literal(True)
    named = {"kind": kind, "action": action, "value": value, "stated": stated, "table": ibis.literal(table)}
    return rows.select("member_id", ts=rows[time], **named)


def require_actions(dataset: Dataset) -> None:
    """Refuse tables of which none holds what members did."""
    if not set(SIDES) & dataset.tables.keys():
        raise MissingTable(say("table events, messages or orders missing; one of them is needed"))


def check_kinds(what: str, names: Iterable[str], dataset: Dataset) -> None:
    """Refuse the name of an action that is neither in the data nor one that the contract knows."""
    known = (*ORDER_KINDS, *INTERACTIONS)
    if not (unknown := [name for name in names if name not in known]):
        return
    events = {name.lower() for name in _distinct(dataset, "events", "event")}
    present = [*order_kinds(dataset), *sorted(events)]
    for name in (name for name in unknown if name not in present):
        hint, there = did_you_mean(name, [*present, *known]), ", ".join(present)
        raise BadParameters(
            say(
                "{what} names {name!r}, which is no kind of action in the data ({there}).{hint}",
                what=what,
                name=name,
                there=there,
                hint=hint,
            )
        )


def order_kinds(dataset: Dataset) -> list[str]:
    """Return the kinds of orders that are in the data."""
    if "orders" not in dataset:
        return []
    kinds = dataset.orders.select(kind=_kind_of(dataset.orders)).distinct().to_pandas()["kind"]
    return sorted(kinds) or [UNSTATED_KIND]


def currencies(dataset: Dataset, table: str) -> dict[str, int]:
    """Return how many rows of a table are in each currency; none where it holds no money or names no currency."""
    if table not in TABLES or not TABLES[table].money or "currency" not in dataset[table].columns:
        return {}
    found = dataset[table].currency.value_counts(name="rows").to_pandas().dropna()
    return dict(zip(found["currency"], found["rows"], strict=True))


def _kind_of(orders: ibis.Table) -> ibis.ir.StringValue:
    kind = orders.kind.fill_null(UNSTATED_KIND) if "kind" in orders.columns else ibis.literal(UNSTATED_KIND)
    return kind.cast("string")


def _weight(name: ibis.ir.StringValue, weights: Mapping[str, float]) -> ibis.ir.FloatingValue:
    """Return the weight of a name as a case expression, one branch per different weight."""
    by_weight: dict[float, list[str]] = {}
    for key, weight in weights.items():
        if weight:
            by_weight.setdefault(weight, []).append(key)
    if not by_weight:
        return ibis.literal(0.0, "float64")
    branches = [(name.isin(keys), ibis.literal(weight, "float64")) for weight, keys in by_weight.items()]
    return ibis.cases(*branches, else_=ibis.literal(0.0, "float64"))


def _distinct(dataset: Dataset, table: str, column: str) -> list[str]:
    """Return the values of a column that are there, sorted."""
    if table not in dataset or column not in dataset[table].columns:
        return []
    return sorted(dataset[table].select(column).distinct().to_pandas()[column].dropna())
