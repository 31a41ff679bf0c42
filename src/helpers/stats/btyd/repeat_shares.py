"""What members like this one did before: the model-free answer when a buy-till-you-die model has none.

The history is cut a third of its length before its end. Members are put into classes of frequency (repeats) and
recency (time since the last transaction, in multiples of the horizon) as of the cut, and counted: how many
transacted again in the horizon. Such a share has a Wilson interval; it is a lower bound of the share still alive,
because a living member need not transact within the horizon.
"""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from helpers.data.dialect import ones
from helpers.stats.btyd.cells import Cells, histories, observed_days
from helpers.stats.estimate import proportion

FREQUENCY_STARTS = np.array([0, 1, 2, 4, 8])
RECENCY_STARTS = np.array([0.0, 0.5, 1.0, 2.0, 4.0])


class RepeatShares:
    """Repeat shares by class of frequency and recency.

    Attributes
    ----------
    days : int
        Length of the horizon.
    horizon : float
        The same in the unit of time of the cells.
    overall : Estimate
        Share of all members that transacted again within the horizon.
    """

    def __init__(self, cells: Cells, confidence: float) -> None:
        self.days = max(observed_days(cells.transactions, cells.as_of) // 3, 1)
        self.horizon = self.days / cells.unit_days
        counts = self._counts(cells)
        shape = (FREQUENCY_STARTS.size, RECENCY_STARTS.size)
        self._members, self._returned, self._transactions = np.zeros((3, *shape))
        at = counts["frequency"].astype(int), counts["recency"].astype(int)
        self._members[at], self._returned[at] = counts["members"], counts["returned"]
        self._transactions[at] = counts["transactions"]
        self.overall = proportion(int(self._returned.sum()), int(self._members.sum()), confidence)

    def _counts(self, cells: Cells) -> pd.DataFrame:
        """Count classes in the engine: two histories of the same members, as of the cut and after it."""
        cut = cells.as_of - dt.timedelta(days=self.days)
        rows = cells.transactions
        before = histories(rows, cut, cells.unit_days)
        late = rows.filter((rows.day > ibis.date(cut)) & (rows.day <= ibis.date(cells.as_of)))
        after = late.group_by("member_id").agg(transactions=late.count())
        joined = before.left_join(after, "member_id")
        again = joined.transactions.fill_null(0)
        frequency = sum(ones(joined.x >= int(s)) for s in FREQUENCY_STARTS) - 1
        starts = [int(np.ceil(s * self.days)) for s in RECENCY_STARTS]
        recency = sum(ones(joined.recency_days >= s) for s in starts) - 1
        classed = joined.select(frequency=frequency, recency=recency, again=again)
        totals = {"returned": (classed.again > 0).sum(), "transactions": classed.again.sum()}
        found = classed.group_by("frequency", "recency").agg(members=classed.count(), **totals)
        return found.to_pandas()

    def _per_member(
        self, counts: NDArray[np.float64], x: ArrayLike, silent: ArrayLike
    ) -> NDArray[np.float64]:
        """Return a count per member of the class of each history; an empty class borrows its frequency row."""
        frequency = np.searchsorted(FREQUENCY_STARTS, np.asarray(x, float), side="right") - 1
        recency = np.searchsorted(RECENCY_STARTS * self.horizon, np.asarray(silent, float), side="right") - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled = counts.sum(axis=1, keepdims=True) / self._members.sum(axis=1, keepdims=True)
            rates = np.where(self._members > 0, counts / self._members, pooled)
        return rates[frequency, recency]

    def share(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
        """Return the share of earlier members with such a history that transacted again; NaN if none had."""
        return self._per_member(self._returned, x, np.subtract(age, t_x))

    def transactions(self, t: float, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
        """Return the mean number of transactions in a time `t`, in proportion to that in the horizon."""
        return self._per_member(self._transactions, x, np.subtract(age, t_x)) * t / self.horizon
