"""The allocation: fixed cost on or off, floating cost on mean curves, shares, packages, reserve, certified gap.

    maximise  sum of value * R_c(s_c) - s_c - F_c z_c    (without a value of the outcome: sum of R_c(s_c))
    subject to  sum of s_c + F_c z_c + reserve <= budget;  low_c z_c <= s_c <= high_c z_c;  s_c in payable steps;
    bounds on the shares of groups in all s_c;  sum of R_c(s_c) >= least return * sum of s_c

Money and outcome are those of a month at a steady spend; R_c is the mean response. The solver (HiGHS) sees R_c as
chords between points, stretches where it bends upwards in order by binaries. It also solves the problem with lines
that lie nowhere below R_c: tangents where it bends downwards, chords where it bends upwards. What that problem cannot
exceed, no plan can; the distance to what the plan brings on the true curves is the certified gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from helpers.errors import BadParameters
from helpers.methods.budget.program import Program, closer, grid, over_estimate
from helpers.methods.budget.terms import Response, Terms
from helpers.sentences import say

# Solutions, the second with more points around the first.
PASSES = 2


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan and what stands behind it; money and outcome of a month.

    Attributes
    ----------
    lines : pandas.DataFrame
        Index the line: today, proposed, change, fixed (paid), outcome_today, outcome, marginal (outcome for one more
        unit of money), binds (``"low"``, ``"high"``, ``"off"``, or empty).
    terms : Terms
        What it obeys.
    objective, bound, gap : float
        What is maximised, as the plan reaches it on the true curves; what no plan exceeds; (bound - outcome's part)
        as a share of the outcome.
    prices : pandas.DataFrame
        What one more unit of each bound would bring, in units of what is maximised: name (``budget``, ``reserve``,
        ``share: ...``, ``return``, ``low: line``, ``high: line``), price. A share's unit is one percentage point.
    """

    lines: pd.DataFrame
    terms: Terms
    objective: float
    bound: float
    prices: pd.DataFrame = field(repr=False)

    @property
    def spend(self) -> float:
        """All money spent, fixed cost included and the reserve not."""
        return float(self.lines["proposed"].sum() + self.lines["fixed"].sum())

    @property
    def spend_today(self) -> float:
        """The same of today."""
        today = self.lines["today"]
        return float(today.sum() + self.terms.lines["fixed"][today > 0].sum())

    @property
    def outcome(self) -> float:
        """Mean outcome of the plan."""
        return float(self.lines["outcome"].sum())

    @property
    def outcome_today(self) -> float:
        """Mean outcome of what is spent today, by the same curves."""
        return float(self.lines["outcome_today"].sum())

    @property
    def gap(self) -> float:
        """How much better than this any plan could be at most, as a share of the outcome."""
        return max(self.bound - self.objective, 0.0) / max(self.outcome * (self.terms.value or 1.0), 1e-12)


def allocate(responses: Mapping[str, Response], terms: Terms) -> Plan:
    """Return the best plan on mean responses.

    Raises
    ------
    BadParameters
        When no plan keeps all bounds; the message names those without which there would be one.
    """
    points = {line: grid(responses[line], row) for line, row in terms.rows.items()}
    for _ in range(PASSES):
        chords = Program(terms, {line: (at, responses[line].value(at)) for line, at in points.items()})
        solved = chords.solve()
        if solved.x is None:
            raise BadParameters(_why_not(chords))
        spend = chords.spend(solved.x)
        points = {line: closer(at, spend[line]) for line, at in points.items()}
    above = {line: over_estimate(responses[line], at) for line, at in points.items()}
    over = Program(terms, above)
    bound = (over.constant - float(over.solve().mip_dual_bound)) * over.worth
    lines = terms.lines.assign(proposed=spend, change=spend - terms.lines["today"])
    on = chords.running(solved.x)
    lines["fixed"] = terms.lines["fixed"].where(on, 0.0)
    for name, column in (("outcome_today", "today"), ("outcome", "proposed")):
        lines[name] = [
            float(responses[str(line)].value(np.array([at]))[0]) for line, at in lines[column].items()
        ]
    lines["marginal"] = [float(responses[str(line)].slope(np.array([at]))[0]) for line, at in spend.items()]
    near = 1e-6 * max(terms.budget, 1e-12)
    lines["binds"] = np.select(
        [~on, lines["proposed"] >= lines["high"] - near, lines["proposed"] <= lines["low"] + near],
        ["off", "high", "low"],
        "",
    )
    worth = terms.value or 1.0
    cost = lines["proposed"].sum() + lines["fixed"].sum() if terms.value else 0.0
    kept = ["today", "proposed", "change", "fixed", "outcome_today", "outcome", "marginal", "binds"]
    reached = float(worth * lines["outcome"].sum() - cost)
    return Plan(lines[kept], terms, reached, bound, chords.prices(solved.x))


def _why_not(program: Program) -> str:
    """Say which bounds leave no plan."""
    names = dict.fromkeys(name for name, *_ in program.rows if name)
    guilty = [name for name in names if program.solve(without=name).x is not None]
    text = "No plan keeps all bounds. There would be one without any of these: {names}."
    if not guilty:
        text = "No plan keeps all bounds, and leaving out one of them does not help. They are: {names}."
    return say(text, names=", ".join(guilty or names))
