"""Pictures of the risk to fall silent: which forecast is best, and whether its probabilities come true."""

from __future__ import annotations

import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart
from helpers.methods.retention.forecasting.backtest import Backtest
from helpers.methods.retention.forecasting.risk import Risk
from helpers.playbook.sentences import interval, number, percent, say


def model_contest(found: Backtest, note: str) -> Chart | NoChart:
    """Draw the Brier score of each forecast over the judged windows, the best on top.

    Parameters
    ----------
    found : Backtest
        The contest.
    note : str
        Windows and population.
    """
    rows = found.table.dropna(subset=["brier", "brier_low"]) if len(found.table) else found.table
    if rows.empty or found.winner is None:
        return NoChart(say("Which forecast of silence is best?"), found.sentence)
    rows = rows.sort_values("brier", ascending=False, kind="stable").reset_index(drop=True)
    figure, ax = figures.new_figure(7.2, 0.5 * len(rows) + 1.2)
    used = rows["model"] == found.winner
    for mask, colour, marker in ((~used, MUTED, "o"), (used, BLUE, "D")):
        part = rows[mask]
        ax.hlines(part.index, part["brier_low"], part["brier_high"], color=colour, linewidth=2)
        ax.plot(part["brier"], part.index, marker, color=colour, markersize=7)
    for level, value in enumerate(rows["brier"].astype(float)):
        place = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "fontsize": 9}
        ax.annotate(number(value, 4), (value, level), **place)
    ax.set_yticks(rows.index, rows["model"])
    ax.set_ylim(-0.6, len(rows) - 0.2)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(say("Brier score over {w} windows (lower is better)", w=found.windows))
    title = say("{winner} is used to foresee silence", winner=str(found.winner).capitalize())
    alt = say(
        "Brier scores of {k} forecasts with intervals. {sentence}", k=len(rows), sentence=found.sentence
    )
    columns = ["model", "brier", "brier_low", "brier_high", "auc", "auc_low", "auc_high", "decile_error"]
    shown = rows[::-1].reset_index(drop=True)
    return Chart(title, alt, shown[[c for c in columns if c in shown]], figure, note)


def calibration(found: Risk, note: str) -> Chart | NoChart:
    """Draw observed against predicted silence by tenth of risk, over the judged windows.

    Parameters
    ----------
    found : Risk
        With the backtest behind it.
    note : str
        Windows and population.
    """
    rows = found.deciles
    if rows.empty or found.contest.winner is None:
        return NoChart(say("Do the probabilities come true?"), found.calibration_sentence)
    figure, ax = figures.new_figure(5.4, 4.2)
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.vlines(rows["predicted"], rows["low"], rows["high"], color=ORANGE, linewidth=2)
    ax.plot(rows["predicted"], rows["observed"], "o", color=BLUE, markersize=6)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    edge = min(1.0, 1.1 * float(rows[["predicted", "high"]].max().max()))
    ax.set_xlim(0, edge)
    ax.set_ylim(0, edge)
    ax.set_xlabel(say("Predicted to fall silent"))
    ax.set_ylabel(say("Fell silent"))
    gap = float(rows["difference"].abs().max())
    title = say("Predicted and observed silence differ by at most {gap} points", gap=number(100 * gap, 1))
    first, last = rows.iloc[0], rows.iloc[-1]
    alt = say(
        "Points by tenth of risk along the diagonal. Lowest tenth predicted {p0}, observed {o0}; highest predicted "
        "{p1}, observed {o1} ({between}).",
        p0=percent(float(first["predicted"])),
        o0=percent(float(first["observed"])),
        p1=percent(float(last["predicted"])),
        o1=percent(float(last["observed"])),
        between=interval(float(last["low"]), float(last["high"]), "share"),
    )
    columns = ["group", "n", "predicted", "observed", "low", "high"]
    data: pd.DataFrame = rows[[c for c in columns if c in rows]].reset_index(drop=True)
    return Chart(title, alt, data, figure, note)
