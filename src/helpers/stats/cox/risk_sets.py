"""Sums over risk sets, day by day, from counts of members: what an exact grouped Efron Cox model is made of.

A cell is (stratum, covariate pattern, first day at risk, last day at risk, members, exits on the last day). A
member is at risk on tenure day t when first day <= t <= last day. Members of one cell are alike to the partial
likelihood, so the sums over cells equal those over members, ties included: of D exits on a day, Efron (1977)
takes the mean exit out of the risk set D - 1 times, and he does so whichever rows the exits stand in. (Weights
of rows, as lifelines and R know them, are another thing: there a tie of two rows is one of two, whatever their
weights.)

Counts at risk are whole numbers, so they are exact; the work per step is patterns x days, not members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    """What happened on each day with exits; rows run over strata, then days.

    Attributes
    ----------
    stratum : ndarray of int, shape (days,)
        Number of the stratum.
    day : ndarray, shape (days,)
        Tenure day.
    at_risk, exits : ndarray, shape (days,)
        Members at risk and members who left.
    relative_risk : ndarray, shape (days,)
        Sum of exp(x beta) over the members at risk.
    mean : ndarray, shape (days, k)
        Mean of the covariates over the risk set, averaged over the steps of Efron.
    exit_sum : ndarray, shape (days, k)
        Sum of the covariates of those who left.
    hazard, tied_hazard : ndarray, shape (days,)
        Sum over Efron's steps of 1 / denominator, and of step / D / denominator.
    hazard_mean, tied_hazard_mean : ndarray, shape (days, k)
        The same sums with the mean of the covariates in each step as a factor.
    """

    stratum: IntArray
    day: FloatArray
    at_risk: FloatArray
    exits: FloatArray
    relative_risk: FloatArray
    mean: FloatArray
    exit_sum: FloatArray
    hazard: FloatArray
    tied_hazard: FloatArray
    hazard_mean: FloatArray
    tied_hazard_mean: FloatArray


class Block(NamedTuple):
    """Some days of one stratum: counts at risk and exits, shape (days, patterns seen in the stratum)."""

    stratum: int
    day: FloatArray
    patterns: IntArray
    at_risk: FloatArray
    exits: FloatArray


@dataclass(frozen=True)
class _Stratum:
    number: int
    days: FloatArray
    patterns: IntArray
    when: IntArray
    where: IntArray
    change: FloatArray
    exit_when: IntArray
    exit_where: IntArray
    exits: FloatArray

    def blocks(self) -> Iterator[Block]:
        """Yield the counts by day and pattern, a limited number of days at a time."""
        size, total = self.patterns.size, self.days.size
        step = max(1, BLOCK_ENTRIES // max(size, 1))
        before = np.zeros(size)
        for first in range(0, total, step):
            last = min(first + step, total)
            changes = self._table(self.when, self.where, self.change, first, last)
            changes[0] += before
            at_risk = np.cumsum(changes, axis=0)
            before = at_risk[-1]
            exits = self._table(self.exit_when, self.exit_where, self.exits, first, last)
            yield Block(self.number, self.days[first:last], self.patterns, at_risk, exits)

    def _table(self, when: IntArray, where: IntArray, count: FloatArray, first: int, last: int) -> FloatArray:
        size = self.patterns.size
        inside = slice(*np.searchsorted(when, [first, last]))
        code = (when[inside] - first) * size + where[inside]
        counts = np.bincount(code, count[inside], (last - first) * size).astype(float)
        return counts.reshape(last - first, size)


class RiskSets:
    """Risk sets of cells.

    Parameters
    ----------
    design : ndarray, shape (patterns, k)
        Covariates of each pattern.
    pattern, stratum : ndarray of int, shape (cells,)
        Row of `design`, and number of the stratum.
    entry, last : ndarray, shape (cells,)
        First and last tenure day at risk.
    n, exits : ndarray, shape (cells,)
        Members, and how many of them left on the last day.

    Attributes
    ----------
    never : float
        Members whose first day at risk lies after their last: they are in no risk set.
    exits_total : float
        Exits of members that are in a risk set.
    spread : ndarray, shape (k,)
        Largest minus smallest value of each covariate.
    """

    def __init__(
        self,
        design: FloatArray,
        pattern: IntArray,
        stratum: IntArray,
        entry: FloatArray,
        last: FloatArray,
        n: FloatArray,
        exits: FloatArray,
    ) -> None:
        self.design = design
        self.spread = np.ptp(design, axis=0) if len(design) else np.zeros(design.shape[1])
        seen = entry <= last
        self.never = float(n[~seen].sum())
        self.exits_total = float(exits[seen].sum())
        cells = (pattern[seen], entry[seen], last[seen], n[seen], exits[seen])
        self._strata = [
            _make(int(number), *(part[stratum[seen] == number] for part in cells))
            for number in np.unique(stratum[seen])
        ]

        # Counts that fit are made once; larger ones are made anew in every step, so that memory stays bounded.
        entries = sum(part.days.size * part.patterns.size for part in self._strata)
        self._held = list(self._walk()) if entries <= BLOCK_ENTRIES else None

    def blocks(self) -> Iterator[Block]:
        """Yield all counts, stratum by stratum."""
        return self._walk() if self._held is None else iter(self._held)

    def _walk(self) -> Iterator[Block]:
        for stratum in self._strata:
            if stratum.days.size:
                yield from stratum.blocks()

    def derivatives(self, beta: FloatArray, weight: FloatArray | None = None) -> Derivatives:
        """Return the log partial likelihood and its derivatives at `beta`, shape (k,).

        With a weight for each of the :meth:`days`, what each day contributes is multiplied by its weight.
        """
        size, first = self.design.shape[1], 0
        value, gradient, information = 0.0, np.zeros(size), np.zeros((size, size))
        for block in self.blocks():
            x = self.design[block.patterns]
            sums, eta = _Sums.of(block, x, beta)
            steps, exits = sums.steps, block.exits
            if weight is not None:
                here = weight[first : first + block.day.size]
                steps, exits = _Steps(*(here * part for part in steps)), here[:, None] * exits
            first += block.day.size
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
        parts = []
        for block in self.blocks():
            x = self.design[block.patterns]
            sums, _ = _Sums.of(block, x, beta)
            steps, scale = sums.steps, sums.scale
            count = block.exits.sum(axis=1)
            mean = sums.risk_x * steps.one[:, None] - sums.exit_x * steps.tied[:, None]
            hazard_mean = sums.risk_x * steps.square[:, None] - sums.exit_x * steps.tied_square[:, None]
            tied_mean = sums.risk_x * steps.tied_square[:, None]
            tied_mean -= sums.exit_x * steps.tied_tied_square[:, None]
            parts.append(
                Days(
                    np.full(block.day.size, block.stratum),
                    block.day,
                    block.at_risk.sum(axis=1),
                    count,
                    sums.risk_sum * scale,
                    mean / count[:, None],
                    block.exits @ x,
                    steps.one / scale,
                    steps.tied / scale,
                    hazard_mean / scale,
                    tied_mean / scale,
                )
            )
        if not parts:
            none, wide = np.zeros(0), np.zeros((0, self.design.shape[1]))
            return Days(none.astype("int64"), none, none, none, none, wide, wide, none, none, wide, wide)
        return Days(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _make(
    number: int, pattern: IntArray, entry: FloatArray, last: FloatArray, n: FloatArray, exits: FloatArray
) -> _Stratum:
    """Turn the cells of one stratum into changes of the counts at risk, in the order of days with exits."""
    days = np.unique(last[exits > 0])
    patterns, where = np.unique(pattern, return_inverse=True)
    first = np.searchsorted(days, entry, "left")
    after = np.searchsorted(days, last, "right")
    inside = first < after
    when = np.concatenate([first[inside], after[inside]])
    place = np.concatenate([where[inside], where[inside]])
    change = np.concatenate([n[inside], -n[inside]])
    order = np.argsort(when, kind="stable")
    left = np.flatnonzero(exits > 0)
    left = left[np.argsort(last[left], kind="stable")]
    return _Stratum(
        number, days, patterns, when[order], place[order], change[order],
        np.searchsorted(days, last[left]), where[left], exits[left],
    )  # fmt: skip


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
    risk_sum: FloatArray
    risk_x: FloatArray
    exit_x: FloatArray
    steps: _Steps
    scale: float

    @classmethod
    def of(cls, block: Block, x: FloatArray, beta: FloatArray) -> tuple[_Sums, FloatArray]:
        """Return the sums and the scaled linear predictor; the scale keeps exp() in range."""
        eta = x @ beta
        top = float(eta.max(initial=0.0))
        eta = eta - top
        risk = np.exp(eta)
        weighted = np.column_stack([risk, risk[:, None] * x])
        at_risk, left = block.at_risk @ weighted, block.exits @ weighted
        steps = _efron(at_risk[:, 0], left[:, 0], block.exits.sum(axis=1))
        return cls(risk, at_risk[:, 0], at_risk[:, 1:], left[:, 1:], steps, float(np.exp(top))), eta


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
