"""Sentences about survival curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.sentences import number, percent, say

K_MIN = 10

if TYPE_CHECKING:
    from helpers.stats.survival.curves import SurvivalCurves


def curve_sentence(curves: SurvivalCurves) -> str:
    """Say how many had the event and how long half stayed, of one segment or of the shortest and the longest."""
    summary, unit = curves.summary, curves.unit
    if not curves.n:
        return say("There are no {unit}: too little data for a survival curve.", unit=unit)
    start = say(
        "Of {n:,} {unit}, {events:,} {event} while they were watched.",
        n=curves.n, unit=unit, events=curves.events, event=curves.event,
    )  # fmt: skip
    known = summary[summary["median"].notna()]
    if len(summary) > 1:
        # A segment of a few members is somebody: it is counted below, and not named.
        known = known[known["segment"].isin(curves.shown(K_MIN))]
    if stranded := int(curves.counts.stranded.sum()):
        start += " " + say(
            "In {stranded:,} of {parts:,} segments all who were watched early left before others came under "
            "observation, which is too little data for a curve.",
            stranded=stranded, parts=len(summary),
        )  # fmt: skip
    late = int(((summary["from_day"] > 0) & summary["n"].gt(0)).sum())
    if late and len(summary) == 1:
        return start + " " + _conditional(curves)
    if late:
        start += " " + say(
            "In {late:,} of {parts:,} segments nobody was watched on the first days of tenure, so that nothing can "
            "be said about a share of all who joined.",
            late=late, parts=len(summary),
        )  # fmt: skip
    if known.empty:
        return start + " " + say("Too little data to say how long they stay.")
    if len(summary) == 1:
        return start + " " + _one(curves)
    known = known.sort_values(["median", "segment"], kind="stable")
    first, last = known.iloc[0], known.iloc[-1]
    text = start + " " + say(
        "The {parts:,} segments differ: half are gone {first} in {shortest} and {last} in {longest}.",
        parts=len(known), shortest=first["segment"], first=_days(first, curves.confidence),
        longest=last["segment"], last=_days(last, curves.confidence),
    )  # fmt: skip
    if few := len(summary) - len(known):
        text += " " + say("{few:,} more have too little data or are kept back.", few=few)
    return text


def _one(curves: SurvivalCurves) -> str:
    row = curves.summary.iloc[0]
    if np.isfinite(row["median"]):
        return say("Half are gone {when}.", when=_days(row, curves.confidence))
    end = curves.table.iloc[-1]
    return say(
        "More than half are still there after {day:,} days: {share} ({low} to {high}, {at_risk:,} at risk).",
        day=int(end["day"]), share=percent(end["survival"]), low=percent(end["low"]), high=percent(end["high"]),
        at_risk=int(end["at_risk"]),
    )  # fmt: skip


def _conditional(curves: SurvivalCurves) -> str:
    """Return what is known when nobody was watched on the first days: the share of those still here after them."""
    day = int(curves.summary["from_day"].iloc[0])
    text = say(
        "Nobody was watched before day {day:,} of tenure, so that how long half of all stay is not known.",
        day=day,
    )
    known = curves.table[curves.table["survival"].notna()]
    if known.empty:
        return text + " " + say("Too little data to say how long the others stay.")
    end = known.iloc[-1]
    return text + " " + say(
        "Of those still here on day {day:,}, {share} ({low} to {high}, {at_risk:,} at risk) are still here at the "
        "end of day {last:,}.",
        day=day, share=percent(end["survival"]), low=percent(end["low"]), high=percent(end["high"]),
        at_risk=int(end["at_risk"]), last=int(end["day"]),
    )  # fmt: skip


def _days(row: Any, confidence: float) -> str:
    """Return ``'by day 35 (95 % interval 33 to 37, n = 3,875)'`` for a row of the summary."""
    n, last = int(row["n"]), int(row["last_day"])
    if not np.isfinite(row["median"]):
        return say("not by day {last:,} (n = {n:,})", last=last, n=n)
    low = number(row["low"]) if np.isfinite(row["low"]) else say("beyond day {last:,}", last=last)
    high = number(row["high"]) if np.isfinite(row["high"]) else say("beyond day {last:,}", last=last)
    return say(
        "by day {median} ({level} interval {low} to {high}, n = {n:,})",
        median=number(row["median"]), level=percent(confidence, 0), low=low, high=high, n=n,
    )  # fmt: skip
