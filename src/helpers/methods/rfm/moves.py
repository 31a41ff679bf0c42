"""How members move between tiers: the matrix with intervals, and next period's sizes.

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
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from helpers.data import privacy
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.history import TierHistory
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import interval, number, people, percent, say, with_bounds
from helpers.stats.chains import Array, ChainTest, Steps, homogeneity, net_promotion
from helpers.stats.estimate import Estimate, jeffreys, wilson
from helpers.study import Study, enough
from helpers.tables import Table

NEGLIGIBLE_EFFECT = 0.1
DRAWS = 4_000
BAND = 0.9
SHARES = dict.fromkeys(("share", "low", "high"), "share")


@dataclass(frozen=True, repr=False)
class Migration(Result):
    """How members move between tiers.

    Attributes
    ----------
    history : TierHistory
        The tiers and periods.
    matrix : pandas.DataFrame
        scope (``pooled`` or ``last``), from_tier, to_tier, n, at_risk, share, low, high.
    net : Estimate
        Net promotion rate of the last pair of periods.
    up, down : int
        Members who rose and fell in it.
    homogeneity : ChainTest
        Is the matrix the same in all periods.
    left : int
        Members of the last pair's earlier period who left before the end of the later one; they are not at risk.
    """

    history: TierHistory
    matrix: pd.DataFrame
    net: Estimate
    up: int
    down: int
    homogeneity: ChainTest
    left: int

    @property
    def smallest(self) -> int:
        """Members at risk."""
        return self.net.n

    @property
    def direction(self) -> int:
        """1 when more are shown to rise than to fall, -1 when more fall, 0 when neither is shown."""
        return int(self.net.low > 0) - int(self.net.high < 0)

    @property
    def sentence(self) -> str:
        """The net promotion rate of the last pair of periods."""
        net, k_min = self.net, self.study.k_min
        if not net.known:
            return say("Too little data: no member was present in two successive periods.")
        verdicts = {0: "neither clearly outweighs", 1: "more rise than fall", -1: "more fall than rise"}
        text = (
            "Of {n:,} members present in {last} and the {period} before, {up} moved up a tier and {down} down: "
            "{verdict}. The difference, the net promotion rate, is {net}."
        )
        # Beside the rate, the larger of the two would give the smaller one away.
        if 0 < min(self.up, self.down) < k_min:
            text = (
                "Of {n:,} members present in {last} and the {period} before, fewer than {k} moved up a tier or down "
                "one: {verdict}. The difference, the net promotion rate, is {net}."
            )
        if self.left:
            text += "\n{left} others left and are not counted."
        return say(
            text, n=net.n, last=self.history.periods[-1], period=self.history.period, up=self.up, down=self.down,
            k=k_min, verdict=say(verdicts[self.direction]), net=with_bounds(net),
            left=people(self.left, k_min),
        )  # fmt: skip

    @property
    def homogeneity_sentence(self) -> str:
        """Whether the pooled matrix may be used; a change too small to matter is no news."""
        test, period = self.homogeneity, self.history.period
        if not test.df:
            return say("Too little data to test whether moves differ between {period}s.", period=period)
        text = "Moves differ between {period}s: the last ones count, all together are an average (p {p})."
        if test.p_value >= 1 - self.study.confidence:
            text = "Moves are not shown to differ between {period}s: all together may be used (p {p})."
        elif test.effect < NEGLIGIBLE_EFFECT:
            text = (
                "Moves differ between {period}s, but little (w = {w:.2f}): all together are a fair summary."
            )
        p = "< .001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
        return say(text, period=period, p=p, w=test.effect)

    def parts(self) -> Iterator[Part]:
        """Yield the rate, the map of all moves and the table of the last ones."""
        yield self.sentence
        yield self.figure()
        yield self.homogeneity_sentence
        last = self._moves("last")
        caption = say("Moves between the last two {period}s", period=self.history.period)
        yield Table("last_moves", last, caption, SHARES, "", "n", list(SHARES), ["from_tier"])

    def findings(self) -> Iterator[Finding]:
        """Yield the net promotion rate."""
        headlines = {
            0: "about as many fall a tier as climb one",
            1: "more members climb a tier than fall one",
            -1: "more members fall a tier than climb one",
        }
        yield finding(
            self.net, id="rfm.net_promotion_rate", metric=say("moved up minus moved down"),
            scope=self.history.scope, sentence=self.sentence, systems=("S001", "S005"),
            assumption=say("members act independently of each other"), direction="up is good", change=True,
            headline=say(headlines[self.direction]), definition="net_promotion", picture="migration",
        )  # fmt: skip

    def _moves(self, scope: str) -> pd.DataFrame:
        """Return a matrix without the sizes of tiers that hold too few."""
        rows = self.matrix[self.matrix["scope"] == scope].drop(columns="scope")
        few = rows["at_risk"].between(1, self.study.k_min - 1)
        return rows.assign(at_risk=rows["at_risk"].astype("Int64").mask(few))

    def figure(self) -> Chart | NoChart:
        """Draw where the members of each tier stood one period later, all pairs of periods together."""
        matrix = self._moves("pooled")
        if not matrix["at_risk"].sum():
            return NoChart(say("Moves between tiers"), self.sentence, "migration")
        tiers, names, period = list(self.history.labels), self.history.scheme.names, self.history.period
        matrix = privacy.suppress(matrix, "n", self.study.k_min, list(SHARES), within=["from_tier"])
        cells = matrix.set_index(["from_tier", "to_tier"])
        shares = zip(cells["share"], cells["low"], cells["high"], strict=True)
        told = [f"{percent(share)}\n{100 * low:.1f} – {100 * high:.1f}" for share, low, high in shares]
        columns = (cells["share"], pd.Series(told, cells.index), cells["at_risk"])
        grid, texts, at_risk = (each.unstack().loc[tiers[::-1], tiers] for each in columns)
        grid.columns = names
        pairs = zip(names[::-1], at_risk[tiers[0]], strict=True)
        grid.index = [
            say("{tier} (n = {n})", tier=name, n="–" if pd.isna(n) else number(n)) for name, n in pairs
        ]
        size = (1.45 * len(tiers) + 1.8, 0.85 * len(tiers) + 1.0)
        figure = plots.heat(grid, texts, size, say("Tier one period later"), say("Tier before"))
        stay = float(grid.to_numpy()[0, -1])
        text = "{share} of {tier} members stay there for another {period}"
        if not (stay >= 0 and at_risk.to_numpy(float, na_value=0.0)[0, 0] >= enough.GROUP):
            text = "Moves between tiers, one {period} to the next"
        title = say(text, share=percent(stay), tier=tiers[-1], period=period)
        text = "{pairs} pairs of {period}s, intervals beneath. Moves of fewer than {k} members are kept back (–)."
        note = say(text, pairs=len(self.history.moves), period=period, k=self.study.k_min)
        kind = say("Matrix of moves, tiers before in rows, after in columns")
        data = matrix.reset_index(drop=True)
        return self.drawn("migration", kind, title, data, figure, note=note, units=SHARES)


def migration(study: Study, history: TierHistory) -> Migration:
    """Return how members move between tiers, pooled and in the last pair of periods."""
    tiers, flows = history.labels, history.moves
    tables = flows[:, :-1, :-1]
    last = tables[-1] if len(tables) else np.zeros((len(tiers),) * 2)
    scopes = {"pooled": tables.sum(axis=0), "last": last}
    cells = [_cells(scope, table, tiers, study.confidence) for scope, table in scopes.items()]
    return Migration(
        study, history=history, matrix=pd.concat(cells, ignore_index=True),
        net=net_promotion(last, study.confidence, study.seed), homogeneity=homogeneity(tables, study.seed),
        up=int(np.triu(last, 1).sum()), down=int(np.tril(last, -1).sum()),
        left=int(flows[-1, :-1, -1].sum()) if len(flows) else 0,
    )  # fmt: skip


def _cells(scope: str, table: Array, labels: tuple[str, ...], confidence: float) -> pd.DataFrame:
    at_risk = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    low, high = jeffreys(table, at_risk, confidence)
    with np.errstate(invalid="ignore"):
        share = table / at_risk
    frame = pd.DataFrame(
        {"from_tier": np.repeat(labels, len(labels)), "to_tier": np.tile(labels, len(labels))}
    )
    frame.insert(0, "scope", scope)
    frame["n"], frame["at_risk"] = table.ravel().astype(int), at_risk.ravel().astype(int)
    return frame.assign(share=share.ravel(), low=low.ravel(), high=high.ravel())


@dataclass(frozen=True, repr=False)
class Forecast(Result):
    """Tier sizes expected in the next period, and how such forecasts would have done in past ones.

    Attributes
    ----------
    history : TierHistory
        What it rests on; the forecast is for the period after its last.
    sizes : pandas.DataFrame
        tier, last (members now), expected, low, high (90 % bands), change (expected - last), known (the tier's own
        moves have been seen). NaN when there is too little data.
    variation : float
        Correlation within periods beyond chance, 0 when none is seen; NaN with one pair, where it cannot be.
    """

    history: TierHistory
    sizes: pd.DataFrame
    variation: float = np.nan

    @property
    def smallest(self) -> int:
        """Members in all tiers together."""
        return int(self.sizes["last"].sum())

    @property
    def sentence(self) -> str:
        """The forecast of the top tier, with its band."""
        if self.sizes["expected"].isna().any():
            return say("Too little data to forecast: two successive complete periods are needed.")
        top = self.sizes.iloc[-1]
        values = {name: number(top[name], 0) for name in ("expected", "low", "high")}
        text = "In the {period} after {after}, {tier} should go from {last} to {expected} members ({low} to {high})."
        if not top["last"] and top["high"] < 1:
            text = "Nobody is in {tier}, nor is anybody expected there in the {period} after {after}."
        elif 0 < top["last"] < self.study.k_min:
            text = "{tier} has {last} members; what is expected of so few is not told."
        elif np.isnan(self.variation):
            text += "\nOne pair of {period}s cannot show how much they differ, so the bands are too narrow."
        return say(
            text, period=self.history.period, after=self.history.periods[-1], tier=top["tier"],
            last=people(int(top["last"]), self.study.k_min), **values,
        )  # fmt: skip

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Every period that has two before it, forecast from what was known then.

        period, tier, naive (size of the period before), expected, low, high, actual, error, naive_error, covered.
        """
        flows, sizes, frames = self.history.moves, self.history.counts, []
        for later in range(1, len(flows)):
            if flows[:later, :-1].sum():
                start, seed = flows[later].sum(axis=1), self.study.seed + later
                frame = _stepped(Steps.of(flows[:later]), start, self.history.labels, seed)
                frame.insert(0, "period", self.history.periods[later + 1])
                frames.append(frame.assign(naive=sizes[later], actual=sizes[later + 1].astype(int)))
        if not frames:
            return pd.DataFrame()
        cells = pd.concat(frames, ignore_index=True).drop(columns=["change", "last"])
        errors = {
            name: cells[of] - cells["actual"]
            for name, of in (("error", "expected"), ("naive_error", "naive"))
        }
        return cells.assign(**errors, covered=cells["actual"].between(cells["low"], cells["high"]))

    @property
    def tested_sentence(self) -> str:
        """Error of past forecasts against the naive one, and coverage of the bands.

        The tiers of a period move together, so the interval is that of the number of periods, not of cells.
        """
        if self.cells.empty:
            return say("Too little data for a backtest: three successive complete periods are needed.")
        k, share = self.cells["period"].nunique(), float(self.cells["covered"].mean())
        error, naive = self.cells[["error", "naive_error"]].abs().mean()
        text = (
            "Such forecasts of earlier periods ({periods}) missed tier sizes by {error} members on average, “as last "
            "period” by {naive}."
        )
        more = "Too little data to say whether the bands hold."
        if k >= enough.BACKTESTS:
            more = "{share} of {cells} sizes fell inside their {level} band ({bounds})."
        low, high = (float(end) for end in wilson(share * k, k, self.study.confidence))
        return say(
            f"{text}\n{more}", periods=k, error=number(error), naive=number(naive), cells=len(self.cells),
            share=percent(share, 0), level=percent(BAND, 0), bounds=interval(low, high, "share"),
        )  # fmt: skip

    def parts(self) -> Iterator[Part]:
        """Yield the forecast, how such forecasts did, and all tiers."""
        yield self.sentence
        yield self.tested_sentence
        if not self.history.periods:
            return
        text = "Tier sizes expected in the {period} after {after}, {level} bands"
        after = self.history.periods[-1]
        caption = say(text, period=self.history.period, after=after, level=percent(BAND, 0))
        note = say("Newcomers of the last {period} and leavers are counted in.", period=self.history.period)
        yield Table("forecast", self.sizes, caption, note=note, members="last")


def forecast(study: Study, history: TierHistory) -> Forecast:
    """Forecast the tier sizes of the period after the last one."""
    flows, labels, sizes = history.moves, history.labels, history.counts
    if not flows[:, :-1].sum():
        last = sizes[-1] if len(sizes) else np.zeros(len(labels))
        frame = pd.DataFrame({"tier": labels, "last": last.astype(int)})
        frame[["expected", "low", "high", "change"]] = np.nan
        return Forecast(study, history, frame.assign(known=False))
    steps, start = Steps.of(flows), np.r_[sizes[-1], history.newcomers]
    frame = _stepped(steps, start, labels, study.seed)
    frame["known"] = steps.counts[:-1].sum(axis=1) > 0
    return Forecast(study, history, frame, steps.variation)


def _stepped(steps: Steps, start: Array, labels: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Return a row per tier with its band, which ends at whole numbers."""
    last, expected = start[:-1], (start @ steps.shares)[:-1]
    simulated = steps.simulate(start, DRAWS, seed)[:, :-1]
    tail = (1 - BAND) / 2
    low, high = np.quantile(simulated, [tail, 1 - tail], axis=0, method="inverted_cdf")
    low, high = np.minimum(low, np.floor(expected)), np.maximum(high, np.ceil(expected))
    frame = pd.DataFrame({"tier": labels, "last": last.astype(int), "expected": expected})
    return frame.assign(low=low, high=high, change=expected - last)
