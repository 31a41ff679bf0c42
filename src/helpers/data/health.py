"""Data health: how much there is, how fresh and how complete, and whether ids meet their tables."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.data import privacy
from helpers.data.clock import local_date
from helpers.data.schema import Table
from helpers.data.source import Dataset
from helpers.data.tables import TABLES
from helpers.data.violation import counted
from helpers.sentences import Verbatim, percent, say

# Columns that name a row of another table.
REFERENCES = (("member_id", "members"), ("content_id", "content"), ("order_id", "orders"))

# With fewer rows a day on average an empty day is ordinary and is not spoken of.
ROWS_A_DAY = 5

WORST = 3


COLUMNS = (
    *("table", "rows", "first", "last", "freshness_days", "missing_share", "missing"),
    *("late_rows", "late_share", "empty_days"),
)


class Health(NamedTuple):
    """Health of a dataset.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per table: ``table, rows, first, last, freshness_days, missing_share,
        missing, late_rows, late_share, empty_days``. Times are days in the report's time zone;
        ``missing_share`` is that of the worst optional column and ``missing`` names the worst three;
        ``late`` counts rows that arrived more than a day after they happened, unknown where all rows
        arrived at once; ``empty_days`` counts days without rows between the first and the last.
    unmatched : pandas.DataFrame
        One row per reference: ``table, column, target, ids, unmatched_ids, rows, unmatched_rows,
        share, examples``; examples of member ids are pseudonyms.
    as_of : datetime.date or None
        The day that freshness is measured from.
    notes : tuple of str
        What the loader and the checks say besides.
    """

    frame: pd.DataFrame
    unmatched: pd.DataFrame
    as_of: dt.date | None
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What there is, then what is wrong with it."""
        return " ".join(_sentences(self))


def health(dataset: Dataset, as_of: dt.date | None = None, report_tz: str | None = None) -> Health:
    """Measure the health of a dataset, with one aggregate query per table and one per reference.

    Parameters
    ----------
    dataset : Dataset
    as_of : date, optional
        The day that freshness is measured from; default the last day observed in any table.

    report_tz : str, optional
        Time zone of days; default that of the dataset.

    Returns
    -------
    Health
    """
    place = report_tz or dataset.report_tz
    rows = [_table(TABLES[name], table, place) for name, table in dataset.tables.items()]
    until = as_of or max((row["last"] for row in rows if row["last"]), default=None)
    for row in rows:
        row["freshness_days"] = (until - row["last"]).days if until and row["last"] else math.nan
    words = "{table}: {columns} withheld as free text or contact data."
    hidden = (say(words, table=name, columns=", ".join(found)) for name, found in dataset.withheld.items())
    others = (say("Not a table: {name}", name=name) for name in dataset.unrecognised)
    notes = (*_accounted(dataset.account), *dataset.notes, *hidden, *others, *_strange(dataset))
    return Health(pd.DataFrame(rows, columns=COLUMNS), _unmatched(dataset), until, notes)


def _accounted(account: pd.DataFrame | None) -> Iterator[str]:
    """Say of each source that came through a mapping how many of its rows were left out of a table, and why."""
    groups = account.groupby(["source", "table"], sort=False) if account is not None else ()
    for (source, table), rows in groups:
        left = rows[rows["reason"] != "mapped"]
        facts = {"source": source, "table": table, "read": rows["rows"].sum()}
        if left.empty:
            yield say("{source} to {table}: rows read: {read:,}, all of them mapped.", **facts)
            continue
        reasons = "; ".join(f"{each.reason}: {each.rows:,}" for each in left.itertuples())
        facts |= {"mapped": facts["read"] - left["rows"].sum(), "reasons": reasons}
        words = "{source} to {table}: rows read: {read:,}, mapped: {mapped:,}, left out as {reasons}."
        yield say(words, **facts)


def _strange(dataset: Dataset) -> Iterator[str]:
    """Name rows that are understood and deserve a look: negative orders, and actions before their member joined."""
    if "orders" in dataset and (n := int((dataset.orders.gross < 0).sum().fill_null(0).execute())):
        yield say("orders: rows with a negative price, read as refunds on their day: {n:,}.", n=n)
    for name, column in (("events", "ts"), ("orders", "paid_at")):
        if name in dataset and "members" in dataset:
            joined = dataset["members"].select("member_id", "joined_at")
            rows = dataset[name].select("member_id", at=column).inner_join(joined, "member_id")
            early = rows.filter(rows["at"] < rows.joined_at)
            found = early.aggregate(n=early.count(), members=early.member_id.nunique()).execute().iloc[0]
            words = "{table}: rows before joined_at of their member: {n:,}, of members: {members:,}."
            if found["n"]:
                yield say(words, table=name, **found.to_dict())


def _observed(spec: Table, table: ir.Table) -> str | None:
    """Return the column that says when a row of the table happened, if it is an observation."""
    times = (column for column in spec.columns if column.required and column.type in ("timestamp", "date"))
    found = next(times, None)
    return None if found is None or found.may_be_future or found.name not in table.columns else found.name


def _table(spec: Table, table: ir.Table, report_tz: str) -> dict[str, Any]:
    """Return the row of one table."""
    optional = [c.name for c in spec.columns if not c.required and c.name in table.columns]
    measures: dict[str, Any] = {"rows": table.count()}
    measures |= {f"present_{i}": table[name].count() for i, name in enumerate(optional)}
    name = _observed(spec, table)
    arrived = name is not None and "ingested_at" in table.columns
    if name is not None:
        value = table[name]
        day = local_date(value, report_tz) if value.type().is_timestamp() else value
        measures |= {"first": day.min(), "last": day.max(), "days": day.nunique()}
    if arrived:
        arrivals = table["ingested_at"]
        late = table.count(where=_late(value, arrivals, report_tz))
        measures |= {"late": late, "arrivals": arrivals.nunique(), "timed": arrivals.count()}
    found = table.aggregate(**measures).execute().iloc[0]
    count = int(found["rows"])
    row: dict[str, Any] = {"table": spec.name, "rows": count}
    present = {column: int(found[f"present_{i}"]) for i, column in enumerate(optional)}
    shares = {column: (count - there) / count for column, there in present.items() if there < count}
    worst = sorted(shares, key=lambda column: (-shares[column], column))[:WORST]
    row["missing"] = ", ".join(f"{column} {percent(shares[column])}" for column in worst)
    row |= {"missing_share": max(shares.values(), default=0.0), "first": None, "last": None}
    if name is not None and count:
        row |= {end: pd.Timestamp(found[end]).date() for end in ("first", "last")}
        row["empty_days"] = (row["last"] - row["first"]).days + 1 - int(found["days"])
    # A single moment of arrival is one bulk export and says nothing about delay.
    if arrived and int(found["arrivals"]) > 1:
        row |= {"late_rows": int(found["late"]), "late_share": int(found["late"]) / int(found["timed"])}
    return row


def _late(value: Any, arrived: Any, report_tz: str) -> Any:
    """Return which rows arrived more than a day after they happened (or after their day ended)."""
    if value.type().is_timestamp():
        return arrived > value + ibis.interval(days=1)
    return local_date(arrived, report_tz) > (value + ibis.interval(days=2)).cast("date")


def _unmatched(dataset: Dataset) -> pd.DataFrame:
    """Return how many ids of each reference are not in the table they name."""
    rows = [
        {"table": name, "column": column, "target": target} | _reference(dataset, name, column, target)
        for column, target in REFERENCES
        for name, table in dataset.tables.items()
        if target in dataset and name != target and column in table.columns
    ]
    columns = "table column target ids unmatched_ids rows unmatched_rows share examples"
    return pd.DataFrame(rows, columns=columns.split())


def _reference(dataset: Dataset, name: str, column: str, target: str) -> dict[str, Any]:
    """Count ids and rows without a partner, and show three of the ids."""
    ids = dataset[name].group_by(column).aggregate(rows=ibis._.count())
    ids = ids.filter(ids[column].notnull())
    lost = ids.anti_join(dataset[target], column)
    measured = (t.aggregate(ids=t.count(), rows=t["rows"].sum().coalesce(0)).execute() for t in (ids, lost))
    all_, missing = (each.iloc[0].astype(int) for each in measured)
    examples = pd.Series(dtype=str)
    if missing["ids"]:
        examples = lost.order_by(column).limit(WORST).execute()[column]
    return {
        **all_,
        **missing.add_prefix("unmatched_"),
        "share": missing["ids"] / all_["ids"] if all_["ids"] else math.nan,
        "examples": ", ".join(privacy.pseudonymise(examples) if column == "member_id" else examples),
    }


def _sentences(state: Health) -> Iterator[str]:
    tables: list[Any] = list(state.frame.itertuples())
    dated = [t for t in tables if t.first is not None]
    size = {"tables": counted(len(tables), "table"), "rows": counted(sum(t.rows for t in tables), "row")}
    if dated:
        first, last = min(t.first for t in dated), max(t.last for t in dated)
        yield say("{tables} with {rows} from {first} to {last}.", **size, first=first, last=last)
    else:
        yield say("{tables} with {rows}.", **size)
    if empty := [t.table for t in tables if not t.rows]:
        yield say("Empty: {tables}.", tables=", ".join(empty))
    for t in tables:
        if t.freshness_days > 1:
            days = counted(int(t.freshness_days), "day")
            yield say(
                "{table} ends {days} before {last}.", table=Verbatim(t.table), days=days, last=state.as_of
            )
    for t in dated:
        if t.empty_days > 0 and t.rows >= ROWS_A_DAY * ((t.last - t.first).days + 1):
            days = counted(int(t.empty_days), "day")
            yield say("{table} has {days} without rows.", table=Verbatim(t.table), days=days)
    for t in tables:
        if t.late_share > 0:
            text = "{share} of the rows of {table} arrived more than a day late."
            yield say(text, share=percent(t.late_share), table=Verbatim(t.table))
    references: list[Any] = list(state.unmatched.itertuples())
    for r in references:
        if r.unmatched_ids:
            text = "{n:,} of {all:,} {column} in {table} ({share}) are not in {target}."
            names = {"column": r.column, "table": r.table, "target": r.target}
            yield say(text, n=r.unmatched_ids, all=r.ids, share=percent(r.share), **names)
