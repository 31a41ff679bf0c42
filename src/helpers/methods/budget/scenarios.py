"""Plans compared on the same curves: today, the proposal, 40/35/25, equal parts, −20 %, frozen ads, least cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.errors import BadParameters
from helpers.methods.budget.allocate import Plan, allocate
from helpers.methods.budget.curves import Array
from helpers.methods.budget.engine import Fit
from helpers.methods.budget.terms import THINNED, WEEKS_OF_MONTH, Terms, responses_of
from helpers.sentences import number, say

# The rule of thumb: the three largest lines of today get these parts of the floating money.
RULE = (0.40, 0.35, 0.25)
CUT = 0.8
# A plan takes the lines that look best, some of them by luck. So many standard deviations of its gain are taken off,
# as measured on plans in planted communities (docs/proofs/budget.md).
LUCK = 0.5


def outcome_draws(fit: Fit, spend: pd.Series) -> Array:
    """Return the outcome of a month at steady monthly spends, by draw."""
    total = np.zeros(THINNED)
    for line, amount in spend.items():
        curves = fit.curves[str(line)]
        some = curves[np.linspace(0, len(curves) - 1, THINNED).astype(int)]
        total += WEEKS_OF_MONTH * some.steady(np.array([amount / WEEKS_OF_MONTH]))[0]
    return total


def without_luck(gain: Array) -> Array:
    """Return the draws of a chosen plan's gain less what such plans owe to luck: what is well known loses little."""
    return gain - LUCK * gain.std()


def scenarios(fit: Fit, plan: Plan, target: float | None = None, confidence: float = 0.9) -> pd.DataFrame:
    """Return the plan beside others on the same curves.

    Parameters
    ----------
    fit : Fit
        Draws.
    plan : Plan
        The proposal; its terms give today's spend, bounds and fixed cost.
    target : float, optional
        Outcome of a month that is to be reached at least cost.
    confidence : float
        Level of intervals.

    Returns
    -------
    pandas.DataFrame
        One row per plan: plan (today, proposed, rule, equal, less, frozen, least_cost), spend (floating and fixed),
        outcome, low, high, gain, gain_low, gain_high (outcome less today's), better (chance that it brings more than
        today), of the proposal without luck; allowed (whether it keeps the bounds of lines); then one column a line
        with its spend.
    """
    terms, today = plan.terms, plan.lines["today"]
    floating = float(plan.lines["proposed"].sum())
    ranked = today.sort_values(ascending=False).index[: len(RULE)]
    parts = pd.Series(RULE[: len(ranked)], ranked).reindex(today.index).fillna(0.0)
    plans = {
        "today": today, "proposed": plan.lines["proposed"], "rule": floating * parts / parts.sum(),
        "equal": pd.Series(floating / len(today), today.index), "less": CUT * today, "frozen": 0.0 * today,
    }  # fmt: skip
    if target is not None:
        plans["least_cost"] = least_cost(fit, terms, target).lines["proposed"]
    before = outcome_draws(fit, today)
    rows = []
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    for name, spend in plans.items():
        draws = outcome_draws(fit, spend)
        draws = before + without_luck(draws - before) if name == "proposed" else draws
        low, high, *gains = (*np.quantile(draws, tails), *np.quantile(draws - before, tails))
        bought = plan.lines["fixed"] if name == "proposed" else terms.lines["fixed"][spend > 0]
        inside = (spend >= terms.lines["low"] - 1e-6) & (spend <= terms.lines["high"] + 1e-6)
        row = {"plan": name, "spend": spend.sum() + bought.sum(), "outcome": draws.mean()}
        row |= {"low": low, "high": high, "gain": (draws - before).mean()}
        row |= {"gain_low": gains[0], "gain_high": gains[1]}
        rows.append(row | {"better": (draws > before).mean(), "allowed": bool(inside.all()), **spend})
    return pd.DataFrame(rows)


def compared(
    fit: Fit, moved: Plan, more: Plan, goal: float, confidence: float = 0.9
) -> tuple[pd.DataFrame, str]:
    """Return :func:`scenarios` of today's money, more money after the first, and why the goal is out of reach."""
    unreached = ""
    try:
        table = scenarios(fit, moved, goal, confidence)
    except BadParameters as error:
        table, unreached = scenarios(fit, moved, None, confidence), str(error)
    beside = scenarios(fit, more, None, confidence).query("plan == 'proposed'").assign(plan="next")
    return pd.concat([table[:1], beside, table[1:]], ignore_index=True), unreached


def least_cost(fit: Fit, terms: Terms, target: float) -> Plan:
    """Return the plan of least budget whose mean outcome of a month reaches the target.

    Raises
    ------
    BadParameters
        When all lines at their most do not reach it.
    """
    responses = responses_of(fit)
    rows = terms.lines
    least = float((rows["low"] + rows["fixed"])[~rows["optional"]].sum())
    most = float((rows["high"] + rows["fixed"]).sum())

    def plan(budget: float) -> Plan:
        return allocate(responses, Terms(budget, rows, terms.shares, currency=terms.currency))

    best, low, high = plan(most), least, most
    if best.outcome < target:
        text = "All lines at their most bring {most} a month: the target of {target} is out of reach."
        raise BadParameters(say(text, most=number(best.outcome), target=number(target)))
    # Steps and packages make the outcome jump, so that only halving is sure to end at a plan that reaches it.
    while high - low > 1e-4 * most:
        money = (low + high) / 2
        best, low, high = (one, low, money) if (one := plan(money)).outcome >= target else (best, money, high)
    return plan(least) if least and plan(least).outcome >= target else best
