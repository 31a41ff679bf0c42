"""Pictures of the next period: which forecast is best, and whether its probabilities and values come true."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart
from helpers.methods.outlook.contest import WHAT, contest_sentence
from helpers.methods.outlook.member_value import MemberValue
from helpers.methods.outlook.risk import Risk
from helpers.sentences import number, percent, say, with_interval
from helpers.stats.estimate import estimate_of
from helpers.stats.forecast.judging import Contest, brier_gain
from helpers.stats.forecast.models import BASE_RATE
from helpers.stats.forecast.value_judging import SURVIVAL
from helpers.study import enough


def model_contest(held: Contest, note: str) -> Chart | NoChart:
    """Draw the Brier score of each forecast over the judged windows, the best on top.

    Parameters
    ----------
    held : Contest
        The contest.
    note : str
        Windows and population.
    """
    said = contest_sentence(held)
    if held.table.empty:
        return NoChart(say("Which forecast of silence is best?"), said)
    rows = held.table.dropna(subset=["brier", "brier_low"])
    rows = rows.sort_values("brier", ascending=False, kind="stable").reset_index(drop=True)
    figure, ax = figures.new_figure(7.2, 0.5 * len(rows) + 1.2)
    used = rows["model"] == held.winner
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
    ax.set_xlabel(say("Brier score (mean squared error; lower is better)"))
    alt = say("Brier scores of {k} forecasts with intervals. {sentence}", k=len(rows), sentence=said)
    columns = ["model", "n", "brier", "brier_low", "brier_high", "auc", "auc_low", "auc_high", "decile_error"]
    shown = rows[::-1].reset_index(drop=True)[columns]
    note = say("{note} n: times a member was judged. The one in use has a diamond.", note=note)
    return Chart(_contest_title(held), alt, shown, figure, note, dict.fromkeys(columns[2:], "score"))


def _contest_title(held: Contest) -> str:
    """Return whether the forecast in use beats the bare share, by the saving in each window."""
    scores, gain = held.table.set_index("model")["brier"], brier_gain(held)
    text = "No forecast foresees {what} clearly better than the bare share"
    if held.too_few:
        text = "Too few windows to compare forecasts of {what}: {w} of {k}"
    elif gain.known and gain.low > 0:
        text = "“{winner}” foresees {what} better than the bare share (Brier score {best} against {base})"
    best, base = (number(float(scores.get(name, np.nan)), 3) for name in (held.winner, BASE_RATE))
    counts = {"w": held.windows, "k": enough.WINDOWS_TO_JUDGE}
    return say(text, what=say(WHAT[held.outcome]), winner=held.winner, best=best, base=base, **counts)


def calibration(found: Risk, note: str) -> Chart | NoChart:
    """Draw observed against predicted silence by tenth of risk, over the judged windows.

    Parameters
    ----------
    found : Risk
        With the contest behind it.
    note : str
        Windows and population.
    """
    rows = found.contest.deciles
    if rows.empty:
        return NoChart(say("Do the probabilities come true?"), found.contest_sentence)
    figure, ax = figures.new_figure(5.4, 4.2)
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.vlines(rows["predicted"], rows["low"], rows["high"], color=ORANGE, linewidth=2)
    ax.plot(rows["predicted"], rows["observed"], "o", color=BLUE, markersize=6)
    edge = min(1.0, 1.1 * float(rows[["predicted", "high"]].max().max()))
    ax.set(xlim=(0, edge), ylim=(0, edge))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Share predicted to fall silent, by tenth of risk"))
    ax.set_ylabel(say("Share that fell silent"))
    gap = np.ceil(1000 * float(rows["difference"].abs().max())) / 10  # rounded up: the title says at most
    title = say(
        "In no tenth of risk did silence miss its prediction by more than {gap} points", gap=number(gap, 1)
    )
    first, last = (_tenth(rows.iloc[place], found.contest.confidence) for place in (0, -1))
    text = "Points by tenth of risk along the diagonal. Lowest tenth {first}; highest {last}."
    columns = ["group", "n", "predicted", "observed", "low", "high"]
    data = rows[columns].rename(columns={"group": "tenth"})
    note = say("{note} The dashed line: what was predicted came.", note=note)
    units = dict.fromkeys(columns[2:], "share")
    return Chart(title, say(text, first=first, last=last), data, figure, note, units)


def _tenth(row: pd.Series, confidence: float) -> str:
    """Return ``'predicted 4.5 %, observed 4.2 % (2.9 % to 6.0 %, n = 665)'``."""
    came = with_interval(estimate_of(row, row["n"], "clustered", confidence, value="observed"))
    return say("predicted {said}, observed {came}", said=percent(float(row["predicted"])), came=came)


def value_deciles(found: MemberValue, note: str) -> Chart | NoChart:
    """Draw predicted and realised shares of value by decile of predicted value.

    Parameters
    ----------
    found : MemberValue
        Prediction and its judgement.
    note : str
        Hold-out and population.
    """
    rows = found.deciles
    rows = rows[rows["model"] == SURVIVAL].dropna(subset=["low"]) if len(rows) else rows
    if rows.empty:
        return NoChart(say("Did the predicted value come?"), found.sentence)
    figure, ax = figures.new_figure(7.2, 3.4)
    ax.bar(rows["decile"], rows["predicted_share"], color="#9cc3e0", label=say("predicted"))
    ax.vlines(rows["decile"], rows["low"], rows["high"], color=ORANGE, linewidth=2)
    ax.plot(rows["decile"], rows["realised_share"], "o", color=ORANGE, label=say("came"))
    ax.set_xticks(rows["decile"])
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Tenth of members by predicted value, lowest first"))
    ax.set_ylabel(say("Share of all value"))
    ax.legend(loc="upper left")
    columns = ("predicted_share", "realised_share", "low", "high")
    said, came, low, high = (percent(float(rows.iloc[-1][name]), 0) for name in columns)
    text = "The top tenth was to bring {said} of the value and brought {came} ({low} to {high})"
    title = say(text, said=said, came=came, low=low, high=high)
    text = "Bars of predicted and points of realised shares of value by tenth of {n:,} members. {title}."
    data = rows.drop(columns="model").rename(columns={"decile": "tenth"}).reset_index(drop=True)
    alt = say(text, n=int(rows["n"].sum()), title=title)
    return Chart(title, alt, data, figure, note, dict.fromkeys(columns, "share"))
