"""Tie-safe R, F and M scores: equal members always get equal scores.

Definition
----------
For one column with n known values and b bins, a value v lies in bin ``1 + floor(b * L(v) / n)``, where
L(v) is the number of values strictly below v. This is the bin ``Q((k-1)/b) < v <= Q(k/b)`` of the
inverse-distribution quantiles Q (definition 1 of Hyndman and Fan 1996; ``quantile_disc`` in SQL), computed
from whole-number counts alone, so that no rounding of an interpolated cut point can tell two engines apart.
A group of equal values lies in one bin by construction; bins that a large group swallows stay empty and are
reported, and the others keep their number.

Frequency and monetary scores are the bin itself. Recency is reversed (few days are good):
``b + 1 - bin``; a member without any counted activity has no recency and scores 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import ibis
import pandas as pd

from helpers.checks import check_scalar, did_you_mean
from helpers.data.source import as_table
from helpers.errors import BadData, BadParameters
from helpers.sentences import percent, say
from helpers.study.frames import materialise

SCORE_COLUMNS = {"recency_days": "r_score", "frequency": "f_score", "monetary": "m_score"}
REVERSED = frozenset({"recency_days"})
MOST_BINS = 100


@dataclass(frozen=True)
class Scores:
    """Scores of all members, with the cut points behind them.

    Attributes
    ----------
    table : ibis.Table
        The input columns and ``r_score``, ``f_score``, ``m_score`` (1 worst to `bins` best, whole numbers)
        and ``rfm_code``, such as ``"543"`` (``"10-4-3"`` when there are more than nine bins).
    cuts : pandas.DataFrame
        One row per column and score that at least one member has: column, score, low (first value,
        inclusive), high (exclusive; missing for the last), members, n, source ("quantile" or "absolute").
    collapsed : pandas.DataFrame
        One row per column: column, asked (bins), attained, empty_scores (text), largest_tie_share. Some
        scores stay empty when many members share one value.
    n : int
        Members scored.
    bins : int
        Highest possible score.
    """

    table: ibis.Table = field(repr=False)
    cuts: pd.DataFrame
    collapsed: pd.DataFrame
    n: int
    bins: int

    def tie_split_share(self) -> pd.DataFrame:
        """Return, per column, the share of members whose equals have another score; always 0.

        Returns
        -------
        pandas.DataFrame
            column, split_members, n, share.
        """
        parts = [tie_split(self.table, value, score) for value, score in SCORE_COLUMNS.items()]
        return pd.concat(parts, ignore_index=True)

    @property
    def sentence(self) -> str:
        """What was scored and which scores stayed empty."""
        if self.n == 0:
            return say("There are no members to score: too little data.")
        short = self.collapsed[self.collapsed["attained"] < self.collapsed["asked"]]
        text = "{n:,} members are scored 1 to {bins} on recency, frequency and value."
        start = say(text, n=self.n, bins=self.bins)
        if short.empty:
            return f"{start} {say('Every score is used, and equal members have equal scores.')}"
        text = "{column} uses {attained} of {asked} scores (largest group of equals: {share} of members)"
        rows: list[Any] = short[["column", "attained", "asked", "largest_tie_share"]].to_dict("records")
        why = "; ".join(say(text, **row, share=percent(row["largest_tie_share"], 0)) for row in rows)
        end = say("Equal members have equal scores, so some scores stay empty: {why}.", why=why)
        return f"{start} {end}"


def score(
    values: ibis.Table | pd.DataFrame,
    *,
    bins: int = 5,
    cuts: Mapping[str, Sequence[float]] | None = None,
) -> Scores:
    """Score members on recency, frequency and monetary value.

    Parameters
    ----------
    values : ibis.Table or pandas.DataFrame
        One row per member with ``recency_days`` (days, missing when never active), ``frequency`` (count) and
        ``monetary`` (any unit); other columns are kept.
    bins : int
        Number of scores, 2 to 100.
    cuts : mapping of str to sequence of float, optional
        Absolute cut points by column (`bins` - 1 increasing numbers, each the first value of the next bin,
        in the unit of the column; for ``recency_days`` also in days, increasing). Columns that are not named
        are cut at their quantiles.

    Returns
    -------
    Scores

    Raises
    ------
    BadParameters
        When `cuts` names an unknown column or does not hold `bins` - 1 increasing numbers.
    BadData
        When a column is missing, or frequency or monetary is missing for a member.
    """
    check_scalar(bins, "bins", type_=int, ge=2, le=MOST_BINS)
    absolute = _check_cuts(cuts or {}, bins)
    table = materialise(as_table(values))
    n = _check_values(table)
    levels = value_levels(table, list(SCORE_COLUMNS), bins, absolute)
    starts = {c: levels.loc[levels["column"] == c, "low"].tolist()[1:] for c in SCORE_COLUMNS}
    known = {c: levels.loc[levels["column"] == c, "bin"].tolist() for c in SCORE_COLUMNS}
    scored = table.mutate(
        **{s: score_expression(table[c], starts[c], known[c], bins, c) for c, s in SCORE_COLUMNS.items()}
    )
    between = "" if bins <= 9 else "-"
    parts = [scored[s].cast("string") for s in SCORE_COLUMNS.values()]
    scored = scored.mutate(rfm_code=parts[0] + between + parts[1] + between + parts[2])
    return Scores(scored, _cut_table(levels, bins, absolute), _collapsed(levels, bins), n, bins)


def score_expression(
    column: ibis.ir.NumericColumn, starts: Sequence[float], bins_used: Sequence[int], bins: int, name: str
) -> ibis.ir.IntegerColumn:
    """Return the score of a column as one case expression over its cut points.

    Parameters
    ----------
    column : ibis column
        The value to score.
    starts : sequence of float
        First value of every used bin but the lowest, increasing.
    bins_used : sequence of int
        Numbers of the used bins, increasing, one more than `starts`.
    bins : int
        Highest possible score.
    name : str
        Column name, which decides the direction.
    """
    if not bins_used:
        return ibis.literal(1, "int64")
    as_score = [bins + 1 - b if name in REVERSED else b for b in bins_used]
    branches = [(column.isnull(), 1)]
    # Whole bounds for whole numbers: an engine would convert every row to compare it with a fraction.
    whole = column.type().is_integer()
    bounds = [math.ceil(start) if whole else start for start in starts]
    branches += [(column >= bound, s) for bound, s in zip(bounds[::-1], as_score[:0:-1], strict=True)]
    return ibis.cases(*branches, else_=as_score[0]).cast("int64")


def value_levels(
    table: ibis.Table, columns: Sequence[str], bins: int, absolute: Mapping[str, Sequence[float]]
) -> pd.DataFrame:
    """Return the used bins of every column in one query.

    Parameters
    ----------
    table : ibis.Table
        One row per member.
    columns : sequence of str
        Numeric columns; missing values are left out.
    bins : int
        Number of bins.
    absolute : mapping of str to sequence of float
        Cut points of the columns that are not cut at quantiles.

    Returns
    -------
    pandas.DataFrame
        column, bin (1 lowest values), low (first value in the bin, or the absolute cut point that starts it),
        top (last value), members, largest_tie (members that share the most frequent value of the bin); sorted
        by column and bin.
    """
    parts = [column_levels(table, c, bins, absolute.get(c)) for c in columns]
    frame = ibis.union(*parts).to_pandas() if len(parts) > 1 else parts[0].to_pandas()
    frame = frame.sort_values(["column", "bin"], ignore_index=True)
    for column, cuts in absolute.items():
        rows = (frame["column"] == column) & (frame["bin"] > 1)
        frame.loc[rows, "low"] = [float(cuts[b - 2]) for b in frame.loc[rows, "bin"]]
    return frame


def column_levels(table: ibis.Table, name: str, bins: int, cuts: Sequence[float] | None = None) -> ibis.Table:
    """Return the used bins of one column as a lazy table, columns as in :func:`value_levels`.

    Members are counted per distinct value first; bins come from running counts, or from `cuts`.
    """
    known = table.select(value=table[name].cast("float64"))
    known = known.filter(known.value.notnull())
    counts = known.group_by("value").agg(members=known.count())
    if cuts is None:
        running = ibis.cumulative_window(order_by=counts.value)
        counts = counts.mutate(upto=counts.members.sum().over(running), n=counts.members.sum().over())
        below = counts.upto - counts.members
        counts = counts.mutate(bin=(below * bins // counts.n).cast("int64") + 1)
    else:
        branches = [(counts.value >= float(cut), bins - i) for i, cut in enumerate(reversed(list(cuts)))]
        counts = counts.mutate(bin=ibis.cases(*branches, else_=1).cast("int64"))
    levels = counts.group_by("bin").agg(
        low=counts.value.min(),
        top=counts.value.max(),
        members=counts.members.sum().cast("int64"),
        largest_tie=counts.members.max().cast("int64"),
    )
    return levels.select(ibis.literal(name).name("column"), "bin", "low", "top", "members", "largest_tie")


def tie_split(table: ibis.Table | pd.DataFrame, value: str, score_column: str) -> pd.DataFrame:
    """Return how many members have another score than someone with exactly the same value.

    Parameters
    ----------
    table : ibis.Table or pandas.DataFrame
        One row per member.
    value, score_column : str
        The value and the score made from it.

    Returns
    -------
    pandas.DataFrame
        One row: column, split_members, n, share (missing when there are no members).
    """
    t = as_table(table)
    groups = t.group_by(value).agg(
        members=t.count(), lowest=t[score_column].min(), highest=t[score_column].max()
    )
    split = groups.members.sum(where=groups.lowest != groups.highest)
    found = groups.aggregate(split=split.fill_null(0), n=groups.members.sum().fill_null(0)).to_pandas()
    split_members, n = (int(found[c].iloc[0]) for c in ("split", "n"))
    share = split_members / n if n else math.nan
    return pd.DataFrame({"column": [value], "split_members": [split_members], "n": [n], "share": [share]})


def _check_cuts(cuts: Mapping[str, Sequence[float]], bins: int) -> dict[str, list[float]]:
    for column, points in cuts.items():
        if column not in SCORE_COLUMNS:
            known = ", ".join(SCORE_COLUMNS)
            raise BadParameters(
                f"cuts names {column!r}, must be one of {known}.{did_you_mean(column, SCORE_COLUMNS)}"
            )
        numbers = [float(p) for p in points]
        increasing = all(a < b for a, b in pairwise(numbers))
        if len(numbers) != bins - 1 or not increasing or not all(map(math.isfinite, numbers)):
            raise BadParameters(
                f"cuts[{column!r}] == {list(points)!r}, must be {bins - 1} increasing numbers "
                f"for {bins} bins."
            )
    return {column: [float(p) for p in points] for column, points in cuts.items()}


def _check_values(table: ibis.Table) -> int:
    """Return the number of members; raise when a column is absent or holds what cannot be scored."""
    absent = [c for c in SCORE_COLUMNS if c not in table.columns]
    if absent:
        raise BadData(
            f"Member values: column {', '.join(absent)} missing; there is {', '.join(table.columns)}."
        )
    must_be_known = ["frequency", "monetary"]
    bad = {c: table.count(where=_unusable(table[c], nullable=c not in must_be_known)) for c in SCORE_COLUMNS}
    found = table.aggregate(n=table.count(), **bad).to_pandas().iloc[0]
    for column, count in found.items():
        if column != "n" and count:
            raise BadData(
                f"Member values: column {column} is missing or not a finite number for {int(count):,} "
                f"members; a member without activity has frequency 0 and monetary 0."
            )
    return int(found["n"])


def _unusable(column: ibis.ir.NumericColumn, *, nullable: bool) -> ibis.ir.BooleanColumn:
    wrong = column.isnull() if not nullable else ibis.literal(False)
    if column.type().is_floating():
        wrong = wrong | (column.isnan() | column.isinf()).fill_null(False)
    return wrong


def _cut_table(levels: pd.DataFrame, bins: int, absolute: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    frame = levels.copy()
    frame["high"] = frame.groupby("column")["low"].shift(-1)
    frame["n"] = frame.groupby("column")["members"].transform("sum")
    reverse = frame["column"].isin(REVERSED)
    frame["score"] = frame["bin"].where(~reverse, bins + 1 - frame["bin"])
    frame["source"] = frame["column"].map(lambda c: "absolute" if c in absolute else "quantile")
    return frame[["column", "score", "low", "high", "members", "n", "source"]]


def _collapsed(levels: pd.DataFrame, bins: int) -> pd.DataFrame:
    rows = []
    for column in SCORE_COLUMNS:
        part = levels[levels["column"] == column]
        used = {bins + 1 - b if column in REVERSED else b for b in part["bin"]}
        empty = ", ".join(str(s) for s in range(1, bins + 1) if s not in used)
        n = part["members"].sum()
        tie = part["largest_tie"].max() / n if n else math.nan
        rows.append((column, bins, len(used), empty, tie))
    return pd.DataFrame(rows, columns=["column", "asked", "attained", "empty_scores", "largest_tie_share"])
