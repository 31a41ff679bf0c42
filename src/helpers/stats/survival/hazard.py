"""In which part of their tenure members leave fastest: exits over member-days, with exact intervals.

A member-day is one member on one tenure day on which leaving would have been seen, so whoever comes under observation
late brings no day before that. A part of one day is a step of the Nelson–Aalen curve, and a longer one the mean of
its steps, weighted by who was at risk. Intervals are exact for a Poisson count.

Which part has the highest hazard is decided by the exact conditional test of two Poisson rates (Przyborowski and
Wilenski 1940): given the exits of two parts together, those of the one are binomial. The highest part is clear when
it is above every other one at a level divided by their number, so that the error of naming a wrong one stays below
``1 - confidence`` although it was picked by its rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from helpers.stats.estimate import garwood
from helpers.stats.survival.cells import day_counts
from helpers.study import enough

FloatArray = NDArray[np.float64]


def hazard_by_part(
    cells: pd.DataFrame, parts: Sequence[int], confidence: float = 0.95
) -> tuple[pd.DataFrame, float]:
    """Return the hazard of leaving in parts of tenure, and whether the highest is clear.

    Parameters
    ----------
    cells : pandas.DataFrame
        As made by :func:`helpers.stats.survival.cells.cells`; segments are added up.
    parts : sequence of int
        First tenure day of each part, rising; the last part has no end.
    confidence : float
        Level of the intervals, each of which holds alone.

    Returns
    -------
    table : pandas.DataFrame
        One row per part: first, members (watched on some day of it), exits, member_days (int), hazard, low, high
        (exits per member-day; missing where nobody was watched).
    p_value : float
        That the highest part is not above each of the others, corrected for their number; missing with fewer than
        two parts in which enough members were watched, or without an exit.
    """
    counts = day_counts(cells)
    at_risk, gone = (values.sum(axis=0) for values in (counts.at_risk, counts.events + counts.censored))
    events = counts.events.sum(axis=0)
    # Whoever is at risk today and was not among those of yesterday who stayed has come under observation today.
    entered = at_risk - np.append(0, (at_risk - gone)[:-1])
    rows = []
    for first, after in zip(parts, [*parts[1:], None], strict=True):
        days = slice(first, after)
        watched = at_risk[days][:1].sum() + entered[days][1:].sum()
        rows.append((first, watched, events[days].sum(), at_risk[days].sum()))
    table = pd.DataFrame(rows, columns=["first", "members", "exits", "member_days"]).astype("int64")
    exits, member_days = (table[name].to_numpy(float) for name in ("exits", "member_days"))
    low, high = garwood(exits, member_days, confidence)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = table.assign(hazard=exits / member_days, low=low, high=high)
    compared = table["members"].to_numpy() >= enough.MEMBERS_OF_A_PART
    return table, _p_value(exits[compared], member_days[compared])


def _p_value(exits: FloatArray, days: FloatArray) -> float:
    """Return the corrected p-value of the highest rate not being above all others."""
    if exits.size < 2 or not exits.sum():
        return np.nan
    top = int(np.argmax(exits / days))
    others = np.delete(np.arange(exits.size), top)
    share = days[top] / (days[top] + days[others])
    alone = stats.binom.sf(exits[top] - 1, exits[top] + exits[others], share)
    return float(min(1.0, alone.max() * others.size))
