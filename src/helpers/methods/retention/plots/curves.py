"""Pictures of curves: who is active again, who is still there, who comes back."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from helpers import figures
from helpers.figures import ACCENTS, BLUE, GRID, INK, MUTED, Chart, NoChart
from helpers.methods.retention.day_n import DayN
from helpers.methods.retention.returning import Returns
from helpers.methods.retention.staying import Staying
from helpers.methods.retention.tiers import TierComparison
from helpers.sentences import interval, number, percent, say, with_interval
from helpers.stats.survival.curves import SurvivalCurves

STYLES = ("-", "--", "-.", ":")
MOST_CURVES = len(ACCENTS)
MOST_POINTS = 90
MARKS = (7, 30, 90, 365, 730)
SHARES = dict.fromkeys(("share", "survival", "low", "high"), "share")


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
    window, rows = found.windows[-1], found.trend
    drawn = rows.dropna(subset=["share"]).reset_index(drop=True)
    if len(drawn) < 2:
        return NoChart(say("Retention by cohort"), found.sentence)
    figure, ax = figures.new_figure(7.2, 3.4)
    _points(ax, drawn["share"], drawn["low"], drawn["high"])
    ax.set_xticks(range(len(drawn)), drawn["cohort"], rotation=45 if len(drawn) > 8 else 0)
    ax.set_ylim(0, min(1.0, 1.15 * float(drawn["high"].max())))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Cohort ({period} of joining)", period=found.cohort or "period"))
    ax.set_ylabel(say("Share active {phrase}", phrase=window.phrase))
    total = found.total(window.label)
    title = say("{share} of joiners were active {phrase}", share=percent(total.value), phrase=window.phrase)
    note = say("{note} A dash: the day is not over, or the cohort is kept back.", note=note)
    worst, best = drawn.loc[drawn["share"].idxmin()], drawn.loc[drawn["share"].idxmax()]
    alt = say(
        "Share of each cohort active {phrase}, with intervals. Lowest {low_cohort} with {low_share}, highest "
        "{high_cohort} with {high_share}; all together {total} ({between}, n = {n:,}).",
        phrase=window.phrase,
        low_cohort=worst["cohort"],
        low_share=percent(float(worst["share"])),
        high_cohort=best["cohort"],
        high_share=percent(float(best["share"])),
        total=percent(total.value),
        between=interval(total.low, total.high, "share"),
        n=total.n,
    )
    return Chart(title, alt, rows, figure, note, SHARES)


def _points(ax: Axes, value: pd.Series, low: pd.Series, high: pd.Series) -> None:
    place = np.arange(len(value))
    ax.vlines(place, low.astype(float), high.astype(float), color=BLUE, linewidth=2)
    ax.plot(place, value.astype(float), "o-", color=BLUE, linewidth=1, markersize=6)
    ax.grid(axis="y")


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
    summary = summary[summary["segment"].isin(found.shown)]
    # A curve that begins on a later day is one of those still here then, and no share of all who joined.
    known = curves.table[(curves.table["from_day"] == 0) & curves.table["survival"].notna()]
    summary = summary[(summary["last_day"] >= 7) & (summary["events"] > 0)]
    summary = summary[summary["segment"].isin(known["segment"])]
    if summary.empty:
        return NoChart(say("How long members stay"), found.sentence)
    shown = (
        summary.sort_values(["n", "segment"], ascending=[False, True]).head(MOST_CURVES)["segment"].tolist()
    )
    figure, ax = figures.new_figure(7.2, 4.0)
    ends = []
    for segment, colour, style in zip(shown, ACCENTS, STYLES, strict=False):
        rows = known[known["segment"] == segment]
        _step(ax, rows, colour, style)
        ends.append((float(rows["survival"].iloc[-1]), float(rows["day"].iloc[-1]), str(segment), colour))
    _name_ends(ax, ends if len(shown) > 1 else [])
    _survival_axes(ax, say("Days since joining"))
    last = int(summary.loc[summary["segment"].isin(shown), "last_day"].min())
    data = curves.at([day for day in MARKS if day <= last])
    data = data[data["segment"].isin(shown) & data["survival"].notna()]
    if data.empty:
        return NoChart(say("How long members stay"), found.sentence)
    title, alt = _survival_words(curves, data)
    left_out = len(summary) - len(shown)
    if left_out:
        note = say("{note} Largest {k} of {m} segments.", note=note, k=len(shown), m=len(summary))
    note = say("{note} The table holds marked days.", note=note)
    columns = ["segment", "day", "at_risk", "survival", "low", "high"]
    return Chart(title, alt, data[columns].reset_index(drop=True), figure, note, SHARES)


def _survival_words(curves: SurvivalCurves, data: pd.DataFrame) -> tuple[str, str]:
    """Return title and text alternative from the last year's mark, or the last day that all curves reach."""
    day = int(data.loc[data["day"] <= max(MARKS[-2], int(data["day"].min())), "day"].max())
    same = data[data["day"] == day].sort_values("survival")
    columns = [same[name].astype(float) for name in ("survival", "low", "high")]
    lowest, highest = float(columns[0].iloc[0]), float(columns[0].iloc[-1])
    title = say("After {day} days {share} are still here", day=day, share=percent(lowest))
    if len(same) > 1:
        first, last = same["segment"].iloc[0], same["segment"].iloc[-1]
        text = "After {day} days {low} of {first} and {high} of {last} are still here"
        shares = {"low": percent(lowest, 0), "high": percent(highest, 0)}
        title = say(text, day=day, first=first, last=last, **shares)
    parts = "; ".join(
        f"{segment} {percent(value)} ({interval(low, high, 'share')})"
        for segment, value, low, high in zip(same["segment"].astype(str), *columns, strict=True)
    )
    text = "Falling survival curves with bands. On day {day}: {parts}. {n:,} members, {events:,} exits."
    return title, say(text, day=day, parts=parts, n=curves.n, events=curves.events)


def _step(ax: Axes, rows: pd.DataFrame, colour: str, style: str) -> None:
    # More points than a reader can tell apart only make the page heavy.
    thinned = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).round().astype(int))
    rows = rows.iloc[thinned]
    day, value = rows["day"].to_numpy(float), rows["survival"].to_numpy(float)
    ax.step(day, value, where="post", color=colour, linestyle=style, linewidth=1.8)
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    ax.fill_between(day, low, high, step="post", color=colour, alpha=0.15, linewidth=0)


def _survival_axes(ax: Axes, label: str) -> None:
    ax.set_ylim(0, 1.02)
    ax.set_xlim(left=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(label)
    ax.set_ylabel(say("Share of members still here"))
    ax.grid(axis="y")


def _name_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its end, pushed apart so that names do not overlap."""
    last = -1.0
    for value, day, name, colour in sorted(ends):
        place = max(value, last + 0.055)
        last = place
        ax.annotate(
            name, (day, value), xytext=(day * 1.015, place), color=colour, va="center", annotation_clip=False
        )


def return_curves(found: Returns, note: str) -> Chart | NoChart:
    """Draw the share of silent members who come back, by how long they had been silent.

    Parameters
    ----------
    found : Returns
        Curves after several thresholds.
    note : str
        Population and definition of activity.
    """
    horizon = found.horizon
    known = [days for days in found.thresholds if found.share(days).known]
    if not known:
        return NoChart(say("Who comes back after silence"), found.sentence)
    figure, ax = figures.new_figure(7.2, 4.0)
    ends = []
    for threshold, shade in zip(known, np.linspace(0.35, 1.0, len(known)), strict=True):
        rows = found.curves[(found.curves["threshold"] == threshold) & (found.curves["day"] <= horizon)]
        ax.step(rows["day"], rows["share"], where="post", color=figures.SEQUENTIAL(shade), linewidth=2)
        ends.append((float(rows["share"].iloc[-1]), float(horizon), say("{d} days silent", d=threshold), INK))
    _name_ends(ax, ends)
    ax.set_ylim(0, min(1.02, 1.2 * max(end[0] for end in ends) + 0.05))
    ax.set_xlim(0, horizon)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Days after the silence was counted"))
    ax.set_ylabel(say("Share who came back"))
    ax.grid(axis="y", color=GRID)
    first, last = found.share(known[0]), found.share(known[-1])
    title = say(
        "After {d} silent days {share} still come back within {h} days",
        d=known[-1],
        share=percent(last.value, 0),
        h=horizon,
    )
    alt = say(
        "Rising curves of return. Within {h} more days {first} come back after {a} silent days and {last} after "
        "{b} silent days; n counts silences.",
        h=horizon,
        a=known[0],
        b=known[-1],
        first=with_interval(first),
        last=with_interval(last),
    )
    columns = ["threshold", "declarations", "members", "returned", "share", "low", "high"]
    names = {"threshold": "days_silent", "declarations": "silences", "share": "came_back"}
    data = found.longest[columns].rename(columns=names)
    return Chart(title, alt, data, figure, note, SHARES | {"came_back": "share"})


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
    ax.axvline(0, color=MUTED, linewidth=1, linestyle="--")
    ax.set_yticks([1, 0], labels)
    ax.set_ylim(-0.6, 1.6)
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
