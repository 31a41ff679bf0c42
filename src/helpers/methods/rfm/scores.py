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

from collections.abc import Sequence
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
from helpers.study.values import member_values

SCORE_COLUMNS = {"recency_days": "r_score", "frequency": "f_score", "monetary": "m_score"}
WORDS = {"recency_days": "recency", "frequency": "frequency", "monetary": "value"}
REVERSED = "recency_days"
COUNTED = {"order": "orders", "interaction": "interactions", "all": "actions"}
"""What is counted, in words."""


@dataclass(frozen=True, repr=False)
class Scores(Result):
    """Scores of the present members, with the cut points behind them.

    Attributes
    ----------
    table : ibis.Table
        The members' values with ``r_score``, ``f_score``, ``m_score`` (1 worst to `bins` best, whole numbers).
    used : dict of str to int
        Scores in use by column. Some stay empty when many members share one value.
    n : int
        Members scored.
    bins : int
        Highest possible score.
    window_days : int
        Days in which frequency and value are counted.
    """

    table: ibis.Table = field(repr=False)
    used: dict[str, int]
    n: int
    bins: int
    window_days: int

    @property
    def smallest(self) -> int:
        """Members scored."""
        return self.n

    @property
    def sentence(self) -> str:
        """What was scored and which scores stayed empty."""
        if not self.n:
            return say("There are no members to score: too little data.")
        few = [
            say("{column} {used} of {bins}", column=say(WORDS[column]), used=used, bins=self.bins)
            for column, used in self.used.items()
            if used < self.bins
        ]
        text = "{n:,} members are scored 1 to {bins} on recency, frequency and value."
        if few:
            text += "\nEqual members get equal scores, so some stay empty; used are {few}."
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
        if pd.concat([corner, lowest])["members"].isna().any():
            text = "Members by how recent and how frequent they are"
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
    study.require_recent(window_days)
    table = materialise(scored(member_values(study, window_days, population=study.present), bins))
    used = {c: table[s].nunique(where=table[c].notnull()) for c, s in SCORE_COLUMNS.items()}
    counts = table.aggregate(n=table.count(), **used).to_pandas().iloc[0].astype(int).to_dict()
    return Scores(study, table, n=counts.pop("n"), used=counts, bins=bins, window_days=window_days)


def scored(values: ibis.Table | pd.DataFrame, bins: int) -> ibis.Table:
    """Add their scores to members of whom ``recency_days``, ``frequency`` and ``monetary`` are known."""
    check_scalar(bins, "bins", type_=int, ge=2, le=100)
    table = materialise(as_table(values))
    # One row of cut points beside all: ranks would sort every member once for each column.
    beside = table.cross_join(*(_cut_points(table[column], bins) for column in SCORE_COLUMNS))
    scores = {}
    for column, score in SCORE_COLUMNS.items():
        value = beside[column]
        number = ibis.cases(*((value <= beside[f"{score} {k}"], k) for k in range(1, bins)), else_=bins)
        scores[score] = ibis.cases((value.isnull(), 1), else_=_directed(number, column, bins)).cast("int64")
    return beside.select(*table.columns, **scores)


def _cut_points(column: ibis.ir.NumericColumn, bins: int) -> ibis.Table:
    """Return one row with the largest value of each bin but the last, or of the bins before it where it is empty."""
    value, score = ibis._["value"], SCORE_COLUMNS[column.get_name()]
    counts = column.as_table().select(value=column).drop_null().group_by("value").agg(n=ibis._.count())
    so_far = ibis.window(order_by="value", rows=(None, 0))
    counts = counts.mutate(
        below=counts.n.sum().over(so_far) - counts.n, all=counts.n.sum().over(ibis.window())
    )
    number = (counts.below * bins // counts["all"]).cast("int64") + 1
    return counts.agg(**{f"{score} {k}": value.max(where=number <= k) for k in range(1, bins)})


def _directed(number: ibis.Value, column: str, bins: int) -> ibis.Value:
    return bins + 1 - number if column == REVERSED else number


def bin_score(column: ibis.ir.NumericColumn, bins: int, within: Sequence[ibis.Value] = ()) -> ibis.Value:
    """Return the score of a column, one row per member, or per member and group; missing values have score 1.

    Parameters
    ----------
    column : ibis column
        Of a table; ``recency_days`` is scored in reverse.
    bins : int
        Highest possible score.
    within : sequence of ibis column
        Columns of the same table that split the rows into groups, such as periods.
    """
    group = [*within, column.isnull()]
    below = column.rank().over(ibis.window(group_by=group, order_by=column))
    number = (below * bins // column.isnull().count().over(ibis.window(group_by=group))).cast("int64") + 1
    score = _directed(number, column.get_name(), bins)
    return ibis.cases((column.isnull(), 1), else_=score).cast("int64")
