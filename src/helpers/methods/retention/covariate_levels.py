"""Columns of members as levels that can be compared: rare ones pooled, numbers binned, inside the engine.

A text column gives its levels, a flag itself, a number its quantile bins; what is missing is a level of its own.
Levels of fewer than `k_min` members are pooled, or the column is left out. Identifiers, times and columns in which
everybody is alike are left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import ibis
import pandas as pd

from helpers.sentences import number, say
from helpers.stats.cox.design import OTHER
from helpers.study.frames import NOT_STATED

INVITED = "invited"
# Where a flag is as rare or as common as this in every source, it says what the source says.
SAME_AS_SOURCE = 0.02
# A text column with more levels than this is an identifier, or as good as one.
MOST_LEVELS = 200


class LevelRules(NamedTuple):
    """How columns become levels: see :func:`helpers.methods.retention.covariates.candidates`."""

    members: int
    max_levels: int
    least_share: float
    bins: int
    k_min: int


def make_levels(
    stays: ibis.Table, columns: Sequence[str], rules: LevelRules
) -> tuple[ibis.Table, list[str], list[tuple[str, str]], list[str]]:
    """Return the table with every usable column as levels or a flag, and what was done to the others."""
    left_out: list[tuple[str, str]] = []
    notes: list[str] = []
    made: dict[str, ibis.Value] = {}
    for name in columns:
        column = stays[name]
        value: ibis.Value | None = None
        note: str | None = None
        if name == INVITED and "source" in columns and _follows_source(stays):
            note = say("says what source says")
        elif column.type().is_boolean():
            value, note = _from_levels(stays, name, column.cast("string"), rules._replace(least_share=0.0))
        elif column.type().is_numeric():
            value, note = _from_number(stays, name, rules)
        elif column.type().is_string():
            value, note = _from_levels(stays, name, column, rules)
        else:
            note = say("is no text, flag or number")
        if value is None:
            left_out.append((name, str(note)))
            continue
        made[name] = value
        notes += [note] if note else []
    return stays.mutate(**made), list(made), left_out, notes


def _follows_source(stays: ibis.Table) -> bool:
    """Return whether being invited is (nearly) certain or excluded in every source."""
    rows = stays.group_by(level=stays.source.fill_null(NOT_STATED)).agg(
        share=stays[INVITED].cast("float64").mean()
    )
    share = rows.to_pandas()["share"]
    return bool(((share <= SAME_AS_SOURCE) | (share >= 1 - SAME_AS_SOURCE)).all())


def _from_levels(
    stays: ibis.Table, name: str, text: ibis.Value, rules: LevelRules
) -> tuple[ibis.Value | None, str | None]:
    """Return a column of levels, rare ones pooled; or nothing and why."""
    counts = stays.group_by(level=text.fill_null(NOT_STATED)).agg(n=stays.count())
    found = counts.order_by([counts.n.desc(), counts.level]).limit(MOST_LEVELS + 1).to_pandas()
    if len(found) < 2:
        return None, say("is the same for everybody")
    if len(found) > MOST_LEVELS:
        return None, say("has over {n} levels: an identifier", n=MOST_LEVELS)
    kept, pooled = _pool(found, rules)
    if not len(kept) or (len(found) == 2 and len(pooled)):
        return None, say("has no two levels of {k} members", k=rules.k_min)
    if set(found["level"]) == {"true", "false"}:
        return stays[name], None
    value = text.fill_null(NOT_STATED)
    if not len(pooled):
        return value, None
    text_note = "{name}: {k} rare levels ({n} members) are pooled as “{other}”: {levels}."
    note = say(
        text_note, name=name, k=len(pooled), n=number(pooled["n"].sum()), other=OTHER,
        levels=", ".join(map(str, pooled["level"].head(5))) + (", …" if len(pooled) > 5 else ""),
    )  # fmt: skip
    return value.isin(kept["level"].tolist()).ifelse(value, OTHER), note


def _pool(found: pd.DataFrame, rules: LevelRules) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the levels that stay and those that are pooled, both the largest first.

    A pool that would itself be too small takes in the smallest levels that stay. A single rare level stays what it
    is when it has members enough: "other" would be but another name.
    """
    missing = found["level"] == NOT_STATED
    rare = ~missing & (found["n"] < rules.least_share * rules.members) | (found["n"] < rules.k_min)
    named = found[~rare & ~missing]
    own = int((missing & ~rare).sum())
    if rare.any() or len(named) + own > rules.max_levels:
        named = named.head(rules.max_levels - 1 - own)
    stays = found["level"].isin(named["level"]) | (missing & ~rare)
    if (~stays).sum() == 1 and (found.loc[~stays, "n"] >= rules.k_min).all():
        stays[:] = True
    while 0 < found.loc[~stays, "n"].sum() < rules.k_min and stays.any():
        stays[found.index[stays][-1]] = False
    return found[stays], found[~stays]


def _from_number(stays: ibis.Table, name: str, rules: LevelRules) -> tuple[ibis.Value | None, str | None]:
    """Return quantile bins of a number as levels; few distinct numbers are levels themselves."""
    column, bins = stays[name].cast("float64"), rules.bins
    distinct = stays.select(v=column).distinct().limit(bins + 2).to_pandas()["v"].dropna()
    if len(distinct) < 2:
        return None, say("is the same for everybody")
    edges = sorted(distinct)[1:]
    if len(distinct) > bins:
        edges = _quantile_edges(stays, column, bins)
    labels = [say("below {edge}", edge=_edge(edges[0]))]
    labels += [say("{a} to {b}", a=_edge(a), b=_edge(b)) for a, b in pairwise(edges)]
    labels.append(say("{edge} or more", edge=_edge(edges[-1])))
    branches = [(column < edge, label) for edge, label in zip(edges, labels, strict=False)]
    cut = ibis.cases((column.isnull(), NOT_STATED), *branches, else_=labels[-1])
    value, note = _from_levels(stays, name, cut, rules._replace(max_levels=bins + 2, least_share=0.0))
    if value is None:
        return None, note
    told = say("{name} is cut at {edges}.", name=name, edges=", ".join(map(_edge, edges)))
    return value, f"{told} {note}" if note else told


def _quantile_edges(stays: ibis.Table, column: ibis.Value, bins: int) -> list[float]:
    """Return the quantiles at which a number is cut.

    Where most share the smallest value, quantiles fall on it: then it is one bin and the rest another.
    """
    cuts = {f"q{k}": column.quantile(k / bins) for k in range(1, bins)}
    found = stays.aggregate(**cuts, least=column.min()).to_pandas().iloc[0]
    least = float(found.pop("least"))
    edges = sorted(set(found.astype(float)) - {least})
    above = column.min(where=column > least)
    return edges or [float(stays.aggregate(above).to_pandas().iloc[0, 0])]


def _edge(value: float) -> str:
    return f"{value:,.6g}"
