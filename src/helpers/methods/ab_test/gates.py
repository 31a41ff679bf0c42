"""What must hold before an effect is shown: each gate has a code, says what it found and how to mend it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from helpers.methods.ab_test.plan import Plan
from helpers.study import Study


class Gate(NamedTuple):
    """One check.

    Attributes
    ----------
    code : str
        Such as ``split``.
    passed : bool
        Whether it holds.
    severity : {"refuse", "warn"}
        Whether no effect may be shown when it does not, or the effect is only provisional.
    value : float
        What was measured.
    sentence, remedy : str
        What was found, and what to do about it (empty when it holds).
    """

    code: str
    passed: bool
    severity: Literal["refuse", "warn"]
    value: float
    sentence: str
    remedy: str


def gates(study: Study, plan: Plan) -> tuple[Gate, ...]:
    """Return every gate in the order of reading."""
    raise NotImplementedError
