"""How members move between tiers: the matrix with intervals, next period's sizes, the way to the top.

Migration
---------
A cell of the matrix is the share of the members at risk in one tier who were in another a period later. Its
interval is Jeffreys' (0 and 1 exact at the edges; Brown, Cai and DasGupta 2001). The net promotion rate is
(promoted - demoted) / at risk. At risk are the members present in both periods; those who left in between moved
nowhere and are counted apart. Months differ in length by up to a tenth, and so do counts in them: a net rate should
be read against that of the same pair of months of another year.

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

Forecast
--------
Every member of the last period moves by the row of their tier, estimated from past moves; leaving is one of
the destinations, and members who joined during the last period move by the row of past newcomers. The point forecast
is the plain Markov step, sizes times shares; the bands come from simulation (:class:`helpers.stats.chains.Steps`).
Measured over the same communities: 92 % of 3,840 tier sizes fell inside their 90 % band (bands end at whole numbers),
and the mean error was 5.6 members against 7.5 of "same as last period".

Time to the top
---------------
The mean time is given for a member who stays; the chances within so many periods count those who leave before as not
arriving. Where no path to the top was seen the time is infinite, and only its lower bound is known; where a row on
the way was never seen, nothing is. Beside the model stands what was observed: the Kaplan-Meier share of members who
reached the top within so many periods of being first seen; members not followed long enough are censored. When the
two differ, the chain's assumption (only the present tier matters, and it matters the same in all periods) fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.methods.rfm.history import TierHistory
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.chains import (
    Array,
    ChainTest,
    Steps,
    dirichlet_rows,
    expected_steps,
    homogeneity,
    net_promotion,
    reach,
    reached_within,
)
from helpers.stats.estimate import Estimate, jeffreys, proportion, unknown, wilson
from helpers.stats.survival.limits import product_limit
from helpers.study import Study
from helpers.study.enough import BACKTESTS

NEGLIGIBLE_EFFECT = 0.1
DRAWS = 4_000
BAND = 0.9
HORIZONS = (3, 6, 12)
TOLD_PERIODS = 6


def _flows(history: TierHistory) -> Array:
    """Return counts of shape (pairs, tiers and newcomers, tiers and leaving)."""
    states = len(history.labels) + 1
    return history.flows["n"].to_numpy(float).reshape(-1, states, states)


def _sizes(history: TierHistory) -> Array:
    """Return members of shape (periods, tiers)."""
    return history.sizes["members"].to_numpy(float).reshape(-1, len(history.labels))


@dataclass(frozen=True)
class Migration:
    """How members move between tiers.

    Attributes
    ----------
    labels : tuple of str
        Tiers from lowest to highest.
    matrix : pandas.DataFrame
        scope (``pooled`` or ``last``), from_tier, to_tier, n, at_risk, share, low, high.
    net, promoted, demoted : Estimate
        Rates of the last pair of periods.
    homogeneity : ChainTest
        Is the matrix the same in all periods.
    periods : tuple of str
        Later period of each pair, in order.
    left : int
        Members of the last pair's earlier period who left before the end of the later one; they are not at risk.
    period : str
        Unit of time.
    confidence : float
        Level of all intervals and of the test.
    """

    labels: tuple[str, ...]
    matrix: pd.DataFrame
    net: Estimate
    promoted: Estimate
    demoted: Estimate
    homogeneity: ChainTest
    periods: tuple[str, ...]
    left: int
    period: str
    confidence: float

    @property
    def sentence(self) -> str:
        """The net promotion rate of the last pair of periods."""
        net = self.net
        if not net.known:
            return say("Too little data: no member was present in two successive periods.")
        verdict = say("no clear direction")
        if net.low > 0:
            verdict = say("more rise than fall")
        elif net.high < 0:
            verdict = say("more fall than rise")
        return say(
            "In {last} the net promotion rate was {net}: of the {n:,} members present in both {period}s {up} moved "
            "up and {down} moved down; {verdict}. {left:,} others left and are not counted.",
            last=self.periods[-1], net=with_interval(net), n=net.n, period=self.period,
            up=percent(self.promoted.value), down=percent(self.demoted.value), verdict=verdict,
            left=self.left,
        )  # fmt: skip

    @property
    def homogeneity_sentence(self) -> str:
        """Whether the pooled matrix may be used; a change too small to matter is no news."""
        test = self.homogeneity
        if not test.df:
            return say("Too little data to test whether migration changes between periods.")
        text = "Migration changes between periods: read the last pair, the pooled matrix is an average."
        if test.p_value >= 1 - self.confidence:
            text = "No sign that migration changes between periods: the pooled matrix may be used."
        elif test.effect < NEGLIGIBLE_EFFECT:
            text = "Migration changes between periods, but little: the pooled matrix is a fair summary."
        return say(
            "{reading} (likelihood ratio {statistic:.1f}, {df} df, p {p}, effect w = {effect:.2f}, n = {n:,})",
            reading=say(text), statistic=test.statistic, df=test.df, effect=test.effect, n=test.n,
            p="< .001" if test.p_value < 0.001 else f"= {test.p_value:.3f}",
        )  # fmt: skip


def migration(study: Study, history: TierHistory) -> Migration:
    """Return how members move between tiers, pooled and in the last pair of periods."""
    tiers, flows = history.labels, _flows(history)
    tables = flows[:, :-1, :-1]
    last = tables[-1] if len(tables) else np.zeros((len(tiers),) * 2)
    scopes = {"pooled": tables.sum(axis=0), "last": last}
    cells = [_cells(scope, table, tiers, study.confidence) for scope, table in scopes.items()]
    n = int(last.sum())
    return Migration(
        labels=tiers,
        matrix=pd.concat(cells, ignore_index=True),
        net=net_promotion(last, study.confidence, study.seed),
        promoted=proportion(int(np.triu(last, 1).sum()), n, study.confidence),
        demoted=proportion(int(np.tril(last, -1).sum()), n, study.confidence),
        homogeneity=homogeneity(tables, study.seed),
        periods=tuple(history.periods[1:]),
        left=int(flows[-1, :-1, -1].sum()) if len(flows) else 0,
        period=history.period,
        confidence=study.confidence,
    )


def _cells(scope: str, table: Array, labels: tuple[str, ...], confidence: float) -> pd.DataFrame:
    at_risk = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    low, high = jeffreys(table, at_risk, confidence)
    with np.errstate(invalid="ignore"):
        share = table / at_risk
    named = {
        "scope": scope,
        "from_tier": np.repeat(labels, len(labels)),
        "to_tier": np.tile(labels, len(labels)),
    }
    counts = {"n": table.ravel().astype(int), "at_risk": at_risk.ravel().astype(int)}
    return pd.DataFrame(named | counts | {"share": share.ravel(), "low": low.ravel(), "high": high.ravel()})


@dataclass(frozen=True)
class Forecast:
    """Tier sizes expected in the next period.

    Attributes
    ----------
    sizes : pandas.DataFrame
        tier, last (members now), expected, low, high (90 % bands), change (expected - last), known (the tier's own
        moves have been seen). NaN when there is too little data.
    after : str
        Last period used; the forecast is for the one after it.
    pairs, moves : int
        Pairs of periods the rows were estimated from, and moves they rest on.
    joiners : int
        Members who joined during the last period and enter the forecast.
    expected_joiners, expected_leavers : float
        Of the joiners, those expected to stay; of all, those expected to leave.
    variation : float
        Correlation within periods beyond chance, 0 when none is seen; NaN with one pair, where it cannot be.
    """

    sizes: pd.DataFrame
    after: str
    pairs: int
    moves: int
    joiners: int
    expected_joiners: float
    expected_leavers: float
    variation: float

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
            "{low} to {high}), judged by {moves:,} moves (pairs of periods: {pairs}). That counts {joiners} of "
            "{joined:,} newcomers who are expected to stay and {leavers} members who are expected to leave.",
            after=self.after, tier=top["tier"], last=int(top["last"]), expected=number(top["expected"], 0),
            level=percent(BAND, 0), low=number(top["low"], 0), high=number(top["high"], 0),
            moves=self.moves, pairs=self.pairs, joiners=number(self.expected_joiners, 0), joined=self.joiners,
            leavers=number(self.expected_leavers, 0),
        )  # fmt: skip
        if np.isnan(self.variation):
            text += " " + say(
                "One pair of periods cannot show how much periods differ, so the bands are too narrow."
            )
        return text


def forecast(study: Study, history: TierHistory) -> Forecast:
    """Forecast the tier sizes of the period after the last one."""
    flows, labels = _flows(history), history.labels
    sizes = _sizes(history)
    if not flows[:, :-1].sum():
        last = sizes[-1] if len(sizes) else np.zeros(len(labels))
        frame = pd.DataFrame({"tier": labels, "last": last.astype(int)})
        frame[["expected", "low", "high", "change"]] = np.nan
        after = history.periods[-1] if history.periods else ""
        return Forecast(frame.assign(known=False), after, 0, 0, 0, np.nan, np.nan, np.nan)
    steps, start = Steps.of(flows), np.r_[sizes[-1], history.newcomers]
    frame, expected = _stepped(steps, start, labels, study.seed)
    return Forecast(
        sizes=frame.assign(known=steps.counts[:-1].sum(axis=1) > 0),
        after=history.periods[-1],
        pairs=len(flows),
        moves=int(steps.counts.sum()),
        joiners=int(history.newcomers),
        expected_joiners=float(history.newcomers * steps.shares[-1, :-1].sum()),
        expected_leavers=float(expected[-1]),
        variation=steps.variation,
    )


def _stepped(steps: Steps, start: Array, labels: tuple[str, ...], seed: int) -> tuple[pd.DataFrame, Array]:
    """Return a row per tier with band, and expected members by destination; bands end at whole numbers."""
    last, step = start[:-1], start @ steps.shares
    expected, simulated = step[:-1], steps.simulate(start, DRAWS, seed)[:, :-1]
    tail = (1 - BAND) / 2
    low, high = np.quantile(simulated, [tail, 1 - tail], axis=0, method="inverted_cdf")
    low, high = np.minimum(low, np.floor(expected)), np.maximum(high, np.ceil(expected))
    frame = pd.DataFrame({"tier": labels, "last": last.astype(int), "expected": expected})
    return frame.assign(low=low, high=high, change=expected - last), step


@dataclass(frozen=True)
class Backtest:
    """How past forecasts would have done.

    Attributes
    ----------
    cells : pandas.DataFrame
        period, tier, naive (size of the period before), expected, low, high, actual, error, naive_error, covered.
    coverage : Estimate
        Share of cells inside their band; unknown with fewer than three periods. The tiers of a period move
        together, so the interval is that of the number of periods, not of cells.
    periods : int
        Number of periods forecast.
    """

    cells: pd.DataFrame
    coverage: Estimate
    periods: int

    @property
    def sentence(self) -> str:
        """Error against the naive forecast, and coverage of the bands."""
        if not self.periods:
            return say("Too little data for a backtest: three successive complete periods are needed.")
        error, naive = self.cells[["error", "naive_error"]].abs().mean()
        text = say(
            "In {periods} earlier periods the forecast missed tier sizes by {error} members on average, "
            '"same as last period" by {naive}.',
            periods=self.periods, error=number(error), naive=number(naive),
        )  # fmt: skip
        if not self.coverage.known:
            return text + " " + say("Too little data to say whether the bands hold.")
        return text + " " + say(
            "{share} of {cells} tier sizes fell inside their {level} band ({judged} interval {low} to {high}).",
            share=percent(self.coverage.value, 0), cells=len(self.cells), level=percent(BAND, 0),
            low=percent(self.coverage.low, 0), high=percent(self.coverage.high, 0),
            judged=percent(self.coverage.confidence, 0),
        )  # fmt: skip


def backtest(study: Study, history: TierHistory) -> Backtest:
    """Forecast every closed period that has two before it, from what was known then."""
    flows = _flows(history)
    sizes = _sizes(history)
    frames = []
    for later in range(1, len(flows)):
        if not flows[:later, :-1].sum():
            continue
        start = flows[later].sum(axis=1)
        frame, _ = _stepped(Steps.of(flows[:later]), start, history.labels, study.seed + later)
        frame.insert(0, "period", history.periods[later + 1])
        frames.append(
            frame.drop(columns="change").assign(last=sizes[later], actual=sizes[later + 1].astype(int))
        )
    if not frames:
        return Backtest(pd.DataFrame(), unknown(0, "share", study.confidence), 0)
    cells = pd.concat(frames, ignore_index=True).rename(columns={"last": "naive"})
    cells["error"], cells["naive_error"] = (
        cells["expected"] - cells["actual"],
        cells["naive"] - cells["actual"],
    )
    cells["covered"] = cells["actual"].between(cells["low"], cells["high"])
    share, k = float(cells["covered"].mean()), len(frames)
    coverage = unknown(k, "share", study.confidence)
    if k >= BACKTESTS:
        low, high = wilson(share * k, k, study.confidence)
        method = "Wilson score over periods"
        coverage = Estimate(share, float(low), float(high), k, "share", method, study.confidence)
    return Backtest(cells, coverage, k)


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
    """

    top: str
    period: str
    times: pd.DataFrame
    chances: pd.DataFrame

    @property
    def sentence(self) -> str:
        """Chance within six periods of the tier next to the top, and the mean time as an extrapolation."""
        row = self.times.iloc[-1]
        if np.isnan(row["expected_periods"]):
            return say("Too little data on how members reach {top}.", top=self.top)
        rows = self.chances[self.chances["from_tier"] == row["from_tier"]].set_index("periods")
        chance = rows.loc[TOLD_PERIODS]
        text = say(
            "The chance of a member in {tier} to reach {top} within {periods} {period}s, leavers counted, is "
            "{share} ({low} to {high}; n = {n:,} moves)",
            tier=chance["from_tier"], top=self.top, periods=TOLD_PERIODS, period=self.period,
            share=percent(chance["share"]), low=percent(chance["low"]), high=percent(chance["high"]),
            n=int(chance["n"]),
        )  # fmt: skip
        if np.isfinite(chance["observed"]):
            text += say(
                "; observed by Kaplan-Meier: {share} ({low} to {high}; n = {n:,} members)",
                share=percent(chance["observed"]), low=percent(chance["observed_low"]),
                high=percent(chance["observed_high"]), n=int(chance["observed_n"]),
            )  # fmt: skip
        if not np.isfinite(row["expected_periods"]):
            never = "No path from {tier} to {top} has been seen."
            return f"{text}. " + say(never, tier=row["from_tier"], top=self.top)
        return f"{text}. " + say(
            "If moves stay as they are, one who stays takes {value} {period}s on average ({low} to {high}), an "
            "extrapolation.",
            value=number(row["expected_periods"]), period=self.period, low=number(row["low"]),
            high=number(row["high"]),
        )  # fmt: skip


def time_to_top(study: Study, history: TierHistory) -> TimeToTop:
    """Return expected time to, and chance of reaching, the top tier, from each lower tier."""
    counts = _flows(history).sum(axis=0)[: len(history.labels) - 1]
    return TimeToTop(
        top=history.labels[-1],
        period=history.period,
        times=_times(counts[:, :-1], history.labels, study),
        chances=_chances(counts, history, study),
    )


def _bounds(drawn: Array, confidence: float) -> tuple[Array, Array]:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _times(counts: Array, labels: tuple[str, ...], study: Study) -> pd.DataFrame:
    n = counts.sum(axis=1)
    known, seen = reach(counts)
    value = np.where(known, np.inf, np.nan)
    finite = known & seen
    if finite.any():
        value[finite] = expected_steps(counts[np.ix_(finite, np.r_[finite, True])] / n[finite, None])
    rows = dirichlet_rows(counts, 1 / len(labels), DRAWS, np.random.default_rng(study.seed))
    low, high = _bounds(expected_steps(rows), study.confidence)
    low, high = np.fmin(low, value), np.where(seen, np.fmax(high, value), np.inf)
    frame = pd.DataFrame({"from_tier": labels[:-1], "expected_periods": value, "low": low, "high": high})
    frame.loc[~known, ["low", "high"]] = np.nan
    return frame.assign(n=n.astype(int), path_seen=seen)


def _chances(counts: Array, history: TierHistory, study: Study) -> pd.DataFrame:
    n, tiers = counts.sum(axis=1), len(history.labels)
    known = reach(counts[:, :-1])[0] & (n > 0)
    # A column nobody ever entered stays empty: who never leaves is not drawn to leave.
    prior = np.r_[np.full(tiers, 1 / tiers), 1 / tiers if counts[:, -1].any() else 0.0]
    with np.errstate(invalid="ignore"):
        value = reached_within(np.nan_to_num(counts / n[:, None]), HORIZONS)
    rows = dirichlet_rows(counts, prior, DRAWS, np.random.default_rng(study.seed))
    low, high = _bounds(np.moveaxis(reached_within(rows, HORIZONS), 1, 0), study.confidence)
    low = np.where(value == 0, 0.0, np.minimum(low, value))
    frames = []
    for tier, label in enumerate(history.labels[:-1]):
        frame = pd.DataFrame({"from_tier": label, "periods": HORIZONS, "share": value[:, tier]})
        frame["low"], frame["high"] = low[:, tier], np.maximum(high, value)[:, tier]
        if not known[tier]:
            frame[["share", "low", "high"]] = np.nan
        observed = _kaplan_meier(history.passages, label, study.confidence)
        frames.append(frame.assign(n=int(n[tier])).merge(observed, on="periods"))
    return pd.concat(frames, ignore_index=True)


def _kaplan_meier(passages: pd.DataFrame, tier: str, confidence: float) -> pd.DataFrame:
    """Return the observed share that reached the top; Wilson bounds at the effective sample size.

    The effective size is S (1 - S) / Var(S) with Greenwood's variance (Dorey and Korn 1987).
    """
    cells = passages[passages["from_tier"] == tier]
    steps = np.arange(1, max(HORIZONS) + 1)
    weight, period = cells["members"].to_numpy(float), cells["periods"].to_numpy(int)
    at_risk = (weight[:, None] * (period[:, None] >= steps)).sum(axis=0)
    arrived = (weight[:, None] * (period[:, None] == steps) * cells["reached"].to_numpy(bool)[:, None]).sum(
        axis=0
    )
    survival = product_limit(at_risk, arrived)
    with np.errstate(invalid="ignore", divide="ignore"):
        greenwood = np.where(at_risk > arrived, arrived / (at_risk * (at_risk - arrived)), 0.0).cumsum()
        size = np.where(survival**2 * greenwood > 0, (1 - survival) / (survival * greenwood), at_risk)
    low, high = wilson((1 - survival) * size, size, confidence)
    frame = pd.DataFrame(
        {"periods": steps, "observed": 1 - survival, "observed_low": low, "observed_high": high}
    )
    # Nobody is followed so long, unless all have arrived.
    lost = (at_risk == 0) & ((survival > 0) | (len(cells) == 0))
    frame.loc[lost, ["observed", "observed_low", "observed_high"]] = np.nan
    return frame[frame["periods"].isin(HORIZONS)].assign(observed_n=int(weight.sum()))
