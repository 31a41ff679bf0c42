"""How a change is written: with its sign, in its unit, shares in points."""

from __future__ import annotations

import re

from helpers.report.page.wording import quantity
from helpers.sentences import say


def amount(value: float, unit: str) -> str:
    """Return a change in its unit with its sign: ``+4.6 points`` for a share, ``+812 rows``, ``−CNY 12``."""
    if unit == "share":
        return say("{number} points", number=_points(value))
    text = quantity(abs(value), unit)
    return _sign(value) + (text[:-1] if re.fullmatch(r"1 [a-z]+s", text) else text)  # one row is no rows


def amounts(low: float, high: float, unit: str) -> str:
    """Return the interval of a change: ``+1.5 to +7.7``, with the unit where it is written in front."""
    if unit == "share":
        return say("{low} to {high}", low=_points(low), high=_points(high))
    shown = unit if len(unit) == 3 and unit.isupper() else ""
    return say("{low} to {high}", low=amount(low, shown), high=amount(high, shown))


def _points(share: float) -> str:
    size = abs(100 * share)
    return _sign(share) + (f"{size:.1f}" if size >= 0.1 or not size else f"{size:.2g}")


def _sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else "±"
