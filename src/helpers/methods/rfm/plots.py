"""Pictures of the RFM notebook. Each takes tidy frames, says one thing and returns a :class:`Chart`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from helpers import figures
from helpers.figures import BLUE, GRID, INK, MUTED, ORANGE, SEQUENTIAL, Chart
from helpers.playbook.sentences import interval, number, percent, say


def tier_pyramid(
    sizes: pd.DataFrame,
    transitions: pd.DataFrame,
    tiers: Sequence[str],
    labels: Mapping[str, str],
    scope: str,
) -> Chart:
    """Draw the members of each tier, the top tier on top, with the moves across each boundary.

    Parameters
    ----------
    sizes : DataFrame
        Columns tier, members, share, low, high.
    transitions : DataFrame
        Columns from_tier, to_tier, n: member moves between the last two complete periods.
    tiers : sequence of str
        Lowest first.
    labels : mapping
        Tier to the name shown.
    scope : str
        Period and population, for the note.
    """
    rows = sizes.set_index("tier").reindex(tiers)
    figure, ax = figures.new_figure(7.2, 0.75 * len(tiers) + 0.9)
    shades = SEQUENTIAL(np.linspace(0.25, 0.95, len(tiers)))
    ax.barh(range(len(tiers)), rows["share"], left=-rows["share"] / 2, color=shades, height=0.72)
    widest = float(rows["share"].max())
    for level, tier in enumerate(tiers):
        row = rows.loc[tier]
        text = f"{labels.get(tier, tier)}: {number(row.members)} ({percent(row.share)})"
        ax.text(-0.56 * widest, level, text, ha="right", va="center", color=INK)
    crossings = boundary_crossings(transitions, tiers)
    for level, (up, down) in enumerate(zip(crossings["up"], crossings["down"], strict=True)):
        ax.text(
            0.56 * widest, level + 0.5, f"▲ {up:,} up   ▼ {down:,} down", ha="left", va="center", color=MUTED
        )
    ax.set_xlim(-1.25 * widest, 1.25 * widest)
    ax.set_axis_off()
    top = rows.loc[tiers[-1]]
    title = say("{share} of members stand in the top tier", share=percent(top.share))
    alt = say(
        "Pyramid of {n:,} members in {k} tiers, top tier {top}: {members:,} members, {share} ({interval}). {moves}",
        n=int(rows["members"].sum()),
        k=len(tiers),
        top=labels.get(tiers[-1], tiers[-1]),
        members=int(top.members),
        share=percent(top.share),
        interval=interval(top.low, top.high, "share"),
        moves="; ".join(f"{c.boundary}: {c.up} up, {c.down} down" for c in crossings.itertuples()),
    )
    data = rows.reset_index().merge(crossings.assign(tier=list(tiers[1:])), on="tier", how="left")
    note = say(
        "{scope}. Arrows count members who crossed that boundary since the period before.", scope=scope
    )
    columns = ["tier", "members", "share", "low", "high", "boundary", "up", "down"]
    return Chart(title, alt, data[columns].astype({"up": "Int64", "down": "Int64"}), figure, note)


def boundary_crossings(transitions: pd.DataFrame, tiers: Sequence[str]) -> pd.DataFrame:
    """Count, for each boundary between neighbouring tiers, the members who crossed it upwards and downwards."""
    rank = {tier: level for level, tier in enumerate(tiers)}
    start, end = transitions["from_tier"].map(rank), transitions["to_tier"].map(rank)
    rows = []
    for level in range(1, len(tiers)):
        up = transitions.loc[(start < level) & (end >= level), "n"].sum()
        down = transitions.loc[(start >= level) & (end < level), "n"].sum()
        rows.append((f"{tiers[level - 1]} | {tiers[level]}", int(up), int(down)))
    return pd.DataFrame(rows, columns=["boundary", "up", "down"])


def recency_frequency_map(cells: pd.DataFrame, bins: int, scope: str) -> Chart:
    """Draw members by recency and frequency score, with the count in each cell.

    Parameters
    ----------
    cells : DataFrame
        Columns r_score, f_score, members; a cell kept back for privacy has no count.
    bins : int
        Number of scores; `bins` is best.
    scope : str
        Population and window, for the note.
    """
    grid = cells.pivot(index="f_score", columns="r_score", values="members")
    grid = grid.reindex(index=range(1, bins + 1), columns=range(1, bins + 1)).astype(float)
    figure, ax = figures.new_figure(6.4, 4.8)
    _heat(ax, grid, float(grid.max(axis=None)))
    _label(ax, grid)
    ax.set_xlabel(say("Recency score ({bins} = most recent)", bins=bins))
    ax.set_ylabel(say("Frequency score ({bins} = most often)", bins=bins))
    ax.invert_yaxis()
    known = cells.dropna(subset=["members"])
    total = float(known["members"].sum())
    low = float(known.loc[(known["r_score"] <= 2) & (known["f_score"] <= 2), "members"].sum())
    best = float(known.loc[(known["r_score"] == bins) & (known["f_score"] == bins), "members"].sum())
    title = say(
        "{best} of members are both recent and frequent, {low} are neither",
        best=percent(best / total, 0),
        low=percent(low / total, 0),
    )
    alt = say(
        "Heat map of {n:,} members by recency score (columns) and frequency score (rows), 1 to {bins}. {best:,} "
        "members have the best score in both; {low:,} score 2 or less in both.",
        n=int(total),
        bins=bins,
        best=int(best),
        low=int(low),
    )
    return Chart(title, alt, cells.reset_index(drop=True), figure, scope)


def lorenz_curve(curve: pd.DataFrame, top_share: float, low: float, high: float, scope: str) -> Chart:
    """Draw the Lorenz curve of value: cumulative share of value against members, least valuable first.

    Parameters
    ----------
    curve : DataFrame
        Columns members_share, value_share, both from 0 to 1.
    top_share, low, high : float
        Share of value held by the top 20 % of members, with interval.
    scope : str
        Population and window, for the note.
    """
    figure, ax = figures.new_figure(5.6, 4.6)
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.plot(curve["members_share"], curve["value_share"], color=BLUE, linewidth=2.2)
    ax.fill_between(
        curve["members_share"], curve["value_share"], curve["members_share"], color=GRID, alpha=0.5
    )
    ax.vlines(0.8, 0, 1 - top_share, color=ORANGE, linewidth=1.2, linestyle=":")
    ax.plot(0.8, 1 - top_share, "o", color=ORANGE)
    ax.annotate(
        say("top 20 % hold {share}", share=percent(top_share)),
        (0.8, 1 - top_share),
        xytext=(-8, 14),
        textcoords="offset points",
        ha="right",
        color=INK,
    )
    ax.text(0.42, 0.47, say("equal shares"), rotation=38, color=MUTED, ha="center")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: percent(value, 0))
    ax.set(xlim=(0, 1), ylim=(min(0.0, float(curve["value_share"].min())), 1))
    ax.set_xlabel(say("Members, least valuable first"))
    ax.set_ylabel(say("Cumulative share of value"))
    title = say("The top fifth of members bring {share} of the value", share=percent(top_share))
    alt = say(
        "Lorenz curve of value over members. The top 20 % hold {share} ({interval}); under equal shares it would "
        "be 20 %.",
        share=percent(top_share),
        interval=interval(low, high, "share"),
    )
    step = max(1, len(curve) // 20)
    data = pd.concat([curve.iloc[::step], curve.iloc[[-1]]]).drop_duplicates().reset_index(drop=True)
    return Chart(title, alt, data, figure, scope)


def migration_map(matrix: pd.DataFrame, tiers: Sequence[str], labels: Mapping[str, str], scope: str) -> Chart:
    """Draw where the members of each tier stood one period later, with intervals.

    Parameters
    ----------
    matrix : DataFrame
        Columns from_tier, to_tier, n, at_risk, share, low, high.
    tiers : sequence of str
        Lowest first.
    labels : mapping
        Tier to the name shown.
    scope : str
        Periods and population, for the note.
    """
    cells = matrix.set_index(["from_tier", "to_tier"])
    grid = cells["share"].unstack().reindex(index=tiers[::-1], columns=tiers)
    figure, ax = figures.new_figure(1.4 * len(tiers) + 1.8, 0.85 * len(tiers) + 1.0)
    _heat(ax, grid, 1.0)
    for row, start in enumerate(tiers[::-1]):
        for column, end in enumerate(tiers):
            cell = cells.loc[(start, end)]
            colour = "white" if cell.share > 0.55 else INK
            bounds = "" if np.isnan(cell.low) else f"{100 * cell.low:.1f} – {100 * cell.high:.1f}"
            ax.text(column, row - 0.1, percent(cell.share), ha="center", va="center", color=colour)
            ax.text(column, row + 0.22, bounds, ha="center", va="center", color=colour, fontsize=8.5)
    at_risk = matrix.drop_duplicates("from_tier").set_index("from_tier")["at_risk"]
    ax.set_xticks(range(len(tiers)), [labels.get(t, t) for t in tiers])
    ax.set_yticks(range(len(tiers)), [f"{labels.get(t, t)} (n = {at_risk[t]:,})" for t in tiers[::-1]])
    ax.set_xlabel(say("Tier one period later"))
    ax.set_ylabel(say("Tier before"))
    top = cells.loc[(tiers[-1], tiers[-1])]
    title = say("{share} of the top tier stay there for another period", share=percent(top.share))
    alt = say(
        "Matrix of moves between {k} tiers, rows before and columns after, in per cent of the row with interval "
        "beneath. {share} ({interval}) of {n:,} members of the top tier stay.",
        k=len(tiers),
        share=percent(top.share),
        interval=interval(top.low, top.high, "share"),
        n=int(top.at_risk),
    )
    columns = ["from_tier", "to_tier", "n", "at_risk", "share", "low", "high"]
    return Chart(title, alt, matrix[columns].reset_index(drop=True), figure, scope)


def value_contest(lifts: pd.DataFrame, verdict: str, scope: str) -> Chart:
    """Draw the top-decile lift of each forecast of next-period value, with intervals.

    Parameters
    ----------
    lifts : DataFrame
        Columns model, lift, low, high, n.
    verdict : str
        The sentence the contest ends with.
    scope : str
        Split and population, for the note.
    """
    rows = lifts.sort_values("lift").reset_index(drop=True)
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
    ax.set_xlabel(
        say("Value of the top tenth in the hold-out, as a multiple of the average member (1 = no better)")
    )
    best = rows.iloc[-1]
    title = say("The best forecast finds a top tenth worth {lift} times the average", lift=number(best.lift))
    alt = say(
        "Top-decile lift of {k} forecasts with intervals. Highest: {model} with {lift} ({low} to {high}). {verdict}",
        k=len(rows),
        model=best.model,
        lift=number(best.lift),
        low=number(best.low),
        high=number(best.high),
        verdict=verdict,
    )
    return Chart(title, alt, rows[["model", "lift", "low", "high", "n"]], figure, f"{verdict} {scope}")


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
    ceiling = np.nanmax(values)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        colour = "white" if value > 0.55 * ceiling else INK
        ax.text(
            column, row, "–" if np.isnan(value) else f"{value:,.0f}", ha="center", va="center", color=colour
        )
