"""What engines spell, round or store otherwise, written once so that all of them give equal results.

The one door: a lint keeps ``.hash()``, ``.round()``, ``.cache()`` and casts of conditions out of every other module
that writes expressions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

HEX = "0123456789abcdef"
# Sums of money are rounded to a millionth: the order of a floating-point sum must not split equals, nor be published.
VALUE_DECIMALS = 6
# What separates the columns of a row, and stands for what is missing: neither is in a text that people write.
SEPARATOR, NOTHING = "\x1f", "\x1e"


@ibis.udf.scalar.builtin
def md5(text: str) -> str:  # type: ignore[empty-body]
    """Hash a text as every engine does."""


@ibis.udf.scalar.builtin
def floor(value: float) -> float:  # type: ignore[empty-body]
    """Round down and stay a float; Ibis' own makes an integer, which infinity and NaN are not."""


def bucket(text: Any, count: Any) -> Any:
    """Return a number from 0 to `count` - 1 (int64) by the first 16 bits of the MD5 of a text, alike everywhere.

    The count, at most 65,536, is a number or an expression.
    """
    digits = md5(text)
    places = (ibis.literal(HEX).find(digits.substr(at, 1)) * 16 ** (3 - at) for at in range(4))
    return (sum(places) % count).cast("int64")


def rounded(value: Any, decimals: int = 0) -> Any:
    """Return a number as float64 at so many decimals, halves away from zero.

    Engines disagree: PostgreSQL takes halves of floats to the even neighbour, and Spark rounds the decimal text.
    """
    unit = 10.0**decimals
    # A cast also where Ibis sees a float: engines read constants such as 0.5 as decimals, and these overflow.
    scaled = ops.Cast(value, dt.float64).to_expr() * unit
    size = floor(scaled.abs() + 0.5)
    return (scaled < 0).ifelse(-size, size) / unit


def ones(condition: Any) -> Any:
    """Return 1 where a condition holds, 0 where it does not, null where that is not known (int64)."""
    return ibis.cases((condition, 1), (~condition, 0)).cast("int64")


def number(value: Any) -> Any:
    """Return numbers or conditions as float64."""
    return (ones(value) if value.type().is_boolean() else value).cast("float64")


def row_hash(table: ir.Table, names: Iterable[str]) -> Any:
    """Return the engine's own 64-bit hash of some columns: rows that differ may share one, so it only finds suspects.

    It is another number in another engine, and never decides what is published.
    """
    parts = [table[name].cast("string").fill_null(NOTHING) for name in names]
    return (ibis.literal(SEPARATOR).join(parts) if len(parts) > 1 else parts[0]).hash()


def stored(table: ir.Table) -> ir.Table:
    """Return a table computed once inside its engine."""
    return table.cache()
