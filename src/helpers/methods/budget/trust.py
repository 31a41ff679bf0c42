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
from helpers.methods.budget.gate import Check, Gate, Verdict, check
from helpers.methods.budget.weekly import Weekly

Grade = Literal["green", "amber", "red"]
RHAT, EFFECTIVE = (1.05, 1.3), 100.0
WATSON = (1.4, 0.9)
"""Durbin-Watson: about 2 without memory; below the first a flag, below the second no allocation."""
TAILS = 5.0
"""Excess kurtosis of what is left: a few weeks that no line and no calendar explain."""
PLACEBO = (0.25, 0.6)
"""Chance that a line which cannot work brings more than a real one: flag, refusal."""
MOVES = {"no_season": (3.0, 6.0), "wide_season": (1.5, 4.0), "half": (2.5, 6.0)}
"""By how many standard deviations a line's contribution may move in a refit: flag, refusal."""
LATE = 0.35
"""Share of a line's effect that arrives after the sixth week: then the kernel's reach decides the answer."""
LATE_WEEK = 6
COUNTED = ("weeks", "parameters", "inflation", "price", "spike", "season", "demand", "zero_weeks")
"""Flags of the gate that lower the grade."""
MOST_FLAGS = 6
"""As many flags together are a refusal."""


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


def trust(found: Fit, gate: Gate, seed: int = 0) -> Trust:
    """Return the grade of a fit."""
    flags = tuple(each for each in gate.checks if each.verdict == "flag" and each.code in COUNTED)
    checks = (*gate.refusals, *flags, *_sampling(found), *_left_over(found), *_refits(found, seed))
    refused = any(each.verdict == "refuse" for each in checks)
    flagged = sum(each.verdict == "flag" for each in checks)
    return Trust("red" if refused or flagged >= MOST_FLAGS else "amber" if flagged else "green", checks)


def _verdict(value: float, flag: float, refuse: float) -> Verdict:
    """Return the verdict of a value that is bad when large; of minus the value and limits, when small."""
    return "refuse" if value > refuse else "flag" if value > flag else "ok"


def _sampling(found: Fit) -> Iterator[Check]:
    worst = found.rhat.max()
    text = "The chains agree (R-hat {value}; above {limit} they would not)."
    if worst > RHAT[0]:
        text = "The chains do not agree (R-hat {value}, at most {limit}): {line} has no settled answer."
    yield check("rhat", str(found.rhat.idxmax()), worst, RHAT[0], _verdict(worst, *RHAT), text)
    few = found.ess.min()
    text = "There are {value} independent draws at least."
    yield check("draws", str(found.ess.idxmin()), few, EFFECTIVE, "flag" if few < EFFECTIVE else "ok", text)


def _left_over(found: Fit) -> Iterator[Check]:
    left = found.residual
    watson = float(durbin_watson(left))
    text = "What is left has no memory (Durbin-Watson {value})."
    if watson < WATSON[0]:
        text = "What is left has a memory (Durbin-Watson {value}, at least {limit}): something that lasts is missing."
    yield check("memory", "", watson, WATSON[0], _verdict(-watson, -WATSON[0], -WATSON[1]), text)
    heavy = float(stats.kurtosis(left))
    text = "No week stands out of what is left."
    if heavy > TAILS:
        text = (
            "A few weeks stand far out of what is left: an event that is not in the calendar, or a mistake?"
        )
    yield check("tails", "", heavy, TAILS, "flag" if heavy > TAILS else "ok", text)
    below = float((found.baseline < 0).mean())
    if below:
        text = "Without paid lines the outcome would be below nothing in some weeks: they are credited with too much."
        yield check("baseline", "", below, 0, "refuse" if below > 0.1 else "flag", text)
    for line, curves in found.curves.items():
        late = float(curves.kernels[LATE_WEEK:].sum(axis=0).mean())
        if late > LATE:
            text = "{line}: much of its effect seems to come after {n} weeks, where it cannot be told from the trend."
            yield check("late", line, late, LATE, "flag", text, n=LATE_WEEK)


def _refits(found: Fit, seed: int) -> Iterator[Check]:
    frame, weeks = found.weekly, len(found.weekly.outcome)
    largest = str(frame.spend.sum().idxmax())
    # Spend run backwards and shifted has the line's habits and cannot have worked.
    fake = np.roll(frame.spend[largest].to_numpy()[::-1], weeks // 3)
    other = fit(replace(frame, spend=frame.spend.assign(placebo=fake)), found.evidence, seed)
    nothing = other.contribution("placebo").mean(axis=1)
    beats = float(
        np.mean([(other.contribution(line).mean(axis=1) < nothing).mean() for line in found.curves])
    )
    text = "A made-up line that cannot work does not seem to work."
    if beats > PLACEBO[0]:
        text = "A made-up line that cannot work seems to bring more than a real one with a chance of {value}."
    yield check("placebo", "", beats, PLACEBO[0], _verdict(beats, *PLACEBO), text)
    texts = {
        "no_season": "Without a season in the model, {line} moves by {value} standard deviations.",
        "wide_season": "With a freer season in the model, {line} moves by {value} standard deviations.",
        "half": "In the later half of the weeks alone, {line} moves by {value} standard deviations.",
    }
    refits = {
        "no_season": lambda: fit(frame, found.evidence, seed, 0),
        "wide_season": lambda: fit(frame, found.evidence, seed, 5),
    }
    if weeks >= 104:
        refits["half"] = lambda: fit(_later(frame, weeks // 2), (), seed)
    for name, again in refits.items():
        moved = moves(found, again())
        line = str(moved.idxmax())
        yield check(name, line, moved[line], MOVES[name][0], _verdict(moved[line], *MOVES[name]), texts[name])


def _later(frame: Weekly, first: int) -> Weekly:
    parts = {
        name: getattr(frame, name).iloc[first:]
        for name in ("outcome", "spend", "organic", "controls", "calendar")
    }
    return replace(frame, **parts)


def moves(found: Fit, again: Fit) -> pd.Series:
    """Return by line how far its contributions in the weeks of both are apart, in the larger standard deviation."""
    weeks, moved = len(again.weekly.outcome), {}
    for line in again.curves:
        a, b = found.contribution(line)[:, -weeks:].mean(axis=1), again.contribution(line).mean(axis=1)
        moved[line] = abs(a.mean() - b.mean()) / max(a.std(), b.std())
    return pd.Series(moved)
