"""Credit with intervals: members are resampled with all their journeys.

A member's journeys are alike, so members are drawn and not journeys. Each member of the resample counts Poisson(1)
times (Chamandy et al. 2012), members with the same history together. Where paths are those of a sample, credit adds
up to what all converted, and the intervals are as wide as the sample makes them. An interval is about the credit that
this model would give in all communities like this one: it says how well the credit is measured, not whether it is
deserved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.errors import BadParameters
from helpers.methods.attribution.heuristics import HALF_LIFE_DAYS, RULES, FloatArray, Sums, rules
from helpers.methods.attribution.histories import Histories
from helpers.methods.attribution.journeys import Journeys
from helpers.methods.attribution.markov import choose_order, effects, markov
from helpers.methods.attribution.shapley import shapley
from helpers.sentences import say

MODELS = (*RULES, "markov", "shapley")
TOP = 3
CHUNK_NUMBERS = 8_000_000  # weights held at once, 64 MB


@dataclass(frozen=True, eq=False)
class Credit:
    """Credit of channels by model.

    Attributes
    ----------
    channels : tuple of str
        In the order of the last axis of `draws`.
    table : pandas.DataFrame
        model, level (``channel``), node, conversions, low, high, value, value_low, value_high, p_top3 (share of
        resamples in which the channel is among the three with most conversions), n (conversions it touched).
    draws : dict of str to ndarray, shape (draws, 2, channels)
        Conversions and value in each resample, by model.
    effects : pandas.DataFrame
        node, removal, removal_value: removal effects of the chain, which add up to more than 1.
    order : int
        Order of the chain.
    orders : pandas.DataFrame
        order, loss: how well each order predicts members left out; empty where the order was given.
    """

    channels: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    draws: Mapping[str, FloatArray] = field(repr=False)
    effects: pd.DataFrame = field(repr=False)
    order: int
    orders: pd.DataFrame = field(repr=False)

    def undecided(self, model: str, confidence: float = 0.95) -> list[tuple[str, str]]:
        """Return neighbours in the ranking that are not to be reordered: too many resamples turn them round."""
        ranked = self.table[self.table["model"] == model].sort_values("conversions", ascending=False)["node"]
        drawn = pd.DataFrame(self.draws[model][:, 0], columns=list(self.channels))
        return [(a, b) for a, b in pairwise(ranked) if (drawn[a] > drawn[b]).mean() < confidence]


def credit(
    journeys: Journeys,
    models: Sequence[str] = MODELS,
    order: int | None = None,
    half_life_days: float = HALF_LIFE_DAYS,
) -> Credit:
    """Return the credit of each channel by each model, with intervals.

    Parameters
    ----------
    journeys : Journeys
        Of members.
    models : sequence of str
        Some of `MODELS`.
    order : int, optional
        Order of the Markov chain; by default the one that best predicts members left out.
    half_life_days : float
        Of the rule ``decay``.
    """
    if unknown := set(models) - set(MODELS):
        raise BadParameters(
            say(
                "models names {unknown}; there are {models}.",
                unknown=", ".join(sorted(unknown)),
                models=", ".join(MODELS),
            )
        )
    histories, study = journeys.histories, journeys.study
    orders = pd.DataFrame({"order": [], "loss": []})
    if order is None:
        order, orders = choose_order(histories, study.seed) if "markov" in models else (1, orders)
    of_rules = rules(histories, half_life_days)
    named = {name: of_rules[name] for name in models if name in of_rules}
    named |= {"markov": markov(histories, order)} if "markov" in models else {}
    named |= {"shapley": shapley(histories)} if "shapley" in models else {}
    weight = journeys.weight[:, None]
    drawn = resampled(histories, named, study.draws, study.seed)
    drawn = {name: weight * each for name, each in drawn.items()}
    touched = journeys.touched["n"].reindex(histories.channels, fill_value=0).to_numpy()
    tables = [
        _table(name, histories.channels, weight * sums.of(histories.members), drawn[name], study.confidence)
        for name, sums in named.items()
    ]
    removal = effects(histories, order) if "markov" in models else None
    found = pd.DataFrame({"node": histories.channels})
    if removal is not None:
        found = found.assign(removal=removal.conversions, removal_value=removal.value)
    table = pd.concat([each.assign(n=touched) for each in tables], ignore_index=True)
    return Credit(histories.channels, table, drawn, found, order, orders)


def _table(
    model: str, channels: tuple[str, ...], found: FloatArray, drawn: FloatArray, confidence: float
) -> pd.DataFrame:
    """Return the credit of one model with percentile intervals of its resamples."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    rank = (-drawn[:, 0]).argsort(axis=1).argsort(axis=1)
    table = {
        "model": model, "level": "channel", "node": channels,
        "conversions": found[0], "low": np.minimum(low[0], found[0]), "high": np.maximum(high[0], found[0]),
        "value": found[1], "value_low": np.minimum(low[1], found[1]), "value_high": np.maximum(high[1], found[1]),
        "p_top3": (rank < TOP).mean(axis=0),
    }  # fmt: skip
    return pd.DataFrame(table)


def resampled(
    histories: Histories, models: Mapping[str, Sums], draws: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return credit in Poisson resamples of members, shape (draws, 2, channels), by model."""
    rng, size = np.random.default_rng(seed), len(histories.members)
    found: dict[str, list[FloatArray]] = {name: [] for name in models}
    members = histories.members.astype(float)
    chunk = max(1, CHUNK_NUMBERS // max(size, 1))
    for done in range(0, draws, chunk):
        weights = rng.poisson(members, (min(chunk, draws - done), size)).T.astype(float)
        for name, model in models.items():
            found[name] += [model.credit(sums) for sums in (model.per_history.T @ weights).T]
    return {name: np.array(each) for name, each in found.items()}
