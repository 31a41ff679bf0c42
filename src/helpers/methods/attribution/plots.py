"""Pictures of credit: channels by model, return on spend against its goal, days to the first order, common paths."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers import figures
from helpers.figures import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE
from helpers.sentences import say

LIGHT = "#9cc3e0"
# Models that are drawn.
MARKS = dict(
    last=("o", BLUE), linear=("s", MUTED), markov=("^", GREEN), shapley=("D", PURPLE), added=("o", ORANGE)
)
# What models are called, in pictures and tables alike.
NAMES = {
    "first": "First click", "last": "Last click", "last_non_direct": "Last non-direct click",
    "linear": "Equal parts", "position": "Both ends most", "decay": "Later ones most",
    "influenced": "Touched at all", "markov": "Markov chain", "shapley": "Shapley", "added": "Added orders",
    "corrected": "Added, by tests",
}  # fmt: skip


def models(rows: pd.DataFrame) -> Figure:
    """Draw the credit of channels by model with intervals, what they added in bold.

    Parameters
    ----------
    rows : pandas.DataFrame
        channel, model (of `MARKS`), orders, low, high; channels and models in the order drawn.
    """
    channels = list(dict.fromkeys(rows["channel"]))
    shown = [name for name in MARKS if name in set(rows["model"])]
    figure, ax = figures.new_figure(7.2, 0.56 * len(channels) + 1.1)
    for place, model in enumerate(shown):
        part, (mark, colour) = rows[rows["model"] == model], MARKS[model]
        bold = model == "added"
        y = [channels.index(name) + 0.66 * ((place + 0.5) / len(shown) - 0.5) for name in part["channel"]]
        ax.hlines(y, part["low"], part["high"], color=colour, linewidth=3 if bold else 1.4)
        ax.plot(part["orders"], y, mark, color=colour, markersize=8 if bold else 5, label=say(NAMES[model]))
    ax.set_yticks(range(len(channels)), channels)
    for row in range(0, len(channels), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=MUTED, alpha=0.1, linewidth=0)
    ax.set_ylim(len(channels) - 0.5, -0.5)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set_xlabel(say("Orders"))
    ax.legend(loc="lower right")
    return figure


def returns(rows: pd.DataFrame, goal: float) -> Figure:
    """Draw the return on spend of each channel with its interval against the goal.

    Parameters
    ----------
    rows : pandas.DataFrame
        channel, roas, roas_low, roas_high, tested (bool).
    goal : float
        Least return per cost.
    """
    figure, ax = figures.new_figure(7.2, 0.5 * len(rows) + 1.1)
    y = range(len(rows))
    colours = [ORANGE if tested else MUTED for tested in rows["tested"]]
    ax.hlines(y, rows["roas_low"], rows["roas_high"], color=colours, linewidth=2.5)
    ax.scatter(rows["roas"], y, color=colours, s=45, zorder=3)
    ax.axvline(goal, color=INK, linestyle="--", linewidth=1)
    ax.annotate(say("1:{goal:g}", goal=goal), (goal, -0.6), (4, 0), textcoords="offset points")
    ax.set_yticks(y, rows["channel"])
    ax.set_ylim(len(rows) - 0.5, -0.7)
    ax.set_xlabel(say("Added sales for each unit of money spent"))
    return figure


def days_to_order(rows: pd.DataFrame) -> Figure:
    """Draw the share of newcomers who have ordered by day, with its band; columns day, ordered, low, high."""
    figure, ax = figures.new_figure(7.2, 3.0)
    ax.fill_between(rows["day"], rows["low"], rows["high"], color=LIGHT, alpha=0.6, step="post", linewidth=0)
    ax.step(rows["day"], rows["ordered"], where="post", color=BLUE)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(xlabel=say("Days"), ylabel=say("Have ordered"), ylim=(0, None), xlim=(0, None))
    return figure


def paths(rows: pd.DataFrame) -> Figure:
    """Draw the conversions of the commonest paths as bars; columns path, conversions."""
    figure, ax = figures.new_figure(7.2, 0.45 * len(rows) + 0.9)
    sns.barplot(rows, x="conversions", y="path", color=LIGHT, ax=ax)
    ax.bar_label(ax.containers[0], fmt="{:,.0f}", padding=3)
    ax.set(xlabel=say("Orders"), ylabel="")
    return figure
