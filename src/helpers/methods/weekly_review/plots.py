"""The picture of a week: each number against what ordinary weeks bring."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE
from helpers.sentences import say


def moves(rows: pd.DataFrame) -> Figure:
    """Draw changes with their intervals; those that are real in colour and with a ring.

    Parameters
    ----------
    rows : pandas.DataFrame
        number, change, low, high (shares of what was to be expected), moved.
    """
    figure, ax = figures.new_figure(6.4, 0.31 * len(rows) + 1.0)
    places = range(len(rows))
    colours = [ORANGE if moved else BLUE for moved in rows["moved"]]
    ax.axvline(0, color=MUTED, linewidth=1, linestyle="--")
    ax.hlines(places, rows["low"], rows["high"], color=colours, linewidth=2)
    ax.scatter(
        rows["change"], places, color=colours, s=[70 if moved else 28 for moved in rows["moved"]], zorder=3
    )
    ax.set_yticks(list(places), rows["number"].tolist())
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Change against the ordinary weeks before; large dots moved"))
    return figure
