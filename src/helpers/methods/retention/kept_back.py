"""Which rows of a table of groups by windows may not be shown.

Windows count nearly the same members, so a number that is blanked in one window is read off the next. A row is
therefore shown in all windows or in none. When the hidden rows of a window could be solved for from a total, because
there is only one or because they hold fewer than `k_min` members together, the smallest other row is hidden as well
(complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control), once for all windows. Totals are
taken to be known over all rows, and with several keys also over the rows that share any one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_scalar


def rows_kept_back(
    cells: pd.DataFrame, keys: Sequence[str], window: str, count: str, k_min: int
) -> pd.DataFrame:
    """Return the rows, as a frame of their keys, that are to be kept back.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per group and window.
    keys : sequence of str
        Columns that name a group; without any there is one group, and it is nobody's part.
    window, count : str
        Columns of the window and of the number of members in the cell.
    k_min : int
        Smallest number of members that may be shown; an empty cell is about nobody.
    """
    check_scalar(k_min, "k_min", type_=int, ge=1)
    names = list(keys)
    if not names or cells.empty:
        small = bool(((cells[count] > 0) & (cells[count] < k_min)).any())
        return pd.DataFrame(index=range(1 if small else 0), columns=names)
    square = cells.set_index([*names, window])[count].unstack(window).fillna(0)
    groups, sizes = square.index.to_frame(index=False)[names], square.to_numpy(float)
    hidden = np.asarray(((sizes > 0) & (sizes < k_min)).any(axis=1))
    while (extra := _next(sizes, hidden, groups, k_min)) is not None:
        hidden[extra] = True
    return groups.loc[hidden, names].reset_index(drop=True)


def _next(
    sizes: NDArray[np.float64], hidden: NDArray[np.bool_], groups: pd.DataFrame, k_min: int
) -> int | None:
    """Return the next row to hide because a hidden one could be solved for; None when none could."""
    for rows in _margins(groups):
        for column in sizes.T:
            blank = rows & hidden & (column > 0)
            if not blank.any() or (blank.sum() >= 2 and column[blank].sum() >= k_min):
                continue
            others = np.flatnonzero(rows & ~hidden & (column > 0))
            if others.size:
                return int(others[np.argmin(sizes[others].max(axis=1))])
    return None


def _margins(groups: pd.DataFrame) -> Iterator[NDArray[np.bool_]]:
    """Yield the rows that add up to a total that may be known."""
    yield np.ones(len(groups), dtype=bool)
    if groups.shape[1] > 1:
        for name in groups:
            for value in groups[name].unique():
                yield (groups[name] == value).to_numpy()
