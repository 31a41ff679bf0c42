"""Activity of members: interactions and orders as one lazy table of weighted values, and who the members are.

What counts
-----------
- An event whose name is in :data:`helpers.data.contract.INTERACTIONS` is an ``interaction``.
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
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS, TABLES
from helpers.data.source import Dataset, as_table, local_date
from helpers.errors import BadData, BadParameters, MissingTable
from helpers.sentences import say
from helpers.study.frames import COUNTS, as_day

ORDER_KINDS: tuple[str, ...] = TABLES["orders"]["kind"].allowed
UNSTATED_KIND = "goods"
SIDES = ("events", "orders")


def activity(
    dataset: Dataset,
    *,
    as_of: dt.date | str,
    report_tz: str = "Asia/Shanghai",
    value_weights: Mapping[str, float] | None = None,
) -> ibis.Table:
    """Return interactions and orders as one lazy table, one row per action.

    Parameters
    ----------
    dataset : Dataset
        With events, orders or both.
    as_of : date or str
        Last calendar day in `report_tz` that counts.
    report_tz : str
        Time zone of calendar days.
    value_weights : mapping of str to float, optional
        Weight per kind of order (goods, membership, tip: per unit of money) or per event name (per event).
        Default: every kind of order 1.

    Returns
    -------
    ibis.Table
        member_id (string), ts (UTC), day (date in `report_tz`), kind ("interaction", "order", "refund", "weighted"),
        action (event name or kind of order), value (float, already weighted).

    Raises
    ------
    MissingTable
        When there are neither events nor orders.
    BadParameters
        When a weight names nothing that is there.
    BadData
        When orders are in more than one currency.
    """
    rows = _rows(dataset, report_tz, check_weights(dataset, value_weights), everything=False)
    rows = rows.filter(rows.member_id.notnull(), rows.day <= ibis.date(as_day(as_of)))
    rows = rows.drop("stated", "table")
    if not {"is_staff", "is_bot"} & set(_columns(dataset, "members")):
        return rows
    return rows.anti_join(dataset.members.filter(excluded(dataset.members)), "member_id")


def population(dataset: Dataset, *, as_of: dt.date | str, report_tz: str = "Asia/Shanghai") -> ibis.Table:
    """Return who was a member by `as_of`, without staff and bots, as one lazy table.

    Returns
    -------
    ibis.Table
        member_id; joined_day (date); left_day (date, missing while a member as of `as_of`); and every further column
        of the members table, which also holds those who left. Without one, everyone with activity, joined on the
        first day of it.
    """
    day = as_day(as_of)
    if "members" not in dataset:
        return first_seen(activity(dataset, as_of=day, report_tz=report_tz))
    members = dataset.members
    left = local_date(members.left_at, report_tz) if "left_at" in members.columns else ibis.null("date")
    found = members.filter(~excluded(members)).mutate(
        joined_day=local_date(members.joined_at, report_tz), left_day=left
    )
    found = found.filter(found.joined_day <= day)
    return found.mutate(left_day=ibis.cases((found.left_day <= day, found.left_day), else_=ibis.null("date")))


def first_seen(rows: ibis.Table) -> ibis.Table:
    """Return a population of everyone with activity: joined on the first day of it, and never left."""
    rows = rows.filter(rows.kind.isin(COUNTS["all"])) if "kind" in rows.columns else rows
    found = rows.group_by("member_id").agg(joined_day=rows.day.min())
    return found.mutate(left_day=ibis.null("date"))


def present_members(population: ibis.Table | pd.DataFrame, *, as_of: dt.date | str) -> ibis.Table:
    """Return the members who had joined by the end of a day and had not left by then."""
    members, day = as_table(population), ibis.date(as_day(as_of))
    return members.filter(members.joined_day <= day, members.left_day.isnull() | (members.left_day > day))


def check_weights(dataset: Dataset, value_weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return the weights that apply, after checking the tables, the currency and every name."""
    if not any(t in dataset for t in SIDES):
        raise MissingTable("table events or orders missing: one of them is needed.")
    if len(currencies := _distinct(dataset, "orders", "currency")) > 1:
        raise BadData(
            f"Table orders, column currency: {len(currencies)} currencies ({', '.join(currencies)}); "
            f"money of different currencies cannot be added: filter to one or convert first."
        )
    if value_weights is None:
        return dict.fromkeys((*ORDER_KINDS, *_order_kinds(dataset)), 1.0)
    if unknown := [name for name in value_weights if name not in (*ORDER_KINDS, *INTERACTIONS)]:
        present = [*_order_kinds(dataset), *_distinct(dataset, "events", "event")]
        for name in (name for name in unknown if name not in present):
            hint = did_you_mean(name, [*present, *ORDER_KINDS, *INTERACTIONS])
            raise BadParameters(
                f"value_weights names {name!r}, which is neither a kind of order nor an event in the "
                f"data ({', '.join(present)}).{hint}"
            )
    return {name: float(weight) for name, weight in value_weights.items()}


def _rows(
    dataset: Dataset, report_tz: str, weights: Mapping[str, float], *, everything: bool = True
) -> ibis.Table:
    """Return events and orders in the shape of activity, with the table they are of, and whether kinds are stated.

    With `everything` also events that do not count, of which the kind is missing.
    """
    parts = []
    if "events" in dataset:
        parts.append(_events(dataset.events, weights, everything))
    if "orders" in dataset:
        parts.append(_orders(dataset.orders, weights))
        parts += [_refunds(dataset.refunds, dataset.orders, weights)] if "refunds" in dataset else []
    parts = [part.mutate(day=local_date(part.ts, report_tz)) for part in parts]
    columns = ["member_id", "ts", "day", "kind", "action", "value", "stated", "table"]
    rows = [part.select(*columns) for part in parts]
    return ibis.union(*rows) if len(rows) > 1 else rows[0]


def _events(events: ibis.Table, weights: Mapping[str, float], everything: bool) -> ibis.Table:
    """Return events with their kind; names that count are filtered first, where the engine reads the file."""
    valued = {n: w for n, w in weights.items() if w and n not in ORDER_KINDS}
    other = [name for name in valued if name not in INTERACTIONS]
    rows = events if everything else events.filter(events.event.isin([*INTERACTIONS, *other]))
    branches = [(rows.event.isin(INTERACTIONS), "interaction")]
    branches += [(rows.event.isin(other), "weighted")] if other else []
    return rows.select(
        "member_id",
        "ts",
        kind=ibis.cases(*branches) if other or everything else ibis.literal("interaction"),
        action=rows.event.cast("string"),
        value=_weight(rows.event, valued),
        stated=ibis.literal(True),
        table=ibis.literal("events"),
    )


def _orders(orders: ibis.Table, weights: Mapping[str, float]) -> ibis.Table:
    minus = [orders[c].fill_null(0.0) for c in ("discount", "refund") if c in orders.columns]
    net = reduce(lambda a, b: a - b, minus, orders.gross).cast("float64")
    stated = orders.kind.notnull() if "kind" in orders.columns else ibis.literal(False)
    kind = _kind_of(orders)
    return orders.select(
        "member_id",
        ts=orders.paid_at,
        kind=ibis.cases((orders.gross < 0, "refund"), else_="order"),
        action=kind,
        value=net * _weight(kind, {n: w for n, w in weights.items() if n not in INTERACTIONS}),
        stated=stated,
        table=ibis.literal("orders"),
    )


def _refunds(refunds: ibis.Table, orders: ibis.Table, weights: Mapping[str, float]) -> ibis.Table:
    """Return refunds as negative value of whoever placed the order; one of an unknown order has no member."""
    bought = orders.select("order_id", "member_id", action=_kind_of(orders))
    rows = refunds.select("order_id", "refunded_at", "amount").left_join(bought, "order_id")
    return rows.select(
        "member_id",
        ts=rows.refunded_at,
        kind=ibis.literal("refund"),
        action=rows.action,
        value=-rows.amount.cast("float64") * _weight(rows.action, weights),
        stated=ibis.literal(True),
        table=ibis.literal("refunds"),
    )


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


def flag(members: ibis.Table, name: str) -> ibis.ir.BooleanValue:
    """Return a flag of members; what is missing or unknown is false."""
    return members[name].fill_null(False) if name in members.columns else ibis.literal(False)


def excluded(members: ibis.Table) -> ibis.ir.BooleanValue:
    """Return whether a member is staff or a bot, who are left out of every method."""
    return flag(members, "is_staff") | flag(members, "is_bot")


def _columns(dataset: Dataset, table: str) -> tuple[str, ...]:
    return dataset[table].columns if table in dataset else ()


def _distinct(dataset: Dataset, table: str, column: str) -> list[str]:
    """Return the values of a column that are there, sorted."""
    if column not in _columns(dataset, table):
        return []
    return sorted(dataset[table].select(column).distinct().to_pandas()[column].dropna())


def currencies(dataset: Dataset, table: str) -> dict[str, int]:
    """Return how many rows of a table are in each currency; none where it holds no money or names no currency."""
    if "currency" not in _columns(dataset, table) or table not in TABLES or not TABLES[table].money:
        return {}
    found = dataset[table].currency.value_counts(name="rows").to_pandas().dropna()
    return dict(zip(found["currency"], found["rows"], strict=True))


def _order_kinds(dataset: Dataset) -> list[str]:
    """Return the kinds of orders that are in the data."""
    if "kind" not in (columns := _columns(dataset, "orders")):
        return [UNSTATED_KIND] if columns else []
    kinds = dataset.orders.select(kind=dataset.orders.kind.fill_null(UNSTATED_KIND))
    return sorted(kinds.distinct().to_pandas()["kind"])


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
    weights : dict of str to float
        Weights that apply; what is not named weighs 0.
    weightless : tuple of str
        Kinds of orders that are there and weigh 0.
    unit : str
        Unit of the value: a currency, "money" where none is stated, or "points", which any other mix than plain
        money adds up to.
    """

    table: pd.DataFrame = field(repr=False)
    weights: dict[str, float]
    weightless: tuple[str, ...]
    unit: str

    def rows(self, reason: str) -> int:
        """Return the rows of all tables with a reason."""
        return int(self.table.loc[self.table["reason"] == reason, "rows"].sum())

    @property
    def sentence(self) -> str:
        """What was counted and what was left out."""
        counted = self.table[self.table["reason"] == "counted"].set_index("table")["rows"]
        events, orders = (int(counted.get(name, 0)) for name in SIDES)
        text = "Counted: {events:,} interactions and {orders:,} orders; value is in {unit}."
        parts = [say(text, events=events, orders=orders, unit=self.unit)]
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
    "refund": "{n:,} refunds lower the value on their own day and count as no order.",
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
    rows = _rows(dataset, report_tz, weights)
    staff = bot = ibis.literal(False)
    listed: ibis.Value = ibis.literal(True)
    if "members" in dataset:
        members = dataset.members
        flags = members.select(of="member_id", staff=flag(members, "is_staff"), bot=flag(members, "is_bot"))
        rows = rows.left_join(flags, rows.member_id == flags.of)
        staff, bot, listed = rows.staff.fill_null(False), rows.bot.fill_null(False), rows.of.notnull()
    reason = ibis.cases(
        (rows.member_id.isnull(), "no member"),
        (rows.kind.isnull(), "no interaction"),
        (bot, "bot"),
        (staff, "staff"),
        (rows.day > ibis.date(as_day(as_of)), "after as_of"),
        (rows.kind.isin(["weighted", "refund"]), rows.kind),
        else_="counted",
    )
    cells = rows.group_by("table", "stated", reason=reason, listed=listed).agg(rows=rows.count()).to_pandas()
    counted = cells[cells["reason"] == "counted"]
    # Two remarks about counted rows are reasons of their own.
    strange, unstated = counted[~counted["listed"].astype(bool)], counted[~counted["stated"].astype(bool)]
    remarks = [strange.assign(reason="not in members"), unstated.assign(reason="kind not stated")]
    every = pd.concat([cells, *(part for part in remarks if len(part))], ignore_index=True)
    plain = all(weight in (0, 1) and (name in ORDER_KINDS or not weight) for name, weight in weights.items())
    money = (_distinct(dataset, "orders", "currency") or ["money"])[0]
    return ActivityAccount(
        table=every.groupby(["table", "reason"], as_index=False)[["rows"]].sum(),
        weights=weights,
        weightless=tuple(kind for kind in _order_kinds(dataset) if not weights.get(kind)),
        unit=money if plain and "orders" in dataset else "points",
    )
