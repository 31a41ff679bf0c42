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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, milp

from helpers.errors import BadParameters
from helpers.methods.budget.curves import Array, Curves
from helpers.methods.budget.engine import Fit
from helpers.sentences import quantity, say

SEGMENTS, DENSER = 32, 2.0
"""Pieces of a curve, and how much denser they lie at its start."""
PASSES = 2
"""Solutions, the second with more points around the first."""
SHOCK_LEVEL = 0.95
WEEKS_OF_MONTH = 365.25 / 12 / 7
THINNED = 400
"""Draws behind a mean response."""


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
        crossed = lines.index[
            (lines["low"] > lines["high"]) | (lines[["low", "high", "fixed", "step"]] < 0).any(axis=1)
        ]
        if len(crossed):
            text = "The least spend of {lines} is above the most, or below nothing."
            raise BadParameters(say(text, lines=", ".join(map(str, crossed))))
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
    def outcome(self) -> float:
        """Mean outcome of the plan."""
        return float(self.lines["outcome"].sum())

    @property
    def outcome_today(self) -> float:
        """Mean outcome of what is spent today, by the same curves."""
        return float(self.lines["outcome_today"].sum())

    @property
    def unspent(self) -> float:
        """Money of the budget that pays nowhere, beyond the reserve."""
        return self.terms.budget - self.spend - self.terms.reserve

    @property
    def gap(self) -> float:
        """How much better than this any plan could be at most, as a share of the outcome."""
        return max(self.bound - self.objective, 0.0) / max(self.outcome * (self.terms.value or 1.0), 1e-12)


def responses_of(fit: Fit, weeks: float = WEEKS_OF_MONTH) -> dict[str, Response]:
    """Return each line's mean outcome of so many weeks at a steady spend over them."""

    def of(curves: Curves) -> Response:
        some = curves[np.linspace(0, len(curves) - 1, THINNED).astype(int)]
        return Response(
            lambda spend: weeks * some.steady(spend / weeks).mean(axis=1),
            lambda spend: some.marginal(spend / weeks).mean(axis=1),
        )

    return {line: of(curves) for line, curves in fit.curves.items()}


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


def grid(response: Response, row: Mapping[str, Any]) -> Array:
    """Return the spends between which a response is taken as straight: every package, or denser at the start."""
    high, step = float(row["high"]), float(row["step"])
    if row["low"] == high:
        return np.unique([0.0, high]) if high else np.array([0.0])
    if step and high / step <= SEGMENTS:
        return np.arange(0, np.floor(high / step + 1e-9) + 1) * step
    return high * np.linspace(0, 1, SEGMENTS + 1) ** DENSER


def closer(points: Array, spend: float) -> Array:
    """Return the points with more of them around a spend, in the stretches on both sides."""
    at = int(np.searchsorted(points, spend))
    around = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
    every = np.union1d(points, np.linspace(*around, 9) if len(points) > 2 else points)
    # Points that are as good as one would leave pieces too short for the solver.
    return every[np.append(True, np.diff(every) > 1e-7 * every[-1])]


def over_estimate(response: Response, points: Array) -> tuple[Array, Array]:
    """Return points and values of straight lines that lie nowhere below a response that never falls.

    From the start to the first point they are level, because a curve may rise from nothing infinitely fast.
    """
    values = response.value(points)
    at, up = list(points[:2]), list(values[1:2]) * 2 or [0.0]
    for a, b, low, high in zip(points[1:], points[2:], values[1:], values[2:], strict=False):
        slopes = response.slope(np.linspace(a, b, 9))
        steps, near = np.diff(slopes), np.array([1e-3, 1 - 1e-3]) * (b - a) + a
        if (steps <= 0).all():
            # Tangents at both ends meet; moved from the ends, where a piece would be too short for the solver.
            meet = (high - low + slopes[0] * a - slopes[-1] * b) / max(slopes[0] - slopes[-1], 1e-300)
            meet = float(np.clip(meet, *near))
            at.append(meet)
            up.append(max(low + slopes[0] * (meet - a), high + slopes[-1] * (meet - b)))
        elif (steps < 0).any():
            # It bends both ways: as steep as anywhere on the stretch, until the value at its end.
            at.append(float(np.clip(a + (high - low) / (1.02 * slopes.max()), *near)))
            up.append(high)
        at.append(b)
        up.append(high)
    return np.array(at), np.array(up)


class Program:
    """The mixed-integer program: of each line the pieces of its spend, switches that keep their order, on, steps."""

    def __init__(self, terms: Terms, shapes: Mapping[str, tuple[Array, Array]]) -> None:
        # Money in budgets and outcome in the largest there is, so that the solver's tolerances mean the same for all.
        self.terms, self.money = terms, terms.budget
        self.outcome = max(max(values.max() for _, values in shapes.values()), 1e-12)
        self.upper: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[str, dict[int, float], float, float]] = []
        self.pieces: dict[str, range] = {}
        self.slopes: dict[int, float] = {}
        self.constant = 0.0
        self.on: dict[str, int] = {}
        for line, its in terms.rows.items():
            self._add_line(line, its, *shapes[line])
        spend = {piece: 1.0 for pieces in self.pieces.values() for piece in pieces}
        fixed = {self.on[line]: its["fixed"] / self.money for line, its in terms.rows.items()}
        self.rows.append(("budget", spend | fixed, -np.inf, 1 - terms.reserve / self.money))
        for share in terms.shares:
            mine = {piece for line in share.lines for piece in self.pieces[line]}
            for bound, side in ((share.low, 1.0), (share.high, -1.0)):
                row = {piece: side * ((piece in mine) - bound) for piece in spend}
                if 0 < bound < 1:
                    self.rows.append((f"share: {share.name}", row, 0.0, np.inf))
        if terms.least_return:
            least = terms.least_return * self.money / self.outcome
            row = {piece: slope - least for piece, slope in self.slopes.items()}
            self.rows.append(("return", row, 0.0, np.inf))
        self.worth = (terms.value or 1.0) * self.outcome
        paid = self.money / self.worth if terms.value else 0.0
        self.cost = np.zeros(len(self.upper))
        self.cost[list(self.slopes)] = [paid - slope for slope in self.slopes.values()]
        self.cost[list(fixed)] = [paid * cost for cost in fixed.values()]

    def _variable(self, upper: float, whole: bool = False) -> int:
        self.upper.append(upper)
        self.whole.append(int(whole))
        return len(self.upper) - 1

    def _add_line(self, line: str, row: Mapping[str, Any], at: Array, values: Array) -> None:
        low, high, step = (float(row[name]) / self.money for name in ("low", "high", "step"))
        self.constant += float(values[0]) / self.outcome
        widths = np.diff(at) / self.money
        slopes = np.diff(values) / self.outcome / widths
        first = len(self.upper)
        self.pieces[line] = range(first, first + len(widths))
        for width, slope in zip(widths, slopes, strict=True):
            self.slopes[self._variable(float(width))] = float(slope)
        on = self.on[line] = self._variable(1.0, whole=True)
        if not row["optional"]:
            self.rows.append(("", {on: 1.0}, 1.0, 1.0))
        all_of = dict.fromkeys(self.pieces[line], 1.0)
        self.rows.append((f"low: {line}", all_of | {on: -low}, 0.0, np.inf))
        self.rows.append((f"high: {line}", all_of | {on: -high}, -np.inf, 0.0))
        # Where a later piece pays more than an earlier one, it may only be used when the earlier one is full.
        rising = np.flatnonzero(np.diff(slopes) > 1e-9 * np.abs(slopes[:-1]))
        for j in range(rising[-1] + 1 if len(rising) else 0):
            full = self._variable(1.0, whole=True)
            self.rows.append(("", {first + j: 1.0, full: -float(widths[j])}, 0.0, np.inf))
            later = range(j + 1, len(widths) if j == rising[-1] else j + 2)
            self.rows += [("", {first + i: 1.0, full: -float(widths[i])}, -np.inf, 0.0) for i in later]
        if step and low < high:
            count = self._variable(float(np.floor(high / step + 1e-9)), whole=True)
            self.rows.append(("", all_of | {count: -step}, 0.0, 0.0))

    def _matrix(self, without: str = "") -> LinearConstraint:
        rows = [row for row in self.rows if not without or row[0] != without]
        matrix = np.zeros((len(rows), len(self.upper)))
        for at, (_, row, _, _) in enumerate(rows):
            matrix[at, list(row)] = list(row.values())
        return LinearConstraint(matrix, [row[2] for row in rows], [row[3] for row in rows])

    def solve(self, without: str = "") -> OptimizeResult:
        """Return the solution, without the bounds of a name."""
        free = Bounds(np.zeros(len(self.upper)), np.array(self.upper))
        options = {"mip_rel_gap": 1e-4}
        constraints = self._matrix(without)
        return milp(self.cost, integrality=self.whole, bounds=free, constraints=constraints, options=options)

    def spend(self, x: Array) -> pd.Series:
        """Return the spend of each line, rounding of the solver taken out."""
        spend, runs = {}, self.running(x)
        for line, row in self.terms.rows.items():
            amount, step = float(x[list(self.pieces[line])].sum()) * self.money, row["step"]
            amount = round(amount / step) * step if step and row["low"] < row["high"] else amount
            spend[line] = float(np.clip(amount, row["low"], row["high"])) if runs[line] else 0.0
        return pd.Series(spend)

    def running(self, x: Array) -> pd.Series:
        """Return whether each line runs."""
        return pd.Series({line: x[index] > 0.5 for line, index in self.on.items()})

    def prices(self, x: Array) -> pd.DataFrame:
        """Return what one more unit of each bound would bring, switches and steps as they are."""
        whole = np.array(self.whole, bool)
        fixed = np.where(whole, np.round(x), 0.0)
        keep = self._matrix()
        # Steps bind every amount, so that no bound would have a price: they are left out here.
        stepped = np.array([name == "" and low == high == 0 for name, _, low, high in self.rows])
        below, above = np.isfinite(keep.ub) & ~stepped, np.isfinite(keep.lb) & ~stepped
        matrix = np.vstack([keep.A[below], -keep.A[above]])
        limits = np.concatenate([keep.ub[below], -keep.lb[above]])
        bounds = list(zip(fixed, np.where(whole, fixed, self.upper), strict=True))
        dual = linprog(self.cost, A_ub=matrix, b_ub=limits, bounds=bounds).ineqlin.marginals
        names = [self.rows[at][0] for at in (*np.flatnonzero(below), *np.flatnonzero(above))]
        off = {
            f"{side}: {line}"
            for line, runs in self.running(x).items()
            if not runs
            for side in ("low", "high")
        }
        table = pd.DataFrame({"name": names, "price": -dual * self.worth / self.money})
        table = table[~table["name"].isin({"", *off})].groupby("name", as_index=False, sort=False).sum()
        share = table["name"].str.startswith("share: ")
        table["price"] = table["price"].where(~share, 0.01 * self.spend(x).sum() * table["price"])
        reserve = table[table["name"] == "budget"].assign(name="reserve")
        return pd.concat([table, reserve.assign(price=-reserve["price"])], ignore_index=True)


def _why_not(program: Program) -> str:
    """Say which bounds leave no plan."""
    names = dict.fromkeys(name for name, *_ in program.rows if name)
    guilty = [name for name in names if program.solve(without=name).x is not None]
    text = "No plan keeps all bounds. There would be one without any of these: {names}."
    if not guilty:
        text = "No plan keeps all bounds, and leaving out one of them does not help. They are: {names}."
    return say(text, names=", ".join(guilty or names))
