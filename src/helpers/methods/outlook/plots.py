"""Pictures of the next period: who falls silent and who orders, and whether chances and values come true."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from helpers import figures
from helpers.figures import BLUE, MUTED, ORANGE, Chart, NoChart
from helpers.sentences import number, percent, quantity, say

LIGHT = "#9cc3e0"
INTERVAL = ["low", "high"]


def silent_by_tier(rows: pd.DataFrame, note: str) -> Chart | NoChart:
    """Draw the share of active members expected to fall silent by how much they did lately.

    Parameters
    ----------
    rows : pandas.DataFrame
        tier, n, share, low, high; the least active first.
    note : str
        Population and period.
    """
    if rows.empty:
        return NoChart(say("Who falls silent?"), say("Too little data to tell."), name="silent_by_tier")
    figure, ax = figures.new_figure(7.2, 0.7 * len(rows) + 1.0)
    sns.barplot(rows, x="share", y="tier", color=LIGHT, ax=ax)
    ax.hlines(range(len(rows)), rows["low"], rows["high"], color=ORANGE, linewidth=2)
    for place, row in rows.iterrows():
        said = say("{share} of {n:,} members", share=percent(row["share"], 0), n=row["n"])
        ax.annotate(said, (row["high"], place), (6, 0), textcoords="offset points", va="center")
    ax.set(
        xlabel=say("Share expected to fall silent"), ylabel="", xlim=(0, min(1.4 * rows["high"].max(), 1.2))
    )
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    first, last = rows.iloc[0], rows.iloc[-1]
    words = {"first": first["tier"], "high": percent(first["share"], 0)}
    words |= {"last": last["tier"], "low": percent(last["share"], 0)}
    title = say(
        "With {first} in 30 days {high} of members are expected to fall silent, with {last} {low}", **words
    )
    if len(rows) == 1:
        title = say("With {first} in 30 days {high} of members are expected to fall silent", **words)
    alt = say(
        "Bars of the share expected to fall silent by actions in the last 30 days. {title}.", title=title
    )
    units = dict.fromkeys(["share", *INTERVAL], "share")
    return Chart(title, alt, rows, figure, note, units, name="silent_by_tier", members="n")


def calibration(deciles: pd.DataFrame, reason: str, note: str) -> Chart | NoChart:
    """Draw observed against predicted silence by tenth of risk, over the judged windows.

    Parameters
    ----------
    deciles : pandas.DataFrame
        group, n, predicted, observed, low, high, difference.
    reason : str
        Why there are none.
    note : str
        Windows and population.
    """
    if deciles.empty:
        return NoChart(say("Do the chances come true?"), reason, name="calibration")
    figure, ax = figures.new_figure(5.4, 4.2)
    edge = min(1.0, 1.1 * float(deciles[["predicted", "high"]].max().max()))
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    ax.vlines(deciles["predicted"], deciles["low"], deciles["high"], color=ORANGE, linewidth=2)
    sns.scatterplot(deciles, x="predicted", y="observed", color=BLUE, s=45, zorder=3, ax=ax)
    ax.set(xlim=(0, edge), ylim=(0, edge))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say("Share predicted to fall silent, by tenth of risk"))
    ax.set_ylabel(say("Share that fell silent"))
    gap = number(np.ceil(1000 * float(deciles["difference"].abs().max())) / 10, 1)  # the title says at most
    title = say("What was predicted came: no tenth of risk missed by more than {gap} points", gap=gap)
    if not deciles["predicted"].between(deciles["low"], deciles["high"]).sum() > len(deciles) / 2:
        title = say("Silence missed its prediction by up to {gap} points in a tenth of risk", gap=gap)
    first, last = (
        {name: percent(float(deciles.iloc[place][name])) for name in ("predicted", "observed", *INTERVAL)}
        for place in (0, -1)
    )
    text = "predicted {predicted}, observed {observed} ({low} to {high})"
    ends = {"first": say(text, **first), "last": say(text, **last)}
    alt = say("Points by tenth of risk along the diagonal. Lowest tenth: {first}; highest: {last}.", **ends)
    columns = ["group", "n", "predicted", "observed", *INTERVAL]
    data = deciles[columns].rename(columns={"group": "tenth"})
    return Chart(title, alt, data, figure, note, dict.fromkeys(columns[2:], "share"), name="calibration")


def by_tenth(rows: pd.DataFrame, name: str, title: str, ylabel: str, note: str) -> Chart | NoChart:
    """Draw what was predicted as bars and what came as points with intervals, by tenth of the prediction.

    Parameters
    ----------
    rows : pandas.DataFrame
        tenth (10 = highest), n (members), predicted, came, low, high (shares).
    name, title, ylabel : str
        What the picture and its axis are called.
    note : str
        Windows and population; without rows why there are none.
    """
    if rows.empty:
        return NoChart(title, note, name=name)
    figure, ax = figures.new_figure(7.2, 3.4)
    sns.barplot(rows, x="tenth", y="predicted", color=LIGHT, label=say("predicted"), ax=ax)
    ax.vlines(range(len(rows)), rows["low"], rows["high"], color=ORANGE, linewidth=2)
    ax.plot(range(len(rows)), rows["came"], "o", color=ORANGE, label=say("came"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(xlabel=say("Tenth of members by prediction, lowest first"), ylabel=ylabel)
    ax.legend(loc="upper left")
    alt = say("Bars of predicted shares and points of what came, by tenth of members. {title}.", title=title)
    units = dict.fromkeys(["predicted", "came", *INTERVAL], "share")
    return Chart(title, alt, rows.reset_index(drop=True), figure, note, units, name=name, members="n")


def silence_cost(rows: pd.DataFrame, unit: str, note: str) -> Chart | NoChart:
    """Draw the value of a period of members who stayed active beside that of members who fell silent.

    Parameters
    ----------
    rows : pandas.DataFrame
        third (3 = most predicted value), n, silent, active_value, silent_value, value, low, high; known ones only.
    unit : str
        Unit of the value.
    note : str
        Windows and population.
    """
    if rows.empty:
        return NoChart(say("What does silence cost?"), say("Too little data to tell."), name="silence_cost")
    words = {"active_value": say("stayed active"), "silent_value": say("fell silent")}
    long = rows.melt("third", list(words), "outcome", "brought").replace({"outcome": words})
    figure, ax = figures.new_figure(7.2, 3.0)
    sns.barplot(long, x="third", y="brought", hue="outcome", palette=[BLUE, ORANGE], ax=ax)
    ax.set(xlabel=say("Third of active members by predicted value"), ylabel=say("{unit} a member", unit=unit))
    ax.legend(title="")
    most = rows.iloc[-1]
    values = {name: quantity(float(most[name]), unit) for name in words}
    title = say(
        "The best third brings {active_value} a member when active, {silent_value} when silent", **values
    )
    alt = say("Bars of value a member by third of predicted value. {title}.", title=title)
    units = dict.fromkeys([*words, "value", *INTERVAL], unit if len(unit) == 3 else "")
    return Chart(
        title, alt, rows.reset_index(drop=True), figure, note, units, name="silence_cost", members="silent"
    )
