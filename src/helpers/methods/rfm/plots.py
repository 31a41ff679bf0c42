"""Drawings of the RFM notebook: frames and texts in, a figure out; what they say stands in the results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from helpers import figures
from helpers.figures import BLUE, GRID, INK, MUTED, ORANGE, SEQUENTIAL
from helpers.sentences import number, percent, say


def bars(names: Sequence[str], shares: Sequence[float], texts: Sequence[str], below: Sequence[str]) -> Figure:
    """Draw a bar a row, the first on top, with a text behind it and one below it."""
    figure, ax = figures.new_figure(6.4, 0.85 * len(names) + 0.2)
    shades = list(SEQUENTIAL(np.linspace(0.95, 0.4, len(names))))
    sns.barplot(x=shares, y=names, hue=names, palette=shades, saturation=1, width=0.5, legend=False, ax=ax)
    widest = max(shares) or 1.0
    for level, (share, text, more) in enumerate(zip(shares, texts, below, strict=True)):
        ax.text(share + 0.02 * widest, level, text, va="center", color=INK)
        ax.text(0, level + 0.43, more, va="center", color=MUTED, fontsize=10)
    ax.set(xlim=(0, 1.35 * widest), xticks=[], xlabel="", ylabel="")
    ax.tick_params(length=0, labelsize=11, labelcolor=INK)
    sns.despine(ax=ax, left=True, bottom=True)
    return figure


def heat(
    grid: pd.DataFrame, texts: pd.DataFrame, size: tuple[float, float], across: str, down: str
) -> Figure:
    """Draw a grid of cells in one hue from 0 up, each with its text; – where there is no number.

    `across` and `down` say what columns and rows are.
    """
    figure, ax = figures.new_figure(*size)
    highest = grid.max().max() if grid.max().max() > 0 else 1.0
    sns.heatmap(
        grid, annot=texts, fmt="", cmap=SEQUENTIAL, vmin=0, vmax=highest, cbar=False, xticklabels=False,
        yticklabels=False, ax=ax,
    )  # fmt: skip
    # Seaborn turns to white on cells that are too light to read it from.
    known = grid.notna().to_numpy()
    for text, value in zip(ax.texts, grid.to_numpy()[known], strict=True):
        text.set_color("white" if value > 0.55 * highest else INK)
    for row, column in np.argwhere(~known):
        ax.text(column + 0.5, row + 0.5, "–", ha="center", va="center", color=INK)
    # Named afterwards: seaborn would measure glyphs that only the reader's fonts have.
    ax.set_xticks(np.arange(grid.shape[1]) + 0.5, grid.columns)
    ax.set_yticks(np.arange(len(grid)) + 0.5, grid.index)
    ax.tick_params(length=0)
    ax.set(xlabel=across, ylabel=down)
    return figure


def lorenz(curve: pd.DataFrame, top: float, share: float, activity: bool) -> Figure:
    """Draw a Lorenz curve of value or activity, with the share that the `top` part of the members hold marked."""
    figure, ax = figures.new_figure(5.6, 4.6)
    x, y, edge = curve["members_share"], curve["value_share"], 1 - top
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.fill_between(x, y, x, color=GRID, alpha=0.5)
    sns.lineplot(x=x, y=y, color=BLUE, linewidth=2.2, errorbar=None, ax=ax)
    ax.vlines(edge, 0, 1 - share, color=ORANGE, linewidth=1.2, linestyle=":")
    ax.plot(edge, 1 - share, "o", color=ORANGE)
    text = say("top {top} hold {share}", top=percent(top, 0), share=percent(share))
    ax.text(edge - 0.03, 1.04 - share, text, ha="right", color=INK)
    ax.text(0.42, 0.47, say("equal shares"), rotation=38, color=MUTED, ha="center")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: percent(value, 0))
    ax.set(xlim=(0, 1), ylim=(min(0.0, float(y.min())), 1.02))
    names = ("Members, least valuable first", "Cumulative share of value")
    if activity:
        names = ("Members, least active first", "Cumulative share of activity")
    ax.set(xlabel=say(names[0]), ylabel=say(names[1]))
    return figure


def intervals(names: Sequence[str], rows: pd.DataFrame, label: str, reference: float | None = None) -> Figure:
    """Draw value, low and high of each row as a point with its interval, the last row on top, beside a line."""
    figure, ax = figures.new_figure(7.2, 0.6 * len(rows) + 1.0)
    value, low, high = (rows[name].to_numpy(float) for name in ("value", "low", "high"))
    if reference is not None:
        ax.axvline(reference, color=MUTED, linewidth=1, linestyle="--")
    places = range(len(rows))
    ax.hlines(places, low, high, color=BLUE, linewidth=2.2)
    ax.plot(value, places, "o", color=BLUE, markersize=7)
    for place, point in zip(places, value, strict=True):
        ax.annotate(number(point), (point, place), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set_yticks(places, names)
    ax.set(ylim=(-0.6, len(rows) - 0.3), xlabel=label)
    return figure
