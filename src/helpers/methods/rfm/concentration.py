"""On how few members the value hangs, and whether the effort goes there.

The statistics and their standard errors are in :mod:`helpers.stats.concentration`; intervals come from the
studentised member bootstrap. With refunds above sales a member holds a negative value: it counts as it is, is named,
and lets the Gini index pass 1.

The same members are followed into the next period, which nobody had seen when they were ranked: whoever happened to
buy in the window is at its top by definition.

Effort is what the ledger of costs books on a tier: a row belongs to a tier when its `project` is the tier's label or
``"tier:<label>"``, and its amount is spread evenly over the tier's members. Rows with any other project cannot be
attributed; their sum is stated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import ibis
import numpy as np
import pandas as pd

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.members import placed
from helpers.methods.rfm.scores import COUNTED, Scores
from helpers.methods.rfm.tiers import TierScheme
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.playbook.thresholds import threshold
from helpers.sentences import people, percent, quantity, roughly, say, with_bounds
from helpers.stats.concentration import GRID, gini_with_error, lorenz_ordinates, top_share_with_error
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import FloatArray, Moments, observed, resamples, studentised, value_cells
from helpers.study import Study
from helpers.study.enough import RESAMPLED, RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise
from helpers.tables import Table

INDEPENDENT = "members act independently of each other"
TOP = 0.2
SHARES = ["share", "low", "high"]


@dataclass(frozen=True)
class Followed:
    """The members present at a split, with what they brought before and after it.

    Attributes
    ----------
    study : Study
        Seen from the end of the period after.
    table : ibis.Table
        member_id, tier, then, after (value in the unit of the study), one row each.
    labels : tuple of str
        Tiers from low to high.
    split : datetime.date
        Last day of the first period; those present on it are followed.
    days : int
        Length of each of the two periods.
    """

    study: Study
    table: ibis.Table
    labels: tuple[str, ...]
    split: dt.date
    days: int

    @property
    def scope(self) -> str:
        """Whom and when it is about."""
        text, study = "{whom} present on {split}, {days} days from then ({zone})", self.study
        return say(text, whom=study.whom, split=self.split, days=self.days, zone=study.report_tz)


def followed(study: Study, scheme: TierScheme, window_days: int, days: int) -> Followed:
    """Return what members brought in the last days before a split and in as many days after it.

    Parameters
    ----------
    study : Study
        Seen from the end of the period after.
    scheme : TierScheme
        Places the members present at the split.
    window_days : int
        Window for schemes that have none of their own.
    days : int
        Length of each of the two periods.
    """
    split = study.as_of - dt.timedelta(days=days)
    members = placed(study.at(split), scheme, window_days).select("member_id", "tier")
    rows, begin = study.activity, split - dt.timedelta(days=days)
    sums = {}
    for name, first, last in (("then", begin, split), ("after", split, study.as_of)):
        inside = (rows.day > ibis.date(first)) & (rows.day <= ibis.date(last))
        sums[name] = rounded(rows.value.sum(where=inside), VALUE_DECIMALS)
    found = members.left_join(rows.group_by("member_id").agg(**sums), "member_id").drop("member_id_right")
    return Followed(study, materialise(found.fill_null(dict.fromkeys(sums, 0))), scheme.labels, split, days)


# --- concentration -----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Concentration(Result):
    """How value, or without any value activity, is shared among members ranked by the same or an earlier one.

    Attributes
    ----------
    top_share : Estimate
        Share of all value that the top members hold.
    gini : Estimate
        Gini index; unknown when members are ranked by another value than the measured one.
    n : int
        Number of members, those without value included.
    total : float
        Sum of the value.
    zero_members, negative_members : int
        Members whose value is 0, and below 0.
    activity : bool
        Whether actions are counted, because there is no value.
    window_days : int
        Days in which the value was brought.
    lorenz : pandas.DataFrame
        Columns members_share (members from the lowest rank up), value_share; 101 rows, none when the value cannot be
        shared out.
    """

    top_share: Estimate
    gini: Estimate
    n: int
    total: float
    zero_members: int
    negative_members: int
    activity: bool = False
    window_days: int = 0
    lorenz: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def smallest(self) -> int:
        """Members at the top, or all of them when it is not known what those hold."""
        return round(self.n * TOP) if self.top_share.known else self.n

    @property
    def _total(self) -> str:
        actions = say(COUNTED[self.study.count])
        return f"{self.total:,.0f} {actions}" if self.activity else quantity(self.total, self.study.unit)

    @property
    def sentence(self) -> str:
        """What the numbers say, in plain words."""
        zero = percent(self.zero_members / self.n if self.n else np.nan)
        text = (
            "Concentration in the window cannot be told of {n:,} members with {total} in all: too little data, or "
            "nothing left after refunds."
        )
        if self.top_share.known:
            text = (
                "The top {top} of {n:,} members hold {share} of {total} in the window. The Gini index, 0 when all "
                "hold the same and 1 when one holds all, is {gini}."
            )
            if self.activity:
                text = (
                    "No value is on record, so activity is shared out: the top {top} of {n:,} members did {share} of "
                    "{total} in the window. The Gini index, 0 when all do the same and 1 when one does all, is "
                    "{gini}."
                )
            if self.zero_members >= self.study.k_min:
                text += "\n{zero} of the members had no part in it."
        if self.negative_members:
            text += "\nRefunds above sales, of {negative} members, count as they are."
        return say(
            text, n=self.n, total=self._total, zero=zero, top=percent(TOP, 0), share=with_bounds(self.top_share),
            gini=with_bounds(self.gini._replace(unit="")),
            negative=people(self.negative_members, self.study.k_min),
        )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """Yield what the top fifth hold."""
        text, metric = "the top fifth hold {share} of the value", "value held by the top fifth"
        if self.activity:
            text, metric = "the top fifth do {share} of what is done", "activity of the top fifth"
        yield finding(
            self.top_share, id="rfm.top_share", metric=say(metric),
            scope=say("{scope}, {days} days", scope=self.study.scope, days=self.window_days),
            sentence=self.sentence, assumption=say(INDEPENDENT), systems=("S014",),
            headline=say(text, share=roughly(self.top_share.value)), picture="lorenz",
            definition="top_activity" if self.activity else "top_share",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw the Lorenz curve: cumulative share of value against members, least valuable first."""
        if not self.top_share.known:
            return NoChart(say("Concentration of value"), self.sentence, "lorenz")
        share, text = (
            self.top_share.value,
            "The top {top} of members bring {share} of the value in the same {days} days",
        )
        if self.activity:
            text = "The top {top} of members do {share} of what is done in the same {days} days"
        title = say(text, top=percent(TOP, 0), share=percent(share), days=self.window_days)
        note = say("{total}, up to {day}, {n:,} members.", total=self._total, day=self.study.as_of, n=self.n)
        kind = say("Lorenz curve of value, the least valuable members first")
        figure = plots.lorenz(self.lorenz, TOP, share, self.activity)
        data = self.lorenz.iloc[::5].reset_index(drop=True).assign(n=self.n)
        return self.drawn("lorenz", kind, title, data, figure, note=note)


def concentration(study: Study, scores: Scores) -> Concentration:
    """Measure how concentrated the value of the scored members is, with its Lorenz curve; without value, activity."""
    activity = not bool((scores.table.monetary != 0).any().execute())
    cells = value_cells(scores.table, "frequency" if activity else "monetary")
    found = replace(_concentration(study, cells), window_days=scores.window_days, activity=activity)
    if not found.top_share.known:
        return found
    share = lorenz_ordinates(observed(cells))
    return replace(found, lorenz=pd.DataFrame({"members_share": GRID, "value_share": share}))


def _concentration(study: Study, cells: pd.DataFrame, own_rank: bool = True) -> Concentration:
    """Return the concentration of compressed values, without the curve."""
    count, n = cells["count"], int(cells["count"].sum())
    total, negative = float((cells["mean"] * count).sum()), int(cells["negative"].sum())
    zero, confidence = int(cells["zero"].sum()), study.confidence
    top_share, gini = unknown(n, "share", confidence), unknown(n, "index", confidence)
    if n >= RESAMPLED and n - zero >= RESAMPLED_WITH_VALUE and total > 0:
        drawn = chain([observed(cells)], resamples(cells, draws=study.draws, seed=study.seed))
        found = np.concatenate([_statistics(groups, own_rank) for groups in drawn], axis=1)
        bounds = (-np.inf, np.inf) if negative else (0.0, 1.0)
        top_share = studentised(found[:2], n, "share", confidence, bounds)
        gini = studentised(found[2:], n, "index", confidence, bounds) if own_rank else gini
    return Concentration(
        study, top_share=top_share, gini=gini, n=n, total=total, zero_members=zero, negative_members=negative,
    )  # fmt: skip


def _statistics(groups: Moments, own_rank: bool) -> FloatArray:
    """Return top share and Gini index, each followed by its error, shape (2 or 4, draws with any value)."""
    usable = groups.total.sum(axis=1) > 0
    groups = Moments(*(part[usable] for part in groups))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([*top_share_with_error(groups, TOP), *(gini_with_error(groups) if own_rank else ())])


@dataclass(frozen=True, repr=False)
class PeriodComparison(Result):
    """Concentration in a window and in the hold-out that follows it, of the same members.

    Attributes
    ----------
    followed : Followed
        The members.
    window, holdout : Concentration
        Each period's value, members ranked by that same period's value.
    carried : Concentration
        Hold-out value of members ranked by their value in the window.
    """

    followed: Followed
    window: Concentration
    holdout: Concentration
    carried: Concentration

    @property
    def smallest(self) -> int | None:
        """Members at the top."""
        return self.carried.smallest

    @property
    def table(self) -> pd.DataFrame:
        """One row per ranking: label, share of the top with low and high, gini, n, zero_members, negative_members."""
        told = {
            say("in the window"): self.window,
            say("in the hold-out"): self.holdout,
            say("in the hold-out, members ranked in the window"): self.carried,
        }
        rows = [(label, *part.top_share[:3], part.gini.value, part.n) for label, part in told.items()]
        frame = pd.DataFrame(rows, columns=["label", *SHARES, "gini", "n"])
        for name in ("zero_members", "negative_members"):
            counts = pd.Series([getattr(part, name) for part in told.values()], dtype="Int64")
            frame[name] = counts.mask(counts.between(1, self.study.k_min - 1))
        return frame

    @property
    def sentence(self) -> str:
        """Whether last period's top members still carry the value, in plain words."""
        parts = (self.window, self.holdout, self.carried)
        text = (
            "The members who were the top {top} in the {days} days up to {split} bring {carried} of the value of the "
            "{days} days after: the number to plan with. Ranked and counted in one period, the top {top} hold {then} "
            "before and {own} after."
        )
        if not all(part.top_share.known for part in parts):
            text = (
                "Who carries the {days} days after {split}: too little data ({n:,} members present that day)."
            )
        return say(
            text, top=percent(TOP, 0), days=self.followed.days, split=self.followed.split, n=self.carried.n,
            carried=with_bounds(self.carried.top_share), then=percent(self.window.top_share.value),
            own=percent(self.holdout.top_share.value),
        )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Yield all three concentrations."""
        text = "Share of the top {top} in the {days} days up to {split} and in as many days after, and Gini index"
        caption = say(text, top=percent(TOP, 0), days=self.followed.days, split=self.followed.split)
        yield Table("concentration", self.table, caption, dict.fromkeys(SHARES, "share"))

    def findings(self) -> Iterator[Finding]:
        """Yield what the former top fifth bring."""
        share = self.carried.top_share
        yield finding(
            share, id="rfm.carried_share", metric=say("next period's value from the former top fifth"),
            scope=self.followed.scope, sentence=self.sentence, assumption=say(INDEPENDENT), systems=("S014", "S018"),
            headline=say("the former top fifth bring {share} of the next value", share=roughly(share.value)),
            definition="carried_share",
        )  # fmt: skip


def compare_periods(study: Study, followed: Followed) -> PeriodComparison:
    """Compare concentration in a window with the hold-out after it, of the same members."""
    members = followed.table
    window, holdout = (_concentration(study, value_cells(members, name)) for name in ("then", "after"))
    carried = _concentration(study, value_cells(members, "after", rank="then"), own_rank=False)
    return PeriodComparison(study, followed, window, holdout, carried)


# --- effort ------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class EffortShare(Result):
    """What the top members by earlier value bring and what they received.

    Attributes
    ----------
    followed : Followed
        The members.
    value_share, effort_share : Estimate
        Share of value and of attributed effort of the same top members; unknown when the data do not tell.
    gap : Estimate
        Share of effort minus share of value. The interval joins those of the two shares by their squared
        distances (Zou and Donner 2008), taking the two as independent.
    attributed, unattributed : float
        Effort that could and could not be attributed to members, in the currency of the study.
    """

    followed: Followed
    value_share: Estimate
    effort_share: Estimate
    gap: Estimate
    attributed: float
    unattributed: float

    @property
    def smallest(self) -> int | None:
        """Members at the top, when something is told of them."""
        return round(self.gap.n * TOP) if self.gap.known else None

    @property
    def sentence(self) -> str:
        """What the two shares say, in plain words."""
        text = "Nothing tells who received the effort: {rest} of costs name no tier as their project."
        if not (self.attributed or self.unattributed):
            text = "Nothing tells who received the effort: no costs of those days are on record."
        if self.gap.known:
            text = (
                "The top {top} of members, ranked before {split}, received {effort} of the effort before and bring "
                "{value} of the value after. {known} of effort could be attributed, {rest} could not. That they "
                "deserve {rule} of it is a rule of thumb that nothing here confirms."
            )
        known, rest = (quantity(part, self.study.currency) for part in (self.attributed, self.unattributed))
        return say(
            text, top=percent(TOP, 0), split=self.followed.split, effort=with_bounds(self.effort_share),
            value=with_bounds(self.value_share), known=known, rest=rest,
            rule=percent(threshold("pareto.effort_top20").value, 0),
        )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """Yield the gap between effort and value."""
        text = "no gap is shown between effort and value of the top fifth"
        if self.gap.low > 0:
            text = "the top fifth receive more effort than they bring value"
        elif self.gap.high < 0:
            text = "the top fifth receive less effort than they bring value"
        yield finding(
            self.gap, id="rfm.effort_gap", metric=say("effort minus value of the top fifth"),
            scope=self.followed.scope, sentence=self.sentence, systems=("S014",),
            assumption=say("effort booked on a tier is spread evenly over its members"),
            headline=say(text), definition="effort",
        )  # fmt: skip


def effort_share(study: Study, followed: Followed) -> EffortShare:
    """Compare the share of value of the top members with the share of effort they received before.

    Members are ranked by the value before the split and valued after it; the effort is that before it. The study's
    table of costs is the effort; without one nothing can be attributed.
    """
    table, split = followed.table, followed.split
    counts = table.group_by("tier").aggregate(n=table.count()).execute().set_index("tier")["n"]
    begin = split - dt.timedelta(days=followed.days)
    amounts, lost = _tier_amounts(study, set(counts.index), begin, split)
    heads = [(table.tier == label, amount / int(counts[label])) for label, amount in sorted(amounts.items())]
    spread = table.mutate(effort=ibis.cases(*heads, else_=0.0) if heads else ibis.literal(0.0))
    worth = _concentration(study, value_cells(table, "after", rank="then"), own_rank=False)
    spent = _concentration(study, value_cells(spread, "effort", rank="then"), own_rank=False)
    value, effort, gap = worth.top_share, spent.top_share, unknown(worth.n, "share", study.confidence)
    if value.known and effort.known:
        middle = effort.value - value.value
        low = float(middle - np.hypot(effort.value - effort.low, value.high - value.value))
        high = float(middle + np.hypot(effort.high - effort.value, value.value - value.low))
        method = "square-and-add of two member bootstraps"
        gap = Estimate(middle, low, high, effort.n, "share", method, study.confidence)
    return EffortShare(study, followed, value, effort, gap, spent.total, round(lost, 6))


def _tier_amounts(
    study: Study, labels: set[str], after: dt.date, until: dt.date
) -> tuple[dict[str, float], float]:
    """Return effort per tier, and effort of no tier."""
    if "costs" not in study.dataset:
        return {}, 0.0
    costs = study.dataset.costs
    day = costs["date"].cast("date")
    costs = costs.filter(day > ibis.literal(after), day <= ibis.literal(until))
    project = costs["project"].cast("string") if "project" in costs.columns else ibis.null("string")
    keyed = costs.select(project=project, amount=costs["amount"].cast("float64"))
    frame = keyed.group_by("project").aggregate(amount=keyed.amount.sum()).execute()
    frame = frame.sort_values("project", ignore_index=True)
    label = frame["project"].astype("string").str.removeprefix("tier:")
    known = label.isin(labels)
    amounts = frame["amount"].groupby(label.where(known)).sum().to_dict()
    return amounts, float(frame.loc[~known, "amount"].sum())
