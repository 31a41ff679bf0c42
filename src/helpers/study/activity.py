"""Activity of members: interactions and orders as one lazy table of weighted values, and who the members are.

What counts
-----------
- An event whose name is in :data:`helpers.data.contract.INTERACTIONS` is an ``interaction``.
- Every row of orders is an ``order`` of net money: gross - discount - refund, where an empty discount or
  refund is 0. An order whose kind is not stated is taken as goods, and how many is reported.
- An event with a weight that is no interaction (a view, say) is ``weighted``: it has value, but neither
  recency nor frequency sees it.
- Staff and bots (flags of the members table) are left out, as are rows after the day ``as_of``.

Value weights are a whole mix, not a change to one: what the mix does not name weighs 0. The default mix
weighs every kind of order 1 and every event 0, so that value is net money.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from functools import reduce

import ibis
import pandas as pd

from helpers.checks import did_you_mean
from helpers.data.contract import INTERACTIONS, TABLES
from helpers.data.source import Dataset, as_table, local_date
from helpers.errors import BadData, BadParameters, MissingTable
from helpers.study.frames import Count, as_day

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
        member_id (string), ts (UTC), day (date in `report_tz`), kind ("interaction", "order" or "weighted"),
        action (event name or kind of order), value (float, already weighted).

    Raises
    ------
    MissingTable
        When there are neither events nor orders.
    BadParameters
        When a weight is no finite number of at least 0, or names nothing that is there.
    BadData
        When orders are in more than one currency.
    """
    rows = _rows(dataset, report_tz, check_weights(dataset, value_weights))
    return _withoutexcluded(rows.filter(rows.day <= ibis.date(as_day(as_of))), dataset)


def population(dataset: Dataset, *, as_of: dt.date | str, report_tz: str = "Asia/Shanghai") -> ibis.Table:
    """Return who was a member by `as_of`, without staff and bots, as one lazy table.

    Returns
    -------
    ibis.Table
        member_id; joined_day (date); left_day (date, missing while a member as of `as_of`). From the members
        table, also those who left; without one, everyone with activity, joined on the first day of it.
    """
    day = ibis.date(as_day(as_of))
    if "members" not in dataset:
        rows = activity(dataset, as_of=as_of, report_tz=report_tz)
        found = rows.group_by("member_id").agg(joined_day=rows.day.min())
        return found.mutate(left_day=ibis.null("date"))
    members = dataset.members
    left = local_date(members.left_at, report_tz) if "left_at" in members.columns else ibis.null("date")
    found = members.filter(~excluded(members)).select(
        "member_id", joined_day=local_date(members.joined_at, report_tz), left_day=left
    )
    found = found.filter(found.joined_day <= day)
    return found.mutate(left_day=ibis.cases((found.left_day <= day, found.left_day), else_=ibis.null("date")))


def value_unit(dataset: Dataset, value_weights: Mapping[str, float] | None = None) -> str:
    """Return the unit of the value: the currency of the orders, ``"money"`` if unstated, or ``"points"``.

    Points are what any other mix than plain money adds up to.
    """
    weights = check_weights(dataset, value_weights)
    plain = all(weight in (0, 1) and (name in ORDER_KINDS or not weight) for name, weight in weights.items())
    if not plain or "orders" not in dataset:
        return "points"
    currencies = _currencies(dataset)
    return currencies[0] if currencies else "money"


def check_weights(dataset: Dataset, value_weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return the weights that apply, after checking the tables, the currency and every name and number."""
    if not any(t in dataset for t in SIDES):
        raise MissingTable("table events or orders missing: one of them is needed.")
    currencies = _currencies(dataset)
    if len(currencies) > 1:
        raise BadData(
            f"Table orders, column currency: {len(currencies)} currencies ({', '.join(currencies)}); "
            f"money of different currencies cannot be added: filter to one or convert first."
        )
    if value_weights is None:
        return dict.fromkeys((*ORDER_KINDS, *present_kinds(dataset)), 1.0)
    present: list[str] | None = None
    for name, weight in value_weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise BadParameters(f"value_weights[{name!r}] == {weight!r}, must be a finite number >= 0.")
        if name not in ORDER_KINDS and name not in INTERACTIONS:
            present = _present(dataset) if present is None else present
            if name not in present:
                hint = did_you_mean(name, [*present, *ORDER_KINDS, *INTERACTIONS])
                raise BadParameters(
                    f"value_weights names {name!r}, which is neither a kind of order nor an event in the "
                    f"data ({', '.join(present)}).{hint}"
                )
    return {name: float(weight) for name, weight in value_weights.items()}


def _rows(dataset: Dataset, report_tz: str, weights: Mapping[str, float]) -> ibis.Table:
    parts = [side(dataset, name, report_tz, weights) for name in SIDES if name in dataset]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def side(
    dataset: Dataset, name: str, report_tz: str, weights: Mapping[str, float], *, everything: bool = False
) -> ibis.Table:
    """Return one of the two tables in the shape of activity.

    With `everything`, rows that do not count are kept, their kind is missing, and ``stated`` says whether
    the kind of an order is stated.
    """
    rows = dataset[name]
    if not everything:
        rows = rows.filter(rows.member_id.notnull())
    rows = _events(rows, weights, everything) if name == "events" else _orders(rows, weights)
    rows = rows.mutate(day=local_date(rows.ts, report_tz))
    columns = ["member_id", "ts", "day", "kind", "action", "value"]
    return rows.select(*columns, "stated") if everything else rows.select(*columns)


def _events(events: ibis.Table, weights: Mapping[str, float], everything: bool) -> ibis.Table:
    """Return events with their kind; names that count are filtered first, where the engine reads the file."""
    valued = {n: w for n, w in weights.items() if w and n not in ORDER_KINDS}
    other = [name for name in valued if name not in INTERACTIONS]
    kind: ibis.Value = ibis.literal("interaction")
    if other or everything:
        branches = [(events.event.isin(INTERACTIONS), "interaction")]
        branches += [(events.event.isin(other), "weighted")] if other else []
        kind = ibis.cases(*branches)
    rows = events if everything else events.filter(events.event.isin([*INTERACTIONS, *other]))
    return rows.select(
        "member_id",
        "ts",
        kind=kind,
        action=rows.event.cast("string"),
        value=_weight(rows.event, valued),
        stated=ibis.literal(True),
    )


def _orders(orders: ibis.Table, weights: Mapping[str, float]) -> ibis.Table:
    minus = [orders[c].fill_null(0.0) for c in ("discount", "refund") if c in orders.columns]
    net = reduce(lambda a, b: a - b, minus, orders.gross).cast("float64")
    stated = orders.kind.notnull() if "kind" in orders.columns else ibis.literal(False)
    kind = orders.kind.fill_null(UNSTATED_KIND) if "kind" in orders.columns else ibis.literal(UNSTATED_KIND)
    return orders.select(
        "member_id",
        ts=orders.paid_at,
        kind=ibis.literal("order"),
        action=kind.cast("string"),
        value=net * _weight(kind, {n: w for n, w in weights.items() if n not in INTERACTIONS}),
        stated=stated,
    )


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


def _withoutexcluded(rows: ibis.Table, dataset: Dataset) -> ibis.Table:
    if "members" not in dataset or not {"is_staff", "is_bot"} & set(dataset.members.columns):
        return rows
    return rows.anti_join(dataset.members.filter(excluded(dataset.members)), "member_id")


def _currencies(dataset: Dataset) -> list[str]:
    if "orders" not in dataset or "currency" not in dataset.orders.columns:
        return []
    found = dataset.orders.select("currency").distinct().to_pandas()["currency"]
    return sorted(found.dropna())


def present_kinds(dataset: Dataset) -> list[str]:
    """Return the kinds of orders that are in the data."""
    if "orders" not in dataset:
        return []
    if "kind" not in dataset.orders.columns:
        return [UNSTATED_KIND]
    kinds = dataset.orders.select(kind=dataset.orders.kind.fill_null(UNSTATED_KIND))
    return sorted(kinds.distinct().to_pandas()["kind"])


def _present(dataset: Dataset) -> list[str]:
    """Return the kinds of orders and the event names that are in the data."""
    events = []
    if "events" in dataset:
        events = sorted(dataset.events.select("event").distinct().to_pandas()["event"].dropna())
    return [*present_kinds(dataset), *events]


def check_recent(rows: ibis.Table, *, as_of: dt.date, days: int) -> None:
    """Refuse a day so long after the last counted action that everybody would look silent.

    Parameters
    ----------
    rows : ibis.Table
        Activity, as made by :func:`activity`.
    as_of : date
        Last day that counts.
    days : int
        Length of the shortest window that looks back from `as_of`.

    Raises
    ------
    BadParameters
        When no action lies within `days` of `as_of` although there are earlier ones.
    """
    last = rows.day.max().execute()
    last = None if pd.isna(last) else pd.Timestamp(last).date()
    if last is not None and (as_of - last).days >= days:
        raise BadParameters(
            f"as_of == {as_of} lies {(as_of - last).days} days after the last counted action ({last}), and tiers "
            f"look back {days} days: everybody would look silent. Use as_of={last}, or bring newer data."
        )


def what_counts(dataset: Dataset, count: str = "auto") -> Count:
    """Return what recency and frequency count; ``"auto"`` takes interactions where there are any, else orders.

    Raises
    ------
    MissingTable
        When there is neither a table of events nor one of orders.
    """
    if not {"events", "orders"} & set(dataset.names):
        raise MissingTable("table events or orders missing; one of them is needed")
    if count != "auto":
        return count  # type: ignore[return-value]
    return "interaction" if "events" in dataset else "order"


def present_members(population: ibis.Table | pd.DataFrame, *, as_of: dt.date | str) -> ibis.Table:
    """Return the members who had joined by the end of a day and had not left by then."""
    members = as_table(population)
    day = ibis.date(as_day(as_of))
    return members.filter(members.joined_day <= day, members.left_day.isnull() | (members.left_day > day))
