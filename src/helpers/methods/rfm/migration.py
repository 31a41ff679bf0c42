"""Tier migration: who moves where between two periods, with intervals that cover.

Method
------
A cell of the matrix is the share of the members at risk in one tier who were in another a period later. Its
interval is Jeffreys' (Beta(x + 1/2, n - x + 1/2), 0 and 1 exact at the edges; Brown, Cai and DasGupta 2001).

The net promotion rate is (promoted - demoted) / at risk. Each tier's members at risk are given, so its
interval comes from one Dirichlet(1/2) posterior of (demoted, stayed, promoted) per tier, weighted with the
tiers' sizes; the bottom tier cannot be demoted and the top one cannot be promoted. At risk are the members
present in both periods; those who left in between moved nowhere and are counted apart.

Months differ in length by up to a tenth, and so do counts in them: between February and March some members rise
who do the same every day. A net rate should be read against that of the same pair of months of another year.

Measured coverage of nominal 95 % intervals, mean over the cells that can happen. Simulated chains of four
tiers, 2,000 each (400 of 3,000 members); members who move a lot / hardly; the tests measure Jeffreys again:

===============  ===========  ===========  ==============
members at risk  Jeffreys     Wilson       Dirichlet(1/2)
===============  ===========  ===========  ==============
30               .957 / .965  .951 / .940  .964 / .904
100              .960 / .963  .952 / .951  .963 / .934
300              .953 / .955  .953 / .957  .955 / .945
3,000            .946 / .955  .948 / .954  .946 / .951
===============  ===========  ===========  ==============

Jeffreys is never below .946 and, at equal coverage, the narrowest for rare moves. Dirichlet intervals exclude
0 and so never cover a move that cannot happen. Over 240 simulated communities of 300 to 500 members and six
months, from tables to intervals: cells .957 pooled and .960 in the last pair (3,840 cells each); net
promotion .958 and .929 (240 each, standard error .014).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.checks import check_confidence, check_scalar
from helpers.methods.rfm.periods import TierHistory
from helpers.sentences import percent, say, with_interval
from helpers.stats.chain_tests import ChainTest, homogeneity, markov_order
from helpers.stats.estimate import Estimate, jeffreys, percentile_interval, unknown, wilson

Counts = NDArray[np.float64]
POSTERIOR_DRAWS = 20_000


@dataclass(frozen=True)
class Migration:
    """How members move between tiers.

    Attributes
    ----------
    labels : tuple of str
        Tiers from lowest to highest.
    matrix : pandas.DataFrame
        scope (``pooled`` or ``last``), from_tier, to_tier, n, at_risk, share, low, high.
    rates : pandas.DataFrame
        scope, rate (``net promotion``, ``promoted``, ``demoted``), value, low, high, n.
    by_period : pandas.DataFrame
        period, at_risk, promoted, demoted, net_promotion, low, high: one row per pair of periods.
    homogeneity, order : ChainTest
        Is the matrix the same in all periods; does the tier before last matter.
    confidence : float
        Level of all intervals and of both tests.
    periods : tuple of str
        Later period of each pair, in order.
    left : int
        Members of the last pair's earlier period who left before the end of the later one; they are not at risk.
        0 when the counts came as a frame, which does not tell.
    period : str
        Unit of time; ``"period"`` when the counts came as a frame.
    """

    labels: tuple[str, ...]
    matrix: pd.DataFrame
    rates: pd.DataFrame
    by_period: pd.DataFrame
    homogeneity: ChainTest
    order: ChainTest
    confidence: float
    periods: tuple[str, ...]
    left: int = 0
    period: str = "period"

    def rate(self, name: str = "net promotion", scope: str = "last") -> Estimate:
        """Return a rate as an estimate."""
        rows = self.rates[(self.rates["rate"] == name) & (self.rates["scope"] == scope)]
        if rows.empty:
            known = sorted(set(self.rates["rate"])), sorted(set(self.rates["scope"]))
            raise ValueError(
                f"rate == {name!r}, scope == {scope!r}, must be among {known[0]} and {known[1]}."
            )
        row = rows.iloc[0]
        method = "Dirichlet per tier" if name == "net promotion" else "Wilson score"
        if not row["n"]:
            return unknown(0, "share", self.confidence)
        return Estimate(
            row["value"], row["low"], row["high"], int(row["n"]), "share", method, self.confidence
        )

    def shares(self, scope: str = "pooled", column: str = "share") -> pd.DataFrame:
        """Return one column of the matrix as a square frame, tiers in order on both sides."""
        rows = self.matrix[self.matrix["scope"] == check_scalar(scope, "scope", in_=("pooled", "last"))]
        square = rows.pivot(index="from_tier", columns="to_tier", values=column)
        return square.loc[list(self.labels), list(self.labels)]

    @property
    def sentence(self) -> str:
        """The net promotion rate of the last pair of periods."""
        net = self.rate()
        if not net.known:
            return say("Too little data: no member was present in two successive periods.")
        up, down = self.rate("promoted"), self.rate("demoted")
        text = say(
            "In {last} the net promotion rate was {net}: of the {n:,} members present in both {period}s {up} moved "
            "up and {down} moved down; {verdict}.",
            last=self.periods[-1], net=with_interval(net), n=net.n, period=self.period, up=percent(up.value),
            down=percent(down.value), verdict=_direction(net),
        )  # fmt: skip
        if self.left:
            text += " " + say("{left:,} others left and are not counted.", left=self.left)
        return text


def _direction(net: Estimate) -> str:
    if net.low > 0:
        return say("more rise than fall")
    return say("more fall than rise") if net.high < 0 else say("no clear direction")


def migration(
    history: TierHistory | pd.DataFrame,
    confidence: float = 0.95,
    *,
    labels: Sequence[str] | None = None,
    triples: pd.DataFrame | None = None,
    seed: int = 0,
) -> Migration:
    """Return how members move between tiers, pooled and in the last pair of periods.

    Parameters
    ----------
    history : TierHistory or pandas.DataFrame
        A history, or counts with the columns period, from_tier, to_tier, n.
    confidence : float
        Level of the intervals, and of the two tests of the chain.
    labels : sequence of str, optional
        Tiers from lowest to highest; needed with a frame.
    triples : pandas.DataFrame, optional
        With a frame: first, second, third, n for the test of order.
    seed : int
        Seed of the posterior draws and of the random tables.

    Raises
    ------
    ValueError
        When a frame comes without labels, lacks a column, names a tier that is not among the labels, or has a
        negative count.
    """
    check_confidence(confidence)
    if isinstance(history, TierHistory):
        moves, tiers, triples = history.transitions, history.labels, history.triples
    else:
        if not labels:
            raise ValueError("labels == None, must name the tiers from lowest to highest with a frame.")
        moves, tiers = history, tuple(labels)
    _check(moves, ["from_tier", "to_tier"], tiers, "transitions")
    periods, tables = cube(moves, "period", ["from_tier", "to_tier"], tiers)
    scopes = {
        "pooled": tables.sum(axis=0),
        "last": tables[-1] if len(tables) else np.zeros((len(tiers),) * 2),
    }
    return Migration(
        labels=tiers,
        matrix=pd.concat(
            [_cells(k, table, tiers, confidence) for k, table in scopes.items()], ignore_index=True
        ),
        rates=pd.concat(
            [_rates(k, table, confidence, seed) for k, table in scopes.items()], ignore_index=True
        ),
        by_period=_by_period(periods, tables, confidence, seed),
        homogeneity=homogeneity(tables, confidence=confidence, seed=seed),
        order=_order(triples, tiers, confidence, seed),
        confidence=confidence,
        periods=tuple(periods),
        left=_left(history, periods[-1]) if isinstance(history, TierHistory) and periods else 0,
        period=history.period if isinstance(history, TierHistory) else "period",
    )


def _left(history: TierHistory, period: str) -> int:
    exits = history.exits
    return int(exits.loc[exits["period"] == period, "n"].sum())


def cube(
    moves: pd.DataFrame, by: str, states: Sequence[str], labels: Iterable[str]
) -> tuple[list[str], Counts]:
    """Return the values of `by`, in order of appearance, and counts of shape (values, labels, labels)."""
    tiers = list(labels)
    values = list(dict.fromkeys(moves[by]))
    counts = moves.groupby([by, *states])["n"].sum()
    index = pd.MultiIndex.from_product([values, tiers, tiers])
    shape = (len(values), len(tiers), len(tiers))
    return [str(v) for v in values], counts.reindex(index, fill_value=0).to_numpy(float).reshape(shape)


def _check(moves: pd.DataFrame, states: list[str], labels: tuple[str, ...], name: str) -> None:
    missing = [column for column in [*states, "n"] if column not in moves.columns]
    if missing:
        raise ValueError(f"{name}: column {missing[0]!r} is missing; columns are {list(moves.columns)}.")
    for column in states:
        stray = moves.loc[~moves[column].isin(labels), column]
        if len(stray):
            raise ValueError(
                f"{name}.{column}: {len(stray)} rows name no tier of {list(labels)}, "
                f"such as {stray.iloc[0]!r}."
            )
    bad = moves.loc[~(moves["n"] >= 0), "n"]
    if len(bad):
        raise ValueError(f"{name}.n: {len(bad)} counts are negative or missing, such as {bad.iloc[0]!r}.")


def _cells(scope: str, table: Counts, labels: tuple[str, ...], confidence: float) -> pd.DataFrame:
    at_risk = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    low, high = jeffreys(table, at_risk, confidence)
    with np.errstate(invalid="ignore"):
        share = table / at_risk
    return pd.DataFrame(
        {
            "scope": scope,
            "from_tier": np.repeat(labels, len(labels)),
            "to_tier": np.tile(labels, len(labels)),
            "n": table.ravel().astype(int),
            "at_risk": at_risk.ravel().astype(int),
            "share": share.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
        }
    )


def up_and_down(table: Counts) -> tuple[Counts, Counts, Counts]:
    """Return members demoted, stayed and promoted by tier; the last two axes are from and to."""
    demoted = np.tril(table, -1).sum(axis=-1)
    promoted = np.triu(table, 1).sum(axis=-1)
    return demoted, table.sum(axis=-1) - demoted - promoted, promoted


def net_promotion(
    table: Counts, confidence: float = 0.95, *, draws: int = POSTERIOR_DRAWS, seed: int = 0
) -> Estimate:
    """Return (promoted - demoted) / at risk of a square table of counts, tiers from lowest to highest."""
    demoted, stayed, promoted = up_and_down(np.asarray(table, float))
    at_risk = demoted + stayed + promoted
    n = int(at_risk.sum())
    if not n:
        return unknown(0, "share", confidence)
    rng, total, top = np.random.default_rng(seed), np.zeros(draws), len(at_risk) - 1
    for tier in np.flatnonzero(at_risk):
        parts = [stayed[tier] + 0.5]
        signs = [0.0]
        if tier > 0:
            parts.append(demoted[tier] + 0.5)
            signs.append(-1.0)
        if tier < top:
            parts.append(promoted[tier] + 0.5)
            signs.append(1.0)
        total += at_risk[tier] / n * (rng.dirichlet(parts, draws) @ np.asarray(signs))
    low, high = percentile_interval(total, confidence)
    value = float((promoted - demoted).sum() / n)
    return Estimate(value, min(low, value), max(high, value), n, "share", "Dirichlet per tier", confidence)


def _rates(scope: str, table: Counts, confidence: float, seed: int) -> pd.DataFrame:
    demoted, _stayed, promoted = up_and_down(table)
    n = int(table.sum())
    net = net_promotion(table, confidence, seed=seed)
    rows = [("net promotion", net.value, net.low, net.high)]
    for name, moved in (("promoted", promoted.sum()), ("demoted", demoted.sum())):
        low, high = wilson(moved, n, confidence)
        rows.append((name, moved / n if n else np.nan, float(low), float(high)))
    frame = pd.DataFrame(rows, columns=["rate", "value", "low", "high"]).assign(n=n)
    frame.insert(0, "scope", scope)
    return frame


def _by_period(periods: list[str], tables: Counts, confidence: float, seed: int) -> pd.DataFrame:
    rows = []
    for period, table in zip(periods, tables, strict=True):
        net = net_promotion(table, confidence, seed=seed)
        demoted, _stayed, promoted = (int(part.sum()) for part in up_and_down(table))
        rows.append((period, net.n, promoted, demoted, net.value, net.low, net.high))
    columns = ["period", "at_risk", "promoted", "demoted", "net_promotion", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _order(triples: pd.DataFrame | None, labels: tuple[str, ...], confidence: float, seed: int) -> ChainTest:
    if triples is None:
        triples = pd.DataFrame({name: [] for name in ("first", "second", "third", "n")})
    _check(triples, ["first", "second", "third"], labels, "triples")
    _middle, tables = cube(triples, "second", ["first", "third"], labels)
    return markov_order(tables, confidence=confidence, seed=seed)
