"""Which score finds next period's value: past value, the RFM score, or the forecast that the lists rest on?

Members who were present at the split, the day before the last closed window, are scored on what was known then, and
judged by what they brought in that window. Whoever had left by then brings nothing for a known reason, and a score
that finds such members shows no skill.

A challenger wins only when the paired bootstrap interval of its lift over the RFM score excludes 0. Otherwise
the RFM score ranks as well, and it is enough when no challenger can be better by a gain worth having. The two
intervals are Bonferroni-adjusted, so that they hold together at the stated level.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helpers.data.source import of_sample
from helpers.figures import Chart, NoChart
from helpers.methods.rfm import plots
from helpers.methods.rfm.scores import COUNTED, score
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Result
from helpers.sentences import number, percent, say
from helpers.stats.concentration import lift, paired_lifts
from helpers.stats.estimate import Estimate, percentile_interval, unknown
from helpers.stats.forecast.value import ValueForecast, forecast_value
from helpers.stats.forecast.value_judging import PAST, SURVIVAL
from helpers.study import Study
from helpers.study.enough import JUDGED_BUYERS, JUDGED_MEMBERS

RFM_SCORE = "RFM score"
CHALLENGERS = (PAST, SURVIVAL)
# The smallest gain worth a second model to run and explain, as a share of the lift of the RFM score. A working
# convention: with a tenth less lift, nine contacts do what ten did.
SMALLEST_GAIN = 0.10
TOP = 0.1
COLUMNS = ["model", "n", "lift", "low", "high", "gain", "gain_low", "gain_high"]


def value_forecast(study: Study, horizon_days: int) -> ValueForecast:
    """Forecast what each present member will bring in the next days; see :mod:`helpers.stats.forecast.value`.

    Parameters
    ----------
    study : Study
        The members and what they brought.
    horizon_days : int
        Days ahead, and length of the closed windows by which such forecasts are judged.
    """
    return forecast_value(
        study.activity, study.population, as_of=study.as_of, began=study.began, horizon_days=horizon_days,
        confidence=study.confidence, draws=study.draws, seed=study.seed, compared=False,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class Contest(Result):
    """Result of a value contest.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per score, none with too little data: model, n (members), lift, low, high (bootstrap), and of each
        challenger gain, gain_low, gain_high (its lift minus that of the RFM score, paired; the intervals hold
        together at the study's level, Bonferroni over the challengers).
    n : int
        Members judged.
    split : datetime.date
        Day before the window.
    days : int
        Length of the window.
    """

    table: pd.DataFrame
    n: int
    split: dt.date
    days: int

    @property
    def winner(self) -> str | None:
        """The score that finds value best; the RFM score unless a challenger is shown to be better."""
        wins = self.table[self.table["gain_low"] > 0]
        best = RFM_SCORE if wins.empty else str(wins.loc[wins["lift"].idxmax(), "model"])
        return best if len(self.table) else None

    @property
    def smallest(self) -> int | None:
        """Members of the top part, when scores were judged by it."""
        return round(self.n * TOP) if self.winner else None

    @property
    def gain(self) -> Estimate:
        """How much lift the best challenger gains over the RFM score."""
        if self.winner is None:
            return unknown(self.n, "ratio", self.study.confidence)
        best = self.table.sort_values("gain", na_position="first").iloc[-1]
        value, low, high = (float(best[name]) for name in COLUMNS[-3:])
        method = "paired member bootstrap, Bonferroni over the challengers"
        return Estimate(value, low, high, self.n, "ratio", method, self.study.confidence)

    @property
    def sentence(self) -> str:
        """Which score finds value, with the evidence."""
        if self.winner is None:
            return say(
                "Which score finds next period's value: too little data. It takes three times {days} days of "
                "history, {m} members and {b} of them with value.", days=self.days, m=JUDGED_MEMBERS, b=JUDGED_BUYERS,
            )  # fmt: skip
        told = {row["model"]: row for row in self.table.to_dict("records")}
        others = [
            say("{model} {gain}", model=model, gain=_interval(told[model], "gain")) for model in CHALLENGERS
        ]
        plain, most = told[RFM_SCORE]["lift"], float(self.table["gain_high"].max())
        text = "No score is shown to beat plain RFM; gains above {bound} are excluded."
        if self.winner != RFM_SCORE:
            text = "The {winner} beats plain RFM."
        elif most < SMALLEST_GAIN * plain:
            text = "Plain RFM is enough: no other score gains {least} or more ({share} of its lift)."
        text += (
            "\nOf {members:,} members present on {split}, the top {top} by RFM of {what} brought {plain} times the "
            "average in the {days} days after; what others add: {others}."
        )
        return say(
            text, winner=self.winner, bound=number(most, 2), least=number(SMALLEST_GAIN * plain, 2),
            share=percent(SMALLEST_GAIN, 0), members=self.n, split=self.split, top=percent(TOP, 0),
            what=say(COUNTED[self.study.buying]), plain=_interval(told[RFM_SCORE], "lift"), days=self.days,
            others="; ".join(others),
        )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """Yield the gain of the best challenger."""
        text = "no forecast is shown to beat plain RFM"
        if self.winner not in (RFM_SCORE, None):
            text = "the {winner} finds value better than plain RFM"
        yield finding(
            self.gain, id="rfm.model_gain", metric=say("lift of the best forecast over plain RFM"),
            scope=say("{whom} present on {split}", whom=self.whom, split=self.split),
            sentence=self.sentence, assumption=say("the hold-out stands for the next period"),
            direction="up is good", change=True, systems=("S018", "S023"),
            headline=say(text, winner=self.winner), definition="lift", picture="value_contest",
        )  # fmt: skip

    def figure(self) -> Chart | NoChart:
        """Draw the lift of each forecast of next-period value, with intervals."""
        if self.winner is None:
            return NoChart(say("Forecasts of value"), self.sentence, "value_contest")
        rows = self.table[COLUMNS[:5]].sort_values("lift", ignore_index=True)
        top, lift = percent(TOP, 0), rows.loc[rows["model"] == self.winner, "lift"].item()
        label = say("Value of the top {top} in the hold-out, as a multiple of the average member", top=top)
        figure = plots.intervals(rows["model"].tolist(), rows.rename(columns={"lift": "value"}), label, 1.0)
        text = "Ranked by the {model}, the top {top} bring {lift} times the average"
        title = say(text, model=self.winner, top=top, lift=number(lift))
        kind = say("Lift of each forecast with its interval")
        return self.drawn("value_contest", kind, title, rows, figure)


def _interval(row: Mapping[Hashable, float], column: str) -> str:
    bounds = ("low", "high") if column == "lift" else (f"{column}_low", f"{column}_high")
    value, low, high = (number(row[name], 2) for name in (column, *bounds))
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def contest(study: Study, forecast: ValueForecast) -> Contest:
    """Compare scores of the members present at the split of a forecast by the value of the window after it.

    Parameters
    ----------
    study : Study
        The RFM score counts orders, or without a table of orders what counts as activity.
    forecast : ValueForecast
        Made by :func:`value_forecast` of the same study.
    """
    judged = forecast.windows.reindex(columns=["split", "member_id", "predicted", "realised"])
    judged = judged[judged["split"] == forecast.split].set_index("member_id")
    came = judged["realised"].to_numpy(float)
    held = Contest(study, pd.DataFrame(columns=COLUMNS), len(came), forecast.split, forecast.horizon_days)
    if held.n < JUDGED_MEMBERS or (came > 0).sum() < JUDGED_BUYERS or came.sum() <= 0:
        return held
    known = _scored(study, forecast.split, forecast.share).reindex(judged.index)
    scores = {
        PAST: known["monetary"].to_numpy(float),
        RFM_SCORE: known["rfm_score"].to_numpy(float),
        SURVIVAL: judged["predicted"].to_numpy(float),
    }
    lifts = paired_lifts(scores, came, top=TOP, draws=study.draws, seed=study.seed)
    found = {name: lift(one, came, TOP) for name, one in scores.items()}
    # Each at 1 - (1 - confidence) / 2, so that both hold together.
    each, rows = 1 - (1 - study.confidence) / len(CHALLENGERS), []
    for name in scores:
        gain = (np.nan, np.nan, np.nan)
        if name != RFM_SCORE:
            bounds = percentile_interval(lifts[name] - lifts[RFM_SCORE], each)
            gain = (found[name] - found[RFM_SCORE], *bounds)
        rows.append((name, held.n, found[name], *percentile_interval(lifts[name], study.confidence), *gain))
    return replace(held, table=pd.DataFrame(rows, columns=COLUMNS))


def _scored(study: Study, day: dt.date, share: float) -> pd.DataFrame:
    """Return value and RFM score of a share of the members present on a day, over all that was known on it."""
    began = study.began or day
    members = score(replace(study.at(day), count=study.buying), (day - began).days + 1).table
    total = members.r_score + members.f_score + members.m_score
    found = of_sample(members.select("member_id", "monetary", rfm_score=total), share, study.seed)
    return found.to_pandas().set_index("member_id")
