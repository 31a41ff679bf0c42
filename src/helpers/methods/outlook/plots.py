"""Pictures of the next period: which forecast is best, and whether its probabilities and values come true."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart
from helpers.methods.outlook.risk import Risk
from helpers.sentences import interval, number, percent, say
from helpers.stats.forecast.backtest import BASE_RATE, FEWEST_WINDOWS, Backtest
from helpers.stats.forecast.gain import brier_gain
from helpers.stats.forecast.member_value import SURVIVAL, MemberValue
from helpers.stats.forecast.outcomes import WORDS


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
    ax.set_xlabel(say("Brier score (mean squared error; lower is better)"))
    title = _contest_title(found)
    alt = say(
        "Brier scores of {k} forecasts with intervals. {sentence}", k=len(rows), sentence=found.sentence
    )
    columns = ["model", "n", "brier", "brier_low", "brier_high", "auc", "auc_low", "auc_high", "decile_error"]
    shown = rows[::-1].reset_index(drop=True)
    shown = shown[[c for c in columns if c in shown]]
    note = say("{note} n: times a member was judged. The one in use has a diamond.", note=note)
    return Chart(title, alt, shown, figure, note, dict.fromkeys(columns[2:], "score"))


def _contest_title(found: Backtest) -> str:
    """Return whether the forecast in use beats the bare share, by the saving in each window."""
    what = say(WORDS[found.outcome].what)
    if found.too_few:
        text = "Too few windows to compare forecasts of {what}: {w} of {k}"
        return say(text, what=what, w=found.windows, k=FEWEST_WINDOWS)
    gain, scores = brier_gain(found), found.table.set_index("model")["brier"].to_dict()
    if not (gain.known and gain.low > 0):
        return say(
            "No forecast foresees {what} clearly better than the bare share",
            what=what,
        )
    best, base = (number(scores[name], 3) for name in (str(found.winner), BASE_RATE))
    text = "“{winner}” foresees {what} better than the bare share (Brier score {best} against {base})"
    return say(text, winner=found.winner, what=what, best=best, base=base)


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
    ax.set_xlabel(say("Share predicted to fall silent, by tenth of risk"))
    ax.set_ylabel(say("Share that fell silent"))
    gap = float(rows["difference"].abs().max())
    title = say(
        "In no tenth of risk did silence miss its prediction by more than {gap} points", gap=_points(gap)
    )
    first, last = (_tenth(rows.iloc[place]) for place in (0, -1))
    alt = say(
        "Points by tenth of risk along the diagonal. Lowest tenth {first}; highest {last}.",
        first=first,
        last=last,
    )
    columns = ["group", "n", "predicted", "observed", "low", "high"]
    data: pd.DataFrame = rows[[c for c in columns if c in rows]].reset_index(drop=True)
    note = say("{note} The dashed line: what was predicted came.", note=note)
    return Chart(
        title, alt, data.rename(columns={"group": "tenth"}), figure, note, dict.fromkeys(columns[2:], "share")
    )


def _points(share: float) -> str:
    """Return a share in percentage points, rounded up: the title says at most."""
    return number(np.ceil(1000 * share) / 10, 1)


def _tenth(row: pd.Series) -> str:
    """Return ``'predicted 4.5 %, observed 4.2 % (2.9 % to 6.0 %, n = 665)'``."""
    between = interval(float(row["low"]), float(row["high"]), "share")
    said, came = (percent(float(row[name])) for name in ("predicted", "observed"))
    text = "predicted {said}, observed {came} ({between}, n = {n:,})"
    return say(text, said=said, came=came, between=between, n=int(row["n"]))


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
    rows = (
        rows[rows["model"] == SURVIVAL].dropna(subset=["low"]).reset_index(drop=True) if len(rows) else rows
    )
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
    top = rows.iloc[-1]
    title = say(
        "The top tenth was to bring {said} of the value and brought {came} ({low} to {high})",
        said=percent(float(top["predicted_share"]), 0),
        came=percent(float(top["realised_share"]), 0),
        low=percent(float(top["low"]), 0),
        high=percent(float(top["high"]), 0),
    )
    alt = say(
        "Bars of predicted and points of realised shares of value by tenth of {n:,} members. Top tenth: predicted "
        "{said}, realised {came} ({between}).",
        n=int(rows["n"].sum()),
        said=percent(float(top["predicted_share"])),
        came=percent(float(top["realised_share"])),
        between=interval(float(top["low"]), float(top["high"]), "share"),
    )
    shares = dict.fromkeys(("predicted_share", "realised_share", "low", "high"), "share")
    return Chart(
        title, alt, rows.drop(columns="model").rename(columns={"decile": "tenth"}), figure, note, shares
    )
