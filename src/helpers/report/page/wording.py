"""How the pages name a state, a verdict, a number and a list: the words that more than one of them says.

What a page says of itself stands where it is shown, in its template or beside the code that decides it, and passes
through :func:`helpers.sentences.say`, so a second language is a catalogue and no template changes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from helpers import sentences
from helpers.sentences import say

FAILURES = {
    "bad_data": "The data break the contract. Mend the tables and run again.",
    "bad_parameters": "A parameter is wrong, so nothing was computed. Correct it and run again.",
    "missing_secret": "A secret that this run needs is not set. Set it and run again.",
    "missing_table": (
        "A table that this report needs is not there. This is no failure: add the table and run again."
    ),
    "too_few_members": "The report would be about too few members. This is no failure: report on more of them.",
    "nothing_counts": "Nothing on record counts as activity. This is no failure: say what counts, or add a table.",
    "error": "The run stopped with a message. Do what it says and run again.",
    "no_page": "The notebook ran, but its page could not be built. Its tables and findings lie beside this page.",
    "exception": "An unexpected error stopped the run. Show this page to the analyst who keeps the notebook.",
    "timed_out": (
        "The run timed out: it took longer than it was allowed. Allow it more, or report on a segment."
    ),
    "kernel_died": "The process that ran the notebook died in the middle of a cell. Run it again.",
    "system_exit": "The notebook ended its own process. Show this page to the analyst who keeps the notebook.",
    "out_of_memory": "The process ran out of memory. Report on a segment, or run it on a larger machine.",
}
"""What each kind of failure means, and what to do about it."""


class Mark(NamedTuple):
    """A state as word and symbol; colour only repeats it.

    Attributes
    ----------
    word, symbol : str
        What is read and what is seen.
    tone : str
        Class name for the style sheet.
    """

    word: str
    symbol: str
    tone: str


_MARKS = {
    "succeeded": Mark("complete", "✓", "good"),  # the run; a test that is told of may have failed
    "failed": Mark("failed", "✕", "bad"),
    "timed_out": Mark("timed out", "✕", "bad"),
    "kernel_died": Mark("process died", "✕", "bad"),
    "not_run": Mark("not run", "○", "quiet"),
    "better": Mark("better", "▲", "good"),
    "worse": Mark("worse", "▼", "bad"),
    "no clear change": Mark("no clear change", "=", "quiet"),
    "too little data": Mark("too little data", "?", "warn"),
    "provisional": Mark("provisional", "~", "warn"),
    "stated": Mark("measured", "•", "quiet"),  # a level without a judgement
    "do": Mark("do", "▶", "good"),
    "test": Mark("test", "◐", "link"),
    "leave": Mark("leave", "■", "quiet"),
}


def state_mark(state: str) -> Mark:
    """Return how the status of a run, the verdict of a finding or the call of a decision is shown."""
    return _MARKS[state]._replace(word=say(_MARKS[state].word))


def joined(parts: Sequence[str]) -> str:
    """Return parts as a list in a sentence: ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return say("{first} and {last}", first=", ".join(parts[:-1]), last=parts[-1])


def titled(text: str) -> str:
    """Return a name as it stands by itself: ``'joiners active' -> 'Joiners active'``; Chinese has no capitals."""
    return text if sentences.in_chinese() else text[:1].upper() + text[1:]


def gap() -> str:
    """Return what stands between two sentences: Chinese leaves no space."""
    return "" if sentences.in_chinese() else " "


def rows(number: int) -> str:
    """Return a number of rows: ``1 row``, ``1,204 rows``."""
    return say("1 row") if number == 1 else say("{number:,} rows", number=number)


def quantity(value: float | None, unit: str) -> str:
    """Return a value in its unit; ``'too little data'`` when it is not known."""
    if value is None or not math.isfinite(value):
        return say("too little data")
    return sentences.quantity(value, unit)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Return an interval as words, ``'low to high'``, after a value in full: a unit behind is not said again."""
    if low is None or high is None or low == high:  # not known, or set and not estimated
        return ""
    repeats = unit == "share" or (len(unit) == 3 and unit.isupper())
    return sentences.interval(low, high, unit if repeats else "")


def level(confidence: float) -> str:
    """Return a confidence level: ``0.95 -> '95 %'``."""
    return say("{percent:g} %", percent=100 * confidence)


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
