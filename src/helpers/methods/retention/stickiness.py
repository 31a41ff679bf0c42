"""Stickiness: daily, weekly and monthly active members, DAU/MAU, and on how many days members are active.

Definitions
-----------
DAU, WAU and MAU of a day are the members with an active day among the last 1, 7 and 30 days, that day included. A
ratio such as DAU/MAU over a window is the mean DAU over the mean MAU: the share of the days on which a member counted
as monthly active that they were active on. L7 and L28 are the numbers of active days among the last 7 and 28.

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

from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import (
    Estimate,
    clustered_frame,
    estimate_of,
    normal_estimate,
    proportion,
    unknown,
    wilson,
)
from helpers.study.activity import present_members
from helpers.study.days import (
    checked,
    checked_confidence,
    date_of,
    first_day,
    member_days,
    number_of,
    spells,
    stays,
)
from helpers.study.frames import Count, as_day

WINDOWS = {"dau": 1, "wau": 7, "mau": 30}
RATIOS = (("dau", "mau"), ("dau", "wau"), ("wau", "mau"))


@dataclass(frozen=True)
class Stickiness:
    """Active members by day, and how often they come.

    Attributes
    ----------
    daily : pandas.DataFrame
        day, dau, wau, mau, dau_mau; wau and mau are missing on days whose window begins before the log.
    ratios : pandas.DataFrame
        ratio (``"dau/mau"`` and so on), members, n (member-days of the lower part), share, low, high; all days.
    first, last : datetime.date
        The window of `daily` and `ratios`; it holds whole weeks.
    confidence : float
        Level of the intervals.
    """

    daily: pd.DataFrame
    ratios: pd.DataFrame
    first: dt.date
    last: dt.date
    confidence: float

    def ratio(self, name: str = "dau/mau") -> Estimate:
        """Return a ratio over the window; its n is the number of members."""
        checked(name, "name", in_=tuple(self.ratios["ratio"]))
        row = self.ratios[self.ratios["ratio"] == name].iloc[0]
        return estimate_of(row, row["members"], "Wilson, clustered by member", self.confidence)

    @property
    def sentence(self) -> str:
        """DAU/MAU in words."""
        found = self.ratio()
        if not found.known:
            return say(
                "Too little data: no window of 30 days before {day} lies inside the log.", day=self.last
            )
        return say(
            "From {first} to {last}, {share} of a month's active members were active on an average day, which is "
            "one day in {days:.1f} (DAU/MAU; n counts members).",
            first=self.first, last=self.last, share=with_interval(found), days=1 / found.value,
        )  # fmt: skip


def stickiness(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None = None,
    *,
    as_of: dt.date | str,
    days: int = 28,
    count: Count = "interaction",
    history_from: dt.date | str | None = None,
    confidence: float = 0.95,
) -> Stickiness:
    """Return daily, weekly and monthly active members over the last days, and their ratios.

    Parameters
    ----------
    activity, population, as_of, count
        As in :func:`.days.spells`.
    days : int
        Length of the window; whole weeks, so that every weekday counts alike.
    history_from : date or str, optional
        First day the log covers; by default the day of its first row.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    """
    checked(days, "days", type_=int, ge=7)
    checked(days % 7, "days % 7", in_=(0,))
    checked_confidence(confidence)
    last = as_day(as_of)
    first = last - dt.timedelta(days=days - 1)
    begins = first_day(activity, history_from)
    rows = spells(activity, population, as_of=last, count=count)
    rows = rows.filter(rows["at"] > number_of(first) - max(WINDOWS.values())).cache()
    return Stickiness(
        daily=_daily(rows, first, last, begins),
        ratios=_ratios(rows, first, last, begins, confidence),
        first=first,
        last=last,
        confidence=confidence,
    )


def _reach(rows: ibis.Table, length: int) -> ibis.Value:
    """Return for how many days, its own included, an active day keeps a member active in a window of `length`.

    The next active day takes over; who left is not active any more on the days after.
    """
    stay = rows["last"] - rows["at"] + 1
    until = ibis.cases((rows.after.notnull(), rows.after), else_=stay)
    return ibis.cases((until < length, until), else_=length)


def _daily(rows: ibis.Table, first: dt.date, last: dt.date, begins: dt.date | None) -> pd.DataFrame:
    begin, size = number_of(first), (last - first).days + 1
    reach = _reach(rows, max(WINDOWS.values()))
    keyed = rows.select(at=rows["at"], reach=reach)
    cells = keyed.group_by("at", "reach").agg(n=keyed.count()).to_pandas().astype("int64")
    frame = pd.DataFrame({"day": [date_of(begin + k) for k in range(size)]})
    for name, length in WINDOWS.items():
        change = np.zeros(size + 1, dtype="int64")
        start = np.clip(cells["at"] - begin, 0, size)
        stop = np.clip(cells["at"] + np.minimum(cells["reach"], length) - begin, 0, size)
        np.add.at(change, start, cells["n"])
        np.add.at(change, stop, -cells["n"])
        whole = [begins is not None and day >= begins + dt.timedelta(days=length - 1) for day in frame["day"]]
        frame[name] = pd.array(change[:-1].cumsum(), dtype="Int64")
        frame.loc[~np.array(whole), name] = pd.NA
    ratio = frame["dau"].astype("float64") / frame["mau"].astype("float64").where(frame["mau"].fillna(0) > 0)
    return frame.assign(dau_mau=ratio)


def _ratios(
    rows: ibis.Table, first: dt.date, last: dt.date, begins: dt.date | None, confidence: float
) -> pd.DataFrame:
    """Return the ratios over the window from sums by member, NaN where the log is too short."""
    low, high = number_of(first), number_of(last) + 1
    spans = {name: _overlap(rows, _reach(rows, length), low, high).sum() for name, length in WINDOWS.items()}
    each = rows.group_by("member_id").agg(**spans)
    sums: dict[str, ibis.Value] = {}
    for over, under in RATIOS:
        x, n = each[over].cast("float64"), each[under].cast("float64")
        squares = {"x": x.sum(), "n": n.sum(), "xx": (x * x).sum(), "xn": (x * n).sum(), "nn": (n * n).sum()}
        squares["clusters"] = ibis.cases((n > 0, 1), else_=0).sum()
        sums |= {f"{over}/{under}|{name}": value for name, value in squares.items()}
    wide = each.aggregate(**sums).to_pandas().astype("float64").fillna(0.0)
    wide.columns = pd.MultiIndex.from_tuples([tuple(name.split("|")) for name in wide.columns])
    frame = clustered_frame(wide.iloc[0].unstack(), confidence)
    frame = frame.reindex([f"{over}/{under}" for over, under in RATIOS]).rename_axis("ratio").reset_index()
    for row, (_over, under) in enumerate(RATIOS):
        if begins is None or first < begins + dt.timedelta(days=WINDOWS[under] - 1):
            frame.loc[row, ["share", "low", "high"]] = np.nan
    frame = frame.rename(columns={"clusters": "members"}).astype({"members": "int64", "n": "int64"})
    return frame[["ratio", "members", "n", "share", "low", "high"]]


def _overlap(rows: ibis.Table, reach: ibis.Value, low: int, high: int) -> ibis.Value:
    """Return how many of the days [at, at + reach) lie in [low, high)."""
    stop = rows["at"] + reach
    stop = ibis.cases((stop > high, high), else_=stop)
    start = ibis.cases((rows["at"] < low, low), else_=rows["at"])
    return ibis.cases((stop > start, stop - start), else_=0)


@dataclass(frozen=True)
class Lness:
    """On how many of the last days members were active.

    Attributes
    ----------
    table : pandas.DataFrame
        active_days (0 to `days`; from 1 without a population), members, n (all of the table), share, low, high
        (Wilson).
    days : int
        Length of the window: 7 for L7, 28 for L28.
    mean : float
        Mean active days of those active at least once; NaN without any.
    as_of : datetime.date
        Last day of the window.
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame
    days: int
    mean: float
    as_of: dt.date
    confidence: float

    @property
    def mean_estimate(self) -> Estimate:
        """Mean active days of those active at least once, with the t interval of a mean over members."""
        rows = self.table[self.table["active_days"] > 0]
        days, members = (rows[name].to_numpy(float) for name in ("active_days", "members"))
        n = int(members.sum())
        if n < 2:
            return unknown(n, "ratio", self.confidence)._replace(value=self.mean)
        variance = float((members * (days - self.mean) ** 2).sum()) / (n - 1)
        error, method = float(np.sqrt(variance / n)), "t interval over members"
        return normal_estimate(self.mean, error, n, "ratio", method, self.confidence, degrees=n - 1)

    @property
    def sentence(self) -> str:
        """Mean active days, and the share active on one day only and on most."""
        active = self.table[self.table["active_days"] > 0]
        n = int(active["members"].sum())
        if not n:
            return say(
                "Too little data: nobody was active in the {d} days to {day}.", d=self.days, day=self.as_of
            )
        once = int(active.loc[active["active_days"] == 1, "members"].sum())
        often = int(active.loc[active["active_days"] > self.days / 2, "members"].sum())
        shares = [proportion(x, n, self.confidence) for x in (once, often)]
        return say(
            "In the {d} days to {day}, active members came on {mean} days on average: {once} on a single day, "
            "{often} on more than half of the days ({n:,} members).",
            d=self.days, day=self.as_of, mean=_bare(self.mean_estimate), once=_bare(shares[0]),
            often=_bare(shares[1]), n=n,
        )  # fmt: skip


def _bare(found: Estimate) -> str:
    """Return ``'29.9 % (27.3 % to 32.8 %)'`` or ``'5.0 (4.7 to 5.3)'``, where n is said once for all numbers."""
    write = percent if found.unit == "share" else partial(number, digits=1)
    if not found.known:
        return say("{value} (no interval)", value=write(found.value))
    values = {name: write(getattr(found, name)) for name in ("value", "low", "high")}
    return say("{value} ({low} to {high})", **values)


def lness(
    activity: ibis.Table | pd.DataFrame,
    population: ibis.Table | pd.DataFrame | None = None,
    *,
    as_of: dt.date | str,
    days: int = 28,
    count: Count = "interaction",
    confidence: float = 0.95,
) -> Lness:
    """Return the distribution of active days among the last days.

    Parameters
    ----------
    activity, count
        As in :func:`.days.member_days`.
    population : ibis.Table or pandas.DataFrame, optional
        member_id, joined_day, left_day. With it, only members present on `as_of`, and those never active count as 0.
    as_of : date or str
        Last day of the window.
    days : int
        Its length: 7 for L7, 28 for L28.
    confidence : float
        Level of the intervals.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    """
    checked(days, "days", type_=int, ge=1)
    checked_confidence(confidence)
    last = as_day(as_of)
    found = member_days(activity, count=count)
    begin = ibis.date(last - dt.timedelta(days=days - 1))
    found = found.filter(found.day >= begin, found.day <= ibis.date(last))
    each = found.group_by("member_id").agg(active_days=found.count())
    if population is not None:
        here = present_members(stays(population), as_of=last).select("member_id")
        each = here.left_join(each, "member_id").select("member_id", "active_days")
        each = each.mutate(active_days=each.active_days.fill_null(0))
    cells = each.group_by("active_days").agg(members=each.count()).to_pandas().astype("int64")
    least = 1 if population is None else 0
    members = cells.set_index("active_days")["members"].reindex(range(least, days + 1), fill_value=0)
    table = members.rename_axis("active_days").reset_index()
    n = int(table["members"].sum())
    low, high = wilson(table["members"], np.full(len(table), n), confidence)
    share = table["members"] / n if n else np.nan
    active = table["members"].where(table["active_days"] > 0, 0)
    mean = float((active * table["active_days"]).sum() / active.sum()) if active.sum() else np.nan
    return Lness(table.assign(n=n, share=share, low=low, high=high), days, mean, last, confidence)
