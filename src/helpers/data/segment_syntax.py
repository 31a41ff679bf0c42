"""The language of segments: reading an expression, without the query engine.

The language is a small part of Python's: comparisons, ``in`` and ``not in``, ``and``, ``or``, ``not``,
parentheses, names of columns, and literals. It is parsed, never evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from helpers.errors import BadParameters

COMPARE: Mapping[type[ast.cmpop], Any] = {
    ast.Eq: eq,
    ast.NotEq: ne,
    ast.Lt: lt,
    ast.LtE: le,
    ast.Gt: gt,
    ast.GtE: ge,
}
WORDS = {"true": True, "false": False}
HINT = 'Write it like platform == "douyin" and age_band in ["18-24", "25-34"].'


def parse_syntax(expression: str | None) -> tuple[str, tuple[str, ...], ast.expr | None]:
    """Return an expression's text, the columns it names, and its tree; None for no filter.

    Raises
    ------
    BadParameters
        When the expression is not in the language.
    """
    text = (expression or "").strip()
    if not text:
        return "", (), None
    names: dict[str, None] = {}
    try:
        tree = ast.parse(text, mode="eval").body
        _validate(tree, text, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        quotes = " Use plain quotes, \"…\" or '…'." if re.search("[“”‘’「」＂]", text) else ""
        single = " Equality is ==." if re.search(r"(?<![=!<>])=(?!=)", text) else ""
        reason = getattr(error, "msg", None) or "it cannot be read"
        raise BadParameters(f"segment == {text!r}: {reason}.{quotes}{single} {HINT}") from None
    return text, tuple(names), tree


def _validate(node: ast.expr, text: str, names: dict[str, None]) -> None:
    """Refuse everything outside the language, and collect the names of columns."""
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _validate(value, text, names)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _validate(node.operand, text, names)
    elif isinstance(node, ast.Compare):
        _validate_comparison(node, text, names)
    elif isinstance(node, ast.Name):
        if node.id not in WORDS:
            names[node.id] = None
    elif not (isinstance(node, ast.Constant) and isinstance(node.value, bool)):
        _refuse(node, text)


def _validate_comparison(node: ast.Compare, text: str, names: dict[str, None]) -> None:
    sides = [node.left, *node.comparators]
    for operator, right in zip(node.ops, node.comparators, strict=True):
        listed = isinstance(right, ast.List | ast.Tuple | ast.Set)
        if isinstance(operator, ast.In | ast.NotIn) != listed or type(operator) not in (
            *COMPARE,
            ast.In,
            ast.NotIn,
        ):
            _refuse(node, text)
    for side in sides:
        for part in side.elts if isinstance(side, ast.List | ast.Tuple | ast.Set) else [side]:
            if isinstance(part, ast.Name) and part is side:
                if part.id not in WORDS:
                    names[part.id] = None
            elif literal(part) is None:
                _refuse(part, text)
    if isinstance(sides[0], ast.List | ast.Tuple | ast.Set) or not any(
        isinstance(side, ast.Name) and side.id not in WORDS for side in sides
    ):
        _refuse(node, text)


def _refuse(node: ast.AST, text: str) -> None:
    part = ast.get_source_segment(text, node) or text
    bits = " Use and, or, not instead of &, |, ~." if re.search("[&|~]", text) else ""
    raise BadParameters(f"segment == {text!r}: {part!r} is not understood.{bits} {HINT}")


def literal(node: ast.expr) -> Any:
    """Return a string, number or boolean; None for anything else."""
    if isinstance(node, ast.Name):
        return WORDS.get(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = literal(node.operand)
        return None if value is None or isinstance(value, str | bool) else -value
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bool | int | float):
        return node.value
    return None
