"""A week against the weeks before it, a forecast judged by its own past, and where a change comes from.

What a week is compared with
----------------------------
The mean of up to eight ordinary weeks before it (ordinary: no holiday, promotion or incident). Each week has the same
seven weekdays, so this is a comparison of same weekdays. For numerator x and denominator d (1 for a count) with the
pooled rate r of these weeks, the error of week t is

    e_t = 2 sqrt(d_t) (sqrt(x_t / d_t) - sqrt(r)),

about normal with variance 1 + 1/8 for a Poisson count (Anscombe 1948); its size over the weeks of the past tells by
how much this very series is more (or less) restless than that, trends and memory included. With the root mean square
s of n past errors, e / s is taken for Student's t with n / SHARED degrees of freedom, since neighbouring errors share
their base weeks. A change is small or large against its own past and nothing else. Limits are those of sqrt(x / d),
squared.

Measured rates of false signals stand in ``docs/proofs/weekly_review.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import Estimate, half_width, unknown
from helpers.study import enough

FloatArray = NDArray[np.float64]
BASE, REACH = 8, 16
"""Ordinary weeks that a week is compared with, and how far back they may lie."""
SHARED = 1.5
"""Errors for each independent one: 1.08 for shared base weeks alone, the rest for memory, as measured."""
HELD = 0.8
"""Part of the rate of false signals that is used: long tails of money take the rest, as measured."""


class Change(NamedTuple):
    """What a week is, what was to be expected, and the difference.

    Attributes
    ----------
    current, expected : float
        The rate of the week, and that of the weeks it is compared with.
    delta : Estimate
        Difference with its interval; n counts the past errors behind it. Unknown with too little history.
    p : float
        Two-sided p-value of no difference; NaN when unknown.
    """

    current: float
    expected: float
    delta: Estimate
    p: float


def errors(series: pd.DataFrame, ordinary: Sequence[bool]) -> pd.DataFrame:
    """Return by week the rate that was to be expected, and the error of that (see above).

    Parameters
    ----------
    series : pandas.DataFrame
        numerator, denominator by week, without gaps in the index; NaN where a week was not observed.
    ordinary : sequence of bool
        Whether a week may stand for others.

    Returns
    -------
    pandas.DataFrame
        expected, error; NaN for a week with fewer than ``enough.PERIODS`` ordinary weeks before it.
    """
    x, d = series["numerator"].to_numpy(float), series["denominator"].to_numpy(float)
    rate = np.concatenate([[np.nan], _rates(x, d, np.asarray(ordinary, bool))[:-1]])
    with np.errstate(invalid="ignore", divide="ignore"):
        now = np.where(d > 0, x / d, np.nan)
    error = 2 * np.sqrt(d) * (np.sqrt(np.maximum(now, 0)) - np.sqrt(np.maximum(rate, 0)))
    return pd.DataFrame({"expected": rate, "error": error}, series.index)


def change(
    series: pd.DataFrame,
    ordinary: Sequence[bool],
    unit: str,
    *,
    against: int | None = None,
    confidence: float = 0.95,
) -> Change:
    """Return what the last week of a series is against the weeks before it.

    Parameters
    ----------
    series, ordinary :
        As in :func:`errors`.
    unit : str
        Unit of numerator over denominator.
    against : int, optional
        Place of the week of an earlier year that was as unusual: its own error is then to be expected too, and the
        two errors together make the difference twice as uncertain.
    confidence : float
        Level of the interval.
    """
    found = errors(series, ordinary)
    x, d = (float(series[name].iloc[-1]) for name in ("numerator", "denominator"))
    expected, error = (float(part) for part in found.iloc[-1])
    past = found["error"].to_numpy()[:-1][np.asarray(ordinary, bool)[:-1]]
    past, current, times = past[np.isfinite(past)], x / d if d > 0 else np.nan, 1.0
    if against is not None:
        shift, times = float(found["error"].iloc[against]), np.sqrt(2.0)
        expected, error = max(np.sqrt(expected) + shift / (2 * np.sqrt(d)), 0.0) ** 2, error - shift
    spread = times * float(np.sqrt(np.mean(past**2))) if len(past) >= enough.ERRORS else np.nan
    if not (np.isfinite([current, error, spread]).all() and spread > 0):
        return Change(current, expected, unknown(len(past), unit, confidence), np.nan)
    degrees = len(past) / SHARED
    half, root = half_width(spread, confidence, degrees) / (2 * np.sqrt(d)), np.sqrt(max(current, 0.0))
    low, high = max(root - half, 0.0) ** 2 - expected, (root + half) ** 2 - expected
    value = current - expected
    delta = Estimate(value, min(low, value), high, len(past), unit, "own past errors", confidence)
    return Change(current, expected, delta, float(2 * stats.t.sf(abs(error / spread), degrees)))


class Outlook(NamedTuple):
    """What a span of weeks ahead will come to.

    Attributes
    ----------
    expected : float
        The pace of the last ordinary weeks, kept: a sum over the span, or for a level or a rate its value.
    spread : float
        Root mean square of the relative errors that the same forecast made before; NaN with too few spans.
    spans : int
        Spans of this length in the past that do not overlap, the degrees of freedom of the forecast.
    """

    expected: float
    spread: float
    spans: int


def outlook(series: pd.DataFrame, ordinary: Sequence[bool], weeks: int, lead: int, kind: str) -> Outlook:
    """Return what `weeks` weeks that begin `lead` weeks after the last will come to, judged by the same in the past.

    Parameters
    ----------
    series, ordinary :
        As in :func:`errors`; unusual weeks are no base, but they are among what is forecast.
    weeks, lead : int
        Length of the span, and weeks between the last week and the first of the span.
    kind : {"flow", "level", "rate"}
        Whether the span's value is its sum, that of its last week, or its pooled rate.
    """
    x, d = series["numerator"].to_numpy(float), series["denominator"].to_numpy(float)
    rate = _rates(x, d, np.asarray(ordinary, bool))
    misses = []
    for origin in range(len(x) - lead - weeks):
        begin, end = origin + 1 + lead, origin + 1 + lead + weeks
        begin = end - 1 if kind == "level" else begin
        top, bottom = x[begin:end].sum(), d[begin:end].sum()
        if rate[origin] > 0 and bottom > 0 and np.isfinite(top):
            misses.append(top / bottom / rate[origin] - 1)
    spans = (len(misses) + weeks - 1) // weeks if misses else 0
    enough_spans = spans >= enough.BACKTESTS
    spread = float(np.sqrt(np.mean(np.square(misses)))) if enough_spans else np.nan
    pace = float(rate[-1]) if len(rate) else np.nan
    return Outlook(pace * weeks if kind == "flow" else pace, spread, spans)


def _rates(x: FloatArray, d: FloatArray, ordinary: NDArray[np.bool_]) -> FloatArray:
    """Return the pooled rate of the last ordinary weeks up to each week, itself included."""
    usable, found = ordinary & np.isfinite(x) & (d > 0), np.full(len(x), np.nan)
    for week in range(len(x)):
        first = max(week + 1 - REACH, 0)
        base = np.flatnonzero(usable[first : week + 1])[-BASE:] + first
        if len(base) >= enough.PERIODS:
            found[week] = x[base].sum() / d[base].sum()
    return found


def chance(outlook: Outlook, achieved: float, target: float, up: bool) -> float:
    """Return the chance that what is achieved and what is ahead reach a target (or stay below it)."""
    if not np.isfinite([outlook.spread, outlook.expected]).all():
        return np.nan
    room = (target - achieved - outlook.expected) / max(abs(outlook.expected) * outlook.spread, 1e-12)
    return float(stats.t.sf(room, outlook.spans) if up else stats.t.cdf(room, outlook.spans))


def mix_and_rate(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Split the change of a rate exactly into what moved between parts and what changed within them.

    With weights w (shares of the denominator), rates r, and bars for the mean of before and after,

        R1 - R0 = sum (w1 - w0) (mean r - mean R) + sum mean w (r1 - r0)

    holds exactly (the midpoint weights of Marshall and Edgeworth). A part that is on one side only has the rate of
    that side, so that it is all mix.

    Parameters
    ----------
    before, after : pandas.DataFrame
        numerator, denominator by part.

    Returns
    -------
    pandas.DataFrame
        mix, rate, total by part; their sums are the change of the rate of all parts together.
    """
    parts = before.index.union(after.index)
    old, new = (one.reindex(parts).fillna(0.0) for one in (before, after))
    w0, w1 = (one["denominator"] / one["denominator"].sum() for one in (old, new))
    r0, r1 = (one["numerator"] / one["denominator"].replace(0, np.nan) for one in (old, new))
    r0, r1 = r0.fillna(r1).fillna(0.0), r1.fillna(r0).fillna(0.0)
    middle = (
        old["numerator"].sum() / old["denominator"].sum() + new["numerator"].sum() / new["denominator"].sum()
    ) / 2
    mix, rate = (w1 - w0) * ((r0 + r1) / 2 - middle), (w0 + w1) / 2 * (r1 - r0)
    return pd.DataFrame({"mix": mix, "rate": rate, "total": mix + rate})


def parts_of_change(
    before: pd.DataFrame, after: pd.DataFrame, whole: str, others: str, *, pooled: bool
) -> pd.DataFrame:
    """Return what each part has to do with the change of a whole: mix, rate and total, which sum to it.

    Parameters
    ----------
    before, after : pandas.DataFrame
        numerator, denominator by part, and of the `whole`; what the parts leave over is one more, named `others`.
    whole, others : str
        Names in the index.
    pooled : bool
        Whether the number is a rate, as in :func:`mix_and_rate`; if not, the parts add up and there is no mix.
    """
    rest = [side.loc[whole] - side.drop(whole).sum() for side in (before, after)]
    before, after = before.drop(whole), after.drop(whole)
    if not pooled or max(abs(one["denominator"]) for one in rest) > 1e-9:
        before.loc[others], after.loc[others] = rest
    if pooled:
        return mix_and_rate(before, after)
    total = after["numerator"] - before["numerator"]
    return pd.DataFrame({"mix": 0.0, "rate": total, "total": total})


def judged_together(p: Sequence[float], rate: float) -> list[tuple[float, bool]]:
    """Return of each p-value the one corrected for all (Benjamini and Hochberg 1995), and whether it is a signal.

    What has no p-value (NaN) is not asked.
    """
    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = stats.false_discovery_control(np.asarray(p)[known])
    return [(float(each), bool(each <= HELD * rate)) for each in q]


class Kept(NamedTuple):
    """How stated chances came true: how many, what they promised, what came, Brier score, and the p-value of that."""

    n: int
    promised: float
    came: float
    brier: float
    p: float


def promises(chances: Sequence[float], came: Sequence[bool]) -> Kept:
    """Return how stated chances came true.

    The p-value is two-sided and exact under independence: the number that came is compared with the distribution of
    its sum under the stated chances (Poisson-binomial), with half of the observed point (mid-p, Lancaster 1961).
    """
    p, hit = np.asarray(chances, float), np.asarray(came, float)
    if not len(p):
        return Kept(0, np.nan, np.nan, np.nan, np.nan)
    law = np.array([1.0])
    for one in p:
        law = np.convolve(law, [1 - one, one])
    k = int(hit.sum())
    below = law[:k].sum() + law[k] / 2
    both = float(min(1.0, 2 * min(below, 1 - below)))
    return Kept(len(p), float(p.mean()), float(hit.mean()), float(np.mean((p - hit) ** 2)), both)
