"""Forecast of next period's tier sizes, with bands, and its backtest.

Method
------
Every member of the last period moves by the row of their tier, estimated from past moves; leaving is one of
the destinations, and members who joined during the last period move by the row of past newcomers. The bands
come from simulation: for each row a Dirichlet posterior for what is not known about its shares (prior 1/k
for k destinations after Perks 1947, the weight of one move in all), then a multinomial for chance. When the
rows differ between past periods by more than chance, the excess (the correlation within periods of Brier's
1980 Dirichlet-multinomial, by moments) widens the bands: next period's row is then itself a draw around the
average row.

The point forecast is the plain Markov step, sizes times shares. Measured over 240 simulated communities of
300 to 500 members: 92 % of 3,840 tier sizes fell inside their 90 % band (bands end at whole numbers), and the
mean error was 5.6 members against 7.5 of "same as last period".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence, check_scalar
from helpers.methods.rfm.periods import JOINED, LEFT, TierHistory
from helpers.sentences import number, percent, say
from helpers.stats.estimate import Estimate, unknown, wilson

Counts = NDArray[np.float64]
DRAWS = 4_000
FEWEST_BACKTESTS = 3


@dataclass(frozen=True)
class Forecast:
    """Tier sizes expected in the next period.

    Attributes
    ----------
    labels : tuple of str
        Tiers from lowest to highest.
    sizes : pandas.DataFrame
        tier, last (members now), expected, low, high, change (expected - last), known (the tier's own moves
        have been seen). NaN when there is too little data.
    after : str
        Last period used; the forecast is for the one after it.
    pairs : int
        Pairs of periods the rows were estimated from.
    moves : int
        Moves they rest on.
    joiners : int
        Members who joined during the last period and enter the forecast.
    expected_joiners, expected_leavers : float
        Of the joiners, those expected to stay; of all, those expected to leave.
    variation : float
        Correlation within periods beyond chance, 0 when none is seen; NaN with one pair, where it cannot be.
    confidence : float
        Level of the bands.
    """

    labels: tuple[str, ...]
    sizes: pd.DataFrame
    after: str
    pairs: int
    moves: int
    joiners: int
    expected_joiners: float
    expected_leavers: float
    variation: float
    confidence: float

    @property
    def known(self) -> bool:
        """Whether there was enough data for a forecast."""
        return bool(self.sizes["expected"].notna().all()) and not self.sizes.empty

    @property
    def sentence(self) -> str:
        """The forecast of the top tier, with its band and what it rests on."""
        if not self.known:
            return say("Too little data to forecast: two successive complete periods are needed.")
        top = self.sizes.iloc[-1]
        text = say(
            "After {after}, {tier} is expected to change from {last:,} to {expected} members ({level} band "
            "{low} to {high}), judged by {moves:,} moves over {pairs}.",
            after=self.after, tier=top["tier"], last=int(top["last"]), expected=number(top["expected"], 0),
            level=percent(self.confidence, 0), low=number(top["low"], 0), high=number(top["high"], 0),
            moves=self.moves, pairs=_pairs(self.pairs),
        )  # fmt: skip
        if self.joiners or self.expected_leavers:
            text += " " + say(
                "That counts {joiners} of {joined:,} newcomers who are expected to stay and {leavers} "
                "members who are expected to leave.",
                joiners=number(self.expected_joiners, 0), joined=self.joiners,
                leavers=number(self.expected_leavers, 0),
            )  # fmt: skip
        if np.isnan(self.variation):
            text += " " + say(
                "One pair of periods cannot show how much periods differ, so the bands are too narrow."
            )
        return text


def _pairs(n: int) -> str:
    return say("one pair of periods") if n == 1 else say("{n} pairs of periods", n=n)


class Backtest(NamedTuple):
    """How past forecasts would have done.

    Attributes
    ----------
    cells : pandas.DataFrame
        period, tier, expected, low, high, actual, naive (size of the period before), error, naive_error,
        covered.
    mean_absolute_error, naive_error : float
        Mean of the absolute errors, in members, over all cells.
    relative_error : float
        Sum of absolute errors over sum of actual sizes.
    coverage : Estimate
        Share of cells inside their band; unknown with fewer than three periods. The tiers of a period move
        together, so the interval is that of the number of periods, not of cells.
    better : Estimate
        Share of periods in which the forecast had the smaller total error than "same as last period".
    periods : int
        Number of periods forecast.
    confidence : float
        Nominal level of the bands.
    """

    cells: pd.DataFrame
    mean_absolute_error: float
    naive_error: float
    relative_error: float
    coverage: Estimate
    better: Estimate
    periods: int
    confidence: float

    @property
    def sentence(self) -> str:
        """Error against the naive forecast, and coverage of the bands."""
        if not self.periods:
            return say("Too little data for a backtest: three successive complete periods are needed.")
        text = say(
            "In {periods} earlier periods the forecast missed tier sizes by {error} members on average, "
            '"same as last period" by {naive}.',
            periods=self.periods, error=number(self.mean_absolute_error), naive=number(self.naive_error),
        )  # fmt: skip
        if not self.coverage.known:
            return text + " " + say("Too little data to say whether the bands hold.")
        return text + " " + say(
            "{share} of {cells} tier sizes fell inside their {level} band ({judged} interval {low} to {high}).",
            share=percent(self.coverage.value, 0), cells=len(self.cells), level=percent(self.confidence, 0),
            low=percent(self.coverage.low, 0), high=percent(self.coverage.high, 0),
            judged=percent(self.coverage.confidence, 0),
        )  # fmt: skip


class Model(NamedTuple):
    """Past moves, ready to step forward.

    Attributes
    ----------
    counts : ndarray, shape (states, destinations)
        Moves summed over the pairs used; states are tiers and newcomers, destinations tiers and leaving.
    possible : ndarray of bool, shape (destinations,)
        Whether a destination can happen: leaving cannot when the history knows no leaver.
    variation : float
        Correlation within periods beyond chance.
    pairs : int
        Pairs used.
    """

    counts: Counts
    possible: NDArray[np.bool_]
    variation: float
    pairs: int


def forecast(
    history: TierHistory,
    *,
    pairs: int | None = None,
    confidence: float = 0.9,
    draws: int = DRAWS,
    seed: int = 0,
) -> Forecast:
    """Forecast the tier sizes of the period after the last one.

    Parameters
    ----------
    history : TierHistory
        Counts of moves.
    pairs : int, optional
        Estimate the rows from the last so many pairs of periods only; 1 is the matrix of the last pair. All
        by default. How much periods differ is always taken from all.
    confidence : float
        Level of the bands.
    draws : int
        Simulated periods.
    seed : int
        Seed of the simulation.
    """
    check_confidence(confidence)
    check_scalar(draws, "draws", type_=int, ge=100)
    if pairs is not None:
        check_scalar(pairs, "pairs", type_=int, ge=1)
    flows, sizes, joiners = _arrays(history)
    if not len(flows) or not flows[:, :-1].sum():
        return _unknown(history, sizes, confidence)
    start = np.r_[sizes[-1], joiners]
    model = fit(flows, pairs)
    shares = _shares(model)
    simulated = simulate(model, start, draws=draws, seed=seed)
    step = start @ shares
    frame = _frame(history.labels, sizes[-1], step[:-1], simulated[:, :-1], confidence)
    return Forecast(
        labels=history.labels,
        sizes=frame.assign(known=model.counts[:-1].sum(axis=1) > 0),
        after=history.periods[-1],
        pairs=model.pairs,
        moves=int(model.counts.sum()),
        joiners=int(joiners),
        expected_joiners=float(joiners * shares[-1, :-1].sum()),
        expected_leavers=float(step[-1]),
        variation=model.variation,
        confidence=confidence,
    )


def _unknown(history: TierHistory, sizes: Counts, confidence: float) -> Forecast:
    last = sizes[-1] if len(sizes) else np.zeros(len(history.labels))
    frame = pd.DataFrame({"tier": history.labels, "last": last.astype(int)})
    frame[["expected", "low", "high", "change"]] = np.nan
    after = history.periods[-1] if history.periods else ""
    return Forecast(
        history.labels, frame.assign(known=False), after, 0, 0, 0, np.nan, np.nan, np.nan, confidence
    )


def _arrays(history: TierHistory) -> tuple[Counts, Counts, int]:
    """Return flows (pairs, states, destinations), sizes (periods, tiers) and the last period's newcomers."""
    states, ends = [*history.labels, JOINED], [*history.labels, LEFT]
    later, tiers = history.periods[1:], list(history.labels)
    flows = history.flows.set_index(["period", "from_state", "to_state"])["n"]
    index = pd.MultiIndex.from_product([later, states, ends])
    sizes = history.sizes.set_index(["period", "tier"])["members"]
    size_index = pd.MultiIndex.from_product([history.periods, tiers])
    return (
        flows.reindex(index, fill_value=0).to_numpy(float).reshape(len(later), len(states), len(ends)),
        sizes.reindex(size_index, fill_value=0).to_numpy(float).reshape(len(history.periods), len(tiers)),
        history.newcomers,
    )


def fit(flows: Counts, pairs: int | None = None) -> Model:
    """Return the model of past flows, shape (pairs, states, destinations), with rows from the last `pairs`.

    The variation between periods is always that of all of them.
    """
    used = flows if pairs is None else flows[-pairs:]
    possible = flows.sum(axis=(0, 1)) > 0
    return Model(used.sum(axis=0), possible, between_period_variation(flows), len(used))


def between_period_variation(flows: Counts) -> float:
    """Return the correlation within periods of a row's moves beyond chance, by moments, at least 0.

    Pearson's statistic of periods against destinations, summed over rows, has the expectation
    ``sum((d - 1) * sum_t((1 - n_t / n) * (1 + (n_t - 1) * rho)))`` for d destinations; rho solves it.
    """
    excess, slope = 0.0, 0.0
    for row in np.moveaxis(np.asarray(flows, float), 1, 0):
        size, destinations = row.sum(axis=1), row.sum(axis=0)
        total = size.sum()
        kept = destinations > 0
        if (size > 0).sum() < 2 or kept.sum() < 2:
            continue
        expected = np.outer(size, destinations[kept]) / total
        part = np.divide(
            (row[:, kept] - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0
        )
        weight = (kept.sum() - 1) * (1 - size[size > 0] / total)
        excess += part.sum() - weight.sum()
        slope += float(weight @ (size[size > 0] - 1))
    if not slope:
        return np.nan
    return float(np.clip(excess / slope, 0.0, 0.99))


def _shares(model: Model) -> Counts:
    """Return the rows as shares; a row never seen is spread evenly over what is possible."""
    counts = model.counts + (model.counts.sum(axis=1, keepdims=True) == 0) * model.possible
    return counts / counts.sum(axis=1, keepdims=True)


def simulate(model: Model, start: Counts, *, draws: int = DRAWS, seed: int = 0) -> Counts:
    """Return simulated counts by destination, shape (draws, destinations), of members by state now."""
    rng, total = np.random.default_rng(seed), np.zeros((draws, model.counts.shape[1]))
    for row, members in zip(model.counts, start.astype(int), strict=True):
        if members:
            rows = _posterior(rng, row, model, draws)
            total[:, model.possible] += rng.multinomial(members, rows)
    return total


def _posterior(rng: np.random.Generator, row: Counts, model: Model, draws: int) -> Counts:
    seen = row[model.possible]
    rows = rng.dirichlet(seen + 1 / len(seen), draws)
    if not model.variation > 0:
        return rows
    # Next period's own row scatters around the average one as much as the past ones did.
    gamma = rng.standard_gamma(np.maximum(rows * (1 / model.variation - 1), 1e-9)) + 1e-300
    return gamma / gamma.sum(axis=1, keepdims=True)


def _frame(
    labels: tuple[str, ...], last: Counts, expected: Counts, simulated: Counts, confidence: float
) -> pd.DataFrame:
    tail = (1 - confidence) / 2
    low, high = np.quantile(simulated, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return pd.DataFrame(
        {
            "tier": labels,
            "last": last.astype(int),
            "expected": expected,
            "low": np.minimum(low, np.floor(expected)),
            "high": np.maximum(high, np.ceil(expected)),
            "change": expected - last,
        }
    )


def backtest(
    history: TierHistory,
    *,
    pairs: int | None = None,
    confidence: float = 0.9,
    judged_at: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Backtest:
    """Forecast every closed period that has two before it, from what was known then.

    Parameters are those of :func:`forecast`; `judged_at` is the level of the intervals of coverage and better.
    """
    check_confidence(confidence)
    check_confidence(judged_at)
    flows, sizes, _joiners = _arrays(history)
    frames = []
    for later in range(1, len(flows)):
        if not flows[:later, :-1].sum():
            continue
        model, start = fit(flows[:later], pairs), flows[later].sum(axis=1)
        simulated = simulate(model, start, draws=draws, seed=seed + later)
        frame = _frame(
            history.labels, sizes[later], (start @ _shares(model))[:-1], simulated[:, :-1], confidence
        )
        frame = frame.rename(columns={"last": "naive"}).drop(columns="change")
        frame.insert(0, "period", history.periods[later + 1])
        frames.append(frame.assign(actual=sizes[later + 1].astype(int)))
    return _score(frames, confidence, judged_at)


def _score(frames: list[pd.DataFrame], confidence: float, judged_at: float) -> Backtest:
    if not frames:
        nothing = unknown(0, "share", judged_at)
        empty = pd.DataFrame(columns=["period", "tier", "expected", "low", "high", "actual", "naive"])
        return Backtest(empty, np.nan, np.nan, np.nan, nothing, nothing, 0, confidence)
    cells = pd.concat(frames, ignore_index=True)
    cells["error"] = cells["expected"] - cells["actual"]
    cells["naive_error"] = cells["naive"] - cells["actual"]
    cells["covered"] = cells["actual"].between(cells["low"], cells["high"])
    absolute, naive = cells["error"].abs(), cells["naive_error"].abs()
    wins = absolute.groupby(cells["period"]).sum() < naive.groupby(cells["period"]).sum()
    return Backtest(
        cells=cells,
        mean_absolute_error=float(absolute.mean()),
        naive_error=float(naive.mean()),
        relative_error=float(absolute.sum() / max(cells["actual"].sum(), 1)),
        coverage=_share_of_periods(float(cells["covered"].mean()), len(frames), judged_at),
        better=_share_of_periods(float(wins.mean()), len(frames), judged_at),
        periods=len(frames),
        confidence=confidence,
    )


def _share_of_periods(share: float, periods: int, confidence: float) -> Estimate:
    if periods < FEWEST_BACKTESTS:
        return unknown(periods, "share", confidence)
    low, high = wilson(share * periods, periods, confidence)
    return Estimate(share, float(low), float(high), periods, "share", "Wilson score over periods", confidence)
