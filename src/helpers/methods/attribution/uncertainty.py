"""Credit with intervals: members are resampled with all their journeys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.methods.attribution.heuristics import Sums
from helpers.methods.attribution.journeys import Histories, Journeys

MODELS = (
    "first",
    "last",
    "last_non_direct",
    "linear",
    "position",
    "decay",
    "influenced",
    "markov",
    "shapley",
)


@dataclass(frozen=True, eq=False)
class Credit:
    """Credit of channels by model.

    Attributes
    ----------
    table : pandas.DataFrame
        model, level (``channel``), node, conversions, low, high, value, value_low, value_high, p_top3 (share of
        resamples in which the channel is among the three with most), n (conversions it touched).
    draws : dict of str to ndarray, shape (draws, 2, channels)
        Conversions and value in each resample, by model.
    effects : pandas.DataFrame
        node, removal (raw removal effect of conversions), removal_value.
    order : int
        Order of the Markov chain.
    orders : pandas.DataFrame
        order, loss: how orders predicted members left out.
    """

    channels: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    draws: Mapping[str, NDArray[np.float64]] = field(repr=False)
    effects: pd.DataFrame = field(repr=False)
    order: int
    orders: pd.DataFrame = field(repr=False)

    def undecided(self, model: str, confidence: float) -> list[tuple[str, str]]:
        """Return neighbours in the ranking that must not be reordered: too many resamples turn them round."""
        raise NotImplementedError


def credit(
    journeys: Journeys, models: Sequence[str] = MODELS, order: int | None = None, half_life_days: float = 7.0
) -> Credit:
    """Return the credit of each channel by each model; `order` None is chosen out of sample."""
    raise NotImplementedError


def resampled(
    histories: Histories, models: Mapping[str, Sums], draws: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return credit in Poisson resamples of members, shape (draws, 2, channels), by model."""
    raise NotImplementedError
