"""Removal effects of a Markov chain of channels, exact: what share of conversions runs through a channel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.attribution.heuristics import Sums
from helpers.methods.attribution.journeys import Histories


class Effects(NamedTuple):
    """Removal effects.

    Attributes
    ----------
    conversion : float
        Probability that a journey of the chain converts.
    conversions, value : ndarray, shape (channels,)
        Removal effects, as shares; they add up to more than 1.
    """

    conversion: float
    conversions: NDArray[np.float64]
    value: NDArray[np.float64]


def first_order(transitions: pd.DataFrame, channels: tuple[str, ...]) -> Effects:
    """Return the removal effects of order 1 from transition counts."""
    raise NotImplementedError


def markov(histories: Histories, order: int = 1) -> Sums:
    """Return the model of an order as sums over histories."""
    raise NotImplementedError


def effects(histories: Histories, order: int = 1) -> Effects:
    """Return the removal effects of an order, 1 to 3."""
    raise NotImplementedError


def choose_order(histories: Histories, seed: int = 0) -> tuple[int, pd.DataFrame]:
    """Return the order, 1 to 3, that predicts steps of members left out best, and order, loss (nats a step)."""
    raise NotImplementedError
