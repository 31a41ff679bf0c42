"""Choosing the silence that may be called churn, from how many come back after it.

A threshold qualifies when its false-churn share (see :mod:`helpers.methods.retention.silence`) stays within what
is allowed. By default its upper bound must: with few declarations the estimate alone qualifies by luck. Where no
threshold qualifies there is no silence that means churn, and members are better counted as active or dormant, two
states with a way back (:mod:`helpers.methods.retention.states`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from helpers.methods.retention.silence import EVER, ReturnCurves
from helpers.sentences import interval, number, percent, say, with_interval
from helpers.stats.estimate import Estimate, estimate_of, unknown
from helpers.study.days import checked


@dataclass(frozen=True)
class SilenceThreshold:
    """The silence that may be called churn, or that none may.

    Attributes
    ----------
    days : int or None
        The shortest silence that qualifies; None when none does.
    allowed : float
        Largest false-churn share that is accepted.
    horizon : int
        Days within which a return counts.
    rule : str
        ``"high"`` (the upper bound must stay within what is allowed) or ``"value"``.
    table : pandas.DataFrame
        threshold, declarations, members, share, low, high, qualifies.
    confidence : float
        Level of the intervals.
    """

    days: int | None
    allowed: float
    horizon: int
    rule: str
    table: pd.DataFrame
    confidence: float

    @property
    def false_churn(self) -> Estimate:
        """The false-churn share of the chosen threshold; unknown when none qualifies."""
        if self.days is None:
            return unknown(0, "share", self.confidence)
        row = self.table[self.table["threshold"] == self.days].iloc[0]
        method = "Aalen-Johansen, clustered by member"
        return estimate_of(row, row["declarations"], method, self.confidence)

    @property
    def sentence(self) -> str:
        """Which silence may be called churn, or that members should be called dormant instead."""
        if self.days is not None:
            return say(
                "After {d} silent days at most {allowed} of members called churned come back within {h} days: "
                "{share}. No shorter silence that was tried qualifies.",
                d=self.days, allowed=percent(self.allowed, 0), h=self.horizon, share=with_interval(self.false_churn),
            )  # fmt: skip
        known = self.table[self.table[["share", "low", "high"]].notna().all(axis=1)]
        advice = say(
            "Count members as active or dormant and let them return, instead of calling them churned."
        )
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
        return " ".join([
            say(
                text,
                d=number(row["threshold"]), share=percent(row["share"]), n=int(row["declarations"]),
                interval=interval(row["low"], row["high"], "share"), h=self.horizon,
                allowed=percent(self.allowed, 0),
            ),
            advice,
        ])  # fmt: skip


def silence_threshold(
    curves: ReturnCurves, *, allowed: float = 0.10, horizon: int | None = None, rule: str = "high"
) -> SilenceThreshold:
    """Return the shortest silence after which at most an allowed share comes back.

    Parameters
    ----------
    curves : ReturnCurves
        Its thresholds are the candidates.
    allowed : float
        Largest false-churn share that is accepted, between 0 and 1.
    horizon : int, optional
        One of the horizons of the curves; by default the longest.
    rule : {"high", "value"}
        By default the upper bound of the interval must be within what is allowed, so that few declarations do not
        qualify by luck; ``"value"`` asks it of the estimate alone.

    Raises
    ------
    BadParameters
        When an argument is out of bounds.
    """
    checked(allowed, "allowed", type_=(int, float), gt=0, lt=1)
    checked(rule, "rule", in_=("high", "value"))
    further = curves.horizons[-1] if horizon is None else checked(horizon, "horizon", in_=curves.horizons)
    rows = curves.shares[(curves.shares["within"] != EVER) & (curves.shares["horizon"] == further)]
    table = rows[["threshold", "declarations", "members", "share", "low", "high"]].reset_index(drop=True)
    bound = table["share" if rule == "value" else "high"]
    table["qualifies"] = table[["share", "low", "high"]].notna().all(axis=1) & (bound <= allowed)
    chosen = table.loc[table["qualifies"], "threshold"]
    days = int(chosen.iloc[0]) if len(chosen) else None
    return SilenceThreshold(days, float(allowed), further, rule, table, curves.confidence)
