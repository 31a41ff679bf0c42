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
from helpers.sentences import Verbatim, in_chinese, say

# Characters of a parameter, or of a value in a file that people write.
LONGEST_TEXT = 10_000
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def check_scalar(
    value: Any,
    name: str,
    *,
    type_: type | tuple[type, ...] | None = None,
    in_: Collection[Any] | None = None,
    **bounds: float,
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
    in_ : collection, optional
        Accepted values.
    **bounds : float
        Exclusive and inclusive bounds: any of ``gt``, ``ge``, ``lt`` and ``le``.

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
            raise TypeError(
                say(
                    "{name} == {value!r} is a {kind}, must be a {wanted}.",
                    name=name,
                    value=value,
                    kind=type(value).__name__,
                    wanted=wanted,
                )
            )
    for comparison, bound in bounds.items():
        if not getattr(operator, comparison)(value, bound):
            raise ValueError(
                say(
                    "{name} == {value!r}, must be {sign} {bound}.",
                    name=name,
                    value=value,
                    sign=SIGNS[comparison],
                    bound=bound,
                )
            )
    if in_ is not None and value not in in_:
        raise ValueError(
            say(
                "{name} == {value!r}, must be one of {known}.",
                name=name,
                value=value,
                known=", ".join(map(repr, in_)),
            )
        )
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


def check_confidence(value: float) -> float:
    """Return a confidence level strictly between 0 and 1."""
    return float(check_scalar(value, "confidence", type_=(int, float), gt=0, lt=1))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``' Did you mean "x"?'`` for the nearest choice, or an empty string."""
    near = difflib.get_close_matches(word, [str(c) for c in choices], n=1, cutoff=0.6)
    if not near:
        return ""
    said = say('Did you mean "{near}"?', near=Verbatim(near[0]))
    return said if in_chinese() else f" {said}"
