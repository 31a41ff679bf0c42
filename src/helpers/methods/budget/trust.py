"""Trust: a placebo line, refits with something changed, residuals, spend that tracks demand; then a grade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from helpers.methods.budget.engine import Fit
from helpers.methods.budget.gate import Check, Gate


@dataclass(frozen=True)
class Trust:
    """How far the answer may be trusted.

    Attributes
    ----------
    grade : {"green", "amber", "red"}
        Red refuses to allocate.
    checks : tuple of Check
        What was tried and what it said; `flag` makes amber, `refuse` red.
    """

    grade: Literal["green", "amber", "red"]
    checks: tuple[Check, ...]


def trust(fit: Fit, gate: Gate, seed: int = 0) -> Trust:
    """Return the grade of a fit."""
    raise NotImplementedError
