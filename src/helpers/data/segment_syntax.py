"""The language of segments: reading an expression, without the query engine.

The language is a small part of Python's: comparisons, ``in`` and ``not in``, ``and``, ``or``, ``not``,
parentheses, names of columns, and literals. It is parsed, never evaluated.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from helpers.checks import did_you_mean
from helpers.data.tables import TABLES
from helpers.errors import BadParameters
from helpers.sentences import Verbatim, in_chinese, say

COMPARE: dict[Any, Any] = {ast.Eq: eq, ast.NotEq: ne, ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge}
MEMBER = (ast.In, ast.NotIn)
LISTS = (ast.List, ast.Tuple, ast.Set)
WORDS = {"true": True, "false": False}
HINT = 'Write it like platform_home == "douyin" and age_band in ["18-24", "25-34"].'


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
    try:
        tree = ast.parse(text, mode="eval").body
        return text, tuple(dict.fromkeys(_names(tree))), tree
    except _NotUnderstood as error:
        part = ast.get_source_segment(text, error.node) or text
        reason = "{part!r} is not understood."
        reason += "\nUse and, or, not instead of &, |, ~." if re.search("[&|~]", text) else ""
        reason = say(reason, part=part)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = "{error}."
        reason += "\nUse plain quotes, \"…\" or '…'." if re.search("[“”‘’「」＂]", text) else ""
        reason += "\nEquality is ==." if re.search(r"(?<![=!<>])=(?!=)", text) else ""
        said = "" if in_chinese() else getattr(error, "msg", "")  # the parser speaks English
        reason = say(reason, error=said or say("it cannot be read"))
    raise BadParameters(
        say("segment == {text!r}: {reason} {hint}", text=text, reason=reason, hint=Verbatim(say(HINT)))
    )


def refuse_personal(names: Iterable[str]) -> None:
    """Refuse columns that point at one person: pseudonymous ids, and keys of what one person did.

    Raises
    ------
    BadParameters
        With the name of the first such column.
    """
    for name in names:
        for table in TABLES.values():
            of_people = any(column.privacy == "P1" for column in table.columns)
            if name in table and (table[name].privacy == "P1" or (of_people and table.key == (name,))):
                advice = "a report is about groups; name a property of theirs, such as platform_home."
                raise BadParameters(say("{name} points at one person: {advice}", name=name, advice=advice))


def check_columns(names: Collection[str], tables: Mapping[str, Collection[str]]) -> None:
    """Refuse a segment that no table can be filtered by.

    Parameters
    ----------
    names : collection of str
        Columns that the segment speaks of.
    tables : mapping of str to collection of str
        Columns of each table.

    Raises
    ------
    BadParameters
        When a column is in no table, or no table has all of them, by its members or itself.
    """
    available = sorted({column for columns in tables.values() for column in columns})
    for name in names:
        if name not in available:
            hint = did_you_mean(name, available)
            raise BadParameters(
                say(
                    "segment names the column {name!r}.{hint} Columns: {available}.",
                    name=name,
                    hint=hint,
                    available=", ".join(available),
                )
            )
    if not any(applies(names, columns, tables.get("members", ())) for columns in tables.values()):
        raise BadParameters(
            say("segment: no table has all of {names}, so nothing can be filtered.", names=", ".join(names))
        )


def applies(names: Collection[str], columns: Collection[str], members: Collection[str]) -> bool:
    """Whether a table can be filtered by columns: it has them, or takes those it lacks from its members."""
    lacking = set(names) - set(columns)
    return not lacking or ("member_id" in columns and lacking <= set(members))


class _NotUnderstood(Exception):
    """A part of an expression is outside the language."""

    def __init__(self, node: ast.expr) -> None:
        self.node = node


def _names(node: ast.expr) -> Iterator[str]:
    """Yield the names of columns in something that is true or false; refuse what is outside the language."""
    match node:
        case ast.BoolOp():
            for value in node.values:
                yield from _names(value)
        case ast.UnaryOp(op=ast.Not()):
            yield from _names(node.operand)
        case ast.Compare():
            yield from _compared(node)
        case ast.Name():
            yield from () if node.id in WORDS else (node.id,)
        case ast.Constant(value=bool()):
            pass
        case _:
            raise _NotUnderstood(node)


def _compared(node: ast.Compare) -> list[str]:
    """Return the names of columns in a comparison, which has one at least; only in and not in take a list."""
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if type(operator) not in (COMPARE, MEMBER)[isinstance(right, LISTS)]:
            raise _NotUnderstood(node)
    sides = [node.left, *node.comparators]
    columns = [side.id for side in sides if isinstance(side, ast.Name) and side.id not in WORDS]
    for side in sides:
        for part in side.elts if isinstance(side, LISTS) else [side]:
            if literal(part) is None and not (part is side and isinstance(part, ast.Name)):
                raise _NotUnderstood(part)
    if isinstance(node.left, LISTS) or not columns:
        raise _NotUnderstood(node)
    return columns


def literal(node: ast.expr) -> Any:
    """Return a string, number or boolean; None for anything else."""
    match node:
        case ast.Name():
            return WORDS.get(node.id)
        case ast.UnaryOp(op=ast.USub()):
            value = literal(node.operand)
            return None if value is None or isinstance(value, str | bool) else -value
        case ast.Constant(value=str() | bool() | int() | float()):
            return node.value
    return None
