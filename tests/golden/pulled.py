"""How often a notebook asks DuckDB, and how many rows it pulls into Python: what grows with a community must not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

from ibis.backends.duckdb import Backend


class Ceiling(NamedTuple):
    """The most of each that a notebook may need on 3,000 members, with a tenth to spare above what is measured."""

    queries: int
    rows: int
    largest: int


CEILINGS = {
    "01_rfm": Ceiling(155, 55_000, 3_300),
    "02_retention": Ceiling(96, 40_000, 17_600),
    "03_ab_test": Ceiling(38, 4_200, 1_350),
    "04_attribution": Ceiling(103, 48_000, 5_000),
    "05_budget": Ceiling(46, 1_290, 415),
    "13_weekly_review": Ceiling(116, 3_300, 750),
    "14_outlook": Ceiling(87, 83_000, 22_300),
}
"""Measured: 141, 87, 34, 93, 41, 106 and 79 queries; 49,783, 35,914, 3,764, 43,291, 1,167, 2,999 and 74,904 rows."""


@dataclass
class Counter:
    """What has been asked so far."""

    queries: int = 0
    rows: int = 0
    largest: int = 0

    def add(self, result: Any) -> Any:
        """Count a result, which is handed through."""
        rows = len(result) if hasattr(result, "__len__") and not isinstance(result, str) else 1
        self.queries, self.rows, self.largest = self.queries + 1, self.rows + rows, max(self.largest, rows)
        return result

    def over(self, ceiling: Ceiling) -> list[str]:
        """Return what is above a ceiling, and what is so far below that the ceiling says nothing."""
        pairs = ((name, getattr(self, name), most) for name, most in ceiling._asdict().items())
        return [f"{name}: {n:,} of {most:,}" for name, n, most in pairs if not most / 2 <= n <= most]


@contextlib.contextmanager
def counted() -> Iterator[Counter]:
    """Count everything that leaves DuckDB. Joins keep methods of their own, so it is the backend that is watched."""
    counter, execute, to_pyarrow = Counter(), Backend.execute, Backend.to_pyarrow

    def refused(*args: Any, **named: Any) -> Any:
        raise AssertionError("a notebook pulls batches, which are not counted")

    with (
        mock.patch.object(Backend, "execute", lambda *a, **n: counter.add(execute(*a, **n))),
        mock.patch.object(Backend, "to_pyarrow", lambda *a, **n: counter.add(to_pyarrow(*a, **n))),
        mock.patch.object(Backend, "to_pyarrow_batches", refused),
    ):
        yield counter
