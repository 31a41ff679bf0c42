"""What "active on day N" means: the definitions of retention, each as one window of days after day 0.

Day 0 is the day a member joined (or was first active, or any active day when starts recur). A window ``[a, b]``
holds the days a to b after it, both included; with 24-hour days it is the half-open span of hours
``[24 a, 24 (b + 1))`` after the exact instant, so that day 1 runs from hour 24 to hour 48.

=============  ====================  ==============================================================================
definition     window                also called
=============  ====================  ==============================================================================
on             [N, N]                N-day, classic, bounded (PostHog "on", Mixpanel "on", Adobe "exactly")
on_or_after    [N, as_of] or         unbounded (Amplitude, PostHog and Mixpanel "on or after"); "rolling" in
               [N, follow-up]        some tools
rolling        [1, N]                active at least once within the N days up to and including day N
bracket        [a, b], stated        bracket, custom bracket (Amplitude, Mixpanel)
=============  ====================  ==============================================================================

Sources: amplitude.com/docs, "How time works in retention analysis" (24-hour windows: day 1 is hour 24 to 48, and
strict calendar dates); posthog.com/docs/product-analytics/retention ("on" and "on or after", first time and
recurring); docs.mixpanel.com/reference/retention-query (birth and compounded); Adobe guided analysis, retention
("on or after, often called unbounded", "exactly, often called bounded").

Beware of "rolling retention": some tools mean on or after day N by it. Here it is the window [1, N], and every
table states its windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.errors import BadParameters
from helpers.sentences import say
from helpers.study.days import checked

DEFINITIONS = ("on", "on_or_after", "rolling", "bracket")


@dataclass(frozen=True)
class Target:
    """One column of a retention table.

    Attributes
    ----------
    label : str
        Name such as ``"D7"``, ``"D7+"``, ``"D1–D7"``.
    first, last : int
        First and last day of the window; `last` is None when it is open until `as_of`.
    """

    label: str
    first: int
    last: int | None

    @property
    def phrase(self) -> str:
        """The window in words."""
        if self.last is None:
            return say("on day {n} or later", n=self.first)
        if self.first == self.last:
            return say("on day {n}", n=self.first)
        return say("at least once on days {a} to {b}", a=self.first, b=self.last)

    @property
    def needed(self) -> int:
        """The day that has to be complete before a member counts."""
        return self.first if self.last is None else self.last


def targets(
    definition: str = "on",
    days: Sequence[int] = (1, 7, 30),
    *,
    brackets: Sequence[tuple[int, int]] | None = None,
    follow_up: int | None = None,
) -> tuple[Target, ...]:
    """Return the windows of a definition.

    Parameters
    ----------
    definition : {"on", "on_or_after", "rolling", "bracket"}
        See the table above.
    days : sequence of int
        The N asked for, at least 1 (0 is allowed for "on"); not used for "bracket".
    brackets : sequence of (int, int)
        First and last day of each bracket, both included; only for "bracket".
    follow_up : int, optional
        Last day of "on_or_after", the same for every member; default open until `as_of`.

    Raises
    ------
    BadParameters
        When a window is empty or an argument does not belong to the definition.
    """
    checked(definition, "definition", in_=DEFINITIONS)
    if (brackets is not None) != (definition == "bracket"):
        raise BadParameters(
            f'brackets == {brackets!r} with definition == {definition!r}: brackets and "bracket" go together.'
        )
    if follow_up is not None and definition != "on_or_after":
        raise BadParameters(f'follow_up == {follow_up!r}, is only for definition == "on_or_after".')
    if brackets is not None:
        return tuple(_bracket(pair) for pair in _some(brackets, "brackets"))
    least = 0 if definition == "on" else 1
    wanted = sorted({checked(day, "days", type_=int, ge=least) for day in _some(days, "days")})
    if follow_up is not None:
        checked(follow_up, "follow_up", type_=int, ge=max(wanted))
    if definition == "on":
        return tuple(Target(f"D{n}", n, n) for n in wanted)
    if definition == "rolling":
        return tuple(Target(f"D1–D{n}", 1, n) for n in wanted)
    return tuple(Target(f"D{n}+", n, follow_up) for n in wanted)


def _some(values: Sequence, name: str) -> list:
    found = list(values)
    if not found:
        raise BadParameters(f"{name} == {values!r}, must not be empty.")
    return found


def _bracket(pair: tuple[int, int]) -> Target:
    if len(tuple(pair)) != 2:
        raise BadParameters(f"brackets holds {pair!r}, must be pairs of first and last day.")
    first = checked(pair[0], "first day of a bracket", type_=int, ge=0)
    last = checked(pair[1], "last day of a bracket", type_=int, ge=first)
    return Target(f"D{first}" if first == last else f"D{first}–D{last}", first, last)
