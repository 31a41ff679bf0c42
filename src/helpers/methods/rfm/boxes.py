"""Axis-aligned boxes: the geometry under tier rules, and the proof that rules split every member one way.

A rule is a box: for each column a half-open range ``[low, high)``, with or without missing values. All
boundaries of all rules cut the space of members into a finite grid of cells inside which no rule changes
its answer, so checking one point of each cell checks every possible member.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import ibis
import numpy as np
from numpy.typing import NDArray

from helpers.errors import BadParameters

MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class Range:
    """The half-open range ``low <= value < high``, with missing values when `missing` is true.

    A range with ``low >= high`` holds no number; it can still hold the missing value.
    """

    low: float = -math.inf
    high: float = math.inf
    missing: bool = False

    @property
    def numeric(self) -> bool:
        """Whether any number lies in the range."""
        return self.low < self.high

    @property
    def empty(self) -> bool:
        """Whether neither a number nor a missing value lies in the range."""
        return not (self.numeric or self.missing)

    def intersection(self, other: Range) -> Range:
        """Return what lies in both ranges."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Range(low, max(low, high), self.missing and other.missing)

    def without(self, other: Range) -> list[Range]:
        """Return the disjoint ranges that make up this range outside `other`."""
        kept = [Range(self.low, self.high)]
        if other.numeric:
            kept = [Range(self.low, min(self.high, other.low)), Range(max(self.low, other.high), self.high)]
        kept = [piece for piece in kept if piece.numeric]
        if self.missing and not other.missing:
            kept.append(Range(0.0, 0.0, missing=True))
        return kept

    def expression(self, column: ibis.Value) -> ibis.ir.BooleanValue:
        """Return the condition "value lies in this range" over an Ibis column.

        Null, which a case expression takes as false, for a missing value that is not in the range.
        """
        bounds = []
        if math.isfinite(self.low):
            bounds.append(column >= _literal(self.low))
        if math.isfinite(self.high):
            bounds.append(column < _literal(self.high))
        if not self.numeric:
            return column.isnull()
        if not bounds:
            return ibis.literal(True) if self.missing else column.notnull()
        inside = reduce(lambda a, b: a & b, bounds)
        return (inside | column.isnull()) if self.missing else inside

    def __str__(self) -> str:
        """Return the range as a reader would write it."""
        text = f"in [{self.low:g}, {self.high:g})" if self.numeric else ""
        if self.numeric and math.isinf(self.high):
            text = f">= {self.low:g}" if math.isfinite(self.low) else "any number"
        elif self.numeric and math.isinf(self.low):
            text = f"< {self.high:g}"
        return " or ".join(part for part in (text, "missing" if self.missing else "") if part)


ANYTHING = Range(missing=True)
Box = Mapping[str, Range]


@dataclass(frozen=True)
class Domain:
    """The values that a column can take at all: ``low <= value < high``, or missing when `nullable`."""

    low: float = -math.inf
    high: float = math.inf
    integer: bool = False
    nullable: bool = False

    @property
    def everything(self) -> Range:
        """All possible values as one range."""
        return Range(self.low, self.high, self.nullable)

    def cells(self, breakpoints: Iterable[float]) -> list[Range]:
        """Return the elementary ranges between the breakpoints, and the missing value if there can be one."""
        inner = {b for b in breakpoints if self.low < b < self.high}
        edges = [self.low, *sorted(inner), self.high]
        cells = [Range(low, high) for low, high in pairwise(edges)]
        return [*cells, Range(0.0, 0.0, missing=True)] if self.nullable else cells


def _literal(bound: float) -> float | int:
    return int(bound) if float(bound).is_integer() else float(bound)


def describe(box: Box) -> str:
    """Return a box in words, such as ``frequency in [11, 51) and r_score in [4, 6)``."""
    return " and ".join(f"{column} {box[column]}" for column in box) or "everyone else"


def subtract(box: Box, other: Box) -> list[Box]:
    """Return disjoint boxes that together hold every point of `box` outside `other`.

    Walks the columns of `other`: what lies outside in this column is a piece of its own, what lies inside
    is carried on to the next column.
    """
    pieces: list[Box] = []
    inside: dict[str, Range] = dict(box)
    for column in other:
        mine = inside.get(column, ANYTHING)
        common = mine.intersection(other[column])
        if common.empty:
            return [box]
        pieces += [{**inside, column: outside} for outside in mine.without(other[column])]
        inside[column] = common
    return pieces


def clip(boxes: Iterable[Box], domains: Mapping[str, Domain]) -> list[Box]:
    """Return the boxes without what no column can be: simpler conditions, and no box that never fits."""
    clipped: list[Box] = []
    for box in boxes:
        sides = {c: side.intersection(domains[c].everything) for c, side in box.items()}
        if not any(side.empty for side in sides.values()):
            clipped.append({c: s for c, s in sides.items() if s != domains[c].everything})
    return clipped


def first_match(ladder: Sequence[tuple[str, Sequence[Box]]]) -> list[tuple[str, list[Box]]]:
    """Turn an ordered "first rule that fits wins" ladder into rules whose order no longer matters.

    Parameters
    ----------
    ladder : sequence of (label, boxes)
        In order of precedence.

    Returns
    -------
    list of (label, boxes)
        In the same order; each box has all boxes of earlier labels cut out of it.
    """
    taken: list[Box] = []
    rules = []
    for label, boxes in ladder:
        left = list(boxes)
        for earlier in taken:
            left = [piece for box in left for piece in subtract(box, earlier)]
        rules.append((label, left))
        taken += boxes
    return rules


def prove_partition(
    rules: Sequence[tuple[str, Sequence[Box]]], domains: Mapping[str, Domain], name: str
) -> None:
    """Prove that every possible member satisfies the rules of exactly one label.

    Parameters
    ----------
    rules : sequence of (label, boxes)
        A label holds a member when any of its boxes does.
    domains : mapping of str to Domain
        Possible values of every column that a rule names.
    name : str
        Name of the scheme, for messages.

    Raises
    ------
    BadParameters
        When two labels overlap, when a region belongs to no label or when a label can never be reached;
        the message names the region and one example point.
    """
    columns = sorted({column for _, boxes in rules for box in boxes for column in box})
    grid = [domains[c].cells(_breakpoints(rules, c)) for c in columns]
    if math.prod(map(len, grid)) > MOST_CELLS:
        raise BadParameters(
            f"Tier scheme {name}: its rules make more than {MOST_CELLS:,} cells, too many to check; "
            f"use fewer columns or fewer boundaries."
        )
    holds = {label: _mask(boxes, columns, grid) for label, boxes in rules}
    for label, mask in holds.items():
        if not mask.any():
            raise BadParameters(f"Tier scheme {name}: no member can ever be {label!r}; mend its rule.")
    owners = np.sum(list(holds.values()), axis=0, dtype=np.int64)
    for wrong, text in ((owners > 1, "overlap"), (owners == 0, "leave a gap")):
        if wrong.any():
            cell = [int(i) for i in np.argwhere(wrong)[0]]
            owned = [repr(label) for label, mask in holds.items() if mask[tuple(cell)]]
            which = f"of {' and '.join(owned)} " if owned else ""
            raise BadParameters(
                f"Tier scheme {name}: the rules {which}{text} where {_region(columns, grid, cell)}."
            )


def _breakpoints(rules: Sequence[tuple[str, Sequence[Box]]], column: str) -> set[float]:
    ranges = [box[column] for _, boxes in rules for box in boxes if column in box]
    return {bound for r in ranges if r.numeric for bound in (r.low, r.high) if math.isfinite(bound)}


def _mask(boxes: Sequence[Box], columns: Sequence[str], grid: Sequence[Sequence[Range]]) -> NDArray[np.bool_]:
    mask = np.zeros([len(cells) for cells in grid], dtype=bool)
    for box in boxes:
        sides = [
            np.array([not box.get(column, ANYTHING).intersection(cell).empty for cell in cells])
            for column, cells in zip(columns, grid, strict=True)
        ]
        mask |= reduce(np.logical_and.outer, sides, np.array(True))
    return mask


def _region(columns: Sequence[str], grid: Sequence[Sequence[Range]], cell: Sequence[int]) -> str:
    """Return the region in words with one point of it."""
    ranges = [cells[i] for cells, i in zip(grid, cell, strict=True)]
    where = " and ".join(f"{c} {r}" for c, r in zip(columns, ranges, strict=True)) or "there is no rule"
    point = ", ".join(f"{c} = {_example(r)}" for c, r in zip(columns, ranges, strict=True))
    return f"{where} (for example {point})" if point else where


def _example(cell: Range) -> str:
    if not cell.numeric:
        return "missing"
    if math.isfinite(cell.low):
        return f"{cell.low:g}"
    return f"{cell.high - 1:g}" if math.isfinite(cell.high) else "0"
