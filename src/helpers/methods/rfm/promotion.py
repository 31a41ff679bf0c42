"""The way up: how long it takes to reach the top tier, and how likely it is.

Method
------
Time and chance come from the absorbing chain of tiers (Kemeny and Snell 1960, ch. 3): with Q the moves among
the lower tiers, the expected number of periods until the top is first reached solves (I - Q) t = 1. It is
given for a member who stays; the chances within so many periods count those who leave before as not arriving.
The intervals come from Dirichlet draws of every row (prior 1/k for k tiers, after Perks 1947). Where no path
to the top was seen the time is infinite, and only its lower bound is known; where a row on the way was never
seen, nothing is.

Beside the model stands what was observed: the Kaplan-Meier share of members who reached the top within so
many periods of being first seen; members not followed long enough are censored. When the two differ, the
chain's assumption (only the present tier matters, and it matters the same in all periods) is what fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence, check_scalar
from helpers.methods.rfm.blockers import Blockers, blockers
from helpers.methods.rfm.periods import LEFT, TierHistory
from helpers.sentences import number, percent, say
from helpers.stats.estimate import wilson

__all__ = ["Blockers", "TimeToTop", "blockers", "time_to_top"]

Array = NDArray[np.float64]
DRAWS = 4_000
TOLD_PERIODS = 6


@dataclass(frozen=True)
class TimeToTop:
    """How long it takes to reach the top tier and how likely it is.

    Attributes
    ----------
    top : str
        The top tier.
    period : str
        Unit of time: ``"month"``, ``"quarter"`` or ``"week"``.
    times : pandas.DataFrame
        from_tier, expected_periods, low, high, n (moves seen from the tier), path_seen. For a member who
        stays; infinite where no path to the top was seen, NaN where there is too little data.
    chances : pandas.DataFrame
        from_tier, periods, share, low, high, n, observed, observed_low, observed_high, observed_n: by the
        chain, and by Kaplan-Meier among `observed_n` members (NaN beyond what was followed). Those who leave
        count as not arriving.
    pairs : int
        Pairs of periods behind the chain.
    confidence : float
        Level of the intervals.
    """

    top: str
    period: str
    times: pd.DataFrame
    chances: pd.DataFrame
    pairs: int
    confidence: float

    @property
    def sentence(self) -> str:
        """Chance within six periods of the tier next to the top, and the mean time as an extrapolation.

        Without a horizon of six periods the longest is told.
        """
        row = self.times.iloc[-1]
        if np.isnan(row["expected_periods"]):
            return say("Too little data on how members reach {top}.", top=self.top)
        chances = self.chances[self.chances["from_tier"] == row["from_tier"]]
        told = chances[chances["periods"] == TOLD_PERIODS]
        text = self._chance((chances if told.empty else told).iloc[-1])
        if not np.isfinite(row["expected_periods"]):
            return f"{text} " + say(
                "No path from {tier} to {top} has been seen.", tier=row["from_tier"], top=self.top
            )
        return f"{text} " + say(
            "If moves stay as they are, one who stays takes {value} {period}s on average ({low} to {high}), an "
            "extrapolation.",
            value=number(row["expected_periods"]), period=self.period, low=number(row["low"]),
            high=number(row["high"]),
        )  # fmt: skip

    def _chance(self, chance: pd.Series) -> str:
        text = say(
            "The chance of a member in {tier} to reach {top} within {periods} {period}s, leavers counted, is "
            "{share} ({low} to {high}; n = {n:,} moves)",
            tier=chance["from_tier"], top=self.top, periods=int(chance["periods"]), period=self.period,
            share=percent(chance["share"]), low=percent(chance["low"]), high=percent(chance["high"]),
            n=int(chance["n"]),
        )  # fmt: skip
        if np.isfinite(chance["observed"]):
            text += say(
                "; observed by Kaplan-Meier: {share} ({low} to {high}; n = {n:,} members)",
                share=percent(chance["observed"]), low=percent(chance["observed_low"]),
                high=percent(chance["observed_high"]), n=int(chance["observed_n"]),
            )  # fmt: skip
        return f"{text}."


def time_to_top(
    history: TierHistory,
    *,
    horizons: Sequence[int] = (3, 6, 12),
    pairs: int | None = None,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> TimeToTop:
    """Return expected time to, and chance of reaching, the top tier, from each lower tier.

    Parameters
    ----------
    history : TierHistory
        Counts of moves.
    horizons : sequence of int
        Numbers of periods to give the chance for.
    pairs : int, optional
        Use only the last so many pairs of periods. All by default.
    confidence : float
        Level of the intervals.
    draws : int
        Posterior draws.
    seed : int
        Seed of the draws.
    """
    check_confidence(confidence)
    for horizon in horizons:
        check_scalar(horizon, "horizons", type_=int, ge=1)
    check_scalar(draws, "draws", type_=int, ge=100)
    if pairs is not None:
        check_scalar(pairs, "pairs", type_=int, ge=1)
    periods = history.periods[1:] if pairs is None else history.periods[1:][-pairs:]
    counts = _counts(history, periods)
    steps = sorted(set(horizons))
    return TimeToTop(
        top=history.labels[-1],
        period=history.period,
        times=_times(counts[:, :-1], history.labels, confidence, draws, seed),
        chances=_chances(counts, history, steps, confidence, draws, seed),
        pairs=len(periods),
        confidence=confidence,
    )


def _counts(history: TierHistory, periods: Sequence[str]) -> Array:
    """Return moves from the lower tiers (rows) to all tiers and to leaving (last column)."""
    rows, columns = list(history.labels[:-1]), [*history.labels, LEFT]
    kept = history.flows[history.flows["period"].isin(periods)]
    counts = kept.groupby(["from_state", "to_state"])["n"].sum()
    index = pd.MultiIndex.from_product([rows, columns])
    return counts.reindex(index, fill_value=0).to_numpy(float).reshape(len(rows), len(columns))


def _draw_rows(counts: Array, draws: int, seed: int) -> Array:
    """Return posterior rows, shape (draws, rows, columns); a column nobody ever entered stays empty."""
    rng = np.random.default_rng(seed)
    tiers = counts.shape[0] + 1
    prior = np.full(counts.shape[1], 1 / tiers)
    if counts.shape[1] > tiers and not counts[:, -1].sum():
        prior[-1] = 0.0
    gamma = rng.standard_gamma(np.broadcast_to(counts + prior, (draws, *counts.shape)))
    return gamma / gamma.sum(axis=2, keepdims=True)


def _times(counts: Array, labels: tuple[str, ...], confidence: float, draws: int, seed: int) -> pd.DataFrame:
    n = counts.sum(axis=1)
    known, seen = _reach(counts)
    value = np.full(len(n), np.nan)
    value[known] = np.inf
    finite = known & seen
    if finite.any():
        shares = counts[np.ix_(finite, np.r_[finite, False])] / n[finite, None]
        value[finite] = np.linalg.solve(np.eye(finite.sum()) - shares, np.ones(finite.sum()))
    rows = _draw_rows(counts, draws, seed)[:, :, :-1]
    drawn = np.linalg.solve(np.eye(len(n)) - rows, np.ones((draws, len(n), 1)))[..., 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    low, high = np.fmin(low, value), np.where(seen, np.fmax(high, value), np.inf)
    return pd.DataFrame(
        {
            "from_tier": labels[:-1],
            "expected_periods": value,
            "low": np.where(known, low, np.nan),
            "high": np.where(known, high, np.nan),
            "n": n.astype(int),
            "path_seen": seen,
        }
    )


def _reach(counts: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, per lower tier, whether all rows on its ways were seen and whether the top is sure."""
    size = len(counts)
    graph = np.eye(size, dtype=bool) | (counts[:, :size] > 0)
    for _step in range(size):
        graph = graph @ graph
    arrives = (graph @ (counts[:, size] > 0)).astype(bool)
    known = ~(graph @ (counts.sum(axis=1) == 0)).astype(bool)
    return known, ~(graph @ ~arrives).astype(bool)


def _within(rows: Array, steps: Sequence[int]) -> Array:
    """Return the chance to have reached the top within each number of steps, shape (steps, ..., tiers)."""
    size = rows.shape[-2]
    inner, last = rows[..., :size], rows[..., size]
    reached, found = np.zeros_like(last), []
    for step in range(1, max(steps) + 1):
        reached = last + np.einsum("...ij,...j->...i", inner, reached)
        if step in steps:
            found.append(reached)
    return np.stack(found)


def _chances(
    counts: Array, history: TierHistory, steps: list[int], confidence: float, draws: int, seed: int
) -> pd.DataFrame:
    n = counts.sum(axis=1)
    known, _seen = _reach(np.delete(counts, -1, axis=1))
    known &= n > 0
    with np.errstate(invalid="ignore"):
        value = _within(np.nan_to_num(counts / n[:, None]), steps)
    drawn = _within(_draw_rows(counts, draws, seed), steps)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
    low = np.where(value == 0, 0.0, np.minimum(low, value))
    frames = []
    for tier, label in enumerate(history.labels[:-1]):
        frame = pd.DataFrame({"from_tier": label, "periods": steps, "share": value[:, tier]})
        frame["low"], frame["high"] = low[:, tier], np.maximum(high, value)[:, tier]
        if not known[tier]:
            frame[["share", "low", "high"]] = np.nan
        observed = _kaplan_meier(history.passages, label, steps, confidence)
        frames.append(frame.assign(n=int(n[tier])).merge(observed, on="periods"))
    return pd.concat(frames, ignore_index=True)


def _kaplan_meier(passages: pd.DataFrame, tier: str, steps: list[int], confidence: float) -> pd.DataFrame:
    """Return the observed share that reached the top; Wilson bounds at the effective sample size.

    The effective size is S (1 - S) / Var(S) with Greenwood's variance (Dorey and Korn 1987).
    """
    cells = passages[passages["from_tier"] == tier]
    members, rows = int(cells["members"].sum()), []
    survival, greenwood = 1.0, 0.0
    for step in range(1, max(steps) + 1):
        at_risk = int(cells.loc[cells["periods"] >= step, "members"].sum())
        arrived = int(cells.loc[(cells["periods"] == step) & cells["reached"], "members"].sum())
        if at_risk and survival:
            survival *= 1 - arrived / at_risk
            greenwood += arrived / (at_risk * (at_risk - arrived)) if at_risk > arrived else 0.0
        if step in steps:
            followed = at_risk > 0 or (survival == 0 and members > 0)
            spread = survival**2 * greenwood
            size = survival * (1 - survival) / spread if spread else at_risk
            low, high = wilson((1 - survival) * size, size, confidence) if followed else (np.nan, np.nan)
            rows.append((step, 1 - survival if followed else np.nan, float(low), float(high), members))
    columns = ["periods", "observed", "observed_low", "observed_high", "observed_n"]
    return pd.DataFrame(rows, columns=columns)
