"""Tables for people: a caption, header scopes, sensible digits; readable without a style sheet."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helpers.sentences import number, quantity, say, word

Formatter = Callable[[Any], str]
MISSING = "–"
CODES = frozenset({"table", "report"})
"""Columns of names that are the same in every language."""
ALIGNED = 16  # the style sheet sets numbers to the right by column, up to this one
_PLACES = (f"table.n{place} :is(td, th):nth-child({place})" for place in range(2, ALIGNED + 1))
LAB_STYLE = (
    "<style>.jp-RenderedHTMLCommon :is(td, th, caption) {text-align: left} "
    f".jp-RenderedHTMLCommon :is({', '.join(_PLACES)}) {{text-align: right; white-space: nowrap}}</style>"
)
"""JupyterLab sets every cell to the right and breaks dates; a page has a style sheet of its own."""


@dataclass(frozen=True)
class Table:
    """A table as a reader gets it.

    Attributes
    ----------
    name : str
        Lower-case name of its file, unique in a run.
    frame : pandas.DataFrame
        One row per unit; the first column names the row.
    caption : str
        What it shows, with its denominator.
    units : mapping
        Column to unit, as :func:`html_table` takes it.
    note : str
        A line under the table.
    members : str
        Column with the number of members that a row is about: rows about too few lose their numbers before anybody
        sees them. Empty: the rows are not about groups of members.
    hide : sequence of str, optional
        The columns such a row loses besides; default every number.
    within : sequence of str
        Columns that split the frame into tables with a total each.
    """

    name: str
    frame: pd.DataFrame
    caption: str
    units: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    members: str = ""
    hide: Sequence[str] | None = None
    within: Sequence[str] = ()


def html_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    units: Mapping[str, str] | None = None,
    limit: int = 60,
) -> str:
    """Return an accessible HTML table.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per unit; the first column names the row.
    caption : str
        What the table shows, with its denominator.
    units : mapping, optional
        Column to unit: ``"share"`` prints as per cent, a currency code as money, ``"score"`` (of a forecast) with
        three digits behind the point, anything else as a number.
    limit : int
        Rows shown; a longer table says how many it leaves out.
    """
    if not caption.strip():
        raise ValueError("caption == '', must say what the table shows.")
    units, shown = units or {}, frame.head(limit)
    formats = [_formatter(frame[column], units.get(str(column), "")) for column in frame.columns]
    names = (html.escape(heading(column)) for column in frame.columns)
    headings = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(_row(record, formats) for record in shown.itertuples(index=False, name=None))
    rest = (
        " " + say("First {limit} of {all:,d} rows.", limit=limit, all=len(frame))
        if len(frame) > limit
        else ""
    )
    return (
        f"<table{_numbers(frame)}><caption>{html.escape(caption + rest)}</caption><thead><tr>{headings}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _row(record: tuple[Any, ...], formats: Sequence[Formatter]) -> str:
    first, *rest = (html.escape(show(value)) for show, value in zip(formats, record, strict=True))
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in rest)}</tr>'


def _numbers(frame: pd.DataFrame) -> str:
    """Return the classes that name the columns of numbers and dates, once for the table, not in every cell."""
    columns = enumerate(frame.columns[1:ALIGNED], 2)
    names = [f"n{place}" for place, column in columns if _is_number(frame[column]) or _is_date(frame[column])]
    return f' class="{" ".join(names)}"' if names else ""


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _is_date(column: pd.Series) -> bool:
    known = column.dropna().astype(str)
    return len(known) > 0 and bool(known.str.fullmatch(r"\d{4}-\d\d(-\d\d)?").all())


def heading(column: Any) -> str:
    """Return a column name as a heading: ``value_low -> 'value low'``."""
    text = str(column).replace("_", " ")
    counted = re.fullmatch(r"(\D+ )(\d+)", text)
    if counted:
        return say(f"{counted[1]}{{n}}", n=counted[2])
    own = f"column {text}"  # what a catalogue says where the word means something else elsewhere
    return word(own) if word(own) != own else word(text)


def _formatter(column: pd.Series, unit: str) -> Formatter:
    words = _words(column, unit)
    return lambda value: MISSING if pd.api.types.is_scalar(value) and pd.isna(value) else words(value)


def _words(column: pd.Series, unit: str) -> Formatter:
    """Return how a value that is there is written."""
    if unit == "share" or (len(unit) == 3 and unit.isupper()):
        return lambda value: quantity(value, unit, exact=True)
    if unit == "score":
        return lambda value: number(value, 3)
    if pd.api.types.is_bool_dtype(column):
        return lambda value: say("yes") if value else say("no")
    if pd.api.types.is_integer_dtype(column):
        return lambda value: f"{int(value):,}"
    if column.name in CODES:
        return str
    return number if pd.api.types.is_numeric_dtype(column) else lambda value: word(str(value))
