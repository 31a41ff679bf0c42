"""Paths that come already grouped, as other tools export them, expanded to the tables of the contract."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.errors import BadData
from helpers.sentences import say
from helpers.study.frames import require_columns

DAY = pd.Timestamp("2026-06-01")


def expanded(paths: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return ``touchpoints`` and ``orders`` of grouped paths, each journey that of a member of its own.

    Touches of a path follow each other by a second, and its order comes with the last of them, on 2026-06-01. A table
    of ``members`` is there too, so that no id is unmatched.

    Parameters
    ----------
    paths : pandas.DataFrame
        path (channels with > between them), conversions, value (of all conversions of the row), nulls (journeys that
        did not convert).

    Returns
    -------
    dict of str to pandas.DataFrame
        Tables for ``Study.of``.

    Raises
    ------
    BadData
        For empty or missing paths or channels, fractional or negative counts, and value without a conversion.
    """
    require_columns(paths, ("path", "conversions", "value", "nulls"), "paths")
    path, value = paths["path"].fillna("").astype(str), paths["value"].to_numpy(float)
    counts = paths[["conversions", "nulls"]].to_numpy(float)
    steps = [[name.strip() for name in each.split(">")] for each in path]
    _refuse(paths, np.array([not all(names) for names in steps], bool), "an empty path or channel")
    whole = (counts >= 0) & (counts == np.round(counts))
    _refuse(paths, ~whole.all(axis=1), "a count of journeys that is no whole number from 0")
    _refuse(paths, ~np.isfinite(value), "a value that is missing or infinite")
    _refuse(paths, (value != 0) & (counts[:, 0] == 0), "value without a conversion")
    won = np.repeat(np.tile([True, False], len(paths)), counts.astype(int).ravel())
    row = np.repeat(np.repeat(np.arange(len(paths)), 2), counts.astype(int).ravel())
    member = pd.Series([f"m{n:09d}" for n in range(len(row))], dtype="string")
    length = np.array([len(names) for names in steps], int)[row]
    place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    touches = pd.DataFrame({
        "touch_id": [f"t{n:09d}" for n in range(len(place))],
        "member_id": member.iloc[np.repeat(np.arange(len(row)), length)].array,
        "ts": DAY + pd.to_timedelta(place, unit="s"),
        "channel": [name for n in row for name in steps[n]],
    })  # fmt: skip
    with np.errstate(invalid="ignore"):
        each = value / counts[:, 0]
    orders = pd.DataFrame({
        "order_id": member[won].str.replace("m", "o").array,
        "member_id": member[won],
        "paid_at": DAY + pd.to_timedelta(length[won] - 1, unit="s"),
        "gross": each[row[won]],
    })  # fmt: skip
    members = pd.DataFrame({"member_id": member, "joined_at": DAY})
    return {"touchpoints": touches, "orders": orders, "members": members}


def _refuse(paths: pd.DataFrame, bad: np.ndarray, what: str) -> None:
    """Refuse rows, with their number and the first of them."""
    if bad.any():
        example = paths[bad].iloc[0].to_dict()
        raise BadData(
            say(
                "paths: {bad:,} rows have {what}, such as {example}.",
                bad=bad.sum(),
                what=what,
                example=example,
            )
        )
