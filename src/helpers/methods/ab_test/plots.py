"""Pictures of a test: the effect look by look, every metric against its margin, the split, and what peeking costs."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.ticker import PercentFormatter

from helpers import figures
from helpers.figures import BLUE, GREEN, GRID, INK, MUTED, ORANGE, Chart
from helpers.sentences import percent, say

COLOURS = {"safe": GREEN, "harmed": ORANGE, "better": GREEN, "worse": ORANGE}
INTERVAL = ("low", "high")


def effect_by_look(rows: pd.DataFrame, title: str, unit: str, smallest: float, note: str) -> Chart:
    """Draw the effect at each look with the interval that holds at all of them, and the naive one in grey.

    Parameters
    ----------
    rows : pandas.DataFrame
        look (date), n, value, low, high, naive_low, naive_high, stop_low, stop_high (the boundary).
    title : str
        What it says.
    unit : str
        ``share`` for a relative effect, else the unit of the metric.
    smallest : float
        Smallest effect worth having, in the same unit; NaN draws none.
    note : str
        Arms, units and level.
    """
    figure, ax = figures.new_figure(7.2, 3.3)
    places = range(len(rows))
    ax.axhline(0, color=INK, linewidth=1)
    if smallest == smallest:
        ax.axhline(smallest, color=GREEN, linewidth=1, linestyle=":", label=say("worth having"))
    for name, end in ((say("bound for the dot"), "stop_high"), ("_", "stop_low")):
        ax.plot(places, rows[end], "_--", color=ORANGE, linewidth=1.2, markersize=14, label=name)
    shift = [place + 0.12 for place in places]
    naive, every = say("naive interval"), say("interval for all looks")
    ax.vlines(shift, rows["naive_low"], rows["naive_high"], color=GRID, linewidth=7, label=naive)
    ax.vlines(places, rows["low"], rows["high"], color=BLUE, linewidth=2, label=every)
    ax.plot(places, rows["value"], "o", color=BLUE)
    ends = rows[[*INTERVAL, "stop_low", "stop_high"]].dropna().tail(1)
    last = float(ends.abs().to_numpy().max(initial=0))
    top = float(rows["value"].max()) + 1.2 * last  # early looks of few units would squeeze all others
    ax.set(xlim=(-0.6, len(rows) - 0.4), xlabel=say("Look"), ylabel=say("Effect"))
    ax.set_ylim(min(-1.2 * last, float(rows["value"].min()) - 0.2 * last), top)
    ax.set_xticks(places, [f"{day:%m-%d}" for day in rows["look"]])
    _percent(ax.yaxis, unit)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    alt = say("Points with intervals, one for each look at the data. {title}.", title=title)
    units = dict.fromkeys(rows.columns[2:], unit if unit == "share" else "")
    data = rows.assign(look=rows["look"].astype(str))
    return Chart(title, alt, data, figure, note, units, name="effect_by_look")


def metric_strip(rows: pd.DataFrame, title: str, note: str) -> Chart:
    """Draw the change of every metric that has a relative one, with the margin of each guardrail.

    Parameters
    ----------
    rows : pandas.DataFrame
        metric, role, value, low, high (relative, as counted), margin (where loss begins; NaN for none), state.
    title, note : str
        What it says; arms, units and level.
    """
    figure, ax = figures.new_figure(7.2, 0.55 * len(rows) + 1.1)
    ax.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows.itertuples()):
        colour = COLOURS.get(str(row.state), BLUE)
        ax.hlines(place, row.low, row.high, color=colour, linewidth=2.5)
        ax.plot(row.value, place, "o", color=colour)
        ax.annotate(str(row.state), (row.high, place), (6, 0), textcoords="offset points", va="center")
        if row.margin == row.margin:
            ax.plot([row.margin] * 2, [place - 0.35, place + 0.35], color=ORANGE, linestyle=":")
    ax.set_yticks(range(len(rows)), list(rows["metric"]))
    ax.invert_yaxis()
    ax.margins(x=0.25, y=0.15)
    ax.set_xlabel(say("Change against control; dotted: the loss that is accepted"))
    _percent(ax.xaxis, "share")
    alt = say("Intervals of the change of each metric, with margins of guardrails. {title}.", title=title)
    units = dict.fromkeys(["value", *INTERVAL, "margin"], "share")
    return Chart(title, alt, rows.reset_index(drop=True), figure, note, units, name="metrics")


def split_by_week(rows: pd.DataFrame, title: str, note: str) -> Chart:
    """Draw the share of the units that an arm got, week by week, against the plan.

    Parameters
    ----------
    rows : pandas.DataFrame
        week (date), arm, n, share, low, high, planned; of the variants.
    title, note : str
        What it says; units and level.
    """
    figure, ax = figures.new_figure(7.2, 2.8)
    for colour, (arm, part) in zip(figures.ACCENTS, rows.groupby("arm", sort=False), strict=False):
        weeks = pd.to_datetime(part["week"])
        ax.step(weeks, part["planned"], where="mid", color=colour, linestyle=":", label=say("planned"))
        ax.vlines(weeks, part["low"], part["high"], color=colour, linewidth=2)
        ax.plot(weeks, part["share"], "o", color=colour, label=str(arm))
    figures.date_axis(ax.xaxis)
    _percent(ax.yaxis, "share")
    ax.set(ylim=(0, 1), xlabel=say("Week"), ylabel=say("Share of units"))
    ax.legend(loc="upper right", ncols=4)
    alt = say("Points of the share of units by week, beside the planned shares. {title}.", title=title)
    data = rows.assign(week=rows["week"].astype(str))
    units = dict.fromkeys(["share", "planned", *INTERVAL], "share")
    return Chart(title, alt, data, figure, note, units, name="split_by_week", members="n")


def false_alarms(rows: pd.DataFrame, title: str, alpha: float, note: str) -> Chart:
    """Draw how often a test without an effect would have been called one, look by look.

    Parameters
    ----------
    rows : pandas.DataFrame
        look (1, 2, …), ours, naive: shares of runs with a false alarm up to that look.
    title : str
        What it says.
    alpha : float
        What was promised.
    note : str
        Runs and how they were made.
    """
    figure, ax = figures.new_figure(7.2, 2.8)
    named = {"ours": say("bounds of the plan"), "naive": say("stopping at the first p below alpha")}
    long = rows.melt("look", list(named), "method", "share").replace({"method": named})
    sns.lineplot(long, x="look", y="share", hue="method", palette=[BLUE, MUTED], marker="o", ax=ax)
    ax.axhline(alpha, color=ORANGE, linewidth=1, linestyle="--")
    ax.annotate(say("promised: {alpha}", alpha=percent(alpha, 0)), (1, alpha), va="bottom", color=ORANGE)
    ax.set(xlabel=say("Look"), ylabel=say("False alarms so far"), ylim=(0, None))
    ax.set_xticks(rows["look"])
    _percent(ax.yaxis, "share")
    ax.legend(title="", loc="upper left")
    alt = say("Lines of the share of false alarms by look, of two ways to look. {title}.", title=title)
    return Chart(title, alt, rows, figure, note, {"ours": "share", "naive": "share"}, name="false_alarms")


def detectable(rows: pd.DataFrame, title: str, smallest: float, marks: dict[str, float], note: str) -> Chart:
    """Draw the smallest lift that a test finds against its units.

    Parameters
    ----------
    rows : pandas.DataFrame
        units, lift.
    title : str
        What it says.
    smallest : float
        Smallest lift worth having.
    marks : dict of str to float
        Numbers of units to point out, by what they are called.
    note : str
        Metric, level and power.
    """
    figure, ax = figures.new_figure(7.2, 2.8)
    sns.lineplot(rows, x="units", y="lift", color=BLUE, ax=ax)
    ax.axhline(smallest, color=MUTED, linewidth=1, linestyle=":")
    ax.annotate(say("worth having"), (rows["units"].max(), smallest), va="bottom", ha="right", color=MUTED)
    for place, (name, units) in enumerate(marks.items()):
        ax.axvline(units, color=ORANGE, linewidth=1, linestyle="--")
        high = float(rows["lift"].max()) * (1 - 0.16 * place)
        side = {"xytext": (-4, 0), "ha": "right"} if place == 2 else {"xytext": (4, 0)}
        ax.annotate(name, (units, high), textcoords="offset points", va="top", color=ORANGE, **side)
    ax.set(xscale="log", xlabel=say("Units in both arms together"), ylabel=say("Smallest lift found"))
    ax.set_ylim(0, None)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    _percent(ax.yaxis, "share")
    alt = say("A falling line of the smallest lift that is found by number of units. {title}.", title=title)
    return Chart(title, alt, rows, figure, note, {"lift": "share"}, name="detectable")


def _percent(axis: Axis, unit: str) -> None:
    if unit == "share":
        axis.set_major_formatter(PercentFormatter(1.0))
