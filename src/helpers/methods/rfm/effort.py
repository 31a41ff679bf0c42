"""Share of effort beside share of value: does the work go where the value is?

How effort reaches members
--------------------------
* ``costs``: a row belongs to a tier when its `project` is the tier's label or ``"tier:<label>"``. The amount is
  spread evenly over the tier's members. Rows with any other project cannot be attributed; their sum is stated.
* ``incentives``: the cost of a grant belongs to its member. When this table is given, `costs` rows of kind
  ``incentive`` are left out, because they are the same money in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import ibis
import numpy as np
import pandas as pd

from helpers.data.source import as_table, local_date
from helpers.errors import BadData
from helpers.methods.rfm.concentration import concentration
from helpers.playbook.thresholds import Comparison, Threshold, threshold
from helpers.sentences import percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.study.frames import materialise, require_columns, require_unique


@dataclass(frozen=True)
class EffortShare:
    """What the top members by value bring and what they receive.

    Attributes
    ----------
    value_share, effort_share : Estimate
        Share of value and of attributed effort of the same top members; unknown when the data do not tell.
    gap : Estimate
        Share of effort minus share of value. The interval joins those of the two shares by their squared
        distances (Zou and Donner 2008), taking the two as independent.
    top : float
        Share of members called the top.
    rule : Threshold
        The share of effort that a rule claims for them.
    attributed, unattributed : float
        Effort that could and could not be attributed to members, in `unit`.
    unit : str
        Currency of the effort.
    sources : tuple of str
        Tables the attributed effort comes from.
    period : str
        Period in which value and effort were measured, as words; empty when not told.
    ranked_before : bool
        Whether members are ranked by another column than the value, such as that of the period before.
    """

    value_share: Estimate
    effort_share: Estimate
    gap: Estimate
    top: float
    rule: Threshold
    attributed: float
    unattributed: float
    unit: str
    sources: tuple[str, ...]
    period: str = ""
    ranked_before: bool = False

    @property
    def verdict(self) -> Comparison:
        """Whether the whole interval of the share of effort lies above or below the rule."""
        share = self.effort_share
        return self.rule.compare(share.low, share.high) if share.known else "cannot tell"

    @property
    def table(self) -> pd.DataFrame:
        """Three rows, share of value, share of effort and their gap: statistic, value, low, high, n, rule."""
        names = ("share of value", "share of effort", "effort minus value")
        estimates = (self.value_share, self.effort_share, self.gap)
        rule = (None, self.rule.value, None)
        return pd.DataFrame(
            {"statistic": name, "value": e.value, "low": e.low, "high": e.high, "n": e.n, "rule": claimed}
            for name, e, claimed in zip(names, estimates, rule, strict=True)
        )

    @property
    def sentence(self) -> str:
        """What the two shares say, in plain words."""
        rest = quantity(self.unattributed, self.unit)
        if not self.effort_share.known:
            return say(
                "The data do not tell how effort is shared among members: nothing could be attributed to members "
                "with value ({rest} belong to no tier or member). Costs count when their project names a tier, "
                "incentives when their member is known.",
                rest=rest,
            )
        text = say(
            "The top {top} of members{ranked} bring {value} of the value and receive {effort} of the effort that can "
            "be attributed ({known}; {rest} cannot).",
            top=percent(self.top, 0),
            ranked=say(", ranked before,") if self.ranked_before else "",
            value=with_interval(self.value_share),
            effort=with_interval(self.effort_share),
            known=quantity(self.attributed, self.unit),
            rest=rest,
        )
        if self.period:
            text += " " + say("Value and effort were measured over {period}.", period=self.period)
        rule = percent(self.rule.value, 0)
        return f"{text} " + say(
            "The rule of thumb says {rule} of the effort; nothing shows it is right here.", rule=rule
        )


def _gap(effort: Estimate, value: Estimate) -> Estimate:
    delta = effort.value - value.value
    low = delta - np.hypot(effort.value - effort.low, value.high - value.value)
    high = delta + np.hypot(effort.high - effort.value, value.value - value.low)
    method = "square-and-add of two member bootstraps"
    return Estimate(delta, float(low), float(high), effort.n, "share", method, effort.confidence)


def _inside(table: ibis.Table, day: ibis.Value, start: date | None, end: date | None) -> ibis.Table:
    if start is not None:
        table = table.filter(day >= ibis.literal(start))
    return table if end is None else table.filter(day <= ibis.literal(end))


def _tier_amounts(
    costs: ibis.Table, labels: set[str], start: date | None, end: date | None, without_incentives: bool
) -> tuple[dict[str, float], float, str]:
    """Return effort per tier, effort of no tier, and the currency."""
    require_columns(costs, ["date", "amount", "project"], "costs")
    costs = _inside(costs, costs["date"].cast("date"), start, end)
    if without_incentives and "kind" in costs.columns:
        costs = costs.filter(costs["kind"].cast("string").fill_null("") != "incentive")
    currency = costs["currency"].cast("string") if "currency" in costs.columns else ibis.literal("")
    keyed = costs.select(
        project=costs["project"].cast("string"), currency=currency, amount=costs["amount"].cast("float64")
    )
    frame = keyed.group_by(["project", "currency"]).aggregate(amount=keyed.amount.sum()).execute()
    frame = frame.sort_values(["project", "currency"], ignore_index=True)
    if frame.currency.nunique() > 1:
        raise BadData(f"costs: currencies {', '.join(sorted(frame.currency.unique()))} cannot be added up.")
    label = frame.project.astype("string").str.removeprefix("tier:")
    known = label.isin(labels).fillna(False).astype(bool)
    amounts = frame[known].groupby(label[known])["amount"].sum()
    other = float(frame.loc[~known, "amount"].sum())
    return {str(k): float(v) for k, v in amounts.items()}, other, frame.currency.iloc[0] if len(frame) else ""


def _granted(ledgers: _Ledgers) -> ibis.Table:
    incentives = ledgers.incentives
    assert incentives is not None
    require_columns(incentives, ["member_id", "ts", "cost"], "incentives")
    day = local_date(incentives["ts"], ledgers.report_tz)
    inside = _inside(incentives, day, ledgers.start, ledgers.end)
    cost = inside["cost"].cast("float64").sum()
    return inside.group_by(owner=inside.member_id).aggregate(granted=cost)


class _Ledgers(NamedTuple):
    """Where effort is recorded, and which days of it count."""

    costs: ibis.Table | None
    incentives: ibis.Table | None
    start: date | None
    end: date | None
    report_tz: str


class _Effort(NamedTuple):
    """Members with their effort; the effort that found no member; the currency; the tables it came from."""

    table: ibis.Table
    unattributed: float
    currency: str
    sources: tuple[str, ...]


def _effort(members: ibis.Table, ledgers: _Ledgers) -> _Effort:
    """Add a column effort to members with columns owner and tier."""
    counts = members.group_by("tier").aggregate(n=members.count()).execute()
    sizes = dict(zip(counts["tier"], counts["n"], strict=True))
    amounts: dict[str, float] = {}
    lost, currency = 0.0, ""
    if ledgers.costs is not None:
        twice = ledgers.incentives is not None
        amounts, lost, currency = _tier_amounts(ledgers.costs, set(sizes), ledgers.start, ledgers.end, twice)
    heads = [(members.tier == label, amounts[label] / sizes[label]) for label in sorted(amounts)]
    table = members.mutate(effort=ibis.cases(*heads, else_=0.0) if heads else ibis.literal(0.0))
    sources = ["costs"] if heads else []
    if ledgers.incentives is not None:
        granted = _granted(ledgers)
        stray = granted.anti_join(table, "owner")
        lost += float(stray.aggregate(lost=stray.granted.sum().fill_null(0.0)).execute().iloc[0, 0])
        table = table.left_join(granted, "owner")
        table = materialise(table.mutate(effort=table.effort + table.granted.fill_null(0.0)))
        sources.append("incentives")
    return _Effort(table, round(lost, 6), currency, tuple(sources))


def effort_share(
    members: ibis.Table | pd.DataFrame,
    *,
    costs: ibis.Table | pd.DataFrame | None = None,
    incentives: ibis.Table | pd.DataFrame | None = None,
    value: str = "monetary",
    rank: str | None = None,
    start: date | None = None,
    end: date | None = None,
    report_tz: str = "Asia/Shanghai",
    top: float = 0.2,
    rule: Threshold | None = None,
    unit: str = "CNY",
    period: str = "",
    **settings: Any,
) -> EffortShare:
    """Compare the share of value of the top members with the share of effort they receive.

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        One row per member with member_id, tier, `value` and, when named, `rank`.
    costs, incentives : ibis.Table or pandas.DataFrame, optional
        Ledger and grants of the data contract; see the module for how they are attributed.
    rank : str, optional
        Column that ranks the members; `value` when not given. For an honest comparison rank by the window's
        value and measure the value of the period after.
    start, end : date, optional
        First and last day of effort to count, in `report_tz`.
    top : float
        Share of members called the top.
    rule : Threshold, optional
        The share of effort that a rule claims for them; ``pareto.effort_top20`` when not given.
    unit : str
        Unit of the value, and of the effort when `costs` names no currency.
    period : str
        Period over which value and effort were measured, for the sentence, such as ``"the 90 days up to
        2026-03-31"``; name both when they differ.
    **settings :
        confidence, draws and seed of the member bootstrap.
    """
    table = materialise(as_table(members))
    require_columns(table, ["member_id", "tier", value, rank or value], "member values")
    require_unique(table, "member_id", "member values")
    table = table.select("tier", owner="member_id", value=value, place=rank or value)
    ledger = None if costs is None else as_table(costs)
    grants = None if incentives is None else as_table(incentives)
    found = _effort(table, _Ledgers(ledger, grants, start, end, report_tz))
    settings |= {"rank": "place", "top": top, "unit": unit}
    worth = concentration(found.table, value="value", label="value", **settings)
    spent = concentration(found.table, value="effort", label="effort", **settings)
    known = not (worth.problem or spent.problem)
    nothing = unknown(worth.n, "share", worth.top_share.confidence)
    return EffortShare(
        value_share=worth.top_share,
        effort_share=spent.top_share if known else nothing,
        gap=_gap(spent.top_share, worth.top_share) if known else nothing,
        top=top,
        rule=rule or threshold("pareto.effort_top20"),
        attributed=spent.total,
        unattributed=found.unattributed,
        unit=found.currency or unit,
        sources=found.sources,
        period=period,
        ranked_before=rank is not None and rank != value,
    )
