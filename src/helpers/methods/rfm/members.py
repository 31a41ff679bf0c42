"""The members as they stand on a day: in a tier, kept below the next, and what they will bring.

What keeps a member below the next tier is recency, frequency or value: each member is compared with the rules of all
tiers above, each rule being a range per column. The rule that asks for changes in the fewest columns is the nearest,
of equally near ones that of the lowest tier; the columns in which the member is outside its range are what blocks,
and the distance to the range is the gap. It works for any scheme.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data import privacy
from helpers.data.guard import room_for
from helpers.data.source import as_table, of_sample
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.history import TierHistory
from helpers.methods.rfm.purchase_models import PurchaseModels
from helpers.methods.rfm.scores import scored
from helpers.methods.rfm.tiers import Range, Rule, TierScheme
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import number, percent, roughly, say, with_bounds
from helpers.stats.btyd.cells import KEYS, histories
from helpers.stats.estimate import Estimate, jeffreys, proportion
from helpers.stats.forecast.value import ValueForecast
from helpers.study import Study, enough
from helpers.study.frames import materialise
from helpers.study.values import member_values
from helpers.tables import Table

FloatArray = NDArray[np.float64]
SHARES = dict.fromkeys(("share", "low", "high"), "share")
MOST_COMPARED = 50_000
# Everybody who came back is judged, by three numbers each: without orders hardly two members have the same.
MOST_HISTORIES = 5_000_000


@dataclass(frozen=True, repr=False)
class CurrentTiers(Result):
    """The present members, each in a tier.

    Attributes
    ----------
    history : TierHistory
        The tiers, and the moves between them so far.
    table : ibis.Table
        One row per present member: member_id, recency_days, frequency, active_days, monetary, the scores and
        the tier.
    sizes : pandas.DataFrame
        tier (low to high), members, share.
    silent : Estimate
        Share of the members without one counted action in `days`.
    days : int
        Days that decide the tier.
    """

    history: TierHistory
    table: ibis.Table
    sizes: pd.DataFrame
    silent: Estimate
    days: int

    @property
    def smallest(self) -> int:
        """Silent members, when there are any."""
        return round(self.silent.value * self.silent.n) or self.silent.n if self.silent.n else 0

    @property
    def sentence(self) -> str:
        """The share of silent members."""
        text = "{share} of {n:,} present members did nothing that counts in {days:,} days."
        if self.study.count == "order":
            text = "{share} of {n:,} present members placed no order in {days:,} days."
        if not self.silent.n:
            text = "Nobody is present: too little data."
        return say(text, share=with_bounds(self.silent), n=self.silent.n, days=self.days)

    def findings(self) -> Iterator[Finding]:
        """Yield the share of silent members."""
        value, text = self.silent.value, "{share} of the members are silent"
        if not value:
            text = "none of the members are silent"
        yield finding(
            self.silent, id="rfm.silent_share", metric=say("silent {days} days", days=self.days),
            scope=self.study.scope, sentence=self.sentence, direction="down is good", systems=("S005", "S027"),
            assumption=say("a member without a recorded action was silent, not elsewhere"),
            headline=say(text, share=roughly(value)),
            definition="silent", picture="tier_pyramid",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw the members of each tier, the top tier on top, with those who cross each boundary in a period."""
        k_min, history, period = self.study.k_min, self.history, self.history.period
        if not self.silent.n:
            return NoChart(say("Members by tier"), self.sentence, "tier_pyramid")
        # All pairs of periods together: in the last one alone, moves of a few members would have to be kept back.
        pairs = len(history.moves)
        crossed = [("", "")] * (len(self.sizes) - 1)
        if pairs:
            crossed = boundary_crossings(history.moves[:, :-1, :-1].sum(axis=0), k_min=k_min, pairs=pairs)
        shown = privacy.suppress(self.sizes, "members", k_min, ["share"])
        shown[["up", "down"]] = [("", ""), *crossed]
        data = shown.iloc[::-1].reset_index(drop=True)
        top, *_ = rows = data.to_dict("records")
        few = say("too few")
        sizes = [f"{percent(r['share'])} · {r['members']:,}" if r["share"] >= 0 else few for r in rows]
        text = "▲ {up} up · ▼ {down} down a {period}"
        moves = [say(text, up=r["up"], down=r["down"], period=period) if r["up"] else "" for r in rows]
        figure = plots.bars(history.scheme.names[::-1], data["share"].fillna(0.0).tolist(), sizes, moves)
        text = "{silent} of the members are silent, {share} stand in the top tier"
        if top["share"] == 0:
            text = "{silent} of the members are silent, nobody stands in the top tier"
        elif not top["share"] > 0:
            text = "{silent} of the members are silent, fewer than {k} stand in the top tier"
        silent = percent(self.silent.value) if self.silent.value else say("None")
        title = say(text, silent=silent, share=percent(top["share"]), k=k_min)
        text = "{n:,} present members, by their last {days} days."
        if pairs:
            text += (
                "\nArrows: who crosses the lower edge of a tier in a {period} (average of {pairs} {period}s)."
            )
        if any("–" in each for each in moves):
            text += "\n– is kept back, as it could give away a move of fewer than {k} members."
        note = say(text, n=self.silent.n, days=self.days, pairs=pairs, period=period, k=k_min)
        kind = say("Bars of members by tier, the top tier first, with moves between them")
        return self.drawn("tier_pyramid", kind, title, data, figure, note=note, units=SHARES)


def current_tiers(study: Study, history: TierHistory, window_days: int) -> CurrentTiers:
    """Measure, score and place every member who is present on the last day.

    Parameters
    ----------
    study : Study
        Whom, as of when, and what counts.
    history : TierHistory
        Brings the tiers; their own window is used where they have one.
    window_days : int
        Window for tiers that have none of their own.

    Raises
    ------
    BadParameters
        When the last action lies so far back that everybody would look silent.
    """
    scheme = history.scheme
    table = placed(study, scheme, window_days)
    counts = table.group_by("tier").agg(members=table.count()).to_pandas().set_index("tier")["members"]
    sizes = counts.reindex(scheme.labels, fill_value=0).rename_axis("tier").reset_index()
    n = int(sizes["members"].sum())
    sizes["share"] = sizes["members"] / (n or np.nan)
    silent = proportion(int(table.count(where=table.frequency == 0).execute()), n, study.confidence)
    return CurrentTiers(study, history, table, sizes, silent, scheme.window_days or window_days)


def placed(study: Study, scheme: TierScheme, window_days: int) -> ibis.Table:
    """Return the members present on the last day, each measured, scored and in a tier; see :class:`CurrentTiers`.

    They are stored in the engine, so that reading them twice does not compute them twice.
    """
    window_days = scheme.window_days or window_days
    study.require_recent(window_days)
    values = member_values(study, window_days, population=study.present)
    return materialise(scheme.assign(scored(values, scheme.bins)))


def boundary_crossings(moves: FloatArray, *, k_min: int, pairs: int) -> list[tuple[str, str]]:
    """Count the members who crossed the lower edge of each tier but the lowest, on average over pairs of periods.

    Parameters
    ----------
    moves : ndarray, shape (tiers, tiers)
        Members by tier before and after, of all pairs together.

    Returns
    -------
    list of (str, str)
        Up and down, ``"–"`` where a move that counts in is kept back.

    Notes
    -----
    A crossing is a sum of cells of the matrix of moves, and the matrix is published: a sum with one cell that the
    matrix keeps back would give that cell away. So the same cells are kept back here, those of 0 < n < `k_min`
    and those that protect them within a row.
    """
    cells = pd.DataFrame(
        {"tier": np.repeat(np.arange(len(moves)), len(moves)), "n": moves.ravel().astype(int)}
    )
    shown = privacy.suppress(cells, "n", k_min, [], within=["tier"])["n"]
    told = shown.to_numpy(float, na_value=np.nan).reshape(moves.shape)
    sides = [(told[:tier, tier:].sum(), told[tier:, :tier].sum()) for tier in range(1, len(moves))]
    up, down = ([f"{n / pairs:,.0f}" if n >= 0 else "–" for n in side] for side in zip(*sides, strict=True))
    return list(zip(up, down, strict=True))


@dataclass(frozen=True, repr=False)
class Blockers(Result):
    """What keeps the members of each tier below the next one.

    Attributes
    ----------
    sample : int
        Members compared, where those are a sample; else 0.
    table : pandas.DataFrame
        from_tier, to_tier, column, members (in the tier), blocked, share, low, high (share of the tier's members
        who fall short in this column, Jeffreys interval), median_gap (unit of the column; of those blocked who have
        a value), direction (``more`` or ``less`` is needed).
    """

    table: pd.DataFrame = field(repr=False)
    sample: int = 0

    @property
    def sentence(self) -> str:
        """The most common blocker of each tier; of tiers that look at one column only how much of it is needed."""
        text = "{from_tier}: {column} keeps {share} of {members:,} below {to_tier}, half of them by {gap} at most."
        parts, columns = [], self.table["column"].unique()
        if len(columns) == 1:
            said = "The tiers look at {column} alone. To rise, half of the members need at most:"
            parts, text = [say(said, column=columns[0])], "{from_tier} {gap} {direction}."
        tiers = self.table.loc[self.table.groupby("from_tier", sort=False)["blocked"].idxmax()]
        tiers = tiers[(tiers["members"] >= enough.GROUP) & (tiers["blocked"] >= self.study.k_min)]
        if tiers.empty:
            return say("What keeps members below the next tier: too little data.")
        names = ["from_tier", "to_tier", "column", "members", "direction", "share", "median_gap"]
        for *words, share, gap in tiers[names].itertuples(index=False):
            values = dict(zip(names, words, strict=False))
            parts.append(say(text, **values, share=percent(share), gap=number(gap)))
        return " ".join(parts)

    def tables(self) -> Iterator[Table]:
        """Yield what keeps whom."""
        yield Table(
            "blockers",
            self.table.drop(columns="direction"),
            say("What keeps members below the next tier"),
            SHARES,
            say("Of a random sample of {n:,} members.", n=self.sample) if self.sample else "",
            members="blocked",
        )


def blockers(study: Study, members: CurrentTiers) -> Blockers:
    """Return which column of the rules keeps the members of each tier below the next, and by how much.

    Of more than `MOST_COMPARED` members a sample is looked at, drawn by a hash of their ids.
    """
    scheme = members.history.scheme
    share = min(MOST_COMPARED / max(int(members.sizes["members"].sum()), 1), 1.0)
    frame = of_sample(members.table, share, study.seed).select("tier", *scheme.uses).to_pandas()
    numbers = {column: frame[column].to_numpy(float, na_value=np.nan) for column in scheme.uses}
    rows = []
    for rank, tier in enumerate(scheme.labels[:-1]):
        rules = [rule for higher in scheme.tiers[rank + 1 :] for rule in higher.when]
        columns = sorted({column for rule in rules for column in rule})
        here = (frame["tier"] == tier).to_numpy()
        gaps = _gaps({column: numbers[column][here] for column in columns}, rules, scheme)
        for column, gap, blocks in zip(columns, gaps, gaps != 0, strict=True):
            known = gap[blocks & ~np.isnan(gap)]
            median = float(np.median(np.abs(known))) if len(known) else np.nan
            direction = say("more") if (known > 0).sum() * 2 >= len(known) else say("less")
            counts = (int(here.sum()), int(blocks.sum()))
            rows.append((tier, scheme.labels[rank + 1], column, *counts, median, direction))
    names = ["from_tier", "to_tier", "column", "members", "blocked", "median_gap", "direction"]
    table = pd.DataFrame(rows, columns=names)
    table["share"] = table["blocked"] / table["members"].where(table["members"] > 0)
    table["low"], table["high"] = jeffreys(table["blocked"], table["members"], study.confidence)
    return Blockers(study, table, len(frame) if share < 1 else 0)


def _gaps(numbers: dict[str, FloatArray], rules: list[Rule], scheme: TierScheme) -> FloatArray:
    """Return what each column of each member needs to fit the member's nearest rule, shape (columns, members).

    0 where it fits, negative where something has to be taken off, NaN where there is no value to start from.
    """
    whole = {column: scheme.domains[column].integer for column in numbers}
    gaps = np.array([[_gap(v, rule.get(c), whole[c]) for c, v in numbers.items()] for rule in rules])
    nearest = (gaps != 0).sum(axis=1).argmin(axis=0)
    return np.take_along_axis(gaps, nearest[None, None, :], axis=0)[0]


def _gap(values: FloatArray, side: Range | None, integer: bool) -> FloatArray:
    if side is None:
        return np.zeros_like(values)
    # The range is open above; the nearest whole number inside is one less than its end.
    top = side.high - 1 if integer else np.nextafter(side.high, -np.inf)
    outside = np.select([values < side.low, values >= side.high], [side.low - values, top - values], 0.0)
    return np.where(np.isnan(values), np.nan, outside)


def prospects(
    study: Study, members: CurrentTiers, forecast: ValueForecast, models: PurchaseModels
) -> ibis.Table:
    """Put beside each present member what they will bring, whether they bought, and how likely they are still alive.

    Parameters
    ----------
    study : Study
        Its table of members tells the consent, where it has such a column, so that lists can leave out who did not
        agree to be contacted.
    members : CurrentTiers
        Present members with their tier.
    forecast : ValueForecast
        What each member will bring.
    models : PurchaseModels
        Fitted on the purchases of the study.

    Returns
    -------
    ibis.Table
        One row per present member, stored in the engine: member_id, tier, bought (whether they had bought by
        ``as_of``), p_alive and expected_value. The value is that of the forecast, 0 for a member whom it does not
        name, and missing for all when there was too little data for one. p_alive is missing for members with fewer
        than two purchases, whom no model can judge.
    """
    lives = histories(study.purchases, study.as_of)
    with room_for(MOST_HISTORIES):
        alike = lives.filter(lives.x > 0).select(*KEYS).distinct().to_pandas()
    judged = alike.assign(p_alive=models.alive.probability_alive(*(alike[key] for key in KEYS)))
    lives = lives.left_join(as_table(judged), KEYS).select("member_id", "p_alive", bought=True)
    found = members.table.select("member_id", "tier")
    found = found.left_join(lives, "member_id").drop("member_id_right")
    worth: ibis.Value = ibis.null("float64")
    if forecast.ahead is not None:
        ahead = forecast.ahead.select("member_id", "expected_value")
        found = found.left_join(ahead, "member_id").drop("member_id_right")
        worth = found.expected_value.fill_null(0.0)
    found = found.mutate(bought=found.bought.fill_null(False), expected_value=worth)
    if "consent" in study.population.columns:
        consent = study.population.select("member_id", "consent")
        found = found.left_join(consent, "member_id").drop("member_id_right")
    return materialise(found)
