"""Sums over risk sets, day by day, from counts of members: what an exact grouped Efron Cox model is made of.

A cell is (covariate pattern, first day at risk, last day at risk, members, exits on the last day). A
member is at risk on tenure day t when first day <= t <= last day. Members of one cell are alike to the partial
likelihood, so the sums over cells equal those over members, ties included: of D exits on a day, Efron (1977)
takes the mean exit out of the risk set D - 1 times, and he does so whichever rows the exits stand in. (Weights
of rows, as lifelines and R know them, are another thing: there a tie of two rows is one of two, whatever their
weights.)

Counts at risk are whole numbers, so they are exact; the work per step is patterns x days, not members.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Derivatives(NamedTuple):
    """Log partial likelihood, its gradient (k,) and its information, minus the Hessian, (k, k)."""

    value: float
    gradient: FloatArray
    information: FloatArray


class Days(NamedTuple):
    """What happened on each day with exits, in order of days.

    Attributes
    ----------
    day, exits : ndarray, shape (days,)
        Tenure day, and members who left.
    residuals : ndarray, shape (days, k)
        Sum of the Schoenfeld residuals: covariates of those who left minus their mean over the risk set, averaged
        over the steps of Efron.
    """

    day: FloatArray
    exits: FloatArray
    residuals: FloatArray


class Cells(NamedTuple):
    """Cells as arrays of shape (cells,).

    pattern: row of the design; entry, last: first and last tenure day at risk; n: members; exits: how many of them
    left on the last day.
    """

    pattern: IntArray
    entry: FloatArray
    last: FloatArray
    n: FloatArray
    exits: FloatArray


class RiskSets:
    """Risk sets of cells.

    Parameters
    ----------
    design : ndarray, shape (patterns, k)
        Covariates of each pattern.
    cells : Cells
        The cells.

    Attributes
    ----------
    spread : ndarray, shape (k,)
        Largest minus smallest value of each covariate.
    day : ndarray, shape (days,)
        Tenure days with exits, in order.
    at_risk, exits : ndarray, shape (days, patterns)
        Counts of members on these days.
    """

    def __init__(self, design: FloatArray, cells: Cells) -> None:
        self.design = design
        self.spread = np.ptp(design, axis=0) if len(design) else np.zeros(design.shape[1])
        self.day = np.unique(cells.last[cells.exits > 0])
        first = np.searchsorted(self.day, cells.entry, "left")
        after = np.searchsorted(self.day, cells.last, "right")
        shape = (len(self.day) + 1, len(design))

        def table(day: IntArray, count: FloatArray) -> FloatArray:
            flat = np.bincount(day * shape[1] + cells.pattern, count, shape[0] * shape[1])
            return flat.astype(float, copy=False).reshape(shape)

        changes = table(first, cells.n)
        changes -= table(after, cells.n)  # in place, as these are the largest arrays of a fit
        self.at_risk = changes.cumsum(axis=0, out=changes)[:-1]
        # Who left did so on a day with exits, the one before the first day after the last day at risk.
        self.exits = table(after, cells.exits)[1:]

    def derivatives(self, beta: FloatArray) -> Derivatives:
        """Return the log partial likelihood and its derivatives at `beta`, shape (k,)."""
        x, exits = self.design, self.exits
        sums, eta = self._sums(beta)
        steps = sums.steps
        value = float((exits @ eta).sum() - steps.log.sum())
        gradient = exits.sum(axis=0) @ x - sums.risk_x.T @ steps.one + sums.exit_x.T @ steps.tied
        mass = (steps.one @ self.at_risk - steps.tied @ exits) * sums.risk
        cross = sums.risk_x.T @ (steps.tied_square[:, None] * sums.exit_x)
        information = x.T @ (mass[:, None] * x)
        information -= sums.risk_x.T @ (steps.square[:, None] * sums.risk_x) - cross - cross.T
        information -= sums.exit_x.T @ (steps.tied_tied_square[:, None] * sums.exit_x)
        return Derivatives(value, gradient, (information + information.T) / 2)

    def days(self, beta: FloatArray) -> Days:
        """Return what happened on each day with exits, residuals at `beta`, shape (k,)."""
        sums, _ = self._sums(beta)
        mean = sums.risk_x * sums.steps.one[:, None] - sums.exit_x * sums.steps.tied[:, None]
        return Days(self.day, self.exits.sum(axis=1), self.exits @ self.design - mean)

    def _sums(self, beta: FloatArray) -> tuple[_Sums, FloatArray]:
        """Return the sums and the scaled linear predictor; the scale keeps exp() in range."""
        eta = self.design @ beta
        eta = eta - float(eta.max(initial=0.0))
        risk = np.exp(eta)
        weighted = np.column_stack([risk, risk[:, None] * self.design])
        at_risk, left = self.at_risk @ weighted, self.exits @ weighted
        steps = _efron(at_risk[:, 0], left[:, 0], self.exits.sum(axis=1))
        return _Sums(risk, at_risk[:, 1:], left[:, 1:], steps), eta


class _Steps(NamedTuple):
    """Sums over Efron's steps f = 0, 1/D, …, (D-1)/D of each day, with d = risk - f * exits.

    log: sum of log d; one: of 1/d; tied: of f/d; square, tied_square and tied_tied_square: of 1, f and f^2
    over d^2.
    """

    log: FloatArray
    one: FloatArray
    tied: FloatArray
    square: FloatArray
    tied_square: FloatArray
    tied_tied_square: FloatArray


class _Sums(NamedTuple):
    """Risk of each pattern (scaled), and its sums over those at risk and those who left, by day."""

    risk: FloatArray
    risk_x: FloatArray
    exit_x: FloatArray
    steps: _Steps


def _efron(risk: FloatArray, exits: FloatArray, count: FloatArray) -> _Steps:
    whole = count.astype("int64")
    start = np.cumsum(whole) - whole
    share = (np.arange(whole.sum()) - np.repeat(start, whole)) / np.repeat(count, whole)
    denominator = np.repeat(risk, whole) - share * np.repeat(exits, whole)
    inverse = 1 / denominator

    def total(values: FloatArray) -> FloatArray:
        return np.add.reduceat(values, start)

    tied, square = share * inverse, inverse * inverse
    return _Steps(
        total(np.log(denominator)), total(inverse), total(tied),
        total(square), total(share * square), total(tied * tied),
    )  # fmt: skip
