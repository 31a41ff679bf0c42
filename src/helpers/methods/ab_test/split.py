"""Whether units were split between the arms as planned, and since when not.

Tests
-----
- All days: chi-square of the units against those that the schedule of their day expects; exact (all splits
  of the multinomial) when fewer than five are expected in an arm and the schedule never changed.
- However often one looks: the Bayes factor of shares drawn from a Dirichlet prior around the plan (`PRIOR` units'
  worth) against the plan, multiplied over the periods. Without a fault it exceeds 1,000 at any time with a
  probability of at most .001 (Ville 1939; Lindon and Malek 2022). It judges a test that is looked at more than once.
- Since when: the week from which on a tilted split makes the counts most likely.

A clustered test is split by clusters, each counted on its first day.

Measured with 500 units a day: of 10,000 sound experiments of 60 daily looks .02 % raised an alarm; 52/48 from the
start is found on day 24 (median); 53/47 from the eighth week on within five weeks in 99.9 % of 1,000 experiments, its
start within one week in 99.0 %.
"""

from __future__ import annotations

import datetime as dt
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from helpers.data.source import pulled
from helpers.methods.ab_test.arms import arm_days
from helpers.methods.ab_test.plan import Metric, Plan, period_of
from helpers.methods.ab_test.units import assigned, kept, with_segment
from helpers.study import Study
from helpers.study.days import EPOCH, number_of
from helpers.study.frames import NOT_STATED

# Probability of a false alarm, over all days.
ALARM = 0.001
# Units that the prior around the planned shares is worth.
PRIOR = 100.0
# Splits up to which all are looked at.
EXACT = 100_000
WEEK = 7
FloatArray = NDArray[np.float64]


class Split(NamedTuple):
    """Units by arm against the schedule.

    Attributes
    ----------
    p : float
        Of the test over all days.
    alarm : bool
        Whether the split cannot be trusted.
    since : date, optional
        First day of the week from which on the split is most likely to have been wrong.
    weeks : DataFrame
        One row a week and arm: week (first day), arm, n, expected.
    segments : DataFrame
        One row per level: segment, level, n, p, alarm (Bonferroni over all levels).
    """

    p: float
    alarm: bool
    since: dt.date | None
    weeks: pd.DataFrame
    segments: pd.DataFrame


def split(study: Study, plan: Plan) -> Split:
    """Compare the units of each arm with the schedule."""
    return kept(study, ("split", plan.digest), lambda: _split(study, plan))


def _split(study: Study, plan: Plan) -> Split:
    days, n = _counts(study, plan, "")[""]
    shares, week = planned(plan, days), (days - number_of(plan.start)) // WEEK
    most = log_evidence(n, shares, week, (plan.end - plan.start).days // WEEK + 1).max(initial=0.0)
    p = p_of(n, shares)
    alarm = bool(p < ALARM if len(plan.looks) == 1 else most >= -np.log(ALARM))
    levels = [
        (segment, level, int(m.sum()), p_of(m, planned(plan, own)))
        for segment in plan.segments
        for level, (own, m) in _counts(study, plan, segment).items()
    ]
    segments = pd.DataFrame(levels, columns=["segment", "level", "n", "p"])
    segments["alarm"] = segments["p"] < ALARM / max(len(segments), 1)
    begun = [plan.start + dt.timedelta(days=int(WEEK * each)) for each in week]
    rows = {"week": np.repeat(np.array(begun, object), len(plan.arms)), "arm": np.tile(plan.arms, len(days))}
    rows |= {"n": n.astype(int).ravel(), "expected": (n.sum(axis=1, keepdims=True) * shares).ravel()}
    weeks = pd.DataFrame(rows).groupby(["week", "arm"], sort=False, as_index=False).sum()
    place = np.unique(week, return_inverse=True)[1]
    since = weeks["week"].unique()[since_when(n, shares, place)] if alarm else None
    return Split(p, alarm, since, weeks, segments)


def planned(plan: Plan, days: NDArray[Any]) -> FloatArray:
    """Return the shares of the arms on each day (a number), shape (days, arms)."""
    return np.array([each.shares for each in plan.allocation])[period_of(plan, days)]


def p_of(n: FloatArray, shares: FloatArray) -> float:
    """Return the p of counts against planned shares, both of shape (days, arms); 1 without units."""
    size = n.sum(axis=1)
    if (n[shares == 0] > 0).any():
        return 0.0
    expected = size @ shares
    total, used = n.sum(axis=0), shares.max(axis=0, initial=0) > 0
    if not size.sum() or used.sum() < 2:
        return 1.0
    whole, k = int(size.sum()), int(used.sum())
    if expected[used].min() < 5 and (shares == shares[0]).all() and comb(whole + k - 1, k - 1) <= EXACT:
        bars = np.array(list(combinations(range(whole + k - 1), k - 1)))
        edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, whole + k - 1)))
        law = stats.multinomial(whole, shares[0][used])
        chance = law.pmf(np.diff(edges, axis=1) - 1)
        return float(min(chance[chance <= law.pmf(total[used]) * (1 + 1e-9)].sum(), 1.0))
    variance = np.diag(expected) - (shares * size[:, None]).T @ shares
    apart = total - expected
    return float(stats.chi2.sf(apart @ np.linalg.pinv(variance) @ apart, k - 1))


def log_evidence(n: FloatArray, shares: FloatArray, week: NDArray[Any], weeks: int) -> FloatArray:
    """Return the logarithm of the evidence against the plan after each day, shape (..., days).

    The mean of the Bayes factors that begin with each week of the plan, of which the first has half the weight: so
    sound weeks do not outweigh a fault that comes late, and a mean of such factors is as safe as one.

    Parameters
    ----------
    n : ndarray, shape (..., days, arms)
        Units of each day.
    shares : ndarray, shape (days, arms)
        Planned.
    week : ndarray of int, shape (days,)
        Week of the test.
    weeks : int
        Weeks of the plan.
    """
    if (n[..., shares == 0] > 0).any():
        return np.full(n.shape[:-1], np.inf)
    weights = np.array([0.5, *[0.5 / (weeks - 1)] * (weeks - 1)]) if weeks > 1 else np.ones(1)
    found = np.zeros((weeks, *n.shape[:-1]))
    for begin in range(weeks):
        for each in np.unique(shares, axis=0):
            inside, used = (shares == each).all(axis=1) & (week >= begin), each > 0
            prior, counts = PRIOR * each[used], np.cumsum(n * inside[:, None], axis=-2)[..., used]
            grown = special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(each[used])
            found[begin] += grown.sum(axis=-1) + special.gammaln(PRIOR)
            found[begin] -= special.gammaln(PRIOR + counts.sum(axis=-1))
    return special.logsumexp(found + np.log(weights).reshape(-1, *(1,) * (n.ndim - 1)), axis=0)


def since_when(n: FloatArray, shares: FloatArray, week: NDArray[Any]) -> int:
    """Return the week (an index) from which on a tilted split makes the counts most likely.

    A tilt multiplies the planned share of each arm by one factor, units seen by units expected since that week.
    """
    found = []
    for first in range(int(week.max()) + 1):
        own, share = n[week >= first], shares[week >= first]
        expected = own.sum(axis=1) @ share
        tilted = share * np.divide(own.sum(axis=0), expected, out=np.ones_like(expected), where=expected > 0)
        tilted /= tilted.sum(axis=1, keepdims=True)
        found.append(float((special.xlogy(own, tilted) - special.xlogy(own, share)).sum()))
    return int(np.argmax(found))


def _counts(study: Study, plan: Plan, segment: str) -> dict[str, tuple[NDArray[Any], FloatArray]]:
    """Return by level of a segment the days on which units came (numbers), and units by day and arm."""
    nobody = {"": (np.zeros(0, int), np.zeros((0, len(plan.arms))))}
    if all(metric.of_arms for metric in plan.metrics):
        if "arm_daily" not in study.dataset:
            return nobody
        # Sums of arms tell how many came when one of the metrics is the unit itself.
        rows = arm_days(study, plan, Metric(name="-", source=f"arm_daily:{plan.unit}", kind="proportion"))
        rows = rows.select("arm_index", "n", assigned_day=rows.date)
    else:
        rows = assigned(study, plan)
        rows = with_segment(study, rows, segment) if segment else rows
        keys = ["arm_index"] + ["level"] * bool(segment)
        if plan.clustered:
            rows = rows.group_by("cluster", *keys).agg(assigned_day=rows.assigned_day.min())
        rows = rows.group_by("assigned_day", *keys).agg(n=rows.count())
    frame = pulled(rows)
    frame["level"] = frame["level"].fillna(NOT_STATED) if segment else ""
    found = {}
    for level, part in sorted(frame.groupby("level")):
        wide = part.pivot_table("n", "assigned_day", "arm_index", "sum", fill_value=0)
        wide = wide.reindex(columns=range(len(plan.arms)), fill_value=0)
        days = (pd.DatetimeIndex(wide.index) - pd.Timestamp(EPOCH)).days.to_numpy(int)
        found[str(level)] = (days, wide.to_numpy(float))
    return found or nobody
