"""What a plan must obey: budget, bounds of lines, shares, reserve, return; and the responses that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.errors import BadParameters
from helpers.methods.budget.curves import Array, Curves
from helpers.methods.budget.engine import Fit
from helpers.methods.budget.weekly import Weekly
from helpers.sentences import quantity, say

SHOCK_LEVEL = 0.95
WEEKS_OF_MONTH = 365.25 / 12 / 7
# Draws behind a mean response.
THINNED = 400


class Response(NamedTuple):
    """Mean outcome of a month, and its derivative, at steady monthly spends."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


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
        Index the line; columns today, low, high (spend while it runs), and where they matter: optional (may be
        switched off), fixed (paid only while it runs), step (smallest payable amount, or the price of one package).
    shares : tuple of Share
        Bounds on groups.
    reserve_share : float
        Least share of the budget that is kept back.
    shocks : tuple of float
        Past overspends of a month; the reserve covers 95 % of them.
    least_return : float
        Least outcome per money of floating spend, in mean; 0 for none.
    value : float
        Money that one unit of outcome is worth: 1 for margin, the margin for revenue; 0 when it is not known.
    currency : str
        For refusals.
    """

    budget: float
    lines: pd.DataFrame
    shares: tuple[Share, ...] = ()
    reserve_share: float = 0.0
    shocks: tuple[float, ...] = ()
    least_return: float = 0.0
    value: float = 0.0
    currency: str = "CNY"

    def __post_init__(self) -> None:
        """Fill in what does not matter, and refuse bounds that no plan can keep."""
        plain = {"optional": False, "fixed": 0.0, "step": 0.0}
        lines = self.lines.assign(**{name: it for name, it in plain.items() if name not in self.lines})
        object.__setattr__(self, "lines", lines)
        wrong = (lines["low"] > lines["high"]) | (lines[["low", "high", "fixed", "step"]] < 0).any(axis=1)
        crossed = lines.index[wrong]
        if len(crossed):
            text = "The least spend of {lines} is above the most, or below nothing."
            raise BadParameters(say(text, lines=", ".join(map(str, crossed))))
        if strange := sorted(
            {line for share in self.shares for line in share.lines} - set(map(str, lines.index))
        ):
            text = "A share names {strange}, but there is {known}."
            raise BadParameters(say(text, strange=", ".join(strange), known=", ".join(map(str, lines.index))))
        needed = (lines["low"] + lines["fixed"])[~lines["optional"]]
        if needed.sum() + self.reserve > self.budget * (1 + 1e-9):
            text = (
                "The least spends, with fixed cost, sum to {needed} and the reserve takes {reserve}: {all} is more "
                "than the budget of {budget}. They are: {lines}."
            )
            amounts = {"needed": needed.sum(), "reserve": self.reserve, "budget": self.budget}
            amounts["all"] = needed.sum() + self.reserve
            words = {name: quantity(amount, self.currency) for name, amount in amounts.items()}
            each = [f"{line} {quantity(least, self.currency)}" for line, least in needed[needed > 0].items()]
            raise BadParameters(say(text, lines=", ".join(each), **words))

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Each line's row of `lines`."""
        return {str(line): dict(self.lines.loc[line]) for line in self.lines.index}

    @property
    def reserve(self) -> float:
        """Money kept back: the policy's share, or what past shocks took where that is more."""
        shock = float(np.quantile(self.shocks, SHOCK_LEVEL)) if self.shocks else 0.0
        return max(self.reserve_share * self.budget, shock, 0.0)


def responses_of(fit: Fit) -> dict[str, Response]:
    """Return the mean outcome of a month of each line, at steady monthly spends."""
    weeks = WEEKS_OF_MONTH

    def of(curves: Curves) -> Response:
        some = curves[np.linspace(0, len(curves) - 1, THINNED).astype(int)]
        return Response(
            lambda spend: weeks * some.steady(spend / weeks).mean(axis=1),
            lambda spend: some.marginal(spend / weeks).mean(axis=1),
        )

    return {line: of(curves) for line, curves in fit.curves.items()}


@dataclass(frozen=True)
class Wanted:
    """What is asked of a plan; money a month.

    Attributes
    ----------
    amount : float
        Next money.
    room : float
        Share of today's spend by which a line may rise or fall; one that pauses may come back at that share of its
        mean. None goes beyond its largest week, and a package more or less is always room.
    reserve_share : float
        Least share of all money that is kept back, as far as the next money reaches.
    payable : float
        Smallest amount that can be booked: every amount is a multiple of it; 0 for any amount.
    packages : mapping of str to float
        Lines that are bought whole, such as posts of creators, with the price of one.
    upkeep : mapping of str to float
        Lines that cost this beside their spend while they run; moving money may switch them off.
    """

    amount: float = 10_000.0
    room: float = 0.5
    reserve_share: float = 0.05
    payable: float = 1.0
    packages: Mapping[str, float] = field(default_factory=dict)
    upkeep: Mapping[str, float] = field(default_factory=dict)

    def rows(self, weekly: Weekly, today: pd.Series) -> pd.DataFrame:
        """Return by line today (to the nearest amount that can be paid), low, high, step and fixed.

        Raises
        ------
        BadParameters
            When a package or an upkeep names no line with a curve.
        """
        if strange := sorted({*self.packages, *self.upkeep} - set(today.index)):
            text = "packages and upkeep name {strange}, but the lines with a curve are {known}."
            raise BadParameters(say(text, strange=", ".join(strange), known=", ".join(today.index)))
        step, fixed = (pd.Series(dict(of), today.index, float) for of in (self.packages, self.upkeep))
        step, seen = step.fillna(self.payable), WEEKS_OF_MONTH * weekly.spend

        def whole(money: pd.Series, how: Callable[[Any], Any]) -> pd.Series:
            return (how(money / step) * step).where(step > 0, money)

        def down(each: Any) -> Any:
            return np.floor(each + 1e-9)

        today, one = whole(today, np.round), step * (self.room > 0)
        most = np.minimum(((1 + self.room) * today).clip(lower=self.room * seen.mean()), seen.max())
        last = whole(pd.Series(seen.max()), down)
        high = np.maximum(whole(pd.Series(most), down), np.minimum(today + one, last))
        least = whole((1 - min(self.room, 1.0)) * today, lambda each: np.ceil(each - 1e-9))
        bounds = {"low": np.minimum(least, np.maximum(today - one, 0.0)), "high": np.maximum(high, today)}
        return pd.DataFrame({"today": today, **bounds, "step": step, "fixed": fixed.fillna(0.0)})
