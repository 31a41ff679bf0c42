"""The one door through which sentences reach a reader.

A sentence is a template in plain English with named fields. :func:`say` looks the template up in the
catalogue of the chosen language and falls back to the template itself, as gettext does, so a second language
is a catalogue and no method changes. The formatting helpers keep digits, signs and units uniform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_catalogue: Mapping[str, str] = {}
# Shares that have a name when they are said aloud.
SPOKEN = {1 / 4: "a quarter", 1 / 3: "a third", 1 / 2: "half", 2 / 3: "two thirds", 3 / 4: "three quarters"}


def use_language(language: str, translations: Mapping[str, str] | None = None) -> None:
    """Choose the language of all later sentences, with its catalogue: English template to translated template."""
    global _catalogue
    if language != "en" and translations is None:
        raise ValueError(f"language == {language!r}, must come with its catalogue.")
    _catalogue = dict(translations or {})


def say(template: str, /, **values: Any) -> str:
    """Return the sentence for a template, in the chosen language, with its fields filled in."""
    return _catalogue.get(template, template).format(**values)


def shortened(text: str, most: int) -> str:
    """Return a text that may be too long to be read, cut to its first `most` characters with a note."""
    rest = len(text) - most
    return say("{text}… ({rest:,} more characters)", text=text[:most], rest=rest) if rest > 0 else text


def percent(share: float, digits: int = 1) -> str:
    """Return a share as per cent: ``0.537 -> '53.7 %'``; two digits below one; ``'–'`` when not known."""
    if not math.isfinite(share):
        return "–"
    small = 0 < abs(share) < 0.01 and digits > 0
    return f"{_signed(f'{100 * share:.2g}' if small else f'{100 * share:.{digits}f}')} %"


def roughly(share: float) -> str:
    """Return a share as one says it aloud: ``0.47 -> 'half'``, ``0.068 -> '7 %'``."""
    near = min(SPOKEN, key=lambda part: abs(part - share))
    if abs(near - share) <= 0.03:
        return say(SPOKEN[near])
    return percent(share, 0 if 0.01 <= share <= 0.99 else 1)


def number(value: float, digits: int | None = None) -> str:
    """Return a number with thousands separators and as many digits as help: about three significant."""
    if not math.isfinite(value):
        return "–"
    if digits is None:
        magnitude = abs(value)
        digits = 0 if magnitude >= 100 or float(value).is_integer() else 1 if magnitude >= 10 else 2
    return _signed(f"{value:,.{digits}f}")


def _signed(text: str) -> str:
    """Write a minus as a minus and not as a hyphen, and nothing below nothing."""
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")


def money(value: float, currency: str) -> str:
    """Return an amount of money with its currency: ``'CNY 1,234'``."""
    return f"{currency} {number(value)}" if math.isfinite(value) else "–"


def quantity(value: float, unit: str) -> str:
    """Return a value in its unit: shares as per cent, currencies in front, other units behind."""
    if unit == "share":
        return percent(value)
    if len(unit) == 3 and unit.isupper():
        return money(value, unit)
    if unit in {"ratio", "index", ""}:
        return number(value)
    return f"{number(value)} {unit}" if math.isfinite(value) else "–"


def people(n: int, k_min: int) -> str:
    """Return a number of members in words: ``"1,204"``, or ``"fewer than 10"`` when it is told of too few."""
    return say("fewer than {k}", k=k_min) if 0 < n < k_min else f"{n:,}"


def part_of(n: int, whole: int, k_min: int) -> str:
    """Return how many of a whole: neither these nor the others are told of when they are too few."""
    return say("all but fewer than {k}", k=k_min) if 0 < whole - n < k_min <= n else people(n, k_min)


def interval(low: float, high: float, unit: str) -> str:
    """Return an interval in words: ``'51.0 % to 56.3 %'``; ``'too little data'`` when it is not known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return say("too little data")
    return say("{low} to {high}", low=quantity(low, unit), high=quantity(high, unit))


def with_bounds(estimate: Any) -> str:
    """Return ``'53.7 % (51.0 % to 56.3 %)'``, where how many it is of is told beside it."""
    value, low, high, unit = estimate.value, estimate.low, estimate.high, estimate.unit
    return say("{value} ({bounds})", value=quantity(value, unit), bounds=interval(low, high, unit))


def with_interval(estimate: Any) -> str:
    """Return ``'53.7 % (51.0 % to 56.3 %, n = 1,411)'`` for any record with value, low, high, n and unit."""
    if not math.isfinite(estimate.value):
        return say("too little data (n = {n:,})", n=estimate.n)
    value = quantity(estimate.value, estimate.unit)
    bounds = interval(estimate.low, estimate.high, estimate.unit)
    return say("{value} ({interval}, n = {n:,})", value=value, interval=bounds, n=estimate.n)
