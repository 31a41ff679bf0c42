"""What may be said at all: enough data for models, and what of touches and members is not seen."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from helpers.methods.attribution.journeys import Journeys

CONVERSIONS_OF_A_MODEL = 200
TOUCHES_OF_A_MODEL = 2_000


class Gates(NamedTuple):
    """What is seen.

    Attributes
    ----------
    conversions, unattributed, carried : int
        Conversions; those without a touch in the lookback; those the touch of the one before stands for.
    touches, tied, untagged, open : int
        Touches; those at the same instant as another of the member; those without a channel name; those so late that
        their lookback is not over on the last day.
    match : pandas.DataFrame
        One row per platform: platform, touches, matched, share (of touches whose id is a member's or a buyer's).
    """

    conversions: int
    unattributed: int
    carried: int
    touches: int
    tied: int
    untagged: int
    open: int
    match: pd.DataFrame

    @property
    def enough(self) -> bool:
        """Whether Markov, Shapley and increments may be shown, or only rules."""
        return self.conversions >= CONVERSIONS_OF_A_MODEL and self.touches >= TOUCHES_OF_A_MODEL


def gates(journeys: Journeys) -> Gates:
    """Return what is seen of the journeys and what is not."""
    raise NotImplementedError


def bounds(journeys: Journeys, credit: pd.Series) -> pd.DataFrame:
    """Return node, conversions, low, high: credit if unmatched people buy not at all, or as matched ones do."""
    raise NotImplementedError
