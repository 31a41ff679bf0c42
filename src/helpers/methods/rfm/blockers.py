"""What keeps the members of each tier below the next: recency, frequency or value, and by how much.

Each member is compared with the rules of all tiers above, each rule being a range per column. The rule that
asks for changes in the fewest columns is the nearest, of equally near ones that of the lowest tier; the columns in
which the member is outside its range are what blocks, and the distance to the range is the gap. It works for any
scheme.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.data.source import as_table
from helpers.methods.rfm.tiers import Range, Rule, TierScheme
from helpers.sentences import number, percent, say
from helpers.stats.estimate import jeffreys
from helpers.study import Study, enough

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Blockers:
    """What keeps the members of each tier below the next one.

    Attributes
    ----------
    table : pandas.DataFrame
        from_tier, to_tier, column, members (in the tier), blocked, share, low, high (share of the tier's members
        who fall short in this column, Jeffreys interval), only, only_share (who fall short in nothing else),
        median_gap (unit of the column; of those blocked who have a value), direction (``more`` or ``less`` is
        needed).
    """

    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """The most common blocker of each tier; of a scheme of one column only how much of it is needed."""
        parts, columns = [], self.table["column"].unique()
        text = (
            "{from_tier}: {share} ({low} to {high}) of {members:,} members are kept below {to_tier} by {column} "
            "({only} by nothing else); the median of them needs {gap} {direction}."
        )
        if len(columns) == 1:
            parts = [say("The tiers look at {column} alone.", column=columns[0])]
            text = "{members:,} members in {from_tier} need a median of {gap} {direction} to rise."
        for _, rows in self.table.groupby("from_tier", sort=False):
            top: Any = rows.loc[rows["blocked"].idxmax()]
            if top.members < enough.GROUP or not top.blocked:
                parts.append(say("{from_tier}: too little data (n = {members:,}).", **top))
                continue
            shares = {name: percent(top[name]) for name in ("share", "low", "high")}
            told = {"only": percent(top.only_share), "gap": number(top.median_gap)}
            parts.append(say(text, **{**top, **told, **shares}))
        return " ".join(parts)


def blockers(study: Study, scheme: TierScheme, members: ibis.Table | pd.DataFrame) -> Blockers:
    """Return which column of the rules keeps the members of each tier below the next, and by how much.

    Parameters
    ----------
    study : Study
        Gives the level of the intervals.
    scheme : TierScheme
        The rules.
    members : ibis.Table or pandas.DataFrame
        Members with the columns of the rules and their tier, as made by :meth:`TierScheme.assign`.
    """
    frame = as_table(members).select("tier", *scheme.uses).to_pandas()
    numbers = {column: frame[column].to_numpy(float, na_value=np.nan) for column in scheme.uses}
    rows = []
    for rank, tier in enumerate(scheme.labels[:-1]):
        rules = [rule for higher in scheme.tiers[rank + 1 :] for rule in higher.when]
        columns = sorted({column for rule in rules for column in rule})
        here = (frame["tier"] == tier).to_numpy()
        gaps = _gaps({column: numbers[column][here] for column in columns}, rules, scheme)
        short = gaps != 0
        for column, gap, blocks in zip(columns, gaps, short, strict=True):
            known = gap[blocks & ~np.isnan(gap)]
            only = int((blocks & (short.sum(axis=0) == 1)).sum())
            median = float(np.median(np.abs(known))) if len(known) else np.nan
            direction = say("more") if (known > 0).sum() * 2 >= len(known) else say("less")
            pair = (tier, scheme.labels[rank + 1], column)
            rows.append((*pair, int(here.sum()), int(blocks.sum()), only, median, direction))
    names = ["from_tier", "to_tier", "column", "members", "blocked", "only", "median_gap", "direction"]
    table = pd.DataFrame(rows, columns=names)
    known_size = table["members"].where(table["members"] > 0)
    table["share"], table["only_share"] = table["blocked"] / known_size, table["only"] / known_size
    table["low"], table["high"] = jeffreys(table["blocked"], table["members"], study.confidence)
    return Blockers(table)


def _gaps(numbers: dict[str, FloatArray], rules: list[Rule], scheme: TierScheme) -> FloatArray:
    """Return what each column of each member needs to fit the member's nearest rule, shape (columns, members).

    0 where it fits, negative where something has to be taken off, NaN where there is no value to start from.
    """
    gaps = np.array(
        [
            [
                _gap(values, rule.get(column), scheme.domains[column].integer)
                for column, values in numbers.items()
            ]
            for rule in rules
        ]
    )
    nearest = (gaps != 0).sum(axis=1).argmin(axis=0)
    return np.take_along_axis(gaps, nearest[None, None, :], axis=0)[0]


def _gap(values: FloatArray, side: Range | None, integer: bool) -> FloatArray:
    if side is None:
        return np.zeros_like(values)
    if not side.numeric:
        return np.where(np.isnan(values), 0.0, np.nan)
    # The range is open above; the nearest whole number inside is one less than its end.
    top = side.high - 1 if integer else np.nextafter(side.high, -np.inf)
    outside = np.select([values < side.low, values >= side.high], [side.low - values, top - values], 0.0)
    return np.where(np.isnan(values), 0.0 if side.missing else np.nan, outside)
