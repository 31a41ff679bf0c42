"""What channels add: orders that would be missing had a channel been off, and the baseline that needs no channel.

Model
-----
On a day at risk a member orders at the rate ``own rate x season + sum of coefficient x dose``: a touch is a dose of 1
on its day and `decay` times as much each day later, up to the lookback. Rates are added, not multiplied (additive
hazards: Aalen 1980; Lin and Ying 1994), so that what a channel adds does not depend on the others, nothing makes the
sum be all orders, and switching a channel off takes its coefficient times its dose. A member's own rate is left free,
which makes everybody their own control (self-controlled case series: Farrington 1995): who always orders more and is
touched more biases nothing. Who is touched *because* an order is near does, and only an experiment helps.

The season of a day are its orders against those expected of as many members. With a coefficient b of each dose x, a
member's own rate is what is left of its orders, ``(Y_i - b X_i) / S_i``, and orders under doses must come out right:

    sum_i sum_t x (y - b x - s (Y_i - b X_i) / S_i) = 0

for orders y and season s, with capital letters for sums over the days of member i. These equations are linear in b
and in the season, so that neither own rates nor the noise of the season bias it; the engine makes their sums.

Errors are those of sums by up to 256 groups of members (sandwich), the doses taken as given. The decay is the one of
`DECAYS` under which orders of left-out members are likeliest to fall on the days they did, given their number.
"""

from __future__ import annotations

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.dialect import md5
from helpers.data.source import local_date, local_time, of_sample, pulled
from helpers.methods.attribution.journeys import Journeys
from helpers.stats.estimate import Estimate, normal_estimate
from helpers.study.days import day_number, number_of
from helpers.study.frames import materialise

FloatArray = NDArray[np.float64]

DECAYS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# A dose smaller than this is none.
LEAST_DOSE = 0.02
# Days under a dose on which the decay is chosen and on which rates rest; of more, a sample of members.
ROWS_TO_CHOOSE, ROWS_TO_FIT = 3_000_000, 30_000_000


class Increments(NamedTuple):
    """Orders that channels added.

    Attributes
    ----------
    channels : tuple of str
        In the order of the other attributes.
    orders : ndarray, shape (channels,)
        Orders that would be missing had the channel been off, the others as they were; may be below zero by chance.
    covariance : ndarray, shape (channels, channels)
        Of `orders`.
    touches : ndarray, shape (channels,)
        Touches behind them.
    total : int
        Orders of the members at risk; those that no channel added are the baseline.
    members : int
        Members at risk.
    days : int
        Days on which they were.
    decay : float
        Part of a dose that is left a day later.
    likelihood : pandas.DataFrame
        decay, log_likelihood (of orders of members left out).
    share : float
        Share of the members, drawn by a hash of their ids, whose doses the rates rest on.
    """

    channels: tuple[str, ...]
    orders: FloatArray
    covariance: FloatArray
    touches: FloatArray
    total: int
    members: int
    days: int
    decay: float
    likelihood: pd.DataFrame
    share: float = 1.0

    def of(self, channel: str, confidence: float) -> Estimate:
        """Return the orders that a channel added."""
        place = self.channels.index(channel)
        value, error = self.orders[place], np.sqrt(self.covariance[place, place])
        return normal_estimate(value, error, self.members, "orders", "additive rates", confidence)

    def baseline(self, confidence: float) -> Estimate:
        """Return the share of orders that would have come without any channel."""
        share, error = self.orders.sum() / self.total, np.sqrt(self.covariance.sum()) / self.total
        named = ("share", "additive rates, clustered by member", confidence)
        return normal_estimate(1 - share, error, self.members, *named, bounds=(0.0, max(1.0, 1 - share)))


class _Days(NamedTuple):
    """What the engine knows by day.

    Attributes
    ----------
    touches : ibis.Table
        member_id, day (number), rest (of the day after it, as a share), channel.
    orders : ibis.Table
        member_id, day, y; of days at risk.
    people : ibis.Table
        member_id, begin, end (first and last day at risk), total (orders), season (sum over the days at risk).
    season : ibis.Table
        day, s.
    channels : tuple of str
    lookback : int
        Days.
    """

    touches: ibis.Table
    orders: ibis.Table
    people: ibis.Table
    season: ibis.Table
    channels: tuple[str, ...]
    lookback: int


def increments(journeys: Journeys) -> Increments:
    """Return what each channel added to orders.

    Parameters
    ----------
    journeys : Journeys
        Their study, lookback, window and names of channels.
    """
    days = _days(journeys)
    counts, seed = _touches(days), journeys.study.seed
    shares = [min(most / max(counts.sum() * days.lookback, 1), 1.0) for most in (ROWS_TO_CHOOSE, ROWS_TO_FIT)]
    chosen, fitted = (days._replace(touches=of_sample(days.touches, share, seed)) for share in shares)
    scores = _scores(chosen)
    decay = max(scores, key=scores.__getitem__)
    coefficients, covariance, doses = _fit(_sums(fitted, _doses(fitted, decay)))
    if shares[-1] < 1:  # each touch of a channel stands for as many, whose doses are alike
        doses = doses * counts / np.maximum(_touches(fitted), 1.0)
    people = days.people.agg(members=days.people.count(), orders=days.people.total.sum()).execute().iloc[0]
    return Increments(
        days.channels, coefficients * doses, covariance * np.outer(doses, doses),
        counts, int(people["orders"]), int(people["members"]),
        int(days.season.count().execute()), decay,
        pd.DataFrame(sorted(scores.items()), columns=["decay", "log_likelihood"]), shares[-1],
    )  # fmt: skip


def _days(journeys: Journeys) -> _Days:
    """Count touches and orders by member and day, and say who is at risk from when to when, and in which season."""
    study, definition = journeys.study, journeys.definition
    rows = journeys.steps.filter(~journeys.steps.carried)
    clock = local_time(rows.ts, study.report_tz)
    rest = 1 - (clock.hour() * 60 + clock.minute()).cast("float64") / 1440
    touches = materialise(rows.select("member_id", "channel", day=day_number(clock.date()), rest=rest))
    span = touches.agg(first=touches.day.min(), last=touches.day.max()).execute()
    first, last = span.iloc[0].astype(int).tolist()
    if definition.window_days:
        first = max(first, number_of(study.as_of) - definition.window_days + 1)
    ends = journeys.ends
    orders = ends.select("member_id", day=day_number(local_date(ends.ts, study.report_tz)))
    orders = orders.filter(orders.day.between(first, last)).group_by("member_id", "day").agg(y=ibis._.count())
    people = _at_risk(journeys, touches, orders, first, last)
    orders = orders.inner_join(people, "member_id").filter(ibis._.day.between(ibis._.begin, ibis._.end))
    orders = materialise(orders.select("member_id", "day", "y"))
    season = _season(people, orders, first, last)
    people = people.left_join(orders.group_by("member_id").agg(total=orders.y.sum()), "member_id")
    people = people.inner_join(season.select(end="day", upto="cumulated"), "end")
    people = people.inner_join(season.select(begin="day", before=season.cumulated - season.s), "begin")
    sums = {"total": people.total.fill_null(0), "season": people.upto - people.before}
    people = people.select("member_id", "begin", "end", **sums)
    return _Days(touches, orders, materialise(people), season, journeys.channels, definition.lookback_days)


def _at_risk(
    journeys: Journeys, touches: ibis.Table, orders: ibis.Table, first: int, last: int
) -> ibis.Table:
    """Return member_id, begin and end: members from joining to leaving; without a table of them whoever was seen."""
    study = journeys.study
    if "members" in study.dataset:
        begin, end = day_number(study.population.joined_day), day_number(study.population.left_day)
        people = study.population.select("member_id", begin=begin, end=end.fill_null(last))
    else:
        seen = touches.select("member_id", "day").union(orders.select("member_id", "day"))
        people = seen.group_by("member_id").agg(begin=seen.day.min(), end=ibis.literal(last, "int64"))
    people = people.mutate(begin=ibis.greatest(people.begin, first), end=ibis.least(people.end, last))
    return materialise(people.filter(people.begin <= people.end))


def _season(people: ibis.Table, orders: ibis.Table, first: int, last: int) -> ibis.Table:
    """Return day, s and cumulated: orders of each day against those expected of as many members."""
    index = pd.RangeIndex(first, last + 2, name="day")
    days = (people.begin, people.end + 1)
    counts = [people.group_by(day=day).agg(n=people.count()).execute().set_index("day")["n"] for day in days]
    come, gone = (each.reindex(index, fill_value=0) for each in counts)
    here = (come - gone).cumsum().iloc[:-1]
    found = orders.group_by("day").agg(n=orders.y.sum()).execute().set_index("day")["n"]
    found = found.reindex(here.index, fill_value=0)
    s = found / (here * found.sum() / here.sum())
    return ibis.memtable(pd.DataFrame({"s": s, "cumulated": s.cumsum()}).rename_axis("day").reset_index())


def _doses(days: _Days, decay: float) -> ibis.Table:
    """Return member_id, day, y, s and a dose of each channel, x0 and on, of days at risk with a dose."""
    length = 1 if decay == 0 else min(days.lookback + 1, 2 + int(np.log(LEAST_DOSE) / np.log(decay)))
    rows = days.touches.mutate(age=ibis.range(0, length).unnest())
    left = ibis.literal(decay).pow(rows.age - 1 + rows.rest) if decay else ibis.literal(0.0)
    dose = ibis.cases((rows.age == 0, 1 - left * decay), else_=left * (1 - decay))
    rows, names = rows.mutate(day=rows.day + rows.age, dose=dose), enumerate(days.channels)
    sums = {f"x{n}": rows.dose.sum(where=rows.channel == name).fill_null(0.0) for n, name in names}
    rows = rows.group_by("member_id", "day").agg(**sums)
    rows = rows.inner_join(days.people.select("member_id", "begin", "end"), "member_id")
    rows = rows.filter(rows.day.between(rows.begin, rows.end)).drop("begin", "end")
    rows = rows.left_join(days.orders, ["member_id", "day"]).drop("member_id_right", "day_right")
    return rows.inner_join(days.season.select("day", "s"), "day").mutate(y=rows.y.fill_null(0))


def _sums(days: _Days, rows: ibis.Table) -> pd.DataFrame:
    """Return per group of members the sums of the equations: a_i_j, r_i, x_i."""
    places = range(len(days.channels))
    pairs = [(i, j) for i in places for j in places]
    sums = {f"x{i}": rows[f"x{i}"].sum() for i in places}
    sums |= {f"r{i}": (rows[f"x{i}"] * rows.y).sum() for i in places}
    sums |= {f"s{i}": (rows[f"x{i}"] * rows.s).sum() for i in places}
    sums |= {f"a{i}_{j}": (rows[f"x{i}"] * rows[f"x{j}"]).sum() for i, j in pairs if i <= j}
    own = rows.group_by("member_id").agg(**sums).inner_join(days.people, "member_id")
    # Of the orders of a member that fell under doses by chance.
    part = {i: own[f"s{i}"] / own.season for i in places}
    sums = {f"x{i}": own[f"x{i}"].sum() for i in places}
    sums |= {f"r{i}": (own[f"r{i}"] - part[i] * own.total).sum() for i in places}
    sums |= {f"a{i}_{j}": (own[f"a{min(i, j)}_{max(i, j)}"] - part[i] * own[f"x{j}"]).sum() for i, j in pairs}
    found = own.filter(own.season > 0).group_by(bucket=md5(own.member_id).substr(0, 2)).agg(**sums)
    return found.order_by("bucket").execute()


def _fit(sums: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return coefficients, their covariance and the doses of channels, from sums by group."""
    k = sum(str(name).startswith("x") for name in sums)
    x, r = (sums[[f"{letter}{i}" for i in range(k)]].to_numpy(float) for letter in "xr")
    a = sums[[f"a{i}_{j}" for i in range(k) for j in range(k)]].to_numpy(float).reshape(-1, k, k)
    inverse = np.linalg.pinv(a.sum(axis=0))
    coefficients = inverse @ r.sum(axis=0)
    scores = r - a @ coefficients
    covariance = inverse @ (scores.T @ scores) @ inverse.T * len(sums) / max(len(sums) - 1, 1)
    return coefficients, covariance, x.sum(axis=0)


def _scores(days: _Days) -> dict[float, float]:
    """Return the log likelihood of decays, from the middle of the grid uphill to where both neighbours are worse."""
    scores: dict[float, float] = {}
    best = len(DECAYS) // 2
    while True:
        near = range(max(best - 1, 0), min(best + 2, len(DECAYS)))
        scores |= {DECAYS[i]: _left_out(days, DECAYS[i]) for i in near if DECAYS[i] not in scores}
        if (top := max(near, key=lambda i: scores[DECAYS[i]])) == best:
            return scores
        best = top


def _touches(days: _Days) -> FloatArray:
    """Return how many touches each channel has."""
    counts = days.touches.group_by("channel").agg(n=days.touches.count()).execute().set_index("channel")["n"]
    return counts.reindex(days.channels, fill_value=0).to_numpy(float)


def _left_out(days: _Days, decay: float) -> float:
    """Return the log likelihood of when members ordered, each half judged by the coefficients of the other."""
    rows, names = materialise(_doses(days, decay)), [f"x{i}" for i in range(len(days.channels))]
    sums = _sums(days, rows)
    own = rows.group_by("member_id").agg(**{f"all_{name}": rows[name].sum() for name in names})
    found = days.orders.inner_join(own, "member_id").inner_join(days.people.drop("begin", "end"), "member_id")
    found = found.left_join(rows.drop("y", "s"), ["member_id", "day"]).inner_join(days.season, "day")
    frame = pulled(found.mutate(half=md5(found.member_id).substr(1, 1) < "8").drop("member_id"))
    usual, score = float(frame["total"].sum() / frame["season"].sum()), 0.0
    for half, here in frame.groupby("half"):
        coefficients = _fit(sums[(sums["bucket"].str[1] < "8") != half])[0]
        x, added = (here[[f"{of}{name}" for name in names]].fillna(0.0) @ coefficients for of in ("", "all_"))
        # The own rate is not known: what is left of the orders, drawn towards the usual rate by the weight of one.
        rate = (np.maximum(here["total"] - added, 0.0) + 1.0) / (here["season"] + 1.0 / usual)
        base = rate * here["s"]
        chance = np.maximum(base + x, 0.05 * base) / np.maximum(rate * here["season"] + added, rate)
        score += float(here["y"] @ np.log(chance))
    return score
