"""Stickiness: daily over monthly active members, and on how many days members are active.

Definitions
-----------
DAU and MAU of a day are the members with an active day among the last 1 and 30 days, that day included. DAU/MAU over
a window is the mean DAU over the mean MAU: the share of the days on which a member counted as monthly active that
they were active on. L28 is the number of active days among the last 28. The window of both is 28 days: whole weeks,
so that every weekday counts alike.

Days repeat members, so days are no sample of independent ones. A member's active days and MAU days of the window
are one cluster (:mod:`helpers.stats.estimate`): the interval says how far the ratio would move with
other members like these, on these days. Members who left count until the day they left.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial

import ibis
import numpy as np
import pandas as pd

from helpers.playbook.result import Result
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import (
    Estimate,
    clustered_frame,
    estimate_of,
    normal_estimate,
    proportion,
    unknown,
)
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
    found = each.aggregate(clusters=(n > 0).sum(), **sums).to_pandas().astype("float64").fillna(0.0)
    row = clustered_frame(found, study.confidence).iloc[0]
    members = int(row["clusters"])
    ratio = unknown(members, "share", study.confidence)
    if study.began is not None and first >= study.began + dt.timedelta(days=MONTH_DAYS - 1):
        ratio = estimate_of(row, members, "Wilson, clustered by member", study.confidence)
    return Stickiness(study, first, ratio)


def _overlap(rows: ibis.Table, length: int, low: int, high: int) -> ibis.Value:
    """Return for how many days of [low, high) an active day keeps a member active in a window of `length`.

    The next active day takes over; who left is not active any more on the days after.
    """
    until = rows.after.fill_null(rows["last"] - rows["at"] + 1)
    stop = ibis.least(rows["at"] + ibis.least(until, length), high)
    return ibis.greatest(stop - ibis.greatest(rows["at"], low), 0)


@dataclass(frozen=True, repr=False)
class Lness(Result):
    """On how many of the last days members were active.

    Attributes
    ----------
    table : pandas.DataFrame
        active_days (0 to :data:`WINDOW_DAYS`), members.
    """

    table: pd.DataFrame

    @property
    def smallest(self) -> int:
        """The members active at all."""
        return self.mean.n

    @property
    def mean(self) -> Estimate:
        """Mean active days of those active at least once, with the t interval of a mean over members."""
        days, members = (self.table[name].to_numpy(float)[1:] for name in ("active_days", "members"))
        n, confidence = int(members.sum()), self.study.confidence
        mean = float((members * days).sum()) / n if n else np.nan
        if n < 2:
            return unknown(n, "ratio", confidence)._replace(value=mean)
        error = float(np.sqrt((members * (days - mean) ** 2).sum() / (n - 1) / n))
        return normal_estimate(mean, error, n, "ratio", "t interval over members", confidence, degrees=n - 1)

    @property
    def sentence(self) -> str:
        """Mean active days, and the share active on one day only and on most."""
        rows, mean, day = self.table[self.table["active_days"] > 0], self.mean, self.study.as_of
        if not mean.n:
            return say("Too little data: nobody was active in the {d} days to {day}.", d=WINDOW_DAYS, day=day)
        chosen = (rows["active_days"] == 1, rows["active_days"] > WINDOW_DAYS / 2)
        once, often = (
            _bare(proportion(int(rows.loc[some, "members"].sum()), mean.n, self.study.confidence))
            for some in chosen
        )
        return say(
            "In the {d} days to {day}, active members came on {mean} days on average: {once} on a single day, "
            "{often} on more than half of the days ({n:,} members).",
            d=WINDOW_DAYS, day=day, mean=_bare(mean), once=once, often=often, n=mean.n,
        )  # fmt: skip


def _bare(found: Estimate) -> str:
    """Return ``'29.9 % (27.3 % to 32.8 %)'`` or ``'5.0 (4.7 to 5.3)'``, where n is said once for all numbers."""
    write = percent if found.unit == "share" else partial(number, digits=1)
    text = "{value} ({low} to {high})" if found.known else "{value} (no interval)"
    return say(text, value=write(found.value), low=write(found.low), high=write(found.high))


def lness(study: Study) -> Lness:
    """Return the distribution of active days among the last :data:`WINDOW_DAYS` days over the present members.

    Parameters
    ----------
    study : Study
        Activity and population.
    """
    last = number_of(study.as_of)
    rows = study.spells.filter(study.spells["at"].between(last - WINDOW_DAYS + 1, last))
    each = rows.group_by("member_id").agg(active_days=rows.count())
    each = study.present.select("member_id").left_join(each, "member_id")
    each = each.select(active_days=each.active_days.fill_null(0))
    cells = each.group_by("active_days").agg(members=each.count()).to_pandas().astype("int64")
    members = cells.set_index("active_days")["members"].reindex(range(WINDOW_DAYS + 1), fill_value=0)
    return Lness(study, members.rename_axis("active_days").reset_index())
