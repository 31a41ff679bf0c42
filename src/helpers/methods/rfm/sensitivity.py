"""How much tiers depend on the chosen value weights: who changes tier when each weight moves up or down.

Weights of a value mix are judgements. Each one is multiplied by 1 + c and by 1 - c in turn, all weights are
rescaled so that their sum stays what it was, and members are scored and put into tiers again. A large share
of members that change says that the weight needs a reason, a small one that the tiers do not hang on it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis

from helpers.data.dialect import VALUE_DECIMALS, rounded
from helpers.errors import BadParameters
from helpers.methods.rfm.scores import bin_score, scored
from helpers.methods.rfm.tiers import TierScheme, value_quantile
from helpers.playbook.result import Result
from helpers.sentences import percent, say, with_bounds
from helpers.stats.estimate import Estimate, proportion, unknown
from helpers.study import Study
from helpers.study.frames import materialise
from helpers.study.values import member_values

CHANGE = 0.25
"""Relative change of each weight."""
VALUED = {"monetary", "m_score", "value_quantile"}
"""Columns that depend on the value."""


@dataclass(frozen=True, repr=False)
class Sensitivity(Result):
    """Members that change tier when a value weight moves.

    Attributes
    ----------
    changed : Estimate
        Largest share of members that change tier, over weights and directions; its n is the members.
    weight : str
        The weight that moves them; empty where tiers do not look at value.
    scheme : TierScheme
        The tiers.
    """

    changed: Estimate
    weight: str
    scheme: TierScheme

    @property
    def smallest(self) -> int:
        """Members, the denominator."""
        return self.changed.n

    @property
    def sentence(self) -> str:
        """The most influential weight with its share of members, interval and denominator."""
        text = "Too little data: nobody's tier could change with the value weights."
        if not self.weight:
            text = "The tiers look at {columns} and not at value: no weight of the value mix moves anybody."
        elif self.changed.known:
            text = (
                "When one value weight moves by {change}, at most {share} of {n:,} members change tier, most with "
                "that of {weight}; the tiers look at {columns}."
            )
        return say(
            text, share=with_bounds(self.changed), n=self.changed.n, change=percent(CHANGE, 0), weight=self.weight,
            columns=", ".join(self.scheme.uses),
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
    given = study.log.weights
    weights = {name: float(weight) for name, weight in given.items() if weight > 0}
    if not weights:
        raise BadParameters(say("value_weights == {given!r}, must hold a weight above 0.", given=dict(given)))
    if not set(scheme.uses) & VALUED:
        return Sensitivity(study, unknown(0, "share", study.confidence), "", scheme)
    members = _members(study, scheme, list(weights), scheme.window_days or window_days)
    total, moved = sum(weights.values()), []
    for place, (name, weight) in enumerate(weights.items()):
        for change in (-CHANGE, CHANGE):
            value = (members.monetary + change * members[f"part_{place}"]) * total / (total + change * weight)
            moved.append((_changed(members.mutate(monetary=rounded(value, VALUE_DECIMALS)), scheme), name))
    most, weight_name = max(moved, key=lambda each: each[0])
    return Sensitivity(
        study, proportion(most, int(members.count().execute()), study.confidence), weight_name, scheme
    )


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
    return materialise(scheme.assign(scored(filled, scheme.bins)))


def _changed(moved: ibis.Table, scheme: TierScheme) -> int:
    """Return how many members change tier under the value they have now."""
    known = {name: moved[name] for name in scheme.uses}
    known |= {
        "m_score": bin_score(moved.monetary, scheme.bins),
        "value_quantile": value_quantile(moved.monetary),
    }
    placed = moved.mutate(after=scheme.expression(known))
    return int(placed.count(where=placed.after != placed.tier).execute())
