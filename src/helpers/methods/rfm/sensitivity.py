"""How much tiers depend on the chosen value weights: who changes tier when each weight moves up or down.

Weights of a value mix are judgements. Each one is multiplied by 1 + c and by 1 - c in turn, all weights are
rescaled so that their sum stays what it was, and members are scored and put into tiers again. A large share
of members that change says that the weight needs a reason, a small one that the tiers do not hang on it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import ibis
import pandas as pd

from helpers.checks import check_confidence, check_scalar
from helpers.errors import BadParameters
from helpers.methods.rfm.scores import score, score_expression, value_levels
from helpers.methods.rfm.tiers import TierScheme, value_quantile
from helpers.sentences import percent, say
from helpers.stats.estimate import wilson
from helpers.study.frames import Count, as_day, materialise
from helpers.study.values import VALUE_DECIMALS, activity_rows, member_values


@dataclass(frozen=True)
class Sensitivity:
    """Members that change tier or score code when a value weight moves.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per weight and direction: weight, change (such as -0.25), before, after (weight before and
        after rescaling), tier_changed, promoted, demoted, n (members), share, low, high (of members that
        change tier; Wilson score), code_changed, code_share, code_low, code_high (the same for the score
        code).
    ranking : pandas.DataFrame
        One row per weight, most influential first: rank, weight, share, low, high, code_share, n; of both
        directions the larger figures.
    n : int
        Members, the denominator.
    members_with_value : int
        Members with any weighted value in the window; nobody else's value can move.
    change : float
        Relative change of each weight.
    scheme : str
        Name of the tier scheme.
    uses_value : bool
        Whether the scheme looks at value at all.
    """

    table: pd.DataFrame
    ranking: pd.DataFrame
    n: int
    members_with_value: int
    change: float
    scheme: str
    uses_value: bool

    @property
    def sentence(self) -> str:
        """The most influential weight with its share of members, interval and denominator."""
        if self.n == 0:
            return say(
                "There are no members whose tier could change with the value weights: too little data."
            )
        top = self.ranking.iloc[0]
        values = {
            "n": self.n,
            "scheme": self.scheme,
            "moved": say("when any one value weight moves by {change}", change=percent(self.change, 0)),
            "code": percent(self.ranking.code_share.max()),
            "share": percent(top.share),
            "low": percent(top.low),
            "high": percent(top.high),
            "weight": top.weight,
        }
        if not self.uses_value:
            text = (
                "Not applicable to these tiers: those of {scheme} do not look at value, so none of {n:,} members "
                "changes tier {moved}; the score code changes for at most {code}."
            )
        elif len(self.ranking) == 1:
            text = (
                "Value has the single weight {weight}: changing it rescales everybody alike, so the tiers of "
                "{n:,} members cannot depend on it."
            )
        elif top.share == 0:
            text = (
                "None of {n:,} members changes tier {moved} (interval up to {high}); the score code changes for at "
                "most {code}."
            )
        else:
            text = (
                "At most {share} of {n:,} members ({low} to {high}) change tier {moved}; the tiers depend most on "
                "the weight of {weight}."
            )
        return say(text, **values)


class _Move(NamedTuple):
    """One weight moved by `change`, after which the sum is multiplied by `rescale`."""

    weight: str
    change: float
    rescale: float
    part: str
    suffix: str


def sensitivity(
    activity: ibis.Table | pd.DataFrame,
    scheme: TierScheme,
    *,
    value_weights: Mapping[str, float],
    as_of: dt.date | str,
    window_days: int,
    count: Count = "interaction",
    population: ibis.Table | pd.DataFrame | None = None,
    bins: int | None = None,
    cuts: Mapping[str, Sequence[float]] | None = None,
    change: float = 0.25,
    confidence: float = 0.95,
) -> Sensitivity:
    """Return how many members change tier when each value weight moves up and down.

    Parameters
    ----------
    activity : ibis.Table or pandas.DataFrame
        As made with the same `value_weights` by :func:`helpers.study.activity.activity`.
    scheme : TierScheme
        The tiers.
    value_weights : mapping of str to float
        The mix; weights of 0 are left alone.
    as_of, window_days, count, population
        As in :func:`helpers.study.values.member_values`.
    bins, cuts
        As in :func:`helpers.methods.rfm.scores.score`; `bins` is that of the scheme by default.
    change : float
        Relative change, strictly between 0 and 1.
    confidence : float
        Level of the Wilson score intervals.

    Raises
    ------
    BadParameters
        When no weight is positive, or the activity holds value of actions that have none.
    """
    check_scalar(change, "change", type_=(int, float), gt=0, lt=1)
    check_confidence(confidence)
    weights = {name: float(w) for name, w in value_weights.items() if w > 0}
    if not weights:
        raise BadParameters(f"value_weights == {dict(value_weights)!r}, must hold a weight above 0.")
    moves = _moves(weights, change)
    values = member_values(activity, as_of=as_of, window_days=window_days, count=count, population=population)
    parts = _components(activity_rows(activity), list(weights), as_day(as_of), window_days)
    joined = values.left_join(parts, "member_id").drop("member_id_right")
    filled = joined.mutate(**{m.part: joined[m.part].fill_null(0.0) for m in moves})
    used_bins = scheme.bins if bins is None else bins
    scored = score(filled, bins=used_bins, cuts=cuts).table
    _check_parts(scored, sorted({m.part for m in moves}), weights)
    table = materialise(_moved(scheme.assign(scored), moves, scheme))
    m_scores = _moved_scores(table, moves, used_bins, cuts or {})
    counts = _changes(table, scheme, moves, m_scores)
    return _result(counts, weights, moves, scheme, change, confidence)


def _moves(weights: Mapping[str, float], change: float) -> list[_Move]:
    total = sum(weights.values())
    moves = []
    for i, (name, weight) in enumerate(weights.items()):
        for direction, word in ((-change, "down"), (change, "up")):
            rescale = total / (total + direction * weight)
            moves.append(_Move(name, direction, rescale, f"part_{i}", f"{word}_{i}"))
    return moves


def _components(rows: ibis.Table, names: list[str], day: dt.date, window_days: int) -> ibis.Table:
    """Return the weighted value of every member by weight name, in the window of `member_values`."""
    start = day - dt.timedelta(days=window_days)
    rows = rows.filter((rows.day > ibis.date(start)) & (rows.day <= ibis.date(day)) & rows.action.isin(names))
    parts = {f"part_{i}": rows.value.sum(where=rows.action == name) for i, name in enumerate(names)}
    return rows.group_by("member_id").agg(**parts)


def _check_parts(scored: ibis.Table, parts: Sequence[str], weights: Mapping[str, float]) -> None:
    """Raise when the parts do not add up to the value: then the activity was made with other weights."""
    known = reduce(lambda a, b: a + b, (scored[part] for part in parts))
    other = (scored.monetary - known).abs() > 10.0**-VALUE_DECIMALS * (1 + scored.monetary.abs())
    count = int(scored.count(where=other).execute())
    if count:
        raise BadParameters(
            f"value_weights names {', '.join(weights)}, but the value of {count:,} members holds other "
            f"actions too: make the activity with the same weights."
        )


def _moved(scored: ibis.Table, moves: Sequence[_Move], scheme: TierScheme) -> ibis.Table:
    """Add every member's value under each moved weight, and its quantile when the scheme looks at it."""
    values = {
        f"monetary_{m.suffix}": (scored.monetary + m.change * scored[m.part]) * m.rescale for m in moves
    }
    table = scored.mutate(**{name: value.round(VALUE_DECIMALS) for name, value in values.items()})
    if "value_quantile" not in scheme.uses:
        return table
    quantiles = {f"quantile_{m.suffix}": value_quantile(table[f"monetary_{m.suffix}"]) for m in moves}
    return table.mutate(**quantiles)


def _changes(
    table: ibis.Table,
    scheme: TierScheme,
    moves: Sequence[_Move],
    m_scores: Mapping[str, ibis.ir.IntegerValue],
) -> pd.Series:
    """Return counts of members by kind of change, all moves in one query."""
    found = {"n": table.count(), "with_value": table.count(where=table.monetary != 0)}
    before = _rank(table.tier, scheme)
    for move in moves:
        moved = {"m_score": m_scores[move.suffix], "monetary": table[f"monetary_{move.suffix}"]}
        if "value_quantile" in scheme.uses:
            moved["value_quantile"] = table[f"quantile_{move.suffix}"]
        tier = scheme.expression({c: moved.get(c, table[c]) for c in scheme.uses})
        after = _rank(tier, scheme)
        found[f"promoted_{move.suffix}"] = table.count(where=after > before)
        found[f"demoted_{move.suffix}"] = table.count(where=after < before)
        found[f"code_{move.suffix}"] = table.count(where=moved["m_score"] != table.m_score)
    return table.aggregate(**found).to_pandas().iloc[0]


def _moved_scores(
    table: ibis.Table, moves: Sequence[_Move], bins: int, cuts: Mapping[str, Sequence[float]]
) -> dict[str, ibis.ir.IntegerValue]:
    """Return the value score under each moved weight; all cut points come from one query."""
    columns = {m.suffix: f"monetary_{m.suffix}" for m in moves}
    absolute = {c: [float(p) for p in cuts["monetary"]] for c in columns.values() if "monetary" in cuts}
    levels = value_levels(table, list(columns.values()), bins, absolute)
    expressions = {}
    for suffix, column in columns.items():
        part = levels[levels["column"] == column]
        starts, used = part["low"].tolist()[1:], part["bin"].tolist()
        expressions[suffix] = score_expression(table[column], starts, used, bins, "monetary")
    return expressions


def _rank(tier: ibis.ir.StringValue, scheme: TierScheme) -> ibis.ir.IntegerValue:
    return ibis.cases(*[(tier == label, scheme.labels.index(label)) for label in scheme.labels])


def _result(
    counts: pd.Series,
    weights: Mapping[str, float],
    moves: Sequence[_Move],
    scheme: TierScheme,
    change: float,
    confidence: float,
) -> Sensitivity:
    n = int(counts["n"])
    rows = []
    for m in moves:
        up, down, code = (int(counts[f"{word}_{m.suffix}"]) for word in ("promoted", "demoted", "code"))
        after = weights[m.weight] * (1 + m.change) * m.rescale
        rows.append((m.weight, m.change, weights[m.weight], after, up + down, up, down, n, code))
    names = "weight change before after tier_changed promoted demoted n code_changed"
    frame = pd.DataFrame(rows, columns=names.split())
    for changed, prefix in (("tier_changed", ""), ("code_changed", "code_")):
        frame[f"{prefix}share"] = frame[changed] / n if n else math.nan
        frame[f"{prefix}low"], frame[f"{prefix}high"] = wilson(frame[changed], frame["n"], confidence)
    ranking = frame.groupby("weight", as_index=False)[["share", "low", "high", "code_share", "n"]].max()
    order = ["share", "code_share", "weight"]
    ranking = ranking.sort_values(order, ascending=[False, False, True], ignore_index=True)
    ranking.insert(0, "rank", range(1, len(ranking) + 1))
    with_value = int(counts["with_value"])
    return Sensitivity(frame, ranking, n, with_value, change, scheme.name, scheme.uses_value)
