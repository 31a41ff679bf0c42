"""Both versions of a frame in one drawing: two marks in a row, or two lines in a panel."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from helpers import figures
from helpers.figures import BLUE, GRID, INK, MUTED, PAPER
from helpers.report.diff import frames
from helpers.report.diff.frames import Cell, Measure, Pair
from helpers.report.diff.words import word

ROWS, LINES = 12, 4
ORDERED = 6  # distinct values from which a line says more than marks
LONG_NAME = 34
_DATES = re.compile(r"\d{4}-\d\d(-\d\d)?")


def union(pair: Pair) -> list[Hashable]:
    """Return the rows of both sides in the order of the later one, then those that are gone."""
    return [*pair.after.index, *pair.before.index.difference(pair.after.index, sort=False)]


# --- marks ---------------------------------------------------------------------------------------------------------


def marks(
    pair: Pair, drawn: list[Measure], moved: list[Cell], versions: tuple[str, str]
) -> tuple[Figure, list[Hashable], list[str]]:
    """Draw a panel for each measure with one row of two marks for each row of the frame."""
    rows, notes = union(pair), []
    if len(rows) > ROWS:
        largest = list(dict.fromkeys(cell.row for cell in moved))[:ROWS]
        left = len(rows) - len(largest)
        rows = [row for row in rows if row in set(largest)] if largest else rows[:ROWS]
        notes.append(word("rows_left", shown=len(rows), left=left))
    figure, axes = figures.new_figure(
        2.6 + 2.3 * max(len(drawn), 2), 0.42 * len(rows) + 1.0, ncols=len(drawn), sharey=True, squeeze=False
    )
    for ax, measure in zip(axes[0], drawn, strict=True):
        for side, frame in enumerate((pair.before, pair.after)):
            _mark_side(ax, frame, measure, rows, side, versions[side])
        _connect(ax, pair, measure, rows)
        ax.set_xlabel(_axis_name(measure))
        ax.grid(axis="x", color=GRID)
        _percent_axis(ax.xaxis, measure)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    axes[0][0].set_yticks(
        range(len(rows)), [_short(frames.row_name(row, pair.keys)) for row in rows], color=INK
    )
    axes[0][0].set_ylim(len(rows) - 0.5, -0.5)
    _legend(figure, axes[0][0])
    notes += [word("intervals_drawn")] if drawn[0].low else []
    return figure, rows, notes


def _mark_side(
    ax: Axes, frame: pd.DataFrame, measure: Measure, rows: list[Hashable], side: int, version: str
) -> None:
    """Draw one version: hollow grey circles a little above the line, or filled blue ones a little below."""
    own = frame.reindex(pd.Index(rows, tupleize_cols=True))
    height = np.arange(len(rows)) + (0.13 if side else -0.13)
    colour = BLUE if side else MUTED
    if measure.low and measure.high:
        low, high = (own[column].to_numpy(float, na_value=np.nan) for column in (measure.low, measure.high))
        ax.hlines(height, low, high, color=colour, linewidth=1.2)
    value = own[measure.name].to_numpy(float, na_value=np.nan)
    face = BLUE if side else PAPER
    ax.plot(value, height, "o", color=colour, markerfacecolor=face, markersize=7 - side, label=version)


def _connect(ax: Axes, pair: Pair, measure: Measure, rows: list[Hashable]) -> None:
    index = pd.Index(rows, tupleize_cols=True)
    old, new = (side.reindex(index)[measure.name].to_numpy(float, na_value=np.nan) for side in pair[1:3])
    height = np.arange(len(rows))
    for y, start, end in zip(height, old, new, strict=True):
        if np.isfinite(start) and np.isfinite(end):
            ax.plot([start, end], [y - 0.13, y + 0.13], color=MUTED, linewidth=0.8, zorder=1)


# --- lines ---------------------------------------------------------------------------------------------------------


def ordered(pair: Pair) -> pd.Series | None:
    """Return the position of every row of both sides on the last key, when that is a number or a day."""
    rows = union(pair)
    last = pd.Series([row[-1] if isinstance(row, tuple) else row for row in rows])
    if last.nunique() < ORDERED:
        return None
    if pd.api.types.is_numeric_dtype(last) or pd.api.types.is_datetime64_any_dtype(last):
        return last
    texts = last.map(str)
    if not texts.map(lambda text: bool(_DATES.fullmatch(text))).all():
        return None
    return pd.to_datetime(texts, format="ISO8601")


def lines(
    pair: Pair, drawn: list[Measure], moved: list[Cell], axis: pd.Series, versions: tuple[str, str]
) -> tuple[Figure, list[Hashable], list[str]]:
    """Draw a panel for each group, or for each measure where there is one group, with a line a version."""
    position = dict(zip(union(pair), axis, strict=True))
    groups = list(dict.fromkeys(_group(row) for row in position))
    notes = []
    if len(groups) > LINES:
        kept = list(dict.fromkeys([*(_group(cell.row) for cell in moved), *groups]))[:LINES]
        notes.append(word("groups_left", shown=LINES, left=len(groups) - LINES))
        groups = [group for group in groups if group in kept]
    several = len(groups) > 1
    panels = [(group, drawn[0]) for group in groups] if several else [(groups[0], one) for one in drawn]
    if several and len(drawn) > 1:
        notes.append(word("measures_left", names=", ".join(frames.heading(one.name) for one in drawn[1:])))
    figure, axes = _panels(len(panels), one_scale=several)
    for ax, (group, measure) in zip(axes, panels, strict=True):
        own = {row: place for row, place in position.items() if _group(row) == group}
        for side, frame in enumerate((pair.before, pair.after)):
            _line_side(ax, frame, measure, own, side, versions[side])
        ax.set_title(_short(frames.row_name(group, pair.keys)) if group else "", fontsize=11, loc="left")
        ax.set_ylabel(_axis_name(measure))
        ax.set_xlabel(frames.heading(pair.keys[-1]))
        ax.grid(axis="y", color=GRID)
        _percent_axis(ax.yaxis, measure)
        if pd.api.types.is_datetime64_any_dtype(axis):
            days = AutoDateLocator(maxticks=5)
            ax.xaxis.set_major_locator(days)
            ax.xaxis.set_major_formatter(ConciseDateFormatter(days))
    _legend(figure, axes[0])
    notes += [word("bands_drawn")] if drawn[0].low else []
    return figure, [row for row in position if _group(row) in set(groups)], notes


def _panels(count: int, *, one_scale: bool) -> tuple[Figure, list[Axes]]:
    """Return panels in two columns; those of one quantity share their scale."""
    columns = min(count, 2)
    rows = -(-count // columns)
    figure, grid = figures.new_figure(
        7.6, 2.6 * rows + 0.5, nrows=rows, ncols=columns, sharey=one_scale, squeeze=False
    )
    axes: list[Axes] = list(grid.flat)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes[:count]


def _group(row: Hashable) -> tuple[Any, ...]:
    return row[:-1] if isinstance(row, tuple) else ()


def _line_side(
    ax: Axes, frame: pd.DataFrame, measure: Measure, position: dict[Hashable, Any], side: int, version: str
) -> None:
    """Draw one version: dashed grey, or solid blue."""
    own = sorted((row for row in position if row in frame.index), key=lambda row: position[row])
    if not own:
        return
    here = frame.loc[pd.Index(own, tupleize_cols=True)]
    x = [position[row] for row in own]
    colour = BLUE if side else MUTED
    if measure.low and measure.high:
        low, high = (here[column].to_numpy(float, na_value=np.nan) for column in (measure.low, measure.high))
        ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    value = here[measure.name].to_numpy(float, na_value=np.nan)
    ax.plot(x, value, color=colour, linestyle="-" if side else "--", linewidth=1.8, label=version)


# --- shared --------------------------------------------------------------------------------------------------------


def _axis_name(measure: Measure) -> str:
    return frames.heading(measure.name)


def _percent_axis(axis: Any, measure: Measure) -> None:
    if frames.is_share(measure.name):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _short(text: str) -> str:
    return text if len(text) <= LONG_NAME else f"{text[: LONG_NAME - 1].rstrip()}…"


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False)
