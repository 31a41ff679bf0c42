"""Pictures of the RFM notebook. Each takes a result, says one thing and returns a :class:`Chart`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import figures
from helpers.data import privacy
from helpers.figures import BLUE, GRID, INK, MUTED, ORANGE, SEQUENTIAL, Chart, NoChart
from helpers.methods.rfm.concentration import Concentration
from helpers.methods.rfm.contest import RFM_SCORE, Contest
from helpers.methods.rfm.history import TierHistory
from helpers.methods.rfm.moves import Migration
from helpers.sentences import interval, number, percent, say
from helpers.stats.estimate import wilson


def tier_pyramid(
    history: TierHistory, names: Mapping[str, str], *, k_min: int = 10, confidence: float = 0.95
) -> Chart | NoChart:
    """Draw the members of each tier in the last period, the top tier on top, with the moves across boundaries.

    Parameters
    ----------
    history : TierHistory
        Sizes and moves of complete periods.
    names : mapping
        Tier to the name shown beside it, such as its Chinese name.
    k_min : int
        Tiers and moves of fewer members are kept back.
    confidence : float
        Level of the intervals of the shares.
    """
    if not history.periods:
        return NoChart(say("Tier pyramid"), history.sentence)
    tiers, last = list(history.labels), history.periods[-1]
    sizes = history.sizes[history.sizes["period"] == last].set_index("tier").loc[tiers].reset_index()
    sizes["low"], sizes["high"] = wilson(sizes["members"], sizes["present"], confidence)
    rows = privacy.suppress(sizes, "members", k_min, ["share", "low", "high"]).set_index("tier")
    # All pairs of periods together: in the last one alone, moves of a few members would have to be kept back.
    pairs = len(history.periods) - 1
    crossings = boundary_crossings(history.transitions, tiers, k_min=k_min, pairs=max(pairs, 1))
    figure = _draw_pyramid(rows, crossings, [label(tier, names) for tier in tiers])
    top: Any = rows.astype(object).where(rows.notna(), np.nan).loc[tiers[-1]]
    title = say("{share} of members stand in the top tier", share=percent(top.share))
    if np.isnan(top.share):
        title = say("Fewer than {k} members stand in the top tier", k=k_min)
    alt = say(
        "Pyramid of {n:,} members in {k} tiers, top tier {top}: {members} members, {share} ({interval}). {moves}",
        n=int(top.present),
        k=len(tiers),
        top=label(tiers[-1], names),
        members=number(top.members),
        share=percent(top.share),
        interval=interval(top.low, top.high, "share"),
        moves="; ".join(f"{c.boundary}: {c.up} up, {c.down} down" for c in crossings.itertuples()),
    )
    data = rows.reset_index().merge(crossings.assign(tier=tiers[1:]), on="tier", how="left")
    note = say(
        "{period}, {n:,} members present all {unit}. Arrows: members who crossed a boundary from one {unit} to the "
        "next, on average over {pairs} pairs; – is kept back, as it could give away a move of fewer than {k} "
        "members. Intervals are {level} Wilson score intervals.",
        level=percent(confidence, 0),
        period=last,
        pairs=pairs,
        k=k_min,
        n=int(top.present),
        unit=history.period,
    )
    columns = ["tier", "members", "share", "low", "high", "boundary", "up", "down"]
    return Chart(title, alt, data[columns], figure, note)


def _draw_pyramid(rows: pd.DataFrame, crossings: pd.DataFrame, names: Sequence[str]) -> Figure:
    figure, ax = figures.new_figure(7.2, 0.75 * len(rows) + 0.9)
    shades = SEQUENTIAL(np.linspace(0.25, 0.95, len(rows)))
    shares = rows["share"].astype(float).fillna(0.0)
    ax.barh(range(len(rows)), shares, left=-shares / 2, color=shades, height=0.72)
    widest = float(shares.max()) or 1.0
    tiers: list[Any] = list(rows.itertuples())
    for level, (name, row) in enumerate(zip(names, tiers, strict=True)):
        hidden = pd.isna(row.members)
        text = say("too few") if hidden else f"{row.members:,} ({percent(row.share)})"
        text = f"{name}: {text}"
        ax.text(-0.56 * widest, level, text, ha="right", va="center", color=INK)
    for level, (up, down) in enumerate(zip(crossings["up"], crossings["down"], strict=True)):
        text = say("▲ {up} up   ▼ {down} down", up=up, down=down)
        ax.text(0.56 * widest, level + 0.5, text, ha="left", va="center", color=MUTED)
    ax.set_xlim(-1.25 * widest, 1.25 * widest)
    ax.set_axis_off()
    return figure


def label(tier: str, names: Mapping[str, str]) -> str:
    """Return a tier's id with the name it goes by, when that says more."""
    name = names.get(tier, tier)
    return tier if name == tier else f"{tier} {name}"


def boundary_crossings(
    transitions: pd.DataFrame, tiers: Sequence[str], *, k_min: int = 10, pairs: int = 1
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
    cells = pd.MultiIndex.from_product([list(tiers), list(tiers)], names=["from_tier", "to_tier"])
    sums = transitions.groupby(["from_tier", "to_tier"])["n"].sum()
    moves = sums.reindex(cells, fill_value=0).reset_index()
    moves = privacy.suppress(moves, "n", k_min, [], within=["from_tier"])
    rank = {tier: level for level, tier in enumerate(tiers)}
    start, end = moves["from_tier"].map(rank), moves["to_tier"].map(rank)
    rows = []
    for level in range(1, len(tiers)):
        up = moves.loc[(start < level) & (end >= level), "n"]
        down = moves.loc[(start >= level) & (end < level), "n"]
        counts = ["–" if n.isna().any() else f"{int(n.sum()) / pairs:,.0f}" for n in (up, down)]
        rows.append((f"{tiers[level - 1]} | {tiers[level]}", *counts))
    return pd.DataFrame(rows, columns=["boundary", "up", "down"])


def recency_frequency_map(members: ibis.Table, bins: int, note: str, *, k_min: int = 10) -> Chart | NoChart:
    """Draw members by recency and frequency score, with the count in each cell.

    Parameters
    ----------
    members : ibis.Table
        One row per member with r_score and f_score.
    bins : int
        Number of scores; `bins` is best.
    note : str
        Population and window.
    k_min : int
        Cells with fewer members are kept back.
    """
    counts = members.group_by("r_score", "f_score").agg(members=members.count()).to_pandas()
    total = int(counts["members"].sum())
    if total < k_min:
        return NoChart(say("Recency and frequency"), say("too little data (n = {n:,})", n=total))
    shown = privacy.suppress(counts, count="members", k_min=k_min, measures=[])
    # Sums over shown cells only: a total with a hidden cell in it would give that cell away.
    best, neither = _corner(shown, bins, bins), _corner(shown, 1, min(2, bins - 1))
    grid = shown.pivot(index="f_score", columns="r_score", values="members")
    grid = grid.reindex(index=range(1, bins + 1), columns=range(1, bins + 1)).astype(float)
    figure, ax = figures.new_figure(6.4, 4.8)
    _heat(ax, grid, max(1.0, float(np.nan_to_num(grid.to_numpy()).max())))
    _label(ax, grid)
    ax.set_xlabel(say("Recency score ({bins} = most recent)", bins=bins))
    ax.set_ylabel(say("Frequency score ({bins} = most often)", bins=bins))
    ax.invert_yaxis()
    values = {"n": total, "bins": bins, "best": percent(best / total), "neither": percent(neither / total)}
    title = say("{best} of members are both recent and frequent, {neither} are neither", **values)
    alt = say(
        "Heat map of {n:,} members by recency score (columns) and frequency score (rows), 1 to {bins}. {best} have "
        "the best score in both; {neither} have one of the two lowest scores in both.",
        **values,
    )
    hidden = say("Cells with fewer than {k} members are kept back.", k=k_min)
    data = shown.sort_values(["r_score", "f_score"]).reset_index(drop=True)
    return Chart(title, alt, data, figure, f"{note} {hidden}")


def _corner(counts: pd.DataFrame, low: int, high: int) -> int:
    inside = counts["r_score"].between(low, high) & counts["f_score"].between(low, high)
    return int(counts.loc[inside, "members"].fillna(0).sum())


def lorenz_curve(found: Concentration, note: str, *, period: str = "") -> Chart | NoChart:
    """Draw the Lorenz curve: cumulative share of value against members, least valuable first.

    Parameters
    ----------
    found : Concentration
        Concentration of value.
    note : str
        Population and window.
    period : str
        Period the title speaks of, such as ``"in the same 90 days"``; the label of `found` when empty.
    """
    if found.problem:
        return NoChart(say("Concentration of value"), found.sentence)
    curve, top = found.lorenz, found.top_share
    figure, ax = figures.new_figure(5.6, 4.6)
    x, y = curve["members_share"], curve["value_share"]
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.fill_between(x, y, x, color=GRID, alpha=0.5)
    ax.plot(x, y, color=BLUE, linewidth=2.2)
    edge = 1 - found.top
    ax.vlines(edge, 0, 1 - top.value, color=ORANGE, linewidth=1.2, linestyle=":")
    ax.plot(edge, 1 - top.value, "o", color=ORANGE)
    text = say("top {top} hold {share}", top=percent(found.top, 0), share=percent(top.value))
    ax.annotate(
        text, (edge, 1 - top.value), xytext=(-8, 14), textcoords="offset points", ha="right", color=INK
    )
    ax.text(0.42, 0.47, say("equal shares"), rotation=38, color=MUTED, ha="center")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: percent(value, 0))
    ax.set(xlim=(0, 1), ylim=(min(0.0, float(y.min())), 1.02))
    ax.set_xlabel(say("Members, least valuable first"))
    ax.set_ylabel(say("Cumulative share of value"))
    values = {"top": percent(found.top, 0), "share": percent(top.value)}
    period = period or found.label
    title = say(
        "The top {top} of members bring {share} of the value {period}", **values, period=period
    ).rstrip()
    alt = say(
        "Lorenz curve of value over {n:,} members. The top {top} hold {share} ({interval}); under equal shares it "
        "would be {top}.",
        n=found.n,
        interval=interval(top.low, top.high, "share"),
        **values,
    )
    step = max(1, len(curve) // 20)
    data = pd.concat([curve.iloc[::step], curve.iloc[[-1]]]).drop_duplicates().reset_index(drop=True)
    return Chart(title, alt, data, figure, note)


def migration_map(
    moved: Migration, names: Mapping[str, str], note: str, *, scope: str = "pooled", k_min: int = 10
) -> Chart | NoChart:
    """Draw where the members of each tier stood one period later, with intervals.

    Parameters
    ----------
    moved : Migration
        Matrix of moves.
    names : mapping
        Tier to the name shown beside it.
    note : str
        Periods and population.
    scope : {"pooled", "last"}
        All pairs of periods together, or the last one.
    k_min : int
        Moves made by fewer members are kept back.
    """
    tiers = list(moved.labels)
    matrix = moved.matrix[moved.matrix["scope"] == scope]
    if not matrix["at_risk"].sum():
        return NoChart(say("Moves between tiers"), moved.sentence)
    measures = ["share", "low", "high"]
    matrix = privacy.suppress(matrix, "n", k_min, measures, within=["from_tier"])
    cells: Any = matrix.set_index(["from_tier", "to_tier"])
    grid = cells["share"].astype(float).unstack().loc[tiers[::-1], tiers]
    figure, ax = figures.new_figure(1.45 * len(tiers) + 1.8, 0.85 * len(tiers) + 1.0)
    _heat(ax, grid, 1.0)
    for row, start in enumerate(tiers[::-1]):
        for column, end in enumerate(tiers):
            share, bounds = _cell_text(cells.loc[(start, end)])
            colour = "white" if grid.loc[start, end] > 0.55 else INK
            ax.text(column, row - 0.1, share, ha="center", va="center", color=colour)
            ax.text(column, row + 0.22, bounds, ha="center", va="center", color=colour, fontsize=8.5)
    at_risk = matrix.drop_duplicates("from_tier").set_index("from_tier")["at_risk"]
    ax.set_xticks(range(len(tiers)), [label(t, names) for t in tiers])
    ax.set_yticks(range(len(tiers)), [f"{label(t, names)} (n = {at_risk[t]:,})" for t in tiers[::-1]])
    ax.set_xlabel(say("Tier one period later"))
    ax.set_ylabel(say("Tier before"))
    top = cells.loc[(tiers[-1], tiers[-1])]
    share = percent(float(top.share))
    title = say("{share} of the top tier stay there for another period", share=share)
    if pd.isna(top.share):
        title = say("Moves between tiers, one period to the next")
    alt = say(
        "Matrix of moves between {k} tiers, rows before and columns after, in per cent of the row with the interval "
        "beneath. {share} ({interval}) of {n:,} members of the top tier stay.",
        k=len(tiers),
        share=share,
        interval=interval(float(top.low), float(top.high), "share"),
        n=int(top.at_risk),
    )
    columns = ["from_tier", "to_tier", "n", "at_risk", "share", "low", "high"]
    hidden = say("Moves made by fewer than {k} members are kept back (–).", k=k_min)
    return Chart(title, alt, matrix[columns].reset_index(drop=True), figure, f"{note} {hidden}")


def _cell_text(cell: pd.Series) -> tuple[str, str]:
    if pd.isna(cell.share):
        return "–", ""
    return percent(cell.share), f"{100 * cell.low:.1f} – {100 * cell.high:.1f}"


def value_contest(held: Contest, note: str) -> Chart | NoChart:
    """Draw the top-decile lift of each forecast of next-period value, with intervals."""
    rows = held.table.dropna(subset=["lift", "low"]).sort_values("lift").reset_index(drop=True)
    if rows.empty:
        return NoChart(say("Value contest"), held.sentence)
    figure, ax = figures.new_figure(7.2, 0.6 * len(rows) + 1.2)
    ax.axvline(1, color=MUTED, linewidth=1, linestyle="--")
    ax.hlines(rows.index, rows["low"], rows["high"], color=BLUE, linewidth=2.2)
    ax.plot(rows["lift"], rows.index, "o", color=BLUE, markersize=7)
    for level, row in rows.iterrows():
        ax.annotate(
            number(row.lift), (row.lift, level), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    ax.set_yticks(rows.index, rows["model"])
    ax.set_ylim(-0.6, len(rows) - 0.3)
    ax.set_xlim(left=min(0.8, float(rows["low"].min()) - 0.1))
    top = percent(held.top_share, 0)
    ax.set_xlabel(say("Hold-out value of the top {top}, as a multiple of the average member", top=top))
    best = rows.iloc[-1]
    title = _contest_title(held, rows, top)
    alt = say(
        "Lift of the top {top} by {k} forecasts with intervals; highest {model} with {lift} ({low} to {high}). "
        "{verdict}",
        top=top,
        k=len(rows),
        model=best.model,
        lift=number(best.lift),
        low=number(best.low),
        high=number(best.high),
        verdict=held.sentence,
    )
    return Chart(title, alt, rows[["model", "lift", "low", "high", "n"]], figure, note)


def _contest_title(held: Contest, rows: pd.DataFrame, top: str) -> str:
    lift = number(float(rows.loc[rows["model"] == held.winner, "lift"].iloc[0]))
    if held.winner != RFM_SCORE:
        text = "{model} finds a top {top} worth {lift} times the average"
    elif held.enough:
        text = "Plain RFM is enough: its top {top} bring {lift} times the average"
    else:
        text = "No score is shown to beat plain RFM, whose top {top} bring {lift} times the average"
    return say(text, model=held.winner, top=top, lift=lift)


def _heat(ax: Axes, grid: pd.DataFrame, ceiling: float) -> None:
    """Draw a grid of cells in one hue, from 0 to `ceiling`."""
    values = np.ma.masked_invalid(grid.to_numpy(float))
    ax.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=ceiling, aspect="auto")
    ax.set_xticks(range(grid.shape[1]), [str(c) for c in grid.columns])
    ax.set_yticks(range(grid.shape[0]), [str(r) for r in grid.index])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _label(ax: Axes, grid: pd.DataFrame) -> None:
    """Write the count into each cell, white on dark."""
    values = grid.to_numpy(float)
    ceiling = np.nan_to_num(values).max()
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        colour = "white" if value > 0.55 * ceiling else INK
        ax.text(
            column, row, "–" if np.isnan(value) else f"{value:,.0f}", ha="center", va="center", color=colour
        )
