"""What keeps people unrecognisable in anything published: pseudonyms and suppressed small cells."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.checks import check_scalar
from helpers.errors import BadData, BadParameters
from helpers.sentences import say

SALT_VARIABLE = "PLAYBOOK_SALT"
PUBLIC_SALT = "community-playbook: public, anyone can recompute these pseudonyms"
PREFIX = "p_"
HEX_DIGITS = 16
MEMBER = "member_id"
# What a text begins with that a spreadsheet may run, and the sign that is put before it.
FORMULA = tuple("=+-@\t\r\n＝＋－＠'")


def _salt(salt: str | None) -> str:
    """Return the key of the pseudonyms; it is never written anywhere."""
    return salt or os.environ.get(SALT_VARIABLE) or PUBLIC_SALT


def key() -> bytes:
    """Return the key under which an engine makes the pseudonyms of `pseudonym`."""
    return _salt(None).encode()


def salt_sentence(salt: str | None = None) -> str:
    """Return what a reader must know about the pseudonyms."""
    text = "Member ids are replaced by pseudonyms under the secret salt in {name}."
    if _salt(salt) == PUBLIC_SALT:
        text = (
            "{name} is not set: member ids are replaced by pseudonyms under a public salt, which anyone who knows an "
            "id can recompute. Set it before sharing anything outside the team."
        )
    return say(text, name=SALT_VARIABLE)


def pseudonym(identifier: str, salt: str | None = None) -> str:
    """Return the pseudonym of one id: ``p_`` and 16 hexadecimal digits."""
    return PREFIX + hmac.digest(_salt(salt).encode(), str(identifier).encode(), "sha256").hex()[:HEX_DIGITS]


def pseudonymise(ids: pd.Series, salt: str | None = None) -> pd.Series:
    """Replace ids by keyed pseudonyms.

    Parameters
    ----------
    ids : pandas.Series of str
        Member ids; missing ones stay missing.
    salt : str, optional
        Secret key; default the environment variable ``PLAYBOOK_SALT``, else a public default that
        `salt_sentence` announces.

    Returns
    -------
    pandas.Series of str
        ``p_`` and 64 bits of HMAC-SHA256 (RFC 2104) in hexadecimal, on the same index. Equal ids have
        equal pseudonyms in every table and every run with the same salt.

    Raises
    ------
    BadData
        When two different ids get the same pseudonym (for a million ids the chance is 3 in 10^8). A
        longer pseudonym for these two only would not be stable between tables, so another salt is asked for.
    """
    salt = _salt(salt)
    names = {identifier: pseudonym(identifier, salt) for identifier in ids.dropna().astype(str).unique()}
    if len(set(names.values())) < len(names):
        count = int(pd.Series(names).duplicated(keep=False).sum())
        raise BadData(
            say(
                "{count} different ids share a pseudonym; set another {name}.",
                count=count,
                name=SALT_VARIABLE,
            )
        )
    return ids.astype("object").map(lambda value: names[str(value)], na_action="ignore")


def reveal(frame: pd.DataFrame, ids: Iterable[str], salt: str | None = None) -> pd.DataFrame:
    """Replace the pseudonyms of a contact list by the ids they stand for.

    Parameters
    ----------
    frame : pandas.DataFrame
        A published list, with pseudonyms in ``member_id``.
    ids : iterable of str
        All ids that may occur, such as the ``member_id`` column of the members table.
    salt : str, optional
        The salt under which the list was made.

    Raises
    ------
    BadParameters
        When the list has no such column.
    BadData
        When pseudonyms match no id: the salt or the ids are not those of the list.
    """
    if MEMBER not in frame:
        raise BadParameters(
            say(
                "the list has no column {member}; it has {columns}.",
                member=MEMBER,
                columns=", ".join(map(str, frame.columns)),
            )
        )
    known = pd.Series(list(ids), dtype="object").dropna().drop_duplicates()
    table = dict(zip(pseudonymise(known, salt), known, strict=True))
    unmatched = ~frame[MEMBER].isin(list(table)) & frame[MEMBER].notna()
    if unmatched.any():
        is_set = say("is not set") if _salt(salt) == PUBLIC_SALT else say("is set")
        raise BadData(
            say(
                "{unmatched} of {n} pseudonyms match no id, such as {example}. Use the salt ({name} "
                "{is_set} here) and the tables that the list was made with.",
                unmatched=int(unmatched.sum()),
                n=len(frame),
                example=frame[MEMBER][unmatched].iloc[0],
                name=SALT_VARIABLE,
                is_set=is_set,
            )
        )
    return frame.assign(**{MEMBER: frame[MEMBER].map(table)})


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV in which no spreadsheet takes a text for a formula.

    A text that begins with ``= + - @`` (full-width too), a tab, a line break or an apostrophe gets an apostrophe in
    front; :func:`read_list` takes it away. Parquet holds the texts as they are.
    """
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime", "datetimetz"]).columns
    safe = {name: frame[name].astype("object").map(_no_formula) for name in texts}
    return frame.assign(**safe).to_csv(index=False, lineterminator="\n", float_format="%.10g")


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def read_list(path: Path) -> pd.DataFrame:
    """Read a published list, Parquet or CSV, whose cells then are texts.

    Raises
    ------
    BadData
        When there is none, or it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise BadData(say("the list {path} cannot be read: {error}", path=path, error=error)) from None
    return cells.map(lambda text: text.removeprefix("'"))


def suppress(
    frame: pd.DataFrame,
    count: str = "members",
    k_min: int = 10,
    measures: Sequence[str] | None = None,
    *,
    within: Sequence[str] = (),
) -> pd.DataFrame:
    """Blank out rows about fewer than `k_min` people, so that nobody can be recognised.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per cell; a partition of people into cells, whose total is or may become known.
    count : str
        Column with the number of people in a cell.
    k_min : int
        Smallest number of people that may be shown.
    measures : sequence of str, optional
        Columns to blank out besides the count; default every numeric column but those in `within`. Name
        them when numbers, such as scores, label the cells.
    within : sequence of str
        Columns that split the frame into tables with a total each, such as the rows of a matrix.

    Returns
    -------
    pandas.DataFrame
        A copy; the count is Int64, and suppressed counts and measures are missing. Zero stays: an
        empty cell is about nobody.

    Notes
    -----
    Primary suppression blanks cells with 0 < count < `k_min`. From a known total the sum of the blank
    cells follows, so a single one would be computed by subtraction, and two with one member each would
    too. Therefore (complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control)
    the smallest other non-empty cells are blanked until at least two cells with together at least
    `k_min` people are blank, or no cell is left.
    """
    check_scalar(k_min, "k_min", type_=int, ge=1)
    if count not in frame:
        raise BadParameters(
            say(
                "count == {count!r}, must be one of {columns}.",
                count=count,
                columns=", ".join(map(str, frame.columns)),
            )
        )
    if measures is None:
        numbers = frame.select_dtypes("number").columns
        measures = [name for name in numbers if name not in (count, *within)]
    sizes = frame[count].fillna(0).astype(float)
    groups = frame.groupby(list(within), dropna=False, sort=False).ngroup() if within else 0 * sizes
    each_table = sizes.groupby(groups.to_numpy())
    hidden = each_table.transform(lambda part: _hidden(part.to_numpy(), k_min)).astype(bool)
    shown = frame.copy()
    shown[count] = frame[count].astype("Int64").mask(hidden)
    for name in measures:
        whole = pd.api.types.is_integer_dtype(frame[name])
        shown[name] = (frame[name].astype("Int64") if whole else frame[name]).mask(hidden)
    return shown


def _hidden(sizes: np.ndarray, k_min: int) -> np.ndarray:
    """Return which cells of one table with a known total are blanked."""
    hidden = (sizes > 0) & (sizes < k_min)
    if not hidden.any():
        return hidden
    for position in np.argsort(sizes, kind="stable"):
        if hidden.sum() >= 2 and sizes[hidden].sum() >= k_min:
            break
        if sizes[position] > 0:
            hidden[position] = True
    return hidden
