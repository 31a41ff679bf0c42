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
from collections.abc import Iterable
from dataclasses import dataclass, field

import ibis
import pandas as pd

from helpers.checks import check_scalar
from helpers.data import privacy
from helpers.data.source import as_table
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.playbook.result import Result
from helpers.sentences import percent, say
from helpers.study import Study
from helpers.study.frames import materialise
from helpers.study.values import check_recent, member_values

SCORE_COLUMNS = {"recency_days": "r_score", "frequency": "f_score", "monetary": "m_score"}
REVERSED = "recency_days"


@dataclass(frozen=True, repr=False)
class Scores(Result):
    """Scores of the present members, with the cut points behind them.

    Attributes
    ----------
    table : ibis.Table
        The members' values with ``r_score``, ``f_score``, ``m_score`` (1 worst to `bins` best, whole numbers).
    levels : pandas.DataFrame
        The used bins of every column, see :func:`score_expressions`. Some stay empty when many members share one
        value.
    bins : int
        Highest possible score.
    window_days : int
        Days in which frequency and value are counted.
    """

    table: ibis.Table = field(repr=False)
    levels: pd.DataFrame
    bins: int
    window_days: int

    @property
    def n(self) -> int:
        """Members scored."""
        return int(self.levels.loc[self.levels["column"] == "frequency", "members"].sum())

    smallest = n

    @property
    def sentence(self) -> str:
        """What was scored and which scores stayed empty."""
        if not self.n:
            return say("There are no members to score: too little data.")
        few = [
            say("{column} {used} of {bins}", column=column, used=len(rows), bins=self.bins)
            for column, rows in self.levels.groupby("column")
            if len(rows) < self.bins
        ]
        text = "{n:,} members are scored 1 to {bins} on recency, frequency and value; every score is used."
        if few:
            text = (
                "{n:,} members are scored 1 to {bins} on recency, frequency and value. Equal members get equal "
                "scores, so some stay empty; used are {few}."
            )
        return say(text, n=self.n, bins=self.bins, few=", ".join(few))

    def figure(self) -> Chart | NoChart:
        """Draw the members by recency and frequency score, with the count in each cell."""
        bins, k_min = self.bins, self.study.k_min
        if not self.n:
            return NoChart(say("Recency and frequency"), self.sentence, "recency_frequency")
        counts = self.table.group_by("r_score", "f_score").agg(members=self.table.count()).to_pandas()
        shown = privacy.suppress(counts, "members", k_min, []).sort_values(["r_score", "f_score"])
        # Sums over shown cells only: a total with a hidden cell in it would give that cell away.
        corner = shown.query("r_score == @bins and f_score == @bins")
        lowest = shown.query("r_score <= 2 and f_score <= 2 and r_score < @bins and f_score < @bins")
        best, neither = (percent(int(part["members"].sum()) / self.n) for part in (corner, lowest))
        grid = shown.pivot(index="f_score", columns="r_score", values="members").astype(float)
        grid = grid.reindex(index=range(bins, 0, -1), columns=range(1, bins + 1))
        across = say("Recency score ({bins} = most recent)", bins=bins)
        down = say("Frequency score ({bins} = most often)", bins=bins)
        figure = plots.heat(grid, grid.map("{:,.0f}".format), (6.4, 4.8), across, down)
        text = "{best} of members are both recent and frequent, {neither} are neither"
        title = say(text, best=best, neither=neither)
        note = say(
            "{days} days. Cells with fewer than {k} members are kept back.", days=self.window_days, k=k_min
        )
        kind = say("Heat map of members by recency (columns) and frequency (rows)")
        data = shown.reset_index(drop=True)
        return self.drawn("recency_frequency", kind, title, data, figure, note=note)


def score(study: Study, window_days: int, bins: int = 5) -> Scores:
    """Score the members who are present on the last day on recency, frequency and monetary value.

    Parameters
    ----------
    study : Study
        Whom, as of when, and what counts.
    window_days : int
        Days up to the last one in which frequency and value are counted.
    bins : int
        Number of scores, 2 to 100.

    Raises
    ------
    BadParameters
        When the last action lies so far back that everybody would look silent.
    """
    check_recent(study, window_days)
    table, levels = scored(member_values(study, window_days, population=study.present), bins)
    return Scores(study, table, levels, bins, window_days)


def scored(values: ibis.Table | pd.DataFrame, bins: int) -> tuple[ibis.Table, pd.DataFrame]:
    """Score members of whom ``recency_days``, ``frequency`` and ``monetary`` are known, see :class:`Scores`.

    Returns the members with their scores, and the used bins.
    """
    check_scalar(bins, "bins", type_=int, ge=2, le=100)
    table = materialise(as_table(values))
    scores, levels = score_expressions(table, SCORE_COLUMNS, bins)
    return table.mutate(**{SCORE_COLUMNS[column]: value for column, value in scores.items()}), levels


def score_expressions(
    table: ibis.Table, columns: Iterable[str], bins: int
) -> tuple[dict[str, ibis.ir.IntegerColumn], pd.DataFrame]:
    """Return the score of each column as an expression, and the used bins they rest on, from one query.

    Parameters
    ----------
    table : ibis.Table
        One row per member.
    columns : iterable of str
        Numeric columns; missing values have score 1.
    bins : int
        Highest possible score.

    Returns
    -------
    scores : dict of str to ibis expression
        One case over the first values of the used bins for each column.
    levels : pandas.DataFrame
        column, bin (1 lowest values), low (first value in the bin), members; sorted by column and bin.
    """
    parts = [column_levels(table, column, bins) for column in columns]
    levels = ibis.union(*parts).to_pandas().sort_values(["column", "bin"], ignore_index=True)
    used = {column: levels[levels["column"] == column] for column in columns}
    return {column: score_expression(table[column], used[column], bins) for column in columns}, levels


def score_expression(column: ibis.ir.NumericColumn, levels: pd.DataFrame, bins: int) -> ibis.ir.IntegerColumn:
    """Return the score of a column as one case expression over the first values of its used bins."""
    if levels.empty:
        return ibis.literal(1, "int64")
    scores = bins + 1 - levels["bin"] if column.get_name() == REVERSED else levels["bin"]
    # Whole bounds for whole numbers: an engine would convert every row to compare it with a fraction.
    lows = levels["low"].map(math.ceil) if column.type().is_integer() else levels["low"]
    lowest, *higher = zip(lows.tolist(), scores.tolist(), strict=True)
    branches = [(column >= low, value) for low, value in reversed(higher)]
    return ibis.cases((column.isnull(), 1), *branches, else_=lowest[1]).cast("int64")


def column_levels(table: ibis.Table, name: str, bins: int) -> ibis.Table:
    """Return the used bins of one column as a lazy table, columns as in :func:`score_expressions`.

    Members are counted per distinct value first; bins come from running counts.
    """
    known = table.select(value=table[name].cast("float64"))
    known = known.filter(known.value.notnull())
    counts = known.group_by("value").agg(members=known.count())
    running = ibis.cumulative_window(order_by=counts.value)
    counts = counts.mutate(upto=counts.members.sum().over(running), n=counts.members.sum().over())
    below = counts.upto - counts.members
    counts = counts.mutate(bin=(below * bins // counts.n).cast("int64") + 1)
    levels = counts.group_by("bin").agg(low=counts.value.min(), members=counts.members.sum().cast("int64"))
    return levels.select(ibis.literal(name).name("column"), "bin", "low", "members")
