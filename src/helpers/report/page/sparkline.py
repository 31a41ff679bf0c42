"""A number over versions as a line as small as a word, with its interval as a band (Tufte 2006, Beautiful Evidence).

A value without interval is a line alone. The scale is that of the line's own lowest and highest point: it shows
direction and noise, and the text alternative states first and last value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from helpers.report.page.markup import escape
from helpers.report.page.wording import quantity
from helpers.sentences import say

WIDTH, HEIGHT, EDGE = 96, 24, 3
LONGEST = 10  # versions drawn


class Point(NamedTuple):
    """A headline in one version.

    Attributes
    ----------
    version : int
        Number of the version.
    value, low, high : float or None
        The estimate and its interval, in the unit of the finding; None where not known.
    """

    version: int
    value: float | None
    low: float | None
    high: float | None


def sparkline(points: Sequence[Point], metric: str, unit: str) -> Markup:
    """Return the drawing of a number over versions, or nothing for less than two known values.

    Parameters
    ----------
    points : sequence of Point
        Oldest first; the last :data:`LONGEST` known values are drawn.
    metric, unit : str
        What the number is, for the text alternative, which also states first and last value.
    """
    known = [point for point in points if point.value is not None and math.isfinite(point.value)][-LONGEST:]
    if len(known) < 2:
        return Markup()
    first, last = known[0], known[-1]
    text = say(
        "{metric} over {number} versions: from {first} to {last}",
        metric=metric,
        number=len(known),
        first=f"{quantity(first.value, unit)} in v{first.version}",
        last=f"{quantity(last.value, unit)} in v{last.version}",
    )
    band, line, end = _drawing(known)
    # As short as HTML allows, because an index holds hundreds: the style sheet knows the band as the first of two
    # paths and where the line ends from left to right.
    paths = "".join(f'<path d="{path}"/>' for path in (band, line) if path)
    return Markup(f'<svg role=img aria-label="{escape(text)}">{paths}<circle cy={end} /></svg>')


def _drawing(known: Sequence[Point]) -> tuple[str, str, int]:
    """Return the path of the band, the path of the line, and how far down the line ends."""
    values = [bound for point in known for bound in point[1:] if bound is not None and math.isfinite(bound)]
    low, span = min(values), (max(values) - min(values)) or 1.0
    step = (WIDTH - 2 * EDGE) / (len(known) - 1)

    def place(index: int, value: float | None) -> tuple[int, int]:
        share = 0.5 if max(values) == low else (float(value or 0) - low) / span
        return round(EDGE + index * step), round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE))

    line = [place(index, point.value) for index, point in enumerate(known)]
    within = [(i, point) for i, point in enumerate(known) if point.low is not None and point.high is not None]
    upper = [place(index, point.high) for index, point in within]
    lower = [place(index, point.low) for index, point in reversed(within)]
    return _path([*upper, *lower]) if len(within) > 1 else "", _path(line), line[-1][1]


def _path(places: Sequence[tuple[int, int]]) -> str:
    """Return a path in steps from place to place, which takes half the digits of absolute places."""
    x, y = places[0]
    text = f"M{x} {y}l"
    steps = [f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(places)]
    return text + " ".join(steps).replace(" -", "-")
