"""Data health: how much there is, how fresh and how complete, and whether ids meet their tables."""

from __future__ import annotations

import datetime as dt
import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pandas as pd

from helpers.data import privacy
from helpers.data.clock import local_date
from helpers.data.rules import count_duplicate_keys
from helpers.data.schema import Table
from helpers.data.source import Dataset
from helpers.data.tables import TABLES
from helpers.data.violation import counted

REFERENCES = (("member_id", "members"), ("content_id", "content"))
"""Columns that name a row of another table."""

ROWS_A_DAY = 5
"""With fewer rows a day on average an empty day is ordinary and is not spoken of."""

WORST = 3


class Health(NamedTuple):
    """Health of a dataset.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per table: ``table, rows, first, last, freshness_days, duplicate_keys, missing_share,
        missing, late_rows, late_share, empty_days``. Times are days in the report's time zone;
        ``missing_share`` is that of the worst optional column and ``missing`` names the worst three;
        ``late`` counts rows that arrived more than a day after they happened, unknown where all rows
        arrived at once; ``empty_days`` counts days without rows between the first and the last.
    missing : pandas.DataFrame
        One row per optional column: ``table, column, rows, missing, share``.
    unmatched : pandas.DataFrame
        One row per reference: ``table, column, target, ids, unmatched_ids, rows, unmatched_rows,
        share, examples``; examples of member ids are pseudonyms.
    as_of : datetime.date or None
        The day that freshness is measured from.
    notes : tuple of str
        What the loader and the checks say besides.
    """

    frame: pd.DataFrame
    missing: pd.DataFrame
    unmatched: pd.DataFrame
    as_of: dt.date | None
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The state of the data in a few sentences."""
        return " ".join(_sentences(self))


def health(dataset: Dataset, as_of: dt.date | str | None = None, report_tz: str | None = None) -> Health:
    """Measure the health of a dataset, with one aggregate query per table and one per reference.

    Parameters
    ----------
    dataset : Dataset
    as_of : date or str, optional
        The day that freshness is measured from; default the last day observed in any table.
    report_tz : str, optional
        Time zone of days; default that of the dataset.

    Returns
    -------
    Health
    """
    place = report_tz or dataset.report_tz
    rows: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for name, table in dataset.tables.items():
        row, shares = _table(TABLES[name], table, place)
        rows.append(row)
        missing += shares
    until = dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    until = until or max((row["last"] for row in rows if row["last"] is not None), default=None)
    for row in rows:
        known = until is not None and row["last"] is not None
        row["freshness_days"] = (until - row["last"]).days if known else math.nan
    columns = "table rows first last freshness_days duplicate_keys missing_share missing late_rows late_share"
    frame = pd.DataFrame(rows, columns=[*columns.split(), "empty_days"])
    worst = pd.DataFrame(missing, columns=["table", "column", "rows", "missing", "share"])
    withheld = tuple(
        f"{name}: {', '.join(hidden)} withheld as free text or contact data."
        for name, hidden in dataset.withheld.items()
    )
    notes = (*dataset.notes, *withheld, *(f"Not a table: {name}" for name in dataset.unrecognised))
    return Health(frame, worst, _unmatched(dataset), until, notes)


def observed_time(spec: Table) -> str | None:
    """Return the column that says when a row of the table happened, if it is an observation."""
    for column in spec.columns:
        if column.required and column.type in ("timestamp", "date"):
            return None if column.may_be_future else column.name
    return None


def _day(spec: Table, table: ir.Table, report_tz: str) -> Any:
    """Return the day of each row in the report's time zone, or None."""
    name = observed_time(spec)
    if name is None or name not in table.columns:
        return None
    column = table[name]
    return local_date(column, report_tz) if column.type().is_timestamp() else column


def _table(spec: Table, table: ir.Table, report_tz: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of one table, and the missing shares of its optional columns."""
    optional = [c.name for c in spec.columns if not c.required and c.name in table.columns]
    measures: dict[str, Any] = {"rows": table.count()}
    measures |= {f"present_{i}": table[name].count() for i, name in enumerate(optional)}
    day = _day(spec, table, report_tz)
    if day is not None:
        measures |= {"first": day.min(), "last": day.max(), "days": day.nunique()}
    arrived = "ingested_at" in table.columns and day is not None
    if arrived:
        measures |= {"late": _late(spec, table, day, report_tz), "arrivals": table["ingested_at"].nunique()}
        measures |= {"timed": table["ingested_at"].count()}
    values = table.aggregate(**measures).execute().iloc[0]
    count = int(values["rows"])
    shares = [
        {
            "table": spec.name,
            "column": name,
            "rows": count,
            "missing": count - int(values[f"present_{i}"]),
            "share": (count - int(values[f"present_{i}"])) / count if count else math.nan,
        }
        for i, name in enumerate(optional)
    ]
    row = {
        "table": spec.name,
        "rows": count,
        "duplicate_keys": count_duplicate_keys(spec, table),
        **_period(values, day is not None and count > 0),
        **_worst(shares),
        **_arrivals(values, arrived),
    }
    return row, shares


def _period(values: Any, known: bool) -> dict[str, Any]:
    if not known:
        return {"first": None, "last": None, "empty_days": math.nan}
    first, last = (pd.Timestamp(values[name]).date() for name in ("first", "last"))
    return {"first": first, "last": last, "empty_days": (last - first).days + 1 - int(values["days"])}


def _worst(shares: list[dict[str, Any]]) -> dict[str, Any]:
    """Name the three optional columns with the largest missing share."""
    ranked = sorted((s for s in shares if s["missing"]), key=lambda s: (-s["share"], s["column"]))[:WORST]
    text = ", ".join(f"{s['column']} {_percent(s['share'])}" for s in ranked)
    return {"missing": text, "missing_share": ranked[0]["share"] if ranked else 0.0}


def _late(spec: Table, table: ir.Table, day: Any, report_tz: str) -> Any:
    """Count rows that arrived more than a day after they happened (or after their day ended)."""
    name = observed_time(spec)
    if name is not None and table[name].type().is_timestamp():
        late = table["ingested_at"] > table[name] + ibis.interval(days=1)
    else:
        late = local_date(table["ingested_at"], report_tz) > (day + ibis.interval(days=2)).cast("date")
    return table.count(where=late)


def _arrivals(values: Any, known: bool) -> dict[str, Any]:
    """Return late rows; a single moment of arrival is one bulk export and says nothing about delay."""
    if not known or int(values["arrivals"]) < 2:
        return {"late_rows": math.nan, "late_share": math.nan}
    return {"late_rows": int(values["late"]), "late_share": int(values["late"]) / int(values["timed"])}


def _unmatched(dataset: Dataset) -> pd.DataFrame:
    """Return how many ids of each reference are not in the table they name."""
    rows = []
    for column, target in REFERENCES:
        if target not in dataset:
            continue
        for name, table in dataset.tables.items():
            if name != target and column in table.columns:
                rows.append(
                    {
                        "table": name,
                        "column": column,
                        "target": target,
                        **_reference(dataset, name, column, target),
                    }
                )
    columns = "table column target ids unmatched_ids rows unmatched_rows share examples"
    return pd.DataFrame(rows, columns=columns.split())


def _reference(dataset: Dataset, name: str, column: str, target: str) -> dict[str, Any]:
    """Count ids and rows without a partner, and show three of the ids."""
    table = dataset[name]
    ids = table.filter(table[column].notnull()).group_by(column).aggregate(rows=lambda t: t.count())
    lost = ids.anti_join(dataset[target], column)
    all_, missing = (
        t.aggregate(ids=t.count(), rows=t["rows"].sum().coalesce(0)).execute().iloc[0] for t in (ids, lost)
    )
    examples = (
        lost.order_by(column).limit(WORST).execute()[column] if missing["ids"] else pd.Series(dtype=str)
    )
    if column == "member_id":
        examples = privacy.pseudonymise(examples)
    return {
        "ids": int(all_["ids"]),
        "unmatched_ids": int(missing["ids"]),
        "rows": int(all_["rows"]),
        "unmatched_rows": int(missing["rows"]),
        "share": missing["ids"] / all_["ids"] if all_["ids"] else math.nan,
        "examples": ", ".join(examples),
    }


def _percent(share: float) -> str:
    """Return a share as every sentence of a report writes it: ``0.049 -> '4.9 %'``."""
    return f"{100 * share:.1f} %"


def _records(frame: pd.DataFrame) -> list[SimpleNamespace]:
    """Return the rows of a frame with their columns as attributes."""
    return [
        SimpleNamespace(**{str(name): value for name, value in row.items()})
        for row in frame.to_dict("records")
    ]


def _sentences(state: Health) -> list[str]:
    """Say what there is, then what is wrong with it."""
    tables = _records(state.frame)
    said = [f"{counted(len(tables), 'table')} with {counted(sum(t.rows for t in tables), 'row')}"]
    dated = [t for t in tables if t.first is not None]
    if dated:
        said[0] += f" from {min(t.first for t in dated)} to {max(t.last for t in dated)}"
    said[0] += "."
    empty = [t.table for t in tables if not t.rows]
    if empty:
        said.append(f"Empty: {', '.join(empty)}.")
    said += [
        f"{t.table} ends {counted(int(t.freshness_days), 'day')} before {state.as_of}."
        for t in tables
        if t.freshness_days > 1
    ]
    said += [
        f"{t.table} has {counted(int(t.empty_days), 'day')} without rows."
        for t in dated
        if t.empty_days > 0 and t.rows >= ROWS_A_DAY * ((t.last - t.first).days + 1)
    ]
    said += [
        f"{_percent(t.late_share)} of the rows of {t.table} arrived more than a day late."
        for t in tables
        if t.late_share > 0
    ]
    references = _records(state.unmatched)
    said += [
        f"{r.unmatched_ids:,} of {r.ids:,} {r.column} in {r.table} ({_percent(r.share)}) are not in {r.target}."
        for r in references
        if r.unmatched_ids
    ]
    return said
