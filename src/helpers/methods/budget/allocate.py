"""The allocation: fixed cost on or off, floating cost on mean curves, shares, packages, reserve, certified gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Share(NamedTuple):
    """Bounds on the share of a group of lines in all floating spend, such as 55 to 60 % for the core."""

    name: str
    lines: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, eq=False)
class Terms:
    """What the plan must obey; money a month.

    Attributes
    ----------
    budget : float
        All money of the month.
    lines : pandas.DataFrame
        Index the line; columns today, low, high, fixed (cost paid only if the line runs), package (price of one; 0 for
        any amount), step (smallest payable amount).
    shares : tuple of Share
        Bounds on groups.
    reserve_share : float
        Least share of the budget that is kept back.
    shocks : tuple of float
        Past overspends of a month, in money; the reserve covers 95 % of them.
    least_return : float
        Least outcome (money) per money of floating spend, in mean; 0 for none.
    value : float
        Money that one unit of outcome is worth.
    """


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan and what stands behind it.

    Attributes
    ----------
    lines : pandas.DataFrame
        Index the line: today, proposed, change, fixed, packages, outcome_today, outcome, marginal, binds (name of the
        bound that binds, or empty).
    reserve, spend, outcome, outcome_today : float
        Money kept back, all money spent, and mean outcome of the plan and of today.
    bound, gap : float
        Upper bound on the mean outcome of any plan, and ``(bound - outcome) / outcome``.
    prices : pandas.DataFrame
        Shadow prices: name, price (outcome per unit of the bound), in words what it means is the caller's.
    """


def allocate(responses: Mapping[str, Callable[[np.ndarray], np.ndarray]], terms: Terms) -> Plan:
    """Return the best plan on mean responses; infeasible bounds are refused by name."""
    raise NotImplementedError
