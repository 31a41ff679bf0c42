"""The pictures of two versions redrawn from their numbers, both versions on one scale.

Nothing is known of a picture but its frame: the first columns name the rows, numeric columns are measures, ``low``
and ``high`` their interval. Where the last naming column is ordered (days, months, ages, a grid) the versions are
drawn as lines, else as one row with two marks each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from helpers.figures import Chart
from helpers.report.diff import drawing, frames
from helpers.report.diff.frames import Cell, Measure, Pair
from helpers.report.diff.words import amount, word
from helpers.report.page.wording import joined

PANELS = 3


class Redrawn(NamedTuple):
    """A picture with both versions in it.

    Attributes
    ----------
    name : str
        The name under which it was recorded.
    chart : Chart
        The picture, with its data.
    size : float
        Its largest change in units of the column's usual size, to rank it by.
    """

    name: str
    chart: Chart
    size: float


class Pictures(NamedTuple):
    """All pictures: redrawn (largest change first), unchanged, on one side only, and why some are not redrawn."""

    redrawn: list[Redrawn]
    same: list[str]
    only_before: list[str]
    only_after: list[str]
    skipped: list[tuple[str, str]]


def pictures(before: Path, after: Path, versions: tuple[str, str], redefined: Sequence[str] = ()) -> Pictures:
    """Redraw the pictures of two version folders.

    Parameters
    ----------
    before, after : Path
        Folders of the versions.
    versions : tuple of str
        What they are called.
    redefined : sequence of str
        What changed so that rows of one name may mean other things on the two sides, such as ``"parameters"``.
        Then no row is said to rise or fall.
    """
    old, new = before / "figures", after / "figures"
    known = frames.matched(old, new)
    redrawn, same, skipped = [], [], []
    for name in known.both:
        try:
            found = redraw(frames.read(name, old, new), versions, redefined)
        except frames.Unmatched as reason:
            skipped.append((name, word(str(reason))))
            continue
        if found:
            redrawn.append(found)
        else:
            same.append(name)
    redrawn.sort(key=lambda one: -one.size)
    return Pictures(redrawn, same, known.only_before, known.only_after, skipped)


def redraw(pair: Pair, versions: tuple[str, str], redefined: Sequence[str] = ()) -> Redrawn | None:
    """Draw one frame with both versions in it; None when its numbers are the same.

    Parameters
    ----------
    pair : Pair
        The frame on both sides.
    versions, redefined : tuple of str, sequence of str
        As for :func:`pictures`.

    Raises
    ------
    Unmatched
        When the frame has no number that both versions have.
    """
    found = frames.measures(pair)
    if not found:
        raise frames.Unmatched("no_numbers")
    moved = frames.cells(pair, [measure.name for measure in found])
    one_sided = len(pair.before.index.symmetric_difference(pair.after.index))
    if not moved and not one_sided:
        return None
    drawn, left = _ranked(found, moved)
    axis = drawing.ordered(pair)
    figure, rows, notes = (
        drawing.lines(pair, drawn, moved, axis, versions)
        if axis is not None
        else drawing.marks(pair, drawn, moved, versions)
    )
    notes = [word("other_meaning", causes=joined(list(redefined)))] * bool(redefined) + notes
    notes += [word("measures_left", names=", ".join(map(frames.heading, left)))] if left else []
    notes += _one_sided(pair, versions)
    title = (
        _largest(pair, moved[0], neutral=bool(redefined))
        if moved
        else word("rows_alone", name=frames.heading(pair.name))
    )
    alt = _alternative(pair, versions, len(moved), len(found), title)
    chart = Chart(title, alt, _data(pair, drawn, rows, versions), figure, " ".join(notes))
    return Redrawn(pair.name, chart, moved[0].size if moved else 0.0)


def _ranked(found: list[Measure], moved: list[Cell]) -> tuple[list[Measure], list[str]]:
    """Return the measures that are drawn, the largest change first, and the names of those left out."""
    places = {cell.column: place for place, cell in reversed(list(enumerate(moved)))}
    ranked = sorted(found, key=lambda one: places.get(one.name, len(moved)))
    return ranked[:PANELS], [measure.name for measure in ranked[PANELS:]]


def _alternative(pair: Pair, versions: tuple[str, str], moved: int, measures: int, title: str) -> str:
    return word(
        "redrawn_alt",
        name=frames.heading(pair.name).capitalize(),
        before=versions[0],
        after=versions[1],
        moved=moved,
        all=len(pair.after.index.intersection(pair.before.index)) * measures,
        largest=title,
    )


def _largest(pair: Pair, cell: Cell, *, neutral: bool) -> str:
    if np.isfinite(cell.after - cell.before):
        key = "cell_side_by_side" if neutral else "cell_rose" if cell.after > cell.before else "cell_fell"
    else:
        key = "cell_known" if np.isfinite(cell.after) else "cell_unknown"
    return word(
        key,
        measure=frames.heading(cell.column),
        row=frames.row_name(cell.row, pair.keys),
        before=frames.value_text(cell.before, cell.column),
        after=frames.value_text(cell.after, cell.column),
    )


def _one_sided(pair: Pair, versions: tuple[str, str]) -> list[str]:
    gone, came = (
        pair.before.index.difference(pair.after.index),
        pair.after.index.difference(pair.before.index),
    )
    pairs = ((len(gone), versions[0]), (len(came), versions[1]))
    return [
        word("only_row" if number == 1 else "only_rows", number=number, version=version)
        for number, version in pairs
        if number
    ]


def _data(
    pair: Pair, drawn: Sequence[Measure], rows: Sequence[Hashable], versions: tuple[str, str]
) -> pd.DataFrame:
    """Return the numbers drawn, one line for each row and measure, as text because their units differ."""
    records = []
    for row in rows:
        for measure in drawn:
            old, new = (
                float(cast(Any, side.at[row, measure.name])) if row in side.index else np.nan
                for side in pair[1:3]
            )
            unit = "share" if frames.is_share(measure.name) else ""
            texts = [frames.value_text(value, measure.name) for value in (old, new)]
            change = amount(new - old, unit) if np.isfinite(new - old) else "–"
            records.append((frames.row_name(row, pair.keys), frames.heading(measure.name), *texts, change))
    heads = [" · ".join(map(frames.heading, pair.keys)), word("measure"), *versions, word("change")]
    return pd.DataFrame(records, columns=heads)
