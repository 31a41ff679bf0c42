"""SHIP, STOP, KEEP RUNNING or DO NOT TRUST: rules in one order, of which the first that holds decides.

1. DO NOT TRUST: a check that must hold before any effect is shown has failed.
2. STOP for harm: the primary metric, or a guardrail, is worse with its whole interval, and not by an amount that the
   plan accepts. Harm may stop a test before its minimum run time.
3. SHIP: the primary metric is better with its whole interval, every guardrail is safe, and the test has run for its
   minimum time.
4. STOP, no worthwhile effect: the whole interval lies below the smallest effect worth having, which is precise
   enough; or the planned end is reached, after which a test does not go on.
5. KEEP RUNNING.

A guardrail is safe when its whole interval lies above the loss that the plan accepts (one-sided non-inferiority).
All guardrails must be safe, so their level is not split (intersection-union test, Berger 1982): a variant that harms
one of them beyond its margin is shipped with a probability of at most half of alpha, which is one tail of the
interval. The intervals hold at every look, so the rules may be asked at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from helpers.methods.ab_test.plan import texts_of

State = Literal["safe", "harmed", "cannot tell yet"]
# By the reason the rules in the order in which they are asked, with what they decide and how that is said.
RULES = texts_of("decisions.yml")


class Gain(NamedTuple):
    """What a variant does to a metric, turned so that up is good; the interval holds at every look.

    Attributes
    ----------
    metric : str
        Its name.
    value, low, high : float
        Change against control, all in one unit: relative to control, or that of the metric.
    margin : float, optional
        Loss that is still acceptable, in the same unit; None for a metric that is no guardrail.
    """

    metric: str
    value: float
    low: float
    high: float
    margin: float | None = None

    @property
    def state(self) -> State:
        """What is known of it as a guardrail: what is unknown is never safe."""
        if self.low > -(self.margin or 0.0):
            return "safe"
        return "harmed" if self.high < 0 else "cannot tell yet"


class Seen(NamedTuple):
    """What a decision about one variant rests on; kept beside it, so that it can be made again.

    Attributes
    ----------
    refused : bool
        Whether a check that must hold has failed.
    primary : Gain
        The metric that the plan decides by.
    guardrails : tuple of Gain
        What must not be lost.
    smallest_effect : float
        Smallest gain worth having, in the unit of the primary metric.
    days, minimum_days : int
        Days since the start of the test, and how many it runs at least.
    ended : bool
        Whether the last planned look is taken.
    """

    refused: bool
    primary: Gain
    guardrails: tuple[Gain, ...] = ()
    smallest_effect: float = 0.0
    days: int = 0
    minimum_days: int = 0
    ended: bool = False

    @property
    def rules(self) -> dict[str, bool]:
        """Which of the rules hold, in the order in which they are asked."""
        harmed = self.primary.high < 0 or any(each.state == "harmed" for each in self.guardrails)
        safe = all(each.state == "safe" for each in self.guardrails)
        return {
            "untrusted": self.refused,
            "harm": harmed,
            "ship": self.primary.low > 0 and safe and self.days >= self.minimum_days,
            "not worthwhile": self.primary.high < self.smallest_effect,
            "end reached": self.ended,
            "running": True,
        }


def decide(seen: Seen) -> str:
    """Return the first rule that holds; `RULES` say what it decides."""
    return next(reason for reason, holds in seen.rules.items() if holds)


def overall(reasons: Sequence[str], gains: Sequence[float]) -> int:
    """Return which of several variants the test goes by: the best one to ship, else one still open, else the best."""
    order = ("untrusted", "ship", "running", "end reached", "not worthwhile", "harm")
    return min(range(len(reasons)), key=lambda place: (order.index(reasons[place]), -gains[place]))
