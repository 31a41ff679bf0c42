"""Silence is not churn: how many of the silent come back, and how long a silence has to be to mean something.

Definitions
-----------
After its last active day a member is silent. A declaration at threshold d is made on the d-th full day of silence
of a spell (see :mod:`helpers.study.days`): the member has neither been active nor left for d days. The
return curve F_d(h) is the probability to be active again within h more days. Observation ends at `as_of`
(censoring); leaving competes with coming back: see :mod:`helpers.stats.incidence` for the estimate, its interval and
what is enough. A member who returns and falls silent again is declared again:
the unit is the declaration, since each is a decision that may be wrong.

The false-churn share at threshold d is F_d(horizon): of all declarations "churned after d silent days", the share
that the member's return proved wrong within the horizon. A threshold may be called churn when the upper bound of that
share stays within what is allowed: with few declarations the estimate alone would qualify by luck. Where none
qualifies there is no silence that means churn, and members are better counted as active or dormant, two states with a
way back (:mod:`helpers.methods.retention.states`).
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
from helpers.stats.estimate import Estimate, estimate_of, wilson
from helpers.stats.incidence import incidence_shares
from helpers.study import Study

THRESHOLDS = (7, 14, 30, 60, 90)
HORIZONS = (30, 90)
STATED_DAYS = 30
"""The silence that the finding speaks of."""

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
    shares, curves = incidence_shares(rows, cells, limits, further, study.confidence)
    return Returns(study, shares, curves, cells, allowed)


def _ended(table: ibis.Table) -> ibis.Table:
    """Return member_id, time (days of silence until its end) and end of every spell."""
    back = table.after.notnull()
    return table.select(
        "member_id",
        time=ibis.cases((back, table.after), else_=table["last"] - table["at"]),
        end=ibis.cases((back, "returned"), (table.left, "left"), else_="open"),
    )
