"""Thin data: the elasticity of the outcome to all spend, by ridge regression of logarithms, with its interval."""

from __future__ import annotations

from helpers.methods.budget.weekly import Weekly
from helpers.stats.estimate import Estimate


def elasticity(weekly: Weekly, confidence: float = 0.9) -> Estimate:
    """Return by how many per cent the outcome rises when all spend rises by one per cent."""
    raise NotImplementedError
