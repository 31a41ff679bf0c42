"""Stickiness: daily over monthly active members, on how many days of a month those who come do come.

Definitions
-----------
DAU and MAU of a day are the members with an active day among the last 1 and 30 days, that day included. DAU/MAU over
a window is the mean DAU over the mean MAU: the share of the days on which a member counted as monthly active that
they were active on. The window is 28 days: whole weeks, so that every weekday counts alike.

Days repeat members, so days are no sample of independent ones. A member's active days and MAU days of the window
are one cluster (:mod:`helpers.stats.estimate`): the interval says how far the ratio would move with
other members like these, on these days. Members who left count until the day they left.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis

from helpers.playbook.result import Result
from helpers.sentences import say, with_interval
from helpers.stats.estimate import Estimate, clustered_interval, unknown
from helpers.study import Study
from helpers.study.days import number_of

MONTH_DAYS, WINDOW_DAYS = 30, 28


@dataclass(frozen=True, repr=False)
class Stickiness(Result):
    """How often active members come.

    Attributes
    ----------
    first : datetime.date
        First day of the window, which holds whole weeks.
    ratio : Estimate
        DAU/MAU over the window; n is the number of members. Unknown where a window of 30 days begins before the log.
    """

    first: dt.date
    ratio: Estimate

    @property
    def smallest(self) -> int:
        """The members active in the window."""
        return self.ratio.n

    @property
    def sentence(self) -> str:
        """DAU/MAU in words."""
        found, last = self.ratio, self.study.as_of
        if not found.known:
            return say("Too little data: no window of 30 days before {day} lies inside the log.", day=last)
        return say(
            "From {first} to {last}, {share} of a month's active members were active on an average day, which is "
            "one day in {days:.1f} (DAU/MAU; n counts members).",
            first=self.first, last=last, share=with_interval(found), days=1 / found.value,
        )  # fmt: skip


def stickiness(study: Study) -> Stickiness:
    """Return the ratio of daily to monthly active members over the last :data:`WINDOW_DAYS` days.

    Parameters
    ----------
    study : Study
        Activity and population.
    """
    first = study.as_of - dt.timedelta(days=WINDOW_DAYS - 1)
    rows, low, high = study.spells, number_of(first), number_of(study.as_of) + 1
    rows = rows.filter(rows["at"] > low - MONTH_DAYS)
    daily, monthly = (_overlap(rows, length, low, high) for length in (1, MONTH_DAYS))
    each = rows.group_by("member_id").agg(x=daily.sum(), n=monthly.sum())
    x, n = each.x.cast("float64"), each.n.cast("float64")
    sums = {"x": x.sum(), "n": n.sum(), "xx": (x * x).sum(), "xn": (x * n).sum(), "nn": (n * n).sum()}
    found = each.aggregate(**sums, clusters=(n > 0).sum()).to_pandas().astype("float64").fillna(0.0).iloc[0]
    least, most = map(float, clustered_interval(*found, confidence=study.confidence))
    members, level, method = int(found["clusters"]), study.confidence, "Wilson, clustered by member"
    ratio = unknown(members, "share", level)
    if study.began is not None and first >= study.began + dt.timedelta(days=MONTH_DAYS - 1):
        ratio = Estimate(found["x"] / found["n"], least, most, members, "share", method, level)
    return Stickiness(study, first, ratio)


def _overlap(rows: ibis.Table, length: int, low: int, high: int) -> ibis.Value:
    """Return for how many days of [low, high) an active day keeps a member active in a window of `length`.

    The next active day takes over; who left is not active any more on the days after.
    """
    until = rows.after.fill_null(rows["last"] - rows["at"] + 1)
    stop = ibis.least(rows["at"] + ibis.least(until, length), high)
    return ibis.greatest(stop - ibis.greatest(rows["at"], low), 0)
