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
from dataclasses import dataclass, replace
from itertools import chain

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import as_table
from helpers.playbook.thresholds import threshold
from helpers.sentences import percent, quantity, say, with_interval
from helpers.stats.concentration import GRID, gini_with_error, lorenz_ordinates, top_share_with_error
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.resample import FloatArray, Moments, observed, resamples, studentised, value_cells
from helpers.study import Study
from helpers.study.enough import RESAMPLED, RESAMPLED_WITH_VALUE
from helpers.study.frames import materialise, require_columns
from helpers.study.values import VALUE_DECIMALS

TOP = 0.2


def followed(study: Study, members: ibis.Table, days: int) -> ibis.Table:
    """Return what members brought in the last days before a split and in as many days after it, up to ``as_of``.

    Parameters
    ----------
    study : Study
        Seen from the end of the period after.
    members : ibis.Table
        member_id and tier of those present at the split, one row each.
    days : int
        Length of each of the two periods.

    Returns
    -------
    ibis.Table
        member_id, tier, then, after (value in the unit of the study).
    """
    split = study.as_of - dt.timedelta(days=days)

    def brought(first: dt.date, last: dt.date) -> ibis.Value:
        inside = (rows.day > ibis.date(first)) & (rows.day <= ibis.date(last))
        return rows.value.sum(where=inside).fill_null(0).cast("float64").round(VALUE_DECIMALS).cast("float64")

    rows = study.activity
    before = brought(split - dt.timedelta(days=days), split)
    sums = rows.group_by("member_id").agg(then=before, after=brought(split, study.as_of))
    found = members.select("member_id", "tier").left_join(sums, "member_id").drop("member_id_right")
    return materialise(found.mutate(then=found.then.fill_null(0.0), after=found.after.fill_null(0.0)))


# --- concentration -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Concentration:
    """How a measured value is shared among members ranked by the same or another value.

    Attributes
    ----------
    top_share : Estimate
        Share of all value that the top members hold.
    gini : Estimate
        Gini index; unknown when members are ranked by another value than the measured one.
    label : str
        Which period the value was measured in, such as ``"in the window"``.
    n : int
        Number of members, those without value included.
    total : float
        Sum of the value.
    unit : str
        Unit of the value.
    zero_members, negative_members : int
        Members whose value is 0, and below 0.
    negative_total : float
        Sum of the values below 0.
    lorenz : pandas.DataFrame
        Columns label, members_share (members from the lowest rank up), value_share, low, high, n; 101 rows,
        none when the value cannot be shared out. The band is pointwise.
    """

    top_share: Estimate
    gini: Estimate
    label: str
    n: int
    total: float
    unit: str
    zero_members: int
    negative_members: int
    negative_total: float
    lorenz: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row per statistic: label, statistic, value, low, high, n, zero_members, negative_members."""
        names = {f"share of the top {percent(TOP, 0)}": self.top_share, "Gini index": self.gini}
        rows = [(self.label, name, *found[:3], self.n) for name, found in names.items()]
        frame = pd.DataFrame(rows, columns=["label", "statistic", "value", "low", "high", "n"])
        return frame.assign(zero_members=self.zero_members, negative_members=self.negative_members)

    @property
    def sentence(self) -> str:
        """What the numbers say, in plain words."""
        label = self.label[:1].upper() + self.label[1:]
        zero = percent(self.zero_members / self.n if self.n else np.nan)
        values = {"label": label, "n": self.n, "total": quantity(self.total, self.unit), "zero": zero}
        if not self.top_share.known:
            text = (
                "{label}, concentration cannot be told of {n:,} members with {total} in all, {zero} of whom have no "
                "value: too little data, or nothing left to share out after refunds."
            )
            return say(text, **values)
        text = "{label}, the top {top} of {n:,} members hold {share} of {total}. The Gini index is {gini}. {zero} of "
        text += "the members have no value."
        if self.negative_members:
            text += " Refunds above sales ({refunds} of {negative:,} members) count as they are."
        return say(
            text, **values, top=percent(TOP, 0), share=with_interval(self.top_share),
            gini=with_interval(self.gini._replace(unit="")), negative=self.negative_members,
            refunds=quantity(-self.negative_total, self.unit),
        )  # fmt: skip


def concentration(study: Study, values: ibis.Table | pd.DataFrame) -> Concentration:
    """Measure how concentrated a value is among members, with its Lorenz curve.

    Parameters
    ----------
    study : Study
        Gives unit, level, resamples and seed.
    values : ibis.Table or pandas.DataFrame
        One row per member with its ``monetary`` value, members without value included (0, not null).
    """
    cells = value_cells(values, "monetary")
    found = _concentration(study, cells, say("in the window"))
    if not found.top_share.known:
        return found
    curves = [lorenz_ordinates(groups) for groups in _usable(study, cells)]
    tail = (1 - study.confidence) / 2
    low, high = np.quantile(np.concatenate(curves), [tail, 1 - tail], axis=0)
    share = lorenz_ordinates(observed(cells))[0]
    frame = pd.DataFrame({"label": found.label, "members_share": GRID, "value_share": share})
    return replace(found, lorenz=frame.assign(low=low, high=high, n=found.n))


def _usable(study: Study, cells: pd.DataFrame) -> Iterator[Moments]:
    """Yield the resamples that have any value to share out."""
    for groups in resamples(cells, draws=study.draws, seed=study.seed):
        usable = groups.total.sum(axis=1) > 0
        yield Moments(*(part[usable] for part in groups))


def _concentration(
    study: Study, cells: pd.DataFrame, label: str, *, unit: str = "", own_rank: bool = True
) -> Concentration:
    """Return the concentration of compressed values, without the curve."""
    count, n = cells["count"], int(cells["count"].sum())
    total, negative = float((cells["mean"] * count).sum()), int(cells["negative"].sum())
    zero, confidence = int(cells["zero"].sum()), study.confidence
    top_share, gini = unknown(n, "share", confidence), unknown(n, "index", confidence)
    if n >= RESAMPLED and n - zero >= RESAMPLED_WITH_VALUE and total > 0:
        drawn = chain([observed(cells)], _usable(study, cells))
        found = np.concatenate([_statistics(groups, own_rank) for groups in drawn], axis=1)
        bounds = (-np.inf, np.inf) if negative else (0.0, 1.0)
        top_share = studentised(found[:2], n, "share", confidence, bounds)
        gini = studentised(found[2:], n, "index", confidence, bounds) if own_rank else gini
    return Concentration(
        top_share=top_share, gini=gini, label=label, n=n, total=total, unit=unit or study.unit,
        zero_members=zero, negative_members=negative, negative_total=float(cells["negative_total"].sum()),
        lorenz=pd.DataFrame(),
    )  # fmt: skip


def _statistics(groups: Moments, own_rank: bool) -> FloatArray:
    """Return top share and Gini index, each followed by its error, shape (2 or 4, draws)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([*top_share_with_error(groups, TOP), *(gini_with_error(groups) if own_rank else ())])


@dataclass(frozen=True)
class PeriodComparison:
    """Concentration in a window and in the hold-out that follows it, of the same members.

    Attributes
    ----------
    window, holdout : Concentration
        Each period's value, members ranked by that same period's value.
    carried : Concentration
        Hold-out value of members ranked by their value in the window.
    """

    window: Concentration
    holdout: Concentration
    carried: Concentration

    @property
    def table(self) -> pd.DataFrame:
        """The rows of :attr:`Concentration.table` of all three, without the Gini index that is not defined."""
        return pd.concat(
            [self.window.table, self.holdout.table, self.carried.table.iloc[:1]], ignore_index=True
        )

    @property
    def sentence(self) -> str:
        """Whether last period's top members still carry the value, in plain words."""
        for part in (self.window, self.holdout, self.carried):
            if not part.top_share.known:
                return part.sentence
        return say(
            "Last period's top {top} of members held {then} of the value then, and the top {top} of the period after "
            "hold {own} of its value. Both are inflated by ranking and counting on the same period; {carried} is the "
            "number to plan with: the share of the period after that last period's top {top} hold. {zero} of members "
            "have no value in it.",
            top=percent(TOP, 0), then=with_interval(self.window.top_share),
            carried=with_interval(self.carried.top_share), own=with_interval(self.holdout.top_share),
            zero=percent(self.holdout.zero_members / self.holdout.n),
        )  # fmt: skip


def compare_periods(study: Study, members: ibis.Table | pd.DataFrame) -> PeriodComparison:
    """Compare concentration in a window with the hold-out after it, for members as made by :func:`followed`."""
    carried = say("in the hold-out, members ranked in the window")
    ranked = value_cells(members, "after", rank="then")
    return PeriodComparison(
        window=_concentration(study, value_cells(members, "then"), say("in the window")),
        holdout=_concentration(study, value_cells(members, "after"), say("in the hold-out")),
        carried=_concentration(study, ranked, carried, own_rank=False),
    )


# --- effort ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EffortShare:
    """What the top members by earlier value bring and what they received.

    Attributes
    ----------
    value_share, effort_share : Estimate
        Share of value and of attributed effort of the same top members; unknown when the data do not tell.
    gap : Estimate
        Share of effort minus share of value. The interval joins those of the two shares by their squared
        distances (Zou and Donner 2008), taking the two as independent.
    attributed, unattributed : float
        Effort that could and could not be attributed to members, in `unit`.
    unit : str
        Currency of the effort.
    days : int
        Days of effort before the split, and of value after it.
    split : datetime.date
        Last day of effort.
    """

    value_share: Estimate
    effort_share: Estimate
    gap: Estimate
    attributed: float
    unattributed: float
    unit: str
    days: int
    split: dt.date

    @property
    def sentence(self) -> str:
        """What the two shares say, in plain words."""
        rest = quantity(self.unattributed, self.unit)
        if not self.gap.known:
            return say(
                "The data do not tell how effort is shared among members: nothing could be attributed to members "
                "with value ({rest} belong to no tier). Costs count when their project names a tier.",
                rest=rest,
            )
        return say(
            "The top {top} of members, ranked before, bring {value} of the value and receive {effort} of the effort "
            "that can be attributed ({known}; {rest} cannot). Value was measured over the {days} days after {split}, "
            "effort over the {days} days up to it. The rule of thumb says {rule} of the effort; nothing shows it is "
            "right here.",
            top=percent(TOP, 0), value=with_interval(self.value_share), effort=with_interval(self.effort_share),
            known=quantity(self.attributed, self.unit), rest=rest, days=self.days, split=self.split,
            rule=percent(threshold("pareto.effort_top20").value, 0),
        )  # fmt: skip


def effort_share(study: Study, members: ibis.Table | pd.DataFrame, days: int) -> EffortShare:
    """Compare the share of value of the top members with the share of effort they received before.

    Parameters
    ----------
    study : Study
        Its table of costs is the effort; without one nothing can be attributed.
    members : ibis.Table or pandas.DataFrame
        As made by :func:`followed` with the same `days`: ranked by the value before the split, valued after it.
    days : int
        Days of effort up to the split, and of value after it.
    """
    table, split = as_table(members), study.as_of - dt.timedelta(days=days)
    counts = table.group_by("tier").aggregate(n=table.count()).execute().set_index("tier")["n"]
    amounts, lost, currency = _tier_amounts(study, set(counts.index), split - dt.timedelta(days=days), split)
    heads = [(table.tier == label, amount / int(counts[label])) for label, amount in sorted(amounts.items())]
    spread = table.mutate(effort=ibis.cases(*heads, else_=0.0) if heads else ibis.literal(0.0))
    worth = _concentration(study, value_cells(table, "after", rank="then"), "value", own_rank=False)
    cells = value_cells(spread, "effort", rank="then")
    spent = _concentration(study, cells, "effort", unit=currency, own_rank=False)
    nothing = unknown(worth.n, "share", study.confidence)
    value, effort, gap = worth.top_share, spent.top_share, nothing
    if value.known and effort.known:
        middle = effort.value - value.value
        low = float(middle - np.hypot(effort.value - effort.low, value.high - value.value))
        high = float(middle + np.hypot(effort.high - effort.value, value.value - value.low))
        method = "square-and-add of two member bootstraps"
        gap = Estimate(middle, low, high, effort.n, "share", method, study.confidence)
    return EffortShare(value, effort, gap, spent.total, round(lost, 6), spent.unit, days, split)


def _tier_amounts(
    study: Study, labels: set[str], after: dt.date, until: dt.date
) -> tuple[dict[str, float], float, str]:
    """Return effort per tier, effort of no tier, and the currency."""
    if "costs" not in study.dataset:
        return {}, 0.0, ""
    costs = study.dataset.costs
    require_columns(costs, ["project"], "costs")
    day = costs["date"].cast("date")
    costs = costs.filter(day > ibis.literal(after), day <= ibis.literal(until))
    keyed = costs.select(
        project=costs["project"].cast("string"),
        currency=costs["currency"].cast("string") if "currency" in costs.columns else ibis.literal(""),
        amount=costs["amount"].cast("float64"),
    )
    sums = keyed.group_by("project").aggregate(amount=keyed.amount.sum(), currency=keyed.currency.max())
    frame = sums.execute().sort_values("project", ignore_index=True)
    label = frame["project"].astype("string").str.removeprefix("tier:")
    known = label.isin(labels)
    amounts = frame["amount"].groupby(label.where(known)).sum().to_dict()
    return amounts, float(frame.loc[~known, "amount"].sum()), frame["currency"].max() if len(frame) else ""
