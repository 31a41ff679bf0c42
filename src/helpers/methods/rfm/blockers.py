"""What keeps the members of each tier below the next: recency, frequency or value, and by how much.

Each member is compared with the rules of all tiers above, each rule being a range per column. The rule that
asks for changes in the fewest columns is the nearest; the columns in which the member is outside its range
are what blocks, and the distance to the range is the gap. It works for any scheme.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import ibis
import numpy as np
import pandas as pd

from helpers.checks import check_confidence
from helpers.data.source import as_table
from helpers.methods.rfm.tiers import Column, Range, Rule, TierScheme
from helpers.sentences import number, percent, say
from helpers.stats.estimate import jeffreys

FEWEST_MEMBERS = 20
LETTERS = {
    "recency_days": "R", "r_score": "R",
    "frequency": "F", "active_days": "F", "f_score": "F",
    "monetary": "M", "m_score": "M", "value_quantile": "M",
}  # fmt: skip


@dataclass(frozen=True)
class Blockers:
    """What keeps the members of each tier below the next one.

    Attributes
    ----------
    table : pandas.DataFrame
        from_tier, to_tier, column, letter (R, F or M), members (in the tier), blocked, share, low, high
        (share of the tier's members who fall short in this column), only, only_share (who fall short in
        nothing else), median_gap (unit of the column; of those blocked who have a value), direction
        (``more`` or ``less`` is needed), without_value (blocked because the value is missing).
    confidence : float
        Level of the intervals.
    """

    table: pd.DataFrame = field(repr=False)
    confidence: float

    @property
    def sentence(self) -> str:
        """The most common blocker of each tier, or that the rules have one column and so nothing else can block."""
        parts, given = [], []
        columns = self.table["column"].unique()
        for tier, rows in self.table.groupby("from_tier", sort=False):
            top = rows.to_dict("records")[int(rows["blocked"].to_numpy().argmax())]
            if top["members"] < FEWEST_MEMBERS or not top["blocked"]:
                parts.append(say("{tier}: too little data (n = {n:,}).", tier=tier, n=top["members"]))
            elif len(columns) == 1 and top["blocked"] == top["members"]:
                given.append(_given(top))
            else:
                parts.append(_sentence(top))
        if given:
            head = say("The tiers look at {column} alone", column=columns[0])
            parts.insert(0, f"{head}: {'; '.join(given)}.")
        return " ".join(parts) or say("Too little data: there are no tiers to compare.")


def _given(top: dict[Hashable, Any]) -> str:
    return say(
        "members in {tier} need a median of {gap} {direction} to rise",
        tier=top["from_tier"],
        gap=number(top["median_gap"]),
        direction=top["direction"],
    )


def _sentence(top: dict[Hashable, Any]) -> str:
    return say(
        "{tier}: {share} ({low} to {high}) of {n:,} members are kept below {above} by {column} ({only} by "
        "nothing else); the median of them needs {gap} {direction}.",
        tier=top["from_tier"],
        share=percent(top["share"]),
        low=percent(top["low"]),
        high=percent(top["high"]),
        n=top["members"],
        above=top["to_tier"],
        column=top["column"],
        only=percent(top["only_share"]),
        gap=number(top["median_gap"]),
        direction=top["direction"],
    )


def blockers(
    members: ibis.Table | pd.DataFrame, scheme: TierScheme, *, confidence: float = 0.95, column: str = "tier"
) -> Blockers:
    """Return which column of the rules keeps the members of each tier below the next, and by how much.

    Parameters
    ----------
    members : ibis.Table or pandas.DataFrame
        Result of :meth:`TierScheme.assign`: the columns of the rules and the tier.
    scheme : TierScheme
        The rules.
    confidence : float
        Level of the Jeffreys intervals of the shares.
    column : str
        Name of the tier column.
    """
    check_confidence(confidence)
    table = as_table(members)
    frames = []
    for rank, tier in enumerate(scheme.labels[:-1]):
        above = [box for higher in scheme.tiers[rank + 1 :] for box in higher.when]
        here = table.filter(table[column] == tier)
        frames.append(_blocked(here, above, scheme, tier, scheme.labels[rank + 1], confidence))
    return Blockers(pd.concat(frames, ignore_index=True), confidence)


def _blocked(
    here: ibis.Table, above: list[Rule], scheme: TierScheme, tier: str, target: str, confidence: float
) -> pd.DataFrame:
    columns = sorted({name for box in above for name in box})
    nearest = _nearest(here, above, columns, scheme)
    sums = {"members": nearest.count()}
    for name in columns:
        short, gap = nearest[f"short_{name}"], nearest[f"gap_{name}"]
        sums[f"blocked_{name}"] = short.sum().fill_null(0)
        sums[f"only_{name}"] = (
            ibis.cases(((short == 1) & (nearest.fewest == 1), 1), else_=0).sum().fill_null(0)
        )
        sums[f"median_{name}"] = gap.abs().median()
        sums[f"up_{name}"] = ibis.cases((gap > 0, 1), else_=0).sum().fill_null(0)
        sums[f"known_{name}"] = gap.count()
    found = nearest.aggregate(**sums).to_pandas().iloc[0]
    frame = pd.DataFrame({"from_tier": tier, "to_tier": target, "column": columns})
    frame["letter"] = [LETTERS.get(name, "") for name in columns]
    frame["members"] = int(found["members"])
    frame["blocked"] = [int(found[f"blocked_{name}"]) for name in columns]
    with np.errstate(invalid="ignore"):
        frame["share"] = frame["blocked"] / frame["members"].where(frame["members"] > 0)
    frame["low"], frame["high"] = jeffreys(frame["blocked"], frame["members"], confidence)
    frame["only"] = [int(found[f"only_{name}"]) for name in columns]
    frame["only_share"] = frame["only"] / frame["members"].where(frame["members"] > 0)
    frame["median_gap"] = [float(found[f"median_{name}"]) for name in columns]
    more = [found[f"up_{name}"] * 2 >= found[f"known_{name}"] for name in columns]
    frame["direction"] = np.where(more, say("more"), say("less"))
    frame["without_value"] = [int(found[f"blocked_{n}"] - found[f"known_{n}"]) for n in columns]
    return frame


def _nearest(here: ibis.Table, above: list[Rule], columns: list[str], scheme: TierScheme) -> ibis.Table:
    """Add, per column, whether it falls short in the rule that asks for the fewest changes, and the gap.

    Of equally near rules the one of the lowest tier counts.
    """
    numbers = {
        f"changes_{rule}": reduce(lambda x, y: x + y, (_short(here, box, c) for c in columns))
        for rule, box in enumerate(above)
    }
    table = here.mutate(**numbers)
    table = table.mutate(fewest=ibis.least(*[table[name] for name in numbers]))
    nearest = [(table[name] == table.fewest, box) for name, box in zip(numbers, above, strict=True)]
    added: dict[str, ibis.Value] = {}
    for c in columns:
        added[f"short_{c}"] = ibis.cases(
            *[(is_nearest, _short(table, box, c)) for is_nearest, box in nearest]
        )
        gaps = [(is_nearest, _gap(table, box, c, scheme.domains[c])) for is_nearest, box in nearest]
        added[f"gap_{c}"] = ibis.cases(*gaps)
    return table.mutate(**added)


def _short(table: ibis.Table, box: Rule, column: str) -> ibis.Value:
    """Return 1 where the value is outside the range that the rule has for the column, else 0."""
    if column not in box:
        return ibis.literal(0, "int64")
    return ibis.cases((box[column].holds(table[column]), 0), else_=1).cast("int64")


def _gap(table: ibis.Table, box: Rule, column: str, domain: Column) -> ibis.Value:
    """Return what has to be added to a value (negative: taken off) to enter the range; null when inside."""
    side: Range = box.get(column, Range(missing=True))
    value, nothing = table[column].cast("float64"), ibis.null("float64")
    if not side.numeric:
        return nothing
    # The range is open above; the nearest whole number inside is one less than its end.
    top = side.high - 1 if domain.integer else side.high
    branches = []
    if np.isfinite(side.low):
        branches.append((value < side.low, side.low - value))
    if np.isfinite(side.high):
        branches.append((value >= side.high, top - value))
    return ibis.cases(*branches, else_=nothing) if branches else nothing
