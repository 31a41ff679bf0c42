"""The gate: can this data answer the question? Each check has a code, and says in words what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from helpers.methods.budget.weekly import Weekly

Verdict = Literal["ok", "flag", "refuse"]


class Check(NamedTuple):
    """One check of a frame or of a fit.

    Attributes
    ----------
    code : str
        What was checked, such as ``"weeks"``; stable, for tests and translations.
    line : str
        Line it is about; empty when about all.
    value, limit : float
        What was found, and where the verdict turns.
    verdict : {"ok", "flag", "refuse"}
        Whether it may be ignored, must be said, or forbids the answer.
    sentence : str
        The same in words.
    """

    code: str
    line: str
    value: float
    limit: float
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Gate:
    """What the data can answer.

    Attributes
    ----------
    checks : tuple of Check
        All of them, also those that passed.
    answer : {"curves", "elasticity", "nothing"}
        Curves with an allocation; an elasticity of all spend only; or nothing.
    """

    checks: tuple[Check, ...]
    answer: Literal["curves", "elasticity", "nothing"]

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that forbid an answer."""
        return tuple(check for check in self.checks if check.verdict == "refuse")


def gate(weekly: Weekly) -> Gate:
    """Return whether the data can answer: weeks, variation, collinearity, weeks a parameter, prices, demand."""
    raise NotImplementedError
