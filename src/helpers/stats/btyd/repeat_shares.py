"""What members like this one did before: the model-free answer when a buy-till-you-die model has none.

The history is cut `horizon_days` before its end. Members are put into classes of frequency (repeats) and
recency (time since the last transaction, in multiples of the horizon) as of the cut, and counted: how many
transacted again in the horizon, and how often. A share has a Wilson interval; it is a lower bound of the
share still alive, because a living member need not transact within the horizon.
"""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from helpers.stats.btyd.cells import Cells, histories, observed_days
from helpers.stats.estimate import Estimate, unknown, wilson

FREQUENCY_STARTS = np.array([0, 1, 2, 4, 8])
RECENCY_STARTS = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
FREQUENCY_LABELS = ("0", "1", "2-3", "4-7", "8+")
RECENCY_LABELS = ("under 1/2", "1/2 to 1", "1 to 2", "2 to 4", "4 and more")


class RepeatShares:
    """Repeat shares by class of frequency and recency.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per class: frequency (repeats, text), recency (in horizons, text), members, returned,
        transactions, share, low, high.
    horizon : float
        Length of the horizon in the unit of time of the cells.
    overall : Estimate
        Share of all members that transacted again within the horizon.
    """

    def __init__(self, cells: Cells, *, horizon_days: int | None = None, confidence: float = 0.95) -> None:
        span = observed_days(cells.transactions, cells.as_of)
        days = horizon_days or max(span // 3, 1)
        self.horizon = days / cells.unit_days
        self.unit = cells.unit
        self.confidence = confidence
        shape = (len(FREQUENCY_LABELS), len(RECENCY_LABELS))
        counts = self._counts(cells, days) if span else pd.DataFrame()
        columns = ("members", "returned", "transactions")
        grids = [_grid(counts, c, shape) for c in columns]
        self._members, self._returned, self._transactions = grids
        self.table = self._table()
        self.overall = self._estimate(int(self._returned.sum()), int(self._members.sum()))

    def _counts(self, cells: Cells, days: int) -> pd.DataFrame:
        """Count classes in the engine: two histories of the same members, as of the cut and after it."""
        cut = cells.as_of - dt.timedelta(days=days)
        rows = cells.transactions
        before = histories(rows, cut, cells.unit_days)
        late = rows.filter((rows.day > ibis.date(cut)) & (rows.day <= ibis.date(cells.as_of)))
        after = late.group_by("member_id").agg(transactions=late.count())
        joined = before.left_join(after, "member_id")
        again = joined.transactions.fill_null(0)
        frequency = sum((joined.x >= int(s)).cast("int64") for s in FREQUENCY_STARTS) - 1
        starts = [int(np.ceil(s * days)) for s in RECENCY_STARTS]
        recency = sum((joined.recency_days >= s).cast("int64") for s in starts) - 1
        classed = joined.select(frequency=frequency, recency=recency, again=again)
        return (
            classed.group_by("frequency", "recency")
            .agg(
                members=classed.count(), returned=(classed.again > 0).sum(), transactions=classed.again.sum()
            )
            .to_pandas()
        )

    def _table(self) -> pd.DataFrame:
        index = pd.MultiIndex.from_product([FREQUENCY_LABELS, RECENCY_LABELS], names=["frequency", "recency"])
        n, k = self._members.ravel(), self._returned.ravel()
        low, high = wilson(k, n, self.confidence)
        share = np.divide(k, n, out=np.full(n.size, np.nan), where=n > 0)
        columns = {"members": n, "returned": k, "transactions": self._transactions.ravel()}
        whole = {name: column.astype("int64") for name, column in columns.items()}
        frame = pd.DataFrame({**whole, "share": share, "low": low, "high": high}, index=index)
        return frame[frame["members"] > 0].reset_index()

    def _estimate(self, returned: int, members: int) -> Estimate:
        if not members:
            return unknown(0, "share", self.confidence)
        low, high = wilson(returned, members, self.confidence)
        return Estimate(
            returned / members, float(low), float(high), members, "share", "Wilson score", self.confidence
        )

    def _per_member(
        self, counts: NDArray[np.float64], x: ArrayLike, silent: ArrayLike
    ) -> NDArray[np.float64]:
        """Return a count per member of the class of each history; an empty class borrows its frequency row."""
        frequency = np.searchsorted(FREQUENCY_STARTS, np.asarray(x, float), side="right") - 1
        recency = np.searchsorted(RECENCY_STARTS * self.horizon, np.asarray(silent, float), side="right") - 1
        n, total = (
            self._members,
            np.broadcast_to(self._members.sum(axis=1, keepdims=True), self._members.shape),
        )
        row = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
        pooled = np.divide(row, total, out=np.full(n.shape, np.nan), where=total > 0)
        rates = np.divide(counts, n, out=np.array(pooled), where=n > 0)
        return rates[frequency, recency]

    def share(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
        """Return the share of earlier members with such a history that transacted again; NaN if none had."""
        return self._per_member(self._returned, x, np.asarray(age, float) - np.asarray(t_x, float))

    def transactions(self, t: float, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
        """Return the mean number of transactions in a time `t`, in proportion to that in the horizon."""
        silent = np.asarray(age, float) - np.asarray(t_x, float)
        return self._per_member(self._transactions, x, silent) * t / self.horizon


def _grid(counts: pd.DataFrame, column: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    grid = np.zeros(shape)
    if len(counts):
        grid[counts["frequency"].astype(int), counts["recency"].astype(int)] = counts[column].astype(float)
    return grid
