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

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Entries of one matrix of counts by day and pattern that are held at a time (32 MB).
BLOCK_ENTRIES = 4_000_000


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
    mean : ndarray, shape (days, k)
        Mean of the covariates over the risk set, averaged over the steps of Efron.
    exit_sum : ndarray, shape (days, k)
        Sum of the covariates of those who left.
    """

    day: FloatArray
    exits: FloatArray
    mean: FloatArray
    exit_sum: FloatArray


class Block(NamedTuple):
    """Some of the days with exits: counts at risk and exits, shape (days, patterns)."""

    day: FloatArray
    at_risk: FloatArray
    exits: FloatArray


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
    """

    def __init__(self, design: FloatArray, cells: Cells) -> None:
        self.design = design
        self.spread = np.ptp(design, axis=0) if len(design) else np.zeros(design.shape[1])
        self._days = np.unique(cells.last[cells.exits > 0])
        first = np.searchsorted(self._days, cells.entry, "left")
        after = np.searchsorted(self._days, cells.last, "right")
        self._changes = _by_day([first, after], [cells.pattern] * 2, [cells.n, -cells.n], first < after)
        self._exits = _by_day([after - 1], [cells.pattern], [cells.exits], cells.exits > 0)
        # Counts that fit are made once; larger ones are made anew in every step, so that memory stays bounded.
        self._held = list(self._walk()) if self._days.size * len(design) <= BLOCK_ENTRIES else None

    def blocks(self) -> Iterator[Block]:
        """Yield the counts by day and pattern, a limited number of days at a time."""
        return self._walk() if self._held is None else iter(self._held)

    def _walk(self) -> Iterator[Block]:
        size = len(self.design)
        step = max(1, BLOCK_ENTRIES // max(size, 1))
        before = np.zeros(size)
        for first in range(0, self._days.size, step):
            last = min(first + step, self._days.size)
            changes = _table(self._changes, first, last, size)
            changes[0] += before
            at_risk = np.cumsum(changes, axis=0)
            before = at_risk[-1]
            yield Block(self._days[first:last], at_risk, _table(self._exits, first, last, size))

    def derivatives(self, beta: FloatArray) -> Derivatives:
        """Return the log partial likelihood and its derivatives at `beta`, shape (k,)."""
        x, size = self.design, self.design.shape[1]
        value, gradient, information = 0.0, np.zeros(size), np.zeros((size, size))
        for block in self.blocks():
            sums, eta = _Sums.of(block, x, beta)
            steps, exits = sums.steps, block.exits
            value += float((exits @ eta).sum() - steps.log.sum())
            left = exits.sum(axis=0) @ x
            gradient += left - sums.risk_x.T @ steps.one + sums.exit_x.T @ steps.tied
            mass = (steps.one @ block.at_risk - steps.tied @ block.exits) * sums.risk
            information += x.T @ (mass[:, None] * x)
            cross = sums.risk_x.T @ (steps.tied_square[:, None] * sums.exit_x)
            information -= sums.risk_x.T @ (steps.square[:, None] * sums.risk_x) - cross - cross.T
            information -= sums.exit_x.T @ (steps.tied_tied_square[:, None] * sums.exit_x)
        return Derivatives(value, gradient, (information + information.T) / 2)

    def days(self, beta: FloatArray) -> Days:
        """Return the sums of each day with exits at `beta`, shape (k,)."""
        none, wide = np.zeros(0), np.zeros((0, self.design.shape[1]))
        parts = [Days(none, none, wide, wide)]
        for block in self.blocks():
            sums, _ = _Sums.of(block, self.design, beta)
            count = block.exits.sum(axis=1)
            mean = sums.risk_x * sums.steps.one[:, None] - sums.exit_x * sums.steps.tied[:, None]
            parts.append(Days(block.day, count, mean / count[:, None], block.exits @ self.design))
        return Days(*(np.concatenate(part) for part in zip(*parts, strict=True)))


Changes = tuple[IntArray, IntArray, FloatArray]
"""Number of the day, pattern and count of what changes, in order of days."""


def _by_day(
    when: list[IntArray], pattern: list[IntArray], count: list[FloatArray], kept: NDArray[np.bool_]
) -> Changes:
    """Return what changes for the cells that are kept, in order of days."""
    day, where, size = (np.concatenate([part[kept] for part in parts]) for parts in (when, pattern, count))
    order = np.argsort(day, kind="stable")
    return day[order], where[order], size[order]


def _table(changes: Changes, first: int, last: int, size: int) -> FloatArray:
    """Return counts by day from `first` to `last` (exclusive) and pattern."""
    inside = slice(*np.searchsorted(changes[0], [first, last]))
    code = (changes[0][inside] - first) * size + changes[1][inside]
    counts = np.bincount(code, changes[2][inside], (last - first) * size)
    return counts.astype(float).reshape(last - first, size)


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

    @classmethod
    def of(cls, block: Block, x: FloatArray, beta: FloatArray) -> tuple[_Sums, FloatArray]:
        """Return the sums and the scaled linear predictor; the scale keeps exp() in range."""
        eta = x @ beta
        eta = eta - float(eta.max(initial=0.0))
        risk = np.exp(eta)
        weighted = np.column_stack([risk, risk[:, None] * x])
        at_risk, left = block.at_risk @ weighted, block.exits @ weighted
        steps = _efron(at_risk[:, 0], left[:, 0], block.exits.sum(axis=1))
        return cls(risk, at_risk[:, 1:], left[:, 1:], steps), eta


def _efron(risk: FloatArray, exits: FloatArray, count: FloatArray) -> _Steps:
    whole = count.astype("int64")
    start = np.concatenate([[0], np.cumsum(whole)[:-1]])
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
