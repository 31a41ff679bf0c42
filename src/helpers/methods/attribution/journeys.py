"""Journeys: the touches before an order, cut after it, with what is not seen said apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.study import Study


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a journey is.

    Attributes
    ----------
    lookback_days : int
        A touch has credit for a conversion at most this many days later.
    window_days : int
        Conversions of so many days until ``as_of`` count; 0 for all. Touches before count by the lookback alone.
    conversion : str
        ``order``, ``first order``, ``repeat order``, or the name of an event such as ``follow``.
    second : {"carry", "unattributed"}
        A conversion without a touch since the one before: the last touch stands for it too, within the lookback; or
        it has no journey.
    channels : mapping of str to str
        Other names of channels; an empty one drops the channel's touches.
    collapse : {"no", "repeats", "distinct"}
        Touches of a journey that stay: all, none that repeats the channel before it, the first of each channel.
    """

    lookback_days: int = 30
    window_days: int = 0
    conversion: str = "order"
    second: str = "carry"
    channels: Mapping[str, str] = field(default_factory=dict)
    collapse: str = "no"


class Histories(NamedTuple):
    """Unique member histories as flat arrays, one row per touch, journey after journey, member after member.

    Attributes
    ----------
    members : ndarray, shape (histories,)
        Members with this history.
    history : ndarray, shape (touches,)
        Number of the history that a touch is in.
    code : ndarray, shape (touches,)
        Number of the channel.
    days : ndarray, shape (touches,)
        Days from touch to conversion; NaN without one.
    last : ndarray of bool, shape (touches,)
        Whether a touch is the last of its journey.
    converted : ndarray of bool, shape (touches,)
        Whether its journey ends with a conversion.
    value : ndarray, shape (touches,)
        Value of the conversion on the last touch of a converting journey, else 0.
    channels : tuple of str
        Names by code.
    """

    members: NDArray[np.int64]
    history: NDArray[np.int64]
    code: NDArray[np.int64]
    days: NDArray[np.float64]
    last: NDArray[np.bool_]
    converted: NDArray[np.bool_]
    value: NDArray[np.float64]
    channels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Journeys:
    """Journeys of all members, aggregated in the engine."""

    study: Study
    definition: Definition
    touches: ibis.Table = field(repr=False)

    @property
    def transitions(self) -> pd.DataFrame:
        """Counts of order 1: from (missing: the start), channel, last, converted, n, value."""
        raise NotImplementedError

    @property
    def histories(self) -> Histories:
        """Unique member histories."""
        raise NotImplementedError

    @property
    def conversions(self) -> pd.DataFrame:
        """One row: conversions and value, of them unattributed (no touch in the lookback) and carried."""
        raise NotImplementedError


def journeys(study: Study, definition: Definition | None = None) -> Journeys:
    """Return the journeys of the tables ``touchpoints`` and ``orders``."""
    raise NotImplementedError
