"""Axes that several pictures of this method share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter

from helpers.figures import MUTED

RATIO_MARKS = (0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SHARES = dict.fromkeys(("share", "survival", "low", "high", "came_back"), "share")
"""Units of the columns behind a picture of shares."""


def share_axis(ax: Axes, top: float, label: str) -> None:
    """Count the upright axis in per cent from 0."""
    ax.set_ylim(0, min(1.02, top))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylabel(label)
    ax.grid(axis="y")


def name_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its end, pushed apart so that names do not overlap."""
    last = -1.0
    for value, day, name, colour in sorted(ends):
        last = max(value, last + 0.055)
        place = (day * 1.015, last)
        ax.annotate(name, (day, value), place, color=colour, va="center", annotation_clip=False)


def rows_axis(ax: Axes, names: list[str], nothing: float) -> None:
    """Name the rows from below, and mark the value that says no difference."""
    ax.axvline(nothing, color=MUTED, linewidth=1, linestyle="--")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.7, len(names) - 0.3)


def ratio_axis(ax: Axes, low: float, high: float) -> None:
    """Scale an axis of ratios so that half and double lie equally far from one."""
    left, right = max(low / 1.1, 0.05), min(high * 1.1, 20.0)
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.set_xticks([mark for mark in RATIO_MARKS if left <= mark <= right])
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
