"""A number with its interval, drawn to scale in a line of text: span, dot, and the zero it may or may not reach.

The scale begins or ends at zero (dashed), so that the length of the span tells how sure the number is beside its
size. The words stand beside it, so it is silent to a screen reader.
"""

from __future__ import annotations

from markupsafe import Markup

WIDTH, MIDDLE, EDGE = 180, 7, 6


def strip(
    value: float | None, low: float | None, high: float | None, *, tone: str = "", was: float | None = None
) -> Markup:
    """Return the drawing of a number in its interval, or nothing when it is not known.

    Parameters
    ----------
    value, low, high : float or None
        The number and its limits.
    tone : str
        ``good`` or ``bad``, or nothing: the colour of the span.
    was : float, optional
        The number before, drawn as a ring.
    """
    if value is None or low is None or high is None:
        return Markup()
    ends = [0.0, low, high] + ([] if was is None else [was])
    first, length = min(ends), max(ends) - min(ends) or 1.0

    def at(number: float) -> str:
        return f"{EDGE + (number - first) / length * (WIDTH - 2 * EDGE):.4g}"

    ring = "" if was is None else f'<circle class="was" cx="{at(was)}" cy="{MIDDLE}" r="4"/>'
    return Markup(
        f'<svg class="strip {tone}" viewBox="0 0 {WIDTH} {2 * MIDDLE}" aria-hidden="true">'
        f'<path d="M{EDGE} {MIDDLE}H{WIDTH - EDGE}"/><path class="zero" d="M{at(0)} 0v{2 * MIDDLE}"/>'
        f'<path class="span" d="M{at(low)} {MIDDLE}H{at(high)}"/>{ring}'
        f'<circle cx="{at(value)}" cy="{MIDDLE}" r="4"/></svg>'
    )
