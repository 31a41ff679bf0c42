"""Silence is not churn: how many of the silent come back, and how long a silence has to be to mean something.

Definitions
-----------
After its last active day a member is silent. A declaration at threshold d is made on the d-th full day of silence
of a spell (see :mod:`helpers.study.days`): the member has neither been active nor left for d days. The
return curve F_d(h) is the probability to be active again within h more days. Observation ends at `as_of`
(censoring); leaving is a competing event, because who left cannot return: F is the Aalen-Johansen estimate,

    F(h) = sum over j <= h of S(j - 1) r_j / n_j,    S(j) = product over i <= j of (1 - (r_i + l_i) / n_i),

which is one minus Kaplan-Meier where nobody leaves. A member who returns and falls silent again is declared again:
the unit is the declaration, since each is a decision that may be wrong.

The false-churn share at threshold d is F_d(horizon): of all declarations "churned after d silent days", the share
that the member's return proved wrong within the horizon. A threshold may be called churn when the upper bound of that
share stays within what is allowed: with few declarations the estimate alone would qualify by luck. Where none
qualifies there is no silence that means churn, and members are better counted as active or dormant, two states with a
way back (:mod:`helpers.methods.retention.states`).

Intervals
---------
Declarations of one member are not independent. The influence of one declaration on F(h) depends on its time and
its end alone, so it is looked up per cell, summed by member inside the engine and squared (the infinitesimal
jackknife over members; Ying and Wei 1994). The variance gives an effective sample size for Wilson's interval, as in
:mod:`helpers.stats.estimate`.

Measured coverage of nominal 95 % intervals, 400 simulated communities each of members with two daily rates of
activity (.02 and .10) over 240 days, thresholds 14 and 30 with horizons 14 and 30: 100 members .945, .943, .965,
.945; 30 members .950, .968, .963, .968.

A share is known when ten declarations are watched to the horizon, or nobody was lost from view before it (all had
come back, left or been watched). A curve that has levelled before, with at most one in a hundred still silent, is
carried forward, and its interval reaches from none to all of these coming back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.errors import BadParameters
from helpers.playbook.finding import Finding, finding
from helpers.sentences import interval, percent, say, with_interval
from helpers.stats.estimate import Estimate, effective_size, estimate_of, wilson
from helpers.study import Study, enough

THRESHOLDS = (7, 14, 30, 60, 90)
HORIZONS = (30, 90)
STATED_DAYS = 30
"""The silence that the finding speaks of."""
LEVELLED = 0.01
"""Share of declarations still silent below which a return curve has levelled."""
DECIMALS = 10
ENDS = ("returned", "left", "open")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Returns:
    """How many silent members come back, and which silence may be called churn.

    Attributes
    ----------
    study : Study
        What was asked.
    shares : pandas.DataFrame
        threshold (days of silence), horizon (days more), declarations, members, returned (within the horizon),
        at_risk (still observed and silent on its last day), share, low, high.
    curves : pandas.DataFrame
        threshold, day (of further silence), at_risk, returned, left, share: the whole curves.
    spells : pandas.DataFrame
        time (days of silence), end ("returned", "left" or "open"), n: the cells behind everything.
    allowed : float
        Largest share of members called churned who come back all the same.
    """

    study: Study = field(repr=False)
    shares: pd.DataFrame
    curves: pd.DataFrame
    spells: pd.DataFrame
    allowed: float

    @property
    def thresholds(self) -> list[int]:
        """Days of silence, rising."""
        return sorted(self.shares["threshold"].unique())

    @property
    def horizon(self) -> int:
        """The longest time to come back."""
        return int(self.shares["horizon"].max())

    @property
    def longest(self) -> pd.DataFrame:
        """The shares that come back within the longest horizon, one row per threshold."""
        return self.shares[self.shares["horizon"] == self.horizon].reset_index(drop=True)

    def share(self, threshold: int, horizon: int | None = None) -> Estimate:
        """Return the share that comes back within a horizon, by default the longest; n counts silences."""
        further = self.horizon if horizon is None else horizon
        rows = self.shares[(self.shares["threshold"] == threshold) & (self.shares["horizon"] == further)]
        if rows.empty:
            raise BadParameters(f"No silence of {threshold!r} days was followed for {further!r} more.")
        row, method = rows.iloc[0], "Aalen-Johansen, clustered by member"
        return estimate_of(row, row["declarations"], method, self.study.confidence)

    def phrase(self, days: int = STATED_DAYS) -> str:
        """Say how many are wrongly called churned after so many silent days: to stand beside every churn figure."""
        found = self.share(days)
        text = "of members silent for {days} days, {share} come back within {h} days"
        if not found.known:
            text = "how many of the members silent for {days} days come back within {h} days: too little data"
        return say(text, days=days, share=with_interval(found), h=self.horizon)

    @property
    def silent_now(self) -> pd.DataFrame:
        """Who would be declared churned today: threshold, silent, members, share, low, high (Wilson).

        Silent are the present members who did nothing for at least so many days, of those who were ever active.
        Counts of fewer than `k_min` silent (or other) members are kept back.
        """
        still, k_min = self.spells[self.spells["end"] == "open"], self.study.k_min
        silent = np.array([still.loc[still["time"] >= days, "n"].sum() for days in self.thresholds])
        members = int(still["n"].sum())
        low, high = wilson(silent, np.full(silent.size, members), self.study.confidence)
        share = silent / members if members else np.nan
        table = pd.DataFrame({"silent": silent, "share": share, "low": low, "high": high}).astype(
            {"silent": "Int64"}
        )
        few = table["silent"].between(1, k_min - 1) | (members - table["silent"]).between(1, k_min - 1)
        table = table.mask(few)
        return table.assign(threshold=self.thresholds, members=members)

    @property
    def table(self) -> pd.DataFrame:
        """In words: days_silent, silent_now (of the present members), came_back (of all who were silent so long)."""
        few, rows = say("fewer than {k}", k=self.study.k_min), []
        silent, past = self.silent_now.to_dict("records"), self.longest.to_dict("records")
        for days, row, before in zip(self.thresholds, silent, past, strict=True):
            now = few
            if not pd.isna(row["silent"]):
                values = {name: percent(row[name]) for name in ("share", "low", "high")}
                now = say("{n:,}: {share} ({low} to {high})", n=int(row["silent"]), **values)
            hidden = before["declarations"] > 0 and before["members"] < self.study.k_min
            rows.append((days, now, few if hidden else with_interval(self.share(days))))
        return pd.DataFrame(rows, columns=["days_silent", "silent_now", "came_back"])

    @property
    def churned_after(self) -> int | None:
        """The shortest silence that may be called churn; None when none may."""
        rows = self.longest
        chosen = rows.loc[rows["low"].notna() & (rows["high"] <= self.allowed), "threshold"]
        return int(chosen.iloc[0]) if len(chosen) else None

    @property
    def sentence(self) -> str:
        """How many come back, and which silence may be called churn, or that none should be."""
        phrase = self.phrase()
        return f"{phrase[:1].upper()}{phrase[1:]}. {self.verdict}"

    @property
    def verdict(self) -> str:
        """Which silence may be called churn, or that members should be called dormant instead."""
        allowed, days = percent(self.allowed, 0), self.churned_after
        if days is not None:
            return say(
                "After {d} silent days at most {allowed} of members called churned come back within {h} days: "
                "{share}. No shorter silence that was tried qualifies.",
                d=days, allowed=allowed, h=self.horizon, share=with_interval(self.share(days)),
            )  # fmt: skip
        advice = say(
            "Count members as active or dormant and let them return, instead of calling them churned."
        )
        known = self.longest.dropna(subset=["share", "low", "high"])
        if known.empty:
            return say("Too little data to choose a silence that means churn.") + " " + advice
        row = known.iloc[-1]
        text = (
            "No silence up to {d} days means churn: even then {share} ({interval}, n = {n:,}) come back within "
            "{h} days, and at most {allowed} was allowed."
        )
        if row["low"] <= self.allowed:
            text = (
                "No silence up to {d} days is sure to mean churn: after it {share} ({interval}, n = {n:,}) come back "
                "within {h} days, which may be more than the {allowed} allowed."
            )
        said = say(
            text, d=int(row["threshold"]), share=percent(row["share"]), n=int(row["declarations"]),
            interval=interval(row["low"], row["high"], "share"), h=self.horizon, allowed=allowed,
        )  # fmt: skip
        return f"{said} {advice}"

    def finding(self) -> Finding:
        """How many members called churned after 30 silent days come back."""
        return finding(
            self.share(STATED_DAYS),
            id="retention.false_churn",
            metric=say("come back after {days} silent days (n: silences)", days=STATED_DAYS),
            scope=self.study.scope,
            sentence=self.sentence,
            assumption=say("members who fall silent now come back like those before"),
            systems=("S026", "S027"),
        )


def returns(
    study: Study,
    *,
    allowed: float = 0.1,
    thresholds: Sequence[int] = THRESHOLDS,
    horizons: Sequence[int] = HORIZONS,
) -> Returns:
    """Return the probability to come back after so many days of silence.

    Parameters
    ----------
    study : Study
        Activity and population.
    allowed : float
        Largest share of members called churned who come back all the same.
    thresholds : sequence of int
        Days of silence, at least 1.
    horizons : sequence of int
        Further days within which a return counts, at least 1.

    Raises
    ------
    BadParameters
        When there is no threshold or horizon, or one of less than a day.
    """
    if not thresholds or not horizons or min(*thresholds, *horizons) < 1:
        raise BadParameters(
            f"thresholds == {thresholds!r}, horizons == {horizons!r}, must be days from 1 on."
        )
    limits, further = sorted(set(thresholds)), sorted(set(horizons))
    rows = _ended(study.spells).cache()
    cells = rows.group_by("time", "end").agg(n=rows.count()).to_pandas()
    cells = cells.astype({"time": "int64", "end": "object", "n": "int64"})
    cells = cells.sort_values(["time", "end"], ignore_index=True)
    curves = {days: _curve(cells, days) for days in limits}
    variances = _variances(rows, curves, further)
    shares = [
        _share(days, curves[days], horizon, variances.loc[[days]].iloc[0], study.confidence)
        for days in limits
        for horizon in further
    ]
    drawn = pd.concat([curve.assign(threshold=days) for days, curve in curves.items()], ignore_index=True)
    drawn = drawn[["threshold", "day", "at_risk", "returned", "left", "share"]]
    return Returns(study, pd.DataFrame(shares), drawn, cells, allowed)


def _ended(table: ibis.Table) -> ibis.Table:
    """Return member_id, time (days of silence until its end) and end of every spell."""
    back = table.after.notnull()
    return table.select(
        "member_id",
        time=ibis.cases((back, table.after), else_=table["last"] - table["at"]),
        end=ibis.cases((back, "returned"), (table.left, "left"), else_="open"),
    )


def _curve(cells: pd.DataFrame, threshold: int) -> pd.DataFrame:
    """Return day 0, 1, 2, … of further silence: at_risk, returned, left, share, and what variances need.

    Day 0 is the declaration: all that are declared are at risk.
    """
    declared = cells[(cells["time"] > threshold) | ((cells["time"] == threshold) & (cells["end"] == "open"))]
    length = int((declared["time"] - threshold).max()) + 1 if len(declared) else 1
    ended = {
        end: np.bincount(rows["time"] - threshold, rows["n"], length)
        for end in ENDS
        for rows in [declared[declared["end"] == end]]
    }
    total = np.sum(list(ended.values()), axis=0)
    at_risk = total[::-1].cumsum()[::-1]
    # Whoever is at risk on a day is at least one: the curve ends with the longest silence.
    a, b = (ended[end] / np.maximum(at_risk, 1) for end in ("returned", "left"))
    before = np.concatenate([[1.0], np.cumprod(1 - a - b)[:-1]])
    return pd.DataFrame(
        {
            "day": np.arange(length),
            "at_risk": at_risk.astype(int),
            "returned": ended["returned"].astype(int),
            "left": ended["left"].astype(int),
            "share": np.cumsum(before * a),
            "silent_before": before,
        }
    )


def _influence(curve: pd.DataFrame, horizon: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what one declaration that ends on each day adds to the error of F(horizon): returned, left, open."""
    share, n = curve["share"].to_numpy(), np.maximum(curve["at_risk"].to_numpy(), 1)
    inside = np.arange(len(curve)) <= horizon
    a, b = curve["returned"].to_numpy() / n, curve["left"].to_numpy() / n
    reached = share[min(horizon, len(share) - 1)]
    stay = 1 - a - b
    after = np.where(stay > 1e-12, (reached - share) / np.where(stay > 1e-12, stay, 1.0), 0.0)
    of_return = np.where(inside, curve["silent_before"].to_numpy() - after, 0.0)
    of_leaving = np.where(inside, -after, 0.0)
    exposure = np.cumsum((of_return * a + of_leaving * b) / n)
    return of_return / n - exposure, of_leaving / n - exposure, -exposure


def _variances(rows: ibis.Table, curves: dict[int, pd.DataFrame], horizons: list[int]) -> pd.DataFrame:
    """Return, by threshold, members and the variance of F at each horizon (a column of its name)."""
    names = [str(horizon) for horizon in horizons]
    looked_up = []
    for threshold, curve in curves.items():
        each = [_influence(curve, horizon) for horizon in horizons]
        for position, end in enumerate(ENDS):
            values = {name: part[position] for name, part in zip(names, each, strict=True)}
            keys = {"threshold": threshold, "time": curve["day"] + threshold, "end": end}
            frame = pd.DataFrame({**keys, **values})
            looked_up.append(frame if end == "open" else frame.iloc[1:])
    lookup = ibis.memtable(pd.concat(looked_up, ignore_index=True))
    joined = rows.inner_join(lookup, ["time", "end"])
    by_member = joined.group_by("threshold", "member_id").agg(**{name: joined[name].sum() for name in names})
    squares = {name: (by_member[name] * by_member[name]).sum() for name in names}
    found = by_member.group_by("threshold").agg(members=by_member.count(), **squares).to_pandas()
    found = found.set_index("threshold").reindex(list(curves)).astype("float64").fillna({"members": 0.0})
    correction = found["members"] / (found["members"] - 1).where(found["members"] > 1)
    found[names] = found[names].mul(correction, axis=0)
    return found


def _bounds(curve: pd.DataFrame, horizon: int) -> tuple[float, float]:
    """Return the least and the largest share that can have come back by the horizon; NaN when too little is known.

    Both are F where ten are still watched at the horizon, or where ten or more were declared and nobody was lost from
    view before it. Otherwise the curve is carried forward from the last day on which ten were watched, if it has
    levelled: at most one in a hundred was still silent, who may have come back since or not.
    """
    at_risk, share = curve["at_risk"].to_numpy(), curve["share"].to_numpy()
    observed = at_risk[horizon] if horizon < len(curve) else 0
    ended = (curve["returned"] + curve["left"]).to_numpy()
    reached = float(share[min(horizon, len(share) - 1)])
    nobody_lost = at_risk[0] >= enough.SILENCES and at_risk[0] == ended[:horizon].sum() + observed
    if observed >= enough.SILENCES or nobody_lost:
        return reached, reached
    watched = np.flatnonzero(at_risk >= enough.SILENCES)
    last = int(watched[-1]) if watched.size else 0
    silent = float(curve["silent_before"].iloc[last] * (1 - ended[last] / max(at_risk[last], 1)))
    if not 0 < last <= horizon or silent > LEVELLED:
        return np.nan, np.nan
    return float(share[last]), float(share[last]) + silent


def _share(
    threshold: int, curve: pd.DataFrame, horizon: int, variances: pd.Series, confidence: float
) -> dict[str, float]:
    """Return a row of shares; NaN where too little is known of who came back by then."""
    members, declared = int(variances["members"]), int(curve["at_risk"].iloc[0])
    there = curve[curve["day"] <= horizon]
    observed = int(curve["at_risk"].iloc[horizon]) if horizon < len(curve) else 0
    share = float(there["share"].iloc[-1])
    size = float(effective_size(share, variances[str(horizon)], members - 1, confidence))
    if not np.isfinite(size) or not 0 < share < 1:
        size = float(min(members, observed if observed >= enough.SILENCES else declared))
    size = min(size, declared)
    least, most = (bound * size for bound in _bounds(curve, horizon))
    low, high = float(wilson(least, size, confidence)[0]), float(wilson(most, size, confidence)[1])
    known = members >= 2 and np.isfinite([low, high]).all()
    numbers = (share, low, high) if known else (np.nan,) * 3
    return {
        "threshold": threshold,
        "horizon": horizon,
        "declarations": declared,
        "members": members,
        "returned": int(there["returned"].sum()),
        "at_risk": observed,
        **dict(zip(("share", "low", "high"), np.round(numbers, DECIMALS), strict=True)),
    }
