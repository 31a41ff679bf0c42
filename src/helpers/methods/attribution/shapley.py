"""Shapley values of the game in which a set of channels wins the conversions whose channels all lie in it."""

from __future__ import annotations

from helpers.methods.attribution.heuristics import Sums
from helpers.methods.attribution.journeys import Histories


def shapley(histories: Histories) -> Sums:
    """Return Shapley values by their closed form: an equal split over the distinct channels of each conversion."""
    raise NotImplementedError
