"""The ledger of costs as the engine sums it: what a day took, by kind."""

from __future__ import annotations

import ibis
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.data.source import Dataset

COLUMNS = ("date", "kind", "fixed", "amount", "approver_level", "fte", "month")
ABSENT = {
    "fixed": ibis.literal(False),
    "approver_level": ibis.null("int64"),
    "fte": ibis.null("float64"),
}


def ledger(dataset: Dataset, until: ibis.Value) -> pd.DataFrame:
    """Return the table ``costs`` until a day by day, kind and whether it is fixed; no rows where there is none.

    Parameters
    ----------
    dataset : Dataset
        The tables.
    until : ibis.Value
        The last day.

    Returns
    -------
    pandas.DataFrame
        date, kind, fixed, amount, approver_level (the highest), fte (people; missing where no row states them) and
        month, such as 2026-06.
    """
    if "costs" not in dataset:
        return pd.DataFrame(columns=list(COLUMNS)).astype({"amount": float, "fte": float})
    table = dataset.costs
    table = table.mutate(**{name: none for name, none in ABSENT.items() if name not in table.columns})
    table = table.mutate(date=table.date.cast("date"), fixed=table.fixed.fill_null(False))
    table = table.filter(table.date <= until)
    sums = {name: rounded(table[name].sum(), VALUE_DECIMALS) for name in ("amount", "fte")}
    sums |= {"approver_level": table.approver_level.max()}
    rows = table.group_by("date", "kind", "fixed").agg(**sums).order_by("date", "kind", "fixed").to_pandas()
    rows = rows.assign(date=pd.to_datetime(rows["date"])).astype({"kind": str})
    return rows.assign(month=rows["date"].dt.strftime("%Y-%m"))[list(COLUMNS)]
