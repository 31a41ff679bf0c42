"""Pictures of a budget: the next unit of money, response curves, contributions by week, today and proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from helpers import figures
from helpers.figures import ACCENTS, BLUE, GREEN, INK, MUTED, ORANGE
from helpers.sentences import say, word

LIGHT, PALE = "#9cc3e0", "#c3cbd3"
COLOURS = {"pays": GREEN, "open": MUTED, "past": ORANGE}
THOUSANDS = FuncFormatter(lambda value, _: f"{value / 1000:,.3g}k" if abs(value) >= 1000 else f"{value:g}")


def next_money(rows: pd.DataFrame, break_even: float, target: float) -> Figure:
    """Draw the turnover of the next unit of money by line against break-even, and the average of all spend.

    Parameters
    ----------
    rows : pandas.DataFrame
        line, average, next, next_low, next_high, verdict (of `COLOURS`).
    break_even, target : float
        Turnover per money at which the next unit brings itself back; the average that is asked for.
    """
    figure, ax = figures.new_figure(7.2, 0.55 * len(rows) + 1.4)
    y, colours = np.arange(len(rows)), rows["verdict"].map(COLOURS)
    ax.hlines(y, rows["next_low"], rows["next_high"], color=colours, linewidth=3)
    ax.scatter(rows["next"], y, color=colours, s=60, zorder=3, label=say("the next unit of money"))
    ax.scatter(rows["average"], y, marker="|", color=INK, s=160, zorder=4, label=say("average of all spend"))
    ax.axvline(break_even, color=INK, linestyle="--", linewidth=1)
    ax.text(1.03 * break_even, -0.72, say("pays from {x:.1f}", x=break_even), va="bottom")
    ax.axvline(target, color=MUTED, linestyle=":", linewidth=1)
    ax.set_yticks(y, rows["line"])
    ax.set_ylim(len(rows) - 0.5, -0.75)
    ax.set_xlim(0, 1.05 * max(float(rows["next_high"].max()), target))
    ax.set_xlabel(say("Turnover for each unit of money (dotted: the average asked for)"))
    ax.legend(loc="lower right")
    return figure


def curves(rows: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """Draw what each line brings by its spend, small multiples; money of a month.

    Parameters
    ----------
    rows : pandas.DataFrame
        line, spend, margin, low, high.
    points : pandas.DataFrame
        line, spend (today), as_asked_up_to, pays_up_to.
    """
    across = min(3, len(points))
    deep = -(-len(points) // across)
    figure, axes = figures.new_figure(7.4, 2.3 * deep + 0.4, nrows=deep, ncols=across, squeeze=False)
    for ax in axes.ravel()[len(points) :]:
        ax.set_visible(False)
    for ax, point in zip(axes.ravel(), points.to_dict("records"), strict=False):
        part = rows[rows["line"] == point["line"]]
        most, today = part["spend"].max(), point["spend"]
        ax.fill_between(part["spend"], part["low"], part["high"], color=LIGHT, alpha=0.6, linewidth=0)
        ax.plot(part["spend"], part["margin"], color=BLUE)
        ax.plot([0, most], [0, most], color=MUTED, linestyle=":", linewidth=1.2)
        ax.scatter([today], [np.interp(today, part["spend"], part["margin"])], color=INK, s=32, zorder=4)
        if 0 < (asked := point["as_asked_up_to"]) < most:
            brings = np.interp(asked, part["spend"], part["margin"])
            ax.scatter([asked], [brings], facecolors="none", edgecolors=INK, s=44, zorder=4)
        if 0 < point["pays_up_to"] < most:
            ax.axvline(point["pays_up_to"], color=ORANGE, linestyle="--", linewidth=1.3)
        ax.set_title(point["line"], fontsize=10.5)
        ax.set(xlim=(0, most), ylim=(0, None))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(THOUSANDS)
            axis.set_major_locator(MaxNLocator(4))
    figure.supxlabel(say("Spend a month"), fontsize=10.5)
    figure.supylabel(say("Margin a month"), fontsize=10.5)
    return figure


def contribution(frame: pd.DataFrame, outcome: pd.Series) -> Figure:
    """Draw the outcome by week and what of it each line brought; the first column is the baseline."""
    figure, ax = figures.new_figure(7.2, 3.2)
    shades = ["#d9dee4", *ACCENTS, LIGHT, "#e69f00", "#7f8c99", "#b3cde3", "#ccebc5", "#decbe4"]
    colours = [shades[place % len(shades)] for place in range(frame.shape[1])]
    ax.stackplot(
        frame.index,
        frame.to_numpy().T,
        labels=[word(str(name)) for name in frame],
        colors=colours,
        linewidth=0,
    )
    ax.plot(outcome.index, outcome, color=INK, linewidth=1.2, label=say("outcome"))
    ax.set(ylim=(0, None), xlim=(frame.index[0], frame.index[-1]))
    figures.date_axis(ax.xaxis)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def plan(rows: pd.DataFrame) -> Figure:
    """Draw the spend of each line today and as proposed; columns line, today, proposed."""
    figure, ax = figures.new_figure(7.2, 0.62 * len(rows) + 1.0)
    y, change = np.arange(len(rows)), rows["proposed"] - rows["today"]
    ax.barh(y - 0.19, rows["today"], 0.36, color=PALE, label=say("today"))
    bars = ax.barh(y + 0.19, rows["proposed"], 0.36, color=BLUE, label=say("proposed"))
    steps = [f"{step:+,.0f}" if abs(step) >= 1 else "=" for step in change]
    ax.bar_label(bars, steps, padding=3, fontsize=9)
    ax.set_yticks(y, rows["line"])
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(THOUSANDS)
    ax.set_xlabel(say("Spend a month"))
    ax.margins(x=0.12)
    ax.legend(loc="lower right")
    return figure
