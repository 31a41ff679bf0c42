"""One vocabulary of argument checks, with uniform messages.

Every message names the argument and the value it got and says what would have been right:
``confidence == 95, must be < 1.``
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Collection, Iterable
from typing import Any

from helpers.errors import BadParameters

LONGEST_TEXT = 10_000
"""Characters that a text in a parameter or a plan may have."""
MOST_VALUES = 100_000
DEEPEST = 20


def check_scalar(
    value: Any,
    name: str,
    *,
    type_: type | tuple[type, ...] | None = None,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    in_: Collection[Any] | None = None,
) -> Any:
    """Return `value` when it satisfies every given bound.

    Parameters
    ----------
    value : object
        The argument to check.
    name : str
        The name to use in the message.
    type_ : type or tuple of types, optional
        Accepted types. ``bool`` is not accepted where a number is asked for.
    gt, ge, lt, le : float, optional
        Exclusive and inclusive bounds.
    in_ : collection, optional
        Accepted values.

    Raises
    ------
    TypeError
        When the type is wrong.
    ValueError
        When a bound or the list of accepted values is violated.
    """
    if type_ is not None:
        types = type_ if isinstance(type_, tuple) else (type_,)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = " or ".join(t.__name__ for t in types)
            raise TypeError(f"{name} == {value!r} is a {type(value).__name__}, must be a {wanted}.")
    bounds = (
        (gt, ">", operator.gt),
        (ge, ">=", operator.ge),
        (lt, "<", operator.lt),
        (le, "<=", operator.le),
    )
    for bound, sign, holds in bounds:
        if bound is not None and not holds(value, bound):
            raise ValueError(f"{name} == {value!r}, must be {sign} {bound}.")
    if in_ is not None and value not in in_:
        raise ValueError(f"{name} == {value!r}, must be one of {', '.join(map(repr, in_))}.")
    return value


def checked(value: Any, name: str, **bounds: Any) -> Any:
    """Return `value` when it satisfies the bounds of :func:`check_scalar`.

    Raises
    ------
    BadParameters
        When the type is wrong or a bound is violated.
    """
    try:
        return check_scalar(value, name, **bounds)
    except (TypeError, ValueError) as error:
        raise BadParameters(str(error)) from None


def check_confidence(value: float, name: str = "confidence") -> float:
    """Return a confidence level strictly between 0 and 1."""
    return float(check_scalar(value, name, type_=(int, float), gt=0, lt=1))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``' Did you mean "x"?'`` for the nearest choice, or an empty string."""
    near = difflib.get_close_matches(word, [str(c) for c in choices], n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


def yaml_excess(text: str) -> tuple[str, Any] | None:
    """Say what in a YAML text is small to write and large to read, and its mark; None when there is no such thing.

    Raises
    ------
    yaml.YAMLError
        When it is no YAML.
    """
    import yaml

    named: dict[str | None, tuple[int, int]] = {}  # anchor: number of values and depth
    above: list[tuple[str | None, int, int]] = [(None, 0, 0)]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        count, depth = 1, 0
        if isinstance(event, yaml.CollectionStartEvent):
            above.append((event.anchor, 1, 0))
            count = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count, depth = above.pop()
            named[anchor] = count, depth
        elif isinstance(event, yaml.AliasEvent):
            count, depth = named.get(event.anchor, (1, 0))
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        elif len(event.value) > LONGEST_TEXT:
            return f"holds more than {LONGEST_TEXT:,} characters", event.start_mark
        anchor, values, deepest = above[-1]
        above[-1] = anchor, values + count, max(deepest, depth + 1)
        if above[-1][1] > MOST_VALUES:
            return f"makes more than {MOST_VALUES:,} values, aliases written out", event.start_mark
        if len(above) + above[-1][2] > DEEPEST + 2:
            return f"is nested deeper than {DEEPEST} levels", event.start_mark
    return None
