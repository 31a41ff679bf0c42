"""Pictures of models: what goes with leaving, which forecast holds, what a newcomer is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator, ScalarFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart
from helpers.methods.retention.drivers import Drivers, joining_word, name_of, who
from helpers.methods.retention.lifecycle import Lifecycle, per_hundred, verdict
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.sentences import interval, number, quantity, say

MOST_ROWS = 16
MOST_PERIODS = 13
VALUE_STYLES = {"observed": "-", "borrowed": "--", "extrapolated": ":"}


def lifecycle_flow(found: Lifecycle, note: str) -> Chart | NoChart:
    """Draw the active members of each period: kept, new and returned above the line, lost below.

    The title speaks of all periods judged, because one alone is no trend.

    Parameters
    ----------
    found : Lifecycle
        Accounting by period.
    note : str
        Population and definition of activity.
    """
    rows = found.settled.tail(MOST_PERIODS)
    if len(rows) < 2:
        return NoChart(say("Where active members come from"), found.sentence)
    figure, ax = figures.new_figure(7.2, 4.0)
    place, base = np.arange(len(rows)), np.zeros(len(rows))
    parts = (("returning", "#9cc3e0", ""), ("resurrected", BLUE, "//"), ("new", "#0b3c5d", ""))
    for name, colour, hatch in parts:
        height = rows[name].to_numpy(float)
        ax.bar(
            place,
            height,
            bottom=base,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.4,
            label=say(name),
        )
        base += height
    lost = -rows["dormant"].to_numpy(float)
    ax.bar(place, lost, color=ORANGE, edgecolor="white", linewidth=0.4, label=say("fell dormant"))
    ax.axhline(0, color=MUTED, linewidth=1)
    step = max(1, -(-len(rows) // 6))
    ax.set_xticks(place[::step], rows["period"].iloc[::step].astype(str))
    ax.set_ylabel(say("Members"))
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    last = rows.iloc[-1]
    title = say("Active members in {period}: {n:,}", n=int(last["active"]), period=last["period"])
    recent = found.recent
    if recent.known:
        text = "Members won over the last {n} {period}s: {won}, {verdict}"
        won = per_hundred(*recent[:3])
        title = say(text, n=recent.n, period=found.period, won=won, verdict=verdict(recent))
    alt = say("Stacked bars by {period}. {sentence}", period=found.period, sentence=found.sentence)
    columns = ["period", "active", "new", "returning", "resurrected", "dormant", "quick_ratio", "low", "high"]
    data = rows[columns].rename(columns={"quick_ratio": "won_for_each_lost"})
    return Chart(title, alt, data.reset_index(drop=True), figure, note)


def hazard_ratios(found: Drivers, note: str) -> Chart | NoChart:
    """Draw hazard ratios with intervals on a log scale: drivers on top, then by evidence.

    Intervals hold for all characteristics at once.

    Parameters
    ----------
    found : Drivers
        The fitted story.
    note : str
        Population and what is held constant.
    """
    rows = found.table.drop(columns=["low", "high"])
    rows = rows.rename(columns={"simultaneous_low": "low", "simultaneous_high": "high"})
    rows = rows.dropna(subset=["hazard_ratio", "low", "high"])
    rows = rows[np.isfinite(rows["high"]) & (rows["low"] > 0)]
    if rows.empty:
        return NoChart(say("What goes with leaving"), found.sentence)
    rows = rows.assign(evidence=rows["z"].abs(), label=rows["covariate"].map(name_of))
    rows = rows.sort_values(["clear", "evidence"], kind="stable")
    drawn = rows.tail(MOST_ROWS).reset_index(drop=True)
    figure, ax = figures.new_figure(7.2, 0.36 * len(drawn) + 1.3)
    clear = drawn["clear"]
    for mask, colour, face in ((clear, BLUE, BLUE), (~clear, MUTED, "white")):
        part = drawn[mask]
        ax.hlines(part.index, part["low"], part["high"], color=colour, linewidth=2)
        ax.plot(part["hazard_ratio"], part.index, "o", color=colour, markerfacecolor=face, markersize=6)
    ax.axvline(1, color=MUTED, linewidth=1, linestyle="--")
    _ratio_axis(ax, drawn["low"], drawn["high"])
    ax.set_yticks(drawn.index, drawn["label"])
    ax.set_ylim(-0.7, len(drawn) - 0.3)
    ax.set_xlabel(say("Times as fast to leave (filled: clear after correction)"))
    named = found.named
    title = say("Nothing tells leavers from stayers clearly")
    if len(named):
        title = _driver_title(named.iloc[0].to_dict())
    alt = say(
        "How fast members leave by {k} of {m} characteristics (hazard ratios), with intervals. {sentence}",
        k=len(drawn),
        m=len(rows),
        sentence=found.sentence,
    )
    if len(drawn) < len(rows):
        note = say("{note} The {k} of {m} with the most evidence.", note=note, k=len(drawn), m=len(rows))
    columns = ["label", "reference", "hazard_ratio", "low", "high", "n", "events"]
    names = {"label": "characteristic", "reference": "against", "events": "left"}
    shown = drawn[::-1].reset_index(drop=True)[columns].rename(columns=names)
    return Chart(title, alt, shown, figure, note)


def _driver_title(row: Mapping[Any, Any]) -> str:
    """Return the clearest driver in words: ``Members from search leave slower than those from 抖音``."""
    whom, text = who(row), "{who} leave faster" if row["hazard_ratio"] > 1 else "{who} leave slower"
    if row["kind"] == "level":
        text += " than those {word} {reference}"
    values = {"word": joining_word(row), "reference": row["reference"]}
    return say(text, who=whom[:1].upper() + whom[1:], **values)


def _ratio_axis(ax: object, low: pd.Series, high: pd.Series) -> None:
    """Scale an axis of ratios so that half and double lie equally far from one."""
    left, right = max(float(low.min()) / 1.1, 0.05), min(float(high.max()) * 1.1, 20.0)
    marks = [m for m in (0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0) if left <= m <= right]
    ax.set_xscale("log")  # type: ignore[attr-defined]
    ax.set_xlim(left, right)  # type: ignore[attr-defined]
    ax.set_xticks(marks)  # type: ignore[attr-defined]
    ax.xaxis.set_major_formatter(ScalarFormatter())  # type: ignore[attr-defined]
    ax.xaxis.set_minor_locator(NullLocator())  # type: ignore[attr-defined]


def lifetime_curve(found: LifetimeValue, note: str) -> Chart | NoChart:
    """Draw the value of a newcomer as it adds up: solid observed, dashed borrowed, dotted extrapolated.

    Parameters
    ----------
    found : LifetimeValue
        Value by part.
    note : str
        Population, discount and horizon.
    """
    total, rows = found.estimate(), found.curve
    if not total.known:
        return NoChart(say("What a newcomer is worth"), found.sentence)
    figure, ax = figures.new_figure(7.2, 3.8)
    for part, style in VALUE_STYLES.items():
        # Each part begins where the one before ended, so that the line has no gap.
        inside = rows["part"].eq(part)
        piece = rows[inside | inside.shift(-1, fill_value=False)] if inside.any() else rows[inside]
        ax.plot(piece["day"] + 1, piece["cumulative_value"], color=BLUE, linewidth=2, linestyle=style)
    ax.vlines(found.horizon_days, total.low, total.high, color=BLUE, linewidth=2)
    ax.set_xlim(0, found.horizon_days * 1.02)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("Days since joining (dashed: borrowed from earlier members; dotted: extrapolated)"))
    ax.set_ylabel(say("Value so far, {unit} a newcomer", unit=found.study.unit))
    ax.grid(axis="y")
    title = say(
        "A newcomer brings {value} in {days} days ({between})",
        value=quantity(total.value, found.study.unit),
        days=number(found.horizon_days),
        between=interval(total.low, total.high, found.study.unit),
    )
    text = "Rising curve of value by days since joining, interval at its end. {sentence}"
    return Chart(title, say(text, sentence=found.sentence), found.table, figure, note)
