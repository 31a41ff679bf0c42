"""Survival curves from cells: Kaplan–Meier, medians and restricted means, for all segments at once.

Definitions
-----------
Days and ties are as in :mod:`helpers.stats.survival.durations`: S(d) is the share still there at the end of tenure
day d.

- Kaplan and Meier (1958): S(d) = product over days t <= d of (1 - exits_t / at risk_t). Interval:
  :mod:`helpers.stats.survival.limits`.
- Median: the first day with S(d) <= 1/2; its interval are the days on which the pointwise limits reach 1/2
  (Brookmeyer and Crowley 1982).
- Restricted mean: the days out of the first `horizon` at whose end a member is still there, on average:
  S(0) + ... + S(horizon - 1), which is the area under the curve: :mod:`helpers.stats.survival.restricted_mean`.

The product limit is computed here, for all segments in one pass, and not by lifelines: 24 segments of 730 days
take lifelines half a second, as long as the engine takes to count 10 million members. lifelines is the oracle of
the tests; :meth:`SurvivalCurves.to_lifelines` hands one segment to it.

With late entry the first days of tenure may be days that nobody has seen. A curve then begins on the first day with
somebody at risk, ``from_day``, and is one *of those still here on that day*: how many left before, and so the median,
the restricted mean and the share of all who are still there, is not known. After a later day that nobody has seen
there is no curve. One exit among very few on an early day weighs on the whole curve: look at ``at_risk``. When all
at risk leave on a day and others enter later, the product is 0 for good, which says nothing about those others: too
little data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.stats.estimate import Estimate, estimate_of
from helpers.stats.survival.cells import DayCounts, day_counts
from helpers.stats.survival.limits import product_limit, survival_limits
from helpers.stats.survival.restricted_mean import common_horizon, restricted_means

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalCurves:
    """Survival curves of the segments of a community.

    Attributes
    ----------
    counts : DayCounts
        The counts behind the curves.
    survival, low, high : ndarray, shape (segments, days)
        Share still there of those still here on the segment's first day with somebody at risk (of all where that
        is day 0), and its limits. Missing in segments of fewer than two members, in those where all at risk left
        before others entered, and after a later day that nobody has seen.
    confidence : float
        Level of all intervals.
    """

    counts: DayCounts
    survival: FloatArray = field(repr=False)
    low: FloatArray = field(repr=False)
    high: FloatArray = field(repr=False)
    confidence: float

    @property
    def n(self) -> int:
        """Members in all segments."""
        return int(self.counts.members.sum())

    @property
    def events(self) -> int:
        """Exits in all segments."""
        return int(self.counts.events.sum())

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per segment and tenure day on which somebody was at risk.

        The columns segment, day, from_day, survival, low, high.
        """
        row, day = np.nonzero(self.counts.at_risk > 0)
        shares = {"survival": self.survival, "low": self.low, "high": self.high}
        return self._named(
            {"day": day, "from_day": self.counts.from_day[row]}
            | {name: values[row, day] for name, values in shares.items()},
            row,
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per segment: how many, and the median with its interval.

        The columns segment, n, events, from_day (first day with somebody at risk), last_day (last one, -1
        for none), median, low, high (days; infinite when not reached; missing when there is too little data: without
        an exit, without estimates, or when early days were not seen).
        """
        counts, events = self.counts, self.counts.events.sum(axis=1)
        known = (events > 0) & counts.enough & (counts.from_day == 0)
        columns: dict[str, NDArray[Any]] = {
            "n": counts.members.astype("int64"), "events": events.astype("int64"),
            "from_day": counts.from_day, "last_day": counts.last_day,
        }  # fmt: skip
        for name, share in (("median", self.survival), ("low", self.low), ("high", self.high)):
            # Tolerance: a product of ratios may miss one half by rounding.
            reached = (share <= 0.5 + 1e-12) & (counts.at_risk > 0)
            first = np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)
            columns[name] = np.where(known, first, np.nan)
        # A median that was not reached before a day that nobody has seen may be one of those days.
        lost = np.isinf(columns["median"]) & np.isfinite(counts.gap_from)
        columns |= {name: np.where(lost, np.nan, columns[name]) for name in ("median", "low", "high")}
        return self._named(columns, np.arange(len(events)))

    def at(self, days: int | Sequence[int]) -> pd.DataFrame:
        """Return segment, day, at_risk, survival, low, high, n, watched on tenure days.

        Estimates are missing where nobody was at risk, and in segments whose first days nobody has seen: there
        the share of all is not known. Once everybody has left, survival stays 0. `n` are all
        members of the segment, `watched` those who were under observation on any day up to this one: whoever came
        under observation later says nothing about the share.
        """
        wanted = np.atleast_1d(np.asarray(days, dtype="int64"))
        counts, row = self.counts, np.arange(len(self.survival))[:, None]
        end = np.maximum(counts.last_day, 0)[:, None]
        day = np.where(self.survival[row, end] == 0, np.minimum(wanted, end), wanted)
        inside, on = day <= end, np.minimum(day, end)
        known = inside & (counts.at_risk[row, on] > 0) & (counts.from_day[:, None] == 0)
        gone = counts.events + counts.censored
        ever = counts.at_risk + gone.cumsum(axis=1) - gone
        there = np.where(wanted <= end, counts.at_risk[row, np.minimum(wanted, end)], 0)
        columns: dict[str, NDArray[Any]] = {
            "day": np.broadcast_to(wanted, known.shape), "at_risk": there.astype("int64")
        }  # fmt: skip
        for name, share in (("survival", self.survival), ("low", self.low), ("high", self.high)):
            columns[name] = np.where(known, share[row, on], np.nan)
        columns["n"] = np.broadcast_to(counts.members[:, None], known.shape).astype("int64")
        columns["watched"] = ever[row, np.minimum(wanted, ever.shape[1] - 1)].astype("int64")
        flat = {name: values.ravel() for name, values in columns.items()}
        return self._named(flat, np.repeat(row.ravel(), len(wanted)))

    def still_here(self, day: int) -> Estimate:
        """Return the share of everybody, in curves of one segment, still here at the end of a day of tenure.

        `n` are the members watched on any day up to this one; the share is unknown where :meth:`at` has none.
        """
        row = self.at(day).iloc[0]
        return estimate_of(
            row, row["watched"], "Kaplan–Meier, score limits", self.confidence, value="survival"
        )

    def restricted_mean(self, horizon: int | None = None) -> pd.DataFrame:
        """Return the mean number of days stayed of the first `horizon`, per segment.

        Parameters
        ----------
        horizon : int, optional
            Days; default: the most for which every segment that is large enough was watched.

        Returns
        -------
        pandas.DataFrame
            The columns segment, n, horizon, mean, low, high (days). Missing where a segment was not
            watched on every day until the horizon, or has fewer than five members.
        """
        days = common_horizon(self.counts) if horizon is None else horizon
        found = restricted_means(self.counts, days)
        low, high = found.limits(self.confidence)
        return self.summary[["segment", "n"]].assign(horizon=days, mean=found.mean, low=low, high=high)

    def to_lifelines(self, segment: str | None = None) -> Any:
        """Return a lifelines ``KaplanMeierFitter`` of a segment, for its plots and methods.

        Its interval is the log-log one, which is far too narrow in small samples. Who entered first is taken to have
        ended first: the estimate depends on how many are at risk alone.
        """
        from lifelines import KaplanMeierFitter

        labels, counts = self.counts.labels, self.counts
        row = 0 if segment is None else labels.index(segment)
        at_risk, events, censored = (part[row] for part in (counts.at_risk, counts.events, counts.censored))
        entered = at_risk - np.append(0, (at_risk - events - censored)[:-1])
        come, gone = entered.cumsum(), np.stack([events, censored], axis=1).cumsum()
        upto = np.union1d(come, gone)
        upto = upto[upto > 0]
        entry, (day, stayed) = np.searchsorted(come, upto), np.divmod(np.searchsorted(gone, upto), 2)
        # There, who enters at t is at risk only after t; here from day t on.
        entry = np.where(entry == 0, 0, entry - 0.5)
        fitter = KaplanMeierFitter(alpha=1 - self.confidence, label=labels[row])
        return fitter.fit(day, stayed == 0, entry=entry, weights=np.diff(upto, prepend=0))

    def _named(self, columns: dict[str, NDArray[Any]], row: NDArray[np.intp]) -> pd.DataFrame:
        """Return columns beside the names of the segments they belong to."""
        return pd.DataFrame({"segment": np.array(self.counts.labels, dtype=object)[row]} | columns)


def survival(cells: pd.DataFrame, by: str | None = None, confidence: float = 0.95) -> SurvivalCurves:
    """Return Kaplan–Meier curves from cells.

    Parameters
    ----------
    cells : pandas.DataFrame
        tenure_day, n, events, entry_day where entry is late, and the column `by`, as made by
        :func:`helpers.stats.survival.cells.cells`; further segment columns are added up.
    by : str, optional
        Segment column; default: everybody together.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadData
        When the cells lack a column or hold what cannot be.
    """
    counts = day_counts(cells, by)
    seen = np.arange(counts.at_risk.shape[1]) < counts.gap_from[:, None]
    known = counts.enough[:, None] & seen
    share = product_limit(counts.at_risk, counts.events)
    limits = survival_limits(counts.at_risk, counts.events, confidence)
    share, low, high = (np.where(known, curve, np.nan) for curve in (share, *limits))
    return SurvivalCurves(counts, share, low, high, confidence)
