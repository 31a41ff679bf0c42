"""A number over versions as a line as small as a word, with its interval as a band (Tufte 2006, Beautiful Evidence).

The scale is that of the line's own lowest and highest point: it shows direction and noise, and the text alternative
states first and last value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from helpers.playbook.finding import Finding
from helpers.report.page.markup import escape
from helpers.report.page.wording import quantity
from helpers.sentences import say

WIDTH, HEIGHT, EDGE = 96, 24, 3
LONGEST = 10  # versions drawn
TRAIL_WIDTH, TRAIL_HEIGHT = 180, 22


def sparkline(points: Sequence[tuple[int, Finding]]) -> Markup:
    """Return the drawing of a headline over versions, or nothing for less than two known values.

    Parameters
    ----------
    points : sequence of tuple of int and Finding
        Number of each version and what it says, oldest first; the last :data:`LONGEST` known values are drawn. The
        text alternative states first and last value.
    """
    known = [
        (number, one.value, one.low, one.high)
        for number, one in points
        if one.value is not None and one.low is not None and one.high is not None
    ][-LONGEST:]
    if len(known) < 2:
        return Markup()
    shown = points[-1][1]
    text = say(
        "{metric} over {number} versions: from {first} to {last}",
        metric=shown.metric,
        number=len(known),
        first=say("{value} in {version}", value=quantity(known[0][1], shown.unit), version=f"v{known[0][0]}"),
        last=say(
            "{value} in {version}", value=quantity(known[-1][1], shown.unit), version=f"v{known[-1][0]}"
        ),
    )
    lowest, highest = min(low for *_, low, _ in known), max(high for *_, high in known)
    step = (WIDTH - 2 * EDGE) / (len(known) - 1)

    def place(index: int, value: float) -> tuple[int, int]:
        share = (value - lowest) / (highest - lowest) if highest > lowest else 0.5
        return round(EDGE + index * step), round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE))

    line, lower, upper = ([place(i, one[k]) for i, one in enumerate(known)] for k in (1, 2, 3))
    # As short as HTML allows, because an index holds hundreds: the style sheet knows the band as the first of two
    # paths and where the line ends from left to right.
    paths = "".join(f'<path d="{_path(one)}"/>' for one in ([*upper, *reversed(lower)], line))
    return Markup(f'<svg role=img aria-label="{escape(text)}">{paths}<circle cy={line[-1][1]} /></svg>')


def trail(one: Finding) -> Markup:
    """Return a number by week as a line, with a tick under each week that the calendar marks; nothing without two."""
    step, base = (TRAIL_WIDTH - 2 * EDGE) / max(len(one.trail) - 1, 1), TRAIL_HEIGHT + 2 * EDGE
    weeks = [(EDGE + place * step, point.value, point) for place, point in enumerate(one.trail)]
    known = [(x, value) for x, value, _ in weeks if value is not None]
    if len(known) < 2:
        return Markup()
    lowest, highest = min(value for _, value in known), max(value for _, value in known)
    scale = TRAIL_HEIGHT / ((highest - lowest) or 1.0)
    at = [(round(x), round(EDGE + (highest - value) * scale)) for x, value in known]
    notes = [
        (round(x), say("{week}: {note}", week=point.week, note=point.note))
        for x, _, point in weeks
        if point.note
    ]
    ticks = [
        f'<path class="note" d="M{x} {base}v5"><title>{escape(note)}</title></path>' for x, note in notes
    ]
    ends = {"first": quantity(known[0][1], one.unit), "last": quantity(known[-1][1], one.unit)}
    text = say("{metric} over {n} weeks: from {first} to {last}", metric=one.metric, n=len(weeks), **ends)
    if notes:
        text = say("{text}; marked: {notes}", text=text, notes="; ".join(note for _, note in notes))
    x, y = at[-1]
    return Markup(
        f'<svg class="trail" viewBox="0 0 {TRAIL_WIDTH} {base + 5}" role="img" aria-label="{escape(text)}">'
        f'<path d="{_path(at)}"/>{"".join(ticks)}<circle cx="{x}" cy="{y}" r="3"/></svg>'
    )


def _path(places: Sequence[tuple[int, int]]) -> str:
    """Return a path in steps from place to place, which takes half the digits of absolute places."""
    x, y = places[0]
    text = f"M{x} {y}l"
    steps = [f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(places)]
    return text + " ".join(steps).replace(" -", "-")
