"""The mixed-integer program of a plan: responses as straight pieces, below them for the plan, above for the bound.

The solver sees money in budgets and outcome in the largest there is. Pieces are denser at the start of a line, where
curves bend most; stretches that bend upwards keep their order by binaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, milp

from helpers.methods.budget.curves import Array
from helpers.methods.budget.terms import Response, Terms

# Pieces of a curve, and how much denser they lie at its start.
SEGMENTS, DENSER = 32, 2.0


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
        # The last piece of a line ends where its bound is, so the solver may give either the price: it is taken from
        # what the piece at the margin brings after what all other bounds cost.
        others = np.array([name != "" and not name.startswith(("low: ", "high: ")) for name in names])
        brings, runs = -self.cost + (dual * others) @ matrix, self.running(x)
        prices = list(zip(np.array(names)[others], -dual[others], strict=True))
        for line, spend in self.spend(x)[runs].items():
            row, pieces = self.terms.rows[str(line)], np.array(self.pieces[str(line)], int)
            used = pieces[x[pieces] > 1e-9] if spend else pieces[:1]
            more = float(brings[used[-1]]) if len(used) else 0.0
            prices.append((f"low: {line}", max(-more, 0.0) * (spend <= row["low"] * (1 + 1e-9))))
            prices.append((f"high: {line}", max(more, 0.0) * (spend >= row["high"] * (1 - 1e-9))))
        table = pd.DataFrame(prices, columns=["name", "price"])
        table = table.groupby("name", as_index=False, sort=False).sum()
        table["price"] *= self.worth / self.money
        share = table["name"].str.startswith("share: ")
        table["price"] = table["price"].where(~share, 0.01 * self.spend(x).sum() * table["price"])
        reserve = table[table["name"] == "budget"].assign(name="reserve")
        return pd.concat([table, reserve.assign(price=-reserve["price"])], ignore_index=True)
