"""How much tiers depend on the chosen value weights: who changes tier when each weight moves up or down.

Weights of a value mix are judgements. Each one is multiplied by 1 + c and by 1 - c in turn, all weights are
rescaled so that their sum stays what it was, and members are scored and put into tiers again. A large share
of members that change says that the weight needs a reason, a small one that the tiers do not hang on it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import pandas as pd

from helpers.errors import BadParameters
from helpers.methods.rfm.scores import score_expressions, score_values
from helpers.methods.rfm.tiers import TierScheme, value_quantile
from helpers.sentences import percent, say
from helpers.stats.estimate import wilson
from helpers.study import Study
from helpers.study.activity import check_weights
from helpers.study.frames import materialise
from helpers.study.values import VALUE_DECIMALS, member_values

CHANGE = 0.25
"""Relative change of each weight."""


@dataclass(frozen=True)
class Sensitivity:
    """Members that change tier or score code when a value weight moves.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per weight and direction: weight, change (such as -0.25), before, after (weight before and
        after rescaling), promoted, demoted, code_changed, n (members), tier_changed, share, low, high (of members
        that change tier; Wilson score), code_share (of those whose score code changes).
    scheme : TierScheme
        The tiers.
    """

    table: pd.DataFrame
    scheme: TierScheme

    @property
    def n(self) -> int:
        """Members, the denominator."""
        return int(self.table["n"].iloc[0])

    @property
    def ranking(self) -> pd.DataFrame:
        """One row per weight, most influential first: weight, share, low, high, code_share; the larger of both."""
        largest = self.table.groupby("weight", as_index=False)[["share", "low", "high", "code_share"]].max()
        order = ["share", "code_share", "weight"]
        return largest.sort_values(order, ascending=[False, False, True], ignore_index=True)

    @property
    def sentence(self) -> str:
        """The most influential weight with its share of members, interval and denominator."""
        if self.n == 0:
            return say(
                "Too little data: there are no members whose tier could change with the value weights."
            )
        top = self.ranking.iloc[0]
        return say(
            "At most {share} of {n:,} members ({low} to {high}) change tier when any one value weight moves by "
            "{change}, most when that of {weight} does; the score code changes for at most {code}. The tiers of "
            "{scheme} look at {columns}.",
            share=percent(top.share), n=self.n, low=percent(top.low), high=percent(top.high),
            change=percent(CHANGE, 0), weight=top.weight, code=percent(self.ranking["code_share"].max()),
            scheme=self.scheme.name, columns=", ".join(self.scheme.uses),
        )  # fmt: skip


def sensitivity(study: Study, scheme: TierScheme, window_days: int) -> Sensitivity:
    """Return how many of the present members change tier when each value weight moves up and down.

    Parameters
    ----------
    study : Study
        Its activity and the weights that were used to make it; weights of 0 are left alone.
    scheme : TierScheme
        The tiers; its own window is used where it has one.
    window_days : int
        Window for schemes that have none of their own.

    Raises
    ------
    BadParameters
        When no weight is positive.
    """
    given = study.value_weights or check_weights(study.dataset, None)
    weights = {name: float(weight) for name, weight in given.items() if weight > 0}
    if not weights:
        raise BadParameters(f"value_weights == {dict(given)!r}, must hold a weight above 0.")
    members = _members(study, scheme, list(weights), scheme.window_days or window_days)
    total, rows = sum(weights.values()), []
    for place, (name, weight) in enumerate(weights.items()):
        for change in (-CHANGE, CHANGE):
            rescale = total / (total + change * weight)
            value = (members.monetary + change * members[f"part_{place}"]) * rescale
            counts = _changes(members.mutate(monetary=value.round(VALUE_DECIMALS)), scheme)
            rows.append((name, change, weight, weight * (1 + change) * rescale, *counts))
    columns = ["weight", "change", "before", "after", "promoted", "demoted", "code_changed", "n"]
    table = pd.DataFrame(rows, columns=columns)
    known = table["n"].where(table["n"] > 0)
    table["tier_changed"] = table["promoted"] + table["demoted"]
    table["share"], table["code_share"] = table["tier_changed"] / known, table["code_changed"] / known
    table["low"], table["high"] = wilson(table["tier_changed"], table["n"], study.confidence)
    return Sensitivity(table, scheme)


def _members(study: Study, scheme: TierScheme, names: list[str], window_days: int) -> ibis.Table:
    """Return the present members with scores, tier and the value each weight brought them (part_0, part_1, …)."""
    rows = study.activity
    start = ibis.date(study.as_of - dt.timedelta(days=window_days))
    inside = rows.filter((rows.day > start) & (rows.day <= ibis.date(study.as_of)) & rows.action.isin(names))
    parts = {f"part_{i}": inside.value.sum(where=inside.action == name) for i, name in enumerate(names)}
    summed = inside.group_by("member_id").agg(**parts)
    values = member_values(study, window_days, population=study.present)
    joined = values.left_join(summed, "member_id").drop("member_id_right")
    filled = joined.mutate(**{part: joined[part].fill_null(0.0) for part in parts})
    return materialise(scheme.assign(score_values(filled, scheme.bins).table))


def _changes(moved: ibis.Table, scheme: TierScheme) -> tuple[int, ...]:
    """Return how many members rise, fall and change their score code under the value they have now; and how many."""
    scores, _ = score_expressions(moved, ["monetary"], scheme.bins)
    known = {name: moved[name] for name in scheme.uses}
    known |= {"m_score": scores["monetary"], "value_quantile": value_quantile(moved.monetary)}
    ranked = moved.mutate(
        code_after=known["m_score"],
        after=_rank(scheme.expression(known), scheme),
        before=_rank(moved.tier, scheme),
    )
    found = ranked.aggregate(
        promoted=ranked.count(where=ranked.after > ranked.before),
        demoted=ranked.count(where=ranked.after < ranked.before),
        code=ranked.count(where=ranked.code_after != ranked.m_score),
        n=ranked.count(),
    )
    return tuple(int(count) for count in found.to_pandas().iloc[0])


def _rank(tier: ibis.ir.StringValue, scheme: TierScheme) -> ibis.ir.IntegerValue:
    return ibis.cases(*[(tier == label, rank) for rank, label in enumerate(scheme.labels)])
