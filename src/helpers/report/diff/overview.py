"""All differences in one picture, each in its own standard errors, so that shares and money stand side by side."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers import figures
from helpers.figures import BLUE, GRID, INK, MUTED, PAPER, Chart
from helpers.report.diff.compare import Comparison
from helpers.report.diff.findings import JUDGED, RANKED, FindingChange
from helpers.report.diff.judge import Difference
from helpers.report.diff.words import word
from helpers.report.page.wording import level

FEWEST, MOST = 2, 20
LONG_NAME = 44


def overview(comparison: Comparison) -> Chart | None:
    """Draw the differences that are judged against chance; None when fewer than two are."""
    judged = [
        change
        for change in comparison.of(*JUDGED)
        if change.difference and math.isfinite(change.difference.errors)
    ][:MOST]
    if len(judged) < FEWEST:
        return None
    rows = pd.DataFrame([_row(change) for change in judged])
    signals = [change for change in judged if change.outcome == "signal"]
    first = judged[0]
    assert first.difference is not None
    largest = word(
        "overview_largest",
        sentence=first.sentence,
        errors=f"{abs(first.difference.errors):.1f}",
        verdict=word(first.outcome),
    )
    confidence = level(first.difference.confidence)
    hollow = "hollow_noise" if comparison.causes.disjoint else "hollow_unclear"
    key = "overview_none" if not signals else "overview_title_one" if len(signals) == 1 else "overview_title"
    return Chart(
        word(key, number=len(signals), all=len(comparison.of(*RANKED, "unchanged"))),
        word("overview_alt", all=len(judged), confidence=confidence, largest=largest),
        rows,
        _draw(rows, [change.outcome == "signal" for change in judged]),
        word("overview_note", confidence=confidence, hollow=word(hollow)),
    )


def _row(change: FindingChange) -> dict[str, object]:
    one = change.difference
    assert one is not None
    error = _standard_error(one)
    return {
        word("finding"): change.shown.metric,
        word("standard_errors"): one.value / error,
        "low": one.low / error,
        "high": one.high / error,
        word("difference"): change.change,
        word("verdict"): word(change.outcome),
    }


def _standard_error(one: Difference) -> float:
    """Return the error that the difference has on the side of zero; of both sides where there is no difference."""
    if one.errors:
        return one.value / one.errors
    return (one.high - one.low) / (2 * NormalDist().inv_cdf(0.5 + one.confidence / 2)) or 1.0


def _draw(rows: pd.DataFrame, signal: list[bool]) -> Figure:
    figure, ax = figures.new_figure(7.6, 0.38 * len(rows) + 0.9)
    height = np.arange(len(rows))
    middle = rows[word("standard_errors")].to_numpy(float)
    for y, low, high, x, strong in zip(height, rows["low"], rows["high"], middle, signal, strict=True):
        colour = BLUE if strong else MUTED
        ax.plot([low, high], [y, y], color=colour, linewidth=2.2 if strong else 1.2)
        ax.plot(x, y, "o", color=colour, markerfacecolor=colour if strong else PAPER, markersize=8)
    ax.axvline(0, color=INK, linewidth=1)
    names = [name if len(name) <= LONG_NAME else f"{name[: LONG_NAME - 1]}…" for name in rows.iloc[:, 0]]
    ax.set_yticks(height, names, color=INK)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(word("overview_axis"))
    ax.grid(axis="x", color=GRID)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return figure
