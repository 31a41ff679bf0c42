"""Pictures of the retention notebook. Each takes a result, says one thing and returns a chart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter

from helpers import figures
from helpers.figures import ACCENTS, BLUE, INK, MUTED, ORANGE, Chart, NoChart
from helpers.methods.retention.day_n import DayN
from helpers.methods.retention.drivers import Drivers, name_of, others
from helpers.methods.retention.lifecycle import Lifecycle, per_hundred, verdict
from helpers.methods.retention.lifetime_value import LifetimeValue
from helpers.methods.retention.returning import HORIZON, THRESHOLDS, Returns
from helpers.methods.retention.staying import Staying
from helpers.methods.retention.tiers import TierComparison
from helpers.sentences import interval, number, percent, quantity, say, with_interval

STYLES = ("-", "--", "-.", ":")
MOST_CURVES = len(ACCENTS)
MOST_POINTS = 90
"""More points of a curve than a reader can tell apart only make the page heavy."""
MARKS = (7, 30, 90, 365, 730)
MOST_RATIOS = 16
MOST_PERIODS = 13
RATIO_MARKS = (0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
VALUE_STYLES = {"observed": "-", "borrowed": "--", "extrapolated": ":"}
SHARES = dict.fromkeys(("share", "survival", "low", "high", "came_back"), "share")


def retention_trend(found: DayN, note: str) -> Chart | NoChart:
    """Draw the share active on the last window by cohort, with intervals; immature cohorts stay blank.

    Picture and table hold the cohorts that the log covers, and keep the same ones back.

    Parameters
    ----------
    found : DayN
        Retention by cohort, without segments.
    note : str
        Population and definitions.
    """
    rows, phrase, total = found.trend, found.phrase(found.days[-1]), found.total()
    drawn = rows.dropna(subset=["share"]).reset_index(drop=True)
    if len(drawn) < 2:
        return NoChart(say("Retention by cohort"), found.sentence)
    figure, ax = figures.new_figure(7.2, 3.4)
    share, low, high = (drawn[name].astype(float) for name in ("share", "low", "high"))
    ax.vlines(drawn.index, low, high, color=BLUE, linewidth=2)
    ax.plot(drawn.index, share, "o-", color=BLUE, linewidth=1, markersize=6)
    ax.set_xticks(drawn.index, drawn["cohort"], rotation=45 if len(drawn) > 8 else 0)
    ax.set_xlabel(say("Cohort ({period} of joining)", period=found.cohort or "period"))
    _share_axis(ax, 1.15 * high.max(), say("Share active {phrase}", phrase=phrase))
    title = say("{share} of joiners were active {phrase}", share=percent(total.value), phrase=phrase)
    note = say("{note} A dash: the day is not over, or the cohort is kept back.", note=note)
    ends = drawn.iloc[[int(share.argmin()), int(share.argmax())]]
    worst, best = (f"{row['cohort']} ({percent(row['share'])})" for row in ends.to_dict("records"))
    text = (
        "Share of each cohort active {phrase}, with intervals, from {worst} to {best}; all together {total}."
    )
    alt = say(text, phrase=phrase, worst=worst, best=best, total=with_interval(total))
    return Chart(title, alt, rows, figure, note, SHARES)


def survival_curves(found: Staying, note: str) -> Chart | NoChart:
    """Draw the survival of each segment with its band; the four largest segments when there are more.

    Parameters
    ----------
    found : Staying
        By segment, or of everybody; small segments are kept back.
    note : str
        Population, event and time zone.
    """
    curves, summary = found.segments, found.segments.summary
    # A curve that begins on a later day is one of those still here then, and no share of all who joined.
    known = curves.table[(curves.table["from_day"] == 0) & curves.table["survival"].notna()]
    long = (summary["last_day"] >= 7) & (summary["events"] > 0)
    summary = summary[long & summary["segment"].isin(found.shown) & summary["segment"].isin(known["segment"])]
    largest = summary.sort_values(["n", "segment"], ascending=[False, True]).head(MOST_CURVES)
    shown, last = largest["segment"].tolist(), largest["last_day"].min()
    marked = curves.at([day for day in MARKS if shown and day <= last])
    data = marked[marked["segment"].isin(shown) & marked["survival"].notna()]
    if data.empty:
        return NoChart(say("How long members stay"), found.sentence)
    figure, ax = figures.new_figure(7.2, 4.0)
    ends = []
    for segment, colour, style in zip(shown, ACCENTS, STYLES, strict=False):
        rows = known[known["segment"] == segment]
        ends.append((float(rows["survival"].iloc[-1]), float(rows["day"].iloc[-1]), str(segment), colour))
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int))]
        ax.step(rows["day"], rows["survival"], where="post", color=colour, linestyle=style, linewidth=1.8)
        low, high = rows["low"].astype(float), rows["high"].astype(float)
        ax.fill_between(rows["day"], low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    _name_ends(ax, ends if len(shown) > 1 else [])
    ax.set(xlim=(0, None), xlabel=say("Days since joining"))
    _share_axis(ax, 1.02, say("Share of members still here"))
    title, told = _survival_words(data)
    text = "Falling survival curves with bands. On day {told}. {n:,} members, {events:,} exits."
    alt = say(text, told=told, n=curves.n, events=curves.events)
    if len(summary) > len(shown):
        note = say("{note} Largest {k} of {m} segments.", note=note, k=len(shown), m=len(summary))
    note = say("{note} The table holds marked days.", note=note)
    columns = ["segment", "day", "at_risk", "survival", "low", "high"]
    return Chart(title, alt, data[columns].reset_index(drop=True), figure, note, SHARES)


def _survival_words(data: pd.DataFrame) -> tuple[str, str]:
    """Return a title, and all segments in words, on the year's mark or the last day that all curves reach."""
    day = int(data.loc[data["day"] <= max(MARKS[-2], int(data["day"].min())), "day"].max())
    rows = data[data["day"] == day].sort_values("survival").to_dict("records")
    told = "; ".join(
        f"{row['segment']} {percent(row['survival'])} ({interval(row['low'], row['high'], 'share')})"
        for row in rows
    )
    title = say("After {day} days {share} are still here", day=day, share=percent(rows[0]["survival"]))
    if len(rows) > 1:
        few, many = (f"{percent(row['survival'], 0)} of {row['segment']}" for row in (rows[0], rows[-1]))
        title = say("After {day} days {few} and {many} are still here", day=day, few=few, many=many)
    return title, f"{day}: {told}"


def _share_axis(ax: Axes, top: float, label: str) -> None:
    """Count the upright axis in per cent from 0."""
    ax.set_ylim(0, min(1.02, top))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylabel(label)
    ax.grid(axis="y")


def _name_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its end, pushed apart so that names do not overlap."""
    last = -1.0
    for value, day, name, colour in sorted(ends):
        last = max(value, last + 0.055)
        place = (day * 1.015, last)
        ax.annotate(name, (day, value), place, color=colour, va="center", annotation_clip=False)


def return_curves(found: Returns, note: str) -> Chart | NoChart:
    """Draw the share of silent members who come back, by how long they had been silent.

    Parameters
    ----------
    found : Returns
        Curves after several thresholds.
    note : str
        Population and definition of activity.
    """
    known = [days for days in THRESHOLDS if found.share(days).known]
    if not known:
        return NoChart(say("Who comes back after silence"), found.sentence)
    figure, ax = figures.new_figure(7.2, 4.0)
    ends = []
    for threshold, shade in zip(known, np.linspace(0.35, 1.0, len(known)), strict=True):
        rows = found.curves[(found.curves["threshold"] == threshold) & (found.curves["day"] <= HORIZON)]
        ax.step(rows["day"], rows["share"], where="post", color=figures.SEQUENTIAL(shade), linewidth=2)
        ends.append((float(rows["share"].iloc[-1]), float(HORIZON), say("{d} days silent", d=threshold), INK))
    _name_ends(ax, ends)
    _share_axis(ax, 1.2 * max(end[0] for end in ends) + 0.05, say("Share who came back"))
    ax.set(xlim=(0, HORIZON), xlabel=say("Days after the silence was counted"))
    share = percent(found.share(known[-1]).value, 0)
    text = "After {d} silent days {share} still come back within {h} days"
    title = say(text, d=known[-1], share=share, h=HORIZON)
    told = (
        say("{share} after {d} silent days", share=with_interval(found.share(d)), d=d)
        for d in dict.fromkeys((known[0], known[-1]))
    )
    text = "Rising curves of return. Within {h} more days come back {told}; n counts silences."
    alt = say(text, h=HORIZON, told=", ".join(told))
    columns = ["threshold", "declarations", "members", "returned", "share", "low", "high"]
    names = {"threshold": "days_silent", "declarations": "silences", "share": "came_back"}
    return Chart(title, alt, found.shares[columns].rename(columns=names), figure, note, SHARES)


def tier_comparison(compared: TierComparison, note: str) -> Chart | NoChart:
    """Draw the difference between tiers in days stayed, naive beside landmarked.

    Parameters
    ----------
    compared : TierComparison
        Both comparisons.
    note : str
        Population and landmark.
    """
    fair, seeming, rows = compared.fair, compared.seeming, compared.table
    if not (fair.known and seeming.known):
        return NoChart(say("Do higher tiers stay longer?"), compared.sentence)
    labels = [say("by the tier in the end"), say("by the tier on day {day}", day=compared.day)]
    figure, ax = figures.new_figure(7.2, 2.0)
    for place, colour, marker in ((1, MUTED, "s"), (0, BLUE, "o")):
        row = rows.iloc[1 - place]
        ax.hlines(place, row["low"], row["high"], color=colour, linewidth=2)
        ax.plot(row["difference"], place, marker, color=colour, markersize=7)
    _rows_axis(ax, labels[::-1], nothing=0)
    text = "Days that “{tier}” stays more, of the first {h:,}, than “{reference}”"
    names = {"tier": compared.tier, "reference": compared.naive.reference}
    ax.set_xlabel(say(text, h=compared.naive.horizon, **names))
    title = "Compared fairly from day {day} on, “{tier}” goes with {fair} days ({low} to {high}), not {naive}"
    if fair.low <= 0 <= fair.high:
        title = "Compared fairly from day {day} on, “{tier}” makes no clear difference ({low} to {high} days)"
    days = {"fair": fair.value, "low": fair.low, "high": fair.high, "naive": seeming.value}
    whole = {name: number(value, 0) for name, value in days.items()}
    title = say(title, day=compared.day, tier=compared.tier, **whole)
    alt = say(
        "Difference in days stayed, naive and fair, with intervals. {sentence}", sentence=compared.sentence
    )
    data = rows.assign(comparison=labels).rename(columns={"segment": "tier"})
    return Chart(title, alt, data, figure, note)


def _rows_axis(ax: Axes, names: list[str], nothing: float) -> None:
    """Name the rows from below, and mark the value that says no difference."""
    ax.axvline(nothing, color=MUTED, linewidth=1, linestyle="--")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.7, len(names) - 0.3)


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
    rows = found.settled.tail(MOST_PERIODS).reset_index(drop=True)
    if len(rows) < 2:
        return NoChart(say("Where active members come from"), found.sentence)
    figure, ax = figures.new_figure(7.2, 4.0)
    base, look = np.zeros(len(rows)), {"edgecolor": "white", "linewidth": 0.4}
    for name, colour, hatch in (
        ("returning", "#9cc3e0", ""),
        ("resurrected", BLUE, "//"),
        ("new", "#0b3c5d", ""),
    ):
        ax.bar(rows.index, rows[name], bottom=base, color=colour, hatch=hatch, label=say(name), **look)
        base += rows[name].to_numpy(float)
    ax.bar(rows.index, -rows["dormant"], color=ORANGE, label=say("fell dormant"), **look)
    ax.axhline(0, color=MUTED, linewidth=1)
    step = max(1, -(-len(rows) // 6))
    ax.set_xticks(rows.index[::step], rows["period"].iloc[::step].astype(str))
    ax.set_ylabel(say("Members"))
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    last, recent = rows.iloc[-1], found.recent
    title = say("Active members in {period}: {n:,}", n=int(last["active"]), period=last["period"])
    if recent.known:
        text, won = "Members won over the last {n} {period}s: {won}, {verdict}", per_hundred(*recent[:3])
        title = say(text, n=recent.n, period=found.period, won=won, verdict=verdict(recent))
    alt = say("Stacked bars by {period}. {sentence}", period=found.period, sentence=found.sentence)
    columns = ["period", "active", "new", "returning", "resurrected", "dormant", "quick_ratio", "low", "high"]
    return Chart(title, alt, rows[columns].rename(columns={"quick_ratio": "won_for_each_lost"}), figure, note)


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
    rows = rows.assign(evidence=rows["z"].abs(), characteristic=rows["covariate"].map(name_of))
    drawn = rows.sort_values(["clear", "evidence"], kind="stable").tail(MOST_RATIOS).reset_index(drop=True)
    figure, ax = figures.new_figure(7.2, 0.36 * len(drawn) + 1.3)
    for mask, colour, face in ((drawn["clear"], BLUE, BLUE), (~drawn["clear"], MUTED, "white")):
        part = drawn[mask]
        ax.hlines(part.index, part["low"], part["high"], color=colour, linewidth=2)
        ax.plot(part["hazard_ratio"], part.index, "o", color=colour, markerfacecolor=face, markersize=6)
    _rows_axis(ax, drawn["characteristic"].tolist(), nothing=1)
    _ratio_axis(ax, drawn["low"].min(), drawn["high"].max())
    ax.set_xlabel(say("Times as fast to leave (filled: clear after correction)"))
    text = "How fast members leave by {k} of {m} characteristics (hazard ratios), with intervals. {sentence}"
    alt = say(text, k=len(drawn), m=len(rows), sentence=found.sentence)
    if len(drawn) < len(rows):
        note = say("{note} The {k} of {m} with the most evidence.", note=note, k=len(drawn), m=len(rows))
    columns = ["characteristic", "reference", "hazard_ratio", "low", "high", "n", "events"]
    shown = drawn[::-1].reset_index(drop=True)[columns]
    shown = shown.rename(columns={"reference": "against", "events": "left"})
    return Chart(_driver_title(found), alt, shown, figure, note)


def _driver_title(found: Drivers) -> str:
    """Return the clearest driver in words: ``Members with “source = search” leave slower than those with “ad”``."""
    if found.named.empty:
        return say("Nothing tells leavers from stayers clearly")
    row = found.named.iloc[0].to_dict()
    text = "Members with “{name}” leave {pace} than {others}"
    pace = say("faster") if row["hazard_ratio"] > 1 else say("slower")
    return say(text, name=name_of(row["covariate"]), pace=pace, others=others(row))


def _ratio_axis(ax: Axes, low: float, high: float) -> None:
    """Scale an axis of ratios so that half and double lie equally far from one."""
    left, right = max(low / 1.1, 0.05), min(high * 1.1, 20.0)
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.set_xticks([mark for mark in RATIO_MARKS if left <= mark <= right])
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())


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
    days = say("Days since joining (dashed: borrowed from earlier members; dotted: extrapolated)")
    ax.set(xlim=(0, found.horizon_days * 1.02), ylim=(0, None), xlabel=days)
    ax.set_ylabel(say("Value so far, {unit} a newcomer", unit=found.study.unit))
    ax.grid(axis="y")
    value, between = (quantity(total.value, total.unit), interval(total.low, total.high, total.unit))
    text = "A newcomer brings {value} in {days} days ({between})"
    title = say(text, value=value, days=number(found.horizon_days), between=between)
    text = "Rising curve of value by days since joining, interval at its end. {sentence}"
    return Chart(title, say(text, sentence=found.sentence), found.table, figure, note)
