"""Pictures of the RFM notebook. Each takes a result, says one thing and returns a :class:`Chart`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import figures
from helpers.data import privacy
from helpers.figures import BLUE, GRID, INK, MUTED, ORANGE, SEQUENTIAL, Chart, NoChart
from helpers.methods.rfm.concentration import TOP, Concentration
from helpers.methods.rfm.contest import TOP as TOP_RANKED
from helpers.methods.rfm.contest import Contest
from helpers.methods.rfm.findings import Told
from helpers.methods.rfm.history import TierHistory
from helpers.methods.rfm.moves import Migration
from helpers.methods.rfm.scores import Scores
from helpers.methods.rfm.tiers import TierScheme
from helpers.sentences import number, percent, say
from helpers.stats.estimate import wilson
from helpers.study import Study


def tier_pyramid(study: Study, scheme: TierScheme, history: TierHistory) -> Chart | NoChart:
    """Draw the members of each tier in the last period, the top tier on top, with the moves across boundaries."""
    if not history.periods:
        return NoChart(say("Tier pyramid"), history.sentence)
    tiers, last = list(scheme.labels), history.periods[-1]
    sizes = history.sizes[history.sizes["period"] == last].copy()
    sizes["low"], sizes["high"] = wilson(sizes["members"], sizes["present"], study.confidence)
    rows = privacy.suppress(sizes, "members", study.k_min, ["share", "low", "high"])
    # All pairs of periods together: in the last one alone, moves of a few members would have to be kept back.
    pairs = len(history.periods) - 1
    crossings = boundary_crossings(history.transitions, tiers, k_min=study.k_min, pairs=max(pairs, 1))
    top: Any = rows.iloc[-1]
    title = say("Fewer than {k} members stand in the top tier", k=study.k_min)
    if pd.notna(top["share"]):
        title = say("{share} of members stand in the top tier", share=percent(top["share"]))
    crossed = "; ".join(f"{c.boundary}: {c.up} up, {c.down} down" for c in crossings.itertuples())
    alt = f"{_alt(say('Pyramid of tiers'), title, history)} {crossed}."
    text = (
        "{period}, members present all {unit}. Arrows: members who crossed a boundary from one {unit} to the next, "
        "on average over {pairs} pairs; – is kept back, as it could give away a move of fewer than {k} members. "
        "Intervals are {level} Wilson score intervals."
    )
    level = percent(study.confidence, 0)
    note = say(text, period=last, unit=history.period, pairs=pairs, k=study.k_min, level=level)
    data = rows.merge(crossings.assign(tier=tiers[1:]), on="tier", how="left")
    columns = ["tier", "members", "share", "low", "high", "boundary", "up", "down"]
    return Chart(title, alt, data[columns], _pyramid(data, _named(scheme)), note)


def _alt(kind: str, title: str, result: Told) -> str:
    """Return what a picture is, what it shows and what its result says."""
    return f"{kind}. {title}. {result.sentence}"


def _pyramid(rows: pd.DataFrame, names: list[str]) -> Figure:
    figure, ax = figures.new_figure(7.2, 0.75 * len(rows) + 0.9)
    shares = rows["share"].astype(float).fillna(0.0)
    widest = float(shares.max()) or 1.0
    shades = SEQUENTIAL(np.linspace(0.25, 0.95, len(rows)))
    ax.barh(range(len(rows)), shares, left=-shares / 2, color=shades, height=0.72)
    for level, (name, row) in enumerate(zip(names, rows.to_dict("records"), strict=True)):
        size = say("too few") if pd.isna(row["members"]) else f"{row['members']:,} ({percent(row['share'])})"
        ax.text(-0.56 * widest, level, f"{name}: {size}", ha="right", va="center", color=INK)
        if level:
            text = say("▲ {up} up   ▼ {down} down", up=row["up"], down=row["down"])
            ax.text(0.56 * widest, level - 0.5, text, ha="left", va="center", color=MUTED)
    ax.set_xlim(-1.25 * widest, 1.25 * widest)
    ax.set_axis_off()
    return figure


def _named(scheme: TierScheme) -> list[str]:
    """Return each tier's id with the name it goes by, when that says more."""
    return [tier if name == tier else f"{tier} {name}" for tier, name in scheme.display_names.items()]


def boundary_crossings(
    transitions: pd.DataFrame, tiers: list[str], *, k_min: int, pairs: int
) -> pd.DataFrame:
    """Count the members who crossed each boundary between neighbouring tiers, on average over pairs of periods.

    Returns
    -------
    pandas.DataFrame
        boundary, up, down: counts as text, ``"–"`` where a move that counts in is kept back.

    Notes
    -----
    A crossing is a sum of cells of the matrix of moves, and the matrix is published: a sum with one cell that the
    matrix keeps back would give that cell away. So the same cells are kept back here, those of 0 < n < `k_min`
    and those that protect them within a row.
    """
    cells = pd.MultiIndex.from_product([tiers, tiers], names=["from_tier", "to_tier"])
    sums = transitions.groupby(["from_tier", "to_tier"])["n"].sum()
    moves = sums.reindex(cells, fill_value=0).reset_index()
    moves = privacy.suppress(moves, "n", k_min, [], within=["from_tier"])
    start, end = (moves[name].map(tiers.index) for name in ("from_tier", "to_tier"))
    rows = []
    for level in range(1, len(tiers)):
        crossed = ((start < level) & (end >= level), (start >= level) & (end < level))
        counts = [moves.loc[rows, "n"] for rows in crossed]
        told = ["–" if n.isna().any() else f"{int(n.sum()) / pairs:,.0f}" for n in counts]
        rows.append((f"{tiers[level - 1]} | {tiers[level]}", *told))
    return pd.DataFrame(rows, columns=["boundary", "up", "down"])


def recency_frequency_map(study: Study, scores: Scores, note: str) -> Chart | NoChart:
    """Draw members by recency and frequency score, with the count in each cell.

    Parameters
    ----------
    study : Study
        Tells the smallest number of members that may be shown.
    scores : Scores
        Scores of the members.
    note : str
        Population and window.
    """
    if scores.n < study.k_min:
        return NoChart(say("Recency and frequency"), say("too little data (n = {n:,})", n=scores.n))
    counts = scores.table.group_by("r_score", "f_score").agg(members=scores.table.count()).to_pandas()
    shown = privacy.suppress(counts, "members", study.k_min, []).sort_values(["r_score", "f_score"])
    # Sums over shown cells only: a total with a hidden cell in it would give that cell away.
    bins = scores.bins
    corner = shown.query("r_score == @bins and f_score == @bins")
    lowest = shown.query("r_score <= 2 and f_score <= 2 and r_score < @bins and f_score < @bins")
    best, neither = (percent(int(part["members"].sum()) / scores.n) for part in (corner, lowest))
    grid = shown.pivot(index="f_score", columns="r_score", values="members").astype(float)
    grid = grid.reindex(index=range(bins, 0, -1), columns=range(1, bins + 1))
    figure, ax = figures.new_figure(6.4, 4.8)
    _heat(ax, grid, grid.map(lambda n: f"{n:,.0f}"), ceiling=grid.max().max())
    ax.set_xlabel(say("Recency score ({bins} = most recent)", bins=bins))
    ax.set_ylabel(say("Frequency score ({bins} = most often)", bins=bins))
    text = "{best} of members are both recent and frequent, {neither} are neither"
    title = say(text, best=best, neither=neither)
    alt = _alt(say("Heat map of members by recency (columns) and frequency (rows)"), title, scores)
    hidden = say("Cells with fewer than {k} members are kept back.", k=study.k_min)
    return Chart(title, alt, shown.reset_index(drop=True), figure, f"{note} {hidden}")


def _heat(ax: Axes, grid: pd.DataFrame, texts: pd.DataFrame, ceiling: float) -> None:
    """Draw a grid of cells in one hue from 0 to `ceiling`, each with its text; – where there is no number."""
    highest = ceiling if ceiling > 0 else 1.0
    sns.heatmap(grid, annot=texts, fmt="", cmap=SEQUENTIAL, vmin=0, vmax=highest, cbar=False, ax=ax)
    # Seaborn turns to white on cells that are too light to read it from.
    known = grid.notna().to_numpy()
    for text, value in zip(ax.texts, grid.to_numpy()[known], strict=True):
        text.set_color("white" if value > 0.55 * highest else INK)
    for row, column in np.argwhere(~known):
        ax.text(column + 0.5, row + 0.5, "–", ha="center", va="center", color=INK)
    ax.tick_params(length=0, rotation=0)


def lorenz_curve(found: Concentration, note: str, *, period: str) -> Chart | NoChart:
    """Draw the Lorenz curve: cumulative share of value against members, least valuable first.

    Parameters
    ----------
    found : Concentration
        Concentration of value.
    note : str
        Population and window.
    period : str
        Period the title speaks of, such as ``"in the same 90 days"``.
    """
    if not found.top_share.known:
        return NoChart(say("Concentration of value"), found.sentence)
    curve, top = found.lorenz, found.top_share
    values = {"top": percent(TOP, 0), "share": percent(top.value), "period": period}
    figure, ax = figures.new_figure(5.6, 4.6)
    x, y, edge = curve["members_share"], curve["value_share"], 1 - TOP
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.fill_between(x, y, x, color=GRID, alpha=0.5)
    ax.plot(x, y, color=BLUE, linewidth=2.2)
    ax.vlines(edge, 0, 1 - top.value, color=ORANGE, linewidth=1.2, linestyle=":")
    ax.plot(edge, 1 - top.value, "o", color=ORANGE)
    text = say("top {top} hold {share}", **values)
    ax.text(edge - 0.03, 1.04 - top.value, text, ha="right", color=INK)
    ax.text(0.42, 0.47, say("equal shares"), rotation=38, color=MUTED, ha="center")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: percent(value, 0))
    ax.set(xlim=(0, 1), ylim=(min(0.0, float(y.min())), 1.02))
    ax.set(xlabel=say("Members, least valuable first"), ylabel=say("Cumulative share of value"))
    title = say("The top {top} of members bring {share} of the value {period}", **values)
    alt = _alt(say("Lorenz curve of value, the least valuable members first"), title, found)
    step = max(1, len(curve) // 20)
    data = pd.concat([curve.iloc[::step], curve.iloc[[-1]]]).drop_duplicates().reset_index(drop=True)
    return Chart(title, alt, data, figure, note)


def migration_map(study: Study, scheme: TierScheme, moved: Migration) -> Chart | NoChart:
    """Draw where the members of each tier stood one period later, all pairs of periods together, with intervals."""
    matrix = moved.matrix[moved.matrix["scope"] == "pooled"]
    if not matrix["at_risk"].sum():
        return NoChart(say("Moves between tiers"), moved.sentence)
    tiers, names = list(scheme.labels), _named(scheme)
    matrix = privacy.suppress(matrix, "n", study.k_min, ["share", "low", "high"], within=["from_tier"])
    cells = matrix.set_index(["from_tier", "to_tier"])
    shares = zip(cells["share"], cells["low"], cells["high"], strict=True)
    parts = [f"{percent(share)}\n{100 * low:.1f} – {100 * high:.1f}" for share, low, high in shares]
    told = pd.Series(parts, cells.index)
    grid, texts = (part.unstack().loc[tiers[::-1], tiers] for part in (cells["share"], told))
    at_risk = cells["at_risk"].unstack().loc[tiers[::-1], tiers[0]]
    figure, ax = figures.new_figure(1.45 * len(tiers) + 1.8, 0.85 * len(tiers) + 1.0)
    _heat(ax, grid, texts, ceiling=1.0)
    ax.set_xticklabels(names)
    ax.set_yticklabels([f"{name} (n = {n:,})" for name, n in zip(names[::-1], at_risk, strict=True)])
    ax.set(xlabel=say("Tier one period later"), ylabel=say("Tier before"))
    top: Any = cells.loc[(tiers[-1], tiers[-1])]
    title = say("Moves between tiers, one period to the next")
    if pd.notna(top["share"]):
        title = say("{share} of the top tier stay there for another period", share=percent(top["share"]))
    alt = _alt(say("Matrix of moves, tiers before in rows, after in columns"), title, moved)
    text = "{pairs} pairs of {period}s, intervals beneath. Moves made by fewer than {k} members are kept back (–)."
    note = say(text, pairs=len(moved.periods), period=moved.period, k=study.k_min)
    columns = ["from_tier", "to_tier", "n", "at_risk", "share", "low", "high"]
    return Chart(title, alt, matrix[columns].reset_index(drop=True), figure, note)


def value_contest(held: Contest) -> Chart | NoChart:
    """Draw the top-decile lift of each forecast of next-period value, with intervals."""
    rows = held.table.dropna(subset=["lift", "low"]).sort_values("lift", ignore_index=True)
    if rows.empty:
        return NoChart(say("Value contest"), held.sentence)
    figure, ax = figures.new_figure(7.2, 0.6 * len(rows) + 1.2)
    ax.axvline(1, color=MUTED, linewidth=1, linestyle="--")
    sides = [rows["lift"] - rows["low"], rows["high"] - rows["lift"]]
    ax.errorbar(rows["lift"], rows.index, xerr=sides, fmt="o", color=BLUE, linewidth=2.2, markersize=7)
    for level, lift in rows["lift"].items():
        ax.annotate(number(lift), (lift, level), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set_yticks(rows.index, rows["model"])
    ax.set(ylim=(-0.6, len(rows) - 0.3), xlim=(min(0.8, float(rows["low"].min()) - 0.1), None))
    top = percent(TOP_RANKED, 0)
    ax.set_xlabel(say("Hold-out value of the top {top}, as a multiple of the average member", top=top))
    text = "Ranked by {model}, the score to use, the top {top} bring {lift} times the average"
    lift = rows.loc[rows["model"] == held.winner, "lift"].item()
    title = say(text, model=held.winner, top=top, lift=number(lift))
    alt = _alt(say("Lift of each forecast with its interval"), title, held)
    text = "Scored on {split}, judged by value up to {as_of}. {buyers:,} members had value then."
    note = say(text, split=held.split, as_of=held.as_of, buyers=held.buyers)
    return Chart(title, alt, rows[["model", "lift", "low", "high", "n"]], figure, note)
