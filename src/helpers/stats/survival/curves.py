"""Survival curves from cells: Kaplan–Meier, Nelson–Aalen, medians and restricted means, for all segments at once.

Definitions
-----------
Days and ties are as in :mod:`helpers.study.durations`: S(d) is the share still there at the end of tenure
day d.

- Kaplan and Meier (1958): S(d) = product over days t <= d of (1 - exits_t / at risk_t). Standard error:
  Greenwood (1926). Interval: :mod:`helpers.stats.survival.bpcp`.
- Nelson (1972) and Aalen (1978): H(d) = sum of exits_t / at risk_t, with the variance and the log interval that
  lifelines uses (``nelson_aalen_smoothing=False``: days with several exits are taken as they are).
- Median: the first day with S(d) <= 1/2; its interval are the days on which the pointwise limits reach 1/2
  (Brookmeyer and Crowley 1982).
- Restricted mean: the days out of the first `horizon` at whose end a member is still there, on average:
  S(0) + ... + S(horizon - 1), which is the area under the curve: :mod:`helpers.stats.survival.restricted_mean`.

The product limit is computed here, for all segments in one pass, and not by lifelines: 24 segments of 730 days
take lifelines half a second, as long as the engine takes to count 10 million members. lifelines is the oracle of
the tests; :func:`lifelines_fitter` hands one segment to it.

With late entry the first days of tenure may be days that nobody has seen. A curve then begins on the first day with
somebody at risk, ``from_day``, and is one *of those still here on that day*: how many left before, and so the median,
the restricted mean and the share of all who are still there, is not known. After a later day that nobody has seen
there is no curve. One exit among very few on an early day weighs on the whole curve: look at ``at_risk``. When all
at risk leave on a day and others enter later, the product is 0 for good, which says nothing about those others: too
little data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.data import privacy
from helpers.stats.estimate import Estimate, estimate_of, unknown
from helpers.stats.survival.bpcp import product_limit, survival_limits
from helpers.stats.survival.cells import DayCounts, check_cells, day_counts
from helpers.stats.survival.curve_words import curve_sentence
from helpers.stats.survival.restricted_mean import common_horizon, restricted_means
from helpers.study.days import checked, checked_confidence

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalCurves:
    """Survival curves of the segments of a community.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per segment and tenure day on which somebody was at risk: the segment columns, segment, day,
        from_day, at_risk, events, censored (int), survival (of those still here on ``from_day``, of all where
        that is 0), low, high, standard_error, cumulative_hazard, hazard_low, hazard_high. Estimates are missing
        in segments of fewer than two members, in those where all at risk left before others entered, and after a
        later day that nobody has seen.
    summary : pandas.DataFrame
        One row per segment: the segment columns, segment, n, events, from_day (first day with somebody at risk),
        last_day (last one, -1 for none), median, low, high (days; infinite when not reached; missing when there is
        too little data: without an exit, without estimates, or when early days were not seen).
    by : tuple of str
        Segment columns.
    confidence : float
        Level of all intervals.
    method : str
        How the limits of survival were made, as in :func:`helpers.stats.survival.bpcp.survival_limits`.
    event : str
        What the event is, in the past tense: ``"left"``.
    unit : str
        Who survives: ``"members"``.
    counts : DayCounts
        The counts behind the curves.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    by: tuple[str, ...]
    confidence: float
    method: str
    event: str
    unit: str
    counts: DayCounts = field(repr=False)

    @property
    def n(self) -> int:
        """Members in all segments."""
        return int(self.summary["n"].sum())

    @property
    def events(self) -> int:
        """Exits in all segments."""
        return int(self.summary["events"].sum())

    def at(self, days: int | Sequence[int]) -> pd.DataFrame:
        """Return segment, day, at_risk, survival, low, high, n, watched on tenure days.

        Estimates are missing where nobody was at risk, and in segments whose first days nobody has seen: there
        the share of all is not known. Once everybody has left, survival stays 0. `n` are all
        members of the segment, `watched` those who were under observation on any day up to this one: whoever came
        under observation later says nothing about the share.
        """
        wanted = [days] if isinstance(days, int | np.integer) else list(days)
        for one in wanted:
            checked(one, "days", type_=(int, np.integer), ge=0)
        segments = len(self.summary)
        row, day = np.repeat(np.arange(segments), len(wanted)), np.tile(np.array(wanted, "int64"), segments)
        last = self.counts.last_day[row]
        over = (day > last) & (self._on(row, last)["survival"] == 0)
        known, at_risk = self._on(row, np.where(over, last, day)), self._on(row, day)["at_risk"]
        part = self.counts.from_day[row] > 0
        watched = np.array([self.watched(one) for one in wanted], "int64").reshape(len(wanted), segments)
        columns: dict[str, NDArray[Any]] = {
            "day": day, "at_risk": np.nan_to_num(at_risk).astype("int64"),
            **{name: np.where(part, np.nan, known[name]) for name in ("survival", "low", "high")},
            "n": self.summary["n"].to_numpy()[row], "watched": watched.T.ravel(),
        }  # fmt: skip
        return _beside(self.counts.segments, row, columns)

    def still_here(self, day: int) -> Estimate:
        """Return the share of everybody, in curves of one segment, still here at the end of a day of tenure.

        `n` are the members watched on any day up to this one; the share is unknown where :meth:`at` has none.
        """
        row = self.at(day).iloc[0] if self.n else None
        if row is None:
            return unknown(0, "share", self.confidence)
        method = f"Kaplan–Meier, {self.method} limits"
        return estimate_of(row, row["watched"], method, self.confidence, value="survival")

    def _on(self, row: NDArray[np.intp], day: NDArray[np.int64]) -> dict[str, FloatArray]:
        """Return columns of the table for segments by their row, each on a day; missing where nobody was at risk."""
        seen = self.counts.at_risk > 0
        inside = (day >= 0) & (day < seen.shape[1])
        inside[inside] = seen[row[inside], day[inside]]
        # The table has a row for every segment and day with somebody at risk, in this order.
        place = seen.ravel().cumsum()[row[inside] * seen.shape[1] + day[inside]] - 1
        found = {}
        for name in ("at_risk", "survival", "low", "high"):
            found[name] = np.full(len(row), np.nan)
            found[name][inside] = self.table[name].to_numpy()[place]
        return found

    def watched(self, day: int) -> NDArray[np.int64]:
        """Return how many members of each segment were under observation on any of the days 0 to `day`."""
        counts = self.counts
        last = min(day, counts.at_risk.shape[1] - 1)
        gone = (counts.events + counts.censored)[:, :last].sum(axis=1)
        return (counts.at_risk[:, last] + gone).astype("int64")

    def median(self, segment: str | None = None) -> Estimate:
        """Return the median stay of a segment, in days; infinite bounds mean: not reached while watched."""
        row = self.summary.iloc[self._position(segment)]
        if np.isnan(row["median"]):
            return unknown(int(row["n"]), "days", self.confidence)
        method = "Brookmeyer–Crowley"
        return Estimate(
            row["median"], row["low"], row["high"], int(row["n"]), "days", method, self.confidence
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
            The segment columns, segment, horizon, n, mean, standard_error, low, high (days). Missing where a
            segment was not watched on every day until the horizon, or has fewer than five members. With few exits
            the limits do not come from the standard error: :mod:`helpers.stats.survival.restricted_mean`.
        """
        if horizon is None:
            horizon = common_horizon(self.counts)
        checked(horizon, "horizon", type_=(int, np.integer), ge=1)
        found = restricted_means(self.counts, int(horizon))
        low, high = found.limits(self.confidence)
        return self.summary[[*self.by, "segment", "n"]].assign(
            horizon=horizon, mean=found.mean, standard_error=found.error, low=low, high=high
        )

    def by_segment(self, horizon: int | None = None, k_min: int = 10) -> pd.DataFrame:
        """Return medians and restricted means of all segments in one table, ready to be shown.

        Parameters
        ----------
        horizon : int, optional
            Days of the restricted mean, as in :meth:`restricted_mean`.
        k_min : int
            Segments of fewer members are kept back, with another one where they could be solved for.

        Returns
        -------
        pandas.DataFrame
            segment, n, events, seen_from_day (only when above 0 somewhere: nobody was seen before that day of
            tenure, so that medians and means are missing), median, median_low, median_high (days; infinite: not
            reached), horizon, mean_days, mean_low, mean_high (days out of the first `horizon`).
        """
        late = ["from_day"] if self.summary["from_day"].gt(0).any() else []
        medians = self.summary[["segment", "n", "events", *late, "median", "low", "high"]]
        medians = medians.rename(columns={"from_day": "seen_from_day"})
        medians = medians.rename(columns={"low": "median_low", "high": "median_high"})
        means = self.restricted_mean(horizon)[["horizon", "mean", "low", "high"]]
        names = {"mean": "mean_days", "low": "mean_low", "high": "mean_high"}
        found = pd.concat([medians, means.rename(columns=names)], axis=1)
        kept = [str(name) for name in found.columns if name not in ("segment", "n", "horizon")]
        return privacy.suppress(found, "n", k_min, kept)

    def shown(self, k_min: int) -> list[str]:
        """Return the segments that may be shown: with `k_min` members, and no other solved for from the total."""
        kept = privacy.suppress(self.summary[["segment", "n"]], "n", k_min, [])
        return kept.loc[kept["n"].notna(), "segment"].tolist()

    @property
    def sentence(self) -> str:
        """How many left, and how long half of them stayed, or what is known instead."""
        return curve_sentence(self)

    def _position(self, segment: str | None) -> int:
        labels = self.summary["segment"].tolist()
        if segment is None and len(labels) == 1:
            return 0
        return labels.index(checked(segment, "segment", in_=labels))


def survival(
    cells: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    *,
    method: str = "score",
    event: str = "left",
    unit: str = "members",
    safe_before_entry: bool = False,
) -> SurvivalCurves:
    """Return Kaplan–Meier and Nelson–Aalen curves from cells.

    Parameters
    ----------
    cells : pandas.DataFrame
        tenure_day, n, events, entry_day where entry is late, and the columns of `by`, as made by
        :func:`helpers.stats.survival.cells.cells`; further segment columns are added up.
    by : str or sequence of str, optional
        Segment columns; default: everybody together.
    confidence : float
        Level of the intervals.
    method : {"score", "bpcp", "mid_p"}
        Limits of survival; see :mod:`helpers.stats.survival.bpcp`.
    event, unit : str
        Words of the sentence: ``"left"`` and ``"members"``, ``"went silent"``, ``"groups"``.
    safe_before_entry : bool
        Whether the event cannot happen before entry, so that days with nobody at risk count as days without it.

    Raises
    ------
    BadData
        When the cells lack a column or hold what cannot be.
    BadParameters
        When the confidence or the method is none.
    """
    level = checked_confidence(confidence)
    counts = replace(day_counts(cells, by), safe_before_entry=safe_before_entry)
    low, high = survival_limits(counts.at_risk, counts.events, level, method)
    frames = _estimates(counts, level) | {"low": low, "high": high}
    enough = counts.enough[:, None] & (np.arange(counts.at_risk.shape[1]) < counts.gap_from[:, None])
    frames = {name: np.where(enough, value, np.nan) for name, value in frames.items()}
    return SurvivalCurves(
        table=_long(counts, frames),
        summary=_summary(counts, frames),
        by=counts.by,
        confidence=level,
        method=method,
        event=event,
        unit=unit,
        counts=counts,
    )


def lifelines_fitter(cells: pd.DataFrame, *, confidence: float = 0.95, label: str = "survival") -> Any:
    """Return a lifelines ``KaplanMeierFitter`` fitted on cells, for its plots and methods.

    Its interval is the log-log one, which is far too narrow in small samples.
    """
    from lifelines import KaplanMeierFitter

    clean = check_cells(cells)
    stayed = clean.assign(n=clean["n"] - clean["events"], exited=False)
    rows = pd.concat([clean.assign(n=clean["events"], exited=True), stayed])
    rows = rows[rows["n"] > 0]
    # There, who enters at t is at risk only after t; here from day t on.
    entry = rows["entry_day"].where(rows["entry_day"] == 0, rows["entry_day"] - 0.5)
    return KaplanMeierFitter(alpha=1 - checked_confidence(confidence), label=label).fit(
        rows["tenure_day"], rows["exited"], entry=entry, weights=rows["n"]
    )


def _estimates(counts: DayCounts, level: float) -> dict[str, FloatArray]:
    survived, greenwood = product_limit(counts.at_risk, counts.events)
    n, d = np.where(counts.at_risk > 0, counts.at_risk, 1.0), counts.events
    hazard, variance = (d / n).cumsum(axis=1), (d * (n - d) / n**3).cumsum(axis=1)
    z = stats.norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(hazard > 0, np.exp(z * np.sqrt(variance) / hazard), 1.0)
        error = np.where(survived > 0, survived * np.sqrt(greenwood), np.nan)
    return {
        "survival": survived, "standard_error": error, "cumulative_hazard": hazard,
        "hazard_low": hazard / factor, "hazard_high": hazard * factor,
    }  # fmt: skip


def _long(counts: DayCounts, frames: dict[str, FloatArray]) -> pd.DataFrame:
    """Return one row per segment and day with somebody at risk."""
    place = np.flatnonzero(counts.at_risk > 0)
    row, day = np.divmod(place, counts.at_risk.shape[1])
    whole = {"at_risk": counts.at_risk, "events": counts.events, "censored": counts.censored}
    columns = {"day": day, "from_day": counts.from_day[row]}
    columns |= {name: value.take(place).astype("int64") for name, value in whole.items()}
    order = ["survival", "low", "high", "standard_error", "cumulative_hazard", "hazard_low", "hazard_high"]
    return _beside(counts.segments, row, columns | {name: frames[name].take(place) for name in order})


def _beside(segments: pd.DataFrame, row: NDArray[np.intp], columns: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """Return columns beside the names of the segments they belong to."""
    return pd.DataFrame({name: segments[name].to_numpy()[row] for name in segments.columns} | columns)


def _summary(counts: DayCounts, frames: dict[str, FloatArray]) -> pd.DataFrame:
    events = counts.events.sum(axis=1)
    known = (events > 0) & counts.enough & (counts.from_day == 0)
    days = {
        # Tolerance: a product of ratios may miss one half by rounding.
        name: np.where(known, _first(frames[source] <= 0.5 + 1e-12, counts.at_risk > 0), np.nan)
        for name, source in {"median": "survival", "low": "low", "high": "high"}.items()
    }
    # A median that was not reached before a day that nobody has seen may be one of those days.
    lost = np.isinf(days["median"]) & np.isfinite(counts.gap_from)
    days = {name: np.where(lost, np.nan, value) for name, value in days.items()}
    whole = {"n": counts.members, "events": events, "from_day": counts.from_day, "last_day": counts.last_day}
    columns = {name: value.astype("int64") for name, value in whole.items()} | days
    return _beside(counts.segments, np.arange(len(events)), columns)


def _first(reached: NDArray[np.bool_], watched: NDArray[np.bool_]) -> FloatArray:
    """Return the first watched day on which something is reached; infinite when it never is."""
    hit = reached & watched
    return np.where(hit.any(axis=1), hit.argmax(axis=1), np.inf)
