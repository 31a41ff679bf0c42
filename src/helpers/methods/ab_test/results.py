"""What the notebook shows of a test: records that say, draw and tabulate what was planned, checked and read.

Every record after the checks shows nothing of an effect when one that must hold has failed, or when the test is only
planned; the one line that stands there says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from helpers.playbook.result import Result


@dataclass(frozen=True, repr=False)
class Guarded(Result):
    """A record that must not be read before the checks have passed.

    Attributes
    ----------
    reason : str
        Why nothing of it is shown; empty when it may be.
    """

    reason: str


# To come: Design, Trust, Reading, Decision, Segments, Proof; made by design, check, read, decision, segments, proof.
