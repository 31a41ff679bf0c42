"""Cutting what was drawn for whole months down to the time a member was really there."""

from __future__ import annotations

import numpy as np

from helpers.simulate.calendar import DAY
from helpers.simulate.members import Members


def fit_presence(members: Members, member: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit drawn times to each member's stay.

    Times on the day of joining are squeezed into what is left of that day, so that a member who joins on the
    first day of a month counts as present throughout it; times on earlier days or after leaving are dropped.

    Parameters
    ----------
    members : Members
        The block.
    member : numpy.ndarray
        Row in the block of each time.
    seconds : numpy.ndarray
        Times in seconds since the window's epoch.

    Returns
    -------
    seconds, keep : numpy.ndarray
        The fitted times, same length, and whether each is kept.
    """
    joined, left = members.joined[member], members.left[member]
    midnight = joined - joined % DAY
    same_day = np.flatnonzero((seconds >= midnight) & (seconds < midnight + DAY))
    fitted = seconds.copy()
    into_day, from_ = seconds[same_day] - midnight[same_day], joined[same_day]
    remaining = midnight[same_day] + DAY - from_
    fitted[same_day] = from_ + into_day * remaining // DAY
    return fitted, (fitted >= joined) & (fitted <= left)
