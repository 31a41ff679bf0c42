"""Trust: a placebo line, refits with something changed, residuals, spend that tracks demand; then a grade.

A fit can be wrong in silence: it converges, it fits, and the split between lines is not true. So the questions are
put from outside: does a line that cannot work seem to work? Does the answer hold with another season, and in half of
the weeks? Is something left in the residuals? Has the effect ended within the weeks that a curve can reach? What the
gate flagged counts too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.stattools import durbin_watson

from helpers.methods.budget.engine import Fit, fit
from helpers.methods.budget.gate import Check, Gate, judged
from helpers.methods.budget.weekly import Weekly
from helpers.sentences import percent, say

Grade = Literal["green", "amber", "red"]
RHAT, EFFECTIVE = (1.05, 1.3), 100.0
# Durbin-Watson: about 2 without memory; below the first a flag, below the second no allocation.
WATSON = (1.4, 0.9)
# Excess kurtosis of what is left: a few weeks that no line and no calendar explain.
TAILS = 5.0
# Chance that a line which cannot work brings more than a real one: flag, refusal.
PLACEBO = (0.25, 0.6)
# By how many standard deviations a line's contribution may move in a refit: flag, refusal.
MOVES = {"no_season": (3.0, 6.0), "wide_season": (1.5, 4.0), "half": (2.5, 6.0)}
SAID = {
    "no_season": "Without a season in the model, {line} moves by {value} standard deviations.",
    "wide_season": "With a freer season in the model, {line} moves by {value} standard deviations.",
    "half": "In the later half of the weeks alone, {line} moves by {value} standard deviations.",
}
# Share of a line's effect that arrives after the sixth week: then the kernel's reach decides the answer.
LATE = 0.35
LATE_WEEK = 6
# Share of weeks with a baseline below nothing.
BELOW_NOTHING = (0.0, 0.1)
# Waves of the freer season; weeks of a year, two of which can be halved.
WIDE, YEAR = 5, 52
# Flags of the gate that lower the grade.
COUNTED = ("weeks", "parameters", "inflation", "price", "spike", "season", "demand", "zero_weeks")
# As many flags together are a refusal.
MOST_FLAGS = 6


@dataclass(frozen=True)
class Trust:
    """How far the answer may be trusted.

    Attributes
    ----------
    grade : {"green", "amber", "red"}
        Red refuses to allocate.
    checks : tuple of Check
        What was tried and what it said; `flag` makes amber, `refuse` red. Flags of the gate are among them.
    """

    grade: Grade
    checks: tuple[Check, ...]

    @property
    def refusal(self) -> str:
        """Why nothing is allocated, in words; empty when the grade is not red."""
        if self.grade != "red":
            return ""
        worst = [each for each in self.checks if each.verdict == "refuse"] or self.checks
        said = " ".join(each.sentence for each in worst if each.verdict != "ok")
        return say("No plan is proposed. {reasons}", reasons=said)


def trust(found: Fit, gate: Gate, seed: int = 0) -> Trust:
    """Return the grade of a fit."""
    flags = tuple(each for each in gate.checks if each.verdict == "flag" and each.code in COUNTED)
    checks = (*gate.refusals, *flags, *_sampling(found), *_left_over(found), *_refits(found, seed))
    refused = any(each.verdict == "refuse" for each in checks)
    flagged = sum(each.verdict == "flag" for each in checks)
    return Trust("red" if refused or flagged >= MOST_FLAGS else "amber" if flagged else "green", checks)


def _sampling(found: Fit) -> Iterator[Check]:
    bad = "The chains do not agree (R-hat {value}, at most {limit}): {line} has no settled answer."
    good = "The chains agree (R-hat {value})."
    yield judged("rhat", str(found.rhat.idxmax()), found.rhat.max(), *RHAT, bad, good)
    bad, good = "There are {value} independent draws only.", "There are {value} independent draws at least."
    yield judged("draws", str(found.ess.idxmin()), found.ess.min(), EFFECTIVE, 0, bad, good)


def _left_over(found: Fit) -> Iterator[Check]:
    left = found.residual
    bad = "What is left has a memory (Durbin-Watson {value}, at least {limit}): something that lasts is missing."
    good = "What is left has no memory (Durbin-Watson {value})."
    yield judged("memory", "", float(durbin_watson(left)), *WATSON, bad, good)
    bad = "A few weeks stand far out of what is left: an event that is not in the calendar, or a mistake?"
    good = "No week stands out of what is left."
    yield judged("tails", "", float(stats.kurtosis(left)), TAILS, np.inf, bad, good)
    bad = "Without paid lines the outcome would be below nothing in some weeks: they are credited with too much."
    good = "Without paid lines something would be sold in every week."
    yield judged("baseline", "", float((found.baseline < 0).mean()), *BELOW_NOTHING, bad, good)
    bad = "{line}: much of its effect seems to come after {n} weeks, where it cannot be told from the trend."
    late = {line: curves.kernels[LATE_WEEK:].sum(axis=0).mean() for line, curves in found.curves.items()}
    line = max(late, key=late.__getitem__)
    good = "Effects have come after {n} weeks."
    yield judged("late", line, late[line], LATE, np.inf, bad, good, n=LATE_WEEK)


def _refits(found: Fit, seed: int) -> Iterator[Check]:
    frame, weeks = found.weekly, len(found.weekly.outcome)
    largest = str(frame.spend.sum().idxmax())
    # Spend run backwards and shifted has the line's habits and cannot have worked.
    fake = np.roll(frame.spend[largest].to_numpy()[::-1], weeks // 3)
    other = fit(replace(frame, spend=frame.spend.assign(placebo=fake)), found.evidence, seed)
    nothing = other.contribution("placebo").mean(axis=1)
    beats = np.mean([(other.contribution(line).mean(axis=1) < nothing).mean() for line in found.curves])
    bad = "A made-up line that cannot work seems to bring more than a real one with a chance of {chance}."
    good = "A made-up line that cannot work does not seem to work."
    yield judged("placebo", "", beats, *PLACEBO, bad, good, chance=percent(beats, 0))
    waves = {"no_season": 0, "wide_season": WIDE}
    again = {name: fit(frame, found.evidence, seed, each) for name, each in waves.items()}
    if weeks >= 2 * YEAR:
        again["half"] = fit(_later(frame, weeks // 2), (), seed)
    for name, other in again.items():
        moved = moves(found, other)
        line = str(moved.idxmax())
        yield judged(name, line, moved[line], *MOVES[name], SAID[name], SAID[name])


def _later(frame: Weekly, first: int) -> Weekly:
    names = ("outcome", "spend", "organic", "controls", "calendar")
    return replace(frame, **{name: getattr(frame, name).iloc[first:] for name in names})


def moves(found: Fit, again: Fit) -> pd.Series:
    """Return by line how far its contributions in the weeks of both are apart, in the larger standard deviation."""
    weeks, moved = len(again.weekly.outcome), {}
    for line in again.curves:
        a, b = found.contribution(line)[:, -weeks:].mean(axis=1), again.contribution(line).mean(axis=1)
        moved[line] = abs(a.mean() - b.mean()) / max(a.std(), b.std())
    return pd.Series(moved)
